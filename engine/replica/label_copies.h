#pragma once
// Where the messages of a Gmail account stand at the destination already, by X-GM-MSGID.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "engine/replica/context.h"
#include "engine/replica/job.h"
#include "engine/replica/labels.h"

namespace imapult::replica {

/// What a pass over a Gmail account holds besides.
struct LabelRun {
    LabelRun(Labels labels_in, std::vector<std::shared_ptr<Job>> jobs_in,
             std::vector<std::shared_ptr<Job>> orphans_in)
        : labels(std::move(labels_in)), jobs(std::move(jobs_in)), orphans(std::move(orphans_in)) {}
    Labels labels;
    std::vector<std::shared_ptr<Job>> jobs;     ///< every mailbox that is copied
    std::vector<std::shared_ptr<Job>> orphans;  ///< labels that are no more
    /// An earlier pass has finished mailboxes: what is new in one may be known from another.
    bool delta = false;
    bool last_round = false;  ///< what is known nowhere by now is fetched
    std::unordered_map<std::uint64_t, std::shared_ptr<Leaver>> copies;  ///< by object
};

/// Messages of these objects in the ledger.
struct Known {
    std::shared_ptr<Job> job;
    dedup::MessageRecord record;
};
struct KnownObjects {
    std::unordered_map<std::uint64_t, Known> copies;            ///< at the destination, one each
    std::unordered_multimap<std::uint64_t, Known> represented;  ///< noted down only
};
Task<Result<KnownObjects>> find_objects(Account& account, std::set<std::uint64_t> wanted,
                                        std::set<unsigned> ranks = {});

/// Adds where `wanted` stand to LabelRun::copies; `ranks`: only in these mailboxes, if any are
/// given.
Task<Result<void>> add_copies(Account& account, std::set<std::uint64_t> wanted,
                              std::set<unsigned> ranks = {});

/// Between survey and copying: what may be carried over, and what lost the mailbox that
/// represented it (Job::promote).
Task<Result<void>> before_copying(Account& account);
/// Between copying and the last round: what was put off is looked up.
Task<Result<void>> before_last_round(Account& account);

}  // namespace imapult::replica
