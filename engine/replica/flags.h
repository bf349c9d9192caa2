#pragma once
// Flags between the wire, memory and the ledger.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "dedup/ledger.h"

namespace imapult::replica {

using dedup::Flags;

/// System flags as bits, keywords sorted and unique; \Recent and system flags that are none are
/// left out.
Flags parse_flags(const std::vector<std::string_view>& words);

/// The wire words of a flag set.
std::vector<std::string_view> words_of(const Flags& flags);

/// Flags and keywords in `a` and not in `b`.
Flags minus(const Flags& a, const Flags& b);
/// Flags and keywords in `a` or `b`.
Flags plus(const Flags& a, const Flags& b);
[[nodiscard]] inline bool is_empty(const Flags& flags) {
    return flags.system == 0 && flags.keywords.empty();
}

/// What makes `now` of the flags that the copy has as far as we know: those of the base, or those
/// that were on their way to it.
struct FlagsDue {
    Flags add, remove;
};
FlagsDue flags_due(const dedup::MessageRecord& record, const Flags& now);
[[nodiscard]] inline bool is_empty(const FlagsDue& due) {
    return is_empty(due.add) && is_empty(due.remove);
}

/// What a destination mailbox takes, from PERMANENTFLAGS (RFC 9051 §7.1).
struct AllowedFlags {
    bool any_keyword = true;                      ///< `\*`, or nothing was said
    std::set<std::string, std::less<>> keywords;  ///< lower case
    std::uint8_t system = 0x1F;
    /// Not told: everything may be tried.
    static AllowedFlags from(const std::optional<std::vector<std::string>>& permanent_flags);
};
/// `flags` without what is not allowed, not valid in IMAP or too long; `dropped` collects the words
/// left out.
Flags allowed(const Flags& flags, const AllowedFlags& by, std::set<std::string>* dropped);

/// Interned flag sets, so that a million messages cost four octets each.
class FlagTable {
  public:
    std::uint32_t intern(const Flags& flags);
    [[nodiscard]] const Flags& at(std::uint32_t index) const { return sets_[index]; }

  private:
    struct Less {
        bool operator()(const Flags& a, const Flags& b) const {
            return a.system != b.system ? a.system < b.system : a.keywords < b.keywords;
        }
    };
    std::map<Flags, std::uint32_t, Less> index_;
    std::vector<Flags> sets_;
};

}  // namespace imapult::replica
