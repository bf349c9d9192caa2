// Mailbox names, LIST, STATUS and the numbers in them.

#include <algorithm>

#include "quirks/cases.h"

namespace imapult::quirks {

namespace {

using report::NoticeKind;

/// One mailbox of this name at the source is at the destination under `expected`, and a person is
/// told of it.
Case mapped(std::string_view quirk, std::string name, std::string expected,
            std::string_view destination = "standard", std::string_view source = "standard") {
    return {.quirk = quirk,
            .side = Side::destination,
            .source = source,
            .destination = destination,
            .given = [name](World& world) { world.deliver(name, World::mail("inside")); },
            .then =
                [expected](World& world, const report::AccountSummary& summary) {
                    expect_complete(summary);
                    const auto there = world.destination.messages(kUser, expected);
                    EXPECT_EQ(there.size(), 1U) << "nothing in " << expected << "\n"
                                                << describe(summary);
                    EXPECT_EQ(notices(summary, NoticeKind::name_mapped).size(), 1U)
                        << describe(summary);
                    const auto again = world.copy();
                    expect_complete(again);
                    EXPECT_EQ(again.messages.copied + again.messages.adopted, 0U)
                        << describe(again);
                }};
}

/// One mailbox cannot be read: the others are there, and it is listed with this reason.
void one_mailbox_left_out(World& world, const report::AccountSummary& summary,
                          const std::string& name, std::string_view reason) {
    EXPECT_EQ(summary.result, report::RunResult::partial) << describe(summary);
    EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
    ASSERT_EQ(summary.refusals.size(), 1U) << describe(summary);
    EXPECT_EQ(summary.refusals[0].mailbox, name);
    EXPECT_THAT(summary.refusals[0].reason, ::testing::HasSubstr(reason));
    EXPECT_EQ(world.bodies("INBOX").size(), 6U) << describe(summary);
    EXPECT_EQ(world.bodies("Many").size(), 30U) << describe(summary);
}

}  // namespace

std::vector<Case> name_cases() {
    constexpr Side kDestination = Side::destination;
    const auto nested = [](World& world) {
        const auto b = world.source.behaviour();
        const std::string sep(1, b->separator);
        world.deliver(b->prefix + "Deep" + sep + "Deeper" + sep + "Deepest", World::mail("deep"));
    };
    const auto odd_names = [](World& world) {
        world.deliver("Entw&APw-rfe", World::mail("umlaut"));
        world.deliver("A &- B", World::mail("ampersand"));
    };
    return {
        {.quirk = "namespace-prefix", .given = nested},
        {.quirk = "namespace-prefix", .side = kDestination, .given = nested},
        {.quirk = "backslash-separator", .given = nested},
        {.quirk = "backslash-separator", .side = kDestination, .given = nested},
        {.quirk = "inbox-spelled-inbox"},
        {.quirk = "inbox-spelled-inbox", .side = kDestination},
        mapped("no-children-of-inbox", "INBOX/Child", "INBOX_Child"),
        mapped("names-ignore-case", "work", "work_mail"),
        {.quirk = "names-raw", .given = odd_names},
        {.quirk = "names-raw", .side = kDestination, .given = odd_names},
        {.quirk = "names-made-canonical", .side = kDestination, .given = odd_names},
        mapped("names-trimmed", "Blank ", "Blank"),
        mapped("names-without-blanks-around", " Two  blanks", "_Two blanks"),
        {.quirk = "trailing-blank-drops-select",
         .given = [](World& world) { world.deliver("Blank ", World::mail("inside")); },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 one_mailbox_left_out(world, summary, "Blank ", "connection");
             }},
        {.quirk = "noselect-untold",
         .given =
             [](World& world) {
                 world.source.create(kUser, "Gone", {"", true, false});
                 world.deliver("Gone/Child", World::mail("inside"));
             },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 expect_complete(summary);
                 EXPECT_EQ(summary.messages.copied, 39U) << describe(summary);
                 EXPECT_EQ(world.bodies("Gone/Child").size(), 1U);
                 EXPECT_THAT(notices(summary, report::NoticeKind::left_out),
                             ::testing::Contains(::testing::HasSubstr("Gone")));
             }},
        mapped("no-dots-in-names", "a.b", "a_b"),
        mapped("no-slashes-in-names", "INBOX.a/b", "INBOX.a_b", "courier", "courier"),
        mapped("no-colons-in-names", "a:b", "a_b"),
        mapped("no-specials-in-names", "100%", "100_"),
        mapped("no-carets-in-names", "a^b", "a_b"),
        mapped("names-taken-and-hidden", "Calendar", "Calendar_mail", "carbonio"),
        mapped("names-reserved", "Files", "Files_mail"),
        {.quirk = "shared-folders-listed",
         .given = [](World& world) { world.deliver("/home/other/Inbox", World::mail("not ours")); },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 expect_complete(summary);
                 EXPECT_EQ(summary.messages.source, 38U) << describe(summary);
                 for (const auto& box : world.destination.mailboxes(kUser)) {
                     EXPECT_THAT(box.name, ::testing::Not(::testing::HasSubstr("other")));
                 }
             }},
        {.quirk = "locked-mount",
         .given = [](World& world) { world.deliver("Locked", World::mail("inside")); },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 one_mailbox_left_out(world, summary, "Locked", "Mailbox is locked");
             }},
        {.quirk = "list-names-as-literals", .given = odd_names},
        {.quirk = "list-names-raw",
         .source = "exchange",
         .given = [](World& world) { world.deliver("Tab\there", World::mail("inside")); },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 expect_complete(summary);
                 EXPECT_EQ(summary.messages.copied, 39U) << describe(summary);
                 EXPECT_EQ(world.destination.mailboxes(kUser).size(), 4U);
             }},
        {.quirk = "inbox-without-separator"},
        {.quirk = "list-options-ignored", .source = "courier"},
        {.quirk = "list-options-refused"},
        {.quirk = "list-options-refused", .side = kDestination},
        {.quirk = "list-leaves-inbox-out"},
        {.quirk = "list-leaves-inbox-out", .side = kDestination},
        {.quirk = "uid-gaps"},
        {.quirk = "uid-gaps", .side = kDestination},
        {.quirk = "uidnext-zero"},
        {.quirk = "uidnext-zero", .side = kDestination},
        {.quirk = "negative-counts"},
        {.quirk = "negative-counts", .side = kDestination},
        {.quirk = "uidvalidity-not-sticky",
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 expect_complete(summary);
                 EXPECT_EQ(world.difference(), "");
                 // Whatever the next pass makes of it: nothing is doubled, and the books balance.
                 const auto again = world.copy();
                 EXPECT_TRUE(again.messages.balanced()) << describe(again);
                 EXPECT_EQ(again.messages.copied, 0U) << describe(again);
                 EXPECT_EQ(world.difference(), "");
             }},
        {.quirk = "mailbox-id-garbage"},
        {.quirk = "status-items-left-out", .source = "courier"},
    };
}

}  // namespace imapult::quirks
