#pragma once
// The one place where what happened becomes an exit code (see the table in README.md).

#include "engine/campaign/campaign.h"

namespace imapult::program {

enum ExitCode : int {
    kExitComplete = 0,
    kExitIncomplete = 1,
    kExitUsage = 2,
    kExitAuthentication = 3,
    kExitConnection = 4,
    kExitOverQuota = 5,
    kExitState = 6,
    kExitDifferent = 7,
    kExitBug = 70,
    kExitInterrupted = 130,
    kExitTerminated = 143,
};

/// The code of one error on its own.
int exit_code_of(Code code);

/// The code of a run; `signal` is the one that stopped it, or 0.
int exit_code_of(const campaign::Summary& summary, campaign::Command command, int signal);

/// What the summary object calls the whole.
campaign::RunResult result_of(const campaign::Summary& summary);

}  // namespace imapult::program
