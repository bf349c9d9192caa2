// Wires the program together; everything that can be tested stands in the library.

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <vector>

#include "engine/base/memory.h"
#include "engine/campaign/campaign.h"
#include "importers/commands.h"
#include "provisioning/commands.h"
#include "tools/demo/demo.h"
#include "tools/imapult/imapd_command.h"
#include "tools/imapult/program.h"
#include "tools/imapult/secrets.h"

int main(int argc, char** argv) {
    using namespace imapult;
    program::protect_process();
    return_large_blocks();
    program::Environment environment;
    environment.run_campaign = campaign::run;
    environment.run_imapd = program::run_imapd;
    environment.registrars = {
        [](CLI::App& app, int& exit_code) {
            provisioning::add_commands(app, std::cout, std::cerr, exit_code);
        },
        importers::add_import_commands,
        [&environment](CLI::App& app, int& exit_code) {
            demo::add_command(app, environment, exit_code);
        },
    };
    if (program::can_prompt()) environment.prompt = program::prompt_secret;
    return program::run_program(std::vector<std::string>(argv + 1, argv + argc), environment);
}
