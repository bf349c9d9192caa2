#pragma once
// One account from log-in to balanced books.

#include "engine/replica/context.h"

namespace imapult::replica {

/// Copies what is new (or, in a dry run, says what would be copied). Fills account.summary; never
/// fails: what went wrong stands there.
Task<void> copy_account(Account& account);

/// Connects, lists, estimates and warns; writes nothing anywhere.
Task<void> check_account(Account& account);

struct VerifyOptions {
    report::VerifyDepth depth = report::VerifyDepth::metadata;
    double sample = 1;   ///< part of the bodies that are compared, chosen by chance
    bool proof = false;  ///< fills AccountSummary::proof; needs all bodies
    /// The destination is compared with this; nothing is asked of the source.
    std::shared_ptr<const dedup::AccountProof> against;
};
/// Compares source and destination, message by message. Fills account.summary; never fails.
Task<void> verify_account(Account& account, VerifyOptions options);

// --- shared by the three ------------------------------------------------------------------------

struct Sessions {
    std::unique_ptr<Session> source, destination;
    /// Those that are open.
    [[nodiscard]] bool alive() const {
        return (!source || source->connection().alive()) &&
               (!destination || destination->connection().alive());
    }
};
/// Opens both sides at once and lists them; tries again where the server asks for patience. False:
/// account.fatal says why, and both are closed. With `needs_destination` the destination is not
/// even contacted (account.destination_skipped) where that says no once the source is listed.
Task<bool> open_and_list(Account& account, Sessions& sessions,
                         std::function<bool()> needs_destination = {});
Task<void> close_sessions(Account& account, Sessions& sessions, bool polite);

/// The ledger's rows of this account.
Task<Result<std::vector<dedup::MailboxRecord>>> load_account(Account& account);

}  // namespace imapult::replica
