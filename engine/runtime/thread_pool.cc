#include "engine/runtime/thread_pool.h"

#include <pthread.h>

#include <csignal>
#include <utility>

namespace imapult::runtime {

ThreadPool::ThreadPool(std::size_t threads_max) : threads_max_(threads_max) {
    IMAPULT_ASSERT(threads_max > 0);
}

ThreadPool::~ThreadPool() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_) thread.join();
}

void ThreadPool::submit(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
    if (idle_ < queue_.size() && threads_.size() < threads_max_) {
        // Signals belong to the thread that waits for them; a new thread inherits our mask.
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        threads_.emplace_back([this] { work_loop(); });
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    changed_.notify_one();
}

void ThreadPool::work_loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        changed_.wait(lock, [this] { return ending_ || !queue_.empty(); });
        --idle_;
        if (queue_.empty()) return;
        std::function<void()> work = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        work();
        work = nullptr;
        lock.lock();
    }
}

}  // namespace imapult::runtime
