#pragma once
// Mailbox names: modified UTF-7 on the wire (RFC 3501 §5.1.3), UTF-8 for people.

#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace imapult::imap {

struct DecodedName {
    std::string utf8;   ///< for display; undecodable parts are kept as they were sent
    bool exact = true;  ///< encode(utf8) gives the same wire name back
};
/// Lenient: takes non-canonical base64, raw UTF-8, bare `&`; never fails, says exact = false.
DecodedName decode_mailbox_name(std::string_view wire);

/// Canonical modified UTF-7 of well-formed UTF-8 (NFC is the caller's); errors: invalid UTF-8, NUL.
Result<std::string> encode_mailbox_name(std::string_view utf8);

}  // namespace imapult::imap
