// Every quirk that the parser tolerates, one test each, named after it (protocol of real servers
// that do it in the comment beside it).
#include <gmock/gmock.h>

#include <algorithm>

#include "imap/every_split.h"

namespace imapult::imap::testing {
namespace {

using ::testing::ElementsAre;
using namespace std::string_view_literals;

/// Parses and checks that exactly this quirk was counted, `count` times, and no other.
std::vector<std::string> lines_with(Quirk quirk, std::string_view bytes, std::uint64_t count = 1) {
    const Seen seen = parse_at_every_split(bytes);
    for (std::size_t i = 0; i < seen.quirks.size(); ++i) {
        const auto other = static_cast<Quirk>(i);
        EXPECT_EQ(seen.quirks[i], other == quirk ? count : 0) << name_of(other);
    }
    return seen.lines;
}

TEST(Quirk, untagged_bracket) {  // Exchange
    EXPECT_THAT(lines_with(Quirk::untagged_bracket, "* [COPYUID 7 1:2 5:6] done\r\n"),
                ElementsAre("status OK [COPYUID] args=<7 1:2 5:6> numbers=(7) "
                            "source=<1:2> set=<5:6> text=<done>"));
}

TEST(Quirk, capability_with_space) {  // home.pl
    EXPECT_THAT(
        lines_with(Quirk::capability_with_space, "* CAPABILITY IMAP4rev1 LITERAL + UIDPLUS\r\n"),
        ElementsAre("capabilities words=(IMAP4rev1 LITERAL+ UIDPLUS)"));
}

TEST(Quirk, exponent_number) {  // mail.ru; sizes and counts, never UIDs
    EXPECT_THAT(
        lines_with(Quirk::exponent_number,
                   "* 1 FETCH (UID 7 RFC822.SIZE 9.3736e+06)\r\n"
                   "* STATUS a (SIZE 1e3 UIDNEXT 1e3 MESSAGES 2)\r\n",
                   2),
        ElementsAre("fetch seq=1 uid=7 size=9373600", "status-data name=<a> messages=2 size=1000"));
}

TEST(Quirk, negative_number) {  // counts below zero are no counts
    EXPECT_THAT(lines_with(Quirk::negative_number,
                           "* STATUS a (MESSAGES -1 UNSEEN -3 UIDNEXT 4)\r\n* -1 EXISTS\r\n", 3),
                ElementsAre("status-data name=<a> uidnext=4", "unknown line=<-1 EXISTS>"));
}

TEST(Quirk, uid_next_zero) {
    EXPECT_THAT(lines_with(Quirk::uid_next_zero,
                           "* STATUS a (UIDNEXT 0 UIDVALIDITY 0)\r\n* OK [UIDNEXT 0] next\r\n", 2),
                ElementsAre("status-data name=<a> uidvalidity=0",
                            "status OK [UIDNEXT] args=<0> text=<next>"));
}

TEST(Quirk, garbage_mailbox_id) {  // Cyrus 3.6: freed memory
    EXPECT_THAT(lines_with(Quirk::garbage_mailbox_id,
                           "* STATUS a (MAILBOXID (\x01\xff x) MESSAGES 3)\r\n"
                           "* OK [MAILBOXID (\x02)] ok\r\n",
                           2),
                ElementsAre("status-data name=<a> messages=3",
                            "status OK [MAILBOXID] args=<(\\x02)> text=<ok>"));
}

TEST(Quirk, invalid_modseq) {  // Zoho
    EXPECT_THAT(
        lines_with(Quirk::invalid_modseq,
                   "* 1 FETCH (MODSEQ (-1) UID 2)\r\n* STATUS a (HIGHESTMODSEQ -1)\r\n"
                   "* OK [HIGHESTMODSEQ -1] x\r\n* 1 FETCH (MODSEQ (99999999999999999999))\r\n",
                   4),
        ElementsAre("fetch seq=1 uid=2", "status-data name=<a>",
                    "status OK [HIGHESTMODSEQ] args=<-1> text=<x>", "fetch seq=1"));
}

TEST(Quirk, short_literal) {  // Domino: the last CRLF of the body is not counted
    EXPECT_THAT(lines_with(Quirk::short_literal,
                           "* 1 FETCH (UID 2 BODY[] {4}\r\nabcd\r\n)\r\n* 2 EXISTS\r\n"),
                ElementsAre("body seq=1 uid=2 bytes=4", "octets abcd", "fetch seq=1 uid=2 body=4",
                            "exists n=2"));
}

TEST(Quirk, body_without_value) {  // Yandex
    EXPECT_THAT(lines_with(Quirk::body_without_value,
                           "* 1 FETCH (UID 2 BODY[])\r\n* 2 FETCH (UID 3 BODY[] )\r\n", 2),
                ElementsAre("fetch seq=1 uid=2 body-nil", "fetch seq=2 uid=3 body-nil"));
}

TEST(Quirk, leading_nul) {
    EXPECT_THAT(lines_with(Quirk::leading_nul, "\0\0* 2 EXISTS\r\n\0a1 OK x\r\n"sv, 2),
                ElementsAre("exists n=2", "status tag=<a1> OK text=<x>"));
}

TEST(Quirk, unquoted_list_name) {  // Exchange: tab, spaces; others: quotes inside quotes
    EXPECT_THAT(lines_with(Quirk::unquoted_list_name,
                           "* LIST (\\A) \"/\" a\tb c\r\n"
                           "* LIST () \"/\" \"a \"b\" c\"\r\n"
                           "* STATUS a b (MESSAGES 1)\r\n",
                           3),
                ElementsAre("list attributes=(\\\\A) separator=</> name=<a\\x09b c>",
                            "list attributes=() separator=</> name=<a \"b\" c>",
                            "status-data name=<a b> messages=1"));
}

TEST(Quirk, bad_vanished) {  // iCloud
    EXPECT_THAT(
        lines_with(Quirk::bad_vanished,
                   "* VANISHED (EARLIER) \r\n* VANISHED\r\n* VANISHED 1:3,x\r\n", 3),
        ElementsAre("vanished earlier broken", "vanished broken", "vanished broken set=<1:3,x>"));
}

TEST(Quirk, trailing_space) {  // Yahoo
    EXPECT_THAT(lines_with(Quirk::trailing_space, "* SEARCH 7456 \r\n* LIST () \".\" a \r\n", 2),
                ElementsAre("search numbers=(7456)", "list attributes=() separator=<.> name=<a>"));
}

TEST(Quirk, bare_lf) {
    EXPECT_THAT(lines_with(Quirk::bare_lf, "* 1 EXISTS\n* 1 FETCH (UID 2 BODY[] {1}\nx)\n", 3),
                ElementsAre("exists n=1", "body seq=1 uid=2 bytes=1", "octets x",
                            "fetch seq=1 uid=2 body=1"));
}

TEST(Quirk, garbled_date) {
    EXPECT_THAT(lines_with(Quirk::garbled_date,
                           "* 1 FETCH (INTERNALDATE \"30-Feb-2001 00:00:00 +0000\" UID 1)\r\n"
                           "* 2 FETCH (INTERNALDATE \"\" UID 2)\r\n"
                           "* 3 FETCH (INTERNALDATE NIL UID 3)\r\n",
                           3),
                ElementsAre("fetch seq=1 uid=1", "fetch seq=2 uid=2", "fetch seq=3 uid=3"));
}

TEST(Quirk, empty_copyuid) {  // Exchange
    EXPECT_THAT(lines_with(Quirk::empty_copyuid, "a OK [COPYUID 14  ] done\r\n"),
                ElementsAre("status tag=<a> OK [COPYUID] args=<14  > numbers=(14) "
                            "text=<done>"));
}

TEST(Quirk, server_line_without_tag) {  // Exchange: quota or transport at APPEND
    EXPECT_THAT(lines_with(Quirk::server_line_without_tag, "Server Unavailable. 15\r\n"),
                ElementsAre("status BAD [UNAVAILABLE] text=<Server Unavailable. 15>"));
}

TEST(Quirk, EveryQuirkHasANameOfItsOwn) {
    std::vector<std::string_view> names;
    for (std::size_t i = 0; i < static_cast<std::size_t>(Quirk::count_); ++i) {
        names.push_back(name_of(static_cast<Quirk>(i)));
    }
    EXPECT_THAT(names, ::testing::Not(::testing::Contains("unknown")));
    std::ranges::sort(names);
    EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

}  // namespace
}  // namespace imapult::imap::testing
