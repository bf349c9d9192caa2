#include "provisioning/source.h"

#include <array>
#include <filesystem>

#include "engine/base/text.h"
#include "provisioning/address.h"
#include "provisioning/limits.h"

namespace imapult::provisioning {
namespace {

constexpr std::size_t kRowsSampled = 200;

std::string folder_of(const std::string& path) {
    return std::filesystem::path(path).parent_path().string();
}

bool looks_like_ldif(std::string_view line) {
    const auto lower = to_lower(line.substr(0, 8));
    return lower.starts_with("dn:") || lower.starts_with("version:") || lower.starts_with("#");
}

std::string_view compression_of(ByteSource& bytes) {
    struct Magic {
        std::string_view name;
        std::string_view octets;
    };
    constexpr std::array kMagics = {Magic{"gzip", "\x1F\x8B"}, Magic{"zip", "PK\x03\x04"},
                                    Magic{"bzip2", "BZh"}, Magic{"xz", "\xFD\x37zXZ"},
                                    Magic{"zstd", "\x28\xB5\x2F\xFD"}};
    std::string head(8, '\0');
    const auto got = bytes.read_at(0, head.data(), head.size());
    head.resize(got.value_or(0));
    for (const auto& magic : kMagics) {
        if (head.starts_with(magic.octets)) return magic.name;
    }
    return {};
}

bool is_address(std::string_view text) {
    return normal_address(text).has_value();
}

// Rows of the documentation's files carry no header, so their shape tells (first address, then
// names): see the counts of columns in carbonio's user_provisioning.csv and dl_provisioning.csv.
FileForm form_of_rows(const std::vector<CsvRecord>& rows) {
    std::size_t list_rows = 0;
    std::size_t not_list_rows = 0;
    bool four = false;
    bool recovery = false;
    for (const auto& row : rows) {
        const auto& fields = row.fields;
        if (fields.size() == 4) four = true;
        if (fields.size() == 5 && is_address(fields[4])) recovery = true;
        if (fields.size() >= 4 && is_address(fields[3])) {
            ++list_rows;
        } else if (fields.size() < 4 || !fields[3].empty()) {
            ++not_list_rows;
        }
    }
    if (list_rows > not_list_rows) return FileForm::csv_lists;
    if (four) return FileForm::csv_shared_password;
    return recovery ? FileForm::csv_recovery : FileForm::csv_own_password;
}

FileForm form_of_layout(CsvLayout layout) {
    switch (layout) {
        case CsvLayout::recovery:
            return FileForm::csv_recovery;
        case CsvLayout::own_password:
            return FileForm::csv_own_password;
        case CsvLayout::lists:
            return FileForm::csv_lists;
        case CsvLayout::shared_password:
        case CsvLayout::detect:
            break;
    }
    return FileForm::csv_shared_password;
}

Entry entry_of_csvde(const std::vector<std::string>& header, const CsvRecord& row) {
    Entry entry;
    for (std::size_t i = 0; i < header.size() && i < row.fields.size(); ++i) {
        std::string_view field = row.fields[i];
        if (field.empty()) continue;
        if (equal_ignoring_case(header[i], "DN")) {
            entry.dn = field;
            continue;
        }
        // csvde joins values with ";", and writes "\;" for one inside a value.
        std::string value;
        for (std::size_t k = 0; k <= field.size(); ++k) {
            if (k == field.size() || field[k] == ';') {
                if (!value.empty()) entry.add(header[i], std::move(value));
                value.clear();
            } else {
                if (field[k] == '\\' && k + 1 < field.size() && field[k + 1] == ';') ++k;
                value.push_back(field[k]);
            }
        }
    }
    return entry;
}

Record record_of_row(const InputFile& file, CsvRecord row) {
    Record record;
    record.where = row.where;
    record.last_line = row.last_line;
    if (file.form == FileForm::csv_directory) {
        record.entry = entry_of_csvde(file.header, row);
    } else {
        record.entry.set_values(kCsvFields, std::move(row.fields));
    }
    return record;
}

bool is_header(const InputFile& file, const CsvRecord& row) {
    return !file.header.empty() && row.fields == file.header;
}

}  // namespace

void SourceSet::add(std::string path, std::unique_ptr<ByteSource> bytes) {
    auto& file = files_.emplace_back();
    file.path = std::move(path);
    file.bytes = std::move(bytes);
    ldif_.emplace_back();
    csv_.emplace_back();
}

Result<> SourceSet::recognise(InputFile& file, CsvLayout layout) {
    LineReader lines(*file.bytes);
    Line line;
    bool any = false;
    while (lines.next(line)) {
        if (trim(line.text).empty()) continue;
        any = true;
        break;
    }
    IMAPULT_CHECK(lines.error());
    if (!any || (looks_like_ldif(line.text) && layout == CsvLayout::detect)) return {};
    CsvReader csv(*file.bytes);
    std::vector<Problem> problems;
    std::vector<CsvRecord> rows;
    while (rows.size() < kRowsSampled) {
        auto row = csv.next(problems);
        if (!row) break;
        rows.push_back(std::move(*row));
    }
    if (const auto packed = compression_of(*file.bytes); !packed.empty()) {
        return invalid(printable(file.path) + " is compressed (" + std::string(packed) +
                       "); unpack it first");
    }
    if (rows.empty() || rows.front().fields.size() < 2) {
        return invalid(printable(file.path) +
                       " is neither LDIF (it would begin with \"dn:\" or \"version:\") nor CSV");
    }
    const auto& first = rows.front().fields;
    if (equal_ignoring_case(first.front(), "DN")) {
        file.form = FileForm::csv_directory;
        file.header = first;
    } else if (equal_ignoring_case(first.front(), "owner") && first.size() >= 4 &&
               equal_ignoring_case(first[1], "folder")) {
        file.form = FileForm::csv_shares;
        file.header = first;
    } else {
        file.form = layout == CsvLayout::detect ? form_of_rows(rows) : form_of_layout(layout);
    }
    return {};
}

Result<SourceSet> SourceSet::open(const std::vector<std::string>& paths, CsvLayout layout) {
    SourceSet set;
    for (const auto& path : paths) {
        IMAPULT_TRY(auto bytes, open_file(path));
        set.add(path, std::move(bytes));
        IMAPULT_CHECK(set.recognise(set.files_.back(), layout));
    }
    return set;
}

Result<SourceSet> SourceSet::from_memory(std::string name, std::string bytes) {
    SourceSet set;
    set.add(std::move(name), memory_source(std::move(bytes)));
    IMAPULT_CHECK(set.recognise(set.files_.back(), CsvLayout::detect));
    return set;
}

void SourceSet::keep_problems(std::uint32_t file, std::vector<Problem>& problems) {
    for (auto& problem : problems) {
        ++problems_total_;
        if (problems_.size() < limits::kProblemsKept) {
            problems_.push_back({file, std::move(problem)});
        }
    }
    problems.clear();
}

Result<> SourceSet::scan(const std::function<void(Record&)>& visit) {
    problems_.clear();
    problems_total_ = 0;
    std::vector<Problem> problems;
    for (std::uint32_t i = 0; i < files_.size(); ++i) {
        auto& file = files_[i];
        if (file.form == FileForm::ldif) {
            LdifReader reader(*file.bytes, file_urls_below(folder_of(file.path)));
            while (auto record = reader.next(problems)) {
                keep_problems(i, problems);
                record->where.file = i;
                visit(*record);
            }
            IMAPULT_CHECK(reader.error());
        } else {
            CsvReader reader(*file.bytes);
            while (auto row = reader.next(problems)) {
                keep_problems(i, problems);
                if (is_header(file, *row)) continue;
                auto record = record_of_row(file, std::move(*row));
                record.where.file = i;
                visit(record);
            }
            IMAPULT_CHECK(reader.error());
        }
        keep_problems(i, problems);
    }
    return {};
}

Result<Record> SourceSet::load(const Location& where) {
    IMAPULT_ASSERT(where.file < files_.size());
    auto& file = files_[where.file];
    std::vector<Problem> problems;
    std::optional<Record> record;
    if (file.form == FileForm::ldif) {
        auto& reader = ldif_[where.file];
        if (!reader) {
            reader =
                std::make_shared<LdifReader>(*file.bytes, file_urls_below(folder_of(file.path)));
        }
        reader->seek(where);
        record = reader->next(problems);
    } else {
        auto& reader = csv_[where.file];
        if (!reader) reader = std::make_shared<CsvReader>(*file.bytes);
        reader->seek(where);
        if (auto row = reader->next(problems)) record = record_of_row(file, std::move(*row));
    }
    if (!record || record->where.offset != where.offset) {
        return fail(Code::io, Scope::run, Retry::never,
                    printable(file.path) + " changed while it was read");
    }
    record->where.file = where.file;
    return std::move(*record);
}

}  // namespace imapult::provisioning
