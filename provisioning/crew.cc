#include "provisioning/crew.h"

#include <utility>

namespace imapult::provisioning {

Crew::Crew(std::size_t threads) {
    mutex_.lock();
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Crew::~Crew() {
    stop_ = true;
    mutex_.unlock();
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
}

void Crew::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
        if (stop_) return;
        auto job = std::move(waiting_.front());
        waiting_.pop_front();
        ++running_;
        if (state_) {
            auto result = job();
            if (!result && state_) state_ = std::move(result);
        }
        --running_;
        ended_.notify_one();
    }
}

Result<> Crew::submit(Job job) {
    std::unique_lock lock(mutex_, std::adopt_lock);
    ended_.wait(lock, [this] { return waiting_.size() < threads_.size(); });
    waiting_.push_back(std::move(job));
    wake_.notify_one();
    lock.release();
    return state_;
}

Result<> Crew::drain() {
    std::unique_lock lock(mutex_, std::adopt_lock);
    ended_.wait(lock, [this] { return waiting_.empty() && running_ == 0; });
    lock.release();
    return state_;
}

}  // namespace imapult::provisioning
