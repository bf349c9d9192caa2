#pragma once
// What everything that works on one account shares. One shard only.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "dedup/identity.h"
#include "dedup/ledger.h"
#include "engine/base/report.h"
#include "engine/replica/mailbox.h"
#include "engine/replica/names.h"
#include "engine/replica/people.h"
#include "engine/session/throttle.h"

namespace imapult::replica {

/// Octets per second for all accounts together; thread-safe.
class RateLimiter {
  public:
    virtual ~RateLimiter() = default;
    /// Takes `bytes` from the budget; the monotonic time before which no more should be moved.
    virtual Nanos reserve(std::uint64_t bytes, Nanos now) = 0;
};

/// What each account and each host may still move today; thread-safe.
class Budget {
  public:
    virtual ~Budget() = default;
    /// Before a message is asked for: takes it from the day's budget; false if that is used up.
    virtual bool take(std::size_t account, std::uint64_t bytes) = 0;
    /// What the ledger is to remember of this account.
    [[nodiscard]] virtual dedup::Spent spent(std::size_t account) const = 0;
    /// The budget that is used up, for people: "2500000000 octets a day for each account".
    [[nodiscard]] virtual std::string text(std::size_t account) const = 0;
};

/// Mailboxes that several accounts see, and one copies; thread-safe.
class Claims {
  public:
    virtual ~Claims() = default;
    /// The account (an index) that copies `mailbox`: `account`, or who took it before. `name`: for
    /// a person.
    virtual std::size_t take(const std::string& mailbox, const std::string& name,
                             std::size_t account) = 0;
};

struct Options {
    NameOptions names;
    report::RightsPolicy rights = report::RightsPolicy::automatic;
    std::shared_ptr<const People> people;  ///< the accounts of this run; null: nobody else
    Claims* claims = nullptr;
    report::LabelPolicy labels = report::LabelPolicy::mailboxes;
    bool subscriptions = true;
    /// Accounts of up to so many mailboxes have their destination listed in any case, so that a
    /// mailbox that was lost there is made again; larger ones where the source shows a change.
    std::size_t listed_anyway_max = 250;
    bool dry_run = false;
    bool retry_refused = false;
    report::DeletePolicy remove;
    bool trust = false;          ///< what was appended is not read back
    bool repair = true;          ///< what the destination refuses is changed as little as it takes
    std::string refused_folder;  ///< where originals of refused messages go; empty: nowhere
    bool compress_on = false;    ///< also on loopback
    bool compress_off = false;
    unsigned lanes = 2;
    RateLimiter* rate = nullptr;
    Budget* budget = nullptr;
    /// What is known of a host's manners; lives as long as the run. Null: nothing is learnt.
    std::function<session::Pace*(const std::string& host)> pace_of;
    /// How long an account goes on without progress while a server asks for patience, and while it
    /// cannot be reached.
    Nanos retry_for = std::chrono::hours(1);
    Nanos away_for = std::chrono::seconds(45);
    /// Fetched and not yet written, per lane.
    std::size_t lane_buffered_bytes_max = 0;
};

/// Ledger commits of one account: counts what is under way and brings the answers back to the
/// shard.
class LedgerWriter {
  public:
    LedgerWriter(runtime::Scheduler& scheduler, dedup::Ledger& ledger)
        : scheduler_(&scheduler), ledger_(&ledger), changed_(scheduler) {}
    LedgerWriter(const LedgerWriter&) = delete;
    LedgerWriter& operator=(const LedgerWriter&) = delete;
    ~LedgerWriter() { IMAPULT_ASSERT(open_ == 0); }

    /// Queues the batch; `done` runs on the shard once it is applied (durable if it holds an
    /// intent).
    void commit(dedup::Batch batch, std::function<void(bool ok)> done = {});
    /// Called once, with the first error: without the ledger nothing more may be sent.
    void set_on_failure(std::function<void(const Error&)> call) { on_failure_ = std::move(call); }
    /// Waits until everything queued is applied; the first error of all.
    Task<Result<void>> drain();
    [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }

  private:
    runtime::Scheduler* scheduler_;
    dedup::Ledger* ledger_;
    runtime::Event changed_;
    std::size_t open_ = 0;
    std::optional<Error> failure_;
    std::function<void(const Error&)> on_failure_;
};

class Lane;
struct Job;
struct LabelRun;

/// A message that an earlier pass copied and that is gone from its mailbox at the source: it may
/// have been moved.
struct Leaver {
    Leaver(std::shared_ptr<Job> job_in, dedup::MessageRecord record_in)
        : job(std::move(job_in)), record(std::move(record_in)) {}
    std::shared_ptr<Job> job;
    dedup::MessageRecord record;
    bool taken = false;  ///< found again
    bool looked_at = false;
    std::optional<dedup::Sha256> header;  ///< of the copy, strict; read once in a pass
    bool dated = false;
    std::optional<std::int64_t> date;  ///< the copy's INTERNALDATE; asked for once in a pass
};

struct Account {
    Account(session::Environment& env, const Options& opts, dedup::Ledger& ledger_in,
            report::Observer& observer_in, const report::StopToken& stop_in, std::size_t index_in)
        : environment(env),
          options(opts),
          ledger(ledger_in),
          observer(observer_in),
          stop(stop_in),
          index(index_in),
          writer(env.scheduler, ledger_in),
          changed(env.scheduler) {}

