#include "engine/campaign/follow.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "engine/base/limits.h"
#include "engine/replica/account.h"

namespace imapult::campaign {
namespace {

constexpr std::size_t kNoticesKept = 1000;

}  // namespace

/// What the passes tell, without what each of them would repeat.
class Follower::Teller final : public Observer {
  public:
    Teller(Observer& to, const bool& has_finished) : to_(&to), again_(&has_finished) {}

    void account_started(std::size_t /*account*/) override {}
    void account_listed(std::size_t account, std::size_t mailboxes) override {
        if (!*again_) to_->account_listed(account, mailboxes);
    }
    void mailbox_started(std::size_t account, std::string_view mailbox, std::uint64_t messages,
                         std::uint64_t pending, std::uint64_t bytes_pending) override {
        if (!*again_) to_->mailbox_started(account, mailbox, messages, pending, bytes_pending);
    }
    void mailbox_finished(std::size_t account, std::string_view mailbox) override {
        if (!*again_) to_->mailbox_finished(account, mailbox);
    }
    void progress(std::size_t account, const Progress& change) override {
        to_->progress(account, change);
    }
    void message_refused(std::size_t account, const Refusal& refusal) override {
        if (refused_.emplace(refusal.mailbox, refusal.uid, refusal.reason).second)
            to_->message_refused(account, refusal);
    }
    void notice(std::size_t account, const Notice& notice) override {
        if (notices_.size() >= kNoticesKept) return;
        if (!notices_.emplace(notice.mailbox, notice.kind, notice.text).second) return;
        to_->notice(account, notice);
        all_notices.push_back(notice);
    }
    void waiting(std::size_t account, Waiting what) override { to_->waiting(account, what); }
    void retrying(std::size_t account, Side side, std::chrono::milliseconds delay,
                  const Error& why) override {
        to_->retrying(account, side, delay, why);
    }
    void account_finished(std::size_t /*account*/, const AccountSummary& /*pass*/) override {}
    [[nodiscard]] bool logs(LogLevel level) const override { return to_->logs(level); }
    void log(LogLevel level, std::string_view text) override { to_->log(level, text); }

    std::vector<Notice> all_notices;

