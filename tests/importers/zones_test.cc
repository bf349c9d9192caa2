#include "importers/zones.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace imapult::importers {
namespace {

std::int64_t utc(const char* zone, const char* wall) {
    return utc_of(*find_zone(zone), *parse_wall_time(wall));
}

TEST(Zones, NamesOfEveryKindLeadToTheSameZone) {
    for (const char* name :
         {"Europe/Berlin", "europe/berlin", "/citadel.org/20210210_1/Europe/Berlin",
          "/freeassociation.sourceforge.net/Europe/Berlin", "\"Europe/Berlin\"",
          "W. Europe Standard Time",
          "(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna"}) {
        const std::string olson = olson_name(name);
        ASSERT_FALSE(olson.empty()) << name;
        EXPECT_EQ(utc(olson.c_str(), "20260701T120000"), utc("Europe/Berlin", "20260701T120000"))
            << name;
    }
    for (const char* name : {"", "Nowhere/Town", "../../etc/passwd", "Custom 1"}) {
        EXPECT_EQ(olson_name(name), "") << name;
    }
}

TEST(Zones, WallClocksBecomeInstants) {
    EXPECT_EQ(utc("Europe/Berlin", "20260115T120000"), 1768474800);      // +1
    EXPECT_EQ(utc("Europe/Berlin", "20260715T120000"), 1784109600);      // +2
    EXPECT_EQ(utc("America/Sao_Paulo", "20150115T120000"), 1421330400);  // -2, summer time of then
    EXPECT_EQ(utc("America/Sao_Paulo", "20260115T120000"), 1768489200);  // -3
    EXPECT_EQ(utc("Asia/Kolkata", "20500615T120000"), 2538887400);
    EXPECT_EQ(utc("America/New_York", "20500615T120000"), 2538921600);
}

TEST(Zones, VtimezoneHoldsRuleAndHistory) {
    const std::string berlin = make_vtimezone(*find_zone("Europe/Berlin"), "Europe/Berlin");
    EXPECT_THAT(berlin, testing::HasSubstr("RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\n"));
    EXPECT_THAT(berlin, testing::HasSubstr("RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n"));
    EXPECT_THAT(berlin, testing::HasSubstr("TZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\n"));
    EXPECT_LT(berlin.size(), 3000U);
    const std::string moscow = make_vtimezone(*find_zone("Europe/Moscow"), "Europe/Moscow");
    EXPECT_THAT(moscow, testing::HasSubstr("20141026T020000\r\n"));
    EXPECT_THAT(moscow, testing::Not(testing::HasSubstr("RRULE")));
    EXPECT_THAT(make_vtimezone(*find_zone("Etc/UTC"), "Etc/UTC"),
                testing::HasSubstr("TZOFFSETTO:+0000"));
}

TEST(Zones, ReadsOnlyRealDates) {
    EXPECT_TRUE(parse_wall_time("20240229"));
    EXPECT_TRUE(parse_wall_time("20240229T235959Z")->utc);
    for (const char* bad : {"", "2024", "20230229", "20241301", "20240101T240000", "20240101T",
                            "20240101T000000X", "garbage!", "2024-01-01"}) {
        EXPECT_FALSE(parse_wall_time(bad)) << bad;
    }
}

}  // namespace
}  // namespace imapult::importers
