#pragma once
// Reading many messages of the selected mailbox for comparison. Rising UIDs; UIDs that are not
// there are left out.

#include <string_view>
#include <vector>

#include "engine/replica/sinks.h"
#include "engine/session/session.h"

namespace imapult::replica {

using runtime::Task;
using session::Session;

/// What is read of a header: all, with size and flags, or only what names the message.
enum class HeaderPart : std::uint8_t { whole, message_id_and_date };

/// Sorted by UID.
Task<Result<std::vector<HeaderSink::Entry>>> read_headers(Session& session,
                                                          std::vector<std::uint32_t> uids,
                                                          FlagTable& flags,
                                                          HeaderPart part = HeaderPart::whole);

/// Digests of whole messages, which are streamed and not kept.
Task<Result<std::vector<DigestSink::Entry>>> read_digests(Session& session,
                                                          std::vector<std::uint32_t> uids,
                                                          std::string_view secret);

}  // namespace imapult::replica
