#include "imap/status_text.h"

#include <gtest/gtest.h>

namespace imapult::imap {
namespace {

using namespace std::chrono_literals;

Status status(Condition condition, std::string_view text, ResponseCode code = ResponseCode::none) {
    Status made;
    made.condition = condition;
    made.code = code;
    made.text = text;
    return made;
}

TEST(StatusText, SuggestedDelay) {
    const std::pair<std::string_view, std::chrono::milliseconds> table[] = {
        {"Request is throttled. Suggested Backoff Time: 299961 milliseconds", 299961ms},
        {"request is throttled. suggested backoff time: 5 MILLISECONDS", 5ms},
        {"Please try again in 30 seconds.", 30s},
        {"Too many requests, try again after 5 minutes", 5min},
        {"retry after 2s", 2s},
        {"Retry in 1 hour", 1h},
        {"busy, try again in 1 min.", 1min},
        {"Backoff Time: 99999999999999999 milliseconds", 24h},
        {"try again in 18446744073709551615 hours", 24h},
    };
    for (const auto& [text, delay] : table) EXPECT_EQ(suggested_delay(text), delay) << text;
    for (const std::string_view text :
         {"", "try again later", "try again in a minute", "Please try again. Error 30 seconds",
          "waited 30 seconds", "retry after 99999999999999999999999 seconds", "try again in 5",
          "try again in 5 apples", "Backoff Time: milliseconds"}) {
        EXPECT_EQ(suggested_delay(text), std::nullopt) << text;
    }
}

TEST(StatusText, Throttling) {
    EXPECT_TRUE(is_throttling(status(Condition::bad, "Request is throttled.")));
    EXPECT_TRUE(is_throttling(status(Condition::ok, "AUTHENTICATE completed. THROTTLED")));
    EXPECT_TRUE(
        is_throttling(status(Condition::no, "Too many simultaneous connections. (Failure)")));
    EXPECT_TRUE(is_throttling(status(Condition::no, "x", ResponseCode::limit)));
    EXPECT_TRUE(
        is_throttling(status(Condition::bye, "Account exceeded command or bandwidth limits.",
                             ResponseCode::over_quota)));
    EXPECT_FALSE(is_throttling(status(Condition::ok, "x", ResponseCode::limit)));
    EXPECT_FALSE(is_throttling(status(Condition::no, "Mailbox does not exist")));
    EXPECT_FALSE(is_throttling(status(Condition::ok, "")));
}

TEST(StatusText, OverQuota) {
    EXPECT_TRUE(is_over_quota(status(Condition::no, "x", ResponseCode::over_quota)));
    EXPECT_TRUE(is_over_quota(status(Condition::no, "Quota exceeded (mailbox for user is full)")));
    EXPECT_TRUE(is_over_quota(status(Condition::no, "APPEND failed: mailbox exceeded quota")));
    EXPECT_TRUE(is_over_quota(status(Condition::bad, "Over quota")));
    // Comes back by itself: a matter of throttling.
    EXPECT_FALSE(is_over_quota(status(
        Condition::no, "Account exceeded command or bandwidth limits.", ResponseCode::over_quota)));
    EXPECT_FALSE(is_over_quota(status(Condition::ok, "Quota exceeded", ResponseCode::over_quota)));
    EXPECT_FALSE(is_over_quota(status(Condition::no, "GETQUOTAROOT failed")));
}

TEST(StatusText, TooBig) {
    EXPECT_TRUE(is_too_big(status(Condition::no, "x", ResponseCode::too_big)));
    EXPECT_TRUE(is_too_big(status(Condition::no, "APPEND failed: maximum message size exceeded")));
    EXPECT_TRUE(is_too_big(status(Condition::no, "Message too large")));
    EXPECT_FALSE(is_too_big(status(Condition::ok, "Message too large")));
    EXPECT_FALSE(is_too_big(status(Condition::no, "Mailbox does not exist")));
}

}  // namespace
}  // namespace imapult::imap
