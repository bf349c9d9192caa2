#pragma once
// Time as the rest of the program sees it, so that the simulator can own it.

#include <chrono>
#include <cstdint>

namespace imapult {

using Nanos = std::chrono::nanoseconds;

/// A source of time. The real one reads CLOCK_MONOTONIC and CLOCK_REALTIME; the simulator's is
/// moved by hand.
class Clock {
  public:
    virtual ~Clock() = default;
    /// Time since some fixed point; never goes back.
    [[nodiscard]] virtual Nanos monotonic() const = 0;
    /// Seconds since 1970-01-01T00:00:00Z.
    [[nodiscard]] virtual std::int64_t unix_seconds() const = 0;
};

/// The machine's clock.
class SystemClock final : public Clock {
  public:
    [[nodiscard]] Nanos monotonic() const override {
        return std::chrono::steady_clock::now().time_since_epoch();
    }
    [[nodiscard]] std::int64_t unix_seconds() const override {
        return std::chrono::duration_cast<std::chrono::seconds>(
                   std::chrono::system_clock::now().time_since_epoch())
            .count();
    }
};

/// A clock that stands still until it is moved.
class ManualClock final : public Clock {
  public:
    explicit ManualClock(std::int64_t unix_seconds) : unix_start_(unix_seconds) {}
    void advance_to(Nanos when) { now_ = when > now_ ? when : now_; }
    [[nodiscard]] Nanos monotonic() const override { return now_; }
    [[nodiscard]] std::int64_t unix_seconds() const override {
        return unix_start_ + std::chrono::duration_cast<std::chrono::seconds>(now_).count();
    }

  private:
    Nanos now_{0};
    std::int64_t unix_start_;
};

}  // namespace imapult
