// `follow` on a clock moved by hand: hours of quiet, servers that fall silent, that restart, that
// refuse.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "dedup/memory_store.h"
#include "engine/campaign/budget.h"
#include "engine/campaign/follow.h"
#include "engine/net/stream.h"
#include "sim/support/memory_stream.h"
#include "sim/support/silent_observer.h"
#include "sim/support/sim_scheduler.h"
#include "tools/imapd/connection.h"
#include "tools/imapd/store.h"

namespace imapult::sim {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

constexpr std::string_view kUser = "alice";

class Witness final : public SilentObserver {
  public:
    void account_started(std::size_t) override { ++started; }
    void retrying(std::size_t, Side, std::chrono::milliseconds, const Error&) override {
        ++retries;
    }
    void account_finished(std::size_t, const report::AccountSummary&) override { ++finished; }
    void followed(std::size_t, const report::Following& now) override { following = now; }

    int started = 0, finished = 0, retries = 0;
    report::Following following;
};

/// Two servers that tell of what happens, as far as they know how, and can be cut off.
class Servers final : public net::Connector {
  public:
    Servers(SimScheduler& scheduler, imapd::Store& source, imapd::Store& destination)
        : scheduler_(&scheduler), source_(&source), destination_(&destination), scope_(scheduler) {}

    Task<Result<std::unique_ptr<net::Stream>>> connect(std::string host, std::uint16_t) override {
        const bool to_source = host == "source";
        co_await runtime::sleep_for(*scheduler_, 1ms);
        if (to_source) attempts.push_back(scheduler_->now());
        if (to_source && down) {
            co_return fail(Code::connect_failed, Scope::host, Retry::later, "the source is down");
        }
        auto [client, server] = make_pipe(*scheduler_, {.latency = 1ms, .loopback = true});
        auto one = std::make_unique<Server>(*scheduler_, std::move(server),
                                            to_source ? *source_ : *destination_, to_source);
        scope_.spawn(serve(*one));
        all_.push_back(std::move(one));
        co_return std::move(client);
    }
    Task<Result<std::unique_ptr<net::Stream>>> start_tls(std::unique_ptr<net::Stream> inner,
                                                         net::TlsOptions) override {
        inner->abort();
        co_return fail(Code::tls_failed, Scope::host, Retry::never, "no TLS here");
    }
    std::unique_ptr<net::Stream> start_deflate(std::unique_ptr<net::Stream> inner,
                                               std::string) override {
        return inner;
    }

    /// The source's connections are reset.
    void cut() {
        for (const auto& one : all_) {
            if (one->is_source) one->stream->abort();
        }
    }
    /// The source's present connections stay open, and nothing comes from them any more.
    void fall_silent() {
        for (const auto& one : all_) one->silent = one->silent || one->is_source;
    }
    Task<void> end() {
        for (const auto& one : all_) one->stream->abort();
        co_await scope_.join();
    }
    [[nodiscard]] std::size_t open() const {
        return static_cast<std::size_t>(std::ranges::count_if(
            all_, [](const auto& one) { return one->is_source && !one->ended; }));
    }

    bool down = false;
    std::vector<Nanos> attempts;  ///< to connect to the source
    Nanos longest_silence{0};     ///< of a client while its connection was open

  private:
    struct Server {
        Server(SimScheduler& scheduler, std::unique_ptr<net::Stream> stream_in, imapd::Store& store,
               bool source)
            : stream(std::move(stream_in)), connection(store), news(scheduler), is_source(source) {
            watch = store.watch([this] { news.notify_all(); });
        }
        std::unique_ptr<net::Stream> stream;
        imapd::Connection connection;
        runtime::Event news;
        std::shared_ptr<void> watch;
        bool is_source, silent = false, read_ended = false, ended = false;
    };

    Task<void> read(Server& one) {
        Nanos heard = scheduler_->now();
        while (true) {
            auto bytes = co_await one.stream->read();
            longest_silence = std::max(longest_silence, scheduler_->now() - heard);
            heard = scheduler_->now();
            if (!bytes || bytes->empty()) break;
            if (!one.silent) one.connection.feed(*bytes);
            one.news.notify_all();
        }
        one.read_ended = true;
        one.news.notify_all();
    }

