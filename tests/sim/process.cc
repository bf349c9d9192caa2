#include "sim/process.h"

#include <algorithm>
#include <cstdio>

#include "engine/base/text.h"

namespace imapult::sim {

namespace {

std::unexpected<Error> killed() {
    return fail(Code::io, Scope::run, Retry::never, "the simulated process was killed");
}

/// One client's conversation with a server. A stubborn server goes on with what it has read when
/// the client is gone; others end with the first failed write.
Task<void> serve(std::unique_ptr<net::Stream> stream, imapd::Store& store, std::size_t part_max,
                 bool stubborn) {
    imapd::Connection connection(store);
    bool deaf = false;
    while (true) {
        while (connection.has_output()) {
            const std::string out = connection.take_output(part_max);
            if (deaf || out.empty()) continue;
            auto written = co_await stream->write(out);
            if (!written) deaf = true;
            if (deaf && !stubborn) break;
        }
        if (deaf && !stubborn) break;
        if (connection.wants_reset()) stream->abort();
        if (connection.wants_reset() || connection.wants_close()) break;
        auto bytes = co_await stream->read();
        if (!bytes || bytes->empty()) break;
        connection.feed(*bytes);
    }
    co_await stream->close();
}

}  // namespace

// --- the ledger's store ------------------------------------------------------------------------

struct ProcessStore::Shared {
    explicit Shared(SimScheduler& scheduler_in) : scheduler(&scheduler_in) {}

    SimScheduler* scheduler;
    std::shared_ptr<dedup::MemoryDisk> disk;
    std::unique_ptr<dedup::Store> inner;
    Random random{0};
    Nanos commit_max{0};
    std::deque<std::function<void()>> queue;  ///< the committer's work
    bool committing = false;
    bool dead = false;
    std::map<std::uint64_t, std::function<void(Result<void>)>> waiting;
    std::uint64_t next = 0;
    std::uint64_t trap = 0;
    std::function<void()> at_trap;

    static Task<void> committer(std::shared_ptr<Shared> self) {
        while (!self->queue.empty()) {
            const auto most = static_cast<std::uint64_t>(self->commit_max.count());
            const Nanos delay{static_cast<std::int64_t>(self->random.below(most + 1))};
            co_await runtime::sleep_for(*self->scheduler, delay);
            const auto work = std::move(self->queue.front());
            self->queue.pop_front();
            work();
        }
        self->committing = false;
    }
};

ProcessStore::ProcessStore(SimScheduler& scheduler, runtime::TaskScope& scope,
                           std::shared_ptr<dedup::MemoryDisk> disk, std::uint64_t seed,
                           Nanos commit_max)
    : shared_(std::make_shared<Shared>(scheduler)) {
    shared_->disk = disk;
    shared_->random = Random(seed);
    shared_->commit_max = commit_max;
    shared_->inner = dedup::open_memory_store(
        std::move(disk), [weak = std::weak_ptr(shared_), &scope](std::function<void()> work) {
            const auto shared = weak.lock();
            if (!shared) return;
            shared->queue.push_back(std::move(work));
            if (std::exchange(shared->committing, true)) return;
            scope.spawn(Shared::committer(shared));
        });
}

ProcessStore::~ProcessStore() = default;

Result<std::string> ProcessStore::get(dedup::Family family, std::string_view key) const {
    if (shared_->dead) return killed();
    return shared_->inner->get(family, key);
}

Result<void> ProcessStore::scan(
    dedup::Family family, std::string_view first, std::string_view end,
    const std::function<bool(std::string_view, std::string_view)>& visit) const {
    if (shared_->dead) return killed();
    return shared_->inner->scan(family, first, end, visit);
}

void ProcessStore::commit(dedup::WriteBatch batch, bool durable,
                          std::function<void(Result<void>)> done) {
    if (!shared_->dead && shared_->trap > 0 && --shared_->trap == 0) {
        std::exchange(shared_->at_trap, {})();
    }
    if (shared_->dead) {
        shared_->scheduler->post_remote([done = std::move(done)] { done(killed()); });
        return;
    }
    const std::uint64_t number = shared_->next++;
    shared_->waiting[number] = std::move(done);
    shared_->inner->commit(std::move(batch), durable,
                           [shared = shared_, number](Result<void> result) {
                               const auto place = shared->waiting.find(number);
                               if (place == shared->waiting.end()) return;
                               const auto call = std::move(place->second);
                               shared->waiting.erase(place);
                               call(std::move(result));
                           });
}

Result<void> ProcessStore::commit_and_wait(dedup::WriteBatch batch) {
    if (shared_->dead) return killed();
    return shared_->inner->commit_and_wait(std::move(batch));
}

void kill_store(const std::shared_ptr<ProcessStore::Shared>& store, std::uint64_t seed) {
    store->dead = true;
    store->disk->crash(seed);
    for (const auto& [number, call] : std::exchange(store->waiting, {})) {
        store->scheduler->post_remote([done = call] { done(killed()); });
    }
}

void at_commit(const std::shared_ptr<ProcessStore::Shared>& store, std::uint64_t nth,
               std::function<void()> then) {
    store->trap = nth;
    store->at_trap = std::move(then);
}

// --- connections -------------------------------------------------------------------------------

class SimConnector::ClientStream final : public net::Stream {
  public:
    ClientStream(SimConnector& owner, const std::string& host, std::unique_ptr<net::Stream> inner)
        : owner_(&owner),
          number_(owner.made_),
          name_(host + " " + std::to_string(number_)),
          inner_(std::move(inner)) {
        owner_->open_[number_] = this;
    }
    ~ClientStream() override { owner_->open_.erase(number_); }
    ClientStream(const ClientStream&) = delete;
    ClientStream& operator=(const ClientStream&) = delete;

