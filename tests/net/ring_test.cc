#include "engine/runtime/ring.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <thread>
#include <vector>

#include "engine/runtime/signals.h"
#include "engine/runtime/thread_pool.h"
#include "net/ring_fixture.h"

namespace imapult::test {
namespace {

using namespace std::chrono_literals;
using runtime::Ring;
using runtime::Task;
using runtime::TaskScope;

class RingLoop : public RingTest {};
INSTANTIATE_TEST_SUITE_P(Modes, RingLoop, ::testing::ValuesIn(kModes), mode_name);

Task<void> sleep_and_note(Ring& ring, Nanos delay, std::vector<int>& notes, int note) {
    co_await runtime::sleep_for(ring, delay);
    notes.push_back(note);
}

Task<void> three_sleepers(Ring& ring, std::vector<int>& notes) {
    TaskScope scope(ring);
    scope.spawn(sleep_and_note(ring, 20ms, notes, 2));
    scope.spawn(sleep_and_note(ring, 1ms, notes, 1));
    scope.spawn(sleep_and_note(ring, 40ms, notes, 3));
    co_await scope.join();
}

TEST_P(RingLoop, TimersFireInOrderAndNotEarly) {
    std::vector<int> notes;
    const Nanos before = ring_->now();
    run(three_sleepers(*ring_, notes));
    EXPECT_EQ(notes, (std::vector<int>{1, 2, 3}));
    EXPECT_GE(ring_->now() - before, 40ms);
}

TEST_P(RingLoop, RunsAgainAfterATaskHasFinished) {
    for (int round = 0; round < 3; ++round) {
        std::vector<int> notes;
        run(three_sleepers(*ring_, notes));
        EXPECT_EQ(notes.size(), 3U);
    }
}

Task<void> wait_for_count(runtime::Event& changed, int& count, int wanted) {
    while (count < wanted) co_await changed.wait();
}

TEST_P(RingLoop, PostsFromOtherThreadsAllArriveOnTheShard) {
    constexpr int kThreads = 4;
    constexpr int kPosts = 500;
    int count = 0;  // touched by the shard only: TSan would see anything else
    runtime::Event changed(*ring_);
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            for (int post = 0; post < kPosts; ++post) {
                ring_->post_remote([&] {
                    ++count;
                    changed.notify_all();
                });
            }
        });
    }
    run(wait_for_count(changed, count, kThreads * kPosts));
    EXPECT_EQ(count, kThreads * kPosts);
    for (auto& thread : threads) thread.join();
}

Task<void> offload_many(Ring& ring, runtime::BlockingPool& pool, std::vector<int>& results) {
    for (int i = 0; i < 50; ++i) {
        auto work = [i] { return i * i; };
        results.push_back(co_await runtime::offload(ring, pool, work));
    }
}

TEST_P(RingLoop, OffloadedWorkReturnsToTheShard) {
    std::vector<int> results;
    run(offload_many(*ring_, pool(), results));
    ASSERT_EQ(results.size(), 50U);
    EXPECT_EQ(results[49], 49 * 49);
}

struct SocketPair {
    SocketPair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0); }
    ~SocketPair() {
        close(ends[0]);
        close(ends[1]);
    }
    int ends[2] = {-1, -1};
};

Task<void> receive_then(Ring& ring, int socket, std::int32_t& result) {
    char memory[16];
    runtime::Operation operation;
    ring.start_receive_into(operation, socket, memory, sizeof memory);
    result = co_await operation;
}

Task<void> cancel_soon(Ring& ring, runtime::Operation& operation) {
    co_await runtime::sleep_for(ring, 5ms);
    ring.cancel(operation);
}

Task<void> cancelled_receive(Ring& ring, int socket, std::int32_t& result) {
    char memory[16];
    runtime::Operation operation;
    TaskScope scope(ring);
    ring.start_receive_into(operation, socket, memory, sizeof memory);
    scope.spawn(cancel_soon(ring, operation));
    result = co_await operation;
    ring.cancel(operation);  // not in flight any more: nothing happens
    co_await scope.join();
}

TEST_P(RingLoop, ACancelledOperationStillCompletes) {
    SocketPair pair;
    std::int32_t result = 0;
    run(cancelled_receive(*ring_, pair.ends[0], result));
    EXPECT_EQ(result, -ECANCELED);
}

