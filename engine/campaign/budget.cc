#include "engine/campaign/budget.h"

#include <set>

#include "engine/base/text.h"

namespace imapult::campaign {

namespace {

constexpr std::int64_t kDaySeconds = 86'400;

std::int64_t day_of(const Clock& clock) {
    return clock.unix_seconds() / kDaySeconds;
}

/// Of "user@host:port", as the ledger names accounts.
std::string host_of(std::string_view account) {
    account.remove_prefix(account.rfind('@') + 1);
    return to_lower(account.substr(0, account.rfind(':')));
}

/// A day's first message always goes: one that is larger than the budget would never.
bool is_over(std::uint64_t spent, std::uint64_t more, std::uint64_t most) {
    return most != 0 && spent > 0 && spent + more > most;
}

}  // namespace

Result<std::unique_ptr<DailyBudget>> DailyBudget::open(const Limits& limits,
                                                       const std::vector<AccountSpec>& accounts,
                                                       const dedup::Ledger& ledger,
                                                       const Clock& clock) {
    std::unique_ptr<DailyBudget> budget(new DailyBudget(limits, clock));
    budget->day_ = day_of(clock);
    std::map<std::pair<std::string, std::string>, std::size_t> places;
    for (const AccountSpec& spec : accounts) {
        const std::pair name(spec.source.account(), spec.destination.account());
        places.emplace(name, budget->slots_.size());
        budget->slots_.push_back({{}, host_of(name.first), host_of(name.second)});
    }
    IMAPULT_TRY(const auto rows, ledger.accounts());
    IMAPULT_TRY(const auto spent, ledger.spent());
    for (const dedup::AccountRecord& row : rows) {
        const auto found = spent.find(row.id);
        if (found == spent.end() || found->second.day != budget->day_) continue;
        const Count count{found->second.messages, found->second.bytes};
        const auto place = places.find({row.source, row.destination});
        if (place != places.end()) budget->slots_[place->second].spent = count;
        for (const std::string& host : std::set{host_of(row.source), host_of(row.destination)}) {
            budget->hosts_[host].messages += count.messages;
            budget->hosts_[host].bytes += count.bytes;
        }
    }
    return budget;
}

void DailyBudget::turn_the_day() {
    const std::int64_t today = day_of(*clock_);
    if (today == day_) return;
    day_ = today;
    hosts_.clear();
    for (Slot& slot : slots_) slot.spent = {};
}

/// Which limit one more message of this size would pass; empty: none.
std::string DailyBudget::exceeded(const Slot& slot, std::uint64_t bytes) const {
    if (is_over(slot.spent.messages, 1, limits_.messages_per_day)) {
        return std::to_string(limits_.messages_per_day) + " messages a day for each account";
    }
    if (is_over(slot.spent.bytes, bytes, limits_.bytes_per_day)) {
        return std::to_string(limits_.bytes_per_day) + " octets a day for each account";
    }
    for (const std::string& host : {slot.source, slot.destination}) {
        const auto found = hosts_.find(host);
        if (found == hosts_.end()) continue;
        if (is_over(found->second.messages, 1, limits_.host_messages_per_day)) {
            return std::to_string(limits_.host_messages_per_day) + " messages a day for " + host;
        }
        if (is_over(found->second.bytes, bytes, limits_.host_bytes_per_day)) {
            return std::to_string(limits_.host_bytes_per_day) + " octets a day for " + host;
        }
    }
    return {};
}

bool DailyBudget::take(std::size_t account, std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    turn_the_day();
    Slot& slot = slots_.at(account);
    if (std::string over = exceeded(slot, bytes); !over.empty()) {
        slot.over = std::move(over);
        return false;
    }
    const auto add = [bytes](Count& count) {
        ++count.messages;
        count.bytes += bytes;
    };
    add(slot.spent);
    add(hosts_[slot.source]);
    if (slot.destination != slot.source) add(hosts_[slot.destination]);
    return true;
}

dedup::Spent DailyBudget::spent(std::size_t account) const {
    const std::lock_guard lock(mutex_);
    const Count& count = slots_.at(account).spent;
    return {day_, count.messages, count.bytes};
}

std::string DailyBudget::text(std::size_t account) const {
    const std::lock_guard lock(mutex_);
    return slots_.at(account).over;
}

}  // namespace imapult::campaign
