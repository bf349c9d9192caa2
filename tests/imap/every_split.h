#pragma once
// The one way parser tests run: the same bytes whole, one at a time, and cut in two at every place,
// give the same events and the same quirks.

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "imap/event_text.h"

namespace imapult::imap::testing {

struct Seen {
    std::vector<std::string> lines;
    std::array<std::uint64_t, static_cast<std::size_t>(Quirk::count_)> quirks{};
    bool operator==(const Seen&) const = default;
    [[nodiscard]] std::uint64_t count(Quirk quirk) const {
        return quirks[static_cast<std::size_t>(quirk)];
    }
};

inline Seen parse_pieces(const std::vector<std::string_view>& pieces, ParserOptions options = {}) {
    ResponseParser parser(options);
    EventLog log;
    for (const std::string_view piece : pieces) {
        if (!log.feed(parser, piece)) break;
    }
    log.close_body();
    Seen seen{std::move(log.lines), {}};
    for (std::size_t i = 0; i < seen.quirks.size(); ++i) {
        seen.quirks[i] = parser.quirk_count(static_cast<Quirk>(i));
    }
    return seen;
}

/// Parses `bytes` in every way and returns what all of them saw.
inline Seen parse_at_every_split(std::string_view bytes, ParserOptions options = {}) {
    const Seen whole = parse_pieces({bytes}, options);
    std::vector<std::string_view> octets;
    for (std::size_t i = 0; i < bytes.size(); ++i) octets.push_back(bytes.substr(i, 1));
    EXPECT_EQ(parse_pieces(octets, options), whole) << "one byte at a time: " << show(bytes);
    for (std::size_t i = 1; i < bytes.size(); ++i) {
        const Seen split = parse_pieces({bytes.substr(0, i), bytes.substr(i)}, options);
        EXPECT_EQ(split, whole) << "cut at " << i << ": " << show(bytes);
        if (split != whole) break;
    }
    return whole;
}

}  // namespace imapult::imap::testing
