// A lane's life: attempts, and what happens between them.

#include "engine/replica/lane.h"

#include <algorithm>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/replica/account.h"
#include "engine/replica/survey.h"

namespace imapult::replica {
namespace {

constexpr std::size_t kWindowsOutstanding = 2;

/// The source must have the mailbox open again for what is left to do.
bool needs_source(const Job& job) {
    return !job.again.empty() || !job.missing.empty() || !job.hopeless.empty() ||
           !job.suspects.empty();
}

/// An error that no new connection cures.
bool is_final(const Error& error) {
    return error.retry == Retry::never && error.scope >= Scope::account;
}

}  // namespace

Lane::Lane(Account& account, unsigned number)
    : account_(&account),
      number_(number),
      wake_(account.environment.scheduler),
      window_slots_(account.environment.scheduler, kWindowsOutstanding),
      select_lock_(account.environment.scheduler, 1),
      helpers_(account.environment.scheduler) {}

Lane::~Lane() = default;

void Lane::fail(Error error, std::optional<Side> side) {
    if (!error_) {
        error_ = std::move(error);
        error_side_ = side;
        if (source_) source_->connection().abort();
        if (destination_) destination_->connection().abort();
    }
    wake();
}

void Lane::stop(bool at_once) {
    if (at_once) {
        fail(Error{Code::cancelled, Scope::account, Retry::later, Outcome::unknown, {}, "stopped"},
             std::nullopt);
    }
    wake();
}

void Account::on_stop(report::StopToken::Level level) {
    for (Lane* lane : lanes) lane->stop(level == report::StopToken::Level::at_once);
    changed.notify_all();
}

/// Both at once: the round trips of one hide behind the other's.
Task<bool> Lane::open_sessions() {
    session::Environment& environment = account_->environment;
    runtime::TaskScope both(environment.scheduler);
    const auto open = [](Lane* lane, Side side) -> Task<void> {
        const EndpointSpec& spec = side == Side::source ? lane->account_->source_endpoint
                                                        : lane->account_->destination_endpoint;
        auto session = co_await Session::open(lane->account_->environment, spec, side);
        if (!session) {
            lane->fail(std::move(session).error(), side);
            co_return;
        }
        if (side == Side::source) enable_qresync(*lane->account_, **session);
        (side == Side::source ? lane->source_ : lane->destination_) = std::move(*session);
    };
    if (!source_) both.spawn(open(this, Side::source));
    if (!destination_) both.spawn(open(this, Side::destination));
    co_await both.join();
    co_return !error_;
}

Task<void> Lane::close_sessions(bool polite) {
    Sessions sessions{std::move(source_), std::move(destination_)};
    co_await replica::close_sessions(*account_, sessions, polite);
}

void Lane::take(std::unique_ptr<Session> source, std::unique_ptr<Session> destination) {
    source_ = std::move(source);
    destination_ = std::move(destination);
}

Task<void> Lane::end() {
    co_await close_sessions(polite_ && !account_->stopping());
}

Task<void> Lane::run(Phase phase, JobQueue& queue) {
    phase_ = phase;
    queue_ = &queue;
    account_->lanes.insert(this);
    unsigned failures = 0;
    while (!account_->stopping() && !queue_->empty()) {
        const std::uint64_t settled_before = settled_;
        Result<void> result;
        if (co_await open_sessions()) {
            result = co_await attempt();
        } else {
            result = std::unexpected(*error_);
        }
        if (result) break;
        polite_ = false;
        Error error = std::move(result).error();
        const std::optional<Side> side = error_side_;
        co_await close_sessions(false);
        // What was settled must stand in the ledger before another attempt reads it.
        (void)co_await account_->writer.drain();
        for (auto job = mine_.rbegin(); job != mine_.rend(); ++job) {
            reset_job(**job);
            queue_->push_front(*job);
        }
        mine_.clear();
        error_.reset();
        if (account_->stopping()) break;
        if (is_final(error)) {
            account_->give_up(std::move(error), side);
            break;
        }
        failures = settled_ > settled_before ? 1 : failures + 1;
        if (failures > limits::kReconnectsPerAccountMax) {
            error.text +=
                "; given up after " + std::to_string(failures) + " attempts without progress";
            account_->give_up(std::move(error), side);
            break;
        }
        const Nanos delay =
            session::backoff(failures, error.retry_after, account_->environment.seed + number_);
        account_->observer.retrying(account_->index, side.value_or(Side::source),
                                    std::chrono::duration_cast<std::chrono::milliseconds>(delay),
                                    error);
        const Nanos until = account_->environment.scheduler.now() + delay;
        while (!account_->stopping() && account_->environment.scheduler.now() < until) {
            (void)co_await account_->changed.wait(until);
        }
    }
    // Callbacks of commits point here.
    auto drained = co_await account_->writer.drain();
    if (!drained) account_->give_up(std::move(drained).error(), std::nullopt);
    account_->lanes.erase(this);
    account_->changed.notify_all();
}

Task<Result<void>> Lane::attempt() {
    pump_done_ = appender_done_ = false;
    buffered_ = 0;
    open_group_.reset();
    runtime::TaskScope scope(account_->environment.scheduler);
    switch (phase_) {
        case Phase::survey:
            co_await pump_surveys();
            break;
        case Phase::copy:
        case Phase::labels:
            scope.spawn(appender());
            scope.spawn(settler());
            co_await pump();
            break;
        case Phase::remove:
            co_await pump_removals();
            break;
    }
    pump_done_ = true;
    wake();
    if (account_->fatal || account_->stop.level() == report::StopToken::Level::at_once) stop(true);
    co_await scope.join();
    co_await helpers_.join();
    to_send_.clear();
    to_settle_.clear();
    open_group_.reset();
    if (error_) co_return std::unexpected(*error_);
    co_return Result<void>{};
}

Task<bool> Lane::compress_both() {
    const bool compress = account_->options.compress_on ||
                          (!account_->options.compress_off && !source_->connection().is_loopback());
    if (!compress || account_->options.dry_run) co_return true;
    for (Session* session : {source_.get(), destination_.get()}) {
        if (session->connection().is_loopback() && !account_->options.compress_on) continue;
        auto done = co_await session->compress();
        if (done) continue;
        fail(std::move(done).error(), session->side());
        co_return false;
    }
    co_return true;
}

bool Lane::put_aside(std::shared_ptr<Job> job, Error error) {
    // A name that cannot be said to a server (it holds a line break): that mailbox stays behind.
    if (error.code == Code::invalid_input) error.scope = Scope::mailbox;
    if (error.scope != Scope::mailbox || error.retry == Retry::later) {
        fail(std::move(error), std::nullopt);
        return false;
    }
    give_up_job(*job, error);
    std::erase(mine_, job);
    return true;
}

/// False: the ledger did not take it, which ends the account.
Task<bool> Lane::commit_and_wait(dedup::Batch batch) {
    std::optional<bool> done;
    account_->writer.commit(std::move(batch), [this, &done](bool ok) {
        done = ok;
        wake();
    });
    while (!done) co_await wake_.wait();
    co_return *done;
}

/// Many mailboxes in one write: a round trip for all of them.
Task<void> Lane::pump_surveys() {
    constexpr std::size_t kTogether = 16;
    if (queue_->size() > kTogether && !co_await compress_both()) co_return;
    while (!stopped() && !queue_->empty()) {
        runtime::TaskScope together(account_->environment.scheduler);
        for (std::size_t n = 0; n < kTogether && !queue_->empty(); ++n) {
            std::shared_ptr<Job> job = queue_->front();
            queue_->pop_front();
            mine_.push_back(job);
            together.spawn(survey(job));
        }
        co_await together.join();
    }
}

Task<void> Lane::survey(std::shared_ptr<Job> job) {
    auto surveyed = co_await survey_mailbox(*account_, *source_, job);
    if (error_) co_return;
    if (!surveyed) {
        (void)put_aside(job, std::move(surveyed).error());
        co_return;
    }
    ++settled_;
    std::erase(mine_, job);
}

Task<void> Lane::pump_removals() {
    while (!stopped() && !queue_->empty()) {
        std::shared_ptr<Job> job = queue_->front();
        queue_->pop_front();
        mine_.push_back(job);
        auto removed = co_await remove_gone(job);
        if (error_) co_return;
        if (!removed) {
            Error error = std::move(removed).error();
            if (error.scope != Scope::mailbox || error.retry == Retry::later)
                co_return fail(std::move(error), Side::destination);
            account_->notice(printable(job->display), report::NoticeKind::not_deleted, error.text);
        }
        std::erase(mine_, job);
    }
}

/// Jobs one after another; what needs the source again (refused and missing messages) comes when
/// the others are through, so that nothing stalls for one bad message.
Task<void> Lane::pump() {
    if (!co_await compress_both()) co_return;
    while (!stopped() && !queue_->empty()) {
        std::shared_ptr<Job> job = queue_->front();
        queue_->pop_front();
        mine_.push_back(job);
        auto planned = co_await prepare(job);
        if (!planned) {
            if (error_ || !put_aside(job, std::move(planned).error())) co_return;
            continue;
        }
        if (account_->options.dry_run) {
            job->finished = true;
            std::erase(mine_, job);
            continue;
        }
        co_await fetch(job);
        if (stopped()) break;
        helpers_.spawn(finish_when_settled(job));
    }
    // Once more as long as reading back finds what must be compared with its original.
    do {
        for (const std::shared_ptr<Job>& job : JobQueue(mine_)) {
            while (!error_ && !job->finished && (job->windows_open > 0 || job->groups_open > 0))
                co_await wake_.wait();
            if (error_) co_return;
            if (!needs_source(*job) || job->finished || account_->stopping()) continue;
            co_await retry(job);
            if (stopped()) continue;
            auto done = co_await finish(job);
            if (!done) co_return fail(std::move(done).error(), Side::destination);
        }
        while (!error_ && helpers_.running() > 0) co_await wake_.wait();
    } while (!stopped() && std::any_of(mine_.begin(), mine_.end(),
                                       [](const auto& job) { return !job->suspects.empty(); }));
}

Task<void> Lane::finish_when_settled(std::shared_ptr<Job> job) {
    while (!error_ && (job->windows_open > 0 || job->groups_open > 0)) co_await wake_.wait();
    if (!error_ && !needs_source(*job) && !account_->stopping()) {
        auto done = co_await finish(job);
        if (!done) fail(std::move(done).error(), Side::destination);
    }
    wake_.notify_all();
}

/// Forgets an attempt's plan; what is known is in the ledger.
void Lane::reset_job(Job& job) {
    job.todo.clear();
    for (const Move& move : job.moves) move.leaver->taken = false;  // or known by its record
    job.moves.clear();
    job.put_off.clear();
    job.moves_carried = 0;
    if (!job.survey.done) job.flags = FlagTable();
    job.flag_changes.clear();
    job.old_intents.clear();
    job.unheard.clear();
    job.strays.clear();
    job.missing.clear();
    job.again.clear();
    job.hopeless.clear();
    job.unknown_uids.clear();
    job.repaired.clear();
    job.groups_open = job.windows_open = job.unsettled = 0;
    job.all_asked = false;
}

void Lane::give_up_job(Job& job, const Error& error) {
    job.failed = true;
    job.finished = true;
    account_->log(report::LogLevel::error, job.display + ": " + error.text);
    report::Refusal refusal;
    refusal.account = account_->summary.account;
    refusal.mailbox = printable(job.display);
    refusal.reason = error.text;
    refusal.count = job.messages;
    account_->observer.message_refused(account_->index, refusal);
    account_->summary.refusals.push_back(std::move(refusal));
    account_->observer.mailbox_finished(account_->index, job.display);
    account_->changed.notify_all();
}

}  // namespace imapult::replica
