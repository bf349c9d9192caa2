#pragma once
// A two-way byte stream: TCP, TLS over it, DEFLATE over that, a proxy, or memory (simulator).

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "engine/runtime/task.h"

namespace imapult::net {

/// Errors have scope `connection` (host for resolve/connect/TLS) and the codes connection_lost,
/// timeout, tls_failed, cancelled. Reading and writing may be in flight at the same time, one of
/// each.
class Stream {
  public:
    virtual ~Stream() = default;

    /// The next bytes, at least one; empty at the end of the stream (FIN, close_notify). The view
    /// is valid until the next read(): nothing is received beyond what was asked for, so a reader
    /// that stops reading stops the peer (TCP back-pressure).
    virtual runtime::Task<Result<std::string_view>> read() = 0;

    /// Writes all of `bytes`, which must stay valid until the task is done.
    virtual runtime::Task<Result<void>> write(std::string_view bytes) = 0;

    /// Gives the stream up at once (TCP: RST, so that the peer drops what it has queued).
    /// Operations in flight end with Code::cancelled; later ones fail at once. May be called at any
    /// time.
    virtual void abort() = 0;

    /// Ends the stream politely (close_notify, FIN) and releases it. Nothing may be in flight.
    virtual runtime::Task<void> close() = 0;

    /// Octets on the wire, after TLS and compression.
    [[nodiscard]] virtual std::uint64_t wire_bytes_in() const = 0;
    [[nodiscard]] virtual std::uint64_t wire_bytes_out() const = 0;

    /// True if the peer is this machine (127/8, ::1, unix): clear text is acceptable, compression
    /// is not useful.
    [[nodiscard]] virtual bool is_loopback() const = 0;
    /// True if the bytes are protected by TLS.
    [[nodiscard]] virtual bool is_secure() const = 0;
};

/// How a server's certificate is checked. Defaults: full verification against the system's roots.
struct TlsOptions {
    std::string host_name;           ///< for SNI and verification (DNS name or IP literal)
    std::string ca_file;             ///< PEM; empty: the system's roots
    std::string fingerprint_sha256;  ///< hex, colons allowed; if set, this leaf certificate is
                                     ///< trusted and nothing else
    bool insecure = false;           ///< accept anything; named in every report
};

/// Opens connections: the ring's in production, in-memory ones in the simulator.
class Connector {
  public:
    virtual ~Connector() = default;
    /// TCP by happy eyeballs (RFC 8305); names are resolved off the shard's thread. `host` may be a
    /// name or a literal address (without brackets).
    virtual runtime::Task<Result<std::unique_ptr<Stream>>> connect(std::string host,
                                                                   std::uint16_t port) = 0;
    /// TLS client handshake (TLS 1.2 at least) over `inner`; sessions are resumed per host.
    /// Bytes that `inner` delivered before the handshake must have been refused by the caller.
    virtual runtime::Task<Result<std::unique_ptr<Stream>>> start_tls(std::unique_ptr<Stream> inner,
                                                                     TlsOptions options) = 0;
    /// COMPRESS=DEFLATE (RFC 4978) over `inner`. `pending` are compressed bytes that had already
    /// been read behind the tagged OK.
    virtual std::unique_ptr<Stream> start_deflate(std::unique_ptr<Stream> inner,
                                                  std::string pending) = 0;
};

}  // namespace imapult::net
