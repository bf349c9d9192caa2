// What was appended and looks altered is compared with its original, also where a server does not
// hand it out at the first time.

#include "quirks/world.h"

namespace imapult::quirks {
namespace {

/// A destination that keeps a message up to its first NUL.
imapd::Behaviour cutting(unsigned refused_bodies_from, bool every) {
    imapd::Behaviour b = imapd::standard();
    b.on_nul = imapd::OnNul::cut;
    // The first UID FETCH asks for sizes and flags.
    b.script.push_back({.command = "UID FETCH",
                        .nth = refused_bodies_from,
                        .every = every,
                        .reply = "%t NO Internal error\r\n"});
    return b;
}

std::string with_nul(std::string_view name, std::size_t before, std::size_t behind) {
    std::string body = World::mail(name, before);
    body += '\0';
    return body + std::string(behind, 'x') + "\r\n";
}

TEST(ReadBack, ACutMessageIsRefusedThoughItsBodyWasNotHandedOutAtFirst) {
    World world(imapd::standard(), cutting(2, false));
    world.deliver("INBOX", with_nul("cut", 300, 50));
    world.deliver_many("INBOX", 5);
    const auto summary = world.copy();
    EXPECT_EQ(summary.result, report::RunResult::partial) << describe(summary);
    ASSERT_EQ(summary.refusals.size(), 1U) << describe(summary);
    EXPECT_THAT(summary.refusals.front().reason, ::testing::HasSubstr("kept"));
}

TEST(ReadBack, WhatIsNeverHandedOutIsToldAndMuchTooSmallIsRefused) {
    World world(imapd::standard(), cutting(2, true));
    world.deliver("INBOX", with_nul("a little", 3'000, 5));
    world.deliver("INBOX", with_nul("much", 300, 3'000));
    const auto summary = world.copy();
    ASSERT_EQ(summary.refusals.size(), 1U) << describe(summary);
    EXPECT_EQ(summary.refusals.front().uid, 2U);
    EXPECT_THAT(notices(summary, report::NoticeKind::other),
                ::testing::Contains(::testing::HasSubstr("could not be compared")));
}

}  // namespace
}  // namespace imapult::quirks
