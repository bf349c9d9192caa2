#pragma once
// One source connection and one destination connection, and the mailboxes that go through them.
//
// Three coroutines: the pump asks the source (EXAMINE, metadata, bodies in windows, the next
// mailbox's EXAMINE queued behind), the appender writes what came in as groups, the settler takes
// the answers and writes the receipts. The pump runs ahead of the appender by the lane's buffer,
// the appender ahead of the settler by limits::kGroupsInFlightMax.
//
// An error of a connection ends the attempt: everything in flight is of unknown outcome, the
// intents in the ledger say what it was, and the next attempt starts by finding out (adopt.cc). So
// a lost connection, a crash and a kill -9 take the same road.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/replica/context.h"
#include "engine/replica/job.h"
#include "engine/replica/patience.h"
#include "engine/replica/sinks.h"
#include "engine/session/session.h"

namespace imapult::replica {

using JobQueue = std::deque<std::shared_ptr<Job>>;

/// What a pass does with the mailboxes, one after another: a message can only be seen to have moved
/// when all mailboxes were looked at, and only be deleted when all moves are done.
enum class Phase : std::uint8_t {
    survey,  ///< what has changed where an earlier pass was (survey.cc)
    copy,    ///< messages and flags
    labels,  ///< the same, of what was at home in another mailbox (Gmail, labels.h)
    remove,  ///< what is gone at the source (remove.cc)
};

class Lane {
  public:
    Lane(Account& account, unsigned number);
    ~Lane();
    /// Connections to begin with; they are opened where there are none.
    void take(std::unique_ptr<Session> source, std::unique_ptr<Session> destination);

    /// Takes jobs from the queue until it is empty or the account ends. Keeps its connections.
    Task<void> run(Phase phase, JobQueue& queue);
    /// Closes them. Once, at the end.
    Task<void> end();

    /// Stop was asked for: wakes what waits, and gives the connections up if `at_once`.
    void stop(bool at_once);

  private:
    friend class BodySink;

    // lane.cc: attempts, reconnection
    Task<bool> open_sessions();
    Task<void> close_sessions(bool polite);
    Task<Result<void>> attempt();
    Task<void> pump();
    Task<void> pump_surveys();
    Task<void> survey(std::shared_ptr<Job> job);
    Task<void> pump_removals();
    Task<bool> compress_both();
    /// An error of one mailbox: true if the lane goes on without it, false if the attempt ends.
    bool put_aside(std::shared_ptr<Job> job, Error error, std::optional<Side> side);
    void note_lost_opening(const std::shared_ptr<Job>& job, Error error);
    bool may_be_to_blame(const Error& error, std::size_t items);
    bool note_loss(Job& job, std::uint32_t uid, const Error& why);
    void note_refused(Job& job, const Error& why);
    [[nodiscard]] bool may_wait(Job& job, Error& error, const Patience& patience);
    Task<Result<void>> remove_patiently(std::shared_ptr<Job> job);
    Task<bool> commit_and_wait(dedup::Batch batch);
    Task<void> finish_when_settled(std::shared_ptr<Job> job);
    void fail(Error error, std::optional<Side> side);
    void wake() { wake_.notify_all(); }
    [[nodiscard]] bool stopped() const { return error_.has_value() || account_->stopping(); }
    [[nodiscard]] bool alive() const {
        return source_->connection().alive() && destination_->connection().alive();
    }
    /// True if there is still something to be asked for, compared or listed in it: the source must
    /// have the mailbox open again.
    [[nodiscard]] static bool is_open(const Job& job);
    void reset_job(Job& job);
    void give_up_job(Job& job, const Error& error);

