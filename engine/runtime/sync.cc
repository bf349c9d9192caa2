#include "engine/runtime/sync.h"

#include <algorithm>
#include <utility>

#include "engine/runtime/detached.h"

namespace imapult::runtime {

// ---- sleep_for -----------------------------------------------------------------------------

namespace {

struct Sleep {
    Scheduler& scheduler;
    Nanos due;
    std::coroutine_handle<> handle;

    bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> awaiter) {
        handle = awaiter;
        scheduler.add_timer(due, Callback{&Sleep::fire, this});
    }
    void await_resume() noexcept {}
    static void fire(void* context) {
        auto* self = static_cast<Sleep*>(context);
        self->scheduler.post(self->handle);
    }
};

}  // namespace

Task<void> sleep_for(Scheduler& scheduler, Nanos duration) {
    Sleep sleep{scheduler, scheduler.now() + duration, {}};
    co_await sleep;
}

// ---- Event ---------------------------------------------------------------------------------

void Event::Waiter::await_suspend(std::coroutine_handle<> awaiter) {
    handle = awaiter;
    event->link(*this);
    if (deadline != Nanos::max()) {
        timer = event->scheduler_->add_timer(deadline, Callback{&Event::expire, this});
    }
}

void Event::link(Waiter& waiter) {
    waiter.previous = last_;
    waiter.next = nullptr;
    (last_ != nullptr ? last_->next : first_) = &waiter;
    last_ = &waiter;
}

void Event::unlink(Waiter& waiter) {
    (waiter.previous != nullptr ? waiter.previous->next : first_) = waiter.next;
    (waiter.next != nullptr ? waiter.next->previous : last_) = waiter.previous;
    waiter.next = waiter.previous = nullptr;
}

void Event::notify_all() {
    while (first_ != nullptr) {
        Waiter& waiter = *first_;
        unlink(waiter);
        if (waiter.timer != 0) scheduler_->cancel_timer(waiter.timer);
        scheduler_->post(waiter.handle);
    }
}

void Event::expire(void* context) {
    auto* waiter = static_cast<Waiter*>(context);
    waiter->event->unlink(*waiter);
    waiter->timed_out = true;
    waiter->event->scheduler_->post(waiter->handle);
}

// ---- TaskScope -----------------------------------------------------------------------------

detail::Detached TaskScope::run(TaskScope& scope, Task<void> task) {
    {
        // The task's frame goes before the scope hears of its end: nothing it holds outlives
        // join().
        Task<void> running = std::move(task);
        co_await std::move(running);
    }
    IMAPULT_ASSERT(scope.running_ > 0);
    if (--scope.running_ == 0) scope.idle_.notify_all();
}

void TaskScope::spawn(Task<void> task) {
    ++running_;
    scheduler_->post(run(*this, std::move(task)).handle);
}

Task<void> TaskScope::join() {
    while (running_ > 0) co_await idle_.wait();
}

// ---- Credit --------------------------------------------------------------------------------

bool Credit::fits(std::size_t amount) const {
    const auto wanted = static_cast<std::int64_t>(std::min(amount, total_));
    return free_ >= wanted;
}

Task<void> Credit::take(std::size_t amount) {
    // First come, first served: a large request is not starved by small ones behind it.
    if (!queue_.empty() || !fits(amount)) {
        const std::uint64_t ticket = next_ticket_++;
        queue_.push_back(ticket);
        while (queue_.front() != ticket || !fits(amount)) co_await changed_.wait();
        queue_.pop_front();
        if (!queue_.empty()) changed_.notify_all();
    }
    free_ -= static_cast<std::int64_t>(amount);
}

void Credit::give(std::size_t amount) {
    free_ += static_cast<std::int64_t>(amount);
    IMAPULT_ASSERT(free_ <= static_cast<std::int64_t>(total_));
    if (!queue_.empty()) changed_.notify_all();
}

}  // namespace imapult::runtime
