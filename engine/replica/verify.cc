// `verify`: what is at the source is at the destination, message by message.

#include <algorithm>
#include <map>
#include <utility>

#include "engine/base/text.h"
#include "engine/replica/account.h"
#include "engine/replica/foreign.h"
#include "engine/replica/job.h"
#include "engine/replica/labels.h"
#include "engine/replica/reading.h"

namespace imapult::replica {
namespace {

using report::Difference;

/// One mailbox on both sides.
struct Comparison {
    const Mailbox* source = nullptr;
    const Mailbox* destination = nullptr;
    const dedup::MailboxRecord* record = nullptr;  ///< of the present incarnations, or none
    std::optional<LabelView> labels;               ///< Gmail
    FlagTable flags;
    std::vector<Meta> here, there;
    std::map<std::uint32_t, std::uint32_t> pairs;  ///< source UID -> destination UID
};

class Verifier {
  public:
    Verifier(Account& account, Sessions& sessions, report::VerifyDepth depth)
        : account_(account), sessions_(sessions), depth_(depth) {}

    Task<Result<void>> mailbox(Comparison comparison) {
        const std::uint64_t here = comparison.source->messages.value_or(0);
        account_.observer.mailbox_started(account_.index, comparison.source->display(), here, 0, 0);
        if (comparison.destination == nullptr) {
            if (here > 0)
                tell(comparison, 0, 0, Difference::Kind::missing,
                     "the mailbox is not at the destination");
            counts().missing += here;
        } else if (depth_ == report::VerifyDepth::counts &&
                   !(comparison.labels && comparison.labels->box.represents)) {
            compare_counts(comparison);
        } else {
            auto done = co_await messages(comparison);
            if (!done) co_return done;
        }
        report::Progress progress;
        progress.verified = here;
        account_.observer.progress(account_.index, progress);
        account_.observer.mailbox_finished(account_.index, comparison.source->display());
        co_return Result<void>{};
    }

  private:
    report::VerifyCounts& counts() { return account_.summary.verify; }

    void tell(const Comparison& comparison, std::uint32_t source_uid, std::uint32_t destination_uid,
              Difference::Kind kind, std::string text) {
        Difference difference;
        difference.account = account_.summary.account;
        difference.mailbox = printable(comparison.source->display());
        difference.source_uid = source_uid;
        difference.destination_uid = destination_uid;
        difference.kind = kind;
        difference.text = std::move(text);
        account_.summary.differences.push_back(std::move(difference));
    }

    void compare_counts(const Comparison& comparison) {
        const std::uint64_t here = comparison.source->messages.value_or(0);
        const std::uint64_t there = comparison.destination->messages.value_or(0);
        counts().equal += std::min(here, there);
        if (here > there) {
            counts().missing += here - there;
            tell(comparison, 0, 0, Difference::Kind::missing,
                 std::to_string(here) + " messages at the source, " + std::to_string(there) +
                     " at the destination");
        } else {
            counts().extra += there - here;
        }
    }

    Task<Result<std::vector<Meta>>> metadata(Session& session, const Mailbox& box, FlagTable& flags,
                                             const LabelView* labels) {
        SelectSink selected;
        auto examine = imap::source::examine(box.name, {}, session.encoding());
        if (!examine) co_return std::unexpected(std::move(examine).error());
        session::Ticket opened = session.start(std::move(*examine), &selected);
        const std::uint32_t last =
            box.uid_next && *box.uid_next > 0 ? *box.uid_next - 1 : UINT32_MAX - 1;
        MetaSink metas(1, last, flags, labels);
        session::Ticket asked;
        if (last > 0 && box.messages != 0U) {
            imap::FetchItems items;
            items.flags = items.internal_date = items.size = true;
            items.gm_labels = labels != nullptr;
            auto fetch = imap::source::uid_fetch(imap::UidSet(1, last), items, std::nullopt,
                                                 session.encoding());
            if (!fetch) co_return std::unexpected(std::move(fetch).error());
            asked = session.start(std::move(*fetch), &metas);
        }
        auto reply = co_await session.finish(opened);
        Result<session::Reply> listed;
        if (asked) listed = co_await session.finish(asked);
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (!reply->ok()) {
            co_return std::unexpected(session::refusal(*reply, session.connection().peer(),
                                                       "open " + printable(box.display())));
        }
        if (!listed) co_return std::unexpected(std::move(listed).error());
        co_return metas.take();
    }

