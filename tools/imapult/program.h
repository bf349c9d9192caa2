#pragma once
// The whole program but for what main wires in, so that tests run it with an engine of their own.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/campaign/campaign.h"
#include "tools/imapult/command_line.h"
#include "tools/imapult/settings.h"

namespace imapult::program {

struct Environment {
    /// campaign::run, or a test's.
    std::function<campaign::Summary(const campaign::Options&, campaign::Observer&,
                                    campaign::StopToken&)>
        run_campaign;
    /// `imapult imapd`; the exit code.
    std::function<int(const ImapdArguments&)> run_imapd;
    std::vector<Registrar> registrars;
    Prompt prompt;  ///< empty: never asks
    int standard_output = 1;
    int standard_error = 2;
};

/// Runs one command and returns the exit code.
int run_program(const std::vector<std::string>& arguments, const Environment& environment);

}  // namespace imapult::program
