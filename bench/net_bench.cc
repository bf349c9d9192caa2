// What moving bytes costs: source → relay → destination over loopback, the relay on a thread of its
// own, whose CPU time alone is counted (`cpu_s_per_GB`). Source and sink are plain sockets on other
// threads.

#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/net/deflate_stream.h"
#include "engine/net/tcp_stream.h"
#include "engine/net/tls.h"
#include "engine/runtime/ring.h"
#include "engine/runtime/sync.h"

namespace imapult::bench {
namespace {

using runtime::Ring;
using runtime::Task;
using StreamPtr = std::unique_ptr<net::Stream>;

constexpr std::size_t kPiece = 256 * 1024;

/// Two connected TCP sockets on loopback.
std::pair<int, int> connected_pair() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    IMAPULT_ASSERT(bind(listener, generic, size) == 0 && listen(listener, 1) == 0);
    IMAPULT_ASSERT(getsockname(listener, generic, &size) == 0);
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    IMAPULT_ASSERT(connect(client, generic, size) == 0);
    const int server = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    IMAPULT_ASSERT(server >= 0);
    close(listener);
    return {client, server};
}

StreamPtr stream_on(Ring& ring, int socket) {
    return std::make_unique<net::TcpStream>(ring, socket, net::Peer{"bench", true});
}

double thread_cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void pump(int socket, std::uint64_t bytes) {
    const std::string piece(kPiece, 'm');
    while (bytes > 0) {
        const std::size_t part = std::min<std::uint64_t>(piece.size(), bytes);
        const ssize_t sent = send(socket, piece.data(), part, MSG_NOSIGNAL);
        IMAPULT_ASSERT(sent > 0);
        bytes -= static_cast<std::uint64_t>(sent);
    }
    close(socket);
}

void sink(int socket, std::uint64_t& bytes) {
    std::string memory(kPiece, '\0');
    for (;;) {
        const ssize_t got = recv(socket, memory.data(), memory.size(), 0);
        if (got <= 0) break;
        bytes += static_cast<std::uint64_t>(got);
    }
    close(socket);
}

Task<void> relay(net::Stream& from, net::Stream& to) {
    for (;;) {
        auto got = co_await from.read();
        IMAPULT_ASSERT(got.has_value());
        if (got->empty()) break;
        auto written = co_await to.write(*got);
        IMAPULT_ASSERT(written.has_value());
    }
    co_await to.close();
    co_await from.close();
}

Task<void> relays(Ring& ring, std::vector<std::pair<StreamPtr, StreamPtr>>& lanes) {
    runtime::TaskScope scope(ring);
    for (auto& [from, to] : lanes) scope.spawn(relay(*from, *to));
    co_await scope.join();
}

/// Arguments: lanes; provided buffers; bundles.
void BM_RelayClearTcp(benchmark::State& state) {
    const auto lane_count = static_cast<std::size_t>(state.range(0));
    constexpr std::uint64_t kBytesTotal = 2'000'000'000;
    const std::uint64_t bytes_per_lane = kBytesTotal / lane_count;
    double cpu = 0;
    std::uint64_t moved = 0;
    std::uint64_t enters = 0;
    for (auto _ : state) {
        auto ring = Ring::create({.single_issuer = true,
                                  .provided_buffers = state.range(1) != 0,
                                  .bundles = state.range(2) != 0});
        IMAPULT_ASSERT(ring.has_value());
        std::vector<std::pair<StreamPtr, StreamPtr>> lanes;
        std::vector<std::thread> threads;
        std::vector<std::uint64_t> received(lane_count, 0);
        for (std::size_t i = 0; i < lane_count; ++i) {
            const auto [source, from] = connected_pair();
            const auto [to, destination] = connected_pair();
            lanes.emplace_back(stream_on(**ring, from), stream_on(**ring, to));
            threads.emplace_back(pump, source, bytes_per_lane);
            threads.emplace_back(sink, destination, std::ref(received[i]));
        }
        const double before = thread_cpu_seconds();
        (*ring)->run(relays(**ring, lanes));
        cpu += thread_cpu_seconds() - before;
        enters += (*ring)->enters();
        for (auto& thread : threads) thread.join();
        for (const auto bytes : received) {
            IMAPULT_ASSERT(bytes == bytes_per_lane);
            moved += bytes;
        }
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(moved));
    state.counters["cpu_s_per_GB"] = cpu / (static_cast<double>(moved) / 1e9);
    state.counters["KB_per_enter"] = static_cast<double>(moved) / 1e3 / static_cast<double>(enters);
}
BENCHMARK(BM_RelayClearTcp)
    ->ArgNames({"lanes", "provided", "bundles"})
    ->Args({1, 1, 1})
    ->Args({1, 1, 0})
    ->Args({1, 0, 0})
    ->Args({8, 1, 1})
    ->Args({8, 1, 0})
    ->Args({8, 0, 0})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

// ---- TLS and DEFLATE: both ends on one ring --------------------------------------------------

/// A self-signed certificate in a temporary folder.
struct Certificate {
    Certificate() {
        std::string folder = "/tmp/imapult-bench-XXXXXX";
        IMAPULT_ASSERT(mkdtemp(folder.data()) != nullptr);
        certificate = folder + "/certificate.pem";
        key = folder + "/key.pem";
        EVP_PKEY* pair = EVP_EC_gen("P-256");
        X509* made = X509_new();
        X509_gmtime_adj(X509_getm_notBefore(made), 0);
        X509_gmtime_adj(X509_getm_notAfter(made), 3600);
        X509_set_pubkey(made, pair);
        X509_sign(made, pair, EVP_sha256());
        std::FILE* file = std::fopen(certificate.c_str(), "w");
        PEM_write_X509(file, made);
        std::fclose(file);
        file = std::fopen(key.c_str(), "w");
        PEM_write_PrivateKey(file, pair, nullptr, nullptr, 0, nullptr, nullptr);
        std::fclose(file);
        X509_free(made);
        EVP_PKEY_free(pair);
        auto context = net::TlsServerContext::create(certificate, key);
        IMAPULT_ASSERT(context.has_value());
        server = *context;
        unlink(certificate.c_str());
        unlink(key.c_str());
        rmdir(folder.c_str());
    }
    std::string certificate;
    std::string key;
    std::shared_ptr<net::TlsServerContext> server;
};

Task<void> accept_tls(Ring& ring, std::shared_ptr<net::TlsServerContext> context, StreamPtr inner,
                      StreamPtr& into) {
    auto accepted = co_await net::tls_accept(ring, std::move(context), std::move(inner));
    IMAPULT_ASSERT(accepted.has_value());
    into = std::move(*accepted);
}

Task<void> wrap_tls(Ring& ring, StreamPtr& client, StreamPtr& server) {
    static const Certificate kCertificate;
    StreamPtr accepted;
    runtime::TaskScope scope(ring);
    scope.spawn(accept_tls(ring, kCertificate.server, std::move(server), accepted));
    net::TlsOptions options;
    options.host_name = "bench.example.com";
    options.insecure = true;
    auto connected = co_await net::tls_connect(ring, std::make_shared<net::TlsClientContext>(),
                                               std::move(client), options);
    IMAPULT_ASSERT(connected.has_value());
    client = std::move(*connected);
    co_await scope.join();
    server = std::move(accepted);
}

Task<void> push(net::Stream& stream, const std::string& piece, std::uint64_t bytes) {
    for (std::uint64_t done = 0; done < bytes; done += piece.size()) {
        auto written = co_await stream.write(piece);
        IMAPULT_ASSERT(written.has_value());
    }
    co_await stream.close();
}

Task<void> pull(net::Stream& stream, std::uint64_t& bytes) {
    for (;;) {
        auto got = co_await stream.read();
        IMAPULT_ASSERT(got.has_value());
        if (got->empty()) break;
        bytes += got->size();
    }
    co_await stream.close();
}

enum class Wrap : std::uint8_t { nothing, tls, deflate };

Task<void> one_transfer(Ring& ring, Wrap wrap, const std::string& piece, std::uint64_t bytes,
                        std::uint64_t& received) {
    const auto [a, b] = connected_pair();
    StreamPtr client = stream_on(ring, a);
    StreamPtr server = stream_on(ring, b);
    if (wrap == Wrap::tls) co_await wrap_tls(ring, client, server);
    if (wrap == Wrap::deflate) {
        client = net::make_deflate_stream(std::move(client), {});
        server = net::make_deflate_stream(std::move(server), {});
    }
    runtime::TaskScope scope(ring);
    scope.spawn(push(*client, piece, bytes));
    scope.spawn(pull(*server, received));
    co_await scope.join();
}

/// Both ends on this thread: encrypting and decrypting (or packing and unpacking) and the kernel.
void BM_BothEnds(benchmark::State& state, Wrap wrap, std::uint64_t bytes) {
    std::string piece(kPiece, '\0');
    for (std::size_t i = 0; i < piece.size(); ++i) {
        piece[i] = static_cast<char>(' ' + (i * 2'654'435'761U >> 13) % 95);
    }
    double cpu = 0;
    std::uint64_t moved = 0;
    for (auto _ : state) {
        auto ring = Ring::create();
        IMAPULT_ASSERT(ring.has_value());
        const double before = thread_cpu_seconds();
        (*ring)->run(one_transfer(**ring, wrap, piece, bytes, moved));
        cpu += thread_cpu_seconds() - before;
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(moved));
    state.counters["cpu_s_per_GB"] = cpu / (static_cast<double>(moved) / 1e9);
}
BENCHMARK_CAPTURE(BM_BothEnds, clear, Wrap::nothing, 1'000'000'000)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(BM_BothEnds, tls, Wrap::tls, 1'000'000'000)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(BM_BothEnds, deflate, Wrap::deflate, 200'000'000)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace imapult::bench

BENCHMARK_MAIN();
