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

}  // namespace
}  // namespace imapult::imap::testing
