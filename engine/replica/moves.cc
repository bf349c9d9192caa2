// A message that left one mailbox and appeared in another at the source is carried over inside the
// destination: no octet of it is fetched again.
//
// What counts as evidence that a new message is a known one. Always: the size in octets is the
// same, the old one is confirmed gone from its mailbox in this pass, and its copy has the new one's
// INTERNALDATE. And either the source's own id says so (EMAILID of RFC 8474, X-GM-MSGID), or
// Message-ID and Date are there and the same, and nobody else has them: one new message, and one
// old one or several whose octets are known to be equal. Everything else is copied like any new
// message.

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/replica/lane.h"
#include "engine/replica/reading.h"

namespace imapult::replica {
namespace {

/// Servers have limits of their own for one COPY (Carbonio: 1000).
constexpr std::size_t kCarriedAtOnce = 500;
constexpr std::string_view kTell = "tell what it has of moved messages";

/// COPYUID, tagged or not (RFC 4315, RFC 6851 §4.3), and what a MOVE says besides.
class CarrySink final : public session::Sink {
  public:
    bool on_untagged(const imap::Event& event) override {
        if (const auto* status = std::get_if<imap::Status>(&event)) {
            if (status->code != imap::ResponseCode::copy_uid) return false;
            take(status->numbers, status->uid_set_source, status->uid_set);
            return true;
        }
        return !std::holds_alternative<imap::ListEntry>(event) &&
               !std::holds_alternative<imap::StatusData>(event);
    }
    void take(const std::vector<std::uint64_t>& numbers, std::string_view from,
              std::string_view to) {
        if (numbers.empty()) return;
        const auto left = imap::UidSet::parse_ordered(from, kCarriedAtOnce);
        const auto right = imap::UidSet::parse_ordered(to, kCarriedAtOnce);
        if (!left || !right || left->size() != right->size()) return;
        validity = numbers.front();
        for (std::size_t i = 0; i < left->size(); ++i) pairs[(*left)[i]] = (*right)[i];
        took_ = !left->empty();
    }
    /// Since this was asked last.
    bool took_any() { return std::exchange(took_, false); }
    std::uint64_t validity = 0;
    std::map<std::uint32_t, std::uint32_t> pairs;  ///< old UID -> new UID

