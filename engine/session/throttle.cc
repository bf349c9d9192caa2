#include "engine/session/throttle.h"

#include <algorithm>

#include "engine/base/limits.h"

namespace imapult::session {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kWindowBytesLeast = 64 * limits::kKiB;
constexpr std::uint64_t kWindowBytesStep = 256 * limits::kKiB;
constexpr std::uint64_t kBytesPerMessage = 2 * limits::kKiB;  ///< for counting small messages
constexpr Nanos kSlow = 30s;  ///< one window: the server, or the link, is at its limit
static_assert(kWindowBytesLeast < limits::kFetchWindowBytes);

}  // namespace

Pace::Pace(HostManners known)
    : window_bytes_(known.window_bytes == 0
                        ? limits::kFetchWindowBytes
                        : std::clamp<std::uint64_t>(known.window_bytes, kWindowBytesLeast,
                                                    limits::kFetchWindowBytes)),
      connections_(known.connections) {}

std::uint64_t Pace::window_bytes() const {
    const std::lock_guard lock(mutex_);
    return window_bytes_;
}

std::size_t Pace::window_messages() const {
    return static_cast<std::size_t>(window_bytes() / kBytesPerMessage);
}

unsigned Pace::connections(unsigned wanted) const {
    const std::lock_guard lock(mutex_);
    return connections_ == 0 ? wanted : std::clamp(connections_, 1U, std::max(wanted, 1U));
}

void Pace::answered(Nanos took) {
    const std::lock_guard lock(mutex_);
    if (took > kSlow) {
        window_bytes_ = std::max(window_bytes_ / 2, kWindowBytesLeast);
        return;
    }
    window_bytes_ =
        std::min<std::uint64_t>(window_bytes_ + kWindowBytesStep, limits::kFetchWindowBytes);
}

void Pace::pushed_back() {
    const std::lock_guard lock(mutex_);
    window_bytes_ = std::max(window_bytes_ / 2, kWindowBytesLeast);
}

void Pace::connection_refused(unsigned open) {
    const std::lock_guard lock(mutex_);
    connections_ = std::max(open, 1U);
    refused_ = true;
}

void Pace::connections_sufficed() {
    const std::lock_guard lock(mutex_);
    if (connections_ != 0 && !refused_) ++connections_;
    refused_ = false;
}

HostManners Pace::manners() const {
    const std::lock_guard lock(mutex_);
    return {window_bytes_ == limits::kFetchWindowBytes ? 0 : window_bytes_, connections_};
}

}  // namespace imapult::session
