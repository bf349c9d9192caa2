// Mailboxes that were renamed at the source while their old names are in use again: recreated,
// chained, swapped. The copies follow inside the destination.

#include <map>

#include "quirks/world.h"

namespace imapult::quirks {
namespace {

using namespace std::chrono_literals;

std::uint64_t bodies_sent(const World& world) {
    std::uint64_t sum = 0;
    for (const auto& [unused, times] : world.source.journal().bodies) sum += times;
    return sum;
}

/// "NAME-0" … of sizes that no other mailbox has.
void fill(World& world, std::string_view mailbox, std::size_t count, std::size_t bytes) {
    for (std::size_t i = 0; i < count; ++i) {
        const std::string name = std::string(mailbox) + "-" + std::to_string(i);
        world.deliver(mailbox, World::mail(name, bytes + 40 * i));
    }
}

/// Every message of an account with how often it is there.
std::map<std::string, std::size_t> all_messages(const imapd::Store& store) {
    std::map<std::string, std::size_t> out;
    for (const auto& box : store.mailboxes(kUser)) {
        for (const auto& message : store.messages(kUser, box.name)) ++out[*message.body];
    }
    return out;
}

std::vector<std::string> names(const imapd::Store& store) {
    std::vector<std::string> out;
    for (const auto& box : store.mailboxes(kUser)) out.push_back(box.name);
    return out;
}

/// The destination has what the source has, under the same names, and nothing besides.
void expect_equal(World& world) {
    EXPECT_EQ(world.difference(), "");
    EXPECT_EQ(names(world.destination), names(world.source));
}

/// A pass that only renames; and one with nothing to do.
void expect_followed(World& world, std::size_t renamed, std::size_t fresh) {
    const std::uint64_t before = bodies_sent(world);
    const auto summary = world.copy();
    expect_complete(summary);
    EXPECT_EQ(summary.mailboxes.renamed, renamed) << describe(summary);
    EXPECT_EQ(summary.messages.copied, fresh) << describe(summary);
    EXPECT_EQ(bodies_sent(world) - before, fresh) << "a body crossed the wire again";
    EXPECT_EQ(notices(summary, report::NoticeKind::mailbox_renamed).size(), renamed);
    expect_equal(world);
    const auto again = world.copy();
    expect_complete(again);
    EXPECT_EQ(again.mailboxes.renamed, 0U) << describe(again);
    EXPECT_EQ(again.messages.copied + again.messages.adopted, 0U) << describe(again);
    EXPECT_EQ(bodies_sent(world) - before, fresh);
    expect_equal(world);
}

void rename(World& world, std::string_view from, std::string_view to) {
    ASSERT_TRUE(world.source.rename(kUser, from, to)) << from << " to " << to;
}

void swap(World& world, const std::string& a, const std::string& b) {
    rename(world, a, "tmp");
    rename(world, b, a);
    rename(world, "tmp", b);
}

/// How servers tell one mailbox from another.
struct Kind {
    const char* name;
    bool ids, one_validity;
};
constexpr Kind kKinds[] = {{"UIDVALIDITY", false, false},
                           {"UIDVALIDITY and MAILBOXID", true, false},
                           {"MAILBOXID", true, true},
                           {"nothing but messages", false, true}};

imapd::Behaviour source_of(const Kind& kind) {
    imapd::Behaviour b = imapd::standard();
    if (!kind.ids) b.hide("OBJECTID");
    b.one_uidvalidity = kind.one_validity;
    return b;
}

imapd::Behaviour without_ids() {
    return source_of(kKinds[0]);
}

/// At each kind of source, and a destination where UIDVALIDITY does or does not tell mailboxes
/// apart.
template <class Test>
void with_each_kind(Test test) {
    for (const Kind& kind : kKinds) {
        for (const bool one_validity_there : {false, true}) {
            SCOPED_TRACE(std::string("told apart by ") + kind.name +
                         (one_validity_there ? ", one UIDVALIDITY at the destination" : ""));
            imapd::Behaviour to = imapd::standard();
            to.one_uidvalidity = one_validity_there;
            World world(source_of(kind), to);
            world.options.remove.mirror = true;
            world.options.remove.percent_max = 100;
            test(world);
        }
    }
}

TEST(Renames, OldNameIsInUseAgain) {
    for (const char* to : {"A.old", "Archive/A", "A/old"}) {
        SCOPED_TRACE(to);
        with_each_kind([&](World& world) {
            fill(world, "A", 10, 300);
            world.deliver("Archive", World::mail("archived"));
            expect_complete(world.copy());
            rename(world, "A", "tmp");
            fill(world, "A", 3, 2'000);
            rename(world, "tmp", to);
            expect_followed(world, 1, 3);
        });
    }
}

TEST(Renames, RenamedOneGetsMailToo) {
    with_each_kind([&](World& world) {
        fill(world, "A", 10, 300);
        expect_complete(world.copy());
        rename(world, "A", "A.old");
        world.deliver("A.old", World::mail("late", 5'000));
        fill(world, "A", 3, 2'000);
        expect_followed(world, 1, 4);
    });
}

TEST(Renames, Chain) {
    with_each_kind([&](World& world) {
        fill(world, "A", 7, 300);
        fill(world, "B", 9, 2'000);
        expect_complete(world.copy());
        rename(world, "B", "C");
        rename(world, "A", "B");
        expect_followed(world, 2, 0);
    });
}

TEST(Renames, LongChainWithANewOneAtItsEnd) {
    // What programs do that keep some old ones: Archive.2 -> Archive.3, …, Archive -> Archive.1.
    with_each_kind([&](World& world) {
        fill(world, "Archive", 5, 300);
        fill(world, "Archive.1", 6, 2'000);
        fill(world, "Archive.2", 7, 4'000);
        expect_complete(world.copy());
        rename(world, "Archive.2", "Archive.3");
        rename(world, "Archive.1", "Archive.2");
        rename(world, "Archive", "Archive.1");
        fill(world, "Archive", 4, 7'000);
        expect_followed(world, 3, 4);
    });
}

TEST(Renames, Swap) {
    with_each_kind([&](World& world) {
        fill(world, "A", 7, 300);
        fill(world, "B", 9, 2'000);
        expect_complete(world.copy());
        swap(world, "A", "B");
        expect_followed(world, 2, 0);
    });
}

TEST(Renames, SwapOfMailboxesWithAsManyMessages) {
    with_each_kind([&](World& world) {
        fill(world, "A", 8, 300);
        fill(world, "B", 8, 2'000);
        fill(world, "C", 8, 4'000);
        expect_complete(world.copy());
        swap(world, "A", "B");
        expect_followed(world, 2, 0);
    });
}

TEST(Renames, SwapOfAnEmptyOneAndAFullOne) {
    with_each_kind([&](World& world) {
        world.source.create(kUser, "A");
        fill(world, "B", 9, 2'000);
        expect_complete(world.copy());
        swap(world, "A", "B");
        expect_followed(world, 2, 0);
    });
}

TEST(Renames, RingOfThreeWithNewMail) {
    with_each_kind([&](World& world) {
        fill(world, "A", 7, 300);
        fill(world, "B", 9, 2'000);
        fill(world, "C", 5, 4'000);
        expect_complete(world.copy());
        swap(world, "A", "B");
        swap(world, "B", "C");
        for (const char* box : {"A", "B", "C"})
            world.deliver(box, World::mail(std::string("new in ") + box, 6'000));
        expect_followed(world, 3, 3);
    });
}

TEST(Renames, ParentAndChildChangePlaces) {
    with_each_kind([&](World& world) {
        fill(world, "A", 7, 300);
        fill(world, "A/x", 9, 2'000);
        expect_complete(world.copy());
        rename(world, "A", "tmp");
        rename(world, "tmp/x", "A");
        rename(world, "tmp", "A/x");
        expect_followed(world, 2, 0);
    });
}

TEST(Renames, ChildrenFollowAndTheNewOneHasAChildOfTheSameName) {
    with_each_kind([&](World& world) {
        fill(world, "A", 7, 300);
        fill(world, "A/x", 9, 2'000);
        fill(world, "A/x/deep", 4, 4'000);
        expect_complete(world.copy());
        rename(world, "A", "A.old");
        fill(world, "A", 3, 7'000);
        fill(world, "A/x", 2, 9'000);
        expect_followed(world, 3, 5);
    });
}

TEST(Renames, ChildThatStays) {
    // A's child is put back below the new A: at the destination it must not go with the old one.
    with_each_kind([&](World& world) {
        fill(world, "A", 7, 300);
        fill(world, "A/x", 9, 2'000);
        expect_complete(world.copy());
        rename(world, "A", "A.old");
        fill(world, "A", 3, 7'000);
        rename(world, "A.old/x", "A/x");
        expect_followed(world, 1, 3);
    });
}

TEST(Renames, SwapWithChildren) {
    with_each_kind([&](World& world) {
        fill(world, "A", 7, 300);
        fill(world, "A/x", 4, 2'000);
        fill(world, "B", 9, 4'000);
        fill(world, "B/x", 5, 7'000);
        expect_complete(world.copy());
        swap(world, "A", "B");
        expect_followed(world, 4, 0);
    });
}

TEST(Renames, MailboxMadeAnewIsNoRename) {
    with_each_kind([&](World& world) {
        fill(world, "A", 7, 300);
        fill(world, "B", 9, 2'000);
        expect_complete(world.copy());
        world.options.remove.mirror = false;
        ASSERT_TRUE(world.source.remove(kUser, "A"));
        fill(world, "A", 12, 4'000);
        const auto summary = world.copy();
        EXPECT_EQ(summary.mailboxes.renamed, 0U) << describe(summary);
        EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
    });
}

TEST(Renames, WhereNothingTellsNothingIsLost) {
    // One UIDVALIDITY, no ids, and messages of equal sizes: two mailboxes that changed names look
    // as they did.
    imapd::Behaviour b = source_of(kKinds[3]);
    World world(b, imapd::standard());
    world.options.remove.mirror = true;
    world.options.remove.percent_max = 100;
    world.deliver_many("A", 8);
    world.deliver_many("B", 8);
    expect_complete(world.copy());
    const std::uint64_t before = bodies_sent(world);
    swap(world, "A", "B");
    const auto summary = world.copy();
    expect_complete(summary);
    EXPECT_EQ(summary.messages.deleted, 0U) << describe(summary);
    EXPECT_EQ(bodies_sent(world), before);
    EXPECT_EQ(all_messages(world.destination), all_messages(world.source));
}

TEST(Renames, RefusedOnesAreCarriedOver) {
    // The destination takes some RENAMEs, or none.
    for (const unsigned taken : {0U, 1U, 2U}) {
        SCOPED_TRACE("RENAMEs taken: " + std::to_string(taken));
        with_each_kind([&](World& world) {
            fill(world, "A", 7, 300);
            fill(world, "B", 9, 2'000);
            fill(world, "Old", 5, 4'000);
            expect_complete(world.copy());
            imapd::Behaviour to = *world.destination.behaviour();
            to.script.push_back({.command = "RENAME",
                                 .nth = taken + 1,
                                 .every = true,
                                 .reply = "%t NO [CANNOT] No\r\n"});
            world.destination.set_behaviour(to);
            world.options.remove.mirror = false;
            swap(world, "A", "B");
            rename(world, "Old", "Older");
            fill(world, "Old", 3, 7'000);
            const auto summary = world.copy();
            expect_complete(summary);
            for (const auto& box : world.source.mailboxes(kUser)) {
                // Each is complete and has nothing twice; older messages may stand beside. What
                // could go neither on nor back stands under the name that says so.
                const bool aside = notices(summary, report::NoticeKind::name_mapped).size() == 1 &&
                                   box.name == "A";
                std::map<std::string, std::size_t> there;
                for (const auto& body : world.bodies(aside ? "imapult-renaming-1" : box.name))
                    ++there[body];
                for (const auto& message : world.source.messages(kUser, box.name))
                    EXPECT_EQ(there[*message.body], 1U) << box.name << ": " << describe(summary);
            }
            for (const auto& [body, times] : all_messages(world.source))
                EXPECT_GE(all_messages(world.destination)[body], times);
            const auto again = world.copy();
            expect_complete(again);
            EXPECT_EQ(again.messages.copied, 0U) << describe(again);
        });
    }
}

TEST(Renames, TargetThatExistsIsFilled) {
    with_each_kind([&](World& world) {
        fill(world, "A", 7, 300);
        expect_complete(world.copy());
        world.options.remove.mirror = false;
        world.destination.create(kUser, "A.old");
        world.destination.add_message(kUser, "A.old", World::mail("own"));
        rename(world, "A", "A.old");
        fill(world, "A", 3, 2'000);
        const auto summary = world.copy();
        expect_complete(summary);
        EXPECT_EQ(summary.mailboxes.renamed, 0U) << describe(summary);
        EXPECT_EQ(world.bodies("A.old").size(), 8U);
        EXPECT_EQ(notices(summary, report::NoticeKind::mailbox_gone).size(), 1U)
            << describe(summary);
        const auto again = world.copy();
        EXPECT_EQ(again.messages.copied, 0U) << describe(again);
    });
}

/// The connection ends at the nth RENAME, before or after the server has obeyed it.
void cut_at(World& world, unsigned nth, bool obeyed, std::string_view from, std::string_view to) {
    const imapd::Behaviour calm = *world.destination.behaviour();
    imapd::Behaviour cutting = calm;
    cutting.script.push_back({.command = "RENAME", .nth = nth, .reply = "", .close = true});
    world.destination.set_behaviour(cutting);
    const auto cut = world.copy();
    EXPECT_NE(cut.result, report::RunResult::complete) << describe(cut);
    EXPECT_TRUE(cut.messages.balanced()) << describe(cut);
    if (obeyed) {
        ASSERT_TRUE(world.destination.rename(kUser, from, to)) << from << " to " << to;
    }
    world.destination.set_behaviour(calm);
}

TEST(Renames, SwapThatIsCutGoesOn) {
    constexpr std::pair<const char*, const char*> kSteps[] = {
        {"B", "imapult-renaming-1"}, {"A", "B"}, {"imapult-renaming-1", "A"}};
    for (unsigned step = 0; step < 3; ++step) {
        for (const bool obeyed : {false, true}) {
            SCOPED_TRACE("RENAME " + std::to_string(step + 1) + (obeyed ? ", obeyed" : ""));
            with_each_kind([&](World& world) {
                fill(world, "A", 7, 300);
                fill(world, "B", 9, 2'000);
                fill(world, "B/x", 5, 4'000);
                expect_complete(world.copy());
                const std::uint64_t before = bodies_sent(world);
                swap(world, "A", "B");
                cut_at(world, step + 1, obeyed, kSteps[step].first, kSteps[step].second);
                expect_complete(world.copy());
                expect_equal(world);
                EXPECT_EQ(bodies_sent(world), before) << "a body crossed the wire again";
                const auto again = world.copy();
                expect_complete(again);
                EXPECT_EQ(again.mailboxes.renamed, 0U) << describe(again);
            });
        }
    }
}

TEST(Renames, SwapThatIsCutAndTakenBackAtTheSource) {
    for (unsigned step = 0; step < 2; ++step) {
        for (const bool obeyed : {false, true}) {
            SCOPED_TRACE("RENAME " + std::to_string(step + 1) + (obeyed ? ", obeyed" : ""));
            with_each_kind([&](World& world) {
                fill(world, "A", 7, 300);
                fill(world, "B", 9, 2'000);
                expect_complete(world.copy());
                const std::uint64_t before = bodies_sent(world);
                swap(world, "A", "B");
                cut_at(world, step + 1, obeyed, step == 0 ? "B" : "A",
                       step == 0 ? "imapult-renaming-1" : "B");
                swap(world, "A", "B");
                expect_complete(world.copy());
                expect_complete(world.copy());
                if (step == 0) {
                    expect_equal(world);
                    EXPECT_EQ(bodies_sent(world), before) << "a body crossed the wire again";
                }
                for (const auto& [body, times] : all_messages(world.source))
                    EXPECT_GE(all_messages(world.destination)[body], times);
            });
        }
    }
}

TEST(Renames, RecreatedOneThatIsCutGoesOn) {
    for (const bool obeyed : {false, true}) {
        SCOPED_TRACE(obeyed ? "obeyed" : "not obeyed");
        with_each_kind([&](World& world) {
            fill(world, "A", 7, 300);
            fill(world, "A/x", 5, 2'000);
            expect_complete(world.copy());
            rename(world, "A", "A.old");
            fill(world, "A", 3, 4'000);
            fill(world, "A/x", 2, 7'000);
            cut_at(world, 1, obeyed, "A", "A.old");
            expect_followed(world, 2, 5);
        });
    }
}

TEST(Renames, DryRunOnlyTells) {
    with_each_kind([&](World& world) {
        fill(world, "A", 7, 300);
        fill(world, "B", 9, 2'000);
        fill(world, "Old", 5, 4'000);
        expect_complete(world.copy());
        const auto before = names(world.destination);
        swap(world, "A", "B");
        rename(world, "Old", "Older");
        fill(world, "Old", 3, 7'000);
        world.options.dry_run = true;
        const auto told = world.copy();
        EXPECT_EQ(notices(told, report::NoticeKind::mailbox_renamed).size(), 3U) << describe(told);
        EXPECT_EQ(names(world.destination), before);
        EXPECT_EQ(world.destination.journal().commands["RENAME"], 0U);
        EXPECT_EQ(told.messages.copied, 3U) << describe(told);
        world.options.dry_run = false;
        expect_followed(world, 3, 3);
    });
}

/// A destination whose user gives mailboxes each other's names, which nothing in its listing tells.
class RenamedThere : public ::testing::Test {
  protected:
    RenamedThere() : world_(imapd::standard(), one_validity()) {
        fill(world_, "A", 10, 300);
        fill(world_, "B", 10, 2'000);
        world_.options.remove.mirror = true;
        world_.options.remove.percent_max = 100;
        expect_complete(world_.copy());
    }
    static imapd::Behaviour one_validity() {
        imapd::Behaviour b = imapd::standard();
        b.one_uidvalidity = true;
        return b;
    }
    void rename_there(std::string_view from, std::string_view to) {
        ASSERT_TRUE(world_.destination.rename(kUser, from, to)) << from << " to " << to;
    }
    void swap_there() {
        rename_there("A", "tmp");
        rename_there("B", "A");
        rename_there("tmp", "B");
    }
    /// What stands there, with its flags.
    std::multimap<std::string, std::string> contents() {
        std::multimap<std::string, std::string> out;
        for (const auto& box : world_.destination.mailboxes(kUser)) {
            for (const auto& message : world_.destination.messages(kUser, box.name))
                out.emplace(*message.body, message.flags.text());
        }
        return out;
    }
    World world_;
};

TEST_F(RenamedThere, NothingIsDeletedInAnotherMailbox) {
    for (const std::uint32_t uid : {1U, 2U}) ASSERT_TRUE(world_.source.expunge(kUser, "A", uid));
    swap_there();
    const auto before = contents();
    for (const bool dry : {true, false}) {
        world_.options.dry_run = dry;
        const auto summary = world_.copy();
        EXPECT_EQ(summary.messages.deleted, 0U) << describe(summary);
        EXPECT_EQ(notices(summary, report::NoticeKind::not_deleted).size(), 1U)
            << describe(summary);
        EXPECT_EQ(contents(), before) << "dry run: " << dry;
    }
    swap_there();
    const auto summary = world_.copy();
    expect_complete(summary);
    EXPECT_EQ(summary.messages.deleted, 2U) << describe(summary);
    expect_equal(world_);
}

TEST_F(RenamedThere, NoFlagsAreChangedInAnotherMailbox) {
    ASSERT_TRUE(world_.source.set_flags(kUser, "A", 5, {"\\Flagged"}));
    world_.deliver("A", World::mail("new", 9'000));
    swap_there();
    const auto summary = world_.copy();
    EXPECT_EQ(summary.result, report::RunResult::partial) << describe(summary);
    EXPECT_EQ(summary.messages.copied, 1U) << describe(summary);
    for (const auto& [body, flags] : contents()) EXPECT_TRUE(flags.empty());
    const auto again = world_.copy();
    EXPECT_EQ(again.messages.copied, 0U) << describe(again);
    for (const auto& [body, flags] : contents()) EXPECT_TRUE(flags.empty());
}

TEST_F(RenamedThere, ADeletedOnesNameIsNoLicence) {
    for (const std::uint32_t uid : {1U, 2U}) ASSERT_TRUE(world_.source.expunge(kUser, "A", uid));
    ASSERT_TRUE(world_.destination.remove(kUser, "A"));
    rename_there("B", "A");
    const auto summary = world_.copy();
    EXPECT_EQ(summary.messages.deleted, 0U) << describe(summary);
    for (const auto& message : world_.source.messages(kUser, "B"))
        EXPECT_TRUE(contents().contains(*message.body));
}

TEST_F(RenamedThere, AMoveIsNotOfAnotherMailboxesMessages) {
    auto moved = world_.source.messages(kUser, "A").front();
    ASSERT_TRUE(world_.source.expunge(kUser, "A", moved.uid));
    world_.deliver("C", *moved.body);
    swap_there();
    const auto summary = world_.copy();
    EXPECT_EQ(summary.messages.moved, 0U) << describe(summary);
    const auto there = world_.bodies("C");
    ASSERT_EQ(there.size(), 1U);
    EXPECT_EQ(there.front(), *moved.body);
    for (const auto& message : world_.source.messages(kUser, "B"))
        EXPECT_EQ(contents().count(*message.body), 1U);
}

TEST(Renames, InboxStaysAsItIs) {
    // RENAME INBOX moves its messages.
    World world(without_ids(), imapd::standard());
    fill(world, "INBOX", 7, 300);
    expect_complete(world.copy());
    rename(world, "INBOX", "Old mail");
    fill(world, "INBOX", 3, 2'000);
    const auto summary = world.copy();
    expect_complete(summary);
    EXPECT_EQ(summary.mailboxes.renamed, 0U) << describe(summary);
    EXPECT_EQ(world.bodies("Old mail").size(), 7U);
}

}  // namespace
}  // namespace imapult::quirks
