#pragma once
// `imapult imapd`: a server to try things on.

#include "tools/imapult/command_line.h"

namespace imapult::program {

/// Serves until SIGINT or SIGTERM; prints `listening on HOST:PORT` first. The exit code.
int run_imapd(const ImapdArguments& arguments);

}  // namespace imapult::program
