#pragma once
// From what was typed to what the engine is told: everything is checked here, before anything
// connects.

#include <chrono>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "engine/campaign/campaign.h"
#include "tools/imapult/command_line.h"

namespace imapult::program {

struct Settings {
    campaign::Options options;
    std::vector<std::string> warnings;  ///< printable sentences
};

/// Asks a person; empty where there is no terminal.
using Prompt = std::function<Result<Secret>(const std::string& question)>;

/// Errors: printable sentences, each with its cure (exit code 2).
std::expected<Settings, std::vector<std::string>> prepare(Verb verb, const DataArguments& arguments,
                                                          const Prompt& prompt);

/// `--state`, or $XDG_STATE_HOME/imapult, or ~/.local/state/imapult; absolute.
Result<std::string> state_folder(const std::string& given);

/// "10%", "1000" or "10%,1000": what is not named is no limit. invalid_input.
Result<campaign::DeletePolicy> parse_delete_limit(std::string_view text);
/// "90s", "20m", "12h", "2d"; a number alone is seconds. invalid_input.
Result<std::chrono::seconds> parse_duration(std::string_view text);

/// "1500", "10M", "1.5G": k, M and G are powers of 1024. invalid_input.
Result<std::uint64_t> parse_byte_count(std::string_view text);

}  // namespace imapult::program
