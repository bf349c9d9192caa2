#pragma once
// What servers like to change in a message without changing its size: looked for in each message
// that is sent, so that reading back knows whose octets to look at.

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "engine/replica/job.h"

namespace imapult::replica {

inline constexpr std::uint8_t kOddNul = 1;
inline constexpr std::uint8_t kOddHeader = 2;  ///< 8-bit octets in the header

/// Flags for a notice, the first of them where they are many.
std::string listed(const std::set<std::string>& words);

/// Counts and collects flags that the destination took with OK and does not show.
void note_lost(Job& job, const Flags& sent, const Flags& there);

/// kOdd… of a whole message.
std::uint8_t oddities_of(std::string_view message);

struct Account;
/// Where only some of the messages that a destination alters were looked at, how many were not.
void tell_unexamined(Account& account);

}  // namespace imapult::replica
