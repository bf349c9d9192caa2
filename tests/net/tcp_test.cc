#include "engine/net/tcp_stream.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/limits.h"
#include "engine/net/address.h"
#include "net/loopback.h"
#include "net/ring_fixture.h"

namespace imapult::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class Tcp : public RingTest {};
INSTANTIATE_TEST_SUITE_P(Modes, Tcp, ::testing::ValuesIn(kModes), mode_name);

Task<void> transfer(Ring& ring, runtime::BlockingPool& pool, std::string sent, std::size_t piece,
                    Drained& drained, std::uint64_t& wire_in) {
    Ends ends = co_await connect_ends(ring, pool);
    EXPECT_TRUE(ends.client->is_loopback());
    EXPECT_FALSE(ends.client->is_secure());
    TaskScope scope(ring);
    const std::size_t size = sent.size();
    scope.spawn(write_and_close(*ends.client, std::move(sent), piece));
    scope.spawn(drain_into(*ends.server, drained));
    co_await scope.join();
    EXPECT_EQ(ends.client->wire_bytes_out(), size);
    wire_in = ends.server->wire_bytes_in();
    co_await ends.server->close();
}

TEST_P(Tcp, EveryByteArrivesInOrder) {
    const std::string sent = noise(9'000'001, 1);
    Drained drained;
    std::uint64_t wire_in = 0;
    run(transfer(*ring_, pool(), sent, 300'000, drained, wire_in));
    ASSERT_TRUE(drained.end) << drained.end.error().text;
    EXPECT_TRUE(drained.bytes == sent);
    EXPECT_EQ(wire_in, sent.size());
    EXPECT_LE(drained.largest, limits::kReceiveBlockBytes);
}

TEST_P(Tcp, SmallWritesArriveToo) {
    const std::string sent = noise(3'000, 2);
    Drained drained;
    std::uint64_t wire_in = 0;
    run(transfer(*ring_, pool(), sent, 1, drained, wire_in));
    EXPECT_TRUE(drained.bytes == sent);
}

Task<void> write_until_full(net::Stream& stream, std::string_view piece, std::uint64_t& accepted,
                            Result<void>& end) {
    for (;;) {
        auto written = co_await stream.write(piece);
        if (!written) {
            end = std::unexpected(std::move(written).error());
            co_return;
        }
        accepted += piece.size();
    }
}

/// Waits until `value` has not changed for a while; gives up after a deadline.
Task<bool> settles(Ring& ring, const std::uint64_t& value) {
    const Nanos deadline = ring.now() + 20s;
    std::uint64_t before = value;
    int quiet = 0;
    while (ring.now() < deadline) {
        co_await runtime::sleep_for(ring, 20ms);
        quiet = value == before ? quiet + 1 : 0;
        before = value;
        if (quiet == 10 && value > 0) co_return true;
    }
    co_return false;
}

Task<void> stopped_reader(Ring& ring, runtime::BlockingPool& pool) {
    Ends ends = co_await connect_ends(ring, pool);
    const std::string piece = noise(64 * 1024, 3);
    std::uint64_t accepted = 0;
    Result<void> end{};
    TaskScope scope(ring);
    scope.spawn(write_until_full(*ends.client, piece, accepted, end));
    // One read, then none: the writer must come to a stand within the sockets' buffers.
    auto first = co_await ends.server->read();
    EXPECT_TRUE(first && !first->empty());
    EXPECT_TRUE(co_await settles(ring, accepted)) << "the writer never stopped";
    EXPECT_LT(accepted, 64U * limits::kMiB);
    EXPECT_LE(ends.server->wire_bytes_in(), 8 * limits::kReceiveBlockBytes)
        << "bytes were received that nobody asked for";
    const std::uint64_t stalled_at = accepted;
    while (accepted < stalled_at + 20U * piece.size()) {
        auto more = co_await ends.server->read();
        EXPECT_TRUE(more && !more->empty()) << "the writer did not go on";
        if (!more) break;
    }
    ends.client->abort();
    co_await scope.join();
    EXPECT_FALSE(end);
    EXPECT_EQ(end.error().code, Code::cancelled);
}

TEST_P(Tcp, AReaderThatStopsMakesTheWriterStop) {
    run(stopped_reader(*ring_, pool()));
}

Task<void> read_once(net::Stream& stream, std::optional<Result<std::string>>& result) {
    auto got = co_await stream.read();
    if (got) {
        result = std::string(*got);
    } else {
        result = std::unexpected(std::move(got).error());
    }
}

Task<void> abort_while_reading(Ring& ring, runtime::BlockingPool& pool) {
    Ends ends = co_await connect_ends(ring, pool);
    std::optional<Result<std::string>> own;
    std::optional<Result<std::string>> peer;
    TaskScope scope(ring);
    scope.spawn(read_once(*ends.client, own));
    scope.spawn(read_once(*ends.server, peer));
    co_await runtime::sleep_for(ring, 5ms);
    ends.client->abort();
    ends.client->abort();
    co_await scope.join();
    EXPECT_EQ(own.value().error().code, Code::cancelled);
    EXPECT_EQ(peer.value().error().code, Code::connection_lost) << "the peer saw no reset";
    EXPECT_THAT(peer.value().error().text, HasSubstr("127.0.0.1:"));
    auto later = co_await ends.client->read();
    EXPECT_EQ(later.error().code, Code::cancelled);
    auto write_later = co_await ends.client->write("x");
    EXPECT_EQ(write_later.error().code, Code::cancelled);
}

TEST_P(Tcp, AbortEndsAReadAndResetsThePeer) {
    run(abort_while_reading(*ring_, pool()));
}

Task<void> abort_in_everything(Ring& ring, runtime::BlockingPool& pool) {
    Ends ends = co_await connect_ends(ring, pool);
    const std::string piece = noise(1024 * 1024, 4);
    std::uint64_t accepted = 0;
    Result<void> end{};
    std::optional<Result<std::string>> own;
    TaskScope scope(ring);
    scope.spawn(write_until_full(*ends.client, piece, accepted, end));
    scope.spawn(read_once(*ends.client, own));
    EXPECT_TRUE(co_await settles(ring, accepted));
    ends.client->abort();
    co_await scope.join();
    EXPECT_EQ(end.error().code, Code::cancelled);
    EXPECT_EQ(own.value().error().code, Code::cancelled);
    Drained rest = co_await drain(*ends.server);
    EXPECT_FALSE(rest.end) << "the peer must see a reset, not an end";
}

TEST_P(Tcp, AbortWithAReadAndAWriteInFlight) {
    run(abort_in_everything(*ring_, pool()));
}

Task<void> abort_before_submission(Ring& ring, runtime::BlockingPool& pool) {
    Ends ends = co_await connect_ends(ring, pool);
    std::optional<Result<std::string>> own;
    TaskScope scope(ring);
    scope.spawn(read_once(*ends.client, own));
    co_await runtime::sleep_for(ring, 0ms);
    ends.client->abort();
    co_await scope.join();
    EXPECT_EQ(own.value().error().code, Code::cancelled);
}

TEST_P(Tcp, AbortOfAReadThatWasJustStarted) {
    run(abort_before_submission(*ring_, pool()));
}

Task<void> abort_with_blocks_held(Ring& ring, runtime::BlockingPool& pool) {
    Ends ends = co_await connect_ends(ring, pool);
    const std::string piece = noise(600'000, 5);
    auto written = co_await ends.client->write(piece);
    EXPECT_TRUE(written);
    auto got = co_await ends.server->read();
    EXPECT_TRUE(got && !got->empty());
    ends.server->abort();
    EXPECT_TRUE(piece.starts_with(*got)) << "the view lives until the next read()";
    // ~TcpStream gives the blocks back; the fixture counts them.
}

TEST_P(Tcp, DestroyingAStreamReturnsItsBlocks) {
    run(abort_with_blocks_held(*ring_, pool()));
}

Task<void> destroyed_without_close(Ring& ring, runtime::BlockingPool& pool) {
    Ends ends = co_await connect_ends(ring, pool);
    ends.client.reset();
    Drained rest = co_await drain(*ends.server);
    EXPECT_FALSE(rest.end);
}

TEST_P(Tcp, DestroyingWithoutCloseResets) {
    run(destroyed_without_close(*ring_, pool()));
}

Task<void> close_with_unread_octets(Ring& ring, runtime::BlockingPool& pool, Drained& drained) {
    Ends ends = co_await connect_ends(ring, pool);
    auto unread = co_await ends.server->write("nobody reads this");
    EXPECT_TRUE(unread);
    const std::string sent = noise(1'500'000, 7);
    TaskScope scope(ring);
    scope.spawn(write_and_close(*ends.client, sent, sent.size()));
    scope.spawn(drain_into(*ends.server, drained));
    co_await scope.join();
    EXPECT_TRUE(drained.bytes == sent);
    co_await ends.server->close();
}

TEST_P(Tcp, ClosingWithUnreadOctetsLostWhatWasWrittenLast) {
    Drained drained;
    run(close_with_unread_octets(*ring_, pool(), drained));
    EXPECT_TRUE(drained.end) << drained.end.error().text;
}

Task<void> many_readers(Ring& ring, runtime::BlockingPool& pool) {
    // More streams that each hold a block than the shard has blocks: the last ones must still read.
    constexpr std::size_t kStreams = limits::kReceiveBlocks + 40;
    std::vector<Ends> all;
    const std::string piece = noise(5'000, 6);
    for (std::size_t i = 0; i < kStreams; ++i) {
        all.push_back(co_await connect_ends(ring, pool));
        auto written = co_await all.back().client->write(piece);
        EXPECT_TRUE(written);
        auto got = co_await all.back().server->read();
        EXPECT_TRUE(got && *got == piece) << "stream " << i;
    }
    for (auto& ends : all) {
        auto written = co_await ends.client->write(piece);
        EXPECT_TRUE(written);
        auto got = co_await ends.server->read();
        EXPECT_TRUE(got && *got == piece);
        co_await ends.client->close();
        co_await ends.server->close();
    }
}

TEST_P(Tcp, StreamsThatHoldAllBlocksDoNotStopOthers) {
    run(many_readers(*ring_, pool()));
}

// ---- Connecting ----------------------------------------------------------------------------

net::Address address_of(const std::string& literal, std::uint16_t port) {
    return net::Address::parse(literal, port).value();
}

/// A port on which nobody listens.
std::uint16_t refused_port(Ring& ring) {
    auto listener = net::Listener::create(ring);
    return (*listener)->port();
}

Task<void> refused(Ring& ring, runtime::BlockingPool& pool) {
    const std::uint16_t port = refused_port(ring);
    auto result = co_await net::tcp_connect(ring, pool, "127.0.0.1", port);
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::connect_failed);
    EXPECT_EQ(result.error().scope, Scope::host);
    EXPECT_THAT(result.error().text, HasSubstr("127.0.0.1:" + std::to_string(port)));
    EXPECT_THAT(result.error().text, HasSubstr("refused"));
}

TEST_P(Tcp, ARefusedPortIsNamed) {
    run(refused(*ring_, pool()));
}

Task<void> unknown_host(Ring& ring, runtime::BlockingPool& pool) {
    auto result = co_await net::tcp_connect(ring, pool, "no-such-host.invalid", 143);
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::resolve_failed);
    EXPECT_EQ(result.error().scope, Scope::host);
    EXPECT_THAT(result.error().text, HasSubstr("no-such-host.invalid"));
}

TEST_P(Tcp, AnUnknownHostIsNamed) {
    run(unknown_host(*ring_, pool()));
}

Task<void> localhost_by_name(Ring& ring, runtime::BlockingPool& pool) {
    auto listener = net::Listener::create(ring);
    StreamPtr server;
    TaskScope scope(ring);
    scope.spawn(accept_one(**listener, server));
    // ::1 may be refused or missing: then 127.0.0.1 must follow at once.
    auto client = co_await net::tcp_connect(ring, pool, "localhost", (*listener)->port());
    EXPECT_TRUE(client) << client.error().text;
    co_await scope.join();
    if (client) co_await (*client)->close();
    co_await server->close();
}

TEST_P(Tcp, ANameIsResolvedOffTheShard) {
    run(localhost_by_name(*ring_, pool()));
}

/// A listening socket whose queue is full: further SYNs are dropped, as by a firewall.
struct BlackHole {
    explicit BlackHole(const std::string& literal) {
        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        net::Address address = address_of(literal, 0);
        EXPECT_EQ(bind(listener, address.get(), address.bytes), 0);
        EXPECT_EQ(listen(listener, 0), 0);
        getsockname(listener, address.get(), &address.bytes);
        port = address.port();
        for (int i = 0; i < 4; ++i) {
            const int filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            static_cast<void>(connect(filler, address.get(), address.bytes));
            fillers.push_back(filler);
        }
    }
    ~BlackHole() {
        for (const int filler : fillers) close(filler);
        close(listener);
    }
    int listener = -1;
    std::uint16_t port = 0;
    std::vector<int> fillers;
};

Task<void> timed_out(Ring& ring, runtime::BlockingPool& pool, const BlackHole& hole) {
    net::ConnectOptions options;
    options.timeout = 200ms;
    const Nanos before = ring.now();
    auto result = co_await net::tcp_connect(ring, pool, "127.0.0.1", hole.port, options);
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::connect_failed);
    EXPECT_THAT(result.error().text, HasSubstr("no answer"));
    EXPECT_GE(ring.now() - before, 200ms);
    EXPECT_LT(ring.now() - before, 5s);
}

TEST_P(Tcp, ASilentPortTimesOut) {
    const BlackHole hole("127.0.0.1");
    run(timed_out(*ring_, pool(), hole));
}

Task<void> second_address_wins(Ring& ring, runtime::BlockingPool& pool, const BlackHole& hole) {
    auto listener = net::Listener::create(ring, "127.0.0.1", hole.port);
    EXPECT_TRUE(listener) << listener.error().text;
    StreamPtr server;
    TaskScope scope(ring);
    scope.spawn(accept_one(**listener, server));
    net::ConnectOptions options;
    options.attempt_delay = 50ms;
    options.resolver = [](const std::string&, std::uint16_t port) {
        return std::vector<net::Address>{address_of("127.0.0.2", port),
                                         address_of("127.0.0.1", port)};
    };
    const Nanos before = ring.now();
    auto client = co_await net::tcp_connect(ring, pool, "dual.example.com", hole.port, options);
    EXPECT_TRUE(client) << client.error().text;
    EXPECT_GE(ring.now() - before, 50ms) << "the first address was not given its time";
    EXPECT_LT(ring.now() - before, 5s) << "the second address waited for the first's time-out";
    co_await scope.join();
    if (client) co_await (*client)->close();
    co_await server->close();
}

TEST_P(Tcp, ASilentFirstAddressDoesNotHoldUpTheSecond) {
    const BlackHole hole("127.0.0.2");
    run(second_address_wins(*ring_, pool(), hole));
}

TEST(Addresses, FamiliesAlternateBeginningWithTheFirst) {
    std::vector<net::Address> in{address_of("2001:db8::1", 1), address_of("2001:db8::2", 1),
                                 address_of("192.0.2.1", 1), address_of("192.0.2.2", 1),
                                 address_of("192.0.2.3", 1)};
    std::vector<std::string> out;
    for (const auto& address : net::interleave(in)) out.push_back(address.text());
    EXPECT_THAT(out, ::testing::ElementsAre("[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1",
                                            "192.0.2.2:1", "192.0.2.3:1"));
}

TEST(Addresses, LoopbackIsRecognised) {
    EXPECT_TRUE(address_of("127.0.0.1", 1).is_loopback());
    EXPECT_TRUE(address_of("127.9.9.9", 1).is_loopback());
    EXPECT_TRUE(address_of("::1", 1).is_loopback());
    EXPECT_TRUE(address_of("::ffff:127.0.0.1", 1).is_loopback());
    EXPECT_FALSE(address_of("192.0.2.1", 1).is_loopback());
    EXPECT_FALSE(address_of("::ffff:192.0.2.1", 1).is_loopback());
    EXPECT_FALSE(address_of("2001:db8::1", 1).is_loopback());
    EXPECT_FALSE(net::Address::parse("imap.example.com", 1));
    EXPECT_FALSE(net::Address::parse("127.1", 1));
}

// ---- Listening -----------------------------------------------------------------------------

Task<void> accept_error(net::Listener& listener, std::optional<Error>& error) {
    auto accepted = co_await listener.accept();
    if (!accepted) error = std::move(accepted).error();
}

Task<void> stop_listener(Ring& ring) {
    auto listener = net::Listener::create(ring);
    std::optional<Error> error;
    TaskScope scope(ring);
    scope.spawn(accept_error(**listener, error));
    co_await runtime::sleep_for(ring, 2ms);
    (*listener)->stop();
    co_await scope.join();
    EXPECT_EQ(error.value().code, Code::cancelled);
    auto again = co_await (*listener)->accept();
    EXPECT_EQ(again.error().code, Code::cancelled);
}

TEST_P(Tcp, AListenerCanBeStopped) {
    run(stop_listener(*ring_));
}

TEST_P(Tcp, AnOccupiedPortIsNamed) {
    auto first = net::Listener::create(*ring_);
    auto second = net::Listener::create(*ring_, "127.0.0.1", (*first)->port());
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().text, HasSubstr("127.0.0.1:" + std::to_string((*first)->port())));
}

}  // namespace
}  // namespace imapult::test
