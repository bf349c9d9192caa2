// Mailboxes that are not the account's own.

#include "replica/pair.h"

namespace imapult::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

imapd::Behaviour with_spaces() {
    imapd::Behaviour b = imapd::standard();
    b.other_users_prefix = "Other Users/";
    b.shared_prefix = "Shared Folders/";
    return b;
}

/// alice sees bob's Work and a shared mailbox; only she is copied.
struct Shown : Pair {
    explicit Shown(imapd::Behaviour to, imapd::Behaviour from = with_spaces())
        : Pair(std::move(from), std::move(to), {"alice", "bob"}) {
        accounts = {"alice"};
        deliver("alice", "INBOX", "own");
        deliver("bob", "Work", "of bob");
        source.mount("alice", "Other Users/bob/Work", "bob", "Work");
        source.set_acl("bob", "Work", "alice", "lrs");
        deliver("alice", "Shared Folders/News", "news");
    }
};

TEST(Namespaces, OnlyThePersonalOneIsCopiedUnlessAskedFor) {
    Shown pair(with_spaces());
    EXPECT_EQ(pair.copy().messages.copied, 1U);
    EXPECT_EQ(pair.destination.mailboxes("alice").size(), 1U);
}

TEST(Namespaces, SharedMailboxesGoToTheNamespaceOfTheirKind) {
    Shown pair(with_spaces());
    pair.options.names.spaces.shared = true;
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, 2U) << describe(summary);
    EXPECT_THAT(pair.arrived("bob", "Shared Folders/News"), ElementsAre("news"));
    EXPECT_EQ(pair.copy().messages.copied, 0U);
}

TEST(Namespaces, OtherUsersMailboxesGoToWhatIsSharedThere) {
    Shown pair(with_spaces());
    pair.options.names.spaces.other = true;
    pair.destination.create("bob", "Work");
    pair.destination.mount("alice", "Other Users/bob/Work", "bob", "Work");
    pair.destination.set_acl("bob", "Work", "alice", "lrswi");
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, 2U) << describe(summary);
    EXPECT_THAT(pair.arrived("bob", "Work"), ElementsAre("of bob"));
}

TEST(Namespaces, AreAskedForWhereListDoesNotShowThem) {
    auto from = with_spaces();
    from.lists_own_spaces_only = true;
    Shown pair(with_spaces(), from);
    pair.options.names.spaces.shared = true;
    EXPECT_EQ(pair.copy().messages.copied, 2U);
}

TEST(Namespaces, WithoutOneAtTheDestinationAFolderBearsItsName) {
    Shown pair(imapd::courier());
    pair.options.names.spaces.shared = pair.options.names.spaces.other = true;
    const auto summary = pair.copy();
    EXPECT_THAT(pair.arrived("alice", "INBOX.Other Users.bob.Work"), ElementsAre("of bob"));
    EXPECT_THAT(pair.arrived("alice", "INBOX.Shared Folders.News"), ElementsAre("news"));
    EXPECT_THAT(notices(summary, report::NoticeKind::name_mapped),
                ElementsAre("Other Users/bob/Work: goes to \"Other Users/bob/Work\": the "
                            "destination has no namespace for other users' mailboxes",
                            "Shared Folders/News: goes to \"Shared Folders/News\": the destination "
                            "has no namespace for shared mailboxes"));
    EXPECT_EQ(pair.copy().messages.copied, 0U);
}

TEST(Namespaces, AMapSendsThemAnywhere) {
    Shown pair(with_spaces());
    pair.options.names.spaces.shared = true;
    pair.options.names.map = {{"Shared Folders", "Old/Shared"}};
    (void)pair.copy();
    EXPECT_THAT(pair.arrived("alice", "Old/Shared/News"), ElementsAre("news"));
}

TEST(Namespaces, WhatTheDestinationDoesNotLetBeMadeIsListed) {
    Shown pair(with_spaces());
    pair.options.names.spaces.other = true;
    const auto summary = pair.copy();
    EXPECT_EQ(summary.result, report::RunResult::partial);
    ASSERT_EQ(summary.refusals.size(), 1U) << describe(summary);
    EXPECT_EQ(summary.refusals[0].mailbox, "Other Users/bob/Work");
    EXPECT_THAT(summary.refusals[0].reason, HasSubstr("Permission denied"));
}

