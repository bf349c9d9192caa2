#pragma once
// SIGINT, SIGTERM and SIGHUP (unless ignored, as by nohup): the first asks the run to end cleanly,
// the second to end at once, a third ends the program. SIGUSR1 asks how things stand. They are
// taken by a thread, so that no code runs in a signal handler.

#include <atomic>
#include <functional>
#include <thread>

#include "engine/campaign/campaign.h"

namespace imapult::program {

/// Blocks the signals in the calling thread, and so in all that it starts; also ignores SIGPIPE.
/// Call before any other thread exists.
void block_signals();

class SignalThread {
  public:
    /// `told` is called on the thread for every signal with the level that was asked for, `asked`
    /// for SIGUSR1.
    SignalThread(campaign::StopToken& stop, std::function<void(campaign::StopToken::Level)> told,
                 std::function<void()> asked);
    ~SignalThread();
    SignalThread(const SignalThread&) = delete;
    SignalThread& operator=(const SignalThread&) = delete;
    /// The first signal that came, or 0.
    [[nodiscard]] int first_signal() const { return first_.load(); }

  private:
    void run();
    campaign::StopToken& stop_;
    std::function<void(campaign::StopToken::Level)> told_;
    std::function<void()> asked_;
    std::atomic<int> first_{0};
    std::atomic<bool> ending_{false};
    std::thread thread_;
};

}  // namespace imapult::program
