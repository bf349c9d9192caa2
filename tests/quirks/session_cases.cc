// How servers talk, and how they ask for patience.

#include "quirks/cases.h"

namespace imapult::quirks {

namespace {

using namespace std::chrono_literals;

/// Complete, and nobody was pressed: no command and no log-in before the asked-for time was over.
void patient(World& world, const report::AccountSummary& summary) {
    expect_complete(summary);
    EXPECT_EQ(world.difference(), "");
    const imapd::Journal journal = world.source.journal();
    EXPECT_GT(journal.throttled, 0U) << "the quirk was never met";
    EXPECT_EQ(journal.impatient, 0U);
    EXPECT_LE(journal.log_ins, 2 + 2 * journal.throttled);
}

/// … and the same where the destination asks.
void patient_at_destination(World& world, const report::AccountSummary& summary) {
    expect_complete(summary);
    EXPECT_EQ(world.difference(), "");
    const imapd::Journal journal = world.destination.journal();
    EXPECT_GT(journal.throttled, 0U) << "the quirk was never met";
    EXPECT_EQ(journal.impatient, 0U);
}

/// Many UIDs with gaps: what is asked for does not fit one short line.
void sparse(World& world) {
    world.deliver_many("INBOX", 1'200, 10);
    for (std::uint32_t uid = 10; uid < 1'200; uid += 2) world.source.expunge(kUser, "INBOX", uid);
}

void many_mailboxes(World& world) {
    for (int i = 0; i < 20; ++i) {
        world.deliver_many("Box " + std::to_string(i), 2);
    }
}

void many_messages(World& world) {
    world.deliver_many("Many", 120);
}

void many_windows(World& world) {
    world.deliver_many("Large", 400, 50'000);
}

/// A destination that does not take the messages of one kind refuses many of them, each more than
/// once.
void many_with_nul(World& world) {
    world.destination.set_behaviour([&] {
        imapd::Behaviour b = *world.destination.behaviour();
        b.on_nul = imapd::OnNul::refuse_bad;
        return b;
    }());
    for (int i = 0; i < 14; ++i) {
        std::string body = World::mail("nul-" + std::to_string(i));
        body += '\0';
        world.deliver("INBOX", body + "\r\n");
    }
    world.deliver_many("INBOX", 10);
}

void nul_repaired(World& world, const report::AccountSummary& summary) {
    expect_complete(summary);
    EXPECT_EQ(summary.repairs.size(), 14U) << describe(summary);
    EXPECT_EQ(world.bodies("INBOX").size(), 30U);
    EXPECT_FALSE(summary.failure) << describe(summary);
}

}  // namespace

std::vector<Case> session_cases() {
    constexpr Side kSource = Side::source;
    constexpr Side kDestination = Side::destination;
    std::vector<Case> out{
        {.quirk = "input-behind-login-lost"},
        {.quirk = "no-capability-in-greeting"},
        {.quirk = "no-capability-in-login", .source = "courier"},
        {.quirk = "capability-with-space", .side = kDestination},
        {.quirk = "leading-nuls"},
        {.quirk = "leading-nuls", .side = kDestination},
        {.quirk = "enable-says-nothing", .source = "icloud"},
        {.quirk = "enabled-line-empty", .source = "courier"},
        {.quirk = "id-refused", .side = kDestination},
        {.quirk = "id-names-user", .side = kDestination},
        {.quirk = "literal-in-text"},
        {.quirk = "literal-in-text", .side = kDestination},
        {.quirk = "namespace-drops-connection", .source = "exchange"},
        {.quirk = "bye-repeated",
         .source = "yandex",
         .variant = "and_byes",
         .given =
             [](World& world) {
                 imapd::Behaviour b = *world.source.behaviour();
                 (void)imapd::apply_quirk("session-expired", b);
                 b.throttle.every = 13;
                 world.source.set_behaviour(b);
             },
         .then = patient},
        {.quirk = "stays-after-bye",
         .given =
             [](World& world) {
                 imapd::Behaviour b = *world.source.behaviour();
                 (void)imapd::apply_quirk("session-expired", b);
                 b.throttle.every = 13;
                 world.source.set_behaviour(b);
             },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 patient(world, summary);
                 // Nobody waits for the close of somebody who has said good-bye.
                 EXPECT_LT(world.pass_took(), 60s);
             }},
        {.quirk = "status-overtakes-fetch", .source = "dovecot"},
        {.quirk = "fetch-overtakes-ok", .given = many_windows},
        {.quirk = "ten-bad-commands",
         .side = kDestination,
         .given = many_with_nul,
         .then = nul_repaired},
        {.quirk = "five-errors-in-a-row",
         .side = kDestination,
         .given = many_with_nul,
         .then = nul_repaired},
        {.quirk = "create-throttle",
         .side = kDestination,
         .given =
             [](World& world) {
                 for (int i = 0; i < 60; ++i) world.deliver_many("Box " + std::to_string(i), 1);
             }},
        {.quirk = "repeat-throttle",
         .side = kDestination,
         .given =
             [](World& world) {
                 // Equal sizes, flags and dates: 150 commands that look the same.
                 world.destination.set_behaviour(
                     imapd::Behaviour(*world.destination.behaviour()).hide("MULTIAPPEND"));
                 for (int i = 100; i < 250; ++i) {
                     world.deliver("INBOX", World::mail("equal-" + std::to_string(i), 10));
                 }
             }},
        {.quirk = "connections-limited",
         .given =
             [](World& world) {
                 world.options.lanes = 6;
                 many_mailboxes(world);
             },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 expect_complete(summary);
                 EXPECT_EQ(world.difference(), "");
             }},
        {.quirk = "courier-line-limit", .given = sparse},
        {.quirk = "line-limit-10240", .given = sparse},
        {.quirk = "line-limit-1000", .source = "yahoo", .given = sparse},
        {.quirk = "line-limit-1000",
         .source = "uw",
         .variant = "uw",
         .given = sparse,
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 expect_complete(summary);
                 // All but the server's own message.
                 EXPECT_EQ(world.bodies("INBOX").size() + 1,
                           world.source.messages(kUser, "INBOX").size());
             }},
        {.quirk = "wrong-mailbox-trap",
         .side = kDestination,
         .destination = "carbonio",
         .given =
             [](World& world) {
                 world.destination.add_admin("admin@other.example.com", "password");
                 world.destination.add_account("user@other.example.com", "password");
                 world.destination_admin = "admin@other.example.com";
                 world.destination_user = "user";
             },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 // The server opens user@other.example.com without a word; ID tells.
                 EXPECT_EQ(summary.result, report::RunResult::failed) << describe(summary);
                 ASSERT_TRUE(summary.failure);
                 EXPECT_EQ(summary.failure->error.code, Code::auth_refused);
                 EXPECT_TRUE(world.destination.messages("user@other.example.com", "INBOX").empty());
             }},
        {.quirk = "not-connected-after-login",
         .source = "exchange",
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 EXPECT_EQ(summary.result, report::RunResult::failed) << describe(summary);
                 ASSERT_TRUE(summary.failure);
                 EXPECT_EQ(summary.failure->error.code, Code::auth_refused)
                     << summary.failure->error.text;
                 EXPECT_LE(world.source.journal().log_ins, 1U) << "lock-outs!";
             }},
    };
    for (const std::string_view quirk :
         {"throttled-bad", "throttled-no", "throttled-ok", "throttled-bye", "limit-code",
          "unavailable-code", "unavailable-text", "in-use-code", "server-bug-code",
          "session-expired"}) {
        out.push_back({.quirk = quirk, .given = many_mailboxes, .then = patient});
        out.push_back({.quirk = quirk,
                       .side = kDestination,
                       .given =
                           [](World& world) {
                               many_mailboxes(world);
                               many_messages(world);
                           },
                       .then = patient_at_destination});
    }
    out.push_back({.quirk = "daily-bandwidth",
                   .side = kSource,
                   .given = [](World& world) { world.deliver_many("Work", 250, 2'000); },
                   .then =
                       [](World& world, const report::AccountSummary& summary) {
                           // The day's octets are gone: said so, without hammering; the next days
                           // go on.
                           EXPECT_NE(summary.result, report::RunResult::complete)
                               << describe(summary);
                           EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
                           ASSERT_TRUE(summary.failure) << describe(summary);
                           EXPECT_EQ(summary.failure->error.code, Code::throttled)
                               << summary.failure->error.text;
                           EXPECT_LE(world.source.journal().log_ins, 20U);
                           report::AccountSummary last;
                           for (int day = 0; day < 20; ++day) {
                               world.sleep(24h);
                               last = world.copy();
                               if (last.result == report::RunResult::complete) break;
                           }
                           expect_complete(last);
                           EXPECT_EQ(world.difference(), "");
                       }});
    return out;
}

}  // namespace imapult::quirks