    Task<void> serve(Server& one) {
        runtime::TaskScope reader(*scheduler_);
        reader.spawn(read(one));
        while (!one.read_ended && !one.connection.wants_close()) {
            one.connection.poll();
            while (!one.silent && one.connection.has_output()) {
                const std::string out = one.connection.take_output(4096);
                if (!co_await one.stream->write(out)) one.stream->abort();
            }
            if (!one.connection.wants_close()) co_await one.news.wait();
        }
        one.stream->abort();
        co_await reader.join();
        co_await one.stream->close();
        one.ended = true;
    }

    SimScheduler* scheduler_;
    imapd::Store *source_, *destination_;
    runtime::TaskScope scope_;
    std::vector<std::unique_ptr<Server>> all_;
};

EndpointSpec endpoint(std::string host) {
    EndpointSpec spec;
    spec.host = std::move(host);
    spec.port = 143;
    spec.tls = TlsMode::off;
    spec.user = kUser;
    spec.secret.fetch = [] { return Result<Secret>(Secret("password")); };
    spec.secret.origin = "the test";
    return spec;
}

/// One account that is followed while `story` goes on.
class World {
  public:
    explicit World(std::vector<std::string> hidden = {})
        : source_behaviour(without(hidden)),
          source(source_behaviour, &scheduler.clock()),
          destination(imapd::standard(), &scheduler.clock()),
          servers(scheduler, source, destination) {
        for (imapd::Store* store : {&source, &destination}) store->add_account(kUser, "password");
        for (const char* name : {"Work", "Lists"}) source.create(kUser, name);
        add("INBOX");
        add("Work");
    }

    static imapd::Behaviour without(const std::vector<std::string>& hidden) {
        imapd::Behaviour behaviour = imapd::standard();
        for (const std::string& name : hidden) behaviour.hide(name);
        return behaviour;
    }

    void add(const std::string& box) {
        const std::string number = std::to_string(++number_);
        source.add_message(
            kUser, box,
            "Message-ID: <" + number + "@example.com>\r\nSubject: " + number + "\r\n\r\nText\r\n");
    }

    Task<void> sleep(Nanos time) { return runtime::sleep_for(scheduler, time); }

    /// Waits until the destination has as much as the source; the time it took, an hour at most.
    Task<Nanos> in_step(std::string box) {
        const Nanos begin = scheduler.now();
        while (scheduler.now() - begin < 1h) {
            const auto there = destination.mailbox(kUser, box);
            if (there && there->messages == source.mailbox(kUser, box)->messages) break;
            co_await sleep(10ms);
        }
        co_return scheduler.now() - begin;
    }
    Task<Nanos> arrival(std::string box) {
        add(box);
        co_return co_await in_step(box);
    }

    template <class Story>
    void run(Story story) {
        ASSERT_TRUE(scheduler.run(all(story(*this)), 20'000'000)) << "it does not end";
        EXPECT_EQ(servers.open(), 0U);
        EXPECT_TRUE(summary.messages.balanced());
        EXPECT_EQ(witness.started, 1);
        EXPECT_EQ(witness.finished, 1);
    }

    SimScheduler scheduler;
    imapd::Behaviour source_behaviour;
    imapd::Store source, destination;
    Servers servers;
    Witness witness;
    report::AccountSummary summary;
    campaign::Limits limits;
    bool ended = false;  ///< by itself

  private:
    Task<void> follow(campaign::Follower& follower) {
        co_await follower.run();
        ended = true;
    }

    Task<void> all(Task<void> story) {
        SimBlockingPool pool;
        auto ledger = dedup::Ledger::open(
            dedup::open_memory_store(std::make_shared<dedup::MemoryDisk>()), false);
        session::Environment environment{scheduler, servers, pool, 7};
        replica::Options options;
        options.remove.mirror = true;
        options.remove.percent_max.reset();
        const std::vector<campaign::AccountSpec> specs{
            {"alice", endpoint("source"), endpoint("destination"), nullptr}};
        auto budget = campaign::DailyBudget::open(limits, specs, **ledger, scheduler.clock());
        if (limits.any()) options.budget = budget->get();
        report::StopToken stop;
        runtime::Credit passes(scheduler, 1);
        runtime::Credit openings(scheduler, 1);
        {
            campaign::Follower follower(
                {environment, options, **ledger, witness, stop, passes, openings}, 0,
                specs.front());
            runtime::TaskScope scope(scheduler);
            scope.spawn(follow(follower));
            co_await std::move(story);
            ended_by_itself = ended;
            stop.request(report::StopToken::Level::graceful);
            follower.on_stop(report::StopToken::Level::graceful);
            co_await scope.join();
            summary = std::move(follower.summary);
        }
        co_await servers.end();
    }

