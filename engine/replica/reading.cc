#include "engine/replica/reading.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <utility>

namespace imapult::replica {
namespace {
constexpr std::size_t kHeadersPerFetch = 1000;
constexpr std::size_t kFetchesAhead = 4;
constexpr std::string_view kTell = "hand out messages for comparison";

std::vector<std::uint32_t> uids_of(const imap::UidSet& set) {
    std::vector<std::uint32_t> uids;
    for (const auto& range : set.ranges()) {
        for (std::uint64_t uid = range.first; uid <= range.last; ++uid)
            uids.push_back(static_cast<std::uint32_t>(uid));
    }
    return uids;
}

}  // namespace

bool UidsFound::on_untagged(const imap::Event& event) {
    const auto* found = std::get_if<imap::SearchData>(&event);
    if (found == nullptr) return false;
    numbers_.insert(numbers_.end(), found->numbers.begin(), found->numbers.end());
    if (auto set = imap::UidSet::parse(found->all)) {
        for (const auto& range : set->ranges()) ranges_.push_back(range);
    }
    return true;
}

/// In rising order, so that each costs nothing to add.
imap::UidSet UidsFound::take() {
    for (const std::uint32_t uid : numbers_) ranges_.push_back({uid, uid});
    std::ranges::sort(ranges_, {}, &imap::UidSet::Range::first);
    imap::UidSet out;
    for (const auto& range : ranges_) out.add(range.first, range.last);
    return out;
}

Task<Result<void>> read_all(Session& session, const imap::FetchItems& items, session::Sink& sink,
                            std::vector<std::uint32_t> uids,
                            std::function<bool(std::uint32_t)> arrived) {
    std::deque<imap::UidSet> to_ask;
    for (imap::UidSet& set : uid_sets(session, uids, kHeadersPerFetch))
        to_ask.push_back(std::move(set));
    struct Asked {
        imap::UidSet set;
        session::Ticket ticket;
    };
    std::deque<Asked> asked;
    std::optional<Error> error;
    while (!asked.empty() || (!to_ask.empty() && !error)) {
        while (!error && !to_ask.empty() && asked.size() < kFetchesAhead) {
            auto command =
                imap::source::uid_fetch(to_ask.front(), items, std::nullopt, session.encoding());
            if (!command) {
                error = std::move(command).error();
                break;
            }
            asked.push_back({std::move(to_ask.front()), session.start(std::move(*command), &sink)});
            to_ask.pop_front();
        }
        if (asked.empty()) break;
        const Asked done = std::move(asked.front());
        asked.pop_front();
        auto reply = co_await session.finish(done.ticket);
        if (!reply) {
            if (!error) error = std::move(reply).error();
            continue;
        }
        const bool cut = reply->code == imap::ResponseCode::message_limit;
        if (error || (reply->ok() && !cut)) continue;
        error = session::put_off(*reply, session.connection().peer(), kTell);
        if (error) continue;
        std::vector<std::uint32_t> rest = uids_of(done.set);
        if (rest.size() == 1) continue;  // nobody can read it
        std::erase_if(rest, arrived);
        const auto middle = rest.begin() + static_cast<std::ptrdiff_t>(rest.size() / 2);
        for (const auto& half :
             {std::vector(rest.begin(), middle), std::vector(middle, rest.end())}) {
            imap::UidSet set;
            for (const std::uint32_t uid : half) set.add(uid);
            if (!set.empty()) to_ask.push_back(std::move(set));
        }
    }
    if (error) co_return std::unexpected(std::move(*error));
    co_return Result<void>{};
}

Task<Result<std::vector<HeaderSink::Entry>>> read_headers(Session& session,
                                                          std::vector<std::uint32_t> uids,
                                                          FlagTable& flags, HeaderPart part) {
    HeaderSink sink(flags);
    imap::FetchItems items;
    if (part == HeaderPart::whole) {
        items.flags = items.size = true;
        items.body = imap::FetchItems::Body::header;
    } else {
        items.header_fields = {"MESSAGE-ID", "DATE"};
    }
    const auto arrived = [&sink](std::uint32_t uid) {
        return std::ranges::any_of(sink.entries,
                                   [uid](const auto& entry) { return entry.candidate.uid == uid; });
    };
    auto read = co_await read_all(session, items, sink, std::move(uids), arrived);
    if (!read) co_return std::unexpected(std::move(read).error());
    std::sort(sink.entries.begin(), sink.entries.end(),
              [](const auto& a, const auto& b) { return a.candidate.uid < b.candidate.uid; });
    co_return std::move(sink.entries);
}

Task<Result<std::vector<DigestSink::Entry>>> read_digests(Session& session,
                                                          std::vector<std::uint32_t> uids,
                                                          std::string_view secret) {
    DigestSink sink(secret);
    imap::FetchItems items;
    items.internal_date = true;
    items.body = imap::FetchItems::Body::whole;
    const auto arrived = [&sink](std::uint32_t uid) {
        return std::ranges::any_of(sink.entries,
                                   [uid](const auto& entry) { return entry.uid == uid; });
    };
    auto read = co_await read_all(session, items, sink, std::move(uids), arrived);
    if (!read) co_return std::unexpected(std::move(read).error());
    co_return std::move(sink.entries);
}

Task<Result<std::vector<dedup::Pair>>> pair_contents(Account& account, Session& source,
                                                     Session& destination,
                                                     const std::vector<dedup::Group>& undecided,
                                                     bool recovering) {
    std::vector<dedup::Pair> pairs;
    if (undecided.empty()) co_return pairs;
    std::vector<std::uint32_t> here, there;
    for (const dedup::Group& group : undecided) {
        here.insert(here.end(), group.source_uids.begin(), group.source_uids.end());
        there.insert(there.end(), group.destination_uids.begin(), group.destination_uids.end());
    }
    const std::string_view secret = account.ledger.digest_secret();
    co_await account.quiet(Side::source);
    auto mine = co_await read_digests(source, std::move(here), secret);
    if (!mine) co_return std::unexpected(std::move(mine).error());
    co_await account.quiet(Side::destination);
    auto other = co_await read_digests(destination, std::move(there), secret);
    if (!other) co_return std::unexpected(std::move(other).error());

    using Contents = std::map<std::uint32_t, dedup::ContentCandidate>;
    const auto by_uid = [](const std::vector<DigestSink::Entry>& read) {
        Contents contents;
        for (const auto& entry : read) contents[entry.uid] = {entry.uid, entry.normal, entry.date};
        return contents;
    };
    const auto candidates = [](const Contents& contents, const std::vector<std::uint32_t>& uids) {
        std::vector<dedup::ContentCandidate> out;
        for (const std::uint32_t uid : uids) {
            const auto found = contents.find(uid);
            if (found != contents.end()) out.push_back(found->second);
        }
        return out;
    };
    const Contents ours = by_uid(*mine), theirs = by_uid(*other);
    for (const dedup::Group& group : undecided) {
        const auto found =
            dedup::match_contents(group, candidates(ours, group.source_uids),
                                  candidates(theirs, group.destination_uids), recovering);
        pairs.insert(pairs.end(), found.begin(), found.end());
    }
    co_return pairs;
}

}  // namespace imapult::replica
