#pragma once
// Internal to imap/: the cursor all response parsers read with. It reads one framed response, in
// which collected literals stand inline ("{3}\r\nabc"), never beyond its end, and never throws.

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/text.h"
#include "imap/response.h"

namespace imapult::imap {

/// What parsers share: quirk counters, storage for unescaped strings, and the limit that was
/// passed, if one was.
struct ParseContext {
    std::array<std::uint64_t, static_cast<std::size_t>(Quirk::count_)> quirks{};
    /// Holds unescaped strings until the response is over (a deque: its elements do not move).
    std::deque<std::string> scratch;
    const char* limit_passed = nullptr;

    void note(Quirk quirk) { ++quirks[static_cast<std::size_t>(quirk)]; }
    void pass_limit(const char* what) {
        if (limit_passed == nullptr) limit_passed = what;
    }
    std::string_view keep(std::string text) { return scratch.emplace_back(std::move(text)); }
};

/// equal_ignoring_case() for a keyword in upper case, made for dispatching: nearly all mismatches
/// are seen by length or first letter, nearly all matches by plain comparison.
inline bool is_word(std::string_view text, std::string_view upper) {
    if (text.size() != upper.size() || ((text[0] ^ upper[0]) & 0xDF) != 0) return false;
    return text == upper || equal_ignoring_case(text, upper);
}

/// The announcement of a literal at the end of a line: "{n}", "{n+}", "~{n}".
struct LiteralMark {
    std::size_t begin = 0;  ///< offset of `{` (or `~`)
    std::uint64_t bytes = 0;
};
/// `line` without its line end. Nothing where the line does not end in a mark; a number that
/// overflows gives UINT64_MAX.
std::optional<LiteralMark> literal_mark(std::string_view line);

/// Digits at the start of `text`, nothing on overflow or without digits; `length` of the digits.
struct Digits {
    std::optional<std::uint64_t> value;
    std::size_t length = 0;
};
inline Digits leading_digits(std::string_view text) {
    Digits digits;
    std::uint64_t value = 0;
    bool overflow = false;
    while (digits.length < text.size()) {
        const auto digit = static_cast<std::uint8_t>(text[digits.length] - '0');
        if (digit > 9) break;
        overflow = overflow || value > (UINT64_MAX - digit) / 10;
        value = value * 10 + digit;
        ++digits.length;
    }
    if (digits.length > 0 && !overflow) digits.value = value;
    return digits;
}

class Cursor {
  public:
    Cursor(std::string_view text, ParseContext& context) : text_(text), context_(&context) {}

    [[nodiscard]] bool at_end() const { return position_ >= text_.size(); }
    [[nodiscard]] char peek() const { return at_end() ? '\0' : text_[position_]; }
    [[nodiscard]] bool next_is(char c) const { return !at_end() && text_[position_] == c; }
    [[nodiscard]] std::string_view rest() const { return text_.substr(position_); }
    [[nodiscard]] std::size_t position() const { return position_; }
    void seek(std::size_t position) { position_ = position; }
    void advance(std::size_t count) { position_ += count; }
    ParseContext& context() { return *context_; }

    bool eat(char c) {
        if (!next_is(c)) return false;
        ++position_;
        return true;
    }
    void skip_spaces() {
        while (next_is(' ')) ++position_;
    }
    /// Up to a space, a parenthesis or the end; may be empty.
    std::string_view word();
    /// Up to a space or the end; may be empty.
    std::string_view until_space();

    /// A string, atom or NIL. `nil` only for an unquoted NIL.
    struct Text {
        std::string_view view;
        bool nil = false;
    };
    /// quoted, literal, or an atom of the lenient kind of word(). Nothing if there is none.
    std::optional<Text> string();
    /// A quoted string; nothing (and no move) if it does not end.
    std::optional<std::string_view> quoted();
    /// An inline literal; nothing (and no move) if there is none.
    std::optional<std::string_view> literal();
    [[nodiscard]] bool at_literal() const {
        return next_is('{') ||
               (next_is('~') && position_ + 1 < text_.size() && text_[position_ + 1] == '{');
    }
    /// Skips one value: atom, string, or parenthesised list. False if malformed or too deep.
    bool skip_value();

  private:
    std::string_view text_;
    std::size_t position_ = 0;
    ParseContext* context_;
};

}  // namespace imapult::imap
