#pragma once
// The commands and options themselves, for the parser and for completion.

#include <CLI/App.hpp>

#include "tools/imapult/command_line.h"

namespace imapult::program {

/// Adds every command of this folder; parsed values are stored in `line`, which must outlive `app`.
void build_app(CLI::App& app, CommandLine& line);

}  // namespace imapult::program
