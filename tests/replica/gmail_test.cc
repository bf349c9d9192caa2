// Gmail as source: labels, All Mail, and what happens when labels change.

#include "replica/pair.h"

namespace imapult::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr std::string_view kUser = "alice";
constexpr std::string_view kAll = "[Gmail]/All Mail";

imapd::Behaviour big_and_modern() {
    return imapd::standard();
}

/// An account with the usual mailboxes.
struct Gmail : Pair {
    explicit Gmail(imapd::Behaviour to = big_and_modern(), imapd::Behaviour from = imapd::gmail())
        : Pair(std::move(from), std::move(to), {std::string(kUser)}) {
        source.create(kUser, "[Gmail]", {.special_use = "", .selectable = false});
        const std::pair<std::string, std::string> own[] = {
            {"All Mail", "\\All"},       {"Sent Mail", "\\Sent"}, {"Drafts", "\\Drafts"},
            {"Spam", "\\Junk"},          {"Trash", "\\Trash"},    {"Starred", "\\Flagged"},
            {"Important", "\\Important"}};
        for (const auto& [name, use] : own)
            source.create(kUser, "[Gmail]/" + name, {.special_use = use});
        options.remove.percent_max = 100;
    }

    /// A message of All Mail with these labels (mailboxes).
    void mail(std::string_view name, const std::vector<std::string>& labels,
              imapd::FlagSet flags = {}) {
        const std::uint32_t uid = deliver(kUser, kAll, name, std::move(flags));
        for (const std::string& one : labels) source.add_label(kUser, kAll, uid, one);
    }
    [[nodiscard]] std::uint32_t uid_of(std::string_view mailbox, std::string_view name) const {
        const auto all = source.messages(kUser, mailbox);
        const auto names = subjects(source, kUser, mailbox);
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (names[i] == name) return all[i].uid;
        }
        return 0;
    }
    void label(std::string_view name, std::string_view to) {
        EXPECT_NE(source.add_label(kUser, kAll, uid_of(kAll, name), to), 0U);
    }
    void unlabel(std::string_view name, std::string_view from) {
        EXPECT_TRUE(source.remove_label(kUser, from, uid_of(from, name)));
    }
    [[nodiscard]] std::vector<std::string> at(std::string_view mailbox) const {
        return arrived(kUser, mailbox);
    }
};

/// The usual mixture: six messages.
struct Filled : Gmail {
    explicit Filled(imapd::Behaviour to = big_and_modern(), imapd::Behaviour from = imapd::gmail())
        : Gmail(std::move(to), std::move(from)) {
        mail("inbox only", {"INBOX"});
        mail("inbox and work", {"INBOX", "Work"});
        mail("three labels", {"Work", "Work/2024", "Zebra", "[Gmail]/Important"}, {"\\Seen"});
        mail("sent", {"[Gmail]/Sent Mail"}, {"\\Seen"});
        mail("starred archive", {"[Gmail]/Starred"}, {"\\Flagged"});
        mail("archive", {});
        deliver(kUser, "[Gmail]/Spam", "spam");
        deliver(kUser, "[Gmail]/Trash", "trash");
    }
};
constexpr std::uint64_t kBodies = 8;

