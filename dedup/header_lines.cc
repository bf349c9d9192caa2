#include "dedup/header_lines.h"

#include <algorithm>

#include "engine/base/text.h"

namespace imapult::dedup {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_blank(char c) {
    return c == ' ' || c == '\t';
}
bool is_base64(char c) {
    return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+' || c == '/';
}

/// Takes one or more digits off the front.
bool take_digits(std::string_view& text) {
    const std::size_t size = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(size);
    return size > 0;
}

bool take(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

bool is_offlineimap(std::string_view line) {
    if (!take(line, "X-OfflineIMAP")) return false;
    const std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos) return false;
    const std::string_view suffix = line.substr(0, colon);
    if (!suffix.empty() && (suffix[0] != '-' || suffix.find_first_not_of("-x0123456789abcdef") !=
                                                    std::string_view::npos)) {
        return false;
    }
    std::string_view value = line.substr(colon + 2);
    if (!take_digits(value) || !take(value, "-") || !take_digits(value)) return false;
    return value.empty() ||
           (take(value, "-v") && value.find_first_of(" \t") == std::string_view::npos);
}

}  // namespace

bool is_tool_line(std::string_view line, bool first) {
    if (line.empty() || line.size() > kToolLineBytesMax) return false;
    switch (line[0]) {
        case 'X': {
            std::string_view tuid = line;
            constexpr std::size_t kTuidBytes = 12;
            if (take(tuid, "X-TUID: ")) {
                return tuid.size() == kTuidBytes && std::ranges::all_of(tuid, is_base64);
            }
            return is_offlineimap(line);
        }
        case 'M': {
            std::string_view id = line;
            if (!take(id, "Message-Id: ")) return false;
            const bool bracketed = take(id, "<");
            return take_digits(id) && id == (bracketed ? "@imapsync>" : "@imapsync");
        }
        case 'F':
            return first && line.starts_with("From ");
        default:
            return false;
    }
}

void each_header_line(std::string_view header,
                      const std::function<void(const HeaderLine&)>& visit) {
    std::string text;
    bool first = true;
    while (!header.empty()) {
        const std::size_t end = std::min(header.find('\n'), header.size() - 1) + 1;
        text.assign(header.substr(0, end));
        std::erase_if(text, [](char c) { return c == '\r' || c == '\n'; });
        std::ranges::replace(text, '\0', even_out('\0'));
        if (text.empty()) return;
        header.remove_prefix(end);
        // A fold behind it makes the line the message's own.
        const std::size_t next = header.find_first_not_of('\r');
        const bool folded = next != std::string_view::npos && is_blank(header[next]);
        visit({text, static_cast<std::uint32_t>(end), !first && is_blank(text[0]),
               !folded && is_tool_line(text, first)});
        first = false;
    }
}

std::string_view field_name(std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return {};
    std::string_view name = line.substr(0, colon);
    while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
    // Printable US-ASCII without the blank (RFC 5322, section 3.6.8).
    const bool good = std::ranges::all_of(name, [](char c) { return c > ' ' && c < '\x7F'; });
    return good ? name : std::string_view{};
}

}  // namespace imapult::dedup
