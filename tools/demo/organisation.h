#pragma once
// The small organisation that the demo moves: a few accounts with the mail, the folders and the
// damaged messages that every grown mail server has.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/imapd/store.h"

namespace imapult::demo {

struct Contents {
    std::vector<std::string> accounts;
    std::size_t mailboxes = 0;
    std::size_t messages = 0;
    std::size_t malformed = 0;
};

/// What happened at the old server between two passes.
struct Changes {
    std::size_t messages = 0;
    std::size_t flags = 0;
    std::size_t mailboxes = 0;
};

/// The old server: mailboxes below "INBOX.", levels apart by dots, as on Courier.
imapd::Behaviour old_server();
/// The new server: '/' between levels, no prefix, as on Carbonio.
imapd::Behaviour new_server();

/// The accounts, without passwords.
std::vector<std::string> account_names();

/// Fills `store`, whose accounts exist already, with about `messages` messages.
Contents fill(imapd::Store& store, std::size_t messages);

/// A working morning: new mail, a new mailbox, messages read and flagged.
Changes go_on_working(imapd::Store& store);

/// Mailbox name of the old server in the way of the new one.
std::string new_name(std::string_view old_name);

}  // namespace imapult::demo