    // plan.cc: what is to be done in a mailbox
    Task<Result<void>> know_destination(Job& job);
    Task<Result<void>> prepare(std::shared_ptr<Job> job);
    Task<Result<void>> prepare_patiently(std::shared_ptr<Job> job);
    Task<Result<void>> examine(Job& job, std::vector<Meta>& fresh);
    Task<Result<void>> note_gone(Job& job, const std::vector<std::uint32_t>& known,
                                 const std::vector<Meta>& there);
    Task<Result<void>> read_predecessor(Job& job);
    Task<Result<void>> open_source(Job& job);
    void come_back(Job& job, const std::vector<dedup::MessageRecord>& gone,
                   const std::vector<Meta>& fresh);
    Task<Result<void>> plan_flags(Job& job, std::vector<FlagsSeen> changed);
    // listing.cc: a first listing that is not whole
    Task<Result<void>> list_below(Job& job, imap::FetchItems items, session::Reply reply,
                                  std::vector<Meta>& fresh);
    Task<Result<void>> complete_listing(Job& job, imap::FetchItems items, std::uint32_t last,
                                        std::vector<Meta>& fresh);
    Task<Result<void>> keep_those_found(std::vector<std::uint32_t>& gone);
    void notice_cap(Job& job);
    void tell_unseen(Job& job);
    Task<Result<void>> forget_refusals_of_gone(Job& job, const std::vector<Meta>& fresh);
    Task<Result<void>> learn_allowed(Job& job);
    Task<Result<void>> ask_allowed(Job& job, const std::set<std::string, std::less<>>& keywords);
    Task<void> start_record(Job& job);

    // moves.cc: messages that only changed their mailbox
    Task<Result<void>> plan_moves(std::shared_ptr<Job> job);
    Task<Result<void>> find_moves(std::shared_ptr<Job> job, std::vector<Move>& found);
    Task<Result<void>> look_at_copies(Job& job, const std::vector<Move>& moves);
    Task<Result<void>> prove_by_headers(Job& job, std::vector<Move>& moves);
    Task<Result<void>> prove_by_dates(Job& job, std::vector<Move>& moves);
    Task<Result<void>> carry_before(std::shared_ptr<Job> job, std::uint32_t uid);
    Task<Result<void>> carry_out(std::shared_ptr<Job> job, Job& from, std::vector<Move> moves);
    Task<Result<void>> drop_originals(Job& from, const std::vector<Move>& moves);

    // carry_labels.cc: Gmail
    Task<Result<void>> promote(Job& job);
    Task<Result<void>> wait_for_better(Job& job);
    Task<Result<void>> look_up_copies(Job& job);
    void sort_by_labels(Job& job);
    [[nodiscard]] bool is_better_home(const Job& here, const Meta& meta, const Job& there) const;
    static void count_put_off(Job& job);
    Task<Result<void>> spare_last_copies(Job& job, std::vector<dedup::MessageRecord>& wanted);

    // whose_copies.cc
    /// Before copies of an earlier pass are written to: that they still stand under their UIDs in
    /// the mailbox of that name, as far as sizes tell. `uids`: of those to be written to. Selects.
    Task<Result<void>> check_copies(Job& job, std::vector<std::uint32_t> uids);

    // remove.cc: deletions
    Task<Result<void>> remove_gone(std::shared_ptr<Job> job);
    Task<Result<std::uint64_t>> forget_absent(Job& job, std::vector<dedup::MessageRecord>& wanted);
    void spare_possible_moves(Job& job, std::vector<dedup::MessageRecord>& wanted);
    Task<Result<void>> remove_messages(Job& job, std::vector<dedup::MessageRecord> records);
    struct Removal {
        std::vector<std::uint32_t> removed;
        std::size_t left = 0;  ///< the destination said OK and kept them
    };
    Task<Result<void>> expunge(Job& job, const std::string& to,
                               const std::vector<std::uint32_t>& doomed,
                               std::optional<std::uint64_t> modseq, Removal& removal);
    /// The answer to UID EXPUNGE or UID MOVE of `set`; `left`: those that are there all the same.
    Task<Result<session::Reply>> take_away(imap::Command command, const imap::UidSet& set,
                                           std::set<std::uint32_t>& left);
    Task<Result<void>> mark_deleted(const imap::UidSet& set, std::optional<std::uint64_t> modseq,
                                    std::vector<std::uint32_t>& uids);
    Task<Result<void>> unmark(Job& job, std::vector<dedup::MessageRecord> records);
    Task<Result<bool>> ready_delete_to();

