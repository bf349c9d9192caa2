// Dates: any text is read or not; what is read prints and reads back as the same instant and zone.

#include "fuzz/fuzz_input.h"
#include "imap/command.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace imapult::imap;
    FuzzInput input(data, size);
    const auto date = parse_date_time(input.rest());
    if (date) {
        const std::string text = format_date_time(date->unix_seconds, date->zone_minutes);
        const auto again = parse_date_time(text);
        FUZZ_CHECK(again);
        // Years 0000 and the last days of 9999 are outside what is printed.
        const bool inside = date->unix_seconds > -62135400000 && date->unix_seconds < 253402000000;
        FUZZ_CHECK(!inside || (again->unix_seconds == date->unix_seconds &&
                               again->zone_minutes == date->zone_minutes));
    }
    const auto seconds = static_cast<std::int64_t>(input.number());
    const std::string text = format_date_time(seconds, static_cast<std::int16_t>(input.number(2)));
    FUZZ_CHECK(text.size() == 26 && parse_date_time(text));
    return 0;
}
