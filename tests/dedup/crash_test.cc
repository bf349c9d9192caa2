// What the ledger promises holds when the process is killed and when the power is cut.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <map>
#include <set>
#include <system_error>

#include "dedup/ledger.h"
#include "dedup/memory_store.h"
#include "engine/base/random.h"
#include "temporary_folder.h"

namespace imapult::dedup {
namespace {

constexpr std::uint32_t kGroupMessages = 5;

/// What a ledger_writer said.
struct Promises {
    std::set<std::uint64_t> numbers, mailboxes, intents, receipts;
    std::size_t lines = 0;

    void take(const std::string& line) {
        const std::uint64_t number = std::stoull(line.substr(2));
        ++lines;
        switch (line[0]) {
            case 'N':
                EXPECT_TRUE(numbers.insert(number).second) << "used twice: " << number;
                break;
            case 'B':
                EXPECT_TRUE(mailboxes.insert(number).second) << "used twice: " << number;
                break;
            case 'I':
                intents.insert(number);
                break;
            case 'R':
                receipts.insert(number);
                break;
            default:
                ADD_FAILURE() << line;
        }
    }
};

/// A ledger_writer in a process of its own.
class WriterProcess {
  public:
    WriterProcess(const std::string& folder, const std::string& groups) {
        int ends[2];
        EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
        output_ = ends[0];
        pid_ = fork();
        if (pid_ < 0) throw std::system_error(errno, std::system_category());
        if (pid_ == 0) {
            dup2(ends[1], STDOUT_FILENO);
            execl(IMAPULT_LEDGER_WRITER, "ledger_writer", folder.c_str(), groups.c_str(), nullptr);
            _exit(127);
        }
        close(ends[1]);
    }
    WriterProcess(const WriterProcess&) = delete;
    WriterProcess& operator=(const WriterProcess&) = delete;
    ~WriterProcess() {
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
        close(output_);
    }

    /// Reads promises until there are `lines` of them, or no more.
    void read(Promises& promises, std::size_t lines) {
        while (promises.lines < lines && read_some(promises)) {
        }
    }
    /// Reads the rest and gives the wait status.
    int wait(Promises& promises) {
        while (read_some(promises)) {
        }
        int status = 0;
        waitpid(pid_, &status, 0);
        pid_ = -1;
        return status;
    }
    void kill_hard() const { ASSERT_EQ(kill(pid_, SIGKILL), 0); }

  private:
    bool read_some(Promises& promises) {
        char buffer[4096];
        const ssize_t size = ::read(output_, buffer, sizeof buffer);
        if (size <= 0) return false;
        pending_.append(buffer, static_cast<std::size_t>(size));
        std::size_t end = 0;
        while ((end = pending_.find('\n')) != std::string::npos) {
            promises.take(pending_.substr(0, end));
            pending_.erase(0, end + 1);
        }
        return true;
    }

