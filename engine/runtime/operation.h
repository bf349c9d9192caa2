#pragma once
// One kernel operation on a ring, owned by whoever waits for it. It lives in the object or in the
// coroutine frame that started it and must not go while it is in flight (asserted).

#include <coroutine>
#include <cstdint>

#include "engine/base/error.h"

namespace imapult::runtime {

/// What the ring calls with a completion: a plain function and its context. One submission may
/// complete many times.
struct Completion {
    void (*function)(void* context, std::int32_t result, std::uint32_t flags) = nullptr;
    void* context = nullptr;
};

/// Usage: `ring.start_send(op, fd, bytes); const std::int32_t n = co_await op;`
/// The result is the kernel's: a count, or a negative errno (-ECANCELED after Ring::cancel()).
class Operation {
  public:
    Operation() = default;
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    ~Operation() { IMAPULT_ASSERT(!in_flight_); }

    [[nodiscard]] bool in_flight() const { return in_flight_; }

    auto operator co_await() noexcept {
        struct Awaiter {
            Operation& operation;
            bool await_ready() noexcept { return !operation.in_flight_; }
            void await_suspend(std::coroutine_handle<> awaiter) noexcept {
                operation.waiter_ = awaiter;
            }
            std::int32_t await_resume() noexcept { return operation.result_; }
        };
        return Awaiter{*this};
    }

  private:
    friend class Ring;
    Completion completion_;
    class Ring* ring_ = nullptr;
    std::coroutine_handle<> waiter_;
    std::int32_t result_ = 0;
    bool in_flight_ = false;

  protected:
    /// Set by a receive: the first block taken from the ring's pool, if any.
    std::uint16_t first_block_ = 0;
    bool has_blocks_ = false;
    bool more_waiting_ = false;
};

/// A receive into blocks of the ring's pool.
class ReceiveOperation : public Operation {
  public:
    /// True if the result is in blocks: they start at first_block() and belong to the caller, who
    /// gives each one back with Ring::release_block().
    [[nodiscard]] bool has_blocks() const { return has_blocks_; }
    [[nodiscard]] std::uint16_t first_block() const { return first_block_; }
    /// True if the socket held more bytes than were taken: the next receive will not wait.
    [[nodiscard]] bool more_waiting() const { return more_waiting_; }

  private:
    friend class Ring;
};

}  // namespace imapult::runtime
