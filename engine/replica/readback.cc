// OK is no proof: what was appended is read back, size and flags, one UID FETCH for each finished
// mailbox. What is not as it was sent is compared with its original, octet by octet, and told by
// kind and count; what is not whole counts as refused.

#include "engine/replica/readback.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/base/text.h"
#include "engine/replica/lane.h"
#include "engine/replica/verify.h"
#include "engine/replica/verify_kind.h"

namespace imapult::replica {
namespace {

constexpr std::size_t kHeaderOctetsMax = 64 * 1024;  ///< looked at for 8-bit octets
constexpr std::uint64_t kOddLookedAt = 32;  ///< of a kind and account, as long as none is altered
constexpr std::size_t kSmallerMax = 512;    ///< of a mailbox: suspected of being cut
constexpr std::size_t kLargerMax = 64;      ///< … of being changed
constexpr std::string_view kReadBack = "hand out what it took";

/// Takes UID FETCH … (RFC822.SIZE FLAGS) of messages we know.
class BackSink final : public session::Sink {
  public:
    /// `appended` is sorted by destination UID.
    BackSink(std::vector<Appended>& appended, Job& job) : appended_(&appended), job_(&job) {}

    bool on_untagged(const imap::Event& event) override {
        const auto* fetch = std::get_if<imap::Fetch>(&event);
        if (fetch == nullptr) {
            return std::holds_alternative<imap::Exists>(event) ||
                   std::holds_alternative<imap::Recent>(event) ||
                   std::holds_alternative<imap::Expunge>(event) ||
                   std::holds_alternative<imap::Vanished>(event);
        }
        // Flags alone are news, and no answer.
        if (!fetch->uid || !fetch->size) return true;
        // Several where the destination merges equal messages.
        while (Appended* message = find(*fetch->uid)) take(*message, *fetch);
        return true;
    }

  private:
    void take(Appended& message, const imap::Fetch& fetch) {
        message.seen = true;
        message.size_there =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(*fetch.size, UINT32_MAX));
        if (fetch.flags && !message.earlier)
            note_lost(*job_, job_->sent_flags.at(message.flags), parse_flags(*fetch.flags));
    }
    /// They come in order, nearly always. Each is found once.
    Appended* find(std::uint32_t uid) {
        if (next_ >= appended_->size() || (*appended_)[next_].destination_uid != uid) {
            const auto at = std::lower_bound(
                appended_->begin(), appended_->end(), uid,
                [](const Appended& a, std::uint32_t u) { return a.destination_uid < u; });
            if (at == appended_->end() || at->destination_uid != uid || at->seen) return nullptr;
            next_ = static_cast<std::size_t>(at - appended_->begin());
        }
        return &(*appended_)[next_++];
    }
    std::vector<Appended>* appended_;
    Job* job_;
    std::size_t next_ = 0;
};

void tell_uncompared(Account& account, const Job& job, std::size_t messages) {
    if (messages == 0) return;
    account.notice(printable(job.display), report::NoticeKind::other,
                   std::to_string(messages) +
                       " messages that the destination may have altered could not be compared with "
                       "their originals; `imapult verify --depth content` tells whether they are "
                       "whole");
}

}  // namespace

void Lane::read_back_earlier(Job& job, const std::vector<Appended>& copied) {
    if (account_->options.trust || account_->options.dry_run) return;
    std::set<std::uint32_t> known;
    for (const Appended& appended : job.appended) known.insert(appended.source_uid);
    for (const Appended& appended : job.suspects) known.insert(appended.source_uid);
    for (const Appended& appended : copied) {
        if (!known.contains(appended.source_uid)) job.appended.push_back(appended);
    }
}

std::string listed(const std::set<std::string>& words) {
    std::string list;
    for (const std::string& word : words) {
        if (!list.empty()) list += ' ';
        list += printable(word, 64);
        if (list.size() > 300) return list + " …";
    }
    return list;
}

void note_lost(Job& job, const Flags& sent, const Flags& there) {
    if (sent == there) return;
    const Flags lost = minus(sent, there);
    if (is_empty(lost)) return;
    ++job.flags_lost;
    for (const std::string_view word : words_of(lost)) job.lost_words.emplace(word);
}

std::uint8_t oddities_of(std::string_view message) {
    std::uint8_t odd = 0;
    if (message.find('\0') != std::string_view::npos) odd |= kOddNul;
    std::size_t end = message.find("\r\n\r\n");
    end = std::min({end, message.size(), kHeaderOctetsMax});
    unsigned char any = 0;
    for (const char c : message.substr(0, end)) any |= static_cast<unsigned char>(c);
    if ((any & 0x80) != 0) odd |= kOddHeader;
    return odd;
}