    pid_t pid_ = -1;
    int output_ = -1;
    std::string pending_;
};

/// Every group is an intent, or all its receipts, never both and never a part.
void check_groups(const Ledger& ledger, const std::set<std::uint64_t>& intents_promised,
                  const std::set<std::uint64_t>& receipts_promised) {
    std::set<std::uint64_t> intents;
    for (const Intent& intent : ledger.intents(1).value()) {
        EXPECT_EQ(intent.items.size(), kGroupMessages);
        intents.insert(intent.sequence);
    }
    std::map<std::uint64_t, std::uint32_t> receipts;
    for (const MessageRecord& m : ledger.messages(1, 0, UINT32_MAX).value()) {
        ++receipts[m.source_uid / 10];
    }
    for (const auto& [sequence, count] : receipts) {
        EXPECT_EQ(count, kGroupMessages) << sequence;
        EXPECT_FALSE(intents.contains(sequence)) << sequence;
    }
    for (const std::uint64_t sequence : intents_promised) {
        EXPECT_TRUE(intents.contains(sequence) || receipts.contains(sequence)) << sequence;
    }
    for (const std::uint64_t sequence : receipts_promised) {
        EXPECT_TRUE(receipts.contains(sequence)) << sequence;
    }
}

TEST(Kill, PromisesHoldAfterKillMinusNine) {
    const std::uint64_t seed = 5;
    Random random(seed);
    TemporaryFolder folder;
    Promises promises;
    for (int round = 0; round < 12; ++round) {
        SCOPED_TRACE("seed 5 round " + std::to_string(round));
        {
            WriterProcess writer(folder.path(), "1000000");
            writer.read(promises, promises.lines + random.between(1, 3000));
            writer.kill_hard();
            const int status = writer.wait(promises);
            ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
        }
        auto store = open_rocks_store(folder.path(), {});
        ASSERT_TRUE(store) << store.error().text;
        auto ledger = Ledger::open(std::move(*store), false);
        ASSERT_TRUE(ledger) << ledger.error().text;
        check_groups(**ledger, promises.intents, promises.receipts);
        for (int i = 0; i < 3; ++i) {
            EXPECT_TRUE(promises.numbers.insert((*ledger)->new_intent_sequence()).second);
            EXPECT_TRUE(promises.mailboxes.insert((*ledger)->new_mailbox_id()).second);
        }
    }
    EXPECT_GT(promises.receipts.size(), 100U);
}

TEST(OtherProcess, AReaderSeesConsistentGroupsWhileAWriterWrites) {
    TemporaryFolder folder;
    Promises promises;
    WriterProcess writer(folder.path(), "8000");
    writer.read(promises, 1);
    for (int round = 0; round < 10; ++round) {
        writer.read(promises, promises.lines + 300);
        const std::set<std::uint64_t> intents = promises.intents;
        const std::set<std::uint64_t> receipts = promises.receipts;
        auto store = open_rocks_store(folder.path(), {.read_only = true});
        ASSERT_TRUE(store) << store.error().text;
        auto ledger = Ledger::open(std::move(*store), true);
        ASSERT_TRUE(ledger) << ledger.error().text;
        check_groups(**ledger, intents, receipts);
    }
    const auto second = open_rocks_store(folder.path(), {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::state_locked) << second.error().text;
    const int status = writer.wait(promises);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_EQ(promises.receipts.size(), 8000U);
}

/// Runs the store's work when the test says so.
struct Executor {
    std::deque<std::function<void()>> work;
    std::function<void(std::function<void()>)> function() {
        return [this](std::function<void()> f) { work.push_back(std::move(f)); };
    }
    bool step() {
        if (work.empty()) return false;
        auto f = std::move(work.front());
        work.pop_front();
        f();
        return true;
    }
};

TEST(PowerCut, WhatWasDurableStaysAndTheRestGoesFromTheEnd) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Random random(seed);
        auto disk = std::make_shared<MemoryDisk>();
        std::set<std::uint64_t> intents;
        std::uint64_t highest_kept = 0;
        for (int life = 0; life < 4; ++life) {
            Executor executor;
            auto ledger = Ledger::open(open_memory_store(disk, executor.function()), false);
            ASSERT_TRUE(ledger);
            check_groups(**ledger, intents, {});
            for (const Intent& intent : (*ledger)->intents(1).value()) {
                highest_kept = std::max(highest_kept, intent.sequence);
            }
            for (const MessageRecord& m : (*ledger)->messages(1, 0, UINT32_MAX).value()) {
                highest_kept = std::max<std::uint64_t>(highest_kept, m.source_uid / 10);
            }
            for (std::uint64_t i = random.below(seed % 10 == 0 ? 5000 : 40); i > 0; --i) {
                const std::uint64_t sequence = (*ledger)->new_intent_sequence();
                ASSERT_GT(sequence, highest_kept) << "a number of a kept record came again";
                Intent intent{.mailbox = 1, .sequence = sequence, .items = {}};
                Batch receipts;
                receipts.erase_intent(1, sequence);
                for (std::uint32_t m = 0; m < kGroupMessages; ++m) {
                    const auto uid = static_cast<std::uint32_t>(sequence * 10 + m);
                    intent.items.push_back({.source_uid = uid, .size = 1, .digest = {}});
                    receipts.put_message(1, {.source_uid = uid});
                }
                Batch batch;
                batch.put_intent(intent);
                (*ledger)->commit(std::move(batch), [&intents, sequence](Result<void> result) {
                    ASSERT_TRUE(result);
                    intents.insert(sequence);
                });
                (*ledger)->commit(std::move(receipts), [](Result<void>) {});
                while (random.chance(0.6) && executor.step()) {
                }
            }
            disk->crash(random.chance(0.5) ? std::optional(random.next()) : std::nullopt);
            while (executor.step()) {
            }
        }
    }
}

TEST(PowerCut, OnlyDurableBatchesAreSafe) {
    auto disk = std::make_shared<MemoryDisk>();
    auto store = open_memory_store(disk);
    const auto put = [&](const std::string& key, bool durable) {
        WriteBatch batch;
        batch.changes.push_back({Family::meta, key, "v", false});
        store->commit(std::move(batch), durable, [](Result<void> result) { EXPECT_TRUE(result); });
    };
    put("a", false);
    EXPECT_EQ(disk->batches_at_risk(), 1U);
    put("b", true);
    EXPECT_EQ(disk->batches_at_risk(), 0U) << "a durable batch makes those before it durable";
    put("c", false);
    EXPECT_TRUE(store->get(Family::meta, "c"));
    disk->crash();
    EXPECT_FALSE(store->get(Family::meta, "a")) << "the store of before the crash is cut off";
    store = open_memory_store(disk);
    EXPECT_TRUE(store->get(Family::meta, "a"));
    EXPECT_TRUE(store->get(Family::meta, "b"));
    EXPECT_EQ(store->get(Family::meta, "c").error().code, Code::not_found);
}

TEST(PowerCut, AFailingDiskFailsCommitsAndNothingElse) {
    auto disk = std::make_shared<MemoryDisk>();
    auto ledger = Ledger::open(open_memory_store(disk), false);
    ASSERT_TRUE(ledger);
    disk->fail_commits(Error{.code = Code::io, .text = "no space left"});
    Batch batch;
    batch.put_message(1, {.source_uid = 1});
    int calls = 0;
    (*ledger)->commit(std::move(batch), [&](Result<void> result) {
        ++calls;
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().text, "no space left");
    });
    EXPECT_EQ(calls, 1);
    EXPECT_FALSE((*ledger)->open_account("a", "b"));
    EXPECT_EQ((*ledger)->messages(1, 0, 9)->size(), 0U);
    disk->fail_commits(std::nullopt);
    EXPECT_TRUE((*ledger)->open_account("a", "b"));
}

}  // namespace
}  // namespace imapult::dedup
