// `--delete mirror`: messages that are confirmed gone at the source are deleted at the destination,
// if we copied them and nobody changed them there since.
//
// A durable mark in the ledger goes before the first \Deleted, so that after a crash ours can be
// told from a user's; the records go when the UID EXPUNGE is answered. Whatever is lost in between,
// the next pass finds either the message (and goes on) or its absence (and forgets it).

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/replica/lane.h"
#include "engine/replica/patience.h"

namespace imapult::replica {
namespace {

constexpr std::size_t kRemovedAtOnce = 500;
constexpr std::array<std::string_view, 1> kDeletedWord{"\\Deleted"};

/// Set by servers themselves at delivery: no sign that somebody changed the message.
bool is_automatic(std::string_view keyword) {
    return equal_ignoring_case(keyword, "$HasAttachment") ||
           equal_ignoring_case(keyword, "$HasNoAttachment");
}

/// Whether the copy's flags are as we left them.
bool is_untouched(const dedup::MessageRecord& record, const Flags& there, const AllowedFlags& by) {
    Flags extra = minus(there, record.base);
    Flags kept = record.base;  // what it has in any case
    if (record.storing) {
        extra = minus(extra, *record.storing);
        kept = minus(kept, minus(kept, *record.storing));
    }
    if (record.removing) extra.system &= static_cast<std::uint8_t>(~dedup::kDeleted);
    if (extra.system != 0) return false;
    for (const std::string_view word : words_of(extra)) {
        if (!is_automatic(word)) return false;
    }
    return is_empty(minus(allowed(kept, by, nullptr), there));
}

std::string limit_text(const report::DeletePolicy& policy) {
    std::string out;
    if (policy.percent_max) out = std::to_string(*policy.percent_max) + " %";
    if (policy.messages_max) {
        out += (out.empty() ? "" : ", ") + std::to_string(*policy.messages_max) + " messages";
    }
    return out;
}

bool blows_fuse(const report::DeletePolicy& policy, std::uint64_t wanted, std::uint64_t of) {
    const bool by_part = policy.percent_max && wanted > (of * *policy.percent_max + 99) / 100;
    return by_part || (policy.messages_max && wanted > *policy.messages_max);
}

std::string fuse_text(const report::DeletePolicy& policy, std::uint64_t wanted, std::uint64_t of) {
    return std::to_string(wanted) + " of " + std::to_string(of) +
           " messages copied earlier are gone at the source, more than --delete-limit allows (" +
           limit_text(policy) +
           "): none was deleted at the destination. If they are meant to be gone, run again with "
           "--delete-limit " +
           std::to_string(wanted);
}

}  // namespace

Task<Result<void>> Lane::remove_gone(std::shared_ptr<Job> job) {
    const report::DeletePolicy& policy = account_->options.remove;
    dedup::Ledger& ledger = account_->ledger;
    const dedup::MailboxId id = job->record.id;
    struct Listed {
        std::vector<dedup::MessageRecord> gone;
        std::uint64_t all = 0;
    };
    auto listed = co_await account_->read_ledger([&ledger, id]() -> Result<Listed> {
        Listed out;
        auto visited = ledger.visit_messages(id, 1, UINT32_MAX, [&](const auto& message) {
            ++out.all;
            if (message.gone && dedup::is_ours(message.state)) out.gone.push_back(message);
            return true;
        });
        if (!visited) return std::unexpected(std::move(visited).error());
        return out;
    });
    if (!listed) co_return std::unexpected(std::move(listed).error());
    if (account_->options.dry_run) {
        // What this pass found gone is not in the ledger.
        std::set<std::uint32_t> moved;
        for (const auto& [unused, leaver] : account_->leavers) {
            if (leaver->job == job && leaver->taken) moved.insert(leaver->record.source_uid);
        }
        for (const dedup::MessageRecord& record : job->survey.gone) {
            const bool ours = dedup::is_ours(record.state);
            if (ours && !moved.contains(record.source_uid)) listed->gone.push_back(record);
        }
    }
    std::vector<dedup::MessageRecord> begun, wanted;
    for (dedup::MessageRecord& record : listed->gone)
        (record.removing ? begun : wanted).push_back(std::move(record));
    if (!policy.mirror) co_return co_await unmark(*job, std::move(begun));
    if (!destination_->capabilities().has("UIDPLUS")) {
        if (wanted.empty() || std::exchange(job->told_limit, true)) co_return Result<void>{};
        account_->notice(printable(job->display), report::NoticeKind::not_deleted,
                         std::to_string(wanted.size()) +
                             " messages are gone at the source; none was deleted: the destination "
                             "cannot delete single messages (UIDPLUS)");
        co_return Result<void>{};
    }
    auto spared = co_await spare_last_copies(*job, wanted);
    if (!spared) co_return spared;
    if (!begun.empty() || !wanted.empty()) {
        std::vector<std::uint32_t> uids;
        for (const auto* records : {&begun, &wanted}) {
            for (const dedup::MessageRecord& record : *records)
                uids.push_back(record.destination_uid);
        }
        auto checked = co_await check_copies(*job, std::move(uids));
        if (!checked) co_return checked;
    }
    spare_possible_moves(*job, wanted);
    if (blows_fuse(policy, wanted.size(), listed->all)) {
        auto absent = co_await forget_absent(*job, wanted);
        if (!absent) co_return std::unexpected(std::move(absent).error());
        listed->all -= std::min(listed->all, *absent);
    }
    if (blows_fuse(policy, wanted.size(), listed->all)) {
        job->kept_by_limit = wanted.size();
        if (!std::exchange(job->told_limit, true)) {
            account_->notice(printable(job->display), report::NoticeKind::delete_limit,
                             fuse_text(policy, wanted.size(), listed->all));
        }
        wanted.clear();
    }
    if (account_->options.dry_run) {
        account_->summary.messages.deleted += wanted.size();
        co_return Result<void>{};
    }
    std::vector<dedup::MessageRecord> all = std::move(begun);
    if (!wanted.empty()) {
        dedup::Batch marks;
        job->record.removing = true;
        marks.put_mailbox(job->record);
        for (dedup::MessageRecord& record : wanted) {
            dedup::MessageRecord marked = record;
            marked.removing = true;
            marks.put_message(id, marked);
            all.push_back(record);  // a \Deleted found now is not ours
        }
        marks.make_durable();
        if (!co_await commit_and_wait(std::move(marks))) {
            co_return ::imapult::fail(Code::cancelled, Scope::account, Retry::later,
                                      "the ledger takes nothing more");
        }
    }
    if (all.empty()) co_return co_await unmark(*job, {});
    co_return co_await remove_messages(*job, std::move(all));
}

/// Copies that somebody has deleted at the destination already are not for the fuse to count:
/// leaves them out of `wanted` and forgets them; how many.
Task<Result<std::uint64_t>> Lane::forget_absent(Job& job,
                                                std::vector<dedup::MessageRecord>& wanted) {
    std::vector<std::uint32_t> uids;
    for (const dedup::MessageRecord& record : wanted) {
        if (record.destination_uid != 0) uids.push_back(record.destination_uid);
    }
    std::sort(uids.begin(), uids.end());
    uids.erase(std::unique(uids.begin(), uids.end()), uids.end());
    if (uids.empty()) co_return 0U;
    SelectSink selected;
    FlagTable table;
    FlagSink there(1, UINT32_MAX, table);
    auto examine = imap::source::examine(job.record.destination_name, {}, destination_->encoding());
    if (!examine) co_return std::unexpected(std::move(examine).error());
    session::Ticket opened = destination_->start(std::move(*examine), &selected);
    imap::FetchItems items;
    items.flags = true;
    std::vector<session::Ticket> asked;
    for (const imap::UidSet& set : uid_sets(*destination_, uids, 0)) {
        auto fetch = imap::source::uid_fetch(set, items, std::nullopt, destination_->encoding());
        if (fetch) asked.push_back(destination_->start(std::move(*fetch), &there));
    }
    bool sure = true;
    std::optional<Error> error;
    asked.insert(asked.begin(), opened);
    for (session::Ticket& ticket : asked) {
        auto reply = co_await destination_->finish(ticket);
        if (!reply) {
            if (!error) error = std::move(reply).error();
            continue;
        }
        if (auto later = session::put_off(*reply, destination_->connection().peer(),
                                          "tell which copies it has"))
            error = std::move(*later);
        sure = sure && reply->ok();
    }
    if (error) co_return std::unexpected(std::move(*error));
    if (!sure ||
        (selected.uid_validity && *selected.uid_validity != job.record.destination_uid_validity))
        co_return 0U;
    std::set<std::uint32_t> present;
    for (const FlagSink::Entry& entry : there.take()) present.insert(entry.uid);
    dedup::Batch batch;
    const std::uint64_t absent = std::erase_if(wanted, [&](const dedup::MessageRecord& record) {
        if (record.destination_uid == 0 || present.contains(record.destination_uid)) return false;
        batch.erase_message(job.record.id, record.source_uid);
        return true;
    });
    if (absent == 0 || account_->options.dry_run) co_return absent;
    job.record.gone -= std::min(job.record.gone, static_cast<std::uint32_t>(absent));
    batch.put_mailbox(job.record);
    account_->writer.commit(std::move(batch));
    co_return absent;
}

/// What is gone here may have been moved to where it could not be copied from.
void Lane::spare_possible_moves(Job& job, std::vector<dedup::MessageRecord>& wanted) {
    std::set<std::uint64_t> sizes;  // of messages that were not copied
    for (const auto& [unused, refusal] : account_->refusals) sizes.insert(refusal.size);
    const std::size_t spared = std::erase_if(wanted, [&](const dedup::MessageRecord& record) {
        return account_->arrivals_missed || sizes.contains(record.size);
    });
    if (spared == 0 || std::exchange(job.told_spared, true)) return;
    account_->notice(printable(job.display), report::NoticeKind::not_deleted,
                     std::to_string(spared) +
                         " messages that are gone at the source were kept: they may have been "
                         "moved to where they could not be copied from in this pass");
}

/// All are marked in the ledger. Those that are there as we left them go.
Task<Result<void>> Lane::remove_messages(Job& job, std::vector<dedup::MessageRecord> records) {
    const std::string& to = account_->delete_to;
    if (!account_->options.remove.to.empty()) {
        auto ready = co_await ready_delete_to();
        if (!ready) co_return std::unexpected(std::move(ready).error());
        if (!*ready || equal_ignoring_case(to, job.record.destination_name))
            co_return Result<void>{};  // said already; or they are where they should go
    }
    const imap::CapabilitySet& can = destination_->capabilities();
    std::map<std::uint32_t, const dedup::MessageRecord*> by_uid;
    std::vector<std::uint32_t> uids;
    for (const dedup::MessageRecord& record : records) {
        if (record.destination_uid == 0 || !by_uid.emplace(record.destination_uid, &record).second)
            continue;
        uids.push_back(record.destination_uid);
    }
    std::sort(uids.begin(), uids.end());
    SelectSink selected;
    auto select = imap::destination::select(job.record.destination_name, can.has("CONDSTORE"),
                                            destination_->encoding());
    if (!select) co_return std::unexpected(std::move(select).error());
    session::Ticket opened = destination_->start_change(std::move(*select), &selected);
    FlagTable table;
    FlagSink flags(1, UINT32_MAX, table);
    imap::FetchItems items;
    items.flags = true;
    std::vector<session::Ticket> asked;
    for (const imap::UidSet& set : uid_sets(*destination_, uids, 0)) {
        auto fetch = imap::source::uid_fetch(set, items, std::nullopt, destination_->encoding());
        if (fetch) asked.push_back(destination_->start(std::move(*fetch), &flags));
    }
    auto reply = co_await destination_->finish(opened);
    std::optional<session::Reply> refused;
    for (session::Ticket& ticket : asked) {
        auto answer = co_await destination_->finish(ticket);
        if (!answer) co_return std::unexpected(std::move(answer).error());
        if (!answer->ok() && !refused) refused = std::move(*answer);
    }
    if (!reply) co_return std::unexpected(std::move(reply).error());
    if (!reply->ok()) refused = std::move(*reply);
    if (refused) {
        co_return std::unexpected(session::refusal(*refused, destination_->connection().peer(),
                                                   "open " + printable(job.display)));
    }
    if (selected.uid_validity && *selected.uid_validity != job.record.destination_uid_validity)
        co_return Result<void>{};  // made anew: the next pass sees it
    const AllowedFlags by = AllowedFlags::from(selected.permanent_flags);
    if (reply->code == imap::ResponseCode::read_only || (by.system & dedup::kDeleted) == 0) {
        account_->notice(printable(job.display), report::NoticeKind::not_deleted,
                         std::to_string(records.size()) +
                             " messages that are gone at the source were kept: the account has no "
                             "right to delete in this mailbox of the destination");
        co_return Result<void>{};
    }
    std::map<std::uint32_t, Flags> there;
    for (const FlagSink::Entry& entry : flags.take()) there[entry.uid] = table.at(entry.flags);

    dedup::Batch forgotten;
    std::vector<std::uint32_t> doomed, half_done;
    std::uint64_t changed = 0, absent = 0;
    for (const dedup::MessageRecord& record : records) {
        const auto copy = there.find(record.destination_uid);
        if (record.destination_uid != 0 && copy == there.end()) {
            ++absent;
            forgotten.erase_message(job.record.id, record.source_uid);
        } else if (record.destination_uid == 0 || !is_untouched(record, copy->second, by)) {
            ++changed;
            // It is theirs from now on, and not asked about again.
            dedup::MessageRecord kept = record;
            kept.removing = false;
            kept.state = dedup::MessageState::adopted;
            forgotten.put_message(job.record.id, kept);
        } else {
            // Our \Deleted comes behind the copy for --delete-to.
            const bool ours = (copy->second.system & dedup::kDeleted) != 0 && record.removing &&
                              (record.base.system & dedup::kDeleted) == 0;
            (ours ? half_done : doomed).push_back(record.destination_uid);
        }
    }
    std::sort(doomed.begin(), doomed.end());
    std::sort(half_done.begin(), half_done.end());
    Removal removal;
    const std::string nowhere;
    auto done = co_await expunge(job, nowhere, half_done, selected.highest_modseq, removal);
    if (done) done = co_await expunge(job, to, doomed, selected.highest_modseq, removal);
    const std::vector<std::uint32_t>& removed = removal.removed;
    for (const std::uint32_t uid : removed)
        forgotten.erase_message(job.record.id, by_uid.at(uid)->source_uid);
    const auto less = static_cast<std::uint32_t>(absent + removed.size());
    job.record.gone -= std::min(job.record.gone, less);
    if (removed.size() == doomed.size() + half_done.size()) job.record.removing = false;
    forgotten.put_mailbox(job.record);
    account_->writer.commit(std::move(forgotten));
    account_->summary.messages.deleted += removed.size();
    settled_ += removed.size();
    report::Progress progress;
    progress.deleted = removed.size();
    account_->observer.progress(account_->index, progress);
    if (changed > 0) {
        account_->notice(printable(job.display), report::NoticeKind::not_deleted,
                         std::to_string(changed) +
                             " messages that are gone at the source were kept: somebody changed "
                             "them at the destination");
    }
    if (removal.left > 0) {
        account_->notice(printable(job.display), report::NoticeKind::not_deleted,
                         "the destination said that it had deleted " +
                             std::to_string(removal.left) +
                             " messages and still has them: perhaps the account lacks the right");
    }
    co_return done;
}

/// STORE \Deleted and UID EXPUNGE, or a move to `to`, of messages of the selected mailbox.
Task<Result<void>> Lane::expunge(Job& job, const std::string& to,
                                 const std::vector<std::uint32_t>& doomed,
                                 std::optional<std::uint64_t> modseq, Removal& removal) {
    const bool move = !to.empty() && destination_->capabilities().has("MOVE");
    for (const imap::UidSet& set : uid_sets(*destination_, doomed, kRemovedAtOnce)) {
        if (stopped()) co_return Result<void>{};
        std::vector<std::uint32_t> uids;
        for (const auto& range : set.ranges()) {
            for (std::uint64_t uid = range.first; uid <= range.last; ++uid)
                uids.push_back(static_cast<std::uint32_t>(uid));
        }
        std::set<std::uint32_t> left;
        imap::UidSet to_carry = set;
        if (!to.empty() && !move) {
            to_carry = {};
            for (const std::uint32_t uid : uids) {
                if (!job.carried_away.contains(uid)) to_carry.add(uid);
            }
        }
        if (!to.empty() && !to_carry.empty()) {
            auto carry = move ? imap::destination::uid_move(set, to, destination_->encoding())
                              : imap::destination::uid_copy(to_carry, to, destination_->encoding());
            if (!carry) co_return std::unexpected(std::move(carry).error());
            auto reply =
                move ? co_await take_away(std::move(*carry), set, left)
                     : co_await destination_->finish(destination_->start_change(std::move(*carry)));
            if (!reply) co_return std::unexpected(std::move(reply).error());
            if (!reply->ok()) {
                co_return std::unexpected(session::refusal(*reply,
                                                           destination_->connection().peer(),
                                                           "move messages to " + printable(to)));
            }
            job.carried_away.insert(uids.begin(), uids.end());
        }
        if (!move) {
            auto marked = co_await mark_deleted(set, modseq, uids);
            if (!marked) co_return marked;
            if (uids.empty()) continue;
            imap::UidSet rest;
            for (const std::uint32_t uid : uids) rest.add(uid);
            auto expunge = imap::destination::uid_expunge(rest, destination_->encoding());
            if (!expunge) co_return std::unexpected(std::move(expunge).error());
            auto reply = co_await take_away(std::move(*expunge), rest, left);
            if (!reply) co_return std::unexpected(std::move(reply).error());
            if (!reply->ok()) {
                co_return std::unexpected(
                    session::refusal(*reply, destination_->connection().peer(),
                                     "delete messages of " + printable(job.display)));
            }
        }
        removal.left += std::erase_if(uids, [&](std::uint32_t uid) { return left.contains(uid); });
        removal.removed.insert(removal.removed.end(), uids.begin(), uids.end());
    }
    co_return Result<void>{};
}

Task<Result<session::Reply>> Lane::take_away(imap::Command command, const imap::UidSet& set,
                                             std::set<std::uint32_t>& left) {
    auto reply = co_await destination_->finish(destination_->start_change(std::move(command)));
    if (!reply || !reply->ok()) co_return reply;
    // Not in the same write: what is said of flags meanwhile would look like an answer.
    FlagTable unused;
    FlagSink there(1, UINT32_MAX, unused);
    auto told = co_await patiently(
        *account_, Side::destination, 6,
        [&]() -> Task<Result<void>> {
            imap::FetchItems items;
            items.flags = true;
            auto fetch =
                imap::source::uid_fetch(set, items, std::nullopt, destination_->encoding());
            if (!fetch) co_return std::unexpected(std::move(fetch).error());
            auto answer = co_await destination_->execute(std::move(*fetch), &there);
            if (!answer) co_return std::unexpected(std::move(answer).error());
            auto later = session::put_off(*answer, destination_->connection().peer(),
                                          "tell which messages are left");
            if (later) co_return std::unexpected(std::move(*later));
            co_return Result<void>{};  // some servers say NO where none is left
        },
        [this] { return alive(); });
    if (!told) co_return std::unexpected(std::move(told).error());
    for (const FlagSink::Entry& entry : there.take()) left.insert(entry.uid);
    co_return reply;
}

/// Only what nobody has changed since the mailbox was opened (UNCHANGEDSINCE, RFC 7162 §3.1.3);
/// `uids` keeps those that carry the mark.
Task<Result<void>> Lane::mark_deleted(const imap::UidSet& set, std::optional<std::uint64_t> modseq,
                                      std::vector<std::uint32_t>& uids) {
    auto store = imap::destination::uid_store(set, imap::destination::StoreMode::add, kDeletedWord,
                                              modseq, destination_->encoding());
    if (!store) co_return std::unexpected(std::move(store).error());
    auto reply = co_await destination_->finish(destination_->start_change(std::move(*store)));
    if (!reply) co_return std::unexpected(std::move(reply).error());
    const bool modified = reply->code == imap::ResponseCode::modified;
    if (!reply->ok() && !modified) {
        co_return std::unexpected(session::refusal(*reply, destination_->connection().peer(),
                                                   "mark messages as deleted"));
    }
    if (modified) {
        const auto others = imap::UidSet::parse(reply->uid_set);
        if (!others) {
            uids.clear();  // which ones was not told: the next pass looks again
        } else {
            std::erase_if(uids, [&](std::uint32_t uid) { return others->contains(uid); });
        }
    }
    co_return Result<void>{};
}

/// A removal that was begun, and is not wanted any more.
Task<Result<void>> Lane::unmark(Job& job, std::vector<dedup::MessageRecord> records) {
    if (account_->options.dry_run || !job.record.removing) co_return Result<void>{};
    dedup::Batch batch;
    std::vector<std::uint32_t> uids;
    for (dedup::MessageRecord& record : records) {
        record.removing = false;
        batch.put_message(job.record.id, record);
        const bool marked_at_source = (record.base.system & dedup::kDeleted) != 0;
        if (record.destination_uid != 0 && !marked_at_source)
            uids.push_back(record.destination_uid);
    }
    std::sort(uids.begin(), uids.end());
    if (!uids.empty()) {
        auto checked = co_await check_copies(job, uids);
        if (!checked) co_return checked;
        SelectSink selected;
        auto select =
            imap::destination::select(job.record.destination_name, false, destination_->encoding());
        if (!select) co_return std::unexpected(std::move(select).error());
        auto opened = co_await destination_->finish(
            destination_->start_change(std::move(*select), &selected));
        if (!opened) co_return std::unexpected(std::move(opened).error());
        if (auto later = session::put_off(*opened, destination_->connection().peer(),
                                          "open " + printable(job.display)))
            co_return std::unexpected(std::move(*later));
        const bool same =
            opened->ok() && (!selected.uid_validity ||
                             *selected.uid_validity == job.record.destination_uid_validity);
        for (const imap::UidSet& set : uid_sets(*destination_, uids, 0)) {
            auto store =
                imap::destination::uid_store(set, imap::destination::StoreMode::remove,
                                             kDeletedWord, std::nullopt, destination_->encoding());
            if (!same || !store) continue;
            auto reply =
                co_await destination_->finish(destination_->start_change(std::move(*store)));
            if (!reply) co_return std::unexpected(std::move(reply).error());
            if (auto later = session::put_off(*reply, destination_->connection().peer(),
                                              "take a mark of deletion back"))
                co_return std::unexpected(std::move(*later));
        }
    }
    job.record.removing = false;
    batch.put_mailbox(job.record);
    account_->writer.commit(std::move(batch));
    co_return Result<void>{};
}

/// --delete-to: its wire name at the destination; made if it is not there.
Task<Result<bool>> Lane::ready_delete_to() {
    if (account_->delete_to_ready) co_return *account_->delete_to_ready;
    std::vector<std::string> path;
    std::string_view rest = account_->options.remove.to;
    while (!rest.empty()) {
        const auto cut = rest.find('/');
        if (cut != 0) path.emplace_back(rest.substr(0, cut));
        if (cut == std::string_view::npos) break;
        rest.remove_prefix(cut + 1);
    }
    account_->delete_to = wire_name(path, account_->destination);
    if (account_->destination.find(account_->delete_to) == nullptr) {
        auto create = imap::destination::create(account_->delete_to, "", destination_->encoding());
        if (!create) co_return std::unexpected(std::move(create).error());
        auto reply = co_await destination_->finish(destination_->start_change(std::move(*create)));
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (auto later = session::put_off(*reply, destination_->connection().peer(),
                                          "make the mailbox of --delete-to"))
            co_return std::unexpected(std::move(*later));
        if (!reply->ok() && reply->code != imap::ResponseCode::already_exists) {
            account_->delete_to_ready = false;
            account_->notice("", report::NoticeKind::not_deleted,
                             "nothing was deleted: the mailbox of --delete-to cannot be made: " +
                                 printable(reply->text));
            co_return false;
        }
    }
    account_->delete_to_ready = true;
    co_return true;
}

}  // namespace imapult::replica
