#include "engine/net/tcp_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "engine/base/limits.h"

namespace imapult::net {

namespace {

void set_option(int socket, int level, int name, int value) {
    // Best effort: a connection without one of these options still works.
    setsockopt(socket, level, name, &value, sizeof value);
}

/// Closing a socket that holds unread octets sends a RST instead of a FIN, and what we wrote last
/// would be lost on its way (session tickets behind a TLS handshake are such octets).
void discard_unread(int socket) {
    constexpr int kRoundsMax = 64;
    for (int round = 0; round < kRoundsMax; ++round) {
        // MSG_TRUNC: dropped without being copied (tcp(7)).
        if (::recv(socket, nullptr, limits::kMiB, MSG_DONTWAIT | MSG_TRUNC) <= 0) return;
    }
}

}  // namespace

TcpStream::TcpStream(runtime::Ring& ring, int socket, Peer peer)
    : ring_(ring), socket_(socket), peer_(std::move(peer)) {
    set_option(socket_, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(socket_, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(socket_, IPPROTO_TCP, TCP_KEEPIDLE, limits::kKeepAliveIdleSeconds);
    set_option(socket_, IPPROTO_TCP, TCP_KEEPINTVL, limits::kKeepAliveIntervalSeconds);
    set_option(socket_, IPPROTO_TCP, TCP_KEEPCNT, limits::kKeepAliveProbes);
}

TcpStream::~TcpStream() {
    IMAPULT_ASSERT(!reading_ && !writing_);
    if (socket_ >= 0) abort();
    release_all();
}

std::unexpected<Error> TcpStream::gone() const {
    return fail(Code::cancelled, Scope::connection, Retry::now,
                "the connection to " + peer_.name + " was given up");
}

std::unexpected<Error> TcpStream::error_of(std::int32_t result, const char* doing) const {
    if (aborted_ || result == -ECANCELED) return gone();
    const int error = -result;
    const Code code = error == ETIMEDOUT ? Code::timeout : Code::connection_lost;
    std::string why;
    if (error == ECONNRESET || error == EPIPE) {
        why = "the server closed the connection";
    } else {
        why = std::generic_category().message(error);
    }
    return fail(code, Scope::connection, Retry::now,
                std::string("connection to ") + peer_.name + " lost while " + doing + ": " + why);
}

std::string_view TcpStream::take_block() {
    held_ = chain_;
    const std::size_t bytes = std::min(chain_bytes_, limits::kReceiveBlockBytes);
    chain_bytes_ -= bytes;
    chain_ = chain_bytes_ > 0 ? ring_.next_block(held_) : kNone;
    return {ring_.block_data(held_), bytes};
}

void TcpStream::release_held() {
    if (held_ != kNone) ring_.release_block(std::exchange(held_, kNone));
}

void TcpStream::release_all() {
    release_held();
    while (chain_ != kNone) {
        static_cast<void>(take_block());
        release_held();
    }
}

runtime::Task<Result<std::string_view>> TcpStream::read() {
    IMAPULT_ASSERT(!reading_);
    if (aborted_ || socket_ < 0) co_return gone();
    release_held();
    if (chain_ != kNone) co_return take_block();
    if (ended_) co_return std::string_view{};

    reading_ = true;
    ring_.start_receive(receive_, socket_, likely_empty_);
    std::int32_t result = co_await receive_;
    bool own = false;
    if (result == -ENOBUFS && !aborted_) {
        if (!own_) own_ = std::make_unique_for_overwrite<char[]>(limits::kReceiveBlockBytes);
        ring_.start_receive_into(receive_own_, socket_, own_.get(), limits::kReceiveBlockBytes);
        result = co_await receive_own_;
        own = true;
    } else {
        likely_empty_ = !receive_.more_waiting();
    }
    reading_ = false;
    if (!own && receive_.has_blocks()) {
        chain_ = receive_.first_block();
        chain_bytes_ = static_cast<std::size_t>(result);
        own_.reset();
    }
    if (aborted_) {
        release_all();
        close_if_idle();
        co_return gone();
    }
    if (result < 0) co_return error_of(result, "reading");
    if (result == 0) {
        ended_ = true;
        co_return std::string_view{};
    }
    bytes_in_ += static_cast<std::uint64_t>(result);
    if (own) co_return std::string_view(own_.get(), static_cast<std::size_t>(result));
    co_return take_block();
}

runtime::Task<Result<void>> TcpStream::write(std::string_view bytes) {
    IMAPULT_ASSERT(!writing_);
    if (aborted_ || socket_ < 0) co_return gone();
    writing_ = true;
    std::int32_t result = 0;
    // The kernel continues short sends itself; a signal or a limit of its own may still end one.
    while (!bytes.empty() && !aborted_) {
        ring_.start_send(send_, socket_, bytes.substr(0, limits::kSendBytesMax));
        result = co_await send_;
        if (result == -EINTR) continue;
        if (result < 0) break;
        bytes.remove_prefix(static_cast<std::size_t>(result));
        bytes_out_ += static_cast<std::uint64_t>(result);
    }
    writing_ = false;
    if (aborted_) {
        close_if_idle();
        co_return gone();
    }
    if (result < 0) co_return error_of(result, "writing");
    co_return Result<void>{};
}

void TcpStream::abort() {
    if (aborted_ || socket_ < 0) return;
    aborted_ = true;
    // The kernel keeps the socket open while an operation uses it, so these must end first; the
    // last of them closes it.
    ring_.cancel(receive_);
    ring_.cancel(receive_own_);
    ring_.cancel(send_);
    close_if_idle();
}

void TcpStream::close_if_idle() {
    if (reading_ || writing_ || socket_ < 0) return;
    // Closing with a linger time of zero sends a RST: the peer drops what it has not processed.
    const linger reset{.l_onoff = 1, .l_linger = 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    ::close(std::exchange(socket_, -1));
}

runtime::Task<void> TcpStream::close() {
    IMAPULT_ASSERT(!reading_ && !writing_);
    release_all();
    if (socket_ >= 0) {
        ::shutdown(socket_, SHUT_WR);
        discard_unread(socket_);
        ::close(std::exchange(socket_, -1));
    }
    co_return;
}

}  // namespace imapult::net
