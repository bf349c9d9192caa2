#include <gtest/gtest.h>

#include <limits>

#include "engine/base/random.h"
#include "imap/command.h"

namespace imapult::imap {
namespace {

TEST(DateTime, RealWorldForms) {
    const std::tuple<std::string_view, std::int64_t, int> table[] = {
        {"17-Jul-1996 02:44:25 -0700", 837596665, -420},
        {" 1-Feb-2024 00:00:00 +0000", 1706745600, 0},  // RFC: space for the first digit
        {"01-Feb-2024 00:00:00 +0000", 1706745600, 0},
        {"1-Feb-2024 00:00:00 +0000", 1706745600, 0},
        {"01-FEB-2024 00:00:00 +0000", 1706745600, 0},
        {"01-feb-2024 00:00:00 -0000", 1706745600, 0},
        {"01-Feb-2024 0:00:00 +0000", 1706745600, 0},
        {"01-Feb-2024  0:00:00 +0000", 1706745600, 0},
        {"31-Jan-2024 23:59:60 +0000", 1706745600, 0},  // leap second
        {"01-Feb-2024 05:45:00 +0545", 1706745600, 345},
        {"01-Feb-2024 00:00:00 GMT", 1706745600, 0},
        {"01-Feb-2024 00:00:00 ut", 1706745600, 0},
        {"29-Feb-2024 00:00:00 +0000", 1709164800, 0},
        {"31-Dec-1969 23:59:59 +0000", -1, 0},
        {"01-Jan-1970 00:00:00 +0000", 0, 0},
        {"07-Feb-2106 06:28:16 +0000", 4294967296, 0},
        {"01-Jan-0001 00:00:00 +0000", -62135596800, 0},
    };
    for (const auto& [text, seconds, zone] : table) {
        const auto date = parse_date_time(text);
        ASSERT_TRUE(date) << text;
        EXPECT_EQ(date->unix_seconds, seconds) << text;
        EXPECT_EQ(date->zone_minutes, zone) << text;
    }
}

TEST(DateTime, GarbledOnesAreNone) {
    for (const std::string_view text : {"",
                                        " ",
                                        "NIL",
                                        "30-Feb-2024 00:00:00 +0000",
                                        "29-Feb-2023 00:00:00 +0000",
                                        "00-Jan-2024 00:00:00 +0000",
                                        "32-Jan-2024 00:00:00 +0000",
                                        "01-Foo-2024 00:00:00 +0000",
                                        "01-Jan-24 00:00:00 +0000",
                                        "01-Jan-2024 24:00:00 +0000",
                                        "01-Jan-2024 00:60:00 +0000",
                                        "01-Jan-2024 00:00:61 +0000",
                                        "01-Jan-2024 00:00:00",
                                        "01-Jan-2024 00:00:00 0000",
                                        "01-Jan-2024 00:00:00 +000",
                                        "01-Jan-2024 00:00:00 +00000",
                                        "01-Jan-2024 00:00:00 +0060",
                                        "01-Jan-2024 00:00:00 +2400",
                                        "01-Jan-2024 00:00:00 EST",
                                        "01/Jan/2024 00:00:00 +0000",
                                        "1-1-2024 00:00:00 +0000",
                                        "001-Jan-2024 00:00:00 +0000",
                                        "01-Jan-2024T00:00:00 +0000",
                                        "Mon, 01 Jan 2024 00:00:00 +0000",
                                        "01-Jan-20245 00:00:00 +0000"}) {
        EXPECT_FALSE(parse_date_time(text)) << text;
    }
}

TEST(DateTime, FormatIsZeroPadded) {
    EXPECT_EQ(format_date_time(837596665, -420), "17-Jul-1996 02:44:25 -0700");
    EXPECT_EQ(format_date_time(1706745600, 0), "01-Feb-2024 00:00:00 +0000");
    EXPECT_EQ(format_date_time(1706745600, 345), "01-Feb-2024 05:45:00 +0545");
    EXPECT_EQ(format_date_time(-1, 0), "31-Dec-1969 23:59:59 +0000");
}

TEST(DateTime, AnyNumberFormatsAsSomethingThatParses) {
    constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
    constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
    for (const std::int64_t seconds : {kLeast, kMost, std::int64_t{-62135596801}}) {
        for (const int zone : {-32768, 32767, 0}) {
            const std::string text = format_date_time(seconds, static_cast<std::int16_t>(zone));
            EXPECT_EQ(text.size(), 26U) << text;
            EXPECT_TRUE(parse_date_time(text)) << text;
        }
    }
}

TEST(DateTime, RoundTrip) {
    Random random(7);
    for (int i = 0; i < 5000; ++i) {
        const auto seconds =
            static_cast<std::int64_t>(random.below(10'000'000'000)) - 2'000'000'000;
        const auto zone = static_cast<std::int16_t>(static_cast<int>(random.below(1681)) - 840);
        const auto back = parse_date_time(format_date_time(seconds, zone));
        ASSERT_TRUE(back);
        EXPECT_EQ(back->unix_seconds, seconds);
        EXPECT_EQ(back->zone_minutes, zone);
    }
}

}  // namespace
}  // namespace imapult::imap