    Task<Result<std::string_view>> read() override {
        auto bytes = co_await inner_->read();
        if (!bytes && cut_) co_return no_network();
        tell(bytes ? "<" : "< gone", bytes ? *bytes : std::string_view());
        co_return bytes;
    }
    Task<Result<void>> write(std::string_view bytes) override {
        tell(">", bytes);
        auto written = co_await inner_->write(bytes);
        if (!written) tell("> gone", {});
        if (!written && cut_) co_return no_network();
        co_return written;
    }
    void abort() override {
        tell("> abort", {});
        inner_->abort();
    }
    /// From outside.
    void cut() {
        cut_ = true;
        inner_->abort();
    }
    Task<void> close() override { return inner_->close(); }
    [[nodiscard]] std::uint64_t wire_bytes_in() const override { return inner_->wire_bytes_in(); }
    [[nodiscard]] std::uint64_t wire_bytes_out() const override { return inner_->wire_bytes_out(); }
    [[nodiscard]] bool is_loopback() const override { return inner_->is_loopback(); }
    [[nodiscard]] bool is_secure() const override { return inner_->is_secure(); }

  private:
    static std::unexpected<Error> no_network() {
        return fail(Code::connection_lost, Scope::connection, Retry::now,
                    "the simulated network is down");
    }
    void tell(const char* what, std::string_view bytes) const {
        constexpr std::size_t kShown = 300;
        if (!owner_->traced_) return;
        std::string shown = printable(bytes.substr(0, kShown), 2 * kShown);
        if (bytes.size() > kShown) {
            shown += " ... " + printable(bytes.substr(bytes.size() - kShown / 3), kShown);
        }
        std::printf("    %9.3f s  %s %s (%zu) %s\n",
                    std::chrono::duration<double>(owner_->scheduler_->now()).count(), name_.c_str(),
                    what, bytes.size(), shown.c_str());
    }

    SimConnector* owner_;
    std::size_t number_;
    std::string name_;
    std::unique_ptr<net::Stream> inner_;
    bool cut_ = false;
};

Faults SimConnector::faults(Nanos stall_max) {
    Faults out;
    out.seed = random_.next();
    out.short_read = weather_.short_read;
    out.split_write = weather_.split_write;
    out.stall = weather_.stall;
    out.stall_max = stall_max;
    // Octets on a connection are spread over magnitudes: so are the places where it breaks.
    const auto somewhere = [&] {
        return random_.below(
                   random_.between(2, std::max<std::uint64_t>(2, weather_.trouble_bytes_max))) +
               1;
    };
    if (random_.chance(weather_.reset / 2)) out.reset_after_in = somewhere();
    if (random_.chance(weather_.reset / 2)) out.reset_after_out = somewhere();
    if (random_.chance(weather_.freeze)) out.freeze_after_in = somewhere();
    return out;
}

Task<Result<std::unique_ptr<net::Stream>>> SimConnector::connect(std::string host,
                                                                 std::uint16_t /*port*/) {
    co_await runtime::sleep_for(*scheduler_, weather_.latency);
    if (dead_) co_return killed();
    if (down_ || random_.chance(weather_.unreachable)) {
        co_return fail(Code::connect_failed, Scope::host, Retry::later,
                       host + ": the simulated network is down");
    }
    PipeOptions options;
    options.capacity = weather_.capacity;
    options.latency = weather_.latency;
    options.loopback = true;
    options.reset_keeps_sent = weather_.reset_keeps_sent;
    options.first = faults(weather_.stall_max);
    options.second = faults(weather_.stall_max);
    auto [client, server] = make_pipe(*scheduler_, options);
    imapd::Store& store = host == "source" ? *source_ : *destination_;
    const std::size_t part = random_.between(512, 32 * 1024);
    const bool stubborn = random_.chance(0.5);
    servers_->spawn(serve(std::move(server), store, part, stubborn));
    ++made_;
    std::unique_ptr<net::Stream> stream =
        std::make_unique<ClientStream>(*this, host, std::move(client));
    co_return stream;
}

Task<Result<std::unique_ptr<net::Stream>>> SimConnector::start_tls(
    std::unique_ptr<net::Stream> inner, net::TlsOptions /*options*/) {
    inner->abort();
    co_return fail(Code::tls_failed, Scope::host, Retry::never, "no TLS in the simulation");
}

std::unique_ptr<net::Stream> SimConnector::start_deflate(std::unique_ptr<net::Stream> inner,
                                                         std::string /*pending*/) {
    inner->abort();  // never offered by these servers
    return inner;
}

void SimConnector::outage(bool down) {
    down_ = down;
    if (!down) return;
    for (const auto& [number, stream] : open_) stream->cut();
}

void SimConnector::kill() {
    dead_ = true;
    for (const auto& [number, stream] : open_) stream->abort();
}

}  // namespace imapult::sim
