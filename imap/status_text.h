#pragma once
// What servers say in words only: throttling, quota and size refusals have response codes since
// RFC 5530, but Exchange, Gmail, Courier and older servers put them into the human text.

#include <chrono>
#include <optional>
#include <string_view>

#include "imap/response.h"

namespace imapult::imap {

/// The delay that the server itself asks for: "Suggested Backoff Time: N milliseconds", "try again
/// in N seconds", "retry after N minutes" …; at most one day.
std::optional<std::chrono::milliseconds> suggested_delay(std::string_view text);

/// [LIMIT] on a NO or BAD, [THROTTLED], or the usual texts (Exchange says it even in an OK).
bool is_throttling(const Status& status);
/// [UNAVAILABLE], [SERVERBUG], [INUSE] or [CONTACTADMIN], or the usual texts: it will pass.
bool is_unavailable(const Status& status);
/// A NO or BAD with [OVERQUOTA], or the usual texts.
bool is_over_quota(const Status& status);
/// A NO or BAD with [TOOBIG], or the usual texts.
bool is_too_big(const Status& status);

}  // namespace imapult::imap
