// Some servers give several mailboxes one UIDVALIDITY (Cyrus and Courier those of one second).
// Where somebody renames those at the destination, a copy's name stands for another mailbox and
// nothing in its listing tells: before older copies are written to, a sample of them is looked at.

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "engine/base/text.h"
#include "engine/replica/lane.h"
#include "engine/replica/whose_copies.h"

namespace imapult::replica {
namespace {

/// Of those that are to be written to, and of the others as many.
constexpr std::size_t kSampledMax = 10;

using Sizes = std::map<std::uint32_t, std::uint64_t>;  ///< by destination UID

/// `uids`: rising.
Result<Sizes> read_sample(dedup::Ledger& ledger, dedup::MailboxId id, std::size_t messages,
                          const std::vector<std::uint32_t>& uids) {
    Sizes written, others;
    std::size_t met = 0, passed = 0;
    const auto take = [](Sizes& into, std::size_t& n, std::size_t of,
                         const dedup::MessageRecord& message) {
        if (n++ % (of / kSampledMax + 1) == 0 && into.size() < kSampledMax)
            into[message.destination_uid] = message.size;
    };
    auto visited = ledger.visit_messages(id, 1, UINT32_MAX, [&](const auto& message) {
        // What was adopted or repaired may have another size there.
        if (message.state != dedup::MessageState::copied || message.size == 0 ||
            message.destination_uid == 0)
            return true;
        if (std::ranges::binary_search(uids, message.destination_uid)) {
            take(written, met, uids.size(), message);
        } else {
            take(others, passed, messages, message);
        }
        return true;
    });
    if (!visited) return std::unexpected(std::move(visited).error());
    written.merge(others);
    return written;
}

}  // namespace

std::set<std::uint32_t> shared_validities(const Listing& destination,
                                          const std::vector<dedup::MailboxRecord>& records) {
    std::map<std::uint32_t, std::set<std::string_view>> names;
    for (const Mailbox& box : destination.mailboxes) {
        if (box.uid_validity) names[*box.uid_validity].insert(box.name);
    }
    for (const dedup::MailboxRecord& record : records)
        names[record.destination_uid_validity].insert(record.destination_name);
    std::set<std::uint32_t> shared;
    for (const auto& [validity, those] : names) {
        if (those.size() > 1) shared.insert(validity);
    }
    return shared;
}

Task<Result<void>> Lane::check_copies(Job& job, std::vector<std::uint32_t> uids) {
    if (job.record_is_new || job.copies_checked || account_->sizes_are_estimates ||
        !account_->shared_validities.contains(job.record.destination_uid_validity))
        co_return Result<void>{};
    std::sort(uids.begin(), uids.end());
    auto settled = co_await account_->writer.drain();
    if (!settled) co_return settled;
    dedup::Ledger& ledger = account_->ledger;
    const dedup::MailboxId id = job.record.id;
    const std::size_t messages = job.record.source_messages;
    auto sample = co_await account_->read_ledger(
        [&ledger, id, messages, &uids] { return read_sample(ledger, id, messages, uids); });
    if (!sample) co_return std::unexpected(std::move(sample).error());
    if (sample->empty()) co_return Result<void>{};
    const std::string& name = job.record.destination_name;
    SelectSink selected;
    session::Ticket opening;
    if (account_->options.dry_run) {
        auto examine = imap::source::examine(name, {}, destination_->encoding());
        if (!examine) co_return std::unexpected(std::move(examine).error());
        opening = destination_->start(std::move(*examine), &selected);
    } else {
        // Not EXAMINE: Courier has no UNSELECT, and appends nothing to what is selected read-only.
        auto select = imap::destination::select(name, false, destination_->encoding());
        if (!select) co_return std::unexpected(std::move(select).error());
        opening = destination_->start_change(std::move(*select), &selected);
    }
    FlagTable unused;
    MetaSink metas(1, UINT32_MAX, unused);
    imap::FetchItems items;
    items.size = true;
    std::vector<std::uint32_t> asked;
    for (const auto& [uid, size] : *sample) asked.push_back(uid);
    std::vector<session::Ticket> tickets{opening};
    for (const imap::UidSet& set : uid_sets(*destination_, asked, 0)) {
        auto fetch = imap::source::uid_fetch(set, items, std::nullopt, destination_->encoding());
        if (fetch) tickets.push_back(destination_->start(std::move(*fetch), &metas));
    }
    std::optional<Error> error;
    for (session::Ticket& ticket : tickets) {
        auto reply = co_await destination_->finish(ticket);
        if (!error && !reply) error = std::move(reply).error();
        if (error || reply->ok()) continue;
        error = session::refusal(*reply, destination_->connection().peer(),
                                 "open " + printable(job.display));
    }
    if (error) co_return std::unexpected(std::move(*error));
    std::size_t there = 0, same = 0;
    for (const Meta& meta : metas.take()) {
        const auto known = sample->find(meta.uid);
        if (known == sample->end()) continue;
        ++there;
        if (known->second == meta.size) ++same;
    }
    // Some may have been deleted, and a server may have changed some.
    job.copies_checked = same * 2 >= there;
    if (job.copies_checked) co_return Result<void>{};
    co_return ::imapult::fail(
        Code::unavailable, Scope::mailbox, Retry::never,
        "another mailbox is called \"" + printable(account_->destination.display_of(name)) +
            "\" at the destination now (the copies had other sizes): no flags were changed in it "
            "and nothing was deleted. Give it its old name back there, or any other (then the "
            "mailbox is made again), and run again");
}

}  // namespace imapult::replica
