#pragma once
// How much one server is asked for at once: grows step by step while it answers well, is halved
// when it pushes back (additive increase, multiplicative decrease). Shared by all accounts of a
// host, on all shards.

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "engine/base/clock.h"

namespace imapult::session {

/// What has been learnt of a host, as it is kept from run to run.
struct HostManners {
    std::uint64_t window_bytes = 0;  ///< 0: nothing learnt
    unsigned connections = 0;        ///< that one account may have; 0: not known
    bool operator==(const HostManners&) const = default;
};

class Pace {
  public:
    explicit Pace(HostManners known = {});

    /// Octets to be asked for by one command.
    [[nodiscard]] std::uint64_t window_bytes() const;
    /// The same for messages whose sizes say little (many small ones).
    [[nodiscard]] std::size_t window_messages() const;
    /// Connections an account may open, at most `wanted`.
    [[nodiscard]] unsigned connections(unsigned wanted) const;

    /// A command was answered OK after `took`.
    void answered(Nanos took);
    /// NO [LIMIT], [UNAVAILABLE], a throttling text, BYE.
    void pushed_back();
    /// A log-in was refused for too many connections while `open` others stood.
    void connection_refused(unsigned open);
    /// A pass ended without such a refusal: one more may be tried next time.
    void connections_sufficed();

    [[nodiscard]] HostManners manners() const;

  private:
    mutable std::mutex mutex_;
    std::uint64_t window_bytes_;
    unsigned connections_ = 0;
    bool refused_ = false;
};

}  // namespace imapult::session
