#pragma once
// Two servers in memory, and passes over accounts of theirs with one ledger.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dedup/memory_store.h"
#include "engine/base/report.h"
#include "engine/replica/context.h"
#include "sim/process.h"
#include "sim/support/sim_scheduler.h"
#include "tools/imapd/behaviour.h"
#include "tools/imapd/store.h"

namespace imapult::test {

class Pair {
    sim::SimScheduler scheduler_;  // first: the servers look at its clock

  public:
    /// The accounts have the same names on both sides.
    Pair(imapd::Behaviour source, imapd::Behaviour destination, std::vector<std::string> accounts);

    imapd::Store source, destination;
    replica::Options options;
    std::vector<std::string> accounts;  ///< of the next passes

    /// A message whose octets and identity follow from its name, some months old.
    static std::string mail(std::string_view name);
    std::uint32_t deliver(std::string_view account, std::string_view mailbox, std::string_view name,
                          imapd::FlagSet flags = {});

    /// One pass over all accounts at once. Fails the test if it does not end or does not balance.
    std::vector<report::AccountSummary> run();
    report::AccountSummary copy() { return std::move(run().front()); }
    /// What `verify` says of the first account.
    report::AccountSummary verify(report::VerifyDepth depth);
    /// A copy, killed at the `nth` commit to the ledger.
    void killed_copy(std::uint64_t nth);

    /// Subjects in the order of the mailbox.
    static std::vector<std::string> subjects(const imapd::Store& store, std::string_view account,
                                             std::string_view mailbox);
    [[nodiscard]] std::vector<std::string> arrived(std::string_view account,
                                                   std::string_view mailbox) const {
        return subjects(destination, account, mailbox);
    }

  private:
    runtime::Task<void> pass(std::vector<report::AccountSummary>& summaries, std::uint64_t kill_at,
                             std::optional<report::VerifyDepth> verify = {});

    runtime::TaskScope servers_;
    std::shared_ptr<dedup::MemoryDisk> disk_;
    std::uint64_t seed_ = 1;
};

/// "mailbox: text" of the notices of one kind.
std::vector<std::string> notices(const report::AccountSummary& summary, report::NoticeKind kind);
std::string describe(const report::AccountSummary& summary);

}  // namespace imapult::test
