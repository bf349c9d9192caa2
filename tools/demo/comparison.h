#pragma once
// Looks into both servers from inside, past IMAP and past the engine: the demo's own eyes.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/imapd/store.h"

namespace imapult::demo {

struct AccountView {
    std::string name;
    std::size_t mailboxes = 0;
    std::size_t messages = 0;
    std::uint64_t octets = 0;
};

struct Comparison {
    std::vector<AccountView> accounts;     ///< of the destination
    std::size_t equal = 0;                 ///< octets, INTERNALDATE, flags and place all the same
    std::vector<std::string> differences;  ///< printable
};

/// Every mailbox of every account, message by message in their order.
Comparison compare(const imapd::Store& source, const imapd::Store& destination,
                   const std::vector<std::string>& accounts);

}  // namespace imapult::demo
