// Sessions in the style of real servers (transcripts/NAME.txt), whole, one byte at a time, and each
// response cut at every place.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "imap/every_split.h"
#include "imap/transcript.h"

namespace imapult::imap::testing {
namespace {

/// The lines that belong together: up to the line whose last event is no part of a FETCH.
std::vector<std::string> responses(const Transcript& transcript) {
    std::vector<std::string> found(1);
    ResponseParser parser;
    EventLog log;
    for (const std::string& line : transcript.sent) {
        const std::size_t before = log.lines.size();
        log.feed(parser, line);
        found.back() += line;
        const bool over = log.lines.size() > before && !log.lines.back().starts_with("body ") &&
                          !log.lines.back().starts_with("octets ");
        if (over) found.emplace_back();
    }
    return found;
}

class TranscriptTest : public ::testing::TestWithParam<std::string> {};

TEST_P(TranscriptTest, GivesItsEvents) {
    const Transcript transcript =
        read_transcript(std::string(IMAPULT_TRANSCRIPTS) + "/" + GetParam() + ".txt");
    ASSERT_FALSE(transcript.lines.empty());
    std::string bytes;
    std::vector<std::string_view> octets;
    for (const std::string& line : transcript.sent) bytes += line;
    for (std::size_t i = 0; i < bytes.size(); ++i) octets.push_back({&bytes[i], 1});
    const Seen seen = parse_pieces({bytes});
    EXPECT_EQ(parse_pieces(octets), seen);
    for (const std::string& response : responses(transcript)) parse_at_every_split(response);
    EXPECT_THAT(seen.lines, ::testing::ElementsAreArray(transcript.lines));
    std::map<std::string, int> quirks;
    for (std::size_t i = 0; i < seen.quirks.size(); ++i) {
        const auto count = static_cast<int>(seen.quirks[i]);
        if (count != 0) quirks[std::string(name_of(static_cast<Quirk>(i)))] = count;
    }
    EXPECT_EQ(quirks, transcript.quirks);
}

std::vector<std::string> names() {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(IMAPULT_TRANSCRIPTS)) {
        if (entry.path().extension() == ".txt") found.push_back(entry.path().stem().string());
    }
    std::ranges::sort(found);
    return found;
}

INSTANTIATE_TEST_SUITE_P(Servers, TranscriptTest, ::testing::ValuesIn(names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace imapult::imap::testing
