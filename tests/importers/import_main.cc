// The `import` commands alone, for tests that need a program.

#include <CLI/CLI.hpp>

#include "importers/commands.h"

int main(int argc, char** argv) {
    CLI::App app{"imapult import, alone"};
    int exit_code = 0;
    imapult::importers::add_import_commands(app, exit_code);
    app.require_subcommand(1);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    return exit_code;
}
