// The built program, run as a user runs it, up to the point where it would connect.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "temporary.h"

namespace imapult::program {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Ran {
    int exit_code = -1;
    std::string out;
    std::string err;
};

class BinaryTest : public ::testing::Test {
  protected:
    Ran run(const std::string& arguments) const {
        const std::string command =
            std::string(IMAPULT_PROGRAM) + " " + arguments + " </dev/null 2>" + folder_.path("err");
        Ran ran;
        std::FILE* pipe = popen(("setsid -w " + command).c_str(), "r");
        std::array<char, 4096> block{};
        while (const std::size_t got = std::fread(block.data(), 1, block.size(), pipe)) {
            ran.out.append(block.data(), got);
        }
        const int status = pclose(pipe);
        if (WIFEXITED(status)) ran.exit_code = WEXITSTATUS(status);
        ran.err = folder_.read("err");
        return ran;
    }
    TemporaryFolder folder_;
};

TEST_F(BinaryTest, UsageErrorsAreTwo) {
    for (const char* arguments :
         {"", "frobnicate", "copy", "copy --bogus", "migrate", "copy --source imaps://a@x",
          "migrate --accounts /nowhere.csv --source imaps://x.example.com --destination "
          "imaps://y.example.com",
          "copy --source http://x --destination imaps://a@y", "imapd", "completion"}) {
        const Ran ran = run(arguments);
        EXPECT_EQ(ran.exit_code, 2) << arguments << ran.err;
        EXPECT_NE(ran.err, "") << arguments;
        EXPECT_EQ(ran.out, "") << arguments;
    }
}

TEST_F(BinaryTest, APasswordInAUrlIsRefusedAndNotRepeated) {
    const Ran ran =
        run("copy --source imaps://alice:hunter2@old.example.com --destination "
            "imaps://alice@new.example.com");
    EXPECT_EQ(ran.exit_code, 2);
    EXPECT_THAT(ran.err, HasSubstr("process list"));
    EXPECT_THAT(ran.err, Not(HasSubstr("hunter2")));
}

TEST_F(BinaryTest, ClearTextAndMissingSecretsAreNamed) {
    const Ran ran =
        run("copy --json --source imap://alice@old.example.com?tls=off --destination "
            "imaps://alice@new.example.com");
    EXPECT_EQ(ran.exit_code, 2);
    EXPECT_THAT(ran.err, HasSubstr("--allow-cleartext"));
    EXPECT_EQ(nlohmann::json::parse(ran.out)["exit_code"], 2);
}

TEST_F(BinaryTest, AccountsFileErrorsHaveLines) {
    const std::string file =
        folder_.write("a.csv", "source_user,source_password\nalice,hunter2\n,hunter2\nalice,x\n");
    const Ran ran = run("check --accounts " + file +
                        " --source imaps://old.example.com --destination imaps://new.example.com");
    EXPECT_EQ(ran.exit_code, 2);
    EXPECT_THAT(ran.err, HasSubstr("a.csv:3: "));
    EXPECT_THAT(ran.err, HasSubstr("a.csv:4: "));
    EXPECT_THAT(ran.err, Not(HasSubstr("hunter2")));
}

TEST_F(BinaryTest, HelpAndVersion) {
    EXPECT_EQ(run("--version").out, "imapult 0.1.0\n");
    const Ran help = run("migrate --help");
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, HasSubstr("imapult migrate --accounts"));
    EXPECT_THAT(help.out, Not(HasSubstr("\x1b")));
}

TEST_F(BinaryTest, EveryPartOfTheProgramIsThere) {
    const Ran help = run("--help");
    EXPECT_EQ(help.exit_code, 0);
    for (const char* command : {"copy", "migrate", "provision", "import", "demo"}) {
        EXPECT_THAT(help.out, HasSubstr(command));
    }
    const Ran provision = run("provision --help");
    EXPECT_EQ(provision.exit_code, 0) << provision.err;
    EXPECT_THAT(provision.out, HasSubstr("plan"));
    const Ran import = run("import --help");
    EXPECT_EQ(import.exit_code, 0) << import.err;
    EXPECT_THAT(import.out, HasSubstr("calendars"));
    const Ran demo = run("demo --help");
    EXPECT_EQ(demo.exit_code, 0) << demo.err;
    EXPECT_THAT(demo.out, HasSubstr("--report"));
    EXPECT_EQ(run("provision").exit_code, 2);
    EXPECT_EQ(run("import").exit_code, 2);
}

TEST_F(BinaryTest, CompletionKnowsEveryPart) {
    const Ran ran = run("completion bash");
    EXPECT_EQ(ran.exit_code, 0);
    EXPECT_THAT(ran.out, HasSubstr("\"provision plan\")"));
    EXPECT_THAT(ran.out, HasSubstr("\"import calendars\")"));
    EXPECT_THAT(ran.out, HasSubstr("\"demo\") words=\""));
}

TEST_F(BinaryTest, StatusWithoutStateDirectory) {
    EXPECT_EQ(run("status --state " + folder_.path("none")).exit_code, 6);
}

TEST_F(BinaryTest, ImapdStaysOnThisMachine) {
    const Ran ran = run("imapd --listen 0.0.0.0:0");
    EXPECT_EQ(ran.exit_code, 2);
    EXPECT_THAT(ran.err, HasSubstr("--force"));
}

}  // namespace
}  // namespace imapult::program
