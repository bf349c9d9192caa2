// All messages of a mailbox for `verify`. Servers that show only a part of a mailbox, or answer a
// part of a command, are not believed: what EXISTS counts is looked for until it is found or is
// known to be missing.

#include <algorithm>
#include <utility>

#include "engine/base/text.h"
#include "engine/replica/reading.h"
#include "engine/replica/verify.h"

namespace imapult::replica {
namespace {

class MailboxListing {
  public:
    MailboxListing(Session& session, const Mailbox& box, FlagTable& flags, const LabelView* labels)
        : session_(session),
          box_(box),
          flags_(flags),
          labels_(labels),
          last_(box.uid_next && *box.uid_next > 0 ? *box.uid_next - 1 : UINT32_MAX - 1) {
        items_.flags = items_.internal_date = items_.size = true;
        items_.gm_labels = labels != nullptr;
    }

    Task<Result<Listed>> run() {
        auto listed = co_await open_and_list();
        if (!listed) co_return std::unexpected(std::move(listed).error());
        // UIDNEXT is not to be trusted everywhere (mailutils says one too few).
        if (all_.size() < box_.messages.value_or(0) && last_ < UINT32_MAX - 1) {
            auto more = co_await list(last_ + 1, UINT32_MAX);
            if (!more) co_return std::unexpected(std::move(more).error());
        }
        if (all_.size() < exists_) {
            auto completed = co_await complete();
            if (!completed) co_return std::unexpected(std::move(completed).error());
        }
        const std::uint64_t unseen = exists_ - std::min<std::uint64_t>(exists_, all_.size());
        co_return Listed{std::move(all_), unseen};
    }

  private:
    [[nodiscard]] Error refused(const session::Reply& reply, std::string_view what) const {
        return session::refusal(reply, session_.connection().peer(),
                                std::string(what) + ' ' + printable(box_.display()));
    }

    Task<Result<void>> open_and_list() {
        SelectSink selected;
        auto examine = imap::source::examine(box_.name, {}, session_.encoding());
        if (!examine) co_return std::unexpected(std::move(examine).error());
        session::Ticket opened = session_.start(std::move(*examine), &selected);
        MetaSink metas(1, last_, flags_, labels_);
        session::Ticket asked;
        if (last_ > 0 && box_.messages != 0U) {
            auto fetch = imap::source::uid_fetch(imap::UidSet(1, last_), items_, std::nullopt,
                                                 session_.encoding());
            if (fetch) asked = session_.start(std::move(*fetch), &metas);
        }
        auto reply = co_await session_.finish(opened);
        Result<session::Reply> listed;
        if (asked) listed = co_await session_.finish(asked);
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (!reply->ok()) co_return std::unexpected(refused(*reply, "open"));
        if (!listed) co_return std::unexpected(std::move(listed).error());
        if (!listed->ok()) co_return std::unexpected(refused(*listed, "list"));
        merge(metas.take());
        exists_ = selected.exists;
        co_return co_await list(1, left_below(*listed, last_));
    }

    /// MESSAGELIMIT (RFC 9738): a command has come down to a UID; the highest of those below. 0:
    /// the command was answered in full.
    static std::uint32_t left_below(const session::Reply& reply, std::uint32_t last) {
        if (reply.code != imap::ResponseCode::message_limit) return 0;
        const auto lowest = parse_number(reply.uid_set);
        if (!lowest || *lowest == 0 || *lowest > last) return 0;
        return static_cast<std::uint32_t>(*lowest - 1);
    }

    Task<Result<void>> list(std::uint32_t first, std::uint32_t last) {
        while (first <= last) {
            MetaSink metas(first, last, flags_, labels_);
            auto fetch = imap::source::uid_fetch(imap::UidSet(first, last), items_, std::nullopt,
                                                 session_.encoding());
            if (!fetch) co_return std::unexpected(std::move(fetch).error());
            auto reply = co_await session_.execute(std::move(*fetch), &metas);
            if (!reply) co_return std::unexpected(std::move(reply).error());
            if (!reply->ok()) co_return std::unexpected(refused(*reply, "list"));
            merge(metas.take());
            last = left_below(*reply, last);
        }
        co_return Result<void>{};
    }

    /// Both are asked for once more, together, since somebody may have deleted some meanwhile. What
    /// SEARCH finds is asked for by name.
    Task<Result<void>> complete() {
        SelectSink selected;
        UidsFound found;
        auto examine = imap::source::examine(box_.name, {}, session_.encoding());
        if (!examine) co_return std::unexpected(std::move(examine).error());
        auto search =
            imap::source::uid_search(imap::UidSet(1, UINT32_MAX), "ALL",
                                     session_.capabilities().has("ESEARCH"), session_.encoding());
        if (!search) co_return std::unexpected(std::move(search).error());
        session::Ticket opening = session_.start(std::move(*examine), &selected);
        session::Ticket asked = session_.start(std::move(*search), &found);
        auto opened = co_await session_.finish(opening);
        auto searched = co_await session_.finish(asked);
        if (!opened) co_return std::unexpected(std::move(opened).error());
        if (!searched) co_return std::unexpected(std::move(searched).error());
        if (!opened->ok()) co_return std::unexpected(refused(*opened, "open"));
        Error no = refused(*searched, "search");
        if (!searched->ok() && no.retry == Retry::later) co_return std::unexpected(std::move(no));
        std::vector<std::uint32_t> unlisted = unlisted_of(found.take(), selected.exists);
        MetaSink metas(1, UINT32_MAX, flags_, labels_);
        const auto all_once_more = [](std::uint32_t) { return false; };
        auto read = co_await read_all(session_, items_, metas, std::move(unlisted), all_once_more);
        if (!read) co_return read;
        merge(metas.take());
        co_return Result<void>{};
    }

    /// Those that came since the mailbox was listed do not count.
    std::vector<std::uint32_t> unlisted_of(const imap::UidSet& there, std::uint64_t exists) {
        exists_ = exists;
        std::vector<std::uint32_t> unlisted;
        if (there.size() > std::min<std::uint64_t>(exists, kUidsBelievedMax)) return unlisted;
        const std::uint32_t last = all_.empty() ? last_ : std::max(last_, all_.back().uid);
        for (const auto& range : there.ranges()) {
            for (std::uint64_t at = range.first; at <= range.last; ++at) {
                const auto uid = static_cast<std::uint32_t>(at);
                if (uid > last) {
                    --exists_;
                } else if (find_meta(all_, uid) == nullptr) {
                    unlisted.push_back(uid);
                }
            }
        }
        return unlisted;
    }

    void merge(std::vector<Meta> more) {
        all_.insert(all_.end(), more.begin(), more.end());
        std::ranges::sort(all_, {}, &Meta::uid);
        const auto twice = std::ranges::unique(all_, {}, &Meta::uid);
        all_.erase(twice.begin(), twice.end());
    }

    Session& session_;
    const Mailbox& box_;
    FlagTable& flags_;
    const LabelView* labels_;
    std::uint32_t last_;
    imap::FetchItems items_;
    std::vector<Meta> all_;
    std::uint64_t exists_ = 0;
};

}  // namespace

Task<Result<Listed>> list_messages(Session& session, const Mailbox& box, FlagTable& flags,
                                   const LabelView* labels) {
    MailboxListing listing(session, box, flags, labels);
    co_return co_await listing.run();
}

}  // namespace imapult::replica
