#include "tools/imapd/wire.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "engine/base/text.h"

namespace imapult::imapd {
namespace {

constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
    int value = 0;
    for (std::size_t i = at; i < at + count; ++i) {
        if (i >= text.size() || text[i] < '0' || text[i] > '9') return std::nullopt;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

int days_in(int month, int year) {
    constexpr std::array kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return kDays[static_cast<std::size_t>(month - 1)] + (month == 2 && leap ? 1 : 0);
}

bool is_atom_char(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte != 0x7F && c != '(' && c != ')' && c != '{' && c != '"';
}

}  // namespace

// --- dates

std::int64_t days_of(int year, int month, int day) {
    // Counted from 1 March of year 0, so that the leap day ends the year.
    const std::int64_t y = month <= 2 ? year - 1 : year;
    const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
    const std::int64_t of_era = y - era * 400;
    const std::int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146'097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719'468;
}

CivilDay civil_of(std::int64_t days) {
    const std::int64_t z = days + 719'468;
    const std::int64_t era = (z >= 0 ? z : z - 146'096) / 146'097;
    const std::int64_t doe = z - era * 146'097;
    const std::int64_t yoe = (doe - doe / 1460 + doe / 36'524 - doe / 146'096) / 365;
    const std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const std::int64_t mp = (5 * doy + 2) / 153;
    const auto month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
    const auto year = static_cast<int>(yoe + era * 400 + (month <= 2 ? 1 : 0));
    return {year, month, static_cast<int>(doy - (153 * mp + 2) / 5 + 1)};
}

std::string_view month_name(int month) {
    return kMonths[static_cast<std::size_t>(month - 1)];
}

std::optional<std::int64_t> parse_day(std::string_view text) {
    if (text.starts_with(' ')) text.remove_prefix(1);
    const std::size_t dash = text.find('-');
    if (dash != 1 && dash != 2) return std::nullopt;
    const auto day = digits(text, 0, dash);
    text.remove_prefix(dash + 1);
    if (text.size() != 8 || text[3] != '-') return std::nullopt;
    int month = 0;
    for (int m = 1; m <= 12; ++m) {
        if (equal_ignoring_case(text.substr(0, 3), month_name(m))) month = m;
    }
    const auto year = digits(text, 4, 4);
    if (!day || !year || month == 0 || *day < 1 || *day > days_in(month, *year)) {
        return std::nullopt;
    }
    return days_of(*year, month, *day);
}

std::optional<Date> parse_date_time(std::string_view text) {
    const std::size_t blank = text.find(' ', 1);
    if (blank == std::string_view::npos) return std::nullopt;
    const auto days = parse_day(text.substr(0, blank));
    text.remove_prefix(blank + 1);
    if (!days || text.size() != 14 || text[2] != ':' || text[5] != ':' || text[8] != ' ') {
        return std::nullopt;
    }
    const auto hour = digits(text, 0, 2);
    const auto minute = digits(text, 3, 2);
    auto second = digits(text, 6, 2);
    const auto zone = digits(text, 10, 4);
    const char sign = text[9];
    if (!hour || !minute || !second || !zone || (sign != '+' && sign != '-')) return std::nullopt;
    if (*hour > 23 || *minute > 59 || *second > 60 || *zone % 100 > 59) return std::nullopt;
    second = std::min(*second, 59);
    const int east = (*zone / 100 * 60 + *zone % 100) * (sign == '-' ? -1 : 1);
    const std::int64_t local = *days * 86'400 + *hour * 3600 + *minute * 60 + *second;
    return Date{local - east * 60, east};
}

void append_date_time(std::string& out, Date date) {
    const std::int64_t local = date.unix_seconds + date.zone_minutes * 60;
    std::int64_t days = local / 86'400;
    auto seconds = static_cast<int>(local % 86'400);
    if (seconds < 0) seconds += 86'400, --days;
    const CivilDay c = civil_of(days);
    const auto two = [&out](int value, char pad = '0') {
        out += value < 10 ? pad : static_cast<char>('0' + value / 10);
        out += static_cast<char>('0' + value % 10);
    };
    two(c.day, ' ');
    out += '-';
    out += month_name(c.month);
    out += '-';
    two(c.year / 100 % 100);
    two(c.year % 100);
    out += ' ';
    two(seconds / 3600);
    out += ':';
    two(seconds / 60 % 60);
    out += ':';
    two(seconds % 60);
    out += date.zone_minutes < 0 ? " -" : " +";
    const int zone = date.zone_minutes < 0 ? -date.zone_minutes : date.zone_minutes;
    two(zone / 60 % 100);
    two(zone % 60);
}

std::string format_date_time(Date date) {
    std::string out;
    append_date_time(out, date);
    return out;
}

// --- strings

std::string as_string(std::string_view value) {
    const bool quotable = std::ranges::none_of(value, [](char c) {
        return c == '\r' || c == '\n' || c == '\0' || static_cast<unsigned char>(c) >= 0x80;
    });
    if (!quotable) {
        return "{" + std::to_string(value.size()) + "}\r\n" + std::string(value);
    }
    std::string out = "\"";
    for (const char c : value) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

std::string as_astring(std::string_view value) {
    const bool atom = !value.empty() && std::ranges::all_of(value, [](char c) {
        return is_atom_char(c) && c != '%' && c != '*' && c != '\\' &&
               static_cast<unsigned char>(c) < 0x80;
    });
    return atom ? std::string(value) : as_string(value);
}

void append_number(std::string& out, std::uint64_t value) {
    std::array<char, 20> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
    out.append(buffer.data(), end);
}

bool matches_pattern(std::string_view pattern, std::string_view name, char separator) {
    // Greedy with one remembered "*" or "%": a later "*" makes earlier ones irrelevant.
    std::size_t p = 0;
    std::size_t n = 0;
    std::size_t star_p = std::string_view::npos;
    std::size_t star_n = 0;
    std::size_t percent_p = std::string_view::npos;
    std::size_t percent_n = 0;
    while (n < name.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star_p = ++p, star_n = n, percent_p = std::string_view::npos;
        } else if (p < pattern.size() && pattern[p] == '%') {
            percent_p = ++p, percent_n = n;
        } else if (p < pattern.size() && pattern[p] == name[n]) {
            ++p, ++n;
        } else if (percent_p != std::string_view::npos && name[percent_n] != separator) {
            p = percent_p, n = ++percent_n;
        } else if (star_p != std::string_view::npos) {
            p = star_p, n = ++star_n, percent_p = std::string_view::npos;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && (pattern[p] == '*' || pattern[p] == '%')) ++p;
    return p == pattern.size();
}

// --- sets

void NumberSet::add(std::uint32_t number) {
    if (!ranges_.empty() && number <= ranges_.back().high) return;
    if (!ranges_.empty() && ranges_.back().high + 1 == number) {
        ranges_.back().high = number;
    } else {
        ranges_.push_back({number, number});
    }
}

bool NumberSet::contains(std::uint32_t number) const {
    const auto it = std::ranges::lower_bound(ranges_, number, {}, &Range::high);
    return it != ranges_.end() && it->low <= number;
}

std::string NumberSet::text() const {
    std::string out;
    for (const Range& r : ranges_) {
        if (!out.empty()) out += ',';
        append_number(out, r.low);
        if (r.high == r.low) continue;
        out += ':';
        append_number(out, r.high);
    }
    return out;
}

std::optional<NumberSet> NumberSet::parse(std::string_view text, std::uint32_t star) {
    NumberSet out;
    const auto one = [star](std::string_view number) -> std::optional<std::uint32_t> {
        if (number == "*") return star;
        const auto value = parse_number(number);
        if (!value || *value == 0 || *value > UINT32_MAX) return std::nullopt;
        return static_cast<std::uint32_t>(*value);
    };
    while (true) {
        const std::size_t comma = text.find(',');
        const std::string_view part = text.substr(0, comma);
        const std::size_t colon = part.find(':');
        const auto low = one(part.substr(0, colon));
        const auto high = colon == std::string_view::npos ? low : one(part.substr(colon + 1));
        if (!low || !high) return std::nullopt;
        out.ranges_.push_back({std::min(*low, *high), std::max(*low, *high)});
        if (comma == std::string_view::npos) break;
        text.remove_prefix(comma + 1);
    }
    out.normalise();
    return out;
}

void NumberSet::normalise() {
    std::ranges::sort(ranges_, {}, &Range::low);
    std::vector<Range> merged;
    for (const Range& r : ranges_) {
        if (!merged.empty() && r.low <= merged.back().high) {
            merged.back().high = std::max(merged.back().high, r.high);
        } else if (!merged.empty() && r.low == merged.back().high + 1) {
            merged.back().high = r.high;
        } else {
            merged.push_back(r);
        }
    }
    ranges_ = std::move(merged);
}

std::string uid_list(const std::vector<std::uint32_t>& uids) {
    std::string out;
    for (std::size_t i = 0; i < uids.size();) {
        std::size_t last = i;
        while (last + 1 < uids.size() && uids[last + 1] == uids[last] + 1) ++last;
        if (!out.empty()) out += ',';
        append_number(out, uids[i]);
        if (last > i) {
            out += ':';
            append_number(out, uids[last]);
        }
        i = last + 1;
    }
    return out;
}

// --- arguments

bool Args::space() {
    const std::size_t start = at_;
    while (!at_end() && text_[at_] == ' ') ++at_;
    return at_ > start;
}

bool Args::accept(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
}

bool Args::accept_word(std::string_view word) {
    if (!equal_ignoring_case(rest().substr(0, word.size()), word)) return false;
    const std::size_t end = at_ + word.size();
    if (end < text_.size() && is_atom_char(text_[end])) return false;
    at_ = end;
    return true;
}

std::optional<std::string> Args::atom() {
    const std::size_t start = at_;
    while (!at_end() && is_atom_char(text_[at_])) ++at_;
    if (at_ == start) return std::nullopt;
    return std::string(text_.substr(start, at_ - start));
}

std::optional<std::string> Args::quoted() {
    std::size_t at = at_ + 1;
    std::string out;
    for (; at < text_.size(); ++at) {
        if (text_[at] == '"') {
            at_ = at + 1;
            return out;
        }
        if (text_[at] == '\\' && ++at >= text_.size()) break;
        if (text_[at] == kLiteralMark) break;
        out += text_[at];
    }
    return std::nullopt;
}

std::optional<std::string> Args::literal() {
    if (next_literal_ >= literals_.size()) return std::nullopt;
    ++at_;
    return literals_[next_literal_++];
}

std::optional<std::string> Args::astring() {
    if (at_end()) return std::nullopt;
    if (peek() == '"') return quoted();
    if (peek() == kLiteralMark) return literal();
    const std::size_t start = at_;
    auto out = atom();
    if (out && out->find_first_of("%*") != std::string::npos) {
        at_ = start;
        return std::nullopt;
    }
    return out;
}

std::optional<std::string> Args::pattern() {
    if (at_end()) return std::nullopt;
    if (peek() == '"') return quoted();
    return peek() == kLiteralMark ? literal() : atom();
}

std::optional<std::vector<std::string>> Args::word_list() {
    const std::size_t start = at_;
    if (!accept('(')) return std::nullopt;
    std::vector<std::string> out;
    while (!accept(')')) {
        auto word = atom();
        if (!word || (!space() && peek() != ')')) {
            at_ = start;
            return std::nullopt;
        }
        for (char& c : *word) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        out.push_back(std::move(*word));
    }
    return out;
}

std::optional<std::uint64_t> Args::number() {
    std::size_t end = at_;
    while (end < text_.size() && text_[end] >= '0' && text_[end] <= '9') ++end;
    const auto value = parse_number(text_.substr(at_, end - at_));
    if (value) at_ = end;
    return value;
}

}  // namespace imapult::imapd
