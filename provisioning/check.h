#pragma once
// Conflicts that only show once everything is known: against the destination, between lists and
// their members, and against Carbonio's limits.

#include <unordered_set>

#include "provisioning/destination.h"
#include "provisioning/index.h"
#include "provisioning/settings.h"

namespace imapult::provisioning {

/// A member of a list, resolved.
struct ResolvedMember {
    std::string address;
    std::uint32_t node = kNone;  ///< kNone: outside
};

/// A reference that leads nowhere that can be a member.
struct LostMember {
    std::string value;
    std::string reason;
    bool conflict = false;  ///< in a domain of the organisation: stops the plan
};

struct Members {
    std::vector<ResolvedMember> members;
    std::vector<LostMember> lost;
};

/// Resolves a list's members to addresses at the destination; groups without an address are
/// replaced by their members. Errors: io.
Result<Members> resolve_members(Index& index, const Destination& destination, const Item& item);

/// One reference; nothing if it leads to nothing with an address.
std::optional<ResolvedMember> resolve(const Index& index, const Reference& reference);

/// Takes over ids of the destination (COS, adopted domains) and adds every conflict to the index.
Result<> check(Index& index, const Destination& destination, const Settings& settings);

}  // namespace imapult::provisioning
