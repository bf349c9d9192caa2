#pragma once
// What the simulation knows of each message it ever made: what must be at the destination, what may
// be, and what must not.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/text.h"
#include "tools/imapd/store.h"

namespace imapult::sim {

/// Messages are told apart by their octets; equal ones are counted.
using Content = std::uint64_t;
using Counts = std::map<Content, std::size_t>;
Content content_of(std::string_view body);

/// One source mailbox.
struct MailboxTruth {
    /// UIDs that were there in a pass which said "complete" and was not disturbed: these are at the
    /// destination for good.
    std::set<std::uint32_t> carried;
    Counts kept;   ///< carried, then deleted at the source
    Counts maybe;  ///< deleted at the source when we could not tell
};

struct AccountTruth {
    std::map<std::string, MailboxTruth> mailboxes;  ///< by wire name at the source
    std::map<Content, std::set<std::string>> flags_ever;
    std::map<Content, std::set<std::int64_t>> dates_ever;
    /// What users put into a mailbox of the destination themselves, by its UIDVALIDITY, which stays
    /// when it is renamed.
    std::map<std::uint32_t, Counts> own;
    Counts marked;  ///< messages of the destination that they marked with kOwnKeyword
};

/// Servers list the inbox as INBOX or Inbox.
inline std::string inbox_folded(std::string name) {
    return equal_ignoring_case(name, "INBOX") ? "INBOX" : name;
}

/// A keyword that only the destination's users set.
inline constexpr std::string_view kOwnKeyword = "$Local";

/// What kind of trouble a seed has had: decides how exact the checks can be.
struct Trouble {
    bool connections = false;  ///< or crashes: outcomes were unknown
    bool memory_lost = false;  ///< the ledger, or a UIDVALIDITY
    bool moves = false;        ///< messages changed their mailbox at the source
    bool adoption = false;     ///< there were copies before the first pass
};

}  // namespace imapult::sim
