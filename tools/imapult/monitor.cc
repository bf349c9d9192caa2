#include "tools/imapult/monitor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/base/text.h"
#include "tools/imapult/exit_code.h"

namespace imapult::program {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::size_t kEventBytesQueuedMax = 64UL * 1024 * 1024;
constexpr std::size_t kLogLinesQueuedMax = 8192;
constexpr std::size_t kSamplesMax = 480;
constexpr std::size_t kActiveShownMax = 200;
constexpr std::size_t kLagsShownMax = 20;
constexpr double kRateSeconds = 5;

/// Log lines go where the live display is, through the lock that keeps them apart.
class ConsoleSink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    explicit ConsoleSink(Console& console) : console_(console) {}

  private:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        std::string_view text(line.data(), line.size());
        while (text.ends_with('\n')) text.remove_suffix(1);
        console_.print(text);
    }
    void flush_() override {}
    Console& console_;
};

spdlog::level::level_enum to_spdlog(campaign::LogLevel level) {
    switch (level) {
        case campaign::LogLevel::trace:
            return spdlog::level::trace;
        case campaign::LogLevel::debug:
            return spdlog::level::debug;
        case campaign::LogLevel::info:
            return spdlog::level::info;
        case campaign::LogLevel::warning:
            return spdlog::level::warn;
        case campaign::LogLevel::error:
            return spdlog::level::err;
    }
    return spdlog::level::err;
}

/// With milliseconds: "2026-11-22T03:58:00.123Z".
std::string now_text() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto ms = std::chrono::duration_cast<milliseconds>(now).count();
    std::string text = utc_time(ms / 1000);
    if (!text.empty()) text.insert(text.size() - 1, fmt::format(".{:03}", ms % 1000));
    return text;
}

std::string safe(std::string_view text) {
    return printable(text, 2048);
}

/// The members of a JSON object without its braces, with a comma in front.
std::string members(const Json& json) {
    std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    return json.empty() ? "" : "," + text.substr(1, text.size() - 2);
}

Nanos monotonic() {
    return SystemClock().monotonic();
}

/// Nothing but `follow`, in step or nearly so: there is no progress to tell of.
bool all_followed(const Snapshot& now) {
    return !now.active.empty() && std::ranges::all_of(now.active, [](const ActiveAccount& account) {
        return account.following.has_value();
    });
}

int open_events(const std::string& path) {
    return open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
}

}  // namespace

Result<void> check_events_file(const std::string& path) {
    const int descriptor = open_events(path);
    if (descriptor < 0) {
        return invalid(fmt::format("--events: {} cannot be written: {}", printable(path),
                                   std::strerror(errno)));
    }
    close(descriptor);
    return {};
}

Monitor::Monitor(const campaign::Options& options, MonitorOptions monitor_options, Console& console)
    : options_(std::move(monitor_options)),
      console_(console),
      command_(program::name_of(options.command)),
      begin_(std::chrono::steady_clock::now()) {
    for (const campaign::AccountSpec& spec : options.accounts) {
        accounts_.push_back(std::make_unique<Account>());
        accounts_.back()->name = printable(spec.name);
    }
    // One thread, and the oldest lines go if nobody reads them: logging never holds a shard up.
    log_thread_ = std::make_shared<spdlog::details::thread_pool>(kLogLinesQueuedMax, 1);
    logger_ = std::make_shared<spdlog::async_logger>(
        "imapult", std::make_shared<ConsoleSink>(console), log_thread_,
        spdlog::async_overflow_policy::overrun_oldest);
    logger_->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
    logger_->set_level(spdlog::level::from_str(options_.log_level));
    if (!options_.events_file.empty()) events_descriptor_ = open_events(options_.events_file);
}

Monitor::~Monitor() {
    finish();
    if (events_descriptor_ >= 0) close(events_descriptor_);
}

double Monitor::elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

