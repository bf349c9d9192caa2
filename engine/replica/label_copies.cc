#include "engine/replica/label_copies.h"

#include <utility>

namespace imapult::replica {
namespace {

std::shared_ptr<Leaver> to_leaver(Known known) {
    return std::make_shared<Leaver>(std::move(known.job), std::move(known.record));
}

/// Every copy whose message has left its mailbox, in this pass or before.
Task<Result<std::vector<Known>>> find_gone(Account& account) {
    const LabelRun& run = *account.gmail;
    dedup::Ledger& ledger = account.ledger;
    co_return co_await account.read_ledger([&]() -> Result<std::vector<Known>> {
        std::vector<Known> out;
        for (const auto* jobs : {&run.jobs, &run.orphans}) {
            for (const std::shared_ptr<Job>& job : *jobs) {
                if (job->record.gone == 0) continue;
                auto visited = ledger.visit_messages(
                    job->record.id, 1, UINT32_MAX, [&](const dedup::MessageRecord& record) {
                        if (record.gone && record.destination_uid != 0 && record.object != 0)
                            out.push_back({job, record});
                        return true;
                    });
                if (!visited) return std::unexpected(std::move(visited).error());
            }
        }
        return out;
    });
}

/// Objects that had their copy in a mailbox before it was made anew at the source.
Task<Result<std::set<std::uint64_t>>> find_before(Account& account) {
    const LabelRun& run = *account.gmail;
    dedup::Ledger& ledger = account.ledger;
    co_return co_await account.read_ledger([&]() -> Result<std::set<std::uint64_t>> {
        std::set<std::uint64_t> out;
        for (const std::shared_ptr<Job>& job : run.jobs) {
            if (!job->predecessor) continue;
            auto visited = ledger.visit_messages(*job->predecessor, 1, UINT32_MAX,
                                                 [&](const dedup::MessageRecord& record) {
                                                     if (record.destination_uid != 0)
                                                         out.insert(record.object);
                                                     return true;
                                                 });
            if (!visited) return std::unexpected(std::move(visited).error());
        }
        return out;
    });
}

}  // namespace

Task<Result<KnownObjects>> find_objects(Account& account, std::set<std::uint64_t> wanted,
                                        std::set<unsigned> ranks) {
    wanted.erase(0);
    if (wanted.empty()) co_return KnownObjects{};
    const std::vector<std::shared_ptr<Job>>& jobs = account.gmail->jobs;
    dedup::Ledger& ledger = account.ledger;
    co_return co_await account.read_ledger([&]() -> Result<KnownObjects> {
        KnownObjects out;
        for (const std::shared_ptr<Job>& job : jobs) {
            const bool asked = ranks.empty() || ranks.contains(job->labels->box.rank);
            if (job->record_is_new || !asked) continue;
            auto visited = ledger.visit_messages(
                job->record.id, 1, UINT32_MAX, [&](const dedup::MessageRecord& record) {
                    if (record.gone || !wanted.contains(record.object)) return true;
                    if (record.state == dedup::MessageState::represented) {
                        out.represented.emplace(record.object, Known{job, record});
                    } else if (record.destination_uid != 0) {
                        out.copies.try_emplace(record.object, Known{job, record});
                    }
                    return true;
                });
            if (!visited) return std::unexpected(std::move(visited).error());
        }
        return out;
    });
}

Task<Result<void>> before_copying(Account& account) {
    LabelRun& run = *account.gmail;
    std::set<std::uint64_t> left, wanted;
    for (const std::shared_ptr<Job>& job : run.jobs) {
        run.delta = run.delta || job->record.complete;
        for (const Meta& meta : job->survey.fresh) wanted.insert(meta.object);
    }
    std::set<std::pair<const Job*, std::uint32_t>> leavers;
    for (const auto& [unused, leaver] : account.leavers) {
        left.insert(leaver->record.object);
        leavers.emplace(leaver->job.get(), leaver->record.source_uid);
    }
    auto settled = co_await account.writer.drain();
    if (!settled) co_return settled;
    auto gone = co_await find_gone(account);
    if (!gone) co_return std::unexpected(std::move(gone).error());
    for (const Known& one : *gone) left.insert(one.record.object);
    auto earlier = co_await find_before(account);
    if (!earlier) co_return std::unexpected(std::move(earlier).error());
    left.merge(*earlier);
    wanted.insert(left.begin(), left.end());
    auto known = co_await find_objects(account, std::move(wanted));
    if (!known) co_return std::unexpected(std::move(known).error());
    std::set<std::uint64_t> promoted;
    for (auto& [object, what] : known->represented) {
        if (!left.contains(object) || known->copies.contains(object)) continue;
        what.job->promote.push_back(what.record.source_uid);
        promoted.insert(object);
    }
    for (Known& one : *gone) {
        // An earlier pass did not come to it.
        if (!promoted.contains(one.record.object) ||
            !leavers.emplace(one.job.get(), one.record.source_uid).second)
            continue;
        const std::uint64_t size = one.record.size;
        account.leavers.emplace(size, to_leaver(std::move(one)));
    }
    for (auto& [object, what] : known->copies) run.copies[object] = to_leaver(std::move(what));
    co_return Result<void>{};
}

Task<Result<void>> before_last_round(Account& account) {
    LabelRun& run = *account.gmail;
    run.last_round = true;
    run.copies.clear();
    std::set<std::uint64_t> wanted;
    for (const std::shared_ptr<Job>& job : run.jobs)
        wanted.insert(job->put_off.begin(), job->put_off.end());
    co_return co_await add_copies(account, std::move(wanted));
}

Task<Result<void>> add_copies(Account& account, std::set<std::uint64_t> wanted,
                              std::set<unsigned> ranks) {
    auto settled = co_await account.writer.drain();
    if (!settled) co_return settled;
    auto known = co_await find_objects(account, std::move(wanted), std::move(ranks));
    if (!known) co_return std::unexpected(std::move(known).error());
    for (auto& [object, what] : known->copies)
        account.gmail->copies[object] = to_leaver(std::move(what));
    co_return Result<void>{};
}

}  // namespace imapult::replica