void tell_unexamined(Account& account) {
    const auto tell = [&account](const Account::Faith& faith, const char* kind) {
        if (faith.altered == 0 || faith.met == faith.looked_at) return;
        account.notice("", report::NoticeKind::message_altered,
                       "of " + std::to_string(faith.met) + " messages with " + kind + " " +
                           std::to_string(faith.looked_at) + " were looked at and " +
                           std::to_string(faith.altered) +
                           " of these were altered; expect the same of the others (`imapult verify "
                           "--depth content` names them)");
    };
    tell(account.faith_nul, "NULs");
    tell(account.faith_header, "8-bit headers");
}

void Lane::note_appended(Job& job, const Group& group, const Group::Item& item,
                         std::uint32_t destination_uid) {
    Flags sent = allowed(job.flags.at(job.todo[item.meta].flags), job.allowed, nullptr);
    if (group.care >= Care::no_keywords) sent.keywords.clear();
    if (group.care >= Care::bare) sent.system = 0;
    Appended appended;
    appended.source_uid = item.uid;
    appended.destination_uid = destination_uid;
    appended.told = destination_uid != 0;
    const std::uint64_t octets = group.repairs != 0 ? group.sent : item.size;
    appended.size = static_cast<std::uint32_t>(std::min<std::uint64_t>(octets, UINT32_MAX));
    appended.flags = job.sent_flags.intern(sent);
    appended.odd = item.odd;
    job.appended.push_back(appended);
}

/// Of one mailbox, when everything of it has been answered.
Task<Result<void>> Lane::read_back(Job& job) {
    std::vector<Appended> appended = std::exchange(job.appended, {});
    const std::size_t all = appended.size();
    std::erase_if(appended, [](const Appended& a) { return a.destination_uid == 0; });
    if (appended.size() < all) {
        account_->notice(
            printable(job.display), report::NoticeKind::capability,
            std::to_string(all - appended.size()) +
                " messages could not be read back: the destination does not tell their "
                "UIDs (UIDPLUS), and others write into the mailbox");
    }
    if (appended.empty()) co_return Result<void>{};
    std::sort(appended.begin(), appended.end(), [](const Appended& a, const Appended& b) {
        return a.destination_uid < b.destination_uid;
    });
    // What was listed to learn its UID has been seen already (finish.cc).
    const bool all_seen = std::ranges::all_of(appended, &Appended::seen);
    Result<void> asked;
    if (!all_seen) asked = co_await ask_back(job, appended);
    if (!asked) {
        // The next attempt does it.
        job.appended.insert(job.appended.end(), appended.begin(), appended.end());
        co_return asked;
    }
    if (job.flags_lost > 0) {
        account_->notice(printable(job.display), report::NoticeKind::keywords_dropped,
                         std::to_string(std::exchange(job.flags_lost, 0)) +
                             " messages came without flags although the destination said OK to "
                             "them: " +
                             listed(std::exchange(job.lost_words, {})));
    }
    judge_back(job, appended);
    co_return Result<void>{};
}

/// Where suspects are whose UIDs were not told: mailutils gives some others to each session.
Task<Result<void>> Lane::find_again(Job& job, std::vector<Appended>& suspects) {
    if (std::ranges::all_of(suspects, &Appended::told)) co_return Result<void>{};
    const std::uint32_t floor = std::max(job.destination_uid_next, 1U);
    FlagTable unused;
    MetaSink metas(floor, UINT32_MAX, unused);
    imap::FetchItems items;
    items.size = true;
    auto fetch = imap::source::uid_fetch(imap::UidSet(floor, UINT32_MAX - 1), items, std::nullopt,
                                         destination_->encoding());
    if (!fetch) co_return std::unexpected(std::move(fetch).error());
    auto reply = co_await destination_->execute(std::move(*fetch), &metas);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    if (auto later = throttled(*reply, destination_->connection().peer(), kReadBack))
        co_return std::unexpected(std::move(*later));
    const std::vector<Meta> there = metas.take();
    if (there.size() != job.placed) co_return Result<void>{};
    for (Appended& a : suspects) {
        if (!a.told) a.destination_uid = there[a.place].uid;
    }
    co_return Result<void>{};
}

