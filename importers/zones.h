#pragma once
// Time zones: what a TZID means, what time it was there, and a VTIMEZONE for it, all from the
// system's zone database (TZif, RFC 9636). Windows and Outlook names lead to the same zones.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace imapult::importers {

/// A wall clock reading (proleptic Gregorian).
struct WallTime {
    int year = 1970;
    int month = 1;
    int day = 1;
    int hour = 0;
    int minute = 0;
    int second = 0;
    bool date_only = false;
    bool utc = false;
};

/// "20260131", "20260131T093000", "20260131T093000Z" with every field in its range (leap second 60
/// read as 59); nothing else.
std::optional<WallTime> parse_wall_time(std::string_view text);
/// Seconds since 1970 as if the reading were UTC.
std::int64_t seconds_of(const WallTime& time);
WallTime wall_time_of(std::int64_t seconds);
/// "20260131T093000"
std::string format_wall_time(const WallTime& time);

class Zone;

/// The name under which the system's zone database knows what `tzid` means: Olson names in any case
/// and behind any prefix ("/citadel.org/…/Europe/Berlin"), Windows names, Outlook's "(UTC+01:00)
/// Amsterdam, Berlin, …". Empty if nobody knows.
std::string olson_name(std::string_view tzid);

/// The zone of an Olson name, cached for the process; null if the database has none. Thread-safe.
std::shared_ptr<const Zone> find_zone(const std::string& olson);

/// Seconds since 1970 of a reading in that zone; in a gap or fold the earlier offset counts.
std::int64_t utc_of(const Zone& zone, const WallTime& local);

/// A whole VTIMEZONE (CRLF lines) with the given TZID: observances since 1970 as the zone had them,
/// the rule of the future last.
std::string make_vtimezone(const Zone& zone, std::string_view tzid);
/// The same for a name of the zone database, cached for the process; null if it has none.
/// Thread-safe.
std::shared_ptr<const std::string> vtimezone_of(const std::string& olson);

}  // namespace imapult::importers
