#include "imap/uid_set.h"

#include <gmock/gmock.h>

#include <set>

#include "engine/base/random.h"

namespace imapult::imap {
namespace {

using ::testing::ElementsAre;

std::string parsed(std::string_view text) {
    const auto set = UidSet::parse(text);
    return set ? set->text() : "error";
}

TEST(UidSet, ParsesAndCompresses) {
    EXPECT_EQ(parsed("1"), "1");
    EXPECT_EQ(parsed("1,2,3"), "1:3");
    EXPECT_EQ(parsed("5:3,1,2"), "1:5");
    EXPECT_EQ(parsed("9,1:4,3:6"), "1:6,9");
    EXPECT_EQ(parsed("4294967295,4294967294"), "4294967294:4294967295");
    EXPECT_EQ(parsed("1:4294967295,7"), "1:4294967295");
    EXPECT_EQ(parsed("007"), "7");
}

TEST(UidSet, RefusesEverythingElse) {
    for (const std::string_view text :
         {"",           "0",    "*",   "1:*",  "1,",
          ",1",         "1,,2", "1:",  ":1",   "1:2:3",
          "4294967296", "-1",   "1 2", "1, 2", "+1",
          "1;2",        "a",    "0:5", "5:0",  "99999999999999999999999"}) {
        EXPECT_EQ(parsed(text), "error") << text;
        EXPECT_FALSE(UidSet::parse_ordered(text, 100)) << text;
    }
}

TEST(UidSet, HostileOrderIsNotQuadratic) {
    std::string falling;
    for (std::uint32_t uid = 400'000; uid > 1; uid -= 2) falling += std::to_string(uid) + ",";
    const auto set = UidSet::parse(falling + "1");
    ASSERT_TRUE(set);
    EXPECT_EQ(set->size(), 200'001U);
}

TEST(UidSet, OrderedKeepsTheOrderAsWritten) {
    EXPECT_THAT(*UidSet::parse_ordered("7,3:5,1", 100), ElementsAre(7, 3, 4, 5, 1));
    EXPECT_THAT(*UidSet::parse_ordered("7:5", 100), ElementsAre(5, 6, 7));
    EXPECT_THAT(*UidSet::parse_ordered("4294967294:4294967295", 2),
                ElementsAre(4294967294U, 4294967295U));
    EXPECT_TRUE(UidSet::parse_ordered("1:100", 100));
    const auto more = UidSet::parse_ordered("1:101", 100);
    ASSERT_FALSE(more);
    EXPECT_EQ(more.error().code, Code::limit);
    EXPECT_FALSE(UidSet::parse_ordered("1:4294967295,1:4294967295", 1'000'000));
    EXPECT_FALSE(UidSet::parse_ordered("1", 0));
}

TEST(UidSet, AddOfZeroIsNothing) {
    UidSet set;
    set.add(0);
    EXPECT_TRUE(set.empty());
    set.add(0, 3);
    EXPECT_EQ(set.text(), "1:3");
    EXPECT_FALSE(set.contains(0));
}

TEST(UidSet, EqualsStdSetForAnyOrderOfAdding) {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        UidSet set;
        std::set<std::uint32_t> expected;
        for (std::uint64_t i = random.below(60); i > 0; --i) {
            const auto first = static_cast<std::uint32_t>(random.between(1, 120));
            const auto last = static_cast<std::uint32_t>(first + random.below(9));
            set.add(first, last);
            for (std::uint32_t uid = first; uid <= last; ++uid) expected.insert(uid);
        }
        EXPECT_EQ(set.size(), expected.size());
        for (std::uint32_t uid = 0; uid < 140; ++uid) {
            EXPECT_EQ(set.contains(uid), expected.contains(uid)) << uid;
        }
        for (std::size_t i = 1; i < set.ranges().size(); ++i) {
            EXPECT_GT(set.ranges()[i].first, set.ranges()[i - 1].last + 1);
        }
        if (!set.empty()) {
            EXPECT_EQ(*UidSet::parse(set.text()), set);
        }
        const std::size_t bytes_max = random.between(1, 30);
        const std::uint64_t uids_max = random.below(12);
        std::vector<std::uint32_t> joined;
        for (const UidSet& part : set.split(bytes_max, uids_max)) {
            EXPECT_FALSE(part.empty());
            EXPECT_TRUE(part.text().size() <= bytes_max || part.ranges().size() == 1);
            EXPECT_TRUE(uids_max == 0 || part.size() <= uids_max);
            for (const auto uid : *UidSet::parse_ordered(part.text(), 10'000))
                joined.push_back(uid);
        }
        EXPECT_TRUE(std::ranges::equal(joined, expected));
    }
}

TEST(UidSet, SplitFillsItsParts) {
    const auto texts = [](const std::vector<UidSet>& sets) {
        std::vector<std::string> out;
        for (const UidSet& set : sets) out.push_back(set.text());
        return out;
    };
    EXPECT_THAT(texts(UidSet(1, 10).split(100, 4)), ElementsAre("1:4", "5:8", "9:10"));
    EXPECT_THAT(texts(UidSet::parse("1,3,5,7:9")->split(5)), ElementsAre("1,3,5", "7:9"));
    EXPECT_THAT(texts(UidSet::parse("1,3,5,7:9")->split(100, 2)), ElementsAre("1,3", "5,7", "8:9"));
    EXPECT_THAT(texts(UidSet(1, 4294967295U).split(100)), ElementsAre("1:4294967295"));
    EXPECT_TRUE(UidSet().split(10, 10).empty());
}

}  // namespace
}  // namespace imapult::imap
