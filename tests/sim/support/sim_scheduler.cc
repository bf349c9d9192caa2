#include "sim/support/sim_scheduler.h"

#include <memory>
#include <utility>

#include "engine/runtime/detached.h"

namespace imapult::sim {

namespace {

runtime::detail::Detached run_root(runtime::Task<void> task, std::shared_ptr<bool> done) {
    {
        runtime::Task<void> running = std::move(task);
        co_await std::move(running);
    }
    *done = true;
}

}  // namespace

SimScheduler::~SimScheduler() = default;

bool SimScheduler::step() {
    if (next_ == ready_.size()) {
        ready_.clear();
        next_ = 0;
        return false;
    }
    if (shuffled_) {
        const std::size_t other = next_ + random_.below(ready_.size() - next_);
        std::swap(ready_[next_], ready_[other]);
    }
    Ready item = std::move(ready_[next_++]);
    if (next_ == ready_.size() || next_ >= 1024) {
        ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(next_));
        next_ = 0;
    }
    ++steps_;
    if (item.handle) {
        item.handle.resume();
    } else {
        item.work();
    }
    return true;
}

void SimScheduler::run_until_idle() {
    while (step()) {
    }
}

bool SimScheduler::advance() {
    const auto due = timers_.next_due();
    if (!due) return false;
    clock_.advance_to(*due);
    while (auto callback = timers_.take_due(clock_.monotonic())) (*callback)();
    return true;
}

bool SimScheduler::run(runtime::Task<void> task, std::uint64_t steps_max, Nanos until) {
    const auto done = std::make_shared<bool>(false);  // outlives us if the task does not finish
    const std::uint64_t last = steps_ + steps_max;
    post(run_root(std::move(task), done).handle);
    while (!*done) {
        if (steps_ >= last || now() > until) return false;
        if (!step() && !advance()) return false;
    }
    return true;
}

}  // namespace imapult::sim
