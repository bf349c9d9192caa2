#pragma once
// A few threads that carry out jobs under one lock, which a job gives up while it waits for a
// server: what the jobs share needs no other protection, and only the waiting is side by side.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/base/error.h"

namespace imapult::provisioning {

class Crew {
  public:
    using Job = std::function<Result<>()>;

    /// The thread that makes a crew holds its lock until the crew goes, but for the time it waits
    /// in submit(), drain() and unlocked().
    explicit Crew(std::size_t threads);
    /// Jobs that have not begun are dropped; those that have begun are waited for.
    ~Crew();
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    /// Waits while as many jobs wait as there are threads. After a job's error no further job is
    /// begun. Errors: the first one of any job.
    Result<> submit(Job job);
    /// Waits until every job has ended. Errors: as submit().
    Result<> drain();
    /// Calls `wait` without the lock: from a job, or from the thread that made the crew.
    template <class Wait>
    auto unlocked(Wait&& wait) {
        mutex_.unlock();
        auto result = wait();
        mutex_.lock();
        return result;
    }

  private:
    void work();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable ended_;
    std::deque<Job> waiting_;
    std::size_t running_ = 0;
    bool stop_ = false;
    Result<> state_;
    std::vector<std::thread> threads_;
};

}  // namespace imapult::provisioning
