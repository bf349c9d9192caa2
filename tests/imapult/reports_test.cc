#include "tools/imapult/reports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sample_outcome.h"
#include "temporary.h"
#include "tools/imapult/csv.h"

namespace imapult::program {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

TEST(SummaryJson, HasTheFieldsOfTheContract) {
    const std::string text = to_text(summary_json(sample_outcome()));
    EXPECT_EQ(text.find('\n'), text.size() - 1);
    const Json json = Json::parse(text);
    EXPECT_EQ(json["imapult"], "0.1.0");
    EXPECT_EQ(json["command"], "migrate");
    EXPECT_EQ(json["result"], "partial");
    EXPECT_EQ(json["exit_code"], 1);
    EXPECT_EQ(json["accounts"],
              Json({{"total", 2}, {"complete", 0}, {"partial", 1}, {"failed", 1}}));
    EXPECT_EQ(json["mailboxes"]["total"], 3);
    EXPECT_EQ(json["mailboxes"]["created"], 2);
    EXPECT_EQ(json["mailboxes"]["unchanged"], 1);
    const Json& m = json["messages"];
    EXPECT_EQ(m["source"].get<int>(), m["already_there"].get<int>() + m["copied"].get<int>() +
                                          m["adopted"].get<int>() + m["refused"].get<int>() +
                                          m["skipped"].get<int>());
    EXPECT_EQ(m["flags_updated"], 0);
    EXPECT_EQ(m["deleted"], 0);
    EXPECT_EQ(json["bytes"], Json({{"copied", 5'000'000},
                                   {"source_in", 1},
                                   {"source_out", 2},
                                   {"destination_in", 3},
                                   {"destination_out", 4}}));
    EXPECT_EQ(json["round_trips"], Json({{"source", 5}, {"destination", 6}}));
    EXPECT_EQ(json["seconds"], 2.5);
    EXPECT_EQ(json["cpu_seconds"], 0.5);
    EXPECT_EQ(json["peak_rss_bytes"], 1 << 20);
    ASSERT_EQ(json["refusals"].size(), 1U);
    EXPECT_EQ(json["refusals"][0]["uid"], 17);
    EXPECT_EQ(json["refusals"][0]["account"], "alice");
    EXPECT_EQ(json["refusals"][0]["message_id"], "<a@example.com>");
    EXPECT_EQ(json["errors"][0]["code"], "auth_refused");
    EXPECT_EQ(json["errors"][0]["side"], "destination");
    EXPECT_THAT(json["insecure"].dump(), HasSubstr("not checked"));
    ASSERT_EQ(json["per_account"].size(), 2U);
    EXPECT_EQ(json["per_account"][0]["account"], "alice");
    EXPECT_EQ(json["per_account"][0]["messages"]["copied"], 4);
    EXPECT_EQ(json["per_account"][1]["result"], "failed");
    EXPECT_FALSE(json["per_account"][0].contains("command"));
}

TEST(SummaryJson, OneAccountHasNoPerAccountPart) {
    Outcome outcome = sample_outcome();
    outcome.command = campaign::Command::copy;
    EXPECT_FALSE(summary_json(outcome).contains("per_account"));
}

TEST(SummaryJson, OfVerify) {
    Outcome outcome = sample_outcome();
    outcome.command = campaign::Command::verify;
    auto& account = outcome.summary.accounts[0];
    account.verify = {.equal = 9, .missing = 1, .different = 0, .extra = 0};
    account.differences.push_back({.account = "alice",
                                   .mailbox = "INBOX",
                                   .source_uid = 4,
                                   .destination_uid = 0,
                                   .message_id = "<b@example.com>",
                                   .kind = campaign::Difference::Kind::missing,
                                   .by = {},
                                   .text = "not at the destination"});
    const auto json = summary_json(outcome);
    EXPECT_EQ(json["verify"]["missing"], 1);
    EXPECT_EQ(json["differences"][0]["kind"], "missing");
}

TEST(SummaryJson, ControlCharactersNeverGetOut) {
    Outcome outcome = sample_outcome();
    outcome.summary.accounts[0].refusals[0].mailbox = "a\x1b]0;x\x07 \xFF";
    for (const std::string& text : {to_text(summary_json(outcome)), report_html(outcome),
                                    report_csv(outcome), summary_text(outcome)}) {
        EXPECT_EQ(text.find('\x1b'), std::string::npos);
        EXPECT_EQ(text.find('\x07'), std::string::npos);
        EXPECT_EQ(text.find('\xFF'), std::string::npos);
        EXPECT_EQ(text.find("\\u001b"), std::string::npos);
        EXPECT_THAT(text, HasSubstr("x1B"));
    }
}

TEST(ReportHtml, EscapesAndIsSelfContained) {
    const std::string html = report_html(sample_outcome());
    EXPECT_THAT(html, Not(HasSubstr("<script>alert")));
    EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
    EXPECT_THAT(html, HasSubstr("&quot;big&quot; &amp; red"));
    EXPECT_THAT(html, HasSubstr("<polyline"));
    EXPECT_THAT(html, HasSubstr("Insecure:"));
    EXPECT_THAT(html, HasSubstr("the password was refused"));
    EXPECT_THAT(html, HasSubstr("3 messages are gone at the source"));
    EXPECT_THAT(html, HasSubstr("default-src 'none'"));
    for (const char* outside : {"src=\"", "href=", "http://", "https://", "@import", "url("}) {
        EXPECT_THAT(html, Not(HasSubstr(outside)));
    }
}

TEST(ReportCsv, EveryRowHasEveryColumnAndNoFormula) {
    const std::string csv = report_csv(sample_outcome());
    CsvReader reader(csv, ',');
    CsvRecord record;
    std::size_t rows = 0;
    std::size_t columns = 0;
    bool saw_formula = false;
    while (*reader.next(record)) {
        if (rows++ == 0) columns = record.fields.size();
        EXPECT_EQ(record.fields.size(), columns) << csv;
        for (const std::string& field : record.fields) {
            EXPECT_FALSE(field.starts_with("=")) << field;
            saw_formula = saw_formula || field.starts_with("'=cmd");
        }
    }
    EXPECT_TRUE(saw_formula);
    EXPECT_EQ(rows, 6U);  // heading, insecure, two accounts, refusal, notice
}

TEST(SummaryText, NamesWhatIsNotThere) {
    const std::string text = summary_text(sample_outcome());
    EXPECT_THAT(text, HasSubstr("10 messages at the source = 2 already there + 4 copied + 1 "
                                "adopted + 1 refused + 2 skipped"));
    EXPECT_THAT(text, HasSubstr("bob: destination: the password was refused"));
    EXPECT_THAT(text, HasSubstr("UID 17"));
    EXPECT_THAT(text, HasSubstr("INSECURE"));
}

TEST(Report, WritesTheFormOfTheName) {
    const TemporaryFolder folder;
    for (const char* name : {"r.html", "r.json", "r.csv"}) {
        ASSERT_TRUE(check_report(folder.path(name)).has_value());
        ASSERT_TRUE(write_report(folder.path(name), sample_outcome()).has_value());
        EXPECT_FALSE(folder.read(name).empty());
    }
    EXPECT_THAT(folder.read("r.html"), HasSubstr("<!DOCTYPE html>"));
    EXPECT_EQ(Json::parse(folder.read("r.json"))["exit_code"], 1);
    struct stat status{};
    ASSERT_EQ(stat(folder.path("r.html").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST(Report, TellsBeforeTheRunWhatWillNotWork) {
    EXPECT_FALSE(check_report("report.txt").has_value());
    EXPECT_FALSE(check_report("/nowhere/at/all/report.html").has_value());
}

}  // namespace
}  // namespace imapult::program
