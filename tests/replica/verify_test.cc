// What `verify` says of a copy, where servers answer in their own way.

#include <algorithm>
#include <chrono>

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

TEST(Verify, ABodyThatWasNotHandedOutAtFirstIsAskedForOnceMore) {
    for (const char* said :
         {"NO [UNAVAILABLE] try again later", "NO Internal error",
          "BAD Request is throttled. Suggested Backoff Time: 1000 milliseconds"}) {
        SCOPED_TRACE(said);
        Pair pair(imapd::standard(), imapd::standard(), {kAlice});
        fill(pair, "INBOX", 60);
        (void)pair.copy();
        imapd::Behaviour source = imapd::standard();
        source.script.push_back({.command = "UID FETCH",
                                 .nth = 2,  // the first asks for the metadata
                                 .reply = "%t " + std::string(said) + "\r\n"});
        pair.source.set_behaviour(source);
        const auto found = pair.verify(VerifyDepth::content);
        EXPECT_EQ(found.verify.equal, 60U) << describe(found);
        EXPECT_EQ(found.result, report::RunResult::complete);
    }
}

/// So many octets a second.
class Slowly final : public replica::RateLimiter {
  public:
    explicit Slowly(std::int64_t a_second) : a_second_(a_second) {}
    Nanos reserve(std::uint64_t bytes, Nanos now) override {
        free_ = std::max(free_, now) +
                Nanos(std::chrono::seconds(1)) * static_cast<std::int64_t>(bytes) / a_second_;
        return free_;
    }

  private:
    std::int64_t a_second_;
    Nanos free_{0};
};

TEST(Verify, TheRateLimitIsKeptTo) {
    Pair pair(imapd::standard(), imapd::standard(), {kAlice});
    fill(pair, "INBOX", 300);
    (void)pair.copy();
    Slowly rate(1'000);
    pair.options.rate = &rate;
    const auto found = pair.verify(VerifyDepth::content);
    EXPECT_EQ(found.verify.equal, 300U) << describe(found);
    const double octets = 2.0 * 300 * static_cast<double>(Pair::mail("INBOX-100").size());
    EXPECT_GT(found.seconds, octets / 1'000 * 0.9);
}

}  // namespace
}  // namespace imapult::test
