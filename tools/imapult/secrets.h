#pragma once
// Where passwords and tokens come from, and how they are kept from everybody else.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/endpoint.h"

namespace imapult::program {

/// How one secret is named on the command line; at most one may be set.
struct SecretArguments {
    std::string file = {};
    std::string environment = {};
    std::string command = {};
    [[nodiscard]] int given() const {
        return (file.empty() ? 0 : 1) + (environment.empty() ? 0 : 1) + (command.empty() ? 0 : 1);
    }
};

/// First line of a file without its line end, at most 64 KiB. If `warning` is given and others
/// than the owner can read the file, a sentence that says so is stored there.
Result<Secret> read_secret_file(const std::string& path, std::string* warning);
Result<Secret> read_secret_environment(const std::string& name);
/// First line of what `/bin/sh -c COMMAND` writes to its standard output; 60 s at most.
Result<Secret> read_secret_command(const std::string& command);
/// Asks on the controlling terminal, without echo.
Result<Secret> prompt_secret(const std::string& question);
/// True if there is a terminal to ask on.
bool can_prompt();

/// A source that has its password already.
SecretSource fixed_secret(Secret secret, std::string origin);
/// A password is read at once, so that a missing file shows before anything connects; warnings are
/// appended to `warnings`. Exactly one of `arguments` must be given. invalid_input.
Result<SecretSource> password_source(const SecretArguments& arguments,
                                     std::vector<std::string>& warnings);
/// A token is read anew at each call of fetch(); files and variables are tried once here.
Result<SecretSource> token_source(const SecretArguments& arguments,
                                  std::vector<std::string>& warnings);

/// Core dumps off, not attachable by others, files of ours private. Called before any secret is
/// read.
void protect_process();

}  // namespace imapult::program
