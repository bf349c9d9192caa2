// Gmail: what becomes of a message that another mailbox has, too (labels.h).

#include <algorithm>
#include <set>
#include <utility>

#include "engine/base/text.h"
#include "engine/replica/label_copies.h"
#include "engine/replica/lane.h"
#include "engine/replica/survey.h"

namespace imapult::replica {

/// Messages that were only noted down here, and whose copy was in a mailbox that they have left:
/// those that are at home here now are to be carried over (or fetched). What was noted down stays
/// until the receipt takes its place.
Task<Result<void>> Lane::promote(Job& job) {
    if (job.promote.empty() || account_->options.dry_run) co_return Result<void>{};
    auto opened = co_await open_source(job);
    if (!opened) co_return opened;
    std::vector<std::uint32_t> uids = job.promote;
    std::sort(uids.begin(), uids.end());
    MetaSink metas(1, UINT32_MAX, job.flags, &*job.labels);
    for (const imap::UidSet& set : uid_sets(*source_, uids, 0)) {
        auto fetch =
            imap::source::uid_fetch(set, metadata_items(*account_, source_->capabilities()),
                                    std::nullopt, source_->encoding());
        if (!fetch) co_return std::unexpected(std::move(fetch).error());
        auto reply = co_await source_->execute(std::move(*fetch), &metas);
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (auto later = session::put_off(*reply, source_->connection().peer(), "list messages"))
            co_return std::unexpected(std::move(*later));
    }
    job.promote.clear();
    std::vector<Meta>& fresh = job.survey.fresh;
    for (const Meta& meta : metas.take()) {
        if (meta.elsewhere || !std::binary_search(uids.begin(), uids.end(), meta.uid)) continue;
        job.promoted.push_back(meta.uid);
        if (job.survey.done) fresh.push_back(meta);
    }
    std::sort(fresh.begin(), fresh.end(),
              [](const Meta& a, const Meta& b) { return a.uid < b.uid; });
    co_return Result<void>{};
}

/// Where messages are carried, the mailboxes come one after another in the order of their ranks, so
/// that what is carried stands between its neighbours: what goes before must have arrived.
Task<Result<void>> Lane::wait_for_better(Job& job) {
    const auto busy = [&] {
        return std::ranges::any_of(mine_, [&](const std::shared_ptr<Job>& other) {
            return other.get() != &job && (other->windows_open > 0 || other->groups_open > 0);
        });
    };
    while (!error_ && busy()) co_await wake_.wait();
    if (error_) co_return std::unexpected(*error_);
    co_return Result<void>{};
}

/// What is known by now of messages that other mailboxes have, too.
Task<Result<void>> Lane::look_up_copies(Job& job) {
    if (!job.labels || job.todo.empty() || account_->gmail->last_round || job.labels->box.alone)
        co_return Result<void>{};
    LabelRun& run = *account_->gmail;
    if (run.labels.carries()) {
        auto waited = co_await wait_for_better(job);
        if (!waited) co_return waited;
    }
    // A mailbox without a checkpoint among others that have one: any of them may know it.
    const bool anywhere = run.delta && !job.record.complete;
    std::set<std::uint64_t> objects;
    for (const Meta& meta : job.todo) {
        if (meta.elsewhere || anywhere) objects.insert(meta.object);
    }
    if (objects.empty() || !(run.labels.carries() || anywhere)) co_return Result<void>{};
    if (!run.delta) run.copies.clear();
    std::set<unsigned> ranks;
    if (!anywhere) ranks = job.homes;
    co_return co_await add_copies(*account_, std::move(objects), std::move(ranks));
}

/// Whether the message has got a label that goes before the one whose mailbox has its copy, and its
/// copy is to stand in one of them only.
bool Lane::is_better_home(const Job& here, const Meta& meta, const Job& there) const {
    if (meta.elsewhere || here.labels->box.alone || !there.labels) return false;
    const Labels::Box& before = there.labels->box;
    const bool leaves = here.labels->box.represents || account_->options.remove.mirror;
    return before.represents && before.rank > here.labels->box.rank && leaves;
}

/// Takes out of todo what another mailbox stands for, or will stand for; marks what is carried over
/// from one that has it (job.moves). Behind adoption: what is here already is here.
void Lane::sort_by_labels(Job& job) {
    job.moves.clear();
    job.put_off.clear();
    if (!job.labels || job.todo.empty()) return;
    LabelRun& run = *account_->gmail;
    const Labels::Box& here = job.labels->box;
    const bool can_carry = destination_->capabilities().has("UIDPLUS") && !job.no_moves;
    if (!here.represents && !can_carry) return;  // fetched here, too
    dedup::Batch represented;
    std::erase_if(job.todo, [&](const Meta& meta) {
        if (meta.object == 0) return false;
        const auto copy = run.copies.find(meta.object);
        if (copy != run.copies.end() && copy->second->job.get() != &job) {
            // Not before everything else has settled: flags of the copy may be on their way.
            if (can_carry && is_better_home(job, meta, *copy->second->job)) {
                if (run.last_round) {
                    job.moves.push_back(
                        {.meta = meta, .leaver = copy->second, .stays = true, .demotes = true});
                } else {
                    job.put_off.push_back(meta.object);
                }
                return !run.last_round;
            }
            if (!here.represents) {
                job.moves.push_back({.meta = meta, .leaver = copy->second, .stays = true});
                return false;
            }
            dedup::MessageRecord record;
            record.source_uid = meta.uid;
            record.state = dedup::MessageState::represented;
            record.size = meta.size;
            record.base = job.flags.at(meta.flags);
            record.object = meta.object;
            represented.put_message(job.record.id, record);
            ++job.represented;
            return true;
        }
        if (run.last_round || !meta.elsewhere) return false;
        job.put_off.push_back(meta.object);
        return true;
    });
    if (!represented.empty() && !account_->options.dry_run)
        account_->writer.commit(std::move(represented));
}

/// A dry run has no last round: what would happen in it.
void Lane::count_put_off(Job& job) {
    (job.labels && job.labels->box.represents ? job.represented : job.labelled) +=
        job.put_off.size();
    job.put_off.clear();
}

/// `--delete mirror`: a copy is not deleted as long as a message of the source stands in a mailbox
/// that has no copy of its own. Without All Mail nobody can tell what is deleted from what is only
/// archived, unless it is seen elsewhere (in the trash, too).
Task<Result<void>> Lane::spare_last_copies(Job& job, std::vector<dedup::MessageRecord>& wanted) {
    const bool alone = job.labels && job.labels->box.alone;
    if (!account_->gmail || wanted.empty() || alone) co_return Result<void>{};
    std::set<std::uint64_t> objects;
    for (const dedup::MessageRecord& record : wanted) objects.insert(record.object);
    auto settled = co_await account_->writer.drain();
    if (!settled) co_return settled;
    auto known = co_await find_objects(*account_, std::move(objects));
    if (!known) co_return std::unexpected(std::move(known).error());
    const std::size_t before = wanted.size();
    const bool all_seen = !account_->gmail->labels.is_archive_left_out();
    std::erase_if(wanted, [&](const dedup::MessageRecord& record) {
        if (record.object == 0 || known->copies.contains(record.object)) return false;
        return !all_seen || known->represented.contains(record.object);
    });
    // A dry run has not moved what would have been moved by now.
    if (wanted.size() != before && !account_->options.dry_run) {
        account_->notice(printable(job.display), report::NoticeKind::not_deleted,
                         std::to_string(before - wanted.size()) +
                             (all_seen ? " messages left this mailbox at the source and are in All "
                                         "Mail still: kept, for there is no other copy"
                                       : " messages left this mailbox at the source: kept, for "
                                         "without All Mail nobody can tell whether they were "
                                         "deleted or only archived"));
    }
    co_return Result<void>{};
}

}  // namespace imapult::replica
