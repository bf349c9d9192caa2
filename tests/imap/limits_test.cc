// Every limit on what a server may send, at the limit and one beyond it.
#include "engine/base/limits.h"

#include <gmock/gmock.h>

#include "imap/every_split.h"

namespace imapult::imap::testing {
namespace {

using ::testing::StartsWith;

/// The last line of the events, parsed whole and in pieces of 1000.
std::string last_line(std::string_view bytes, ParserOptions options = {}) {
    const Seen whole = parse_pieces({bytes}, options);
    std::vector<std::string_view> pieces;
    for (std::size_t i = 0; i < bytes.size(); i += 1000) pieces.push_back(bytes.substr(i, 1000));
    EXPECT_EQ(parse_pieces(pieces, options), whole);
    return whole.lines.empty() ? "" : whole.lines.back();
}

std::string repeated(std::string_view text, std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += text;
    return out;
}

std::string flags_fetch(std::size_t count, std::size_t bytes = 1) {
    return "* 1 FETCH (UID 1 FLAGS (" + repeated(std::string(bytes, 'a') + " ", count) + "))\r\n";
}

TEST(Limits, Line) {
    const std::string most = "* OK " + std::string(limits::kLineBytesMax - 5, 'x');
    EXPECT_THAT(last_line(most + "\r\n"), StartsWith("status OK"));
    EXPECT_EQ(last_line(most + "x\r\n"), "limit: server passes a limit: line too long");
}

TEST(Limits, LineWithoutAnEnd) {
    ResponseParser parser;
    EventLog log;
    std::size_t fed = 0;
    const std::string piece(4096, 'x');
    while (log.feed(parser, piece)) {
        fed += piece.size();
        ASSERT_LE(fed, limits::kLineBytesMax + piece.size());
    }
    EXPECT_EQ(log.lines.back(), "limit: server passes a limit: line too long");
}

TEST(Limits, LineOfManySegments) {
    ParserOptions options;
    options.line_bytes_max = 300;
    const std::string segment = " BODY[1.2.3.4] {0}\r\n";
    const std::string head = "* 1 FETCH (UID 1" + repeated(segment, 12);
    EXPECT_THAT(last_line(head + ")\r\n", options), StartsWith("fetch"));
    EXPECT_THAT(last_line(head + repeated(segment, 20) + ")\r\n", options),
                StartsWith("limit: server passes a limit: line too long"));
}

TEST(Limits, BodyLiteral) {
    const auto head = [](std::uint64_t bytes) {
        return "* 1 FETCH (BODY[] {" + std::to_string(bytes) + "}\r\nx";
    };
    EXPECT_EQ(last_line(head(limits::kLiteralBytesMax)), "octets x …");
    EXPECT_EQ(last_line(head(limits::kLiteralBytesMax + 1)),
              "limit: server passes a limit: literal too long");
    EXPECT_EQ(last_line("* 1 FETCH (BODY[] {99999999999999999999999}\r\nx"),
              "limit: server passes a limit: literal too long");
}

TEST(Limits, CollectedLiteral) {
    const auto list = [](std::size_t bytes) {
        return "* X-METADATA {" + std::to_string(bytes) + "}\r\n" + std::string(bytes, 'x') +
               "\r\n";
    };
    EXPECT_THAT(last_line(list(limits::kSmallLiteralBytesMax)), StartsWith("unknown"));
    EXPECT_EQ(last_line(list(limits::kSmallLiteralBytesMax + 1)),
              "limit: server passes a limit: literal too long outside a message");
}

TEST(Limits, CollectedLiteralsTogether) {
    const std::string one = " {65536}\r\n" + std::string(65536, 'x');
    const std::size_t most = limits::kLineBytesMax / 65536;
    EXPECT_THAT(last_line("* X" + repeated(one, most) + "\r\n"), StartsWith("unknown"));
    EXPECT_THAT(last_line("* X" + repeated(one, most + 1) + "\r\n"), StartsWith("limit: "));
}

TEST(Limits, LiteralsInAResponse) {
    const auto line = [](std::size_t count) {
        return "* X" + repeated(" {0}\r\n", count) + "\r\n";
    };
    EXPECT_THAT(last_line(line(limits::kLiteralsPerResponseMax)), StartsWith("unknown"));
    EXPECT_EQ(last_line(line(limits::kLiteralsPerResponseMax + 1)),
              "limit: server passes a limit: too many literals in a response");
    EXPECT_EQ(
        last_line("* 1 FETCH (" +
                  repeated("BODY[1] {0}\r\n ", limits::kLiteralsPerResponseMax + 1) + ")\r\n"),
        "limit: server passes a limit: too many literals in a response");
}

TEST(Limits, Nesting) {
    const auto fetch = [](std::size_t depth) {
        return "* 1 FETCH (X " + std::string(depth, '(') + std::string(depth, ')') + " UID 3)\r\n";
    };
    EXPECT_EQ(last_line(fetch(limits::kNestingMax)), "fetch seq=1 uid=3");
    EXPECT_EQ(last_line(fetch(limits::kNestingMax + 1)),
              "limit: server passes a limit: parentheses nested too deep");
    EXPECT_THAT(last_line("* 1 FETCH (X " + std::string(100'000, '(') + "\r\n"),
                StartsWith("limit: "));
    EXPECT_THAT(last_line("* LIST () \"/\" a (X " + std::string(100'000, '(') + ")\r\n"),
                StartsWith("limit: "));
}

TEST(Limits, FlagsOfAMessage) {
    EXPECT_THAT(last_line(flags_fetch(limits::kFlagsPerMessageMax)), StartsWith("fetch"));
    EXPECT_EQ(last_line(flags_fetch(limits::kFlagsPerMessageMax + 1)),
              "limit: server passes a limit: too many flags on a message");
    EXPECT_THAT(last_line(flags_fetch(1, limits::kFlagBytesMax)), StartsWith("fetch"));
    EXPECT_THAT(last_line(flags_fetch(1, limits::kFlagBytesMax + 1)), StartsWith("fetch"))
        << "a flag that is too long is left out";
}

TEST(Limits, LabelsOfAMessage) {
    const auto fetch = [](std::size_t count) {
        return "* 1 FETCH (X-GM-LABELS (" + repeated("\"a\" ", count) + "))\r\n";
    };
    EXPECT_THAT(last_line(fetch(limits::kFlagsPerMessageMax)), StartsWith("fetch"));
    EXPECT_THAT(last_line(fetch(limits::kFlagsPerMessageMax + 1)), StartsWith("limit: "));
}

TEST(Limits, Capabilities) {
    const std::string most = repeated(" X", limits::kCapabilitiesMax);
    EXPECT_THAT(last_line("* CAPABILITY" + most + "\r\n"), StartsWith("capabilities"));
    EXPECT_EQ(last_line("* CAPABILITY X" + most + "\r\n"),
              "limit: server passes a limit: too many capabilities");
    EXPECT_EQ(last_line("* OK [CAPABILITY X" + most + "] hi\r\n"),
              "limit: server passes a limit: too many capabilities");
}

TEST(Limits, MailboxName) {
    const std::string most(limits::kMailboxNameBytesMax, 'n');
    EXPECT_THAT(last_line("* LIST () \"/\" " + most + "\r\n"), StartsWith("list"));
    for (const std::string& line :
         {"* LIST () \"/\" n" + most, "* LIST () \"/\" \"n" + most + "\"",
          "* LIST () \"/\" a (OLDNAME (n" + most + "))", "* STATUS n" + most + " (MESSAGES 1)",
          "* NAMESPACE ((\"n" + most + "\" \"/\")) NIL NIL", "* QUOTAROOT n" + most + " x",
          "* ACL n" + most + " x y", "* MYRIGHTS \"n" + most + "\" x"}) {
        EXPECT_EQ(last_line(line + "\r\n"), "limit: server passes a limit: mailbox name too long");
    }
}

TEST(Limits, AnErrorOfALimitIsNotTriedAgain) {
    ResponseParser parser;
    const std::string bytes = flags_fetch(limits::kFlagsPerMessageMax + 1);
    parser.feed(bytes);
    const auto event = parser.next();
    ASSERT_FALSE(event);
    EXPECT_EQ(event.error().code, Code::limit);
    EXPECT_EQ(event.error().scope, Scope::connection);
    EXPECT_EQ(event.error().retry, Retry::never);
}

}  // namespace
}  // namespace imapult::imap::testing
