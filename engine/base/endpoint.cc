#include "engine/base/endpoint.h"

namespace imapult {
namespace {

std::string host_and_port(const EndpointSpec& spec) {
    const bool ipv6 = spec.host.find(':') != std::string::npos;
    return (ipv6 ? "[" + spec.host + "]" : spec.host) + ":" + std::to_string(spec.port);
}

}  // namespace

std::string_view name_of(AuthMechanism mechanism) {
    switch (mechanism) {
        case AuthMechanism::automatic:
            return "auto";
        case AuthMechanism::plain:
            return "plain";
        case AuthMechanism::login:
            return "login";
        case AuthMechanism::cram_md5:
            return "cram-md5";
        case AuthMechanism::scram_sha_256:
            return "scram-sha-256";
        case AuthMechanism::xoauth2:
            return "xoauth2";
        case AuthMechanism::oauthbearer:
            return "oauthbearer";
    }
    broken_invariant("every mechanism has a name", __FILE__, __LINE__);
}

std::string EndpointSpec::url() const {
    const std::string scheme = tls == TlsMode::implicit ? "imaps://" : "imap://";
    return scheme + host_and_port(*this) + (tls == TlsMode::off ? "?tls=off" : "");
}

std::string EndpointSpec::account() const {
    return user + "@" + host_and_port(*this);
}

}  // namespace imapult
