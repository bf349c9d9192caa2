// Mailboxes of the source that were made anew (another UIDVALIDITY), or are gone and still listed.

#include "quirks/world.h"

namespace imapult::quirks {
namespace {

std::vector<std::uint32_t> uids(const imapd::Store& store, std::string_view mailbox) {
    std::vector<std::uint32_t> out;
    for (const auto& message : store.messages(kUser, mailbox)) out.push_back(message.uid);
    return out;
}

std::vector<std::string> flags(const imapd::Store& store, std::string_view mailbox) {
    std::vector<std::string> out;
    for (const auto& message : store.messages(kUser, mailbox)) out.push_back(message.flags.text());
    return out;
}

void set_flags(imapd::Store& store, std::string_view mailbox, std::size_t nth,
               const imapd::FlagSet& to) {
    ASSERT_TRUE(store.set_flags(kUser, mailbox, uids(store, mailbox).at(nth), to));
}

/// A first copy of "A", whose `count` messages are read and carry a keyword.
void first_copy(World& world, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
        world.deliver("A", World::mail("a-" + std::to_string(i)), {"\\Seen", "k1"});
    expect_complete(world.copy());
    ASSERT_EQ(world.difference(), "");
}

TEST(Reincarnation, FlagsOfAMailboxMadeAnewAreComparedWithThoseCarriedOverBefore) {
    World world(imapd::standard(), imapd::standard());
    first_copy(world, 6);
    set_flags(world.destination, "A", 0, {"k1"});  // a user of the destination marks it unread
    set_flags(world.destination, "A", 4, {"\\Seen", "k1", "own"});
    ASSERT_TRUE(world.source.reset_uidvalidity(kUser, "A"));
    set_flags(world.source, "A", 2, {"k1"});
    set_flags(world.source, "A", 3, {"\\Seen"});
    set_flags(world.source, "A", 4, {"\\Flagged", "k1"});
    const std::vector<std::string> wanted{"k1",     "\\Seen k1",        "k1",
                                          "\\Seen", "\\Flagged k1 own", "\\Seen k1"};
    const auto second = world.copy();
    expect_complete(second);
    EXPECT_EQ(second.messages.adopted, 6U) << describe(second);
    EXPECT_EQ(second.messages.flags_updated, 3U) << describe(second);
    EXPECT_EQ(flags(world.destination, "A"), wanted);
    const auto third = world.copy();
    expect_complete(third);
    EXPECT_EQ(third.messages.flags_updated, 0U) << describe(third);
    EXPECT_EQ(flags(world.destination, "A"), wanted);
}

TEST(Reincarnation, FlagsOnTheirWayWhenTheDestinationWentAwayAreNotLost) {
    World world(imapd::standard(), imapd::standard());
    first_copy(world, 6);
    set_flags(world.destination, "A", 0, {"k1"});
    ASSERT_TRUE(world.source.reset_uidvalidity(kUser, "A"));
    set_flags(world.source, "A", 2, {"k1"});
    set_flags(world.source, "A", 3, {"\\Seen"});
    const imapd::Behaviour calm = *world.destination.behaviour();
    imapd::Behaviour broken = calm;
    broken.script.push_back({.command = "UID STORE", .every = true, .reply = "", .close = true});
    world.destination.set_behaviour(broken);
    EXPECT_NE(world.copy().result, report::RunResult::complete);
    world.destination.set_behaviour(calm);
    set_flags(world.source, "A", 5, {});  // and once more
    expect_complete(world.copy());
    const std::vector<std::string> wanted{"k1", "\\Seen k1", "k1", "\\Seen", "\\Seen k1", ""};
    EXPECT_EQ(flags(world.destination, "A"), wanted);
}

TEST(Reincarnation, FlagsOfAMailboxThatWasPutBackAreComparedWithThoseCarriedOverBefore) {
    World world(imapd::standard(), imapd::standard());
    for (int i = 0; i < 4; ++i) world.deliver("A", World::mail("a-" + std::to_string(i)), {"k1"});
    const imapd::Snapshot backup = world.source.snapshot();
    world.deliver("A", World::mail("lost"));
    expect_complete(world.copy());
    set_flags(world.destination, "A", 0, {});  // by a user of the destination
    world.source.restore(backup);
    const auto second = world.copy();
    expect_complete(second);
    EXPECT_EQ(second.messages.adopted, 4U) << describe(second);
    EXPECT_EQ(flags(world.destination, "A"), (std::vector<std::string>{"", "k1", "k1", "k1", ""}));
}

/// "A" with a child was copied, and is deleted at a source that lists it all the same.
void delete_parent(World& world) {
    world.deliver("A/B", World::mail("child"));
    first_copy(world, 6);
    world.options.remove.mirror = true;
    world.options.remove.percent_max = 100;
    ASSERT_TRUE(world.source.remove(kUser, "A"));
    ASSERT_TRUE(world.source.create(kUser, "A", {"", true, false}));
    imapd::Behaviour as_dovecot = *world.source.behaviour();
    as_dovecot.noselect_untold = true;
    world.source.set_behaviour(as_dovecot);
}

TEST(StillListed, ADeletedMailboxThatIsListedIsGoneAndNoFailure) {
    World world(imapd::standard(), imapd::standard());
    delete_parent(world);
    const auto second = world.copy();
    expect_complete(second);
    EXPECT_EQ(second.messages.deleted, 6U) << describe(second);
    EXPECT_TRUE(world.bodies("A").empty());
    EXPECT_EQ(world.bodies("A/B").size(), 1U);
    expect_complete(world.copy());
}

TEST(StillListed, OnePlainRefusalOfStatusIsNoDeletion) {
    // No STATUS data with LIST, and then NO to the first STATUS for each.
    imapd::Behaviour b = imapd::standard();
    b.hide("LIST-STATUS");
    World world(b, imapd::standard());
    first_copy(world, 6);
    world.deliver("A", World::mail("new"));
    world.options.remove.mirror = true;
    world.options.remove.percent_max = 100;
    for (const unsigned nth : {1U, 2U, 3U, 4U}) {
        SCOPED_TRACE(nth);
        imapd::Behaviour once = b;
        once.script.push_back(
            {.command = "STATUS", .nth = nth, .reply = "%t NO Mailbox doesn't exist\r\n"});
        world.source.set_behaviour(once);
        const auto again = world.copy();
        expect_complete(again);
        EXPECT_EQ(again.messages.deleted, 0U) << describe(again);
        EXPECT_EQ(world.bodies("A").size(), 7U);
    }
}

TEST(StillListed, AMailboxThatCannotBeReadIsStillThere) {
    // STATUS and EXAMINE say NO, for a reason that is not that there is none.
    World world(imapd::standard(), imapd::standard());
    delete_parent(world);
    imapd::Behaviour broken = *world.source.behaviour();
    for (const char* command : {"STATUS", "EXAMINE"})
        broken.script.push_back(
            {.command = command, .every = true, .reply = "%t NO Unable to open it\r\n"});
    world.source.set_behaviour(broken);
    const auto second = world.copy();
    EXPECT_EQ(second.result, report::RunResult::partial) << describe(second);
    EXPECT_EQ(second.messages.deleted, 0U) << describe(second);
    EXPECT_EQ(world.bodies("A").size(), 6U);
}

TEST(Reincarnation, CopiesOfWhatIsNotFoundAgainAreCountedAndSaid) {
    World world(imapd::standard(), imapd::standard());
    first_copy(world, 6);
    ASSERT_TRUE(world.source.expunge(kUser, "A", uids(world.source, "A").at(0)));
    EXPECT_EQ(world.copy().messages.gone_at_source, 1U);
    ASSERT_TRUE(world.source.expunge(kUser, "A", uids(world.source, "A").at(0)));
    ASSERT_TRUE(world.source.reset_uidvalidity(kUser, "A"));
    for (const bool dry : {true, false}) {
        world.options.dry_run = dry;
        const auto anew = world.copy();
        expect_complete(anew);
        EXPECT_EQ(anew.messages.adopted, 4U) << describe(anew);
        EXPECT_EQ(anew.messages.gone_at_source, 2U) << describe(anew);
        EXPECT_THAT(notices(anew, report::NoticeKind::deleted_at_source),
                    ::testing::Contains(::testing::HasSubstr("2 messages copied before")));
    }
}

/// What the counts of a pass say that a dry run must know, too.
std::vector<std::uint64_t> counts(const report::AccountSummary& summary) {
    const auto& m = summary.messages;
    return {m.copied,
            m.adopted,
            m.moved,
            m.deleted,
            m.flags_updated,
            m.gone_at_source,
            summary.mailboxes.created,
            summary.mailboxes.renamed};
}

TEST(DryRun, TellsTheCountsOfTheRealPass) {
    for (const bool mirror : {true, false}) {
        SCOPED_TRACE(mirror ? "mirror" : "none");
        imapd::Behaviour b = imapd::standard();
        b.hide("OBJECTID");  // a delivery elsewhere and a deletion are to look like a move
        World world(b, imapd::standard());
        first_copy(world, 20);
        world.deliver_many("B", 5);
        world.deliver_many("C", 5);
        world.deliver_many("D", 5);
        expect_complete(world.copy());
        const auto all = world.source.messages(kUser, "A");
        for (std::size_t i = 0; i < 6; ++i) {  // three are moved, three deleted
            if (i < 3)
                world.source.add_message(kUser, "B",
                                         {all[i].body,
                                          i == 0 ? imapd::FlagSet{"\\Flagged"} : all[i].flags,
                                          all[i].date,
                                          {}});
            ASSERT_TRUE(world.source.expunge(kUser, "A", all[i].uid));
        }
        set_flags(world.source, "A", 5, {"\\Answered"});
        ASSERT_TRUE(world.source.rename(kUser, "C", "Renamed"));
        ASSERT_TRUE(world.source.reset_uidvalidity(kUser, "D"));
        set_flags(world.source, "D", 1, {"\\Answered"});
        world.deliver("New", World::mail("new"));
        world.options.remove.mirror = mirror;
        world.options.remove.percent_max = 100;
        world.options.dry_run = true;
        const auto dry = world.copy();
        world.options.dry_run = false;
        const auto real = world.copy();
        expect_complete(real);
        EXPECT_EQ(counts(dry), counts(real)) << describe(real);
        const std::vector<std::uint64_t> wanted{1, 5, 3, mirror ? 3U : 0U, 3, mirror ? 0U : 6U,
                                                1, 1};
        EXPECT_EQ(counts(real), wanted) << describe(real);
    }
}

TEST(Names, OfMailboxesThatAreGoneOrRenamedAreToldDecoded) {
    imapd::Behaviour b = imapd::standard();
    b.prefix = "INBOX.";
    b.separator = '.';
    World world(b, imapd::standard());
    world.deliver("INBOX.Entw&APw-rfe.Alt", World::mail("gone"));
    world.deliver("INBOX.Entw&APw-rfe.Neu", World::mail("renamed"));
    expect_complete(world.copy());
    ASSERT_TRUE(world.source.remove(kUser, "INBOX.Entw&APw-rfe.Alt"));
    ASSERT_TRUE(world.source.rename(kUser, "INBOX.Entw&APw-rfe.Neu", "INBOX.&ANw-ber"));
    const auto second = world.copy();
    expect_complete(second);
    std::vector<std::string> gone;
    for (const report::Notice& notice : second.notices) {
        if (notice.kind != report::NoticeKind::mailbox_renamed) gone.push_back(notice.mailbox);
    }
    EXPECT_THAT(gone, ::testing::Each("Entw\xC3\xBC"
                                      "rfe/Alt"));
    EXPECT_FALSE(gone.empty());
    EXPECT_THAT(notices(second, report::NoticeKind::mailbox_renamed),
                ::testing::Contains(::testing::HasSubstr("was \"Entw\xC3\xBC"
                                                         "rfe/Neu\"")));
}

}  // namespace
}  // namespace imapult::quirks
