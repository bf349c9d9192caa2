#include "tools/imapult/endpoint_url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "engine/base/text.h"

namespace imapult::program {
namespace {

constexpr std::size_t kUrlBytesMax = 2048;
constexpr std::size_t kHostBytesMax = 253;  // RFC 1035, section 2.3.4
constexpr std::uint16_t kPortImap = 143;
constexpr std::uint16_t kPortImaps = 993;

constexpr std::string_view kPasswordInUrl =
    "a password inside a URL is refused, since every user of this machine can read it in the "
    "process list; leave it out and use --source-password-file, --source-password-env or "
    "--source-password-command (likewise --destination-…)";

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

Result<std::string> percent_decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0) {
            return invalid(
                "a % in the URL's user is not followed by two hex digits; write %25 "
                "for a plain %");
        }
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

Result<std::string> parse_user(std::string_view userinfo) {
    if (userinfo.find(':') != std::string_view::npos) return invalid(std::string(kPasswordInUrl));
    if (userinfo.find_first_of("/?#") != std::string_view::npos) {
        return invalid("a /, ? or # in the URL's user must be written as %2F, %3F or %23");
    }
    if (userinfo.find(';') != std::string_view::npos) {
        return invalid(
            "a ; in the URL's user must be written as %3B; the mechanism is chosen "
            "with --source-auth or --destination-auth");
    }
    IMAPULT_TRY(std::string user, percent_decode(userinfo));
    if (user.empty()) return invalid("the URL's user is empty; leave out the @ as well");
    const bool control = std::ranges::any_of(
        user, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
    if (control || !is_utf8(user)) {
        return invalid("the URL's user holds control characters or is not UTF-8");
    }
    return user;
}

Result<TlsMode> parse_query(std::string_view query) {
    constexpr std::string_view kKey = "tls=";
    if (query.starts_with(kKey)) {
        const std::string_view value = query.substr(kKey.size());
        if (value == "off") return TlsMode::off;
        if (value == "starttls") return TlsMode::starttls;
        if (value == "implicit") return TlsMode::implicit;
    }
    return invalid("behind the URL's ? only tls=implicit, tls=starttls or tls=off may stand");
}

struct Authority {
    std::string_view host;
    std::optional<std::string_view> port;
};

Result<Authority> split_authority(std::string_view text) {
    Authority parts;
    std::size_t end = 0;
    if (text.starts_with('[')) {
        end = text.find(']');
        if (end == std::string_view::npos) {
            return invalid("the IPv6 address in the URL lacks its closing ]");
        }
        ++end;
    } else {
        end = std::min(text.find(':'), text.size());
        if (text.find(':', std::min(end + 1, text.size())) != std::string_view::npos) {
            return invalid("an IPv6 address in a URL stands in brackets: imaps://[2001:db8::1]");
        }
    }
    parts.host = text.substr(0, end);
    const std::string_view rest = text.substr(end);
    if (rest.empty()) return parts;
    if (rest[0] != ':') return invalid("behind the URL's ] only :PORT may stand");
    parts.port = rest.substr(1);
    return parts;
}

bool is_ipv6(const std::string& text) {
    std::array<unsigned char, 16> address{};
    return inet_pton(AF_INET6, text.c_str(), address.data()) == 1;
}

}  // namespace

Result<std::string> parse_host(std::string_view text) {
    std::string host(text);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
        if (!is_ipv6(host)) return invalid("what stands in brackets is not an IPv6 address");
        return host;
    }
    if (is_ipv6(host)) return host;
    if (host.empty()) return invalid("the host is missing");
    const bool ascii_name = std::ranges::all_of(host, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_';
    });
    if (!ascii_name || host.size() > kHostBytesMax || host.front() == '-' || host.front() == '.') {
        return invalid(
            "the host is neither a name nor an address (letters, digits, - and . only; "
            "international names in their xn-- form)");
    }
    return to_lower(host);
}

Result<std::uint16_t> parse_port(std::string_view text) {
    const auto number = parse_number(text);
    if (!number || *number == 0 || *number > UINT16_MAX) {
        return invalid("the port is not a number between 1 and 65535");
    }
    return static_cast<std::uint16_t>(*number);
}

Result<EndpointUrl> parse_endpoint_url(std::string_view url) {
    if (url.size() > kUrlBytesMax) return invalid("the URL is too long");
    const std::size_t colon = url.find("://");
    const std::string scheme = to_lower(url.substr(0, colon == std::string_view::npos ? 0 : colon));
    if (scheme != "imap" && scheme != "imaps") {
        return invalid(
            "the URL must start with imaps:// (TLS from the start) or imap:// "
            "(STARTTLS), as in imaps://mail.example.com");
    }
    const bool secure_scheme = scheme == "imaps";
    std::string_view rest = url.substr(colon + 3);
    EndpointUrl endpoint;
    // The last @ of all: a password with / or ? in it must not be taken for a host and be shown.
    if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
        IMAPULT_TRY(endpoint.user, parse_user(rest.substr(0, at)));
        rest.remove_prefix(at + 1);
    }
    endpoint.tls = secure_scheme ? TlsMode::implicit : TlsMode::starttls;
    if (const std::size_t question = rest.find('?'); question != std::string_view::npos) {
        IMAPULT_TRY(endpoint.tls, parse_query(rest.substr(question + 1)));
        if (secure_scheme && endpoint.tls != TlsMode::implicit) {
            return invalid(
                "imaps:// means TLS from the start; write imap:// with ?tls=starttls or "
                "?tls=off");
        }
        rest = rest.substr(0, question);
    }
    if (rest.ends_with('/')) rest.remove_suffix(1);
    if (rest.find_first_of("/#") != std::string_view::npos) {
        return invalid(
            "the URL ends with the host and port; mailboxes are chosen with --include "
            "and --exclude");
    }
    IMAPULT_TRY(const Authority authority, split_authority(rest));
    IMAPULT_TRY(endpoint.host, parse_host(authority.host));
    endpoint.port = endpoint.tls == TlsMode::implicit ? kPortImaps : kPortImap;
    if (authority.port) {
        IMAPULT_TRY(endpoint.port, parse_port(*authority.port));
    }
    return endpoint;
}

bool is_loopback_host(std::string_view host) {
    const std::string name = to_lower(host);
    if (name == "localhost" || name.ends_with(".localhost")) return true;  // RFC 6761, section 6.3
    in_addr v4{};
    if (inet_pton(AF_INET, name.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    in6_addr v6{};
    return inet_pton(AF_INET6, name.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string without_credentials(std::string_view text) {
    const std::size_t start = text.find("://");
    const std::size_t at = text.rfind('@');
    if (start == std::string_view::npos || at == std::string_view::npos || at < start) {
        return std::string(text);
    }
    return std::string(text.substr(0, start + 3)) + "…" + std::string(text.substr(at));
}

}  // namespace imapult::program
