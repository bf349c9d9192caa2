#pragma once
// What coroutines need of the thread they run on: be resumed, be resumed later, be resumed from
// elsewhere. One Scheduler = one thread ("shard"). The real one is the ring (ring.h); the simulator
// has its own with a clock that is moved by hand.

#include <coroutine>
#include <cstdint>
#include <functional>

#include "engine/base/clock.h"
#include "engine/runtime/task.h"

namespace imapult::runtime {

/// Something to call back, without allocation: a plain function and its context.
struct Callback {
    void (*function)(void* context) = nullptr;
    void* context = nullptr;
    void operator()() const { function(context); }
};

/// Identifies a pending timer; 0 is none.
using TimerId = std::uint64_t;

class Scheduler {
  public:
    virtual ~Scheduler() = default;

    [[nodiscard]] virtual const Clock& clock() const = 0;
    [[nodiscard]] Nanos now() const { return clock().monotonic(); }

    /// Resumes `handle` on this shard, after the current one suspends; first in, first out.
    /// Only from the shard's own thread.
    virtual void post(std::coroutine_handle<> handle) = 0;

    /// Runs `work` on the shard's thread soon. From any thread.
    virtual void post_remote(std::function<void()> work) = 0;

    /// Calls `callback` on the shard once `due` (monotonic) is reached. Shard's thread only.
    virtual TimerId add_timer(Nanos due, Callback callback) = 0;
    /// A cancelled timer never fires. Unknown and fired ids are ignored.
    virtual void cancel_timer(TimerId id) = 0;
};

/// `co_await sleep_for(scheduler, 100ms);`
Task<void> sleep_for(Scheduler& scheduler, Nanos duration);

}  // namespace imapult::runtime
