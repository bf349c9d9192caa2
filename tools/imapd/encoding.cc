// Base64 and modified UTF-7 (declared in wire.h).

#include <array>

#include "engine/base/text.h"
#include "tools/imapd/wire.h"

namespace imapult::imapd {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kNameAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// Six bits at a time, without padding.
std::string to_sixes(std::string_view bytes, std::string_view alphabet) {
    std::string out;
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (const char c : bytes) {
        bits = (bits << 8) | static_cast<unsigned char>(c);
        for (held += 8; held >= 6; held -= 6) out += alphabet[(bits >> (held - 6)) & 63];
    }
    if (held > 0) out += alphabet[(bits << (6 - held)) & 63];
    return out;
}

std::optional<std::string> from_sixes(std::string_view text, std::string_view alphabet) {
    std::string out;
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (const char c : text) {
        const std::size_t value = alphabet.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        bits = (bits << 6) | static_cast<std::uint32_t>(value);
        held += 6;
        if (held >= 8) {
            held -= 8;
            out += static_cast<char>((bits >> held) & 0xFF);
        }
    }
    const bool padding_is_zero = (bits & ((1U << held) - 1)) == 0;
    if (held >= 6 || !padding_is_zero) return std::nullopt;
    return out;
}

void append_utf8(std::string& out, std::uint32_t c) {
    if (c < 0x80) {
        out += static_cast<char>(c);
    } else if (c < 0x800) {
        out += static_cast<char>(0xC0 | (c >> 6));
        out += static_cast<char>(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        out += static_cast<char>(0xE0 | (c >> 12));
        out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
        out += static_cast<char>(0x80 | (c & 0x3F));
    } else {
        out += static_cast<char>(0xF0 | (c >> 18));
        out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
        out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
        out += static_cast<char>(0x80 | (c & 0x3F));
    }
}

/// The code point at the start of well-formed UTF-8, which is removed.
std::uint32_t take_utf8(std::string_view& text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    std::uint32_t c = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        c = (c << 6) | (static_cast<unsigned char>(text[i]) & 0x3FU);
    }
    text.remove_prefix(length);
    return c;
}

void append_utf16(std::string& out, std::uint32_t c) {
    const auto unit = [&out](std::uint32_t u) {
        out += static_cast<char>(u >> 8);
        out += static_cast<char>(u & 0xFF);
    };
    if (c < 0x10000) return unit(c);
    unit(0xD800 + ((c - 0x10000) >> 10));
    unit(0xDC00 + ((c - 0x10000) & 0x3FF));
}

/// UTF-16, big end first, as UTF-8; nothing for a lone surrogate or half a unit.
std::optional<std::string> utf8_of_utf16(std::string_view bytes) {
    if (bytes.size() % 2 != 0) return std::nullopt;
    std::string out;
    const auto unit = [bytes](std::size_t i) {
        return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i]) << 8 |
                                          static_cast<unsigned char>(bytes[i + 1]));
    };
    for (std::size_t i = 0; i < bytes.size(); i += 2) {
        std::uint32_t c = unit(i);
        if (c >= 0xDC00 && c < 0xE000) return std::nullopt;
        if (c >= 0xD800 && c < 0xDC00) {
            if (i + 2 >= bytes.size()) return std::nullopt;
            const std::uint32_t low = unit(i + 2);
            if (low < 0xDC00 || low >= 0xE000) return std::nullopt;
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
            i += 2;
        }
        append_utf8(out, c);
    }
    return out;
}

}  // namespace

std::string encode_base64(std::string_view bytes) {
    std::string out = to_sixes(bytes, kAlphabet);
    while (out.size() % 4 != 0) out += '=';
    return out;
}

std::optional<std::string> decode_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
    return from_sixes(text, kAlphabet);
}

std::string encode_mutf7(std::string_view utf8) {
    std::string out;
    std::string held;  // UTF-16 of the run that cannot stand for itself
    const auto flush = [&] {
        if (!held.empty()) out += '&' + to_sixes(held, kNameAlphabet) + '-';
        held.clear();
    };
    while (!utf8.empty()) {
        const std::uint32_t c = take_utf8(utf8);
        if (c < 0x20 || c > 0x7E) {
            append_utf16(held, c);
            continue;
        }
        flush();
        out += static_cast<char>(c);
        if (c == '&') out += '-';
    }
    flush();
    return out;
}

std::optional<std::string> decode_mutf7(std::string_view name) {
    std::string out;
    while (!name.empty()) {
        const auto c = static_cast<unsigned char>(name[0]);
        name.remove_prefix(1);
        if (c >= 0x80) return std::nullopt;
        if (c != '&') {
            out += static_cast<char>(c);
            continue;
        }
        const std::size_t end = name.find('-');
        if (end == std::string_view::npos) return std::nullopt;
        if (end == 0) {
            out += '&';
        } else {
            const auto units = from_sixes(name.substr(0, end), kNameAlphabet);
            const auto text = units ? utf8_of_utf16(*units) : std::nullopt;
            if (!text) return std::nullopt;
            out += *text;
        }
        name.remove_prefix(end + 1);
    }
    return out;
}

bool is_canonical_mutf7(std::string_view name) {
    const auto text = decode_mutf7(name);
    return text && encode_mutf7(*text) == name;
}

}  // namespace imapult::imapd
