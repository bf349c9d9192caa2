// What today's tools were measured to do under throttling, drops and broken answers, and this one
// never does.

#include <set>

#include "quirks/world.h"

namespace imapult::quirks {
namespace {

using namespace std::chrono_literals;

imapd::Behaviour with(void (*change)(imapd::Behaviour&)) {
    imapd::Behaviour b = imapd::standard();
    change(b);
    return b;
}

/// Messages handed out more often than once, each counted as often as that.
std::uint64_t asked_again(const imapd::Journal& journal) {
    std::uint64_t more = 0;
    for (const auto& [message, times] : journal.bodies) more += times - 1;
    return more;
}

TEST(Trouble, SourceThatThrottlesEvery50CommandsAndDropsEvery500) {
    World world(with([](imapd::Behaviour& b) {
                    b.throttle = {.every = 50,
                                  .drop_every = 500,
                                  .text =
                                      "Request is throttled. Suggested Backoff Time: 2000 "
                                      "milliseconds",
                                  .seconds = 2};
                }),
                imapd::standard());
    for (int i = 0; i < 500; ++i) world.deliver_many("Box " + std::to_string(i), 3);
    expect_complete(world.copy());
    EXPECT_EQ(world.difference(), "");
    const imapd::Journal journal = world.source.journal();
    EXPECT_GE(journal.throttled, 20U);
    EXPECT_GE(journal.dropped, 2U);
    EXPECT_EQ(journal.impatient, 0U);
    // A drop costs what was under way on that connection: two windows of three messages here.
    EXPECT_LE(asked_again(journal), journal.dropped * 2 * 3);
    EXPECT_LE(journal.log_ins, world.options.lanes + journal.dropped);
}

TEST(Trouble, DestinationThatThrottlesEvery50CommandsAndDropsEvery500) {
    World world(imapd::standard(), with([](imapd::Behaviour& b) {
                    b.hide("MULTIAPPEND");
                    b.throttle = {.every = 50,
                                  .drop_every = 500,
                                  .as = imapd::Throttle::As::no,
                                  .text = "[LIMIT] Server busy, retry after 3 seconds",
                                  .seconds = 3};
                }));
    for (int i = 0; i < 20; ++i) world.deliver_many("Box " + std::to_string(i), 60);
    expect_complete(world.copy());
    EXPECT_EQ(world.difference(), "");
    const imapd::Journal journal = world.destination.journal();
    EXPECT_GE(journal.throttled, 20U);
    EXPECT_GE(journal.dropped, 2U);
    EXPECT_EQ(journal.impatient, 0U);
}

TEST(Trouble, ProviderThatAsksForPatienceIsNotLoggedInto124Times) {
    World world(imapd::standard(), imapd::standard());
    world.fill();
    // For two hours every log-in is refused without a word of how long it will take.
    const imapd::Behaviour open = *world.source.behaviour();
    imapd::Behaviour closed = open;
    closed.throttle = {.every = 1,
                       .as = imapd::Throttle::As::no,
                       .text = "[LIMIT] Too many simultaneous connections",
                       .closes = true,
                       .seconds = 7'200,
                       .at_login = true};
    world.source.set_behaviour(closed);
    world.at(2h, [&] { world.source.set_behaviour(open); });
    world.options.retry_for = 3h;
    expect_complete(world.copy());
    EXPECT_EQ(world.difference(), "");
    EXPECT_LE(world.connections_made(), 45U);
}

TEST(Trouble, DelayIsObeyedToTheSecond) {
    World world(with([](imapd::Behaviour& b) {
                    b.script.push_back({.command = "UID FETCH",
                                        .nth = 3,
                                        .reply = "%t BAD Request is throttled. Suggested Backoff "
                                                 "Time: 299500 milliseconds\r\n"});
                }),
                imapd::standard());
    world.options.lanes = 1;
    world.fill();
    expect_complete(world.copy());
    EXPECT_EQ(world.difference(), "");
    EXPECT_GE(world.pass_took(), 299'500ms);
    EXPECT_LE(world.pass_took(), 302s);
    ASSERT_EQ(world.told.retries.size(), 1U);
    EXPECT_THAT(world.told.retries[0].why, ::testing::HasSubstr("throttled"));
    EXPECT_EQ(world.source.journal().log_ins, 1U) << "the connection was still good";
}

TEST(Trouble, OtherAccountsGoOnWhileOneWaits) {
    World world(imapd::standard(), imapd::standard(), 2);
    world.fill();
    world.source.add_message("user2@example.com", "INBOX", World::mail("theirs"));
    for (int i = 0; i < 10; ++i) world.deliver_many("Box " + std::to_string(i), 3);
    imapd::Behaviour b = *world.source.behaviour();
    b.locked_mailboxes = {};
    b.throttle = {.every = 25,
                  .as = imapd::Throttle::As::no,
                  .text = "Try again in 50 minutes",
                  .seconds = 3'000};
    world.source.set_behaviour(b);
    Nanos theirs{0};
    world.at(60s, [&] {
        theirs = world.now();
        EXPECT_EQ(world.destination.messages("user2@example.com", "INBOX").size(), 1U)
            << "the small account waits for the large one";
    });
    const auto both = world.run();
    EXPECT_GT(theirs.count(), 0);
    for (const auto& summary : both) expect_complete(summary);
    EXPECT_EQ(world.source.journal().impatient, 0U);
}

TEST(Trouble, LinkThatIsDownForTwentyMinutesAtNight) {
    World world(imapd::standard(), imapd::standard());
    world.fill();
    world.deliver_many("More", 400, 2'000);
    world.options.budget = nullptr;
    world.weather.latency = 40ms;
    world.options.away_for = 1h;
    world.outage(400ms, 20min);
    expect_complete(world.copy());
    EXPECT_EQ(world.difference(), "");
    EXPECT_GE(world.pass_took(), 19min) << "the outage was never met";
    EXPECT_LE(world.pass_took(), 30min);
}

TEST(Trouble, GivesUpAfterRetryFor) {
    World world(imapd::standard(), imapd::standard());
    world.fill();
    world.deliver_many("More", 400, 2'000);
    world.options.retry_for = world.options.away_for = 5min;
    world.weather.latency = 40ms;
    world.outage(400ms, 2h);
    const auto summary = world.copy();
    EXPECT_EQ(summary.result, report::RunResult::failed) << describe(summary);
    EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
    ASSERT_TRUE(summary.failure);
    EXPECT_THAT(summary.failure->error.text, ::testing::HasSubstr("--retry-for"));
    expect_complete(world.copy());
    EXPECT_EQ(world.difference(), "");
}

TEST(Trouble, ResetInsideALiteralLeavesNoHalfMessage) {
    World world(imapd::standard(), imapd::standard());
    for (int i = 0; i < 6; ++i) {
        const std::size_t bytes = 150'000 + 90'000 * static_cast<std::size_t>(i);
        world.deliver("INBOX", World::mail("large-" + std::to_string(i), bytes));
    }
    std::set<std::string> whole;
    for (const auto& message : world.source.messages(kUser, "INBOX")) whole.insert(*message.body);
    world.weather.reset = 1;
    world.weather.trouble_bytes_max = 900'000;
    world.weather.reset_keeps_sent = true;
    for (int pass = 0; pass < 3; ++pass) {
        (void)world.copy();
        const auto bodies = world.bodies("INBOX");
        std::set<std::string> once;
        for (const std::string& body : bodies) {
            EXPECT_TRUE(whole.contains(body)) << "something that was never sent: " << body.size();
            EXPECT_TRUE(once.insert(body).second) << "twice";
        }
    }
    world.weather.reset = 0;
    expect_complete(world.copy());
    EXPECT_EQ(world.difference(), "");
}

TEST(Trouble, AppendThatWasStoredAndNotAnsweredIsNotDoubled) {
    for (const unsigned nth : {1U, 2U, 3U}) {
        SCOPED_TRACE(nth);
        imapd::Behaviour b = imapd::standard();
        b.append_unanswered = nth;
        World world(imapd::standard(), b);
        world.fill();
        expect_complete(world.copy());
        EXPECT_EQ(world.difference(), "");
    }
}

TEST(Trouble, OneTemporaryNoForgetsNothing) {
    for (const char* text : {"%t NO Internal server error\r\n", "%t NO [UNAVAILABLE] Later\r\n",
                             "%t NO [SERVERBUG] Oops\r\n"}) {
        SCOPED_TRACE(text);
        for (const unsigned nth : {1U, 2U, 3U, 4U}) {
            for (const char* command : {"UID FETCH", "EXAMINE"}) {
                SCOPED_TRACE(command + std::to_string(nth));
                imapd::Behaviour b = imapd::standard();
                b.script.push_back({.command = command, .nth = nth, .reply = text});
                World world(b, imapd::standard());
                world.any_order = true;
                world.fill();
                const auto first = world.copy();
                // Where the server does not say that it will pass, the mailbox is listed; nothing
                // of it is forgotten, and the next pass has it.
                EXPECT_TRUE(first.messages.balanced()) << describe(first);
                if (first.result != report::RunResult::complete) {
                    EXPECT_FALSE(first.refusals.empty()) << describe(first);
                    world.source.set_behaviour(imapd::standard());
                    expect_complete(world.copy());
                }
                EXPECT_EQ(world.difference(), "");
            }
            SCOPED_TRACE("APPEND" + std::to_string(nth));
            imapd::Behaviour b = imapd::standard();
            b.script.push_back({.command = "APPEND", .nth = nth, .reply = text});
            World world(imapd::standard(), b);
            world.fill();
            // The script is of each connection; this trouble is over soon.
            world.at(400ms, [&] { world.destination.set_behaviour(imapd::standard()); });
            expect_complete(world.copy());
            const auto again = world.copy();
            expect_complete(again);
            EXPECT_EQ(again.messages.copied, 0U);
            EXPECT_EQ(world.bodies("INBOX").size(), 6U);
        }
    }
}

TEST(Trouble, BackendThatIsAwayForHalfAnHourCostsNoMessage) {
    World world(imapd::standard(), imapd::standard());
    world.fill();
    const imapd::Behaviour open = *world.destination.behaviour();
    imapd::Behaviour away = open;
    away.script.push_back({.command = "APPEND",
                           .nth = 1,
                           .every = true,
                           .reply = "%t NO [UNAVAILABLE] Temporary failure\r\n"});
    world.at(50ms, [&] { world.destination.set_behaviour(away); });
    world.at(30min, [&] { world.destination.set_behaviour(open); });
    expect_complete(world.copy());
    world.any_order = true;
    EXPECT_EQ(world.difference(), "");
    EXPECT_GE(world.pass_took(), 29min) << "the trouble was never met";
}

TEST(Trouble, UnavailableThoughItWasStoredIsNotDoubled) {
    // A server behind the server has stored it, and the answer was lost on the way.
    for (const unsigned nth : {1U, 2U, 3U}) {
        SCOPED_TRACE(nth);
        imapd::Behaviour b = imapd::standard();
        b.append_unanswered = nth;
        b.append_unanswered_as = "[UNAVAILABLE] Backend timeout";
        World world(imapd::standard(), b);
        world.fill();
        expect_complete(world.copy());
        world.any_order = true;
        EXPECT_EQ(world.difference(), "");
    }
}

TEST(Trouble, MessageThatIsThrottledWhenItIsAskedForAloneIsNotForgotten) {
    imapd::Behaviour b = imapd::standard();
    b.script.push_back({.command = "UID FETCH",
                        .nth = 2,
                        .reply = "%t NO Some messages could not be fetched\r\n"});
    b.script.push_back(
        {.command = "UID FETCH", .nth = 3, .reply = "%t NO [LIMIT] Try again in 5 seconds\r\n"});
    World world(b, imapd::standard());
    world.options.lanes = 1;
    for (int i = 0; i < 3; ++i) world.deliver("INBOX", World::mail("m" + std::to_string(i)));
    expect_complete(world.copy());
    EXPECT_EQ(world.bodies("INBOX").size(), 3U);
}

TEST(Trouble, EndlessLineCostsBoundedMemory) {
    World world(
        with([](imapd::Behaviour& b) {
            b.script.push_back({.command = "UID FETCH",
                                .every = true,
                                .reply = "* 1 FETCH (UID 1 FLAGS (" + std::string(24 << 20, 'x')});
        }),
        imapd::standard());
    world.options.retry_for = world.options.away_for = 0s;
    world.options.lanes = 1;
    world.fill();
    const auto summary = world.copy();
    EXPECT_EQ(summary.result, report::RunResult::failed) << describe(summary);
    ASSERT_TRUE(summary.failure);
    // The connection is given up at the limit of a line, not at the end of what is sent.
    EXPECT_LE(summary.bytes.source_in, world.connections_made() * (3ULL << 20));
}

TEST(Trouble, LiteralOfATerabyteIsRefused) {
    World world(with([](imapd::Behaviour& b) {
                    b.script.push_back({.command = "UID FETCH",
                                        .nth = 2,
                                        .every = true,
                                        .reply = "* 1 FETCH (UID 1 BODY[] {1099511627776}\r\n" +
                                                 std::string(8 << 20, 'x')});
                }),
                imapd::standard());
    world.options.retry_for = world.options.away_for = 0s;
    world.options.lanes = 1;
    world.fill();
    const auto summary = world.copy();
    EXPECT_EQ(summary.result, report::RunResult::failed) << describe(summary);
    EXPECT_LE(summary.bytes.source_in, world.connections_made() * (2ULL << 20));
    EXPECT_TRUE(world.bodies("INBOX").empty());
}

}  // namespace
}  // namespace imapult::quirks
