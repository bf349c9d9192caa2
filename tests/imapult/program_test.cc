// The program with an engine of the test's own: what is told, printed and written, and the codes.

#include "tools/imapult/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "sample_outcome.h"
#include "temporary.h"
#include "tools/imapult/exit_code.h"

namespace imapult::program {
namespace {

using campaign::Observer;
using campaign::Options;
using campaign::StopToken;
using campaign::Summary;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

/// A file that takes what the program writes to a descriptor.
class Capture {
  public:
    Capture() : file_(std::tmpfile()) {}
    ~Capture() { std::fclose(file_); }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    [[nodiscard]] int descriptor() const { return fileno(file_); }
    [[nodiscard]] std::string text() const {
        std::string out(static_cast<std::size_t>(lseek(descriptor(), 0, SEEK_END)), '\0');
        EXPECT_EQ(pread(descriptor(), out.data(), out.size(), 0), static_cast<ssize_t>(out.size()));
        return out;
    }

  private:
    std::FILE* file_;
};

class ProgramTest : public ::testing::Test {
  protected:
    ProgramTest() {
        environment_.standard_output = out_.descriptor();
        environment_.standard_error = err_.descriptor();
        environment_.run_campaign = [this](const Options& options, Observer& observer,
                                           StopToken& stop) {
            ++runs_;
            return engine_(options, observer, stop);
        };
        engine_ = [](const Options& options, Observer&, StopToken&) {
            Summary summary;
            for (const auto& spec : options.accounts) {
                summary.accounts.emplace_back();
                summary.accounts.back().account = spec.name;
                summary.accounts.back().result = campaign::RunResult::complete;
            }
            return summary;
        };
        secret_ = folder_.write("secret", "hunter2\n");
    }

    std::vector<std::string> copy(std::vector<std::string> more = {}) const {
        std::vector<std::string> arguments = {"copy",
                                              "--state",
                                              folder_.path("state"),
                                              "--source",
                                              "imaps://alice@old.example.com",
                                              "--source-password-file",
                                              secret_,
                                              "--destination",
                                              "imaps://alice@new.example.com",
                                              "--destination-password-file",
                                              secret_};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return arguments;
    }
    int run(const std::vector<std::string>& arguments) {
        return run_program(arguments, environment_);
    }

    TemporaryFolder folder_;
    std::string secret_;
    Capture out_, err_;
    Environment environment_;
    std::function<Summary(const Options&, Observer&, StopToken&)> engine_;
    int runs_ = 0;
};

TEST_F(ProgramTest, JsonIsTheOnlyThingOnStandardOutput) {
    EXPECT_EQ(run(copy({"--json"})), 0);
    const Json json = Json::parse(out_.text());
    EXPECT_EQ(json["command"], "copy");
    EXPECT_EQ(json["result"], "complete");
    EXPECT_EQ(json["exit_code"], 0);
    EXPECT_GT(json["peak_rss_bytes"], 0);
    EXPECT_EQ(runs_, 1);
}

TEST_F(ProgramTest, JsonIsPrintedWhateverWentWrong) {
    engine_ = [](const Options&, Observer&, StopToken&) {
        Summary summary;
        summary.accounts.emplace_back();
        summary.accounts[0].failure =
            campaign::Failure{Error{.code = Code::auth_refused, .text = "no"}, Side::source};
        return summary;
    };
    EXPECT_EQ(run(copy({"--json"})), 3);
    EXPECT_EQ(Json::parse(out_.text())["exit_code"], 3);
}

TEST_F(ProgramTest, NothingIsConnectedWhenTheInputIsWrong) {
    const std::string accounts = folder_.write("accounts.csv", "source_user\n\"\"\nalice,x\n");
    EXPECT_EQ(run({"migrate", "--accounts", accounts, "--source", "imaps://old.example.com",
                   "--destination", "imaps://new.example.com", "--json"}),
              2);
    EXPECT_EQ(runs_, 0);
    EXPECT_THAT(err_.text(), HasSubstr("accounts.csv:2: "));
    EXPECT_THAT(err_.text(), HasSubstr("accounts.csv:3: "));
    EXPECT_EQ(Json::parse(out_.text())["exit_code"], 2);
}

TEST_F(ProgramTest, UnreadableCommandLinesHaveNoJson) {
    EXPECT_EQ(run({"copy", "--json", "--no-such-option"}), 2);
    EXPECT_EQ(out_.text(), "");
    EXPECT_THAT(err_.text(), HasSubstr("--no-such-option is not known"));
    EXPECT_EQ(run({}), 2);
    EXPECT_EQ(run({"frobnicate"}), 2);
    EXPECT_EQ(run(copy({"--connections", "0"})), 2);
    EXPECT_EQ(run(copy({"--source-auth", "magic"})), 2);
    EXPECT_EQ(run(copy({"--delete", "mirror", "--delete-to", ""})), 2);
    EXPECT_THAT(err_.text(), HasSubstr("--delete-to: a value is needed"));
    EXPECT_EQ(run(copy({"--include", ""})), 2);
    EXPECT_EQ(run({"migrate", "--source", "imaps://old.example.com"}), 2);
    EXPECT_EQ(runs_, 0);
}

TEST_F(ProgramTest, PasswordsInArgumentsAreNeverRepeated) {
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"copy", "imaps://alice:hunter2@old.example.com"},
          {"copy", "--source", "imaps://alice:hunter2@old.example.com", "--destination",
           "imaps://new.example.com"},
          {"copy", "--sauce=hunter2"},
          {"copy", "--sauce", "hunter2"},
          {"hunter2"},
          copy({"--password", "hunter2"}),
          copy({"--source-auth", "imaps://alice:hunter2@x"})}) {
        EXPECT_EQ(run(arguments), 2);
    }
    EXPECT_THAT(err_.text() + out_.text(), Not(HasSubstr("hunter2")));
    EXPECT_EQ(runs_, 0);
}

