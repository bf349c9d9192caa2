// The ledger over both stores: what goes in comes out, in the order and with the promises of its
// header.

#include "dedup/ledger.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <future>

#include "dedup/memory_store.h"
#include "temporary_folder.h"

namespace imapult::dedup {
namespace {

Result<void> commit_and_wait(Ledger& ledger, Batch batch) {
    std::promise<Result<void>> promise;
    auto future = promise.get_future();
    ledger.commit(std::move(batch), [&](Result<void> r) { promise.set_value(std::move(r)); });
    return future.get();
}

/// Runs over the store in memory and over RocksDB; `reopen` closes and opens again.
class LedgerTest : public testing::TestWithParam<bool> {
  protected:
    void SetUp() override { reopen(); }
    void reopen() {
        ledger.reset();
        if (GetParam()) {
            auto store = open_rocks_store(folder.path() + "/ledger", {.sync = false});
            ASSERT_TRUE(store) << store.error().text;
            open(std::move(*store));
        } else {
            open(open_memory_store(disk));
        }
    }
    void open(std::unique_ptr<Store> store) {
        auto opened = Ledger::open(std::move(store), false);
        ASSERT_TRUE(opened) << opened.error().text;
        ledger = std::move(*opened);
    }
    void commit(Batch batch) {
        const Result<void> result = commit_and_wait(*ledger, std::move(batch));
        ASSERT_TRUE(result) << result.error().text;
    }

    TemporaryFolder folder;
    std::shared_ptr<MemoryDisk> disk = std::make_shared<MemoryDisk>();
    std::unique_ptr<Ledger> ledger;
};

INSTANTIATE_TEST_SUITE_P(Stores, LedgerTest, testing::Bool(),
                         [](const auto& p) { return p.param ? "rocks" : "memory"; });

TEST_P(LedgerTest, KeepsItsSecret) {
    const std::string secret(ledger->digest_secret());
    EXPECT_EQ(secret.size(), 192U);
    reopen();
    EXPECT_EQ(ledger->digest_secret(), secret);
}

TEST_P(LedgerTest, AccountsAreFoundAgainByBothNames) {
    const auto a = ledger->open_account("ann@a.example.com:143", "ann@b.example.com:993");
    const auto b = ledger->open_account("ann@a.example.com:143", "bob@b.example.com:993");
    ASSERT_TRUE(a && b);
    EXPECT_NE(a->id, b->id);
    Batch batch;
    batch.put_pass(a->id, {.started = 5,
                           .finished = 9,
                           .result = "complete",
                           .source = 4,
                           .already_there = 1,
                           .copied = 1,
                           .adopted = 1,
                           .refused = 1});
    commit(std::move(batch));
    reopen();
    const auto again = ledger->open_account("ann@a.example.com:143", "ann@b.example.com:993");
    ASSERT_TRUE(again);
    EXPECT_EQ(again->id, a->id);
    ASSERT_TRUE(again->last_pass);
    EXPECT_EQ(again->last_pass->result, "complete");
    EXPECT_EQ(again->last_pass->source, 4U);
    const auto all = ledger->accounts();
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), 2U);
    EXPECT_TRUE((*all)[0].last_pass);
    EXPECT_FALSE((*all)[1].last_pass);
    EXPECT_EQ((*all)[1].destination, "bob@b.example.com:993");
}

TEST_P(LedgerTest, MessagesComeInRisingUidAndWithinTheRange) {
    Batch batch;
    for (const std::uint32_t uid : {300U, 2U, 70000U, 1U, 4294967295U}) {
        batch.put_message(7, {.source_uid = uid,
                              .destination_uid = uid / 2,
                              .size = uid * 3ULL,
                              .base = {.system = kSeen | kDraft, .keywords = "$Forwarded a"}});
    }
    batch.put_message(8, {.source_uid = 5});
    commit(std::move(batch));
    reopen();
    const auto messages = ledger->messages(7, 2, 4294967295U);
    ASSERT_TRUE(messages);
    std::vector<std::uint32_t> uids;
    for (const auto& m : *messages) uids.push_back(m.source_uid);
    EXPECT_EQ(uids, (std::vector<std::uint32_t>{2, 300, 70000, 4294967295U}));
    EXPECT_EQ((*messages)[1].size, 900U);
    EXPECT_EQ((*messages)[1].base.keywords, "$Forwarded a");
    EXPECT_EQ((*messages)[1].base.system, kSeen | kDraft);
    EXPECT_EQ(ledger->messages(7, 3, 299)->size(), 0U);
}

