#include "tools/imapult/exit_code.h"

#include <algorithm>
#include <csignal>
#include <optional>

namespace imapult::program {

using campaign::AccountSummary;
using campaign::RunResult;
using campaign::Summary;

int exit_code_of(Code code) {
    switch (code) {
        case Code::invalid_input:
            return kExitUsage;
        case Code::auth_refused:
            return kExitAuthentication;
        case Code::resolve_failed:
        case Code::connect_failed:
        case Code::tls_failed:
        case Code::connection_lost:
        case Code::timeout:
        case Code::protocol:
        case Code::throttled:
        case Code::unavailable:
        case Code::ring_forbidden:
            return kExitConnection;
        case Code::over_quota:
            return kExitOverQuota;
        case Code::state_locked:
        case Code::state_damaged:
        case Code::state_version:
            return kExitState;
        case Code::cancelled:
            return kExitInterrupted;
        case Code::refused:
        case Code::bad_command:
        case Code::too_big:
        case Code::not_found:
        case Code::already_exists:
        case Code::no_permission:
        case Code::io:
        case Code::limit:
            break;
    }
    return kExitIncomplete;
}

namespace {

/// Files of the run itself are those of the state directory.
int exit_code_of_run(Code code) {
    return code == Code::io || code == Code::no_permission || code == Code::not_found
               ? kExitState
               : exit_code_of(code);
}

bool is_complete(const AccountSummary& account) {
    return account.result == RunResult::complete && !account.failure &&
           account.messages.refused == 0 && account.mailboxes.failed == 0;
}

/// The code that all incomplete accounts agree on. Authentication and connection only count if
/// every account met them: a run that moved some mail has finished with gaps.
int code_of_incomplete(const Summary& summary) {
    std::optional<int> common;
    bool all_incomplete = true;
    for (const AccountSummary& account : summary.accounts) {
        if (is_complete(account)) {
            all_incomplete = false;
            continue;
        }
        const int code =
            account.failure ? exit_code_of(account.failure->error.code) : kExitIncomplete;
        if (common && *common != code) return kExitIncomplete;
        common = code;
    }
    if (!common) return kExitComplete;
    return *common == kExitOverQuota || all_incomplete ? *common : kExitIncomplete;
}

}  // namespace

int exit_code_of(const Summary& summary, campaign::Command command, int signal) {
    const bool unbalanced = std::ranges::any_of(
        summary.accounts, [](const AccountSummary& a) { return !a.messages.balanced(); });
    if (unbalanced) return kExitBug;
    // A signal that came when everything was done has interrupted nothing.
    const bool all_done = !summary.failure && std::ranges::all_of(summary.accounts, is_complete);
    if (summary.interrupted && !all_done)
        return signal == SIGINT ? kExitInterrupted : kExitTerminated;
    if (summary.failure) return exit_code_of_run(summary.failure->error.code);
    // A mailbox that could not be compared, or is not there, is one.
    const bool different = std::ranges::any_of(summary.accounts, [](const AccountSummary& a) {
        return a.verify.differences() > 0 || a.mailboxes.failed > 0;
    });
    if (command == campaign::Command::verify && different) return kExitDifferent;
    return code_of_incomplete(summary);
}

RunResult result_of(const Summary& summary) {
    const bool all_done = !summary.failure && std::ranges::all_of(summary.accounts, is_complete);
    if (all_done && !summary.accounts.empty()) return RunResult::complete;
    if (summary.interrupted) return RunResult::interrupted;
    if (summary.failure || summary.accounts.empty()) return RunResult::failed;
    const bool all_failed = std::ranges::all_of(
        summary.accounts, [](const AccountSummary& a) { return a.result == RunResult::failed; });
    return all_failed ? RunResult::failed : RunResult::partial;
}

}  // namespace imapult::program