  public:
    bool ended_by_itself = false;

  private:
    int number_ = 0;
};

const std::vector<std::vector<std::string>> kWays = {
    {}, {"NOTIFY"}, {"NOTIFY", "IDLE"}, {"NOTIFY", "IDLE", "CONDSTORE", "QRESYNC", "LIST-STATUS"}};
const std::vector<report::Watching> kBy = {report::Watching::notify, report::Watching::idle,
                                           report::Watching::polling, report::Watching::polling};

Task<void> changes_follow(World& world) {
    (void)co_await world.in_step("Work");
    co_await world.sleep(5s);
    for (const char* box : {"INBOX", "Work", "Work", "Lists", "INBOX"}) {
        const Nanos took = co_await world.arrival(box);
        EXPECT_LT(took, 2s) << box;
        co_await world.sleep(1500ms);
    }
    world.source.expunge(kUser, "INBOX", 1);
    EXPECT_LT(co_await world.in_step("INBOX"), 2s);
    world.source.create(kUser, "New");
    EXPECT_LT(co_await world.arrival("New"), 3s);
    co_await world.sleep(10s);
}

TEST(Follow, WhatHappensIsCarriedOverAtOnce) {
    for (std::size_t i = 0; i < kWays.size(); ++i) {
        SCOPED_TRACE(i);
        World world(kWays[i]);
        world.run(changes_follow);
        EXPECT_EQ(world.summary.result, report::RunResult::complete);
        ASSERT_TRUE(world.summary.following);
        EXPECT_EQ(world.summary.following->by, kBy[i]);
        EXPECT_GE(world.summary.following->passes, 7U);
        EXPECT_LT(world.summary.following->median, 2);
        EXPECT_EQ(world.summary.messages.copied, 8U);
        EXPECT_EQ(world.summary.messages.deleted, 1U);
    }
}

TEST(Follow, WhatIsOfferedAndRefusedIsDoneWithout) {
    World world;
    imapd::Behaviour behaviour = imapd::standard();
    for (const char* command : {"NOTIFY", "IDLE"}) {
        behaviour.script.push_back({.command = command,
                                    .nth = 1,
                                    .every = true,
                                    .reply = "%t NO [CANNOT] Not for you\r\n",
                                    .instead = true,
                                    .close = false});
    }
    world.source.set_behaviour(behaviour);
    world.run(changes_follow);
    EXPECT_EQ(world.summary.following->by, report::Watching::polling);
    EXPECT_EQ(world.witness.retries, 0);
}

TEST(Follow, NoConnectionIsSilentForHalfAnHour) {
    for (const auto& hidden : kWays) {
        World world(hidden);
        world.run([](World& w) -> Task<void> {
            (void)co_await w.in_step("Work");
            // Work gets a connection of its own where there is only IDLE.
            co_await w.sleep(5s);
            (void)co_await w.arrival("Work");
            co_await w.sleep(1h);
            EXPECT_LT(co_await w.arrival("INBOX"), 60s);
            co_await w.sleep(5s);
        });
        EXPECT_LT(world.servers.longest_silence, 29min);
        EXPECT_EQ(world.witness.retries, 0);
        EXPECT_EQ(world.summary.result, report::RunResult::complete);
    }
}

TEST(Follow, QuietHoursCostFewConnections) {
    World world;
    world.run([](World& w) -> Task<void> {
        (void)co_await w.in_step("Work");
        co_await w.sleep(1min);
        const std::size_t before = w.servers.attempts.size();
        co_await w.sleep(2h);
        // One pass every five minutes, which finds nothing.
        EXPECT_LE(w.servers.attempts.size() - before, 25U);
    });
    EXPECT_EQ(world.summary.messages.copied, 2U);
}

TEST(Follow, ABudgetThatIsUsedUpIsWaitedForAndTheRestComesTheNextDay) {
    World world;
    world.limits.messages_per_day = 4;
    world.run([](World& w) -> Task<void> {
        (void)co_await w.in_step("Work");
        co_await w.sleep(5s);
        for (int i = 0; i < 4; ++i) w.add("INBOX");
        co_await w.sleep(10s);
        EXPECT_EQ(w.destination.mailbox(kUser, "INBOX")->messages, 3U);
        EXPECT_FALSE(w.ended) << "a budget is no reason to end";
        const std::size_t before = w.servers.attempts.size();
        // To one second after midnight (UTC).
        const auto now = w.scheduler.clock().unix_seconds();
        const auto rest = std::chrono::seconds(86'400 - now % 86'400);
        co_await w.sleep(rest - 1s);
        EXPECT_LE(w.servers.attempts.size() - before, 10U) << "looked at again and again";
        EXPECT_EQ(w.destination.mailbox(kUser, "INBOX")->messages, 3U);
        co_await w.sleep(10s);
        EXPECT_EQ(w.destination.mailbox(kUser, "INBOX")->messages, 5U);
    });
    EXPECT_EQ(world.summary.messages.copied, 6U);
    EXPECT_EQ(world.summary.result, report::RunResult::complete);
}

TEST(Follow, ASilentServerIsNoticed) {
    for (const auto& hidden : kWays) {
        World world(hidden);
        world.run([](World& w) -> Task<void> {
            (void)co_await w.in_step("Work");
            co_await w.sleep(1min);
            w.servers.fall_silent();
            EXPECT_LT(co_await w.arrival("INBOX"), 6min);
            co_await w.sleep(11min);
            EXPECT_GT(w.witness.retries, 0);
            EXPECT_LT(co_await w.arrival("INBOX"), 60s);
            co_await w.sleep(5s);
        });
        EXPECT_EQ(world.summary.result, report::RunResult::complete);
    }
}

TEST(Follow, ASourceThatIsDownIsNotPressedAndThenFollowedAgain) {
    for (const auto& hidden : kWays) {
        World world(hidden);
        world.run([](World& w) -> Task<void> {
            (void)co_await w.in_step("Work");
            co_await w.sleep(10s);
            w.servers.down = true;
            w.servers.cut();
            const std::size_t before = w.servers.attempts.size();
            w.add("INBOX");
            co_await w.sleep(1h);
            // Watch and passes, each after 1 s, 2 s … 300 s.
            EXPECT_LT(w.servers.attempts.size() - before, 70U);
            w.servers.down = false;
            EXPECT_LT(co_await w.in_step("INBOX"), 6min);
            co_await w.sleep(6min);
            EXPECT_LT(co_await w.arrival("INBOX"), 60s);
            co_await w.sleep(5s);
        });
        EXPECT_EQ(world.summary.result, report::RunResult::complete);
        EXPECT_GT(world.summary.following->longest, 3600);
    }
}

TEST(Follow, RefusedCredentialsEndTheAccount) {
    World world;
    world.run([](World& w) -> Task<void> {
        (void)co_await w.in_step("Work");
        co_await w.sleep(10s);
        w.source.add_account(kUser, "another");
        w.servers.cut();
        const std::size_t before = w.servers.attempts.size();
        co_await w.sleep(1h);
        // One of the watch, one of the pass; nobody is locked out.
        EXPECT_LE(w.servers.attempts.size() - before, 3U);
    });
    EXPECT_TRUE(world.ended_by_itself);
    EXPECT_EQ(world.summary.result, report::RunResult::failed);
    ASSERT_TRUE(world.summary.failure);
    EXPECT_EQ(world.summary.failure->error.code, Code::auth_refused);
}

TEST(Follow, AStopBeforeAChangeIsCarriedOverSaysSo) {
    World world;
    world.run([](World& w) -> Task<void> {
        (void)co_await w.in_step("Work");
        co_await w.sleep(10s);
        w.servers.down = true;
        w.servers.cut();
        co_await w.sleep(1min);
    });
    EXPECT_EQ(world.summary.result, report::RunResult::interrupted);
    EXPECT_EQ(world.summary.messages.source, 2U);
}

}  // namespace
}  // namespace imapult::sim
