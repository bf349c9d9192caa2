#pragma once
// A run with one of everything, and with text that wants to break out of every form.

#include "tools/imapult/outcome.h"

namespace imapult::program {

inline Outcome sample_outcome() {
    Outcome outcome;
    outcome.command = campaign::Command::migrate;
    outcome.exit_code = 1;
    outcome.started = 1'790'000'000;
    outcome.seconds = 2.5;
    outcome.cpu_seconds = 0.5;
    outcome.peak_rss_bytes = 1 << 20;
    outcome.insecure = {"the source imaps://old.example.com:993: its certificate is not checked"};
    outcome.samples = {{0, 1, 100, 1'000'000}, {1, 1.5, 50, 4'000'000}};

    campaign::AccountSummary alice;
    alice.account = "alice";
    alice.source = "alice@old.example.com:993";
    alice.destination = "alice@new.example.com:993";
    alice.result = campaign::RunResult::partial;
    alice.mailboxes = {.total = 3, .created = 2, .unchanged = 1, .failed = 0};
    alice.messages.source = 10;
    alice.messages.already_there = 2;
    alice.messages.copied = 4;
    alice.messages.adopted = 1;
    alice.messages.refused = 1;
    alice.messages.skipped = 2;
    alice.bytes = {.copied = 5'000'000,
                   .source_in = 1,
                   .source_out = 2,
                   .destination_in = 3,
                   .destination_out = 4};
    alice.round_trips = {.source = 5, .destination = 6};
    alice.refusals.push_back({.account = "alice",
                              .mailbox = "<script>alert(1)</script>",
                              .uid = 17,
                              .message_id = "<a@example.com>",
                              .subject = "=cmd|'/c calc'!A1",
                              .date = 1'700'000'000,
                              .size = 1234,
                              .reason = "NO \x1b[31mtoo \"big\" & red"});
    alice.notices.push_back({.account = "alice",
                             .mailbox = "Sent",
                             .kind = campaign::NoticeKind::deleted_at_source,
                             .text = "3 messages are gone at the source"});

    campaign::AccountSummary bob;
    bob.account = "bob";
    bob.result = campaign::RunResult::failed;
    bob.failure = campaign::Failure{
        Error{.code = Code::auth_refused, .text = "the password was refused"}, Side::destination};
    outcome.summary.accounts = {alice, bob};
    return outcome;
}

}  // namespace imapult::program
