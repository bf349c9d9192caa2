#pragma once
// Watches a run: counts what the engine tells, shows it, writes the event file, logs. The engine's
// threads only touch atomics and short locks; a thread of its own does what may block.

#include <spdlog/async.h>
#include <spdlog/logger.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/campaign/campaign.h"
#include "tools/imapult/console.h"
#include "tools/imapult/display.h"
#include "tools/imapult/outcome.h"

namespace imapult::program {

struct MonitorOptions {
    bool show_progress = true;
    std::string log_level = "warning";  ///< as on the command line
    std::string events_file;            ///< empty: none
    std::chrono::milliseconds live_interval{125};
    std::chrono::milliseconds plain_interval{5000};
};

/// Whether the events file can be appended to; creates it with mode 0600. invalid_input.
Result<void> check_events_file(const std::string& path);

class Monitor final : public campaign::Observer {
  public:
    Monitor(const campaign::Options& options, MonitorOptions monitor_options, Console& console);
    ~Monitor() override;
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    /// Starts and stops the thread that shows and writes. finish() empties every queue.
    void start();
    void finish();
    /// How things stand, to standard error: a line of progress, or each followed account's lag.
    void show_state();
    void set_stopping() { stopping_.store(true, std::memory_order_relaxed); }
    /// Writes `line` to standard error as a log line of level warning.
    void warn(std::string_view line);

    [[nodiscard]] Snapshot snapshot() const;
    /// Throughput from start to finish, a few hundred stretches at most. After finish().
    [[nodiscard]] std::vector<Sample> samples() const;
    /// One more line for the event file: the end of the run.
    void run_finished(const Outcome& outcome);

    void account_started(std::size_t account) override;
    void account_listed(std::size_t account, std::size_t mailboxes) override;
    void mailbox_started(std::size_t account, std::string_view mailbox, std::uint64_t messages,
                         std::uint64_t pending, std::uint64_t bytes_pending) override;
    void mailbox_finished(std::size_t account, std::string_view mailbox) override;
    void progress(std::size_t account, const campaign::Progress& change) override;
    void message_refused(std::size_t account, const campaign::Refusal& refusal) override;
    void notice(std::size_t account, const campaign::Notice& notice) override;
    void waiting(std::size_t account, campaign::Waiting what) override;
    void retrying(std::size_t account, Side side, std::chrono::milliseconds delay,
                  const Error& why) override;
    void account_finished(std::size_t account, const campaign::AccountSummary& summary) override;
    void followed(std::size_t account, const campaign::Following& now) override;
    [[nodiscard]] bool logs(campaign::LogLevel level) const override;
    void log(campaign::LogLevel level, std::string_view text) override;

  private:
    using Counter = std::atomic<std::uint64_t>;
    struct Account {
        std::string name;
        std::atomic<bool> active{false}, listed{false}, retrying{false};
        std::atomic<campaign::Waiting> waiting{campaign::Waiting::nothing};
        Counter copied{0}, bytes{0}, settled{0}, planned{0}, refused{0};
        std::mutex mutex;
        std::string mailbox;                           ///< under mutex
        std::optional<campaign::Following> following;  ///< under mutex
        std::uint64_t settled_reported = 0;            ///< the thread's own: last progress event
        std::uint64_t passes_shown = 0;                ///< the same
    };
    struct Moment {
        double seconds = 0;
        std::uint64_t settled = 0, copied = 0, bytes = 0;
    };

    void run();
    void tick(double seconds);
    void sample(double seconds, bool last);
    void show_lags();
    void write_events();
    void progress_events();
    void estimate(Snapshot& snapshot) const;
    [[nodiscard]] double elapsed() const;
    /// Queues one line for the event file; `fields` is a JSON object without its braces' start.
    void event(std::string_view name, std::optional<std::size_t> account, std::string fields);

    MonitorOptions options_;
    Console& console_;
    std::string command_;
    std::vector<std::unique_ptr<Account>> accounts_;
    const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();

    Counter accounts_done_{0}, accounts_failed_{0}, accounts_listed_{0};
    Counter mailboxes_total_{0}, mailboxes_started_{0}, mailboxes_done_{0};
    Counter copied_{0}, bytes_{0}, settled_{0}, planned_{0}, refused_{0};
    std::atomic<bool> stopping_{false};

    mutable std::mutex samples_mutex_;
    std::deque<Moment> recent_;    ///< the last seconds, for rates
    std::vector<Sample> samples_;  ///< the whole run
    double sample_length_ = 0.25;
    Moment sample_begin_;

    std::mutex events_mutex_;
    std::string events_;  ///< lines that wait to be written
    std::uint64_t events_dropped_ = 0;
    int events_descriptor_ = -1;
    bool events_failed_ = false;

    std::shared_ptr<spdlog::details::thread_pool> log_thread_;
    std::shared_ptr<spdlog::logger> logger_;

    std::mutex thread_mutex_;
    std::condition_variable wake_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace imapult::program