    session::Environment& environment;
    const Options& options;
    dedup::Ledger& ledger;
    report::Observer& observer;
    const report::StopToken& stop;
    std::size_t index;
    EndpointSpec source_endpoint, destination_endpoint;
    report::AccountSummary summary;
    dedup::AccountId id = 0;
    LedgerWriter writer;
    Listing source, destination;
    std::vector<std::string> known_source, known_destination;  ///< wire names of an earlier pass
    Nanos listed_at{0};                ///< when the destination's listing was taken
    bool destination_skipped = false;  ///< nothing has changed at the source: it was not asked
    std::set<std::uint32_t> shared_validities;  ///< of the destination (whose_copies.h)
    std::optional<Nanos> behind_since;  ///< `follow`: since when this pass has been waited for
    std::optional<Error> fatal;         ///< ends the account
    std::optional<Side> fatal_side;
    std::set<std::string, std::less<>>
        proved_keywords;  ///< accepted by the destination in an APPEND
    /// Messages with what servers like to change, and what was found of those looked at.
    struct Faith {
        std::uint64_t met = 0, looked_at = 0, altered = 0;
    };
    Faith faith_nul, faith_header;
    std::size_t originals_kept = 0;    ///< of refused messages (repair_append.cc)
    bool sizes_are_estimates = false;  ///< the destination's RFC822.SIZE says nothing (Exchange)
    bool any_keyword =
        false;  ///< a mailbox of the destination allows all keywords (PERMANENTFLAGS \*)
    std::map<std::pair<dedup::MailboxId, std::uint32_t>, dedup::Refusal> refusals;
    /// Whether this pass asks for it again: because it is told to, or because it was never refused
    /// in words.
    [[nodiscard]] bool tries_again(const dedup::Refusal& refusal) const;
    bool qresync_refused = false;         ///< the source offers QRESYNC and does not take it
    bool search_refused = false;          ///< the source's UID SEARCH is not to be relied on
    std::string delete_to;                ///< wire name of --delete-to, once it is looked up
    std::optional<bool> delete_to_ready;  ///< it is there
    std::shared_ptr<LabelRun> gmail;      ///< of a source whose mailboxes are labels
    std::multimap<std::uint64_t, std::shared_ptr<Leaver>> leavers;  ///< by size, of this pass
    bool moves_untold = false;     ///< the destination does not tell where it moved messages
    bool arrivals_missed = false;  ///< a mailbox with new messages was left behind in this pass
    runtime::Event changed;        ///< a job or a lane finished, a fatal error came

    std::set<Lane*> lanes;  ///< running
    /// On the account's shard, when a person wants to stop: wakes everything, and cuts it off if
    /// `at_once`.
    void on_stop(report::StopToken::Level level);

    /// What the account waits for, told on changes.
    void set_waiting(report::Waiting what) {
        if (what == waiting) return;
        waiting = what;
        observer.waiting(index, what);
    }
    report::Waiting waiting = report::Waiting::nothing;
    /// How much that side is asked for at once.
    session::Pace& pace(Side side) {
        session::Pace*& known = side == Side::source ? source_pace : destination_pace;
        if (known == nullptr && options.pace_of) {
            known = options.pace_of(
                (side == Side::source ? source_endpoint : destination_endpoint).host);
        }
        if (known == nullptr)
            known = side == Side::source ? &own_source_pace : &own_destination_pace;
        return *known;
    }
    session::Pace own_source_pace, own_destination_pace;
    session::Pace *source_pace = nullptr, *destination_pace = nullptr;  ///< once asked for
    /// Before which a side wants to be left alone (patience.h).
    Nanos& quiet_until(Side side) {
        return side == Side::source ? source_quiet : destination_quiet;
    }
    Task<void> quiet(Side side);
    Nanos source_quiet{0}, destination_quiet{0};
    bool over_budget = false;  ///< nothing more is asked for today; what is under way is settled

    /// Names of people of the source, at the destination.
    [[nodiscard]] Translation translation() const {
        return {options.people.get(), source_endpoint.user, destination_endpoint.user};
    }
    [[nodiscard]] bool stopping() const { return stop.stopping() || fatal.has_value(); }
    void give_up(Error error, std::optional<Side> side) {
        if (!fatal) {
            fatal = std::move(error);
            fatal_side = side;
        }
        changed.notify_all();
    }
    void notice(std::string mailbox, report::NoticeKind kind, std::string text) {
        report::Notice told{summary.account, std::move(mailbox), kind, std::move(text)};
        observer.notice(index, told);
        summary.notices.push_back(std::move(told));
    }
    /// Adds a finished session's octets and round trips to the summary.
    void count_wire(Session& session);
    void tell_refusal(const dedup::Refusal& refusal);
    /// Of a mailbox that was made anew or is gone: its messages have other UIDs now.
    void forget_refusals(dedup::MailboxId mailbox, dedup::Batch& batch);
    void log(report::LogLevel level, const std::string& text) {
        if (observer.logs(level)) observer.log(level, summary.account + ": " + text);
    }
    /// Runs a blocking ledger read off the shard.
    template <class F>
    auto read_ledger(F function) {
        return runtime::offload(environment.scheduler, environment.blocking, std::move(function));
    }
};

}  // namespace imapult::replica