TEST_F(ProgramTest, EventsAreOneObjectALineAndAppended) {
    engine_ = [](const Options&, Observer& observer, StopToken&) {
        const Outcome sample = sample_outcome();
        observer.account_started(0);
        observer.account_listed(0, 2);
        observer.mailbox_started(0, "IN\x1b\"BOX", 10, 8, 4096);
        observer.progress(0, {.copied = 7, .bytes_copied = 4000, .already_there = 2});
        observer.message_refused(0, sample.summary.accounts[0].refusals[0]);
        observer.notice(0, sample.summary.accounts[0].notices[0]);
        observer.waiting(0, campaign::Waiting::source);
        observer.retrying(0, Side::source, std::chrono::milliseconds(1500),
                          Error{.code = Code::connection_lost, .text = "gone"});
        observer.mailbox_finished(0, "INBOX");
        Summary summary;
        summary.accounts = {sample.summary.accounts[0]};
        observer.account_finished(0, summary.accounts[0]);
        return summary;
    };
    const std::string path = folder_.path("events.ndjson");
    EXPECT_EQ(run(copy({"--events", path})), 1);
    EXPECT_EQ(run(copy({"--events", path})), 1);
    std::istringstream lines(folder_.read("events.ndjson"));
    std::vector<std::string> names;
    for (std::string line; std::getline(lines, line);) {
        const Json json = Json::parse(line);
        names.push_back(json["event"]);
        EXPECT_FALSE(json["time"].get<std::string>().empty());
        EXPECT_EQ(line.find('\x1b'), std::string::npos);
        if (names.back() == "message_refused") {
            EXPECT_EQ(json["account"], "alice");
            EXPECT_EQ(json["uid"], 17);
        }
    }
    ASSERT_EQ(names.size() % 2, 0U);
    EXPECT_EQ(names.front(), "run_started");
    EXPECT_EQ(names[1], "account_started");
    EXPECT_EQ(names.back(), "run_finished");
    EXPECT_EQ(std::count(names.begin(), names.end(), "retrying"), 2);
    // Refusals and retries are told on standard error too, and control characters never.
    EXPECT_THAT(err_.text(), HasSubstr("UID 17 refused"));
    EXPECT_THAT(err_.text(), HasSubstr("tried again in 1.50 s"));
    EXPECT_THAT(err_.text(), Not(HasSubstr("\x1b")));
}

TEST_F(ProgramTest, ReportsAreWritten) {
    EXPECT_EQ(run(copy({"--report", folder_.path("r.html"), "--report", folder_.path("r.csv")})),
              0);
    EXPECT_THAT(folder_.read("r.html"), HasSubstr("<!DOCTYPE html>"));
    EXPECT_THAT(folder_.read("r.csv"), HasSubstr("kind,account"));
    EXPECT_EQ(run(copy({"--report", folder_.path("r.txt")})), 2);
}