void Monitor::start() {
    event("run_started", std::nullopt,
          members(Json{{"command", command_}, {"accounts", accounts_.size()}}));
    thread_ = std::thread([this] { run(); });
}

void Monitor::finish() {
    if (thread_.joinable()) {
        {
            const std::lock_guard lock(thread_mutex_);
            ending_ = true;
        }
        wake_.notify_all();
        thread_.join();
        sample(elapsed(), true);
    }
    // The logger outlives its thread: both would count references inside a library that
    // ThreadSanitizer does not see.
    const std::shared_ptr<spdlog::logger> logger = std::exchange(logger_, nullptr);
    log_thread_.reset();  // waits until its queue is written
    if (options_.show_progress && console_.is_terminal()) console_.clear();
    write_events();
}

void Monitor::run() {
    std::unique_lock lock(thread_mutex_);
    while (!wake_.wait_for(lock, options_.live_interval, [this] { return ending_; })) {
        lock.unlock();
        tick(elapsed());
        lock.lock();
    }
}

void Monitor::tick(double seconds) {
    sample(seconds, false);
    const auto every = [&](double interval) {
        const double step = std::chrono::duration<double>(options_.live_interval).count();
        return static_cast<std::uint64_t>(seconds / interval) !=
               static_cast<std::uint64_t>((seconds - step) / interval);
    };
    if (events_descriptor_ >= 0 && every(1.0)) progress_events();
    write_events();
    if (!options_.show_progress) return;
    if (console_.is_terminal()) {
        console_.draw(live_lines(snapshot(), console_.screen()));
    } else if (every(std::chrono::duration<double>(options_.plain_interval).count())) {
        if (command_ == name_of(campaign::Command::follow)) show_lags();
        const Snapshot now = snapshot();
        if (!all_followed(now)) console_.print(plain_line(now));
    }
}

/// The accounts that a pass has brought up to date since the last time.
void Monitor::show_lags() {
    std::size_t left = 0;
    std::size_t shown = 0;
    for (const auto& account : accounts_) {
        std::string line;
        {
            const std::lock_guard lock(account->mutex);
            const auto& following = account->following;
            if (!following || following->passes == account->passes_shown) continue;
            account->passes_shown = following->passes;
            line =
                fmt::format("{}: {}; {} copied", account->name, lag_text(*following, monotonic()),
                            with_thousands(account->copied.load(kRelaxed)));
        }
        if (++shown <= kLagsShownMax) {
            console_.print("imapult follow: " + line);
        } else {
            ++left;
        }
    }
    if (left > 0) console_.print(fmt::format("imapult follow: … and {} more", left));
}

void Monitor::show_state() {
    const Snapshot now = snapshot();
    if (!all_followed(now)) console_.print(plain_line(now));
    for (const ActiveAccount& account : now.active) {
        if (!account.following) continue;
        console_.print(fmt::format("imapult follow: {}: {}{}", account.name,
                                   account.retrying ? "reconnecting, " : "",
                                   lag_text(*account.following, now.now)));
    }
}

void Monitor::sample(double seconds, bool last) {
    const std::lock_guard lock(samples_mutex_);
    const Moment now{seconds, settled_.load(kRelaxed), copied_.load(kRelaxed),
                     bytes_.load(kRelaxed)};
    recent_.push_back(now);
    // Connecting and listing are no measure of how fast messages move.
    const auto useless = [&](const Moment& next) {
        return next.seconds < seconds - kRateSeconds || next.settled == 0;
    };
    while (recent_.size() > 2 && useless(recent_[1])) recent_.pop_front();
    if (!last && seconds - sample_begin_.seconds < sample_length_) return;
    if (seconds <= sample_begin_.seconds) return;
    samples_.push_back(Sample{sample_begin_.seconds, seconds - sample_begin_.seconds,
                              now.settled - sample_begin_.settled,
                              now.bytes - sample_begin_.bytes});
    sample_begin_ = now;
    if (samples_.size() < kSamplesMax) return;
    std::vector<Sample> halved;
    for (std::size_t i = 0; i + 1 < samples_.size(); i += 2) {
        const Sample& a = samples_[i];
        const Sample& b = samples_[i + 1];
        halved.push_back(Sample{a.start_seconds, a.length_seconds + b.length_seconds,
                                a.messages + b.messages, a.bytes + b.bytes});
    }
    samples_ = std::move(halved);
    sample_length_ *= 2;
}

