#pragma once
// Proof of what arrived: SHA-256 Merkle trees over the messages of an account, so that anybody can
// check a destination later without the source, and with another program than this.
//
// The construction. SHA-256 is over octets; u32, u64 and i64 are big-endian; `‖` is concatenation;
// every input begins with an octet that says what it is, so that none can pass for another:
//
//   content      = SHA-256(0x04 ‖ u32 octets of Message-ID ‖ Message-ID ‖ SHA-256(message))
//   message leaf = SHA-256(0x00 ‖ content ‖ i64 INTERNALDATE ‖ u32 octets of flags ‖ flags)
//   mailbox leaf = SHA-256(0x02 ‖ u32 octets of name ‖ name ‖ u64 messages ‖ mailbox root)
//   node         = SHA-256(0x01 ‖ left ‖ right)
//
//   message       the octets of BODY[], as the server sends them.
//   Message-ID    the value of the first such header field, unfolded (each line end in it is left
//                 out), without blanks, tabs, CR and LF at its ends; empty if there is none.
//   INTERNALDATE  unix seconds (UTC); -2^63 if the server gives none.
//   flags         all but \Recent, ASCII letters in lower case, sorted by octets, each once, joined
//                 by single spaces: "$forwarded \answered \seen". Empty if there are none.
//   name          the mailbox's name at the source, decoded to UTF-8, `/` between levels.
//
// The root of a list of leaves is Merkle's tree as in RFC 6962 §2.1: of none it is SHA-256 of
// nothing, of one the leaf itself, of n the node over the roots of the first k and of the other
// n - k leaves, k being the largest power of two smaller than n. Leaves are sorted by their octets
// first, equal ones stay as often as they are: a root stands for a multiset, whatever the UIDs.
// A mailbox's root is over its messages' leaves, an account's over its mailboxes' leaves.
//
// A proof holds, of every message that the destination has of the source, UID, INTERNALDATE, flags
// and content: enough to compute every root again and to name a message that differs, and no text
// of anybody's mail. The source's roots stand beside it; they are equal where nothing was altered
// and nothing is missing. They are over all messages of the source: where it did not hand one out,
// there is no root of that mailbox's source, nor of its account's.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dedup/identity.h"

namespace imapult::dedup {

inline constexpr std::int64_t kNoDate = INT64_MIN;

struct ProvedMessage {
    std::uint32_t uid = 0;    ///< at the destination when the proof was made
    std::uint32_t flags = 0;  ///< index into MailboxProof::flags
    std::int64_t date = kNoDate;
    Sha256 content{};
};

struct MailboxProof {
    std::string mailbox;      ///< the source's decoded name
    std::string destination;  ///< wire name at the destination; empty: it has no such mailbox
    std::uint32_t uid_validity = 0;
    std::vector<std::string> flags;  ///< the sets in use, in the form of the leaves
    std::vector<ProvedMessage> messages;
    std::uint64_t source_messages = 0;
    Sha256 root{};
    std::optional<Sha256> source_root;  ///< none: the source did not hand out all messages
};

struct AccountProof {
    std::string account;           ///< name in reports: the source's user
    std::string destination_user;  ///< whom `verify --against` logs in as
    std::vector<MailboxProof> mailboxes;
    Sha256 root{};
    std::optional<Sha256> source_root;  ///< none where a mailbox has none
};

Sha256 content_hash(std::string_view message_id, const Sha256& message);
Sha256 message_leaf(const Sha256& content, std::int64_t date, std::string_view flags);
Sha256 mailbox_leaf(std::string_view name, std::uint64_t messages, const Sha256& root);
/// Sorts the leaves.
Sha256 merkle_root(std::vector<Sha256> leaves);

/// Of what the proof holds.
Sha256 root_of(const MailboxProof& mailbox);
Sha256 root_of(const AccountProof& account);
std::optional<Sha256> source_root_of(const AccountProof& account);

/// "$forwarded \answered \seen".
std::string proof_flags(const std::vector<std::string_view>& words);

/// Finds the Message-ID while a message streams by.
class MessageIdFinder {
  public:
    void update(std::string_view bytes);
    /// Once.
    [[nodiscard]] std::string finish();

  private:
    void line_is_over();
    std::string line_, value_;
    bool found_ = false;  ///< the field was met; its folds may follow
    bool done_ = false;   ///< nothing more can change the value
    std::size_t seen_ = 0;
};

}  // namespace imapult::dedup