TEST_P(LedgerTest, NumbersAreNeverHandedOutTwice) {
    std::uint32_t last = 0;
    std::uint64_t last_sequence = 0;
    for (int round = 0; round < 4; ++round) {
        for (int i = 0; i < 700; ++i) {
            const MailboxId id = ledger->new_mailbox_id();
            ASSERT_GT(id, last);
            last = id;
            const std::uint64_t sequence = ledger->new_intent_sequence();
            ASSERT_GT(sequence, last_sequence);
            last_sequence = sequence;
        }
        reopen();
    }
}

TEST_P(LedgerTest, ReceiptsAndTheEndOfTheIntentAreOneChange) {
    Intent intent{.mailbox = 3,
                  .sequence = ledger->new_intent_sequence(),
                  .destination_uid_validity = 77,
                  .floor = 5,
                  .items = {}};
    intent.items.push_back({.source_uid = 9, .size = 100, .digest = {1}});
    intent.items.push_back({.source_uid = 12, .size = 3'000'000, .digest = {}});
    Batch batch;
    batch.put_intent(intent);
    commit(std::move(batch));
    reopen();
    auto intents = ledger->intents(3);
    ASSERT_TRUE(intents);
    ASSERT_EQ(intents->size(), 1U);
    EXPECT_EQ((*intents)[0].floor, 5U);
    ASSERT_EQ((*intents)[0].items.size(), 2U);
    EXPECT_EQ((*intents)[0].items[1].size, 3'000'000U);
    EXPECT_EQ(ledger->counts(3)->intents, 1U);
    Batch receipt;
    receipt.erase_intent(3, intent.sequence);
    receipt.put_message(3, {.source_uid = 9, .destination_uid = 5});
    receipt.put_message(3, {.source_uid = 12, .state = MessageState::refused});
    commit(std::move(receipt));
    reopen();
    const auto counts = ledger->counts(3);
    ASSERT_TRUE(counts);
    EXPECT_EQ(counts->intents, 0U);
    EXPECT_EQ(counts->messages, 2U);
    EXPECT_EQ(counts->refused, 1U);
}

TEST(RocksLedger, FolderIsClosedToOthers) {
    TemporaryFolder folder;
    const std::string path = folder.path() + "/deep/state";
    {
        ASSERT_TRUE(open_rocks_store(path, {}));
    }
    struct stat status{};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0700U);
    ASSERT_EQ(chmod(path.c_str(), 0755), 0);
    {
        ASSERT_TRUE(open_rocks_store(path, {}));
    }
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0700U);
}

TEST(RocksLedger, ASecondWriterIsRefusedAndAReaderIsNot) {
    TemporaryFolder folder;
    auto first = open_rocks_store(folder.path(), {});
    ASSERT_TRUE(first);
    auto ledger = Ledger::open(std::move(*first), false);
    ASSERT_TRUE(ledger);
    const auto second = open_rocks_store(folder.path(), {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::state_locked);
    EXPECT_NE(second.error().text.find(folder.path()), std::string::npos);
    ASSERT_TRUE((*ledger)->open_account("s", "d"));
    auto reader = open_rocks_store(folder.path(), {.read_only = true});
    ASSERT_TRUE(reader) << reader.error().text;
    auto seen = Ledger::open(std::move(*reader), true);
    ASSERT_TRUE(seen) << seen.error().text;
    EXPECT_EQ((*seen)->accounts()->size(), 1U);
}

TEST(RocksLedger, AReaderGetsNumbersForWhatItWillForget) {
    TemporaryFolder folder;
    MailboxId used = 0;
    {
        auto store = open_rocks_store(folder.path(), {});
        ASSERT_TRUE(store);
        auto ledger = Ledger::open(std::move(*store), false);
        ASSERT_TRUE(ledger);
        used = (*ledger)->new_mailbox_id();
    }
    auto reader = open_rocks_store(folder.path(), {.read_only = true});
    ASSERT_TRUE(reader) << reader.error().text;
    auto seen = Ledger::open(std::move(*reader), true);
    ASSERT_TRUE(seen) << seen.error().text;
    const MailboxId fresh = (*seen)->new_mailbox_id();
    EXPECT_GT(fresh, used);
    EXPECT_GT((*seen)->new_mailbox_id(), fresh);
    EXPECT_GT((*seen)->new_intent_sequence(), 0U);
    EXPECT_TRUE((*seen)->open_account("s", "d"));
    EXPECT_TRUE((*seen)->accounts()->empty());
}

}  // namespace
}  // namespace imapult::dedup
