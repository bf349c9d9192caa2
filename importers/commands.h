#pragma once
// `imapult import …` on the program's command line.

#include <CLI/CLI.hpp>

namespace imapult::importers {

/// Adds `import` with calendars, contacts, check and script to the program. When the user chose one
/// of them, it runs while `app` parses and leaves its exit code (cli.md) in `exit_code`, which must
/// outlive the parsing. SIGINT and SIGTERM are caught while it runs.
void add_import_commands(CLI::App& app, int& exit_code);

}  // namespace imapult::importers
