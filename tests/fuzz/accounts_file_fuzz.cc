// The accounts file: any bytes give rows or errors with line numbers, and never a value in a text.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz_input.h"
#include "tools/imapult/accounts_file.h"
#include "tools/imapult/csv.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace imapult::program;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto file = parse_accounts(text, "f");
    if (file) {
        FUZZ_CHECK(!file->rows.empty());
        for (const AccountRow& row : file->rows) {
            FUZZ_CHECK(row.line > 0 && !row.source_user.empty() && !row.destination_user.empty());
            FUZZ_CHECK(!row.source || !row.source->host.empty());
        }
    } else {
        FUZZ_CHECK(!file.error().empty());
        for (const auto& error : file.error()) FUZZ_CHECK(error.starts_with("f:"));
    }
    // Whatever goes out as a quoted field comes in again as one field.
    const std::string field = csv_field(text.substr(0, 256));
    if (!field.starts_with('"')) return 0;
    CsvRecord record;
    CsvReader reader(field, ',');
    const auto got = reader.next(record);
    FUZZ_CHECK(got && *got && record.fields.size() == 1);
    return 0;
}
