#pragma once
// Which file goes to whom and where: `--from` directories and files, `--account`, `--accounts
// FILE`.

#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/secret.h"

namespace imapult::importers {

struct SourceFile {
    std::string path;
    /// Shown in reports: the path below the directory that was given.
    std::string shown;
    /// Wanted folder; empty: the default calendar, task list or address book.
    std::string folder;
    /// The folder was named by the user and wins over X-WR-CALNAME.
    bool folder_is_fixed = false;
};

struct AccountInput {
    std::string account;
    Secret password;
    std::vector<SourceFile> files;  ///< default one first, the rest by name
};

struct InputSet {
    std::vector<AccountInput> accounts;  ///< by name
    std::vector<std::string> ignored;
    std::vector<std::string> warnings;
};

struct InputOptions {
    std::vector<std::string> from;
    std::vector<std::string> endings;  ///< ".ics" or ".csv", ".vcf"
    std::string account;
    std::string folder;
    std::string accounts_file;
};

/// Errors: invalid_input (nothing there, bad accounts file with every line that is wrong, …).
Result<InputSet> find_inputs(const InputOptions& options);

/// "user@example.com" in lower case, or an empty string if it is no address that may stand in a URL
/// and a file name.
std::string address_of(std::string_view text);

/// Folder names as Carbonio takes them: none of : / " and controls, no . or .., trimmed, not too
/// long.
std::string clean_folder_name(std::string_view name);

/// A name for a file inside a directory of ours: no separators, no leading dot.
std::string safe_file_name(std::string_view name);

}  // namespace imapult::importers
