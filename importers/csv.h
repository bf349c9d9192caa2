#pragma once
// CSV as office programs write it: `,` `;` or tab, quotes with doubling, cells of several lines.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"

namespace imapult::importers {

struct CsvRow {
    std::size_t line = 0;  ///< physical line of its first character, from 1
    std::vector<std::string> cells;
    std::string raw;  ///< as it stands in the file, without its line end
    /// Why the row cannot be trusted; null if it can. Static text.
    const char* broken = nullptr;
};

struct CsvTable {
    char separator = ',';
    std::vector<std::string> header;
    std::string raw_header;
    std::vector<CsvRow> rows;  ///< blank rows left out
};

/// UTF-8 in. The separator is the one that the header has most often outside quotes. Errors:
/// invalid_input (no header), limit (columns, rows).
Result<CsvTable> parse_csv(std::string_view text);

/// Always quoted; `"` doubled, CR dropped.
std::string csv_quote(std::string_view cell);

}  // namespace imapult::importers
