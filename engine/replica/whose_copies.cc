// Some servers give several mailboxes one UIDVALIDITY (Cyrus and Courier those of one second).
// Where somebody renames those at the destination, a copy's name stands for another mailbox and
// nothing in its listing tells: before older copies are written to, a sample of them is looked at.

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "engine/base/text.h"
#include "engine/replica/lane.h"
#include "engine/replica/reading.h"
#include "engine/replica/whose_copies.h"

namespace imapult::replica {
namespace {

/// Of those that are to be written to, and of the others as many.
constexpr std::size_t kSampledMax = 10;

struct Sent {
    std::uint64_t size;
    dedup::Digest128 digest;
};
using Sample = std::map<std::uint32_t, Sent>;  ///< by destination UID

/// `uids`: rising.
Result<Sample> read_sample(dedup::Ledger& ledger, dedup::MailboxId id, std::size_t messages,
                           const std::vector<std::uint32_t>& uids) {
    Sample written, others;
    std::size_t met = 0, passed = 0;
    const auto take = [](Sample& into, std::size_t& n, std::size_t of,
                         const dedup::MessageRecord& message) {
        if (n++ % (of / kSampledMax + 1) == 0 && into.size() < kSampledMax)
            into[message.destination_uid] = {message.size, message.digest};
    };
    auto visited = ledger.visit_messages(id, 1, UINT32_MAX, [&](const auto& message) {
        // What was adopted or repaired may have another size there; of what was found landed only
        // the source's estimate may be known.
        if (message.state != dedup::MessageState::copied || message.size == 0 ||
            message.destination_uid == 0 || message.digest == dedup::Digest128{})
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

/// Yahoo lists it as "Inbox".
std::string_view one_inbox(std::string_view name) {
    return equal_ignoring_case(name, "INBOX") ? "INBOX" : name;
}

}  // namespace

std::set<std::uint32_t> shared_validities(const Listing& destination,
                                          const std::vector<dedup::MailboxRecord>& records) {
    std::map<std::uint32_t, std::set<std::string_view>> names;
    for (const Mailbox& box : destination.mailboxes) {
        if (box.uid_validity) names[*box.uid_validity].insert(one_inbox(box.name));
    }
    for (const dedup::MailboxRecord& record : records) {
        if (record.destination_uid_validity != 0)
            names[record.destination_uid_validity].insert(one_inbox(record.destination_name));
    }
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
    for (const auto& [uid, sent] : *sample) asked.push_back(uid);
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
    const Meta* least = nullptr;
    const std::vector<Meta> told = metas.take();
    for (const Meta& meta : told) {
        const auto known = sample->find(meta.uid);
        if (known == sample->end()) continue;
        ++there;
        if (known->second.size == meta.size) ++same;
        if (least == nullptr || meta.size < least->size) least = &meta;
    }
    // Some may have been deleted, and a server may have changed some.
    job.copies_checked = same * 2 >= there;
    if (job.copies_checked) co_return Result<void>{};
    // Or it only estimates sizes.
    auto read = co_await read_digests(*destination_, {least->uid}, ledger.digest_secret());
    if (!read) co_return std::unexpected(std::move(read).error());
    job.copies_checked =
        !read->empty() && read->front().raw == sample->find(least->uid)->second.digest;
    if (job.copies_checked) co_return Result<void>{};
    co_return ::imapult::fail(
        Code::unavailable, Scope::mailbox, Retry::never,
        "another mailbox is called \"" + printable(account_->destination.display_of(name)) +
            "\" at the destination now (the copies had other sizes): no flags were changed in it "
            "and nothing was deleted. Give it its old name back there, or any other (then the "
            "mailbox is made again), and run again");
}

}  // namespace imapult::replica
