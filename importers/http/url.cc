#include <array>

#include "engine/base/text.h"
#include "importers/http/client.h"

namespace imapult::http {
namespace {

constexpr std::size_t kUrlBytesMax = 2048;

bool is_loopback(std::string_view host) {
    return host == "localhost" || host == "::1" || host.starts_with("127.");
}

bool is_host_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

}  // namespace

Result<Endpoint> parse_endpoint(std::string_view url, bool allow_cleartext) {
    const std::string shown = printable(url.substr(0, 100));
    if (url.size() > kUrlBytesMax) return invalid("the destination's URL is too long");
    Endpoint endpoint;
    std::string_view rest = url;
    if (equal_ignoring_case(rest.substr(0, 8), "https://")) {
        rest.remove_prefix(8);
    } else if (equal_ignoring_case(rest.substr(0, 7), "http://")) {
        rest.remove_prefix(7);
        endpoint.tls = false;
    } else {
        return invalid("expected https://HOST[:PORT] (a URL of another kind, or none, was given)");
    }
    while (rest.ends_with('/')) rest.remove_suffix(1);
    // Before anything else, and without echoing: what stands before an @ may be a secret.
    if (rest.contains('@')) {
        return invalid(
            "a user or password inside the URL is refused: it would show in the process list; use "
            "the options for users and password files");
    }
    if (rest.find_first_of("/?#") != std::string_view::npos) {
        return invalid("the URL \"" + shown + "\" may hold no path: give https://HOST[:PORT]");
    }
    std::string_view host = rest;
    std::string_view port;
    if (rest.starts_with('[')) {
        const auto end = rest.find(']');
        if (end == std::string_view::npos) return invalid("no ] in the URL \"" + shown + "\"");
        host = rest.substr(1, end - 1);
        if (host.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) {
            return invalid("bad IPv6 address in the URL \"" + shown + "\"");
        }
        port = rest.substr(end + 1);
        if (!port.empty() && port[0] != ':') return invalid("bad URL \"" + shown + "\"");
        if (!port.empty()) port.remove_prefix(1);
        endpoint.host = to_lower(host);
    } else {
        const auto colon = rest.find(':');
        if (colon != std::string_view::npos) {
            host = rest.substr(0, colon);
            port = rest.substr(colon + 1);
        }
        endpoint.host = to_lower(host);
        for (const char c : endpoint.host) {
            if (!is_host_character(c)) return invalid("bad host name in the URL \"" + shown + "\"");
        }
    }
    if (endpoint.host.empty()) return invalid("no host in the URL \"" + shown + "\"");
    endpoint.port = endpoint.tls ? 443 : 80;
    if (!port.empty()) {
        const auto number = parse_number(port);
        if (!number || *number == 0 || *number > 65535) {
            return invalid("bad port in the URL \"" + shown + "\"");
        }
        endpoint.port = static_cast<std::uint16_t>(*number);
    }
    if (!endpoint.tls && !allow_cleartext && !is_loopback(endpoint.host)) {
        return invalid("http:// to " + endpoint.host +
                       " would send passwords in clear text: use https://, or --allow-cleartext");
    }
    const bool six = endpoint.host.contains(':');
    endpoint.base = std::string(endpoint.tls ? "https://" : "http://") + (six ? "[" : "") +
                    endpoint.host + (six ? "]" : "");
    if (!port.empty()) endpoint.base += ":" + std::to_string(endpoint.port);
    return endpoint;
}

std::string percent_encode(std::string_view text) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
                                c == '~';
        if (unreserved) {
            out += c;
        } else {
            const auto byte = static_cast<std::uint8_t>(c);
            out += '%';
            out += kHex[byte >> 4U];
            out += kHex[byte & 15U];
        }
    }
    return out;
}

Result<std::string> parse_fingerprint(std::string_view text) {
    std::string digits;
    for (const char c : to_lower(trim(text))) {
        if (c == ':' || c == ' ') continue;
        const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (!hex || digits.size() == 64)
            return invalid("a SHA-256 fingerprint has 64 hexadecimal digits");
        digits += c;
    }
    if (digits.size() != 64) return invalid("a SHA-256 fingerprint has 64 hexadecimal digits");
    return digits;
}

}  // namespace imapult::http
