// What is at the destination already although the ledger holds no receipt: messages that another
// tool copied (first pass onto a mailbox that is not empty), and our own whose answers were lost.
// Both are found by what the messages are, as multisets (dedup/identity.h).

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/replica/lane.h"
#include "engine/replica/reading.h"

namespace imapult::replica {
namespace {

using namespace std::chrono_literals;
constexpr Nanos kSettleTime = 2s;
constexpr int kSettleRoundsMax = 30;
constexpr std::uint64_t kUidsPerMessage = 16;  ///< more than these are listed, not guessed
constexpr std::string_view kTellState = "tell what the mailbox holds";

const Before* find_before(const Job& job, std::uint32_t destination_uid) {
    const auto at =
        std::ranges::lower_bound(job.before, destination_uid, {}, &Before::destination_uid);
    return at != job.before.end() && at->destination_uid == destination_uid ? &*at : nullptr;
}

/// What makes the copy's flags those that it should have: the source's, as far as the source has
/// changed them since they were carried over last, where that is known. Else what the copy has not
/// is added, and of what we sent it with (`sent`) is taken away what the source has no more.
/// `record` gets the base that stands until this is stored: a crash in between must not lose it.
FlagsDue flags_of_found(const Job& job, dedup::MessageRecord& record, const Flags& now,
                        const Flags& there, const std::optional<Flags>& sent) {
    FlagsDue due;
    if (const Before* before = find_before(job, record.destination_uid)) {
        record.base = job.flags.at(before->base);
        if (before->storing) record.storing = job.flags.at(*before->storing);
        due = flags_due(record, now);
        due.add = minus(due.add, there);
        due.remove = minus(due.remove, minus(due.remove, there));
    } else {
        due.add = minus(now, there);
        if (sent) due.remove = minus(*sent, now);
        record.base = minus(is_empty(due.remove) ? now : *sent, due.add);
    }
    if (is_empty(due)) {
        record.base = now;
        record.storing.reset();
    }
    return due;
}

/// STATUS's UIDNEXT of one mailbox.
class NextSink final : public session::Sink {
  public:
    bool on_untagged(const imap::Event& event) override {
        const auto* status = std::get_if<imap::StatusData>(&event);
        if (status == nullptr) return false;
        if (status->uid_next) uid_next = *status->uid_next;
        return true;
    }
    std::uint32_t uid_next = 0;
};

}  // namespace

/// A server may still be appending what a lost connection had sent: waits until UIDNEXT stands
/// still.
Task<Result<void>> Lane::settle(Job& job) {
    imap::StatusItems items;
    items.uid_validity = false;
    Nanos since = account_->listed_at;
    std::uint32_t last = job.destination_uid_next;
    for (int round = 0; round < kSettleRoundsMax && !stopped(); ++round) {
        const Nanos now = account_->environment.scheduler.now();
        if (now < since + kSettleTime) {
            co_await runtime::sleep_for(account_->environment.scheduler, since + kSettleTime - now);
        }
        co_await account_->quiet(Side::destination);
        NextSink sink;
        auto command = imap::source::status(job.place.name, items, destination_->encoding());
        if (!command) co_return std::unexpected(std::move(command).error());
        auto reply = co_await destination_->execute(std::move(*command), &sink);
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (auto later = session::put_off(*reply, destination_->connection().peer(), kTellState))
            co_return std::unexpected(std::move(*later));
        if (sink.uid_next == 0 || sink.uid_next == last) break;
        last = sink.uid_next;
        since = account_->environment.scheduler.now();
    }
    job.destination_uid_next = std::max(job.destination_uid_next, last);
    co_return Result<void>{};
}

Task<Result<void>> Lane::adopt(Job& job, std::vector<std::uint32_t> known_destination,
                               std::vector<std::uint32_t> unplaced) {
    const bool recovering = !job.old_intents.empty();
    if (recovering) {
        auto settled = co_await settle(job);
        if (!settled) co_return settled;
    }
    // Destination UIDs that nobody has accounted for.
    std::uint32_t floor = std::max(job.record.destination_uid_next, 1U);
    for (const dedup::Intent& intent : job.old_intents)
        floor = std::min(floor, std::max(intent.floor, 1U));
    const bool worth = !job.todo.empty() && job.destination_messages > 0 &&
                       (job.destination_uid_next > floor || floor == 1);
    imap::UidSet unknown;
    if (worth || recovering) {
        std::uint32_t from = floor;
        for (const std::uint32_t uid : known_destination) {
            if (uid >= job.destination_uid_next) break;
            if (uid > from) unknown.add(from, uid - 1);
            if (uid >= from) from = uid + 1;
        }
        if (from < job.destination_uid_next) unknown.add(from, job.destination_uid_next - 1);
    }

    std::vector<dedup::Pair> pairs;
    std::map<std::uint32_t, std::uint32_t> destination_flags;
    const bool looks = (worth || recovering) && (!job.todo.empty() || !job.unheard.empty());
    if (looks) {
        co_await select_lock_.take(1);
        auto found = co_await match(job, unknown, known_destination, recovering,
                                    std::move(unplaced), pairs, destination_flags);
        select_lock_.give(1);
        if (!found) co_return found;
    }
    note_left_behind(job, pairs, looks, destination_flags);
    if (account_->options.dry_run) {
        job.adopted = pairs.size();
        plan_flags_of_found(job, pairs, destination_flags);
        std::sort(pairs.begin(), pairs.end(),
                  [](const auto& a, const auto& b) { return a.source_uid < b.source_uid; });
        std::erase_if(job.todo, [&](const Meta& meta) {
            return std::binary_search(
                pairs.begin(), pairs.end(), dedup::Pair{meta.uid, 0},
                [](const auto& a, const auto& b) { return a.source_uid < b.source_uid; });
        });
        co_return Result<void>{};
    }
    co_await receipt_adopted(job, std::move(pairs), destination_flags);
    co_return Result<void>{};
}

/// With the source's mailbox made anew: what we had copied of the old one and is not found again
/// has no source UID any more to be followed by. It is counted, and said.
void Lane::note_left_behind(Job& job, const std::vector<dedup::Pair>& pairs, bool looked,
                            const std::map<std::uint32_t, std::uint32_t>& destination_flags) {
    // Once: a later attempt does not look at what the first has paired.
    const bool first = !job.record.complete && job.record.destination_uid_next <= 1;
    if (!first || job.before.empty() || job.unseen > 0 || job.capped) return;
    std::set<std::uint32_t> paired;
    for (const dedup::Pair& pair : pairs) paired.insert(pair.destination_uid);
    job.left_behind =
        static_cast<std::uint64_t>(std::ranges::count_if(job.before, [&](const Before& copy) {
            const bool there = !looked || destination_flags.contains(copy.destination_uid);
            return copy.ours && there && !paired.contains(copy.destination_uid);
        }));
    if (job.left_behind == 0) return;
    account_->notice(printable(job.display), report::NoticeKind::deleted_at_source,
                     std::to_string(job.left_behind) +
                         " messages copied before the source's mailbox was made anew are not in it "
                         "any more; their copies were kept at the destination (--delete mirror "
                         "does not delete them)");
}

/// Of a dry run: which flags would be changed.
void Lane::plan_flags_of_found(Job& job, const std::vector<dedup::Pair>& pairs,
                               const std::map<std::uint32_t, std::uint32_t>& destination_flags) {
    for (const dedup::Pair& pair : pairs) {
        const auto meta = std::ranges::lower_bound(job.todo, pair.source_uid, {}, &Meta::uid);
        const auto there = destination_flags.find(pair.destination_uid);
        if (meta == job.todo.end() || meta->uid != pair.source_uid ||
            there == destination_flags.end())
            continue;
        dedup::MessageRecord record;
        record.destination_uid = pair.destination_uid;
        const Flags now = job.flags.at(meta->flags);
        FlagsDue due = flags_of_found(job, record, now, job.flags.at(there->second), std::nullopt);
        if (is_empty(due)) continue;
        job.flag_changes.push_back(
            {meta->uid, pair.destination_uid, std::move(due.add), std::move(due.remove), now});
    }
}

/// Pairs messages of ours with those of `there`, which loses what was paired: both sides' headers,
/// then the contents of those that headers cannot tell apart.
Task<Result<void>> Lane::pair_up(Job& job, std::vector<std::uint32_t> ours, bool recovering,
                                 std::vector<HeaderSink::Entry>& there,
                                 std::vector<dedup::Pair>& pairs) {
    if (ours.empty() || there.empty()) co_return Result<void>{};
    co_await account_->quiet(Side::source);
    auto here = co_await read_headers(*source_, std::move(ours), job.flags);
    if (!here) co_return std::unexpected(std::move(here).error());
    std::vector<dedup::Candidate> from, to;
    for (auto& entry : *here) from.push_back(entry.candidate);
    for (const auto& entry : there) to.push_back(entry.candidate);
    dedup::HeaderMatch matched = dedup::match_headers(from, to);
    pairs = std::move(matched.pairs);
    auto found =
        co_await pair_contents(*account_, *source_, *destination_, matched.undecided, recovering);
    if (!found) co_return std::unexpected(std::move(found).error());
    pairs.insert(pairs.end(), found->begin(), found->end());
    std::set<std::uint32_t> paired;
    for (const dedup::Pair& pair : pairs) paired.insert(pair.destination_uid);
    std::erase_if(there, [&](const auto& entry) { return paired.contains(entry.candidate.uid); });
    co_return Result<void>{};
}

/// Writes down where messages stand whose receipts could not say it.
Task<Result<void>> Lane::place(Job& job, const std::vector<dedup::Pair>& pairs) {
    if (pairs.empty()) co_return Result<void>{};
    std::map<std::uint32_t, std::uint32_t> places;
    for (const dedup::Pair& pair : pairs) places[pair.source_uid] = pair.destination_uid;
    dedup::Ledger& ledger = account_->ledger;
    const dedup::MailboxId id = job.record.id;
    const std::uint32_t first = places.begin()->first, last = places.rbegin()->first;
    auto records = co_await account_->read_ledger(
        [&ledger, id, first, last] { return ledger.messages(id, first, last); });
    if (!records) co_return std::unexpected(std::move(records).error());
    dedup::Batch batch;
    for (dedup::MessageRecord& record : *records) {
        const auto at = places.find(record.source_uid);
        if (at == places.end()) continue;
        record.destination_uid = at->second;
        job.highest_destination_uid = std::max(job.highest_destination_uid, at->second);
        batch.put_message(id, record);
    }
    if (!account_->options.dry_run) account_->writer.commit(std::move(batch));
    co_return Result<void>{};
}

/// What stands in the selected mailbox of the destination from a UID on. UIDNEXT is not to be
/// trusted everywhere (mailutils says too little).
Task<Result<std::vector<std::uint32_t>>> Lane::uids_from(Job& job, std::uint32_t first) {
    imap::FetchItems items;
    items.flags = true;
    FlagSink sink(first, UINT32_MAX, job.flags);
    auto fetch = imap::source::uid_fetch(imap::UidSet(first, UINT32_MAX - 1), items, std::nullopt,
                                         destination_->encoding());
    if (!fetch) co_return std::unexpected(std::move(fetch).error());
    auto reply = co_await destination_->execute(std::move(*fetch), &sink);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    if (auto later = session::put_off(*reply, destination_->connection().peer(), kTellState))
        co_return std::unexpected(std::move(*later));
    std::vector<std::uint32_t> uids;
    for (const FlagSink::Entry& entry : sink.take()) uids.push_back(entry.uid);
    std::sort(uids.begin(), uids.end());
    co_return uids;
}

/// `unplaced` come first: their copies have landed for certain and must not be taken for equal ones
/// of other messages.
Task<Result<void>> Lane::match(Job& job, imap::UidSet unknown,
                               const std::vector<std::uint32_t>& known, bool recovering,
                               std::vector<std::uint32_t> unplaced, std::vector<dedup::Pair>& pairs,
                               std::map<std::uint32_t, std::uint32_t>& destination_flags) {
    auto examine = imap::source::examine(job.place.name, {}, destination_->encoding());
    if (!examine) co_return std::unexpected(std::move(examine).error());
    SelectSink selected;
    co_await account_->quiet(Side::destination);
    auto opened = co_await destination_->execute(std::move(*examine), &selected);
    if (!opened) co_return std::unexpected(std::move(opened).error());
    if (!opened->ok()) {
        co_return std::unexpected(
            session::refusal(*opened, destination_->connection().peer(),
                             "open the mailbox " + printable(job.place.name)));
    }
    // Where UIDs are sparse (some servers make them of the time) those that exist are listed first.
    const bool sparse = unknown.size() > kUidsPerMessage * (job.destination_messages + 1);
    std::vector<std::uint32_t> theirs;
    for (const auto& range : unknown.ranges()) {
        for (std::uint64_t uid = range.first; !sparse && uid <= range.last; ++uid)
            theirs.push_back(static_cast<std::uint32_t>(uid));
    }
    const std::uint32_t floor =
        std::max({job.destination_uid_next, job.record.destination_uid_next, 1U});
    auto listed = co_await uids_from(job, sparse ? unknown.ranges().front().first : floor);
    if (!listed) co_return std::unexpected(std::move(listed).error());
    std::erase_if(*listed, [&](std::uint32_t uid) {
        return uid < floor ? !unknown.contains(uid) : std::ranges::binary_search(known, uid);
    });
    theirs.insert(theirs.end(), listed->begin(), listed->end());
    co_await account_->quiet(Side::destination);
    auto there = co_await read_headers(*destination_, theirs, job.flags);
    if (!there) co_return std::unexpected(std::move(there).error());
    std::vector<dedup::Pair> placed;
    auto found = co_await pair_up(job, std::move(unplaced), true, *there, placed);
    if (found) found = co_await place(job, placed);
    if (!found) co_return found;
    std::vector<std::uint32_t> ours;
    if (recovering && job.record.complete) {
        for (const dedup::Intent& intent : job.old_intents) {
            for (const auto& item : intent.items) ours.push_back(item.source_uid);
        }
        std::sort(ours.begin(), ours.end());
        ours.erase(std::unique(ours.begin(), ours.end()), ours.end());
        std::erase_if(ours, [&](std::uint32_t uid) {
            return !std::binary_search(job.todo.begin(), job.todo.end(),
                                       Meta{uid, 0, 0, 0, 0, false},
                                       [](const Meta& a, const Meta& b) { return a.uid < b.uid; });
        });
    } else {
        for (const Meta& meta : job.todo) ours.push_back(meta.uid);
    }
    for (const auto& entry : *there) destination_flags[entry.candidate.uid] = entry.flags;
    found = co_await pair_up(job, std::move(ours), recovering, *there, pairs);
    const std::size_t whole = pairs.size();
    if (found && recovering) found = co_await match_repaired(job, *there, pairs);
    if (!found) co_return found;
    std::set<std::uint32_t> repaired;
    for (std::size_t i = whole; i < pairs.size(); ++i) repaired.insert(pairs[i].destination_uid);
    std::vector<std::uint32_t> unpaired;
    for (const auto& entry : *there) {
        if (!repaired.contains(entry.candidate.uid)) unpaired.push_back(entry.candidate.uid);
    }
    found = co_await find_strays(job, std::move(unpaired));
    if (!found) co_return found;
    if (destination_->capabilities().has("UNSELECT")) {
        auto left = co_await destination_->execute(imap::source::unselect());
        if (!left) co_return std::unexpected(std::move(left).error());
    }
    co_return Result<void>{};
}

/// Receipts for what was found; the old intents are answered with the same batch.
Task<void> Lane::receipt_adopted(Job& job, std::vector<dedup::Pair> pairs,
                                 const std::map<std::uint32_t, std::uint32_t>& destination_flags) {
    std::map<std::uint32_t, std::uint32_t> found;
    for (const dedup::Pair& pair : pairs) found[pair.source_uid] = pair.destination_uid;
    std::map<std::uint32_t, std::optional<Flags>> intended;  // with which flags
    for (const dedup::Intent& intent : job.old_intents) {
        for (const auto& item : intent.items) intended[item.source_uid] = item.flags;
    }
    dedup::Batch batch;
    std::uint64_t adopted = 0, recovered = 0;
    for (const Meta& meta : job.todo) {
        const auto place = found.find(meta.uid);
        if (place == found.end()) continue;
        const auto sent = intended.find(meta.uid);
        const bool ours = sent != intended.end();
        dedup::MessageRecord record;
        record.source_uid = meta.uid;
        record.destination_uid = place->second;
        const Before* before = find_before(job, place->second);
        const bool copied = ours || (before != nullptr && before->ours);
        record.state = copied ? dedup::MessageState::copied : dedup::MessageState::adopted;
        if (job.repaired.contains(meta.uid)) record.state = dedup::MessageState::repaired;
        record.size = meta.size;
        record.base = job.flags.at(meta.flags);
        record.object = meta.object;
        job.highest_destination_uid = std::max(job.highest_destination_uid, record.destination_uid);
        ++(ours ? recovered : adopted);
        if (const auto flags = destination_flags.find(place->second);
            flags != destination_flags.end()) {
            const Flags now = record.base;
            FlagsDue due = flags_of_found(job, record, now, job.flags.at(flags->second),
                                          ours ? sent->second : std::nullopt);
            if (!is_empty(due)) {
                job.flag_changes.push_back(
                    {meta.uid, place->second, std::move(due.add), std::move(due.remove), now});
            }
        }
        batch.put_message(job.record.id, record);
    }
    for (const dedup::MessageRecord& stray : std::exchange(job.strays, {})) {
        batch.put_message(job.record.id, stray);
        ++job.record.gone;
        job.highest_destination_uid = std::max(job.highest_destination_uid, stray.destination_uid);
    }
    for (const dedup::Intent& intent : job.old_intents)
        batch.erase_intent(job.record.id, intent.sequence);
    job.old_intents.clear();
    job.record.destination_uid_next =
        std::max(job.record.destination_uid_next, job.destination_uid_next);
    if (!batch.empty() || adopted > 0) {
        batch.put_mailbox(job.record);
        bool done = false;
        account_->writer.commit(std::move(batch), [this, &done](bool) {
            done = true;
            wake();
        });
        while (!done) co_await wake_.wait();
    }
    job.copied += recovered;
    job.adopted += adopted;
    settled_ += recovered + adopted;
    if (!found.empty())
        std::erase_if(job.todo, [&](const Meta& meta) { return found.contains(meta.uid); });
    if (recovered + adopted > 0) {
        report::Progress progress;
        progress.adopted = adopted;
        progress.copied = recovered;
        account_->observer.progress(account_->index, progress);
    }
}

}  // namespace imapult::replica
