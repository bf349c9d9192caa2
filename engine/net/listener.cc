#include "engine/net/listener.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "engine/net/address.h"
#include "engine/net/tcp_stream.h"

namespace imapult::net {

namespace {

constexpr int kBacklog = 128;

std::unexpected<Error> listen_error(const std::string& where, int error) {
    return fail(Code::io, Scope::run, Retry::never,
                "cannot listen on " + where + ": " + std::generic_category().message(error));
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::create(runtime::Ring& ring, std::string address,
                                                   std::uint16_t port) {
    const std::string where = host_and_port(address, port);
    const auto parsed = Address::parse(address, port);
    if (!parsed) return invalid(where + " is not an IP address to listen on");
    const int socket = ::socket(parsed->family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return listen_error(where, errno);
    std::unique_ptr<Listener> listener(new Listener(ring, socket, 0));
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket, parsed->get(), parsed->bytes) != 0 || ::listen(socket, kBacklog) != 0) {
        return listen_error(where, errno);
    }
    Address bound;
    bound.bytes = sizeof bound.storage;
    if (::getsockname(socket, bound.get(), &bound.bytes) != 0) return listen_error(where, errno);
    listener->port_ = bound.port();
    return listener;
}

Listener::~Listener() {
    IMAPULT_ASSERT(!accepting_);
    if (socket_ >= 0) ::close(socket_);
}

runtime::Task<Result<std::unique_ptr<Stream>>> Listener::accept() {
    IMAPULT_ASSERT(!accepting_);
    accepting_ = true;
    std::int32_t result = -ECANCELED;
    while (!stopped_) {
        ring_.start_accept(accept_, socket_);
        result = co_await accept_;
        // A client that was gone before we came (accept(2)) is no error of the listener's.
        if (result != -ECONNABORTED && result != -EINTR && result != -EPROTO) break;
    }
    accepting_ = false;
    if (stopped_) {
        if (result >= 0) ::close(result);
        ::close(std::exchange(socket_, -1));
        co_return fail(Code::cancelled, Scope::connection, Retry::never, "the listener has ended");
    }
    if (result < 0) {
        co_return fail(Code::io, Scope::connection, Retry::later,
                       "cannot accept a connection: " + std::generic_category().message(-result));
    }
    Address peer;
    peer.bytes = sizeof peer.storage;
    ::getpeername(result, peer.get(), &peer.bytes);
    Peer description{peer.text(), peer.is_loopback()};
    std::unique_ptr<Stream> stream =
        std::make_unique<TcpStream>(ring_, result, std::move(description));
    co_return stream;
}

void Listener::stop() {
    stopped_ = true;
    if (accepting_) {
        ring_.cancel(accept_);
    } else if (socket_ >= 0) {
        ::close(std::exchange(socket_, -1));
    }
}

}  // namespace imapult::net
