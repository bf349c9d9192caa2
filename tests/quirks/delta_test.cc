// Delta passes (new messages, flags, deletions, moves, renames) at servers that push back, cut
// their answers or take short lines only.

#include <set>

#include "quirks/world.h"

namespace imapult::quirks {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMessages = 60;

/// A first copy of "Box" and "INBOX" with kMessages messages each.
void first_copy(World& world) {
    for (std::size_t i = 0; i < kMessages; ++i)
        world.deliver("INBOX", World::mail("in-" + std::to_string(i)), {"\\Flagged"});
    world.deliver_many("Box", kMessages);
    expect_complete(world.copy());
    ASSERT_EQ(world.difference(), "");
    world.options.remove.mirror = true;
    world.options.remove.percent_max = 100;
}

std::vector<std::uint32_t> uids(const World& world, std::string_view mailbox) {
    std::vector<std::uint32_t> out;
    for (const auto& message : world.source.messages(kUser, mailbox)) out.push_back(message.uid);
    return out;
}

/// Every second message of "Box" is read, every fifth is deleted, as many are new as there were.
void change(World& world) {
    const auto all = uids(world, "Box");
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (i % 5 == 0) {
            ASSERT_TRUE(world.source.expunge(kUser, "Box", all[i]));
        } else if (i % 2 == 0) {
            ASSERT_TRUE(world.source.set_flags(kUser, "Box", all[i], {"\\Seen"}));
        }
    }
    for (std::size_t i = 0; i < kMessages; ++i) {
        world.deliver("Box", World::mail("new-" + std::to_string(i)));
    }
}

/// Nothing more to do, and nothing done.
void expect_quiet(World& world) {
    const auto again = world.copy();
    expect_complete(again);
    EXPECT_EQ(again.messages.copied, 0U) << describe(again);
    EXPECT_EQ(again.messages.deleted, 0U) << describe(again);
    EXPECT_EQ(world.difference(), "");
}

TEST(DeltaQuirks, AnswersCutByMessageLimitHideNothing) {
    // RFC 9738: 7 messages a command, less than what is new, gone or changed.
    for (const bool told : {true, false}) {
        for (const char* hidden : {"", "QRESYNC", "CONDSTORE"}) {
            SCOPED_TRACE(std::string(told ? "MESSAGELIMIT, without " : "untold, without ") +
                         hidden);
            imapd::Behaviour b = imapd::standard();
            if (*hidden != 0) b.hide("QRESYNC").hide(hidden);
            b.command_messages_max = 7;
            if (told) b.offer("MESSAGELIMIT=7");
            World world(b, imapd::standard());
            world.any_order = true;
            first_copy(world);
            change(world);
            const auto second = world.copy();
            expect_complete(second);
            EXPECT_EQ(second.messages.copied, kMessages) << describe(second);
            EXPECT_EQ(world.difference(), "");
            expect_quiet(world);
        }
    }
}

TEST(DeltaQuirks, ScatteredUidsGoInShortLines) {
    // UIDs that make no ranges, from and to servers that take no line over 1,000 octets.
    imapd::Behaviour b;
    ASSERT_TRUE(imapd::preset("uw", b));
    ASSERT_TRUE(imapd::apply_quirk("line-limit-1000", b));
    b.offer("UIDPLUS");
    imapd::Behaviour to = b;
    to.hide("MULTIAPPEND");  // its lines are of another kind
    World world(b, to);
    world.deliver_many("Box", 1'200);
    expect_complete(world.copy());
    world.options.remove.mirror = true;
    world.options.remove.percent_max = 100;
    const auto all = uids(world, "Box");
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (i % 4 == 0) world.source.set_flags(kUser, "Box", all[i], {"\\Flagged"});
        if (i % 4 == 2) world.source.expunge(kUser, "Box", all[i]);
    }
    const auto second = world.copy();
    expect_complete(second);
    EXPECT_EQ(second.messages.deleted, 300U) << describe(second);
    EXPECT_EQ(world.difference(), "");
    expect_quiet(world);
}

