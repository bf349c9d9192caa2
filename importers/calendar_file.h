#pragma once
// A source (or exported) calendar file cut into raw items: one UID each, master and exceptions.
// Only structure is looked at here, with the line of everything; calendar_item.h looks inside.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"

namespace imapult::importers {

/// A whole VTIMEZONE with CRLF lines; shared by the items that need it.
using ZoneText = std::shared_ptr<const std::string>;

enum class ItemKind : std::uint8_t { event, todo, other };

/// One VEVENT, VTODO, … of the text, from its BEGIN line to its END line.
struct RawPiece {
    std::size_t begin = 0;
    std::size_t length = 0;
    std::uint32_t line = 0;
    std::uint32_t sequence = 0;
    /// Why it cannot be read; null if it can. Points to static text.
    const char* broken = nullptr;
    bool exception = false;  ///< has a RECURRENCE-ID
    bool version_1 = false;  ///< stands in a vCalendar 1.0
    /// An inner component had no END.
    bool unclosed = false;
};

struct RawItem {
    std::string uid;  ///< empty: none in the file
    ItemKind kind = ItemKind::event;
    std::vector<RawPiece> pieces;
};

struct CalendarFile {
    std::string text;
    std::string path;
    /// X-WR-CALNAME (or NAME) of the first calendar that has one, unescaped.
    std::string name;
    /// "#RRGGBB" of X-APPLE-CALENDAR-COLOR, COLOR, X-OUTLOOK-COLOR; or empty.
    std::string colour;
    std::vector<RawItem> items;
    /// TZID → the file's own VTIMEZONE, its lines made clean; only such as have any observance.
    std::map<std::string, ZoneText> zones;
    /// What was wrong with the file as a whole, a sentence each; not empty: every item counts as
    /// repaired.
    std::vector<std::string> repairs;
};

/// Reads, decodes and cuts a file. Errors: io, limit, invalid_input (no calendar at all); the
/// error's text does not name the file.
Result<CalendarFile> read_calendar_file(const std::string& path);
/// The same for bytes already here.
Result<CalendarFile> read_calendar_text(std::string bytes);

/// A whole file's bytes. Errors: io, limit.
Result<std::string> read_whole_file(const std::string& path);

}  // namespace imapult::importers
