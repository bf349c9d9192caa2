#include "imap/status_text.h"

#include <algorithm>
#include <array>

#include "engine/base/text.h"
#include "imap/lexer.h"

namespace imapult::imap {
namespace {

using std::chrono::milliseconds;

/// Only the start of a text is searched: what matters stands there, and a peer's line may be long.
constexpr std::size_t kSearchedBytes = 1024;
constexpr milliseconds kDelayMax = std::chrono::hours(24);

template <std::size_t N>
bool contains_any(std::string_view text, const std::array<std::string_view, N>& phrases) {
    const std::string lower = to_lower(text.substr(0, kSearchedBytes));
    return std::ranges::any_of(phrases,
                               [&](std::string_view phrase) { return lower.contains(phrase); });
}

bool is_refusal(const Status& status) {
    return status.condition == Condition::no || status.condition == Condition::bad ||
           status.condition == Condition::bye;
}

std::optional<std::uint64_t> unit_in_ms(std::string_view text) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    if (text.starts_with("ms") || text.starts_with("millisec")) return 1;
    if (text.starts_with("min")) return 60'000;
    if (text.starts_with("hour")) return 3'600'000;
    const bool seconds = text.starts_with("sec") || text == "s" || text.starts_with("s ") ||
                         text.starts_with("s.") || text.starts_with("s)");
    if (seconds) return 1000;
    return std::nullopt;
}

}  // namespace

std::optional<milliseconds> suggested_delay(std::string_view text) {
    static constexpr std::array<std::string_view, 9> kIntroductions = {
        "backoff time", "back off",    "backoff",     "try again",    "retry after",
        "retry in",     "retry-after", "please wait", "wait at least"};
    const std::string lower = to_lower(text.substr(0, kSearchedBytes));
    for (const std::string_view introduction : kIntroductions) {
        const std::size_t found = lower.find(introduction);
        if (found == std::string::npos) continue;
        std::string_view rest = std::string_view(lower).substr(found + introduction.size());
        // The number stands in the same sentence: "try again in 5 minutes", "backoff time: 300".
        const std::size_t digit = rest.find_first_of("0123456789.;");
        if (digit == std::string_view::npos || digit > 40) continue;
        rest.remove_prefix(digit);
        const Digits number = leading_digits(rest);
        if (!number.value) continue;
        const auto unit = unit_in_ms(rest.substr(number.length));
        if (!unit) continue;
        const std::uint64_t most = static_cast<std::uint64_t>(kDelayMax.count()) / *unit;
        return milliseconds(std::min(*number.value, most) * *unit);
    }
    return std::nullopt;
}

bool is_throttling(const Status& status) {
    static constexpr std::array<std::string_view, 10> kTexts = {"throttled",
                                                                "throttling",
                                                                "backoff time",
                                                                "too many simultaneous connections",
                                                                "rate limit",
                                                                "too many requests",
                                                                "exceeded bandwidth",
                                                                "exceeded command or bandwidth",
                                                                "too many connections",
                                                                "maximum number of connections"};
    if (status.code == ResponseCode::throttled) return true;
    // Of how many flags or mailboxes there may be: that does not pass by waiting.
    static constexpr std::array<std::string_view, 4> kStanding = {"flag", "keyword", "mailboxes",
                                                                  "folders"};
    if (status.code == ResponseCode::limit && is_refusal(status) &&
        !contains_any(status.text, kStanding)) {
        return true;
    }
    return !status.text.empty() && contains_any(status.text, kTexts);
}

bool is_unavailable(const Status& status) {
    static constexpr std::array<std::string_view, 7> kTexts = {
        "temporarily unavailable", "temporary failure", "temporary error",   "try again later",
        "server busy",             "server is busy",    "server unavailable"};
    if (!is_refusal(status)) return false;
    switch (status.code) {
        case ResponseCode::unavailable:
        case ResponseCode::server_bug:
        case ResponseCode::in_use:
        case ResponseCode::contact_admin:
            return true;
        default:
            return contains_any(status.text, kTexts);
    }
}

bool is_over_quota(const Status& status) {
    static constexpr std::array<std::string_view, 9> kTexts = {
        "quota exceeded", "over quota",      "overquota",
        "exceeds quota",  "exceeded quota",  "exceeded its quota",
        "mailbox full",   "mailbox is full", "quota has been exceeded"};
    if (!is_refusal(status)) return false;
    // Gmail says [OVERQUOTA] of bandwidth, which comes back by itself.
    if (contains_any(status.text, std::array<std::string_view, 1>{"bandwidth"})) return false;
    return status.code == ResponseCode::over_quota || contains_any(status.text, kTexts);
}

bool is_too_big(const Status& status) {
    static constexpr std::array<std::string_view, 10> kTexts = {
        "message too large",    "message too big",     "message is too large", "message is too big",
        "maximum size",         "too large",           "exceeds the maximum",  "exceeds maximum",
        "maximum message size", "message size exceeds"};
    if (!is_refusal(status)) return false;
    return status.code == ResponseCode::too_big || contains_any(status.text, kTexts);
}

}  // namespace imapult::imap
