#pragma once
// A scheduler without kernel and without time of its own: the clock stands still until everything
// that can run has run, then jumps to the next timer. With a seed, the order of what is ready is
// shuffled (deterministically), so that code which depends on the order of posts is found out.

#include <coroutine>
#include <functional>
#include <optional>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "engine/runtime/scheduler.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"
#include "engine/runtime/timer_heap.h"

namespace imapult::sim {

class SimScheduler final : public runtime::Scheduler {
  public:
    /// Seed 0 keeps first in, first out.
    explicit SimScheduler(std::uint64_t seed = 0, std::int64_t unix_seconds = 1'700'000'000)
        : clock_(unix_seconds), random_(seed), shuffled_(seed != 0) {}
    ~SimScheduler() override;

    [[nodiscard]] const Clock& clock() const override { return clock_; }
    void post(std::coroutine_handle<> handle) override { ready_.emplace_back(handle, nullptr); }
    /// Queued like everything else; there are no other threads in a simulation.
    void post_remote(std::function<void()> work) override {
        ready_.emplace_back(nullptr, std::move(work));
    }
    runtime::TimerId add_timer(Nanos due, runtime::Callback callback) override {
        return timers_.add(due, callback);
    }
    void cancel_timer(runtime::TimerId id) override { timers_.cancel(id); }

    /// Runs what is ready until nothing is. The clock does not move.
    void run_until_idle();
    /// Moves the clock to the next timer and fires everything due then. False if there is none.
    bool advance();
    /// Runs `task`, moving the clock whenever everything waits. False if it cannot finish: nothing
    /// is ready, no timer is pending (a deadlock), `steps_max` resumptions were not enough (a
    /// live-lock), or the clock has passed `until` (only watchdogs run any more). The unfinished
    /// frame is then leaked on purpose: others may point into it.
    [[nodiscard]] bool run(runtime::Task<void> task, std::uint64_t steps_max = 50'000'000,
                           Nanos until = Nanos::max());

    [[nodiscard]] std::uint64_t steps() const { return steps_; }
    [[nodiscard]] std::size_t pending_timers() const { return timers_.size(); }

  private:
    struct Ready {
        std::coroutine_handle<> handle;
        std::function<void()> work;
    };
    bool step();

    ManualClock clock_;
    Random random_;
    bool shuffled_;
    std::vector<Ready> ready_;
    std::size_t next_ = 0;
    runtime::TimerHeap timers_;
    std::uint64_t steps_ = 0;
};

/// Runs the work in place: in a simulation blocking costs nothing.
class SimBlockingPool final : public runtime::BlockingPool {
  public:
    void submit(std::function<void()> work) override { work(); }
};

}  // namespace imapult::sim
