#pragma once
// What is done to a message that the destination refuses: changes from the least to the greatest,
// each a pure function of the message, so that anybody can see later what was done. The ladder is
// climbed only after a refusal; the original octets are kept.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace imapult::replica {

/// Messages longer than this are not repaired: their octets are not held in memory.
inline constexpr std::size_t kRepairBytesMax = std::size_t{8} * 1024 * 1024;

/// Bits, from the least change to the greatest; they stand in the ledger.
enum RepairStep : std::uint8_t {
    kCrlfForBareLf = 1,
    kDropFromLine = 2,  ///< mbox's `From ` in front of the header
    kLiteral8 = 4,      ///< sent as BINARY (RFC 3516): the octets stay as they are
    kReplaceNul = 8,    ///< by 0x80, as Dovecot does it
    kFinalCrlf = 16,
    kEncodeHeader = 32,  ///< RFC 2047 for 8-bit octets in header fields
    kWrapVeryLong = 64,  ///< lines of more than 10,000 octets (Exchange)
    kWrapLong = 128,     ///< lines of more than 998 octets (RFC 5322 §2.1.1)
};
inline constexpr std::size_t kVeryLongLine = 10'000, kLongLine = 998;

/// The steps that would change the message or the way it is sent. `binary`: the destination offers
/// BINARY.
std::uint8_t applicable_repairs(std::string_view message, bool binary);

/// What to try one after another: each applicable step alone, then more and more of them together.
/// Empty: nothing of this helps.
std::vector<std::uint8_t> repair_ladder(std::string_view message, bool binary);

/// The message with these steps done, in their order.
std::string repaired(std::string_view message, std::uint8_t steps);

/// "CRLF for bare LF, NUL to 0x80".
std::string words_of_repairs(std::uint8_t steps);

}  // namespace imapult::replica
