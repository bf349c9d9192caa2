#include "engine/replica/survey.h"

#include <algorithm>
#include <array>
#include <deque>
#include <iterator>
#include <set>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/replica/sinks.h"
#include "engine/replica/survey_sinks.h"

namespace imapult::replica {
namespace {

/// From so many messages on flag sets are cheaper than a line for each message.
constexpr std::uint32_t kSetsFrom = 100;
constexpr std::size_t kKeywordSearchesMax = 24;
/// More ranges than these are looked up in one go over the whole mailbox.
constexpr std::size_t kRangesLookedUpMax = 200;

/// How changed flags of older messages are found.
enum class Way : std::uint8_t {
    none,     ///< nothing older, or nothing of it has changed
    qresync,  ///< EXAMINE (QRESYNC …) tells all (RFC 7162 §3.2.5)
    modseq,   ///< UID FETCH … (CHANGEDSINCE …)
    sets,     ///< UID SEARCH for each flag
    listing,  ///< UID FETCH of all flags
};

/// In rising order, so that each range costs nothing to add.
imap::UidSet united(const imap::UidSet& a, const imap::UidSet& b) {
    std::vector<imap::UidSet::Range> ranges = a.ranges();
    ranges.insert(ranges.end(), b.ranges().begin(), b.ranges().end());
    std::sort(ranges.begin(), ranges.end(),
              [](const auto& x, const auto& y) { return x.first < y.first; });
    imap::UidSet out;
    for (const auto& range : ranges) out.add(range.first, range.last);
    return out;
}

/// MESSAGELIMIT (RFC 9738): a command has come down to a UID.
imap::UidSet below(const imap::UidSet& set, std::uint64_t reached) {
    imap::UidSet out;
    for (const auto& range : set.ranges()) {
        if (range.first >= reached) break;
        out.add(range.first,
                static_cast<std::uint32_t>(std::min<std::uint64_t>(range.last, reached - 1)));
    }
    return out;
}

/// What the ledger says to what the server said.
struct Compared {
    std::vector<dedup::MessageRecord> gone;  ///< recorded, and no longer there
    std::vector<dedup::MessageRecord> back;  ///< recorded as gone, and there
    std::vector<std::uint32_t> unknown;      ///< there, and not recorded
    std::vector<std::uint32_t> other_flags;  ///< by the flag sets
};

/// What is gone here may have arrived elsewhere.
void note_leavers(Account& account, const std::shared_ptr<Job>& job) {
    for (const dedup::MessageRecord& record : job->survey.gone) {
        // What did not arrive whole is fetched again.
        const bool refused = record.state == dedup::MessageState::refused;
        if (record.destination_uid == 0 || refused) continue;
        account.leavers.emplace(record.size, std::make_shared<Leaver>(job, record));
    }
}

/// A mailbox that LIST does not show any more: gone if STATUS knows nothing of it either.
Task<Result<void>> survey_orphan(Account& account, Session& source, std::shared_ptr<Job> job) {
    class Ignore final : public session::Sink {
        bool on_untagged(const imap::Event& event) override {
            return std::holds_alternative<imap::StatusData>(event);
        }
    } ignore;
    auto status = imap::source::status(job->source_name, {}, source.encoding());
    if (!status) co_return std::unexpected(std::move(status).error());
    auto reply = co_await source.execute(std::move(*status), &ignore);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    job->survey.done = true;
    const bool later =
        !reply->ok() &&
        session::refusal(*reply, source.connection().peer(), "tell").retry == Retry::later;
    const bool unknown_there = reply->code == imap::ResponseCode::none ||
                               reply->code == imap::ResponseCode::nonexistent ||
                               reply->code == imap::ResponseCode::try_create;
    const bool always_there = equal_ignoring_case(job->source_name, "INBOX");  // RFC 9051 §5.1
    if (reply->condition != imap::Condition::no || later || !unknown_there || always_there) {
        job->survey.unsure = true;
        co_return Result<void>{};
    }
    dedup::Ledger& ledger = account.ledger;
    const dedup::MailboxId id = job->record.id;
    auto records =
        co_await account.read_ledger([&ledger, id] { return ledger.messages(id, 1, UINT32_MAX); });
    if (!records) co_return std::unexpected(std::move(records).error());
    auto intents = co_await account.read_ledger([&ledger, id] { return ledger.intents(id); });
    if (!intents) co_return std::unexpected(std::move(intents).error());
    dedup::Batch batch;
    // What may have landed unheard of is nobody's copy any more: it stays where it is.
    for (const dedup::Intent& intent : *intents) batch.erase_intent(id, intent.sequence);
    if (!account.options.dry_run) account.forget_refusals(id, batch);
    for (dedup::MessageRecord& record : *records) {
        if (record.gone) continue;
        if (record.state == dedup::MessageState::represented) {
            batch.erase_message(id, record.source_uid);
            continue;
        }
        record.gone = true;
        batch.put_message(id, record);
        job->survey.gone.push_back(std::move(record));
    }
    job->record.gone += static_cast<std::uint32_t>(job->survey.gone.size());
    job->record.source_messages = 0;
    job->record.complete = true;
    job->record.source_uid_next = std::max(job->record.source_uid_next, 1U);
    batch.put_mailbox(job->record);
    if (!account.options.dry_run) account.writer.commit(std::move(batch));
    note_leavers(account, job);
    co_return Result<void>{};
}

class MailboxSurvey {
  public:
    MailboxSurvey(Account& account, Session& source, std::shared_ptr<Job> job)
        : account_(account),
          source_(source),
          job_(std::move(job)),
          base_(std::max(job_->record.source_uid_next, 1U)),
          last_(job_->uid_next > 0 ? job_->uid_next - 1 : UINT32_MAX) {}