TEST(GmailMailboxes, EveryBodyIsFetchedOnceAndEveryLabelHasItsMessages) {
    Filled pair;
    const auto summary = pair.copy();
    EXPECT_EQ(summary.result, report::RunResult::complete) << describe(summary);
    EXPECT_EQ(summary.messages.copied, kBodies) << describe(summary);
    EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox only", "inbox and work"));
    EXPECT_THAT(pair.at("Work"), ElementsAre("inbox and work", "three labels"));
    EXPECT_THAT(pair.at("Work/2024"), ElementsAre("three labels"));
    EXPECT_THAT(pair.at("Zebra"), ElementsAre("three labels"));
    EXPECT_THAT(pair.at("Sent"), ElementsAre("sent"));
    EXPECT_THAT(pair.at("Junk"), ElementsAre("spam"));
    EXPECT_THAT(pair.at("Trash"), ElementsAre("trash"));
    // All Mail does not double.
    EXPECT_THAT(pair.at("Archive"), ElementsAre("starred archive", "archive"));
    EXPECT_FALSE(pair.destination.mailbox(kUser, "[Gmail]/Starred"));
    EXPECT_EQ(summary.messages.labelled, 3U) << describe(summary);
    EXPECT_EQ(summary.messages.represented, 4U) << describe(summary);
    for (const auto& message : pair.destination.messages(kUser, "Zebra")) {
        EXPECT_TRUE(message.flags.has("\\Seen"));
        EXPECT_EQ(message.date.unix_seconds, 1'690'000'000);
    }
    EXPECT_THAT(notices(summary, report::NoticeKind::labels),
                ElementsAre(HasSubstr("each label is a mailbox, All Mail gets what has no label")));
}

TEST(GmailMailboxes, AnotherPassDoesNothing) {
    Filled pair;
    (void)pair.copy();
    for (int i = 0; i < 2; ++i) {
        const auto again = pair.copy();
        EXPECT_EQ(again.messages.copied + again.messages.labelled + again.messages.moved +
                      again.messages.represented + again.messages.deleted,
                  0U)
            << describe(again);
        EXPECT_EQ(again.messages.gone_at_source, 0U);
    }
}

TEST(GmailMailboxes, ANewLabelCarriesWithoutFetching) {
    Filled pair;
    (void)pair.copy();
    pair.label("archive", "Work");          // All Mail has its only copy
    pair.label("inbox only", "Brand new");  // a mailbox that is new
    pair.label("inbox only", "Another new one");
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, 0U) << describe(summary);
    EXPECT_EQ(summary.messages.labelled, 3U) << describe(summary);
    EXPECT_THAT(pair.at("Work"), ElementsAre("inbox and work", "three labels", "archive"));
    EXPECT_THAT(pair.at("Brand new"), ElementsAre("inbox only"));
    EXPECT_THAT(pair.at("Another new one"), ElementsAre("inbox only"));
}

TEST(GmailMailboxes, WhatIsArchivedMovesToTheArchive) {
    Filled pair;
    pair.options.remove.mirror = true;
    (void)pair.copy();
    pair.unlabel("inbox only", "INBOX");      // no label is left
    pair.unlabel("inbox and work", "INBOX");  // one is
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, 0U) << describe(summary);
    EXPECT_EQ(summary.messages.moved, 1U) << describe(summary);
    EXPECT_EQ(summary.messages.deleted, 1U) << describe(summary);
    EXPECT_THAT(pair.at("INBOX"), IsEmpty());
    EXPECT_THAT(pair.at("Work"), ElementsAre("inbox and work", "three labels"));
    EXPECT_THAT(pair.at("Archive"),
                UnorderedElementsAre("starred archive", "archive", "inbox only"));
    EXPECT_EQ(pair.copy().messages.deleted, 0U);
}

TEST(GmailMailboxes, WithoutMirrorWhatIsArchivedIsInBoth) {
    Filled pair;
    (void)pair.copy();
    pair.unlabel("inbox only", "INBOX");
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, 0U) << describe(summary);
    EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox only", "inbox and work"));
    EXPECT_THAT(pair.at("Archive"),
                UnorderedElementsAre("starred archive", "archive", "inbox only"));
    const auto again = pair.copy();
    EXPECT_EQ(again.messages.moved + again.messages.labelled + again.messages.copied, 0U)
        << describe(again);
}

