// The end of a mailbox: destination UIDs that were not told, flags of older messages, the
// checkpoint.

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "engine/base/text.h"
#include "engine/replica/lane.h"
#include "engine/replica/readback.h"

namespace imapult::replica {
namespace {

/// (flags to add, flags to remove) -> destination UIDs: one STORE each.
struct ChangeKey {
    Flags add, remove;
    bool operator<(const ChangeKey& o) const {
        const auto tie = [](const ChangeKey& k) {
            return std::tie(k.add.system, k.add.keywords, k.remove.system, k.remove.keywords);
        };
        return tie(*this) < tie(o);
    }
};

/// Its UIDs are not those that an earlier pass has learnt any more.
std::optional<Error> made_anew(const Job& job, const SelectSink& selected) {
    if (!job.record.complete || !selected.uid_validity || job.destination_uid_validity == 0 ||
        *selected.uid_validity == job.destination_uid_validity)
        return std::nullopt;
    return Error{Code::unavailable,
                 Scope::mailbox,
                 Retry::never,
                 Outcome::not_done,
                 {},
                 "the destination's mailbox was made anew (UIDVALIDITY) in this pass; run again"};
}

}  // namespace

Task<Result<void>> Lane::finish(std::shared_ptr<Job> job) {
    // A checkpoint over messages whose fate is unknown would lose them.
    IMAPULT_ASSERT(job->unsettled == 0);
    if (!job->unknown_uids.empty() || !job->flag_changes.empty() || !job->appended.empty()) {
        co_await select_lock_.take(1);
        Result<void> done;
        if (!job->unknown_uids.empty()) done = co_await resolve_uids(*job);
        if (done && !job->flag_changes.empty()) done = co_await store_flags(*job);
        if (done && !job->appended.empty()) done = co_await read_back(*job);
        select_lock_.give(1);
        if (!done) co_return done;
    }
    // What is not as it was sent is compared with its original, when the source has time for it.
    if (!job->suspects.empty()) co_return Result<void>{};
    if (!job->dropped_flags.empty()) {
        account_->notice(
            printable(job->display), report::NoticeKind::keywords_dropped,
            "the destination does not take these flags: " + listed(job->dropped_flags));
        job->dropped_flags.clear();
    }
    job->todo = {};
    std::erase(mine_, job);
    if (!job->put_off.empty()) {
        // The rest comes in the last round; a checkpoint would be one over it, too.
        account_->changed.notify_all();
        co_return Result<void>{};
    }
    tell_unseen(*job);
    checkpoint(*job);
    job->finished = true;
    account_->observer.mailbox_finished(account_->index, job->display);
    account_->changed.notify_all();
    co_return Result<void>{};
}

/// Without UIDPLUS: we were the only writer if what came above the floor is exactly what we sent,
/// in number and in its order; otherwise the UIDs stay unknown (and flags of these messages
/// are not followed).
Task<Result<void>> Lane::resolve_uids(Job& job) {
    const std::uint32_t floor = std::max(job.destination_uid_next, 1U);
    SelectSink selected;
    auto examine = imap::source::examine(job.place.name, {}, destination_->encoding());
    if (!examine) co_return std::unexpected(std::move(examine).error());
    session::Ticket opened = destination_->start(std::move(*examine), &selected);
    imap::FetchItems items;
    items.size = items.flags = true;
    FlagTable flags;
    MetaSink metas(floor, UINT32_MAX, flags);
    auto fetch = imap::source::uid_fetch(imap::UidSet(floor, UINT32_MAX - 1), items, std::nullopt,
                                         destination_->encoding());
    if (!fetch) co_return std::unexpected(std::move(fetch).error());
    session::Ticket asked = destination_->start(std::move(*fetch), &metas);
    session::Ticket left;
    if (destination_->capabilities().has("UNSELECT"))
        left = destination_->start(imap::source::unselect());
    auto reply = co_await destination_->finish(opened);
    auto listed = co_await destination_->finish(asked);
    if (left) (void)co_await destination_->finish(left);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    if (!listed) co_return std::unexpected(std::move(listed).error());
    for (const session::Reply* said : {&*reply, &*listed}) {
        if (auto later = session::put_off(*said, destination_->connection().peer(),
                                          "tell the UIDs of what it took"))
            co_return std::unexpected(std::move(*later));
    }
    const std::vector<Meta> there = metas.take();
    if (there.size() != job.unknown_uids.size() || job.out_of_order) {
        account_->log(report::LogLevel::info,
                      job.display + ": the destination does not tell UIDs (UIDPLUS); " +
                          std::to_string(job.unknown_uids.size()) + " messages stay without");
        co_return Result<void>{};
    }
    dedup::Ledger& ledger = account_->ledger;
    const dedup::MailboxId id = job.record.id;
    auto settled = co_await account_->writer.drain();
    if (!settled) co_return settled;
    const std::vector<std::uint32_t>& sent = job.unknown_uids;
    const auto [low, high] = std::minmax_element(sent.begin(), sent.end());
    const std::uint32_t first = *low, last = *high;
    auto records = co_await account_->read_ledger(
        [&ledger, id, first, last] { return ledger.messages(id, first, last); });
    if (!records) co_return std::unexpected(std::move(records).error());
    std::map<std::uint32_t, dedup::MessageRecord*> by_uid;
    for (auto& record : *records) by_uid[record.source_uid] = &record;
    std::map<std::uint32_t, Appended*> unread;
    for (Appended& appended : job.appended) {
        if (appended.destination_uid == 0) unread[appended.source_uid] = &appended;
    }
    dedup::Batch batch;
    for (std::size_t i = 0; i < sent.size(); ++i) {
        const auto found = by_uid.find(sent[i]);
        if (found == by_uid.end()) continue;
        found->second->destination_uid = there[i].uid;
        job.highest_destination_uid = std::max(job.highest_destination_uid, there[i].uid);
        batch.put_message(id, *found->second);
        const auto appended = unread.find(sent[i]);
        if (appended == unread.end()) continue;
        Appended& here = *appended->second;
        here.destination_uid = there[i].uid;
        here.place = static_cast<std::uint32_t>(i);
        here.size_there = there[i].size;
        here.seen = true;
        note_lost(job, job.sent_flags.at(here.flags), flags.at(there[i].flags));
    }
    job.placed = there.size();
    account_->writer.commit(std::move(batch));
    job.unknown_uids.clear();
    co_return Result<void>{};
}

void Lane::start_store(std::vector<Store>& sent, Store store) {
    const auto words = words_of(store.flags);
    auto command = imap::destination::uid_store(store.set, store.mode, words, store.since,
                                                destination_->encoding());
    if (!command) return;
    store.ticket = destination_->start_change(std::move(*command));
    sent.push_back(std::move(store));
}

/// One word may be the reason, or a passing trouble: each word alone, and that once more.
void Lane::store_refused(Job& job, std::vector<Store>& sent, const Store& store,
                         const session::Reply& reply) {
    const std::vector<std::string_view> words = words_of(store.flags);
    if (words.size() > 1 || !store.again) {
        for (const std::string_view word : words) {
            start_store(sent, {.set = store.set,
                               .mode = store.mode,
                               .flags = parse_flags({word}),
                               .since = {},
                               .again = words.size() == 1,
                               .ticket = {}});
        }
        return;
    }
    account_->log(
        report::LogLevel::warning,
        job.display + ": the destination refused a change of flags: " + printable(reply.text));
    if (store.mode == imap::destination::StoreMode::add) job.dropped_flags.emplace(words.front());
}

Task<Result<void>> Lane::store_flags(Job& job) {
    std::vector<std::uint32_t> written;
    for (const Job::FlagChange& change : job.flag_changes) {
        if (change.destination_uid != 0) written.push_back(change.destination_uid);
    }
    auto checked = co_await check_copies(job, written);
    if (!checked) co_return checked;
    auto noted = co_await move_bases(job, false);
    if (!noted) co_return noted;
    const bool condstore = destination_->capabilities().has("CONDSTORE");
    SelectSink selected;
    auto select = imap::destination::select(job.place.name, condstore, destination_->encoding());
    if (!select) co_return std::unexpected(std::move(select).error());
    session::Ticket opening = destination_->start_change(std::move(*select), &selected);
    std::vector<Store> sent;
    std::optional<Error> error;
    auto opened = co_await destination_->finish(opening);
    if (!opened) co_return std::unexpected(std::move(opened).error());
    if (!opened->ok()) {
        co_return std::unexpected(session::refusal(*opened, destination_->connection().peer(),
                                                   "open " + printable(job.display)));
    }
    if (auto other = made_anew(job, selected)) co_return std::unexpected(std::move(*other));
    if (opened->code == imap::ResponseCode::read_only) {
        co_return ::imapult::fail(
            Code::unavailable, Scope::mailbox, Retry::never,
            "the destination opens the mailbox for reading only: the flags of " +
                std::to_string(written.size()) +
                " messages were not changed; give the account the rights to "
                "write there and run again");
    }
    if (selected.permanent_flags) job.allowed = AllowedFlags::from(selected.permanent_flags);
    std::map<ChangeKey, std::vector<std::uint32_t>> stores;
    for (const Job::FlagChange& change : job.flag_changes) {
        if (change.destination_uid == 0) continue;
        ChangeKey key{allowed(change.add, job.allowed, &job.dropped_flags),
                      allowed(change.remove, job.allowed, nullptr)};
        if (is_empty(key.add) && is_empty(key.remove)) continue;
        stores[key].push_back(change.destination_uid);
    }
    for (auto& [key, uids] : stores) {
        std::sort(uids.begin(), uids.end());
        for (const imap::UidSet& set : uid_sets(*destination_, uids, 0)) {
            // The first of the two makes the second look like somebody else's change.
            std::optional<std::uint64_t> since = selected.highest_modseq;
            for (const auto mode :
                 {imap::destination::StoreMode::add, imap::destination::StoreMode::remove}) {
                const Flags& flags =
                    mode == imap::destination::StoreMode::add ? key.add : key.remove;
                if (is_empty(flags)) continue;
                start_store(sent, {.set = set,
                                   .mode = mode,
                                   .flags = flags,
                                   .since = std::exchange(since, std::nullopt),
                                   .ticket = {}});
            }
        }
    }
    for (std::size_t i = 0; i < sent.size(); ++i) {  // it may grow
        auto reply = co_await destination_->finish(sent[i].ticket);
        if (!reply && !error) error = std::move(reply).error();
        if (!reply || error) continue;
        Store store = sent[i];
        if (reply->code == imap::ResponseCode::modified && store.since) {
            // Somebody marked these at this very moment; what the source changed is added to it.
            auto others = imap::UidSet::parse(reply->uid_set);
            store.since.reset();
            if (others) store.set = std::move(*others);
            start_store(sent, std::move(store));
        } else if (auto later = session::put_off(*reply, destination_->connection().peer(),
                                                 "change flags")) {
            error = std::move(later);  // all of it once more
        } else if (!reply->ok()) {
            store_refused(job, sent, store, *reply);
        }
    }
    if (error) co_return std::unexpected(std::move(*error));
    auto lost = co_await keep_landed(job, std::move(written));
    if (!lost) co_return std::unexpected(std::move(lost).error());
    if (job.flag_changes.empty()) co_return Result<void>{};
    auto moved = co_await move_bases(job, true);
    if (!moved) co_return moved;
    report::Progress progress;
    for (const auto& [key, uids] : stores) progress.flags_updated += uids.size();
    progress.flags_updated -= std::min<std::uint64_t>(progress.flags_updated, *lost);
    job.flags_updated += progress.flags_updated;
    account_->observer.progress(account_->index, progress);
    job.flag_changes.clear();
    co_return Result<void>{};
}

/// Reads back what the destination has said OK to. Changes that it has not made leave
/// `flag_changes`; their records go on to say that they are on their way. How many. Leaves the
/// mailbox.
Task<Result<std::size_t>> Lane::keep_landed(Job& job, std::vector<std::uint32_t> uids) {
    FlagTable table;
    FlagSink read(1, UINT32_MAX, table);
    std::vector<session::Ticket> asked;
    imap::FetchItems items;
    items.flags = true;
    std::sort(uids.begin(), uids.end());
    if (!account_->options.trust) {
        for (const imap::UidSet& set : uid_sets(*destination_, uids, 0)) {
            auto fetch =
                imap::source::uid_fetch(set, items, std::nullopt, destination_->encoding());
            if (fetch) asked.push_back(destination_->start(std::move(*fetch), &read));
        }
    }
    if (destination_->capabilities().has("UNSELECT"))
        asked.push_back(destination_->start(imap::source::unselect()));
    std::optional<Error> error;
    for (session::Ticket& ticket : asked) {
        auto reply = co_await destination_->finish(ticket);
        if (error) continue;
        if (!reply) {
            error = std::move(reply).error();
        } else {
            error = session::put_off(*reply, destination_->connection().peer(),
                                     "tell which flags it has");
        }
    }
    if (error) co_return std::unexpected(std::move(*error));
    std::map<std::uint32_t, Flags> there;
    for (const FlagSink::Entry& entry : read.take()) there[entry.uid] = table.at(entry.flags);
    std::vector<std::string_view> refused(job.dropped_flags.begin(), job.dropped_flags.end());
    const Flags dropped = parse_flags(refused);
    std::set<std::string> words;
    const std::size_t lost = std::erase_if(job.flag_changes, [&](const Job::FlagChange& change) {
        const auto now = there.find(change.destination_uid);
        if (now == there.end()) return false;
        const Flags add = minus(allowed(change.add, job.allowed, nullptr), dropped);
        const Flags remove = minus(allowed(change.remove, job.allowed, nullptr), dropped);
        const Flags missing = minus(add, now->second);
        const Flags left = minus(remove, minus(remove, now->second));
        for (const Flags* flags : {&missing, &left}) {
            for (const std::string_view word : words_of(*flags)) words.emplace(word);
        }
        return !is_empty(missing) || !is_empty(left);
    });
    if (lost == 0) co_return lost;
    account_->notice(printable(job.display), report::NoticeKind::keywords_dropped,
                     "the destination said OK to changed flags of " + std::to_string(lost) +
                         " messages and did not change them: " + listed(words));
    co_return lost;
}

/// Notes which flags are on their way to the copies, durably: a copy that was reached just before a
/// crash must not look like one that somebody else has changed. Once they are `stored` the base
/// moves on, so that the same change is not carried twice.
Task<Result<void>> Lane::move_bases(Job& job, bool stored) {
    auto settled = co_await account_->writer.drain();
    if (!settled) co_return settled;
    dedup::Ledger& ledger = account_->ledger;
    const dedup::MailboxId id = job.record.id;
    std::map<std::uint32_t, Flags> bases;
    for (const Job::FlagChange& change : job.flag_changes) bases[change.source_uid] = change.base;
    auto batch =
        co_await account_->read_ledger([&ledger, id, &bases, stored]() -> Result<dedup::Batch> {
            dedup::Batch out;
            auto visited = ledger.visit_messages(
                id, bases.begin()->first, bases.rbegin()->first,
                [&](const dedup::MessageRecord& record) {
                    const auto base = bases.find(record.source_uid);
                    if (base == bases.end()) return true;
                    dedup::MessageRecord moved = record;
                    moved.storing.reset();
                    (stored ? moved.base : moved.storing.emplace()) = base->second;
                    out.put_message(id, moved);
                    return true;
                });
            if (!visited) return std::unexpected(std::move(visited).error());
            return out;
        });
    if (!batch) co_return std::unexpected(std::move(batch).error());
    if (stored) {
        account_->writer.commit(std::move(*batch));
        co_return Result<void>{};
    }
    batch->make_durable();
    if (!co_await commit_and_wait(std::move(*batch))) {
        co_return ::imapult::fail(Code::cancelled, Scope::account, Retry::later,
                                  "the ledger takes nothing more");
    }
    co_return Result<void>{};
}

void Lane::checkpoint(Job& job) {
    dedup::MailboxRecord& record = job.record;
    // Where messages are hidden the next pass looks at all of them again.
    record.complete = job.unseen == 0 && !job.capped;
    if (job.survey.unsure) {
        // What was known stays known, so that the next pass finds the same disagreement.
        for (const Meta& meta : job.survey.fresh)
            record.source_messages += meta.uid >= record.source_uid_next ? 1 : 0;
    } else {
        record.source_highest_modseq = job.highest_modseq;
        record.source_messages =
            static_cast<std::uint32_t>(job.exists - std::min(job.exists, job.vanished));
    }
    record.source_uid_next = job.uid_next;
    record.destination_uid_next = std::max(
        {record.destination_uid_next, job.destination_uid_next, job.highest_destination_uid + 1});
    record.destination_messages =
        job.destination_messages + static_cast<std::uint32_t>(job.copied + job.moved);
    record.source_flags_checked_at =
        static_cast<std::uint64_t>(account_->environment.scheduler.clock().unix_seconds());
    dedup::Batch batch;
    batch.put_mailbox(record);
    account_->writer.commit(std::move(batch));
}

}  // namespace imapult::replica
