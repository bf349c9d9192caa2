// bench-run: runs one program and says what it used: wall time, processor time (with its children),
// peak memory, exit code. A small process of its own does this because Linux counts the memory of
// whoever forked a program into that program's peak.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

volatile pid_t child_pid = -1;
volatile std::sig_atomic_t timed_out = 0;

double seconds(const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
}

extern "C" void end_child(int signal_number) {
    if (signal_number == SIGALRM) timed_out = 1;
    if (child_pid > 0) ::kill(-child_pid, SIGKILL);
}

[[noreturn]] void become(char** command) {
    ::setpgid(0, 0);  // a group of its own, so that its children end with it
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::execvp(command[0], command);
    std::fprintf(stderr, "bench-run: %s: %s\n", command[0], std::strerror(errno));
    ::_exit(127);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        std::fprintf(stderr, "usage: bench-run RESULT.json TIMEOUT_SECONDS COMMAND…\n");
        return 2;
    }
    struct sigaction action{};
    action.sa_handler = end_child;
    for (const int number : {SIGALRM, SIGTERM, SIGINT}) ::sigaction(number, &action, nullptr);

    const auto begin = std::chrono::steady_clock::now();
    const pid_t pid = ::fork();
    if (pid == 0) become(argv + 3);
    if (pid < 0) {
        std::perror("bench-run: fork");
        return 1;
    }
    child_pid = pid;
    ::alarm(static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)));
    int status = 0;
    rusage used{};
    while (::wait4(pid, &status, 0, &used) < 0 && errno == EINTR) {
    }
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
    ::alarm(0);
    ::kill(-pid, SIGKILL);  // whatever it left running

    std::FILE* out = std::fopen(argv[1], "w");
    if (out == nullptr) {
        std::perror("bench-run: cannot write the result");
        return 1;
    }
    std::fprintf(
        out,
        R"({"seconds": %.4f, "cpu_seconds": %.4f, "peak_rss_bytes": %ld, "exit_code": %d, )"
        R"("timed_out": %s})"
        "\n",
        wall.count(), seconds(used.ru_utime) + seconds(used.ru_stime), used.ru_maxrss * 1024,
        WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
        timed_out != 0 ? "true" : "false");
    return std::fclose(out) == 0 ? 0 : 1;
}
