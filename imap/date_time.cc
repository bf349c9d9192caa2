// INTERNALDATE both ways (RFC 9051 §9, date-time).
#include <algorithm>
#include <array>
#include <chrono>

#include "engine/base/text.h"
#include "imap/command_parts.h"

namespace imapult::imap {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr int kZoneMinutesMax = 23 * 60 + 59;
// What four digits of year can say: 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, a day inside
// so that no zone leaves the range.
constexpr std::int64_t kFirstSecond = -62135596800 + 86400;
constexpr std::int64_t kLastSecond = 253402300799 - 86400;

/// Reads digits of a date; every failure is sticky, so that the grammar reads as one line.
struct Reader {
    std::string_view text;
    bool ok = true;

    int number(std::size_t least, std::size_t most) {
        int value = 0;
        std::size_t count = 0;
        while (count < most && count < text.size() && text[count] >= '0' && text[count] <= '9') {
            value = value * 10 + (text[count] - '0');
            ++count;
        }
        text.remove_prefix(count);
        ok = ok && count >= least;
        return value;
    }
    void skip(char c) {
        ok = ok && !text.empty() && text.front() == c;
        if (ok) text.remove_prefix(1);
    }
    unsigned month() {
        for (unsigned i = 0; i < kMonths.size(); ++i) {
            const std::string_view name = kMonths[i];
            if (text.empty() || ((text[0] ^ name[0]) & 0xDF) != 0) continue;
            if (!equal_ignoring_case(text.substr(0, 3), name)) continue;
            text.remove_prefix(3);
            return i + 1;
        }
        ok = false;
        return 0;
    }
    int zone() {
        for (const std::string_view name : {"GMT", "UTC", "UT", "Z"}) {
            if (equal_ignoring_case(text, name)) {
                text = {};
                return 0;
            }
        }
        const bool west = text.starts_with('-');
        if (!west && !text.starts_with('+')) ok = false;
        if (!text.empty()) text.remove_prefix(1);
        const int hours = number(2, 2);
        const int minutes = number(2, 2);
        ok = ok && hours <= 23 && minutes <= 59;
        return (west ? -1 : 1) * (hours * 60 + minutes);
    }
};

}  // namespace

void append_date_time(std::string& out, std::int64_t unix_seconds, std::int16_t zone_minutes) {
    const int zone = std::clamp<int>(zone_minutes, -kZoneMinutesMax, kZoneMinutesMax);
    const std::int64_t local =
        std::clamp(unix_seconds, kFirstSecond, kLastSecond) + std::int64_t{zone} * 60;
    const std::chrono::sys_seconds when{std::chrono::seconds{local}};
    const auto day = std::chrono::floor<std::chrono::days>(when);
    const std::chrono::year_month_day date{day};
    const auto second = static_cast<unsigned>((when - day).count());
    const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
    const auto zone_abs = static_cast<unsigned>(zone < 0 ? -zone : zone);

    std::array<char, 26> text;
    char* at = text.data();
    const auto two = [&](unsigned value) {
        *at++ = static_cast<char>('0' + value / 10);
        *at++ = static_cast<char>('0' + value % 10);
    };
    two(static_cast<unsigned>(date.day()));
    *at++ = '-';
    at = std::ranges::copy(kMonths[static_cast<unsigned>(date.month()) - 1], at).out;
    *at++ = '-';
    two(year / 100), two(year % 100);
    *at++ = ' ';
    two(second / 3600);
    *at++ = ':';
    two(second / 60 % 60);
    *at++ = ':';
    two(second % 60);
    *at++ = ' ';
    *at++ = zone < 0 ? '-' : '+';
    two(zone_abs / 60), two(zone_abs % 60);
    out.append(text.data(), text.size());
}

std::string format_date_time(std::int64_t unix_seconds, std::int16_t zone_minutes) {
    std::string out;
    append_date_time(out, unix_seconds, zone_minutes);
    return out;
}

std::optional<DateTime> parse_date_time(std::string_view text) {
    Reader reader{trim(text)};
    const int day = reader.number(1, 2);
    reader.skip('-');
    const unsigned month = reader.month();
    reader.skip('-');
    const int year = reader.number(4, 4);
    reader.skip(' ');
    while (reader.text.starts_with(' ')) reader.text.remove_prefix(1);
    const int hour = reader.number(1, 2);
    reader.skip(':');
    const int minute = reader.number(2, 2);
    reader.skip(':');
    const int second = reader.number(2, 2);
    reader.skip(' ');
    const int zone = reader.zone();
    if (!reader.ok || !reader.text.empty()) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{month},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    // A second of 60 is a leap second (RFC 3339): it is the first of the next minute.
    if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
    const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
    const std::int64_t local = days * 86400 + hour * 3600 + minute * 60 + second;
    return DateTime{local - std::int64_t{zone} * 60, static_cast<std::int16_t>(zone)};
}

}  // namespace imapult::imap
