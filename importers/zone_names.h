#pragma once
// What names of time zones mean (zones.h, without its cache).

#include <string>
#include <string_view>

namespace imapult::importers {

/// The system's zone database, or $TZDIR.
std::string zone_folder();
/// How the database spells a name, whatever its case; empty: it has none.
std::string zone_spelling(std::string_view olson);
/// olson_name(), looked up anew.
std::string zone_meant(std::string_view tzid);

}  // namespace imapult::importers
