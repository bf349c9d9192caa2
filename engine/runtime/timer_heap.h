#pragma once
// Pending timers of one shard: a binary heap whose entries know their place, so that cancelling is
// O(log n) and nothing is left behind. Equal deadlines fire in the order they were added.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/runtime/scheduler.h"

namespace imapult::runtime {

class TimerHeap {
  public:
    TimerId add(Nanos due, Callback callback);
    /// Unknown, fired and cancelled ids are ignored.
    void cancel(TimerId id);

    [[nodiscard]] bool empty() const { return heap_.empty(); }
    [[nodiscard]] std::size_t size() const { return heap_.size(); }
    /// The earliest deadline.
    [[nodiscard]] std::optional<Nanos> next_due() const;
    /// Removes and returns the earliest timer if it is due at `now`.
    std::optional<Callback> take_due(Nanos now);

  private:
    static constexpr std::uint32_t kFree = UINT32_MAX;
    struct Slot {
        Nanos due{0};
        std::uint64_t order = 0;
        Callback callback;
        std::uint32_t place = kFree;  ///< index in heap_
        std::uint32_t generation = 1;
    };

    [[nodiscard]] bool before(std::uint32_t a, std::uint32_t b) const;
    void put(std::uint32_t place, std::uint32_t slot);
    void sift_up(std::uint32_t place);
    void sift_down(std::uint32_t place);
    void remove_at(std::uint32_t place);

    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;
    std::vector<std::uint32_t> heap_;  ///< slot numbers
    std::uint64_t added_ = 0;
};

}  // namespace imapult::runtime
