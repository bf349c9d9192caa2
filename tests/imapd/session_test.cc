// The commands a replicator uses, as a client sees them.

#include "imapd/client.h"

namespace imapult::imapd {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Session : public ImapdTest {};

TEST_F(Session, GreetsWithCapabilitiesAndLogsIn) {
    Client c(serve());
    EXPECT_THAT(c.greeting(), StartsWith("* OK [CAPABILITY IMAP4rev1 "));
    EXPECT_EQ(c("1 LIST \"\" *"), "1 BAD Please login first\r\n");
    EXPECT_THAT(c("2 LOGIN user@example.com wrong"), StartsWith("2 NO [AUTHENTICATIONFAILED]"));
    EXPECT_THAT(c("3 LOGIN {16+}\r\nuser@example.com {13+}\r\ncorrect horse"),
                StartsWith("3 OK [CAPABILITY"));
    EXPECT_THAT(c("4 LOGOUT"), AllOf(StartsWith("* BYE"), EndsWith("4 OK Logout completed.\r\n")));
    EXPECT_TRUE(c.connection().wants_close());
}

TEST_F(Session, ListsWithStatusInOneCommand) {
    serve();
    store().create(kUser, "Archive/2024", {.special_use = "\\Archive"});
    deliver("INBOX", kMail);
    Client c = client();
    const std::string out =
        c("1 LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE STATUS (MESSAGES UIDNEXT "
          "SIZE))");
    EXPECT_THAT(out, HasSubstr("* LIST (\\HasChildren) \"/\" Archive\r\n"));
    EXPECT_THAT(
        out, HasSubstr("* LIST (\\HasNoChildren \\Archive \\Subscribed) \"/\" Archive/2024\r\n"));
    EXPECT_THAT(out, HasSubstr("* STATUS INBOX (MESSAGES 1 UIDNEXT 2 SIZE 43)\r\n"));
    EXPECT_THAT(out, EndsWith("1 OK List completed.\r\n"));
}

TEST_F(Session, PatternsStopAtTheSeparator) {
    serve();
    store().create(kUser, "a/b/c");
    Client c = client();
    EXPECT_THAT(c("1 LIST \"\" %"), AllOf(HasSubstr("\"/\" a\r\n"), Not(HasSubstr("a/b"))));
    EXPECT_THAT(c("2 LIST a/ %"), AllOf(HasSubstr("\"/\" a/b\r\n"), Not(HasSubstr("a/b/c"))));
    EXPECT_THAT(c("3 LIST \"\" a*c"), HasSubstr("\"/\" a/b/c\r\n"));
}

TEST_F(Session, CreatesDeletesAndRenames) {
    serve();
    Client c = client();
    EXPECT_THAT(c("1 CREATE Sent (USE (\\Sent))"), StartsWith("1 OK [MAILBOXID (F"));
    EXPECT_THAT(c("2 CREATE sent/x"), StartsWith("2 OK"));
    EXPECT_THAT(c("3 CREATE Sent"), StartsWith("3 NO [ALREADYEXISTS]"));
    EXPECT_THAT(c("4 RENAME sent Gone"), StartsWith("4 OK"));
    EXPECT_THAT(c("5 LIST \"\" Gone*"), HasSubstr("Gone/x"));
    EXPECT_THAT(c("6 DELETE Gone/x"), StartsWith("6 OK"));
    EXPECT_THAT(c("7 DELETE Gone/x"), StartsWith("7 NO [NONEXISTENT]"));
    EXPECT_THAT(c("8 SUBSCRIBE Sent"), StartsWith("8 OK"));
    EXPECT_THAT(c("9 LSUB \"\" *"), HasSubstr("* LSUB () \"/\" Sent\r\n"));
}

TEST_F(Session, RefusesNamesThatAreNotModifiedUtf7) {
    serve();
    Client c = client();
    EXPECT_THAT(c("1 CREATE \"bare&amp\""), StartsWith("1 NO"));
    EXPECT_THAT(c("2 CREATE &AGE-"), StartsWith("2 NO"));
    EXPECT_THAT(c("3 CREATE {2+}\r\n\xC3\xA9"), StartsWith("3 NO"));
    EXPECT_THAT(c("4 CREATE " + encode_mutf7("Entwürfe")), StartsWith("4 OK"));
    EXPECT_THAT(c("5 LIST \"\" E*"), HasSubstr("Entw&APw-rfe\r\n"));
}

TEST_F(Session, ExamineTellsTheStateOfAMailbox) {
    serve();
    deliver("INBOX", kMail, {"\\Seen"});
    deliver("INBOX", kMail, {"$Forwarded"});
    Client c = client();
    const std::string out = c("1 EXAMINE INBOX");
    EXPECT_THAT(out, HasSubstr("* 2 EXISTS\r\n"));
    EXPECT_THAT(out, HasSubstr("* OK [UNSEEN 2]"));
    EXPECT_THAT(out, HasSubstr("* OK [UIDNEXT 3]"));
    EXPECT_THAT(out, HasSubstr("* OK [HIGHESTMODSEQ 3]"));
    EXPECT_THAT(out, HasSubstr("* OK [PERMANENTFLAGS ()]"));
    EXPECT_THAT(out,
                HasSubstr("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded)"));
    EXPECT_THAT(out, EndsWith("1 OK [READ-ONLY] Examine completed.\r\n"));
    EXPECT_THAT(c("2 EXAMINE Nowhere"), StartsWith("2 NO [NONEXISTENT]"));
    EXPECT_EQ(c("3 UID FETCH 1 (UID)"), "3 BAD No mailbox selected\r\n");
}

TEST_F(Session, FetchesScalarsAndBodies) {
    serve();
    deliver("INBOX", kMail, {"\\Seen", "$Forwarded"});
    Client c = client();
    c("1 EXAMINE INBOX");
    EXPECT_EQ(
        c("2 UID FETCH 1:1 (UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ EMAILID)"),
        "* 1 FETCH (UID 1 FLAGS (\\Seen $Forwarded) INTERNALDATE \"14-Nov-2023 23:13:20 +0100\""
        " RFC822.SIZE 43 MODSEQ (2) EMAILID (M1))\r\n2 OK Fetch completed.\r\n");
    EXPECT_EQ(
        c("3 UID FETCH 1 BODY.PEEK[]"),
        "* 1 FETCH (UID 1 BODY[] {43}\r\n" + std::string(kMail) + ")\r\n3 OK Fetch completed.\r\n");
    EXPECT_EQ(c("4 UID FETCH 1 BODY.PEEK[HEADER.FIELDS (FROM DATE)]"),
              "* 1 FETCH (UID 1 BODY[HEADER.FIELDS (FROM DATE)] {23}\r\nFrom: a@example.com\r\n\r\n"
              ")\r\n4 OK Fetch completed.\r\n");
    EXPECT_EQ(c("5 UID FETCH 1 BODY.PEEK[]<37.100>"),
              "* 1 FETCH (UID 1 BODY[]<37> {6}\r\nText\r\n)\r\n5 OK Fetch completed.\r\n");
    EXPECT_EQ(c("6 UID FETCH 5:9 (UID)"), "6 OK Fetch completed.\r\n");
}

TEST_F(Session, OnlyBodyWithoutPeekInASelectedMailboxSetsSeen) {
    serve();
    deliver("INBOX", kMail);
    Client c = client();
    c("1 EXAMINE INBOX");
    c("2 UID FETCH 1 BODY[]");
    EXPECT_FALSE(store().messages(kUser, "INBOX")[0].flags.has("\\Seen"));
    c("3 SELECT INBOX");
    c("4 UID FETCH 1 BODY.PEEK[]");
    EXPECT_FALSE(store().messages(kUser, "INBOX")[0].flags.has("\\Seen"));
    EXPECT_THAT(c("5 UID FETCH 1 BODY[]"), HasSubstr("FLAGS (\\Seen)"));
    EXPECT_TRUE(store().messages(kUser, "INBOX")[0].flags.has("\\Seen"));
}

TEST_F(Session, AppendsWithEveryKindOfLiteral) {
    serve();
    Client c = client();
    EXPECT_EQ(c("1 APPEND INBOX (\\Seen $x) \"01-Feb-2024 10:20:30 +0100\" {5}"), "+ OK\r\n");
    EXPECT_THAT(c("a: b\n"), StartsWith("1 OK [APPENDUID 1700000000 1]"));
    EXPECT_THAT(c("2 APPEND INBOX {5+}\r\na: c\n"), StartsWith("2 OK [APPENDUID 1700000000 2]"));
    EXPECT_THAT(c.raw(std::string("3 APPEND {5+}\r\nINBOX ~{3+}\r\na\0b\r\n", 33)),
                StartsWith("3 OK [APPENDUID 1700000000 3]"));
    const auto all = store().messages(kUser, "INBOX");
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(*all[2].body, std::string("a\0b", 3));
    EXPECT_EQ(*all[0].body, "a: b\n");
    EXPECT_EQ(all[0].flags, (FlagSet{"\\Seen", "$x"}));
    EXPECT_EQ(format_date_time(all[0].date), " 1-Feb-2024 10:20:30 +0100");
    EXPECT_EQ(all[1].date.unix_seconds, clock_.unix_seconds());
}

TEST_F(Session, MultiappendLandsWholeOrNotAtAll) {
    serve();
    Client c = client();
    EXPECT_THAT(c("1 APPEND INBOX (\\Seen) {1+}\r\na (\\Draft) {1+}\r\nb {1+}\r\nc"),
                StartsWith("1 OK [APPENDUID 1700000000 1:3]"));
    EXPECT_EQ(store().messages(kUser, "INBOX").size(), 3U);
    EXPECT_THAT(c("2 APPEND INBOX {1+}\r\na (\\Foo) {1+}\r\nb {1+}\r\nc"), StartsWith("2 BAD"));
    EXPECT_EQ(store().messages(kUser, "INBOX").size(), 3U);
    EXPECT_THAT(c("3 NOOP"), EndsWith("3 OK NOOP completed.\r\n"));
    // The connection goes in the middle of the second message.
    c.raw("4 APPEND INBOX {1+}\r\na {10+}\r\nhalf");
    EXPECT_EQ(store().messages(kUser, "INBOX").size(), 3U);
}

TEST_F(Session, AppendToAMissingMailboxIsRefusedBeforeTheLiteral) {
    serve();
    Client c = client();
    EXPECT_THAT(c("1 APPEND Nowhere {5}"), StartsWith("1 NO [TRYCREATE]"));
    EXPECT_THAT(c("2 APPEND Nowhere {8+}\r\nx LOGOUT"), StartsWith("2 NO [TRYCREATE]"));
    EXPECT_THAT(c("3 NOOP"), StartsWith("3 OK"));
}

TEST_F(Session, AnswersOneByteAtATime) {
    serve();
    Client c = client();
    std::string out;
    for (const char byte :
         std::string("1 APPEND INBOX {4}\r\na: b\r\n2 STATUS INBOX (MESSAGES)\r\n")) {
        out += c.raw(std::string_view(&byte, 1));
    }
    EXPECT_EQ(out,
              "+ OK\r\n1 OK [APPENDUID 1700000000 1] Append completed.\r\n"
              "* STATUS INBOX (MESSAGES 1)\r\n2 OK Status completed.\r\n");
}

}  // namespace
}  // namespace imapult::imapd