Task<Result<void>> Lane::ask_back(Job& job, std::vector<Appended>& appended) {
    SelectSink selected;
    BackSink back(appended, job);
    auto examine = imap::source::examine(job.place.name, {}, destination_->encoding());
    if (!examine) co_return std::unexpected(std::move(examine).error());
    imap::UidSet uids;
    for (const Appended& a : appended) uids.add(a.destination_uid);
    imap::FetchItems items;
    items.size = items.flags = true;
    std::vector<session::Ticket> tickets;
    tickets.push_back(destination_->start(std::move(*examine), &selected));
    for (const imap::UidSet& set : uids.split(destination_->set_bytes_max(), 0)) {
        auto fetch = imap::source::uid_fetch(set, items, std::nullopt, destination_->encoding());
        if (fetch) tickets.push_back(destination_->start(std::move(*fetch), &back));
    }
    // A selected mailbox makes appending dearer.
    const std::size_t fetches = tickets.size();
    if (destination_->capabilities().has("UNSELECT"))
        tickets.push_back(destination_->start(imap::source::unselect()));
    std::optional<Error> error;
    bool refused = false;
    for (std::size_t i = 0; i < tickets.size(); ++i) {
        auto reply = co_await destination_->finish(tickets[i]);
        if (!reply && !error) error = std::move(reply).error();
        if (!reply || reply->ok() || i >= fetches) continue;
        refused = true;
        if (!error) error = throttled(*reply, destination_->connection().peer(), kReadBack);
    }
    if (error) co_return std::unexpected(std::move(*error));
    const bool replaced =
        selected.uid_validity && *selected.uid_validity != job.destination_uid_validity;
    if (refused || replaced) {
        account_->notice(printable(job.display), report::NoticeKind::other,
                         "the destination did not let its copies be read back; `imapult verify` "
                         "tells whether they are whole");
        for (Appended& a : appended) a.seen = true, a.size_there = a.size, a.odd = 0;
    }
    co_return Result<void>{};
}

/// Whose octets are to be looked at.
void Lane::judge_back(Job& job, const std::vector<Appended>& appended) {
    std::size_t smaller = 0, larger = 0, passed_over = 0;
    const auto worth = [](Account::Faith& faith) {
        ++faith.met;
        if (faith.looked_at >= kOddLookedAt && faith.altered == 0) return false;
        ++faith.looked_at;
        return true;
    };
    for (const Appended& a : appended) {
        bool suspect = !a.seen;
        if (a.seen && a.size_there != a.size && !account_->sizes_are_estimates) {
            std::size_t& count = a.size_there < a.size ? smaller : larger;
            suspect = ++count <= (a.size_there < a.size ? kSmallerMax : kLargerMax);
            passed_over += suspect ? 0 : 1;
        }
        if (!suspect && (a.odd & kOddNul) != 0) suspect = worth(account_->faith_nul);
        if (!suspect && (a.odd & kOddHeader) != 0) suspect = worth(account_->faith_header);
        if (suspect) job.suspects.push_back(a);
    }
    if (passed_over > 0) {
        account_->notice(printable(job.display), report::NoticeKind::size_mismatch,
                         std::to_string(passed_over) +
                             " more messages have another size at the destination than was sent; "
                             "`imapult verify --depth content` tells why");
    }
}

/// The source has the mailbox open.
Task<void> Lane::examine_suspects(std::shared_ptr<Job> job) {
    std::vector<Appended> suspects = job->suspects;
    for (const Appended& a : job->suspects) {
        if (a.seen || a.earlier || stopped()) continue;
        co_await disown(*job, a.source_uid, false,
                        "the destination said OK to this message and does not show it (moved or "
                        "deleted there meanwhile?); --retry-refused sends it again");
    }
    std::erase_if(suspects, [](const Appended& a) { return !a.seen; });
    while (!suspects.empty() && !stopped()) {
        co_await account_->quiet(Side::source);
        co_await account_->quiet(Side::destination);
        co_await select_lock_.take(1);
        auto compared = co_await compare_suspects(*job, suspects);
        select_lock_.give(1);
        if (compared) break;
        Error why = std::move(compared).error();
        if (!may_wait(*job, why, waiting_for_destination_)) {
            if (why.scope < Scope::connection) why.scope = Scope::connection;
            fail(std::move(why), std::nullopt);
            break;
        }
        // Either of them may have asked.
        (void)waiting_for_destination_.put_off(why, Side::destination);
        Nanos& here = account_->quiet_until(Side::source);
        here = std::max(here, account_->quiet_until(Side::destination));
    }
    // After an error the next attempt looks at them again.
    if (!stopped()) job->suspects.clear();
}

