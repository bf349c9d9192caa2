#include "engine/base/text.h"

#include <array>
#include <cstdio>

namespace imapult {
namespace {

/// Length of the well-formed UTF-8 sequence at the start of `s` (0 if there is none) and its code
/// point (RFC 3629, section 4).
struct CodePoint {
    std::size_t length = 0;
    std::uint32_t value = 0;
};

CodePoint decode(std::string_view s) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(s[i]); };
    const std::uint8_t lead = byte(0);
    if (lead < 0x80) return {1, lead};
    std::size_t length = 0;
    std::uint32_t value = 0;
    std::uint32_t least = 0;
    if ((lead & 0xE0) == 0xC0) {
        length = 2, value = lead & 0x1FU, least = 0x80;
    } else if ((lead & 0xF0) == 0xE0) {
        length = 3, value = lead & 0x0FU, least = 0x800;
    } else if ((lead & 0xF8) == 0xF0) {
        length = 4, value = lead & 0x07U, least = 0x10000;
    } else {
        return {};
    }
    if (s.size() < length) return {};
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return {};
        value = (value << 6) | (byte(i) & 0x3FU);
    }
    const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
    if (value < least || value > 0x10FFFF || surrogate) return {};
    return {length, value};
}

bool is_dangerous(std::uint32_t c) {
    if (c < 0x20 || (c >= 0x7F && c < 0xA0)) return true;
    return c == 0x061C || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF || (c >= 0xFFF0 && c <= 0xFFFB);
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

}  // namespace

std::string printable(std::string_view bytes, std::size_t bytes_max) {
    std::string out;
    const bool cut = bytes.size() > bytes_max;
    std::string_view rest = bytes.substr(0, bytes_max);
    out.reserve(rest.size());
    while (!rest.empty()) {
        const CodePoint c = decode(rest);
        std::array<char, 16> escaped{};
        if (c.length == 0) {
            // The input may have been cut inside a sequence: that is no damage of the peer's.
            if (cut && rest.size() < 4) break;
            std::snprintf(escaped.data(), escaped.size(), "\\x%02X",
                          static_cast<unsigned>(static_cast<std::uint8_t>(rest[0])));
            out += escaped.data();
            rest.remove_prefix(1);
            continue;
        }
        if (is_dangerous(c.value)) {
            const char* form = c.value < 0x80 ? "\\x%02X" : "\\u{%04X}";
            std::snprintf(escaped.data(), escaped.size(), form, static_cast<unsigned>(c.value));
            out += escaped.data();
        } else {
            out.append(rest.substr(0, c.length));
        }
        rest.remove_prefix(c.length);
    }
    if (cut) out += "…";
    return out;
}

bool is_utf8(std::string_view bytes) {
    while (!bytes.empty()) {
        const CodePoint c = decode(bytes);
        if (c.length == 0) return false;
        bytes.remove_prefix(c.length);
    }
    return true;
}

std::string to_lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = lower(c);
    return out;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (lower(a[i]) != lower(b[i])) return false;
    }
    return true;
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    const auto first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::optional<std::uint64_t> parse_number(std::string_view digits) {
    if (digits.empty() || digits.size() > 20) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : digits) {
        if (c < '0' || c > '9') return std::nullopt;
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (value > (UINT64_MAX - digit) / 10) return std::nullopt;
        value = value * 10 + digit;
    }
    return value;
}

}  // namespace imapult
