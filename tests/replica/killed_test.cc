// A pass that is killed while it carries flags: the next one must know its own hand.

#include "replica/pair.h"

namespace imapult::test {
namespace {

constexpr std::string_view kUser = "alice";

struct Flagged : Pair {
    explicit Flagged(const char* hidden) : Pair(without(hidden), imapd::standard(), {"alice"}) {
        options.remove.mirror = true;
        options.remove.percent_max = 100;
        for (const char* name : {"kept", "marked", "marked and deleted", "unmarked", "moved"})
            uids[name] = deliver(kUser, "INBOX", name, {"\\Answered"});
        source.create(kUser, "Work");
        (void)copy();
    }
    static imapd::Behaviour without(const char* hidden) {
        imapd::Behaviour b = imapd::standard();
        if (*hidden != 0) b.hide("QRESYNC").hide(hidden);
        return b;
    }
    void set(const char* name, imapd::FlagSet flags) {
        ASSERT_TRUE(source.set_flags(kUser, "INBOX", uids.at(name), std::move(flags)));
    }
    /// Subjects and flags of both mailboxes.
    static std::vector<std::string> all_of(const imapd::Store& store) {
        std::vector<std::string> out;
        for (const char* box : {"INBOX", "Work"}) {
            const auto names = subjects(store, kUser, box);
            const auto messages = store.messages(kUser, box);
            for (std::size_t i = 0; i < messages.size(); ++i)
                out.push_back(std::string(box) + ": " + names.at(i) + " " +
                              messages[i].flags.text());
        }
        return out;
    }
    std::map<std::string, std::uint32_t> uids;
};

TEST(Killed, WhileFlagsAreCarriedTheirCopiesStayOurs) {
    for (const char* hidden : {"", "QRESYNC", "CONDSTORE"}) {
        for (std::uint64_t nth = 1; nth < 14; ++nth) {
            SCOPED_TRACE(std::string("without ") + hidden + ", commit " + std::to_string(nth));
            Flagged pair(hidden);
            for (const char* name : {"marked", "marked and deleted", "unmarked", "moved"})
                pair.set(name, {"\\Seen", "$Forwarded"});
            pair.killed_copy(nth);
            // Meanwhile the user goes on.
            pair.set("unmarked", {"\\Answered"});
            ASSERT_TRUE(pair.source.expunge(kUser, "INBOX", pair.uids.at("marked and deleted")));
            const auto inbox = pair.source.messages(kUser, "INBOX");
            const auto moved = inbox.back();
            pair.source.add_message(kUser, "Work", *moved.body, moved.flags, moved.date);
            ASSERT_TRUE(pair.source.expunge(kUser, "INBOX", moved.uid));
            const auto summary = pair.copy();
            EXPECT_EQ(summary.result, report::RunResult::complete) << describe(summary);
            EXPECT_EQ(Flagged::all_of(pair.destination), Flagged::all_of(pair.source))
                << describe(summary);
            EXPECT_EQ(summary.messages.gone_at_source, 0U) << describe(summary);
        }
    }
}

}  // namespace
}  // namespace imapult::test
