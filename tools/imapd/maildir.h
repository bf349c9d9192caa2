#pragma once
// Mail of a Maildir put into the store (read only): the folder's own cur/ and new/ as INBOX, and
// Maildir++ subfolders ".Name.Below" with "." as their separator.

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "engine/base/error.h"
#include "tools/imapd/store.h"

namespace imapult::imapd {

struct MaildirCount {
    std::size_t mailboxes = 0;
    std::size_t messages = 0;
    std::uint64_t octets = 0;
};

/// Adds everything below `folder` to `account`, which must exist. Flags come from the file names
/// (":2,FRS"), INTERNALDATE from the time of change. Lines that end in LF alone get CRLF, as IMAP
/// servers with Maildir do. Fails with Code::io if a file or folder cannot be read.
Result<MaildirCount> load_maildir(Store& store, std::string_view account,
                                  const std::filesystem::path& folder);

}  // namespace imapult::imapd
