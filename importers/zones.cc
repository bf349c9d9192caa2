#include "importers/zones.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "engine/base/text.h"
#include "importers/limits.h"
#include "importers/zone_names.h"

namespace imapult::importers {

struct Transition {
    std::int64_t at = 0;  // UTC
    std::int32_t offset = 0;
    bool daylight = false;
    std::string name;
};

/// "M3.5.0/2": the w-th weekday d of month m (RFC 9636, section 3.3.2; POSIX TZ).
struct Rule {
    bool usable = false;
    int month = 0;
    int week = 0;
    int weekday = 0;
    std::int32_t seconds = 7200;
};

struct Footer {
    std::int32_t standard_offset = 0;
    std::int32_t daylight_offset = 0;
    std::string standard_name;
    std::string daylight_name;
    bool daylight = false;
    Rule start;
    Rule end;
};

class Zone {
  public:
    std::int32_t first_offset = 0;
    std::string first_name;
    std::vector<Transition> transitions;
    std::optional<Footer> footer;
};

namespace {

constexpr std::size_t kZoneFileBytesMax = 256UL * 1024;
constexpr std::array<const char*, 7> kWeekdays = {"SU", "MO", "TU", "WE", "TH", "FR", "SA"};

std::int64_t days_from_civil(std::int64_t y, int m, int d) {
    y -= m <= 2 ? 1 : 0;
    const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
    const std::int64_t yoe = y - era * 400;
    const std::int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    const std::int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

int days_in_month(int year, int month) {
    constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : kDays[static_cast<std::size_t>(month - 1)];
}

/// Reads a POSIX TZ string piece by piece.
class PosixTz {
  public:
    explicit PosixTz(std::string_view text) : rest_(text) {}

    std::optional<Footer> parse() {
        Footer footer;
        std::int32_t west = 0;
        if (!name(footer.standard_name) || !time(west)) return std::nullopt;
        footer.standard_offset = -west;
        if (rest_.empty()) return footer;
        if (!name(footer.daylight_name)) return std::nullopt;
        footer.daylight = true;
        footer.daylight_offset = footer.standard_offset + 3600;
        if (!rest_.empty() && rest_[0] != ',') {
            if (!time(west)) return std::nullopt;
            footer.daylight_offset = -west;
        }
        if (!rule(footer.start) || !rule(footer.end)) return std::nullopt;
        return footer;
    }

  private:
    bool name(std::string& out) {
        std::size_t length = 0;
        if (rest_.starts_with('<')) {
            length = rest_.find('>');
            if (length == std::string_view::npos) return false;
            out = rest_.substr(1, length - 1);
            rest_.remove_prefix(length + 1);
            return true;
        }
        while (length < rest_.size() &&
               ((rest_[length] | 0x20) >= 'a' && (rest_[length] | 0x20) <= 'z'))
            ++length;
        out = rest_.substr(0, length);
        rest_.remove_prefix(length);
        return length > 0;
    }
    bool digits(int& out) {
        out = 0;
        std::size_t length = 0;
        while (length < rest_.size() && length < 4 && rest_[length] >= '0' &&
               rest_[length] <= '9') {
            out = out * 10 + (rest_[length] - '0');
            ++length;
        }
        rest_.remove_prefix(length);
        return length > 0;
    }
    bool skip(char c) {
        if (!rest_.starts_with(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }
    bool time(std::int32_t& out) {
        const bool negative = skip('-');
        if (!negative) skip('+');
        int hours = 0;
        int minutes = 0;
        int seconds = 0;
        if (!digits(hours)) return false;
        if (skip(':') && !digits(minutes)) return false;
        if (skip(':') && !digits(seconds)) return false;
        out = hours * 3600 + minutes * 60 + seconds;
        if (negative) out = -out;
        return true;
    }
    bool rule(Rule& out) {
        if (!skip(',')) return false;
        if (!skip('M'))
            return false;  // Julian days: nobody uses them; the zone counts as irregular
        if (!digits(out.month) || !skip('.') || !digits(out.week) || !skip('.') ||
            !digits(out.weekday))
            return false;
        if (skip('/') && !time(out.seconds)) return false;
        out.usable =
            out.month >= 1 && out.month <= 12 && out.week >= 1 && out.week <= 5 && out.weekday <= 6;
        return out.usable;
    }

    std::string_view rest_;
};

/// Local midnight of the rule's day plus its seconds, as if UTC.
std::int64_t rule_local(const Rule& rule, int year) {
    const std::int64_t first = days_from_civil(year, rule.month, 1);
    const auto weekday = static_cast<int>(((first + 4) % 7 + 7) % 7);  // 1970-01-01 was a Thursday
    int day = 1 + (rule.weekday - weekday + 7) % 7 + (rule.week - 1) * 7;
    while (day > days_in_month(year, rule.month)) day -= 7;
    return (first + day - 1) * 86400 + rule.seconds;
}

class Reader {
  public:
    explicit Reader(std::string_view bytes) : bytes_(bytes) {}
    std::int64_t number(std::size_t width) {
        if (at_ + width > bytes_.size()) {
            bad_ = true;
            return 0;
        }
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < width; ++i)
            value = (value << 8U) | static_cast<std::uint8_t>(bytes_[at_ + i]);
        at_ += width;
        if (width == 4) return static_cast<std::int32_t>(static_cast<std::uint32_t>(value));
        return static_cast<std::int64_t>(value);
    }
    void skip(std::size_t n) {
        n > bytes_.size() - std::min(at_, bytes_.size()) ? void(bad_ = true) : void(at_ += n);
    }
    [[nodiscard]] std::size_t at() const { return at_; }
    [[nodiscard]] bool bad() const { return bad_; }

  private:
    std::string_view bytes_;
    std::size_t at_ = 0;
    bool bad_ = false;
};

struct TzifHeader {
    std::array<std::size_t, 6> count{};  // isutc isstd leap time type char
};

std::optional<TzifHeader> read_header(Reader& reader, std::string_view bytes) {
    if (bytes.substr(std::min(reader.at(), bytes.size()), 4) != "TZif") return std::nullopt;
    reader.skip(20);
    TzifHeader header;
    for (auto& count : header.count) {
        const std::int64_t n = reader.number(4);
        if (n < 0 || n > 100'000) return std::nullopt;
        count = static_cast<std::size_t>(n);
    }
    if (reader.bad()) return std::nullopt;
    return header;
}

std::shared_ptr<const Zone> parse_tzif(std::string_view bytes) {
    Reader reader(bytes);
    auto header = read_header(reader, bytes);
    if (!header || bytes.size() < 5 || bytes[4] < '2') return nullptr;
    const auto& c1 = header->count;
    reader.skip(c1[3] * 5 + c1[4] * 6 + c1[5] + c1[2] * 8 + c1[1] + c1[0]);
    header = read_header(reader, bytes);
    if (!header) return nullptr;
    const auto& count = header->count;
    std::vector<std::int64_t> times(count[3]);
    for (auto& time : times) time = reader.number(8);
    std::vector<std::size_t> types(count[3]);
    for (auto& type : types) type = static_cast<std::size_t>(reader.number(1));
    struct Type {
        std::int32_t offset;
        bool daylight;
        std::size_t name;
    };
    std::vector<Type> kinds(count[4]);
    for (auto& kind : kinds) {
        kind.offset = static_cast<std::int32_t>(reader.number(4));
        kind.daylight = reader.number(1) != 0;
        kind.name = static_cast<std::size_t>(reader.number(1));
    }
    const std::size_t names_at = reader.at();
    reader.skip(count[5] + count[2] * 12 + count[1] + count[0]);
    if (reader.bad() || kinds.empty()) return nullptr;
    const std::string_view names = bytes.substr(names_at, count[5]);
    const auto name_of = [&](std::size_t at) {
        const std::string_view rest = names.substr(std::min(at, names.size()));
        return std::string(rest.substr(0, rest.find('\0')));
    };
    auto zone = std::make_shared<Zone>();
    zone->first_offset = kinds[0].offset;
    zone->first_name = name_of(kinds[0].name);
    for (std::size_t i = 0; i < times.size(); ++i) {
        if (types[i] >= kinds.size()) return nullptr;
        const Type& kind = kinds[types[i]];
        zone->transitions.push_back({times[i], kind.offset, kind.daylight, name_of(kind.name)});
    }
    std::string_view footer = bytes.substr(std::min(reader.at(), bytes.size()));
    if (footer.starts_with('\n')) footer.remove_prefix(1);
    zone->footer = PosixTz(footer.substr(0, footer.find('\n'))).parse();
    return zone;
}

std::string format_offset(std::int32_t seconds) {
    std::array<char, 32> text{};
    const char sign = seconds < 0 ? '-' : '+';
    const int positive = std::abs(seconds);
    if (positive % 60 != 0) {
        std::snprintf(text.data(), text.size(), "%c%02d%02d%02d", sign, positive / 3600,
                      positive / 60 % 60, positive % 60);
    } else {
        std::snprintf(text.data(), text.size(), "%c%02d%02d", sign, positive / 3600,
                      positive / 60 % 60);
    }
    return text.data();
}

std::string observance(bool daylight, std::int32_t from, std::int32_t to, const std::string& name,
                       const std::string& start, const std::string& more) {
    const std::string kind = daylight ? "DAYLIGHT" : "STANDARD";
    return "BEGIN:" + kind + "\r\nDTSTART:" + start + "\r\nTZOFFSETFROM:" + format_offset(from) +
           "\r\nTZOFFSETTO:" + format_offset(to) + "\r\nTZNAME:" + name + "\r\n" + more +
           "END:" + kind + "\r\n";
}

/// BYDAY of a rule's week: the fifth is the last one (POSIX TZ).
std::string rule_text(const Rule& rule, const WallTime& start) {
    // A rule at hour 24 or later falls on the next day: what counts is the day on which it happens.
    const std::int64_t days = days_from_civil(start.year, start.month, start.day);
    const auto weekday = static_cast<std::size_t>(((days + 4) % 7 + 7) % 7);
    std::string week = rule.week == 5 ? "-1" : std::to_string(rule.week);
    std::string out = "RRULE:FREQ=YEARLY;BYMONTH=" + std::to_string(start.month);
    if (rule.seconds >= 0 && rule.seconds < 86400) {
        return out + ";BYDAY=" + week + kWeekdays[weekday] + "\r\n";
    }
    const int first =
        rule.week == 5 ? days_in_month(start.year, rule.month) - 6 : (rule.week - 1) * 7 + 1;
    const int shift = rule.seconds >= 86400 ? rule.seconds / 86400 : -1;
    out += ";BYMONTHDAY=";
    for (int day = first + shift; day < first + shift + 7; ++day) {
        out += (day == first + shift ? "" : ",") + std::to_string(std::clamp(day, 1, 31));
    }
    return out + ";BYDAY=" + kWeekdays[weekday] + "\r\n";
}

/// Kept for the process: zones and their definitions are asked for with every item.
template <class Value>
class Cache {
  public:
    /// What `make` gave for this key the first time.
    Value get(const std::string& key, const auto& make) {
        const std::scoped_lock lock(mutex_);
        const auto found = known_.find(key);
        if (found != known_.end()) return found->second;
        if (known_.size() >= kZonesRememberedMax) known_.clear();
        return known_.emplace(key, make()).first->second;
    }

  private:
    std::mutex mutex_;
    std::unordered_map<std::string, Value> known_;
};

}  // namespace

std::optional<WallTime> parse_wall_time(std::string_view text) {
    const auto number = [&](std::size_t at, std::size_t width, int& out) {
        out = 0;
        for (std::size_t i = at; i < at + width; ++i) {
            if (i >= text.size() || text[i] < '0' || text[i] > '9') return false;
            out = out * 10 + (text[i] - '0');
        }
        return true;
    };
    WallTime time;
    if (!number(0, 4, time.year) || !number(4, 2, time.month) || !number(6, 2, time.day))
        return std::nullopt;
    if (time.month < 1 || time.month > 12 || time.day < 1 || time.year < 1 ||
        time.day > days_in_month(time.year, time.month))
        return std::nullopt;
    if (text.size() == 8) {
        time.date_only = true;
        return time;
    }
    if (text[8] != 'T' && text[8] != 't') return std::nullopt;
    if (!number(9, 2, time.hour) || !number(11, 2, time.minute)) return std::nullopt;
    if (!number(13, 2, time.second)) return std::nullopt;
    if (text.size() == 16 && (text[15] == 'Z' || text[15] == 'z')) {
        time.utc = true;
    } else if (text.size() != 15) {
        return std::nullopt;
    }
    if (time.second == 60) time.second = 59;
    if (time.hour > 23 || time.minute > 59 || time.second > 59) return std::nullopt;
    return time;
}

std::int64_t seconds_of(const WallTime& time) {
    return days_from_civil(time.year, time.month, time.day) * 86400 + time.hour * 3600 +
           time.minute * 60 + time.second;
}

WallTime wall_time_of(std::int64_t seconds) {
    std::int64_t days = seconds / 86400;
    std::int64_t rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        --days;
    }
    const std::int64_t z = days + 719468;
    const std::int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    const std::int64_t doe = z - era * 146097;
    const std::int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const std::int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const std::int64_t mp = (5 * doy + 2) / 153;
    WallTime time;
    time.day = static_cast<int>(doy - (153 * mp + 2) / 5 + 1);
    time.month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
    time.year = static_cast<int>(yoe + era * 400 + (time.month <= 2 ? 1 : 0));
    time.hour = static_cast<int>(rest / 3600);
    time.minute = static_cast<int>(rest / 60 % 60);
    time.second = static_cast<int>(rest % 60);
    return time;
}

std::string format_wall_time(const WallTime& time) {
    std::array<char, 80> text{};
    std::snprintf(text.data(), text.size(), "%04d%02d%02dT%02d%02d%02d", time.year, time.month,
                  time.day, time.hour, time.minute, time.second);
    return text.data();
}

std::string olson_name(std::string_view tzid) {
    static Cache<std::string> cache;
    if (tzid.size() > kTzidBytesMax) return {};
    return cache.get(std::string(tzid), [&] { return zone_meant(tzid); });
}

std::shared_ptr<const Zone> find_zone(const std::string& olson) {
    static Cache<std::shared_ptr<const Zone>> cache;
    return cache.get(olson, [&]() -> std::shared_ptr<const Zone> {
        // Only names of the index: no path of a peer reaches the file system.
        const std::string name = zone_spelling(olson);
        if (name.empty()) return nullptr;
        std::ifstream file(zone_folder() + "/" + name, std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(file), {}};
        return bytes.size() <= kZoneFileBytesMax ? parse_tzif(bytes) : nullptr;
    });
}

std::shared_ptr<const std::string> vtimezone_of(const std::string& olson) {
    static Cache<std::shared_ptr<const std::string>> cache;
    return cache.get(olson, [&]() -> std::shared_ptr<const std::string> {
        const auto zone = find_zone(olson);
        if (zone == nullptr) return nullptr;
        return std::make_shared<const std::string>(make_vtimezone(*zone, olson));
    });
}

std::int64_t utc_of(const Zone& zone, const WallTime& local) {
    const std::int64_t wall = seconds_of(local);
    // Past the table the footer's rule counts.
    const bool after = zone.transitions.empty() || wall - 86400 > zone.transitions.back().at;
    if (after && zone.footer) {
        const Footer& footer = *zone.footer;
        if (!footer.daylight) return wall - footer.standard_offset;
        const std::int64_t start = rule_local(footer.start, local.year);
        const std::int64_t end = rule_local(footer.end, local.year);
        const bool in = start < end ? wall >= start && wall < end : wall >= start || wall < end;
        return wall - (in ? footer.daylight_offset : footer.standard_offset);
    }
    // The last transition whose own wall clock (read with the offset before it) has been reached.
    std::int32_t offset = zone.first_offset;
    auto it = std::ranges::upper_bound(zone.transitions, wall - 86400, {}, &Transition::at);
    if (it != zone.transitions.begin()) offset = std::prev(it)->offset;
    for (; it != zone.transitions.end() && it->at <= wall - std::min(offset, it->offset); ++it) {
        if (wall - offset < it->at) break;
        offset = it->offset;
    }
    return wall - offset;
}

std::string make_vtimezone(const Zone& zone, std::string_view tzid) {
    std::string out = "BEGIN:VTIMEZONE\r\nTZID:" + std::string(tzid) + "\r\n";
    // Years from which on the footer's rule describes every transition.
    std::int64_t rule_from = zone.transitions.empty() ? 0 : zone.transitions.back().at + 1;
    const bool ruled = zone.footer && zone.footer->daylight;
    int rule_year = ruled ? 1970 : 0;
    if (ruled && !zone.transitions.empty()) {
        const Footer& f = *zone.footer;
        rule_year = wall_time_of(zone.transitions.back().at).year + 1;
        for (auto it = zone.transitions.rbegin(); it != zone.transitions.rend(); ++it) {
            const int year = wall_time_of(it->at + f.standard_offset).year;
            const std::int64_t start = rule_local(f.start, year) - f.standard_offset;
            const std::int64_t end = rule_local(f.end, year) - f.daylight_offset;
            const bool fits = (it->at == start && it->offset == f.daylight_offset) ||
                              (it->at == end && it->offset == f.standard_offset);
            if (!fits) break;
            rule_year = year;
            rule_from = it->at;
        }
        // Only whole years: the other transition of the first one must fit, too.
        const std::int64_t first = std::min(rule_local(f.start, rule_year) - f.standard_offset,
                                            rule_local(f.end, rule_year) - f.daylight_offset);
        if (rule_from > first) {
            ++rule_year;
            rule_from = std::min(rule_local(f.start, rule_year) - f.standard_offset,
                                 rule_local(f.end, rule_year) - f.daylight_offset);
        }
    }
    struct Key {
        bool daylight;
        std::int32_t from;
        std::int32_t to;
        std::string name;
        auto operator<=>(const Key&) const = default;
    };
    std::map<Key, std::vector<std::int64_t>> old;
    std::int32_t offset = zone.first_offset;
    std::string name = zone.first_name;
    bool daylight = false;
    for (const Transition& t : zone.transitions) {
        if (t.at >= 0 && old.empty()) old[{daylight, offset, offset, name}].push_back(offset);
        if (t.at >= rule_from && ruled) break;
        if (t.at >= 0) old[{t.daylight, offset, t.offset, t.name}].push_back(t.at + offset);
        offset = t.offset;
        name = t.name;
        daylight = t.daylight;
    }
    if (old.empty()) old[{daylight, offset, offset, name}].push_back(0);
    for (const auto& [key, times] : old) {
        std::string more;
        for (std::size_t i = 1; i < times.size(); ++i) {
            more += "RDATE:" + format_wall_time(wall_time_of(times[i])) + "\r\n";
        }
        out += observance(key.daylight, key.from, key.to, key.name,
                          format_wall_time(wall_time_of(times[0])), more);
    }
    if (ruled) {
        const Footer& f = *zone.footer;
        const WallTime end = wall_time_of(rule_local(f.end, rule_year));
        const WallTime start = wall_time_of(rule_local(f.start, rule_year));
        out += observance(false, f.daylight_offset, f.standard_offset, f.standard_name,
                          format_wall_time(end), rule_text(f.end, end));
        out += observance(true, f.standard_offset, f.daylight_offset, f.daylight_name,
                          format_wall_time(start), rule_text(f.start, start));
    }
    return out + "END:VTIMEZONE\r\n";
}

}  // namespace imapult::importers
