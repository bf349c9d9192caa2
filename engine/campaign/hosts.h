#pragma once
// The hosts of a run and what was learnt of them, from the ledger and back into it.

#include <map>
#include <mutex>
#include <string>

#include "dedup/ledger.h"
#include "engine/session/throttle.h"

namespace imapult::campaign {

class Hosts {
  public:
    /// What `ledger` knows; nothing if it cannot be read.
    explicit Hosts(const dedup::Ledger& ledger);

    /// The same object for the same name, for as long as this lives. Thread-safe.
    session::Pace* pace_of(const std::string& host);
    /// What has changed since it was read; empty: nothing.
    [[nodiscard]] dedup::Batch learnt();

  private:
    struct Host {
        session::HostManners stored;
        session::Pace pace;
        explicit Host(session::HostManners known) : stored(known), pace(known) {}
    };
    std::mutex mutex_;
    std::map<std::string, session::HostManners> known_;
    std::map<std::string, Host> hosts_;
};

}  // namespace imapult::campaign
