#include "engine/replica/account.h"

#include <algorithm>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/replica/create.h"
#include "engine/replica/foreign.h"
#include "engine/replica/label_copies.h"
#include "engine/replica/lane.h"
#include "engine/replica/patience.h"
#include "engine/replica/readback.h"
#include "engine/replica/renames.h"
#include "engine/replica/rights.h"
#include "engine/replica/survey.h"
#include "engine/replica/whose_copies.h"

namespace imapult::replica {
namespace {

constexpr unsigned kOpeningAttemptsMax = 5;  ///< of a server that only ends the connection

/// What a run over one account holds beside the Account.
struct Run {
    explicit Run(Account& account_in) : account(account_in) {}
    Account& account;
    Sessions sessions;
    std::vector<dedup::MailboxRecord> records;
    Placement placement;
    std::vector<std::shared_ptr<Job>> jobs;
    std::vector<std::shared_ptr<Job>> orphans;  ///< mailboxes that are gone at the source
    std::vector<std::shared_ptr<Job>>
        settled;  ///< unchanged ones, where something may be to delete
    std::uint64_t unchanged_messages = 0, unchanged_refused = 0;
};

const dedup::MailboxRecord* find_record(const Run& run, std::string_view source_name) {
    for (const dedup::MailboxRecord& record : run.records) {
        if (!record.archived && record.source_name == source_name) return &record;
    }
    return nullptr;
}

std::uint64_t refusals_of(const Account& account, dedup::MailboxId id) {
    std::uint64_t count = 0;
    for (auto at = account.refusals.lower_bound({id, 0});
         at != account.refusals.end() && at->first.first == id; ++at) {
        ++count;
    }
    return count;
}

bool tries_refusals_again(const Account& account, dedup::MailboxId id) {
    const auto last = account.refusals.upper_bound({id, UINT32_MAX});
    return std::any_of(account.refusals.lower_bound({id, 0}), last,
                       [&](const auto& entry) { return account.tries_again(entry.second); });
}

/// After log-in as another user some servers tell who we are.
void check_identity(Account& account, const Listing& listing, const EndpointSpec& endpoint) {
    if (endpoint.admin.empty()) return;
    const auto user = listing.id.find("user");
    if (user == listing.id.end()) return;
    const std::string local = endpoint.user.substr(0, endpoint.user.find('@'));
    if (equal_ignoring_case(user->second, endpoint.user) ||
        equal_ignoring_case(user->second, local))
        return;
    account.give_up(Error{Code::auth_refused,
                          Scope::account,
                          Retry::never,
                          Outcome::not_done,
                          {},
                          endpoint.account() + ": the server opened the account \"" + user->second +
                              "\" instead; nothing was done"},
                    std::nullopt);
}

/// The destination's mailbox as it stands now.
void take_destination(Job& job, Listing& destination) {
    if (const Mailbox* there = destination.find(job.place.name)) {
        job.destination_uid_validity = there->uid_validity.value_or(0);
        job.destination_uid_next = there->uid_next.value_or(1);
        job.destination_messages = there->messages.value_or(0);
        job.destination_told = there->uid_validity && there->messages;
    }
}

// --- planning -----------------------------------------------------------------------------------

/// `there` is not looked at where the destination was not asked.
bool is_unchanged(const Account& account, const Mailbox& box, const Mailbox* there,
                  const dedup::MailboxRecord& record) {
    if (!record.complete) return false;
    const bool same_there =
        account.destination_skipped ||
        (there != nullptr && there->uid_validity == record.destination_uid_validity);
    const bool flags_known = record.source_highest_modseq > 0 && box.highest_modseq &&
                             *box.highest_modseq == record.source_highest_modseq;
    const bool empty = box.messages == 0U && record.source_messages == 0;
    return box.uid_validity == record.source_uid_validity &&
           box.uid_next == record.source_uid_next && box.messages == record.source_messages &&
           (flags_known || empty) && same_there && !tries_refusals_again(account, record.id);
}

/// Notices a mailbox that was made anew; its old rows are kept as evidence under their own id.
bool same_incarnation(Account& account, const Mailbox& box, const Mailbox* there,
                      const dedup::MailboxRecord& record) {
    const std::string display = printable(box.display());
    if (box.uid_validity && *box.uid_validity != record.source_uid_validity) {
        account.notice(display, report::NoticeKind::uid_validity,
                       "the source's mailbox was made anew (UIDVALIDITY changed); its messages are "
                       "recognised by "
                       "their content");
        return false;
    }
    const bool went_back = box.uid_next && *box.uid_next < record.source_uid_next &&
                           box.highest_modseq && *box.highest_modseq < record.source_highest_modseq;
    if (went_back) {
        account.notice(display, report::NoticeKind::uid_validity,
                       "the source's mailbox was put back to an earlier state (UIDNEXT and "
                       "HIGHESTMODSEQ fell); its messages are recognised by their content");
        return false;
    }
    if (there == nullptr) {
        account.notice(display, report::NoticeKind::destination_changed,
                       "the mailbox is gone at the destination; it is made again");
        return false;
    }
    if (there->uid_validity && *there->uid_validity != record.destination_uid_validity) {
        if (record.source_messages == 0 && record.gone == 0) return false;  // nothing was in it
        account.notice(display, report::NoticeKind::uid_validity,
                       "the destination's mailbox was made anew (UIDVALIDITY changed); its "
                       "messages are recognised "
                       "by their content");
        return false;
    }
    return true;
}

/// For what is to be done with the copy alone.
std::shared_ptr<Job> job_of(Account& account, const dedup::MailboxRecord& record,
                            std::string display) {
    auto job = std::make_shared<Job>();
    job->record = record;
    job->display = std::move(display);
    job->source_name = record.source_name;
    job->place.name = record.destination_name;
    take_destination(*job, account.destination);
    return job;
}

/// The mailbox before it was made anew at the source, if its copy is still the same.
std::optional<dedup::MailboxId> predecessor_of(const Run& run, const Job& job) {
    std::optional<dedup::MailboxId> found;
    for (const dedup::MailboxRecord& record : run.records) {
        if (record.id != job.record.id && record.source_name == job.source_name &&
            record.destination_name == job.place.name &&
            record.destination_uid_validity == job.destination_uid_validity)
            found = std::max(found.value_or(0), record.id);
    }
    return found;
}

/// Labels: what leaves one mailbox may be shown by another that does not change.
bool all_are_looked_at(const Run& run) {
    Account& account = run.account;
    if (!account.source.gmail) return false;
    return std::ranges::any_of(
               run.placement.places,
               [&](const Place& place) {
                   const Mailbox& box = account.source.mailboxes[place.source];
                   const dedup::MailboxRecord* record = find_record(run, box.name);
                   return record == nullptr || account.source.has_lost(record->source_name) ||
                          !is_unchanged(account, box, account.destination.find(place.name),
                                        *record);
               }) ||
           std::ranges::any_of(run.records, [&](const dedup::MailboxRecord& record) {
               const bool to_remove =
                   (account.options.remove.mirror && record.gone > 0) || record.removing;
               return !record.archived &&
                      (to_remove || account.source.has_lost(record.source_name));
           });
}

/// Whether a mailbox that is gone is one of those that were asked for: its name is, and it has not
/// become one that is not.
bool concerns_this_run(const Run& run, const dedup::MailboxRecord& record) {
    const Account& account = run.account;
    if (!is_selected(account.source.display_of(record.source_name), account.options.names))
        return false;
    return std::ranges::none_of(account.source.mailboxes, [&](const Mailbox& box) {
        return box.space == Space::personal && !is_selected(box.display(), account.options.names) &&
               box.uid_validity == record.source_uid_validity &&
               box.uid_next.value_or(UINT32_MAX) >= record.source_uid_next;
    });
}

/// Behind plan_jobs.
void plan_labels(Run& run) {
    Account& account = run.account;
    if (!account.source.gmail) return;
    account.gmail = std::make_shared<LabelRun>(
        Labels(account.source, run.placement, account.options.labels), run.jobs, run.orphans);
    for (const auto& job : run.jobs)
        job->labels = LabelView{&account.gmail->labels, account.gmail->labels.box(job->source_name),
                                &job->homes};
}

void plan_jobs(Run& run) {
    Account& account = run.account;
    dedup::Batch archived;
    const bool look_at_all = all_are_looked_at(run);
    for (Place& place : run.placement.places) {
        if (place.name.empty()) continue;
        const Mailbox& box = account.source.mailboxes[place.source];
        const Mailbox* there = account.destination.find(place.name);
        const dedup::MailboxRecord* record = find_record(run, box.name);
        if (record != nullptr && !look_at_all && is_unchanged(account, box, there, *record)) {
            ++account.summary.mailboxes.unchanged;
            account.observer.mailbox_started(account.index, box.display(), record->source_messages,
                                             0, 0);
            report::Progress known;
            known.already_there = record->source_messages;
            account.observer.progress(account.index, known);
            account.observer.mailbox_finished(account.index, box.display());
            run.unchanged_messages += record->source_messages;
            run.unchanged_refused += refusals_of(account, record->id);
            if (record->gone > 0 || record->removing) {
                run.settled.push_back(job_of(account, *record, box.display()));
            }
            continue;
        }
        auto job = std::make_shared<Job>();
        job->place = place;
        job->display = box.display();
        job->source_name = box.name;
        job->uid_validity = box.uid_validity.value_or(0);
        job->uid_next = box.uid_next.value_or(0);
        job->messages = box.messages.value_or(0);
        job->highest_modseq = box.highest_modseq.value_or(0);
        if (record != nullptr && same_incarnation(account, box, there, *record)) {
            job->record = *record;
            // Not told while it was listed: what EXAMINE says is compared with it.
            if (!box.uid_validity) job->uid_validity = record->source_uid_validity;
        } else {
            if (record != nullptr) {
                dedup::MailboxRecord old = *record;
                old.archived = true;
                archived.put_mailbox(old);
                account.forget_refusals(old.id, archived);
            }
            job->record_is_new = true;
            job->record.id = account.ledger.new_mailbox_id();
            job->record.account = account.id;
            job->record.source_name = box.name;
            job->record.source_uid_validity = job->uid_validity;
        }
        job->record.destination_name = place.name;
        take_destination(*job, account.destination);
        if (job->destination_uid_validity != 0)
            job->record.destination_uid_validity = job->destination_uid_validity;
        if (!job->record.complete) job->predecessor = predecessor_of(run, *job);
        run.jobs.push_back(std::move(job));
    }
    for (const dedup::MailboxRecord& record : run.records) {
        if (record.archived || !account.source.has_lost(record.source_name)) continue;
        if (!concerns_this_run(run, record)) continue;
        // Nothing of it is left to be followed, or another mailbox goes to its place now: what
        // stands there is recognised as that one's.
        const bool settled =
            record.complete && record.source_messages == 0 && record.gone == 0 && !record.removing;
        const bool replaced =
            std::any_of(run.placement.places.begin(), run.placement.places.end(),
                        [&](const Place& place) { return place.name == record.destination_name; });
        const Mailbox* there = account.destination.find(record.destination_name);
        const bool same =
            there != nullptr && there->uid_validity == record.destination_uid_validity;
        if (settled || replaced || !same) {
            dedup::MailboxRecord old = record;
            old.archived = true;
            archived.put_mailbox(old);
            account.forget_refusals(old.id, archived);
            if (settled || replaced) continue;
        }
        const std::string display = printable(account.source.display_of(record.source_name));
        account.notice(display, report::NoticeKind::mailbox_gone,
                       !same ? "the mailbox is gone at the source, and so is its copy"
                       : account.options.remove.mirror
                           ? "the mailbox is gone at the source; its copy stays, and of what is in "
                             "it what --delete mirror leaves"
                           : "the mailbox is gone at the source; its copy was left as it is");
        if (!same) continue;
        run.orphans.push_back(job_of(account, record, display));
        run.orphans.back()->orphan = true;
    }
    if (!archived.empty() && !account.options.dry_run) account.writer.commit(std::move(archived));
}

void tell_names(Run& run) {
    Account& account = run.account;
    for (const Place& place : run.placement.places) {
        if (place.mapped_because.empty() || place.name.empty()) continue;
        account.notice(printable(account.source.mailboxes[place.source].display()),
                       report::NoticeKind::name_mapped,
                       "goes to \"" + printable(display_of(place)) + "\": " + place.mapped_because);
    }
}

// --- the books ----------------------------------------------------------------------------------

/// A dry run has neither deleted nor moved anything: what would be gone at both by its end.
std::uint64_t would_go(const Account& account) {
    if (!account.options.dry_run || !account.options.remove.mirror) return 0;
    const auto moved = std::ranges::count_if(account.leavers, [](const auto& entry) {
        return entry.second->taken && dedup::is_ours(entry.second->record.state);
    });
    return account.summary.messages.deleted + static_cast<std::uint64_t>(moved);
}

void balance(Run& run) {
    Account& account = run.account;
    report::MessageCounts& books = account.summary.messages;
    books.source += run.unchanged_messages + run.placement.filtered_messages;
    books.refused += run.unchanged_refused;
    books.already_there +=
        run.unchanged_messages - std::min(run.unchanged_messages, run.unchanged_refused);
    books.skipped += run.placement.filtered_messages;
    for (const auto* jobs : {&run.jobs, &run.orphans, &run.settled}) {
        for (const auto& job : *jobs) {
            books.gone_at_source += job->record.gone;
            books.kept_by_limit += job->kept_by_limit;
        }
    }
    books.gone_at_source -= std::min(books.gone_at_source, would_go(account));
    for (const auto& job : run.jobs) {
        books.gone_at_source += job->left_behind;
        books.copied += job->copied;
        books.adopted += job->adopted;
        books.flags_updated += job->flags_updated;
        books.moved += job->moved;
        books.labelled += job->labelled;
        books.represented += job->represented;
        const std::uint64_t done = job->copied + job->adopted;
        std::uint64_t refused =
            account.options.dry_run || job->failed ? 0 : refusals_of(account, job->record.id);
        if (job->failed) {
            const std::uint64_t rest = job->messages - std::min<std::uint64_t>(job->messages, done);
            const std::uint64_t known = std::min(rest, job->there_before());
            books.source += done + rest;
            books.already_there += known;
            books.refused += rest - known;
            ++account.summary.mailboxes.failed;
        } else if (job->finished) {
            const std::uint64_t there = job->exists - std::min(job->exists, job->vanished);
            refused =
                std::min(refused, there - std::min(there, done));  // others are gone at the source
            const std::uint64_t known = std::min(there, done + refused);
            books.source += std::max(there, done + refused);
            const std::uint64_t unseen = std::min(job->unseen, there - known);
            books.refused += refused + unseen;
            books.already_there += there - known - unseen;
            if (job->capped) ++account.summary.mailboxes.failed;
        } else {
            const std::uint64_t rest = job->messages - std::min<std::uint64_t>(job->messages, done);
            const std::uint64_t known = std::min(rest, job->there_before());
            books.source += done + known;
            books.already_there += known;
            books.not_reached += rest - known;
        }
    }
}

void set_result(Account& account) {
    report::AccountSummary& summary = account.summary;
    if (account.fatal) {
        summary.failure = report::Failure{*account.fatal, account.fatal_side};
        // A budget that is used up is no failure: the rest is for tomorrow.
        summary.result = account.over_budget && account.fatal->code == Code::limit
                             ? report::RunResult::partial
                             : report::RunResult::failed;
    } else if (account.stop.stopping()) {
        summary.result = report::RunResult::interrupted;
    } else if (summary.messages.refused > 0 || summary.mailboxes.failed > 0 ||
               summary.messages.not_reached > 0 || summary.messages.kept_by_limit > 0) {
        summary.result = report::RunResult::partial;
    } else {
        summary.result = report::RunResult::complete;
    }
}

/// Largest first, so that no giant starts last.
void sort_by_size(JobQueue& queue) {
    std::sort(queue.begin(), queue.end(), [](const auto& a, const auto& b) {
        return a->messages != b->messages ? a->messages > b->messages
                                          : a->place.source < b->place.source;
    });
}

/// Mailboxes that an earlier pass has copied, and those it copied that are gone.
JobQueue to_survey(const Run& run) {
    JobQueue queue;
    for (const auto& job : run.jobs) {
        if (job->record.complete) queue.push_back(job);
    }
    for (const auto& job : run.orphans) {
        if (!job->record.complete || job->record.source_messages > 0) queue.push_back(job);
    }
    return queue;
}

JobQueue to_copy(const Run& run) {
    JobQueue queue;
    for (const auto& job : run.jobs) {
        if (!job->failed) queue.push_back(job);
    }
    return queue;
}

/// Gmail: what was put off.
JobQueue to_label(const Run& run) {
    JobQueue queue;
    for (const auto& job : run.jobs) {
        if (!job->failed && !job->put_off.empty()) queue.push_back(job);
    }
    return queue;
}

/// Where something is gone at the source and its copy may go, or a removal was begun.
JobQueue to_remove(const Run& run) {
    JobQueue queue;
    const bool mirror = run.account.options.remove.mirror;
    for (const auto* jobs : {&run.jobs, &run.orphans, &run.settled}) {
        for (const auto& job : *jobs) {
            const bool wanted = (mirror && job->record.gone > 0) || job->record.removing;
            if (wanted && !job->failed) queue.push_back(job);
        }
    }
    return queue;
}

/// Whether a mailbox may have received messages that this pass has not copied: what is gone
/// elsewhere may be there, and its copy the only one.
bool has_missed_arrivals(const Run& run) {
    const bool unplaced = std::ranges::any_of(run.placement.places, [&](const Place& place) {
        const Mailbox& box = run.account.source.mailboxes[place.source];
        return place.name.empty() && box.messages.value_or(1) > 0;
    });
    return unplaced || std::ranges::any_of(run.jobs, [](const auto& job) {
               const bool none_came = job->record.complete && job->uid_next > 0 &&
                                      job->uid_next == job->record.source_uid_next;
               return job->failed && !none_came;
           });
}

std::size_t lanes_for(const Run& run, Phase phase, const JobQueue& queue) {
    constexpr std::size_t kMailboxesPerLane = 64;  // surveys are pipelined: one lane does many
    unsigned allowed = std::max(1U, run.account.options.lanes);
    for (const Side side : {Side::source, Side::destination})
        allowed = run.account.pace(side).connections(allowed);
    const std::size_t most = allowed;
    if (phase != Phase::copy && phase != Phase::labels)
        return std::clamp<std::size_t>(queue.size() / kMailboxesPerLane, 1, most);
    std::size_t busy = 0;
    for (const auto& job : queue) {
        const std::size_t fresh = job->survey.done ? job->survey.fresh.size() : job->messages;
        busy += fresh > 0 ? 1 : 0;
    }
    return std::clamp<std::size_t>(busy, 1, most);
}

void give_up_for_today(Account& account) {
    constexpr std::int64_t kDaySeconds = 86'400;
    const std::int64_t now = account.environment.scheduler.clock().unix_seconds();
    Error error{
        Code::limit,
        Scope::account,
        Retry::later,
        Outcome::not_done,
        std::chrono::seconds(kDaySeconds - now % kDaySeconds),
        "the budget of this day (UTC) is used up: " + account.options.budget->text(account.index) +
            "; the same command goes on tomorrow"};
    account.give_up(std::move(error), std::nullopt);
}

/// One phase after the other, each to its end.
Task<void> run_lanes(Run& run) {
    Account& account = run.account;
    std::deque<Lane> all;
    all.emplace_back(account, 0U)
        .take(std::move(run.sessions.source), std::move(run.sessions.destination));
    for (const Phase phase : {Phase::survey, Phase::copy, Phase::labels, Phase::remove}) {
        JobQueue queue = phase == Phase::survey   ? to_survey(run)
                         : phase == Phase::copy   ? to_copy(run)
                         : phase == Phase::labels ? to_label(run)
                                                  : to_remove(run);
        if (queue.empty() || account.stopping()) continue;
        if (phase == Phase::remove) account.arrivals_missed = has_missed_arrivals(run);
        if (account.gmail && (phase == Phase::copy || phase == Phase::labels)) {
            auto known = phase == Phase::copy ? co_await before_copying(account)
                                              : co_await before_last_round(account);
            if (!known) {
                account.give_up(std::move(known).error(), std::nullopt);
                continue;
            }
        }
        sort_by_size(queue);
        std::size_t lanes = lanes_for(run, phase, queue);
        if (phase == Phase::copy && account.gmail && account.gmail->labels.carries()) {
            std::ranges::sort(queue, {}, [](const auto& job) { return job->labels->box.rank; });
            lanes = 1;  // each builds on those before
        }
        runtime::TaskScope scope(account.environment.scheduler);
        for (std::size_t i = 0; i < lanes; ++i) {
            if (i == all.size()) all.emplace_back(account, static_cast<unsigned>(i));
            scope.spawn(all[i].run(phase, queue));
        }
        co_await scope.join();
        // A lane that was refused its connections may have left work behind as the others ended.
        if (!queue.empty() && !account.stopping() && !account.over_budget)
            co_await all.front().run(phase, queue);
        if (account.over_budget && !account.fatal) give_up_for_today(account);
    }
    if (const Budget* budget = account.options.budget) {
        // Also what was asked for and then refused.
        dedup::Batch batch;
        batch.put_spent(account.id, budget->spent(account.index));
        account.writer.commit(std::move(batch));
    }
    for (const Side side : {Side::source, Side::destination})
        account.pace(side).connections_sufficed();
    runtime::TaskScope closing(account.environment.scheduler);
    for (Lane& lane : all) closing.spawn(lane.end());
    co_await closing.join();
}

Task<void> store_pass(Run& run, std::int64_t started) {
    Account& account = run.account;
    if (account.options.dry_run || account.id == 0) co_return;
    const report::MessageCounts& books = account.summary.messages;
    dedup::Pass pass;
    pass.started = started;
    pass.finished = account.environment.scheduler.clock().unix_seconds();
    pass.result = report::name_of(account.summary.result);
    pass.source = books.source;
    pass.already_there = books.already_there;
    pass.copied = books.copied;
    pass.adopted = books.adopted;
    pass.refused = books.refused;
    pass.skipped = books.skipped;
    if (account.behind_since) {
        const Nanos lag = account.environment.scheduler.now() - *account.behind_since;
        pass.lag_ms = static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(lag).count());
    }
    dedup::Batch batch;
    batch.put_pass(account.id, pass);
    batch.make_durable();
    account.writer.commit(std::move(batch));
}

enum class Renamings : std::uint8_t { stay, end };

/// `end`: what stands under a temporary name at the destination gets its own.
Placement place_run(Run& run, Renamings renamings = Renamings::stay) {
    return place_mailboxes(
        run.account.source, run.account.destination, run.account.options.names,
        [&run, renamings](const std::string& name) {
            const dedup::MailboxRecord* record = find_record(run, name);
            const bool remembered = record != nullptr && (renamings == Renamings::stay ||
                                                          !is_renaming(record->destination_name));
            return remembered ? record->destination_name : std::string();
        },
        [&run](std::string_view name) { return run.account.translation().of(name); });
}

/// Whether anything is to be done at the destination, as far as the source's listing tells.
bool needs_destination(Run& run) {
    Account& account = run.account;
    for (const dedup::MailboxRecord& record : run.records) {
        if (record.archived) continue;
        const bool to_remove =
            (account.options.remove.mirror && record.gone > 0) || record.removing;
        if (to_remove || account.source.has_lost(record.source_name)) return true;
    }
    account.destination_skipped = true;  // for is_unchanged
    const Placement placement = place_run(run);
    const bool changed =
        std::any_of(placement.places.begin(), placement.places.end(), [&](const Place& place) {
            const Mailbox& box = account.source.mailboxes[place.source];
            const dedup::MailboxRecord* record = find_record(run, box.name);
            return record == nullptr || !is_unchanged(account, box, nullptr, *record);
        });
    account.destination_skipped = false;
    return changed;
}

Task<Result<bool>> rename_patiently(Run& run, std::function<Placement()> place) {
    return patiently(
        run.account, Side::source, 3,
        [&run, place = std::move(place)] {
            return follow_renames(run.account, run.sessions, run.records, place);
        },
        [&run] { return run.sessions.alive(); });
}

Task<Result<void>> leave_out_patiently(Run& run) {
    return patiently(
        run.account, Side::source, 4,
        [&run] { return leave_out_foreign(run.account, *run.sessions.source, run.records); },
        [&run] { return run.sessions.alive(); });
}

/// Every mailbox that has a place, with the id that its rights stand under in the ledger.
std::vector<RightsTarget> rights_targets(const Run& run) {
    std::vector<RightsTarget> targets;
    for (const Place& place : run.placement.places) {
        if (place.name.empty()) continue;
        const Mailbox& box = run.account.source.mailboxes[place.source];
        const auto job =
            std::ranges::find(run.jobs, place.name, [](const auto& j) { return j->place.name; });
        const dedup::MailboxRecord* record = find_record(run, box.name);
        if (job != run.jobs.end()) {
            targets.push_back({(*job)->record.id, &box, place});
        } else if (record != nullptr) {
            targets.push_back({record->id, &box, place});
        }
    }
    return targets;
}

Task<void> copy_steps(Run& run) {
    Account& account = run.account;
    auto records = co_await load_account(account);
    if (!records) co_return account.give_up(std::move(records).error(), std::nullopt);
    run.records = std::move(*records);
    for (const dedup::MailboxRecord& record : run.records) {
        if (record.archived) continue;
        account.known_source.push_back(record.source_name);
        account.known_destination.push_back(record.destination_name);
    }
    std::function<bool()> needs;
    if (run.records.size() > account.options.listed_anyway_max)
        needs = [&run] { return needs_destination(run); };
    if (!co_await open_and_list(account, run.sessions, needs)) co_return;
    check_identity(account, account.source, account.source_endpoint);
    check_identity(account, account.destination, account.destination_endpoint);
    if (account.fatal) co_return;
    std::string views =
        leave_out_views(account.source, account.options.names, account.options.labels);
    if (!views.empty()) account.notice("", report::NoticeKind::labels, std::move(views));
    auto left = co_await leave_out_patiently(run);
    if (account.stopping()) co_return;
    if (!left) co_return account.give_up(std::move(left).error(), Side::source);
    if (!account.destination_skipped) {
        const std::function<Placement()> place = [&run] { return place_run(run, Renamings::end); };
        auto renamed = co_await rename_patiently(run, place);
        if (account.stopping()) co_return;
        if (!renamed) co_return account.give_up(std::move(renamed).error(), std::nullopt);
    }
    account.shared_validities = shared_validities(account.destination, run.records);
    run.placement = place_run(run);
    account.summary.mailboxes.total = run.placement.places.size();
    account.observer.account_listed(account.index, run.placement.places.size());
    if (account.options.dry_run) {
        account.summary.mailboxes.created = static_cast<std::uint64_t>(std::ranges::count_if(
            run.placement.places,
            [](const Place& place) { return !place.exists && !place.name.empty(); }));
    } else if (!account.destination_skipped) {
        auto created =
            co_await create_missing(account, run.sessions.destination, run.placement.places);
        if (account.stopping()) co_return;
        if (!created) co_return account.give_up(std::move(created).error(), Side::destination);
        co_await subscribe_existing(account, *run.sessions.destination, run.placement.places);
    }
    if (!account.destination_skipped) tell_names(run);
    tell_left_out(account);
    plan_jobs(run);
    plan_labels(run);
    const bool work = !run.jobs.empty() || !to_survey(run).empty() || !to_remove(run).empty();
    if (!account.destination_skipped)
        (void)co_await carry_rights(account, run.sessions, rights_targets(run), !work);
    if (work) co_await run_lanes(run);
}

}  // namespace

