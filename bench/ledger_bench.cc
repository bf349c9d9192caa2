// What the ledger and the digests cost: CPU time of the whole process (the committer's thread and
// RocksDB's own included), which is what counts against a message.
//
//     build/release/bench/ledger_bench

#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "dedup/identity.h"
#include "dedup/ledger.h"
#include "engine/base/random.h"

namespace {

using namespace imapult;
using namespace imapult::dedup;

constexpr std::uint32_t kGroupMessages = 50;

/// A ledger in a new folder, gone at the end.
class BenchLedger {
  public:
    explicit BenchLedger(bool sync) {
        path_ = (std::filesystem::temp_directory_path() / "imapult-bench-XXXXXX").string();
        if (mkdtemp(path_.data()) == nullptr) std::abort();
        auto store = open_rocks_store(path_, {.sync = sync});
        if (!store) std::abort();
        auto opened = Ledger::open(std::move(*store), false);
        if (!opened) std::abort();
        ledger_ = std::move(*opened);
    }
    BenchLedger(const BenchLedger&) = delete;
    BenchLedger& operator=(const BenchLedger&) = delete;
    ~BenchLedger() {
        ledger_.reset();
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Ledger& operator*() { return *ledger_; }

  private:
    std::string path_;
    std::unique_ptr<Ledger> ledger_;
};

/// Commits in flight, bounded as a lane's groups are.
class InFlight {
  public:
    void begin() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return count_ < 32; });
        ++count_;
    }
    void end() {
        const std::lock_guard lock(mutex_);
        --count_;
        changed_.notify_all();
    }
    void drain() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return count_ == 0; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int count_ = 0;
};

Digest128 random_digest(Random& random) {
    Digest128 digest;
    for (std::uint8_t& octet : digest) octet = static_cast<std::uint8_t>(random.next());
    return digest;
}

/// A group's life: intent (durable), then receipts and the end of the intent. Argument: sync.
void groups(benchmark::State& state) {
    BenchLedger ledger(state.range(0) != 0);
    Random random(1);
    const Digest128 digest = random_digest(random);
    InFlight in_flight;
    std::uint32_t uid = 1;
    for (auto _ : state) {
        Intent intent{.mailbox = 1,
                      .sequence = (*ledger).new_intent_sequence(),
                      .destination_uid_validity = 1,
                      .floor = uid,
                      .items = {}};
        Batch receipts;
        receipts.erase_intent(1, intent.sequence);
        for (std::uint32_t i = 0; i < kGroupMessages; ++i, ++uid) {
            Digest128 own = digest;
            own[0] = static_cast<std::uint8_t>(random.next());
            own[5] = static_cast<std::uint8_t>(random.next());
            intent.items.push_back({.source_uid = uid, .size = 4096, .digest = own});
            receipts.put_message(1, {.source_uid = uid,
                                     .destination_uid = uid,
                                     .size = 4096,
                                     .digest = own,
                                     .base = {.system = kSeen, .keywords = {}}});
        }
        Batch batch;
        batch.put_intent(intent);
        in_flight.begin();
        (*ledger).commit(std::move(batch), [](Result<void> result) {
            if (!result) std::abort();
        });
        (*ledger).commit(std::move(receipts), [&](Result<void> result) {
            if (!result) std::abort();
            in_flight.end();
        });
    }
    in_flight.drain();
    state.SetItemsProcessed(state.iterations() * kGroupMessages);
}
BENCHMARK(groups)->Arg(0)->Arg(1)->MeasureProcessCPUTime()->UseRealTime()->MinTime(3.0);

void visit(benchmark::State& state) {
    constexpr std::uint32_t kMessages = 200'000;
    BenchLedger ledger(false);
    Random random(2);
    InFlight in_flight;
    for (std::uint32_t uid = 1; uid <= kMessages;) {
        Batch batch;
        for (std::uint32_t i = 0; i < kGroupMessages; ++i, ++uid) {
            batch.put_message(1, {.source_uid = uid,
                                  .destination_uid = uid,
                                  .size = 4096,
                                  .digest = random_digest(random)});
        }
        in_flight.begin();
        (*ledger).commit(std::move(batch), [&](Result<void>) { in_flight.end(); });
    }
    in_flight.drain();
    for (auto _ : state) {
        std::uint64_t bytes = 0;
        const auto visited = (*ledger).visit_messages(1, 0, UINT32_MAX, [&](const auto& record) {
            bytes += record.size;
            return true;
        });
        if (!visited) std::abort();
        benchmark::DoNotOptimize(bytes);
    }
    state.SetItemsProcessed(state.iterations() * kMessages);
}
BENCHMARK(visit)->Unit(benchmark::kMillisecond);

/// A mail of lines of 76 octets in pieces of 64 KiB, as it comes from a server.
std::string mail(std::size_t size) {
    Random random(3);
    std::string bytes = "Message-ID: <1@example.com>\r\nDate: x\r\nSubject: y\r\n\r\n";
    while (bytes.size() < size) {
        for (int i = 0; i < 76; ++i) bytes.push_back(static_cast<char>('A' + random.below(26)));
        bytes += "\r\n";
    }
    return bytes;
}

template <class Digest>
void feed(Digest& digest, std::string_view bytes) {
    constexpr std::size_t kPieceBytes = 64 * 1024;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), kPieceBytes))) {
        digest.update(bytes.substr(0, kPieceBytes));
    }
}

void content_digest(benchmark::State& state) {
    const std::string bytes = mail(static_cast<std::size_t>(state.range(0)));
    ContentDigest digest(mail(192).substr(0, 192));
    for (auto _ : state) {
        digest.reset();
        feed(digest, bytes);
        benchmark::DoNotOptimize(digest.finish());
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}
BENCHMARK(content_digest)->Arg(4096)->Arg(256 * 1024)->Arg(16 * 1024 * 1024);

void normal_digest(benchmark::State& state) {
    const std::string bytes = mail(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        NormalDigest digest;
        feed(digest, bytes);
        benchmark::DoNotOptimize(digest.finish());
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}
BENCHMARK(normal_digest)->Arg(4096)->Arg(256 * 1024)->Arg(16 * 1024 * 1024);

void header_identity(benchmark::State& state) {
    std::string header;
    for (int i = 0; i < 20; ++i)
        header += "X-Trace-" + std::to_string(i) + ": " + std::string(80, 'x') + "\r\n\t" +
                  std::string(40, 'y') + "\r\n";
    header += "Message-ID: <1@example.com>\r\nDate: x\r\nFrom: a\r\nTo: b\r\nSubject: c\r\n\r\n";
    for (auto _ : state) benchmark::DoNotOptimize(identify_header(header));
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(header.size()));
}
BENCHMARK(header_identity);

}  // namespace

BENCHMARK_MAIN();
