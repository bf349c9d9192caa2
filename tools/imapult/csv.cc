#include "tools/imapult/csv.h"

#include <algorithm>

#include "engine/base/text.h"

namespace imapult::program {

void CsvReader::skip_line() {
    const std::size_t end = rest_.find('\n');
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    ++line_;
}

Result<std::string> CsvReader::quoted_field() {
    std::string field;
    const std::string_view whole = rest_;
    const std::size_t line = line_;
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
        const char c = rest_[0];
        rest_.remove_prefix(1);
        if (c == '\n') ++line_;
        if (c != '"') {
            field += c;
        } else if (rest_.starts_with('"')) {
            field += '"';
            rest_.remove_prefix(1);
        } else {
            const bool ends = rest_.empty() || rest_[0] == separator_ || rest_[0] == '\n' ||
                              rest_.starts_with("\r\n");
            if (ends) return field;
            skip_line();
            return invalid("text stands behind a closing quote; double the quotes inside a field");
        }
    }
    // Without its closing quote the field would swallow the file: only this line is given up.
    rest_ = whole;
    line_ = line;
    skip_line();
    return invalid("a quote is opened and never closed; double the quotes inside a field");
}

std::string CsvReader::plain_field() {
    const char ends[] = {separator_, '\n', '\0'};
    const std::size_t end = std::min(rest_.find_first_of(ends), rest_.size());
    const std::string_view field = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return std::string(trim(field));
}

Result<bool> CsvReader::next(CsvRecord& record) {
    record.fields.clear();
    while (!rest_.empty()) {
        const std::string_view line = trim(rest_.substr(0, rest_.find('\n')));
        if (!line.empty() && line[0] != '#') break;
        skip_line();
    }
    record_line_ = record.line = line_;
    if (rest_.empty()) return false;
    for (;;) {
        const std::size_t blanks = std::min(rest_.find_first_not_of(" \t"), rest_.size());
        if (separator_ != '\t' && rest_.substr(blanks).starts_with('"')) {
            rest_.remove_prefix(blanks);
            IMAPULT_TRY(std::string field, quoted_field());
            record.fields.push_back(std::move(field));
        } else {
            record.fields.push_back(plain_field());
        }
        if (rest_.starts_with("\r\n")) rest_.remove_prefix(1);
        if (rest_.empty()) return true;
        const bool more = rest_[0] == separator_;
        rest_.remove_prefix(1);
        if (more) continue;
        ++line_;
        return true;
    }
}

std::string csv_field(std::string_view text) {
    std::string out(text);
    // OWASP, "CSV Injection": = + - @ tab and CR begin a formula in common spreadsheets.
    const bool formula = !out.empty() && std::string_view("=+-@\t\r").contains(out[0]);
    if (formula) out.insert(0, 1, '\'');
    if (out.find_first_of(",;\"\r\n'") == std::string::npos) return out;
    std::string quoted = "\"";
    for (const char c : out) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + '"';
}

}  // namespace imapult::program
