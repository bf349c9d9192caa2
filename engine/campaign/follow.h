#pragma once
// One account kept in step until somebody stops it: a pass as of `copy`, then a watch over the
// source, and another pass whenever that has news.

#include <deque>
#include <memory>
#include <optional>

#include "engine/campaign/campaign.h"
#include "engine/replica/context.h"
#include "engine/replica/watch.h"

namespace imapult::campaign {

using runtime::Task;

/// What the followers of a shard share.
struct FollowShared {
    session::Environment& environment;
    const replica::Options& options;
    dedup::Ledger& ledger;
    Observer& observer;
    StopToken& stop;
    runtime::Credit& passes;    ///< how many at the same time
    runtime::Credit& openings;  ///< the same for watches that log in
};

class Follower {
  public:
    Follower(FollowShared shared, std::size_t index, const AccountSpec& spec);
    ~Follower();
    Follower(const Follower&) = delete;
    Follower& operator=(const Follower&) = delete;

    /// Until the shared stop, or an error that time does not cure (refused credentials, the
    /// ledger).
    Task<void> run();
    /// On the shard: wakes everything.
    void on_stop(StopToken::Level level);

    /// Once run() has ended: of all passes together.
    AccountSummary summary;

  private:
    class Teller;

    Task<void> pass();
    Task<void> wait_for_news();
    Task<void> wait_until(Nanos until);
    void told(Nanos since);
    void book(AccountSummary pass);
    void measure(Nanos lag);
    void tell();
    void close_books();
    [[nodiscard]] bool is_final(const Error& error) const;
    [[nodiscard]] Nanos now() const { return shared_.environment.scheduler.now(); }

    FollowShared shared_;
    std::size_t index_;
    const AccountSpec& spec_;
    replica::Options options_;
    std::unique_ptr<Teller> teller_;
    runtime::Event news_;
    replica::Watch watch_;
    replica::Account* current_ = nullptr;  ///< the pass under way
    std::optional<Nanos> behind_since_;    ///< news that no pass has begun with yet
    Nanos carried_until_{0};               ///< what the source had then is at the destination
    Nanos pass_ended_{0}, pass_time_{0};
    bool has_finished_ = false;  ///< a pass has gone through
    MessageCounts standing_;     ///< as the last pass that went through left them
    Following following_;
    std::deque<double> lags_;  ///< seconds, the last ones
};

}  // namespace imapult::campaign
