#pragma once
// What may be moved on one day, for each account and for all accounts of a host together. The day
// is UTC's; what was spent stands in the ledger, so that a restart gives nothing back.

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "dedup/ledger.h"
#include "engine/base/clock.h"
#include "engine/campaign/campaign.h"
#include "engine/replica/context.h"

namespace imapult::campaign {

class DailyBudget final : public replica::Budget {
  public:
    /// Starts with what `ledger` says was spent today, also by accounts that are not in this run.
    static Result<std::unique_ptr<DailyBudget>> open(const Limits& limits,
                                                     const std::vector<AccountSpec>& accounts,
                                                     const dedup::Ledger& ledger,
                                                     const Clock& clock);

    bool take(std::size_t account, std::uint64_t bytes) override;
    [[nodiscard]] dedup::Spent spent(std::size_t account) const override;
    [[nodiscard]] std::string text(std::size_t account) const override;

  private:
    struct Count {
        std::uint64_t messages = 0, bytes = 0;
    };
    struct Slot {
        Count spent;
        std::string source, destination;  ///< host names
        std::string over = {};                 ///< the limit that the last take() met
    };
    DailyBudget(const Limits& limits, const Clock& clock) : limits_(limits), clock_(&clock) {}
    void turn_the_day();
    [[nodiscard]] std::string exceeded(const Slot& slot, std::uint64_t bytes) const;

    Limits limits_;
    const Clock* clock_;
    mutable std::mutex mutex_;
    std::int64_t day_ = 0;
    std::vector<Slot> slots_;  ///< by index into the options' accounts
    std::map<std::string, Count> hosts_;
};

}  // namespace imapult::campaign
