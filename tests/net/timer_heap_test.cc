#include "engine/runtime/timer_heap.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "engine/base/random.h"

namespace imapult::runtime {
namespace {

struct Recorder {
    std::vector<int>* fired;
    int number;
    static void fire(void* context) {
        auto* self = static_cast<Recorder*>(context);
        self->fired->push_back(self->number);
    }
};

TEST(TimerHeap, FiresInTheOrderOfDeadlinesAndOfAddingWhereTheyAreEqual) {
    TimerHeap timers;
    std::vector<int> fired;
    std::vector<Recorder> recorders{{&fired, 0}, {&fired, 1}, {&fired, 2}, {&fired, 3}};
    timers.add(Nanos{30}, {&Recorder::fire, &recorders[0]});
    timers.add(Nanos{10}, {&Recorder::fire, &recorders[1]});
    timers.add(Nanos{10}, {&Recorder::fire, &recorders[2]});
    timers.add(Nanos{20}, {&Recorder::fire, &recorders[3]});
    EXPECT_EQ(timers.next_due(), Nanos{10});
    EXPECT_FALSE(timers.take_due(Nanos{9}));
    while (auto callback = timers.take_due(Nanos{20})) (*callback)();
    EXPECT_EQ(fired, (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(timers.size(), 1U);
}

TEST(TimerHeap, ACancelledTimerNeverFiresAndItsIdIsNotReused) {
    TimerHeap timers;
    std::vector<int> fired;
    Recorder recorder{&fired, 7};
    const TimerId first = timers.add(Nanos{1}, {&Recorder::fire, &recorder});
    timers.cancel(first);
    EXPECT_TRUE(timers.empty());
    const TimerId second = timers.add(Nanos{1}, {&Recorder::fire, &recorder});
    EXPECT_NE(first, second);
    timers.cancel(first);
    EXPECT_EQ(timers.size(), 1U);
    timers.cancel(0);
    timers.cancel(UINT64_MAX);
    EXPECT_EQ(timers.size(), 1U);
}

TEST(TimerHeap, BehavesLikeASortedMapUnderRandomUse) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        TimerHeap timers;
        std::multimap<Nanos, TimerId> model;
        std::vector<int> fired;
        Recorder recorder{&fired, 0};
        Nanos now{0};
        for (int step = 0; step < 2000; ++step) {
            const auto choice = random.below(3);
            if (choice == 0 || model.empty()) {
                const Nanos due = now + Nanos{static_cast<std::int64_t>(random.below(1000))};
                model.emplace(due, timers.add(due, {&Recorder::fire, &recorder}));
            } else if (choice == 1) {
                auto victim = model.begin();
                std::advance(victim, static_cast<std::ptrdiff_t>(random.below(model.size())));
                timers.cancel(victim->second);
                model.erase(victim);
            } else {
                now += Nanos{static_cast<std::int64_t>(random.below(50))};
                std::size_t count = 0;
                while (auto callback = timers.take_due(now)) ++count;
                std::size_t expected = 0;
                while (!model.empty() && model.begin()->first <= now) {
                    model.erase(model.begin());
                    ++expected;
                }
                ASSERT_EQ(count, expected);
            }
            ASSERT_EQ(timers.size(), model.size());
            if (!model.empty()) {
                ASSERT_EQ(timers.next_due(), model.begin()->first);
            }
        }
    }
}

}  // namespace
}  // namespace imapult::runtime
