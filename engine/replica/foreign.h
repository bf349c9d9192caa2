#pragma once
// What a listing shows of an account that is not the account's own to copy.

#include <vector>

#include "engine/replica/context.h"

namespace imapult::replica {

/// Sets Mailbox::left_out of the source's mailboxes: mountpoints of Carbonio and Zimbra, which are
/// listed like folders of the account's own; other users' mailboxes whose owners are accounts of
/// this run; what may be seen and not read; what another account of this run copies to the same
/// place. `records`: mailboxes that earlier passes have copied are no mountpoints.
Task<Result<void>> leave_out_foreign(Account& account, Session& source,
                                     const std::vector<dedup::MailboxRecord>& records);
void tell_left_out(Account& account);

/// Under what name a mailbox of `source` is claimed.
std::string claim_key(const EndpointSpec& source, std::string_view wire_name);

}  // namespace imapult::replica
