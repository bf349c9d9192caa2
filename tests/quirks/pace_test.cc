// What is learnt of a host, and that it is remembered.

#include "engine/session/throttle.h"

#include "engine/base/limits.h"
#include "engine/campaign/hosts.h"
#include "quirks/world.h"

namespace imapult::quirks {
namespace {

using namespace std::chrono_literals;

TEST(Pace, HalvesWhenTheServerPushesBackAndGrowsStepByStep) {
    session::Pace pace;
    const std::uint64_t full = pace.window_bytes();
    pace.pushed_back();
    EXPECT_EQ(pace.window_bytes(), full / 2);
    pace.answered(10ms);
    EXPECT_GT(pace.window_bytes(), full / 2);
    EXPECT_LT(pace.window_bytes(), full);
    for (int i = 0; i < 100; ++i) pace.answered(10ms);
    EXPECT_EQ(pace.window_bytes(), full) << "and never above what it is by itself";
    for (int i = 0; i < 100; ++i) pace.pushed_back();
    EXPECT_GE(pace.window_bytes(), 64 * limits::kKiB);
    EXPECT_GE(pace.window_messages(), 16U);
}

TEST(Pace, ShrinksWhenAnswersTakeTooLong) {
    session::Pace pace;
    const std::uint64_t full = pace.window_bytes();
    pace.answered(45s);
    EXPECT_EQ(pace.window_bytes(), full / 2);
}

TEST(Pace, OpensNoMoreConnectionsThanWereTakenAndTriesOneMoreNextTime) {
    session::Pace pace;
    EXPECT_EQ(pace.connections(4), 4U);
    pace.connection_refused(2);
    EXPECT_EQ(pace.connections(4), 2U);
    pace.connections_sufficed();
    EXPECT_EQ(pace.connections(4), 2U) << "this pass had a refusal";
    pace.connections_sufficed();
    EXPECT_EQ(pace.connections(4), 3U);
}

TEST(Pace, WhatWasLearntOfAHostStandsInTheLedger) {
    const auto disk = std::make_shared<dedup::MemoryDisk>();
    {
        auto ledger = dedup::Ledger::open(dedup::open_memory_store(disk), false);
        ASSERT_TRUE(ledger);
        campaign::Hosts hosts(**ledger);
        EXPECT_TRUE(hosts.learnt().empty());
        hosts.pace_of("Mail.Example.com")->pushed_back();
        hosts.pace_of("mail.example.com")->connection_refused(3);
        (*ledger)->commit(hosts.learnt(), [](const Result<void>& done) { EXPECT_TRUE(done); });
        EXPECT_TRUE(hosts.learnt().empty()) << "told once";
    }
    auto ledger = dedup::Ledger::open(dedup::open_memory_store(disk), false);
    ASSERT_TRUE(ledger);
    campaign::Hosts hosts(**ledger);
    EXPECT_EQ(hosts.pace_of("mail.example.com")->window_bytes(), limits::kFetchWindowBytes / 2);
    EXPECT_EQ(hosts.pace_of("mail.example.com")->connections(8), 3U);
    EXPECT_EQ(hosts.pace_of("other.example.com")->connections(8), 8U);
}

TEST(Pace, AServerThatTakesThreeConnectionsGetsThree) {
    imapd::Behaviour b = imapd::standard();
    b.connections_max = 3;
    World world(b, imapd::standard());
    for (int i = 0; i < 40; ++i) world.deliver_many("Box " + std::to_string(i), 5);
    world.options.lanes = 8;
    session::Pace source, destination;
    world.options.pace_of = [&](const std::string& host) {
        return host == "source" ? &source : &destination;
    };
    expect_complete(world.copy());
    EXPECT_EQ(world.difference(), "");
    EXPECT_LE(source.connections(8), 3U);
    EXPECT_EQ(destination.connections(8), 8U);
}

}  // namespace
}  // namespace imapult::quirks
