#include "engine/base/glob.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/text.h"

namespace imapult {
namespace {

/// Octets of the UTF-8 character at the start of `text`; 1 for bytes that are no UTF-8.
std::size_t character_bytes(std::string_view text) {
    const auto lead = static_cast<std::uint8_t>(text[0]);
    std::size_t length = 1;
    if ((lead & 0xE0) == 0xC0) length = 2;
    if ((lead & 0xF0) == 0xE0) length = 3;
    if ((lead & 0xF8) == 0xF0) length = 4;
    return length <= text.size() && is_utf8(text.substr(0, length)) ? length : 1;
}

struct SetMatch {
    std::size_t pattern_bytes = 0;  ///< of the whole `[…]`
    bool matches = false;
};

std::string_view take_character(std::string_view& text) {
    const std::size_t bytes = character_bytes(text);
    const std::string_view character = text.substr(0, bytes);
    text.remove_prefix(bytes);
    return character;
}

/// Tests `character` against the set at the start of `pattern`; nothing if it is not closed.
/// Well-formed UTF-8 sorts by octets as by code points, so ranges compare as text.
std::optional<SetMatch> match_set(std::string_view pattern, std::string_view character) {
    std::string_view rest = pattern.substr(1);
    const bool negated = !rest.empty() && (rest[0] == '!' || rest[0] == '^');
    if (negated) rest.remove_prefix(1);
    bool found = false;
    for (bool first = true; !rest.empty(); first = false) {
        if (rest[0] == ']' && !first) {
            return SetMatch{pattern.size() - rest.size() + 1, found != negated};
        }
        if (rest[0] == '\\' && rest.size() > 1) rest.remove_prefix(1);
        const std::string_view low = take_character(rest);
        std::string_view high = low;
        if (rest.size() > 1 && rest[0] == '-' && rest[1] != ']') {
            rest.remove_prefix(1);
            if (rest[0] == '\\' && rest.size() > 1) rest.remove_prefix(1);
            high = take_character(rest);
        }
        found = found || (low <= character && character <= high);
    }
    return std::nullopt;
}

/// Octets of `pattern` that took the first character of `text`; 0 if it does not match.
std::size_t match_one(std::string_view pattern, std::string_view text) {
    const std::string_view character = text.substr(0, character_bytes(text));
    if (pattern[0] == '?') return 1;
    if (pattern[0] == '[') {
        if (const auto set = match_set(pattern, character)) {
            return set->matches ? set->pattern_bytes : 0;
        }
    }
    const std::size_t escape = pattern[0] == '\\' && pattern.size() > 1 ? 1 : 0;
    const std::string_view literal = pattern.substr(escape);
    return literal.starts_with(character) ? escape + character.size() : 0;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
    // On a mismatch only the last `*` takes one more character: earlier ones need not change.
    bool starred = false;
    std::string_view star_pattern;
    std::string_view star_text;
    while (!text.empty()) {
        if (!pattern.empty() && pattern[0] == '*') {
            pattern.remove_prefix(1);
            starred = true;
            star_pattern = pattern;
            star_text = text;
            continue;
        }
        const std::size_t used = pattern.empty() ? 0 : match_one(pattern, text);
        if (used > 0) {
            pattern.remove_prefix(used);
            text.remove_prefix(character_bytes(text));
            continue;
        }
        if (!starred) return false;
        star_text.remove_prefix(character_bytes(star_text));
        pattern = star_pattern;
        text = star_text;
    }
    return pattern.find_first_not_of('*') == std::string_view::npos;
}

bool glob_match_mailbox(std::string_view pattern, std::string_view name) {
    const auto fold = [](std::string_view text) {
        std::string folded(text);
        const std::size_t end = std::min(text.find('/'), text.size());
        if (equal_ignoring_case(text.substr(0, end), "INBOX")) folded.replace(0, end, "INBOX");
        return folded;
    };
    return glob_match(fold(pattern), fold(name));
}

}  // namespace imapult
