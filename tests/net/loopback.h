#pragma once
// Two ends of a TCP connection on loopback, and small things to do with streams.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "engine/base/random.h"
#include "engine/net/listener.h"
#include "engine/net/stream.h"
#include "engine/net/tcp_connect.h"
#include "engine/runtime/ring.h"
#include "engine/runtime/sync.h"

namespace imapult::test {

using runtime::Ring;
using runtime::Task;
using runtime::TaskScope;
using StreamPtr = std::unique_ptr<net::Stream>;

struct Ends {
    StreamPtr client;
    StreamPtr server;
};

inline Task<void> accept_one(net::Listener& listener, StreamPtr& into) {
    auto accepted = co_await listener.accept();
    EXPECT_TRUE(accepted) << accepted.error().text;
    if (accepted) into = std::move(*accepted);
}

/// Connects through the product's own listener and connector.
inline Task<Ends> connect_ends(Ring& ring, runtime::BlockingPool& pool) {
    Ends ends;
    auto listener = net::Listener::create(ring);
    EXPECT_TRUE(listener);
    TaskScope scope(ring);
    scope.spawn(accept_one(**listener, ends.server));
    auto connected = co_await net::tcp_connect(ring, pool, "127.0.0.1", (*listener)->port());
    EXPECT_TRUE(connected) << connected.error().text;
    if (connected) ends.client = std::move(*connected);
    co_await scope.join();
    co_return ends;
}

/// Pseudo-random bytes, the same for the same seed.
inline std::string noise(std::size_t bytes, std::uint64_t seed) {
    Random random(seed);
    std::string result(bytes, '\0');
    std::size_t i = 0;
    for (; i + 8 <= bytes; i += 8) {
        const std::uint64_t word = random.next();
        __builtin_memcpy(result.data() + i, &word, 8);
    }
    for (; i < bytes; ++i) result[i] = static_cast<char>(random.next());
    return result;
}

/// Reads until the end of the stream or an error.
struct Drained {
    std::string bytes;
    std::size_t reads = 0;
    std::size_t largest = 0;
    Result<void> end{};
};

inline Task<Drained> drain(net::Stream& stream) {
    Drained drained;
    for (;;) {
        auto got = co_await stream.read();
        if (!got) {
            drained.end = std::unexpected(std::move(got).error());
            break;
        }
        if (got->empty()) break;
        ++drained.reads;
        drained.largest = std::max(drained.largest, got->size());
        drained.bytes += *got;
    }
    co_return drained;
}

inline Task<void> drain_into(net::Stream& stream, Drained& into) {
    into = co_await drain(stream);
}

/// Writes `bytes` in pieces and closes the stream.
inline Task<void> write_and_close(net::Stream& stream, std::string bytes, std::size_t piece) {
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        const std::string_view part = std::string_view(bytes).substr(at, piece);
        auto written = co_await stream.write(part);
        EXPECT_TRUE(written) << written.error().text;
        if (!written) break;
    }
    co_await stream.close();
}

}  // namespace imapult::test
