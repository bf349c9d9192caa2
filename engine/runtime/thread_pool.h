#pragma once
// Threads for what blocks: name resolution, the ledger's reads, files.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/runtime/sync.h"

namespace imapult::runtime {

/// Threads are started when there is work for them, at most `threads_max`, with all signals
/// blocked. Destruction finishes what was submitted.
class ThreadPool final : public BlockingPool {
  public:
    explicit ThreadPool(std::size_t threads_max);
    ~ThreadPool() override;
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    /// From any thread. `work` must not throw.
    void submit(std::function<void()> work) override;

  private:
    void work_loop();

    std::size_t threads_max_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> queue_;
    std::vector<std::thread> threads_;
    std::size_t idle_ = 0;
    bool ending_ = false;
};

}  // namespace imapult::runtime
