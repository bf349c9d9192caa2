#pragma once
// Tables as text: RFC 4180 with `,` or `;`, comments and line numbers on the way in; guarded
// against spreadsheets that run cells as formulas on the way out.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"

namespace imapult::program {

struct CsvRecord {
    std::size_t line = 0;  ///< where it begins, from 1
    std::vector<std::string> fields;
};

/// One record after the other. Blank lines and lines that begin with `#` are passed over.
class CsvReader {
  public:
    CsvReader(std::string_view text, char separator) : rest_(text), separator_(separator) {}
    /// False at the end. An error names no content; reading goes on behind the bad line.
    Result<bool> next(CsvRecord& record);
    /// The line where the last record or error began.
    [[nodiscard]] std::size_t line() const { return record_line_; }

  private:
    Result<std::string> quoted_field();
    std::string plain_field();
    void skip_line();

    std::string_view rest_;
    char separator_;
    std::size_t line_ = 1;
    std::size_t record_line_ = 1;
};

/// A field for a CSV that people open in a spreadsheet: quoted as needed; text that a spreadsheet
/// would run as a formula gets an apostrophe in front.
std::string csv_field(std::string_view text);

}  // namespace imapult::program
