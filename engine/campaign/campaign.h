#pragma once
// One run over one or many accounts: what the command line chose goes in, what happened comes out.
// This header is the seam between the program (tools/imapult) and the engine.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/endpoint.h"
#include "engine/base/report.h"

namespace imapult::campaign {

using namespace report;

// --- What was asked for ------------------------------------------------------------------------

enum class Command : std::uint8_t { copy, migrate, follow, check, verify };
enum class Compress : std::uint8_t {
    automatic,  ///< where offered and useful: never to loopback
    on,         ///< wherever offered
    off,
};

/// One account to move. Both ends are complete: defaults of the command line are filled in.
struct AccountSpec {
    std::string name;  ///< in reports: the source user
    EndpointSpec source;
    EndpointSpec destination;
    /// Of `verify`: what the destination is compared with instead of the source, which is empty.
    std::shared_ptr<const dedup::AccountProof> against;
};

/// What may be moved on one day (UTC); 0: any amount. What earlier runs moved today counts.
struct Limits {
    std::uint64_t bytes_per_day = 0, messages_per_day = 0;  ///< each account
    /// All accounts of one host name together, as source and as destination.
    std::uint64_t host_bytes_per_day = 0, host_messages_per_day = 0;
    [[nodiscard]] bool any() const {
        return (bytes_per_day | messages_per_day | host_bytes_per_day | host_messages_per_day) != 0;
    }
};

struct Options {
    Command command = Command::copy;
    VerifyDepth depth = VerifyDepth::metadata;  ///< for verify
    double sample = 1;                          ///< for verify: part of the bodies compared
    bool proof = false;                         ///< for verify: fills AccountSummary::proof
    std::vector<AccountSpec> accounts;          ///< at least one; (source, destination) unique
    std::string state_dir;                      ///< absolute; created with mode 0700

    // Which mailboxes (glob_match_mailbox of engine/base/glob.h on the source's decoded name).
    std::vector<std::string> include;  ///< empty: all
    std::vector<std::string> exclude;  ///< wins over include
    std::vector<NameMap> map;
    Spaces spaces;
    LabelPolicy labels = LabelPolicy::mailboxes;
    RightsPolicy rights = RightsPolicy::automatic;

    bool dry_run = false;  ///< nothing is written to the destination; counters tell the plan
    bool special_use = true;
    bool subscriptions = true;
    bool retry_refused = false;
    bool trust = false;  ///< what was appended is not read back
    bool repair = true;  ///< what the destination refuses is changed as little as it takes
    Compress compress = Compress::automatic;

    // Budgets; 0: the engine's own choice, or no limit.
    unsigned connections = 0;  ///< lanes per account
    DeletePolicy remove;
    unsigned accounts_at_once = 0;  ///< over all shards
    std::uint64_t bytes_per_second_max = 0;
    Limits limits;
    /// How long an account goes on without progress while a server is away or asks for patience.
    std::chrono::seconds retry_for = std::chrono::hours(1);    ///< a server that asks for patience
    std::chrono::seconds away_for = std::chrono::seconds(45);  ///< one that cannot be reached
};

struct Summary {
    std::vector<AccountSummary> accounts;  ///< in the order of Options::accounts
    std::optional<Failure> failure;  ///< what ended the whole run (state directory, ring, …)
    bool interrupted = false;
};

/// Runs the whole command and blocks until it is done or stopped. Everything that happened is in
/// the answer, whatever went wrong. Starts its own threads.
Summary run(const Options& options, Observer& observer, StopToken& stop);

}  // namespace imapult::campaign
