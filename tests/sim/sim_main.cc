// sim_main --seeds N [--from S]           N seeds from S on; prints those that fail
// sim_main --seed S [--verbose | --wire]  one seed, and what happens in it
//
// Exit code 0: all passed; 1: some failed; 2: wrong arguments. A seed always does the same. Seeds
// run in a child process, so that a broken invariant or a sanitizer's report names its seed too.

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "sim/simulation.h"

namespace {

using imapult::sim::Numbers;
using imapult::sim::Verbosity;

constexpr unsigned kSecondsPerSeedMax = 120;  ///< of the machine's time

/// Where the child is and what it has found; shared with its parent.
struct Shared {
    std::uint64_t seed = 0;
    std::uint64_t failed = 0;
    Numbers sum;
};

bool run_seed(std::uint64_t seed, Verbosity verbosity, Numbers& sum) {
    // Never destroyed if it does not end: frames point into it.
    auto simulation =
        std::make_unique<imapult::sim::Simulation>(imapult::sim::make_scenario(seed), verbosity);
    const std::vector<std::string> problems = simulation->run();
    const Numbers& n = simulation->numbers();
    sum.passes += n.passes;
    sum.messages += n.messages;
    sum.connections += n.connections;
    sum.steps += n.steps;
    sum.unknown_outcomes += n.unknown_outcomes;
    if (problems.empty()) return true;
    std::printf("seed %llu FAILED (again: sim_main --seed %llu --verbose)\n",
                static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
    for (const std::string& problem : problems) std::printf("  %s\n", problem.c_str());
    std::fflush(stdout);
    (void)simulation.release();
    return false;
}

/// Runs seeds in children; a child that dies is replaced behind the seed that killed it.
void run_range(std::uint64_t from, std::uint64_t end, Shared& shared) {
    while (from < end) {
        std::fflush(stdout);
        const pid_t child = fork();
        if (child < 0) {
            std::perror("fork");
            std::exit(1);
        }
        if (child == 0) {
            for (std::uint64_t seed = from; seed < end; ++seed) {
                shared.seed = seed;
                alarm(kSecondsPerSeedMax);
                if (!run_seed(seed, Verbosity::quiet, shared.sum)) ++shared.failed;
            }
            shared.seed = end;
            std::fflush(stdout);
            _exit(0);
        }
        int status = 0;
        waitpid(child, &status, 0);
        from = shared.seed + 1;
        if (shared.seed == end) break;
        ++shared.failed;
        std::printf("seed %llu FAILED: the program ended with %s %d\n",
                    static_cast<unsigned long long>(shared.seed),
                    WIFSIGNALED(status) ? "signal" : "exit code",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
}

int usage() {
    std::fprintf(stderr, "usage: sim_main --seeds N [--from S] | --seed S [--verbose | --wire]\n");
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    std::uint64_t from = 1, seeds = 0, seed = 0;
    auto verbosity = Verbosity::quiet;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument == "--verbose" || argument == "--wire") {
            verbosity = argument == "--wire" ? Verbosity::wire : Verbosity::story;
            continue;
        }
        std::uint64_t* into = argument == "--seeds"  ? &seeds
                              : argument == "--from" ? &from
                              : argument == "--seed" ? &seed
                                                     : nullptr;
        if (into == nullptr || ++i == argc) return usage();
        char* end = nullptr;
        *into = std::strtoull(argv[i], &end, 10);
        if (end == argv[i] || *end != '\0') return usage();
    }
    if (seed > 0) {
        Numbers sum;
        const bool passed = run_seed(seed, verbosity, sum);
        if (passed) std::printf("seed %llu passed\n", static_cast<unsigned long long>(seed));
        std::fflush(stdout);
        _exit(passed ? 0 : 1);  // what did not end is left lying: no report of leaks
    }
    if (seeds == 0) return usage();
    void* memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        std::perror("mmap");
        return 1;
    }
    auto& shared = *new (memory) Shared();
    run_range(from, from + seeds, shared);
    std::printf(
        "%llu seeds from %llu on: %llu failed; %llu passes, %llu messages copied, "
        "%llu connections, %llu of them given up\n",
        static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(from),
        static_cast<unsigned long long>(shared.failed),
        static_cast<unsigned long long>(shared.sum.passes),
        static_cast<unsigned long long>(shared.sum.messages),
        static_cast<unsigned long long>(shared.sum.connections),
        static_cast<unsigned long long>(shared.sum.unknown_outcomes));
    return shared.failed == 0 ? 0 : 1;
}
