#include "engine/replica/reading.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

namespace imapult::replica {
namespace {
constexpr std::size_t kHeadersPerFetch = 1000;
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
    std::deque<session::Ticket> tickets;
    for (const imap::UidSet& set : uid_sets(uids, kHeadersPerFetch)) {
        auto command = imap::source::uid_fetch(set, items, std::nullopt, session.encoding());
        if (!command) co_return std::unexpected(std::move(command).error());
        tickets.push_back(session.start(std::move(*command), &sink));
        while (tickets.size() > 4) {
            auto reply = co_await session.finish(tickets.front());
            tickets.pop_front();
            if (!reply) {
                while (!tickets.empty()) {
                    (void)co_await session.finish(tickets.front());
                    tickets.pop_front();
                }
                co_return std::unexpected(std::move(reply).error());
            }
        }
    }
    std::optional<Error> error;
    for (session::Ticket& ticket : tickets) {
        auto reply = co_await session.finish(ticket);
        if (!reply && !error) error = std::move(reply).error();
    }
    if (error) co_return std::unexpected(std::move(*error));
    std::sort(sink.entries.begin(), sink.entries.end(),
              [](const auto& a, const auto& b) { return a.candidate.uid < b.candidate.uid; });
    co_return std::move(sink.entries);
}

Task<Result<std::vector<DigestSink::Entry>>> read_digests(Session& session,
                                                          std::vector<std::uint32_t> uids,
                                                          std::string_view secret) {
    DigestSink sink(secret);
    imap::FetchItems items;
    items.body = imap::FetchItems::Body::whole;
    for (const imap::UidSet& set : uid_sets(uids, kHeadersPerFetch)) {
        auto command = imap::source::uid_fetch(set, items, std::nullopt, session.encoding());
        if (!command) co_return std::unexpected(std::move(command).error());
        auto reply = co_await session.execute(std::move(*command), &sink);
        if (!reply) co_return std::unexpected(std::move(reply).error());
    }
    co_return std::move(sink.entries);
}

}  // namespace imapult::replica