/// The source renames a mailbox with a child; the destination says `reply` to the first RENAMEs.
void rename_with(const imapd::ScriptedReply& reply, bool any_connection) {
    World world(imapd::standard(), imapd::standard());
    world.deliver_many("Old", 20);
    world.deliver_many("Old/Child", 20);
    expect_complete(world.copy());
    imapd::Behaviour pushing = *world.destination.behaviour();
    const imapd::Behaviour calm = pushing;
    pushing.script.push_back(reply);
    world.destination.set_behaviour(pushing);
    if (any_connection) world.at(20s, [&] { world.destination.set_behaviour(calm); });
    ASSERT_TRUE(world.source.rename(kUser, "Old", "New"));
    const auto second = world.copy();
    EXPECT_EQ(second.messages.copied, 0U) << describe(second);
    if (second.result != report::RunResult::complete) {
        // The connection that knew what was renamed is gone: the next pass does it.
        EXPECT_TRUE(second.messages.balanced()) << describe(second);
        world.destination.set_behaviour(calm);
        const auto third = world.copy();
        expect_complete(third);
        EXPECT_EQ(third.messages.copied, 0U) << describe(third);
    }
    EXPECT_EQ(world.difference(), "");
    EXPECT_EQ(world.destination.mailboxes(kUser).size(), world.source.mailboxes(kUser).size())
        << "the old mailbox is still there";
}

TEST(DeltaQuirks, RenameThatIsPutOffIsDoneLaterAndNothingCopiedAgain) {
    rename_with({.command = "RENAME", .reply = "%t NO [LIMIT] Try again in 5 seconds\r\n"}, false);
}

TEST(DeltaQuirks, RenameThatIsAlwaysPutOffHoldsNothingElse) {
    World world(imapd::standard(), imapd::standard());
    world.deliver_many("Old", 20);
    expect_complete(world.copy());
    imapd::Behaviour pushing = *world.destination.behaviour();
    pushing.script.push_back(
        {.command = "RENAME", .every = true, .reply = "%t NO [INUSE] Mailbox is in use\r\n"});
    world.destination.set_behaviour(pushing);
    ASSERT_TRUE(world.source.rename(kUser, "Old", "New"));
    world.deliver_many("Other", 5);
    world.options.remove.mirror = true;
    world.options.remove.percent_max = 100;
    world.any_order = true;
    expect_complete(world.copy());
    EXPECT_EQ(world.difference(), "");
    EXPECT_LE(world.pass_took(), 20min);
    for (const auto& [message, times] : world.source.journal().bodies) EXPECT_EQ(times, 1U);
}

TEST(DeltaQuirks, RenameThatIsPutOffOnAConnectionThatEndsIsNoRefusal) {
    rename_with({.command = "RENAME",
                 .reply = "%t NO [LIMIT] Try again in 5 seconds\r\n* BYE Idle for too long\r\n",
                 .close = true},
                true);
}

TEST(DeltaQuirks, MovesAndDeletionsAtADestinationThatThrottles) {
    for (const bool can_move : {true, false}) {
        for (const unsigned every : {5U, 7U, 11U}) {
            SCOPED_TRACE((can_move ? "MOVE, " : "COPY, ") + std::to_string(every));
            imapd::Behaviour to = imapd::standard();
            if (!can_move) to.hide("MOVE");
            World world(imapd::standard(), to);
            first_copy(world);
            world.options.remove.to = "Set aside";
            change(world);
            imapd::Behaviour pushing = *world.destination.behaviour();
            pushing.throttle = {.every = every,
                                .as = imapd::Throttle::As::no,
                                .text = "[LIMIT] Try again in 3 seconds",
                                .seconds = 3};
            world.destination.set_behaviour(pushing);
            const auto second = world.copy();
            expect_complete(second);
            EXPECT_EQ(second.messages.deleted, kMessages / 5) << describe(second);
            EXPECT_EQ(world.difference(), "");
            EXPECT_EQ(world.bodies("Set aside").size(), kMessages / 5) << "each of them once";
            EXPECT_EQ(world.destination.journal().impatient, 0U);
            expect_quiet(world);
            EXPECT_EQ(world.bodies("Set aside").size(), kMessages / 5);
        }
    }
}