  private:
    bool took_ = false;
};

using Strict = dedup::Sha256;

/// A copy at the destination.
using Copy = std::pair<const Job*, std::uint32_t>;
Copy copy_of(const Move& move) {
    return {move.leaver->job.get(), move.leaver->record.destination_uid};
}

/// UIDs of the copies, by the mailbox that they are in.
std::map<std::shared_ptr<Job>, std::vector<std::uint32_t>> copies_of(
    const std::vector<Move>& moves) {
    std::map<std::shared_ptr<Job>, std::vector<std::uint32_t>> out;
    for (const Move& move : moves)
        out[move.leaver->job].push_back(move.leaver->record.destination_uid);
    for (auto& [unused, uids] : out) {
        std::sort(uids.begin(), uids.end());
        uids.erase(std::unique(uids.begin(), uids.end()), uids.end());
    }
    return out;
}

}  // namespace

/// Which messages of todo are to be carried over instead of fetched.
Task<Result<void>> Lane::plan_moves(std::shared_ptr<Job> job) {
    job->moves_carried = 0;  // moves holds what labels say
    if (account_->leavers.empty() || job->todo.empty() || job->no_moves || account_->moves_untold ||
        !destination_->capabilities().has("UIDPLUS")) {
        co_return Result<void>{};
    }
    std::vector<Move> found;
    co_await select_lock_.take(1);
    auto looked = co_await find_moves(job, found);
    select_lock_.give(1);
    if (!looked) co_return looked;
    // Another lane may have found the same one meanwhile.
    for (Move& move : found) {
        if (std::exchange(move.leaver->taken, true)) continue;
        job->moves.push_back(std::move(move));
    }
    std::sort(job->moves.begin(), job->moves.end(),
              [](const Move& a, const Move& b) { return a.meta.uid < b.meta.uid; });
    co_return Result<void>{};
}

Task<Result<void>> Lane::find_moves(std::shared_ptr<Job> job, std::vector<Move>& found) {
    std::vector<Move> likely;
    std::set<const Leaver*> chosen;
    std::set<std::uint32_t> labelled;
    for (const Move& move : job->moves) labelled.insert(move.meta.uid);
    for (const Meta& meta : job->todo) {
        if (!meta.has_date || labelled.contains(meta.uid)) continue;
        const auto [first, last] = account_->leavers.equal_range(meta.size);
        bool by_id = false;
        for (auto at = first; at != last && meta.object != 0 && !by_id; ++at) {
            const std::shared_ptr<Leaver>& old = at->second;
            if (old->taken || old->record.object != meta.object || !chosen.insert(old.get()).second)
                continue;
            found.push_back({meta, old});
            by_id = true;
        }
        for (auto at = first; at != last && !by_id; ++at) {
            const std::shared_ptr<Leaver>& old = at->second;
            const bool another = old->record.object != 0 && meta.object != 0;
            if (!old->taken && !another) likely.push_back({meta, old});
        }
    }
    // Dates first: they cost the source nothing.
    auto dated = co_await prove_by_dates(*job, found);
    if (dated) dated = co_await prove_by_dates(*job, likely);
    if (!dated) co_return dated;
    if (!likely.empty()) {
        auto proved = co_await prove_by_headers(*job, likely);
        if (!proved) co_return proved;
        for (Move& move : likely) {
            if (chosen.insert(move.leaver.get()).second) found.push_back(std::move(move));
        }
    }
    co_return Result<void>{};
}

/// Headers of the copies that were not read yet: a new message may be like many old ones.
Task<Result<void>> Lane::look_at_copies(Job& job, const std::vector<Move>& moves) {
    std::vector<Move> unread;
    for (const Move& move : moves) {
        if (!move.leaver->looked_at) unread.push_back(move);
    }
    std::map<Copy, Leaver*> leavers;
    for (const Move& move : unread) leavers[copy_of(move)] = move.leaver.get();
    for (const auto& [from, uids] : copies_of(unread)) {
        auto examine =
            imap::source::examine(from->record.destination_name, {}, destination_->encoding());
        if (!examine) continue;
        SelectSink selected;
        auto opened = co_await destination_->execute(std::move(*examine), &selected);
        if (!opened) co_return std::unexpected(std::move(opened).error());
        if (auto later = throttled(*opened, destination_->connection().peer(), kTell))
            co_return std::unexpected(std::move(*later));
        if (!opened->ok() || selected.uid_validity != from->record.destination_uid_validity)
            continue;
        auto headers =
            co_await read_headers(*destination_, uids, job.flags, HeaderPart::message_id_and_date);
        if (!headers) co_return std::unexpected(std::move(headers).error());
        for (const HeaderSink::Entry& entry : *headers) {
            const auto leaver = leavers.find({from.get(), entry.candidate.uid});
            if (leaver != leavers.end()) leaver->second->header = entry.candidate.header.strict;
        }
    }
    // Only now: another lane that looks for them at the same time must not take them for unlike.
    for (const auto& [unused, leaver] : leavers) leaver->looked_at = true;
    co_return Result<void>{};
}

/// Keeps of `moves`, which are of equal size, those whose headers prove it: one for a new message.
Task<Result<void>> Lane::prove_by_headers(Job& job, std::vector<Move>& moves) {
    std::vector<std::uint32_t> here;
    for (const Move& move : moves) {
        if (here.empty() || here.back() != move.meta.uid) here.push_back(move.meta.uid);
    }
    auto read = co_await read_headers(*source_, here, job.flags, HeaderPart::message_id_and_date);
    if (!read) co_return std::unexpected(std::move(read).error());
    std::map<std::uint32_t, dedup::HeaderIdentity> arrivals;
    std::map<Strict, unsigned> owners;
    for (const HeaderSink::Entry& entry : *read) {
        arrivals[entry.candidate.uid] = entry.candidate.header;
        ++owners[entry.candidate.header.strict];
    }
    auto looked = co_await look_at_copies(job, moves);
    if (!looked) co_return looked;
    std::vector<Move> kept;
    for (auto at = moves.begin(); at != moves.end();) {
        const auto end = std::find_if(
            at, moves.end(), [&](const Move& move) { return move.meta.uid != at->meta.uid; });
        const auto arrival = arrivals.find(at->meta.uid);
        const Move* same = nullptr;
        bool alike = arrival != arrivals.end() && arrival->second.strong &&
                     owners[arrival->second.strict] == 1;
        for (auto move = at; move != end && alike; ++move) {
            if (move->leaver->header != arrival->second.strict) continue;
            if (same == nullptr) {
                same = &*move;
                continue;
            }
            const dedup::Digest128& digest = same->leaver->record.digest;
            alike = digest == move->leaver->record.digest && digest != dedup::Digest128{};
        }
        if (alike && same != nullptr) kept.push_back(*same);
        at = end;
    }
    moves = std::move(kept);
    co_return Result<void>{};
}

/// Keeps those whose copy has the INTERNALDATE that the new message's own copy would get.
Task<Result<void>> Lane::prove_by_dates(Job& job, std::vector<Move>& moves) {
    std::vector<Move> undated;
    for (const Move& move : moves) {
        if (!move.leaver->dated) undated.push_back(move);
    }
    std::map<Copy, Leaver*> leavers;
    for (const Move& move : undated) leavers[copy_of(move)] = move.leaver.get();
    for (const auto& [from, uids] : copies_of(undated)) {
        SelectSink selected;
        auto examine =
            imap::source::examine(from->record.destination_name, {}, destination_->encoding());
        if (!examine) continue;
        session::Ticket opened = destination_->start(std::move(*examine), &selected);
        MetaSink metas(1, UINT32_MAX, job.flags);
        std::vector<session::Ticket> asked;
        imap::FetchItems items;
        items.internal_date = true;
        for (const imap::UidSet& set : uid_sets(*destination_, uids, 0)) {
            auto fetch =
                imap::source::uid_fetch(set, items, std::nullopt, destination_->encoding());
            if (fetch) asked.push_back(destination_->start(std::move(*fetch), &metas));
        }
        auto reply = co_await destination_->finish(opened);
        std::optional<Error> later;
        for (session::Ticket& ticket : asked) {
            auto told = co_await destination_->finish(ticket);
            if (told && !later) later = throttled(*told, destination_->connection().peer(), kTell);
        }
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (auto opening = throttled(*reply, destination_->connection().peer(), kTell))
            later = std::move(opening);
        if (later) co_return std::unexpected(std::move(*later));
        if (!reply->ok() || selected.uid_validity != from->record.destination_uid_validity)
            continue;
        for (const Meta& meta : metas.take()) {
            const auto leaver = leavers.find({from.get(), meta.uid});
            if (meta.has_date && leaver != leavers.end()) leaver->second->date = meta.date;
        }
    }
    // Only now: another lane that looks for them at the same time must not take them for unlike.
    for (const auto& [unused, leaver] : leavers) leaver->dated = true;
    std::erase_if(moves, [](const Move& move) {
        return !move.leaver->date || *move.leaver->date != move.meta.date;
    });
    co_return Result<void>{};
}

/// The moves that come before the message `uid`, so that the order in the mailbox stays: what
/// stands before them must have arrived.
Task<Result<void>> Lane::carry_before(std::shared_ptr<Job> job, std::uint32_t uid) {
    const auto is_next = [&] {
        return job->moves_carried < job->moves.size() &&
               job->moves[job->moves_carried].meta.uid < uid;
    };
    if (!is_next()) co_return Result<void>{};
    if (job->windows_open == 0) close_group_of(*job);
    while (!error_ && (job->windows_open > 0 || job->groups_open > 0)) {
        co_await wake_.wait();
        if (job->windows_open == 0) close_group_of(*job);
    }
    Result<void> done;
    while (done && is_next() && !stopped()) {
        // As many as come from one mailbox, in the order they are to stand in: a server copies in
        // that of the old UIDs.
        std::vector<Move> together{job->moves[job->moves_carried++]};
        const std::shared_ptr<Job> from = together.front().leaver->job;
        const auto joins = [&](const Move& move) {
            const dedup::MessageRecord& last = together.back().leaver->record;
            const dedup::MessageRecord& next = move.leaver->record;
            return move.leaver->job == from && next.state == last.state &&
                   move.stays == together.back().stays && move.demotes == together.back().demotes &&
                   next.destination_uid > last.destination_uid;
        };
        while (is_next() && joins(job->moves[job->moves_carried]))
            together.push_back(job->moves[job->moves_carried++]);
        co_await select_lock_.take(1);
        done = co_await carry_out(job, *from, std::move(together));
        select_lock_.give(1);
    }
    co_return done;
}

/// COPY or MOVE of messages of one mailbox, with an intent before and receipts after: a lost answer
/// is found out like that of an APPEND (adopt.cc).
Task<Result<void>> Lane::carry_out(std::shared_ptr<Job> job, Job& from, std::vector<Move> moves) {
    const bool mirror = account_->options.remove.mirror;
    const bool can_move = destination_->capabilities().has("MOVE") && &from != job.get();
    std::vector<std::uint32_t> to_move, to_copy;
    dedup::Intent intent;
    intent.mailbox = job->record.id;
    intent.sequence = account_->ledger.new_intent_sequence();
    intent.destination_uid_validity = job->destination_uid_validity;
    intent.floor = std::max(job->destination_uid_next, job->highest_destination_uid + 1);
    for (const Move& move : moves) {
        const dedup::MessageRecord& old = move.leaver->record;
        // What we did not copy stays where it was.
        const bool ours = dedup::is_ours(old.state);
        const bool leaves = !move.stays || move.demotes;
        (mirror && ours && can_move && leaves ? to_move : to_copy).push_back(old.destination_uid);
        dedup::Intent::Item& item =
            intent.items.emplace_back(move.meta.uid, move.meta.size, old.digest);
        item.flags = old.storing ? plus(old.base, *old.storing) : old.base;  // it keeps them
        if (move.meta.has_date) item.date = move.meta.date;
    }
    std::vector<std::uint32_t> uids = to_move;
    uids.insert(uids.end(), to_copy.begin(), to_copy.end());
    auto checked = co_await check_copies(from, std::move(uids));
    if (!checked) {
        if (checked.error().scope != Scope::mailbox || checked.error().retry == Retry::later)
            co_return checked;
        job->no_moves = true;
        co_return ::imapult::fail(Code::unavailable, Scope::connection, Retry::now,
                                  "the copies of what was moved do not stand where they did");
    }
    dedup::Batch before;
    before.put_intent(intent);
    for (const Move& move : moves) {
        if (!move.demotes) continue;
        // Before, not after: a pass that ends in between leaves at worst a copy too many.
        dedup::MessageRecord noted = move.leaver->record;
        noted.state = dedup::MessageState::represented;
        noted.destination_uid = 0;
        noted.storing.reset();
        before.put_message(from.record.id, noted);
    }
    if (!co_await commit_and_wait(std::move(before))) {
        co_return ::imapult::fail(Code::cancelled, Scope::account, Retry::later,
                                  "the ledger takes nothing more");
    }
    SelectSink selected;
    auto select =
        imap::destination::select(from.record.destination_name, false, destination_->encoding());
    if (!select) co_return std::unexpected(std::move(select).error());
    auto opened =
        co_await destination_->finish(destination_->start_change(std::move(*select), &selected));
    if (!opened) co_return std::unexpected(std::move(opened).error());
    bool refused = !opened->ok() || selected.uid_validity != from.record.destination_uid_validity;
    const std::string& peer = destination_->connection().peer();
    auto later = throttled(*opened, peer, "open a mailbox");
    CarrySink carried;
    for (auto* list : {&to_move, &to_copy}) {
        std::sort(list->begin(), list->end());
        for (const imap::UidSet& set : uid_sets(*destination_, *list, kCarriedAtOnce)) {
            if (refused) break;
            auto command =
                list == &to_move
                    ? imap::destination::uid_move(set, job->place.name, destination_->encoding())
                    : imap::destination::uid_copy(set, job->place.name, destination_->encoding());
            if (!command) co_return std::unexpected(std::move(command).error());
            auto reply = co_await destination_->finish(
                destination_->start_change(std::move(*command), &carried));
            if (!reply) co_return std::unexpected(std::move(reply).error());
            if (reply->code == imap::ResponseCode::copy_uid)
                carried.take(reply->numbers, reply->uid_set_source, reply->uid_set);
            // Carried, or all of them deleted there meanwhile? Found out by the intent.
            if (reply->ok() && !carried.took_any()) account_->moves_untold = refused = true;
            if (!reply->ok()) {
                account_->log(report::LogLevel::warning,
                              job->display + ": the destination did not move messages: " +
                                  printable(reply->text));
                refused = true;
                later = throttled(*reply, peer, "move messages");
            }
        }
    }
    if (!carried.pairs.empty() && carried.validity != job->destination_uid_validity) {
        carried.pairs.clear();
        account_->moves_untold = refused = true;
    }
    dedup::Batch batch;
    std::size_t arrived = 0, labelled = 0;
    std::vector<Move> leftovers;  // copied, and to be deleted where they were
    for (Move& move : moves) {
        dedup::MessageRecord record = move.leaver->record;
        const std::uint32_t old_uid = record.source_uid;
        const auto place = carried.pairs.find(record.destination_uid);
        if (place == carried.pairs.end()) {
            // Deleted there meanwhile: copied like any new message.
            if (!refused) job->missing.push_back(move.meta.uid);
            if (refused && move.demotes && !account_->moves_untold)
                batch.put_message(from.record.id, record);  // it is there as before
            continue;
        }
        const bool is_moved =
            std::binary_search(to_move.begin(), to_move.end(), record.destination_uid);
        const bool ours = dedup::is_ours(record.state);
        if (move.stays) {
            // Its own copy, made by us.
            if (record.state == dedup::MessageState::adopted)
                record.state = dedup::MessageState::copied;
            ++labelled;
        } else if (is_moved) {
            batch.erase_message(from.record.id, old_uid);
            if (from.record.gone > 0) --from.record.gone;
        } else if (mirror && ours) {
            record.gone = record.removing = true;
            batch.put_message(from.record.id, record);
            from.record.removing = true;
            leftovers.push_back(move);
        }
        record.source_uid = move.meta.uid;
        record.destination_uid = place->second;
        record.gone = record.removing = false;
        if (move.meta.object != 0) record.object = move.meta.object;
        const Flags& now = job->flags.at(move.meta.flags);
        FlagsDue due = flags_due(record, now);
        if (is_empty(due)) {
            record.storing.reset();
        } else {
            job->flag_changes.push_back(
                {move.meta.uid, place->second, std::move(due.add), std::move(due.remove), now});
        }
        batch.put_message(job->record.id, record);
        job->highest_destination_uid = std::max(job->highest_destination_uid, place->second);
        ++arrived;
    }
    // Where the answer was NO, some may have been carried and not told: found out by the intent.
    if (!refused) batch.erase_intent(job->record.id, intent.sequence);
    batch.put_mailbox(from.record);
    batch.make_durable();
    if (!co_await commit_and_wait(std::move(batch))) {
        co_return ::imapult::fail(Code::cancelled, Scope::account, Retry::later,
                                  "the ledger takes nothing more");
    }
    Result<void> dropped;
    if (!leftovers.empty()) dropped = co_await drop_originals(from, leftovers);
    job->moved += arrived - labelled;
    job->labelled += labelled;
    settled_ += arrived;
    report::Progress progress;
    progress.moved = arrived;
    account_->observer.progress(account_->index, progress);
    if (!dropped) co_return dropped;
    if (refused && later) {
        later->scope = Scope::connection;
        co_return std::unexpected(std::move(*later));
    }
    if (refused) {
        job->no_moves = true;
        co_return ::imapult::fail(Code::unavailable, Scope::connection, Retry::now,
                                  account_->moves_untold
                                      ? "the destination does not tell where it moved messages"
                                      : "the destination refused to move messages");
    }
    if (destination_->capabilities().has("UNSELECT")) {
        auto left = co_await destination_->execute(imap::source::unselect());
        if (!left) co_return std::unexpected(std::move(left).error());
    }
    co_return Result<void>{};
}

/// Without MOVE: the originals of what was copied, whose mailbox is selected.
Task<Result<void>> Lane::drop_originals(Job& from, const std::vector<Move>& moves) {
    std::vector<std::uint32_t> uids;
    for (const Move& move : moves) uids.push_back(move.leaver->record.destination_uid);
    std::sort(uids.begin(), uids.end());
    constexpr std::array<std::string_view, 1> kDeleted{"\\Deleted"};
    bool gone = true;
    for (const imap::UidSet& set : uid_sets(*destination_, uids, kCarriedAtOnce)) {
        auto store = imap::destination::uid_store(set, imap::destination::StoreMode::add, kDeleted,
                                                  std::nullopt, destination_->encoding());
        auto expunge = imap::destination::uid_expunge(set, destination_->encoding());
        if (!store || !expunge) continue;
        auto stored = co_await destination_->finish(destination_->start_change(std::move(*store)));
        if (!stored) co_return std::unexpected(std::move(stored).error());
        std::set<std::uint32_t> left;
        auto reply = co_await take_away(std::move(*expunge), set, left);
        if (!reply) co_return std::unexpected(std::move(reply).error());
        gone = gone && stored->ok() && reply->ok() && left.empty();
    }
    if (!gone) co_return Result<void>{};  // remove.cc sees to it
    dedup::Batch batch;
    for (const Move& move : moves) {
        batch.erase_message(from.record.id, move.leaver->record.source_uid);
        if (from.record.gone > 0) --from.record.gone;
    }
    batch.put_mailbox(from.record);
    account_->writer.commit(std::move(batch));
    co_return Result<void>{};
}

}  // namespace imapult::replica
