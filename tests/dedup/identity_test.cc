// Who a message is: what servers and copying tools do to it on the way must not change it, anything
// else must.

#include "dedup/identity.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include "dedup/header_lines.h"
#include "engine/base/random.h"

namespace imapult::dedup {
namespace {

using namespace std::string_literals;

const std::string kHeader =
    "Received: from mx.example.com by mail.example.com; Mon, 2 Jan 2023 10:00:01 +0000\r\n"
    "Message-ID: <1@example.com>\r\n"
    "Date: Mon, 2 Jan 2023 10:00:00 +0000\r\n"
    "From: Ann <ann@example.com>\r\n"
    "To: bob@example.com\r\n"
    "Subject: a long\r\n  subject\r\n"
    "\r\n";
const std::string kBody = "Hello\r\nWorld\r\n";

Sha256 normal(std::string_view message) {
    NormalDigest digest;
    digest.update(message);
    return digest.finish();
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
        text.replace(at, from.size(), to);
    }
    return text;
}

/// `line` as a new line in front of the line that begins with `before`.
std::string with_line(const std::string& message, std::string_view before, std::string_view line) {
    std::string out = message;
    out.insert(out.find(before), std::string(line) + "\r\n");
    return out;
}

TEST(ContentDigest, StreamAndOneShotAgreeForEveryLength) {
    Random random(7);
    std::string secret(192, '\0');
    for (char& c : secret) c = static_cast<char>(random.next());
    std::string bytes;
    for (std::size_t size = 0; size < 3000; size = size < 300 ? size + 1 : size + 37) {
        while (bytes.size() < size) bytes.push_back(static_cast<char>(random.next()));
        ContentDigest digest(secret);
        std::string_view rest = bytes;
        while (!rest.empty()) {
            const std::size_t part = random.between(1, rest.size());
            digest.update(rest.substr(0, part));
            rest.remove_prefix(part);
        }
        ASSERT_EQ(digest.finish(), ContentDigest::of(bytes, secret)) << size;
        digest.reset();
        digest.update(bytes);
        ASSERT_EQ(digest.finish(), ContentDigest::of(bytes, secret)) << size;
    }
}

TEST(ContentDigest, DependsOnTheSecretAlsoForShortInput) {
    Random random(8);
    std::string a(192, '\0');
    std::string b(192, '\0');
    for (char& c : a) c = static_cast<char>(random.next());
    for (char& c : b) c = static_cast<char>(random.next());
    for (const std::size_t size : {1U, 16U, 100U, 200U, 240U, 241U, 5000U}) {
        const std::string bytes(size, 'x');
        EXPECT_NE(ContentDigest::of(bytes, a), ContentDigest::of(bytes, b)) << size;
    }
}

TEST(NormalDigest, IsSha256OfTheEvenedOutMessage) {
    // printf 'A: b\n\nc\nd' | sha256sum
    constexpr std::string_view kHex =
        "cee02ed087287800a0b1d127293ed7306e59f7b601e36417636afed6b33f1ee2";
    std::string hex;
    for (const std::uint8_t octet : normal("A: b\r\n\r\nc\r\nd\r\n\r\n")) {
        hex += "0123456789abcdef"[octet >> 4];
        hex += "0123456789abcdef"[octet & 15];
    }
    EXPECT_EQ(hex, kHex);
}

TEST(NormalDigest, ForgivesWhatServersDo) {
    const Sha256 expected = normal(kHeader + kBody);
    EXPECT_EQ(normal(replaced(kHeader + kBody, "\r\n", "\n")), expected) << "bare LF";
    EXPECT_EQ(normal(replaced(kHeader + kBody, "\r\n", "\r\r\n")), expected) << "CR CR LF";
    EXPECT_EQ(normal(kHeader + "Hello\r\nWorld"), expected) << "no line end at the end";
    EXPECT_EQ(normal(kHeader + kBody + "\r\n\r\n"), expected) << "more line ends at the end";
    EXPECT_EQ(normal(kHeader + "He\rllo\r\nWorld"), expected) << "lone CR dropped (Courier)";
    EXPECT_EQ(normal(kHeader + "a\0b"s), normal(kHeader + "a\x80"s + "b")) << "NUL (Dovecot)";
    EXPECT_EQ(normal(replaced(kHeader, "Ann", "\xC3\xA4") + kBody),
              normal(replaced(kHeader, "Ann", "XX") + kBody))
        << "8-bit header octets (Cyrus)";
}

TEST(NormalDigest, ForgivesNothingElse) {
    const Sha256 expected = normal(kHeader + kBody);
    EXPECT_NE(normal(kHeader + "Hello\r\nworld\r\n"), expected);
    EXPECT_NE(normal(kHeader + "Hello World\r\n"), expected);
    EXPECT_NE(normal(kHeader + "Hello\r\n\r\nWorld\r\n"), expected);
    EXPECT_NE(normal(kHeader + "\r\n" + kBody), expected);
    EXPECT_NE(normal(replaced(kHeader, "Ann", "Bob") + kBody), expected);
    EXPECT_NE(normal(with_line(kHeader, "From", "X-Other: 1") + kBody), expected);
    EXPECT_NE(normal(kHeader + "\xC3\xA4"), normal(kHeader + "XX")) << "8-bit bodies count";
    EXPECT_NE(normal(kHeader + "X-TUID: abcdefghijkl\r\n" + kBody), expected)
        << "a tool's line in the body is content";
}

/// Lines that copying tools add, as they write them.
const std::string kToolLines[] = {
    "X-TUID: pZeun+I8S/5Y",                     // isync
    "X-OfflineIMAP: 1148566864-0688365502996",  // offlineimap
    "X-OfflineIMAP-901701146-4c6f63-494e424f58: 1086726519-0790956581151",
    "X-OfflineIMAP-x422171562-67-69: 1148566864-0688365502996-v4.0.11",
    "Message-Id: 4711@imapsync",
    "Message-Id: <4711@imapsync>",  // imapsync --addheader
};

TEST(ToolLines, AreLeftOutWhereverTheyStand) {
    const HeaderIdentity plain = identify_header(kHeader);
    for (const std::string& line : kToolLines) {
        for (const std::string_view before : {"Received", "From", "Subject", "\r\n\r\n"}) {
            std::string message = kHeader + kBody;
            if (before == "\r\n\r\n") {
                message.insert(message.find(before) + 2, line + "\r\n");
            } else {
                message = with_line(message, before, line);
            }
            EXPECT_EQ(normal(message), normal(kHeader + kBody)) << message;
            const HeaderIdentity identity =
                identify_header(message.substr(0, message.find("\r\n\r\n") + 4));
            EXPECT_EQ(identity.strict, plain.strict) << message;
            EXPECT_EQ(identity.loose, plain.loose) << message;
            EXPECT_EQ(identity.added_bytes, line.size() + 2) << message;
        }
    }
}

/// Pairs seen: what lay in a maildir and what isync 1.4.4 made of it.
TEST(ToolLines, CopiesOfMbsyncAreTheirOriginals) {
    for (const auto& [original, copy] :
         {std::pair<std::string, std::string>{"Subject: no id\n\nb\n",
                                              "Subject: no id\nX-TUID: KXCElfyPmMEE\n\nb\n"},
          {"no header at all\n\nb\n", "no header at all\nX-TUID: e/Mwj/1K1Lj+\n\nb\n"},
          {"X-TUID: aaaaaaaaaaaa\nSubject: had one\n\nb\n",
           "X-TUID: uKFLvsMWQd20\nSubject: had one\n\nb\n"},
          {"\nbody only\n", "X-TUID: YEBZBZETb2UG\n\nbody only\n"}}) {
        EXPECT_EQ(normal(copy), normal(original)) << original;
        EXPECT_EQ(identify_header(copy).strict, identify_header(original).strict) << original;
    }
}

TEST(ToolLines, OnlyTheirExactFormIsLeftOut) {
    for (const std::string line :
         {"X-TUID: pZeun+I8S/5", "X-TUID: pZeun+I8S/5YY", "X-TUID:pZeun+I8S/5Y ",
          "X-TUID: pZeun+I8S 5Y", "x-tuid: pZeun+I8S/5Y", "X-TUID: 15058985c61ac6d8",
          "X-OfflineIMAP: hidden text", "X-OfflineIMAP: 1-2 hidden", "X-OfflineIMAPX: 1-2",
          "Message-Id: <a@imapsync>", "Message-Id: <1@imapsync> x",
          "From ann@example.com Mon Jan  2 10:00:00 2023"}) {
        const std::string header = with_line(kHeader, "Subject", line);
        EXPECT_NE(normal(header + kBody), normal(kHeader + kBody)) << line;
        EXPECT_NE(identify_header(header).strict, identify_header(kHeader).strict) << line;
        EXPECT_EQ(identify_header(header).added_bytes, 0U) << line;
    }
}

TEST(ToolLines, AFoldedLineIsTheSendersOwn) {
    const std::string header =
        with_line(kHeader, "Subject", "X-TUID: pZeun+I8S/5Y\r\n hidden text");
    EXPECT_NE(normal(header + kBody), normal(kHeader + kBody));
    EXPECT_NE(identify_header(header).strict, identify_header(kHeader).strict);
}

TEST(ToolLines, MboxSeparatorCountsOnlyOnTheFirstLine) {
    const std::string line = "From ann@example.com Mon Jan  2 10:00:00 2023\r\n";
    EXPECT_EQ(normal(line + kHeader + kBody), normal(kHeader + kBody));
    EXPECT_EQ(identify_header(line + kHeader).strict, identify_header(kHeader).strict);
    EXPECT_EQ(identify_header(line + kHeader).added_bytes, line.size());
}

/// Messages that are no messages, and pieces of ones that are.
std::string random_message(Random& random) {
    static const std::string kPieces[] = {"\r\n",
                                          "\n",
                                          "\r",
                                          "\0"s,
                                          "\r\n\r\n",
                                          " ",
                                          "\t",
                                          ":",
                                          "A: b\r\n",
                                          "From x\r\n",
                                          "X-TUID: ",
                                          "pZeun+I8S/5Y",
                                          "X-TUID: pZeun+I8S/5Y\r\n",
                                          "\x80",
                                          "\xFF",
                                          "X",
                                          "Message-Id: <1@imapsync>\r\n",
                                          "Subject: x\r\n y\r\n",
                                          std::string(300, 'l'),
                                          "word"};
    std::string message;
    for (std::uint64_t i = random.below(20); i > 0; --i) {
        message += kPieces[random.below(std::size(kPieces))];
    }
    return message;
}

/// The rules once more, in their simplest form: on the whole message at once.
std::string naive_normal_form(const std::string& message) {
    std::string flat;
    for (const char c : message) {
        if (c != '\r') flat.push_back(c == '\0' ? '\x80' : c);
    }
    std::string out;
    bool first = true;
    bool field = false;
    while (!flat.empty() && flat[0] != '\n') {
        std::string line = flat.substr(0, flat.find('\n'));
        const bool ended = line.size() < flat.size();
        flat.erase(0, line.size() + (ended ? 1 : 0));
        const bool folded = !flat.empty() && ended && (flat[0] == ' ' || flat[0] == '\t');
        const bool drop = !folded && is_tool_line(line, first);
        const bool fold = line[0] == ' ' || line[0] == '\t';
        if (!fold || first) field = false;
        for (char& c : line) {
            if (c == ':') field = true;
            if (field && (c & '\x80') != 0) c = 'X';
        }
        if (!drop) out += line + "\n";
        first = false;
    }
    out += flat;
    while (out.ends_with('\n')) out.pop_back();
    return out;
}

TEST(NormalDigest, DoesNotDependOnThePiecesAndFollowsItsRules) {
    const std::uint64_t seed = 20260101;
    Random random(seed);
    for (int round = 0; round < 20'000; ++round) {
        const std::string message = random_message(random);
        const Sha256 whole = normal(message);
        NormalDigest pieces;
        std::string_view rest = message;
        while (!rest.empty()) {
            const std::size_t part = random.between(1, std::min<std::size_t>(rest.size(), 9));
            pieces.update(rest.substr(0, part));
            rest.remove_prefix(part);
        }
        ASSERT_EQ(pieces.finish(), whole) << "seed " << seed << " round " << round;
        const std::string form = naive_normal_form(message);
        Sha256 expected{};
        SHA256(reinterpret_cast<const unsigned char*>(form.data()), form.size(), expected.data());
        ASSERT_EQ(whole, expected) << "seed " << seed << " round " << round;
    }
}

TEST(HeaderIdentity, StrictForgivesLineEndsAndNul) {
    const HeaderIdentity plain = identify_header(kHeader);
    EXPECT_EQ(identify_header(replaced(kHeader, "\r\n", "\n")).strict, plain.strict);
    EXPECT_EQ(identify_header(kHeader.substr(0, kHeader.size() - 2)).strict, plain.strict)
        << "without the empty line";
    EXPECT_EQ(identify_header("A: \0\r\n"s).strict, identify_header("A: \x80\r\n").strict);
    EXPECT_NE(identify_header(replaced(kHeader, "  subject", " subject")).strict, plain.strict);
    EXPECT_EQ(identify_header(replaced(kHeader, "  subject", " subject")).loose, plain.loose);
}

TEST(HeaderIdentity, LooseForgivesFoldingBlanksOrderAndTraces) {
    const HeaderIdentity plain = identify_header(kHeader);
    EXPECT_EQ(identify_header(replaced(kHeader, "long\r\n  subject", "long subject")).loose,
              plain.loose);
    EXPECT_EQ(identify_header(replaced(kHeader, "Subject: ", "SUBJECT :\t")).loose, plain.loose);
    EXPECT_EQ(identify_header(with_line(kHeader, "From", "X-Spam: yes")).loose, plain.loose);
    EXPECT_EQ(identify_header(replaced(kHeader, "Ann", "\xC3\xA4")).loose,
              identify_header(replaced(kHeader, "Ann", "XX")).loose);
    const std::string to = "To: bob@example.com\r\n";
    EXPECT_EQ(identify_header(to + replaced(kHeader, to, "")).loose, plain.loose) << "reordered";
}

TEST(HeaderIdentity, LooseTellsEveryFieldApart) {
    const HeaderIdentity plain = identify_header(kHeader);
    for (const auto& [from, to] : {std::pair{"<1@", "<2@"},
                                   {"10:00:00", "10:00:07"},
                                   {"Ann", "Anne"},
                                   {"bob@", "rob@"},
                                   {"a long", "a short"}}) {
        EXPECT_NE(identify_header(replaced(kHeader, from, to)).loose, plain.loose) << to;
    }
    for (const std::string line : {"Cc: x@example.com", "In-Reply-To: <0@example.com>",
                                   "References: <0@example.com>", "To: eve@example.com"}) {
        EXPECT_NE(identify_header(with_line(kHeader, "From", line)).loose, plain.loose) << line;
    }
    EXPECT_NE(identify_header("To: a\r\nCc: b\r\n\r\n").loose,
              identify_header("To: a\r\nTo: b\r\n\r\n").loose);
    EXPECT_NE(identify_header("To: a b\r\n\r\n").loose,
              identify_header("To: a\r\nTo: b\r\n\r\n").loose);
}

TEST(HeaderIdentity, StrongNeedsMessageIdAndDate) {
    EXPECT_TRUE(identify_header(kHeader).strong);
    EXPECT_TRUE(identify_header(kHeader).traced);
    EXPECT_FALSE(identify_header(replaced(kHeader, "Message-ID", "X-Id")).strong);
    EXPECT_FALSE(identify_header(replaced(kHeader, "Date", "X-Date")).strong);
    EXPECT_FALSE(identify_header("Message-ID:\r\nDate: x\r\n\r\n").strong) << "empty";
    EXPECT_FALSE(identify_header("Message-Id: <1@imapsync>\r\nDate: x\r\n\r\n").strong)
        << "an id that imapsync made up is none";
    EXPECT_FALSE(identify_header(replaced(kHeader, "Received", "X-Received")).traced);
}

TEST(HeaderIdentity, TakesWhatIsNoHeader) {
    for (const std::string& header :
         {""s, "\r\n"s, "\n"s, "\r"s, "no colon at all\r\nmore text"s, " leading fold\r\nA: b"s,
          ":\r\n: x\r\n"s, "\0\0\0"s, std::string(1 << 20, 'a'), std::string(1 << 20, ':'),
          replaced(std::string(1 << 16, 'n'), "n", "A: b\r\n ")}) {
        const HeaderIdentity identity = identify_header(header);
        EXPECT_FALSE(identity.strong);
        EXPECT_EQ(identity.added_bytes, 0U);
    }
}

TEST(HeaderSummary, DecodesEncodedWords) {
    const HeaderSummary summary = summarise_header(
        "Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?= =?utf-8?B?IGF1cw==?= =?ISO-8859-1?Q?_K=F6ln?=\r\n"
        "From: =?iso-8859-1*de?q?J=FCrgen?= <j@example.com>\r\n"
        "Date: Mon, 2 Jan 2023\r\nMessage-ID: <1@example.com>\r\n\r\n");
    EXPECT_EQ(summary.subject, "Grüße aus Köln");
    EXPECT_EQ(summary.from, "Jürgen <j@example.com>");
    EXPECT_EQ(summary.date, "Mon, 2 Jan 2023");
    EXPECT_EQ(summary.message_id, "<1@example.com>");
}

TEST(HeaderSummary, JoinsCharactersCutInTwoAndKeepsPlainText) {
    EXPECT_EQ(summarise_header("Subject: =?utf-8?Q?=C3?=\r\n =?utf-8?Q?=BC?= und =?x\r\n").subject,
              "ü und =?x");
    EXPECT_EQ(summarise_header("Subject: a=?utf-8?Q?b?= c\r\n").subject, "ab c");
    EXPECT_EQ(summarise_header("Subject: =?no-such-charset?Q?b?=\r\n").subject, "b");
    EXPECT_EQ(summarise_header("Subject: caf\xE9\r\n").subject, "café");
    EXPECT_EQ(summarise_header("Subject: =?utf-8?X?b?= =?utf-8?B\r\n").subject,
              "=?utf-8?X?b?= =?utf-8?B");
}

TEST(HeaderSummary, NeverLetsControlCharactersOut) {
    const HeaderSummary summary = summarise_header(
        "Subject: \x1B[2J=?utf-8?Q?=1B]0;x=07=E2=80=AE?=\r\nFrom: a\rb\x9B\r\n\r\n");
    for (const std::string& text : {summary.subject, summary.from}) {
        for (const char c : text) EXPECT_GE(static_cast<std::uint8_t>(c), 0x20) << text;
    }
    EXPECT_EQ(summary.subject.find("\xE2\x80\xAE"), std::string::npos);
}

TEST(HeaderSummary, StaysShortForHostileHeaders) {
    std::string header = "Subject: ";
    for (int i = 0; i < 100'000; ++i) header += "=?utf-8?B?w7w=?=\r\n ";
    EXPECT_LT(summarise_header(header).subject.size(), 600U);
    EXPECT_LT(summarise_header("Subject: " + std::string(1 << 20, '=')).subject.size(), 600U);
}

}  // namespace
}  // namespace imapult::dedup
