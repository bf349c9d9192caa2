#pragma once
// Mailboxes that the destination has not got yet: made, read back, and named otherwise where it
// does not take the name.

#include <memory>
#include <vector>

#include "engine/replica/context.h"

namespace imapult::replica {

/// Makes those of `places` that do not exist, parents first, and takes the new listing. What cannot
/// be made is listed as refused and loses its name. A lost connection is made anew.
Task<Result<void>> create_missing(Account& account, std::unique_ptr<session::Session>& destination,
                                  std::vector<Place>& places);

/// Subscribes to those that are subscribed at the source.
Task<void> subscribe_existing(Account& account, session::Session& destination,
                              const std::vector<Place>& places);

}  // namespace imapult::replica
