#pragma once
// TLS over any stream, both sides, by OpenSSL. The engine never touches a socket: it takes bytes
// from the inner stream's view and leaves bytes for the inner stream to write.

#include <memory>
#include <string>

#include "engine/net/stream.h"
#include "engine/runtime/scheduler.h"

namespace imapult::net {

/// What client connections share: root certificates and sessions to resume. One per process, used
/// by all shards at once.
class TlsClientContext {
  public:
    TlsClientContext();
    ~TlsClientContext();
    TlsClientContext(const TlsClientContext&) = delete;
    TlsClientContext& operator=(const TlsClientContext&) = delete;

    struct Impl;
    [[nodiscard]] Impl& impl() { return *impl_; }

  private:
    std::unique_ptr<Impl> impl_;
};

/// A server's certificate and key.
class TlsServerContext {
  public:
    /// PEM files; the certificate file may hold a chain. Code::invalid_input with a sentence.
    static Result<std::shared_ptr<TlsServerContext>> create(const std::string& certificate_file,
                                                            const std::string& key_file);
    ~TlsServerContext();
    TlsServerContext(const TlsServerContext&) = delete;
    TlsServerContext& operator=(const TlsServerContext&) = delete;

    struct Impl;
    [[nodiscard]] Impl& impl() { return *impl_; }

  private:
    TlsServerContext();
    std::unique_ptr<Impl> impl_;
};

/// What was agreed on, for logs and reports.
struct TlsInfo {
    std::string version;             ///< "TLSv1.3"
    std::string cipher;              ///< "TLS_AES_256_GCM_SHA384"
    std::string fingerprint_sha256;  ///< of the peer's certificate: "AB:CD:…"; empty if resumed
    bool resumed = false;
};

/// Client handshake. Code::tls_failed with scope host: the sentence says what is wrong with the
/// certificate (expired, wrong name, unknown CA, wrong fingerprint), shows its SHA-256
/// fingerprint and the cure; or that the server does not speak TLS on this port. Code::timeout
/// after limits::kTlsHandshakeTimeout.
runtime::Task<Result<std::unique_ptr<Stream>>> tls_connect(
    runtime::Scheduler& scheduler, std::shared_ptr<TlsClientContext> context,
    std::unique_ptr<Stream> inner, TlsOptions options);

/// Server handshake.
runtime::Task<Result<std::unique_ptr<Stream>>> tls_accept(runtime::Scheduler& scheduler,
                                                          std::shared_ptr<TlsServerContext> context,
                                                          std::unique_ptr<Stream> inner);

/// Nothing if `stream` is not a TLS stream of ours.
const TlsInfo* tls_info(const Stream& stream);

}  // namespace imapult::net
