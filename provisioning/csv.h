#pragma once
// RFC 4180 records: quotes, doubled quotes, line breaks inside quotes, LF or CRLF.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "provisioning/entry.h"
#include "provisioning/ldif.h"
#include "provisioning/line_reader.h"

namespace imapult::provisioning {

struct CsvRecord {
    std::vector<std::string> fields;
    Location where;
    std::uint32_t last_line = 0;
};

/// Reads comma-separated records as a stream; empty lines are passed. A record with an unclosed or
/// misplaced quote is reported and skipped.
class CsvReader {
  public:
    explicit CsvReader(ByteSource& source) : lines_(source) {}
    std::optional<CsvRecord> next(std::vector<Problem>& problems);
    void seek(const Location& where) { lines_.seek(where.offset, where.line); }
    [[nodiscard]] const Result<>& error() const { return lines_.error(); }

  private:
    LineReader lines_;
};

/// One field as it stands in a CSV file: quoted where needed. A field that begins like a formula
/// (= + - @) gets quotes too, and control characters are escaped by printable().
std::string csv_field(std::string_view value);
/// The fields joined by commas, with LF.
std::string csv_line(const std::vector<std::string_view>& fields);

}  // namespace imapult::provisioning
