#pragma once
// Whether UIDVALIDITY tells the destination's mailboxes apart.

#include <cstdint>
#include <set>
#include <vector>

#include "dedup/ledger.h"
#include "engine/replica/mailbox.h"

namespace imapult::replica {

/// UIDVALIDITYs that several mailboxes of the destination have, or had when they were filled.
std::set<std::uint32_t> shared_validities(const Listing& destination,
                                          const std::vector<dedup::MailboxRecord>& records);

}  // namespace imapult::replica
