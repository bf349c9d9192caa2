#pragma once
// One run of imapult in the simulation: its ledger, its connections, and the moment it is killed.
//
// A coroutine cannot be dropped half-way, so a killed process goes on as a ghost: its connections
// are reset and new ones refused, its ledger forgets what was not durable and fails every call, and
// it unwinds. Nothing it does from then on can be seen by anybody.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "dedup/memory_store.h"
#include "engine/base/random.h"
#include "engine/net/stream.h"
#include "engine/runtime/sync.h"
#include "sim/support/memory_stream.h"
#include "sim/support/sim_scheduler.h"
#include "tools/imapd/connection.h"
#include "tools/imapd/store.h"

namespace imapult::sim {

using runtime::Task;

/// How the network and the two servers behave towards one process.
struct Weather {
    Nanos latency{0};
    std::size_t capacity = 64 * 1024;
    double short_read = 0, split_write = 0, stall = 0;
    Nanos stall_max{0};
    bool reset_keeps_sent = false;
    double reset = 0;        ///< probability per connection and end, at a random octet
    double freeze = 0;       ///< the same: nothing more is read, for ever
    double unreachable = 0;  ///< a connection is not made
    std::uint64_t trouble_bytes_max = 100'000;  ///< where resets and freezes lie

    [[nodiscard]] bool breaks_connections() const {
        return reset > 0 || freeze > 0 || unreachable > 0;
    }
};

/// The ledger's store, until the process is killed. Commits are applied one after another at later
/// virtual moments.
class ProcessStore final : public dedup::Store {
  public:
    struct Shared;
    ProcessStore(SimScheduler& scheduler, runtime::TaskScope& scope,
                 std::shared_ptr<dedup::MemoryDisk> disk, std::uint64_t seed, Nanos commit_max);
    ~ProcessStore() override;

    Result<std::string> get(dedup::Family family, std::string_view key) const override;
    Result<void> scan(
        dedup::Family family, std::string_view first, std::string_view end,
        const std::function<bool(std::string_view, std::string_view)>& visit) const override;
    void commit(dedup::WriteBatch batch, bool durable,
                std::function<void(Result<void>)> done) override;
    Result<void> commit_and_wait(dedup::WriteBatch batch) override;

    [[nodiscard]] std::shared_ptr<Shared> shared() const { return shared_; }

  private:
    std::shared_ptr<Shared> shared_;
};

/// Makes pipes to servers in memory; `host` is "source" or "destination".
class SimConnector final : public net::Connector {
  public:
    SimConnector(SimScheduler& scheduler, runtime::TaskScope& servers, imapd::Store& source,
                 imapd::Store& destination, Weather weather, std::uint64_t seed)
        : scheduler_(&scheduler),
          servers_(&servers),
          source_(&source),
          destination_(&destination),
          weather_(weather),
          random_(seed) {}

    Task<Result<std::unique_ptr<net::Stream>>> connect(std::string host,
                                                       std::uint16_t port) override;
    Task<Result<std::unique_ptr<net::Stream>>> start_tls(std::unique_ptr<net::Stream> inner,
                                                         net::TlsOptions options) override;
    std::unique_ptr<net::Stream> start_deflate(std::unique_ptr<net::Stream> inner,
                                               std::string pending) override;
    /// Resets every connection and refuses new ones.
    void kill();
    /// The network is down: every connection is reset, new ones fail, until it is up again.
    void outage(bool down);
    /// Prints what goes over the wire from now on.
    void trace() { traced_ = true; }
    [[nodiscard]] std::size_t connections_made() const { return made_; }

  private:
    class ClientStream;
    Faults faults(Nanos stall_max);

    SimScheduler* scheduler_;
    runtime::TaskScope* servers_;
    imapd::Store *source_, *destination_;
    Weather weather_;
    Random random_;
    std::map<std::size_t, ClientStream*> open_;  ///< by number: the same order in every run
    bool dead_ = false;
    bool down_ = false;
    bool traced_ = false;
    std::size_t made_ = 0;
};

/// Cuts the process's ledger off as a power cut does; everything it waits for fails.
void kill_store(const std::shared_ptr<ProcessStore::Shared>& store, std::uint64_t seed);
/// Calls `then` when the `nth` commit from now on is asked for (before it is applied).
void at_commit(const std::shared_ptr<ProcessStore::Shared>& store, std::uint64_t nth,
               std::function<void()> then);

}  // namespace imapult::sim
