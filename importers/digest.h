#pragma once
// SHA-256 over what identifies an item: a sender can craft collisions of anything weaker, and an
// equal digest makes us skip.

#include <string>
#include <string_view>

namespace imapult::importers {

/// 32 octets.
std::string sha256(std::string_view bytes);
/// Lower-case hexadecimal digits.
std::string to_hex(std::string_view bytes);

}  // namespace imapult::importers
