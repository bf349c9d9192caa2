#pragma once
// What servers like to change in a message without changing its size: looked for in each message
// that is sent, so that reading back knows whose octets to look at.

#include <cstdint>
#include <string_view>

namespace imapult::replica {

inline constexpr std::uint8_t kOddNul = 1;
inline constexpr std::uint8_t kOddHeader = 2;  ///< 8-bit octets in the header

std::uint8_t oddities_of(std::string_view message);

struct Account;
/// Where only some of the messages that a destination alters were looked at, how many were not.
void tell_unexamined(Account& account);

}  // namespace imapult::replica
