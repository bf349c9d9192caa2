// Any bytes as a calendar file: cut, mended or refused, never a crash; what is clean stays clean.

#include <cstdint>
#include <string>

#include "importers/calendar_file.h"
#include "importers/calendar_item.h"
#include "importers/limits.h"

namespace {

/// Unlike an assertion of ours this leaves the input behind.
void require(bool holds) {
    if (!holds) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace imapult;
    using namespace imapult::importers;
    const auto file = read_calendar_text(std::string(reinterpret_cast<const char*>(data), size));
    if (!file) return 0;
    for (const RawItem& raw : file->items) {
        static_cast<void>(core_of(*file, raw));
        const auto item = clean_item(*file, raw);
        if (!item) {
            require(!item.error().reason.empty());
            static_cast<void>(refused_text(*file, raw, item.error().reason, item.error().line));
            continue;
        }
        require(item->body.size() <= kCalendarPostBytesMax);
        // What we send we must be able to read back as the same item.
        const auto again = read_calendar_text("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + item->body +
                                              "END:VCALENDAR\r\n");
        require(again.has_value() && again->items.size() == 1);
        require(core_of(*again, again->items.front()).digest == item->core.digest);
    }
    return 0;
}
