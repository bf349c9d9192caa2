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
constexpr unsigned kOpeningsLostMax =
    limits::kReconnectsPerAccountMax;  ///< then that mailbox is given up, and only that one

/// An error that no new connection cures.
bool is_final(const Error& error) {
    return error.retry == Retry::never && error.scope >= Scope::account;
}

/// The connection ended, or what stands behind the server is away: a message may be the reason.
bool is_end_by_server(const Error& error) {
    return error.code == Code::connection_lost || error.code == Code::unavailable;
}

}  // namespace

Lane::Lane(Account& account, unsigned number)
    : account_(&account),
      number_(number),
      wake_(account.environment.scheduler),
      window_slots_(account.environment.scheduler, kWindowsOutstanding),
      select_lock_(account.environment.scheduler, 1),
      helpers_(account.environment.scheduler),
      reconnecting_(account, number),
      waiting_for_source_(account, number + 100),
      waiting_for_destination_(account, number + 200) {}

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

bool Account::tries_again(const dedup::Refusal& refusal) const {
    constexpr std::uint32_t kPassesMax = 5;
    return options.retry_refused ||
           (refusal.reason == kConnectionEnded && refusal.tries < kPassesMax);
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
        co_await lane->account_->quiet(side);
        const EndpointSpec& spec = side == Side::source ? lane->account_->source_endpoint
                                                        : lane->account_->destination_endpoint;
        auto session = co_await Session::open(lane->account_->environment, spec, side);
        if (!session) {
            lane->fail(std::move(session).error(), side);
            co_return;
        }
        co_await lane->account_->quiet(side);
        session::Ticket enabled;
        if (side == Side::source) enabled = enable_qresync(*lane->account_, **session);
        if (enabled && lane->account_->quiet_until(side).count() > 0) {
            // Of a server that asks for patience now and then each answer is heard.
            auto reply = co_await (*session)->finish(enabled);
            auto later =
                reply ? session::put_off(*reply, (*session)->connection().peer(), "enable QRESYNC")
                      : std::nullopt;
            if (later) co_await lane->waiting_for_source_.wait(std::move(*later), side);
        }
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
    while (!account_->stopping() && !account_->over_budget && !queue_->empty()) {
        settled_before_ = settled_;
        blamed_ = false;
        Result<void> result;
        const bool opened = co_await open_sessions();
        if (opened) {
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
            if (is_end_by_server(error) && side != Side::source) note_refused(**job, error);
            (*job)->turned_down.clear();
            reset_job(**job);
            // What ends connections lets the others go first.
            if ((*job)->openings_lost > 0) {
                queue_->push_back(*job);
            } else {
                queue_->push_front(*job);
            }
        }
        mine_.clear();
        error_.reset();
        if (account_->stopping()) break;
        if (!opened && error.code == Code::throttled && error.retry_after.count() == 0 &&
            account_->lanes.size() > 1) {
            // No more connections for us: the other lanes do the work.
            account_->pace(side.value_or(Side::source))
                .connection_refused(static_cast<unsigned>(account_->lanes.size() - 1));
            account_->log(report::LogLevel::info, "one connection fewer: " + error.text);
            break;
        }
        if (is_final(error)) {
            account_->give_up(std::move(error), side);
            break;
        }
        if (settled_ > settled_before_) {
            for (Patience* patience :
                 {&reconnecting_, &waiting_for_source_, &waiting_for_destination_})
                patience->progress();
        }
        if (settled_ > settled_before_ || std::exchange(learnt_, false)) lost_ = 0;
        const bool asked = error.code == Code::throttled || error.code == Code::unavailable;
        if (opened && !asked) ++lost_;
        if (lost_ > limits::kReconnectsPerAccountMax) {
            error.text +=
                "; given up after " + std::to_string(lost_) + " attempts without progress";
            account_->give_up(std::move(error), side);
            break;
        }
        if (reconnecting_.exhausted(error) || waiting_for_source_.exhausted() ||
            waiting_for_destination_.exhausted()) {
            error.text += kNoProgress;
            account_->give_up(std::move(error), side);
            break;
        }
        co_await reconnecting_.wait(std::move(error), side.value_or(Side::source));
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

bool Lane::put_aside(std::shared_ptr<Job> job, Error error, std::optional<Side> side) {
    // A name that cannot be said to a server (it holds a line break): that mailbox stays behind.
    if (error.code == Code::invalid_input) error.scope = Scope::mailbox;
    if (error.scope != Scope::mailbox || error.retry == Retry::later) {
        fail(std::move(error), side);
        return false;
    }
    give_up_job(*job, error);
    std::erase(mine_, job);
    return true;
}

/// The connection ended while nothing but this mailbox was being opened at the source: after a few
/// of these it stays behind alone.
void Lane::note_lost_opening(const std::shared_ptr<Job>& job, Error error) {
    const bool busy = std::ranges::any_of(
        mine_, [&](const auto& other) { return other != job && other->windows_open > 0; });
    if (error_ || busy || error.code != Code::connection_lost || source_->connection().alive() ||
        !destination_->connection().alive() || ++job->openings_lost < kOpeningsLostMax) {
        return;
    }
    error.text += "; " + std::to_string(job->openings_lost) +
                  " connections ended while this mailbox was being opened";
    give_up_job(*job, error);
    std::erase(mine_, job);
    ++settled_;  // the others go on
}

/// The connection ended with this message in flight; true as long as that is news. Where the server
/// is away for everybody, as far as we know, the message goes alone and last, and nothing is
/// counted.
bool Lane::note_loss(Job& job, std::uint32_t uid, const Error& why) {
    unsigned& times = job.losses[uid];
    const bool away = why.code == Code::unavailable && settled_ == settled_before_;
    if (!away || times == 0) ++times;
    return times <= kLossesMax;
}

/// Whether the messages of an APPEND that got no answer may be the reason: of the first such
/// command of an attempt, and of many only if nothing else went through.
bool Lane::may_be_to_blame(const Error& error, std::size_t items) {
    if (!is_end_by_server(error)) return false;
    if (std::exchange(blamed_, true)) return false;
    return items == 1 || settled_ == settled_before_;
}

/// A server may end the connection with, or after, the refusal of a message: that one goes alone
/// next time, and is given up after a few of these.
void Lane::note_refused(Job& job, const Error& why) {
    for (const std::uint32_t uid : std::exchange(job.turned_down, {}))
        learnt_ = note_loss(job, uid, why) || learnt_;
}

/// Whether the same is asked for again on the same connection after a while. A mailbox that is not
/// to be had for now, again and again, stays behind alone; throttling is nothing of a mailbox.
bool Lane::may_wait(Job& job, Error& error, const Patience& patience) {
    if (!asks_for_patience(error) || stopped() || !alive()) return false;
    if (error.code == Code::unavailable && ++job.put_offs >= kPutOffsMax) {
        error.retry = Retry::never;
        error.text += "; asked " + std::to_string(job.put_offs) + " times";
        return false;
    }
    return !patience.exhausted();
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
    const std::size_t most = lost_ > 0 ? 1 : kTogether;  // which one ends the connection?
    while (!stopped() && !queue_->empty()) {
        runtime::TaskScope together(account_->environment.scheduler);
        for (std::size_t n = 0; n < most && !queue_->empty(); ++n) {
            std::shared_ptr<Job> job = queue_->front();
            queue_->pop_front();
            mine_.push_back(job);
            together.spawn(survey(job));
        }
        co_await together.join();
    }
}

Task<void> Lane::survey(std::shared_ptr<Job> job) {
    while (true) {
        co_await account_->quiet(Side::source);
        auto surveyed = co_await survey_mailbox(*account_, *source_, job);
        if (error_) co_return;
        if (surveyed) break;
        Error why = std::move(surveyed).error();
        if (!may_wait(*job, why, waiting_for_source_)) {
            if (lost_ > 0) note_lost_opening(job, why);
            (void)put_aside(job, std::move(why), Side::source);
            co_return;
        }
        // Of many that were asked for together one tells.
        const bool told =
            account_->environment.scheduler.now() < account_->quiet_until(Side::source);
        if (!told) co_await waiting_for_source_.wait(std::move(why), Side::source);
        if (stopped()) co_return;
    }
    waiting_for_source_.progress();
    job->put_offs = 0;
    job->openings_lost = 0;
    ++settled_;
    std::erase(mine_, job);
}

Task<void> Lane::pump_removals() {
    while (!stopped() && !queue_->empty()) {
        std::shared_ptr<Job> job = queue_->front();
        queue_->pop_front();
        mine_.push_back(job);
        auto removed = co_await remove_patiently(job);
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

Task<Result<void>> Lane::remove_patiently(std::shared_ptr<Job> job) {
    while (true) {
        co_await account_->quiet(Side::destination);
        auto removed = co_await remove_gone(job);
        if (removed) {
            waiting_for_destination_.progress();
            co_return removed;
        }
        Error why = std::move(removed).error();
        if (!may_wait(*job, why, waiting_for_destination_)) co_return std::unexpected(why);
        co_await waiting_for_destination_.wait(why, Side::destination);
        if (stopped() || !alive()) co_return std::unexpected(why);
        // What was begun stands in the ledger.
        auto drained = co_await account_->writer.drain();
        if (!drained) co_return drained;
    }
}

/// Jobs one after another; what needs the source again (refused and missing messages) comes when
/// the others are through, so that nothing stalls for one bad message.
Task<void> Lane::pump() {
    if (!co_await compress_both()) co_return;
    while (!stopped() && !account_->over_budget && !queue_->empty()) {
        std::shared_ptr<Job> job = queue_->front();
        queue_->pop_front();
        mine_.push_back(job);
        auto planned = co_await prepare_patiently(job);
        if (!planned) {
            Error error = std::move(planned).error();
            note_lost_opening(job, error);
            if (error_ || !put_aside(job, std::move(error), std::nullopt)) co_return;
            continue;
        }
        if (account_->options.dry_run) {
            job->finished = true;
            std::erase(mine_, job);
            continue;
        }
        co_await fetch(job);
        if (stopped() || job->cut_short) break;
        helpers_.spawn(finish_when_settled(job));
    }
    // Once more as long as reading back finds what must be compared with its original.
    do {
        for (const std::shared_ptr<Job>& job : JobQueue(mine_)) {
            while (!error_ && !job->finished && (job->windows_open > 0 || job->groups_open > 0))
                co_await wake_.wait();
            if (error_) co_return;
            if (!is_open(*job) || job->finished || job->cut_short || account_->stopping()) continue;
            co_await retry(job);
            if (stopped() || job->cut_short) continue;
            auto done = co_await finish_patiently(job);
            if (!done && !put_aside(job, std::move(done).error(), Side::destination)) co_return;
        }
        while (!error_ && helpers_.running() > 0) co_await wake_.wait();
    } while (!stopped() && std::any_of(mine_.begin(), mine_.end(), [](const auto& job) {
        return !job->suspects.empty() && !job->cut_short;
    }));
}

Task<void> Lane::finish_when_settled(std::shared_ptr<Job> job) {
    while (!error_ && (job->windows_open > 0 || job->groups_open > 0)) co_await wake_.wait();
    if (!error_ && !is_open(*job) && !account_->stopping()) {
        auto done = co_await finish_patiently(job);
        if (!done && !error_) (void)put_aside(job, std::move(done).error(), Side::destination);
    }
    wake_.notify_all();
}

bool Lane::is_open(const Job& job) {
    return !job.again.empty() || !job.missing.empty() || !job.hopeless.empty() ||
           !job.postponed.empty() || !job.suspects.empty();
}

/// Where a server asks for patience without ending the session, the same connection goes on later:
/// what is in flight on it is not asked for twice.
Task<Result<void>> Lane::prepare_patiently(std::shared_ptr<Job> job) {
    while (true) {
        co_await account_->quiet(Side::source);
        co_await account_->quiet(Side::destination);
        auto planned = co_await prepare(job);
        if (planned) {
            waiting_for_source_.progress();
            job->put_offs = 0;
            job->openings_lost = 0;
            co_return planned;
        }
        Error why = std::move(planned).error();
        if (!may_wait(*job, why, waiting_for_source_)) co_return std::unexpected(why);
        // Either of them may have asked.
        (void)waiting_for_source_.put_off(why, Side::source);
        Nanos& there = account_->quiet_until(Side::destination);
        there = std::max(there, account_->quiet_until(Side::source));
        co_await account_->quiet(Side::source);
        co_await account_->quiet(Side::destination);
        if (stopped() || !alive()) co_return std::unexpected(why);
        auto drained = co_await account_->writer.drain();
        if (!drained) co_return drained;
        reset_job(*job);
    }
}

Task<Result<void>> Lane::finish_patiently(std::shared_ptr<Job> job) {
    while (true) {
        co_await account_->quiet(Side::destination);
        auto done = co_await finish(job);
        if (done) {
            waiting_for_destination_.progress();
            job->put_offs = 0;
            co_return done;
        }
        Error why = std::move(done).error();
        if (!may_wait(*job, why, waiting_for_destination_)) co_return std::unexpected(why);
        co_await waiting_for_destination_.wait(why, Side::destination);
        if (stopped() || !alive()) co_return std::unexpected(why);
    }
}

/// Forgets an attempt's plan; what is known is in the ledger.
void Lane::reset_job(Job& job) {
    job.todo.clear();
    job.postponed.clear();
    for (const Move& move : job.moves) move.leaver->taken = false;  // or known by its record
    job.moves.clear();
    job.put_off.clear();
    job.moves_carried = 0;
    if (!job.survey.done) {
        job.flags = FlagTable();
        job.before.clear();  // it points there
    }
    job.flag_changes.clear();
    job.old_intents.clear();
    job.unheard.clear();
    job.strays.clear();
    job.missing.clear();
    job.again.clear();
    job.hopeless.clear();
    job.unknown_uids.clear();
    job.repaired.clear();
    job.strangers.reset();
    job.groups_open = job.windows_open = job.unsettled = 0;
    job.all_asked = false;
    job.vanished = 0;
}

void Lane::give_up_job(Job& job, const Error& error) {
    job.failed = true;
    job.finished = true;
    account_->log(report::LogLevel::error, job.display + ": " + error.text);
    report::Refusal refusal;
    refusal.account = account_->summary.account;
    refusal.mailbox = printable(job.display);
    refusal.reason = error.text;
    refusal.count = job.messages - job.there_before();
    account_->observer.message_refused(account_->index, refusal);
    account_->summary.refusals.push_back(std::move(refusal));
    account_->observer.mailbox_finished(account_->index, job.display);
    account_->changed.notify_all();
}

}  // namespace imapult::replica
