#include "sim/support/memory_stream.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>

#include "net/loopback.h"
#include "sim/support/sim_scheduler.h"

namespace imapult::test {
namespace {

using namespace std::chrono_literals;
using sim::PipeOptions;
using sim::SimScheduler;

Task<void> transfer(SimScheduler& scheduler, PipeOptions options, std::string sent,
                    Drained& drained) {
    auto [first, second] = sim::make_pipe(scheduler, options);
    TaskScope scope(scheduler);
    scope.spawn(write_and_close(*first, std::move(sent), 10'000));
    scope.spawn(drain_into(*second, drained));
    co_await scope.join();
    co_await second->close();
}

TEST(MemoryStream, EveryByteArrivesUnderEverySeedOfShortReadsSplitsAndStalls) {
    const std::string sent = noise(200'000, 1);
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        SCOPED_TRACE(seed);
        SimScheduler scheduler(seed);
        PipeOptions options{.capacity = 4'096, .latency = 3ms};
        options.first = {.seed = seed, .split_write = 0.5, .stall = 0.1, .stall_max = 50ms};
        options.second = {.seed = seed, .short_read = 0.5, .stall = 0.1, .stall_max = 50ms};
        Drained drained;
        ASSERT_TRUE(scheduler.run(transfer(scheduler, options, sent, drained)));
        ASSERT_TRUE(drained.end) << drained.end.error().text;
        ASSERT_TRUE(drained.bytes == sent);
        EXPECT_LE(drained.largest, 4'096U);
    }
}

Task<void> ping(SimScheduler& scheduler, Nanos& took) {
    auto [first, second] = sim::make_pipe(scheduler, {.latency = 40ms});
    const Nanos before = scheduler.now();
    auto written = co_await first->write("ping");
    EXPECT_TRUE(written);
    auto got = co_await second->read();
    EXPECT_TRUE(got && *got == "ping");
    took = scheduler.now() - before;
    co_await first->close();
    co_await second->close();
}

TEST(MemoryStream, LatencyIsVirtualTime) {
    SimScheduler scheduler;
    Nanos took{0};
    ASSERT_TRUE(scheduler.run(ping(scheduler, took)));
    EXPECT_EQ(took, 40ms);
}

Task<void> write_all(net::Stream& stream, std::string bytes, std::optional<Error>& error) {
    auto written = co_await stream.write(bytes);
    if (!written) error = std::move(written).error();
}

Task<void> reset_story(SimScheduler& scheduler) {
    PipeOptions options;
    options.second.reset_after_in = 12'345;
    auto [first, second] = sim::make_pipe(scheduler, options);
    std::optional<Error> write_error;
    Drained drained;
    TaskScope scope(scheduler);
    scope.spawn(write_all(*first, noise(300'000, 2), write_error));
    scope.spawn(drain_into(*second, drained));
    co_await scope.join();
    EXPECT_EQ(drained.bytes.size(), 12'345U);
    EXPECT_EQ(drained.end.error().code, Code::connection_lost);
    EXPECT_EQ(write_error.value().code, Code::connection_lost);
}

TEST(MemoryStream, ResetComesAtTheChosenByte) {
    SimScheduler scheduler;
    ASSERT_TRUE(scheduler.run(reset_story(scheduler)));
}

Task<void> abort_soon(SimScheduler& scheduler, net::Stream& stream) {
    co_await runtime::sleep_for(scheduler, 5ms);
    stream.abort();
}

Task<void> abort_story(SimScheduler& scheduler) {
    auto [first, second] = sim::make_pipe(scheduler, {.capacity = 100});
    std::optional<Error> write_error;
    Drained own;
    Drained peer;
    TaskScope scope(scheduler);
    scope.spawn(write_all(*first, noise(1'000, 3), write_error));
    scope.spawn(drain_into(*first, own));
    scope.spawn(abort_soon(scheduler, *first));
    co_await scope.join();
    EXPECT_EQ(write_error.value().code, Code::cancelled);
    EXPECT_EQ(own.end.error().code, Code::cancelled);
    auto got = co_await second->read();
    EXPECT_EQ(got.error().code, Code::connection_lost);
}

TEST(MemoryStream, AbortCancelsHereAndResetsThere) {
    SimScheduler scheduler;
    ASSERT_TRUE(scheduler.run(abort_story(scheduler)));
}

Task<void> frozen_reader(net::Stream& stream, std::size_t& bytes) {
    for (;;) {
        auto got = co_await stream.read();
        if (!got || got->empty()) co_return;
        bytes += got->size();
    }
}

Task<void> freeze_story(SimScheduler& scheduler, std::size_t& bytes) {
    PipeOptions options;
    options.second.freeze_after_in = 10;
    auto [first, second] = sim::make_pipe(scheduler, options);
    TaskScope scope(scheduler);
    scope.spawn(frozen_reader(*second, bytes));
    auto written = co_await first->write(noise(100, 4));
    EXPECT_TRUE(written);
    co_await runtime::sleep_for(scheduler, 3600s);
    EXPECT_EQ(bytes, 10U);
    second->abort();
    co_await scope.join();
}

TEST(MemoryStream, AFrozenPeerSaysNothingAnyMore) {
    SimScheduler scheduler;
    std::size_t bytes = 0;
    ASSERT_TRUE(scheduler.run(freeze_story(scheduler, bytes)));
}

}  // namespace
}  // namespace imapult::test
