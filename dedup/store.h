#pragma once
// The ordered key-value store under the ledger: RocksDB in production, memory in the simulator
// (which can forget what was not synced).

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"

namespace imapult::dedup {

/// Column families; the order is part of the format.
enum class Family : std::uint8_t {
    meta,
    accounts,
    mailboxes,
    messages,
    intents,
    refusals,
    passes,
    count_
};

/// Changes applied all or not at all.
struct WriteBatch {
    struct Change {
        Family family;
        std::string key;
        std::string value;
        bool erase = false;
    };
    std::vector<Change> changes;
};

/// Thread-safe. Reads block (never call them on a shard's thread) and see every committed batch.
class Store {
  public:
    virtual ~Store() = default;

    virtual Result<std::string> get(Family family, std::string_view key) const = 0;  ///< not_found
    /// Calls `visit(key, value)` for keys in [first, end) in order until it returns false.
    virtual Result<void> scan(
        Family family, std::string_view first, std::string_view end,
        const std::function<bool(std::string_view, std::string_view)>& visit) const = 0;

    /// Queues `batch`; batches are applied in the order of the calls. `done` is called on the
    /// committer's thread once the batch is visible and, if `durable`, survives a power cut.
    /// Never blocks.
    virtual void commit(WriteBatch batch, bool durable, std::function<void(Result<void>)> done) = 0;
    /// Commits durably, after everything queued before, and waits for it: blocks.
    virtual Result<void> commit_and_wait(WriteBatch batch);
};

struct OpenOptions {
    bool read_only = false;  ///< works while another process writes
    bool sync = true;  ///< false: durable means "in the operating system's cache" (tests, benches)
};
/// Opens or creates the RocksDB store in `folder`: created with mode 0700, and tightened to 0700 if
/// it stands with a looser one. Errors: state_locked, state_damaged, state_version (column families
/// of a newer imapult), io, and read-only also not_found (nothing was ever written there); each
/// with the folder and the cure in its text. Destroying the store commits what is queued first.
Result<std::unique_ptr<Store>> open_rocks_store(const std::string& folder, OpenOptions options);

}  // namespace imapult::dedup
