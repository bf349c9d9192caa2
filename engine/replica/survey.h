#pragma once
// What has changed at the source in a mailbox that an earlier pass has copied: new messages,
// changed flags, messages that are gone. Costs what changed where the server has QRESYNC or
// CONDSTORE, and little more where it has neither.
//
// Absence is not believed at once: a message counts as gone only when the numbers agree (what was
// known, less what is gone, plus what is new, is what EXISTS says), and, where SEARCH said so, when
// the server does not show it if asked by name.

#include <memory>

#include "engine/replica/context.h"
#include "engine/replica/job.h"
#include "engine/session/session.h"

namespace imapult::replica {

/// Asks for VANISHED where the server offers it and is known to mean it. Not awaited: goes out
/// together with the next command; empty if there is nothing to ask for. Only before a mailbox is
/// opened (RFC 5161 §3.1).
session::Ticket enable_qresync(const Account& account, Session& source);

/// Counts that servers show of mailboxes they cut off (Yahoo without UIDONLY, Gmail by its users'
/// setting): what is not listed there need not be gone.
bool may_be_cut_off(const imap::CapabilitySet& can, std::uint64_t exists);

/// What is asked of a message that is to be copied.
imap::FetchItems metadata_items(const Account& account, const imap::CapabilitySet& source);

/// Fills job->survey and notes in the ledger what is gone. Several may run at once on one session:
/// the commands of one mailbox are written in one go. Errors: as of Lane::prepare.
Task<Result<void>> survey_mailbox(Account& account, Session& source, std::shared_ptr<Job> job);

}  // namespace imapult::replica