TEST(Namespaces, AMailboxWhoseOwnerIsCopiedTooGoesWithTheOwner) {
    Shown pair(imapd::courier());
    pair.accounts = {"alice", "bob"};
    pair.options.names.spaces.other = true;
    const auto summaries = pair.run();
    EXPECT_THAT(pair.arrived("bob", "INBOX.Work"), ElementsAre("of bob"));
    EXPECT_EQ(summaries[0].messages.copied, 1U) << describe(summaries[0]);
    EXPECT_THAT(notices(summaries[0], report::NoticeKind::left_out),
                ElementsAre("Other Users/bob/Work: not copied: it belongs to bob, an account of "
                            "this run, and is copied with it"));
}

TEST(Namespaces, WhatTwoAccountsSeeIsCopiedOnce) {
    Shown pair(with_spaces());
    pair.source.mount("bob", "Shared Folders/News", "alice", "Shared Folders/News");
    pair.source.set_acl("alice", "Shared Folders/News", "bob", "lr");
    pair.accounts = {"alice", "bob"};
    pair.options.names.spaces.shared = true;
    for (int i = 0; i < 2; ++i) {
        (void)pair.run();
        EXPECT_THAT(pair.arrived("alice", "Shared Folders/News"), ElementsAre("news"));
    }
}

TEST(Namespaces, WhatIsNotShownAnyMoreIsNotTakenForDeleted) {
    Shown pair(with_spaces());
    pair.options.names.spaces.shared = true;
    pair.options.remove.mirror = true;
    pair.options.remove.percent_max = 100;
    (void)pair.copy();
    pair.source.remove("alice", "Shared Folders/News");
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.deleted, 0U) << describe(summary);
    EXPECT_THAT(pair.arrived("alice", "Shared Folders/News"), ElementsAre("news"));
    // Not asked for any more: neither gone nor anything else.
    pair.options.names.spaces.shared = false;
    EXPECT_THAT(notices(pair.copy(), report::NoticeKind::mailbox_gone), IsEmpty());
}

TEST(Namespaces, WhatMayBeSeenAndNotReadIsLeftOut) {
    Shown pair(imapd::courier());
    pair.options.names.spaces.other = true;
    pair.source.set_acl("bob", "Work", "alice", "l");
    const auto summary = pair.copy();
    EXPECT_EQ(summary.result, report::RunResult::complete) << describe(summary);
    EXPECT_THAT(notices(summary, report::NoticeKind::left_out),
                ElementsAre(HasSubstr("may see it and not read it")));
}

TEST(Namespaces, MountpointsAreNoFolders) {
    Pair pair(imapd::carbonio(), imapd::standard(), {"alice@example.com", "bob@example.com"});
    pair.accounts = {"alice@example.com"};
    pair.deliver("alice@example.com", "INBOX", "own");
    pair.deliver("alice@example.com", "Mine", "mine");
    for (int i = 0; i < 7; ++i) {  // more than the refusals in a row that end a connection
        const std::string name = "Work " + std::to_string(i);
        pair.deliver("bob@example.com", name, "of bob");
        pair.source.mount("alice@example.com", "Bob's " + name, "bob@example.com", name);
        pair.source.set_acl("bob@example.com", name, "alice@example.com",
                            i == 0 ? "lrswickxteda" : "lr");
    }
    for (int i = 0; i < 2; ++i) {
        const auto summary = pair.copy();
        EXPECT_EQ(summary.result, report::RunResult::complete) << describe(summary);
        EXPECT_EQ(summary.messages.source, 2U) << describe(summary);
        const auto left = notices(summary, report::NoticeKind::left_out);
        ASSERT_EQ(left.size(), 7U) << describe(summary);
        EXPECT_THAT(left[0], HasSubstr("the folder belongs to bob@example.com"));
        EXPECT_THAT(left[1], HasSubstr("the folder belongs to somebody else"));
    }
    EXPECT_EQ(pair.destination.mailboxes("alice@example.com").size(), 2U);
}

}  // namespace
}  // namespace imapult::test
