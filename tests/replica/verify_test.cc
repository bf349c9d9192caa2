// What `verify` says of a copy, where servers answer in their own way.

#include "engine/base/limits.h"
#include "replica/pair.h"

namespace imapult::test {
namespace {

using report::VerifyDepth;

constexpr const char* kAlice = "alice@example.com";

void fill(Pair& pair, const std::string& mailbox, std::size_t messages) {
    for (std::size_t i = 0; i < messages; ++i)
        pair.deliver(kAlice, mailbox, mailbox + "-" + std::to_string(i));
}

TEST(Verify, DataOfTheNextFetchBeforeTheOkOfTheOneInFrontIsWhosItIs) {
    imapd::Behaviour overtaking = imapd::standard();
    overtaking.fetch_overtakes_ok = true;
    for (const bool at_source : {true, false}) {
        SCOPED_TRACE(at_source ? "source" : "destination");
        Pair pair(at_source ? overtaking : imapd::standard(),
                  at_source ? imapd::standard() : overtaking, {kAlice});
        fill(pair, "INBOX", 1'200);
        (void)pair.copy();
        const auto found = pair.verify(VerifyDepth::content);
        EXPECT_EQ(found.verify.equal, 1'200U) << describe(found);
        EXPECT_EQ(found.result, report::RunResult::complete);
    }
}

}  // namespace
}  // namespace imapult::test