TEST(GmailMailboxes, MirrorNeverDeletesTheLastCopyOfWhatIsInAllMail) {
    // The destination cannot carry messages over, and All Mail cannot be read in this pass.
    Filled pair;
    pair.options.remove.mirror = true;
    (void)pair.copy();
    pair.unlabel("inbox only", "INBOX");
    auto broken = imapd::gmail();
    broken.script.push_back(
        {.command = "UID FETCH", .every = true, .reply = "%t NO [CANNOT] not now\r\n"});
    pair.source.set_behaviour(broken);
    (void)pair.copy();
    EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox only", "inbox and work"));
    pair.source.set_behaviour(imapd::gmail());
    (void)pair.copy();
    EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox and work"));
    EXPECT_THAT(pair.at("Archive"),
                UnorderedElementsAre("starred archive", "archive", "inbox only"));
}

TEST(GmailMailboxes, WithoutAllMailMirrorDeletesOnlyWhatIsSeenElsewhere) {
    Filled pair;
    pair.options.remove.mirror = true;
    pair.options.names.exclude = {"*All Mail"};
    (void)pair.copy();
    pair.unlabel("inbox only", "INBOX");      // archived, or deleted: who knows
    pair.unlabel("inbox and work", "INBOX");  // seen in Work
    const auto summary = pair.copy();
    EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox only")) << describe(summary);
    EXPECT_THAT(
        notices(summary, report::NoticeKind::not_deleted),
        ElementsAre(HasSubstr("nobody can tell whether they were deleted or only archived")));
}

TEST(GmailMailboxes, ALabelThatIsDeletedTakesNoMessageAlong) {
    Filled pair;
    pair.options.remove.mirror = true;
    pair.mail("only zebra", {"Zebra"});
    (void)pair.copy();
    pair.unlabel("only zebra", "Zebra");
    pair.unlabel("three labels", "Zebra");
    pair.source.remove(kUser, "Zebra");
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, 0U) << describe(summary);
    EXPECT_THAT(pair.at("Archive"),
                UnorderedElementsAre("starred archive", "archive", "only zebra"));
    EXPECT_THAT(pair.at("Work"), ElementsAre("inbox and work", "three labels"));
}

TEST(GmailMailboxes, ADeletedMessageGoesToTheTrashEverywhere) {
    Filled pair;
    pair.options.remove.mirror = true;
    (void)pair.copy();
    const auto uid = pair.uid_of(kAll, "three labels");
    pair.source.add_label(kUser, kAll, uid, "[Gmail]/Trash");
    for (const char* box : {"Work", "Work/2024", "Zebra", "[Gmail]/Important"})
        pair.unlabel("three labels", box);
    pair.unlabel("three labels", kAll);
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, 0U) << describe(summary);
    EXPECT_THAT(pair.at("Trash"), ElementsAre("trash", "three labels"));
    EXPECT_THAT(pair.at("Zebra"), IsEmpty());
    EXPECT_THAT(pair.at("Work/2024"), IsEmpty());
    EXPECT_THAT(pair.at("Archive"), ElementsAre("starred archive", "archive"));
}

TEST(GmailMailboxes, FlagsOfACarriedMessageFollow) {
    Filled pair;
    (void)pair.copy();
    pair.source.set_flags(kUser, "Zebra", pair.uid_of("Zebra", "three labels"), {"\\Flagged"});
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.flags_updated, 1U) << describe(summary);
    EXPECT_TRUE(pair.destination.messages(kUser, "Zebra").front().flags.has("\\Flagged"));
}

TEST(GmailMailboxes, OnlyWhatIsSelectedCounts) {
    Filled pair;
    pair.options.names.exclude = {"INBOX", "Work*"};
    const auto summary = pair.copy();
    EXPECT_THAT(pair.at("Archive"),
                UnorderedElementsAre("inbox only", "inbox and work", "starred archive", "archive"))
        << describe(summary);
    EXPECT_THAT(pair.at("Zebra"), ElementsAre("three labels"));
}

TEST(GmailMailboxes, ADryRunSaysTheSame) {
    Filled pair;
    pair.options.dry_run = true;
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, kBodies) << describe(summary);
    EXPECT_EQ(summary.messages.labelled, 3U) << describe(summary);
    EXPECT_EQ(summary.messages.represented, 4U) << describe(summary);
    EXPECT_THAT(pair.destination.mailboxes(kUser), SizeIs(1));
}

