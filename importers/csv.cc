#include "importers/csv.h"

#include <algorithm>
#include <array>

#include "engine/base/text.h"
#include "importers/limits.h"

namespace imapult::importers {
namespace {

char find_separator(std::string_view text) {
    std::array<std::size_t, 3> counts{};
    constexpr std::string_view kSeparators = ",;\t";
    bool quoted = false;
    for (const char c : text.substr(0, 64 * kKiB)) {
        if (c == '"') quoted = !quoted;
        if (quoted) continue;
        if (c == '\n' || c == '\r') break;
        const auto at = kSeparators.find(c);
        if (at != std::string_view::npos) ++counts[at];
    }
    const auto best = static_cast<std::size_t>(std::ranges::max_element(counts) - counts.begin());
    return counts[best] == 0 ? ',' : kSeparators[best];
}

/// One row at a time; a quoted cell that never ends is cut at its own line, so that it spoils no
/// more.
class RowReader {
  public:
    RowReader(std::string_view text, char separator) : text_(text), separator_(separator) {}

    [[nodiscard]] bool done() const { return at_ >= text_.size(); }

    CsvRow next() {
        const std::size_t start = at_;
        const std::size_t start_line = line_;
        CsvRow row;
        if (!read(row, true)) {
            // An opening quote without its end would swallow the rest of the file.
            at_ = start;
            line_ = start_line;
            row = CsvRow{};
            read(row, false);
            row.broken = "a quote is opened and never closed in this row";
        }
        row.line = start_line;
        std::size_t end = at_;
        while (end > start && (text_[end - 1] == '\n' || text_[end - 1] == '\r')) --end;
        row.raw = text_.substr(start, end - start);
        return row;
    }

  private:
    bool read(CsvRow& row, bool quotes) {
        std::string cell;
        bool quoted = false;
        bool was_quoted = false;
        for (; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (quoted) {
                if (c == '\n' || (c == '\r' && !(at_ + 1 < text_.size() && text_[at_ + 1] == '\n')))
                    ++line_;
                if (c != '"') {
                    cell += c;
                } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
                    cell += '"';
                    ++at_;
                } else {
                    quoted = false;
                }
                if (cell.size() > kCsvCellBytesMax) return false;
                continue;
            }
            if (c == '"' && quotes && trim(cell).empty() && !was_quoted) {
                quoted = true;
                was_quoted = true;
                cell.clear();
            } else if (c == separator_) {
                push(row, cell);
                was_quoted = false;
            } else if (c == '\n' || c == '\r') {
                if (c == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') ++at_;
                ++at_;
                ++line_;
                push(row, cell);
                return true;
            } else if (!(was_quoted && (c == ' ' || c == '\t'))) {
                cell += c;
            }
        }
        if (quoted) return false;
        push(row, cell);
        return true;
    }
    static void push(CsvRow& row, std::string& cell) {
        if (row.cells.size() < kCsvColumnsMax * 2) row.cells.push_back(std::move(cell));
        cell.clear();
    }

    std::string_view text_;
    char separator_;
    std::size_t at_ = 0;
    std::size_t line_ = 1;
};

bool is_blank(const CsvRow& row) {
    return std::ranges::all_of(row.cells,
                               [](const std::string& cell) { return trim(cell).empty(); });
}

}  // namespace

Result<CsvTable> parse_csv(std::string_view text) {
    CsvTable table;
    // Excel's own hint.
    std::size_t skipped = 0;
    if (equal_ignoring_case(text.substr(0, 4), "sep=") && text.size() > 5) {
        const auto end = text.find('\n');
        if (end == std::string_view::npos) return invalid("the file has no header line");
        text.remove_prefix(end + 1);
        skipped = 1;
    }
    table.separator = find_separator(text);
    RowReader reader(text, table.separator);
    bool header = false;
    while (!reader.done()) {
        CsvRow row = reader.next();
        row.line += skipped;
        if (is_blank(row)) continue;
        if (!header) {
            if (row.cells.size() > kCsvColumnsMax)
                return fail(Code::limit, Scope::account, Retry::never,
                            "the header has more than 1000 columns");
            for (std::string& cell : row.cells) cell = trim(cell);
            table.header = std::move(row.cells);
            table.raw_header = std::move(row.raw);
            header = true;
            continue;
        }
        if (table.rows.size() == kCsvRowsMax)
            return fail(Code::limit, Scope::account, Retry::never,
                        "the file has more than 1,000,000 rows");
        table.rows.push_back(std::move(row));
    }
    if (!header) return invalid("the file is empty");
    return table;
}

std::string csv_quote(std::string_view cell) {
    std::string out = "\"";
    for (const char c : cell) {
        if (c == '\r') continue;
        if (c == '"') out += '"';
        out += c;
    }
    return out + "\"";
}

}  // namespace imapult::importers
