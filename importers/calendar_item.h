#pragma once
// One calendar item made fit for Carbonio: repaired line by line, checked by libical, or refused
// with a sentence; and the digests by which it is recognised again.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "importers/calendar_file.h"

namespace imapult::importers {

/// What can be compared with the server's own export: times, recurrence, texts; nothing that a
/// server adds or rewrites (DTSTAMP, X-…, CLASS, …).
struct ItemCore {
    std::string digest;  // 32 octets
    std::uint32_t sequence = 0;
    std::uint32_t pieces = 0;  ///< master and exceptions
};

struct CleanItem {
    std::string uid;
    ItemKind kind = ItemKind::event;
    std::size_t line = 0;
    /// The VEVENTs or VTODOs, CRLF, folded; master first.
    std::string body;
    /// TZID → VTIMEZONE.
    std::map<std::string, ZoneText> zones;
    ItemCore core;
    /// SHA-256 of everything but DTSTAMP and LAST-MODIFIED.
    std::string digest;
    /// What was mended, a sentence each, with its line.
    std::vector<std::string> repairs;
};

struct ItemRefusal {
    std::size_t line = 0;
    std::string reason;
};

/// Mends and checks item `index` of the file. `uid` replaces the item's own (for a UID that another
/// calendar has already); empty: keep, or derive one from the content.
std::expected<CleanItem, ItemRefusal> clean_item(const CalendarFile& file, const RawItem& item,
                                                 const std::string& uid = {});

/// The core of an item as it stands, for exports. Never fails: what cannot be read does not match.
ItemCore core_of(const CalendarFile& file, const RawItem& item);

/// The item's raw lines for refused/, with X-IMAPULT-REFUSED in each component; and the zones it
/// names.
std::string refused_text(const CalendarFile& file, const RawItem& item, const std::string& reason,
                         std::size_t line);

/// Another UID for the item, the same at every run.
std::string derived_uid(std::string_view uid, std::string_view folder);

}  // namespace imapult::importers