    Task<Result<void>> run() {
        choose_way();
        note_refused();
        if (way_ == Way::sets) {
            auto words = co_await learn_keywords();
            if (!words) co_return words;
        }
        while (true) {
            auto asked = co_await ask();
            if (!asked) co_return asked;
            if (!again_otherwise_) break;
            again_otherwise_ = false;
        }
        if (way_ == Way::sets) {
            auto more = co_await ask_new_keywords();
            if (!more) co_return more;
        }
        fresh_ = sink_->fresh.take();
        changed_ = sink_->older.take();
        auto compared = co_await compare();
        if (!compared) co_return compared;
        if (!agrees()) {
            auto second = co_await look_again();
            if (!second) co_return second;
            if (sure_) compared = co_await compare();
            if (!compared) co_return compared;
            auto listed = co_await list_by_name();
            if (!listed) co_return listed;
        }
        auto confirmed = co_await confirm();
        if (!confirmed) co_return confirmed;
        co_return settle();
    }

  private:
    [[nodiscard]] const imap::CapabilitySet& can() const { return source_.capabilities(); }
    [[nodiscard]] bool searches() const { return !account_.search_refused; }
    [[nodiscard]] const dedup::MailboxRecord& record() const { return job_->record; }

    void choose_way() {
        // One that went back (an index made anew, a backup put back) says nothing of flags.
        const bool by_modseq = record().source_highest_modseq > 0 &&
                               job_->highest_modseq >= record().source_highest_modseq;
        if (base_ <= 1 || record().source_messages == 0) {
            way_ = Way::none;
        } else if (job_->messages == 0 && job_->uid_next > 0) {
            way_ = Way::none;
            members_.emplace();  // nobody
            return;
        } else if (by_modseq && record().source_highest_modseq == job_->highest_modseq) {
            way_ = Way::none;
        } else if (by_modseq) {
            const bool vanished = can().has("QRESYNC") && can().has("ENABLE") &&
                                  !can().has("XAPPLELITERAL") && !account_.qresync_refused &&
                                  job_->uid_validity != 0 && !has_label_keywords();
            way_ = vanished ? Way::qresync : Way::modseq;
        } else {
            const bool sets =
                searches() && record().source_messages >= kSetsFrom && !has_label_keywords();
            way_ = sets ? Way::sets : Way::listing;
        }
        // The numbers of LIST-STATUS prove that nothing is gone if every new UID is there.
        const std::uint64_t new_uids = job_->uid_next > base_ ? job_->uid_next - base_ : 0;
        const bool all_there =
            job_->uid_next > 0 && job_->messages == record().source_messages + new_uids;
        wants_members_ = (way_ == Way::none || way_ == Way::modseq) && !all_there &&
                         record().source_messages > 0;
    }

    /// What was refused in earlier passes, below the checkpoint, and of that what is tried again.
    void note_refused() {
        const dedup::MailboxId id = record().id;
        for (auto at = account_.refusals.lower_bound({id, 0});
             at != account_.refusals.end() && at->first.first == id; ++at) {
            if (at->first.second >= base_) break;
            refused_.push_back(at->first.second);
            if (account_.tries_again(at->second)) retried_.push_back(at->first.second);
        }
    }