std::vector<Sample> Monitor::samples() const {
    const std::lock_guard lock(samples_mutex_);
    return samples_;
}

Snapshot Monitor::snapshot() const {
    Snapshot now;
    now.command = command_;
    now.seconds = elapsed();
    now.accounts_total = accounts_.size();
    now.accounts_done = accounts_done_.load(kRelaxed);
    now.accounts_failed = accounts_failed_.load(kRelaxed);
    now.mailboxes_total = mailboxes_total_.load(kRelaxed);
    now.mailboxes_done = mailboxes_done_.load(kRelaxed);
    now.mailboxes_known = accounts_listed_.load(kRelaxed) >= accounts_.size();
    now.messages_copied = copied_.load(kRelaxed);
    now.messages_settled = settled_.load(kRelaxed);
    now.messages_planned = std::max(planned_.load(kRelaxed), now.messages_settled);
    now.bytes_copied = bytes_.load(kRelaxed);
    now.refused = refused_.load(kRelaxed);
    now.stopping = stopping_.load(kRelaxed);
    now.now = monotonic();
    for (const auto& account : accounts_) {
        if (!account->active.load(kRelaxed)) continue;
        ActiveAccount active;
        active.name = account->name;
        active.done = account->settled.load(kRelaxed);
        active.planned = std::max(account->planned.load(kRelaxed), active.done);
        active.waiting = account->waiting.load(kRelaxed);
        active.retrying = account->retrying.load(kRelaxed);
        {
            const std::lock_guard lock(account->mutex);
            active.mailbox = account->mailbox;
            active.following = account->following;
        }
        now.active.push_back(std::move(active));
        if (now.active.size() >= kActiveShownMax) break;
    }
    estimate(now);
    return now;
}

void Monitor::estimate(Snapshot& now) const {
    {
        const std::lock_guard lock(samples_mutex_);
        if (recent_.size() > 1) {
            const Moment& a = recent_.front();
            const Moment& b = recent_.back();
            const double span = std::max(b.seconds - a.seconds, 1e-3);
            now.messages_per_second = static_cast<double>(b.settled - a.settled) / span;
            now.bytes_per_second = static_cast<double>(b.bytes - a.bytes) / span;
        }
    }
    // What has not been opened yet is taken to be like what has.
    const double started = static_cast<double>(mailboxes_started_.load(kRelaxed));
    const double listed = static_cast<double>(accounts_listed_.load(kRelaxed));
    if (started == 0 || listed == 0 || now.messages_per_second <= 0) return;
    const double mailboxes =
        static_cast<double>(now.mailboxes_total) * static_cast<double>(now.accounts_total) / listed;
    const double all =
        static_cast<double>(now.messages_planned) * std::max(mailboxes / started, 1.0);
    now.eta_is_rough = mailboxes > started;
    now.eta_seconds = (all - static_cast<double>(now.messages_settled)) / now.messages_per_second;
}

// --- What the engine tells ---------------------------------------------------------------------

void Monitor::account_started(std::size_t account) {
    accounts_[account]->active.store(true, kRelaxed);
    event("account_started", account, "");
}

void Monitor::account_listed(std::size_t account, std::size_t mailboxes) {
    mailboxes_total_.fetch_add(mailboxes, kRelaxed);
    if (!accounts_[account]->listed.exchange(true)) accounts_listed_.fetch_add(1, kRelaxed);
    event("account_listed", account, members(Json{{"mailboxes", mailboxes}}));
}

