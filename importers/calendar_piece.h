#pragma once
// One VEVENT or VTODO made clean, line by line: the inside of calendar_item.h.

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "importers/calendar_file.h"
#include "importers/calendar_item.h"
#include "importers/content_line.h"

namespace imapult::importers {

struct CleanPiece {
    std::vector<ContentLine> lines;  // BEGIN … END included
    bool exception = false;
    std::uint32_t sequence = 0;
    std::size_t line = 0;
    std::string modified;
    std::string stamp;
    std::string start;  // value of DTSTART
    std::string recurrence_id;
};

/// Without these an item is another item: if they are broken, it is refused.
bool is_vital(std::string_view property);

/// Mends one piece; what was mended and the zones it needs go into `item`. The UID is left out: the
/// caller sets one for every piece alike.
std::expected<CleanPiece, ItemRefusal> clean_piece(const CalendarFile& file, const RawPiece& raw,
                                                   CleanItem& item);

/// The core of pieces as they are sent.
ItemCore core_of(const std::vector<CleanPiece>& pieces);

}  // namespace imapult::importers