    /// The words that older messages carry as far as we know.
    Task<Result<void>> learn_keywords() {
        dedup::Ledger& ledger = account_.ledger;
        const dedup::MailboxId id = record().id;
        const std::uint32_t last = base_ - 1;
        auto words = co_await account_.read_ledger(
            [&ledger, id, last]() -> Result<std::set<std::string, std::less<>>> {
                std::set<std::string, std::less<>> found;
                auto visited =
                    ledger.visit_messages(id, 1, last, [&](const dedup::MessageRecord& message) {
                        if (message.base.keywords.empty() || message.gone) return true;
                        for (const std::string_view word : words_of(message.base)) {
                            if (word.front() != '\\') found.emplace(word);
                        }
                        return found.size() <= kKeywordSearchesMax;
                    });
                if (!visited) return std::unexpected(std::move(visited).error());
                return found;
            });
        if (!words) co_return std::unexpected(std::move(words).error());
        keywords_ = std::move(*words);
        if (keywords_.size() > kKeywordSearchesMax) way_ = Way::listing;
        co_return Result<void>{};
    }

    void add_search(std::string key, std::uint32_t last) {
        auto command = imap::source::uid_search(imap::UidSet(1, last), key, can().has("ESEARCH"),
                                                source_.encoding());
        if (!command) return;  // a keyword that cannot be said is no keyword of ours
        SearchSink& search = searches_.emplace_back(*sink_);
        search.key = std::move(key);
        search.ticket = source_.start(std::move(*command), &search);
    }
    void add_fetch(const imap::UidSet& set, const imap::FetchItems& items,
                   std::optional<std::uint64_t> since) {
        auto fetch = imap::source::uid_fetch(set, items, since, source_.encoding());
        if (fetch)
            fetches_.push_back({set, items, since, source_.start(std::move(*fetch), sink_.get())});
    }
    [[nodiscard]] imap::FetchItems metadata() const { return metadata_items(account_, can()); }
    /// With Gmail's labels where they are flags at the destination.
    [[nodiscard]] imap::FetchItems flags_only() const {
        imap::FetchItems items;
        items.flags = true;
        items.gm_labels = has_label_keywords();
        return items;
    }
    [[nodiscard]] bool has_label_keywords() const {
        return job_->labels && job_->labels->labels->as_keywords();
    }
    [[nodiscard]] const LabelView* view() const { return job_->labels ? &*job_->labels : nullptr; }

    Result<void> open(bool with_vanished) {
        sink_ = std::make_unique<SurveySink>(base_, last_, job_->flags, retried_, view());
        searches_.clear();
        fetches_.clear();
        imap::source::ExamineOptions how;
        how.condstore = can().has("CONDSTORE") || can().has("QRESYNC");
        // What is new is asked for anyway.
        if (with_vanished)
            how.qresync = {job_->uid_validity, record().source_highest_modseq, base_ - 1};
        auto examine = imap::source::examine(job_->source_name, how, source_.encoding());
        if (!examine) return std::unexpected(std::move(examine).error());
        sink_->opened = source_.start(std::move(*examine), sink_.get());
        return {};
    }

