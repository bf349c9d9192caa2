#pragma once
// Private to engine/net: OpenSSL as a state machine without sockets.

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "engine/net/stream.h"
#include "engine/net/tls.h"

namespace imapult::net::detail {

template <auto Function>
struct Deleter {
    template <class T>
    void operator()(T* object) const {
        Function(object);
    }
};
using SslPtr = std::unique_ptr<SSL, Deleter<SSL_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;
using SessionPtr = std::unique_ptr<SSL_SESSION, Deleter<SSL_SESSION_free>>;

/// How one client connection judges the certificate it is shown, and what it saw.
struct Verification {
    TlsOptions options;
    std::string pin;               ///< 64 lower-case hex digits, or empty
    std::string seen_fingerprint;  ///< "AB:CD:…"
    std::string seen_names;        ///< "a.example.com, b.example.com", printable
    bool judged = false;           ///< the certificate was seen at all (not resumed)
};

/// One TLS connection: feed() it bytes from the wire, take bytes for the wire from output().
class TlsEngine {
  public:
    /// What a step needs to go on.
    enum class Step : std::uint8_t { done, need_input, ended, failed };

    explicit TlsEngine(SslPtr ssl);
    TlsEngine(const TlsEngine&) = delete;
    TlsEngine& operator=(const TlsEngine&) = delete;

    /// The view is used up (copied or decrypted) before need_input is said again.
    void feed(std::string_view bytes) { input_ = bytes; }
    void feed_end() { input_ended_ = true; }

    Step handshake();
    /// Decrypts into `memory`; `got` octets are there with `done`.
    Step read(char* memory, std::size_t bytes_max, std::size_t& got);
    /// Encrypts all of `bytes` to output().
    Step write(std::string_view bytes);
    /// Adds close_notify to output().
    void shut_down();

    /// Bytes for the wire; whoever sends them takes them away.
    [[nodiscard]] std::string& output() { return output_; }
    [[nodiscard]] SSL* ssl() const { return ssl_.get(); }
    /// OpenSSL's words for the last failure: "wrong version number".
    [[nodiscard]] const std::string& failure() const { return failure_; }
    [[nodiscard]] int failure_reason() const { return failure_reason_; }

  private:
    friend struct EngineBio;
    Step step_of(int result);

    SslPtr ssl_;
    std::string_view input_;
    bool input_ended_ = false;
    std::string output_;
    std::string failure_;
    int failure_reason_ = 0;
};

/// The words of OpenSSL's error queue, emptied; `fallback` if it is empty.
std::string take_openssl_error(const char* fallback, int* reason = nullptr);

/// A client's SSL object, ready for the handshake, with SNI, verification and a session to resume.
/// `verification` must outlive it.
Result<SslPtr> new_client_ssl(TlsClientContext& context, Verification& verification);
/// The error of a client handshake that failed.
Error client_handshake_error(const TlsEngine& engine, const Verification& verification);
Result<SslPtr> new_server_ssl(TlsServerContext& context);

}  // namespace imapult::net::detail
