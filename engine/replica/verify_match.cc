// Which message of the destination is the copy of which: the ledger's word first, then what the
// messages are.

#include <algorithm>
#include <utility>

#include "engine/replica/reading.h"
#include "engine/replica/verify.h"

namespace imapult::replica {
namespace {

bool by_source(const Paired& a, const Paired& b) {
    return a.source_uid < b.source_uid;
}

Task<Result<void>> pairs_from_ledger(Account& account, Comparison& comparison) {
    dedup::Ledger& ledger = account.ledger;
    const dedup::MailboxId id = comparison.record->id;
    auto read = co_await account.read_ledger([&ledger, id, &comparison] {
        return ledger.visit_messages(
            id, 1, UINT32_MAX, [&comparison](const dedup::MessageRecord& record) {
                if (record.destination_uid == 0) return true;
                Paired pair;
                pair.source_uid = record.source_uid;
                pair.destination_uid = record.destination_uid;
                pair.base = comparison.flags.intern(record.base);
                // What was adopted was never fetched: its size is the source's RFC822.SIZE.
                if (record.state == dedup::MessageState::copied) pair.size = record.size;
                pair.repaired = record.state == dedup::MessageState::repaired;
                comparison.pairs.push_back(pair);
                return true;
            });
    });
    co_return read;
}

/// Both in rising UIDs.
std::vector<std::uint32_t> uids_without(const std::vector<Meta>& metas,
                                        const std::vector<std::uint32_t>& taken) {
    std::vector<std::uint32_t> out;
    for (const Meta& meta : metas) {
        if (!std::binary_search(taken.begin(), taken.end(), meta.uid)) out.push_back(meta.uid);
    }
    return out;
}

}  // namespace

Task<Result<void>> pair_messages(Account& account, Sessions& sessions, Comparison& comparison) {
    if (comparison.record != nullptr) {
        auto known = co_await pairs_from_ledger(account, comparison);
        if (!known) co_return known;
    }
    std::vector<std::uint32_t> paired_here, paired_there;
    for (const Paired& pair : comparison.pairs) {
        paired_here.push_back(pair.source_uid);
        paired_there.push_back(pair.destination_uid);
    }
    std::sort(paired_there.begin(), paired_there.end());
    const std::vector<std::uint32_t> lost = uids_without(comparison.here, paired_here);
    const std::vector<std::uint32_t> free = uids_without(comparison.there, paired_there);
    if (lost.empty() || free.empty()) co_return Result<void>{};

    auto here = co_await read_headers(*sessions.source, lost, comparison.flags);
    if (!here) co_return std::unexpected(std::move(here).error());
    auto there = co_await read_headers(*sessions.destination, free, comparison.flags);
    if (!there) co_return std::unexpected(std::move(there).error());
    std::vector<dedup::Candidate> from, to;
    for (const auto& entry : *here) from.push_back(entry.candidate);
    for (const auto& entry : *there) to.push_back(entry.candidate);
    const dedup::HeaderMatch match = dedup::match_headers(from, to);
    const auto add = [&comparison](const dedup::Pair& pair) {
        Paired found;
        found.source_uid = pair.source_uid;
        found.destination_uid = pair.destination_uid;
        comparison.pairs.push_back(found);
    };
    for (const dedup::Pair& pair : match.pairs) add(pair);
    auto alike = co_await pair_contents(account, *sessions.source, *sessions.destination,
                                        match.undecided, false);
    if (!alike) co_return std::unexpected(std::move(alike).error());
    for (const dedup::Pair& pair : *alike) add(pair);
    std::sort(comparison.pairs.begin(), comparison.pairs.end(), by_source);
    co_return Result<void>{};
}

}  // namespace imapult::replica
