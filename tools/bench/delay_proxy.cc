// delay-proxy: a TCP proxy on loopback that makes the peer look far away, and counts.
//
// Every byte arrives half a round trip later in either direction and the connection itself takes as
// long as a real handshake would; bandwidth is not limited (up to kQueueMaxBytes in flight a
// direction, then the sender is held up as by a full TCP window). On SIGTERM it prints what it
// counted.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loopback.h"

namespace imapult::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kQueueMaxBytes = 64 * 1024 * 1024;

volatile std::sig_atomic_t stop_asked = 0;

struct Options {
    std::uint16_t listen = 0;
    std::uint16_t connect = 0;
    std::chrono::nanoseconds rtt{};
};

struct Counters {
    std::uint64_t connections = 0;
    std::uint64_t client_bytes = 0;  // client to server
    std::uint64_t server_bytes = 0;
    std::uint64_t turns = 0;  // the client spoke after the server had, or first
};

enum class End { none, finished, reset };

struct Chunk {
    Clock::time_point due;
    std::vector<char> bytes;
    std::size_t sent = 0;
    End end = End::none;
};

/// One direction of a link.
struct Pipe {
    std::deque<Chunk> queue;
    std::size_t queued_bytes = 0;
    bool reading = true;   // the sender has not ended
    bool blocked = false;  // the receiver's socket is full
    bool ended = false;    // the end was passed on
};

struct Link {
    Fd client;
    Fd server;
    Clock::time_point opens;
    Pipe up;
    Pipe down;
    bool server_spoke_last = true;
    bool dead = false;
};

class Proxy {
  public:
    Proxy(Options options, Fd listener) : options_(options), listener_(std::move(listener)) {}

    void run();
    const Counters& counters() const { return counters_; }

  private:
    void accept_all();
    void open_server(Link& link);
    void read(Link& link, bool upward);
    void write(Link& link, bool upward, Clock::time_point now);
    void push(Pipe& pipe, Chunk chunk);
    void poll_once();

    Options options_;
    Fd listener_;
    Counters counters_;
    std::list<Link> links_;
    std::vector<char> scratch_ = std::vector<char>(kReadBytes);
};

void set_reset_on_close(const Fd& socket) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    if (socket.open()) ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void Proxy::accept_all() {
    while (true) {
        Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!client.open()) return;
        const int on = 1;
        ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ++counters_.connections;
        Link& link = links_.emplace_back();
        link.client = std::move(client);
        // SYN, SYN-ACK and ACK: the server's accept returns one and a half round trips later.
        link.opens = Clock::now() + options_.rtt + options_.rtt / 2;
    }
}

void Proxy::open_server(Link& link) {
    auto server = connect_loopback(options_.connect);
    if (!server) {
        std::fprintf(stderr, "delay-proxy: %s\n", server.error().c_str());
        set_reset_on_close(link.client);
        link.dead = true;
        return;
    }
    link.server = std::move(*server);
}

void Proxy::push(Pipe& pipe, Chunk chunk) {
    chunk.due = Clock::now() + options_.rtt / 2;
    pipe.queued_bytes += chunk.bytes.size();
    pipe.queue.push_back(std::move(chunk));
}