void Monitor::mailbox_started(std::size_t account, std::string_view mailbox, std::uint64_t messages,
                              std::uint64_t pending, std::uint64_t bytes_pending) {
    Account& a = *accounts_[account];
    a.planned.fetch_add(pending, kRelaxed);
    planned_.fetch_add(pending, kRelaxed);
    mailboxes_started_.fetch_add(1, kRelaxed);
    a.retrying.store(false, kRelaxed);
    {
        const std::lock_guard lock(a.mutex);
        a.mailbox = safe(mailbox);
    }
    event("mailbox_started", account,
          members(Json{{"mailbox", safe(mailbox)},
                       {"messages", messages},
                       {"pending", pending},
                       {"bytes_pending", bytes_pending}}));
}

void Monitor::mailbox_finished(std::size_t account, std::string_view mailbox) {
    mailboxes_done_.fetch_add(1, kRelaxed);
    event("mailbox_finished", account, members(Json{{"mailbox", safe(mailbox)}}));
}

void Monitor::progress(std::size_t account, const campaign::Progress& change) {
    Account& a = *accounts_[account];
    const std::uint64_t settled = change.copied + change.adopted + change.verified;
    a.copied.fetch_add(change.copied, kRelaxed);
    a.bytes.fetch_add(change.bytes_copied, kRelaxed);
    a.settled.fetch_add(settled, kRelaxed);
    a.retrying.store(false, kRelaxed);
    copied_.fetch_add(change.copied, kRelaxed);
    bytes_.fetch_add(change.bytes_copied, kRelaxed);
    settled_.fetch_add(settled, kRelaxed);
}

void Monitor::message_refused(std::size_t account, const campaign::Refusal& refusal) {
    Account& a = *accounts_[account];
    a.refused.fetch_add(refusal.count, kRelaxed);
    a.settled.fetch_add(refusal.count, kRelaxed);
    refused_.fetch_add(refusal.count, kRelaxed);
    settled_.fetch_add(refusal.count, kRelaxed);
    event("message_refused", account,
          members(Json{{"mailbox", safe(refusal.mailbox)},
                       {"uid", refusal.uid},
                       {"message_id", safe(refusal.message_id)},
                       {"subject", safe(refusal.subject)},
                       {"size", refusal.size},
                       {"messages", refusal.count},
                       {"reason", safe(refusal.reason)}}));
    log(campaign::LogLevel::warning, fmt::format("{} {} UID {} refused: {}", a.name,
                                                 refusal.mailbox, refusal.uid, refusal.reason));
}

void Monitor::notice(std::size_t account, const campaign::Notice& notice) {
    event("notice", account,
          members(Json{{"mailbox", safe(notice.mailbox)},
                       {"kind", name_of(notice.kind)},
                       {"text", safe(notice.text)}}));
    log(campaign::LogLevel::info,
        fmt::format("{} {}: {}", accounts_[account]->name, notice.mailbox, notice.text));
}

void Monitor::waiting(std::size_t account, campaign::Waiting what) {
    accounts_[account]->waiting.store(what, kRelaxed);
}

void Monitor::retrying(std::size_t account, Side side, milliseconds delay, const Error& why) {
    accounts_[account]->retrying.store(true, kRelaxed);
    event("retrying", account,
          members(Json{{"side", imapult::name_of(side)},
                       {"delay_ms", delay.count()},
                       {"code", imapult::name_of(why.code)},
                       {"reason", safe(why.text)}}));
    log(campaign::LogLevel::warning,
        fmt::format("{}: the {} is tried again in {}: {}", accounts_[account]->name,
                    imapult::name_of(side),
                    human_duration(static_cast<double>(delay.count()) / 1000), why.text));
}