/// Answers `NO …` to every STATUS, or to the nth only.
imapd::Behaviour without_status(std::string_view why, unsigned nth, bool every) {
    imapd::Behaviour b = imapd::standard();
    b.hide("LIST-STATUS");
    b.script.push_back({.command = "STATUS",
                        .nth = nth,
                        .every = every,
                        .reply = "%t NO " + std::string(why) + "\r\n"});
    return b;
}

TEST(DeltaQuirks, AStatusThatIsRefusedHidesNoMailbox) {
    for (const char* why :
         {"Internal server error", "[INUSE] Mailbox is locked", "[SERVERBUG] Oops"}) {
        for (const bool every : {false, true}) {
            SCOPED_TRACE(std::string(why) + (every ? ", always" : ", once"));
            World world(without_status(why, 1, every), imapd::standard());
            world.fill();
            expect_complete(world.copy());
            EXPECT_EQ(world.difference(), "");
            world.deliver("INBOX", World::mail("later"));
            world.deliver("Work", World::mail("later, too"));
            world.options.remove.mirror = true;
            world.options.remove.percent_max = 100;
            const auto second = world.copy();
            expect_complete(second);
            EXPECT_EQ(second.messages.deleted, 0U) << describe(second);
            EXPECT_EQ(world.difference(), "");
        }
    }
}

TEST(DeltaQuirks, WhatTheDestinationDidNotCountIsNotEmpty) {
    imapd::Behaviour negative = imapd::standard();
    negative.negative_counts = true;
    for (const imapd::Behaviour& to :
         {negative, without_status("[INUSE] Mailbox is locked", 1, true)}) {
        World world(imapd::standard(), to);
        world.fill();
        expect_complete(world.copy());
        world.forget_ledger();
        const auto again = world.copy();
        expect_complete(again);
        EXPECT_EQ(again.messages.copied, 0U) << describe(again);
        EXPECT_EQ(world.difference(), "");
        expect_quiet(world);
    }
}

TEST(DeltaQuirks, MovesThatAreNotToldAreNotDoubled) {
    for (const char* quirk : {"copyuid-empty", "copyuid-untagged"}) {
        SCOPED_TRACE(quirk);
        imapd::Behaviour to = imapd::standard();
        ASSERT_TRUE(imapd::apply_quirk(quirk, to));
        World world(imapd::standard(), to);
        world.any_order = true;
        world.fill();
        expect_complete(world.copy());
        world.options.remove.mirror = true;
        world.options.remove.percent_max = 100;
        for (const auto& message : world.source.messages(kUser, "Many")) {
            if (message.uid % 3 != 0) continue;
            world.source.add_message(kUser, "Work", *message.body, message.flags, message.date);
            ASSERT_TRUE(world.source.expunge(kUser, "Many", message.uid));
        }
        expect_complete(world.copy());
        EXPECT_EQ(world.difference(), "");
        expect_quiet(world);
    }
}

