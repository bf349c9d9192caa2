// What may be moved on one day: stopped in time, kept over a restart, and the others go on.

#include "quirks/world.h"

namespace imapult::quirks {
namespace {

using namespace std::chrono_literals;

TEST(Budget, OfMessagesSurvivesARestartAndComesBackTheNextDay) {
    World world(imapd::standard(), imapd::standard());
    world.fill();
    world.limits.messages_per_day = 10;
    const auto first = world.copy();
    EXPECT_EQ(first.result, report::RunResult::partial) << describe(first);
    EXPECT_EQ(first.messages.copied, 10U) << describe(first);
    EXPECT_TRUE(first.messages.balanced()) << describe(first);
    EXPECT_EQ(first.messages.not_reached, 28U) << describe(first);
    ASSERT_TRUE(first.failure);
    EXPECT_EQ(first.failure->error.code, Code::limit);
    EXPECT_THAT(first.failure->error.text,
                ::testing::HasSubstr("10 messages a day for each account"));
    // The same day: nothing more.
    const auto again = world.copy();
    EXPECT_EQ(again.messages.copied, 0U) << describe(again);
    EXPECT_EQ(again.result, report::RunResult::partial) << describe(again);
    for (int day = 0; day < 3; ++day) {
        world.sleep(24h);
        const auto next = world.copy();
        EXPECT_EQ(next.messages.copied, day < 2 ? 10U : 8U) << describe(next);
    }
    EXPECT_EQ(world.difference(), "");
    for (const auto& [message, times] : world.source.journal().bodies) {
        EXPECT_EQ(times, 1U) << message.first << " " << message.second;
    }
}

TEST(Budget, OfOctetsLetsADaysFirstMessageThroughWhateverItsSize) {
    World world(imapd::standard(), imapd::standard());
    world.deliver("INBOX", World::mail("large", 50'000));
    world.deliver("INBOX", World::mail("small"));
    world.limits.bytes_per_day = 10'000;
    const auto first = world.copy();
    EXPECT_EQ(first.messages.copied, 1U) << describe(first);
    world.sleep(24h);
    expect_complete(world.copy());
    EXPECT_EQ(world.difference(), "");
}

TEST(Budget, OfOneAccountDoesNotStopTheOthers) {
    World world(imapd::standard(), imapd::standard(), 2);
    world.fill();
    world.source.add_message("user2@example.com", "INBOX", World::mail("theirs"));
    world.limits.messages_per_day = 5;
    const auto both = world.run();
    EXPECT_EQ(both[0].messages.copied, 5U) << describe(both[0]);
    expect_complete(both[1]);
    EXPECT_EQ(both[1].messages.copied, 1U) << describe(both[1]);
}

TEST(Budget, IsSpentByWhatIsFetchedAlthoughNothingArrives) {
    imapd::Behaviour full = imapd::standard();
    full.script.push_back(
        {.command = "APPEND", .every = true, .reply = "%t NO [CANNOT] Not with me\r\n"});
    World world(imapd::standard(), full);
    world.deliver_many("Box", 20, 2'000);
    world.limits.messages_per_day = 5;
    for (int run = 0; run < 4; ++run) {
        const auto summary = world.copy();
        EXPECT_EQ(summary.messages.copied, 0U) << describe(summary);
        EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
    }
    std::size_t fetched = 0;
    for (const auto& [message, times] : world.source.journal().bodies) fetched += times;
    EXPECT_LE(fetched, 10U) << "each run spent a day's budget of its own";
}

TEST(Budget, OfAHostIsSharedByItsAccountsAndKept) {
    World world(imapd::standard(), imapd::standard(), 2);
    world.fill();
    for (int i = 0; i < 20; ++i) {
        world.source.add_message("user2@example.com", "INBOX", World::mail(std::to_string(i)));
    }
    world.limits.host_messages_per_day = 12;
    auto both = world.run();
    EXPECT_EQ(both[0].messages.copied + both[1].messages.copied, 12U);
    both = world.run();
    EXPECT_EQ(both[0].messages.copied + both[1].messages.copied, 0U);
    ASSERT_TRUE(both[0].failure);
    EXPECT_THAT(both[0].failure->error.text, ::testing::HasSubstr("12 messages a day for source"));
    world.limits.host_messages_per_day = 0;
    for (const auto& summary : world.run()) expect_complete(summary);
}

}  // namespace
}  // namespace imapult::quirks
