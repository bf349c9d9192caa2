#pragma once
// --config FILE: long options written down as TOML, `source = "imaps://old.example.com"`.

#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace imapult::program {

/// What a configuration file adds to a command line.
struct ConfigArguments {
    struct Entry {
        std::string option;  ///< "--source"
        std::string place;   ///< "migration.toml:3"
    };
    std::vector<std::string>
        arguments;  ///< "--source=imaps://old.example.com", in the file's order
    std::vector<Entry> entries;

    /// The place of the entry that an error text of the parser speaks of, or "".
    [[nodiscard]] std::string place_of(std::string_view error_text) const;
};

/// Reads the file named by `--config` for the command that `arguments` begin with; empty if there
/// is none. Options that stand in `arguments` go before those of the file. Keys of other commands
/// of `app` are passed over, so that one file serves check, migrate and verify; keys of none are
/// errors. The error has one line for each, "FILE:LINE: …", and repeats no value.
std::expected<ConfigArguments, std::string> read_config(const std::vector<std::string>& arguments,
                                                        const CLI::App& app);

}  // namespace imapult::program
