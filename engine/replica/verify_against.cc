// `verify --against`: the destination alone against a proof made earlier. By UID where the mailbox
// is still the same; what is not found so is looked for by its content among what nobody claimed.

#include <algorithm>
#include <deque>
#include <utility>

#include "engine/base/glob.h"
#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/replica/verify.h"

namespace imapult::replica {
namespace {

using report::Difference;

constexpr std::size_t kChunkMessagesMax = 500;
constexpr std::uint64_t kChunkBytes = 4 * limits::kMiB;
constexpr std::size_t kChunksUnderWay = 2;

class Against {
  public:
    Against(Account& account, Sessions& sessions, Repeats& repeats, const MailboxProof& proved)
        : account_(account),
          sessions_(sessions),
          repeats_(repeats),
          proved_(proved),
          verdicts_(account, printable(proved.mailbox), counts_) {}

    Task<Result<void>> run(const Mailbox* box) {
        account_.observer.mailbox_started(account_.index, proved_.mailbox, proved_.messages.size(),
                                          0, 0);
        if (box == nullptr) {
            if (!proved_.messages.empty()) {
                verdicts_.tell(Difference::Kind::missing, 0, 0,
                               "the mailbox is not at the destination any more",
                               proved_.messages.size());
            }
        } else {
            auto compared = co_await compare_patiently(*box);
            if (!compared) co_return compared;
        }
        if (!account_.stopping() && judged_) verdicts_.close();
        account_.observer.mailbox_finished(account_.index, proved_.mailbox);
        co_return Result<void>{};
    }

  private:
    Task<Result<void>> compare_patiently(const Mailbox& box) {
        const std::size_t told = account_.summary.differences.size();
        while (true) {
            auto compared = co_await compare(box);
            if (compared) {
                repeats_.progress();
                co_return compared;
            }
            // From the beginning.
            auto& differences = account_.summary.differences;
            differences.erase(differences.begin() + static_cast<std::ptrdiff_t>(told),
                              differences.end());
            counts_ = {};
            verdicts_ = Verdicts(account_, printable(proved_.mailbox), counts_);
            by_uid_.clear();
            found_.clear();
            refound_ = 0;
            Error why = std::move(compared).error();
            if (co_await repeats_.again(why, Side::destination)) continue;
            if (account_.stopping()) co_return Result<void>{};
            if (why.scope != Scope::mailbox) co_return std::unexpected(std::move(why));
            refused(why);
            co_return Result<void>{};
        }
    }

    /// The server refuses this mailbox alone: the others are compared still.
    void refused(const Error& error) {
        ++account_.summary.mailboxes.failed;
        const std::string text = "not compared: " + error.text;
        account_.notice(printable(proved_.mailbox), report::NoticeKind::other, text);
        judged_ = !proved_.messages.empty();  // of an empty one there is nothing to say
        if (!judged_) return;
        verdicts_.tell(Difference::Kind::missing, 0, 0, text, proved_.messages.size());
    }

    Task<Result<void>> compare(const Mailbox& box) {
        auto there = co_await list_messages(*sessions_.destination, box, flags_);
        if (!there) co_return std::unexpected(std::move(there).error());
        there_ = std::move(there->metas);
        std::vector<const ProvedMessage*> lost;
        std::vector<std::uint32_t> claimed;
        const bool same = box.uid_validity.value_or(0) == proved_.uid_validity;
        for (const ProvedMessage& message : proved_.messages) {
            if (same && find_meta(there_, message.uid) != nullptr) {
                by_uid_[message.uid] = &message;
                claimed.push_back(message.uid);
            } else {
                lost.push_back(&message);
            }
        }
        std::sort(claimed.begin(), claimed.end());
        auto read = co_await stream(claimed);
        if (!read) co_return read;
        std::vector<std::uint32_t> free;
        for (const Meta& meta : there_) {
            if (!std::binary_search(claimed.begin(), claimed.end(), meta.uid))
                free.push_back(meta.uid);
        }
        if (!lost.empty() && !free.empty()) {
            auto searched = co_await stream(free);
            if (!searched) co_return searched;
        }
        if (account_.stopping()) co_return Result<void>{};
        settle_lost(lost, free.size());
        co_return Result<void>{};
    }

