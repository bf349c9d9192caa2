// FETCH: bodies stream out, items come in any order, hostile ones end the connection.
#include <gmock/gmock.h>

#include "engine/base/limits.h"
#include "imap/every_split.h"

namespace imapult::imap::testing {
namespace {

using ::testing::ElementsAre;
using namespace std::string_view_literals;

TEST(Fetch, BodyLiteralStreamsOutBeforeTheItemsBehindIt) {
    const Seen seen = parse_at_every_split(
        "* 12 FETCH (UID 5 BODY[] {11}\r\nFrom: a\r\n\r\n FLAGS (\\Seen $Done) RFC822.SIZE 11)\r\n"
        "a1 OK done\r\n");
    EXPECT_THAT(seen.lines,
                ElementsAre("body seq=12 uid=5 bytes=11", "octets From: a\\x0d\\x0a\\x0d\\x0a",
                            "fetch seq=12 uid=5 flags=(\\\\Seen $Done) size=11 body=11",
                            "status tag=<a1> OK text=<done>"));
}

TEST(Fetch, UidMayComeBehindTheBody) {
    const Seen seen = parse_at_every_split("* 1 FETCH (FLAGS () BODY[] {3}\r\nabc UID 77)\r\n");
    EXPECT_THAT(seen.lines, ElementsAre("body seq=1 bytes=3", "octets abc",
                                        "fetch seq=1 uid=77 flags=() body=3"));
}

TEST(Fetch, SeveralSectionsInOneResponse) {
    const Seen seen = parse_at_every_split(
        "* 3 FETCH (BODY[HEADER.FIELDS (DATE FROM)] {4}\r\nD: 1 BODY[1]<10> {0}\r\n BODY[TEXT] "
        "\"t\\\"x\" UID 9 BINARY[2] ~{2}\r\n\0\n)\r\n"
        ""sv);
    EXPECT_THAT(seen.lines, ElementsAre("body seq=3 section=<HEADER.FIELDS (DATE FROM)> bytes=4",
                                        "octets D: 1", "body seq=3 section=<1> origin=10 bytes=0",
                                        "octets ", "body seq=3 section=<TEXT> bytes=3",
                                        "octets t\"x", "body seq=3 uid=9 section=<2> bytes=2",
                                        "octets \\x00\\x0a", "fetch seq=3 uid=9 body=9"));
}

struct Case {
    std::string_view bytes;
    std::vector<std::string_view> lines;
};

void check(const std::vector<Case>& table) {
    for (const Case& row : table) {
        EXPECT_THAT(parse_at_every_split(row.bytes).lines, ::testing::ElementsAreArray(row.lines))
            << show(row.bytes);
    }
}

TEST(Fetch, Items) {
    check({
        {"* 12 FETCH (FLAGS (\\Seen) UID 4827313 MODSEQ (624140003))\r\n",
         {"fetch seq=12 uid=4827313 flags=(\\\\Seen) modseq=624140003"}},
        {"* 1 FETCH (INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4286)\r\n",
         {"fetch seq=1 date=837596665 zone=-420 size=4286"}},
        {"* 1 FETCH (EMAILID (M6d99ac3275bb4e) THREADID (T64b478a75b7ea9) UID 1)\r\n",
         {"fetch seq=1 uid=1 emailid=<M6d99ac3275bb4e> threadid=<T64b478a75b7ea9>"}},
        {"* 1 FETCH (THREADID NIL DIGEST.SHA1 0beec7b5 UID 1)\r\n",
         {"fetch seq=1 uid=1 sha1=<0beec7b5>"}},
        {"* 1 FETCH (X-GM-THRID 1266894439832287888 X-GM-MSGID 18446744073709551615 X-GM-LABELS "
         "(\"\\\\Inbox\" a \"b c\" {3}\r\nd\"e) UID 7)\r\n",
         {"fetch seq=1 uid=7 gm-msgid=18446744073709551615 gm-thrid=1266894439832287888 "
          "labels=(\\\\Inbox a b c d\"e)"}},
        {"* 25 UIDFETCH (FLAGS () MODSEQ (65402))\r\n", {"fetch uid=25 flags=() modseq=65402"}},
        {"* 25 UIDFETCH (BODY[] {2}\r\nab)\r\n",
         {"body uid=25 bytes=2", "octets ab", "fetch uid=25 body=2"}},
        {"* 1 fetch (uid 5 flags (\\SEEN) body[] {1}\r\nx)\r\n",
         {"body seq=1 uid=5 bytes=1", "octets x", "fetch seq=1 uid=5 flags=(\\\\SEEN) body=1"}},
        {"* 1 FETCH (UID 99999999999 RFC822.SIZE 99999999999999999999999)\r\n", {"fetch seq=1"}},
        {"* 1 FETCH (UID 0)\r\n", {"fetch seq=1"}},
        {"* 1 FETCH (FLAGS () FLAGS (b) UID 1 UID 2)\r\n", {"fetch seq=1 uid=2 flags=(b)"}},
        {"* 1 FETCH ()\r\n", {"fetch seq=1"}},
    });
}

TEST(Fetch, UnknownItemsAreSkipped) {
    check({{"* 1 FETCH (ENVELOPE (\"Mon\" {5}\r\na\"b)c ((NIL NIL \"x\" \"y)\")) NIL) X-NEW [a] "
            "BODYSTRUCTURE ((\"TEXT\" (\"a\" \"b\"))) BODY (\"A\" {1}\r\n)) UID 5)\r\n",
            {"fetch seq=1 uid=5"}},
           {"* 1 FETCH (ENVELOPE ({2}\r\n\r\n) BODY[] {2}\r\nab UID 6)\r\n",
            {"body seq=1 bytes=2", "octets ab", "fetch seq=1 uid=6 body=2"}}});
}

TEST(Fetch, BodyForms) {
    check({
        {"* 1 FETCH (BODY[] NIL UID 2)\r\n", {"fetch seq=1 uid=2 body-nil"}},
        {"* 1 FETCH (BODY[] \"\" UID 2)\r\n",
         {"body seq=1 bytes=0", "octets ", "fetch seq=1 uid=2 body=0"}},
        {"* 1 FETCH (RFC822 {1}\r\nx RFC822.HEADER {1}\r\ny RFC822.TEXT {1}\r\nz)\r\n",
         {"body seq=1 bytes=1", "octets x", "body seq=1 section=<HEADER> bytes=1", "octets y",
          "body seq=1 section=<TEXT> bytes=1", "octets z", "fetch seq=1 body=3"}},
        {"* 1 FETCH (BODY[] {1+}\r\nx)\r\n",
         {"body seq=1 bytes=1", "octets x", "fetch seq=1 body=1"}},
        {"* 1 FETCH (BODY[]{1}\r\nx)\r\n",
         {"body seq=1 bytes=1", "octets x", "fetch seq=1 body=1"}},
        {"* 1 FETCH (BODY[HEADER.FIELDS (\"DATE\" {4}\r\nFROM)] {1}\r\nx)\r\n",
         {"body seq=1 section=<HEADER.FIELDS (\"DATE\" {4}\\x0d\\x0aFROM)> bytes=1", "octets x",
          "fetch seq=1 body=1"}},
    });
}

TEST(Fetch, OctetsOfAMessageAreNeverResponses) {
    const std::string_view mail = ")\r\na1 OK x\r\n* 1 FETCH (BODY[] {9}\r\n+ x {3}\r\n";
    const std::string bytes = "* 1 FETCH (BODY[] {" + std::to_string(mail.size()) + "}\r\n" +
                              std::string(mail) + ")\r\na2 OK done\r\n";
    EXPECT_THAT(
        parse_at_every_split(bytes).lines,
        ElementsAre("body seq=1 bytes=" + std::to_string(mail.size()), "octets " + show(mail),
                    "fetch seq=1 body=" + std::to_string(mail.size()),
                    "status tag=<a2> OK text=<done>"));
}

TEST(Fetch, ValuesBeforeALongBodyAreKept) {
    // More than one feed lies between the flags and the end of the response.
    ResponseParser parser;
    EventLog log;
    ASSERT_TRUE(log.feed(parser,
                         "* 1 FETCH (FLAGS (\\Seen averylongkeywordthatisnotinplace) EMAILID "
                         "(M1) X-GM-LABELS (\"a\\\"b\") BODY[] {200000}\r\n"));
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(log.feed(parser, std::string(1000, 'x')));
    ASSERT_TRUE(log.feed(parser, " BODY[1] {3}\r\n"));
    ASSERT_TRUE(log.feed(parser, "abc"));
    ASSERT_TRUE(log.feed(parser, " UID 4)\r\n"));
    EXPECT_EQ(log.lines.back(),
              "fetch seq=1 uid=4 flags=(\\\\Seen averylongkeywordthatisnotinplace) emailid=<M1> "
              "labels=(a\"b) body=200003");
}

TEST(Fetch, BodyOctetsAreTheFedBytesThemselves) {
    const std::string bytes = "* 1 FETCH (BODY[] {5}\r\nhello)\r\n";
    ResponseParser parser;
    parser.feed(bytes);
    ASSERT_TRUE(parser.next());
    const Result<Event> chunk = parser.next();
    ASSERT_TRUE(chunk && std::holds_alternative<BodyChunk>(*chunk));
    EXPECT_EQ(std::get<BodyChunk>(*chunk).bytes.data(), bytes.data() + bytes.find("hello"));
}

TEST(Fetch, MalformedWithoutBodyIsSkipped) {
    check({{"* 1 FETCH (UID 5 FLAGS (a\r\n* 2 EXISTS\r\n",
            {"unknown line=<1 FETCH (UID 5 FLAGS (a>", "exists n=2"}},
           {"* 1 FETCH UID 5\r\n", {"unknown line=<1 FETCH UID 5>"}},
           {"* 0 FETCH (UID 5)\r\n", {"unknown line=<0 FETCH (UID 5)>"}},
           {"* 1 FETCH (UID 5\r\n", {"unknown line=<1 FETCH (UID 5>"}},
           {"* 1 FETCH (BODY[] atom)\r\n", {"unknown line=<1 FETCH (BODY[] atom)>"}}});
}

TEST(Fetch, MalformedWithBodyEndsTheConnection) {
    for (const std::string_view bytes : {
             "* 1 FETCH (FLAGS (a BODY[] {3}\r\nabc)\r\n"sv,      // collected, then no `)`
             "* 1 FETCH (X-A \"b BODY[] {3}\r\nabc)\r\n"sv,       // literal inside a string
             "* 1 FETCH (BODY[] {3}\r\nabcdef)\r\n"sv,            // more octets than announced
             "* 1 FETCH (BODY[] {3}\r\nabc\r\n* 2 EXISTS\r\n"sv,  // no `)` at all
             "* 0 FETCH (BODY[] {3}\r\nabc)\r\n"sv,               // no such message
             "* 99999999999 FETCH (BODY[] {3}\r\nabc)\r\n"sv,
             "* 1 FETCH (X[] {3}\r\nabc)\r\n"sv,  // no body anybody knows
             "* 1 FETCH (BODY[] {3}\r\nabc) BODY[] {2}\r\nab)\r\n"sv,
         }) {
        const Seen seen = parse_at_every_split(bytes);
        ASSERT_FALSE(seen.lines.empty()) << show(bytes);
        const std::string& last = seen.lines.back();
        EXPECT_TRUE(last.starts_with("error: ") || last.starts_with("unknown "))
            << show(bytes) << last;
    }
}

TEST(Fetch, AfterAnErrorNothingMoreIsRead) {
    ResponseParser parser;
    parser.feed("* 1 FETCH (BODY[] {1}\r\nxy)\r\n* 2 EXISTS\r\n");
    ASSERT_TRUE(parser.next());
    ASSERT_TRUE(parser.next());
    const auto error = parser.next();
    ASSERT_FALSE(error);
    EXPECT_EQ(error.error().code, Code::protocol);
    EXPECT_EQ(error.error().scope, Scope::connection);
    EXPECT_FALSE(parser.next());
}

}  // namespace
}  // namespace imapult::imap::testing
