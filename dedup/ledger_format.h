#pragma once
// The bytes of the ledger: keys and values of every record. FORMAT.md is the document; this is the
// only code that knows them.

#include <cstdint>
#include <string>
#include <string_view>

#include "dedup/ledger.h"

namespace imapult::dedup::format {

/// Written to the meta family. Older ones from kVersionOldest on are read, and become this one when
/// they are opened for writing; any other number is refused (state_version).
inline constexpr std::uint32_t kVersion = 4;
inline constexpr std::uint32_t kVersionOldest = 1;
inline constexpr std::size_t kSecretBytes = 192;

// Keys of the meta family.
inline constexpr std::string_view kKeyVersion = "format";
inline constexpr std::string_view kKeySecret = "secret";
inline constexpr std::string_view kKeyNextAccount = "next-account";
inline constexpr std::string_view kKeyMailboxIds = "mailbox-ids";
inline constexpr std::string_view kKeyIntentSequences = "intent-sequences";

// Keys: big-endian, fixed width, so that the order of the bytes is the order of the numbers.
std::string account_key(AccountId account);  ///< 'i' and the id
std::string account_name_key(std::string_view source, std::string_view destination);
std::string mailbox_key(AccountId account, MailboxId mailbox);
std::string message_key(MailboxId mailbox, std::uint32_t source_uid);
std::string intent_key(MailboxId mailbox, std::uint64_t sequence);
std::string refusal_key(AccountId account, MailboxId mailbox, std::uint32_t source_uid);
std::string pass_key(AccountId account);
std::string host_key(std::string_view host);                   ///< 'h' and the name
std::string spent_key(AccountId account);                      ///< 's' and the id
std::string rights_key(AccountId account, MailboxId mailbox);  ///< 'r' and the ids

/// [first, end) of all keys that begin with one number (account or mailbox).
struct Range {
    std::string first, end;
};
Range range_of(std::uint32_t prefix);
Range message_range(MailboxId mailbox, std::uint32_t first_uid, std::uint32_t last_uid);
Range account_range();
Range spent_range();
Range host_range();
Range rights_range(AccountId account);

// Values. What an encoder writes its decoder reads back equal; everything else is damage.
std::string encode_number(std::uint64_t value);
std::string encode(const AccountRecord& record);
std::string encode(const MailboxRecord& record);
std::string encode(const MessageRecord& record);
std::string encode(const Intent& intent);
std::string encode(const Refusal& refusal);
std::string encode(const Pass& pass);
std::string encode(const Spent& spent);
std::string encode(const HostRecord& host);
std::string encode(const RightsRecord& rights);

// Decoders: state_damaged with the family and the key (in hexadecimal) in the text.
Result<std::uint64_t> decode_number(std::string_view key, std::string_view value);
Result<AccountRecord> decode_account(std::string_view key, std::string_view value);
Result<MailboxRecord> decode_mailbox(std::string_view key, std::string_view value);
Result<MessageRecord> decode_message(std::string_view key, std::string_view value);
Result<Intent> decode_intent(std::string_view key, std::string_view value);
Result<Refusal> decode_refusal(std::string_view key, std::string_view value);
Result<Pass> decode_pass(std::string_view key, std::string_view value);
Result<HostRecord> decode_host(std::string_view key, std::string_view value);
Result<Spent> decode_spent(std::string_view key, std::string_view value);
AccountId account_of_spent(std::string_view key);  ///< of a key that decode_spent took
Result<RightsRecord> decode_rights(std::string_view key, std::string_view value);
AccountId account_of_pass(std::string_view key);  ///< of a key that decode_pass took

/// The error of a value that cannot be what was written.
Error damaged(Family family, std::string_view key, std::string_view what);
/// Name of a family, as in RocksDB and in messages: "meta", "accounts", …
std::string_view name_of(Family family);

}  // namespace imapult::dedup::format
