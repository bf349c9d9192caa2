#include "engine/campaign/hosts.h"

#include "engine/base/text.h"

namespace imapult::campaign {

Hosts::Hosts(const dedup::Ledger& ledger) {
    const auto rows = ledger.hosts();
    if (!rows) return;
    for (const dedup::HostRecord& row : *rows) {
        known_[row.host] = {row.window_bytes, row.connections};
    }
}

session::Pace* Hosts::pace_of(const std::string& host) {
    const std::string name = to_lower(host);
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(name);
    const auto place =
        hosts_.try_emplace(name, known == known_.end() ? session::HostManners{} : known->second);
    return &place.first->second.pace;
}

dedup::Batch Hosts::learnt() {
    dedup::Batch batch;
    const std::lock_guard lock(mutex_);
    for (auto& [name, host] : hosts_) {
        const session::HostManners now = host.pace.manners();
        if (now == host.stored) continue;
        host.stored = now;
        batch.put_host({name, now.window_bytes, now.connections});
    }
    return batch;
}

}  // namespace imapult::campaign
