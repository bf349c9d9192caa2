#pragma once
// One side of one account as the command line or the accounts file names it: everything that is
// needed to connect and to authenticate. Already validated (see tools/imapult/endpoint.h).

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "engine/base/secret.h"

namespace imapult {

enum class Side : std::uint8_t { source, destination };
/// "source", "destination".
constexpr std::string_view name_of(Side side) {
    return side == Side::source ? "source" : "destination";
}

enum class TlsMode : std::uint8_t {
    implicit,  ///< TLS from the first octet (imaps://, 993)
    starttls,  ///< required: the connection ends if it is not offered (imap://, 143)
    off,       ///< clear text: only to a loopback address, or with allow_cleartext
};

enum class AuthMechanism : std::uint8_t {
    automatic,  ///< the strongest offered that the secret allows
    plain,
    login,
    cram_md5,
    scram_sha_256,
    xoauth2,
    oauthbearer,
};
/// As on the command line: "auto", "plain", "cram-md5", "scram-sha-256", …
std::string_view name_of(AuthMechanism mechanism);
/// True for the mechanisms that take a token instead of a password.
constexpr bool takes_token(AuthMechanism mechanism) {
    return mechanism == AuthMechanism::xoauth2 || mechanism == AuthMechanism::oauthbearer;
}

/// Where a password or token comes from. Copies share what they cache.
struct SecretSource {
    /// The secret. Passwords are cached; tokens are asked for again at each call (call it once for
    /// each log-in). Blocks (a file, a command): never on a shard's thread. Thread-safe. The error
    /// tells the cure and never holds the secret.
    std::function<Result<Secret>()> fetch;
    /// For messages: "the file /run/secrets/source", "line 12 of accounts.csv".
    std::string origin;
    [[nodiscard]] bool present() const { return static_cast<bool>(fetch); }
};

struct EndpointSpec {
    std::string host;  ///< DNS name or literal address, without brackets
    std::uint16_t port = 0;
    TlsMode tls = TlsMode::implicit;
    std::string user;   ///< the account: whose mail it is
    std::string admin;  ///< authenticate as this one and act as `user` (authzid); empty: as `user`
    AuthMechanism auth = AuthMechanism::automatic;
    SecretSource secret;             ///< password of `admin` or `user`, or the token
    std::string ca_file;             ///< PEM; empty: the system's roots
    std::string fingerprint_sha256;  ///< 64 hex digits in lower case, or empty
    bool tls_insecure = false;       ///< no certificate check; named in every report
    bool allow_cleartext = false;    ///< clear text and clear-text log-in beyond loopback

    /// "imaps://host:port", with brackets around an IPv6 address; without user or secret.
    [[nodiscard]] std::string url() const;
    /// "user@host:port", as in the ledger.
    [[nodiscard]] std::string account() const;
};

}  // namespace imapult
