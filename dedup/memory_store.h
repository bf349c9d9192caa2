#pragma once
// The store in memory, for tests and for the simulator: the same promises as the one on disk, and a
// power cut at any moment.

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

#include "dedup/store.h"

namespace imapult::dedup {

/// The medium that outlives a crash. Thread-safe.
class MemoryDisk {
  public:
    MemoryDisk();
    ~MemoryDisk();

    /// A power cut: forgets every batch that is not durable, cuts off the stores that stand on the
    /// disk (their reads fail, their callbacks are never called). With `seed`, a random
    /// prefix of those batches survives, as after a real cut.
    void crash(std::optional<std::uint64_t> seed = std::nullopt);
    /// Every commit from now on fails with `error` (a full disk); nothing: works again.
    void fail_commits(std::optional<Error> error);
    /// Batches a crash would forget.
    [[nodiscard]] std::size_t batches_at_risk() const;

    struct State;

  private:
    friend std::unique_ptr<Store> open_memory_store(
        std::shared_ptr<MemoryDisk> disk, std::function<void(std::function<void()>)> executor);
    std::shared_ptr<State> state_;
};

/// A store on `disk`. `executor` runs the committer's work, one batch a call, in any later moment
/// but in the order given (the simulator's event queue); empty: inside commit().
/// `commit_and_wait` applies what is queued itself and does not need the executor.
std::unique_ptr<Store> open_memory_store(std::shared_ptr<MemoryDisk> disk,
                                         std::function<void(std::function<void()>)> executor = {});

}  // namespace imapult::dedup
