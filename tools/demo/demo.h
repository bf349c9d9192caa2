#pragma once
// `imapult demo`: two in-memory IMAP servers of our own on loopback, a small organisation on one of
// them, and the program's own commands moving it to the other, looking for what is new, and
// verifying. Nothing of it is left behind.

#include "tools/imapult/program.h"

namespace CLI {
class App;
}

namespace imapult::demo {

/// Adds `demo` to the program. When the user chose it, it runs while `app` parses and leaves its
/// exit code in `exit_code`: 0 only if every message arrived octet by octet. `environment`
/// (its engine and descriptors) and `exit_code` must outlive the parsing.
void add_command(CLI::App& app, const program::Environment& environment, int& exit_code);

}  // namespace imapult::demo
