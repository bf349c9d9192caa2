// What a server made of a message is named by kind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/replica/verify_kind.h"

namespace imapult::replica {
namespace {

using report::Alteration;
using testing::ElementsAre;
using namespace std::string_literals;

const std::string kHead =
    "From: a@example.com\r\nSubject: Gr\xC3\xBC\xDF"
    "e\r\nMessage-ID: <1@example.com>\r\n";

struct Case {
    const char* name;
    std::string original, copy;
    Alteration kind;
};

class AlterationOf : public testing::TestWithParam<Case> {};

TEST_P(AlterationOf, IsNamed) {
    const Case& c = GetParam();
    EXPECT_EQ(report::name_of(alteration_of(c.original, c.copy)), report::name_of(c.kind));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, AlterationOf,
    testing::Values(
        Case{"bare_lf", kHead + "\r\none\ntwo\r\n", kHead + "\r\none\r\ntwo\r\n",
             Alteration::line_ends},
        Case{"final_crlf", kHead + "\r\nend", kHead + "\r\nend\r\n", Alteration::line_ends},
        Case{"lone_cr_dropped", kHead + "\r\na\rb\r\n", kHead + "\r\nab\r\n",
             Alteration::line_ends},
        Case{"lone_cr_made_crlf", kHead + "\r\na\rb\r\n", kHead + "\r\na\r\nb\r\n",
             Alteration::line_ends},
        Case{"crcrlf", kHead + "\r\na\r\r\n", kHead + "\r\na\r\n", Alteration::line_ends},
        Case{"nul_replaced", kHead + "\r\na\0b\r\n"s, kHead + "\r\na\x80"s + "b\r\n",
             Alteration::nul},
        Case{"nul_dropped", kHead + "\r\na\0b\r\n"s, kHead + "\r\nab\r\n", Alteration::nul},
        Case{"nul_and_line_ends", kHead + "\r\na\0b\nc"s, kHead + "\r\na\x80"s + "b\r\nc\r\n",
             Alteration::nul},
        Case{"cut_at_nul", kHead + "\r\nbefore\0behind\r\n"s, kHead + "\r\nbefore\r\n",
             Alteration::truncated},
        Case{"only_the_header", kHead + "\r\nbody\r\n", kHead + "\r\n", Alteration::truncated},
        Case{"nothing_left", kHead + "\r\nbody\r\n", "", Alteration::truncated},
        Case{"header_to_x", kHead + "\r\nbody \xC3\xBC\r\n",
             "From: a@example.com\r\nSubject: GrXXXXe\r\nMessage-ID: <1@example.com>\r\n\r\n"
             "body \xC3\xBC\r\n",
             Alteration::header_8bit},
        Case{"header_encoded", kHead + "\r\nbody\r\n",
             "From: a@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
             "Message-ID: <1@example.com>\r\n\r\nbody\r\n",
             Alteration::header_8bit},
        Case{"body_8bit_is_no_header", kHead + "\r\nbody \xC3\xBC\r\n", kHead + "\r\nbody XX\r\n",
             Alteration::other},
        Case{"another_ascii_field", "From: a@example.com\r\nSubject: one\r\n\r\nbody\r\n",
             "From: a@example.com\r\nSubject: two\r\n\r\nbody\r\n", Alteration::other},
        Case{"line_added", "Subject: a\r\n\r\nbody\r\n",
             "Received: by example.com\r\nSubject: a\r\n\r\nother\r\n", Alteration::other},
        Case{"bytes_behind", "Subject: a\r\n\r\nbody\r\n", "Subject: a\r\n\r\nbody\r\nmore\r\n",
             Alteration::other},
        Case{"re_encoded",
             "From: a@example.com\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
             "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
             "gr\xC3\xBC\xC3\x9F\r\n",
             "From: a@example.com\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
             "Content-Type: text/plain; charset=utf-8\r\n"
             "Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BC=C3=\r\n=9F\r\n",
             Alteration::re_mimed},
        Case{"another_boundary",
             "Subject: a\r\nContent-Type: multipart/mixed; boundary=\"x y\"\r\n\r\npreamble\r\n"
             "--x y\r\nContent-Type: text/plain\r\n\r\none\r\n"
             "--x y\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
             "AAEC\r\nAwQ=\r\n--x y--\r\n",
             "Subject: a\r\nContent-Type: multipart/mixed;\r\n boundary=other\r\n\r\n"
             "--other\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\none\r\n"
             "--other\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
             "\r\nAAECAwQ=\r\n--other--\r\n",
             Alteration::re_mimed},
        Case{"another_part",
             "Subject: a\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
             "--x\r\n\r\none\r\n--x--\r\n",
             "Subject: a\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n"
             "--y\r\n\r\ntwo\r\n--y--\r\n",
             Alteration::other}),
    [](const auto& tested) { return tested.param.name; });

TEST(MimeLeaves, OfANestedMessage) {
    EXPECT_THAT(mime_leaves("Content-Type: multipart/mixed; boundary=a\n\n"
                            "--a\nContent-Type: message/rfc822\n\n"
                            "Content-Type: multipart/alternative; boundary=b\n\n"
                            "--b\n\nplain\n--b\nContent-Type: text/html\n\n<p>html</p>\n--b--\n"
                            "--a\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n"
                            "iVBO\n--a--\n"),
                ElementsAre("text/plain\nplain", "text/html\n<p>html</p>", "image/png\n\x89PN"));
}

TEST(MimeLeaves, GiveUpBeyondTheirDepth) {
    std::string message;
    for (int i = 0; i < 1000; ++i) message += "Content-Type: message/rfc822\n\n";
    EXPECT_TRUE(mime_leaves(message).empty());
}

TEST(DescribeAlteration, NamesSizesAndPlace) {
    EXPECT_EQ(describe_alteration(std::string(2000, 'a'), std::string(1500, 'a')),
              "2,000 octets became 1,500, the first difference is at 1,500");
}

// --- what a sample says -------------------------------------------------------------------------

TEST(AlteredPartMax, OfASampleWithoutAnyIsTheRuleOf4Point6) {
    report::VerifyCounts counts;
    counts.bodies = 1'000'000;
    counts.sampled = 4605;
    EXPECT_NEAR(report::altered_part_max(counts), 0.001, 1e-5);
    counts.sampled_altered = 3;  // Poisson: P(X <= 3 | 10.045) = 1 %
    EXPECT_NEAR(report::altered_part_max(counts), 10.045 / 4605, 1e-5);
}

TEST(AlteredPartMax, OfAllBodiesIsWhatWasSeen) {
    report::VerifyCounts counts;
    counts.bodies = counts.sampled = 10;
    EXPECT_EQ(report::altered_part_max(counts), 0);
    counts.sampled_altered = 1;
    EXPECT_DOUBLE_EQ(report::altered_part_max(counts), 0.1);
}

TEST(AlteredPartMax, NeverPromisesWhatNobodyLookedAt) {
    report::VerifyCounts counts;
    counts.bodies = 5;
    EXPECT_EQ(report::altered_part_max(counts), 1);
    counts.sampled = 2;
    EXPECT_EQ(report::altered_part_max(counts), 1);
}

}  // namespace
}  // namespace imapult::replica