Task<Result<std::vector<dedup::MailboxRecord>>> load_account(Account& account) {
    struct Loaded {
        dedup::AccountId id;
        std::vector<dedup::MailboxRecord> mailboxes;
        std::vector<dedup::Refusal> refusals;
    };
    dedup::Ledger& ledger = account.ledger;
    const std::string source = account.source_endpoint.account();
    const std::string destination = account.destination_endpoint.account();
    auto loaded = co_await account.read_ledger([&ledger, source, destination]() -> Result<Loaded> {
        IMAPULT_TRY(const auto row, ledger.open_account(source, destination));
        Loaded out;
        out.id = row.id;
        IMAPULT_TRY(out.mailboxes, ledger.mailboxes(row.id));
        IMAPULT_TRY(out.refusals, ledger.refusals(row.id));
        return out;
    });
    if (!loaded) co_return std::unexpected(std::move(loaded).error());
    account.id = loaded->id;
    for (dedup::Refusal& refusal : loaded->refusals) {
        const std::pair key(refusal.mailbox, refusal.source_uid);
        account.refusals[key] = std::move(refusal);
    }
    co_return std::move(loaded->mailboxes);
}

Task<bool> open_and_list(Account& account, Sessions& sessions,
                         std::function<bool()> needs_destination) {
    struct Half {
        Account& account;
        std::unique_ptr<Session>& session;
        Listing& listing;
        const EndpointSpec& endpoint;
        Side side;
        std::vector<std::string> known;
        bool met = false;  ///< it has been reached once

        /// The session is kept while the server only asks for patience.
        Task<Result<void>> once(bool careful) {
            if (!session) {
                auto opened = co_await Session::open(account.environment, endpoint, side);
                if (!opened) co_return std::unexpected(std::move(opened).error());
                session = std::move(*opened);
                met = true;
                if (side == Side::source) (void)enable_qresync(account, *session);
            }
            SpaceSet spaces = account.options.names.spaces;
            if (side == Side::destination) spaces.personal = true;
            auto listed = co_await list_mailboxes(*session, known, spaces, careful);
            if (!listed) co_return std::unexpected(std::move(listed).error());
            listing = std::move(*listed);
            co_return Result<void>{};
        }

        Task<void> run() {
            Patience patience(account, side == Side::source ? 0 : 1);
            unsigned lost = 0;
            unsigned cut = 0;  // while it was asked: perhaps for what not every server can say
            while (!account.stopping()) {
                auto done = co_await once(cut > 2);
                if (done) co_return;
                Error error = std::move(done).error();
                if (session && !session->connection().alive()) {
                    ++cut;
                    co_await session->close(false);
                    session.reset();
                }
                const bool asked = error.code == Code::throttled;
                const bool gone =
                    error.code == Code::connection_lost || error.code == Code::unavailable;
                // Away for a while, if it was there a moment ago; else a name or a port is wrong.
                const bool away = met && (error.code == Code::connect_failed ||
                                          error.code == Code::resolve_failed);
                if (gone) ++lost;
                if (patience.exhausted(error)) error.text += kNoProgress;
                if ((!asked && !gone && !away) || lost >= kOpeningAttemptsMax ||
                    patience.exhausted(error)) {
                    account.give_up(std::move(error), side);
                    co_return;
                }
                co_await patience.wait(std::move(error), side);
            }
        }
    };
    Half source{account,      sessions.source,     account.source, account.source_endpoint,
                Side::source, account.known_source};
    Half destination{account,
                     sessions.destination,
                     account.destination,
                     account.destination_endpoint,
                     Side::destination,
                     account.known_destination};
    runtime::TaskScope both(account.environment.scheduler);
    // `verify --against` has no source.
    if (!account.source_endpoint.host.empty()) both.spawn(source.run());
    if (needs_destination) {
        co_await both.join();
        account.destination_skipped = !account.stopping() && !needs_destination();
        if (account.destination_skipped) co_return true;
    }
    both.spawn(destination.run());
    co_await both.join();
    account.listed_at = account.environment.scheduler.now();
    if (!account.stopping()) co_return true;
    co_await close_sessions(account, sessions, false);
    co_return false;
}

