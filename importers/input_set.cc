#include "importers/input_set.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "engine/base/text.h"
#include "importers/calendar_file.h"
#include "importers/csv.h"
#include "importers/limits.h"

namespace imapult::importers {
namespace {

namespace fs = std::filesystem;

struct Person {
    std::string account;
    Secret password;
};

/// source_user → account and password.
using People = std::map<std::string, Person>;

Result<People> read_accounts(const std::string& path, std::vector<std::string>& warnings) {
    auto bytes = read_whole_file(path);
    if (!bytes) return invalid("the accounts file " + printable(path) + ": " + bytes.error().text);
    struct stat info{};
    if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 0077) != 0)
        warnings.push_back("others can read the accounts file " + path);
    std::string text;
    // Comments out, lines kept, so that the numbers stay right.
    for (std::string_view rest = *bytes; !rest.empty();) {
        const auto end = rest.find('\n');
        const std::string_view line = rest.substr(0, end);
        if (!trim(line).starts_with('#')) text += line;
        text += '\n';
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
    }
    if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
    auto table = parse_csv(text);
    if (!table) return invalid("the accounts file " + printable(path) + ": " + table.error().text);
    std::map<std::string, std::size_t> columns;
    for (std::size_t i = 0; i < table->header.size(); ++i) columns[to_lower(table->header[i])] = i;
    const bool plain = table->header.size() == 1 && !address_of(table->header[0]).empty();
    if (plain) {
        CsvRow first;
        first.line = 1;
        first.cells = table->header;
        table->rows.insert(table->rows.begin(), std::move(first));
        columns = {{"source_user", 0}};
    }
    if (!columns.contains("source_user") && !columns.contains("destination_user")) {
        return invalid("the accounts file " + printable(path) +
                       " has neither a column source_user nor destination_user");
    }
    People people;
    std::string errors;
    for (const CsvRow& row : table->rows) {
        const auto cell = [&](const char* name) -> std::string {
            const auto found = columns.find(name);
            return found == columns.end() || found->second >= row.cells.size()
                       ? ""
                       : std::string(trim(row.cells[found->second]));
        };
        std::string source = address_of(cell("source_user"));
        std::string destination = address_of(cell("destination_user"));
        if (destination.empty() && cell("destination_user").empty()) destination = source;
        if (source.empty())
            source = cell("source_user").empty() ? destination : to_lower(cell("source_user"));
        if (destination.empty()) {
            errors += "\n" + path + ":" + std::to_string(row.line) +
                      ": no address of an account of the destination";
            continue;
        }
        if (people.contains(source)) {
            errors +=
                "\n" + path + ":" + std::to_string(row.line) + ": " + source + " stands twice";
            continue;
        }
        people[source] = {destination, Secret(cell("destination_password"))};
    }
    Secret::wipe(text);
    if (!errors.empty()) return invalid("the accounts file is wrong:" + errors);
    return people;
}

class Finder {
  public:
    Finder(const InputOptions& options, People people)
        : options_(options), people_(std::move(people)) {}

    Result<InputSet> run() {
        only_ = address_of(options_.account);
        if (!options_.account.empty() && only_.empty())
            return invalid("--account wants an address: " + printable(options_.account));
        if (!options_.folder.empty() && only_.empty()) return invalid("--folder needs --account");
        for (const std::string& from : options_.from) {
            std::error_code error;
            const fs::file_status status = fs::status(from, error);
            if (error || !fs::exists(status))
                return invalid("--from " + printable(from) +
                               ": there is no such file or directory");
            if (fs::is_directory(status)) {
                IMAPULT_CHECK(directory(from));
            } else {
                single(from);
            }
        }
        if (sources_.empty()) {
            std::string endings;
            for (const std::string& ending : options_.endings)
                endings += (endings.empty() ? "" : " or ") + ending;
            return invalid("nothing to import: no USER@DOMAIN" + endings + " was found" +
                           (set_.ignored.empty()
                                ? ""
                                : " (" + std::to_string(set_.ignored.size()) + " other files)"));
        }
        for (auto& [account, input] : sources_) {
            std::ranges::sort(input.files, {}, [](const SourceFile& f) {
                return std::pair(!f.folder.empty(), f.path);
            });
            set_.accounts.push_back(std::move(input));
        }
        std::ranges::sort(set_.ignored);
        return std::move(set_);
    }

  private:
    [[nodiscard]] bool fits(const fs::path& path) const {
        const std::string ending = to_lower(path.extension().string());
        return std::ranges::find(options_.endings, ending) != options_.endings.end();
    }
    void ignore(const fs::path& path) { set_.ignored.push_back(path.string()); }

    void add(const std::string& owner, const fs::path& path, const std::string& shown,
             const std::string& folder, bool fixed) {
        std::string account = owner;
        Secret password;
        if (!people_.empty()) {
            auto found = people_.find(owner);
            if (found == people_.end()) {
                found = std::ranges::find_if(
                    people_, [&](const auto& p) { return p.second.account == owner; });
            }
            if (found == people_.end()) return ignore(path);
            account = found->second.account;
            password = found->second.password;
        }
        AccountInput& input = sources_[account];
        input.account = account;
        if (!password.empty()) input.password = password;
        input.files.push_back({path.string(), shown, folder, fixed});
    }

