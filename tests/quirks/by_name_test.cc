// Every quirk of tools/imapd/quirks.cc by name: the whole replicator against a server that has it,
// the right result and the right report.

#include <algorithm>
#include <set>

#include "quirks/cases.h"

namespace imapult::quirks {

namespace {

std::vector<Case> all_cases() {
    std::vector<Case> out;
    for (const auto& part : {session_cases(), name_cases(), fetch_cases(), append_cases()}) {
        out.insert(out.end(), part.begin(), part.end());
    }
    return out;
}

class QuirkByName : public ::testing::TestWithParam<Case> {};

TEST_P(QuirkByName, RightResultAndRightReport) {
    const Case& c = GetParam();
    imapd::Behaviour source, destination;
    ASSERT_TRUE(imapd::preset(c.source, source));
    ASSERT_TRUE(imapd::preset(c.destination, destination));
    ASSERT_TRUE(imapd::apply_quirk(c.quirk, c.side == Side::source ? source : destination));
    World world(std::move(source), std::move(destination));
    world.fill();
    if (c.given) c.given(world);
    const report::AccountSummary summary = world.copy();
    if (c.then) return c.then(world, summary);
    expect_complete(summary);
    EXPECT_EQ(world.difference(), "");
    // The next pass finds everything there.
    const report::AccountSummary again = world.copy();
    expect_complete(again);
    EXPECT_EQ(again.messages.copied + again.messages.adopted, 0U) << describe(again);
    EXPECT_EQ(world.difference(), "");
}

std::string test_name(const ::testing::TestParamInfo<Case>& info) {
    std::string out = std::string(info.param.quirk) + "_" + std::string(name_of(info.param.side));
    if (!info.param.variant.empty()) out += "_" + std::string(info.param.variant);
    std::ranges::replace(out, '-', '_');
    return out;
}

INSTANTIATE_TEST_SUITE_P(Table, QuirkByName, ::testing::ValuesIn(all_cases()), test_name);

TEST(QuirkTable, EachHasACaseAndAName) {
    std::set<std::string_view> cases;
    for (const Case& c : all_cases()) cases.insert(c.quirk);
    std::set<std::string_view> names;
    for (const imapd::Quirk& quirk : imapd::quirks()) {
        EXPECT_TRUE(cases.contains(quirk.name)) << quirk.name;
        EXPECT_TRUE(names.insert(quirk.name).second) << quirk.name << " stands there twice";
        EXPECT_FALSE(quirk.what.empty()) << quirk.name;
    }
}

TEST(QuirkTable, PresetsThatRowsNameExist) {
    const std::vector<std::string> presets = imapd::preset_names();
    for (const imapd::Quirk& quirk : imapd::quirks()) {
        std::string word;
        for (const char c : std::string(quirk.servers) + " ") {
            if (c != ' ') {
                word += c;
                continue;
            }
            EXPECT_TRUE(word.empty() || std::ranges::find(presets, word) != presets.end()) << word;
            word.clear();
        }
    }
}

}  // namespace

}  // namespace imapult::quirks
