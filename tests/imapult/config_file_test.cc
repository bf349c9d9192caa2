// --config FILE: what stands in it counts as if it stood on the command line, and goes behind it.

#include "tools/imapult/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temporary.h"
#include "tools/imapult/command_line.h"

namespace imapult::program {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ConfigFileTest : public ::testing::Test {
  protected:
    std::expected<CommandLine, std::string> parse(std::string_view file,
                                                  std::vector<std::string> arguments) {
        path_ = folder_.write("imapult.toml", file);
        arguments.insert(arguments.begin() + 1, {"--config", path_});
        std::string out;
        return parse_command_line(arguments, {}, out);
    }
    std::string error(std::string_view file, std::vector<std::string> arguments = {"copy"}) {
        const auto line = parse(file, std::move(arguments));
        EXPECT_FALSE(line) << file;
        return line ? "" : line.error();
    }
    TemporaryFolder folder_;
    std::string path_;
};

TEST_F(ConfigFileTest, KeysAreTheLongOptions) {
    const auto line = parse(
        "# our move\n"
        "accounts = 'accounts.csv'\n"
        "source = \"imaps://old.example.com\"\n"
        "source-admin = \"root\"\n"
        "source-auth = \"plain\"\n"
        "destination = \"imaps://new.example.com\"\n"
        "connections = 3\n"
        "exclude = [\"Trash*\", \"Junk\"]\n"
        "map = \"Sent Items=Sent\"\n"
        "retry-refused = true\n"
        "dry-run = false\n"
        "max-bytes-per-second = \"10M\"\n",
        {"migrate"});
    ASSERT_TRUE(line) << line.error();
    EXPECT_EQ(line->verb, Verb::migrate);
    EXPECT_EQ(line->data.accounts_file, "accounts.csv");
    EXPECT_EQ(line->data.source.url, "imaps://old.example.com");
    EXPECT_EQ(line->data.source.admin, "root");
    EXPECT_EQ(line->data.source.auth, AuthMechanism::plain);
    EXPECT_EQ(line->data.destination.url, "imaps://new.example.com");
    EXPECT_EQ(line->data.connections, 3U);
    EXPECT_THAT(line->data.exclude, ElementsAre("Trash*", "Junk"));
    EXPECT_THAT(line->data.map, ElementsAre("Sent Items=Sent"));
    EXPECT_TRUE(line->data.retry_refused);
    EXPECT_FALSE(line->data.dry_run);
    EXPECT_EQ(line->data.bytes_per_second_max, "10M");
}

TEST_F(ConfigFileTest, TheCommandLineGoesBeforeTheFile) {
    const auto line = parse("connections = 3\nexclude = [\"Trash\"]\nsource = \"imaps://a\"\n",
                            {"copy", "--connections=5", "--exclude", "Junk"});
    ASSERT_TRUE(line) << line.error();
    EXPECT_EQ(line->data.connections, 5U);
    EXPECT_THAT(line->data.exclude, ElementsAre("Junk"));
    EXPECT_EQ(line->data.source.url, "imaps://a");
}

TEST_F(ConfigFileTest, UnknownKeysAreErrorsWithTheirLines) {
    const std::string text =
        error("source = \"imaps://a\"\n\nsource-password = \"hunter2\"\nbogus = 1\n");
    EXPECT_THAT(text, HasSubstr(path_ + ":3: source-password is not an option"));
    EXPECT_THAT(text, HasSubstr(path_ + ":4: bogus is not an option"));
    EXPECT_THAT(text, Not(HasSubstr("hunter2")));
}

TEST_F(ConfigFileTest, OneFileServesSeveralCommands) {
    const auto line =
        parse("depth = \"content\"\naccounts-at-once = 4\nsource = \"imaps://a\"\n", {"copy"});
    ASSERT_TRUE(line) << line.error();
    EXPECT_EQ(line->data.depth, campaign::VerifyDepth::metadata);
    EXPECT_EQ(line->data.accounts_at_once, 0U);
}

TEST_F(ConfigFileTest, WrongValuesAreErrorsWithTheirLines) {
    const auto at = [&](int line) { return path_ + ":" + std::to_string(line) + ": "; };
    EXPECT_THAT(error("\ndry-run = \"yes\"\n"), HasSubstr(at(2) + "dry-run takes true or false"));
    EXPECT_THAT(error("source = true\n"), HasSubstr(at(1) + "source takes no true or false"));
    EXPECT_THAT(error("source = [\"a\", \"b\"]\n"), HasSubstr(at(1) + "source takes one value"));
    EXPECT_THAT(error("source = \"\"\n"), HasSubstr(at(1) + "source is empty"));
    EXPECT_THAT(error("connections = 1.5\n"), HasSubstr(at(1) + "connections takes"));
    EXPECT_THAT(error("exclude = [\"a\",\n\n  3.5]\n"), HasSubstr(at(3)));
    EXPECT_THAT(error("[source]\nuser = \"a\"\n"), HasSubstr(at(1) + "[source]"));
    // Values that only the option itself can judge.
    EXPECT_THAT(error("\n\nconnections = 1000\n"), HasSubstr(at(3)));
    EXPECT_THAT(error("\ncompress = \"maybe\"\n"), HasSubstr(at(2)));
}

TEST_F(ConfigFileTest, AFileThatIsNoTomlIsNotRepeated) {
    const std::string text = error("source = \"imaps://a\"\npassword hunter2\n");
    EXPECT_THAT(text, HasSubstr(path_ + ":2: "));
    EXPECT_THAT(text, Not(HasSubstr("hunter2")));
}

TEST_F(ConfigFileTest, AFileThatIsNotThereIsNamed) {
    std::string out;
    const auto line = parse_command_line({"copy", "--config", folder_.path("none.toml")}, {}, out);
    ASSERT_FALSE(line);
    EXPECT_THAT(line.error(), HasSubstr("none.toml"));
}

TEST_F(ConfigFileTest, AFileCannotNameAnother) {
    EXPECT_THAT(error("config = \"other.toml\"\n"), HasSubstr(":1: config is not an option"));
}

}  // namespace
}  // namespace imapult::program
