#include "tools/imapult/secrets.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "engine/base/text.h"

namespace imapult::program {
namespace {

constexpr std::size_t kSecretBytesMax = 64 * 1024;
constexpr std::chrono::seconds kSecretCommandTimeout{60};
constexpr char kControlC = 3;

/// A file descriptor that is closed when it goes.
class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() { reset(); }
    void reset() {
        if (fd_ >= 0) close(fd_);
        fd_ = -1;
    }
    [[nodiscard]] int get() const { return fd_; }

  private:
    int fd_;
};

/// Reads until the end, the limit or the deadline; the text is wiped by the caller.
Result<void> read_all(int fd, std::string& text, std::chrono::steady_clock::time_point deadline) {
    std::array<char, 4096> block{};
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        pollfd waiting{fd, POLLIN, 0};
        const int ready =
            poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return invalid("it does not end");
        const ssize_t got = read(fd, block.data(), block.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return invalid(std::strerror(errno));
        if (got == 0) break;
        if (text.size() + static_cast<std::size_t>(got) > kSecretBytesMax) {
            return invalid("it is longer than 64 KiB");
        }
        text.append(block.data(), static_cast<std::size_t>(got));
    }
    explicit_bzero(block.data(), block.size());
    return {};
}

/// The first line as a secret; wipes `text`.
Result<Secret> first_line(std::string& text) {
    std::string line = text.substr(0, text.find('\n'));
    Secret::wipe(text);
    if (line.ends_with('\r')) line.pop_back();
    Secret secret(line);
    const bool has_nul = line.find('\0') != std::string::npos;
    Secret::wipe(line);
    if (secret.empty()) return invalid("its first line is empty");
    if (has_nul) return invalid("its first line holds a NUL character");
    return secret;
}

/// `sh -c command` with its standard output in a pipe, all signals as a shell expects them.
Result<pid_t> spawn_shell(const std::string& command, int output) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    std::string shell = "sh";
    std::string option = "-c";
    std::string text = command;
    std::array<char*, 4> argv{shell.data(), option.data(), text.data(), nullptr};
    pid_t pid = -1;
    const int failed = posix_spawn(&pid, "/bin/sh", &actions, &attributes, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failed != 0) return invalid(std::strerror(failed));
    return pid;
}

int wait_for(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

std::unexpected<Error> explain(std::string what, const Error& why, std::string cure) {
    return invalid(fmt::format("{}: {}; {}", what, why.text, cure));
}

}  // namespace

Result<Secret> read_secret_file(const std::string& path, std::string* warning) {
    const std::string name = "the file " + printable(path);
    const std::string cure = "it must hold the secret as its first line";
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (file.get() < 0) return explain(name, Error{.text = std::strerror(errno)}, cure);
    struct stat status{};
    if (fstat(file.get(), &status) == 0) {
        if (S_ISDIR(status.st_mode)) return explain(name, Error{.text = "it is a folder"}, cure);
        if (warning != nullptr && S_ISREG(status.st_mode) &&
            (status.st_mode & (S_IRGRP | S_IROTH)) != 0) {
            *warning = fmt::format("{} can be read by other users; chmod 600 cures it", name);
        }
    }
    std::string text;
    const auto deadline = std::chrono::steady_clock::now() + kSecretCommandTimeout;
    if (auto done = read_all(file.get(), text, deadline); !done) {
        Secret::wipe(text);
        return explain(name, done.error(), cure);
    }
    auto secret = first_line(text);
    if (!secret) return explain(name, secret.error(), cure);
    return secret;
}

Result<Secret> read_secret_environment(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') {
        return invalid(
            fmt::format("the environment variable {} is not set or empty; export it "
                        "with the secret as its value",
                        printable(name)));
    }
    return Secret(std::string(value));
}

