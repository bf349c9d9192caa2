#pragma once
// userPassword values: which ones Carbonio can verify, and new ones where it cannot.

#include <string>
#include <string_view>

#include "engine/base/secret.h"

namespace imapult::provisioning {

enum class HashFate : std::uint8_t {
    keep,       ///< a scheme Carbonio's slapd verifies, and a value of the right form
    cleartext,  ///< no scheme, or {CLEARTEXT}: to be hashed by us
    reset       ///< not verifiable there: a random password
};

struct HashVerdict {
    HashFate fate = HashFate::reset;
    std::string scheme;       ///< "{SSHA512}"; for messages, never the hash itself
    std::string_view secret;  ///< the password itself where fate is cleartext
};

/// Looks at the scheme only (RFC 2307, section 5.3; pw-sha2).
HashVerdict judge_hash(std::string_view user_password);

/// `{SSHA512}…`. The salt is derived from password and account, so that planning twice writes the
/// same files.
std::string hash_password(std::string_view password, std::string_view account);

/// 20 letters and digits from the system's generator, without look-alikes.
Secret random_password();

/// A version 8 UUID (RFC 9562) derived from the text; the same text always gives the same one.
std::string derived_uuid(std::string_view text);
/// 8-4-4-4-12 hexadecimal digits.
bool is_uuid(std::string_view text);

/// A server's words with whatever follows a scheme ("{SSHA512}…") cut out: servers quote what they
/// refuse, and hashes must reach no log.
std::string without_hashes(std::string_view text);

}  // namespace imapult::provisioning