TEST(GmailMailboxes, ADestinationWithoutUidplusGetsEverythingAllTheSame) {
    auto plain = imapd::standard();
    plain.hide("UIDPLUS");
    Filled pair(plain);
    for (int i = 0; i < 2; ++i) {
        const auto summary = pair.copy();
        EXPECT_EQ(summary.result, report::RunResult::complete) << describe(summary);
        EXPECT_THAT(pair.at("Zebra"), ElementsAre("three labels"));
        EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox only", "inbox and work"));
    }
}

TEST(GmailMailboxes, NothingIsDoubledWhereverAPassIsKilled) {
    for (std::uint64_t nth = 1; nth < 40; nth += 2) {
        Filled pair;
        pair.options.remove.mirror = true;
        pair.killed_copy(nth);
        const auto summary = pair.copy();
        EXPECT_EQ(summary.result, report::RunResult::complete) << nth << describe(summary);
        EXPECT_THAT(pair.at("INBOX"), UnorderedElementsAre("inbox only", "inbox and work")) << nth;
        EXPECT_THAT(pair.at("Work"), UnorderedElementsAre("inbox and work", "three labels")) << nth;
        EXPECT_THAT(pair.at("Work/2024"), ElementsAre("three labels")) << nth;
        EXPECT_THAT(pair.at("Zebra"), ElementsAre("three labels")) << nth;
        EXPECT_THAT(pair.at("Archive"), UnorderedElementsAre("starred archive", "archive")) << nth;
        pair.unlabel("inbox only", "INBOX");
        pair.label("archive", "Zebra");
        pair.killed_copy(nth);
        (void)pair.copy();
        EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox and work")) << nth;
        EXPECT_THAT(pair.at("Zebra"), UnorderedElementsAre("three labels", "archive")) << nth;
        EXPECT_THAT(pair.at("Archive"), UnorderedElementsAre("starred archive", "inbox only"))
            << nth;
    }
}

TEST(GmailFirst, EachMessageIsInOneMailbox) {
    Filled pair;
    pair.options.labels = report::LabelPolicy::first;
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, kBodies) << describe(summary);
    EXPECT_EQ(summary.messages.labelled, 0U);
    EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox only"));
    EXPECT_THAT(pair.at("Work"), ElementsAre("inbox and work", "three labels"));
    EXPECT_THAT(pair.at("Work/2024"), IsEmpty());
    EXPECT_THAT(pair.at("Zebra"), IsEmpty());
    EXPECT_THAT(pair.at("Archive"), ElementsAre("starred archive", "archive"));
    const auto again = pair.copy();
    EXPECT_EQ(again.messages.copied + again.messages.represented, 0U) << describe(again);
}

TEST(GmailFirst, WhatLosesItsLabelGoesToTheNext) {
    Filled pair;
    pair.options.labels = report::LabelPolicy::first;
    pair.options.remove.mirror = true;
    (void)pair.copy();
    pair.unlabel("inbox and work", "Work");
    pair.unlabel("three labels", "Work");
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, 0U) << describe(summary);
    EXPECT_THAT(pair.at("Work"), IsEmpty());
    EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox only", "inbox and work"));
    EXPECT_THAT(pair.at("Work/2024"), ElementsAre("three labels"));
    EXPECT_THAT(pair.at("Zebra"), IsEmpty());
}

/// The source has moved on by one better label for each of two messages.
void expect_followed(Filled& pair, std::size_t labelled) {
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, 0U) << describe(summary);
    EXPECT_EQ(summary.messages.labelled, labelled) << describe(summary);
    EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
    const auto again = pair.copy();
    EXPECT_EQ(again.messages.copied + again.messages.labelled + again.messages.represented +
                  again.messages.moved + again.messages.deleted,
              0U)
        << describe(again);
}

