#pragma once
// Where a secret comes from: exactly one of a file, an environment variable, a command, a terminal.

#include <string>

#include "engine/base/error.h"
#include "engine/base/secret.h"

namespace imapult::importers {

struct SecretSource {
    std::string file;
    std::string env;
    std::string command;

    [[nodiscard]] bool given() const { return !file.empty() || !env.empty() || !command.empty(); }
};

/// The first line, without its end. `what` ("destination") names the options in errors; a prompt is
/// shown where none is given and standard input is a terminal. Errors: invalid_input.
Result<Secret> read_secret(const SecretSource& source, const std::string& what);

}  // namespace imapult::importers
