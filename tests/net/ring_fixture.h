#pragma once
// A ring, a thread pool and a way to run a coroutine to its end with a deadline.

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "engine/runtime/ring.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/thread_pool.h"

namespace imapult::test {

/// Descriptors open in this process.
inline std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/self/fd")) {
        ++count;
    }
    return count;
}

struct Mode {
    const char* name;
    runtime::RingOptions options;
};

/// What this kernel offers, and each thing an older one lacks.
inline constexpr std::array<Mode, 4> kModes{{
    {"everything", {}},
    {"no_bundles", {.single_issuer = true, .provided_buffers = true, .bundles = false}},
    {"no_provided_buffers", {.single_issuer = true, .provided_buffers = false, .bundles = false}},
    {"no_single_issuer", {.single_issuer = false, .provided_buffers = true, .bundles = true}},
}};

class RingTest : public ::testing::TestWithParam<Mode> {
  protected:
    void SetUp() override {
        descriptors_before_ = open_descriptors();
        auto created = runtime::Ring::create(GetParam().options);
        ASSERT_TRUE(created) << created.error().text;
        ring_ = std::move(*created);
    }
    void TearDown() override {
        if (!ring_) return;
        EXPECT_EQ(ring_->operations_in_flight(), 0U) << "operations left behind";
        EXPECT_EQ(ring_->blocks_held(), 0U) << "receive blocks not given back";
        ring_.reset();
        pool_.reset();
        EXPECT_EQ(open_descriptors(), descriptors_before_) << "descriptors left open";
    }

    /// Runs `task`; a test that hangs is ended by ctest's time limit.
    void run(runtime::Task<void> task) { ring_->run(std::move(task)); }
    runtime::ThreadPool& pool() {
        if (!pool_) pool_ = std::make_unique<runtime::ThreadPool>(2);
        return *pool_;
    }

    std::unique_ptr<runtime::Ring> ring_;
    std::unique_ptr<runtime::ThreadPool> pool_;

  private:
    std::size_t descriptors_before_ = 0;
};

inline std::string mode_name(const ::testing::TestParamInfo<Mode>& info) {
    return info.param.name;
}

}  // namespace imapult::test
