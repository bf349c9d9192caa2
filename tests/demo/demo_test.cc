// `imapult demo` as a newcomer meets it: what it says, how it ends, and that nothing stays behind.

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "engine/base/text.h"

namespace imapult::demo {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

constexpr auto kMomentToEnd = std::chrono::seconds(5);
constexpr auto kPatience = 60s;

/// The program with standard output and error on a pipe or a terminal, as the leader of a session
/// of its own, so that whatever it leaves running is found.
class Program {
  public:
    Program(std::vector<std::string> arguments, const std::string& temporary, bool terminal) {
        arguments.insert(arguments.begin(), IMAPULT_PROGRAM);
        std::array<int, 2> ends{-1, -1};
        if (!terminal && pipe(ends.data()) != 0)
            throw std::system_error(errno, std::system_category());
        winsize size{.ws_row = 30, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
        pid_ = terminal ? forkpty(&output_, nullptr, nullptr, &size) : fork();
        // Never with -1: kill(-1, …) would end every process of this machine.
        if (pid_ < 0) throw std::system_error(errno, std::system_category());
        if (pid_ != 0) {
            if (!terminal) {
                close(ends[1]);
                output_ = ends[0];
            }
            return;
        }
        if (!terminal) {
            setsid();
            dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
            dup2(ends[1], STDOUT_FILENO);
            dup2(ends[1], STDERR_FILENO);
            close(ends[0]);
            close(ends[1]);
        }
        setenv("TMPDIR", temporary.c_str(), 1);
        setenv("TERM", "xterm", 1);
        unsetenv("NO_COLOR");
        std::vector<char*> words;
        for (std::string& argument : arguments) words.push_back(argument.data());
        words.push_back(nullptr);
        execv(words[0], words.data());
        _exit(127);
    }
    ~Program() {
        if (!ended_ && pid_ > 0) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
        close(output_);
    }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    /// Reads until `text` has been printed; false if the program ends first.
    bool wait_for(std::string_view text) {
        return read_until([&] { return output.contains(text); });
    }
    /// The exit code, after everything has been read; -1 if it did not end by itself.
    int finish() {
        read_until([] { return false; });
        int status = 0;
        if (waitpid(pid_, &status, 0) != pid_) return -1;
        ended_ = true;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    void interrupt() const { kill(pid_, SIGINT); }
    /// A helper of the sanitizers (llvm-symbolizer) may need a moment to see that we are gone.
    [[nodiscard]] bool left_something_running() const {
        const auto deadline = std::chrono::steady_clock::now() + kMomentToEnd;
        while (kill(-pid_, 0) == 0) {
            if (std::chrono::steady_clock::now() > deadline) return true;
            poll(nullptr, 0, 20);
        }
        return false;
    }

    std::string output;

  private:
    bool read_until(const std::function<bool()>& done) {
        const auto deadline = std::chrono::steady_clock::now() + kPatience;
        while (!done()) {
            pollfd waiting{output_, POLLIN, 0};
            if (std::chrono::steady_clock::now() > deadline) {
                ADD_FAILURE() << "nothing more after " << output;
                kill(pid_, SIGKILL);
                return false;
            }
            if (poll(&waiting, 1, 1000) <= 0) continue;
            std::array<char, 4096> block{};
            const ssize_t got = read(output_, block.data(), block.size());
            if (got <= 0) return false;
            output.append(block.data(), static_cast<std::size_t>(got));
        }
        return true;
    }

    pid_t pid_ = -1;
    int output_ = -1;
    bool ended_ = false;
};

/// A bare chroot has no /dev/pts.
bool has_terminals() {
    int master = -1, slave = -1;
    if (openpty(&master, &slave, nullptr, nullptr, nullptr) != 0) return false;
    close(master);
    close(slave);
    return true;
}

class DemoTest : public ::testing::Test {
  protected:
    DemoTest() {
        std::string pattern = ::testing::TempDir() + "imapult-demo-test-XXXXXX";
        folder_ = mkdtemp(pattern.data());
        std::filesystem::create_directory(temporary());
    }
    ~DemoTest() override {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    [[nodiscard]] std::string temporary() const { return folder_ + "/tmp"; }

    void expect_nothing_left(const Program& program) const {
        EXPECT_FALSE(program.left_something_running());
        EXPECT_TRUE(std::filesystem::is_empty(temporary()));
        const std::vector<std::uint16_t> ports = ports_of(program.output);
        EXPECT_EQ(ports.size(), 2U) << program.output;
        for (const std::uint16_t port : ports) EXPECT_FALSE(answers(port)) << port;
    }

    std::string folder_;

  private:
    static std::vector<std::uint16_t> ports_of(std::string_view output) {
        constexpr std::string_view kServer = "server  127.0.0.1:";
        std::vector<std::uint16_t> ports;
        for (auto at = output.find(kServer); at != std::string_view::npos;
             at = output.find(kServer, at + 1)) {
            const std::string_view digits = output.substr(at + kServer.size());
            const auto port = parse_number(digits.substr(0, digits.find(' ')));
            if (port) ports.push_back(static_cast<std::uint16_t>(*port));
        }
        return ports;
    }
    static bool answers(std::uint16_t port) {
        const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const bool connected =
            connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
        close(descriptor);
        return connected;
    }
};

TEST_F(DemoTest, EverythingArrivesAndNothingStaysBehind) {
    const std::string report = folder_ + "/demo.html";
    Program program({"demo", "--messages", "400", "--report", report}, temporary(), false);
    EXPECT_EQ(program.finish(), 0) << program.output;
    const std::string& out = program.output;
    for (const char* line :
         {"6 accounts", "1  migrate", "2  delta", "3  verify", "4  report",
          "8 messages, 6 flag changes", "0 different, 0 missing, 0 too many", "office@example.com",
          "same octets, flags, dates, mailbox and order", "5  import",
          "246 events and tasks, 180 contacts", "again: nothing sent", "6 refused",
          "migrate --accounts accounts.csv \\"}) {
        EXPECT_THAT(out, HasSubstr(line));
    }
    // Plain where nobody looks: no control sequences, no cursor movement.
    EXPECT_THAT(out, Not(HasSubstr("\x1b")));
    EXPECT_THAT(out, Not(HasSubstr("\r")));
    // The command to run on one's own servers is the last thing to be read.
    EXPECT_TRUE(
        out.ends_with("--source imaps://old.example.com --destination imaps://new.example.com\n"))
        << out;
    std::ifstream file(report);
    EXPECT_THAT(std::string(std::istreambuf_iterator<char>(file), {}), HasSubstr("<html"));
    expect_nothing_left(program);
}

TEST_F(DemoTest, OnATerminalProgressIsShownAndTheTerminalLeftAsItWas) {
    if (!has_terminals()) GTEST_SKIP() << "this machine has no pseudo-terminals";
    Program program({"demo", "--messages", "400"}, temporary(), true);
    EXPECT_EQ(program.finish(), 0) << program.output;
    const std::string& out = program.output;
    EXPECT_THAT(out, HasSubstr("imapult migrate"));
    EXPECT_THAT(out, HasSubstr("\x1b[1m"));
    // Line wrapping is on again after every frame, and the cursor was never hidden.
    EXPECT_GT(out.rfind("\x1b[?7h"), out.rfind("\x1b[?7l"));
    EXPECT_THAT(out, Not(HasSubstr("\x1b[?25l")));
    expect_nothing_left(program);
}

TEST_F(DemoTest, CtrlCEndsItAndNothingStaysBehind) {
    Program program({"demo"}, temporary(), false);
    ASSERT_TRUE(program.wait_for("1  migrate")) << program.output;
    program.interrupt();
    EXPECT_EQ(program.finish(), 130) << program.output;
    EXPECT_THAT(program.output, HasSubstr("Interrupted."));
    EXPECT_THAT(program.output, Not(HasSubstr("4  report")));
    expect_nothing_left(program);
}

TEST_F(DemoTest, AReportThatCannotBeWrittenIsSaidBeforeAnythingIsCopied) {
    Program program({"demo", "--messages", "100", "--report", folder_ + "/none/demo.html"},
                    temporary(), false);
    EXPECT_EQ(program.finish(), 2) << program.output;
    EXPECT_THAT(program.output, HasSubstr("--report"));
    expect_nothing_left(program);
}

TEST_F(DemoTest, WithoutATemporaryFolderItSaysWhatCures) {
    Program program({"demo"}, folder_ + "/nowhere", false);
    EXPECT_EQ(program.finish(), 1);
    EXPECT_THAT(program.output, HasSubstr("TMPDIR"));
}

}  // namespace
}  // namespace imapult::demo
