// Copies whose receipts were lost, and whose source messages were deleted or moved before the next
// attempt: what they were is known from the intent (INTERNALDATE and size). They are taken for
// copies of messages that are gone at the source, so that --delete mirror deletes them.

#include <algorithm>
#include <map>
#include <utility>

#include "engine/replica/lane.h"
#include "engine/replica/reading.h"

namespace imapult::replica {

/// Items of old intents that are neither at the source (`there`: all from the checkpoint on) nor
/// in the ledger (`known`).
void Lane::note_unheard(Job& job, const std::vector<std::uint32_t>& known,
                        const std::vector<Meta>& there) {
    const std::uint32_t checkpoint = job.record.complete ? job.record.source_uid_next : 1;
    std::map<std::uint32_t, Unheard> items;  // of several intents the first
    for (const dedup::Intent& intent : job.old_intents) {
        if (intent.destination_uid_validity != job.destination_uid_validity) continue;
        for (const dedup::Intent::Item& item : intent.items) {
            const std::uint32_t uid = item.source_uid;
            if (uid < checkpoint || !item.date || item.size == 0) continue;
            if (std::binary_search(known.begin(), known.end(), uid)) continue;
            if (std::binary_search(there.begin(), there.end(), uid, ByUid{})) continue;
            items.try_emplace(uid, Unheard{item, intent.floor});
        }
    }
    job.unheard.clear();
    for (const auto& [uid, unheard] : items) job.unheard.push_back(unheard);
}

/// `left`: messages of the destination's selected mailbox that came after the intents and are
/// copies of nothing that the source still has.
Task<Result<void>> Lane::find_strays(Job& job, std::vector<std::uint32_t> left) {
    if (job.unheard.empty() || left.empty()) co_return Result<void>{};
    std::sort(left.begin(), left.end());
    MetaSink sink(1, UINT32_MAX, job.flags);
    imap::FetchItems items;
    items.flags = items.internal_date = items.size = true;
    for (const imap::UidSet& set : uid_sets(*destination_, left, 0)) {
        auto fetch = imap::source::uid_fetch(set, items, std::nullopt, destination_->encoding());
        if (!fetch) co_return std::unexpected(std::move(fetch).error());
        auto reply = co_await destination_->execute(std::move(*fetch), &sink);
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (auto later =
                session::put_off(*reply, destination_->connection().peer(), "list what it took"))
            co_return std::unexpected(std::move(*later));
    }
    using Likeness = std::pair<std::int64_t, std::uint64_t>;  // INTERNALDATE and size
    std::multimap<Likeness, Meta> there;
    for (const Meta& meta : sink.take()) {
        const bool asked = std::binary_search(left.begin(), left.end(), meta.uid);
        if (asked && meta.has_date) there.emplace(Likeness{meta.date, meta.size}, meta);
    }
    for (const auto& [item, floor] : std::exchange(job.unheard, {})) {
        const auto [first, last] = there.equal_range({*item.date, item.size});
        const auto found = std::find_if(
            first, last, [floor](const auto& entry) { return entry.second.uid >= floor; });
        if (found == last) continue;
        dedup::MessageRecord& record = job.strays.emplace_back();
        record.source_uid = item.source_uid;
        record.destination_uid = found->second.uid;
        record.state = dedup::MessageState::copied;
        record.size = item.size;
        record.base = item.flags.value_or(job.flags.at(found->second.flags));
        record.gone = true;
        there.erase(found);
    }
    co_return Result<void>{};
}

}  // namespace imapult::replica
