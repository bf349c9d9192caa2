// The repair ladder: what each step changes, what it leaves alone, and in which order it is tried.

#include "engine/replica/repair.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/replica/verify_kind.h"

namespace imapult::replica {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::string_literals;

const std::string kPlain = "Subject: a\r\nFrom: b@example.com\r\n\r\nbody\r\n";

struct Case {
    const char* name;
    std::uint8_t steps;
    std::string before, after;
};

class Repaired : public testing::TestWithParam<Case> {};

TEST_P(Repaired, ChangesThisAndNoMore) {
    const Case& c = GetParam();
    EXPECT_EQ(repaired(c.before, c.steps), c.after);
    // Done twice it is done once.
    EXPECT_EQ(repaired(c.after, c.steps), c.after);
    EXPECT_EQ(applicable_repairs(c.after, false) & c.steps, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Steps, Repaired,
    testing::Values(
        Case{"bare_lf", kCrlfForBareLf, "Subject: a\n\r\nx\n\ny\r\n",
             "Subject: a\r\n\r\nx\r\n\r\ny\r\n"},
        Case{"bare_lf_leaves_a_lone_cr", kCrlfForBareLf, "A: b\r\n\r\nx\ry\n",
             "A: b\r\n\r\nx\ry\r\n"},
        Case{"from_line", kDropFromLine, "From a@example.com Thu Jan  1\r\n" + kPlain, kPlain},
        Case{"from_line_alone_is_no_message", kDropFromLine, "From a", "From a"},
        Case{"from_field", kDropFromLine, "From : a@example.com\r\n\r\n",
             "From : a@example.com\r\n\r\n"},
        Case{"nul", kReplaceNul, "A: b\r\n\r\nx\0y\0\r\n"s, "A: b\r\n\r\nx\x80y\x80\r\n"},
        Case{"final_crlf", kFinalCrlf, "A: b\r\n\r\nx", "A: b\r\n\r\nx\r\n"},
        Case{"final_cr", kFinalCrlf, "A: b\r\n\r\nx\r", "A: b\r\n\r\nx\r\n"},
        Case{
            "unstructured", kEncodeHeader,
            "Subject: Gr\xC3\xBC\xC3\x9F"
            "e aus K\xC3\xB6ln heute\r\n\r\n\xC3\xBC\r\n",
            "Subject: =?utf-8?B?R3LDvMOfZQ==?= aus =?utf-8?B?S8O2bG4=?= heute\r\n\r\n\xC3\xBC\r\n"},
        Case{"words_together", kEncodeHeader, "Subject: \xC3\xA4 \xC3\xB6\r\n\r\n",
             "Subject: =?utf-8?B?w6Qgw7Y=?=\r\n\r\n"},
        Case{"unknown_charset", kEncodeHeader,
             "Subject: Gr\xFC\xDF"
             "e\r\n\r\n",
             "Subject: =?unknown-8bit?B?R3L832U=?=\r\n\r\n"},
        Case{"address", kEncodeHeader,
             "From: \"J\xC3\xBCrgen M.\" <j@example.com>, Ren\xC3\xA9<r@example.com>\r\n\r\n",
             "From: =?utf-8?B?SsO8cmdlbiBNLg==?= <j@example.com>, =?utf-8?B?UmVuw6k=?= "
             "<r@example.com>\r\n\r\n"},
        Case{"address_in_angles_is_left_alone", kEncodeHeader,
             "From: J\xC3\xBC <j\xC3\xBC@example.com>, <\"\xC3\xBC>\"@example.com>\r\n\r\n",
             "From: =?utf-8?B?SsO8?= <j\xC3\xBC@example.com>, <\"\xC3\xBC>\"@example.com>\r\n\r\n"},
        Case{"address_alone_is_left_alone", kEncodeHeader,
             "To: j\xC3\xBC@example.com, \"j\xC3\xBC\"@example.com (J\xC3\xBC)\r\n\r\n",
             "To: j\xC3\xBC@example.com, \"j\xC3\xBC\"@example.com (=?utf-8?B?SsO8?=)\r\n\r\n"},
        Case{"boundary_is_left_alone", kEncodeHeader,
             "Content-Type: multipart/mixed; boundary=\"=_\xC3\xBC\"\r\n\r\n",
             "Content-Type: multipart/mixed; boundary=\"=_\xC3\xBC\"\r\n\r\n"},
        Case{"name_is_encoded_inside_its_quotes", kEncodeHeader,
             "Content-Type: text/plain; charset=\"\xC3\xBC\"; Name = \"\xC3\xBC .pdf\"; "
             "x=\xC3\xBC\r\n"
             "Content-Disposition: attachment;\r\n\tfilename=\"\xC3\xBC\"; "
             "other-name=\"\xC3\xBC\"\r\n\r\n",
             "Content-Type: text/plain; charset=\"\xC3\xBC\"; Name = \"=?utf-8?B?w7wgLnBkZg==?=\"; "
             "x=\xC3\xBC\r\n"
             "Content-Disposition: attachment;\r\n\tfilename=\"=?utf-8?B?w7w=?=\"; "
             "other-name=\"\xC3\xBC\"\r\n\r\n"},
        Case{"no_name_inside_another_quoted_string", kEncodeHeader,
             "Content-Type: a/b; c=\"d\r\n name=\"; e=\"; name=\\\"\xC3\xBC\"\r\n\r\n",
             "Content-Type: a/b; c=\"d\r\n name=\"; e=\"; name=\\\"\xC3\xBC\"\r\n\r\n"},
        Case{"content_description_is_text", kEncodeHeader, "Content-Description: \xC3\xBC\r\n\r\n",
             "Content-Description: =?utf-8?B?w7w=?=\r\n\r\n"},
        Case{"folded", kEncodeHeader,
             "Subject: plain\r\n \xC3\xBC"
             "ber\r\nTo: a@example.com\r\n\r\n",
             "Subject: plain\r\n =?utf-8?B?w7xiZXI=?=\r\nTo: a@example.com\r\n\r\n"},
        Case{"no_field_is_left_alone", kEncodeHeader, "\xC3\xBC no field\r\nSubject: a\r\n\r\n",
             "\xC3\xBC no field\r\nSubject: a\r\n\r\n"},
        Case{"long_text", kWrapLong,
             "A: b\r\n\r\n" + std::string(990, 'x') + " " + std::string(20, 'y') + "\r\n",
             "A: b\r\n\r\n" + std::string(990, 'x') + " \r\n" + std::string(20, 'y') + "\r\n"},
        Case{"long_word", kWrapLong, "A: b\r\n\r\n" + std::string(2000, 'x') + "\r\n",
             "A: b\r\n\r\n" + std::string(998, 'x') + "\r\n" + std::string(998, 'x') +
                 "\r\nxxxx\r\n"},
        Case{"long_field", kWrapLong,
             "To: " + std::string(600, 'a') + " " + std::string(600, 'b') + "\r\n\r\n",
             "To: " + std::string(600, 'a') + "\r\n " + std::string(600, 'b') + "\r\n\r\n"},
        Case{"998_is_not_long", kWrapLong, "A: b\r\n\r\n" + std::string(998, 'x') + "\r\n",
             "A: b\r\n\r\n" + std::string(998, 'x') + "\r\n"},
        Case{"nothing_to_do", 255, kPlain, kPlain}),
    [](const auto& tested) { return tested.param.name; });

TEST(Repair, QuotedPrintableIsWrappedSoftly) {
    const std::string head = "Content-Transfer-Encoding: quoted-printable\r\n\r\n";
    std::string line;
    while (line.size() < 3000) line += "=C3=BC";
    const std::string after = repaired(head + line + "\r\n", kWrapLong);
    EXPECT_EQ(applicable_repairs(after, false), 0);
    EXPECT_EQ(mime_leaves(after), mime_leaves(head + line + "\r\n"));
    EXPECT_NE(after, head + line + "\r\n");
}

TEST(Repair, ALongUtf8LineIsNotCutInsideACharacter) {
    std::string line;
    for (int i = 0; i < 600; ++i) line += "\xE2\x82\xAC";
    const std::string after = repaired("A: b\r\n\r\n" + line + "\r\n", kWrapLong);
    EXPECT_EQ(after, "A: b\r\n\r\n" + line.substr(0, 996) + "\r\n" + line.substr(996) + "\r\n");
}

TEST(Repair, LongHeadersAreEncodedInWordsOf75Characters) {
    std::string subject;
    for (int i = 0; i < 100; ++i) subject += "\xC3\xA4";
    const std::string after = repaired("Subject: " + subject + "\r\n\r\n", kEncodeHeader);
    std::size_t at = 0;
    while ((at = after.find("=?", at)) != std::string::npos) {
        const std::size_t end = after.find("?=", at);
        ASSERT_NE(end, std::string::npos);
        EXPECT_LE(end + 2 - at, 75U);
        at = end + 2;
    }
    EXPECT_EQ(applicable_repairs(after, false), 0);
}

TEST(Repair, EncodingTheHeaderLeavesThePartsWhereTheyAre) {
    const std::string message =
        "Subject: \xC3\xBC\r\nContent-Type: multipart/mixed; boundary=\"=_\xC3\xBC\"\r\n\r\n"
        "--=_\xC3\xBC\r\n\r\none\r\n--=_\xC3\xBC\r\n\r\ntwo\r\n--=_\xC3\xBC--\r\n";
    const std::string after = repaired(message, kEncodeHeader);
    EXPECT_NE(after, message);
    EXPECT_THAT(mime_leaves(after), ElementsAre("text/plain\none", "text/plain\ntwo"));
}

TEST(RepairLadder, OfAPlainMessageIsEmpty) {
    EXPECT_THAT(repair_ladder(kPlain, true), IsEmpty());
    EXPECT_THAT(repair_ladder("", true), IsEmpty());
}

TEST(RepairLadder, TriesEachStepAloneAndThenMoreAndMore) {
    EXPECT_THAT(
        repair_ladder("A: b\n\nx\0y"s, true),
        ElementsAre(kCrlfForBareLf, kLiteral8, kReplaceNul, kFinalCrlf, kCrlfForBareLf | kLiteral8,
                    kCrlfForBareLf | kReplaceNul, kCrlfForBareLf | kReplaceNul | kFinalCrlf));
    EXPECT_THAT(repair_ladder("A: b\r\n\r\nx\0\r\n"s, false), ElementsAre(kReplaceNul));
}

TEST(RepairLadder, NoStepIsNamedThatChangesNothing) {
    EXPECT_EQ(applicable_repairs("From a@example.com", false), kFinalCrlf);
    EXPECT_EQ(applicable_repairs("A: b\r\n\r\n\xC3\xBC\r\n", false), 0);
    EXPECT_EQ(applicable_repairs("A: b\r\n\r\n" + std::string(9'999, 'x') + "\r\n", false),
              kWrapLong);
    EXPECT_EQ(applicable_repairs("A: b\r\n\r\n" + std::string(10'001, 'x') + "\r\n", false),
              kWrapVeryLong | kWrapLong);
}

TEST(Repair, IsNamedInWords) {
    EXPECT_EQ(words_of_repairs(kCrlfForBareLf | kReplaceNul), "CRLF for bare LF, NUL to 0x80");
    EXPECT_EQ(words_of_repairs(kWrapLong), "lines over 998 octets wrapped");
}

}  // namespace
}  // namespace imapult::replica
