// The CSV reader on any octets: it ends, keeps its places, and fields of plain text that it read
// can be written and read again.

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/base/text.h"
#include "fuzz/fuzz_input.h"
#include "provisioning/csv.h"

using namespace imapult::provisioning;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto source = memory_source(std::string(reinterpret_cast<const char*>(data), size));
    CsvReader reader(*source);
    CsvReader again(*source);
    std::vector<Problem> problems;
    for (std::size_t rows = 0; rows < 256; ++rows) {
        const auto row = reader.next(problems);
        if (!row) break;
        FUZZ_CHECK(!row->fields.empty() && row->where.offset <= size);
        FUZZ_CHECK(row->last_line >= row->where.line);
        again.seek(row->where);
        std::vector<Problem> none;
        const auto second = again.next(none);
        FUZZ_CHECK(second && second->fields == row->fields && none.empty());
        std::vector<std::string_view> views;
        bool plain = false;
        for (const auto& field : row->fields) {
            views.push_back(field);
            plain = plain || !field.empty();
            if (imapult::printable(field, 4096) != field) plain = false;
            if (!plain) break;
        }
        if (!plain) continue;
        const auto copy = memory_source(csv_line(views));
        CsvReader written(*copy);
        const auto third = written.next(none);
        FUZZ_CHECK(third && third->fields == row->fields && none.empty());
    }
    return 0;
}