    /// What was not handed out is asked for once more, each message alone.
    Task<Result<void>> stream(const std::vector<std::uint32_t>& uids, bool alone = false) {
        struct Chunk {
            std::vector<std::uint32_t> uids;
            std::vector<session::Ticket> tickets;
        };
        ContentSink::Wishes wishes;
        wishes.sha256 = wishes.message_id = true;
        ContentSink sink(wishes, &account_);
        imap::FetchItems items;
        items.body = imap::FetchItems::Body::whole;
        std::deque<std::unique_ptr<Chunk>> open;
        std::optional<Error> error;
        std::size_t next = 0;
        Session& session = *sessions_.destination;
        const std::size_t most =
            alone ? 1 : std::min(kChunkMessagesMax, session.messages_per_command());
        std::vector<std::uint32_t> unread;
        while (true) {
            while (!error && !account_.stopping() && next < uids.size() &&
                   open.size() < kChunksUnderWay) {
                auto chunk = std::make_unique<Chunk>();
                std::uint64_t bytes = 0;
                while (next < uids.size() && chunk->uids.size() < most) {
                    bytes += find_meta(there_, uids[next])->size;
                    if (!chunk->uids.empty() && bytes > kChunkBytes) break;
                    sink.expect(uids[next]);
                    chunk->uids.push_back(uids[next++]);
                }
                for (const imap::UidSet& set : uid_sets(session, chunk->uids, 0)) {
                    auto command =
                        imap::source::uid_fetch(set, items, std::nullopt, session.encoding());
                    if (!command) {
                        error = std::move(command).error();
                        break;
                    }
                    chunk->tickets.push_back(session.start(std::move(*command), &sink));
                }
                open.push_back(std::move(chunk));
            }
            if (open.empty()) break;
            for (session::Ticket& ticket : open.front()->tickets) {
                auto reply = co_await session.finish(ticket);
                if (!reply && !error) error = std::move(reply).error();
                if (reply && !error) {
                    error = throttled(*reply, session.connection().peer(), "hand out messages");
                }
            }
            if (!error) {
                report::Progress progress;
                for (const std::uint32_t uid : open.front()->uids) {
                    const ContentSink::Entry* entry = sink.find(uid);
                    if (entry == nullptr && !alone) {
                        unread.push_back(uid);
                    } else {
                        judge(uid, entry);
                        ++progress.verified;
                    }
                }
                account_.observer.progress(account_.index, progress);
            }
            for (const std::uint32_t uid : open.front()->uids) sink.release(uid);
            open.pop_front();
        }
        if (error) co_return std::unexpected(std::move(*error));
        if (!unread.empty() && !account_.stopping()) co_return co_await stream(unread, true);
        co_return Result<void>{};
    }

    void judge(std::uint32_t uid, const ContentSink::Entry* entry) {
        const auto claim = by_uid_.find(uid);
        if (claim == by_uid_.end()) {
            if (entry == nullptr) return;
            const Sha256 content = dedup::content_hash(entry->message_id, entry->sha256);
            const Meta& meta = *find_meta(there_, uid);
            found_[content].emplace(dedup::message_leaf(content, date_of(meta), flags_now(meta)),
                                    uid);
            return;
        }
        ++counts_.bodies;
        ++counts_.sampled;
        if (entry == nullptr) {
            verdicts_.tell(Difference::Kind::different, 0, uid,
                           "the destination lists this message but does not hand it out");
            return;
        }
        if (dedup::content_hash(entry->message_id, entry->sha256) != claim->second->content) {
            ++counts_.sampled_altered;
            verdicts_.tell(Difference::Kind::altered, 0, uid,
                           "the octets are not those that were proved (" +
                               printable(entry->message_id, 256) + ")",
                           1, report::Alteration::other);
            return;
        }
        judge_state(*claim->second, uid);
    }

    static std::int64_t date_of(const Meta& meta) {
        return meta.has_date ? meta.date : dedup::kNoDate;
    }
    std::string flags_now(const Meta& meta) const {
        return dedup::proof_flags(words_of(flags_.at(meta.flags)));
    }

