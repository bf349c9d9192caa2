#pragma once
// `imapult status`: what the ledger knows, read while a run may be going on.

#include <string>

#include "engine/base/error.h"

namespace imapult::program {

/// The answer of `status`: one JSON line, or lines for a person. Errors: not_found if the folder
/// has never been used, state_damaged, state_version, io.
Result<std::string> status_report(const std::string& state_dir, bool json);

}  // namespace imapult::program
