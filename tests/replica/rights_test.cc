// Rights on mailboxes, carried over or listed.

#include "replica/pair.h"

namespace imapult::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// bob may read alice's Work, everybody may look at it.
struct Granted : Pair {
    explicit Granted(imapd::Behaviour to, std::vector<std::string> names = {"alice", "bob"})
        : Pair(imapd::standard(), std::move(to), std::move(names)) {
        options.rights = report::RightsPolicy::copy;
        const std::string owner = accounts.front(), other = accounts.back();
        accounts = {owner};
        deliver(owner, "Work", "one");
        source.set_acl(owner, "Work", owner, "lrswipkxteacd");
        source.set_acl(owner, "Work", other, "lrsp");
        source.set_acl(owner, "Work", "anyone", "l");
    }
};

TEST(Rights, AreWrittenAndNotWrittenAgain) {
    Granted pair(imapd::standard());
    const auto summary = pair.copy();
    EXPECT_EQ(pair.destination.acl("alice", "Work"), "anyone l\nbob lrsp\n");
    EXPECT_EQ(summary.rights.given, 2U) << describe(summary);
    EXPECT_THAT(summary.unset_rights, IsEmpty());
    EXPECT_EQ(pair.copy().rights, report::RightsCounts{});
}

TEST(Rights, ChangesFollowAndTheDestinationsOwnStay) {
    auto modern = imapd::standard();
    modern.offer("RIGHTS=kxte");
    Granted pair(modern);
    (void)pair.copy();
    pair.destination.set_acl("alice", "Work", "bob", "lrspw");  // w is the destination's own
    pair.destination.set_acl("alice", "Work", "carol", "lr");
    pair.source.set_acl("alice", "Work", "bob", "lrt");
    pair.source.set_acl("alice", "Work", "anyone", "");
    const auto summary = pair.copy();
    EXPECT_EQ(pair.destination.acl("alice", "Work"), "bob lrwt\ncarol lr\n") << describe(summary);
    EXPECT_EQ(summary.rights, (report::RightsCounts{.given = 1, .taken = 2}));
    // What was taken away at the destination is not given back.
    pair.destination.set_acl("alice", "Work", "bob", "l");
    (void)pair.copy();
    EXPECT_EQ(pair.destination.acl("alice", "Work"), "bob l\ncarol lr\n");
}

TEST(Rights, ByItselfOnlyAPassThatFindsChangesAsksAgain) {
    Granted pair(imapd::standard());
    pair.options.rights = report::RightsPolicy::automatic;
    const auto first = pair.copy();
    EXPECT_EQ(first.rights.given, 2U);
    pair.source.set_acl("alice", "Work", "bob", "lrswp");
    const auto quiet = pair.copy();
    EXPECT_EQ(quiet.rights.given, 0U);
    EXPECT_EQ(quiet.round_trips.source, 1U) << describe(quiet);
    pair.source.create("alice", "New");  // and its own are read, too
    pair.source.set_acl("alice", "New", "bob", "lr");
    EXPECT_EQ(pair.copy().rights.given, 2U);
}

TEST(Rights, ADryRunOnlyCounts) {
    Granted pair(imapd::standard());
    pair.destination.create("alice", "Work");
    pair.options.dry_run = true;
    const auto summary = pair.copy();
    EXPECT_EQ(summary.rights.given, 2U) << describe(summary);
    EXPECT_EQ(pair.destination.acl("alice", "Work"), "");
}

TEST(Rights, AreLeftAloneOnRequest) {
    Granted pair(imapd::standard());
    pair.options.rights = report::RightsPolicy::none;
    const auto summary = pair.copy();
    EXPECT_EQ(pair.destination.acl("alice", "Work"), "");
    EXPECT_EQ(summary.rights, report::RightsCounts{});
}

TEST(Rights, AreListedForCarbonioProvWhereTheyCannotBeWritten) {
    auto without = imapd::standard();
    without.hide("ACL");
    Granted pair(without, {"alice@example.com", "bob@example.com"});
    for (int i = 0; i < 2; ++i) {  // as long as nobody knows that somebody has done it
        const auto summary = pair.copy();
        EXPECT_EQ(summary.result, report::RunResult::complete);
        ASSERT_EQ(summary.unset_rights.size(), 2U) << describe(summary);
        const report::UnsetRight& right = summary.unset_rights[1];
        EXPECT_EQ(right.mailbox, "Work");
        EXPECT_EQ(right.identifier, "bob@example.com");
        EXPECT_EQ(right.rights, "lrsp");
        EXPECT_EQ(right.reason, "the destination has no rights on mailboxes (ACL)");
        EXPECT_EQ(right.grant_line,
                  "sm \"alice@example.com\" mfg \"/Work\" account \"bob@example.com\" r");
        EXPECT_EQ(right.mount_line,
                  "sm \"bob@example.com\" cm --view message \"/Work of alice\" "
                  "\"alice@example.com\" \"/Work\"");
        EXPECT_EQ(summary.unset_rights[0].grant_line, "");  // to see a name only is no grant there
        EXPECT_THAT(notices(summary, report::NoticeKind::rights),
                    ElementsAre(HasSubstr("2 rights on mailboxes were not written")));
    }
}

TEST(Rights, CarbonioGetsWholeSetsAndTheRestIsListed) {
    Granted pair(imapd::carbonio(), {"alice@example.com", "bob@example.com"});
    const auto summary = pair.copy();
    EXPECT_EQ(pair.destination.acl("alice@example.com", "Work"), "bob@example.com lr\n");
    ASSERT_EQ(summary.unset_rights.size(), 1U) << describe(summary);
    EXPECT_EQ(summary.unset_rights[0].identifier, "anyone");
    EXPECT_EQ(summary.unset_rights[0].reason, "the destination cannot express it");
}

TEST(Rights, OfADestinationThatRefusesThemAreListed) {
    auto refusing = imapd::standard();
    refusing.script.push_back(
        {.command = "SETACL", .every = true, .reply = "%t NO [CANNOT] Not here\r\n"});
    Granted pair(refusing);
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, 1U);
    ASSERT_EQ(summary.unset_rights.size(), 2U) << describe(summary);
    EXPECT_THAT(summary.unset_rights[0].reason, HasSubstr("Not here"));
    // As soon as it takes them they are written.
    pair.destination.set_behaviour(imapd::standard());
    EXPECT_EQ(pair.copy().rights.given, 2U);
}

TEST(Rights, FollowAMailboxThatIsRenamed) {
    Granted pair(imapd::standard());
    (void)pair.copy();
    pair.destination.set_acl("alice", "Work", "bob", "l");
    pair.source.rename("alice", "Work", "Old work");
    const auto summary = pair.copy();
    EXPECT_EQ(summary.mailboxes.renamed, 1U) << describe(summary);
    EXPECT_EQ(pair.destination.acl("alice", "Old work"), "anyone l\nbob l\n");
}

}  // namespace
}  // namespace imapult::test