Result<Secret> read_secret_command(const std::string& command) {
    // The command line itself may hold something private: it is not repeated.
    const std::string name = "the command for the secret";
    const std::string cure = "it must print the secret as its first line and end with status 0";
    std::array<int, 2> ends{-1, -1};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
        return explain(name, Error{.text = std::strerror(errno)}, cure);
    }
    const Descriptor output(ends[0]);
    Descriptor input(ends[1]);
    const auto pid = spawn_shell(command, input.get());
    input.reset();
    if (!pid) return explain(name, pid.error(), cure);
    std::string text;
    const auto deadline = std::chrono::steady_clock::now() + kSecretCommandTimeout;
    const auto done = read_all(output.get(), text, deadline);
    if (!done) kill(*pid, SIGKILL);
    const int status = wait_for(*pid);
    if (!done || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        Secret::wipe(text);
        const std::string why = !done ? done.error().text
                                : WIFEXITED(status)
                                    ? fmt::format("it ended with status {}", WEXITSTATUS(status))
                                    : std::string("it was ended by a signal");
        return explain(name, Error{.text = why}, cure);
    }
    auto secret = first_line(text);
    if (!secret) return explain(name, secret.error(), cure);
    return secret;
}

bool can_prompt() {
    const Descriptor terminal(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
    return terminal.get() >= 0;
}

Result<Secret> prompt_secret(const std::string& question) {
    const Descriptor terminal(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
    if (terminal.get() < 0) return invalid("there is no terminal to ask for a password on");
    termios before{};
    if (tcgetattr(terminal.get(), &before) != 0) return invalid("the terminal cannot be set up");
    termios silent = before;
    // Ctrl-C ends the line instead of the program, so that the echo comes back in any case.
    silent.c_lflag &= static_cast<tcflag_t>(~(ECHO | ECHONL | ISIG));
    silent.c_lflag |= ICANON;
    silent.c_cc[VEOL] = kControlC;
    const auto say = [&](std::string_view text) {
        (void)!write(terminal.get(), text.data(), text.size());
    };
    tcsetattr(terminal.get(), TCSAFLUSH, &silent);
    say(question + ": ");
    std::array<char, 1024> line{};
    ssize_t got = -1;
    do {
        got = read(terminal.get(), line.data(), line.size());
    } while (got < 0 && errno == EINTR);
    tcsetattr(terminal.get(), TCSAFLUSH, &before);
    say("\n");
    std::string text(line.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    explicit_bzero(line.data(), line.size());
    if (text.ends_with(kControlC)) {
        Secret::wipe(text);
        std::raise(SIGINT);
        return invalid("no password was typed");
    }
    auto secret = first_line(text);
    if (!secret) return invalid("no password was typed");
    return secret;
}

SecretSource fixed_secret(Secret secret, std::string origin) {
    return SecretSource{[kept = std::move(secret)]() -> Result<Secret> { return kept; },
                        std::move(origin)};
}

Result<SecretSource> password_source(const SecretArguments& arguments,
                                     std::vector<std::string>& warnings) {
    if (!arguments.file.empty()) {
        std::string warning;
        IMAPULT_TRY(Secret secret, read_secret_file(arguments.file, &warning));
        if (!warning.empty()) warnings.push_back(std::move(warning));
        return fixed_secret(std::move(secret), "the file " + printable(arguments.file));
    }
    if (!arguments.environment.empty()) {
        IMAPULT_TRY(Secret secret, read_secret_environment(arguments.environment));
        return fixed_secret(std::move(secret),
                            "the environment variable " + printable(arguments.environment));
    }
    IMAPULT_TRY(Secret secret, read_secret_command(arguments.command));
    return fixed_secret(std::move(secret), "the password command");
}

Result<SecretSource> token_source(const SecretArguments& arguments,
                                  std::vector<std::string>& warnings) {
    if (!arguments.file.empty()) {
        std::string warning;
        IMAPULT_TRY([[maybe_unused]] const Secret probe,
                    read_secret_file(arguments.file, &warning));
        if (!warning.empty()) warnings.push_back(std::move(warning));
        return SecretSource{[path = arguments.file] { return read_secret_file(path, nullptr); },
                            "the token file " + printable(arguments.file)};
    }
    if (!arguments.environment.empty()) {
        IMAPULT_TRY(Secret secret, read_secret_environment(arguments.environment));
        return fixed_secret(std::move(secret),
                            "the environment variable " + printable(arguments.environment));
    }
    return SecretSource{[command = arguments.command] { return read_secret_command(command); },
                        "the token command"};
}

void protect_process() {
#if !__has_feature(address_sanitizer)  // LeakSanitizer has to attach to us at the end
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    umask(077);
}

}  // namespace imapult::program
