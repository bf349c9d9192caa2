// A first listing that is not whole: servers that show only a part of a mailbox, or answer a part
// of a command, must not be believed. What EXISTS counts is looked for until it is found or is
// known to be missing.

#include <algorithm>
#include <utility>

#include "engine/base/text.h"
#include "engine/replica/lane.h"
#include "engine/replica/reading.h"

namespace imapult::replica {
namespace {

constexpr std::size_t kUidsPerQuestion = 500;
constexpr std::uint32_t kYahooShows = 10'000;  ///< without UIDONLY (RFC 9586)

void merge(std::vector<Meta>& all, const std::vector<Meta>& more) {
    all.insert(all.end(), more.begin(), more.end());
    std::ranges::sort(all, {}, &Meta::uid);
    const auto twice = std::ranges::unique(all, {}, &Meta::uid);
    all.erase(twice.begin(), twice.end());
}

std::string listing_of(const Job& job) {
    return "list the messages of " + printable(job.display);
}

}  // namespace

void add_blind(std::vector<Meta>& fresh, std::vector<std::uint32_t>& unlisted, FlagTable& flags) {
    std::ranges::sort(fresh, {}, &Meta::uid);
    std::erase_if(unlisted, [&](std::uint32_t uid) {
        return std::binary_search(fresh.begin(), fresh.end(), uid, ByUid{});
    });
    std::vector<Meta> blind;
    for (const std::uint32_t uid : unlisted)
        blind.push_back(Meta{.uid = uid, .flags = flags.intern({})});
    merge(fresh, blind);
}

/// MESSAGELIMIT (RFC 9738): the server has come down to a UID; what lies below is asked for next.
Task<Result<void>> Lane::list_below(Job& job, imap::FetchItems items, session::Reply reply,
                                    std::vector<Meta>& fresh) {
    std::uint32_t reached = UINT32_MAX;
    while (reply.code == imap::ResponseCode::message_limit) {
        const auto lowest = parse_number(reply.uid_set);
        if (!lowest || *lowest <= 1 || *lowest >= reached) break;
        reached = static_cast<std::uint32_t>(*lowest);
        MetaSink metas(1, reached - 1, job.flags, job.labels ? &*job.labels : nullptr);
        auto fetch = imap::source::uid_fetch(imap::UidSet(1, reached - 1), items, std::nullopt,
                                             source_->encoding());
        if (!fetch) co_return std::unexpected(std::move(fetch).error());
        auto next = co_await source_->execute(std::move(*fetch), &metas);
        if (!next) co_return std::unexpected(std::move(next).error());
        if (!next->ok()) {
            co_return std::unexpected(
                session::refusal(*next, source_->connection().peer(), listing_of(job)));
        }
        merge(fresh, metas.take());
        reply = std::move(*next);
    }
    co_return Result<void>{};
}

/// Fewer messages were listed than EXISTS counts: both are asked for once more, together, since
/// somebody may have deleted some meanwhile. What SEARCH finds is asked for by name; those that are
/// there and are never listed go to `fresh` without metadata.
Task<Result<void>> Lane::complete_listing(Job& job, imap::FetchItems items, std::uint32_t last,
                                          std::vector<Meta>& fresh) {
    job.unlisted.clear();
    job.unseen = 0;
    if (fresh.size() >= job.exists || last < 1) co_return Result<void>{};
    SelectSink selected;
    UidsFound found;
    auto examine = imap::source::examine(job.source_name, {}, source_->encoding());
    if (!examine) co_return std::unexpected(std::move(examine).error());
    auto search =
        imap::source::uid_search(imap::UidSet(1, UINT32_MAX), "ALL",
                                 source_->capabilities().has("ESEARCH"), source_->encoding());
    if (!search) co_return std::unexpected(std::move(search).error());
    session::Ticket opening = source_->start(std::move(*examine), &selected);
    session::Ticket asked = source_->start(std::move(*search), &found);
    auto opened = co_await source_->finish(opening);
    auto searched = co_await source_->finish(asked);
    if (!opened) co_return std::unexpected(std::move(opened).error());
    if (!searched) co_return std::unexpected(std::move(searched).error());
    if (!opened->ok()) {
        co_return std::unexpected(
            session::refusal(*opened, source_->connection().peer(), listing_of(job)));
    }
    if (auto later = session::put_off(*searched, source_->connection().peer(), listing_of(job)))
        co_return std::unexpected(std::move(*later));
    const imap::UidSet there = found.take();
    const bool believed =
        there.size() <= std::min<std::uint64_t>(selected.exists, kUidsBelievedMax);
    // Those that came meanwhile are for the next pass.
    std::uint64_t newer = 0;
    for (const auto& range : there.ranges()) {
        if (believed && range.last > last)
            newer += range.last - std::max(range.first, last + 1) + 1;
    }
    job.exists = selected.exists - newer;
    std::vector<std::uint32_t> unlisted;
    for (const auto& range : there.ranges()) {
        for (std::uint64_t uid = range.first; believed && uid <= std::min(range.last, last);
             ++uid) {
            const auto wanted = static_cast<std::uint32_t>(uid);
            if (!std::binary_search(fresh.begin(), fresh.end(), wanted, ByUid{}))
                unlisted.push_back(wanted);
        }
    }
    MetaSink metas(1, last, job.flags, job.labels ? &*job.labels : nullptr);
    const auto all_once_more = [](std::uint32_t) { return false; };
    auto read = co_await read_all(*source_, items, metas, unlisted, all_once_more);
    if (!read) co_return read;
    merge(fresh, metas.take());
    std::erase_if(unlisted, [&](std::uint32_t uid) {
        return std::binary_search(fresh.begin(), fresh.end(), uid, ByUid{});
    });
    if (fresh.size() + unlisted.size() <= job.exists) {
        job.unlisted = std::move(unlisted);
        add_blind(fresh, job.unlisted, job.flags);
    }
    job.unseen = job.exists - std::min<std::uint64_t>(job.exists, fresh.size());
    co_return Result<void>{};
}

/// Takes out of `gone` what UID SEARCH still finds: some servers list nothing for messages that
/// they cannot convert.
Task<Result<void>> Lane::keep_those_found(std::vector<std::uint32_t>& gone) {
    if (gone.empty()) co_return Result<void>{};
    UidsFound found;
    for (const imap::UidSet& set : uid_sets(*source_, gone, kUidsPerQuestion)) {
        auto search = imap::source::uid_search(set, "ALL", source_->capabilities().has("ESEARCH"),
                                               source_->encoding());
        if (!search) co_return std::unexpected(std::move(search).error());
        auto reply = co_await source_->execute(std::move(*search), &found);
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (!reply->ok()) {  // not known
            gone.clear();
            co_return Result<void>{};
        }
    }
    const imap::UidSet there = found.take();
    std::erase_if(gone, [&](std::uint32_t uid) { return there.contains(uid); });
    co_return Result<void>{};
}

/// Servers that show the newest messages of a mailbox only, and count no others.
void Lane::notice_cap(Job& job) {
    const imap::CapabilitySet& can = source_->capabilities();
    if (job.exists == kYahooShows && can.has("XYMHIGHESTMODSEQ") && !source_->uid_only()) {
        job.capped = true;
    }
    const bool limited =
        job.exists == 1'000 || job.exists == 2'000 || job.exists == 5'000 || job.exists == 10'000;
    if (limited && can.has("X-GM-EXT-1")) {
        account_->notice(printable(job.display), report::NoticeKind::capability,
                         "exactly " + std::to_string(job.exists) +
                             " messages: if the account limits the size of IMAP folders (Gmail's "
                             "settings), the older ones are hidden and were not copied");
    }
}

/// Tells of what is counted or hidden, and cannot be had.
void Lane::tell_unseen(Job& job) {
    if (job.unseen == 0 && !job.capped) return;
    report::Refusal refusal;
    refusal.account = account_->summary.account;
    refusal.mailbox = printable(job.display);
    refusal.count = job.unseen;
    refusal.reason =
        job.capped
            ? "the server shows only the newest 10,000 messages of a mailbox; older ones were not "
              "copied, and it does not tell how many there are"
            : "the server counts " + std::to_string(job.unseen) +
                  " messages more than it lists; they were not copied";
    account_->observer.message_refused(account_->index, refusal);
    account_->summary.refusals.push_back(std::move(refusal));
}

}  // namespace imapult::replica