  private:
    Observer* to_;
    const bool* again_;
    std::set<std::tuple<std::string, std::uint32_t, std::string>> refused_;
    std::set<std::tuple<std::string, NoticeKind, std::string>> notices_;
};

Follower::Follower(FollowShared shared, std::size_t index, const AccountSpec& spec)
    : shared_(shared),
      index_(index),
      spec_(spec),
      options_(shared.options),
      teller_(std::make_unique<Teller>(shared.observer, has_finished_)),
      news_(shared.environment.scheduler),
      watch_(shared.environment, spec.source, shared.openings,
             {.told = [this](Nanos since) { told(since); },
              .retrying =
                  [this](std::chrono::milliseconds delay, const Error& why) {
                      tell();
                      shared_.observer.retrying(index_, Side::source, delay, why);
                  }}) {
    summary.account = spec.name;
    summary.source = spec.source.account();
    summary.destination = spec.destination.account();
}

Follower::~Follower() = default;

void Follower::on_stop(StopToken::Level level) {
    if (current_ != nullptr) current_->on_stop(level);
    watch_.stop();
    news_.notify_all();
}

Task<void> Follower::run() {
    shared_.observer.account_started(index_);
    runtime::TaskScope beside(shared_.environment.scheduler);
    unsigned failures = 0;
    while (!shared_.stop.stopping()) {
        co_await shared_.passes.take(1);
        if (!shared_.stop.stopping()) co_await pass();
        shared_.passes.give(1);
        if (shared_.stop.stopping()) break;
        if (summary.failure) {
            const Failure failure = *summary.failure;
            if (is_final(failure.error)) break;
            const Nanos delay = session::backoff(++failures, failure.error.retry_after,
                                                 shared_.environment.seed + index_);
            shared_.observer.retrying(index_, failure.side.value_or(Side::source),
                                      std::chrono::duration_cast<std::chrono::milliseconds>(delay),
                                      failure.error);
            co_await wait_until(now() + delay);
            continue;
        }
        failures = 0;
        // What happens before the watch stands is found by the pass that its first word asks for.
        if (beside.running() == 0) beside.spawn(watch_.run());
        co_await wait_for_news();
    }
    watch_.stop();
    co_await beside.join();
    close_books();
    shared_.observer.account_finished(index_, summary);
}

/// Time cures what is wrong with connections and servers; until the first pass has gone through,
/// what says by itself that it is for good (a certificate, a host that does not exist) is believed.
bool Follower::is_final(const Error& error) const {
    switch (error.code) {
        case Code::auth_refused:
        case Code::io:
        case Code::state_locked:
        case Code::state_damaged:
        case Code::state_version:
            return true;
        default:
            return !has_finished_ && error.retry == Retry::never;
    }
}

void Follower::told(Nanos since) {
    // What was there when a pass began has been carried over by it.
    since = std::max(since, carried_until_);
    if (!behind_since_ || since < *behind_since_) {
        behind_since_ = since;
        tell();
    }
    news_.notify_all();
}

Task<void> Follower::wait_until(Nanos until) {
    while (!shared_.stop.stopping() && now() < until) (void)co_await news_.wait(until);
}

Task<void> Follower::wait_for_news() {
    const Nanos anyway = pass_ended_ + (watch_.tells_flags() ? Nanos(limits::kPassAnyway)
                                                             : Nanos(limits::kPassAnywayForFlags));
    while (!shared_.stop.stopping() && !behind_since_ && now() < anyway) {
        (void)co_await news_.wait(anyway);
    }
    // Much news in a short time is one pass's work.
    co_await wait_until(pass_ended_ +
                        std::clamp<Nanos>(pass_time_, limits::kPassGapMin, limits::kPassGapMax));
}

Task<void> Follower::pass() {
    const Nanos begin = now();
    const std::optional<Nanos> news = std::exchange(behind_since_, std::nullopt);
    replica::Account account(shared_.environment, options_, shared_.ledger, *teller_, shared_.stop,
                             index_);
    account.source_endpoint = spec_.source;
    account.destination_endpoint = spec_.destination;
    account.summary.account = summary.account;
    account.summary.source = summary.source;
    account.summary.destination = summary.destination;
    account.behind_since = news.value_or(begin);
    current_ = &account;
    co_await replica::copy_account(account);
    current_ = nullptr;
    pass_ended_ = now();
    pass_time_ = pass_ended_ - begin;
    // With a failure, partial means that the day's budget is used up.
    const bool through =
        !account.summary.failure && (account.summary.result == RunResult::complete ||
                                     account.summary.result == RunResult::partial);
    book(std::move(account.summary));
    if (through) {
        has_finished_ = true;
        carried_until_ = begin;
        options_.retry_refused = false;  // once is what was asked for
        if (news) measure(pass_ended_ - *news);
    } else {
        behind_since_ = std::min(news.value_or(begin), behind_since_.value_or(begin));
    }
    tell();
}

void Follower::measure(Nanos lag) {
    following_.lag = std::chrono::duration<double>(lag).count();
    following_.longest = std::max(following_.longest, following_.lag);
    ++following_.passes;
    lags_.push_back(following_.lag);
    if (lags_.size() > limits::kLagsKept) lags_.pop_front();
    std::vector<double> sorted(lags_.begin(), lags_.end());
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    following_.median = *middle;
}

void Follower::tell() {
    if (!has_finished_) return;
    following_.by = watch_.by();
    following_.behind_since = behind_since_;
    shared_.observer.followed(index_, following_);
}

/// What was done adds up; how things stand is what the last pass that went through found.
void Follower::book(AccountSummary pass) {
    const bool through =
        !pass.failure && (pass.result == RunResult::complete || pass.result == RunResult::partial);
    MessageCounts& books = summary.messages;
    books.copied += pass.messages.copied;
    books.adopted += pass.messages.adopted;
    books.flags_updated += pass.messages.flags_updated;
    books.deleted += pass.messages.deleted;
    books.moved += pass.messages.moved;
    summary.bytes += pass.bytes;
    summary.round_trips += pass.round_trips;
    summary.mailboxes.created += pass.mailboxes.created;
    summary.mailboxes.renamed += pass.mailboxes.renamed;
    summary.seconds += pass.seconds;
    summary.result = pass.result;
    summary.failure = std::move(pass.failure);
    if (!through && has_finished_) return;
    standing_ = pass.messages;
    books.not_reached = pass.messages.not_reached;
    summary.mailboxes.total = pass.mailboxes.total;
    summary.mailboxes.unchanged = pass.mailboxes.unchanged;
    summary.mailboxes.failed = pass.mailboxes.failed;
    summary.refusals = std::move(pass.refusals);
}

/// A message that was carried over and has left the source since still counts as one of its.
void Follower::close_books() {
    MessageCounts& books = summary.messages;
    const std::uint64_t there = standing_.already_there + standing_.copied + standing_.adopted;
    const std::uint64_t carried = books.copied + books.adopted;
    books.already_there = there - std::min(there, carried);
    books.refused = standing_.refused;
    books.skipped = standing_.skipped;
    books.gone_at_source = standing_.gone_at_source;
    books.kept_by_limit = standing_.kept_by_limit;
    books.source = books.already_there + carried + books.refused + books.skipped;
    summary.notices = std::move(teller_->all_notices);
    following_.behind_since.reset();
    if (has_finished_) summary.following = following_;
    const bool ended_by_itself = summary.failure && is_final(summary.failure->error);
    if (ended_by_itself) return;
    // In step, as far as anybody has heard, or cut short.
    if (behind_since_ || !has_finished_) summary.result = RunResult::interrupted;
}

}  // namespace imapult::campaign