TEST(DeltaQuirks, TheLastCopyStaysWhereTheMailboxItWentToCannotBeRead) {
    World world(imapd::standard(), imapd::standard());
    world.fill();
    expect_complete(world.copy());
    world.options.remove.mirror = true;
    world.options.remove.percent_max = 100;
    const auto moved = world.source.messages(kUser, "Work").front();
    world.source.add_message(kUser, "Many", *moved.body, moved.flags, moved.date);
    ASSERT_TRUE(world.source.expunge(kUser, "Work", moved.uid));
    const imapd::Behaviour open = *world.source.behaviour();
    imapd::Behaviour closed = open;
    world.options.lanes = 1;  // the largest mailbox is opened first
    closed.script.push_back(
        {.command = "EXAMINE", .nth = 1, .reply = "%t NO [NOPERM] Not for you\r\n"});
    world.source.set_behaviour(closed);
    const auto second = world.copy();
    EXPECT_EQ(second.result, report::RunResult::partial) << describe(second);
    EXPECT_EQ(second.messages.deleted, 0U) << describe(second);
    EXPECT_EQ(world.bodies("Work").size(), 2U) << "the only copy of the message";
    ASSERT_EQ(second.refusals.size(), 1U) << describe(second);
    EXPECT_EQ(second.refusals[0].mailbox, "Many");
    EXPECT_EQ(notices(second, report::NoticeKind::not_deleted).size(), 1U);
    world.source.set_behaviour(open);
    expect_complete(world.copy());
    EXPECT_EQ(world.difference(), "");
}

TEST(DeltaQuirks, ARefusedStoreIsTriedWordByWord) {
    for (const bool once : {true, false}) {
        SCOPED_TRACE(once ? "a passing trouble" : "no more keywords");
        World world(imapd::standard(), imapd::standard());
        first_copy(world);
        imapd::Behaviour to = *world.destination.behaviour();
        if (once) {
            to.script.push_back(
                {.command = "UID STORE", .nth = 1, .reply = "%t NO Internal server error\r\n"});
        } else {
            to.keyword_forbidden = "!";
        }
        world.destination.set_behaviour(to);
        for (const std::uint32_t uid : uids(world, "Box")) {
            if (uid % 7 == 0)
                world.source.set_flags(kUser, "Box", uid, {"\\Seen", once ? "fine" : "not!"});
        }
        expect_complete(world.copy());
        const auto plain = [&](const imapd::Message& m) {
            imapd::NewMessage expected{m.body, m.flags, m.date, {}};
            if (!once) expected.flags.remove("not!");
            return expected;
        };
        EXPECT_EQ(world.difference(plain), "");
    }
}

TEST(DeltaQuirks, ADeletionThatIsOnlySaidIsNone) {
    // As Dovecot does where the account lacks the right: OK, and nothing has happened.
    for (const char* said : {"UID EXPUNGE", "UID STORE", "UID MOVE"}) {
        SCOPED_TRACE(said);
        World world(imapd::standard(), imapd::standard());
        world.options.remove.mirror = true;
        world.options.remove.percent_max = 100;
        if (said == std::string("UID MOVE")) world.options.remove.to = "Bin";
        world.deliver_many("Box", 10);
        expect_complete(world.copy());
        for (const std::uint32_t uid : {2U, 5U, 6U})
            ASSERT_TRUE(world.source.expunge(kUser, "Box", uid));
        const imapd::Behaviour calm = *world.destination.behaviour();
        imapd::Behaviour idle = calm;
        idle.script.push_back({.command = said, .every = true, .reply = "%t OK Done.\r\n"});
        world.destination.set_behaviour(idle);
        const auto told = world.copy();
        EXPECT_EQ(told.messages.deleted, 0U) << describe(told);
        EXPECT_EQ(told.messages.gone_at_source, 3U) << describe(told);
        EXPECT_EQ(notices(told, report::NoticeKind::not_deleted).size(), 1U) << describe(told);
        EXPECT_EQ(world.bodies("Box").size(), 10U);
        world.destination.set_behaviour(calm);
        const auto done = world.copy();
        expect_complete(done);
        EXPECT_EQ(done.messages.deleted, 3U) << describe(done);
        EXPECT_EQ(world.bodies("Box").size(), 7U);
    }
}