    void single(const fs::path& path) {
        const std::string owner = only_.empty() ? address_of(path.stem().string()) : only_;
        if (owner.empty() || !fits(path)) return ignore(path);
        add(owner, path, path.filename().string(), options_.folder, !options_.folder.empty());
    }

    Result<> directory(const fs::path& root) {
        std::error_code error;
        std::vector<fs::path> entries;
        for (auto it = fs::directory_iterator(root, error);
             !error && it != fs::directory_iterator(); it.increment(error))
            entries.push_back(it->path());
        if (error) return invalid("--from " + printable(root.string()) + ": " + error.message());
        std::ranges::sort(entries);
        for (const fs::path& path : entries) {
            std::error_code ignored;
            const bool link = fs::is_symlink(path, ignored);
            if (!link && fs::is_directory(path, ignored)) {
                const std::string owner = address_of(path.filename().string());
                if (owner.empty() || (!only_.empty() && owner != only_)) {
                    ignore(path);
                } else {
                    named(owner, path);
                }
                continue;
            }
            const std::string owner = address_of(path.stem().string());
            const bool regular = fs::is_regular_file(path, ignored);
            if (!regular || !fits(path) || (owner.empty() && only_.empty()) ||
                (!only_.empty() && !owner.empty() && owner != only_)) {
                ignore(path);
            } else if (owner.empty()) {
                add(only_, path, path.filename().string(),
                    options_.folder.empty() ? path.stem().string() : options_.folder,
                    !options_.folder.empty());
            } else {
                add(owner, path, path.filename().string(), options_.folder,
                    !options_.folder.empty());
            }
        }
        return {};
    }

    void named(const std::string& owner, const fs::path& folder) {
        std::error_code error;
        std::vector<fs::path> entries;
        for (auto it = fs::directory_iterator(folder, error);
             !error && it != fs::directory_iterator(); it.increment(error))
            entries.push_back(it->path());
        std::ranges::sort(entries);
        for (const fs::path& path : entries) {
            std::error_code ignored;
            if (!fs::is_regular_file(path, ignored) || !fits(path)) {
                ignore(path);
                continue;
            }
            add(owner, path, folder.filename().string() + "/" + path.filename().string(),
                path.stem().string(), false);
        }
    }

    const InputOptions& options_;
    People people_;
    std::string only_;
    std::map<std::string, AccountInput> sources_;
    InputSet set_;
};

}  // namespace

Result<InputSet> find_inputs(const InputOptions& options) {
    People people;
    std::vector<std::string> warnings;
    if (!options.accounts_file.empty()) {
        IMAPULT_TRY(people, read_accounts(options.accounts_file, warnings));
    }
    IMAPULT_TRY(InputSet set, Finder(options, std::move(people)).run());
    set.warnings.insert(set.warnings.end(), warnings.begin(), warnings.end());
    return set;
}

std::string address_of(std::string_view text) {
    const std::string address = to_lower(trim(text));
    const auto at = address.rfind('@');
    if (at == std::string::npos || at == 0 || at + 1 == address.size() || address.size() > 254)
        return {};
    for (const char c : address) {
        if (static_cast<std::uint8_t>(c) <= 0x20 || c == 0x7F || c == '/' || c == '\\' ||
            c == '"' || c == '<' || c == '>')
            return {};
    }
    if (address.find('@') != at || address.starts_with('.') || address[at + 1] == '.' ||
        !is_utf8(address))
        return {};
    return address;
}

std::string clean_folder_name(std::string_view name) {
    std::string out;
    // printable() shows what is dangerous as \xNN or \u{NNNN}; here it is dropped instead.
    for (std::size_t i = 0; i < name.size();) {
        const auto byte = static_cast<std::uint8_t>(name[i]);
        const std::size_t length = byte < 0x80    ? 1
                                   : byte >= 0xF0 ? 4
                                   : byte >= 0xE0 ? 3
                                   : byte >= 0xC0 ? 2
                                                  : 1;
        const std::string_view one = name.substr(i, length);
        i += one.size();
        if (!is_utf8(one) || out.size() + one.size() > kFolderNameBytesMax) continue;
        if (printable(one) != one) {
            out += out.empty() || out.ends_with(' ') ? "" : " ";
        } else if (one == "/" || one == ":" || one == "\"" || one == "\\") {
            out += '_';
        } else {
            out += one;
        }
    }
    out = trim(out);
    if (out == "." || out == "..") out = out.size() == 1 ? "_" : "__";
    return out;
}

std::string safe_file_name(std::string_view name) {
    std::string out = clean_folder_name(name);
    std::ranges::replace(out, '*', '_');
    if (out.empty() || out.starts_with('.')) out.insert(0, "_");
    return out;
}

}  // namespace imapult::importers