    /// Waits for everything asked since open(): no sink is left behind. False in `searched`: the
    /// server did not answer a SEARCH with OK.
    Task<Result<void>> answers(bool& searched) {
        auto opened = co_await source_.finish(sink_->opened);
        std::optional<Error> error;
        for (std::size_t first = 0; first < fetches_.size();) {
            std::vector<Fetch> rests;
            for (; first < fetches_.size(); ++first) {
                auto reply = co_await source_.finish(fetches_[first].ticket);
                if (!reply) {
                    if (!error) error = std::move(reply).error();
                } else if (!reply->ok() && !error) {
                    Error refused =
                        session::refusal(*reply, source_.connection().peer(),
                                         "list the messages of " + printable(job_->display));
                    if (!may_be_refused_ || refused.retry == Retry::later)
                        error = std::move(refused);
                } else if (reply->code == imap::ResponseCode::message_limit) {
                    const Fetch& cut = fetches_[first];
                    const auto reached = parse_number(reply->uid_set);
                    const imap::UidSet rest = reached ? below(cut.set, *reached) : imap::UidSet();
                    if (rest != cut.set && !rest.empty())
                        rests.push_back({rest, cut.items, cut.since, {}});
                }
            }
            if (rests.empty() || error || !opened || !opened->ok()) break;
            // Meanwhile other mailboxes may have been opened on this connection.
            auto examine = imap::source::examine(job_->source_name, {}, source_.encoding());
            if (!examine) {
                error = std::move(examine).error();
                break;
            }
            session::Ticket reopening = source_.start(std::move(*examine), sink_.get());
            for (const Fetch& rest : rests) add_fetch(rest.set, rest.items, rest.since);
            auto reopened = co_await source_.finish(reopening);
            if (!reopened) {
                error = std::move(reopened).error();
            } else if (!reopened->ok()) {
                error = session::refusal(*reopened, source_.connection().peer(),
                                         "open the mailbox " + printable(job_->display));
            }
        }
        searched = true;
        for (SearchSink& search : searches_) {
            auto reply = co_await source_.finish(search.ticket);
            if (!reply) {
                if (!error) error = std::move(reply).error();
            } else if (reply->code == imap::ResponseCode::message_limit) {
                searched = false;  // a part of them
            } else if (!reply->ok()) {
                searched = false;
                const Error refused =
                    session::refusal(*reply, source_.connection().peer(), "search");
                if (refused.retry == Retry::later && !error) error = refused;
            }
        }
        if (!opened) co_return std::unexpected(std::move(opened).error());
        if (!opened->ok()) {
            refused_to_open_ = opened->condition;
            co_return std::unexpected(
                session::refusal(*opened, source_.connection().peer(),
                                 "open the mailbox " + printable(job_->display)));
        }
        if (error) co_return std::unexpected(std::move(*error));
        if (sink_->uid_validity && *sink_->uid_validity != job_->uid_validity) {
            co_return ::imapult::fail(
                Code::unavailable, Scope::mailbox, Retry::never,
                "the mailbox was replaced (UIDVALIDITY) while it was being read; run again");
        }
        co_return Result<void>{};
    }

    /// The first write: the mailbox is opened, and all that may have changed is asked for.
    Task<Result<void>> ask() {
        auto begun = open(way_ == Way::qresync);
        if (!begun) co_return begun;
        if (last_ >= base_ && (job_->messages > 0 || job_->uid_next == 0))
            add_fetch(imap::UidSet(base_, last_), metadata(), std::nullopt);
        if (way_ == Way::modseq)
            add_fetch(imap::UidSet(1, base_ - 1), flags_only(), record().source_highest_modseq);
        if (way_ == Way::listing) add_fetch(imap::UidSet(1, base_ - 1), flags_only(), std::nullopt);
        for (const imap::UidSet& set : uid_sets(source_, retried_, 0))
            add_fetch(set, metadata(), std::nullopt);
        if (way_ == Way::sets) {
            for (const char* key : {"SEEN", "UNSEEN", "FLAGGED", "ANSWERED", "DELETED", "DRAFT"})
                add_search(key, base_ - 1);
            for (const std::string& word : keywords_)
                add_search(std::string(kKeywordKey) + word, base_ - 1);
        } else if (wants_members_) {
            add_search("ALL", base_ - 1);
        }
        bool searched = true;
        auto answered = co_await answers(searched);
        if (!answered) {
            if (way_ != Way::qresync || refused_to_open_ != imap::Condition::bad)
                co_return answered;
            account_.qresync_refused = true;
            refused_to_open_.reset();
            way_ = Way::modseq;
            wants_members_ = true;
            again_otherwise_ = true;
            co_return Result<void>{};
        }
        exists_ = sink_->exists;
        if (!sink_->mailbox_id.empty()) job_->record.source_mailbox_id = sink_->mailbox_id;
        if (!searched || !searches_are_sound()) {
            account_.search_refused = true;
            wants_members_ = false;
            members_.reset();
            way_ = Way::listing;
            again_otherwise_ = true;
        }
        co_return Result<void>{};
    }

    /// SEEN and UNSEEN together are all messages, and none is in both.
    bool searches_are_sound() {
        if (way_ == Way::sets) {
            members_ = united(searches_[0].uids, searches_[1].uids);
            return members_->size() <= kUidsBelievedMax &&
                   members_->size() == searches_[0].uids.size() + searches_[1].uids.size();
        }
        if (wants_members_) members_ = searches_.back().uids;
        return !members_ || members_->size() <= kUidsBelievedMax;
    }

