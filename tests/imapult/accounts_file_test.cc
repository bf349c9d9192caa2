#include "tools/imapult/accounts_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "tools/imapult/csv.h"

namespace imapult::program {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

AccountsFile good(std::string_view text) {
    auto file = parse_accounts(text, "list.csv");
    if (!file) ADD_FAILURE() << file.error().front();
    return file.value_or(AccountsFile{});
}

/// Errors of a file that must not be accepted; none of them may hold the passwords used here.
AccountErrors bad(std::string_view text) {
    auto file = parse_accounts(text, "list.csv");
    EXPECT_FALSE(file.has_value());
    if (file) return {};
    EXPECT_THAT(file.error(), Each(Not(HasSubstr("hunter2"))));
    EXPECT_THAT(file.error(), Each(StartsWith("list.csv:")));
    EXPECT_THAT(file.error(), Each(HasSubstr("; ")));
    return file.error();
}

TEST(AccountsFile, ReadsOurColumnsInAnyOrder) {
    const auto file = good(
        "# who moves\n"
        "source_password,destination_user,source_user,destination_url\n"
        "hunter2,alice@new.example.com,alice@example.com,imaps://mail.example.com\n"
        "\n"
        "\"a,\"\"b\"\"\",,bob@example.com,\n");
    ASSERT_EQ(file.rows.size(), 2U);
    EXPECT_EQ(file.rows[0].line, 3U);
    EXPECT_EQ(file.rows[0].source_user, "alice@example.com");
    EXPECT_EQ(file.rows[0].destination_user, "alice@new.example.com");
    EXPECT_EQ(file.rows[0].source_password->reveal(), "hunter2");
    EXPECT_EQ(file.rows[0].destination->host, "mail.example.com");
    EXPECT_EQ(file.rows[1].line, 5U);
    EXPECT_EQ(file.rows[1].source_password->reveal(), "a,\"b\"");
    EXPECT_EQ(file.rows[1].destination_user, "bob@example.com");
    EXPECT_FALSE(file.rows[1].destination.has_value());
}

TEST(AccountsFile, ReadsSemicolonsCrlfAndByteOrderMark) {
    const auto file = good("\xEF\xBB\xBFsource_user;source_password\r\nalice;x,y\r\nbob;z\r\n");
    ASSERT_EQ(file.rows.size(), 2U);
    EXPECT_EQ(file.rows[0].source_password->reveal(), "x,y");
    EXPECT_EQ(file.rows[1].source_password->reveal(), "z");
}

TEST(AccountsFile, ReadsImapsyncsForm) {
    const auto file = good(
        "# host1;user1;password1;host2;user2;password2;\n"
        "old.example.com;alice;one;new.example.com;alice@example.com;two;\n"
        "old.example.com;bob;three;new.example.com;bob@example.com;four;--delete2;\n");
    ASSERT_EQ(file.rows.size(), 2U);
    EXPECT_EQ(file.rows[0].source->host, "old.example.com");
    EXPECT_FALSE(file.rows[0].source->port.has_value());
    EXPECT_EQ(file.rows[0].destination_user, "alice@example.com");
    EXPECT_EQ(file.rows[0].destination_password->reveal(), "two");
    EXPECT_THAT(file.warnings, ElementsAre(StartsWith("list.csv:3: ")));
}

TEST(AccountsFile, SkipsImapsyncsHeading) {
    const auto file = good(
        "host1;user1;password1;host2;user2;password2;\n"
        "old.example.com;alice;one;new.example.com;alice;two;\n");
    EXPECT_EQ(file.rows.size(), 1U);
}

TEST(AccountsFile, ReadsTheTenColumns) {
    const char* const header =
        "srchost,srcport,srcsecurity,srcuser,srcpassword,dsthost,dstport,dstsecurity,dstuser,"
        "dstpassword\n";
    const char* const row =
        "old.example.com,143,starttls,alice,one,new.example.com,993,ssl,alice@example.com,two\n";
    for (const std::string& text : {std::string(header) + row, std::string(row)}) {
        const auto file = good(text);
        ASSERT_EQ(file.rows.size(), 1U);
        EXPECT_EQ(file.rows[0].source->port, 143);
        EXPECT_EQ(file.rows[0].source->tls, TlsMode::starttls);
        EXPECT_EQ(file.rows[0].destination->port, 993);
        EXPECT_EQ(file.rows[0].destination->tls, TlsMode::implicit);
        EXPECT_EQ(file.rows[0].source_password->reveal(), "one");
    }
}

TEST(AccountsFile, ReadsAPlainListOfAddresses) {
    const auto file = good("alice@example.com\n# comment\n  bob@example.com  \r\n");
    ASSERT_EQ(file.rows.size(), 2U);
    EXPECT_EQ(file.rows[1].source_user, "bob@example.com");
    EXPECT_EQ(file.rows[1].destination_user, "bob@example.com");
    EXPECT_FALSE(file.rows[1].source_password.has_value());
}

TEST(AccountsFile, ReadsExchangesThreeColumns) {
    const auto file = good("EmailAddress,UserName,Password\nalice@example.com,alice,one\n");
    ASSERT_EQ(file.rows.size(), 1U);
    EXPECT_EQ(file.rows[0].source_user, "alice");
    EXPECT_EQ(file.rows[0].destination_user, "alice@example.com");
}

TEST(AccountsFile, ReportsEveryErrorWithItsLine) {
    const auto errors =
        bad("source_user,source_password,source_url\n"
            "alice,hunter2\n"
            ",hunter2,\n"
            "bob,hunter2,imaps://bob:hunter2@mail.example.com\n"
            "carol,\"hunter2,\n"
            "dave,hunter2,\n"
            "DAVE,hunter2,\n"
            "erin,hunter2,imaps://mail.example.com,hunter2\n");
    ASSERT_EQ(errors.size(), 6U);
    EXPECT_THAT(errors[0], StartsWith("list.csv:2: the row has 2 fields"));
    EXPECT_THAT(errors[1], StartsWith("list.csv:3: the source user is empty"));
    EXPECT_THAT(errors[2], StartsWith("list.csv:4: the source_url: a password inside a URL"));
    EXPECT_THAT(errors[3], StartsWith("list.csv:5: a quote is opened and never closed"));
    EXPECT_THAT(errors[4], StartsWith("list.csv:7: the same source account as in line 6"));
    EXPECT_THAT(errors[5], StartsWith("list.csv:8: the row has 4 fields"));
}

TEST(AccountsFile, FindsDuplicateDestinations) {
    EXPECT_THAT(bad("source_user,destination_user\nalice,x@example.com\nbob,X@example.com\n"),
                Contains(StartsWith("list.csv:3: the same destination account as in line 2")));
    // The same user on two servers is two accounts.
    EXPECT_EQ(good("source_user,source_url,destination_user\n"
                   "alice,imaps://a.example.com,a\nalice,imaps://b.example.com,b\n")
                  .rows.size(),
              2U);
}

TEST(AccountsFile, RefusesUnknownAndRepeatedColumns) {
    EXPECT_THAT(bad("source_user,sourcepassword\nalice,hunter2\n"),
                Contains(HasSubstr("column 2 has an unknown name")));
    EXPECT_THAT(bad("source_user,source_user\nalice,bob\n"), Contains(HasSubstr("twice")));
    EXPECT_THAT(bad("destination_user,source_password\nalice,hunter2\n"),
                Contains(HasSubstr("source_user is missing")));
}

TEST(AccountsFile, RefusesWhatIsNoAccountsFile) {
    EXPECT_THAT(bad(""), ElementsAre(HasSubstr("no account")));
    EXPECT_THAT(bad("# only a comment\n"), ElementsAre(HasSubstr("no account")));
    EXPECT_THAT(bad("source_user\n"), ElementsAre(HasSubstr("no account")));
    EXPECT_THAT(bad("alice hunter2\n"), ElementsAre(HasSubstr("none of the known forms")));
    EXPECT_THAT(bad("alice;hunter2\n"), ElementsAre(HasSubstr("none of the known forms")));
    EXPECT_THAT(bad("\xFF\xFEs\0o\0"), ElementsAre(HasSubstr("UTF-16")));
    EXPECT_THAT(bad("source_user\nal\xFFice\n"), ElementsAre(StartsWith("list.csv:2:")));
    EXPECT_THAT(bad(std::string_view("source_user\nal\0ice\n", 19)),
                ElementsAre(StartsWith("list.csv:2:")));
}

TEST(AccountsFile, ALineThatIsNoAddressInAPlainListIsNotShown) {
    EXPECT_THAT(bad("alice@example.com\nbob@example.com;hunter2\n"),
                ElementsAre(StartsWith("list.csv:2: the line is not an address")));
}

TEST(AccountsFile, StopsCountingErrorsAtSomePoint) {
    std::string text = "source_user,source_password\n";
    for (int i = 0; i < 500; ++i) text += "user\n";
    const auto file = parse_accounts(text, "list.csv");
    ASSERT_FALSE(file.has_value());
    EXPECT_EQ(file.error().size(), 101U);
    EXPECT_THAT(file.error().back(), HasSubstr("400 more errors"));
}

TEST(AccountsFile, WarnsIfOthersCanReadIt) {
    std::string path = ::testing::TempDir() + "accounts_file_test.csv";
    std::ofstream(path) << "alice@example.com\n";
    ASSERT_EQ(chmod(path.c_str(), 0644), 0);
    const auto open_file = read_accounts_file(path);
    ASSERT_TRUE(open_file.has_value());
    EXPECT_THAT(open_file->warnings, ElementsAre(HasSubstr("chmod 600")));
    ASSERT_EQ(chmod(path.c_str(), 0600), 0);
    const auto private_file = read_accounts_file(path);
    ASSERT_TRUE(private_file.has_value());
    EXPECT_TRUE(private_file->warnings.empty());
    std::remove(path.c_str());
    EXPECT_FALSE(read_accounts_file(path).has_value());
    EXPECT_FALSE(read_accounts_file(::testing::TempDir()).has_value());
}

TEST(CsvField, DefusesFormulasAndQuotes) {
    EXPECT_EQ(csv_field("plain"), "plain");
    EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
    EXPECT_EQ(csv_field("say \"x\""), "\"say \"\"x\"\"\"");
    EXPECT_EQ(csv_field("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\"");
    EXPECT_EQ(csv_field("+1"), "\"'+1\"");
    EXPECT_EQ(csv_field("-1"), "\"'-1\"");
    EXPECT_EQ(csv_field("@SUM(A1)"), "\"'@SUM(A1)\"");
    EXPECT_EQ(csv_field(""), "");
}

}  // namespace
}  // namespace imapult::program