void Monitor::account_finished(std::size_t account, const campaign::AccountSummary& summary) {
    Account& a = *accounts_[account];
    a.active.store(false, kRelaxed);
    accounts_done_.fetch_add(1, kRelaxed);
    if (!a.listed.exchange(true)) accounts_listed_.fetch_add(1, kRelaxed);
    if (summary.failure) {
        accounts_failed_.fetch_add(1, kRelaxed);
        // Those cut short by a person's Ctrl-C did not fail.
        if (summary.result != campaign::RunResult::interrupted) {
            log(campaign::LogLevel::error,
                fmt::format("{}: {}", a.name, failure_text(*summary.failure)));
        }
    }
    Json json{{"result", name_of(summary.result)},
              {"copied", summary.messages.copied},
              {"refused", summary.messages.refused},
              {"bytes", summary.bytes.copied},
              {"seconds", summary.seconds}};
    if (summary.failure) json["error"] = safe(failure_text(*summary.failure));
    event("account_finished", account, members(json));
}

void Monitor::followed(std::size_t account, const campaign::Following& now) {
    Account& a = *accounts_[account];
    a.retrying.store(false, kRelaxed);
    bool passed = false;
    {
        const std::lock_guard lock(a.mutex);
        passed = now.passes != (a.following ? a.following->passes : 0);
        a.following = now;
    }
    if (!passed) return;
    event("followed", account,
          members(Json{{"by", name_of(now.by)},
                       {"lag_seconds", now.lag},
                       {"median_lag_seconds", now.median},
                       {"copied", a.copied.load(kRelaxed)},
                       {"settled", a.settled.load(kRelaxed)}}));
}

bool Monitor::logs(campaign::LogLevel level) const {
    return logger_ && logger_->should_log(to_spdlog(level));
}

void Monitor::log(campaign::LogLevel level, std::string_view text) {
    if (logs(level)) logger_->log(to_spdlog(level), "{}", safe(text));
}

void Monitor::warn(std::string_view line) {
    log(campaign::LogLevel::warning, line);
}

// --- The event file ----------------------------------------------------------------------------

void Monitor::event(std::string_view name, std::optional<std::size_t> account, std::string fields) {
    if (events_descriptor_ < 0) return;
    std::string who;
    if (account) {
        who = "," + members(Json{{"account", accounts_[*account]->name}}).substr(1);
    }
    const std::string line =
        fmt::format("{{\"time\":\"{}\",\"event\":\"{}\"{}{}}}\n", now_text(), name, who, fields);
    const std::lock_guard lock(events_mutex_);
    if (events_.size() + line.size() > kEventBytesQueuedMax) {
        ++events_dropped_;
        return;
    }
    events_ += line;
}

void Monitor::progress_events() {
    for (std::size_t i = 0; i < accounts_.size(); ++i) {
        Account& a = *accounts_[i];
        const std::uint64_t settled = a.settled.load(kRelaxed);
        if (settled == a.settled_reported) continue;
        a.settled_reported = settled;
        event("progress", i,
              members(Json{{"copied", a.copied.load(kRelaxed)},
                           {"settled", settled},
                           {"planned", a.planned.load(kRelaxed)},
                           {"bytes", a.bytes.load(kRelaxed)},
                           {"waiting", name_of(a.waiting.load(kRelaxed))}}));
    }
}

void Monitor::run_finished(const Outcome& outcome) {
    event("run_finished", std::nullopt,
          members(Json{{"result", name_of(result_of(outcome.summary))},
                       {"exit_code", outcome.exit_code},
                       {"seconds", outcome.seconds},
                       {"events_dropped", events_dropped_}}));
    write_events();
}

void Monitor::write_events() {
    if (events_descriptor_ < 0) return;
    std::string lines;
    {
        const std::lock_guard lock(events_mutex_);
        lines.swap(events_);
    }
    std::string_view rest = lines;
    while (!rest.empty() && !events_failed_) {
        const ssize_t written = write(events_descriptor_, rest.data(), rest.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            events_failed_ = true;  // a full disk costs the events, not the mail
            console_.print(fmt::format("imapult: the events file cannot be written any more: {}",
                                       std::strerror(errno)));
            break;
        }
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
}

}  // namespace imapult::program
