#pragma once
// Streams that are memory: what the simulator puts in the place of TCP, and the faults it injects.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/random.h"
#include "engine/net/stream.h"
#include "engine/runtime/scheduler.h"
#include "engine/runtime/sync.h"

namespace imapult::sim {

/// What may go wrong with one end of a pipe, all of it reproducible from the seed. The default
/// injects nothing.
struct Faults {
    std::uint64_t seed = 1;
    /// Probability that a read() is given only a part of what is there (at least one octet).
    double short_read = 0;
    /// Probability that a write is handed over in several parts, with others running in between.
    double split_write = 0;
    /// Probability that a read or a part of a write waits first, for up to `stall_max`.
    double stall = 0;
    Nanos stall_max{0};
    /// The connection is reset when this many octets have been read or written at this end.
    std::optional<std::uint64_t> reset_after_in = {};
    std::optional<std::uint64_t> reset_after_out = {};
    /// After this many octets read, nothing comes any more, for ever (a server that hangs).
    std::optional<std::uint64_t> freeze_after_in = {};
};

struct PipeOptions {
    /// Octets on their way in one direction; a writer waits when they are full.
    std::size_t capacity = 64 * 1024;
    Nanos latency{0};   ///< one way
    Faults first = {};  ///< what happens at the first end
    Faults second = {};
    bool loopback = false;
    bool secure = false;
    /// What one end had sent before it reset the connection can still be read by the other, as from
    /// a socket's receive buffer: a server goes on with commands whose client is gone.
    bool reset_keeps_sent = false;
};

using StreamPair = std::pair<std::unique_ptr<net::Stream>, std::unique_ptr<net::Stream>>;

/// Two ends of a connection with bounded buffers. abort() and destruction without close() reset
/// it: the other end loses what it has not read and gets Code::connection_lost.
StreamPair make_pipe(runtime::Scheduler& scheduler, PipeOptions options = {});

}  // namespace imapult::sim
