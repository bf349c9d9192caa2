#include "tools/imapult/signals.h"

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <utility>

namespace imapult::program {
namespace {

constexpr int kSignalBase = 128;         // what shells add to a signal's number
constexpr long kWaitNanos = 50'000'000;  // how long the end of a run waits for the thread
constexpr int kPatienceRounds = 200;     // 10 s for a run that was told to end at once

/// False under nohup: the run goes on when its terminal is gone.
bool hangup_counts() {
    struct sigaction now{};
    return sigaction(SIGHUP, nullptr, &now) == 0 && now.sa_handler != SIG_IGN;
}

sigset_t our_signals() {
    static const bool hangup = hangup_counts();
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    if (hangup) sigaddset(&set, SIGHUP);
    return set;
}

}  // namespace

void block_signals() {
    const sigset_t set = our_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

SignalThread::SignalThread(campaign::StopToken& stop,
                           std::function<void(campaign::StopToken::Level)> told,
                           std::function<void()> asked)
    : stop_(stop), told_(std::move(told)), asked_(std::move(asked)), thread_([this] { run(); }) {}

SignalThread::~SignalThread() {
    ending_ = true;
    thread_.join();
}

void SignalThread::run() {
    using Level = campaign::StopToken::Level;
    const sigset_t set = our_signals();
    const timespec wait{0, kWaitNanos};
    int rounds_left = -1;
    while (!ending_) {
        const int signal = sigtimedwait(&set, nullptr, &wait);
        // The ledger is consistent at any moment: an engine that hangs is left behind.
        if (rounds_left > 0 && --rounds_left == 0) std::_Exit(kSignalBase + first_.load());
        if (signal <= 0) continue;
        if (signal == SIGUSR1) {
            asked_();
            continue;
        }
        int none = 0;
        first_.compare_exchange_strong(none, signal);
        if (stop_.level() == Level::at_once) std::_Exit(kSignalBase + first_.load());
        const Level level = stop_.level() == Level::none ? Level::graceful : Level::at_once;
        if (level == Level::at_once) rounds_left = kPatienceRounds;
        told_(level);
        stop_.request(level);
    }
}

}  // namespace imapult::program
