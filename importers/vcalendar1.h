#pragma once
// vCalendar 1.0 (1996) properties as iCalendar 2.0 ones.

#include <vector>

#include "importers/content_line.h"

namespace imapult::importers {

/// What one property of version 1.0 becomes: itself decoded, a VALARM, or nothing.
std::vector<ContentLine> convert_vcalendar1(ContentLine line);

}  // namespace imapult::importers
