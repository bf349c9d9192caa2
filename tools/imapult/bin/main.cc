// Wires the program together; everything that can be tested stands in the library.

#include <string>
#include <vector>

#include "engine/campaign/campaign.h"
#include "tools/imapult/imapd_command.h"
#include "tools/imapult/program.h"
#include "tools/imapult/secrets.h"

int main(int argc, char** argv) {
    using namespace imapult;
    program::protect_process();
    program::Environment environment;
    environment.run_campaign = campaign::run;
    environment.run_imapd = program::run_imapd;
    if (program::can_prompt()) environment.prompt = program::prompt_secret;
    return program::run_program(std::vector<std::string>(argv + 1, argv + argc), environment);
}
