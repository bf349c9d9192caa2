// Files made to hang, to exhaust memory, to leave the target folder or to smuggle something along.

#include <chrono>

#include "importers/world.h"

namespace imapult::importers_test {
namespace {

using importers::What;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using namespace std::chrono_literals;

class Hostile : public World {
  protected:
    /// One run that may not take long; sanitizers and a busy machine included.
    importers::RunReport quick(What what) {
        const auto begin = std::chrono::steady_clock::now();
        importers::RunReport report = run(options(what));
        EXPECT_LT(std::chrono::steady_clock::now() - begin, 60s);
        return report;
    }
    std::vector<std::string> folders(const std::string& account) {
        std::vector<std::string> out;
        for (const auto& [name, count] : stats()["mailboxes"][account].items()) out.push_back(name);
        return out;
    }
    /// Every file below the test's folder, but for what the program keeps for itself.
    std::vector<std::string> files() {
        std::vector<std::string> out;
        for (const auto& entry : fs::recursive_directory_iterator(root_)) {
            const std::string name = entry.path().lexically_relative(root_).string();
            if (entry.is_regular_file() && !name.starts_with("state/")) out.push_back(name);
        }
        std::ranges::sort(out);
        return out;
    }
};

TEST_F(Hostile, RecurrencesWithoutEndAreNotCountedOut) {
    std::string dates = "RDATE:20260101T000000Z";
    for (int i = 0; i < 5000; ++i) dates += ",2026010" + std::to_string(i % 9 + 1) + "T000000Z";
    const std::string every =
        "RRULE:FREQ=SECONDLY;BYSECOND=0,1,2,3,4,5,6,7,8,9;BYMINUTE=0,30;BYMONTH=1,2,3;"
        "COUNT=2000000000\r\n";
    std::string inner = event("endless", "RRULE:FREQ=SECONDLY\r\n") + event("bomb", every) +
                        event("list", dates + "\r\n") +
                        event("far", "RRULE:FREQ=DAILY;UNTIL=99991231T235959Z\r\n");
    for (int i = 0; i < 3000; ++i)
        inner += event("one", "RECURRENCE-ID:20260101T" +
                                  std::to_string(100000 + i % 50 * 100 + i / 50 % 10) + "Z\r\n");
    write("alice@example.com.ics", calendar(inner));
    const auto report = quick(What::calendars);
    EXPECT_EQ(report.total().source, 5U);
    EXPECT_GE(report.total().sent, 4U) << report.text();
    EXPECT_EQ(report.total().missing, 0U);
}

TEST_F(Hostile, TenThousandLevelsCostOneItem) {
    std::string deep;
    for (int i = 0; i < 10'000; ++i) deep += "BEGIN:VALARM\r\n";
    write("alice@example.com.ics", calendar("BEGIN:VEVENT\r\nUID:deep\r\nDTSTART:20260101\r\n" +
                                            deep + "END:VEVENT\r\n" + event("good")));
    const auto calendar_report = quick(What::calendars);
    EXPECT_EQ(calendar_report.total().sent, 1U);
    ASSERT_THAT(calendar_report.accounts.at(0).refusals, SizeIs(1));
    EXPECT_THAT(calendar_report.accounts[0].refusals[0].reason, HasSubstr("nested"));
    std::string cards;
    for (int i = 0; i < 10'000; ++i) cards += "BEGIN:VCARD\r\n";
    write("alice@example.com.vcf",
          cards + "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Good\r\nEND:VCARD\r\n");
    EXPECT_EQ(quick(What::contacts).total().sent, 1U);
}

TEST_F(Hostile, ManyPropertiesPiecesAndAttachmentsTakeNoQuadraticTime) {
    std::string pieces;
    for (int i = 0; i < 5'000; ++i)
        pieces +=
            "BEGIN:VEVENT\r\nUID:p\r\nRECURRENCE-ID:20260101T000000Z\r\n"
            "DTSTART:20260101T000000Z\r\nX-N:" +
            std::to_string(i) + "\r\nEND:VEVENT\r\n";
    std::string attachments;
    for (int i = 0; i < 800; ++i)
        attachments += "ATTACH;ENCODING=BASE64;VALUE=BINARY:" + std::string(4'400, 'A') + "\r\n";
    std::string lines;
    for (int i = 0; i < 20'000; ++i) lines += "SUMMARY:again\r\nX-A:b\r\n";
    write("alice@example.com.ics", calendar(pieces + event("a", attachments) + event("l", lines)));
    const auto report = quick(What::calendars);
    EXPECT_EQ(report.total().sent, 2U) << report.text();
    EXPECT_EQ(report.total().refused, 1U);
}

TEST_F(Hostile, FormulaCellsAreOnlyText) {
    write("alice@example.com.csv",
          "First Name,Primary Email,Notes\r\n\"=HYPERLINK(\"\"http://evil.example\"\")\",f@example."
          "net,\"@SUM(1+1)*cmd|' /C calc'!A0\"\r\nA,a@example.net,x,too,many,\"=1+1\"\r\n");
    const auto report = quick(What::contacts);
    EXPECT_EQ(report.total().sent, 1U);
    // What a user wrote arrives as it was: it is no formula in an address book.
    EXPECT_THAT(exported("alice@example.com", "Contacts", "csv"),
                HasSubstr("=HYPERLINK(\"\"http://evil.example\"\")"));
    ASSERT_TRUE(report.write((root_ / "report.csv").string()));
    const std::string table = read(root_ / "report.csv");
    for (const char* start : {",=", ",\"=", ",@", ",\"@", ",+", ",\"+"})
        EXPECT_THAT(table, Not(HasSubstr(start)));
}

TEST_F(Hostile, NamesOfCalendarsLeadNowhere) {
    const std::vector<std::string> names = {
        "../../etc/passwd", "/Inbox", "Work/../Inbox", "..", "C:\\Temp", "a\\nSet-Cookie: b=c",
        "%2e%2e%2fInbox",   "Trash",  "?fmt=tgz&x=1#y"};
    for (std::size_t i = 0; i < names.size(); ++i)
        write("alice@example.com/c" + std::to_string(i) + ".ics",
              calendar(event("u" + std::to_string(i)) + event("broken", "RRULE:FREQ=NO\r\n"),
                       "X-WR-CALNAME:" + names[i] + "\r\n"));
    write("alice@example.com/line\nbreak.ics", calendar(event("n")));
    const auto before = files();
    const auto report = quick(What::calendars);
    EXPECT_EQ(report.total().sent, names.size() + 1) << report.text();
    for (const std::string& folder : folders("alice@example.com")) {
        EXPECT_EQ(folder.find_first_of("/:\"\r\n"), std::string::npos) << folder;
        EXPECT_THAT(folder, Not(testing::AnyOf("..", ".", "Inbox", "Trash", "Calendar")));
    }
    for (const std::string& file : files()) {
        if (std::ranges::find(before, file) != before.end()) continue;
        EXPECT_TRUE(file.starts_with("out/refused/alice@example.com")) << file;
        EXPECT_EQ(fs::path(file).filename().string().find_first_of("\r\n/"), std::string::npos);
    }
}

TEST_F(Hostile, NothingIsSmuggledIntoHeadersCardsOrComponents) {
    write(
        "alice@example.com.vcf",
        "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:A\\nEND:VCARD\\nBEGIN:VCARD\\nFN:B\r\n"
        "NOTE:x\\r\\nX-EVIL:1\r\nEMAIL:a@example.net\r\nPHOTO;ENCODING=b;TYPE=PNG:iVBORw0KGgo=\r\n"
        "END:VCARD\r\n");
    write("bob@example.com.csv",
          "First Name,Primary Email\r\n\"A\r\nSet-Cookie: x=y\",\"b@example.net\r\nBcc: c@example."
          "net\"\r\n");
    EXPECT_EQ(quick(What::contacts).total().sent, 2U);
    EXPECT_EQ(stats()["mailboxes"]["alice@example.com"]["Contacts"], 1);
    EXPECT_EQ(stats()["mailboxes"]["bob@example.com"]["Contacts"], 1);
    write("alice@example.com.ics",
          calendar(event("u\\nEND:VEVENT\\nBEGIN:VEVENT\\nUID:v",
                         "SUMMARY:a\\r\\nATTENDEE:mailto:x@example.net\r\nX-P;CN=\"a\"b\":c\r\n")));
    EXPECT_EQ(quick(What::calendars).total().sent, 1U);
    EXPECT_EQ(stats()["mailboxes"]["alice@example.com"]["Calendar"], 1);
    EXPECT_THAT(exported("alice@example.com", "Calendar", "ics"), Not(HasSubstr("\nATTENDEE")));
}

TEST_F(Hostile, AccountsThatAreNoAddressesAreNotAsked) {
    for (const char* name : {"..%2f..@example.com.ics", "a b@example.com.ics", "@.ics",
                             "a@b@example.com.ics", "a\r\nHost: evil@example.com.ics"})
        write(name, calendar(event("1")));
    write("alice@example.com.ics", calendar(event("1")));
    const auto report = quick(What::calendars);
    EXPECT_THAT(report.accounts, SizeIs(testing::Le(2U))) << report.text();
    EXPECT_EQ(stats()["mailboxes"]["alice@example.com"]["Calendar"], 1);
    EXPECT_THAT(report.text(), Not(HasSubstr("\r")));
}

TEST_F(Hostile, ReportsHoldNoMarkupOfTheFiles) {
    write("alice@example.com.ics",
          calendar(event("<script>alert(1)</script>", "RRULE:<img src=x onerror=alert(1)>\r\n")));
    const auto report = quick(What::calendars);
    ASSERT_TRUE(report.write((root_ / "report.html").string()));
    EXPECT_THAT(read(root_ / "report.html"), Not(HasSubstr("<script>alert")));
    EXPECT_THAT(read(root_ / "report.html"), Not(HasSubstr("<img src=x")));
}

}  // namespace
}  // namespace imapult::importers_test
