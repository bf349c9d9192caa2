#include "engine/base/error.h"

#include <cstdio>
#include <cstdlib>

namespace imapult {

std::string_view name_of(Code code) {
    switch (code) {
        case Code::invalid_input: return "invalid_input";
        case Code::resolve_failed: return "resolve_failed";
        case Code::connect_failed: return "connect_failed";
        case Code::tls_failed: return "tls_failed";
        case Code::auth_refused: return "auth_refused";
        case Code::connection_lost: return "connection_lost";
        case Code::timeout: return "timeout";
        case Code::protocol: return "protocol";
        case Code::refused: return "refused";
        case Code::bad_command: return "bad_command";
        case Code::over_quota: return "over_quota";
        case Code::too_big: return "too_big";
        case Code::throttled: return "throttled";
        case Code::unavailable: return "unavailable";
        case Code::not_found: return "not_found";
        case Code::already_exists: return "already_exists";
        case Code::no_permission: return "no_permission";
        case Code::cancelled: return "cancelled";
        case Code::state_locked: return "state_locked";
        case Code::state_damaged: return "state_damaged";
        case Code::state_version: return "state_version";
        case Code::io: return "io";
        case Code::ring_forbidden: return "ring_forbidden";
        case Code::limit: return "limit";
    }
    return "unknown";
}

void broken_invariant(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "imapult: broken invariant: %s (%s:%d). This is a bug of imapult.\n",
                 expression, file, line);
    std::fflush(stderr);
    std::_Exit(70);
}

}  // namespace imapult
