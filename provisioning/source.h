#pragma once
// The input set: one or several files, read entry by entry and again at known places. LDIF and the
// CSV forms come out as the same records.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "provisioning/csv.h"
#include "provisioning/ldif.h"

namespace imapult::provisioning {

/// What a file is, recognised by its first lines.
enum class FileForm : std::uint8_t {
    ldif,
    csv_shared_password,  ///< layout 1: email,givenName,surname,displayName
    csv_recovery,         ///< layout 2: email,givenName,surname,displayName,recoveryAddress
    csv_own_password,     ///< layout 3: email,password,givenName,surname,displayName
    csv_lists,            ///< address,description,displayName,member…
    csv_directory,        ///< csvde: a header of attribute names that begins with DN
    csv_shares,           ///< header owner,folder,grantee,rights[,view]: IMAP ACLs found elsewhere
};

enum class CsvLayout : std::uint8_t { detect, shared_password, recovery, own_password, lists };

/// Attribute under which the fields of a CSV row travel in a Record.
inline constexpr std::string_view kCsvFields = "csvfields";

struct InputFile {
    std::string path;
    FileForm form = FileForm::ldif;
    std::unique_ptr<ByteSource> bytes;
    std::vector<std::string> header;  ///< csv_directory, csv_shares
};

/// A broken line with the file it stands in.
struct FileProblem {
    std::uint32_t file = 0;
    Problem problem;
};

class SourceSet {
  public:
    /// Opens the files and recognises their forms. Errors: invalid_input, io.
    static Result<SourceSet> open(const std::vector<std::string>& paths, CsvLayout layout);
    /// One file from memory, for fuzzers.
    static Result<SourceSet> from_memory(std::string name, std::string bytes);

    /// Every record of every file in order. Broken records are left out and stand in problems().
    Result<> scan(const std::function<void(Record&)>& visit);
    /// One record again.
    Result<Record> load(const Location& where);

    [[nodiscard]] const std::vector<InputFile>& files() const { return files_; }
    [[nodiscard]] const std::string& path(std::uint32_t file) const { return files_[file].path; }
    [[nodiscard]] const std::vector<FileProblem>& problems() const { return problems_; }
    [[nodiscard]] std::uint64_t problems_total() const { return problems_total_; }

  private:
    struct Readers;
    void add(std::string path, std::unique_ptr<ByteSource> bytes);
    Result<> recognise(InputFile& file, CsvLayout layout);
    void keep_problems(std::uint32_t file, std::vector<Problem>& problems);

    std::vector<InputFile> files_;
    std::vector<FileProblem> problems_;
    std::uint64_t problems_total_ = 0;
    std::vector<std::shared_ptr<LdifReader>> ldif_;
    std::vector<std::shared_ptr<CsvReader>> csv_;
};

}  // namespace imapult::provisioning
