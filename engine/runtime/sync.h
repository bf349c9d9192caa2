#pragma once
// Waiting for each other inside one shard: no locks, no threads. Everything here is used from one
// thread only.

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>

#include "engine/runtime/detached.h"
#include "engine/runtime/scheduler.h"

namespace imapult::runtime {

/// A condition that somebody signals: waiters of `wait()` are resumed (posted, never inline) by the
/// next `notify_all()`. State lives with the caller: `while (!ready) co_await event.wait();`
class Event {
  public:
    explicit Event(Scheduler& scheduler) : scheduler_(&scheduler) {}
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    ~Event() { IMAPULT_ASSERT(!has_waiters()); }

    struct Waiter {
        Event* event;
        std::coroutine_handle<> handle;
        Nanos deadline{Nanos::max()};
        TimerId timer = 0;
        bool timed_out = false;
        Waiter* next = nullptr;
        Waiter* previous = nullptr;

        bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<> awaiter);
        /// False if the deadline came first.
        bool await_resume() noexcept { return !timed_out; }
    };

    /// Resumed by the next notify_all(): true; at `deadline` (monotonic): false.
    Waiter wait(Nanos deadline = Nanos::max()) {
        return Waiter{.event = this, .handle = {}, .deadline = deadline};
    }
    void notify_all();
    [[nodiscard]] bool has_waiters() const { return first_ != nullptr; }

  private:
    friend struct Waiter;
    void link(Waiter& waiter);
    void unlink(Waiter& waiter);
    static void expire(void* waiter);

    Scheduler* scheduler_;
    Waiter* first_ = nullptr;
    Waiter* last_ = nullptr;
};

/// Starts coroutines that run beside their starter and waits for all of them:
///
///     TaskScope scope(scheduler);
///     scope.spawn(read_loop());
///     scope.spawn(write_loop());
///     co_await scope.join();
///
/// The scope must be joined before it is destroyed (asserted): no frame ever outlives what it uses.
class TaskScope {
  public:
    explicit TaskScope(Scheduler& scheduler) : scheduler_(&scheduler), idle_(scheduler) {}
    TaskScope(const TaskScope&) = delete;
    TaskScope& operator=(const TaskScope&) = delete;
    ~TaskScope() { IMAPULT_ASSERT(running_ == 0); }

    /// Starts `task` (posted, not inline).
    void spawn(Task<void> task);
    /// Waits until every spawned task has finished.
    Task<void> join();
    [[nodiscard]] std::size_t running() const { return running_; }

  private:
    static detail::Detached run(TaskScope& scope, Task<void> task);

    Scheduler* scheduler_;
    Event idle_;
    std::size_t running_ = 0;
};

/// Counted credit: `co_await credit.take(n)` waits until n units are there. Larger requests than
/// the total are granted when everything is free, so that nothing waits for ever.
class Credit {
  public:
    Credit(Scheduler& scheduler, std::size_t total)
        : changed_(scheduler), total_(total), free_(static_cast<std::int64_t>(total)) {}
    Task<void> take(std::size_t amount);
    void give(std::size_t amount);
    [[nodiscard]] std::size_t free() const {
        return free_ > 0 ? static_cast<std::size_t>(free_) : 0;
    }
    [[nodiscard]] std::size_t total() const { return total_; }

  private:
    [[nodiscard]] bool fits(std::size_t amount) const;

    Event changed_;
    std::size_t total_;
    std::int64_t free_;  ///< below zero while a request larger than the total is out
    std::uint64_t next_ticket_ = 0;
    std::deque<std::uint64_t> queue_;  ///< tickets of those who wait
};

/// Runs a blocking function elsewhere and resumes here with its result. `Pool` is anything with
/// `void submit(std::function<void()>)` (runtime::ThreadPool; the simulator runs it in place).
class BlockingPool {
  public:
    virtual ~BlockingPool() = default;
    virtual void submit(std::function<void()> work) = 0;
};

/// `auto rows = co_await offload(scheduler, pool, [&] { return ledger.rows(id); });`
/// The function's result is moved back to the shard. The function object is taken by value.
template <class F>
Task<std::invoke_result_t<F>> offload(Scheduler& scheduler, BlockingPool& pool, F function) {
    using T = std::invoke_result_t<F>;
    struct Awaiter {
        Scheduler& scheduler;
        BlockingPool& pool;
        F& function;
        std::optional<T> result;
        bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<> awaiter) {
            pool.submit([this, awaiter] {
                result.emplace(function());
                scheduler.post_remote([awaiter] { awaiter.resume(); });
            });
        }
        T await_resume() { return std::move(*result); }
    };
    co_return co_await Awaiter{scheduler, pool, function, std::nullopt};
}

}  // namespace imapult::runtime
