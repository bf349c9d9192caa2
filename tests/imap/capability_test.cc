#include "imap/capability.h"

#include <gmock/gmock.h>

#include <vector>

namespace imapult::imap {
namespace {

CapabilitySet set_of(std::vector<std::string_view> words) {
    CapabilitySet set;
    set.assign(words);
    return set;
}

TEST(Capability, NamesWithoutCaseAndTwice) {
    const CapabilitySet set = set_of({"IMAP4rev1", "acl", "ACL", "auth=Plain", "AUTH=XOAUTH2"});
    EXPECT_TRUE(set.has("ACL"));
    EXPECT_TRUE(set.has("imap4REV1"));
    EXPECT_FALSE(set.has("IMAP4"));
    EXPECT_TRUE(set.has_auth("PLAIN"));
    EXPECT_TRUE(set.has_auth("xoauth2"));
    EXPECT_FALSE(set.has_auth("LOGIN"));
    EXPECT_THAT(set.names(),
                ::testing::ElementsAre("ACL", "AUTH=PLAIN", "AUTH=XOAUTH2", "IMAP4REV1"));
}

TEST(Capability, LiteralMode) {
    EXPECT_EQ(set_of({"IMAP4rev1"}).literal_mode(), LiteralMode::synchronising);
    EXPECT_EQ(set_of({"LITERAL-"}).literal_mode(), LiteralMode::minus);
    EXPECT_EQ(set_of({"LITERAL+", "LITERAL-"}).literal_mode(), LiteralMode::plus);
    EXPECT_EQ(set_of({"LITERAL", "+"}).literal_mode(), LiteralMode::plus);
    EXPECT_EQ(set_of({"IMAP4rev2"}).literal_mode(), LiteralMode::minus);
    EXPECT_EQ(set_of({"IMAP4rev1", "IMAP4rev2"}).literal_mode(), LiteralMode::synchronising);
}

TEST(Capability, AppendLimit) {
    EXPECT_EQ(set_of({"APPENDLIMIT=35651584"}).append_limit(), 35651584U);
    EXPECT_EQ(set_of({"APPENDLIMIT"}).append_limit(), std::nullopt);
    EXPECT_EQ(set_of({"APPENDLIMIT=x"}).append_limit(), std::nullopt);
    EXPECT_EQ(set_of({}).append_limit(), std::nullopt);
}

TEST(Capability, AssignReplacesAndRemoveTakesAway) {
    CapabilitySet set = set_of({"A", "B"});
    set.remove("a");
    EXPECT_FALSE(set.has("A"));
    const std::string_view words[] = {"C"};
    set.assign(words);
    EXPECT_THAT(set.names(), ::testing::ElementsAre("C"));
    EXPECT_FALSE(set.empty());
    EXPECT_TRUE(CapabilitySet().empty());
}

}  // namespace
}  // namespace imapult::imap