    /// Keeps what the searches of flags found, by the flag's word.
    void keep_sets() {
        for (SearchSink& search : searches_) {
            if (search.key.starts_with(kKeywordKey)) {
                sets_.emplace_back(search.key.substr(kKeywordKey.size()), std::move(search.uids));
            }
            for (const auto& [key, word] : kSystemSets) {
                if (search.key == key) sets_.emplace_back(word, std::move(search.uids));
            }
        }
    }

    /// Keywords that the mailbox names and no message of ours carried before.
    Task<Result<void>> ask_new_keywords() {
        std::vector<std::string> fresh;
        for (const std::string& word : sink_->keywords) {
            const bool asked = std::any_of(
                keywords_.begin(), keywords_.end(),
                [&](const std::string& other) { return equal_ignoring_case(word, other); });
            if (!asked && imap::is_valid_flag(word)) fresh.push_back(word);
        }
        keep_sets();
        if (fresh.empty()) co_return Result<void>{};
        bool searched = fresh.size() + keywords_.size() <= kKeywordSearchesMax;
        if (searched) {
            auto first = std::move(sink_);
            auto begun = open(false);
            if (!begun) co_return begun;
            for (const std::string& word : fresh)
                add_search(std::string(kKeywordKey) + word, base_ - 1);
            auto answered = co_await answers(searched);
            if (!answered) co_return answered;
            if (!searched) account_.search_refused = true;
            keep_sets();
            sink_ = std::move(first);
        }
        if (searched) co_return Result<void>{};
        way_ = Way::listing;
        members_.reset();
        co_return co_await ask();
    }

    /// The flags of a message by the sets.
    [[nodiscard]] Flags flags_by_sets(std::uint32_t uid) const {
        std::vector<std::string_view> words;
        for (const auto& [word, set] : sets_) {
            if (set.contains(uid)) words.emplace_back(word);
        }
        return parse_flags(words);
    }

    Task<Result<void>> compare() {
        compared_ = {};
        if (way_ == Way::listing && !members_) {
            members_.emplace();
            for (const FlagSink::Entry& entry : changed_) members_->add(entry.uid);
        }
        if (base_ <= 1) co_return Result<void>{};
        const bool by_vanished = !members_;
        if (by_vanished && sink_->vanished.empty()) co_return Result<void>{};
        std::vector<imap::UidSet::Range> ranges;
        if (by_vanished) ranges = sink_->vanished.ranges();
        if (!by_vanished || ranges.size() > kRangesLookedUpMax) ranges = {{1, base_ - 1}};
        auto read = co_await account_.read_ledger(
            [this, &ranges, by_vanished] { return compare_ranges(ranges, by_vanished); });
        if (!read) co_return read;
        if (members_) {
            // Refused ones are known, too.
            std::erase_if(compared_.unknown, [&](std::uint32_t uid) {
                return std::binary_search(refused_.begin(), refused_.end(), uid);
            });
        }
        co_return Result<void>{};
    }

    /// Off the shard.
    Result<void> compare_ranges(const std::vector<imap::UidSet::Range>& ranges, bool by_vanished) {
        std::uint32_t next = 1;  // the first UID not yet looked at
        std::size_t at = 0;      // the first range of members_ that may hold it
        const auto unknown_before = [&](std::uint32_t end) {
            if (!members_) return;
            for (; at < members_->ranges().size(); ++at) {
                const auto& range = members_->ranges()[at];
                if (range.first >= end) break;
                const std::uint32_t last = std::min(range.last, end - 1);
                for (std::uint32_t uid = std::max(range.first, next); uid <= last; ++uid)
                    compared_.unknown.push_back(uid);
                if (range.last >= end) break;
            }
        };
        for (const auto& range : ranges) {
            if (range.first >= base_) break;
            auto visited = account_.ledger.visit_messages(
                record().id, range.first, std::min(range.last, base_ - 1),
                [&](const dedup::MessageRecord& message) {
                    const std::uint32_t uid = message.source_uid;
                    const bool there =
                        by_vanished ? !sink_->vanished.contains(uid) : members_->contains(uid);
                    if (uid > next) unknown_before(uid);
                    next = uid + 1;
                    if (!there) {
                        if (!message.gone) compared_.gone.push_back(message);
                        return true;
                    }
                    if (message.gone && !by_vanished) compared_.back.push_back(message);
                    if (way_ == Way::sets) {
                        if (!is_empty(flags_due(message, flags_by_sets(uid))))
                            compared_.other_flags.push_back(uid);
                    }
                    return true;
                });
            if (!visited) return visited;
        }
        if (!by_vanished) unknown_before(base_);
        return {};
    }