TEST_F(ProgramTest, QuietSaysNothingWhenAllIsWell) {
    EXPECT_EQ(run(copy({"--quiet"})), 0);
    EXPECT_EQ(out_.text(), "");
    EXPECT_EQ(err_.text(), "");
}

TEST_F(ProgramTest, InsecureChoicesAreNamed) {
    EXPECT_EQ(run(copy({"--json", "--source-tls-insecure"})), 0);
    EXPECT_THAT(Json::parse(out_.text())["insecure"].dump(), HasSubstr("old.example.com"));
    EXPECT_THAT(err_.text(), HasSubstr("insecure: the source imaps://old.example.com:993"));
}

TEST_F(ProgramTest, OptionsReachTheEngine) {
    Options seen;
    engine_ = [&](const Options& options, Observer&, StopToken&) {
        seen = options;
        return Summary{};
    };
    run(copy({"--include",
              "INBOX*",
              "--include",
              "Sent",
              "--exclude",
              "Trash",
              "--map",
              "a=b",
              "--dry-run",
              "--connections",
              "3",
              "--max-bytes-per-second",
              "10k",
              "--compress",
              "off",
              "--retry-refused",
              "--no-special-use",
              "--no-subscriptions",
              "--max-bytes-per-day",
              "2500M",
              "--max-messages-per-day",
              "5k",
              "--max-host-bytes-per-day",
              "1G",
              "--max-host-messages-per-day",
              "7",
              "--retry-for",
              "20m"}));
    EXPECT_EQ(seen.include, (std::vector<std::string>{"INBOX*", "Sent"}));
    EXPECT_EQ(seen.exclude, std::vector<std::string>{"Trash"});
    EXPECT_EQ(seen.map.size(), 1U);
    EXPECT_TRUE(seen.dry_run);
    EXPECT_EQ(seen.connections, 3U);
    EXPECT_EQ(seen.bytes_per_second_max, 10240U);
    EXPECT_EQ(seen.limits.bytes_per_day, 2500ULL << 20);
    EXPECT_EQ(seen.limits.messages_per_day, 5120U);
    EXPECT_EQ(seen.limits.host_bytes_per_day, 1ULL << 30);
    EXPECT_EQ(seen.limits.host_messages_per_day, 7U);
    EXPECT_EQ(seen.retry_for, std::chrono::minutes(20));
    EXPECT_EQ(seen.compress, campaign::Compress::off);
    EXPECT_TRUE(seen.retry_refused);
    EXPECT_FALSE(seen.special_use);
    EXPECT_FALSE(seen.subscriptions);
    std::vector<std::string> verify = copy({"--depth", "content"});
    verify[0] = "verify";
    run(verify);
    EXPECT_EQ(seen.command, campaign::Command::verify);
    EXPECT_EQ(seen.depth, campaign::VerifyDepth::content);
}

TEST_F(ProgramTest, FollowTakesWhatCopyAndMigrateTakeButNoDryRun) {
    Options seen;
    engine_ = [&](const Options& options, Observer&, StopToken&) {
        seen = options;
        return Summary{};
    };
    std::vector<std::string> follow = copy({"--delete", "mirror", "--accounts-at-once", "3"});
    follow[0] = "follow";
    run(follow);
    EXPECT_EQ(seen.command, campaign::Command::follow);
    EXPECT_EQ(seen.accounts.size(), 1U);
    EXPECT_TRUE(seen.remove.mirror);
    EXPECT_EQ(seen.accounts_at_once, 3U);
    follow.emplace_back("--dry-run");
    EXPECT_EQ(run(follow), 2);
}

TEST_F(ProgramTest, SigUsr1ShowsTheLagOfEachAccount) {
    engine_ = [&](const Options& options, Observer& observer, StopToken&) {
        observer.account_started(0);
        campaign::Following now;
        now.by = campaign::Watching::idle;
        now.passes = 1;
        now.lag = now.median = now.longest = 0.25;
        observer.followed(0, now);
        kill(getpid(), SIGUSR1);
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!err_.text().contains("lag 0.25 s") && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        Summary summary;
        summary.accounts.resize(options.accounts.size());
        summary.accounts[0].result = campaign::RunResult::complete;
        summary.accounts[0].following = now;
        return summary;
    };
    std::vector<std::string> follow = copy({"--json", "--events", folder_.path("events")});
    follow[0] = "follow";
    EXPECT_EQ(run(follow), 0);
    EXPECT_THAT(err_.text(), HasSubstr("alice: by idle, lag 0.25 s (median 0.25 s"));
    const Json json = Json::parse(out_.text());
    EXPECT_EQ(json["per_account"][0]["follow"]["median_lag_seconds"], 0.25);
    EXPECT_THAT(folder_.read("events"),
                HasSubstr(R"("event":"followed","account":"alice","by":"idle")"));
}

