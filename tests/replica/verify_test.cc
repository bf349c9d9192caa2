// What `verify` says of a copy, where servers answer in their own way.

#include <algorithm>
#include <chrono>

#include "replica/pair.h"

namespace imapult::test {
namespace {

using report::VerifyDepth;

constexpr const char* kAlice = "alice@example.com";

void fill(Pair& pair, const std::string& mailbox, std::size_t messages) {
    for (std::size_t i = 0; i < messages; ++i)
        pair.deliver(kAlice, mailbox, mailbox + "-" + std::to_string(i));
}

TEST(Verify, DataOfTheNextFetchBeforeTheOkOfTheOneInFrontIsWhosItIs) {
    imapd::Behaviour overtaking = imapd::standard();
    overtaking.fetch_overtakes_ok = true;
    for (const bool at_source : {true, false}) {
        SCOPED_TRACE(at_source ? "source" : "destination");
        Pair pair(at_source ? overtaking : imapd::standard(),
                  at_source ? imapd::standard() : overtaking, {kAlice});
        fill(pair, "INBOX", 1'200);
        (void)pair.copy();
        const auto found = pair.verify(VerifyDepth::content);
        EXPECT_EQ(found.verify.equal, 1'200U) << describe(found);
        EXPECT_EQ(found.result, report::RunResult::complete);
    }
}

TEST(Verify, ABodyThatWasNotHandedOutAtFirstIsAskedForOnceMore) {
    for (const char* said :
         {"NO [UNAVAILABLE] try again later", "NO Internal error",
          "BAD Request is throttled. Suggested Backoff Time: 1000 milliseconds"}) {
        SCOPED_TRACE(said);
        Pair pair(imapd::standard(), imapd::standard(), {kAlice});
        fill(pair, "INBOX", 60);
        (void)pair.copy();
        imapd::Behaviour source = imapd::standard();
        source.script.push_back({.command = "UID FETCH",
                                 .nth = 2,  // the first asks for the metadata
                                 .reply = "%t " + std::string(said) + "\r\n"});
        pair.source.set_behaviour(source);
        const auto found = pair.verify(VerifyDepth::content);
        EXPECT_EQ(found.verify.equal, 60U) << describe(found);
        EXPECT_EQ(found.result, report::RunResult::complete);
    }
}

/// So many octets a second.
class Slowly final : public replica::RateLimiter {
  public:
    explicit Slowly(std::int64_t a_second) : a_second_(a_second) {}
    Nanos reserve(std::uint64_t bytes, Nanos now) override {
        free_ = std::max(free_, now) +
                Nanos(std::chrono::seconds(1)) * static_cast<std::int64_t>(bytes) / a_second_;
        return free_;
    }

  private:
    std::int64_t a_second_;
    Nanos free_{0};
};

TEST(Verify, TheRateLimitIsKeptTo) {
    Pair pair(imapd::standard(), imapd::standard(), {kAlice});
    fill(pair, "INBOX", 300);
    (void)pair.copy();
    Slowly rate(1'000);
    pair.options.rate = &rate;
    const auto found = pair.verify(VerifyDepth::content);
    EXPECT_EQ(found.verify.equal, 300U) << describe(found);
    const double octets = 2.0 * 300 * static_cast<double>(Pair::mail("INBOX-100").size());
    EXPECT_GT(found.seconds, octets / 1'000 * 0.9);
}

TEST(Verify, WhatTheSourceCountsAndDoesNotListIsNotEqual) {
    imapd::Behaviour source = imapd::standard();
    source.fetch_missing = {7, 9};
    Pair pair(source, imapd::standard(), {kAlice});
    fill(pair, "INBOX", 20);
    (void)pair.copy();
    for (const VerifyDepth depth : {VerifyDepth::metadata, VerifyDepth::content}) {
        const auto found = pair.verify(depth);
        EXPECT_EQ(found.verify.equal, 18U) << describe(found);
        EXPECT_EQ(found.verify.missing, 2U);
        EXPECT_EQ(found.result, report::RunResult::partial);
        ASSERT_EQ(found.differences.size(), 1U);
        EXPECT_THAT(found.differences[0].text, ::testing::HasSubstr("2 messages more than it"));
    }
}

TEST(Verify, AListingCutByMessageLimitIsFollowed) {
    imapd::Behaviour limited = imapd::standard();
    limited.command_messages_max = 40;
    for (const bool told : {true, false}) {
        SCOPED_TRACE(told);
        if (told) limited.offer("MESSAGELIMIT=40");
        Pair pair(limited, limited, {kAlice});
        fill(pair, "INBOX", 150);
        (void)pair.copy();
        for (const VerifyDepth depth : {VerifyDepth::metadata, VerifyDepth::content}) {
            const auto found = pair.verify(depth);
            EXPECT_EQ(found.verify.equal, 150U) << describe(found);
            EXPECT_EQ(found.result, report::RunResult::complete);
        }
    }
}

/// Two mailboxes of 20 messages each, copied.
struct Copied {
    Copied() : pair(imapd::standard(), imapd::standard(), {kAlice}) {
        fill(pair, "INBOX", 20);
        fill(pair, "Work", 20);
        (void)pair.copy();
    }
    void say(Side side, imapd::ScriptedReply reply) {
        imapd::Behaviour b = imapd::standard();
        b.script.push_back(std::move(reply));
        (side == Side::source ? pair.source : pair.destination).set_behaviour(b);
    }
    Pair pair;
};

TEST(Verify, WaitsWhereAServerAsksForIt) {
    for (const Side side : {Side::source, Side::destination}) {
        for (const char* command : {"LIST", "EXAMINE", "UID FETCH"}) {
            for (const char* said :
                 {"NO [UNAVAILABLE] try again later", "NO [INUSE] locked",
                  "BAD Request is throttled. Suggested Backoff Time: 1000 milliseconds"}) {
                SCOPED_TRACE(std::string(name_of(side)) + " " + command + " " + said);
                Copied copied;
                copied.say(side, {.command = command, .reply = "%t " + std::string(said) + "\r\n"});
                const auto found = copied.pair.verify(VerifyDepth::metadata);
                EXPECT_EQ(found.verify.equal, 40U) << describe(found);
                EXPECT_EQ(found.result, report::RunResult::complete);
                EXPECT_THAT(found.differences, ::testing::IsEmpty());
            }
        }
    }
}

TEST(Verify, GoesOnAfterALostConnection) {
    for (const Side side : {Side::source, Side::destination}) {
        SCOPED_TRACE(name_of(side));
        Copied copied;
        copied.say(side, {.command = "UID FETCH", .nth = 3, .reply = "", .close = true});
        const auto found = copied.pair.verify(VerifyDepth::content);
        EXPECT_EQ(found.verify.equal, 40U) << describe(found);
        EXPECT_EQ(found.result, report::RunResult::complete);
    }
}

TEST(Verify, AMailboxThatEndsEachConnectionIsNotComparedAndDoesNotEndTheRest) {
    Copied copied;
    copied.say(Side::source,
               {.command = "UID FETCH", .nth = 2, .every = true, .reply = "", .close = true});
    const auto found = copied.pair.verify(VerifyDepth::content);
    EXPECT_EQ(found.result, report::RunResult::partial) << describe(found);
    EXPECT_EQ(found.verify.different, 40U);
    EXPECT_EQ(found.mailboxes.failed, 2U);
}

TEST(Verify, SeesMailboxesThatOneSideHasNot) {
    Copied copied;
    copied.pair.source.create(kAlice, "Empty");
    copied.pair.destination.create(kAlice, "Only here");
    for (const char* name : {"a", "b", "c"})
        copied.pair.destination.add_message(kAlice, "Only here", Pair::mail(name));
    for (const VerifyDepth depth : {VerifyDepth::counts, VerifyDepth::metadata}) {
        const auto found = copied.pair.verify(depth);
        EXPECT_EQ(found.verify.equal, 40U) << describe(found);
        EXPECT_EQ(found.verify.extra, 3U);
        ASSERT_EQ(found.differences.size(), 1U);
        EXPECT_EQ(found.differences[0].mailbox, "Empty");
        EXPECT_EQ(found.differences[0].kind, report::Difference::Kind::missing);
    }
    // What was not selected is not looked for.
    copied.pair.options.names.include = {"INBOX"};
    EXPECT_EQ(copied.pair.verify(VerifyDepth::metadata).verify.extra, 0U);
}

}  // namespace
}  // namespace imapult::test
