#pragma once
// One `imapult import …` from its options to its report.

#include <atomic>
#include <chrono>
#include <string>

#include "importers/carbonio.h"
#include "importers/input_set.h"
#include "importers/job.h"
#include "importers/report.h"

namespace imapult::importers {

enum class What : std::uint8_t { calendars, contacts, both };

struct RunOptions {
    What what = What::both;
    Mode mode = Mode::check;
    InputOptions inputs;
    std::string out = "imapult-import";
    std::string state_directory;
    CarbonioSettings carbonio;
    /// ImportAs::user without an accounts file: every account's password.
    Secret user_password;
    http::Options http;
    std::size_t accounts_at_once = 8;
    std::size_t connections = 4;
    std::size_t contacts_max = 10'000;
    bool quiet = false;
    bool terminal = false;
    std::string events;
};

/// Does it all. `stop` may be set from elsewhere; `signal` is what it then reports.
RunReport run_import(const RunOptions& options, std::atomic<bool>& stop,
                     const std::atomic<int>& signal);

}  // namespace imapult::importers