    Task<Result<void>> messages(Comparison& comparison) {
        const LabelView* labels = comparison.labels ? &*comparison.labels : nullptr;
        auto here =
            co_await metadata(*sessions_.source, *comparison.source, comparison.flags, labels);
        if (!here) co_return std::unexpected(std::move(here).error());
        auto there = co_await metadata(*sessions_.destination, *comparison.destination,
                                       comparison.flags, nullptr);
        if (!there) co_return std::unexpected(std::move(there).error());
        comparison.here = std::move(*here);
        if (labels != nullptr && labels->box.represents) {
            // Compared in the mailbox that stands for them.
            const auto elsewhere =
                std::erase_if(comparison.here, [](const Meta& meta) { return meta.elsewhere; });
            counts().equal += elsewhere;
        }
        comparison.there = std::move(*there);
        if (comparison.record != nullptr) {
            auto known = co_await pairs_from_ledger(comparison);
            if (!known) co_return known;
        }
        auto matched = co_await pairs_from_identity(comparison);
        if (!matched) co_return matched;
        std::map<std::uint32_t, std::string> contents;
        if (depth_ == report::VerifyDepth::content) {
            auto compared = co_await compare_contents(comparison, contents);
            if (!compared) co_return compared;
        }
        judge(comparison, contents);
        co_return Result<void>{};
    }

    Task<Result<void>> pairs_from_ledger(Comparison& comparison) {
        dedup::Ledger& ledger = account_.ledger;
        const dedup::MailboxId id = comparison.record->id;
        auto& pairs = comparison.pairs;
        auto read = co_await account_.read_ledger([&ledger, id, &pairs] {
            return ledger.visit_messages(id, 1, UINT32_MAX,
                                         [&pairs](const dedup::MessageRecord& record) {
                                             if (record.destination_uid != 0)
                                                 pairs[record.source_uid] = record.destination_uid;
                                             return true;
                                         });
        });
        co_return read;
    }

    /// Messages that the ledger does not pair are recognised by what they are.
    Task<Result<void>> pairs_from_identity(Comparison& comparison) {
        std::vector<std::uint32_t> claimed, lost, free;
        for (const auto& [from, to] : comparison.pairs) claimed.push_back(to);
        std::sort(claimed.begin(), claimed.end());
        for (const Meta& meta : comparison.here) {
            if (!comparison.pairs.contains(meta.uid)) lost.push_back(meta.uid);
        }
        for (const Meta& meta : comparison.there) {
            if (!std::binary_search(claimed.begin(), claimed.end(), meta.uid))
                free.push_back(meta.uid);
        }
        if (lost.empty() || free.empty()) co_return Result<void>{};
        auto here = co_await read_headers(*sessions_.source, lost, comparison.flags);
        if (!here) co_return std::unexpected(std::move(here).error());
        auto there = co_await read_headers(*sessions_.destination, free, comparison.flags);
        if (!there) co_return std::unexpected(std::move(there).error());
        std::vector<dedup::Candidate> from, to;
        for (const auto& entry : *here) from.push_back(entry.candidate);
        for (const auto& entry : *there) to.push_back(entry.candidate);
        const dedup::HeaderMatch match = dedup::match_headers(from, to);
        for (const dedup::Pair& pair : match.pairs)
            comparison.pairs[pair.source_uid] = pair.destination_uid;
        for (const dedup::Group& group : match.undecided) {
            auto mine = co_await read_digests(*sessions_.source, group.source_uids,
                                              account_.ledger.digest_secret());
            if (!mine) co_return std::unexpected(std::move(mine).error());
            auto other = co_await read_digests(*sessions_.destination, group.destination_uids,
                                               account_.ledger.digest_secret());
            if (!other) co_return std::unexpected(std::move(other).error());
            std::vector<dedup::ContentCandidate> a, b;
            for (const auto& entry : *mine) a.push_back({entry.uid, entry.normal});
            for (const auto& entry : *other) b.push_back({entry.uid, entry.normal});
            for (const dedup::Pair& pair : dedup::match_contents(group, a, b, false)) {
                comparison.pairs[pair.source_uid] = pair.destination_uid;
            }
        }
        co_return Result<void>{};
    }