TEST(GmailFirst, ABetterLabelTakesTheCopy) {
    for (const bool mirror : {true, false}) {
        SCOPED_TRACE(mirror ? "mirror" : "none");
        Filled pair;
        pair.options.labels = report::LabelPolicy::first;
        pair.options.remove.mirror = mirror;
        (void)pair.copy();
        pair.label("inbox only", "Work");
        pair.label("archive", "INBOX");
        expect_followed(pair, 2);
        EXPECT_THAT(pair.at("Work"),
                    UnorderedElementsAre("inbox and work", "three labels", "inbox only"));
        if (mirror) {
            EXPECT_THAT(pair.at("INBOX"), ElementsAre("archive"));
            EXPECT_THAT(pair.at("Archive"), ElementsAre("starred archive"));
        } else {  // what stands there stays
            EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox only", "archive"));
            EXPECT_THAT(pair.at("Archive"), ElementsAre("starred archive", "archive"));
        }
        pair.unlabel("inbox only", "Work");
        pair.unlabel("archive", "INBOX");
        (void)pair.copy();
        (void)pair.copy();
        if (mirror) {
            EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox only"));
            EXPECT_THAT(pair.at("Archive"), UnorderedElementsAre("starred archive", "archive"));
            EXPECT_THAT(pair.at("Work"), UnorderedElementsAre("inbox and work", "three labels"));
        }
    }
}

TEST(GmailKeywords, BackInTheInbox) {
    Filled pair;
    pair.options.labels = report::LabelPolicy::keywords;
    pair.options.remove.mirror = true;
    (void)pair.copy();
    pair.unlabel("inbox and work", "INBOX");
    (void)pair.copy();
    ASSERT_THAT(pair.at("INBOX"), ElementsAre("inbox only"));
    pair.label("inbox and work", "INBOX");
    pair.label("archive", "INBOX");
    pair.label("archive", "Work");
    expect_followed(pair, 2);
    EXPECT_THAT(pair.at("INBOX"), UnorderedElementsAre("inbox only", "inbox and work", "archive"));
    EXPECT_THAT(pair.at("Archive"), UnorderedElementsAre("three labels", "starred archive"));
}

TEST(GmailMailboxes, AFirstLabelTakesTheCopyOutOfTheArchive) {
    Filled pair;
    pair.options.remove.mirror = true;
    (void)pair.copy();
    pair.label("archive", "Work");
    expect_followed(pair, 1);
    EXPECT_THAT(pair.at("Archive"), ElementsAre("starred archive"));
    EXPECT_THAT(pair.at("Work"), Contains("archive"));
}

TEST(GmailFirst, ABetterHomeIsSafeWhereverAPassIsKilled) {
    for (std::uint64_t nth = 1; nth < 40; ++nth) {
        Filled pair;
        pair.options.labels = report::LabelPolicy::first;
        pair.options.remove.mirror = true;
        (void)pair.copy();
        pair.label("inbox only", "Work");
        pair.label("archive", "INBOX");
        pair.killed_copy(nth);
        (void)pair.copy();
        EXPECT_THAT(pair.at("Work"),
                    UnorderedElementsAre("inbox and work", "three labels", "inbox only"))
            << nth;
        EXPECT_THAT(pair.at("INBOX"), Contains("archive")) << nth;
    }
}

TEST(GmailMailboxes, ALabelThatIsMadeAnewLeavesNothingOut) {
    for (const auto policy : {report::LabelPolicy::mailboxes, report::LabelPolicy::first}) {
        Filled pair;
        pair.options.labels = policy;
        for (const char* name : {"w1", "w2", "w3"}) pair.mail(name, {"Only"});
        (void)pair.copy();
        ASSERT_TRUE(pair.source.remove(kUser, "Only"));
        pair.label("w1", "Only");
        (void)pair.copy();
        EXPECT_THAT(pair.at("Only"), Contains("w1"));
        EXPECT_THAT(pair.at("Archive"), Contains("w2"));
        EXPECT_THAT(pair.at("Archive"), Contains("w3"));
        EXPECT_THAT(pair.at("Archive"), Not(Contains("w1")));
    }
}

