#pragma once
// The little grammar this server needs: arguments of commands, dates, sets, names. It is written
// apart from the client's grammar in imap/ on purpose, so that a mistake there is not mirrored
// here.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imapult::imapd {

/// INTERNALDATE: an instant and the zone it was given in (minutes east of UTC).
struct Date {
    std::int64_t unix_seconds = 0;
    int zone_minutes = 0;
    friend bool operator==(const Date&, const Date&) = default;
};

/// "01-Feb-2024 10:20:30 +0100" (RFC 3501, date-time; also " 1-Feb-…" and "1-Feb-…"). Nothing for a
/// day or a time that does not exist; second 60 counts as 59.
std::optional<Date> parse_date_time(std::string_view text);
/// The same form back, day padded with a blank.
std::string format_date_time(Date date);
void append_date_time(std::string& out, Date date);
/// "1-Feb-2024" as days since 1970-01-01 (RFC 3501, date).
std::optional<std::int64_t> parse_day(std::string_view text);
/// Days since 1970-01-01 of the proleptic Gregorian calendar.
std::int64_t days_of(int year, int month, int day);
/// Year, month (1…12) and day (1…31) of a day number.
struct CivilDay {
    int year = 1970;
    int month = 1;
    int day = 1;
};
CivilDay civil_of(std::int64_t days);
/// "Jan" … "Dec" for 1 … 12.
std::string_view month_name(int month);

std::string encode_base64(std::string_view bytes);
std::optional<std::string> decode_base64(std::string_view text);

/// Modified UTF-7 of RFC 3501, section 5.1.3.
std::string encode_mutf7(std::string_view utf8);
/// Nothing if it is not well formed; `canonical` tells whether encoding gives the same bytes again.
std::optional<std::string> decode_mutf7(std::string_view name);
bool is_canonical_mutf7(std::string_view name);

/// Quoted, or a literal where quoting is impossible (CR, LF, NUL, 8-bit).
std::string as_string(std::string_view value);
/// Atom where that is possible, else as_string.
std::string as_astring(std::string_view value);
void append_number(std::string& out, std::uint64_t value);

/// An ordered set of message numbers or UIDs as ranges.
class NumberSet {
  public:
    struct Range {
        std::uint32_t low;
        std::uint32_t high;
    };
    /// Appends a number not below those already in.
    void add(std::uint32_t number);
    [[nodiscard]] bool contains(std::uint32_t number) const;
    [[nodiscard]] bool empty() const { return ranges_.empty(); }
    [[nodiscard]] const std::vector<Range>& ranges() const { return ranges_; }
    /// "1:3,7"
    [[nodiscard]] std::string text() const;
    /// sequence-set of RFC 3501 with `star` for "*"; sorted and merged.
    static std::optional<NumberSet> parse(std::string_view text, std::uint32_t star);

  private:
    void normalise();
    std::vector<Range> ranges_;
};

/// UIDs in the order given, neighbours as ranges: APPENDUID and COPYUID (RFC 4315).
std::string uid_list(const std::vector<std::uint32_t>& uids);

/// True if `name` matches an IMAP list pattern: "*" anything, "%" anything but the separator.
bool matches_pattern(std::string_view pattern, std::string_view name, char separator);

/// Reads the arguments of one command. A literal stands in the text as kLiteralMark and its bytes
/// in a list beside it. Every function returns nothing (or false) without moving if the next thing
/// is of another kind.
class Args {
  public:
    static constexpr char kLiteralMark = '\0';

    Args() = default;
    Args(std::string_view text, std::span<const std::string> literals)
        : text_(text), literals_(literals) {}

    [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }
    [[nodiscard]] char peek() const { return at_end() ? '\n' : text_[at_]; }
    [[nodiscard]] std::string_view rest() const { return text_.substr(at_); }
    [[nodiscard]] std::size_t position() const { return at_; }
    void rewind(std::size_t position) { at_ = position; }
    /// One or more blanks.
    bool space();
    bool accept(char c);
    /// A keyword, any case, that ends at a delimiter.
    bool accept_word(std::string_view word);
    /// Characters up to a blank, parenthesis, brace, quote, literal or the end ("[" and "]" are
    /// in).
    std::optional<std::string> atom();
    std::optional<std::string> astring();
    /// astring that may hold "*" and "%".
    std::optional<std::string> pattern();
    /// "(" atoms ")"; also an empty list. Upper case.
    std::optional<std::vector<std::string>> word_list();
    std::optional<std::uint64_t> number();

  private:
    std::optional<std::string> quoted();
    std::optional<std::string> literal();

    std::string_view text_;
    std::span<const std::string> literals_;
    std::size_t at_ = 0;
    std::size_t next_literal_ = 0;
};

}  // namespace imapult::imapd
