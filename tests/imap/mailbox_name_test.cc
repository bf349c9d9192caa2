#include "imap/mailbox_name.h"

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/base/text.h"

namespace imapult::imap {
namespace {

using namespace std::string_view_literals;

TEST(MailboxName, BothWays) {
    const std::pair<std::string_view, std::string_view> table[] = {
        {"INBOX", "INBOX"},
        {"", ""},
        {"a & b", "a &- b"},
        {"Entwürfe", "Entw&APw-rfe"},
        {"~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"},  // RFC 3501 §5.1.3
        {"Черновики", "&BCcENQRABD0EPgQyBDgEOgQ4-"},
        {"😀", "&2D3eAA-"},
        {"a😀b", "a&2D3eAA-b"},
        {"\t", "&AAk-"},
        {"\x7F", "&AH8-"},
        {"ü&ü", "&APw-&-&APw-"},
        {"\xF4\x8F\xBF\xBF", "&2,,f,w-"},  // U+10FFFF
    };
    for (const auto& [utf8, wire] : table) {
        EXPECT_EQ(encode_mailbox_name(utf8), std::string(wire)) << utf8;
        const DecodedName decoded = decode_mailbox_name(wire);
        EXPECT_EQ(decoded.utf8, utf8);
        EXPECT_TRUE(decoded.exact) << wire;
    }
}

TEST(MailboxName, LenientDecodingSaysThatItIsNotExact) {
    const std::pair<std::string_view, std::string_view> table[] = {
        {"&AGE-", "a"},                   // not canonical (Courier makes "a" of it)
        {"&APw-&APw-", "üü"},             // two runs where one is canonical
        {"bare&amp", "bare&amp"},         // never closed
        {"a & b", "a & b"},               // Gmail's own labels before encoding
        {"Entw\xC3\xBCrfe", "Entwürfe"},  // raw UTF-8
        {"Entw\xFCrfe", "Entw\xFCrfe"},   // raw octets are kept as they are
        {"&2D0-", "&2D0-"},               // a lone high surrogate
        {"&3gA-", "&3gA-"},               // a lone low surrogate
        {"&2D0AYQ-", "&2D0AYQ-"},         // high surrogate, then a letter
        {"&A-", "&A-"},                   // not even one unit
        {"&AAAA-", "&AAAA-"},             // NUL
        {"&AP-x", "&AP-x"},               // bits that are no padding
        {"a&", "a&"},
        {"&AP9-", "ÿ"},  // bits in the padding
    };
    for (const auto& [wire, utf8] : table) {
        const DecodedName decoded = decode_mailbox_name(wire);
        EXPECT_EQ(decoded.utf8, utf8) << wire;
        EXPECT_FALSE(decoded.exact) << wire;
    }
}

TEST(MailboxName, EncodingRefusesWhatIsNoName) {
    for (const std::string_view bad :
         {"\xFF"sv, "a\0b"sv, "\xED\xA0\xBD"sv, "\xC0\x80"sv, "\xC3"sv}) {
        const auto encoded = encode_mailbox_name(bad);
        ASSERT_FALSE(encoded);
        EXPECT_EQ(encoded.error().code, Code::invalid_input);
    }
}

std::string utf8_of(std::uint32_t c) {
    std::string out;
    const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xC0 | (c >> 6)), put(0x80 | (c & 63));
    } else if (c < 0x10000) {
        put(0xE0 | (c >> 12)), put(0x80 | ((c >> 6) & 63)), put(0x80 | (c & 63));
    } else {
        put(0xF0 | (c >> 18)), put(0x80 | ((c >> 12) & 63));
        put(0x80 | ((c >> 6) & 63)), put(0x80 | (c & 63));
    }
    return out;
}

TEST(MailboxName, AnyUnicodeComesBack) {
    for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
        Random random(seed);
        std::string name;
        for (std::uint64_t i = random.between(1, 20); i > 0; --i) {
            static constexpr std::uint32_t kTops[] = {0x7F, 0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
            std::uint32_t c = 0;
            do {
                c = static_cast<std::uint32_t>(random.between(1, kTops[random.below(5)]));
            } while (c >= 0xD800 && c <= 0xDFFF);
            name += random.chance(0.1) ? "&" : utf8_of(c);
        }
        const auto wire = encode_mailbox_name(name);
        ASSERT_TRUE(wire) << seed;
        for (const char c : *wire) ASSERT_TRUE(c >= 0x20 && c <= 0x7E) << seed;
        const DecodedName back = decode_mailbox_name(*wire);
        EXPECT_EQ(back.utf8, name) << seed;
        EXPECT_TRUE(back.exact) << seed;
    }
}

TEST(MailboxName, AnyOctetsDecodeWithoutClaimingTooMuch) {
    for (std::uint64_t seed = 1; seed <= 5000; ++seed) {
        Random random(seed);
        std::string wire;
        for (std::uint64_t i = random.between(1, 12); i > 0; --i) {
            static constexpr std::string_view kOften = "&&-A2D3w,+";
            wire += random.chance(0.6) ? kOften[random.below(kOften.size())]
                                       : static_cast<char>(random.below(256));
        }
        const DecodedName decoded = decode_mailbox_name(wire);
        const auto again = encode_mailbox_name(decoded.utf8);
        EXPECT_EQ(decoded.exact, again && *again == wire) << seed;
    }
}

}  // namespace
}  // namespace imapult::imap
