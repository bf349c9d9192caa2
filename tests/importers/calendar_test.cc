#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "importers/calendar_file.h"
#include "importers/calendar_item.h"

namespace imapult::importers {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

std::string calendar(const std::string& inner, const std::string& head = "VERSION:2.0\r\n") {
    return "BEGIN:VCALENDAR\r\n" + head + inner + "END:VCALENDAR\r\n";
}
std::string event(const std::string& lines) {
    return "BEGIN:VEVENT\r\n" + lines + "END:VEVENT\r\n";
}
const std::string kPlain =
    "UID:1\r\nDTSTART:20260105T090000Z\r\nDTEND:20260105T100000Z\r\nSUMMARY:A\r\n";

CalendarFile read(std::string text) {
    auto file = read_calendar_text(std::move(text));
    EXPECT_TRUE(file) << (file ? "" : file.error().text);
    return file ? std::move(*file) : CalendarFile{};
}

CleanItem clean(const CalendarFile& file, std::size_t index = 0) {
    auto item = clean_item(file, file.items.at(index));
    EXPECT_TRUE(item) << (item ? "" : item.error().reason);
    return item ? std::move(*item) : CleanItem{};
}
ItemRefusal refusal(const CalendarFile& file, std::size_t index = 0) {
    auto item = clean_item(file, file.items.at(index));
    EXPECT_FALSE(item);
    return item ? ItemRefusal{} : item.error();
}

TEST(CalendarFile, AGoodFileNeedsNoRepair) {
    const CalendarFile file = read(calendar(event(kPlain)));
    EXPECT_THAT(file.repairs, SizeIs(0));
    const CleanItem item = clean(file);
    EXPECT_THAT(item.repairs, SizeIs(0));
    EXPECT_EQ(item.uid, "1");
    EXPECT_EQ(item.body,
              "BEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260105T090000Z\r\nDTEND:"
              "20260105T100000Z\r\nSUMMARY:A\r\nEND:VEVENT\r\n");
}

TEST(CalendarFile, MasterStandsBeforeItsExceptions) {
    const std::string master = "UID:1\r\nDTSTART:20260105T090000Z\r\nRRULE:FREQ=DAILY;COUNT=3\r\n";
    const std::string changed =
        "UID:1\r\nRECURRENCE-ID:20260106T090000Z\r\nDTSTART:20260106T110000Z\r\n";
    const CalendarFile file =
        read(calendar(event(changed) + event("UID:2\r\nDTSTART:20260101\r\n") + event(master)));
    ASSERT_THAT(file.items, SizeIs(2));
    const CleanItem item = clean(file);
    EXPECT_LT(item.body.find("RRULE"), item.body.find("RECURRENCE-ID"));
    EXPECT_EQ(item.core.pieces, 2U);
}

TEST(CalendarFile, WholeFileRepairsKeepEveryItem) {
    const std::string good = calendar(event(kPlain));
    std::string lf = good;
    std::erase(lf, '\r');
    std::string cr = good;
    std::erase(cr, '\n');
    std::string wide = "\xFF\xFE";
    for (const char c : good) wide += std::string{c, '\0'};
    for (const std::string& text :
         {lf, cr, wide, "\xEF\xBB\xBF" + good, calendar(event(kPlain), ""),
          "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + event(kPlain),
          good + calendar(event("UID:2\r\nDTSTART:20260101T000000Z\r\n")), event(kPlain),
          calendar(event(kPlain), "VERSION:1.0\r\n"),
          calendar(event(kPlain + "LOCATION:Caf\xE9 M\xFCller\r\n"))}) {
        const CalendarFile file = read(text);
        EXPECT_THAT(file.repairs, Not(SizeIs(0))) << text;
        ASSERT_FALSE(file.items.empty()) << text;
        EXPECT_EQ(clean(file).uid, "1");
    }
    EXPECT_THAT(clean(read(calendar(event(kPlain + "LOCATION:Caf\xE9 M\xFCller\r\n")))).body,
                HasSubstr("LOCATION:Café Müller\r\n"));
}

TEST(CalendarFile, UtfEightCutByFoldingIsStillUtfEight) {
    const CalendarFile file = read(calendar(event(kPlain + "LOCATION:M\xC3\r\n \xBCller\r\n")));
    EXPECT_THAT(clean(file).body, HasSubstr("LOCATION:Müller\r\n"));
}

TEST(CalendarFile, BrokenItemsAreRefusedWithTheirLineAndTheGoodOnesStay) {
    const CalendarFile file = read(
        calendar(event("UID:a\r\nDTSTART:tomorrow\r\n") + event("UID:b\r\nSUMMARY:no start\r\n") +
                 "BEGIN:VEVENT\r\nUID:c\r\nDTSTART:20260101T000000Z\r\n" + event(kPlain) +
                 event("UID:d\r\nDTSTART:20260101T000000Z\r\nDTEND:20250101T000000Z\r\n") +
                 event("UID:e\r\nDTSTART;TZID=Nowhere:20260101T000000\r\n") +
                 event("UID:f\r\nDTSTART:20260101T000000Z\r\nRRULE:FREQ=OFTEN\r\n")));
    ASSERT_THAT(file.items, SizeIs(7));
    EXPECT_THAT(refusal(file, 0).reason, HasSubstr("DTSTART is not a date or time: \"tomorrow\""));
    EXPECT_EQ(refusal(file, 0).line, 5U);
    EXPECT_THAT(refusal(file, 1).reason, HasSubstr("no DTSTART"));
    EXPECT_THAT(refusal(file, 2).reason, HasSubstr("no END line"));
    EXPECT_EQ(refusal(file, 2).line, 11U);
    EXPECT_EQ(clean(file, 3).uid, "1");
    EXPECT_THAT(refusal(file, 4).reason, HasSubstr("before it begins"));
    EXPECT_THAT(refusal(file, 5).reason, HasSubstr("time zone \"Nowhere\""));
    EXPECT_THAT(refusal(file, 6).reason, HasSubstr("RRULE is not valid"));
}

TEST(CalendarFile, ItemsWithoutUidGetTheSameOneEveryTime) {
    const std::string text =
        "DTSTAMP:20260101T000000Z\r\nDTSTART:20260105T090000Z\r\nSUMMARY:A\r\n";
    const CleanItem first = clean(read(calendar(event(text))));
    std::string later = text;
    later.replace(later.find("20260101"), 8, "20270101");
    EXPECT_THAT(first.uid, testing::StartsWith("imapult-"));
    EXPECT_EQ(clean(read(calendar(event(later)))).uid, first.uid);
    EXPECT_NE(clean(read(calendar(event(text + "LOCATION:B\r\n")))).uid, first.uid);
}

TEST(CalendarFile, TimeZonesAreResolvedAndAdded) {
    const CleanItem windows = clean(read(
        calendar(event("UID:1\r\nDTSTART;TZID=\"W. Europe Standard Time\":20260105T090000\r\n"))));
    EXPECT_THAT(windows.body, HasSubstr("DTSTART;TZID=Europe/Berlin:20260105T090000\r\n"));
    EXPECT_THAT(*windows.zones.at("Europe/Berlin"), HasSubstr("BEGIN:DAYLIGHT"));
    const std::string zone =
        "BEGIN:VTIMEZONE\r\nTZID:Mine\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:"
        "+0100\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n";
    const CleanItem own =
        clean(read(calendar(event("UID:1\r\nDTSTART;TZID=Mine:20260105T090000\r\n") + zone)));
    EXPECT_EQ(*own.zones.at("Mine"), zone);
    EXPECT_THAT(own.repairs, SizeIs(0));
}

TEST(CalendarFile, LinesThatAreNoPropertyJoinTheDescription) {
    const CleanItem item =
        clean(read(calendar(event(kPlain + "DESCRIPTION:first\r\nsecond; line\r\n"))));
    EXPECT_THAT(item.body, HasSubstr("DESCRIPTION:first\\nsecond\\; line\r\n"));
    EXPECT_THAT(item.repairs, SizeIs(1));
}

TEST(CalendarFile, WhatIsIndentedBelowABeginIsNoPartOfItsName) {
    const CleanItem item =
        clean(read(calendar("BEGIN:VEVENT\r\n ODD\r\n" + kPlain + "END:VEVENT\r\n more\r\n")));
    EXPECT_THAT(item.body, HasSubstr("BEGIN:VEVENT\r\n"));
    EXPECT_THAT(item.body, HasSubstr("END:VEVENT\r\n"));
    EXPECT_THAT(item.body, Not(HasSubstr("ODD")));
    EXPECT_THAT(item.repairs, Not(SizeIs(0)));
}

TEST(CalendarFile, ABeginWithParametersIsNone) {
    const CleanItem item = clean(read(calendar(event(kPlain + "BEGIN;X=1:VEVENT\r\n"))));
    EXPECT_THAT(item.body, Not(HasSubstr("\r\nBEGIN:VEVENT")));
    EXPECT_THAT(item.repairs, SizeIs(1));
}

TEST(CalendarFile, NamesOfComponentsAreNeverCutInACharacter) {
    std::string name = "X-1";
    for (int i = 0; i < 40; ++i) name += "\xC3\xA4";
    const CleanItem item =
        clean(read(calendar(event(kPlain + "BEGIN:" + name + "\r\nEND:" + name + "\r\n"))));
    EXPECT_THAT(item.body, HasSubstr("\r\nBEGIN:X-1" + std::string(61, '-') + "\r\n"));
    EXPECT_EQ(clean(read("BEGIN:VCALENDAR\r\n" + item.body + "END:VCALENDAR\r\n")).body, item.body);
}

TEST(CalendarFile, AnUnknownCharsetLeavesNoBrokenBytes) {
    const CleanItem item =
        clean(read(calendar(event("UID:1\r\nDTSTART:20260105T090000Z\r\nSUMMARY;ENCODING=QUOTED-"
                                  "PRINTABLE;CHARSET=O-88:Caf=E9=00\r\n"),
                            "VERSION:1.0\r\n")));
    EXPECT_THAT(item.body, HasSubstr("SUMMARY:Café\r\n"));
}

TEST(CalendarFile, EmptyPropertiesAreNoError) {
    const CleanItem item =
        clean(read(calendar(event(kPlain + "LOCATION:\r\nDESCRIPTION:\r\nURL;VALUE=URI:\r\n"))));
    EXPECT_THAT(item.repairs, SizeIs(0));
    EXPECT_THAT(item.body, Not(HasSubstr("LOCATION")));
}

TEST(CalendarFile, ADescriptionBehindAnAlarmIsNoSecondOne) {
    const CleanItem item = clean(read(calendar(
        event(kPlain + "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:ring\r\nTRIGGER:-PT5M\r\n"
                       "END:VALARM\r\nDESCRIPTION:Bring the plans\r\n"))));
    EXPECT_THAT(item.body, HasSubstr("DESCRIPTION:Bring the plans\r\n"));
    EXPECT_THAT(item.repairs, SizeIs(0));
}

TEST(CalendarFile, VersionOneIsConverted) {
    const CleanItem item = clean(
        read(calendar(event("UID:1\r\nDTSTART:20260105T090000Z\r\nSUMMARY;CHARSET=ISO-8859-1;"
                            "ENCODING=QUOTED-PRINTABLE:Caf=E9, =\r\nnow\r\n"
                            "RRULE:MP1 1+ MO #5\r\nDALARM:20260105T085000Z;;;Wake\r\nTRANSP:1\r\n"),
                      "VERSION:1.0\r\n")));
    EXPECT_THAT(item.body, HasSubstr("SUMMARY:Café\\, now\r\n"));
    EXPECT_THAT(item.body, HasSubstr("RRULE:FREQ=MONTHLY;BYDAY=1MO;INTERVAL=1;COUNT=5\r\n"));
    EXPECT_THAT(item.body, HasSubstr("TRIGGER;VALUE=DATE-TIME:20260105T085000Z\r\n"));
    EXPECT_THAT(item.body, HasSubstr("TRANSP:TRANSPARENT\r\n"));
}

TEST(CalendarFile, AHugeAttachmentIsLeftOutAndTheEventStays) {
    const CleanItem item = clean(read(calendar(event(
        kPlain + "ATTACH;ENCODING=BASE64;VALUE=BINARY:" + std::string(5'000'000, 'A') + "\r\n"))));
    EXPECT_LT(item.body.size(), 131072U);
    EXPECT_THAT(item.repairs.at(0), HasSubstr("line 8: ATTACH with 5000000 bytes"));
    EXPECT_THAT(item.body, HasSubstr("SUMMARY:A"));
}

TEST(CalendarFile, DeepNestingIsRefusedQuickly) {
    std::string deep;
    for (int i = 0; i < 10'000; ++i) deep += "BEGIN:X-A\r\n";
    const CalendarFile file = read(calendar("BEGIN:VEVENT\r\n" + kPlain + deep + "END:VEVENT\r\n" +
                                            event("UID:2\r\nDTSTART:20260101\r\n")));
    ASSERT_THAT(file.items, SizeIs(2));
    EXPECT_THAT(refusal(file, 0).reason, HasSubstr("nested"));
    EXPECT_EQ(clean(file, 1).uid, "2");
}

TEST(CalendarCore, WhatAServerRewritesDoesNotCount) {
    const auto core = [](const std::string& lines) {
        const CalendarFile file = read(calendar(event(lines)));
        return core_of(file, file.items.at(0)).digest;
    };
    const std::string ours =
        "UID:1\r\nDTSTART;TZID=Europe/"
        "Berlin:20260105T090000\r\nDURATION:PT1H\r\nRRULE:FREQ=WEEKLY;BYDAY=MO;INTERVAL="
        "1\r\nSUMMARY:A\\, b\r\nDESCRIPTION:\r\n";
    const std::string theirs =
        "UID:1\r\nDTSTAMP:20260101T000000Z\r\nSEQUENCE:1\r\nX-A:B\r\nCLASS:PUBLIC\r\nSUMMARY:A\\, "
        "b\r\nRRULE:BYDAY=MO;FREQ=WEEKLY;WKST=SU\r\nDTSTART:20260105T080000Z\r\nDTEND:"
        "20260105T090000Z\r\n";
    EXPECT_EQ(core(ours), core(theirs));
    EXPECT_NE(core(ours), core(theirs + "LOCATION:C\r\n"));
    EXPECT_NE(core(kPlain), core(kPlain + "EXDATE:20260106T090000Z\r\n"));
}

TEST(RefusedText, CanBeMendedAndReadAgain) {
    const CalendarFile file =
        read(calendar("BEGIN:VEVENT\r\nUID:c\r\nDTSTART:20260101T000000Z\r\n"));
    const std::string text = refused_text(file, file.items.at(0), "it has\nno end", 3);
    EXPECT_THAT(text, HasSubstr("X-IMAPULT-REFUSED:"));
    EXPECT_THAT(text, HasSubstr("END:VEVENT\r\n"));
    EXPECT_EQ(clean(read(calendar(text))).uid, "c");
}

}  // namespace
}  // namespace imapult::importers
