// Each quirk by itself, and the presets that combine them.

#include "imapd/client.h"

namespace imapult::imapd {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::string_literals;

class Quirk : public ImapdTest {
  protected:
    /// What is stored after APPEND of `message`; the reply if nothing is.
    std::string after_append(const std::string& message, const std::string& arguments = "") {
        Client c = client();
        const std::string reply =
            c("a APPEND INBOX " + arguments + "{" + std::to_string(message.size()) + "}");
        const std::string end = reply == "+ OK\r\n" ? c(message) : reply;
        const auto all = store().messages(kUser, "INBOX");
        return end.starts_with("a OK") && !all.empty() ? *all.back().body : end;
    }
};

// --- messages on their way in

TEST_F(Quirk, NulIsKeptReplacedCutOrRefused) {
    const std::string mail = "a: b\r\n\r\nx\0y\r\n"s;
    serve();
    EXPECT_EQ(after_append(mail), mail);
    serve(dovecot());
    EXPECT_EQ(after_append(mail), "a: b\r\n\r\nx\x80y\r\n");
    serve(mailutils());
    EXPECT_EQ(after_append(mail), "a: b\r\n\r\nx");
    serve(cyrus());
    EXPECT_THAT(after_append(mail), StartsWith("a NO Message contains NUL"));
}

TEST_F(Quirk, DovecotKeepsNulInALiteral8) {
    serve(dovecot());
    Client c = client();
    EXPECT_THAT(c.raw("1 APPEND INBOX ~{9+}\r\na: b\n\n\0\r\n\r\n"s), StartsWith("1 OK"));
    EXPECT_EQ(*store().messages(kUser, "INBOX")[0].body, "a: b\r\n\r\n\0\r\n"s);
}

TEST_F(Quirk, BareLfBecomesCrlfOrIsRefused) {
    serve(dovecot());
    EXPECT_EQ(after_append("a: b\n\nx\n"), "a: b\r\n\r\nx\r\n");
    serve(cyrus());
    EXPECT_THAT(after_append("a: b\n\nx\n"), StartsWith("a NO Message contains bare newlines"));
    serve();
    EXPECT_EQ(after_append("a: b\n\nx\n"), "a: b\n\nx\n");
}

TEST_F(Quirk, LoneCr) {
    serve(dovecot());
    EXPECT_EQ(after_append("a: b\r\n\r\nx\r\r\ny\rz\r\n"), "a: b\r\n\r\nx\r\ny\rz\r\n");
    serve(courier());
    EXPECT_EQ(after_append("a: b\r\n\r\nx\r\r\ny\rz\r\n"), "a: b\r\n\r\nx\r\nyz\r\n");
}

TEST_F(Quirk, CourierAddsTheFinalCrlfAndYahooDemandsIt) {
    serve(courier());
    EXPECT_EQ(after_append("a: b\r\n\r\nx"), "a: b\r\n\r\nx\r\n");
    serve(yahoo());
    EXPECT_THAT(after_append("a: b\r\n\r\nx"), StartsWith("a BAD [CLIENTBUG]"));
}

TEST_F(Quirk, CyrusMungesHeadersAndWantsThem) {
    serve(cyrus());
    EXPECT_EQ(after_append("Subject: \xE4\xF6\r\n\r\n\xE4\r\n"), "Subject: XX\r\n\r\n\xE4\r\n");
    EXPECT_THAT(after_append("no header\r\n"), StartsWith("a NO Message contains invalid header"));
    EXPECT_THAT(after_append("\r\nbody\r\n"), StartsWith("a NO Message contains invalid header"));
}

TEST_F(Quirk, CyrusTakesTenIdenticalMessages) {
    serve(cyrus());
    for (int i = 0; i < 10; ++i) EXPECT_EQ(after_append(std::string(kMail)), kMail);
    EXPECT_THAT(after_append(std::string(kMail)), StartsWith("a NO Too many identical emails"));
}

TEST_F(Quirk, GmailMergesIdenticalMessages) {
    serve(gmail());
    Client c = client();
    c("1 APPEND INBOX {43}");
    EXPECT_THAT(c(kMail), HasSubstr("[APPENDUID 1700000000 1]"));
    c("2 APPEND INBOX {43}");
    EXPECT_THAT(c(kMail), HasSubstr("[APPENDUID 1700000000 1]"));
    EXPECT_EQ(store().messages(kUser, "INBOX").size(), 1U);
}

TEST_F(Quirk, MailutilsDropsFlagsDateFromLineAndLoneBodies) {
    serve(mailutils());
    EXPECT_EQ(after_append("From x\r\na: b\r\n\r\n", "(\\Seen k) \"01-Jan-2020 00:00:00 +0000\" "),
              "a: b\r\n\r\n");
    const auto all = store().messages(kUser, "INBOX");
    EXPECT_EQ(all[0].flags, FlagSet{});
    EXPECT_EQ(all[0].date.unix_seconds, clock_.unix_seconds());
    EXPECT_EQ(after_append("\r\nbody\r\n"), "");
}

TEST_F(Quirk, EmptyMessages) {
    serve(dovecot());
    EXPECT_THAT(after_append(""), StartsWith("a NO"));
    serve(carbonio());
    EXPECT_THAT(after_append(""), StartsWith("a BAD"));
    serve(mailutils());
    Client c = client();
    c("1 APPEND INBOX {0}");
    c("");
    EXPECT_TRUE(c.connection().wants_close());
}

TEST_F(Quirk, SizeLimitWithAndWithoutCode) {
    Behaviour b = standard();
    b.max_message_bytes = 10;
    serve(b);
    EXPECT_THAT(after_append("a: b\r\n\r\nlonger"), StartsWith("a NO [TOOBIG]"));
    b.too_big_has_code = false;
    serve(b);
    EXPECT_THAT(after_append("a: b\r\n\r\nlonger"), StartsWith("a NO maximum message size"));
}

TEST_F(Quirk, QuotaWithAndWithoutCode) {
    Behaviour b = standard();
    serve(b);
    store().set_quota(kUser, 50);
    EXPECT_EQ(after_append(std::string(kMail)), kMail);
    EXPECT_THAT(after_append(std::string(kMail)), StartsWith("a NO [OVERQUOTA]"));
    serve(carbonio());
    store().set_quota(kUser, 50);
    EXPECT_EQ(after_append(std::string(kMail)), kMail);
    EXPECT_EQ(after_append(std::string(kMail)), "a NO APPEND failed\r\n");
    serve(exchange());
    store().set_quota(kUser, 10);
    EXPECT_EQ(after_append(std::string(kMail)), "Server Unavailable. 15\r\n");
}

TEST_F(Quirk, CarbonioRollsAMultiappendBackWithoutSayingWhy) {
    serve(carbonio());
    Client c = client();
    EXPECT_EQ(c("1 APPEND INBOX {4+}\r\na: b (a:b) {4+}\r\na: c"), "1 NO APPEND failed\r\n");
    EXPECT_TRUE(store().messages(kUser, "INBOX").empty());
    EXPECT_THAT(c("2 APPEND Nowhere {4}"), StartsWith("2 NO [TRYCREATE]"));
}

TEST_F(Quirk, DatesOutOfRange) {
    serve(carbonio());
    EXPECT_EQ(after_append("a: b\r\n\r\n", "\"20-Jan-2038 00:00:00 +0000\" "),
              "a NO APPEND failed\r\n");
    serve(dovecot());
    after_append("a: b\r\n\r\n", "\"20-Jan-2040 00:00:00 +0000\" ");
    EXPECT_EQ(store().messages(kUser, "INBOX")[0].date.unix_seconds, clock_.unix_seconds());
    serve(cyrus());
    after_append("a: b\r\n\r\n", "\"01-Jan-1970 00:00:00 +0000\" ");
    EXPECT_EQ(store().messages(kUser, "INBOX")[0].date.unix_seconds, clock_.unix_seconds());
    serve();
    EXPECT_THAT(after_append("a: b\r\n\r\n", "\"30-Feb-2020 00:00:00 +0000\" "),
                StartsWith("a BAD"));
}

TEST_F(Quirk, FlagsThatAreRefusedDroppedOrForgotten) {
    serve(dovecot());
    EXPECT_THAT(after_append("a: b\r\n\r\n", "(x]) "), StartsWith("a NO"));
    EXPECT_THAT(after_append("a: b\r\n\r\n", "(\\Recent) "), StartsWith("a BAD"));
    EXPECT_THAT(after_append("a: b\r\n\r\n", "(" + std::string(51, 'k') + ") "),
                StartsWith("a NO"));
    serve(courier());
    EXPECT_THAT(after_append("a: b\r\n\r\n", "(\\Foo) "), StartsWith("a NO"));
    serve(exchange());
    after_append("a: b\r\n\r\n", "(\\Seen $Forwarded other) ");
    EXPECT_EQ(store().messages(kUser, "INBOX")[0].flags, (FlagSet{"\\Seen", "$Forwarded"}));
    serve(carbonio());
    after_append("a: b\r\n\r\n", "(Junk tag) ");
    EXPECT_EQ(store().messages(kUser, "INBOX")[0].flags, (FlagSet{"tag"}));
}

TEST_F(Quirk, ExchangeNamesItsKeywordsInPermanentflags) {
    serve(exchange());
    Client c = client();
    EXPECT_THAT(
        c("1 SELECT INBOX"),
        HasSubstr("[PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded "
                  "$MDNSent)]"));
}

TEST_F(Quirk, KeywordsPerMailboxAreLimited) {
    Behaviour b = standard();
    b.keywords_max = 2;
    serve(b);
    EXPECT_EQ(after_append("1", "(a b) "), "1");
    EXPECT_EQ(after_append("2", "(B) "), "2");
    EXPECT_THAT(after_append("3", "(c) "), StartsWith("a NO [LIMIT] Too many user flags"));
}

// --- APPEND and the connection

TEST_F(Quirk, DovecotObeysTheBodyAfterABad) {
    serve(dovecot());
    store().create(kUser, "Archive");
    Client c = client();
    const std::string body = "x DELETE Archive\r\n";
    const std::string out =
        c("1 APPEND INBOX (\\Foo) {" + std::to_string(body.size()) + "+}\r\n" + body);
    EXPECT_THAT(out, AllOf(StartsWith("1 BAD"), HasSubstr("x OK Delete completed.")));
    EXPECT_FALSE(store().mailbox(kUser, "Archive"));
}

TEST_F(Quirk, OthersStayInStepAfterABad) {
    serve(cyrus());
    store().create(kUser, "Archive");
    Client c = client();
    const std::string body = "x DELETE Archive\r\n";
    EXPECT_THAT(c("1 APPEND INBOX (\\Foo) {" + std::to_string(body.size()) + "+}\r\n" + body),
                AllOf(StartsWith("1 BAD"), Not(HasSubstr("x OK"))));
    EXPECT_TRUE(store().mailbox(kUser, "Archive"));
}

TEST_F(Quirk, LiteralMinusEndsAt4096) {
    serve(gmail());
    Client c = client();
    EXPECT_THAT(c("1 APPEND INBOX {4096+}\r\n" + std::string(4096, 'x')), StartsWith("1 OK"));
    EXPECT_THAT(c("2 APPEND INBOX {4097+}"), StartsWith("2 BAD"));
    EXPECT_TRUE(c.connection().wants_close());
}

TEST_F(Quirk, WithoutLiteralPlusTheBodyIsReadAsCommands) {
    serve(courier());
    Client c = client();
    EXPECT_THAT(c("1 APPEND INBOX {8+}\r\n2 NOOP"), AllOf(HasSubstr("1 NO"), HasSubstr("2 OK")));
}

TEST_F(Quirk, MultiappendUnknown) {
    serve(standard().hide("MULTIAPPEND"));
    Client c = client();
    EXPECT_THAT(c("1 APPEND INBOX {1+}\r\na {1+}\r\nb"), StartsWith("1 BAD"));
    EXPECT_TRUE(store().messages(kUser, "INBOX").empty());
}

TEST_F(Quirk, WithoutUidplusNoUidIsTold) {
    serve(mailutils());
    Client c = client();
    EXPECT_EQ(c("1 APPEND INBOX {6+}\r\na: b\r\n"), "1 OK Append completed.\r\n");
    EXPECT_THAT(c("2 UID EXPUNGE 1"), StartsWith("2 BAD"));
}

// --- limits and throttles

TEST_F(Quirk, CarbonioDropsAfterFiveErrorsInARow) {
    serve(carbonio());
    Client c = client();
    for (int i = 0; i < 4; ++i) c("1 EXAMINE Nowhere");
    c("2 NOOP");
    for (int i = 0; i < 4; ++i) EXPECT_THAT(c("3 EXAMINE Nowhere"), StartsWith("3 NO"));
    EXPECT_THAT(c("4 NONSENSE"), HasSubstr("* BYE"));
    EXPECT_TRUE(c.connection().wants_close());
}

TEST_F(Quirk, CourierClosesAtTheTenthBad) {
    serve(courier());
    Client c = client();
    for (int i = 0; i < 9; ++i) EXPECT_THAT(c("1 NONSENSE"), StartsWith("1 BAD"));
    EXPECT_THAT(c("2 EXAMINE INBOX.Nowhere"), StartsWith("2 NO"));
    EXPECT_FALSE(c.connection().wants_close());
    EXPECT_THAT(c("3 NONSENSE"), HasSubstr("* BYE"));
    EXPECT_TRUE(c.connection().wants_close());
}

TEST_F(Quirk, CarbonioDropsAt26CreatesInARow) {
    serve(carbonio());
    Client c = client();
    for (int i = 0; i < 25; ++i)
        EXPECT_THAT(c("1 CREATE f" + std::to_string(i)), StartsWith("1 OK"));
    c("2 SUBSCRIBE f1");
    for (int i = 0; i < 25; ++i)
        EXPECT_THAT(c("3 CREATE g" + std::to_string(i)), StartsWith("3 OK"));
    c("4 LIST \"\" *");  // throttle-aware itself: does not reset the row
    EXPECT_THAT(c("5 CREATE h"), StartsWith("* BYE too many repeated CREATE"));
    EXPECT_FALSE(store().mailbox(kUser, "h"));
}

TEST_F(Quirk, CarbonioDropsAt26AppendsOfTheSameShape) {
    serve(carbonio());
    Client c = client();
    const auto append = [&c](const std::string& date) {
        return c("1 APPEND INBOX \"" + date + "\" {6+}\r\na: b\r\n");
    };
    for (int i = 0; i < 25; ++i)
        EXPECT_THAT(append("01-Feb-2020 00:00:00 +0000"), StartsWith("1 OK"));
    EXPECT_THAT(append("02-Feb-2020 00:00:00 +0000"), StartsWith("1 OK"));
    for (int i = 0; i < 25; ++i)
        EXPECT_THAT(append("03-Feb-2020 00:00:00 +0000"), StartsWith("1 OK"));
    EXPECT_THAT(append("03-Feb-2020 00:00:00 +0000"), StartsWith("* BYE too many repeated APPEND"));
    EXPECT_EQ(store().messages(kUser, "INBOX").size(), 51U);
}

TEST_F(Quirk, CourierResetsOnLongLines) {
    serve(courier());
    Client c = client();
    EXPECT_EQ(c("1 LIST \"\" " + std::string(17'000, 'x')), "");
    EXPECT_TRUE(c.connection().wants_reset());
    serve(dovecot());
    Client d = client();
    EXPECT_THAT(d("1 LIST \"\" " + std::string(70'000, 'x')), StartsWith("* BYE"));
}

TEST_F(Quirk, ThrottleSuggestsABackoffAndCloses) {
    Behaviour b = standard();
    b.throttle.per_connection = 2;
    serve(b);
    Client c = client();
    c("1 NOOP");
    EXPECT_EQ(c("2 NOOP"),
              "2 BAD Request is throttled. Suggested Backoff Time: 1000 milliseconds\r\n");
    EXPECT_TRUE(c.connection().wants_close());
}

TEST_F(Quirk, ThrottleCountsOverConnectionsAndRemembersTheImpatient) {
    Behaviour b = standard();
    b.throttle = {.every = 3,
                  .drop_every = 5,
                  .as = Throttle::As::no,
                  .text = "Try again in 10 seconds",
                  .seconds = 10,
                  .at_login = true};
    serve(b).keep_journal();
    Client one = client();
    EXPECT_THAT(one("1 NOOP"), HasSubstr("1 OK"));
    Client two = client();
    EXPECT_THAT(two("1 NOOP"), HasSubstr("1 OK"));
    EXPECT_EQ(two("2 NOOP"), "2 NO Try again in 10 seconds\r\n");
    clock_.advance_to(std::chrono::seconds(9));
    Client early(store());
    EXPECT_THAT(early.login(), HasSubstr("L NO Try again"));
    clock_.advance_to(std::chrono::seconds(10));
    EXPECT_THAT(one("2 NOOP"), HasSubstr("2 OK"));
    one("3 NOOP");
    EXPECT_TRUE(one.connection().wants_reset());
    EXPECT_EQ(store().journal().impatient, 1U);
    EXPECT_EQ(store().journal().throttled, 1U);
    EXPECT_EQ(store().journal().log_ins, 2U);
    EXPECT_EQ(store().journal().commands["NOOP"], 5U);
}

TEST_F(Quirk, ADaysOctetsComeBackTheNextDay) {
    Behaviour b = standard();
    b.daily.bytes_out = 40;
    serve(b);
    deliver("INBOX", kMail);
    Client c = client();
    c("1 EXAMINE INBOX");
    EXPECT_THAT(c("2 UID FETCH 1 (BODY.PEEK[])"), HasSubstr("2 OK"));
    EXPECT_THAT(c("3 UID FETCH 1 (BODY.PEEK[])"), StartsWith("3 NO [OVERQUOTA] Account exceeded"));
    EXPECT_TRUE(c.connection().wants_close());
    clock_.advance_to(std::chrono::hours(24));
    Client later = client();
    later("1 EXAMINE INBOX");
    EXPECT_THAT(later("2 UID FETCH 1 (BODY.PEEK[])"), HasSubstr("2 OK"));
}

TEST_F(Quirk, MessageLimitAnswersTheHighestAndSaysHowFarItCame) {
    Behaviour b = standard();
    b.command_messages_max = 2;
    serve(b);
    for (int i = 0; i < 5; ++i) deliver("INBOX", kMail);
    Client c = client();
    c("1 EXAMINE INBOX");
    EXPECT_EQ(c("2 UID FETCH 1:5 (UID)"),
              "* 4 FETCH (UID 4)\r\n* 5 FETCH (UID 5)\r\n"
              "2 OK [MESSAGELIMIT 2 4] Fetch completed.\r\n");
    EXPECT_THAT(c("3 UID FETCH 1:2 (UID)"), EndsWith("3 OK Fetch completed.\r\n"));
}

TEST_F(Quirk, SaysByeAndStays) {
    Behaviour b = standard();
    b.stays_after_bye = true;
    b.throttle = {.every = 1, .as = Throttle::As::bye, .text = "Session expired"};
    serve(b);
    Client c = client();
    EXPECT_EQ(c("1 NOOP"), "* BYE Session expired\r\n");
    EXPECT_FALSE(c.connection().wants_close());
    EXPECT_EQ(c("2 NOOP"), "");
}

TEST_F(Quirk, ScriptedRepliesComeAtTheirTime) {
    Behaviour b = standard();
    b.script.push_back(
        {.command = "UID FETCH", .nth = 2, .reply = "%t NO [UNAVAILABLE] later\r\n"});
    b.script.push_back({.command = "NOOP", .reply = "garbage\r\n", .instead = false});
    b.script.push_back({.command = "CHECK", .reply = "* BYE\r\n", .close = true});
    serve(b);
    deliver("INBOX", kMail);
    Client c = client();
    c("1 EXAMINE INBOX");
    EXPECT_THAT(c("2 UID FETCH 1 (UID)"), EndsWith("2 OK Fetch completed.\r\n"));
    EXPECT_EQ(c("3 UID FETCH 1 (UID)"), "3 NO [UNAVAILABLE] later\r\n");
    EXPECT_THAT(c("4 UID FETCH 1 (UID)"), EndsWith("4 OK Fetch completed.\r\n"));
    EXPECT_EQ(c("5 NOOP"), "garbage\r\n5 OK NOOP completed.\r\n");
    EXPECT_EQ(c("6 CHECK"), "* BYE\r\n");
    EXPECT_TRUE(c.connection().wants_close());
}

// --- the session

TEST_F(Quirk, CourierForgetsWhatCameWithLogin) {
    serve(courier());
    Client c(store());
    EXPECT_EQ(c.raw("1 LOGIN user@example.com \"correct horse\"\r\n2 NOOP\r\n"),
              "1 OK Logged in.\r\n");
    EXPECT_THAT(c("3 NOOP"), StartsWith("3 OK"));
}

TEST_F(Quirk, EnableAnswersOfIcloudAndCourier) {
    serve(icloud());
    Client a = client();
    EXPECT_EQ(a("1 ENABLE QRESYNC"), "1 OK Enabled.\r\n");
    serve(courier());
    Client b = client();
    EXPECT_EQ(b("1 ENABLE QRESYNC"), "* ENABLED\r\n1 OK Enabled.\r\n");
    EXPECT_THAT(b("2 ID NIL"), StartsWith("2 NO"));
}

TEST_F(Quirk, OddlySpelledCapabilityAndRepeatedBye) {
    Behaviour b = standard();
    b.literal_plus_spaced = true;
    b.bye_repeated = true;
    serve(b);
    Client c = client();
    EXPECT_THAT(c("1 CAPABILITY"), HasSubstr(" LITERAL + "));
    EXPECT_THAT(c("2 LOGOUT"), HasSubstr("* BYE Logging out\r\n* BYE Logging out\r\n"));
}

TEST_F(Quirk, LoggedInButNotConnected) {
    Behaviour b = exchange();
    b.not_connected_after_login = true;
    serve(b);
    Client c = client();
    EXPECT_EQ(c("1 LIST \"\" *"), "1 BAD User is authenticated but not connected.\r\n");
}

TEST_F(Quirk, DovecotAnswersAPipelinedStatusFirst) {
    serve(dovecot());
    deliver("INBOX", kMail);
    Client c = client();
    c("1 EXAMINE INBOX");
    const std::string out = c.raw("2 UID FETCH 1 (UID)\r\n3 STATUS INBOX (MESSAGES)\r\n");
    EXPECT_LT(out.find("3 OK"), out.find("2 OK"));
    serve(cyrus());
    deliver("INBOX", kMail);
    Client d = client();
    d("1 EXAMINE INBOX");
    const std::string in_order = d.raw("2 UID FETCH 1 (UID)\r\n3 STATUS INBOX (MESSAGES)\r\n");
    EXPECT_LT(in_order.find("2 OK"), in_order.find("3 OK"));
}

// --- names

TEST_F(Quirk, CourierNamesHaveAPrefixAndAreMadeCanonical) {
    serve(courier());
    Client c = client();
    EXPECT_THAT(c("1 NAMESPACE"), HasSubstr("((\"INBOX.\" \".\"))"));
    EXPECT_THAT(c("2 CREATE INBOX.&AGE-"), StartsWith("2 OK"));
    EXPECT_THAT(c("3 LIST \"\" *"), AllOf(HasSubstr("\".\" INBOX.a\r\n"), Not(HasSubstr("&AGE-"))));
    EXPECT_THAT(c("4 CREATE x"), StartsWith("4 NO"));
    EXPECT_THAT(c("5 CREATE INBOX.a/b"), StartsWith("5 NO"));
    EXPECT_THAT(c("6 CREATE INBOX.c.d"), StartsWith("6 OK"));
}

TEST_F(Quirk, CarbonioNamesIgnoreCaseAndSomeAreTaken) {
    serve(carbonio());
    store().create(kUser, "Calendar");
    Client c = client();
    EXPECT_THAT(c("1 CREATE Foo"), StartsWith("1 OK"));
    EXPECT_THAT(c("2 CREATE foo"), StartsWith("2 NO"));
    EXPECT_THAT(c("3 EXAMINE FOO"), EndsWith("3 OK [READ-ONLY] Examine completed.\r\n"));
    EXPECT_THAT(c("4 CREATE calendar"), StartsWith("4 NO"));
    EXPECT_THAT(c("5 LIST \"\" *"), Not(HasSubstr("Calendar")));
    EXPECT_THAT(c("6 CREATE a:b"), StartsWith("6 NO"));
    EXPECT_THAT(c("7 CREATE \"trailing \""), StartsWith("7 OK"));
    EXPECT_TRUE(store().mailbox(kUser, "trailing"));
}

TEST_F(Quirk, GmailRefusesBlanksAround) {
    serve(gmail());
    Client c = client();
    EXPECT_THAT(c("1 CREATE \" a\""), StartsWith("1 NO [CANNOT]"));
    EXPECT_THAT(c("2 CREATE \"a  b\""), StartsWith("2 NO [CANNOT]"));
    EXPECT_THAT(c("3 CREATE \"a b\""), StartsWith("3 OK"));
}

TEST_F(Quirk, ListSpeaksInLiteralsOrWithRawControls) {
    serve(mailutils());
    store().create(kUser, "Mail");
    Client c = client();
    EXPECT_THAT(c("1 LIST \"\" *"), AllOf(HasSubstr("* LIST () NIL {5}\r\nINBOX\r\n"),
                                          HasSubstr("\"/\" {4}\r\nMail\r\n")));
    serve(exchange());
    store().create(kUser, "a\tb");
    Client d = client();
    EXPECT_THAT(d("1 LIST \"\" *"), HasSubstr("\"/\" a\tb\r\n"));
}

TEST_F(Quirk, UidsMayHaveGaps) {
    serve(carbonio());
    for (int i = 0; i < 20; ++i) deliver("INBOX", kMail);
    EXPECT_GT(store().messages(kUser, "INBOX").back().uid, 20U);
}

TEST_F(Quirk, StatusOfUnknownItems) {
    serve(courier());
    Client c = client();
    EXPECT_EQ(c("1 STATUS INBOX (MESSAGES HIGHESTMODSEQ)"),
              "* STATUS INBOX (MESSAGES 0)\r\n1 OK Status completed.\r\n");
    serve(dovecot());
    Client d = client();
    EXPECT_THAT(d("1 STATUS INBOX (MESSAGES NONSENSE)"), StartsWith("1 BAD"));
}

TEST_F(Quirk, OddNumbersInStatus) {
    Behaviour b = cyrus();
    b.uidnext_zero = true;
    b.negative_counts = true;
    serve(b);
    Client c = client();
    EXPECT_THAT(c("1 STATUS INBOX (MESSAGES UIDNEXT)"), HasSubstr("(MESSAGES -1 UIDNEXT 0)"));
    EXPECT_THAT(c("2 STATUS INBOX (MAILBOXID)"), HasSubstr("MAILBOXID (F"));
    EXPECT_THAT(c("3 STATUS INBOX (UNSEEN MAILBOXID)"), HasSubstr("MAILBOXID (\x01"));
}

// --- FETCH and SEARCH

TEST_F(Quirk, ItemsInOddOrders) {
    Behaviour b = standard();
    b.fetch_uid_last = true;
    serve(b);
    deliver("INBOX", kMail);
    Client c = client();
    c("1 EXAMINE INBOX");
    EXPECT_THAT(c("2 UID FETCH 1 (UID BODY.PEEK[])"), HasSubstr("Text\r\n UID 1)\r\n"));
    serve(cyrus());
    deliver("INBOX", kMail);
    Client d = client();
    d("1 EXAMINE INBOX");
    EXPECT_THAT(d("2 UID FETCH 1 (UID FLAGS)"), StartsWith("* 1 FETCH (FLAGS () UID 1)"));
}

TEST_F(Quirk, YahooSplitsLinesAndShowsOnlyTheNewest) {
    Behaviour b = yahoo();
    b.visible_messages_max = 3;
    serve(b);
    for (int i = 0; i < 5; ++i) deliver("Inbox", kMail);
    Client c = client();
    EXPECT_THAT(c("1 EXAMINE inbox"), HasSubstr("* 3 EXISTS"));
    EXPECT_THAT(c("2 UID FETCH 1:9 (FLAGS)"),
                StartsWith("* 1 FETCH (UID 3)\r\n* 1 FETCH (UID 3 FLAGS ())\r\n"));
    EXPECT_THAT(c("3 UID SEARCH ALL"), StartsWith("* SEARCH 3 4 5 \r\n"));
    EXPECT_THAT(c("4 ENABLE UIDONLY"), StartsWith("* ENABLED UIDONLY"));
    EXPECT_THAT(c("5 EXAMINE Inbox"), HasSubstr("* 5 EXISTS"));
    EXPECT_THAT(c("6 UID FETCH 1:1 (FLAGS)"), StartsWith("* 1 UIDFETCH (FLAGS ())\r\n"));
    EXPECT_THAT(c("7 FETCH 1 (FLAGS)"), StartsWith("7 BAD [UIDREQUIRED]"));
}

TEST_F(Quirk, MessagesThatCannotBeFetched) {
    Behaviour b = exchange();
    b.fetch_missing = {1};
    b.fetch_without_body = {2};
    b.fetch_unavailable = {3};
    serve(b);
    for (int i = 0; i < 4; ++i) deliver("INBOX", kMail);
    Client c = client();
    c("1 EXAMINE INBOX");
    EXPECT_EQ(c("2 UID FETCH 1 (UID)"), "2 OK Fetch completed.\r\n");
    EXPECT_EQ(c("3 UID FETCH 2 BODY.PEEK[]"),
              "* 2 FETCH (UID 2 BODY[])\r\n3 OK Fetch completed.\r\n");
    EXPECT_EQ(c("4 UID FETCH 3:4 (BODY.PEEK[])"), "4 NO [UNAVAILABLE] UID FETCH Server error\r\n");
    EXPECT_THAT(c("5 UID FETCH 4 (RFC822.SIZE BODY.PEEK[])"),
                AllOf(Not(HasSubstr("RFC822.SIZE 43")), HasSubstr("BODY[] {43}")));
}

TEST_F(Quirk, NumbersNobodyExpects) {
    Behaviour b = standard();
    b.modseq_minus_one = true;
    b.sizes_in_exponents = true;
    serve(b);
    deliver("INBOX", std::string(9'373'600, 'x'));
    Client c = client();
    c("1 EXAMINE INBOX");
    EXPECT_THAT(c("2 UID FETCH 1 (MODSEQ RFC822.SIZE)"),
                StartsWith("* 1 FETCH (UID 1 MODSEQ (-1) RFC822.SIZE 9.3736e+06)\r\n"));
}

TEST_F(Quirk, IcloudSearchesAndVanishesWrongly) {
    serve(icloud());
    deliver("INBOX", kMail);
    deliver("INBOX", kMail);
    store().expunge(kUser, "INBOX", 1);
    Client c = client();
    c("1 ENABLE QRESYNC");
    EXPECT_THAT(c("2 EXAMINE INBOX (QRESYNC (1700000000 1))"), HasSubstr("VANISHED (EARLIER) 1,:"));
    EXPECT_THAT(c("3 UID SEARCH ALL"), StartsWith("* SEARCH 1\r\n"));
    EXPECT_THAT(c("4 UID SEARCH UID 1:9"), StartsWith("* SEARCH 2\r\n"));
    EXPECT_THAT(c("5 UID FETCH 2 RFC822"), StartsWith("* 1 FETCH (UID 2 RFC822 \"\")\r\n"));
}

TEST_F(Quirk, ExchangeRefusesKeywordSearchAndTellsCopyuidWithoutOk) {
    serve(exchange());
    store().create(kUser, "B");
    deliver("INBOX", kMail);
    Client c = client();
    c("1 SELECT INBOX");
    EXPECT_EQ(c("2 UID SEARCH KEYWORD x"), "2 BAD Command Argument Error. 11\r\n");
    EXPECT_THAT(c("3 UID COPY 1 B"), StartsWith("* [COPYUID 1700000001 1 1]\r\n3 OK"));
}

TEST_F(Quirk, EveryPresetServesAWholeSession) {
    for (const std::string& name : preset_names()) {
        SCOPED_TRACE(name);
        Behaviour b;
        ASSERT_TRUE(preset(name, b));
        serve(b);
        const std::string box = b.prefix + "Sub";
        Client c = client();
        EXPECT_THAT(c("1 CREATE " + box), HasSubstr("1 OK"));
        EXPECT_EQ(c("2 APPEND " + box + " (\\Seen) \"01-Feb-2020 10:00:00 +0000\" {43}"),
                  "+ OK\r\n");
        EXPECT_THAT(c(kMail), HasSubstr("2 OK"));
        const std::string count = b.pseudo_message ? "* 2 EXISTS" : "* 1 EXISTS";
        EXPECT_THAT(c("3 EXAMINE " + box), HasSubstr(count));
        EXPECT_THAT(c("4 UID FETCH 1:100 (FLAGS BODY.PEEK[])"),
                    AllOf(HasSubstr(kMail), HasSubstr("4 OK")));
        EXPECT_THAT(c("5 LOGOUT"), HasSubstr("5 OK"));
    }
}

}  // namespace
}  // namespace imapult::imapd
