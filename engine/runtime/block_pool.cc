#include "engine/runtime/block_pool.h"

#include <liburing.h>
#include <sys/mman.h>

#include <algorithm>

#include "engine/base/error.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

namespace imapult::runtime {

namespace {

constexpr std::size_t kBlocks = limits::kReceiveBlocks;
constexpr std::uint16_t kMask = kBlocks - 1;
static_assert((kBlocks & kMask) == 0 && kBlocks <= 32768, "the kernel wants a power of two");

/// Blocks in the queue while few receives are armed; also how much one bundled receive can take
/// (8 × 64 KiB), small enough to stay in a core's cache.
constexpr std::size_t kProvidedMin = 8;
static_assert(kProvidedMin <= kBlocks);

void* reserve(std::size_t bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

std::unique_ptr<BlockPool> BlockPool::create(io_uring& ring) {
    std::unique_ptr<BlockPool> pool(new BlockPool);
    pool->queue_bytes_ = kBlocks * sizeof(io_uring_buf);
    pool->queue_ = static_cast<io_uring_buf_ring*>(reserve(pool->queue_bytes_));
    const std::size_t bytes = kBlocks * limits::kReceiveBlockBytes;
    pool->memory_ = static_cast<char*>(reserve(bytes));
    if (pool->queue_ == nullptr || pool->memory_ == nullptr) return nullptr;
    // A huge page would make 2 MiB resident for the first byte.
    madvise(pool->memory_, bytes, MADV_NOHUGEPAGE);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uint64_t>(pool->queue_);
    registration.ring_entries = kBlocks;
    registration.bgid = kGroup;
    if (io_uring_register_buf_ring(&ring, &registration, 0) != 0) return nullptr;
    io_uring_buf_ring_init(pool->queue_);
    pool->order_.resize(kBlocks);
    pool->place_.resize(kBlocks);
    pool->next_.resize(kBlocks, kNone);
    pool->free_.reserve(kBlocks);
    for (std::size_t block = kBlocks; block > 0; --block) {
        pool->free_.push_back(static_cast<std::uint16_t>(block - 1));
    }
    ASAN_POISON_MEMORY_REGION(pool->memory_, bytes);
    return pool;
}

BlockPool::~BlockPool() {
    // The ring is closed by now, or the registration failed: nobody writes here any more.
    if (memory_ != nullptr) {
        ASAN_UNPOISON_MEMORY_REGION(memory_, kBlocks * limits::kReceiveBlockBytes);
        munmap(memory_, kBlocks * limits::kReceiveBlockBytes);
    }
    if (queue_ != nullptr) munmap(queue_, queue_bytes_);
}

void BlockPool::arm() {
    ++armed_;
    const std::size_t wanted = std::clamp(armed_, kProvidedMin, kBlocks);
    if (provided_ < wanted) provide(wanted - provided_);
}

void BlockPool::disarm() {
    IMAPULT_ASSERT(armed_ > 0);
    --armed_;
}

void BlockPool::provide(std::size_t count) {
    count = std::min(count, free_.size());
    if (count == 0) return;
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint16_t block = free_.back();
        free_.pop_back();
        io_uring_buf_ring_add(queue_, data(block), limits::kReceiveBlockBytes, block, kMask,
                              static_cast<int>(i));
        const auto place = static_cast<std::uint16_t>(tail_ & kMask);
        order_[place] = block;
        place_[block] = place;
        ++tail_;
    }
    provided_ += count;
    io_uring_buf_ring_advance(queue_, static_cast<int>(count));
}

void BlockPool::taken(std::uint16_t first, std::int32_t bytes) {
    IMAPULT_ASSERT(first < kBlocks);
    const std::size_t octets = bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
    const std::size_t count = std::max<std::size_t>(
        1, (octets + limits::kReceiveBlockBytes - 1) / limits::kReceiveBlockBytes);
    IMAPULT_ASSERT(count <= provided_);
    std::uint16_t block = first;
    std::uint16_t place = place_[first];
    for (std::size_t i = 0; i < count; ++i) {
        ASAN_UNPOISON_MEMORY_REGION(data(block), limits::kReceiveBlockBytes);
        place = static_cast<std::uint16_t>((place + 1) & kMask);
        const std::uint16_t following = i + 1 < count ? order_[place] : kNone;
        next_[block] = following;
        block = following;
    }
    provided_ -= count;
    held_ += count;
}

void BlockPool::release(std::uint16_t block) {
    IMAPULT_ASSERT(held_ > 0 && block < kBlocks);
    ASAN_POISON_MEMORY_REGION(data(block), limits::kReceiveBlockBytes);
    next_[block] = kNone;
    --held_;
    free_.push_back(block);
}

}  // namespace imapult::runtime