    /// Without those that have a record as well: taken and not kept whole (readback.cc).
    [[nodiscard]] std::uint64_t gone_refusals() const {
        const std::vector<dedup::MessageRecord>& gone = compared_.gone;
        return static_cast<std::uint64_t>(
            std::count_if(refused_.begin(), refused_.end(), [&](std::uint32_t uid) {
                const auto by = [](const auto& m, std::uint32_t u) { return m.source_uid < u; };
                const auto at = std::lower_bound(gone.begin(), gone.end(), uid, by);
                if (at != gone.end() && at->source_uid == uid) return false;
                return members_ ? !members_->contains(uid) : sink_->vanished.contains(uid);
            }));
    }

    /// Known before, less what is gone, plus what is new: is that what there is?
    [[nodiscard]] bool agrees() const {
        if (sink_->vanished_broken && !members_) return false;
        if (members_) return members_->size() + fresh_.size() == exists_;
        return record().source_messages + fresh_.size() ==
               exists_ + compared_.gone.size() + gone_refusals();
    }

    /// The numbers do not agree: all UIDs are asked for, and what stands beyond a wrong UIDNEXT
    /// (mailutils says one too few).
    Task<Result<void>> look_again() {
        auto begun = open(false);
        if (!begun) co_return begun;
        const std::uint32_t last = std::min(last_, UINT32_MAX - 1);
        MetaSink beyond(last + 1, UINT32_MAX, job_->flags, view());
        if (last >= 1 && searches()) {
            add_search("ALL", last);
        } else if (last >= 1) {
            add_fetch(imap::UidSet(1, last), flags_only(), std::nullopt);
        }
        session::Ticket more;
        if (last < UINT32_MAX - 1) {
            auto fetch = imap::source::uid_fetch(imap::UidSet(last + 1, UINT32_MAX), metadata(),
                                                 std::nullopt, source_.encoding());
            if (fetch) more = source_.start(std::move(*fetch), &beyond);
        }
        bool searched = true;
        auto answered = co_await answers(searched);
        Result<session::Reply> rest;
        if (more) rest = co_await source_.finish(more);
        if (!answered) co_return answered;
        if (!rest) co_return std::unexpected(std::move(rest).error());
        exists_ = sink_->exists;
        imap::UidSet there;
        if (!searches_.empty()) {
            there = searches_.front().uids;
        } else {
            for (const FlagSink::Entry& entry : sink_->older.take()) there.add(entry.uid);
            for (const Meta& meta : sink_->fresh.take()) there.add(meta.uid);
        }
        const std::vector<Meta> behind = beyond.take();
        sure_ =
            searched && there.size() + behind.size() == exists_ && there.size() <= kUidsBelievedMax;
        if (!sure_ && searched && searches()) {
            account_.log(report::LogLevel::info,
                         job_->display + ": SEARCH finds " + std::to_string(there.size()) +
                             " messages, EXISTS says " + std::to_string(exists_));
        }
        std::erase_if(fresh_, [&](const Meta& meta) { return sure_ && !there.contains(meta.uid); });
        fresh_.insert(fresh_.end(), behind.begin(), behind.end());
        if (!fresh_.empty()) job_->uid_next = std::max(job_->uid_next, fresh_.back().uid + 1);
        members_.emplace();
        for (const auto& range : there.ranges()) {
            if (range.first < base_) members_->add(range.first, std::min(range.last, base_ - 1));
            for (std::uint64_t uid = std::max(range.first, base_); sure_ && uid <= range.last;
                 ++uid) {
                const auto wanted = static_cast<std::uint32_t>(uid);
                if (!std::binary_search(fresh_.begin(), fresh_.end(), wanted, ByUid{}))
                    unlisted_.push_back(wanted);
            }
        }
        co_return Result<void>{};
    }

