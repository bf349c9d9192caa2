#include "engine/net/tcp_connect.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>
#include <system_error>
#include <utility>

#include "engine/base/text.h"
#include "engine/net/tcp_stream.h"

namespace imapult::net {

namespace {

std::unexpected<Error> host_error(Code code, Retry retry, std::string text) {
    return fail(code, Scope::host, retry, std::move(text));
}

/// One address being tried. Its operation lives here, in tcp_connect()'s frame.
struct Attempt {
    Address address;
    runtime::Operation operation;
    bool running = false;
};

/// What the attempts and tcp_connect() share.
struct Race {
    Race(runtime::Ring& on, std::vector<Address> addresses) : ring(on), progress(on) {
        for (auto& address : addresses) attempts.emplace_back().address = address;
    }
    runtime::Ring& ring;
    runtime::Event progress;
    std::deque<Attempt> attempts;
    std::size_t started = 0;
    std::size_t failed = 0;
    bool over = false;  ///< somebody won, or time is up
    int winner = -1;    ///< a connected socket
    Address winner_address;
    std::string last_failure;

    [[nodiscard]] bool running() const { return started > failed && !over; }
};

int start_attempt(Race& race, Attempt& attempt) {
    const int socket = ::socket(attempt.address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return -errno;
    race.ring.start_connect(attempt.operation, socket, attempt.address.get(),
                            attempt.address.bytes);
    return socket;
}

runtime::Task<void> try_address(Race& race, Attempt& attempt) {
    std::int32_t result = -ECANCELED;
    int socket = -1;
    if (!race.over) {
        socket = start_attempt(race, attempt);
        result = socket;
        if (socket >= 0) result = co_await attempt.operation;
    }
    if (result == 0 && !race.over) {
        race.over = true;
        race.winner = socket;
        race.winner_address = attempt.address;
    } else {
        if (socket >= 0) ::close(socket);
        if (result != -ECANCELED && result != 0) {
            race.last_failure =
                attempt.address.text() + ": " + std::generic_category().message(-result);
        }
        ++race.failed;
    }
    race.progress.notify_all();
}

/// Runs the race until somebody has won, everybody has failed or the deadline has come.
runtime::Task<void> run_race(Race& race, Nanos deadline, Nanos attempt_delay) {
    runtime::TaskScope scope(race.ring);
    while (!race.over) {
        if (race.ring.now() >= deadline) break;
        Nanos wait_until = deadline;
        if (race.started < race.attempts.size()) {
            Attempt& attempt = race.attempts[race.started++];
            scope.spawn(try_address(race, attempt));
            if (race.started < race.attempts.size()) {
                wait_until = std::min(deadline, race.ring.now() + attempt_delay);
            }
        } else if (!race.running()) {
            break;
        }
        // A failure brings the next address forward; so does the delay (RFC 8305, section 5).
        const std::size_t failed = race.failed;
        while (!race.over && race.failed == failed) {
            if (!co_await race.progress.wait(wait_until)) break;
        }
    }
    race.over = true;
    for (Attempt& attempt : race.attempts) race.ring.cancel(attempt.operation);
    co_await scope.join();
}

/// "localhost" means this machine (RFC 6761, section 6.3), also where nothing is configured.
bool is_localhost(std::string_view host) {
    return equal_ignoring_case(host, "localhost");
}

}  // namespace

Result<std::vector<Address>> resolve(const std::string& host, std::uint16_t port) {
    if (auto literal = Address::parse(host, port)) return std::vector<Address>{*literal};
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (error != 0 && is_localhost(host)) {
        return std::vector<Address>{*Address::parse("127.0.0.1", port),
                                    *Address::parse("::1", port)};
    }
    const std::string shown = printable(host, 256);
    if (error == EAI_AGAIN) {
        return host_error(Code::resolve_failed, Retry::later,
                          "cannot resolve " + shown +
                              ": the name server does not answer; check DNS and try again");
    }
    if (error == EAI_NONAME || error == EAI_NODATA) {
        return host_error(Code::resolve_failed, Retry::never,
                          "unknown host " + shown + ": check the spelling, or give its address");
    }
    if (error != 0) {
        const std::string why =
            error == EAI_SYSTEM ? std::generic_category().message(errno) : gai_strerror(error);
        return host_error(Code::resolve_failed, Retry::later,
                          "cannot resolve " + shown + ": " + why);
    }
    std::vector<Address> addresses;
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
        if (entry->ai_addrlen > sizeof(sockaddr_storage)) continue;
        if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6) continue;
        Address& address = addresses.emplace_back();
        std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
        address.bytes = entry->ai_addrlen;
        address.set_port(port);
    }
    freeaddrinfo(found);
    if (addresses.empty()) {
        return host_error(Code::resolve_failed, Retry::never,
                          "the host " + shown + " has no IPv4 or IPv6 address");
    }
    return addresses;
}

std::vector<Address> interleave(std::vector<Address> addresses) {
    if (addresses.empty()) return addresses;
    const int first_family = addresses.front().family();
    std::deque<Address> first;
    std::deque<Address> second;
    for (auto& address : addresses) {
        (address.family() == first_family ? first : second).push_back(address);
    }
    addresses.clear();
    while (!first.empty() || !second.empty()) {
        for (auto* queue : {&first, &second}) {
            if (queue->empty()) continue;
            addresses.push_back(queue->front());
            queue->pop_front();
        }
    }
    if (addresses.size() > limits::kAddressesPerHostMax) {
        addresses.resize(limits::kAddressesPerHostMax);
    }
    return addresses;
}

runtime::Task<Result<std::unique_ptr<Stream>>> tcp_connect(runtime::Ring& ring,
                                                           runtime::BlockingPool& pool,
                                                           std::string host, std::uint16_t port,
                                                           ConnectOptions options) {
    std::vector<Address> addresses;
    if (auto literal = Address::parse(host, port)) {
        addresses.push_back(*literal);
    } else {
        auto ask = [resolver = options.resolver, host, port] { return resolver(host, port); };
        auto answer = co_await runtime::offload(ring, pool, std::move(ask));
        if (!answer) co_return std::unexpected(std::move(answer).error());
        addresses = interleave(std::move(*answer));
    }
    const std::string where = host_and_port(host, port);
    Race race(ring, std::move(addresses));
    const Nanos deadline = ring.now() + options.timeout;
    co_await run_race(race, deadline, options.attempt_delay);
    if (race.winner >= 0) {
        Peer peer{where, race.winner_address.is_loopback()};
        std::unique_ptr<Stream> stream =
            std::make_unique<TcpStream>(ring, race.winner, std::move(peer));
        co_return stream;
    }
    if (ring.now() >= deadline) {
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options.timeout);
        co_return host_error(Code::connect_failed, Retry::later,
                             "cannot connect to " + where + ": no answer within " +
                                 std::to_string(seconds.count()) +
                                 " s; check the port and the firewall");
    }
    co_return host_error(Code::connect_failed, Retry::later,
                         "cannot connect to " + where + " (" + race.last_failure +
                             "): check host and port and that the server is running");
}

}  // namespace imapult::net