    /// `contents` receives a sentence for each source UID whose octets differ.
    Task<Result<void>> compare_contents(const Comparison& comparison,
                                        std::map<std::uint32_t, std::string>& contents) {
        std::vector<std::uint32_t> from, to;
        for (const Meta& meta : comparison.here) {
            const auto pair = comparison.pairs.find(meta.uid);
            if (pair == comparison.pairs.end()) continue;
            from.push_back(meta.uid);
            to.push_back(pair->second);
        }
        std::sort(to.begin(), to.end());
        auto mine = co_await read_digests(*sessions_.source, from, account_.ledger.digest_secret());
        if (!mine) co_return std::unexpected(std::move(mine).error());
        auto other =
            co_await read_digests(*sessions_.destination, to, account_.ledger.digest_secret());
        if (!other) co_return std::unexpected(std::move(other).error());
        std::map<std::uint32_t, const DigestSink::Entry*> there;
        for (const auto& entry : *other) there[entry.uid] = &entry;
        std::uint64_t altered = 0;
        for (const auto& entry : *mine) {
            const auto copy = there.find(comparison.pairs.at(entry.uid));
            if (copy == there.end() || copy->second->raw == entry.raw) continue;
            if (copy->second->normal == entry.normal) {
                ++altered;
            } else {
                contents[entry.uid] = "the contents differ (" + std::to_string(entry.size) +
                                      " octets at the source, " +
                                      std::to_string(copy->second->size) + " at the destination)";
            }
        }
        if (altered > 0) {
            account_.notice(printable(comparison.source->display()),
                            report::NoticeKind::message_altered,
                            std::to_string(altered) +
                                " messages are the same but for line ends or NULs, which the "
                                "destination changed");
        }
        co_return Result<void>{};
    }

    void judge(const Comparison& comparison, const std::map<std::uint32_t, std::string>& contents) {
        std::map<std::uint32_t, const Meta*> there;
        for (const Meta& meta : comparison.there) there[meta.uid] = &meta;
        std::uint64_t found = 0;
        for (const Meta& meta : comparison.here) {
            const auto pair = comparison.pairs.find(meta.uid);
            const auto copy =
                pair == comparison.pairs.end() ? there.end() : there.find(pair->second);
            if (copy == there.end()) {
                ++counts().missing;
                tell(comparison, meta.uid, 0, Difference::Kind::missing, "not at the destination");
                continue;
            }
            ++found;
            std::string what;
            const auto content = contents.find(meta.uid);
            if (content != contents.end()) what = content->second;
            const Flags& mine = comparison.flags.at(meta.flags);
            const Flags& other = comparison.flags.at(copy->second->flags);
            if (what.empty() && depth_ == report::VerifyDepth::metadata &&
                meta.size != copy->second->size) {
                what = "sizes differ (" + std::to_string(meta.size) + " and " +
                       std::to_string(copy->second->size) + ")";
            } else if (what.empty() && meta.has_date && copy->second->has_date &&
                       meta.date != copy->second->date) {
                what = "INTERNALDATE differs";
            } else if (what.empty() &&
                       (!is_empty(minus(mine, other)) || !is_empty(minus(other, mine)))) {
                what = "flags differ";
            }
            if (what.empty()) {
                ++counts().equal;
            } else {
                ++counts().different;
                tell(comparison, meta.uid, pair->second, Difference::Kind::different,
                     std::move(what));
            }
        }
        counts().extra +=
            comparison.there.size() - std::min<std::uint64_t>(comparison.there.size(), found);
    }

