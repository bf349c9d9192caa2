#include "engine/replica/patience.h"

#include <algorithm>

namespace imapult::replica {
namespace {
constexpr unsigned kTriesLeast = 4;  ///< also where the delays that a server asks for are long

bool is_asked_for(const Error& why) {
    return why.code == Code::throttled || why.code == Code::unavailable;
}
}  // namespace

bool asks_for_patience(const Error& error) {
    return error.retry == Retry::later && error.scope < Scope::host && is_asked_for(error);
}

std::optional<Error> throttled(const session::Reply& reply, std::string_view peer,
                               std::string_view what) {
    auto later = session::put_off(reply, peer, what);
    if (later && later->code != Code::throttled) later.reset();
    return later;
}

bool Patience::exhausted() const {
    return failures_ >= kTriesLeast &&
           account_->environment.scheduler.now() - since_ >= account_->options.retry_for;
}

bool Patience::exhausted(const Error& why) const {
    if (is_asked_for(why)) return exhausted();
    return exhausted() ||
           (away_ >= kTriesLeast &&
            account_->environment.scheduler.now() - away_since_ >= account_->options.away_for);
}

Nanos Patience::put_off(const Error& why, Side side) {
    const Nanos now = account_->environment.scheduler.now();
    if (why.outcome == Outcome::not_done || why.code == Code::throttled)
        account_->pace(side).pushed_back();
    if (failures_++ == 0) since_ = now;
    if (is_asked_for(why)) away_ = 0;
    if (!is_asked_for(why) && away_++ == 0) away_since_ = now;
    const Nanos delay =
        session::backoff(failures_, why.retry_after, account_->environment.seed + seed_);
    if (is_asked_for(why)) {
        Nanos& until = account_->quiet_until(side);
        until = std::max(until, now + delay);
    }
    account_->observer.retrying(account_->index, side,
                                std::chrono::duration_cast<std::chrono::milliseconds>(delay), why);
    return now + delay;
}

Task<void> Patience::wait(Error why, Side side) {
    const Nanos until = put_off(why, side);
    while (!account_->stopping() && account_->environment.scheduler.now() < until) {
        (void)co_await account_->changed.wait(until);
    }
    co_await account_->quiet(side);
}

Task<void> Account::quiet(Side side) {
    while (!stopping() && environment.scheduler.now() < quiet_until(side)) {
        (void)co_await changed.wait(quiet_until(side));
    }
}

}  // namespace imapult::replica
