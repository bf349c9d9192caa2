#include "engine/net/deflate_stream.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <chrono>
#include <optional>
#include <string>

#include "engine/base/limits.h"
#include "net/loopback.h"
#include "sim/support/memory_stream.h"
#include "sim/support/sim_scheduler.h"

namespace imapult::test {
namespace {

using namespace std::chrono_literals;
using net::make_deflate_stream;
using sim::PipeOptions;
using sim::SimScheduler;

/// Half noise, half text, as mail with attachments is.
std::string mixed(std::size_t bytes, std::uint64_t seed) {
    std::string result;
    Random random(seed);
    while (result.size() < bytes) {
        if (random.chance(0.5)) {
            result += noise(random.between(1, 5'000), random.next());
        } else {
            result.append(random.between(1, 50'000), "abc\r\n"[random.below(5)]);
        }
    }
    result.resize(bytes);
    return result;
}

Task<void> transfer(SimScheduler& scheduler, PipeOptions options, std::string sent,
                    std::size_t piece, Drained& drained, std::uint64_t& wire) {
    auto [first, second] = sim::make_pipe(scheduler, options);
    auto out = make_deflate_stream(std::move(first), {});
    auto in = make_deflate_stream(std::move(second), {});
    TaskScope scope(scheduler);
    scope.spawn(write_and_close(*out, std::move(sent), piece));
    scope.spawn(drain_into(*in, drained));
    co_await scope.join();
    wire = in->wire_bytes_in();
    co_await in->close();
}

TEST(Deflate, EveryByteArrivesHoweverTheWireCutsIt) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        const std::string sent = mixed(700'000, seed);
        SimScheduler scheduler(seed);
        PipeOptions options{.capacity = 10'000};
        options.second = {.seed = seed, .short_read = 0.7};
        Drained drained;
        std::uint64_t wire = 0;
        ASSERT_TRUE(
            scheduler.run(transfer(scheduler, options, sent, 1 + seed * 20'000, drained, wire)));
        ASSERT_TRUE(drained.end);
        ASSERT_TRUE(drained.bytes == sent);
        EXPECT_LE(drained.largest, limits::kInflateBlockBytes);
    }
}

TEST(Deflate, RepetitionBecomesSmallAndComesOutInBoundedBlocks) {
    SimScheduler scheduler;
    const std::string sent(50'000'000, 'x');
    Drained drained;
    std::uint64_t wire = 0;
    ASSERT_TRUE(scheduler.run(transfer(scheduler, {}, sent, sent.size(), drained, wire)));
    EXPECT_TRUE(drained.bytes == sent);
    EXPECT_LT(wire, sent.size() / 100);
    EXPECT_LE(drained.largest, limits::kInflateBlockBytes);
}

Task<void> ping_pong(SimScheduler& scheduler) {
    auto [first, second] = sim::make_pipe(scheduler);
    auto client = make_deflate_stream(std::move(first), {});
    auto server = make_deflate_stream(std::move(second), {});
    for (int i = 0; i < 100; ++i) {
        // Without a flush behind each write this would wait for ever.
        const std::string line = "a" + std::to_string(i) + " NOOP\r\n";
        auto written = co_await client->write(line);
        EXPECT_TRUE(written);
        auto got = co_await server->read();
        EXPECT_TRUE(got && *got == line);
        auto answered = co_await server->write("OK\r\n");
        EXPECT_TRUE(answered);
        auto answer = co_await client->read();
        EXPECT_TRUE(answer && *answer == "OK\r\n");
    }
    co_await client->close();
    auto end = co_await server->read();
    EXPECT_TRUE(end && end->empty());
    co_await server->close();
}

TEST(Deflate, EachWriteCanBeReadAtOnce) {
    SimScheduler scheduler;
    ASSERT_TRUE(scheduler.run(ping_pong(scheduler)));
}

/// Raw deflate by zlib itself, independent of the product's use of it.
std::string deflated(const std::string& plain, int level) {
    z_stream stream{};
    EXPECT_EQ(deflateInit2(&stream, level, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    std::string out(compressBound(plain.size()) + 100, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&stream, Z_PARTIAL_FLUSH), Z_OK);
    out.resize(out.size() - stream.avail_out);
    deflateEnd(&stream);
    return out;
}

Task<void> read_pending(SimScheduler& scheduler, std::string wire, std::size_t cut,
                        std::string plain) {
    auto [first, second] = sim::make_pipe(scheduler);
    auto in = make_deflate_stream(std::move(second), wire.substr(0, cut));
    auto rest = co_await first->write(std::string_view(wire).substr(cut));
    EXPECT_TRUE(rest);
    co_await first->close();
    Drained drained = co_await drain(*in);
    EXPECT_TRUE(drained.bytes == plain) << "cut at " << cut;
    co_await in->close();
}

TEST(Deflate, BytesThatCameBehindTheTaggedOkAreNotLost) {
    const std::string plain = "* OK compressed now\r\n* 3 EXISTS\r\n";
    const std::string wire = deflated(plain, 9);
    for (std::size_t cut = 0; cut <= wire.size(); ++cut) {
        SimScheduler scheduler;
        ASSERT_TRUE(scheduler.run(read_pending(scheduler, wire, cut, plain)));
    }
}

Task<void> read_damaged(SimScheduler& scheduler, std::string wire, Drained& drained) {
    auto [first, second] = sim::make_pipe(scheduler);
    auto in = make_deflate_stream(std::move(second), {});
    auto written = co_await first->write(wire);
    EXPECT_TRUE(written);
    co_await first->close();
    drained = co_await drain(*in);
    in->abort();
}

TEST(Deflate, DamagedDataIsAnErrorAndNotABrokenInvariant) {
    SimScheduler scheduler;
    Drained drained;
    ASSERT_TRUE(scheduler.run(read_damaged(scheduler, "* OK not compressed at all\r\n", drained)));
    ASSERT_FALSE(drained.end);
    EXPECT_EQ(drained.end.error().code, Code::protocol);
}

TEST(Deflate, NoiseNeverCrashesTheInflater) {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        SCOPED_TRACE(seed);
        SimScheduler scheduler;
        Drained drained;
        ASSERT_TRUE(scheduler.run(read_damaged(scheduler, noise(3'000, seed), drained)));
    }
}

}  // namespace
}  // namespace imapult::test
