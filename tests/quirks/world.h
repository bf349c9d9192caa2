#pragma once
// Two servers in memory, the whole replicator between them on a clock moved by hand, and what a
// person would be told.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dedup/memory_store.h"
#include "engine/base/report.h"
#include "engine/campaign/campaign.h"
#include "engine/replica/context.h"
#include "sim/process.h"
#include "sim/support/sim_scheduler.h"
#include "tools/imapd/behaviour.h"
#include "tools/imapd/store.h"

namespace imapult::quirks {

using runtime::Task;

inline constexpr std::string_view kUser = "user@example.com";

/// What a pass told while it ran.
struct Told {
    struct Retry {
        Nanos at{0};
        std::chrono::milliseconds delay{0};
        Side side = Side::source;
        std::string why;
    };
    std::vector<Retry> retries;
    std::vector<std::string> log;
};

class World {
    sim::SimScheduler scheduler_;  // first: the servers look at its clock

  public:
    World(imapd::Behaviour source, imapd::Behaviour destination, unsigned accounts = 1);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    imapd::Store source, destination;
    replica::Options options;
    sim::Weather weather;
    Told told;
    bool any_order = false;         ///< messages came more than once, or in another order
    std::string destination_admin;  ///< log in as this one …
    std::string destination_user;   ///< … and act as this one instead of kUser

    // --- filling the source -------------------------------------------------------------------
    /// "Subject: NAME", a Message-ID, a body of about `bytes` octets, CRLF everywhere.
    static std::string mail(std::string_view name, std::size_t bytes = 200);
    /// Delivers it to the first account and makes the mailbox if need be; the UID.
    std::uint32_t deliver(std::string_view mailbox, std::string_view body,
                          imapd::FlagSet flags = {});
    void deliver_many(std::string_view mailbox, std::size_t count, std::size_t bytes = 200);
    /// A mailbox of each kind and messages with every system flag, a keyword, dates, a large body.
    void fill();

    // --- running --------------------------------------------------------------------------------
    /// One pass over all accounts; fails the test if it does not end.
    std::vector<report::AccountSummary> run();
    report::AccountSummary copy() { return std::move(run().front()); }
    [[nodiscard]] Nanos now() const { return scheduler_.now(); }
    [[nodiscard]] Nanos pass_took() const { return pass_took_; }
    [[nodiscard]] std::size_t connections_made() const { return connections_; }
    /// As if the state directory had been deleted.
    void forget_ledger() { disk_ = std::make_shared<dedup::MemoryDisk>(); }
    /// Runs once at this moment of the next pass (from its start).
    void at(Nanos when, std::function<void()> what) { events_.emplace_back(when, std::move(what)); }
    /// The network is down in this stretch of the next pass.
    void outage(Nanos from, Nanos until);
    /// Budgets of a day, for each pass as for each run of the program.
    campaign::Limits limits;
    /// Virtual time between two passes.
    void sleep(Nanos time);
    sim::SimScheduler& scheduler() { return scheduler_; }

    // --- looking --------------------------------------------------------------------------------
    /// Bodies of a mailbox at the destination, in order.
    [[nodiscard]] std::vector<std::string> bodies(std::string_view mailbox) const;
    /// Empty if every mailbox of the source's first account is there with the same octets, flags,
    /// dates and order; else the first difference. `kept` says which octets are expected.
    using Expected = std::function<imapd::NewMessage(const imapd::Message&)>;
    [[nodiscard]] std::string difference(const Expected& expected = {}) const;

  private:
    Task<void> pass(std::vector<report::AccountSummary>& summaries);
    Task<void> one_event(Nanos when, std::function<void()> what);

    runtime::TaskScope servers_;
    std::shared_ptr<dedup::MemoryDisk> disk_;
    std::vector<std::string> accounts_;
    std::vector<std::pair<Nanos, std::function<void()>>> events_;
    sim::SimConnector* connector_ = nullptr;  ///< of the pass
    std::size_t connections_ = 0;
    Nanos pass_took_{0};
    std::uint64_t seed_ = 1;
};

/// Decoded display path of a wire name under a server's prefix and separator: to find a mailbox
/// again under another server's naming.
std::string display_name(std::string_view wire, const imapd::Behaviour& behaviour);

/// "complete: source 5, copied 5" … for a failed expectation.
std::string describe(const report::AccountSummary& summary);
/// Complete, balanced, nothing refused: exit code 0.
void expect_complete(const report::AccountSummary& summary);
/// The notices of one kind.
std::vector<std::string> notices(const report::AccountSummary& summary, report::NoticeKind kind);

}  // namespace imapult::quirks
