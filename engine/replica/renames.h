#pragma once
// Mailboxes that have another name at the source than in the last pass, and get it at the
// destination.

#include <functional>
#include <vector>

#include "engine/replica/account.h"
#include "engine/replica/names.h"

namespace imapult::replica {

/// `records`: the account's; those of renamed mailboxes receive their new names. `place` gives the
/// placement as the records stand. True if something was renamed: placements are to be made again.
///
/// Evidence: the same MAILBOXID (RFC 8474); else a name that is gone and one that is new with the
/// same UIDVALIDITY, UIDNEXT not below the checkpoint's, and messages of the same sizes under the
/// same UIDs, tried with a sample.
Task<Result<bool>> follow_renames(Account& account, Sessions& sessions,
                                  std::vector<dedup::MailboxRecord>& records,
                                  const std::function<Placement()>& place);

}  // namespace imapult::replica