TEST(DeltaQuirks, ChangedFlagsThatAreOnlySaidAreNotCounted) {
    World world(imapd::standard(), imapd::standard());
    world.options.remove.mirror = true;
    world.options.remove.percent_max = 100;
    world.deliver_many("Box", 4);
    expect_complete(world.copy());
    ASSERT_TRUE(world.source.set_flags(kUser, "Box", 2, {"\\Flagged"}));
    ASSERT_TRUE(world.source.set_flags(kUser, "Box", 3, {"\\Seen"}));
    const imapd::Behaviour calm = *world.destination.behaviour();
    imapd::Behaviour idle = calm;
    idle.script.push_back({.command = "UID STORE", .every = true, .reply = "%t OK Done.\r\n"});
    world.destination.set_behaviour(idle);
    const auto told = world.copy();
    expect_complete(told);
    EXPECT_EQ(told.messages.flags_updated, 0U) << describe(told);
    EXPECT_EQ(notices(told, report::NoticeKind::keywords_dropped).size(), 1U) << describe(told);
    world.destination.set_behaviour(calm);
    // Nobody has changed the copy: what it lacks is the destination's doing.
    ASSERT_TRUE(world.source.expunge(kUser, "Box", 2));
    ASSERT_TRUE(world.source.set_flags(kUser, "Box", 3, {"\\Seen", "\\Answered"}));
    const auto done = world.copy();
    expect_complete(done);
    EXPECT_EQ(done.messages.deleted, 1U) << describe(done);
    EXPECT_EQ(done.messages.flags_updated, 1U) << describe(done);
    EXPECT_EQ(world.difference(), "");
}

TEST(DeltaQuirks, FlagsOfAMailboxOpenForReadingOnlyFollowOnceItIsNot) {
    World world(imapd::standard(), imapd::standard());
    world.deliver_many("Box", 4);
    expect_complete(world.copy());
    ASSERT_TRUE(world.source.set_flags(kUser, "Box", 2, {"\\Flagged"}));
    const imapd::Behaviour calm = *world.destination.behaviour();
    imapd::Behaviour closed = calm;
    closed.script.push_back(
        {.command = "SELECT",
         .every = true,
         .reply = "* OK [PERMANENTFLAGS ()] None\r\n%t OK [READ-ONLY] Opened.\r\n"});
    world.destination.set_behaviour(closed);
    const auto told = world.copy();
    EXPECT_EQ(told.result, report::RunResult::partial) << describe(told);
    EXPECT_EQ(told.messages.flags_updated, 0U) << describe(told);
    world.destination.set_behaviour(calm);
    const auto done = world.copy();
    expect_complete(done);
    EXPECT_EQ(done.messages.flags_updated, 1U) << describe(done);
    EXPECT_EQ(world.difference(), "");
}

TEST(DeltaQuirks, ABackupThatWasPutBackHidesNothing) {
    World world(imapd::standard(), imapd::standard());
    first_copy(world);
    const auto before = world.source.snapshot();
    for (const std::uint32_t uid : uids(world, "Box"))
        world.source.set_flags(kUser, "Box", uid, {"\\Seen"});
    for (int i = 0; i < 5; ++i) world.deliver("Box", World::mail("lost-" + std::to_string(i)));
    expect_complete(world.copy());
    world.options.remove.mirror = false;
    world.source.restore(before);
    for (int i = 0; i < 2; ++i) world.deliver("Box", World::mail("other-" + std::to_string(i)));
    world.source.set_flags(kUser, "Box", 2, {"\\Flagged"});
    const auto after = world.copy();
    expect_complete(after);
    std::set<std::string> there;
    for (const std::string& body : world.bodies("Box")) {
        EXPECT_TRUE(there.insert(body).second) << "twice";
    }
    for (const auto& message : world.source.messages(kUser, "Box"))
        EXPECT_TRUE(there.contains(*message.body)) << "lost: " << message.uid;
    EXPECT_EQ(world.bodies("Box").size(), kMessages + 7);
}

}  // namespace
}  // namespace imapult::quirks
