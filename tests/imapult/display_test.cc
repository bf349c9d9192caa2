#include "tools/imapult/display.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imapult::program {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Snapshot busy(std::size_t accounts) {
    Snapshot now;
    now.command = "migrate";
    now.seconds = 75;
    now.accounts_total = 200;
    now.accounts_done = 12;
    now.mailboxes_total = 310;
    now.mailboxes_done = 40;
    now.messages_planned = 44'000;
    now.messages_settled = 20'113;
    now.bytes_copied = 80'000'000;
    now.messages_per_second = 1234;
    now.bytes_per_second = 12'300'000;
    now.eta_seconds = 125;
    for (std::size_t i = 0; i < accounts; ++i) {
        now.active.push_back({.name = "user" + std::to_string(i) + "@example.com",
                              .mailbox = "Archive/日本語のメールボックスとても長い名前",
                              .done = i,
                              .planned = 5000,
                              .waiting = campaign::Waiting::destination,
                              .retrying = false});
    }
    return now;
}

TEST(Display, Numbers) {
    EXPECT_EQ(with_thousands(0), "0");
    EXPECT_EQ(with_thousands(999), "999");
    EXPECT_EQ(with_thousands(1000), "1,000");
    EXPECT_EQ(with_thousands(1234567), "1,234,567");
    EXPECT_EQ(human_bytes(999), "999 B");
    EXPECT_EQ(human_bytes(1000), "1.0 kB");
    EXPECT_EQ(human_bytes(999'999), "1.0 MB");
    EXPECT_EQ(human_bytes(40'128'348), "40.1 MB");
    EXPECT_EQ(human_duration(0.31), "0.31 s");
    EXPECT_EQ(human_duration(59), "59 s");
    EXPECT_EQ(human_duration(245), "4:05");
    EXPECT_EQ(human_duration(3723), "1:02:03");
}

TEST(Display, FitsTextIntoCells) {
    EXPECT_EQ(fit("abc", 3), "abc");
    EXPECT_EQ(fit("abcd", 3), "ab…");
    EXPECT_EQ(fit("日本語", 6), "日本語");
    EXPECT_EQ(fit("日本語", 5), "日本…");
    EXPECT_EQ(fit("日本語", 4), "日…");
    EXPECT_EQ(fit("\x1b[2J", 20), "\\x1B[2J");
    EXPECT_EQ(fit("abc", 0), "");
}

TEST(Display, StaysWithinTheScreen) {
    for (const std::size_t rows : {1U, 2U, 5U, 10U, 24U}) {
        for (const std::size_t columns : {20U, 40U, 80U, 200U}) {
            const Screen screen{.columns = columns, .rows = rows, .colours = false};
            const auto lines = live_lines(busy(50), screen);
            EXPECT_LE(lines.size(), std::max<std::size_t>(rows - 1, 1));
            for (const std::string& line : lines) {
                EXPECT_EQ(fit(line, columns), line) << columns;
                EXPECT_EQ(line.find('\n'), std::string::npos);
            }
        }
    }
}

TEST(Display, TellsWhatAPersonWantsToKnow) {
    const Screen screen{.columns = 120, .rows = 10, .colours = false};
    std::string all;
    for (const std::string& line : live_lines(busy(50), screen)) all += line + "\n";
    EXPECT_THAT(all, HasSubstr("12/200 accounts"));
    EXPECT_THAT(all, HasSubstr("40/310+ mailboxes"));
    EXPECT_THAT(all, HasSubstr("20,113/44,000 messages"));
    EXPECT_THAT(all, HasSubstr("1,234/s"));
    EXPECT_THAT(all, HasSubstr("12.3 MB/s"));
    EXPECT_THAT(all, HasSubstr("ETA ~2:05"));
    EXPECT_THAT(all, HasSubstr("50 for the destination"));
    EXPECT_THAT(all, HasSubstr("user0@example.com"));
    EXPECT_THAT(all, HasSubstr("more"));
    EXPECT_THAT(all, Not(HasSubstr("\x1b")));
}

TEST(Display, ColoursAreOptional) {
    const auto lines = live_lines(busy(1), {.columns = 80, .rows = 24, .colours = true});
    EXPECT_THAT(lines[0], HasSubstr("\x1b[1m"));
    EXPECT_THAT(lines[0], HasSubstr("\x1b[0m"));
}

TEST(Display, PlainLineIsOneLine) {
    const std::string line = plain_line(busy(3));
    EXPECT_THAT(line, HasSubstr("20,113/44,000 messages"));
    EXPECT_THAT(line, HasSubstr("waiting: 3 for the destination"));
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
}

TEST(Display, TheLagGrowsWhileAChangeWaits) {
    using namespace std::chrono_literals;
    campaign::Following following{campaign::Watching::notify, 1200, 0.61, 0.58, 3.2, {}};
    EXPECT_EQ(lag_text(following, 100s),
              "by notify, lag 0.61 s (median 0.58 s, longest 3.20 s) in 1,200 passes");
    following.behind_since = 30s;
    EXPECT_THAT(lag_text(following, 100s), HasSubstr("behind for 1:10 ("));
    EXPECT_EQ(lag_text({}, 100s), "not watched at the moment, lag 0.00 s");
    Snapshot now = busy(1);
    now.active[0].following = following;
    now.now = 100s;
    EXPECT_THAT(live_lines(now, {.columns = 120}).back(), HasSubstr("lag 1:10"));
    EXPECT_THAT(plain_line(now), HasSubstr("following"));
}

TEST(Display, WithoutARateThereIsNoGuess) {
    Snapshot now = busy(0);
    now.eta_seconds = -1;
    EXPECT_THAT(plain_line(now), HasSubstr("ETA ?"));
}

}  // namespace
}  // namespace imapult::program
