#pragma once
// HTTP for the two Carbonio sides (SOAP for provisioning, REST and SOAP for the importers): one
// small client over libcurl's multi interface. Any number of threads may call run(); one thread of
// the client owns every transfer, so connections are shared and parallelism has one bound.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/secret.h"

namespace imapult::http {

struct TlsOptions {
    /// PEM file of authorities; empty: the system's.
    std::string ca_file;
    /// SHA-256 of the server's certificate (DER), 64 hexadecimal digits, colons allowed. When
    /// given, exactly this certificate is trusted, whoever issued it and whatever its names.
    std::string fingerprint_sha256;
    /// No check at all. The caller names it in its report.
    bool insecure = false;
};

struct Options {
    TlsOptions tls;
    /// Transfers at once, over all hosts (1 … kTransfersMax).
    std::size_t connections = 8;
    std::chrono::milliseconds connect_timeout{15'000};
    /// A transfer that moves no byte for so long is given up.
    std::chrono::milliseconds stall_timeout{120'000};
    /// A whole request, all bytes and the server's work.
    std::chrono::milliseconds total_timeout{600'000};
    /// Tries of one request, the first included.
    unsigned tries = 6;
    /// Pause before the second try; doubles up to the maximum. A server's Retry-After wins.
    std::chrono::milliseconds backoff_first{500};
    std::chrono::milliseconds backoff_max{30'000};
};

inline constexpr std::size_t kTransfersMax = 64;

struct Header {
    std::string name;
    std::string value;
};

/// When the client may send a request again by itself.
enum class Resend : std::uint8_t {
    never,       ///< one try; the caller decides
    if_refused,  ///< after 503 and 429 and where no connection was made: the server did nothing
    if_lost,     ///< also after a lost connection: the request is idempotent
};

struct Request {
    std::string method = "GET";
    /// http:// or https://, path and query already percent-encoded.
    std::string url;
    std::vector<Header> headers;
    std::string body;
    /// Sent as HTTP Basic when `user` is not empty.
    std::string user;
    Secret password;
    /// Sent as `Cookie: NAME=VALUE` when the name is not empty.
    std::string cookie_name;
    Secret cookie_value;
    Resend resend = Resend::if_lost;
    /// A longer reply is an error (Code::limit).
    std::uint64_t reply_bytes_max = 16ULL * 1024 * 1024;
    /// Where to write the reply's body instead of Response::body; truncated before each try. -1:
    /// memory.
    int reply_fd = -1;
};

struct Response {
    long status = 0;
    std::vector<Header> headers;
    std::string body;
    /// Bytes on the wire, headers included, all tries.
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
    unsigned tries = 0;
    /// True when the reply came over HTTP/2.
    bool http2 = false;

    /// First header of that name (ASCII case ignored), or "".
    [[nodiscard]] std::string_view header(std::string_view name) const;
};

/// Thread-safe. Every reply with a status line is a Response, 4xx and 5xx included; an Error means
/// that there is none: resolve_failed, connect_failed, tls_failed, timeout, connection_lost
/// (Outcome::unknown once the request was on its way), limit, cancelled, invalid_input.
/// A 503 or 429 that outlives all tries is returned as the Response that it is.
class Client {
  public:
    /// Errors: invalid_input (fingerprint, connections), io (CA file unreadable, libcurl).
    static Result<std::unique_ptr<Client>> create(Options options);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// Sends one request and waits for its end.
    Result<Response> run(Request request);
    /// Sends all, at most Options::connections at once; results in the order of the requests.
    std::vector<Result<Response>> run_all(std::vector<Request> requests);
    /// Ends every transfer with Code::cancelled, now and from now on. Not for signal handlers.
    void cancel();

  private:
    class Impl;
    explicit Client(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// An https:// or http:// address as the user gave it, checked.
struct Endpoint {
    /// scheme://host[:port], without a slash at its end.
    std::string base;
    std::string host;
    std::uint16_t port = 0;
    bool tls = true;
};

/// Refuses, with the reason: a password or user inside, a path, query or fragment, another scheme,
/// control characters, and http:// elsewhere than on loopback unless `allow_cleartext`.
Result<Endpoint> parse_endpoint(std::string_view url, bool allow_cleartext);

/// RFC 3986 percent-encoding of everything but unreserved characters.
std::string percent_encode(std::string_view text);

/// Checks and unifies a SHA-256 fingerprint: 64 lower-case hexadecimal digits.
Result<std::string> parse_fingerprint(std::string_view text);

}  // namespace imapult::http
