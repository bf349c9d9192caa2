#pragma once
// The proof as a file: one JSON document. What its hashes are over stands in dedup/proof.h.
//
//   {"imapult_proof": 1, "algorithm": "sha256-merkle-rfc6962", "made": "2026-11-22T03:58:00Z",
//    "imapult": "0.1.0",
//    "accounts": [
//      {"account": "alice", "destination_user": "alice@example.com",
//       "root": HEX, "source_root": HEX,
//       "mailboxes": [
//         {"mailbox": "INBOX", "destination": "INBOX", "uid_validity": 1700000000,
//          "messages": 2, "root": HEX, "source_messages": 2, "source_root": HEX,
//          "flags": ["", "\\seen"],
//          "leaves": ["1 1700000000 1 CONTENT", "2 - 0 CONTENT"]}]}]}
//
// HEX is 64 lower-case digits. A leaf is UID, INTERNALDATE (`-`: none), index into `flags` and the
// content hash in base64url without padding (RFC 4648 §5). `source_root` is left out where the
// source did not hand out all messages. Names and flags that are not UTF-8 stand
// as {"base64": "…"}. About 65 octets a message.

#include <memory>
#include <string>
#include <vector>

#include "dedup/proof.h"
#include "engine/base/error.h"
#include "tools/imapult/outcome.h"

namespace imapult::program {

using Proofs = std::vector<std::shared_ptr<const dedup::AccountProof>>;

std::string proof_text(const Proofs& proofs, std::int64_t made);

/// invalid_input, with the reason: no such file, no proof, another version, or damaged (every root
/// is computed again).
Result<Proofs> parse_proof(std::string_view text);
Result<Proofs> read_proof(const std::string& path);

/// The proofs of all accounts that have one, in the order of the accounts.
Proofs proofs_of(const campaign::Summary& summary);

}  // namespace imapult::program