TEST_F(ProgramTest, SignalsStopTheRunGracefullyThenAtOnce) {
    std::vector<StopToken::Level> levels;
    engine_ = [&](const Options&, Observer&, StopToken& stop) {
        std::mutex mutex;
        std::condition_variable changed;
        const auto listener = stop.add_listener([&](StopToken::Level level) {
            const std::lock_guard lock(mutex);
            levels.push_back(level);
            changed.notify_all();
        });
        std::unique_lock lock(mutex);
        kill(getpid(), SIGTERM);
        changed.wait(lock, [&] { return levels.size() == 1; });
        kill(getpid(), SIGTERM);
        changed.wait(lock, [&] { return levels.size() == 2; });
        lock.unlock();
        stop.remove_listener(listener);
        Summary summary;
        summary.accounts.emplace_back();
        summary.accounts[0].result = campaign::RunResult::interrupted;
        summary.interrupted = true;
        return summary;
    };
    EXPECT_EQ(run(copy({"--json"})), 143);
    EXPECT_EQ(levels, (std::vector{StopToken::Level::graceful, StopToken::Level::at_once}));
    EXPECT_EQ(Json::parse(out_.text())["result"], "interrupted");
}

TEST_F(ProgramTest, ManyThreadsMayTellAtOnce) {
    engine_ = [](const Options& options, Observer& observer, StopToken&) {
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                for (int n = 0; n < 2000; ++n) {
                    observer.mailbox_started(0, "INBOX", 1, 1, 1);
                    observer.progress(0, {.copied = 1, .bytes_copied = 10});
                    observer.waiting(0, campaign::Waiting::destination);
                    observer.mailbox_finished(0, "INBOX");
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        Summary summary;
        summary.accounts.resize(options.accounts.size());
        summary.accounts[0].result = campaign::RunResult::complete;
        return summary;
    };
    EXPECT_EQ(run(copy({"--events", folder_.path("events"), "--log-level", "trace"})), 0);
    std::istringstream lines(folder_.read("events"));
    std::size_t started = 0;
    for (std::string line; std::getline(lines, line);) {
        if (Json::parse(line)["event"] == "mailbox_started") ++started;
    }
    EXPECT_EQ(started, 8000U);
}

TEST_F(ProgramTest, HelpHasExamplesAndVersionIsShort) {
    EXPECT_EQ(run({"--version"}), 0);
    EXPECT_EQ(out_.text(), "imapult 0.1.0\n");
    EXPECT_EQ(run({"copy", "--help"}), 0);
    EXPECT_THAT(out_.text(), HasSubstr("Example"));
    EXPECT_THAT(out_.text(), HasSubstr("--source-password-file"));
    EXPECT_EQ(run({"--help"}), 0);
    EXPECT_THAT(out_.text(), HasSubstr("migrate"));
    EXPECT_THAT(out_.text(), HasSubstr("Exit codes"));
}

TEST_F(ProgramTest, CompletionKnowsCommandsAndOptions) {
    for (const char* shell : {"bash", "zsh", "fish"}) {
        EXPECT_EQ(run({"completion", shell}), 0);
        EXPECT_THAT(out_.text(), HasSubstr("--source-password-file"));
        EXPECT_THAT(out_.text(), HasSubstr("migrate"));
    }
    EXPECT_EQ(run({"completion", "tcsh"}), 2);
}

TEST_F(ProgramTest, OthersCanAddCommands) {
    environment_.registrars.push_back([](CLI::App& app, int& exit_code) {
        app.add_subcommand("provision", "test")->callback([&exit_code] { exit_code = 7; });
    });
    EXPECT_EQ(run({"provision"}), 7);
    EXPECT_EQ(runs_, 0);
}

TEST_F(ProgramTest, StatusOfNothing) {
    EXPECT_EQ(run({"status", "--state", folder_.path("nothing")}), 6);
    EXPECT_THAT(err_.text(), HasSubstr("there is no state directory"));
    EXPECT_EQ(out_.text(), "");
}

}  // namespace
}  // namespace imapult::program
