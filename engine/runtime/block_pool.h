#pragma once
// The blocks a shard receives into: one reserved range of memory, touched only where it was used.
//
// The kernel takes blocks from its end of a shared queue (a provided buffer ring) in first in,
// first out order. To keep few blocks hot in the cache instead of cycling through all of them, the
// queue holds only what the armed receives may need; the rest lies on a stack, last used on top.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/base/limits.h"

struct io_uring;
struct io_uring_buf_ring;

namespace imapult::runtime {

class BlockPool {
  public:
    static constexpr std::uint16_t kGroup = 0;
    static constexpr std::uint16_t kNone = UINT16_MAX;

    /// Registers the queue with `ring`; null where the kernel cannot (older than 5.19, no memory).
    static std::unique_ptr<BlockPool> create(io_uring& ring);
    ~BlockPool();
    BlockPool(const BlockPool&) = delete;
    BlockPool& operator=(const BlockPool&) = delete;

    /// A receive is about to be submitted: makes sure that the kernel finds blocks.
    void arm();
    /// A receive completed with `bytes` octets (0 or less: none) beginning in block `first`, which
    /// is given only if the kernel says that it took blocks. Afterwards the blocks taken are
    /// linked by next() in the order of their bytes.
    void disarm();
    void taken(std::uint16_t first, std::int32_t bytes);

    [[nodiscard]] char* data(std::uint16_t block) const {
        return memory_ + static_cast<std::size_t>(block) * limits::kReceiveBlockBytes;
    }
    [[nodiscard]] std::uint16_t next(std::uint16_t block) const { return next_[block]; }
    void release(std::uint16_t block);

    /// Blocks that somebody holds: neither free nor with the kernel.
    [[nodiscard]] std::size_t held() const { return held_; }

  private:
    BlockPool() = default;
    void provide(std::size_t count);

    char* memory_ = nullptr;
    io_uring_buf_ring* queue_ = nullptr;
    std::size_t queue_bytes_ = 0;
    std::vector<std::uint16_t> free_;   ///< a stack: the block used last is used next
    std::vector<std::uint16_t> order_;  ///< queue place → block
    std::vector<std::uint16_t> place_;  ///< block → queue place
    std::vector<std::uint16_t> next_;   ///< block → block with the following bytes
    std::uint16_t tail_ = 0;            ///< queue place of the next block provided
    std::size_t provided_ = 0;          ///< blocks in the queue now
    std::size_t armed_ = 0;             ///< receives in flight
    std::size_t held_ = 0;
};

}  // namespace imapult::runtime