    // adopt.cc: what is there already
    Task<Result<void>> adopt(Job& job, std::vector<std::uint32_t> known_destination,
                             std::vector<std::uint32_t> unplaced);
    Task<Result<void>> settle(Job& job);
    Task<Result<std::vector<std::uint32_t>>> uids_from(Job& job, std::uint32_t first);
    Task<Result<void>> match(Job& job, imap::UidSet unknown,
                             const std::vector<std::uint32_t>& known, bool recovering,
                             std::vector<std::uint32_t> unplaced, std::vector<dedup::Pair>& pairs,
                             std::map<std::uint32_t, std::uint32_t>& destination_flags);
    Task<Result<void>> pair_up(Job& job, std::vector<std::uint32_t> ours, bool recovering,
                               std::vector<HeaderSink::Entry>& there,
                               std::vector<dedup::Pair>& pairs);
    Task<Result<void>> place(Job& job, const std::vector<dedup::Pair>& pairs);
    void note_unheard(Job& job, const std::vector<std::uint32_t>& known,
                      const std::vector<Meta>& there);
    Task<Result<void>> find_strays(Job& job, std::vector<std::uint32_t> left);
    void note_left_behind(Job& job, const std::vector<dedup::Pair>& pairs, bool looked,
                          const std::map<std::uint32_t, std::uint32_t>& destination_flags);
    void plan_flags_of_found(Job& job, const std::vector<dedup::Pair>& pairs,
                             const std::map<std::uint32_t, std::uint32_t>& destination_flags);
    Task<void> receipt_adopted(Job& job, std::vector<dedup::Pair> pairs,
                               const std::map<std::uint32_t, std::uint32_t>& destination_flags);

    // fetch.cc: bodies
    Task<void> fetch(std::shared_ptr<Job> job);
    Task<void> ask_window(std::shared_ptr<Job> job, std::vector<std::uint32_t> uids, Care care,
                          unsigned tries = 0,
                          std::optional<std::uint64_t> answered_before = std::nullopt);
    Task<void> watch_window(std::shared_ptr<Job> job, std::shared_ptr<Window> window,
                            std::shared_ptr<session::Sink> sink, session::Ticket ticket);
    void note_cut(Job& job, const Window& window);
    void postpone(Job& job, const Window& window, const Error& why);
    Task<void> retry(std::shared_ptr<Job> job);
    Task<void> retry_postponed(std::shared_ptr<Job> job);
    Task<void> retry_one(std::shared_ptr<Job> job, std::uint32_t uid, Care care);
    Task<void> quarantine(std::shared_ptr<Job> job);
    [[nodiscard]] dedup::Refusal refusal_of(const Job& job, std::uint32_t uid,
                                            const Error& error) const;
    Task<bool> destination_is_full(std::uint64_t bytes);
    void close_group();  ///< between two bodies only
    /// Of a mailbox whose windows are all answered. The open group may be another's by now, in the
    /// middle of a body.
    void close_group_of(const Job& job);
    /// Buffers of groups are used again: fresh pages for each would cost more than the copying.
    std::string take_buffer(std::size_t bytes);
    void give_buffer(std::string& buffer);

    // append.cc: writing and settling
    Task<void> appender();
    Task<Result<void>> send(std::shared_ptr<Group> group);
    Task<Result<void>> send_synchronised(Group& group, Group::Command& command);
    Task<Result<void>> send_stream(Group& group);
    Task<Result<void>> send_stream_pieces(Group& group, session::Connection& connection);
    Task<void> settler();
    Task<void> settle_group(Group& group);
    Task<bool> send_again(Group& group, Group::Command& command, const session::Reply& reply);
    void receipt(Group& group, const Group::Command& command, const session::Reply& reply);
    void refused(Group& group, const Group::Command& command, const session::Reply& reply);
    void give_back(Job& job, const std::shared_ptr<Window>& window, std::size_t messages);
    [[nodiscard]] bool non_synchronising(std::uint64_t bytes) const;
    [[nodiscard]] bool multiappend() const;
    [[nodiscard]] std::size_t groups_in_flight_max() const;

    // readback.cc: OK is no proof
    void note_appended(Job& job, const Group& group, const Group::Item& item,
                       std::uint32_t destination_uid);
    Task<Result<void>> read_back(Job& job);
    Task<Result<void>> ask_back(Job& job, std::vector<Appended>& appended);
    void judge_back(Job& job, const std::vector<Appended>& appended);
    Task<void> examine_suspects(std::shared_ptr<Job> job);
    Task<Result<void>> find_again(Job& job, std::vector<Appended>& suspects);
    Task<Result<void>> compare_suspects(Job& job, std::vector<Appended> suspects);
    Task<void> disown(Job& job, std::uint32_t source_uid, bool keep_record, std::string reason);
    /// What an interrupted attempt had copied is read back with the rest.
    void read_back_earlier(Job& job, const std::vector<Appended>& copied);

