#pragma once
// Waiting because a server asked for it, or because it cannot be reached.

#include <type_traits>

#include "engine/replica/context.h"

namespace imapult::replica {

/// True if the same command may be given again on the same connection after a while: the server
/// asked for patience and did not end the session.
bool asks_for_patience(const Error& error);
/// The error, if the server says that we ask too much of it. Unlike with session::put_off, what is
/// only not to be had now is an answer: for what can be done without.
std::optional<Error> throttled(const session::Reply& reply, std::string_view peer,
                               std::string_view what);
inline constexpr std::string_view kNoProgress =
    "; given up: no progress for as long as --retry-for allows";
/// Tries that one mailbox is put off (not throttling: something is wrong with it) before the others
/// go on without it.
inline constexpr unsigned kPutOffsMax = 8;

/// How long somebody goes on trying without getting anywhere. Progress starts it anew.
class Patience {
  public:
    Patience(Account& account, std::uint64_t seed) : account_(&account), seed_(seed) {}

    void progress() { failures_ = away_ = 0; }
    /// True once `options.retry_for` has passed since the first of these failures (and a few tries,
    /// however long the delays that were asked for).
    [[nodiscard]] bool exhausted() const;
    /// The same, or `options.away_for` where the server does not ask for patience but is away.
    [[nodiscard]] bool exhausted(const Error& why) const;
    /// One failure more: when to try again, after the server's own delay or the back-off of this
    /// failure. If the server asked for it, nobody of the account asks that side for anything
    /// until then (Account::quiet). Tells the observer.
    Nanos put_off(const Error& why, Side side);
    /// The same, and waits.
    Task<void> wait(Error why, Side side);
    [[nodiscard]] unsigned failures() const { return failures_; }

  private:
    Account* account_;
    std::uint64_t seed_;
    unsigned failures_ = 0, away_ = 0;  ///< away_: those at the end that nobody asked for
    Nanos since_{0}, away_since_{0};    ///< of the first of them
};

/// Takes `step`, a coroutine that gives a Result, until it gives something else than that `side`
/// asks for patience; ends earlier when that was asked for too long, the account stops, or the
/// connections it needs (`alive`) have ended. Its last word.
template <class Step, class Alive>
std::invoke_result_t<Step&> patiently(Account& account, Side side, std::uint64_t seed, Step step,
                                      Alive alive) {
    Patience patience(account, seed);
    const auto goes_on = [&] { return !account.stopping() && alive(); };
    while (true) {
        auto done = co_await step();
        if (done || !asks_for_patience(done.error()) || patience.exhausted() || !goes_on())
            co_return done;
        co_await patience.wait(done.error(), side);
        if (!goes_on()) co_return done;
    }
}

}  // namespace imapult::replica
