#pragma once
// What a server does to a message on its way in: the quirks of APPEND as pure functions.

#include <optional>
#include <string>
#include <string_view>

#include "tools/imapd/behaviour.h"
#include "tools/imapd/wire.h"

namespace imapult::imapd {

/// Why a message or a date is not taken; `kind` "NO", "BAD" or "close".
struct Refusal {
    enum class Kind : std::uint8_t { no, bad, close } kind = Kind::no;
    std::string text;
};

/// Changes `message` as this server would, or tells why it does not take it. `binary`: it came as a
/// literal8.
std::optional<Refusal> accept_message(const Behaviour& b, std::string& message, bool binary);

/// The same for the time; `now` in seconds since 1970.
std::optional<Refusal> accept_date(const Behaviour& b, Date& date, std::int64_t now);

}  // namespace imapult::imapd
