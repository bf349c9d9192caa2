#include "provisioning/crew.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

namespace imapult::provisioning {
namespace {

constexpr std::size_t kThreads = 3;

TEST(Crew, JobsWaitSideBySideAndShareStateWithoutFurtherLocks) {
    Crew crew(kThreads);
    std::latch all(kThreads);
    int shared = 0;
    for (std::size_t i = 0; i < kThreads; ++i) {
        ASSERT_TRUE(crew.submit([&]() -> Result<> {
            ++shared;
            // Ends only when every job waits here at the same time.
            crew.unlocked([&] {
                all.arrive_and_wait();
                return 0;
            });
            ++shared;
            return {};
        }));
    }
    ASSERT_TRUE(crew.drain());
    EXPECT_EQ(shared, 2 * static_cast<int>(kThreads));
    for (int i = 0; i < 1000; ++i) {
        ASSERT_TRUE(crew.submit([&]() -> Result<> {
            ++shared;
            return {};
        }));
    }
    ASSERT_TRUE(crew.drain());
    EXPECT_EQ(shared, 1000 + 2 * static_cast<int>(kThreads));
}

TEST(Crew, AfterAnErrorNoFurtherJobBegins) {
    Crew crew(1);
    int done = 0;
    (void)crew.submit([&]() -> Result<> {
        ++done;
        return invalid("the first");
    });
    EXPECT_FALSE(crew.drain());
    for (int i = 0; i < 5; ++i) {
        const auto result = crew.submit([&]() -> Result<> {
            ++done;
            return invalid("another");
        });
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().text, "the first");
    }
    EXPECT_FALSE(crew.drain());
    EXPECT_EQ(done, 1);
}

TEST(Crew, JobsThatHaveBegunAreWaitedForAtTheEnd) {
    std::atomic<int> ended = 0;
    std::latch begun(1);
    {
        Crew crew(kThreads);
        (void)crew.submit([&]() -> Result<> {
            crew.unlocked([&] {
                begun.count_down();
                return 0;
            });
            ++ended;
            return {};
        });
        crew.unlocked([&] {
            begun.wait();
            return 0;
        });
    }
    EXPECT_EQ(ended, 1);
}

}  // namespace
}  // namespace imapult::provisioning
