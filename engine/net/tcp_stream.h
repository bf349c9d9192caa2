#pragma once
// A TCP connection on a ring.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/net/stream.h"
#include "engine/runtime/ring.h"

namespace imapult::net {

/// Where a connection leads, for sentences and for is_loopback().
struct Peer {
    std::string name;  ///< "imap.example.com:143"; an address if the name is not known
    bool loopback = false;
};

/// Reads straight from the shard's receive blocks: read() hands out one block after the other of
/// what one receive brought and asks the kernel for more only when all are used up. Blocks are
/// given back as soon as the reader comes back. While the shard's blocks are all held elsewhere,
/// the stream receives into a block of its own, so that no stream waits for another one's reader.
class TcpStream final : public Stream {
  public:
    /// Takes over a connected socket in blocking mode; sets TCP_NODELAY and keep-alive.
    TcpStream(runtime::Ring& ring, int socket, Peer peer);
    /// Without a close() before, the connection is reset. Nothing may be in flight.
    ~TcpStream() override;
    TcpStream(const TcpStream&) = delete;
    TcpStream& operator=(const TcpStream&) = delete;

    runtime::Task<Result<std::string_view>> read() override;
    runtime::Task<Result<void>> write(std::string_view bytes) override;
    void abort() override;
    runtime::Task<void> close() override;

    [[nodiscard]] std::uint64_t wire_bytes_in() const override { return bytes_in_; }
    [[nodiscard]] std::uint64_t wire_bytes_out() const override { return bytes_out_; }
    [[nodiscard]] bool is_loopback() const override { return peer_.loopback; }
    [[nodiscard]] bool is_secure() const override { return false; }
    [[nodiscard]] const Peer& peer() const { return peer_; }

  private:
    [[nodiscard]] std::string_view take_block();
    void release_held();
    void release_all();
    void close_if_idle();
    [[nodiscard]] std::unexpected<Error> error_of(std::int32_t result, const char* doing) const;
    [[nodiscard]] std::unexpected<Error> gone() const;

    runtime::Ring& ring_;
    int socket_;
    Peer peer_;
    runtime::ReceiveOperation receive_;
    runtime::Operation receive_own_;
    runtime::Operation send_;
    bool reading_ = false;
    bool writing_ = false;
    bool aborted_ = false;
    bool ended_ = false;         ///< the peer's FIN was read
    bool likely_empty_ = false;  ///< the last receive emptied the socket

    // The chain of blocks of the last receive: `held_` is the one the reader looks at.
    static constexpr std::uint16_t kNone = UINT16_MAX;
    std::uint16_t held_ = kNone;
    std::uint16_t chain_ = kNone;
    std::size_t chain_bytes_ = 0;

    std::unique_ptr<char[]> own_;  ///< kReceiveBlockBytes, only where the pool had none
    std::uint64_t bytes_in_ = 0;
    std::uint64_t bytes_out_ = 0;
};

}  // namespace imapult::net
