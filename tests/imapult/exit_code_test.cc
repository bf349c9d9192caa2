#include "tools/imapult/exit_code.h"

#include <gtest/gtest.h>

#include <csignal>

namespace imapult::program {
namespace {

using campaign::AccountSummary;
using campaign::Command;
using campaign::RunResult;
using campaign::Summary;

AccountSummary complete() {
    AccountSummary account;
    account.result = RunResult::complete;
    account.messages.source = account.messages.copied = 3;
    return account;
}
AccountSummary refusing() {
    AccountSummary account = complete();
    account.result = RunResult::partial;
    account.messages.source = 4;
    account.messages.refused = 1;
    return account;
}
AccountSummary failing(Code code, RunResult result = RunResult::failed) {
    AccountSummary account;
    account.result = result;
    account.failure = campaign::Failure{Error{.code = code, .text = "x"}, Side::source};
    return account;
}
Summary summary_of(std::vector<AccountSummary> accounts) {
    Summary summary;
    summary.accounts = std::move(accounts);
    return summary;
}
int code_of(std::vector<AccountSummary> accounts, Command command = Command::migrate) {
    return exit_code_of(summary_of(std::move(accounts)), command, 0);
}
int code_of_run(Code code) {
    Summary summary;
    summary.failure = campaign::Failure{Error{.code = code, .text = "x"}, std::nullopt};
    return exit_code_of(summary, Command::copy, 0);
}

TEST(ExitCode, OfAccounts) {
    EXPECT_EQ(code_of({complete(), complete()}), 0);
    EXPECT_EQ(code_of({complete(), refusing()}), 1);
    EXPECT_EQ(code_of({failing(Code::auth_refused)}), 3);
    EXPECT_EQ(code_of({failing(Code::auth_refused), failing(Code::auth_refused)}), 3);
    EXPECT_EQ(code_of({failing(Code::auth_refused), complete()}), 1);
    EXPECT_EQ(code_of({failing(Code::auth_refused), failing(Code::tls_failed)}), 1);
    EXPECT_EQ(code_of({failing(Code::resolve_failed)}), 4);
    EXPECT_EQ(code_of({failing(Code::connect_failed)}), 4);
    EXPECT_EQ(code_of({failing(Code::tls_failed)}), 4);
    EXPECT_EQ(code_of({failing(Code::timeout), failing(Code::connection_lost)}), 4);
    EXPECT_EQ(code_of({failing(Code::over_quota, RunResult::partial)}), 5);
    EXPECT_EQ(code_of({failing(Code::over_quota, RunResult::partial), complete()}), 5);
    EXPECT_EQ(code_of({failing(Code::no_permission)}), 1);
}

TEST(ExitCode, AMailboxThatFailedIsNotComplete) {
    AccountSummary account = complete();
    account.mailboxes.failed = 1;
    EXPECT_EQ(code_of({account}), 1);
}

TEST(ExitCode, OfTheRun) {
    EXPECT_EQ(code_of_run(Code::state_locked), 6);
    EXPECT_EQ(code_of_run(Code::state_damaged), 6);
    EXPECT_EQ(code_of_run(Code::state_version), 6);
    EXPECT_EQ(code_of_run(Code::io), 6);
    EXPECT_EQ(code_of_run(Code::invalid_input), 2);
    EXPECT_EQ(code_of_run(Code::ring_forbidden), 4);
}

TEST(ExitCode, OfVerify) {
    AccountSummary account = complete();
    account.verify = {.equal = 2, .missing = 1, .different = 0, .extra = 0};
    EXPECT_EQ(code_of({account}, Command::verify), 7);
    account.verify = {.equal = 2, .missing = 0, .different = 1, .extra = 0};
    EXPECT_EQ(code_of({account}, Command::verify), 7);
    account.verify = {.equal = 2, .missing = 0, .different = 0, .extra = 0, .altered = 1};
    EXPECT_EQ(code_of({account}, Command::verify), 7);
    account.verify = {.equal = 3, .missing = 0, .different = 0, .extra = 9};
    EXPECT_EQ(code_of({account}, Command::verify), 0);
}

TEST(ExitCode, BooksThatDoNotBalanceAreOurBug) {
    AccountSummary account = complete();
    account.messages.source = 99;
    EXPECT_EQ(code_of({account}), 70);
}

TEST(ExitCode, Interrupted) {
    Summary summary;
    summary.interrupted = true;
    summary.accounts = {complete(), failing(Code::cancelled, RunResult::interrupted)};
    EXPECT_EQ(exit_code_of(summary, Command::migrate, SIGINT), 130);
    EXPECT_EQ(exit_code_of(summary, Command::migrate, SIGTERM), 143);
    EXPECT_EQ(result_of(summary), RunResult::interrupted);
    summary.accounts = {complete()};
    EXPECT_EQ(exit_code_of(summary, Command::migrate, SIGINT), 0);
    EXPECT_EQ(result_of(summary), RunResult::complete);
}

TEST(ExitCode, Results) {
    EXPECT_EQ(result_of(summary_of({complete()})), RunResult::complete);
    EXPECT_EQ(result_of(summary_of({complete(), refusing()})), RunResult::partial);
    EXPECT_EQ(result_of(summary_of({failing(Code::auth_refused)})), RunResult::failed);
    EXPECT_EQ(result_of(Summary{}), RunResult::failed);
}

}  // namespace
}  // namespace imapult::program
