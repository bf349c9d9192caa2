// What is to be done in one mailbox: new messages, changed flags, what an earlier pass left open.

#include <algorithm>
#include <set>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/replica/lane.h"
#include "engine/replica/survey.h"

namespace imapult::replica {
namespace {

constexpr std::string_view kListMessages = "list the messages of a mailbox";

/// What the ledger knows of a mailbox from `first` on.
struct Known {
    std::vector<std::uint32_t> source;       ///< rising
    std::vector<std::uint32_t> destination;  ///< rising, without 0
    std::vector<std::uint32_t> unplaced;     ///< of source: receipted, destination UID not told
    std::vector<std::uint32_t> represented;  ///< of source
    std::vector<dedup::MessageRecord> gone;  ///< recorded as gone at the source
    std::vector<Appended> copied;            ///< by an attempt that ended before its checkpoint
    std::vector<dedup::Intent> intents;
};

Result<Known> read_known(dedup::Ledger& ledger, dedup::MailboxId mailbox, std::uint32_t first,
                         std::uint32_t destination_first) {
    Known known;
    IMAPULT_TRY(known.intents, ledger.intents(mailbox));
    auto visited =
        ledger.visit_messages(mailbox, first, UINT32_MAX, [&](const dedup::MessageRecord& message) {
            known.source.push_back(message.source_uid);
            if (message.gone) known.gone.push_back(message);
            if (message.state == dedup::MessageState::copied && !message.gone &&
                message.destination_uid != 0 && message.size > 0) {
                Appended& appended = known.copied.emplace_back();
                appended.source_uid = message.source_uid;
                appended.destination_uid = message.destination_uid;
                appended.size =
                    static_cast<std::uint32_t>(std::min<std::uint64_t>(message.size, UINT32_MAX));
                appended.told = appended.earlier = true;
            }
            if (message.destination_uid >= destination_first && message.destination_uid != 0) {
                known.destination.push_back(message.destination_uid);
            }
            if (message.state == dedup::MessageState::represented)
                known.represented.push_back(message.source_uid);
            if (message.destination_uid == 0 && message.state != dedup::MessageState::represented)
                known.unplaced.push_back(message.source_uid);
            return true;
        });
    if (!visited) return std::unexpected(std::move(visited).error());
    std::sort(known.destination.begin(), known.destination.end());
    return known;
}

/// The keywords that this mailbox's messages and changes carry.
std::set<std::string, std::less<>> keywords_of(const Job& job) {
    std::set<std::uint32_t> sets;
    for (const Meta& meta : job.todo) sets.insert(meta.flags);
    std::set<std::string, std::less<>> words;
    const auto add = [&words](const Flags& flags) {
        for (const std::string_view word : words_of(flags)) {
            if (word.front() != '\\') words.emplace(word);
        }
    };
    for (const std::uint32_t set : sets) add(job.flags.at(set));
    for (const Job::FlagChange& change : job.flag_changes) add(change.add);
    return words;
}

}  // namespace

Task<Result<void>> Lane::read_predecessor(Job& job) {
    if (!job.predecessor || job.record.complete || !job.before.empty()) co_return Result<void>{};
    struct Read {
        std::vector<Before> copies;
        FlagTable flags;  // the job's belongs to the shard
    };
    dedup::Ledger& ledger = account_->ledger;
    const dedup::MailboxId id = *job.predecessor;
    auto read = co_await account_->read_ledger([&ledger, id]() -> Result<Read> {
        Read out;
        auto visited = ledger.visit_messages(id, 1, UINT32_MAX, [&](dedup::MessageRecord message) {
            const bool ours = dedup::is_ours(message.state);
            if (message.destination_uid == 0 ||
                (!ours && message.state != dedup::MessageState::adopted))
                return true;
            // We were about to delete it: a \Deleted there is ours.
            if (message.removing) message.base.system |= dedup::kDeleted;
            Before& copy = out.copies.emplace_back();
            copy.destination_uid = message.destination_uid;
            copy.base = out.flags.intern(message.base);
            if (message.storing) copy.storing = out.flags.intern(*message.storing);
            copy.ours = ours;
            return true;
        });
        if (!visited) return std::unexpected(std::move(visited).error());
        std::ranges::sort(out.copies, {}, &Before::destination_uid);
        return out;
    });
    if (!read) co_return std::unexpected(std::move(read).error());
    for (Before& copy : read->copies) {
        copy.base = job.flags.intern(read->flags.at(copy.base));
        if (copy.storing) copy.storing = job.flags.intern(read->flags.at(*copy.storing));
    }
    job.before = std::move(read->copies);
    co_return Result<void>{};
}

/// What STATUS did not tell of the destination's mailbox when it was listed (NO, or a number that
/// is none) is no "empty": SELECT tells.
Task<Result<void>> Lane::know_destination(Job& job) {
    // Courier makes up the UIDVALIDITY of an INBOX that nobody has opened each time it is asked.
    const bool made_up = job.record_is_new && job.destination_messages == 0 &&
                         equal_ignoring_case(job.place.name, "INBOX") &&
                         !destination_->capabilities().has("CONDSTORE");
    if (job.destination_told && (!made_up || account_->options.dry_run)) co_return Result<void>{};
    co_await select_lock_.take(1);
    SelectSink selected;
    session::Ticket opening;
    std::optional<Error> unsayable;
    if (account_->options.dry_run) {
        auto examine = imap::source::examine(job.place.name, {}, destination_->encoding());
        if (examine) opening = destination_->start(std::move(*examine), &selected);
        if (!examine) unsayable = std::move(examine).error();
    } else {
        // Not EXAMINE: Courier has no UNSELECT, and appends nothing to what is selected read-only.
        auto select = imap::destination::select(job.place.name, false, destination_->encoding());
        if (select) opening = destination_->start_change(std::move(*select), &selected);
        if (!select) unsayable = std::move(select).error();
    }
    Result<session::Reply> opened;
    if (opening) opened = co_await destination_->finish(opening);
    if (opening && opened && opened->ok() && destination_->capabilities().has("UNSELECT"))
        (void)co_await destination_->execute(imap::source::unselect());
    select_lock_.give(1);
    if (unsayable) co_return std::unexpected(std::move(*unsayable));
    if (!opened) co_return std::unexpected(std::move(opened).error());
    if (!opened->ok()) {
        co_return std::unexpected(session::refusal(*opened, destination_->connection().peer(),
                                                   "open " + printable(job.display)));
    }
    dedup::MailboxRecord& record = job.record;
    const std::uint32_t validity = selected.uid_validity.value_or(job.destination_uid_validity);
    if (job.record_is_new || record.destination_uid_validity == 0)
        record.destination_uid_validity = validity;
    if (validity != record.destination_uid_validity) {
        co_return ::imapult::fail(
            Code::unavailable, Scope::mailbox, Retry::never,
            "the destination's mailbox was made anew (UIDVALIDITY); run again");
    }
    job.destination_uid_validity = validity;
    job.destination_uid_next = std::max(job.destination_uid_next, selected.uid_next.value_or(1));
    job.destination_messages = std::max(job.destination_messages, selected.exists);
    job.destination_told = true;
    co_return Result<void>{};
}

Task<Result<void>> Lane::prepare(std::shared_ptr<Job> job) {
    auto known_there = co_await know_destination(*job);
    if (!known_there) co_return known_there;
    auto promoted = co_await promote(*job);
    if (!promoted) co_return promoted;
    const dedup::MailboxRecord& record = job->record;
    // From the checkpoint on, and from the first message that is to be copied all the same.
    std::uint32_t base = record.complete ? record.source_uid_next : 1;
    if (!job->survey.fresh.empty()) base = std::min(base, job->survey.fresh.front().uid);
    dedup::Ledger& ledger = account_->ledger;
    Known known;
    if (!job->record_is_new) {
        const std::uint32_t floor = std::max(record.destination_uid_next, 1U);
        const dedup::MailboxId id = record.id;
        auto read = co_await account_->read_ledger(
            [&ledger, id, base, floor] { return read_known(ledger, id, base, floor); });
        if (!read) co_return std::unexpected(std::move(read).error());
        known = std::move(*read);
    }
    std::erase_if(known.source, [&](std::uint32_t uid) {
        return std::ranges::binary_search(job->promoted, uid) &&
               std::ranges::binary_search(known.represented, uid);
    });
    job->old_intents = std::move(known.intents);
    auto before = co_await read_predecessor(*job);
    if (!before) co_return before;

    std::vector<Meta> fresh;
    std::vector<FlagsSeen> changed;
    if (record.complete) {
        IMAPULT_ASSERT(job->survey.done);
        fresh = job->survey.fresh;
        changed = job->survey.changed;
    } else {
        auto examined = co_await examine(*job, fresh);
        if (!examined) co_return examined;
    }

    const std::uint32_t first_open = record.complete ? record.source_uid_next : 1;
    std::erase_if(known.copied, [&](const auto& m) { return m.source_uid < first_open; });
    read_back_earlier(*job, known.copied);
    // What an earlier attempt settled is not asked for again.
    for (const Meta& meta : fresh) {
        if (std::binary_search(known.source.begin(), known.source.end(), meta.uid)) {
            changed.push_back({meta.uid, meta.flags});  // but its flags may have changed since
            continue;
        }
        const auto refusal = account_->refusals.find({record.id, meta.uid});
        if (refusal != account_->refusals.end() &&
            (!account_->tries_again(refusal->second) || job->refused_now.contains(meta.uid))) {
            continue;
        }
        job->todo.push_back(meta);
    }
    job->todo.shrink_to_fit();
    const auto first_refused = account_->refusals.lower_bound({record.id, 0});
    const bool refusals =
        first_refused != account_->refusals.end() && first_refused->first.first == record.id;
    if (record.complete && (!job->todo.empty() || refusals)) {
        auto opened = co_await open_source(*job);
        if (!opened) co_return opened;
    }
    come_back(*job, known.gone, fresh);
    const bool all_listed = fresh.size() == job->exists && job->unlisted.empty() &&
                            !may_be_cut_off(source_->capabilities(), job->exists);
    if (record.complete ? !job->survey.unsure : all_listed) {
        note_unheard(*job, known.source, fresh);
        const std::uint32_t checkpoint = record.complete ? record.source_uid_next : 1;
        std::erase_if(known.source, [&](std::uint32_t uid) { return uid < checkpoint; });
        auto left = co_await note_gone(*job, known.source, fresh);
        if (!left) co_return left;
    }
    auto forgotten = co_await forget_refusals_of_gone(*job, fresh);
    if (!forgotten) co_return forgotten;
    std::uint64_t bytes = 0;
    for (const Meta& meta : job->todo) bytes += meta.size;
    if (!job->started) {
        job->started = true;
        account_->observer.mailbox_started(account_->index, job->display, job->exists,
                                           job->todo.size(), bytes);
    }
    if (!job->survey.gone.empty() && !account_->options.remove.mirror && !job->told_gone) {
        job->told_gone = true;
        account_->notice(printable(job->display), report::NoticeKind::deleted_at_source,
                         std::to_string(job->survey.gone.size()) +
                             " messages copied earlier are gone at the source; they were kept "
                             "at the destination");
    }
    auto planned = co_await plan_flags(*job, std::move(changed));
    if (!planned) co_return planned;
    if (!account_->options.dry_run) co_await start_record(*job);
    auto adopted = co_await adopt(*job, std::move(known.destination), std::move(known.unplaced));
    if (!adopted) co_return adopted;
    auto looked = co_await look_up_copies(*job);
    if (!looked) co_return looked;
    sort_by_labels(*job);
    auto moved = co_await plan_moves(job);
    if (!moved) co_return moved;
    if (account_->options.dry_run) {
        count_put_off(*job);
        const auto stays = static_cast<std::uint64_t>(
            std::ranges::count_if(job->moves, [](const Move& move) { return move.stays; }));
        job->labelled += stays;
        job->moved = job->moves.size() - stays;
        job->copied = job->todo.size() - job->moves.size();
        const auto with_flags = std::ranges::count_if(job->moves, [&](const Move& move) {
            return !is_empty(flags_due(move.leaver->record, job->flags.at(move.meta.flags)));
        });
        job->flags_updated = job->flag_changes.size() + static_cast<std::uint64_t>(with_flags);
        report::Progress progress;
        progress.copied = job->copied;
        progress.bytes_copied = 0;
        account_->observer.progress(account_->index, progress);
        account_->summary.bytes.copied += bytes;
        account_->observer.mailbox_finished(account_->index, job->display);
        co_return Result<void>{};
    }
    co_return co_await learn_allowed(*job);
}

/// A message that was refused and is gone at the source is nobody's concern any more.
Task<Result<void>> Lane::forget_refusals_of_gone(Job& job, const std::vector<Meta>& fresh) {
    const dedup::MailboxId id = job.record.id;
    std::vector<std::uint32_t> unlisted, gone;
    for (auto at = account_->refusals.lower_bound({id, 0});
         at != account_->refusals.end() && at->first.first == id; ++at) {
        const std::uint32_t uid = at->first.second;
        if (std::binary_search(fresh.begin(), fresh.end(), uid, ByUid{})) continue;
        unlisted.push_back(uid);
    }
    if (unlisted.empty()) co_return Result<void>{};
    // Absence from a list is no proof: each is asked for by name.
    FlagSink there(1, UINT32_MAX, job.flags);
    imap::FetchItems items;
    items.flags = true;
    for (const imap::UidSet& set : uid_sets(*source_, unlisted, 0)) {
        auto fetch = imap::source::uid_fetch(set, items, std::nullopt, source_->encoding());
        if (!fetch) co_return std::unexpected(std::move(fetch).error());
        auto reply = co_await source_->execute(std::move(*fetch), &there);
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (!reply->ok()) co_return Result<void>{};  // not known: they stay listed
    }
    const std::vector<FlagSink::Entry> listed = there.take();
    for (const std::uint32_t uid : unlisted) {
        const bool found = std::any_of(listed.begin(), listed.end(),
                                       [&](const auto& entry) { return entry.uid == uid; });
        if (!found) gone.push_back(uid);
    }
    auto looked = co_await keep_those_found(gone);
    if (!looked) co_return looked;
    if (gone.empty() || account_->options.dry_run) co_return Result<void>{};
    dedup::Batch batch;
    for (const std::uint32_t uid : gone) {
        batch.erase_refusal(account_->id, id, uid);
        account_->refusals.erase({id, uid});
    }
    account_->writer.commit(std::move(batch));
    co_return Result<void>{};
}

/// A message that was believed gone, and is listed: it is there.
void Lane::come_back(Job& job, const std::vector<dedup::MessageRecord>& gone,
                     const std::vector<Meta>& fresh) {
    dedup::Batch batch;
    for (dedup::MessageRecord record : gone) {
        const bool listed =
            std::binary_search(fresh.begin(), fresh.end(), record.source_uid, ByUid{});
        if (!listed) continue;
        record.gone = record.removing = false;
        batch.put_message(job.record.id, record);
        if (job.record.gone > 0) --job.record.gone;
    }
    if (batch.empty() || account_->options.dry_run) return;
    batch.put_mailbox(job.record);
    account_->writer.commit(std::move(batch));
}

/// A pass that was interrupted before its checkpoint has copied messages that are gone since:
/// `known` ones that `there` does not show.
Task<Result<void>> Lane::note_gone(Job& job, const std::vector<std::uint32_t>& known,
                                   const std::vector<Meta>& there) {
    std::vector<std::uint32_t> left;
    for (const std::uint32_t uid : known) {
        if (!std::binary_search(there.begin(), there.end(), uid, ByUid{})) left.push_back(uid);
    }
    if (left.empty() || account_->options.dry_run) co_return Result<void>{};
    dedup::Ledger& ledger = account_->ledger;
    const dedup::MailboxId id = job.record.id;
    auto batch = co_await account_->read_ledger([&]() -> Result<dedup::Batch> {
        dedup::Batch out;
        auto visited = ledger.visit_messages(
            id, left.front(), left.back(), [&](const dedup::MessageRecord& message) {
                if (message.state == dedup::MessageState::represented &&
                    std::binary_search(left.begin(), left.end(), message.source_uid)) {
                    out.erase_message(id, message.source_uid);
                    return true;
                }
                if (message.gone ||
                    !std::binary_search(left.begin(), left.end(), message.source_uid))
                    return true;
                dedup::MessageRecord gone = message;
                gone.gone = true;
                out.put_message(id, gone);
                ++job.record.gone;
                return true;
            });
        if (!visited) return std::unexpected(std::move(visited).error());
        return out;
    });
    if (!batch) co_return std::unexpected(std::move(batch).error());
    batch->put_mailbox(job.record);
    account_->writer.commit(std::move(*batch));
    co_return Result<void>{};
}

/// For bodies and headers of a mailbox that was surveyed.
Task<Result<void>> Lane::open_source(Job& job) {
    SelectSink selected;
    auto examine = imap::source::examine(job.source_name, {}, source_->encoding());
    if (!examine) co_return std::unexpected(std::move(examine).error());
    auto reply = co_await source_->execute(std::move(*examine), &selected);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    if (!reply->ok()) {
        co_return std::unexpected(session::refusal(*reply, source_->connection().peer(),
                                                   "open the mailbox " + printable(job.display)));
    }
    if (selected.uid_validity && *selected.uid_validity != job.uid_validity) {
        co_return ::imapult::fail(
            Code::unavailable, Scope::mailbox, Retry::never,
            "the mailbox was replaced (UIDVALIDITY) while it was being read; run again");
    }
    co_return Result<void>{};
}

/// A mailbox without a checkpoint: EXAMINE and the metadata of all messages, in one write.
Task<Result<void>> Lane::examine(Job& job, std::vector<Meta>& fresh) {
    const imap::CapabilitySet& can = source_->capabilities();
    const std::uint32_t last = job.uid_next > 0 ? job.uid_next - 1 : UINT32_MAX;

    SelectSink selected;
    imap::source::ExamineOptions how;
    how.condstore = can.has("CONDSTORE") || can.has("QRESYNC");
    auto examine = imap::source::examine(job.source_name, how, source_->encoding());
    if (!examine) co_return std::unexpected(std::move(examine).error());
    session::Ticket opened = source_->start(std::move(*examine), &selected);

    const imap::FetchItems items = metadata_items(*account_, can);
    const LabelView* labels = job.labels ? &*job.labels : nullptr;
    MetaSink metas(1, last, job.flags, labels);
    session::Ticket asked;
    if (last >= 1 && (job.messages > 0 || job.uid_next == 0)) {
        auto fetch = imap::source::uid_fetch(imap::UidSet(1, last), items, std::nullopt,
                                             source_->encoding());
        if (!fetch) co_return std::unexpected(std::move(fetch).error());
        asked = source_->start(std::move(*fetch), &metas);
    }
    auto reply = co_await source_->finish(opened);
    Result<session::Reply> got;
    if (asked) got = co_await source_->finish(asked);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    if (!reply->ok()) {
        co_return std::unexpected(session::refusal(*reply, source_->connection().peer(),
                                                   "open the mailbox " + printable(job.display)));
    }
    if (!got) co_return std::unexpected(std::move(got).error());
    if (!got->ok()) {
        co_return std::unexpected(session::refusal(
            *got, source_->connection().peer(), "list the messages of " + printable(job.display)));
    }
    if (selected.uid_validity && *selected.uid_validity != job.uid_validity) {
        if (!job.record_is_new) {
            co_return ::imapult::fail(
                Code::unavailable, Scope::mailbox, Retry::never,
                "the mailbox was replaced (UIDVALIDITY) while it was being read; run again");
        }
        // Replaced since it was listed, or of a server that makes up another value each second
        // until somebody writes there (mailutils): nothing of it is known yet.
        job.uid_validity = job.record.source_uid_validity = *selected.uid_validity;
    }
    job.exists = selected.exists;
    // What came since the listing counts for the next attempt too: job.uid_next covers it then.
    job.messages = std::max(job.messages, static_cast<std::uint32_t>(selected.exists));
    if (!selected.mailbox_id.empty()) job.record.source_mailbox_id = selected.mailbox_id;
    fresh = metas.take();
    // UIDNEXT is not to be trusted everywhere (mailutils says one too few): what EXISTS counts is
    // looked for.
    if (fresh.size() < job.exists && last < UINT32_MAX - 1) {
        MetaSink more(last + 1, UINT32_MAX, job.flags, labels);
        auto fetch = imap::source::uid_fetch(imap::UidSet(last + 1, UINT32_MAX), items,
                                             std::nullopt, source_->encoding());
        if (!fetch) co_return std::unexpected(std::move(fetch).error());
        auto rest = co_await source_->execute(std::move(*fetch), &more);
        if (!rest) co_return std::unexpected(std::move(rest).error());
        if (auto later = session::put_off(*rest, source_->connection().peer(), kListMessages))
            co_return std::unexpected(std::move(*later));
        for (const Meta& meta : more.take()) fresh.push_back(meta);
        if (!fresh.empty()) job.uid_next = std::max(job.uid_next, fresh.back().uid + 1);
    }
    if (asked) {
        auto below = co_await list_below(job, items, std::move(*got), fresh);
        if (!below) co_return below;
    }
    const std::uint32_t highest =
        job.uid_next > 0 ? std::max(job.uid_next, 2U) - 1 : UINT32_MAX - 1;
    auto whole = co_await complete_listing(job, items, highest, fresh);
    if (!whole) co_return whole;
    notice_cap(job);
    if (job.uid_next == 0) job.uid_next = fresh.empty() ? 1 : fresh.back().uid + 1;
    co_return Result<void>{};
}

/// Compares the source's flags with the base in the ledger: only what changed at the source is
/// carried over, so that what users changed at the destination stays.
Task<Result<void>> Lane::plan_flags(Job& job, std::vector<FlagsSeen> changed) {
    if (changed.empty()) co_return Result<void>{};
    std::sort(changed.begin(), changed.end(),
              [](const auto& a, const auto& b) { return a.uid < b.uid; });
    dedup::Ledger& ledger = account_->ledger;
    const dedup::MailboxId id = job.record.id;
    const FlagTable& table = job.flags;
    auto changes = co_await account_->read_ledger(
        [&ledger, id, &changed, &table]() -> Result<std::vector<Job::FlagChange>> {
            std::vector<Job::FlagChange> out;
            auto next = changed.begin();
            auto visited = ledger.visit_messages(
                id, changed.front().uid, changed.back().uid,
                [&](const dedup::MessageRecord& record) {
                    while (next != changed.end() && next->uid < record.source_uid) ++next;
                    if (next == changed.end()) return false;
                    if (next->uid != record.source_uid) return true;
                    const Flags& now = table.at(next->flags);
                    if (record.state == dedup::MessageState::represented) return true;
                    FlagsDue due = flags_due(record, now);
                    if (is_empty(due)) return true;
                    out.push_back({record.source_uid, record.destination_uid, std::move(due.add),
                                   std::move(due.remove), now});
                    return true;
                });
            if (!visited) return std::unexpected(std::move(visited).error());
            return out;
        });
    if (!changes) co_return std::unexpected(std::move(changes).error());
    job.flag_changes = std::move(*changes);
    co_return Result<void>{};
}

/// Which keywords the destination takes, and whether it understands them: a STORE to a UID that
/// cannot exist changes nothing, and its OK proves that the words may stand in an APPEND whose
/// literal does not wait (protocol rule 4). Asked only for words not seen before: selecting the
/// destination's mailbox makes appending to it dearer.
Task<Result<void>> Lane::learn_allowed(Job& job) {
    job.allowed = AllowedFlags{};
    const std::set<std::string, std::less<>> keywords = keywords_of(job);
    const auto proved = [&](const std::string& word) {
        return account_->proved_keywords.contains(word);
    };
    if (keywords.empty() ||
        (account_->any_keyword && std::all_of(keywords.begin(), keywords.end(), proved))) {
        co_return Result<void>{};
    }
    co_await select_lock_.take(1);
    auto asked = co_await ask_allowed(job, keywords);
    select_lock_.give(1);
    co_return asked;
}

Task<Result<void>> Lane::ask_allowed(Job& job, const std::set<std::string, std::less<>>& keywords) {
    SelectSink selected;
    auto select = imap::destination::select(job.place.name, false, destination_->encoding());
    if (!select) co_return std::unexpected(std::move(select).error());
    session::Ticket opened = destination_->start_change(std::move(*select), &selected);
    std::vector<std::string_view> words;
    for (const std::string& word : keywords) {
        if (imap::is_valid_flag(word) && word.size() <= limits::kFlagBytesMax)
            words.push_back(word);
    }
    auto probe = imap::destination::uid_store(imap::UidSet(UINT32_MAX, UINT32_MAX),
                                              imap::destination::StoreMode::add, words,
                                              std::nullopt, destination_->encoding());
    session::Ticket stored;
    if (probe && !words.empty()) stored = destination_->start_change(std::move(*probe));
    session::Ticket left;
    if (destination_->capabilities().has("UNSELECT"))
        left = destination_->start(imap::source::unselect());
    auto reply = co_await destination_->finish(opened);
    Result<session::Reply> answer;
    if (stored) answer = co_await destination_->finish(stored);
    if (left) (void)co_await destination_->finish(left);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    if (!answer) co_return std::unexpected(std::move(answer).error());
    for (const session::Reply* said : {&*reply, &*answer}) {
        if (auto later = session::put_off(*said, destination_->connection().peer(),
                                          "tell which flags it takes"))
            co_return std::unexpected(std::move(*later));
    }
    if (!reply->ok()) co_return Result<void>{};
    // None at all may be meant of this session: what APPEND makes of them is read back.
    if (selected.permanent_flags && !selected.permanent_flags->empty())
        job.allowed = AllowedFlags::from(selected.permanent_flags);
    if (job.allowed.any_keyword) account_->any_keyword = true;
    if (stored && answer->ok()) {
        for (const std::string_view word : words) account_->proved_keywords.emplace(word);
    }
    co_return Result<void>{};
}

/// The mailbox stands in the ledger before anything of it is sent.
Task<void> Lane::start_record(Job& job) {
    if (!job.record_is_new) co_return;
    dedup::Batch batch;
    batch.put_mailbox(job.record);
    batch.make_durable();
    (void)co_await commit_and_wait(std::move(batch));
    job.record_is_new = false;
}

}  // namespace imapult::replica
