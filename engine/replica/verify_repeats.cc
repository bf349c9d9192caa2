// `verify` where servers ask for patience or end the connection: one mailbox is compared again.

#include <utility>

#include "engine/replica/verify.h"

namespace imapult::replica {
namespace {

/// An error of opening a connection to a server that was there a moment ago.
bool may_pass(const Error& why) {
    return why.code == Code::throttled || why.code == Code::unavailable ||
           why.code == Code::connection_lost || why.code == Code::connect_failed ||
           why.code == Code::resolve_failed;
}

bool is_open(const std::unique_ptr<Session>& session) {
    return session != nullptr && session->connection().alive();
}

}  // namespace

void Repeats::progress() {
    put_offs_ = losses_ = 0;
    patience_.progress();
}

Task<bool> Repeats::again(Error& why, Side side) {
    const bool lost = !sessions_->alive();
    if (account_->stopping() || !(lost || asks_for_patience(why))) co_return false;
    const bool spent = patience_.exhausted(why);
    const bool stuck = lost ? ++losses_ >= kLossesMax
                            : why.code == Code::unavailable && ++put_offs_ >= kPutOffsMax;
    if (spent || stuck) {
        if (spent) why.text += kNoProgress;
        // What is wrong with this mailbox is no reason to leave the others out.
        if (lost && !co_await reopen()) co_return false;
        why.scope = Scope::mailbox;
        why.retry = Retry::never;
        co_return false;
    }
    if (lost) side = is_open(sessions_->destination) ? Side::source : Side::destination;
    co_await patience_.wait(why, side);
    if (lost && !co_await reopen()) co_return false;
    co_return !account_->stopping();
}

/// False: the account has been given up.
Task<bool> Repeats::reopen() {
    // `verify --against` has no source.
    const bool has_source = !account_->source_endpoint.host.empty();
    if (has_source && !co_await reopen(Side::source)) co_return false;
    co_return co_await reopen(Side::destination);
}

Task<bool> Repeats::reopen(Side side) {
    const bool here = side == Side::source;
    std::unique_ptr<Session>& session = here ? sessions_->source : sessions_->destination;
    while (!is_open(session)) {
        if (session) {
            co_await session->close(false);
            account_->count_wire(*session);
            session.reset();
        }
        if (account_->stopping()) co_return false;
        auto opened = co_await Session::open(
            account_->environment,
            here ? account_->source_endpoint : account_->destination_endpoint, side);
        if (opened) {
            session = std::move(*opened);
            co_return true;
        }
        Error why = std::move(opened).error();
        const bool spent = patience_.exhausted(why);
        if (spent) why.text += kNoProgress;
        if (spent || !may_pass(why)) {
            account_->give_up(std::move(why), side);
            co_return false;
        }
        co_await patience_.wait(std::move(why), side);
    }
    co_return true;
}

}  // namespace imapult::replica