    /// The content is what was proved: date and flags.
    void judge_state(const ProvedMessage& message, std::uint32_t uid) {
        const Meta& meta = *find_meta(there_, uid);
        const std::string now = flags_now(meta);
        const std::string& then = proved_.flags[message.flags];
        std::string text;
        if (date_of(meta) != message.date) {
            text = "INTERNALDATE differs from that proved, " + date_text(message.date);
        } else if (now != then) {
            const auto shown = [](const std::string& set) {
                return set.empty() ? std::string("none") : printable(set, 256);
            };
            text = "flags differ: " + shown(then) + " when proved, now " + shown(now);
        }
        if (text.empty()) {
            ++counts_.equal;
        } else {
            verdicts_.tell(Difference::Kind::different, 0, uid, std::move(text));
        }
    }

    /// Another UID and the same content is the same message: moved away and back, or the mailbox
    /// was made anew. Among duplicates those that are as they were come first: one that took the
    /// place of another would make both look different.
    void settle_lost(const std::vector<const ProvedMessage*>& lost, std::size_t free) {
        std::vector<const ProvedMessage*> changed;
        for (const ProvedMessage* message : lost) {
            if (!take_found(*message, true)) changed.push_back(message);
        }
        for (const ProvedMessage* message : changed) {
            if (take_found(*message, false)) continue;
            verdicts_.tell(Difference::Kind::missing, 0, message->uid,
                           "gone; when proved it had this UID and the INTERNALDATE " +
                               date_text(message->date));
        }
        counts_.extra += free - refound_;
    }

    /// `unchanged`: date and flags, too.
    bool take_found(const ProvedMessage& message, bool unchanged) {
        const auto alike = found_.find(message.content);
        if (alike == found_.end() || alike->second.empty()) return false;
        auto place = alike->second.begin();
        if (unchanged) {
            place = alike->second.find(
                dedup::message_leaf(message.content, message.date, proved_.flags[message.flags]));
            if (place == alike->second.end()) return false;
        }
        const std::uint32_t uid = place->second;
        alike->second.erase(place);
        ++refound_;
        ++counts_.bodies;
        ++counts_.sampled;
        judge_state(message, uid);
        return true;
    }

    static std::string date_text(std::int64_t date) {
        return date == dedup::kNoDate ? std::string("none") : imap::format_date_time(date, 0);
    }

    Account& account_;
    Sessions& sessions_;
    Repeats& repeats_;
    const MailboxProof& proved_;
    report::VerifyCounts counts_;
    Verdicts verdicts_;
    FlagTable flags_;
    std::vector<Meta> there_;
    std::map<std::uint32_t, const ProvedMessage*> by_uid_;
    /// Unclaimed messages by content, then by leaf.
    std::map<Sha256, std::multimap<Sha256, std::uint32_t>> found_;
    std::size_t refound_ = 0;
    bool judged_ = true;
};

bool selected(const NameOptions& names, const std::string& mailbox) {
    const auto matches = [&](const std::vector<std::string>& globs) {
        return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
            return glob_match_mailbox(glob, mailbox);
        });
    };
    return !matches(names.exclude) && (names.include.empty() || matches(names.include));
}

}  // namespace

Task<void> verify_against(Account& account, Sessions& sessions, const AccountProof& proof) {
    std::vector<const MailboxProof*> boxes;
    for (const MailboxProof& box : proof.mailboxes) {
        if (selected(account.options.names, box.mailbox)) boxes.push_back(&box);
    }
    account.summary.mailboxes.total = boxes.size();
    account.observer.account_listed(account.index, boxes.size());
    Repeats repeats(account, sessions);
    for (const MailboxProof* box : boxes) {
        if (account.stopping()) break;
        account.summary.messages.source += box->messages.size();
        Against against(account, sessions, repeats, *box);
        const bool there = !box->destination.empty() && account.destination.holds(box->destination);
        auto done =
            co_await against.run(there ? account.destination.find(box->destination) : nullptr);
        if (!done) co_return account.give_up(std::move(done).error(), Side::destination);
    }
}

}  // namespace imapult::replica