Task<Result<void>> Lane::compare_suspects(Job& job, std::vector<Appended> suspects) {
    SelectSink selected;
    auto examine = imap::source::examine(job.place.name, {}, destination_->encoding());
    if (!examine) co_return std::unexpected(std::move(examine).error());
    auto opened = co_await destination_->execute(std::move(*examine), &selected);
    if (!opened) co_return std::unexpected(std::move(opened).error());
    if (auto later = throttled(*opened, destination_->connection().peer(), kReadBack))
        co_return std::unexpected(std::move(*later));
    if (!opened->ok()) {
        tell_uncompared(*account_, job, suspects.size());
        co_return Result<void>{};
    }
    auto again = co_await find_again(job, suspects);
    if (!again) co_return again;
    Comparison comparison;
    std::vector<std::size_t> chosen;
    for (const Appended& a : suspects) {
        comparison.here.push_back({.uid = a.source_uid, .size = a.size});
        comparison.there.push_back({.uid = a.destination_uid, .size = a.size_there});
        chosen.push_back(comparison.pairs.size());
        Paired pair;
        pair.source_uid = a.source_uid;
        pair.destination_uid = a.destination_uid;
        comparison.pairs.push_back(pair);
    }
    const auto by_uid = [](const Meta& a, const Meta& b) { return a.uid < b.uid; };
    std::sort(comparison.here.begin(), comparison.here.end(), by_uid);
    std::sort(comparison.there.begin(), comparison.there.end(), by_uid);
    std::sort(comparison.pairs.begin(), comparison.pairs.end(),
              [](const Paired& a, const Paired& b) { return a.source_uid < b.source_uid; });
    BodyComparison bodies(*account_, *source_, *destination_, comparison, false);
    bodies.tells_progress = false;
    bodies.waits = false;  // the lane does, and others may take the connection meanwhile
    auto compared = co_await bodies.run(std::move(chosen));
    if (!compared) co_return compared;
    if (destination_->capabilities().has("UNSELECT")) {
        auto left = co_await destination_->execute(imap::source::unselect());
        if (!left) co_return std::unexpected(std::move(left).error());
    }
    report::AlterationCounts counts{};
    std::uint64_t altered = 0;
    std::size_t uncompared = 0;
    for (const Appended& a : suspects) {
        const auto found = bodies.verdicts.find(a.source_uid);
        if (found == bodies.verdicts.end()) {
            // Whole, whatever the destination says of its size.
            if (a.size != a.size_there) account_->sizes_are_estimates = true;
            continue;
        }
        // Those that nobody could look into: line ends explain less than that.
        const bool unread = found->second.unread;
        const bool unexamined =
            a.size > kExaminedBytesMax || (unread && !account_->sizes_are_estimates);
        const bool far_smaller = unexamined && a.size_there < a.size - a.size / 16;
        if (found->second.by == report::Alteration::truncated || far_smaller) {
            co_await disown(job, a.source_uid, true,
                            "the destination said OK to this message and kept " +
                                std::to_string(a.size_there) + " of its " + std::to_string(a.size) +
                                " octets");
            continue;
        }
        if (unread) {
            ++uncompared;
            continue;
        }
        ++altered;
        ++counts.at(static_cast<std::size_t>(found->second.by));
        if ((a.odd & kOddNul) != 0) ++account_->faith_nul.altered;
        if ((a.odd & kOddHeader) != 0) ++account_->faith_header.altered;
    }
    tell_uncompared(*account_, job, uncompared);
    if (altered > 0) {
        account_->notice(printable(job.display), report::NoticeKind::message_altered,
                         std::to_string(altered) + " messages were altered by the destination: " +
                             report::words_of(counts));
    }
    co_return Result<void>{};
}

/// The message is not there whole after all: it is listed like one that was refused. The record of
/// one that was cut stays, so that it is never sent a second time; without one, --retry-refused
/// sends it again.
Task<void> Lane::disown(Job& job, std::uint32_t source_uid, bool keep_record, std::string reason) {
    dedup::Ledger& ledger = account_->ledger;
    const dedup::MailboxId id = job.record.id;
    Error error{Code::protocol,   Scope::message, Retry::never, Outcome::not_done, {},
                std::move(reason)};
    (void)co_await account_->writer.drain();
    auto records = co_await account_->read_ledger(
        [&ledger, id, source_uid] { return ledger.messages(id, source_uid, source_uid); });
    if (records && !records->empty()) {
        dedup::MessageRecord record = records->front();
        if (record.state != dedup::MessageState::refused && job.copied > 0) --job.copied;
        record.state = dedup::MessageState::refused;
        dedup::Batch batch;
        if (keep_record) {
            batch.put_message(id, record);
        } else {
            batch.erase_message(id, source_uid);
        }
        // An attempt that ends before the message is listed must not forget it.
        dedup::Refusal refusal = refusal_of(job, source_uid, error);
        refusal.tries = 0;
        batch.put_refusal(account_->id, refusal);
        account_->refusals[{id, source_uid}] = std::move(refusal);
        account_->writer.commit(std::move(batch));
    }
    job.hopeless.emplace_back(source_uid, std::move(error));
}

}  // namespace imapult::replica
