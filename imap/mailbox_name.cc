#include "imap/mailbox_name.h"

#include <array>
#include <cstdint>
#include <optional>

#include "engine/base/text.h"

namespace imapult::imap {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

constexpr std::array<std::int8_t, 256> make_values() {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
        values[static_cast<std::uint8_t>(kAlphabet[i])] = static_cast<std::int8_t>(i);
    }
    return values;
}
constexpr auto kValues = make_values();

bool is_direct(char c) {
    return c >= 0x20 && c <= 0x7E;
}

void append_utf8(std::string& out, std::uint32_t c) {
    const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xC0 | (c >> 6)), put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        put(0xE0 | (c >> 12)), put(0x80 | ((c >> 6) & 0x3F)), put(0x80 | (c & 0x3F));
    } else {
        put(0xF0 | (c >> 18)), put(0x80 | ((c >> 12) & 0x3F));
        put(0x80 | ((c >> 6) & 0x3F)), put(0x80 | (c & 0x3F));
    }
}

/// One code point of well-formed UTF-8; removes it from `text`.
std::uint32_t take_utf8(std::string_view& text) {
    const auto byte = [&](std::size_t i) {
        return static_cast<std::uint32_t>(static_cast<std::uint8_t>(text[i]));
    };
    const std::uint32_t lead = byte(0);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    std::uint32_t value = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) value = (value << 6) | (byte(i) & 0x3F);
    text.remove_prefix(length);
    return value;
}

/// The UTF-8 of a base64 run (without `&` and `-`); nothing if it is not UTF-16 (RFC 2152): a lone
/// surrogate, an odd number of octets, a NUL.
std::optional<std::string> decode_run(std::string_view run) {
    std::string out;
    std::uint32_t bits = 0;
    unsigned bit_count = 0;
    std::uint32_t high = 0;
    for (const char c : run) {
        bits = (bits << 6) | static_cast<std::uint32_t>(kValues[static_cast<std::uint8_t>(c)]);
        bit_count += 6;
        if (bit_count < 16) continue;
        bit_count -= 16;
        const std::uint32_t unit = (bits >> bit_count) & 0xFFFF;
        bits &= (1U << bit_count) - 1;
        if (unit == 0) return std::nullopt;
        if (high != 0) {
            if (unit < 0xDC00 || unit > 0xDFFF) return std::nullopt;
            append_utf8(out, 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00));
            high = 0;
        } else if (unit >= 0xD800 && unit <= 0xDBFF) {
            high = unit;
        } else if (unit >= 0xDC00 && unit <= 0xDFFF) {
            return std::nullopt;
        } else {
            append_utf8(out, unit);
        }
    }
    // What is left must be padding: fewer than six bits.
    if (high != 0 || bit_count >= 6 || out.empty()) return std::nullopt;
    return out;
}

class Base64Writer {
  public:
    explicit Base64Writer(std::string& out) : out_(out) {}
    void unit(std::uint32_t value) {
        if (!open_) out_.push_back('&');
        open_ = true;
        bits_ = (bits_ << 16) | value;
        bit_count_ += 16;
        while (bit_count_ >= 6) {
            bit_count_ -= 6;
            out_.push_back(kAlphabet[(bits_ >> bit_count_) & 0x3F]);
        }
        bits_ &= (1U << bit_count_) - 1;
    }
    void close() {
        if (!open_) return;
        if (bit_count_ > 0) out_.push_back(kAlphabet[(bits_ << (6 - bit_count_)) & 0x3F]);
        out_.push_back('-');
        open_ = false;
        bits_ = bit_count_ = 0;
    }

  private:
    std::string& out_;
    bool open_ = false;
    std::uint32_t bits_ = 0;
    unsigned bit_count_ = 0;
};

}  // namespace

DecodedName decode_mailbox_name(std::string_view wire) {
    DecodedName name;
    std::size_t i = 0;
    while (i < wire.size()) {
        if (wire[i] != '&') {
            name.utf8.push_back(wire[i++]);
            continue;
        }
        std::size_t end = i + 1;
        while (end < wire.size() && kValues[static_cast<std::uint8_t>(wire[end])] >= 0) ++end;
        const std::string_view run = wire.substr(i + 1, end - i - 1);
        const bool closed = end < wire.size() && wire[end] == '-';
        if (run.empty()) {
            name.utf8.push_back('&');
            i = closed ? end + 1 : end;
            continue;
        }
        // An unclosed run is most likely a bare `&` in front of ordinary text.
        const auto decoded = closed ? decode_run(run) : std::nullopt;
        if (decoded) {
            name.utf8 += *decoded;
            i = end + 1;
        } else {
            name.utf8.append(wire.substr(i, end - i));
            i = end;
        }
    }
    const auto again = encode_mailbox_name(name.utf8);
    name.exact = again && *again == wire;
    return name;
}

Result<std::string> encode_mailbox_name(std::string_view utf8) {
    if (!is_utf8(utf8)) return invalid("mailbox name is not UTF-8: " + printable(utf8, 100));
    if (utf8.contains('\0')) return invalid("mailbox name contains NUL: " + printable(utf8, 100));
    std::string out;
    out.reserve(utf8.size() + 8);
    Base64Writer base64(out);
    while (!utf8.empty()) {
        if (is_direct(utf8.front())) {
            base64.close();
            out.push_back(utf8.front());
            if (utf8.front() == '&') out.push_back('-');
            utf8.remove_prefix(1);
            continue;
        }
        const std::uint32_t c = take_utf8(utf8);
        if (c >= 0x10000) {
            base64.unit(0xD800 + ((c - 0x10000) >> 10));
            base64.unit(0xDC00 + ((c - 0x10000) & 0x3FF));
        } else {
            base64.unit(c);
        }
    }
    base64.close();
    return out;
}

}  // namespace imapult::imap
