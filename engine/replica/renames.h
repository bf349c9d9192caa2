#pragma once
// Mailboxes that have another name at the source than in the last pass, and get it at the
// destination.

#include <functional>
#include <string_view>
#include <vector>

#include "engine/replica/account.h"
#include "engine/replica/names.h"

namespace imapult::replica {

/// `records`: the account's; those of renamed mailboxes receive their new names. `place` gives the
/// placement as the records stand, without those that is_renaming. True if something was renamed:
/// placements are to be made again.
///
/// A mailbox has another name if its old one is gone, or another mailbox has it: the name shows
/// another UIDVALIDITY; where several mailboxes have the same, another MAILBOXID (RFC 8474) or
/// messages of other sizes under the UIDs that were copied.
///
/// Evidence for the new name: the same UIDVALIDITY, UIDNEXT not below the checkpoint's, and the
/// same MAILBOXID; else messages of the same sizes under the same UIDs, tried with a sample.
///
/// At the destination each is renamed once its new name is free; where each waits for another, one
/// takes a temporary name. What cannot be renamed is carried over like any new mailbox.
Task<Result<bool>> follow_renames(Account& account, Sessions& sessions,
                                  std::vector<dedup::MailboxRecord>& records,
                                  const std::function<Placement()>& place);

/// The name that a copy has at the destination for a moment, and after a pass that was killed then.
bool is_renaming(std::string_view destination_name);

}  // namespace imapult::replica
