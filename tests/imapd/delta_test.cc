// What a replicator learns about changes: CONDSTORE, QRESYNC, SEARCH, STORE, COPY, MOVE, IDLE.

#include "imapd/client.h"

namespace imapult::imapd {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Delta : public ImapdTest {
  protected:
    void serve_five(Behaviour b = standard()) {
        serve(std::move(b));
        for (int i = 0; i < 5; ++i) deliver("INBOX", kMail);
    }
};

TEST_F(Delta, QresyncTellsExpungedAndChangedInTheExamineReply) {
    serve_five();
    Client c = client();
    EXPECT_THAT(c("1 ENABLE QRESYNC"), StartsWith("* ENABLED QRESYNC\r\n"));
    EXPECT_THAT(c("2 EXAMINE INBOX"), HasSubstr("[HIGHESTMODSEQ 6]"));
    store().expunge(kUser, "INBOX", 2);
    store().expunge(kUser, "INBOX", 3);
    store().set_flags(kUser, "INBOX", 4, {"\\Flagged"});
    c("3 UNSELECT");
    const std::string out = c("4 EXAMINE INBOX (QRESYNC (1700000000 6 1:5))");
    EXPECT_THAT(out, HasSubstr("* VANISHED (EARLIER) 2:3\r\n"));
    EXPECT_THAT(out, HasSubstr("* 2 FETCH (UID 4 FLAGS (\\Flagged) MODSEQ (9))\r\n"));
    EXPECT_THAT(out, Not(HasSubstr("* 1 FETCH")));
    // Another UIDVALIDITY: a plain select (RFC 7162, section 3.2.5).
    EXPECT_THAT(c("5 EXAMINE INBOX (QRESYNC (7 6))"),
                AllOf(HasSubstr("* OK [CLOSED]"), Not(HasSubstr("VANISHED")), HasSubstr("5 OK")));
}

TEST_F(Delta, QresyncMustBeEnabledFirst) {
    serve_five();
    Client c = client();
    EXPECT_THAT(c("1 EXAMINE INBOX (QRESYNC (1700000000 6))"), StartsWith("1 BAD"));
    store().set_behaviour(standard().hide("QRESYNC"));
    EXPECT_THAT(c("2 ENABLE QRESYNC"), StartsWith("* ENABLED\r\n"));
}

TEST_F(Delta, ChangedSinceReturnsOnlyWhatChanged) {
    serve_five();
    Client c = client();
    c("1 EXAMINE INBOX (CONDSTORE)");
    store().set_flags(kUser, "INBOX", 5, {"\\Seen"});
    EXPECT_THAT(c("2 UID FETCH 1:5 (FLAGS) (CHANGEDSINCE 6)"),
                StartsWith("* 5 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (7))\r\n"));
    EXPECT_EQ(c("3 UID FETCH 1:5 (FLAGS) (CHANGEDSINCE 7)"), "3 OK Fetch completed.\r\n");
    EXPECT_THAT(c("4 UID FETCH 1:5 (FLAGS) (CHANGEDSINCE 0)"), StartsWith("4 BAD"));
}

TEST_F(Delta, FetchVanishedNeedsQresync) {
    serve_five();
    Client c = client();
    c("1 EXAMINE INBOX");
    EXPECT_THAT(c("2 UID FETCH 1:5 (FLAGS) (CHANGEDSINCE 1 VANISHED)"), StartsWith("2 BAD"));
    c("3 ENABLE QRESYNC");
    store().expunge(kUser, "INBOX", 1);
    EXPECT_THAT(c("4 UID FETCH 1:5 (FLAGS) (CHANGEDSINCE 6 VANISHED)"),
                StartsWith("* VANISHED (EARLIER) 1\r\n"));
}

TEST_F(Delta, ExpungesOfOthersAreHeldBackWhileNumbersAreInUse) {
    serve_five();
    Client c = client();
    c("1 SELECT INBOX");
    store().expunge(kUser, "INBOX", 1);
    deliver("INBOX", kMail);
    EXPECT_THAT(c("2 FETCH 2 (UID)"), AllOf(HasSubstr("* 2 FETCH (UID 2)"), HasSubstr("* 6 EXISTS"),
                                            Not(HasSubstr("EXPUNGE"))));
    EXPECT_THAT(c("3 NOOP"), StartsWith("* 1 EXPUNGE\r\n"));
    EXPECT_THAT(c("4 FETCH 1:* (UID)"), HasSubstr("* 5 FETCH (UID 6)"));
}

TEST_F(Delta, IdleTellsWhatOthersDo) {
    serve_five();
    Client c = client();
    bool woken = false;
    const auto token = store().watch([&woken] { woken = true; });
    c("1 SELECT INBOX");
    EXPECT_EQ(c("2 IDLE"), "+ idling\r\n");
    deliver("INBOX", kMail);
    EXPECT_TRUE(woken);
    EXPECT_FALSE(c.connection().has_output());
    c.connection().poll();
    EXPECT_EQ(c.connection().take_output(), "* 6 EXISTS\r\n* 0 RECENT\r\n");
    store().set_flags(kUser, "INBOX", 1, {"\\Seen"});
    c.connection().poll();
    EXPECT_EQ(c.connection().take_output(), "* 1 FETCH (FLAGS (\\Seen))\r\n");
    EXPECT_EQ(c("DONE"), "2 OK IDLE completed.\r\n");
}

TEST_F(Delta, NotifyTellsWhatOthersDoAnywhere) {
    serve_five();
    store().create(kUser, "Work");
    Client c = client();
    const auto told = [&c] {
        c.connection().poll();
        return c.connection().take_output();
    };
    EXPECT_THAT(c("1 NOTIFY SET (personal (MessageNew MessageExpunge FlagChange MailboxName))"),
                StartsWith("1 OK"));
    EXPECT_EQ(told(), "");
    deliver("Work", kMail);
    EXPECT_THAT(told(), StartsWith("* STATUS Work (MESSAGES 1 UIDNEXT 2 UIDVALIDITY "));
    EXPECT_EQ(told(), "");
    store().set_flags(kUser, "Work", 1, {"\\Seen"});
    EXPECT_THAT(told(), StartsWith("* STATUS Work "));
    store().rename(kUser, "Work", "Play");
    EXPECT_THAT(told(), AllOf(HasSubstr("* LIST () \"/\" Play\r\n"),
                              HasSubstr("* LIST (\\NonExistent) \"/\" Work\r\n")));
    // What happens while a command runs comes behind its end.
    c("2 STATUS {5}");
    deliver("INBOX", kMail);
    EXPECT_EQ(told(), "");
    EXPECT_THAT(c("INBOX (UNSEEN)"),
                HasSubstr("2 OK Status completed.\r\n* STATUS INBOX (MESSAGES 6 "));
    EXPECT_THAT(c("3 NOTIFY NONE"), StartsWith("3 OK"));
    deliver("INBOX", kMail);
    EXPECT_EQ(told(), "");
    EXPECT_THAT(c("4 NOTIFY SET"), StartsWith("4 BAD"));
}

TEST_F(Delta, StoresFlags) {
    serve_five();
    Client c = client();
    c("1 SELECT INBOX");
    EXPECT_EQ(c("2 UID STORE 1:2 +FLAGS.SILENT (\\Seen $x)"), "2 OK Store completed.\r\n");
    EXPECT_EQ(c("3 UID STORE 2 FLAGS (\\Flagged)"),
              "* 2 FETCH (UID 2 FLAGS (\\Flagged))\r\n3 OK Store completed.\r\n");
    EXPECT_EQ(c("4 STORE 1 -FLAGS ($x)"),
              "* 1 FETCH (FLAGS (\\Seen))\r\n4 OK Store completed.\r\n");
    EXPECT_THAT(c("5 UID STORE 1:5 (UNCHANGEDSINCE 6) +FLAGS.SILENT (\\Draft)"),
                HasSubstr("5 OK [MODIFIED 1:2]"));
    c("6 EXAMINE INBOX");
    EXPECT_THAT(c("7 UID STORE 1 +FLAGS (\\Seen)"), StartsWith("7 NO [READ-ONLY]"));
}

TEST_F(Delta, SearchesByFlagDateSizeAndHeader) {
    serve();
    deliver("INBOX", kMail, {"\\Seen"});
    deliver("INBOX", "Subject: big\r\n\r\n" + std::string(5000, 'x'), {"$x"});
    store().add_message(kUser, "INBOX", kMail, {"\\Flagged"},
                        parse_date_time("01-Jan-2020 00:00:00 +0000"));
    Client c = client();
    c("1 EXAMINE INBOX");
    const auto found = [&c](const std::string& keys) {
        const std::string out = c("s UID SEARCH " + keys);
        return out.substr(0, out.find("\r\n"));
    };
    EXPECT_EQ(found("ALL"), "* SEARCH 1 2 3");
    EXPECT_EQ(found("UID 2:*"), "* SEARCH 2 3");
    EXPECT_EQ(found("UNSEEN"), "* SEARCH 2 3");
    EXPECT_EQ(found("KEYWORD $X"), "* SEARCH 2");
    EXPECT_EQ(found("NOT FLAGGED"), "* SEARCH 1 2");
    EXPECT_EQ(found("OR SEEN FLAGGED"), "* SEARCH 1 3");
    EXPECT_EQ(found("(UNSEEN UNFLAGGED)"), "* SEARCH 2");
    EXPECT_EQ(found("LARGER 1000"), "* SEARCH 2");
    EXPECT_EQ(found("BEFORE 2-Jan-2020"), "* SEARCH 3");
    EXPECT_EQ(found("SINCE 14-Nov-2023 BEFORE 15-Nov-2023"), "* SEARCH 1 2");
    EXPECT_EQ(found("HEADER Subject BIG"), "* SEARCH 2");
    EXPECT_EQ(found("FROM a@example"), "* SEARCH 1 3");
    EXPECT_EQ(found("MODSEQ 4"), "* SEARCH 3 (MODSEQ 4)");
    EXPECT_EQ(found("NONSENSE"), "s BAD Invalid search key");
    EXPECT_EQ(found("RETURN (ALL COUNT) ALL"), "* ESEARCH (TAG \"s\") UID ALL 1:3 COUNT 3");
    EXPECT_EQ(found("RETURN (SAVE) UNSEEN"), "s OK Search completed.");
    EXPECT_THAT(c("f UID FETCH $ (UID)"),
                AllOf(HasSubstr("UID 2"), HasSubstr("UID 3"), Not(HasSubstr("UID 1"))));
}

TEST_F(Delta, CopiesAndMovesWithTheirUids) {
    serve_five();
    store().create(kUser, "B");
    Client c = client();
    c("1 SELECT INBOX");
    EXPECT_THAT(c("2 UID COPY 1,3 B"), StartsWith("2 OK [COPYUID 1700000001 1,3 1:2]"));
    EXPECT_EQ(
        c("3 UID MOVE 5 B"),
        "* OK [COPYUID 1700000001 5 3] Moved UIDs.\r\n* 5 EXPUNGE\r\n3 OK Move completed.\r\n");
    EXPECT_THAT(c("4 UID COPY 1 Nowhere"), StartsWith("4 NO [TRYCREATE]"));
    EXPECT_EQ(store().messages(kUser, "B").size(), 3U);
    EXPECT_EQ(store().messages(kUser, "INBOX").size(), 4U);
    // The same content keeps its identity.
    EXPECT_EQ(store().messages(kUser, "B")[0].object, store().messages(kUser, "INBOX")[0].object);
}

TEST_F(Delta, UidExpungeTakesOnlyTheNamedOnes) {
    serve_five();
    Client c = client();
    c("1 SELECT INBOX");
    c("2 UID STORE 1:3 +FLAGS.SILENT (\\Deleted)");
    EXPECT_EQ(c("3 UID EXPUNGE 2:9"), "* 2 EXPUNGE\r\n* 2 EXPUNGE\r\n3 OK Expunge completed.\r\n");
    EXPECT_EQ(store().messages(kUser, "INBOX").size(), 3U);
    EXPECT_EQ(c("4 CLOSE"), "4 OK Close completed.\r\n");
    EXPECT_EQ(store().messages(kUser, "INBOX").size(), 2U);
}

TEST_F(Delta, ClosingAnExaminedMailboxExpungesNothing) {
    serve_five();
    store().set_flags(kUser, "INBOX", 1, {"\\Deleted"});
    Client c = client();
    c("1 EXAMINE INBOX");
    c("2 CLOSE");
    EXPECT_EQ(store().messages(kUser, "INBOX").size(), 5U);
}

TEST_F(Delta, RangesBeyondTheEndGiveTheLastMessageOnlyWithAStar) {
    serve_five();
    Client c = client();
    c("1 EXAMINE INBOX");
    EXPECT_THAT(c("2 UID FETCH 999:* (UID)"), StartsWith("* 5 FETCH (UID 5)\r\n"));
    EXPECT_EQ(c("3 UID FETCH 999:1000 (UID)"), "3 OK Fetch completed.\r\n");
    EXPECT_THAT(c("4 FETCH 6 (UID)"), StartsWith("4 BAD"));
}

TEST_F(Delta, QuotaAndRights) {
    serve_five();
    store().set_quota(kUser, 1024 * 1024);
    store().set_acl(kUser, "INBOX", "other@example.com", "lr");
    Client c = client();
    EXPECT_THAT(c("1 GETQUOTAROOT INBOX"),
                AllOf(HasSubstr("* QUOTAROOT INBOX \"User quota\"\r\n"),
                      HasSubstr("* QUOTA \"User quota\" (STORAGE 0 1024)\r\n")));
    EXPECT_THAT(c("2 GETACL INBOX"), HasSubstr(" other@example.com lr\r\n"));
    EXPECT_THAT(c("3 MYRIGHTS INBOX"), StartsWith("* MYRIGHTS INBOX lrs"));
}

TEST_F(Delta, SnapshotsGoBackInTime) {
    serve_five();
    const Snapshot before = store().snapshot();
    deliver("INBOX", kMail);
    store().create(kUser, "New");
    store().restore(before);
    EXPECT_EQ(store().messages(kUser, "INBOX").size(), 5U);
    EXPECT_FALSE(store().mailbox(kUser, "New"));
    deliver("INBOX", kMail);
    store().restore(before);
    EXPECT_EQ(store().messages(kUser, "INBOX").size(), 5U);
}

TEST_F(Delta, ResetUidvalidityGivesNewUids) {
    serve_five();
    store().expunge(kUser, "INBOX", 1);
    const auto old = store().mailbox(kUser, "INBOX")->uidvalidity;
    ASSERT_TRUE(store().reset_uidvalidity(kUser, "INBOX"));
    EXPECT_NE(store().mailbox(kUser, "INBOX")->uidvalidity, old);
    EXPECT_EQ(store().messages(kUser, "INBOX")[0].uid, 1U);
    EXPECT_EQ(store().messages(kUser, "INBOX").size(), 4U);
}

}  // namespace
}  // namespace imapult::imapd