void Proxy::read(Link& link, bool upward) {
    Pipe& pipe = upward ? link.up : link.down;
    const Fd& from = upward ? link.client : link.server;
    const ssize_t got = ::recv(from.get(), scratch_.data(), scratch_.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    Chunk chunk;
    if (got <= 0) {
        pipe.reading = false;
        chunk.end = got == 0 ? End::finished : End::reset;
        push(pipe, std::move(chunk));
        return;
    }
    const auto size = static_cast<std::size_t>(got);
    (upward ? counters_.client_bytes : counters_.server_bytes) += size;
    if (upward && link.server_spoke_last) ++counters_.turns;
    link.server_spoke_last = !upward;
    chunk.bytes.assign(scratch_.data(), scratch_.data() + size);
    push(pipe, std::move(chunk));
}

void Proxy::write(Link& link, bool upward, Clock::time_point now) {
    Pipe& pipe = upward ? link.up : link.down;
    const Fd& to = upward ? link.server : link.client;
    while (!pipe.queue.empty() && pipe.queue.front().due <= now) {
        Chunk& chunk = pipe.queue.front();
        if (chunk.end == End::finished) {
            ::shutdown(to.get(), SHUT_WR);
            pipe.ended = true;
        } else if (chunk.end == End::reset) {
            set_reset_on_close(to);
            link.dead = true;
            return;
        }
        if (chunk.sent < chunk.bytes.size()) {
            const ssize_t sent = ::send(to.get(), chunk.bytes.data() + chunk.sent,
                                        chunk.bytes.size() - chunk.sent, MSG_NOSIGNAL);
            if (sent < 0) {
                pipe.blocked = errno == EAGAIN || errno == EINTR;
                // The receiver is gone: the sender learns it as it would from the real peer.
                if (!pipe.blocked) {
                    set_reset_on_close(upward ? link.client : link.server);
                    link.dead = true;
                }
                return;
            }
            chunk.sent += static_cast<std::size_t>(sent);
            if (chunk.sent < chunk.bytes.size()) continue;
        }
        pipe.queued_bytes -= chunk.bytes.size();
        pipe.queue.pop_front();
    }
    if (link.up.ended && link.down.ended) link.dead = true;
}

void Proxy::poll_once() {
    std::vector<pollfd> polled{{.fd = listener_.get(), .events = POLLIN, .revents = 0}};
    std::optional<Clock::time_point> wake;
    const auto wake_at = [&wake](Clock::time_point at) {
        if (!wake || at < *wake) wake = at;
    };
    const auto interest = [](const Pipe& in, const Pipe& out) {
        const bool may_read = in.reading && in.queued_bytes < kQueueMaxBytes;
        return static_cast<short>((may_read ? POLLIN : 0) | (out.blocked ? POLLOUT : 0));
    };
    for (const Link& link : links_) {
        const short client = interest(link.up, link.down);
        const short server = interest(link.down, link.up);
        // A descriptor without interest is left out: poll would report its hang-up again and again.
        polled.push_back({client ? link.client.get() : -1, client, 0});
        polled.push_back({server && link.server.open() ? link.server.get() : -1, server, 0});
        if (!link.server.open()) {
            wake_at(link.opens);
        } else if (!link.up.queue.empty() && !link.up.blocked) {
            wake_at(link.up.queue.front().due);
        }
        if (!link.down.queue.empty() && !link.down.blocked) wake_at(link.down.queue.front().due);
    }
    timespec timeout{};
    if (wake) {
        const auto left = std::max(*wake - Clock::now(), Clock::duration::zero());
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
        timeout.tv_sec = seconds.count();
        timeout.tv_nsec = std::chrono::nanoseconds(left - seconds).count();
    }
    sigset_t none;
    sigemptyset(&none);
    const int ready = ::ppoll(polled.data(), polled.size(), wake ? &timeout : nullptr, &none);
    if (ready > 0) {
        std::size_t index = 1;
        for (Link& link : links_) {
            const pollfd& client = polled[index++];
            const pollfd& server = polled[index++];
            constexpr short kReadable = POLLIN | POLLHUP | POLLERR;
            if ((client.revents & kReadable) != 0 && (client.events & POLLIN) != 0)
                read(link, true);
            if ((server.revents & kReadable) != 0 && (server.events & POLLIN) != 0) {
                read(link, false);
            }
            if ((client.revents & (POLLOUT | POLLERR | POLLHUP)) != 0) link.down.blocked = false;
            if ((server.revents & (POLLOUT | POLLERR | POLLHUP)) != 0) link.up.blocked = false;
        }
        if ((polled[0].revents & POLLIN) != 0) accept_all();
    }
}

void Proxy::run() {
    while (stop_asked == 0) {
        poll_once();
        const auto now = Clock::now();
        for (Link& link : links_) {
            if (!link.server.open() && link.opens <= now) open_server(link);
            if (!link.dead && link.server.open() && !link.up.blocked) write(link, true, now);
            if (!link.dead && !link.down.blocked) write(link, false, now);
        }
        links_.remove_if([](const Link& link) { return link.dead; });
    }
}

std::optional<Options> parse(int argc, char** argv) {
    Options out;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        if (name == "--rtt") {
            char* end = nullptr;
            const double ms = std::strtod(argv[i + 1], &end);
            if (*end != '\0' || !(ms >= 0) || ms > 60'000) return std::nullopt;
            out.rtt = std::chrono::nanoseconds(static_cast<std::int64_t>(ms * 1e6));
            continue;
        }
        const auto port = parse_port(argv[i + 1]);
        if (!port || (name != "--listen" && name != "--connect")) return std::nullopt;
        (name == "--listen" ? out.listen : out.connect) = *port;
    }
    if (argc % 2 == 0 || out.connect == 0) return std::nullopt;
    return out;
}

}  // namespace
}  // namespace imapult::bench

int main(int argc, char** argv) {
    using namespace imapult::bench;
    const auto options = parse(argc, argv);
    if (!options) {
        std::fprintf(stderr, "usage: delay-proxy --connect PORT [--listen PORT] [--rtt MS]\n");
        return 2;
    }
    // Signals are let in only while waiting, so that none is lost between the check and the wait.
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigprocmask(SIG_BLOCK, &ending, nullptr);
    struct sigaction action{};
    action.sa_handler = [](int) { stop_asked = 1; };
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);

    auto listener = listen_loopback(options->listen);
    if (!listener) {
        std::fprintf(stderr, "delay-proxy: %s\n", listener.error().c_str());
        return 1;
    }
    std::printf("listening %u\n", static_cast<unsigned>(port_of(*listener)));
    std::fflush(stdout);
    Proxy proxy(*options, std::move(*listener));
    proxy.run();
    const Counters& c = proxy.counters();
    std::printf(
        R"({"connections": %llu, "client_bytes": %llu, "server_bytes": %llu, "turns": %llu})"
        "\n",
        static_cast<unsigned long long>(c.connections),
        static_cast<unsigned long long>(c.client_bytes),
        static_cast<unsigned long long>(c.server_bytes), static_cast<unsigned long long>(c.turns));
    return 0;
}
