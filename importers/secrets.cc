#include "importers/secrets.h"

#include <termios.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "engine/base/text.h"

namespace imapult::importers {
namespace {

constexpr std::size_t kSecretBytesMax = 64UL * 1024;

Result<Secret> first_line(std::string text, const std::string& from) {
    if (const auto end = text.find('\n'); end != std::string::npos) text.resize(end);
    while (text.ends_with('\r')) text.pop_back();
    if (text.empty()) return invalid("no password in " + from);
    Secret secret(text);
    Secret::wipe(text);
    return secret;
}

Result<Secret> from_command(const std::string& command) {
    FILE* pipe = ::popen(command.c_str(), "re");
    if (pipe == nullptr) return invalid("the password command cannot be run");
    std::string text;
    std::array<char, 4096> block{};
    std::size_t n = 0;
    while (text.size() < kSecretBytesMax &&
           (n = std::fread(block.data(), 1, block.size(), pipe)) > 0)
        text.append(block.data(), n);
    if (::pclose(pipe) != 0) return invalid("the password command failed");
    return first_line(std::move(text), "the password command's output");
}

Result<Secret> from_terminal(const std::string& what) {
    termios old{};
    if (::isatty(STDIN_FILENO) == 0 || ::tcgetattr(STDIN_FILENO, &old) != 0) {
        return invalid("no password for the " + what + ": give --" + what +
                       "-password-file, -env or -command");
    }
    std::cerr << "Password for the " << what << ": " << std::flush;
    termios quiet = old;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    std::string line;
    std::getline(std::cin, line);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
    std::cerr << '\n';
    return first_line(std::move(line), "what was typed");
}

}  // namespace

Result<Secret> read_secret(const SecretSource& source, const std::string& what) {
    const int given = (source.file.empty() ? 0 : 1) + (source.env.empty() ? 0 : 1) +
                      (source.command.empty() ? 0 : 1);
    if (given > 1)
        return invalid("give only one of --" + what + "-password-file, -env and -command");
    if (!source.file.empty()) {
        std::ifstream file(source.file, std::ios::binary);
        std::string line;
        if (!file || !std::getline(file, line))
            return invalid("the password file " + printable(source.file) +
                           " cannot be read or is empty");
        return first_line(std::move(line), "the password file");
    }
    if (!source.env.empty()) {
        const char* value = std::getenv(source.env.c_str());
        if (value == nullptr)
            return invalid("the environment variable " + printable(source.env) + " is not set");
        return first_line(value, "the environment variable");
    }
    if (!source.command.empty()) return from_command(source.command);
    return from_terminal(what);
}

}  // namespace imapult::importers
