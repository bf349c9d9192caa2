// A mailbox of a million messages in the ledger costs a bounded amount of memory.

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <future>

#include "dedup/ledger.h"
#include "engine/base/random.h"
#include "temporary_folder.h"

namespace imapult::dedup {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

std::size_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::size_t total = 0;
    std::size_t resident = 0;
    statm >> total >> resident;
    return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

TEST(Memory, AMillionMessagesAreWrittenAndVisitedInBoundedMemory) {
    constexpr std::uint32_t kMessages = kSanitized ? 200'000 : 1'000'000;
    constexpr std::uint32_t kGroup = 64;
    Random random(1);
    TemporaryFolder folder;
    const std::size_t before = resident_bytes();
    std::size_t most = before;
    auto store = open_rocks_store(folder.path(), {.sync = false});
    ASSERT_TRUE(store);
    auto ledger = Ledger::open(std::move(*store), false);
    ASSERT_TRUE(ledger);
    for (std::uint32_t uid = 1; uid <= kMessages;) {
        Batch batch;
        for (std::uint32_t i = 0; i < kGroup && uid <= kMessages; ++i, ++uid) {
            MessageRecord record{.source_uid = uid, .destination_uid = uid, .size = 4096 + uid};
            for (std::uint8_t& octet : record.digest) {
                octet = static_cast<std::uint8_t>(random.next());
            }
            record.base.system = kSeen;
            batch.put_message(1, record);
        }
        std::promise<Result<void>> done;
        (*ledger)->commit(std::move(batch), [&](Result<void> r) { done.set_value(std::move(r)); });
        ASSERT_TRUE(done.get_future().get());
        if (uid % 1024 == 1) most = std::max(most, resident_bytes());
    }
    const std::size_t written = most;
    std::uint32_t next = 1;
    const auto visited = (*ledger)->visit_messages(1, 0, UINT32_MAX, [&](const MessageRecord& m) {
        EXPECT_EQ(m.source_uid, next);
        ++next;
        if (next % 4096 == 0) most = std::max(most, resident_bytes());
        return true;
    });
    ASSERT_TRUE(visited);
    EXPECT_EQ(next, kMessages + 1);
    RecordProperty("written_kib", static_cast<int>((written - before) / 1024));
    RecordProperty("visited_kib", static_cast<int>((most - before) / 1024));
    std::printf("resident: +%zu KiB written, +%zu KiB visited\n", (written - before) / 1024,
                (most - before) / 1024);
    constexpr std::size_t kMiB = 1024 * 1024;
    if (!kSanitized) EXPECT_LT(most - before, 24 * kMiB);
}

}  // namespace
}  // namespace imapult::dedup
