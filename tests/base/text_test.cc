#include "engine/base/text.h"

#include <gtest/gtest.h>

namespace imapult {
namespace {

TEST(Printable, ControlCharactersAreEscaped) {
    EXPECT_EQ(printable("a\x1b[31mb\r\n"), "a\\x1B[31mb\\x0D\\x0A");
    EXPECT_EQ(printable("\x7f"), "\\x7F");
    EXPECT_EQ(printable("\xC2\x9B"), "\\u{009B}") << "C1 control sequence introducer";
    EXPECT_EQ(printable("\xE2\x80\xAE"), "\\u{202E}") << "right-to-left override";
}

TEST(Printable, InvalidUtf8IsEscapedByteByByte) {
    EXPECT_EQ(printable("Caf\xE9"), "Caf\\xE9");
    EXPECT_EQ(printable("\xC0\xAF"), "\\xC0\\xAF") << "over-long form";
    EXPECT_EQ(printable("\xED\xA0\x80"), "\\xED\\xA0\\x80") << "surrogate";
}

TEST(Printable, GoodUtf8IsKept) { EXPECT_EQ(printable("Entwürfe 送信"), "Entwürfe 送信"); }

TEST(Printable, LongTextIsCutOutsideOfASequence) {
    EXPECT_EQ(printable("abcü", 4), "abc…");
    EXPECT_EQ(printable("abcdef", 3), "abc…");
}

TEST(ParseNumber, TakesDigitsOnly) {
    EXPECT_EQ(parse_number("0"), 0U);
    EXPECT_EQ(parse_number("18446744073709551615"), UINT64_MAX);
    EXPECT_EQ(parse_number("18446744073709551616"), std::nullopt);
    EXPECT_EQ(parse_number("-1"), std::nullopt);
    EXPECT_EQ(parse_number(""), std::nullopt);
    EXPECT_EQ(parse_number("1 "), std::nullopt);
}

}  // namespace
}  // namespace imapult
