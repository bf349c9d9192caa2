// Events, scopes and credit on the simulator's scheduler: no kernel, no real time.

#include "engine/runtime/sync.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "sim/support/sim_scheduler.h"

namespace imapult::runtime {
namespace {

using namespace std::chrono_literals;
using sim::SimScheduler;

Task<void> note_after(SimScheduler& scheduler, Nanos delay, std::vector<int>& notes, int note) {
    co_await sleep_for(scheduler, delay);
    notes.push_back(note);
}

Task<void> sleepers(SimScheduler& scheduler, std::vector<int>& notes) {
    TaskScope scope(scheduler);
    scope.spawn(note_after(scheduler, 30ms, notes, 3));
    scope.spawn(note_after(scheduler, 10ms, notes, 1));
    scope.spawn(note_after(scheduler, 20ms, notes, 2));
    EXPECT_EQ(scope.running(), 3U);
    EXPECT_TRUE(notes.empty()) << "spawn() must not run inline";
    co_await scope.join();
    notes.push_back(4);
}

TEST(TaskScope, JoinWaitsForAllAndSleepFollowsTheClock) {
    SimScheduler scheduler;
    std::vector<int> notes;
    const Nanos before = scheduler.now();
    ASSERT_TRUE(scheduler.run(sleepers(scheduler, notes)));
    EXPECT_EQ(notes, (std::vector<int>{1, 2, 3, 4}));
    EXPECT_EQ(scheduler.now() - before, 30ms);
}

struct Door {
    explicit Door(SimScheduler& scheduler) : changed(scheduler) {}
    Event changed;
    bool open = false;
    int passed = 0;
    int late = 0;
};

Task<void> pass(Door& door, Nanos deadline) {
    while (!door.open) {
        if (!co_await door.changed.wait(deadline)) {
            ++door.late;
            co_return;
        }
    }
    ++door.passed;
}

Task<void> door_story(SimScheduler& scheduler, Door& door) {
    TaskScope scope(scheduler);
    scope.spawn(pass(door, scheduler.now() + 5ms));
    scope.spawn(pass(door, scheduler.now() + 50ms));
    scope.spawn(pass(door, Nanos::max()));
    co_await sleep_for(scheduler, 10ms);
    EXPECT_EQ(door.late, 1);
    door.open = true;
    door.changed.notify_all();
    EXPECT_EQ(door.passed, 0) << "waiters must be posted, not resumed inline";
    co_await scope.join();
}

TEST(Event, DeadlineAndNotification) {
    SimScheduler scheduler;
    Door door(scheduler);
    ASSERT_TRUE(scheduler.run(door_story(scheduler, door)));
    EXPECT_EQ(door.passed, 2);
    EXPECT_EQ(door.late, 1);
    EXPECT_EQ(scheduler.pending_timers(), 0U) << "the deadline of a notified waiter was left";
}

Task<void> wait_for_ever(Event& event) {
    co_await event.wait();
}

TEST(SimScheduler, ReportsADeadlockInsteadOfHanging) {
    SimScheduler scheduler;
    Event event(scheduler);
    EXPECT_FALSE(scheduler.run(wait_for_ever(event)));
    EXPECT_TRUE(event.has_waiters());
    event.notify_all();
    scheduler.run_until_idle();
}

struct Meter {
    std::size_t out = 0;
    std::size_t peak = 0;
    std::vector<int> order;
};

Task<void> use_credit(SimScheduler& scheduler, Credit& credit, Meter& meter, int name,
                      std::size_t amount) {
    co_await credit.take(amount);
    meter.order.push_back(name);
    meter.out += amount;
    meter.peak = std::max(meter.peak, meter.out);
    co_await sleep_for(scheduler, 1ms);
    meter.out -= amount;
    credit.give(amount);
}

Task<void> credit_story(SimScheduler& scheduler, Credit& credit, Meter& meter) {
    TaskScope scope(scheduler);
    scope.spawn(use_credit(scheduler, credit, meter, 0, 6));
    scope.spawn(use_credit(scheduler, credit, meter, 1, 6));
    scope.spawn(use_credit(scheduler, credit, meter, 2, 1));
    scope.spawn(use_credit(scheduler, credit, meter, 3, 3));
    co_await scope.join();
}

TEST(Credit, IsNeverExceededAndServesFirstComeFirst) {
    SimScheduler scheduler;
    Credit credit(scheduler, 10);
    Meter meter;
    ASSERT_TRUE(scheduler.run(credit_story(scheduler, credit, meter)));
    EXPECT_EQ(meter.order, (std::vector<int>{0, 1, 2, 3})) << "a small request overtook";
    EXPECT_LE(meter.peak, 10U);
    EXPECT_EQ(credit.free(), 10U);
}

Task<void> oversized_story(SimScheduler& scheduler, Credit& credit, Meter& meter) {
    TaskScope scope(scheduler);
    scope.spawn(use_credit(scheduler, credit, meter, 0, 1));
    scope.spawn(use_credit(scheduler, credit, meter, 1, 100));
    scope.spawn(use_credit(scheduler, credit, meter, 2, 10));
    co_await scope.join();
}

TEST(Credit, ARequestLargerThanTheTotalIsGrantedWhenEverythingIsFree) {
    SimScheduler scheduler;
    Credit credit(scheduler, 10);
    Meter meter;
    ASSERT_TRUE(scheduler.run(oversized_story(scheduler, credit, meter)));
    EXPECT_EQ(meter.order, (std::vector<int>{0, 1, 2}));
    EXPECT_EQ(meter.peak, 100U) << "nothing else may run beside it";
    EXPECT_EQ(credit.free(), 10U);
}

Task<void> offload_story(SimScheduler& scheduler, sim::SimBlockingPool& pool, std::string& got) {
    auto work = [] { return std::string("done elsewhere"); };
    got = co_await offload(scheduler, pool, work);
}

TEST(SimBlockingPool, RunsWorkInPlace) {
    SimScheduler scheduler;
    sim::SimBlockingPool pool;
    std::string got;
    ASSERT_TRUE(scheduler.run(offload_story(scheduler, pool, got)));
    EXPECT_EQ(got, "done elsewhere");
}

Task<void> note_in_turns(SimScheduler& scheduler, std::vector<int>& notes, int name) {
    for (int turn = 0; turn < 3; ++turn) {
        notes.push_back(name);
        co_await sleep_for(scheduler, 0ms);
    }
}

Task<void> several_in_turns(SimScheduler& scheduler, std::vector<int>& notes) {
    TaskScope scope(scheduler);
    for (int name = 0; name < 6; ++name) scope.spawn(note_in_turns(scheduler, notes, name));
    co_await scope.join();
}

std::vector<int> order_with_seed(std::uint64_t seed) {
    SimScheduler scheduler(seed);
    std::vector<int> notes;
    EXPECT_TRUE(scheduler.run(several_in_turns(scheduler, notes)));
    return notes;
}

TEST(SimScheduler, TheSeedChoosesTheOrderAndRepeatsIt) {
    EXPECT_EQ(order_with_seed(5), order_with_seed(5));
    EXPECT_NE(order_with_seed(5), order_with_seed(6));
    EXPECT_EQ(order_with_seed(0)[0], 0);
}

}  // namespace
}  // namespace imapult::runtime