    /// New messages that SEARCH finds and no FETCH shows (Exchange: what it cannot convert). Those
    /// that are not shown by name either are asked for one by one, and listed if they do not come.
    Task<Result<void>> list_by_name() {
        if (!sure_ || unlisted_.empty()) co_return Result<void>{};
        auto first = std::move(sink_);
        auto begun = open(false);
        if (!begun) co_return begun;
        for (const imap::UidSet& set : uid_sets(source_, unlisted_, 0))
            add_fetch(set, metadata(), std::nullopt);
        bool searched = true;
        may_be_refused_ = true;
        auto answered = co_await answers(searched);
        may_be_refused_ = false;
        if (!answered) co_return answered;
        for (const Meta& meta : sink_->fresh.take()) fresh_.push_back(meta);
        sink_ = std::move(first);
        add_blind(fresh_, unlisted_, job_->flags);
        job_->unlisted = std::move(unlisted_);
        co_return Result<void>{};
    }

    /// Asked by name: messages that a SEARCH left out, those whose flags seem to differ, and those
    /// that nobody knew of.
    Task<Result<void>> confirm() {
        if (!sure_) {
            compared_.gone.clear();
            compared_.back.clear();
            compared_.unknown.clear();
        }
        if (may_be_cut_off(can(), exists_) && !compared_.gone.empty()) {
            sure_ = false;
            compared_.gone.clear();
        }
        std::vector<std::uint32_t> gone;
        if (members_ && exists_ > 0) {
            for (const auto& message : compared_.gone) gone.push_back(message.source_uid);
        }
        if (gone.empty() && compared_.other_flags.empty() && compared_.unknown.empty())
            co_return Result<void>{};
        imap::UidSet vanished = sink_->vanished;  // the new sink knows nothing of it
        const std::vector<Meta> retried = sink_->named.take();
        std::vector<std::uint32_t> named = std::exchange(retried_, compared_.unknown);
        auto begun = open(false);
        if (!begun) co_return begun;
        for (const imap::UidSet& set : uid_sets(source_, compared_.other_flags, 0))
            add_fetch(set, flags_only(), std::nullopt);
        for (const imap::UidSet& set : uid_sets(source_, gone, 0))
            add_fetch(set, flags_only(), std::nullopt);
        for (const imap::UidSet& set : uid_sets(source_, compared_.unknown, 0))
            add_fetch(set, metadata(), std::nullopt);
        bool searched = true;
        auto answered = co_await answers(searched);
        if (!answered) co_return answered;
        unknown_ = sink_->named.take();
        sink_->vanished = std::move(vanished);
        retried_ = std::move(named);
        named_ = retried;
        const std::vector<FlagSink::Entry> seen = sink_->older.take();
        bool lied = false;
        for (const FlagSink::Entry& entry : seen) {
            if (std::binary_search(gone.begin(), gone.end(), entry.uid)) {
                lied = true;
            } else if (way_ == Way::sets) {
                changed_.push_back(entry);
            }
        }
        if (lied) {
            account_.search_refused = true;
            account_.log(
                report::LogLevel::warning,
                job_->display + ": the source's SEARCH leaves out messages that are there");
            sure_ = false;
            compared_.gone.clear();
        }
        co_return Result<void>{};
    }

    /// Into the job, and into the ledger what is gone.
    Result<void> settle() {
        Survey& survey = job_->survey;
        dedup::MailboxRecord& record = job_->record;
        job_->exists = exists_;
        survey.unsure = !sure_;
        // Counted, and not to be had: the next pass looks at the whole mailbox again.
        const std::uint64_t listed = record.source_messages + fresh_.size();
        job_->unseen = !sure_ && exists_ > listed ? exists_ - listed : 0;
        survey.fresh = take_older();
        survey.fresh.insert(survey.fresh.end(), fresh_.begin(), fresh_.end());
        for (const FlagSink::Entry& entry : changed_)
            survey.changed.push_back({entry.uid, entry.flags});
        if (job_->uid_next == 0) job_->uid_next = fresh_.empty() ? base_ : fresh_.back().uid + 1;
        const std::uint64_t refusals_gone = sure_ ? gone_refusals() : 0;
        dedup::Batch batch;
        const std::uint64_t absent = compared_.gone.size();
        std::erase_if(compared_.gone, [&](const dedup::MessageRecord& message) {
            // Noted down only: there is no copy to follow it.
            if (message.state != dedup::MessageState::represented) return false;
            batch.erase_message(record.id, message.source_uid);
            return true;
        });
        for (dedup::MessageRecord& message : compared_.gone) {
            message.gone = true;
            batch.put_message(record.id, message);
        }
        for (dedup::MessageRecord message : compared_.back) {
            message.gone = false;
            batch.put_message(record.id, message);
        }
        record.gone += static_cast<std::uint32_t>(compared_.gone.size());
        record.gone -= std::min(record.gone, static_cast<std::uint32_t>(compared_.back.size()));
        const std::uint64_t less = absent + refusals_gone;
        record.source_messages -=
            static_cast<std::uint32_t>(std::min<std::uint64_t>(record.source_messages, less));
        record.source_messages += static_cast<std::uint32_t>(compared_.back.size());
        survey.gone = std::move(compared_.gone);
        survey.done = true;
        note_leavers(account_, job_);
        if (!batch.empty() && !account_.options.dry_run) {
            batch.put_mailbox(record);
            account_.writer.commit(std::move(batch));
        }
        return {};
    }

