// Which messages are there already: never more than there are, never a message for another.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "dedup/identity.h"
#include "engine/base/random.h"

namespace imapult::dedup {
namespace {

struct Message {
    std::string header, body;
    [[nodiscard]] Candidate candidate(std::uint32_t uid) const {
        return {uid, header.size() + body.size(), identify_header(header)};
    }
    [[nodiscard]] Sha256 digest() const {
        NormalDigest digest;
        digest.update(header);
        digest.update(body);
        return digest.finish();
    }
};

using Mailbox = std::map<std::uint32_t, Message>;

std::vector<Candidate> candidates(const Mailbox& mailbox) {
    std::vector<Candidate> all;
    for (const auto& [uid, message] : mailbox) all.push_back(message.candidate(uid));
    return all;
}

std::vector<ContentCandidate> contents(const Mailbox& mailbox,
                                       const std::vector<std::uint32_t>& uids) {
    std::vector<ContentCandidate> all;
    for (const std::uint32_t uid : uids) all.push_back({uid, mailbox.at(uid).digest()});
    return all;
}

/// Both passes.
std::vector<Pair> match(const Mailbox& source, const Mailbox& destination, bool recovering = false,
                        Proof proof = Proof::header_and_size) {
    const HeaderMatch headers = match_headers(candidates(source), candidates(destination), proof);
    std::vector<Pair> pairs = headers.pairs;
    for (const Group& group : headers.undecided) {
        const auto found =
            match_contents(group, contents(source, group.source_uids),
                           contents(destination, group.destination_uids), recovering);
        pairs.insert(pairs.end(), found.begin(), found.end());
    }
    std::ranges::sort(pairs, {}, &Pair::source_uid);
    return pairs;
}

std::string header(const std::string& id, const std::string& trace = "") {
    return (trace.empty() ? "" : "Received: by mx.example.com id " + trace + "\r\n") +
           "Message-ID: <" + id + "@example.com>\r\nDate: Mon, 2 Jan 2023 10:00:00 +0000\r\n" +
           "From: ann@example.com\r\nSubject: s\r\n\r\n";
}

TEST(Match, ATracedHeaderAndTheSizeAreEnough) {
    const Mailbox source{{5, {header("a", "1"), "body"}}, {6, {header("b", "2"), "body"}}};
    const Mailbox destination{{1, {header("b", "2"), "body"}}};
    const HeaderMatch found = match_headers(candidates(source), candidates(destination));
    EXPECT_EQ(found.pairs, (std::vector<Pair>{{6, 1}}));
    EXPECT_TRUE(found.undecided.empty());
    EXPECT_EQ(found.unmatched_source, std::vector<std::uint32_t>{5});
}

TEST(Match, SizesThatDifferAreForTheContentToDecide) {
    const Mailbox source{{5, {header("a", "1"), "one\ntwo\n"}}};
    const Mailbox destination{{1, {header("a", "1"), "one\r\ntwo\r\n"}}};
    const HeaderMatch found = match_headers(candidates(source), candidates(destination));
    EXPECT_TRUE(found.pairs.empty());
    ASSERT_EQ(found.undecided.size(), 1U);
    EXPECT_FALSE(found.undecided[0].loose);
    EXPECT_EQ(match(source, destination), (std::vector<Pair>{{5, 1}})) << "only line ends differ";
}

TEST(Match, TheLineOfACopyingToolDoesNotCountInTheSize) {
    const Mailbox source{{5, {header("a", "1"), "body"}}};
    const Mailbox destination{{1, {"X-TUID: pZeun+I8S/5Y\r\n" + header("a", "1"), "body"}}};
    EXPECT_EQ(match_headers(candidates(source), candidates(destination)).pairs,
              (std::vector<Pair>{{5, 1}}));
}

TEST(Match, EqualMessagesAreCounted) {
    const Message m{header("a", "1"), "body"};
    const Mailbox three{{1, m}, {2, m}, {3, m}};
    const Mailbox two{{10, m}, {11, m}};
    EXPECT_EQ(match(three, two), (std::vector<Pair>{{1, 10}, {2, 11}}));
    EXPECT_EQ(match(two, three), (std::vector<Pair>{{10, 1}, {11, 2}}));
}

/// An imitation: same Message-ID, Date, From, Subject and size.
TEST(Spoof, AnotherBodyIsNeverTakenForTheMessage) {
    const Message real{header("a"), "pay to account 1111"};
    const Message spoof{header("a"), "pay to account 6666"};
    EXPECT_TRUE(match({{1, real}}, {{9, spoof}}).empty());
    EXPECT_TRUE(match({{1, real}}, {{9, spoof}}, false, Proof::content).empty());
    EXPECT_EQ(match({{1, real}, {2, spoof}}, {{9, spoof}}), (std::vector<Pair>{{2, 9}}));
    EXPECT_EQ(match({{1, real}, {2, spoof}}, {{8, spoof}, {9, real}}),
              (std::vector<Pair>{{1, 9}, {2, 8}}));
    // Both even with the same trace: two of them are told apart by content.
    const Message traced{header("a", "1"), real.body};
    const Message forged{header("a", "1"), spoof.body};
    EXPECT_EQ(match({{1, traced}, {2, forged}}, {{9, forged}}), (std::vector<Pair>{{2, 9}}));
    EXPECT_TRUE(match({{1, traced}}, {{9, forged}}, false, Proof::content).empty());
}

TEST(Spoof, AnotherHeaderIsNeverTakenForTheMessage) {
    const Message real{header("a", "1"), "body"};
    const Message spoof{header("a", "2"), "body"};  // delivered at another time
    EXPECT_TRUE(match({{1, real}}, {{9, spoof}}).empty());
    EXPECT_EQ(match({{1, real}, {2, spoof}}, {{9, spoof}}), (std::vector<Pair>{{2, 9}}));
    EXPECT_EQ(match({{1, spoof}, {2, real}}, {{9, real}}), (std::vector<Pair>{{2, 9}}));
}

TEST(Recovery, AMessageThatTheServerAlteredCountsAsLanded) {
    const Message sent{header("a", "1"), std::string("one\0two", 7)};
    const Message landed{header("a", "1"), "one"};
    EXPECT_TRUE(match({{1, sent}}, {{9, landed}}).empty());
    EXPECT_EQ(match({{1, sent}}, {{9, landed}}, true), (std::vector<Pair>{{1, 9}}));
    // Exact copies go first.
    const Message other{header("a", "1"), "three"};
    EXPECT_EQ(match({{1, sent}, {2, other}}, {{8, other}, {9, landed}}, true),
              (std::vector<Pair>{{1, 9}, {2, 8}}));
    // Without Message-ID nothing says that it is this one.
    const Message weak{"Subject: s\r\n\r\n", "one"};
    const Message weak_landed{"Subject: s\r\n\r\n", "two"};
    EXPECT_TRUE(match({{1, weak}}, {{9, weak_landed}}, true).empty());
}

TEST(Match, HeadersThatCyrusRewroteAreFound) {
    const Message source{"Message-ID: <1@example.com>\r\nDate: x\r\nSubject: \xC3\xBC\r\n\r\n",
                         "b"};
    const Message destination{"Message-ID: <1@example.com>\r\nDate: x\r\nSubject: XX\r\n\r\n", "b"};
    const Mailbox there{{9, destination}};
    const HeaderMatch found = match_headers({source.candidate(1)}, candidates(there));
    ASSERT_EQ(found.undecided.size(), 1U);
    EXPECT_TRUE(found.undecided[0].loose);
    EXPECT_EQ(match({{1, source}}, there), (std::vector<Pair>{{1, 9}}));
}

Message random_message(Random& random) {
    Message message;
    const std::string id(1, static_cast<char>('a' + random.below(3)));
    switch (random.below(4)) {
        case 0:
            message.header = header(id);
            break;
        case 1:
            message.header = header(id, std::to_string(random.below(2)));
            break;
        case 2:
            message.header = "Subject: " + id + "\r\n\r\n";
            break;
        default:
            message.header = "\r\n";
            break;
    }
    static const std::string kBodies[] = {"one", "two", "three", ""};
    message.body = kBodies[random.below(4)];
    if (random.chance(0.3)) message.header = "X-TUID: pZeun+I8S/5Y\r\n" + message.header;
    return message;
}

/// For every message whose content is at the destination k times and at the source j times there
/// are min(k, j) pairs; and a pair of different contents only where header and size prove it.
TEST(Match, AgreesWithCountingContents) {
    const std::uint64_t seed = 4711;
    Random random(seed);
    for (int round = 0; round < 5'000; ++round) {
        Mailbox source;
        Mailbox destination;
        for (std::uint64_t i = random.below(7); i > 0; --i) {
            source[static_cast<std::uint32_t>(random.below(1000)) + 1] = random_message(random);
        }
        for (std::uint64_t i = random.below(7); i > 0; --i) {
            destination[static_cast<std::uint32_t>(random.below(1000)) + 1] =
                random_message(random);
        }
        const bool fast = random.chance(0.5);
        const std::vector<Pair> pairs =
            match(source, destination, false, fast ? Proof::header_and_size : Proof::content);
        const std::string where = "seed 4711 round " + std::to_string(round);

        std::map<Sha256, std::pair<int, int>> counts;
        for (const auto& [uid, message] : source) ++counts[message.digest()].first;
        for (const auto& [uid, message] : destination) ++counts[message.digest()].second;
        std::map<Sha256, std::vector<Pair>> by_content;
        std::set<std::uint32_t> used_source;
        std::set<std::uint32_t> used_destination;
        for (const Pair& pair : pairs) {
            ASSERT_TRUE(used_source.insert(pair.source_uid).second) << where;
            ASSERT_TRUE(used_destination.insert(pair.destination_uid).second) << where;
            const Message& a = source.at(pair.source_uid);
            const Message& b = destination.at(pair.destination_uid);
            if (a.digest() == b.digest()) {
                by_content[a.digest()].push_back(pair);
                continue;
            }
            ASSERT_TRUE(fast) << where;
            const HeaderIdentity ia = identify_header(a.header);
            const HeaderIdentity ib = identify_header(b.header);
            ASSERT_TRUE(ia.strong && ia.traced && ia.strict == ib.strict) << where;
            ASSERT_EQ(a.header.size() + a.body.size() - ia.added_bytes,
                      b.header.size() + b.body.size() - ib.added_bytes)
                << where;
        }
        for (const auto& [content, count] : counts) {
            ASSERT_EQ(by_content[content].size(), std::min(count.first, count.second)) << where;
        }
        for (auto& [content, list] : by_content) {
            ASSERT_TRUE(std::ranges::is_sorted(list, {}, &Pair::destination_uid)) << where;
        }
    }
}

TEST(Match, EverySourceMessageIsInExactlyOnePlace) {
    Random random(99);
    for (int round = 0; round < 500; ++round) {
        Mailbox source;
        Mailbox destination;
        for (std::uint32_t uid = 1; uid < 12; ++uid) {
            source[uid] = random_message(random);
            if (random.chance(0.6)) destination[uid] = random_message(random);
        }
        const HeaderMatch found = match_headers(candidates(source), candidates(destination));
        std::vector<std::uint32_t> seen = found.unmatched_source;
        for (const Pair& pair : found.pairs) seen.push_back(pair.source_uid);
        for (const Group& group : found.undecided) {
            EXPECT_FALSE(group.destination_uids.empty());
            seen.insert(seen.end(), group.source_uids.begin(), group.source_uids.end());
        }
        std::ranges::sort(seen);
        std::vector<std::uint32_t> all;
        for (const auto& [uid, message] : source) all.push_back(uid);
        ASSERT_EQ(seen, all) << "seed 99 round " << round;
    }
}

}  // namespace
}  // namespace imapult::dedup
