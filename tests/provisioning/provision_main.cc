// `imapult-provision`: the provision commands alone, for the tests of this folder.

#include <CLI/CLI.hpp>
#include <iostream>

#include "provisioning/commands.h"

int main(int argc, char** argv) {
    CLI::App app("imapult provision");
    int exit_code = 2;
    imapult::provisioning::add_commands(app, std::cout, std::cerr, exit_code);
    app.require_subcommand(1);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    return exit_code;
}
