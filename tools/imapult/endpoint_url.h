#pragma once
// `imaps://user@host:port` as people type it. No message from here repeats any part of the text but
// a host name that was found to be one: a password may stand anywhere in it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/endpoint.h"

namespace imapult::program {

/// What a URL, or a row of the accounts file, says of an endpoint. What is not set is taken from
/// the defaults.
struct EndpointUrl {
    std::string host;
    std::optional<std::uint16_t> port;
    std::optional<TlsMode> tls;
    std::string user;  ///< decoded; empty if left out
};

/// `imaps://[USER@]HOST[:PORT]` and `imap://…[?tls=starttls|implicit|off]`; USER percent-encoded
/// (an `@` in it may stand as it is), HOST a name, an IPv4 address or an IPv6 address in brackets.
/// Port and TLS mode are always set. Errors: invalid_input; a password in the URL is refused.
Result<EndpointUrl> parse_endpoint_url(std::string_view url);

/// A host as it stands in a table: a name or a literal address, brackets optional. invalid_input.
Result<std::string> parse_host(std::string_view text);
/// 1 to 65535. invalid_input.
Result<std::uint16_t> parse_port(std::string_view text);

/// True for 127.0.0.0/8, ::1, localhost and names below it.
bool is_loopback_host(std::string_view host);

/// The text with whatever stands between `://` and the last `@` behind it replaced, for error
/// messages of others that repeat an argument.
std::string without_credentials(std::string_view text);

}  // namespace imapult::program
