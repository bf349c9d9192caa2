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
#include "engine/replica/sinks.h"
#include "engine/session/session.h"

namespace imapult::replica {

using JobQueue = std::deque<std::shared_ptr<Job>>;

class Lane {
  public:
    Lane(Account& account, JobQueue& queue, unsigned number);
    ~Lane();

    /// Takes jobs from the queue until it is empty or the account ends. Opens connections where
    /// none are given.
    Task<void> run(std::unique_ptr<Session> source, std::unique_ptr<Session> destination);

    /// Stop was asked for: wakes what waits, and gives the connections up if `at_once`.
    void stop(bool at_once);

  private:
    friend class BodySink;

    // lane.cc: attempts, reconnection
    Task<bool> open_sessions();
    Task<void> close_sessions(bool polite);
    Task<Result<void>> attempt();
    Task<void> pump();
    Task<void> finish_when_settled(std::shared_ptr<Job> job);
    void fail(Error error, std::optional<Side> side);
    void wake() { wake_.notify_all(); }
    [[nodiscard]] bool stopped() const { return error_.has_value() || account_->stopping(); }
    void reset_job(Job& job);
    void give_up_job(Job& job, const Error& error);

    // plan.cc: what is to be done in a mailbox
    Task<Result<void>> prepare(std::shared_ptr<Job> job);
    Task<Result<void>> examine(Job& job, std::vector<Meta>& fresh,
                               std::vector<FlagSink::Entry>& changed);
    Task<Result<void>> plan_flags(Job& job, std::vector<FlagSink::Entry> changed);
    Task<Result<void>> forget_refusals_of_gone(Job& job, const std::vector<Meta>& fresh);
    Task<Result<void>> learn_allowed(Job& job);
    Task<Result<void>> ask_allowed(Job& job, const std::set<std::string, std::less<>>& keywords);
    Task<void> start_record(Job& job);

    // adopt.cc: what is there already
    Task<Result<void>> adopt(Job& job, std::vector<std::uint32_t> known_destination,
                             std::vector<std::uint32_t> unplaced);
    Task<Result<void>> settle(Job& job);
    Task<Result<void>> match(Job& job, imap::UidSet unknown, bool recovering,
                             std::vector<std::uint32_t> unplaced, std::vector<dedup::Pair>& pairs,
                             std::map<std::uint32_t, std::uint32_t>& destination_flags);
    Task<Result<void>> pair_up(Job& job, std::vector<std::uint32_t> ours, bool recovering,
                               std::vector<HeaderSink::Entry>& there,
                               std::vector<dedup::Pair>& pairs);
    Task<Result<void>> place(Job& job, const std::vector<dedup::Pair>& pairs);
    Task<void> receipt_adopted(Job& job, std::vector<dedup::Pair> pairs,
                               const std::map<std::uint32_t, std::uint32_t>& destination_flags);

    // fetch.cc: bodies
    Task<void> fetch(std::shared_ptr<Job> job);
    Task<void> ask_window(std::shared_ptr<Job> job, std::vector<std::uint32_t> uids, Care care);
    Task<void> watch_window(std::shared_ptr<Job> job, std::shared_ptr<Window> window,
                            std::shared_ptr<session::Sink> sink, session::Ticket ticket);
    Task<void> retry(std::shared_ptr<Job> job);
    Task<void> retry_one(std::shared_ptr<Job> job, std::uint32_t uid, Care care);
    Task<void> quarantine(std::shared_ptr<Job> job);
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
    void receipt(Group& group, const Group::Command& command, const session::Reply& reply);
    void refused(Group& group, const Group::Command& command, const session::Reply& reply);
    void give_back(Job& job, const std::shared_ptr<Window>& window, std::size_t messages);
    [[nodiscard]] bool non_synchronising(std::uint64_t bytes) const;
    [[nodiscard]] bool multiappend() const;

    // finish.cc: flags and checkpoint
    Task<Result<void>> finish(std::shared_ptr<Job> job);
    Task<Result<void>> resolve_uids(Job& job);
    Task<Result<void>> store_flags(Job& job);
    void checkpoint(Job& job);

    Account* account_;
    JobQueue* queue_;
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
    std::uint64_t settled_ = 0;  ///< messages, for telling progress from none
};

}  // namespace imapult::replica
