// What servers make of FETCH and SEARCH.

#include <algorithm>

#include "quirks/cases.h"

namespace imapult::quirks {

void expect_refused(const report::AccountSummary& summary, std::vector<std::uint32_t> uids,
                    std::string_view reason) {
    EXPECT_EQ(summary.result, report::RunResult::partial) << describe(summary);
    EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
    EXPECT_EQ(summary.messages.refused, uids.size()) << describe(summary);
    std::vector<std::uint32_t> refused;
    for (const report::Refusal& refusal : summary.refusals) {
        EXPECT_EQ(refusal.mailbox, "INBOX") << describe(summary);
        refused.push_back(refusal.uid);
        EXPECT_THAT(refusal.reason, ::testing::HasSubstr(reason));
    }
    std::ranges::sort(refused);
    EXPECT_EQ(refused, uids) << describe(summary);
}

namespace {

/// Only INBOX has a second message that the server does not hand out.
void only_inbox(World& world) {
    world.source.remove(kUser, "Work");
    world.source.remove(kUser, "Many");
    world.deliver_many("INBOX", 40);
}

/// All but UID 2 of 46 are there; the second pass says the same again.
void without_the_second(World& world, const report::AccountSummary& summary,
                        std::string_view reason) {
    expect_refused(summary, {2}, reason);
    EXPECT_EQ(world.bodies("INBOX").size(), 45U);
    EXPECT_LE(world.source.journal().log_ins, 4U) << "one message is no reason to log in again";
    const auto again = world.copy();
    expect_refused(again, {2}, reason);
    EXPECT_EQ(again.messages.copied, 0U) << describe(again);
}

/// Some were changed by later passes.
void change_flags(World& world) {
    expect_complete(world.copy());
    world.source.set_flags(kUser, "INBOX", 1, {"\\Flagged"});
    world.source.expunge(kUser, "Many", 3);
    world.deliver("INBOX", World::mail("later"));
}

void delta(World& world, const report::AccountSummary& summary) {
    expect_complete(summary);
    EXPECT_EQ(summary.messages.copied, 1U) << describe(summary);
    EXPECT_TRUE(world.destination.messages(kUser, "INBOX")[0].flags.has("\\Flagged"));
    EXPECT_EQ(world.bodies("Many").size(), 30U) << "nothing is deleted";
    EXPECT_EQ(world.bodies("INBOX").size(), 7U);
}

}  // namespace

std::vector<Case> fetch_cases() {
    const auto only_big = [](World& world) {
        world.deliver("INBOX", World::mail("huge", 1'200'000));
    };
    return {
        {.quirk = "modseq-minus-one", .given = change_flags, .then = delta},
        {.quirk = "sizes-in-exponents", .given = only_big},
        {.quirk = "sizes-estimated"},
        {.quirk = "changedsince-ignored", .given = change_flags, .then = delta},
        {.quirk = "vanished-malformed", .source = "icloud", .given = change_flags, .then = delta},
        {.quirk = "copyuid-untagged",
         .side = Side::destination,
         .given = change_flags,
         .then = delta},
        {.quirk = "copyuid-empty", .side = Side::destination, .given = change_flags, .then = delta},
        {.quirk = "fetch-uid-last"},
        {.quirk = "fetch-flags-first"},
        {.quirk = "fetch-lines-split"},
        {.quirk = "fetch-unsolicited"},
        {.quirk = "fetch-unsolicited", .variant = "delta", .given = change_flags, .then = delta},
        {.quirk = "fetch-although-silent",
         .side = Side::destination,
         .given = change_flags,
         .then = delta},
        {.quirk = "fetch-line-missing",
         .given = only_inbox,
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 without_the_second(world, summary, "does not");
             }},
        {.quirk = "fetch-without-body",
         .given = only_inbox,
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 without_the_second(world, summary, "does not hand it out");
             }},
        {.quirk = "fetch-unavailable",
         .given = only_inbox,
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 without_the_second(world, summary, "UID FETCH Server error");
             }},
        {.quirk = "fetch-replaced",
         .source = "exchange",
         .given = only_inbox,
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 without_the_second(world, summary, "a text of its own");
             }},
        {.quirk = "short-literals",
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 // The server says that the message is two octets shorter: so is the copy.
                 expect_complete(summary);
                 const auto bodies = world.bodies("INBOX");
                 ASSERT_EQ(bodies.size(), 6U);
                 EXPECT_EQ(bodies[0] + "\r\n", World::mail("one"));
             }},
        {.quirk = "rfc822-empty"},
        {.quirk = "newest-10000",
         .source = "yahoo",
         .given = [](World& world) { world.deliver_many("Full", 10'040, 10); },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 // UIDONLY shows them all.
                 expect_complete(summary);
                 EXPECT_EQ(world.bodies("Full").size(), 10'040U);
             }},
        {.quirk = "newest-10000",
         .source = "yahoo",
         .variant = "without_uidonly",
         .given =
             [](World& world) {
                 world.source.set_behaviour(
                     imapd::Behaviour(*world.source.behaviour()).hide("UIDONLY"));
                 world.deliver_many("Full", 10'040, 10);
             },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 // Everything there is to see is copied, and never called complete.
                 EXPECT_EQ(world.bodies("Full").size(), 10'000U);
                 EXPECT_EQ(summary.result, report::RunResult::partial) << describe(summary);
                 ASSERT_FALSE(summary.refusals.empty()) << describe(summary);
                 EXPECT_THAT(summary.refusals[0].reason, ::testing::HasSubstr("10,000"));
             }},
        {.quirk = "message-limit",
         .given = [](World& world) { world.deliver_many("Full", 2'500, 10); },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 expect_complete(summary);
                 EXPECT_EQ(world.difference(), "");
                 EXPECT_LE(world.source.journal().commands["UID FETCH"], 40U);
             }},
        {.quirk = "fetch-capped-silently",
         .given = [](World& world) { world.deliver_many("Full", 2'500, 10); },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 expect_complete(summary);
                 world.any_order = true;  // the newest come first
                 EXPECT_EQ(world.difference(), "");
             }},
        {.quirk = "pseudo-message",
         .source = "uw",
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 EXPECT_EQ(summary.result, report::RunResult::complete) << describe(summary);
                 for (const auto& body : world.bodies("Work")) {
                     EXPECT_THAT(body, ::testing::Not(::testing::HasSubstr("INTERNAL DATA")));
                 }
                 EXPECT_EQ(world.bodies("Work").size(), 2U);
             }},
        {.quirk = "search-trailing-blank", .source = "yahoo", .given = change_flags, .then = delta},
        {.quirk = "search-keyword-refused",
         .source = "exchange",
         .given = change_flags,
         .then = delta},
        {.quirk = "search-all-bogus", .source = "icloud", .given = change_flags, .then = delta},
    };
}

}  // namespace imapult::quirks
