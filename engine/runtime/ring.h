#pragma once
// A shard: one thread, one io_uring, one loop. The only scheduler of production.
//
// Each turn of the loop resumes a batch of coroutines, then submits everything they started and
// waits for completions in one system call. Timers are one heap; its earliest deadline is the time
// limit of that wait.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/runtime/operation.h"
#include "engine/runtime/scheduler.h"
#include "engine/runtime/task.h"

struct sockaddr;

namespace imapult::runtime {

/// What the ring may use of what the kernel has. The defaults are right; tests switch features off
/// to prove the fallbacks.
struct RingOptions {
    bool single_issuer = true;     ///< and deferred task work; kernel 6.1
    bool provided_buffers = true;  ///< kernel 5.19
    bool bundles = true;           ///< several blocks per receive; kernel 6.10
};

class Ring final : public Scheduler {
  public:
    /// Fails with Code::ring_forbidden where io_uring is not available (the text has the cure) and
    /// Code::io where the kernel lacks memory or descriptors. May be called on any thread; the
    /// thread of the first run() is the ring's from then on.
    static Result<std::unique_ptr<Ring>> create(RingOptions options = {});
    /// Nothing may be in flight but the ring's own wake-up.
    ~Ring() override;

    /// Runs the loop on this thread until `task` is done. May be called again afterwards, from the
    /// same thread.
    void run(Task<void> task);

    /// Features that this kernel lacks, one sentence each, for the log at debug level.
    [[nodiscard]] const std::vector<std::string>& lost_features() const;

    // Scheduler.
    [[nodiscard]] const Clock& clock() const override;
    void post(std::coroutine_handle<> handle) override;
    void post_remote(std::function<void()> work) override;
    TimerId add_timer(Nanos due, Callback callback) override;
    void cancel_timer(TimerId id) override;

    // Operations: on the shard's thread only. What is passed by pointer or view must stay valid
    // until the operation is done; descriptors must be in blocking mode (O_NONBLOCK would make the
    // kernel give up instead of waiting).

    /// Receives into blocks of the pool. Result: octets (0: end of stream) or -errno; -ENOBUFS if
    /// all blocks are held or the kernel has no provided buffers: receive into memory of your own
    /// then. `likely_empty`: the last receive emptied the socket, so wait before trying.
    void start_receive(ReceiveOperation& operation, int socket, bool likely_empty);
    void start_receive_into(Operation& operation, int socket, char* memory, std::size_t bytes_max);
    /// Sends all of `bytes` unless the connection breaks (the kernel continues short sends).
    void start_send(Operation& operation, int socket, std::string_view bytes);
    void start_connect(Operation& operation, int socket, const sockaddr* address,
                       std::uint32_t address_bytes);
    /// Result: a descriptor (close-on-exec).
    void start_accept(Operation& operation, int socket);
    /// Waits for poll(2) events. Result: the events that came.
    void start_poll(Operation& operation, int descriptor, std::uint32_t events);
    /// Asks for the operation to end early; it completes as always, most likely with -ECANCELED.
    /// Nothing happens if it is not in flight.
    void cancel(Operation& operation);

    // Blocks handed out by start_receive().
    [[nodiscard]] const char* block_data(std::uint16_t block) const;
    [[nodiscard]] std::uint16_t next_block(std::uint16_t block) const;
    void release_block(std::uint16_t block);
    /// Blocks handed out and not yet given back.
    [[nodiscard]] std::size_t blocks_held() const;
    /// Operations in flight, the ring's own wake-up not counted.
    [[nodiscard]] std::size_t operations_in_flight() const;
    /// System calls made by the loop so far (for benchmarks).
    [[nodiscard]] std::uint64_t enters() const;

  private:
    struct Impl;
    explicit Ring(std::unique_ptr<Impl> impl);
    static void complete(void* operation, std::int32_t result, std::uint32_t flags);
    static void complete_receive(void* operation, std::int32_t result, std::uint32_t flags);

    std::unique_ptr<Impl> impl_;
};

}  // namespace imapult::runtime