Task<void> many_receives(Ring& ring, std::vector<SocketPair>& pairs,
                         std::vector<std::int32_t>& results) {
    TaskScope scope(ring);
    // More than the submission queue holds (limits::kRingEntries), twice over.
    for (int round = 0; round < 3; ++round) {
        for (std::size_t i = 0; i < pairs.size(); ++i) {
            scope.spawn(receive_then(ring, pairs[i].ends[0], results[i]));
        }
        for (auto& pair : pairs) EXPECT_EQ(send(pair.ends[1], "x", 1, 0), 1);
        co_await scope.join();
    }
}

TEST_P(RingLoop, MoreOperationsThanTheQueueHolds) {
    std::vector<SocketPair> pairs(2500);
    std::vector<std::int32_t> results(pairs.size(), -1);
    run(many_receives(*ring_, pairs, results));
    for (const auto result : results) ASSERT_EQ(result, 1);
}

Task<void> wait_for_signal(Ring& ring, runtime::Signals& signals, std::vector<int>& got) {
    while (const auto signal = co_await signals.next(ring)) {
        got.push_back(*signal);
        if (got.size() == 2) signals.stop();
    }
}

Task<void> signal_story(Ring& ring, runtime::Signals& signals, std::vector<int>& got) {
    TaskScope scope(ring);
    scope.spawn(wait_for_signal(ring, signals, got));
    co_await runtime::sleep_for(ring, 2ms);
    kill(getpid(), SIGTERM);
    co_await runtime::sleep_for(ring, 2ms);
    kill(getpid(), SIGINT);
    co_await scope.join();
}

TEST_P(RingLoop, SignalsAreDeliveredToACoroutine) {
    auto signals = runtime::Signals::create({SIGINT, SIGTERM});
    ASSERT_TRUE(signals);
    std::vector<int> got;
    run(signal_story(*ring_, **signals, got));
    EXPECT_EQ(got, (std::vector<int>{SIGTERM, SIGINT}));
}

Task<void> stop_later(Ring& ring, runtime::Signals& signals) {
    co_await runtime::sleep_for(ring, 2ms);
    signals.stop();
}

Task<void> stopped_story(Ring& ring, runtime::Signals& signals, std::vector<int>& got) {
    TaskScope scope(ring);
    scope.spawn(wait_for_signal(ring, signals, got));
    scope.spawn(stop_later(ring, signals));
    co_await scope.join();
}

TEST_P(RingLoop, WaitingForSignalsCanBeStopped) {
    auto signals = runtime::Signals::create({SIGINT, SIGTERM});
    ASSERT_TRUE(signals);
    std::vector<int> got;
    run(stopped_story(*ring_, **signals, got));
    EXPECT_TRUE(got.empty());
}

TEST(RingSetup, MayBeCreatedOnAnotherThreadThanItRuns) {
    auto ring = Ring::create();
    ASSERT_TRUE(ring);
    std::vector<int> notes;
    std::thread shard([&] { (*ring)->run(three_sleepers(**ring, notes)); });
    shard.join();
    EXPECT_EQ(notes.size(), 3U);
}

TEST(RingSetup, SaysWhatAnOlderKernelLacks) {
    auto ring = Ring::create({.single_issuer = true, .provided_buffers = true, .bundles = false});
    ASSERT_TRUE(ring);
    ASSERT_FALSE((*ring)->lost_features().empty());
    EXPECT_NE((*ring)->lost_features().back().find("bundled receive"), std::string::npos);
}

/// Makes io_uring_setup(2) fail with EPERM, as a container's seccomp profile does.
bool forbid_io_uring() {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{.len = 4, .filter = program};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST(RingSetup, WhereItIsForbiddenTheSentenceHasTheCure) {
    // In a child, because a filter cannot be taken back.
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        if (!forbid_io_uring()) _exit(10);
        auto ring = Ring::create();
        if (ring) _exit(11);
        if (ring.error().code != Code::ring_forbidden) _exit(12);
        const std::string& text = ring.error().text;
        const bool told = text.find("kernel.io_uring_disabled=0") != std::string::npos &&
                          text.find("seccomp") != std::string::npos;
        _exit(told ? 0 : 13);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace imapult::test
