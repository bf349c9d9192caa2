#include "importers/world.h"

namespace imapult::importers_test {
namespace {

using importers::What;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class ImportCalendars : public World {};

std::string many(std::size_t count, const std::string& more = "SUMMARY:A\r\nDESCRIPTION:" +
                                                              std::string(400, 'x') + "\r\n") {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += event("e" + std::to_string(i), more);
    return out;
}

TEST_F(ImportCalendars, ASecondRunSendsNothingAndAChangeSendsThatItem) {
    write("alice@example.com.ics", calendar(many(1000)));
    const auto first = calendars();
    EXPECT_EQ(first.exit_code(), 0) << first.text();
    EXPECT_EQ(first.total().sent, 1000U);
    EXPECT_LE(stats()["largest_ics"], 131072);
    EXPECT_GT(stats()["uploads_ics"], 3);
    EXPECT_EQ(calendars().total().already_there, 1000U);
    write("alice@example.com.ics", calendar(many(999) + event("e999", "SUMMARY:changed\r\n")));
    const auto third = calendars();
    EXPECT_EQ(third.total().sent, 1U);
    EXPECT_EQ(third.total().already_there, 999U);
    EXPECT_THAT(exported("alice@example.com", "Calendar", "ics"), HasSubstr("SUMMARY:changed"));
    fs::remove_all(root_ / "state");
    EXPECT_EQ(calendars().total().already_there, 1000U) << "a fresh state directory";
}

TEST_F(ImportCalendars, TasksGoToTasksAndNamedCalendarsToTheirOwn) {
    write("bob@example.com.ics",
          calendar(event("1") + "BEGIN:VTODO\r\nUID:t\r\nSUMMARY:do\r\nEND:VTODO\r\n",
                   "X-WR-CALNAME:ignored\r\n"));
    write("bob@example.com/work.ics",
          calendar(event("2"), "X-WR-CALNAME:../W/o:rk\r\nX-APPLE-CALENDAR-COLOR:#FF0000FF\r\n"));
    write("bob@example.com/inbox.ics", calendar(event("3")));
    write("bob@example.com/Work.ics", calendar(event("4"), "X-WR-CALNAME:.._w_o_RK\r\n"));
    write("notes.txt", "x");
    const auto report = calendars();
    EXPECT_EQ(report.exit_code(), 0) << report.text();
    const json boxes = stats()["mailboxes"]["bob@example.com"];
    EXPECT_EQ(boxes["Calendar"], 1);
    EXPECT_EQ(boxes["Tasks"], 1);
    EXPECT_EQ(boxes["inbox (2)"], 1);
    EXPECT_EQ(boxes[".._w_o_RK"].get<int>() + boxes[".._W_o_rk (2)"].get<int>(), 2) << boxes;
    EXPECT_THAT(report.ignored, SizeIs(1));
    EXPECT_EQ(calendars().total().sent, 0U);
}

TEST_F(ImportCalendars, AUidOfTwoCalendarsStaysInTheFirst) {
    write("bob@example.com.ics", calendar(event("1")));
    write("bob@example.com/Work.ics", calendar(event("1", "SUMMARY:B\r\n")));
    const auto report = calendars();
    EXPECT_EQ(report.total().sent, 2U) << report.text();
    EXPECT_EQ(report.total().repaired, 1U);
    EXPECT_EQ(stats()["mailboxes"]["bob@example.com"]["Calendar"], 1);
    EXPECT_EQ(stats()["mailboxes"]["bob@example.com"]["Work"], 1);
    EXPECT_EQ(calendars().total().already_there, 2U);
    fs::remove_all(root_ / "state");
    EXPECT_EQ(calendars().total().already_there, 2U);
}

TEST_F(ImportCalendars, UidsAreFoundAgainHoweverTheServerEscapesThem) {
    write("alice@example.com.ics", calendar(event("a\\,b") + event("c,d") + event("e\\r\\nX: 1")));
    const auto report = calendars();
    EXPECT_EQ(report.exit_code(), 0) << report.text();
    fs::remove_all(root_ / "state");
    EXPECT_EQ(calendars().total().already_there, 3U);
}

TEST_F(ImportCalendars, BrokenItemsComeBackMendable) {
    write("alice@example.com.ics",
          calendar(event("1") + event("2", "RRULE:FREQ=OFTEN\r\n") + event("3")));
    const auto report = calendars();
    EXPECT_EQ(report.exit_code(), 1);
    EXPECT_EQ(report.total().sent, 2U);
    ASSERT_THAT(report.accounts.at(0).refusals, SizeIs(1));
    EXPECT_EQ(report.accounts[0].refusals[0].line, 13U);
    const fs::path refused = root_ / "out" / "refused" / "alice@example.com.ics";
    std::string text = read(refused);
    EXPECT_THAT(text, HasSubstr("X-IMAPULT-REFUSED:alice@example.com.ics:13: RRULE is not valid"));
    text.replace(text.rfind("OFTEN"), 5, "DAILY");
    write("alice@example.com.ics", text);
    EXPECT_EQ(calendars().total().sent, 1U);
    EXPECT_EQ(stats()["mailboxes"]["alice@example.com"]["Calendar"], 3);
    EXPECT_FALSE(fs::exists(refused)) << "nothing is refused any more";
}

TEST_F(ImportCalendars, FaultsOfEveryKindAreSurvived) {
    write("alice@example.com.ics", calendar(many(2000)));
    write("bob@example.com.ics", calendar(many(500)));
    fault({{"busy_every", 3}, {"cut_every", 4}, {"drop_every", 5}, {"token_uses", 7}});
    const auto report = calendars();
    EXPECT_EQ(report.exit_code(), 0) << report.text();
    EXPECT_EQ(report.total().sent, 2500U);
    EXPECT_EQ(stats()["mailboxes"]["alice@example.com"]["Calendar"], 2000);
    EXPECT_GT(stats()["busy"], 0);
}

TEST_F(ImportCalendars, AnAccountInMaintenanceDoesNotStopTheOthers) {
    write("alice@example.com.ics", calendar(event("1")));
    write("bob@example.com.ics", calendar(event("1")));
    write("nobody@example.com.ics", calendar(event("1")));
    fault({{"maintenance", {"alice@example.com"}}});
    const auto report = calendars();
    EXPECT_EQ(report.exit_code(), 1);
    EXPECT_EQ(report.total().sent, 1U);
    EXPECT_THAT(report.text(), HasSubstr("alice@example.com: the account is not available now"));
    EXPECT_THAT(report.text(), HasSubstr("nobody@example.com: there is no such account"));
}

TEST_F(ImportCalendars, WhatTheServerSkipsInSilenceIsMissing) {
    write("alice@example.com.ics", calendar(event("1") + event("2")));
    fault({{"forbidden_uids", {"2"}}});
    const auto report = calendars();
    EXPECT_EQ(report.exit_code(), 1);
    EXPECT_EQ(report.total().missing, 1U);
    EXPECT_EQ(report.accounts.at(0).missing.at(0).uid, "2");
    fault({{"forbidden_uids", json::array()}});
    EXPECT_EQ(calendars().total().sent, 1U) << "not in the ledger, so sent again";
}

TEST_F(ImportCalendars, ExitCodesTellWhy) {
    write("alice@example.com.ics", calendar(event("1")));
    auto o = options(What::calendars);
    o.carbonio.admin_password = Secret("wrong");
    EXPECT_EQ(run(o).exit_code(), 3);
    o = options(What::calendars);
    o.carbonio.user_side = *http::parse_endpoint("http://127.0.0.1:9", false);
    o.http.tries = 1;
    EXPECT_EQ(run(o).exit_code(), 4);
    o = options(What::calendars);
    o.inputs.from = {(root_ / "nowhere").string()};
    EXPECT_EQ(run(o).exit_code(), 2);
    const auto held = importers::Ledger::open((root_ / "state").string());
    ASSERT_TRUE(held) << held.error().text;
    EXPECT_EQ(calendars().exit_code(), 6);
}

TEST_F(ImportCalendars, UsersOwnPasswordsAndTheAdministratorsPortWorkToo) {
    write("alice@example.com.ics", calendar(event("1")));
    write("alice@example.com/Work.ics", calendar(event("2")));
    auto o = options(What::calendars);
    o.carbonio.import_as = importers::ImportAs::user;
    o.user_password = Secret("pw-a");
    EXPECT_EQ(run(o).exit_code(), 0);
    o.user_password = Secret("wrong");
    EXPECT_EQ(run(o).exit_code(), 3);
    o = options(What::calendars);
    o.carbonio.import_as = importers::ImportAs::admin;
    const auto again = run(o);
    EXPECT_EQ(again.exit_code(), 0) << again.text();
    EXPECT_EQ(again.total().already_there, 2U);
}

TEST_F(ImportCalendars, ADamagedOrForeignLedgerIsExitCodeSix) {
    write("alice@example.com.ics", calendar(event("1")));
    EXPECT_EQ(calendars().exit_code(), 0);
    std::ofstream(root_ / "state" / "import" / "CURRENT") << "rubbish";
    EXPECT_EQ(calendars().exit_code(), 6);
}

}  // namespace
}  // namespace imapult::importers_test
