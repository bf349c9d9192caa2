#include "dedup/memory_store.h"

#include <array>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/random.h"

namespace imapult::dedup {

namespace {

using Table = std::map<std::string, std::string, std::less<>>;
using Tables = std::array<Table, static_cast<std::size_t>(Family::count_)>;

void apply_batch(Tables& tables, const WriteBatch& batch) {
    for (const WriteBatch::Change& change : batch.changes) {
        Table& table = tables.at(static_cast<std::size_t>(change.family));
        if (change.erase) {
            table.erase(change.key);
        } else {
            table.insert_or_assign(change.key, change.value);
        }
    }
}

}  // namespace

/// One queued commit, from commit() to its callback.
struct MemoryCommit {
    WriteBatch batch;
    bool durable = false;
    std::function<void(Result<void>)> done;
    bool applied = false;
    Result<void> result;
};

struct MemoryDisk::State {
    mutable std::mutex mutex;
    Tables visible;
    Tables stable;                      // what a crash leaves
    std::vector<WriteBatch> unsettled;  // visible, not stable
    std::deque<MemoryCommit> queue;     // not applied, or applied and not yet reported
    std::optional<Error> failure;
    std::uint64_t generation = 0;  // rises with every crash

    void apply_one(MemoryCommit& commit) {
        if (commit.applied) return;
        commit.applied = true;
        if (failure) {
            commit.result = std::unexpected(*failure);
            return;
        }
        apply_batch(visible, commit.batch);
        unsettled.push_back(std::move(commit.batch));
        if (!commit.durable) return;
        for (const WriteBatch& batch : unsettled) apply_batch(stable, batch);
        unsettled.clear();
    }
};

MemoryDisk::MemoryDisk() : state_(std::make_shared<State>()) {}
MemoryDisk::~MemoryDisk() = default;

void MemoryDisk::crash(std::optional<std::uint64_t> seed) {
    // Callbacks may own what must not be destroyed under the lock.
    std::deque<MemoryCommit> lost;
    const std::lock_guard lock(state_->mutex);
    std::vector<WriteBatch> batches = std::move(state_->unsettled);
    for (MemoryCommit& commit : state_->queue) {
        if (!commit.applied && !state_->failure) batches.push_back(std::move(commit.batch));
    }
    std::size_t kept = 0;
    if (seed) kept = Random(*seed).below(batches.size() + 1);
    for (std::size_t i = 0; i < kept; ++i) apply_batch(state_->stable, batches[i]);
    state_->visible = state_->stable;
    state_->unsettled.clear();
    lost.swap(state_->queue);
    ++state_->generation;
}

void MemoryDisk::fail_commits(std::optional<Error> error) {
    const std::lock_guard lock(state_->mutex);
    state_->failure = std::move(error);
}

std::size_t MemoryDisk::batches_at_risk() const {
    const std::lock_guard lock(state_->mutex);
    std::size_t queued = 0;
    for (const MemoryCommit& commit : state_->queue) queued += commit.applied ? 0 : 1;
    return state_->unsettled.size() + queued;
}

namespace {

class MemoryStore final : public Store {
  public:
    MemoryStore(std::shared_ptr<MemoryDisk::State> disk,
                std::function<void(std::function<void()>)> executor)
        : disk_(std::move(disk)), executor_(std::move(executor)) {
        const std::lock_guard lock(disk_->mutex);
        generation_ = disk_->generation;
    }

    Result<std::string> get(Family family, std::string_view key) const override {
        const std::lock_guard lock(disk_->mutex);
        if (disk_->generation != generation_) return cut_off();
        const Table& table = disk_->visible.at(static_cast<std::size_t>(family));
        const auto found = table.find(key);
        if (found == table.end()) {
            return fail(Code::not_found, Scope::run, Retry::never, "no such key in the store");
        }
        return found->second;
    }

    Result<void> scan(
        Family family, std::string_view first, std::string_view end,
        const std::function<bool(std::string_view, std::string_view)>& visit) const override {
        // A snapshot, so that `visit` may use the store.
        std::vector<std::pair<std::string, std::string>> found;
        {
            const std::lock_guard lock(disk_->mutex);
            if (disk_->generation != generation_) return cut_off();
            const Table& table = disk_->visible.at(static_cast<std::size_t>(family));
            for (auto it = table.lower_bound(first); it != table.end() && it->first < end; ++it) {
                found.emplace_back(*it);
            }
        }
        for (const auto& [key, value] : found) {
            if (!visit(key, value)) break;
        }
        return {};
    }

    void commit(WriteBatch batch, bool durable, std::function<void(Result<void>)> done) override {
        {
            const std::lock_guard lock(disk_->mutex);
            if (disk_->generation != generation_) return;  // the process is gone
            disk_->queue.push_back({std::move(batch), durable, std::move(done), false, {}});
        }
        if (executor_) {
            executor_([disk = disk_, generation = generation_] { step(*disk, generation); });
        } else {
            step(*disk_, generation_);
        }
    }

    Result<void> commit_and_wait(WriteBatch batch) override {
        const std::lock_guard lock(disk_->mutex);
        if (disk_->generation != generation_) return cut_off();
        for (MemoryCommit& queued : disk_->queue) disk_->apply_one(queued);
        MemoryCommit commit{std::move(batch), true, {}, false, {}};
        disk_->apply_one(commit);
        return commit.result;
    }

  private:
    static std::unexpected<Error> cut_off() {
        return fail(Code::io, Scope::run, Retry::never, "the memory store was cut off by a crash");
    }

    /// Applies and reports the commit at the head of the queue.
    static void step(MemoryDisk::State& disk, std::uint64_t generation) {
        MemoryCommit commit;
        {
            const std::lock_guard lock(disk.mutex);
            if (disk.generation != generation || disk.queue.empty()) return;
            disk.apply_one(disk.queue.front());
            commit = std::move(disk.queue.front());
            disk.queue.pop_front();
        }
        if (commit.done) commit.done(std::move(commit.result));
    }

    std::shared_ptr<MemoryDisk::State> disk_;
    std::function<void(std::function<void()>)> executor_;
    std::uint64_t generation_ = 0;
};

}  // namespace

std::unique_ptr<Store> open_memory_store(std::shared_ptr<MemoryDisk> disk,
                                         std::function<void(std::function<void()>)> executor) {
    return std::make_unique<MemoryStore>(disk->state_, std::move(executor));
}

}  // namespace imapult::dedup
