#pragma once
// An observer that nobody watches; tests override what they look at.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/base/report.h"

namespace imapult::sim {

class SilentObserver : public report::Observer {
  public:
    void account_started(std::size_t) override {}
    void account_listed(std::size_t, std::size_t) override {}
    void mailbox_started(std::size_t, std::string_view, std::uint64_t, std::uint64_t,
                         std::uint64_t) override {}
    void mailbox_finished(std::size_t, std::string_view) override {}
    void progress(std::size_t, const report::Progress&) override {}
    void message_refused(std::size_t, const report::Refusal&) override {}
    void notice(std::size_t, const report::Notice&) override {}
    void waiting(std::size_t, report::Waiting) override {}
    void retrying(std::size_t, Side, std::chrono::milliseconds, const Error&) override {}
    void account_finished(std::size_t, const report::AccountSummary&) override {}
    [[nodiscard]] bool logs(report::LogLevel) const override { return false; }
    void log(report::LogLevel, std::string_view) override {}
};

}  // namespace imapult::sim
