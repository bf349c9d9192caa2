#pragma once
// SEARCH: a program of keys, parsed once and asked of each message (RFC 3501, section 6.4.4; RFC
// 5032 WITHIN; RFC 7162 MODSEQ).

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/imapd/store.h"
#include "tools/imapd/wire.h"

namespace imapult::imapd {

/// What a search is asked against.
struct SearchContext {
    std::uint32_t messages = 0;  ///< how many there are
    std::uint32_t last_uid = 0;  ///< for "*"
    std::int64_t now = 0;
    std::vector<std::uint32_t> saved;  ///< "$", ascending UIDs
};

struct Search {
    std::function<bool(const Message&, std::uint32_t number)> matches;
    bool modseq = false;  ///< the answer names the highest MODSEQ
    bool has_keyword = false;
    bool everything = false;  ///< "ALL" and nothing else
};

/// Nothing for a key that is not known or not complete.
std::optional<Search> parse_search(Args& args, const SearchContext& context);

}  // namespace imapult::imapd