    Account& account_;
    Sessions& sessions_;
    report::VerifyDepth depth_;
};

Task<void> verify_steps(Account& account, Sessions& sessions, report::VerifyDepth depth) {
    auto records = co_await load_account(account);
    if (!records) co_return account.give_up(std::move(records).error(), std::nullopt);
    if (!co_await open_and_list(account, sessions)) co_return;
    (void)leave_out_views(account.source, account.options.names, account.options.labels);
    auto left = co_await leave_out_foreign(account, *sessions.source, *records);
    if (!left) co_return account.give_up(std::move(left).error(), Side::source);
    const Translation names = account.translation();
    std::map<std::string, const dedup::MailboxRecord*> known;
    for (const dedup::MailboxRecord& record : *records) {
        if (!record.archived) known[record.source_name] = &record;
    }
    const Placement placement = place_mailboxes(
        account.source, account.destination, account.options.names,
        [&](const std::string& name) {
            const auto found = known.find(name);
            return found == known.end() ? std::string() : found->second->destination_name;
        },
        [&names](std::string_view name) { return names.of(name); });
    account.summary.mailboxes.total = placement.places.size();
    account.observer.account_listed(account.index, placement.places.size());
    std::optional<Labels> labels;
    if (account.source.gmail) labels.emplace(account.source, placement, account.options.labels);
    Verifier verifier(account, sessions, depth);
    for (const Place& place : placement.places) {
        if (account.stopping()) break;
        Comparison comparison;
        comparison.source = &account.source.mailboxes[place.source];
        comparison.destination = account.destination.find(place.name);
        if (labels) comparison.labels = LabelView{&*labels, labels->box(comparison.source->name)};
        account.summary.messages.source += comparison.source->messages.value_or(0);
        const auto record = known.find(comparison.source->name);
        if (record != known.end() && comparison.destination != nullptr &&
            comparison.source->uid_validity == record->second->source_uid_validity &&
            comparison.destination->uid_validity == record->second->destination_uid_validity) {
            comparison.record = record->second;
        }
        auto done = co_await verifier.mailbox(std::move(comparison));
        if (!done) co_return account.give_up(std::move(done).error(), std::nullopt);
    }
    const report::VerifyCounts& counts = account.summary.verify;
    report::MessageCounts& books = account.summary.messages;
    books.already_there = std::min(books.source, counts.equal + counts.different);
    books.not_reached = books.source - books.already_there;
    books.source = books.already_there;
}

}  // namespace

Task<void> verify_account(Account& account, report::VerifyDepth depth) {
    const Nanos begin = account.environment.scheduler.now();
    account.observer.account_started(account.index);
    Sessions sessions;
    co_await verify_steps(account, sessions, depth);
    co_await close_sessions(account, sessions, false);
    report::AccountSummary& summary = account.summary;
    if (account.fatal) {
        summary.failure = report::Failure{*account.fatal, account.fatal_side};
        summary.result = report::RunResult::failed;
    } else if (account.stop.stopping()) {
        summary.result = report::RunResult::interrupted;
    } else {
        summary.result = summary.verify.missing + summary.verify.different > 0
                             ? report::RunResult::partial
                             : report::RunResult::complete;
    }
    summary.seconds =
        std::chrono::duration<double>(account.environment.scheduler.now() - begin).count();
    account.observer.account_finished(account.index, summary);
}

}  // namespace imapult::replica