Task<void> close_sessions(Account& account, Sessions& sessions, bool polite) {
    runtime::TaskScope both(account.environment.scheduler);
    for (auto* session : {&sessions.source, &sessions.destination}) {
        if (*session) both.spawn((*session)->close(polite));
    }
    co_await both.join();
    for (auto* session : {&sessions.source, &sessions.destination}) {
        if (!*session) continue;
        account.count_wire(**session);
        session->reset();
    }
}

Task<void> copy_account(Account& account) {
    Run run(account);
    account.writer.set_on_failure([&account](const Error& error) {
        account.give_up(error, std::nullopt);
        account.on_stop(report::StopToken::Level::at_once);
    });
    const std::int64_t started = account.environment.scheduler.clock().unix_seconds();
    const Nanos begin = account.environment.scheduler.now();
    account.observer.account_started(account.index);
    co_await copy_steps(run);
    // With nothing to do there is nothing to say good-bye for: one round trip was enough.
    co_await close_sessions(account, run.sessions, false);
    for (const auto& [key, refusal] : account.refusals) {
        const bool told =
            std::any_of(account.summary.refusals.begin(), account.summary.refusals.end(),
                        [&, uid = key.second](const report::Refusal& r) {
                            return r.uid == uid && r.mailbox == refusal.mailbox_name;
                        });
        if (!told && !account.options.dry_run) account.tell_refusal(refusal);
    }
    tell_unexamined(account);
    balance(run);
    set_result(account);
    co_await store_pass(run, started);
    auto drained = co_await account.writer.drain();
    if (!drained) {
        account.give_up(std::move(drained).error(), std::nullopt);
        set_result(account);
    }
    account.summary.seconds =
        std::chrono::duration<double>(account.environment.scheduler.now() - begin).count();
    account.observer.account_finished(account.index, account.summary);
}

}  // namespace imapult::replica