TEST(GmailVerify, AllMailIsNotExpectedTwice) {
    using report::LabelPolicy;
    for (const auto policy : {LabelPolicy::mailboxes, LabelPolicy::first, LabelPolicy::keywords}) {
        Filled pair;
        pair.options.labels = policy;
        (void)pair.copy();
        for (const auto depth : {report::VerifyDepth::counts, report::VerifyDepth::metadata,
                                 report::VerifyDepth::content}) {
            const auto good = pair.verify(depth);
            EXPECT_EQ(good.result, report::RunResult::complete) << describe(good);
            EXPECT_EQ(good.verify.missing + good.verify.different + good.verify.extra, 0U);
        }
        pair.destination.expunge(kUser, "Archive",
                                 pair.destination.messages(kUser, "Archive")[0].uid);
        EXPECT_EQ(pair.verify(report::VerifyDepth::metadata).verify.missing, 1U);
    }
}

TEST(GmailKeywords, LabelsAreKeywords) {
    Filled pair;
    pair.options.labels = report::LabelPolicy::keywords;
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, kBodies) << describe(summary);
    EXPECT_FALSE(pair.destination.mailbox(kUser, "Work"));
    EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox only", "inbox and work"));
    EXPECT_THAT(pair.at("Archive"), ElementsAre("three labels", "starred archive", "archive"));
    const auto archive = pair.destination.messages(kUser, "Archive");
    EXPECT_EQ(archive[0].flags,
              (imapd::FlagSet{"\\Seen", "Work", "Work_2024", "Zebra", "$Important"}));
    EXPECT_EQ(archive[1].flags, (imapd::FlagSet{"\\Flagged"}));
    EXPECT_EQ(pair.destination.messages(kUser, "INBOX")[1].flags, (imapd::FlagSet{"Work"}));
    EXPECT_THAT(notices(summary, report::NoticeKind::labels),
                ElementsAre(HasSubstr("3 labels become keywords")));
}

TEST(GmailKeywords, FollowTheLabelsAndLeaveTheDestinationsOwn) {
    Filled pair;
    pair.options.labels = report::LabelPolicy::keywords;
    pair.options.remove.mirror = true;
    (void)pair.copy();
    const auto uid = pair.destination.messages(kUser, "Archive")[0].uid;
    pair.destination.set_flags(kUser, "Archive", uid,
                               {"\\Seen", "Work", "Work_2024", "Zebra", "$Important", "mine"});
    pair.unlabel("three labels", "Zebra");
    pair.label("three labels", "Lions");
    pair.unlabel("inbox and work", "INBOX");  // archived: from INBOX to All Mail
    const auto summary = pair.copy();
    EXPECT_EQ(summary.messages.copied, 0U) << describe(summary);
    EXPECT_EQ(pair.destination.messages(kUser, "Archive")[0].flags,
              (imapd::FlagSet{"\\Seen", "Work", "Work_2024", "Lions", "$Important", "mine"}));
    EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox only"));
    EXPECT_THAT(pair.at("Archive"), UnorderedElementsAre("three labels", "starred archive",
                                                         "archive", "inbox and work"));
}

TEST(GmailKeywords, WithoutAllMailLabelsStayMailboxes) {
    Filled pair;
    pair.options.labels = report::LabelPolicy::keywords;
    pair.options.names.exclude = {"*All Mail"};
    const auto summary = pair.copy();
    EXPECT_THAT(pair.at("Work"), ElementsAre("three labels")) << describe(summary);
    EXPECT_THAT(pair.at("INBOX"), ElementsAre("inbox only", "inbox and work"));
}

}  // namespace
}  // namespace imapult::test
