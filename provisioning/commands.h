#pragma once
// The command line of `imapult provision …`.

#include <iosfwd>

namespace CLI {
class App;
}

namespace imapult::provisioning {

/// Registers `provision` with its subcommands on `app`. After parsing, the chosen subcommand has
/// run and `exit_code` holds its result (cli.md, "Exit codes"); untouched when another command was
/// chosen. Reports go to `out`, messages to `err`; both must outlive the parsing.
void add_commands(CLI::App& app, std::ostream& out, std::ostream& err, int& exit_code);

}  // namespace imapult::provisioning
