#include "provisioning/csv.h"

#include <algorithm>

#include "engine/base/text.h"
#include "provisioning/limits.h"

namespace imapult::provisioning {
namespace {

enum class Parse : std::uint8_t { done, open_quote, misplaced_quote };

// Splits the text of one record; open_quote asks for one more line.
Parse split(std::string_view text, std::vector<std::string>& fields) {
    fields.clear();
    std::size_t i = 0;
    for (;;) {
        std::string field;
        if (i < text.size() && text[i] == '"') {
            ++i;
            for (;; ++i) {
                if (i >= text.size()) return Parse::open_quote;
                if (text[i] != '"') {
                    field.push_back(text[i]);
                } else if (i + 1 < text.size() && text[i + 1] == '"') {
                    field.push_back('"');
                    ++i;
                } else {
                    break;
                }
            }
            ++i;
            while (i < text.size() && text[i] == ' ') ++i;
            if (i < text.size() && text[i] != ',') return Parse::misplaced_quote;
        } else {
            const auto comma = std::min(text.find(',', i), text.size());
            field = trim(text.substr(i, comma - i));
            if (field.starts_with('"')) return Parse::misplaced_quote;
            i = comma;
        }
        fields.push_back(std::move(field));
        if (i >= text.size()) return Parse::done;
        ++i;
    }
}

}  // namespace

std::optional<CsvRecord> CsvReader::next(std::vector<Problem>& problems) {
    Line line;
    while (lines_.next(line)) {
        if (trim(line.text).empty() && !line.too_long) continue;
        CsvRecord record;
        record.where.offset = line.offset;
        record.where.line = line.number;
        record.last_line = line.number;
        std::string text = std::move(line.text);
        bool too_long = line.too_long;
        auto state = split(text, record.fields);
        while (state == Parse::open_quote && !too_long && lines_.next(line)) {
            text += '\n';
            text += line.text;
            record.last_line = line.number;
            too_long = line.too_long || text.size() > limits::kCsvRecordBytesMax;
            if (line.text.contains('"')) state = split(text, record.fields);
        }
        if (state == Parse::done && !too_long) {
            record.where.bytes = lines_.offset() - record.where.offset;
            return record;
        }
        problems.push_back(
            {record.where.line,
             {},
             state == Parse::misplaced_quote
                 ? "a quote inside a field; put the whole field in quotes and double "
                   "the quotes in it"
                 : "the quote that opens here is never closed"});
    }
    return {};
}

std::string csv_field(std::string_view value) {
    auto text = printable(value, 4096);
    const bool quote = text.find_first_of(",\";") != std::string::npos || text.starts_with(' ') ||
                       text.ends_with(' ') || text.starts_with('#') ||
                       (!text.empty() && std::string_view("=+-@").contains(text.front()));
    if (!quote) return text;
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"') out += '"';
        out += c;
    }
    out += '"';
    return out;
}

std::string csv_line(const std::vector<std::string_view>& fields) {
    std::string out;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        if (i > 0) out += ',';
        out += csv_field(fields[i]);
    }
    out += '\n';
    return out;
}

}  // namespace imapult::provisioning
