#include "engine/base/glob.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace imapult {
namespace {

TEST(Glob, Matches) {
    EXPECT_TRUE(glob_match("*", ""));
    EXPECT_TRUE(glob_match("*", "Archive/2024/März"));
    EXPECT_TRUE(glob_match("Archive*", "Archive/2024"));
    EXPECT_TRUE(glob_match("Archive/*", "Archive/2024/May"));
    EXPECT_TRUE(glob_match("*/May", "Archive/2024/May"));
    EXPECT_TRUE(glob_match("M?rz", "März"));
    EXPECT_TRUE(glob_match("20[0-9][0-9]", "2024"));
    EXPECT_TRUE(glob_match("[äöü]x", "öx"));
    EXPECT_TRUE(glob_match("[!a-c]x", "dx"));
    EXPECT_TRUE(glob_match("[]]", "]"));
    EXPECT_TRUE(glob_match("a[b", "a[b"));
    EXPECT_TRUE(glob_match("\\*", "*"));
    EXPECT_TRUE(glob_match("a**b", "ab"));
    EXPECT_TRUE(glob_match("", ""));
    EXPECT_TRUE(glob_match("?", "\xFF"));
}

TEST(Glob, DoesNotMatch) {
    EXPECT_FALSE(glob_match("", "a"));
    EXPECT_FALSE(glob_match("a", ""));
    EXPECT_FALSE(glob_match("Archive", "Archive/2024"));
    EXPECT_FALSE(glob_match("Archive/*", "Archive"));
    EXPECT_FALSE(glob_match("archive", "Archive"));
    EXPECT_FALSE(glob_match("M??rz", "März"));
    EXPECT_FALSE(glob_match("[!a-c]x", "bx"));
    EXPECT_FALSE(glob_match("\\*", "a"));
    EXPECT_FALSE(glob_match("?", ""));
}

TEST(Glob, InboxHasNoCase) {
    EXPECT_TRUE(glob_match_mailbox("inbox", "INBOX"));
    EXPECT_TRUE(glob_match_mailbox("INBOX/*", "Inbox/Work"));
    EXPECT_FALSE(glob_match_mailbox("inbox", "INBOX2"));
    EXPECT_FALSE(glob_match_mailbox("work", "Work"));
}

TEST(Glob, NoPatternStallsIt) {
    std::string pattern;
    for (int i = 0; i < 200; ++i) pattern += "*a";
    const std::string text(4000, 'a');
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(glob_match(pattern + "b", text));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace imapult
