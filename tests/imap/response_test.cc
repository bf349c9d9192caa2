// Tables: every response the replicator reads, whole, one byte at a time, and cut everywhere.
#include <gmock/gmock.h>

#include "imap/every_split.h"

namespace imapult::imap::testing {
namespace {

using ::testing::ElementsAreArray;
using namespace std::string_view_literals;

struct Case {
    std::string_view bytes;
    std::vector<std::string_view> lines;
};

void check(const std::vector<Case>& table) {
    for (const Case& row : table) {
        EXPECT_THAT(parse_at_every_split(row.bytes).lines, ElementsAreArray(row.lines))
            << show(row.bytes);
    }
}

TEST(Response, Incomplete) {
    for (const std::string_view bytes :
         {""sv, "*"sv, "* OK"sv, "* 1 FETCH (UID"sv, "* LIST () \"/\" {5}\r\nab"sv,
          "a1 OK done\r"sv, "* 1 FETCH (ENVELOPE ({3}\r\nabc"sv, "+ "sv}) {
        EXPECT_TRUE(parse_at_every_split(bytes).lines.empty()) << show(bytes);
    }
    check({{"* 1 FETCH (BODY[] {5}\r\nab", {"body seq=1 bytes=5", "octets ab …"}},
           {"* 1 FETCH (BODY[] {2}\r\nab UID 3", {"body seq=1 bytes=2", "octets ab"}}});
}

TEST(Response, Status) {
    check({
        {"* OK ready\r\n", {"status OK text=<ready>"}},
        {"* PREAUTH [CAPABILITY IMAP4rev1 ID] hi\r\n",
         {"status PREAUTH [CAPABILITY] args=<IMAP4rev1 ID> words=(IMAP4rev1 ID) text=<hi>"}},
        {"* BYE\r\n", {"status BYE"}},
        {"a1 ok\r\n", {"status tag=<a1> OK"}},
        {"A.1-x NO  [OVERQUOTA]  full\r\n", {"status tag=<A.1-x> NO [OVERQUOTA] text=<full>"}},
        {"a BAD [clientbug] x\r\n", {"status tag=<a> BAD [CLIENTBUG] text=<x>"}},
        {"a OK [X-OTHER 1 (2)] x\r\n",
         {"status tag=<a> OK [other] name=<X-OTHER> args=<1 (2)> "
          "text=<x>"}},
        // A literal's mark in human text is text.
        {"* OK see {5}\r\n* 1 EXISTS\r\n", {"status OK text=<see {5}>", "exists n=1"}},
        {"a1 NO text {5}\r\n+ {3}\r\n",
         {"status tag=<a1> NO text=<text {5}>", "continuation text=<{3}>"}},
        {"* OK [no end\r\n", {"status OK text=<[no end>"}},
        {"a OK []\r\n", {"status tag=<a> OK [other]"}},
        {"* BYE x\r\n* BYE x\r\n", {"status BYE text=<x>", "status BYE text=<x>"}},
    });
}

TEST(Response, StatusCodes) {
    check({
        {"* OK [UIDVALIDITY 3857529045] v\r\n",
         {"status OK [UIDVALIDITY] args=<3857529045> numbers=(3857529045) text=<v>"}},
        {"* OK [UIDVALIDITY 99999999999] v\r\n",
         {"status OK [UIDVALIDITY] args=<99999999999> text=<v>"}},
        {"* OK [UIDNEXT 4392] n\r\n", {"status OK [UIDNEXT] args=<4392> numbers=(4392) text=<n>"}},
        {"* OK [UNSEEN 0] n\r\n", {"status OK [UNSEEN] args=<0> numbers=(0) text=<n>"}},
        {"* OK [HIGHESTMODSEQ 715194045007] h\r\n",
         {"status OK [HIGHESTMODSEQ] args=<715194045007> numbers=(715194045007) text=<h>"}},
        {"* OK [NOMODSEQ] n\r\n", {"status OK [NOMODSEQ] text=<n>"}},
        {"* OK [PERMANENTFLAGS (\\Deleted a]b \"]\" \\*)] l\r\n",
         {"status OK [PERMANENTFLAGS] args=<(\\\\Deleted a]b \"]\" \\\\*)> words=(\\\\Deleted a]b "
          "\"]\" \\\\*) text=<l>"}},
        {"a OK [APPENDUID 38505 3955] x\r\n",
         {"status tag=<a> OK [APPENDUID] args=<38505 3955> numbers=(38505) set=<3955> text=<x>"}},
        {"a OK [APPENDUID 38505 3955:3960,4000] x\r\n",
         {"status tag=<a> OK [APPENDUID] args=<38505 3955:3960,4000> numbers=(38505) "
          "set=<3955:3960,4000> text=<x>"}},
        {"a OK [COPYUID 38505 304,319:320 3956:3958] x\r\n",
         {"status tag=<a> OK [COPYUID] args=<38505 304,319:320 3956:3958> numbers=(38505) "
          "source=<304,319:320> set=<3956:3958> text=<x>"}},
        {"a OK [MODIFIED 7,9] x\r\n",
         {"status tag=<a> OK [MODIFIED] args=<7,9> set=<7,9> text=<x>"}},
        {"a OK [MESSAGELIMIT 1000 23221] x\r\n",
         {"status tag=<a> OK [MESSAGELIMIT] args=<1000 23221> numbers=(1000) set=<23221> "
          "text=<x>"}},
        {"* OK [MAILBOXID (F2212ea87-6097)] x\r\n",
         {"status OK [MAILBOXID] args=<(F2212ea87-6097)> words=(F2212ea87-6097) text=<x>"}},
        {"* OK [CLOSED] x\r\n", {"status OK [CLOSED] text=<x>"}},
        {"* NO [REFERRAL imap://x@example.com/a] r\r\n",
         {"status NO [REFERRAL] args=<imap://x@example.com/a> text=<r>"}},
        {"* OK [INPROGRESS (\"a\" 1 2)] x\r\n",
         {"status OK [other] name=<INPROGRESS> args=<(\"a\" 1 2)> text=<x>"}},
        {"a BAD Request is throttled. Suggested Backoff Time: 5 milliseconds\r\n",
         {"status tag=<a> BAD [THROTTLED] text=<Request is throttled. Suggested Backoff Time: 5 "
          "milliseconds>"}},
    });
}

TEST(Response, EveryCodeHasItsName) {
    for (int i = 0; i < static_cast<int>(ResponseCode::other); ++i) {
        const auto code = static_cast<ResponseCode>(i);
        if (code == ResponseCode::none) continue;
        const std::string line = "* OK [" + std::string(name_of(code)) + " 1] x\r\n";
        EXPECT_THAT(parse_pieces({line}).lines.front(),
                    ::testing::HasSubstr("[" + std::string(name_of(code)) + "]"))
            << i;
        EXPECT_NE(name_of(code), "other") << i;
    }
}

TEST(Response, Counts) {
    check({{"* 23 EXISTS\r\n* 0 RECENT\r\n* 44 expunge\r\n",
            {"exists n=23", "recent n=0", "expunge n=44"}},
           {"* 4294967295 EXISTS\r\n* 4294967296 EXISTS\r\n",
            {"exists n=4294967295", "unknown line=<4294967296 EXISTS>"}}});
}

TEST(Response, Lists) {
    check({
        {"* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n",
         {"list attributes=(\\\\HasNoChildren \\\\Sent) separator=</> name=<Sent>"}},
        {"* LSUB () NIL INBOX\r\n", {"lsub attributes=() name=<INBOX>"}},
        {"* XLIST (\\Inbox) \".\" \"In box\"\r\n",
         {"xlist attributes=(\\\\Inbox) separator=<.> name=<In box>"}},
        {"* LIST () \"\\\\\" \"a\\\\b\\\"c\"\r\n",
         {"list attributes=() separator=<\\\\> name=<a\\\\b\"c>"}},
        {"* LIST () \"\\\" a\r\n", {"list attributes=() separator=<\\\\> name=<a>"}},
        {"* LIST () \"\" a\r\n", {"list attributes=() name=<a>"}},
        // mailutils sends literals, with anything inside.
        {"* LIST () \"/\" {11}\r\na\"b\\c\r\n {3}\r\n* 1 EXISTS\r\n",
         {"list attributes=() separator=</> name=<a\"b\\\\c\\x0d\\x0a {3}>", "exists n=1"}},
        {"* LIST () \"/\" {0}\r\n\r\n", {"list attributes=() separator=</> name=<>"}},
        {"* LIST () \"/\" \"\"\r\n", {"list attributes=() separator=</> name=<>"}},
        {"* LIST () \"/\" a (CHILDINFO (\"SUBSCRIBED\") OLDNAME (\"b c\"))\r\n",
         {"list attributes=() separator=</> name=<a> old=<b c>"}},
        {"* LIST (\\NonExistent) \"/\" \"a b\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n",
         {"list attributes=(\\\\NonExistent) separator=</> name=<a b>"}},
        {"* LIST () \"/\" \"a {5}\"\r\n", {"list attributes=() separator=</> name=<a {5}>"}},
        {"* LIST (\\Noselect \"/\" a\r\n", {"unknown line=<LIST (\\\\Noselect \"/\" a>"}},
        {"* LIST () \"ab\" a\r\n", {"unknown line=<LIST () \"ab\" a>"}},
        {"* LIST\r\n", {"unknown line=<LIST>"}},
    });
}

TEST(Response, StatusData) {
    check({
        {"* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292 UIDVALIDITY 7 UNSEEN 3 RECENT 2 DELETED "
         "1)\r\n",
         {"status-data name=<blurdybloop> messages=231 uidnext=44292 uidvalidity=7 unseen=3 "
          "recent=2 deleted=1"}},
        {"* STATUS \"a b\" (HIGHESTMODSEQ 7011231777 SIZE 8589934592 APPENDLIMIT NIL MAILBOXID "
         "(F-1_x))\r\n",
         {"status-data name=<a b> modseq=7011231777 size=8589934592 id=<F-1_x>"}},
        {"* STATUS {3}\r\na(b (APPENDLIMIT 7 MAILBOXID (x) X-NEW (1 (2)) MESSAGES 1)\r\n",
         {"status-data name=<a(b> messages=1 appendlimit=7 id=<x>"}},
        {"* STATUS a (MESSAGES 99999999999 UIDNEXT 5)\r\n", {"status-data name=<a> uidnext=5"}},
        {"* STATUS a ()\r\n", {"status-data name=<a>"}},
        {"* STATUS a\r\n", {"unknown line=<STATUS a>"}},
    });
}

TEST(Response, Search) {
    check({
        {"* SEARCH\r\n", {"search numbers=()"}},
        {"* SEARCH 2 84  882\r\n", {"search numbers=(2 84 882)"}},
        {"* SEARCH 2 5 (MODSEQ 917162500)\r\n", {"search numbers=(2 5) modseq=917162500"}},
        {"* SEARCH 0 x 99999999999 3\r\n", {"search numbers=(3)"}},
        {"* ESEARCH (TAG \"A282\") MIN 2 COUNT 3\r\n", {"esearch tag=<A282> min=2 count=3"}},
        {"* ESEARCH (TAG a) UID ALL 2,10:11 MAX 11 MODSEQ 7\r\n",
         {"esearch tag=<a> uid all=<2,10:11> max=11 modseq=7"}},
        {"* ESEARCH\r\n", {"esearch"}},
        {"* ESEARCH UID PARTIAL (1:500 2,4:7) X-NEW (1 2)\r\n", {"esearch uid all=<2,4:7>"}},
        {"* ESEARCH UID PARTIAL (1:500 NIL)\r\n", {"esearch uid"}},
    });
}

TEST(Response, Data) {
    check({
        {"* CAPABILITY IMAP4rev1 AUTH=PLAIN literal-\r\n",
         {"capabilities words=(IMAP4rev1 AUTH=PLAIN literal-)"}},
        {"* ENABLED CONDSTORE QRESYNC\r\n* ENABLED\r\n",
         {"enabled words=(CONDSTORE QRESYNC)", "enabled words=()"}},
        {"* FLAGS (\\Answered a]b $x)\r\n* FLAGS ()\r\n",
         {"flags flags=(\\\\Answered a]b $x)", "flags flags=()"}},
        {"* VANISHED 300:310,405\r\n* VANISHED (EARLIER) 41,43:116\r\n",
         {"vanished set=<300:310,405>", "vanished earlier set=<41,43:116>"}},
        {"* ID (\"name\" \"Cyrus\" \"os\" NIL)\r\n* ID NIL\r\n", {"id name=<Cyrus> os=<>", "id"}},
        {"* NAMESPACE ((\"\" \"/\")(\"x.\" \".\")) NIL ((\"#p/\" NIL \"X\" (\"a\" \"b\")))\r\n",
         {"namespaces personal=< /> personal=<x. .> shared=<#p/ \\x00>"}},
        {"* QUOTA \"\" (STORAGE 10 512 MESSAGE 1 -1)\r\n* QUOTA \"#a b\" ()\r\n",
         {"quota root=<> STORAGE=<10/512>", "quota root=<#a b>"}},
        {"* QUOTAROOT INBOX \"\" b\r\n* QUOTAROOT \"a b\"\r\n",
         {"quotaroot name=<INBOX> roots=( b)", "quotaroot name=<a b> roots=()"}},
        {"* ACL \"a b\" fred rwipslda \"g h\" lr\r\n", {"acl name=<a b> fred=<rwipslda> g h=<lr>"}},
        {"* MYRIGHTS INBOX rwiptsldaex\r\n* MYRIGHTS a \"\"\r\n",
         {"myrights name=<INBOX> rights=<rwiptsldaex>", "myrights name=<a>"}},
    });
}

TEST(Response, UnknownOnesAreSkippedToTheirEndWithTheirLiterals) {
    check({{"* METADATA \"\" (/shared/x {13}\r\na1 OK hello\r\n /y {2}\r\n\r\n)\r\na1 OK done\r\n",
            {"unknown line=<METADATA \"\" (/shared/x {13}\\x0d\\x0aa1 OK hello\\x0d\\x0a /y "
             "{2}\\x0d\\x0a\\x0d\\x0a)>",
             "status tag=<a1> OK text=<done>"}},
           {"* 5 X-NEW {1}\r\n)\r\n", {"unknown line=<5 X-NEW {1}\\x0d\\x0a)>"}},
           {"* \r\n", {"unknown"}}});
}

TEST(Response, Garbage) {
    check({{"hello\r\n\r\nServer busy\r\n*OK x\r\n",
            {"garbage line=<hello>", "garbage", "garbage line=<Server busy>",
             "garbage line=<*OK x>"}},
           // No tag holds such characters, so this is no answer to a command.
           {"a(1 OK x\r\na1 PREAUTH x\r\n",
            {"garbage line=<a(1 OK x>", "garbage line=<a1 PREAUTH x>"}}});
}

TEST(Response, Continuation) {
    check({{"+ \r\n+\r\n+ Ready\r\n+idling\r\n+ eyJ=\r\n",
            {"continuation", "continuation", "continuation text=<Ready>",
             "continuation text=<idling>", "continuation text=<eyJ=>"}}});
}

TEST(Response, UnconsumedIsWhatStandsBehindTheLastEvent) {
    ResponseParser parser;
    parser.feed("a1 OK begin TLS\r\n* OK injected\r\n");
    ASSERT_TRUE(parser.next());
    EXPECT_EQ(parser.unconsumed(), "* OK injected\r\n");
    ResponseParser second;
    second.feed("a1 OK begin TLS\r\n* OK inj");
    ASSERT_TRUE(second.next());
    EXPECT_EQ(second.unconsumed(), "* OK inj");
    ASSERT_TRUE(second.next());  // wants more, and has set aside what it has
    EXPECT_EQ(second.unconsumed(), "* OK inj");
}

}  // namespace
}  // namespace imapult::imap::testing