    // repair_append.cc: what is refused, once more with as little changed as it takes
    Task<void> repair(std::shared_ptr<Job> job);
    Task<bool> repair_one(std::shared_ptr<Job> job, std::uint32_t uid, const Error& why);
    Task<Result<bool>> adopt_repaired(std::shared_ptr<Job> job, std::uint32_t uid,
                                      const std::string& message);
    Task<Result<std::vector<DigestSink::Entry>>> read_alike(Job& job, const std::string& message);
    Task<Result<void>> find_strangers(Job& job);
    enum class Repaired : std::uint8_t { taken, refused, put_off };
    Task<Repaired> append_repaired(std::shared_ptr<Job> job, std::uint32_t uid,
                                   const std::string& original, std::uint8_t steps);
    Task<Result<void>> match_repaired(Job& job, const std::vector<HeaderSink::Entry>& left,
                                      std::vector<dedup::Pair>& pairs);
    Task<std::string> keep(const Job& job, std::uint32_t uid, const std::string& original);
    void tell_repair(const Job& job, std::uint32_t uid, const std::string& original,
                     std::uint8_t steps, const std::string& reason, const std::string& kept_as);

    // finish.cc: flags and checkpoint
    Task<Result<void>> finish(std::shared_ptr<Job> job);
    Task<Result<void>> finish_patiently(std::shared_ptr<Job> job);
    Task<Result<void>> resolve_uids(Job& job);
    Task<Result<void>> store_flags(Job& job);
    /// One UID STORE on its way.
    struct Store {
        imap::UidSet set;
        imap::destination::StoreMode mode;
        Flags flags;
        std::optional<std::uint64_t> since;  ///< UNCHANGEDSINCE (RFC 7162 §3.1.3)
        bool again = false;                  ///< refused once before
        session::Ticket ticket;
    };
    void start_store(std::vector<Store>& sent, Store store);
    void store_refused(Job& job, std::vector<Store>& sent, const Store& store,
                       const session::Reply& reply);
    Task<Result<std::size_t>> keep_landed(Job& job, std::vector<std::uint32_t> uids);
    Task<Result<void>> move_bases(Job& job, bool stored);
    void checkpoint(Job& job);

    Account* account_;
    JobQueue* queue_ = nullptr;
    Phase phase_ = Phase::copy;
    bool polite_ = true;  ///< no attempt has failed
    unsigned number_;
    std::unique_ptr<Session> source_, destination_;
    runtime::Event wake_;  ///< anything changed in this lane
    runtime::Credit window_slots_;
    runtime::Credit select_lock_;  ///< who holds it may select a mailbox at the destination
    runtime::TaskScope helpers_;
    std::deque<std::shared_ptr<Job>> mine_;  ///< taken and not finished
    std::deque<std::shared_ptr<Group>> to_send_, to_settle_;
    std::shared_ptr<Group> open_group_;
    std::size_t buffered_ = 0;
    std::vector<std::string> spare_buffers_;
    std::size_t spare_bytes_ = 0;  ///< their capacity
    bool pump_done_ = false, appender_done_ = false;
    std::optional<Error> error_;
    std::optional<Side> error_side_;
    bool learnt_ = false;  ///< … that a message ends connections (each a few times at most)
    unsigned lost_ = 0;    ///< attempts that ended without progress, in a row
    Patience reconnecting_, waiting_for_source_, waiting_for_destination_;
    Nanos waited_until_{0};               ///< at the destination, for an APPEND
    unsigned literals_refused_ = 0;       ///< BAD with the literal under way
    std::uint64_t windows_answered_ = 0;  ///< with OK
    std::uint64_t settled_before_ = 0;    ///< … when this attempt began
    bool blamed_ = false;                 ///< a command without an answer was met in this attempt
    std::uint64_t settled_ = 0;           ///< messages, for telling progress from none
};

}  // namespace imapult::replica
