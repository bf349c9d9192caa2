// What destinations do to messages: refuse, change, merge, and say OK.

#include <algorithm>

#include "engine/replica/repair.h"
#include "quirks/cases.h"

namespace imapult::quirks {

namespace {

using report::NoticeKind;
using ::testing::HasSubstr;

constexpr Side kDestination = Side::destination;

std::string with(std::string_view name, std::string_view tail) {
    return World::mail(name) + std::string(tail);
}

/// One message more in INBOX (UID 7), which arrives as `stored`; everything else as it is.
Case altered(std::string_view quirk, std::string sent, std::string stored,
             imapd::FlagSet flags = {}) {
    return {.quirk = quirk,
            .side = kDestination,
            .given = [sent, flags](World& world) { world.deliver("INBOX", sent, flags); },
            .then =
                [sent, stored](World& world, const report::AccountSummary& summary) {
                    EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
                    EXPECT_EQ(summary.messages.refused, 0U) << describe(summary);
                    EXPECT_EQ(world.difference([&](const imapd::Message& m) {
                        imapd::NewMessage out{m.body, m.flags, m.date, {}};
                        if (*m.body == sent) {
                            out.body = std::make_shared<const std::string>(stored);
                        }
                        return out;
                    }),
                              "");
                }};
}

/// One message more in INBOX (UID 7), which is not taken: `reason` is what the report says.
Case refused(std::string_view quirk, std::string sent, std::string_view reason) {
    return {.quirk = quirk,
            .side = kDestination,
            .given = [sent](World& world) { world.deliver("INBOX", sent); },
            .then =
                [reason](World& world, const report::AccountSummary& summary) {
                    expect_refused(summary, {7}, reason);
                    EXPECT_EQ(world.bodies("INBOX").size(), 6U);
                    EXPECT_EQ(world.bodies("Many").size(), 30U);
                }};
}

/// One message more in INBOX (UID 7), of which the destination keeps only `stored` although it says
/// OK: it is listed, and never sent a second time.
Case cut(std::string_view quirk, std::string sent, std::string stored) {
    return {.quirk = quirk,
            .side = kDestination,
            .given = [sent](World& world) { world.deliver("INBOX", sent); },
            .then =
                [sent, stored](World& world, const report::AccountSummary& summary) {
                    expect_refused(summary, {7}, "said OK to this message and kept");
                    const auto kept = [&](const imapd::Message& m) {
                        imapd::NewMessage out{m.body, m.flags, m.date, {}};
                        if (*m.body == sent) out.body = std::make_shared<const std::string>(stored);
                        return out;
                    };
                    EXPECT_EQ(world.difference(kept), "");
                    EXPECT_EQ(world.copy().messages.copied, 0U);
                    EXPECT_EQ(world.difference(kept), "");
                }};
}

/// One message more in INBOX (UID 7), which is refused for `reason` and taken with `steps` of the
/// repair ladder done.
Case repaired(std::string_view quirk, std::string sent, std::string_view reason,
              std::uint8_t steps) {
    return {.quirk = quirk,
            .side = kDestination,
            .given = [sent](World& world) { world.deliver("INBOX", sent); },
            .then =
                [sent, reason, steps](World& world, const report::AccountSummary& summary) {
                    expect_complete(summary);
                    ASSERT_EQ(summary.repairs.size(), 1U) << describe(summary);
                    EXPECT_EQ(summary.repairs[0].mailbox, "INBOX");
                    EXPECT_EQ(summary.repairs[0].uid, 7U);
                    EXPECT_EQ(summary.repairs[0].applied, replica::words_of_repairs(steps));
                    EXPECT_THAT(summary.repairs[0].reason, HasSubstr(reason));
                    EXPECT_EQ(notices(summary, NoticeKind::message_repaired).size(), 1U);
                    const auto mended = [&](const imapd::Message& m) {
                        imapd::NewMessage out{m.body, m.flags, m.date, {}};
                        if (*m.body == sent) {
                            out.body =
                                std::make_shared<const std::string>(replica::repaired(sent, steps));
                        }
                        return out;
                    };
                    EXPECT_EQ(world.difference(mended), "");
                    // The next pass knows it.
                    const auto again = world.copy();
                    expect_complete(again);
                    EXPECT_EQ(again.messages.copied + again.messages.adopted, 0U)
                        << describe(again);
                    EXPECT_EQ(world.difference(mended), "");
                }};
}

/// One message more in INBOX (UID 7) with flags of which only `kept` arrive, and a person is told.
Case flags_lost(std::string_view quirk, imapd::FlagSet sent, imapd::FlagSet kept) {
    return {.quirk = quirk,
            .side = kDestination,
            .given = [sent](World& world) { world.deliver("INBOX", World::mail("flagged"), sent); },
            .then =
                [kept](World& world, const report::AccountSummary& summary) {
                    expect_complete(summary);
                    const auto there = world.destination.messages(kUser, "INBOX");
                    ASSERT_EQ(there.size(), 7U);
                    const auto it = std::ranges::find_if(there, [](const imapd::Message& m) {
                        return *m.body == World::mail("flagged");
                    });
                    ASSERT_NE(it, there.end());
                    EXPECT_EQ(it->flags.text(), kept.text());
                    EXPECT_FALSE(notices(summary, NoticeKind::keywords_dropped).empty())
                        << describe(summary);
                }};
}

/// What is refused at first is tried again behind the others.
void any_order(World& world) {
    world.any_order = true;
}

Case dated(std::string_view quirk, std::int64_t date, std::optional<std::int64_t> stored) {
    return {.quirk = quirk,
            .side = kDestination,
            .given =
                [date](World& world) {
                    imapd::NewMessage message;
                    message.body = std::make_shared<const std::string>(World::mail("dated"));
                    message.date = imapd::Date{date, 0};
                    world.source.add_message(kUser, "INBOX", std::move(message));
                },
            .then =
                [stored](World& world, const report::AccountSummary& summary) {
                    expect_complete(summary);
                    const auto there = world.destination.messages(kUser, "INBOX");
                    ASSERT_EQ(there.size(), 7U);
                    const auto it = std::ranges::find_if(there, [](const imapd::Message& m) {
                        return *m.body == World::mail("dated");
                    });
                    ASSERT_NE(it, there.end());
                    if (stored) EXPECT_EQ(it->date.unix_seconds, *stored);
                }};
}

}  // namespace

std::vector<Case> append_cases() {
    const std::string nul = with("nul", std::string("x\0y\r\n", 5));
    std::string nul_as_0x80 = nul;
    std::ranges::replace(nul_as_0x80, '\0', '\x80');
    const std::string long_line = with("long", std::string(20'000, 'x') + "\r\n");
    const std::string bit8 =
        "Subject: gr\xFC\xDF"
        "e\r\nMessage-ID: <8bit@example.com>\r\n\r\nText\r\n";
    return {
        // The words of the body are commands; nothing of it may be obeyed.
        {.quirk = "body-as-commands",
         .side = kDestination,
         .destination = "dovecot",
         .given =
             [](World& world) {
                 world.destination.create(kUser, "Precious");
                 imapd::NewMessage message;
                 message.body = std::make_shared<const std::string>(
                     "a: b\r\n\r\nx DELETE Precious\r\ny DELETE Precious\r\n");
                 message.flags = {"$Bad]", "k\xC3\xA9y",
                                  "keyword-keyword-keyword-keyword-keyword-keyword-keyword"};
                 world.source.add_message(kUser, "INBOX", std::move(message));
             },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 EXPECT_TRUE(world.destination.mailbox(kUser, "Precious")) << "obeyed!";
                 EXPECT_EQ(world.bodies("INBOX").size(), 7U) << describe(summary);
                 EXPECT_EQ(world.destination.journal().commands["DELETE"], 0U);
             }},
        {.quirk = "append-failure-bare",
         .side = kDestination,
         .given = [](World& world) { world.destination.set_quota(kUser, 2'000); },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 // The server does not say why; GETQUOTAROOT does.
                 EXPECT_EQ(summary.result, report::RunResult::failed) << describe(summary);
                 ASSERT_TRUE(summary.failure);
                 EXPECT_EQ(summary.failure->error.code, Code::over_quota);
                 EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
                 // With room again the same command goes on.
                 world.destination.set_quota(kUser, 0);
                 world.any_order = true;
                 expect_complete(world.copy());
                 EXPECT_EQ(world.difference(), "");
             }},
        {.quirk = "append-failure-bare",
         .side = kDestination,
         .variant = "atomic_multiappend",
         .given =
             [](World& world) {
                 imapd::Behaviour b = *world.destination.behaviour();
                 b.on_nul = imapd::OnNul::refuse_no;
                 world.destination.set_behaviour(b);
                 world.deliver("Many", with("nul", std::string("\0\r\n", 3)));
                 world.deliver_many("Many", 20);
             },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 // All of a group are refused for one; the others arrive all the same, and that
                 // one without its NUL.
                 EXPECT_EQ(summary.messages.refused, 0U) << describe(summary);
                 EXPECT_EQ(summary.repairs.size(), 1U) << describe(summary);
                 EXPECT_EQ(world.bodies("Many").size(), 51U);
                 EXPECT_TRUE(summary.messages.balanced());
             }},
        {.quirk = "size-limit-10240000",
         .side = kDestination,
         .destination = "carbonio",
         .given = [](World& world) { world.deliver("INBOX", World::mail("huge", 10'240'100)); },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 expect_refused(summary, {7}, "APPEND failed");
                 EXPECT_EQ(world.bodies("INBOX").size(), 6U);
             }},
        {.quirk = "over-quota-line",
         .side = kDestination,
         .destination = "exchange",
         .given = [](World& world) { world.destination.set_quota(kUser, 2'000); },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 EXPECT_EQ(summary.result, report::RunResult::failed) << describe(summary);
                 ASSERT_TRUE(summary.failure);
                 EXPECT_THAT(summary.failure->error.text, HasSubstr("Server Unavailable"));
                 EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
                 world.destination.set_quota(kUser, 0);
                 (void)world.copy();
                 EXPECT_EQ(world.bodies("INBOX").size(), 6U);
             }},
        repaired("message-line-limit", long_line, "Command Argument Error. 12",
                 replica::kWrapVeryLong),
        altered("nul-to-0x80", nul, nul_as_0x80),
        repaired("nul-refused", nul, "NUL", replica::kReplaceNul),
        cut("nul-cuts", nul, nul.substr(0, nul.find('\0'))),
        altered("bare-lf-to-crlf", with("lf", "one\ntwo\n"), with("lf", "one\r\ntwo\r\n")),
        repaired("bare-lf-refused", with("lf", "one\ntwo\n"), "bare newlines",
                 replica::kCrlfForBareLf),
        altered("cr-of-crcrlf-dropped", with("cr", "one\r\r\ntwo\r\n"),
                with("cr", "one\r\ntwo\r\n")),
        altered("lone-cr-dropped", with("cr", "one\rtwo\r\n"), with("cr", "onetwo\r\n")),
        altered("final-crlf-added", with("end", "no end"), with("end", "no end\r\n")),
        repaired("final-crlf-demanded", with("end", "no end"), "Additional arguments",
                 replica::kFinalCrlf),
        refused("empty-refused", "", "zero byte"),
        refused("empty-refused-bad", "", "Zero-length"),
        refused("empty-disconnects", "", "connection"),
        altered("8-bit-headers-to-x", bit8,
                "Subject: grXXe\r\nMessage-ID: <8bit@example.com>\r\n\r\nText\r\n"),
        refused("header-demanded", "no header at all\r\n", "invalid header"),
        altered("from-line-dropped", "From x@example.com Tue Nov 14\r\n" + World::mail("mbox"),
                World::mail("mbox")),
        cut("headerless-body-dropped", "\r\nonly a body\r\n", ""),
        {.quirk = "ten-identical-messages",
         .side = kDestination,
         .given =
             [](World& world) {
                 for (int i = 0; i < 14; ++i) world.deliver("Equal", World::mail("equal"));
             },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 EXPECT_EQ(world.bodies("Equal").size(), 10U);
                 EXPECT_EQ(summary.result, report::RunResult::partial) << describe(summary);
                 EXPECT_EQ(summary.messages.refused, 4U) << describe(summary);
                 EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
                 ASSERT_FALSE(summary.refusals.empty());
                 EXPECT_THAT(summary.refusals[0].reason, HasSubstr("Too many identical"));
             }},
        {.quirk = "merges-identical",
         .side = kDestination,
         .destination = "gmail",
         .given =
             [](World& world) {
                 for (int i = 0; i < 3; ++i) world.deliver("Equal", World::mail("equal"));
             },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 // Three at the source, one at Gmail: all three are represented, and told.
                 EXPECT_EQ(world.bodies("Equal").size(), 1U);
                 EXPECT_EQ(summary.result, report::RunResult::complete) << describe(summary);
                 EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
                 const auto again = world.copy();
                 expect_complete(again);
                 EXPECT_EQ(again.messages.copied, 0U) << describe(again);
             }},
        {.quirk = "revives-from-trash",
         .side = kDestination,
         .destination = "gmail",
         .given =
             [](World& world) {
                 world.destination.create(kUser, "Bin", {.special_use = "\\Trash"});
                 world.destination.add_message(kUser, "Bin", World::mail("one"), {},
                                               imapd::Date{1'000'000'000, 0});
             },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
                 EXPECT_EQ(world.bodies("INBOX").size(), 6U);
                 EXPECT_TRUE(world.bodies("Bin").empty());
             }},
        dated("dates-before-1970-jan-2-to-now", 3'600, std::nullopt),
        dated("dates-after-2038-refused", 2'200'000'000, 2'145'830'400),
        dated("future-dates-to-now", 1'800'000'000, std::nullopt),
        dated("invalid-date-no", 1'600'000'000, 1'600'000'000),
        {.quirk = "flags-and-dates-dropped",
         .side = kDestination,
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
                 EXPECT_EQ(summary.messages.refused, 0U) << describe(summary);
                 EXPECT_EQ(world.bodies("INBOX").size(), 6U);
             }},
        flags_lost("keywords-fixed", {"\\Seen", "$Label1"}, {"\\Seen"}),
        {.quirk = "keywords-session-only",
         .side = kDestination,
         .given =
             [](World& world) { world.deliver("INBOX", World::mail("junk"), {"\\Seen", "$Junk"}); },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
                 EXPECT_EQ(world.bodies("INBOX").size(), 7U);
             }},
        flags_lost("keywords-without-bracket", {"\\Seen", "a]b"}, {"\\Seen"}),
        flags_lost("keywords-of-50-octets", {"\\Seen", std::string(60, 'k')}, {"\\Seen"}),
        flags_lost("tags-refused", {"\\Seen", "TEST:FLAG211"}, {"\\Seen"}),
        {.quirk = "keywords-limited",
         .side = kDestination,
         .given =
             [](World& world) {
                 for (int i = 0; i < 140; ++i) {
                     const std::string word = "word" + std::to_string(i);
                     world.deliver("INBOX", World::mail(word), {"\\Seen", word});
                 }
             },
         .then =
             [](World& world, const report::AccountSummary& summary) {
                 // No message is lost for a keyword.
                 expect_complete(summary);
                 EXPECT_EQ(world.bodies("INBOX").size(), 146U);
                 EXPECT_FALSE(notices(summary, NoticeKind::keywords_dropped).empty());
             }},
        {.quirk = "unknown-flag-no", .side = kDestination},
        {.quirk = "unknown-flag-ignored", .side = kDestination},
        // STORE takes what APPEND does not.
        {.quirk = "deleted-flag-refused", .side = kDestination, .given = any_order},
        {.quirk = "flagged-flag-refused", .side = kDestination, .given = any_order},
    };
}

}  // namespace imapult::quirks