    /// Messages below the checkpoint that are to be copied all the same.
    std::vector<Meta> take_older() {
        std::vector<Meta> older = named_.empty() ? sink_->named.take() : std::move(named_);
        std::erase_if(older, [](const Meta& meta) { return !meta.has_date && meta.size == 0; });
        older.insert(older.end(), unknown_.begin(), unknown_.end());
        std::sort(older.begin(), older.end(),
                  [](const Meta& a, const Meta& b) { return a.uid < b.uid; });
        return older;
    }

    static constexpr std::string_view kKeywordKey = "KEYWORD ";
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kSystemSets{
        {{"SEEN", "\\Seen"},
         {"FLAGGED", "\\Flagged"},
         {"ANSWERED", "\\Answered"},
         {"DELETED", "\\Deleted"},
         {"DRAFT", "\\Draft"}}};

    Account& account_;
    Session& source_;
    std::shared_ptr<Job> job_;
    std::uint32_t base_;  ///< the checkpoint's UIDNEXT
    std::uint32_t last_;
    Way way_ = Way::none;
    bool wants_members_ = false;
    bool again_otherwise_ = false;  ///< the first write is to be made in another way
    bool sure_ = true;              ///< the numbers agree
    std::optional<imap::Condition> refused_to_open_;
    std::vector<std::uint32_t> refused_, retried_;
    std::set<std::string, std::less<>> keywords_;
    std::vector<std::pair<std::string, imap::UidSet>> sets_;  ///< flag: who has it
    std::unique_ptr<SurveySink> sink_;
    std::deque<SearchSink> searches_;
    struct Fetch {
        imap::UidSet set;
        imap::FetchItems items;
        std::optional<std::uint64_t> since;
        session::Ticket ticket;
    };
    std::vector<Fetch> fetches_;
    bool may_be_refused_ = false;  ///< a FETCH: what it does not show is asked for one by one
    std::uint64_t exists_ = 0;
    std::optional<imap::UidSet> members_;  ///< who is there below the checkpoint, if asked
    std::vector<Meta> fresh_, named_, unknown_;
    std::vector<std::uint32_t> unlisted_;  ///< rising
    std::vector<FlagSink::Entry> changed_;
    Compared compared_;
};

}  // namespace

imap::FetchItems metadata_items(const Account& account, const imap::CapabilitySet& source) {
    imap::FetchItems items;
    items.flags = items.internal_date = items.size = true;
    items.email_id = source.has("OBJECTID");
    items.gm_message_id = source.has("X-GM-EXT-1");
    items.gm_labels = items.gm_message_id && account.gmail;
    return items;
}

bool may_be_cut_off(const imap::CapabilitySet& can, std::uint64_t exists) {
    const bool may_cut = can.has("UIDONLY") || can.has("XYMHIGHESTMODSEQ") || can.has("X-GM-EXT-1");
    return may_cut && (exists == 1000 || exists == 2000 || exists == 5000 || exists == 10000);
}

session::Ticket enable_qresync(const Account& account, Session& source) {
    const imap::CapabilitySet& can = source.capabilities();
    if (!can.has("QRESYNC") || !can.has("ENABLE") || can.has("XAPPLELITERAL") ||
        account.qresync_refused) {
        return {};
    }
    constexpr std::array<std::string_view, 1> kWord{"QRESYNC"};
    auto enable = imap::source::enable(kWord);
    if (!enable) return {};
    return source.start(std::move(*enable));
}

Task<Result<void>> survey_mailbox(Account& account, Session& source, std::shared_ptr<Job> job) {
    if (job->orphan) co_return co_await survey_orphan(account, source, std::move(job));
    MailboxSurvey survey(account, source, std::move(job));
    co_return co_await survey.run();
}

}  // namespace imapult::replica
