#include "engine/replica/watch.h"

#include <algorithm>
#include <utility>

#include "engine/base/limits.h"

namespace imapult::replica {
namespace {

using report::Watching;

/// A look takes at most one part in so many of the time.
constexpr int kLookShare = 200;
/// After a quiet time the next look comes when it has grown by one part in so many.
constexpr int kQuietShare = 20;

}  // namespace

/// What the server says without being asked.
class Watch::Ears final : public session::Sink {
  public:
    explicit Ears(Watch& watch) : watch_(&watch) {}
    bool on_untagged(const imap::Event& event) override {
        if (const auto* status = std::get_if<imap::Status>(&event)) {
            // RFC 5465 §5.8: from now on it says nothing any more.
            overflow = overflow || status->code_name == "NOTIFICATIONOVERFLOW";
            if (overflow) watch_->hooks_.told(watch_->now());
            return true;
        }
        if (std::holds_alternative<imap::Exists>(event) ||
            std::holds_alternative<imap::Expunge>(event) ||
            std::holds_alternative<imap::Vanished>(event) ||
            std::holds_alternative<imap::Fetch>(event) ||
            std::holds_alternative<imap::StatusData>(event) ||
            std::holds_alternative<imap::ListEntry>(event))
            watch_->hooks_.told(watch_->now());
        return true;
    }
    bool overflow = false;

  private:
    Watch* watch_;
};

Watch::Watch(session::Environment& environment, EndpointSpec source, runtime::Credit& openings,
             Hooks hooks)
    : environment_(&environment),
      source_(std::move(source)),
      openings_(&openings),
      hooks_(std::move(hooks)),
      ears_(std::make_unique<Ears>(*this)),
      wake_(environment.scheduler),
      idlers_(environment.scheduler) {}

Watch::~Watch() = default;

void Watch::stop() {
    stopping_ = true;
    for (Session* session : open_) session->connection().abort();
    wake_.notify_all();
}

Task<void> Watch::run() {
    unsigned failures = 0;
    Nanos unknown_since = now();
    while (!stopping_) {
        const Nanos begin = now();
        auto attended = co_await attend(unknown_since);
        const bool stood = std::exchange(by_, Watching::nothing) != Watching::nothing;
        if (stopping_ || attended) continue;
        if (stood) {
            unknown_since = now();
            hooks_.told(unknown_since);
            // One that is cut off as soon as it stands gets no new one at once.
            if (now() - begin > limits::kWatchAnswerTimeout) failures = 0;
        }
        const Error error = std::move(attended).error();
        // Whether the account may still log in is for a pass to find out; here it is not tried
        // again so soon, that nobody is locked out.
        const bool refused = error.code == Code::auth_refused;
        if (refused) hooks_.told(unknown_since);
        Nanos delay = refused ? Nanos(limits::kBackoffMax)
                              : session::backoff(++failures, error.retry_after, environment_->seed);
        // It works for a while each time; and the server does not ask for more.
        if (stood && !refused && error.retry_after.count() == 0)
            delay = std::min<Nanos>(delay, limits::kLookIntervalMax);
        hooks_.retrying(std::chrono::duration_cast<std::chrono::milliseconds>(delay), error);
        const Nanos until = now() + delay;
        while (!stopping_ && now() < until) (void)co_await wake_.wait(until);
    }
}

Task<Result<std::unique_ptr<Session>>> Watch::open() {
    co_await openings_->take(1);
    auto session = co_await Session::open(*environment_, source_, Side::source);
    openings_->give(1);
    if (session) {
        (*session)->connection().set_default_sink(ears_.get());
        (*session)->connection().set_stall_timeout(limits::kWatchAnswerTimeout);
        open_.insert(session->get());
        if (stopping_ || ending_) (*session)->connection().abort();
    }
    co_return session;
}

Task<void> Watch::close(std::unique_ptr<Session> session) {
    open_.erase(session.get());
    co_await session->close(false);
}

/// One connection's life.
Task<Result<void>> Watch::attend(Nanos unknown_since) {
    ending_ = false;
    auto opened = co_await open();
    if (!opened) co_return std::unexpected(std::move(opened).error());
    std::unique_ptr<Session> session = std::move(*opened);
    auto result = co_await set_up(*session);
    if (result) hooks_.told(unknown_since);
    while (result && !stopping_) {
        switch (by_) {
            case Watching::notify:
                co_await rest(*session, now() + limits::kWatchRenewal);
                result = co_await notify(*session);  // again: this also asks whether it is there
                break;
            case Watching::idle:
                result = co_await idle(*session, next_look());
                if (!result && result.error().code == Code::refused) {
                    by_ = Watching::polling;  // offered, and not given
                    idling_.clear();
                    result = {};
                }
                if (result) result = co_await look(*session);
                break;
            case Watching::polling:
            case Watching::nothing:
                co_await rest(*session, next_look());
                result = co_await look(*session);
                break;
        }
    }
    ending_ = true;
    for (Session* other : open_) other->connection().abort();
    co_await idlers_.join();
    co_await close(std::move(session));
    co_return result;
}

Task<Result<void>> Watch::set_up(Session& session) {
    const imap::CapabilitySet& can = session.capabilities();
    tells_flags_ = can.has("CONDSTORE") || can.has("QRESYNC");
    Watching by = Watching::polling;
    if (can.has("NOTIFY")) {
        // Only then is a changed flag worth a STATUS to the server (RFC 5465 §5.4; Dovecot).
        if (can.has("ENABLE") && can.has("CONDSTORE")) {
            const std::string_view condstore = "CONDSTORE";
            auto enable = imap::source::enable({&condstore, 1});
            if (enable) (void)session.start(std::move(*enable));
        }
        auto set = co_await notify(session);
        if (set) by = Watching::notify;
        if (!set && set.error().code != Code::refused) co_return set;
    }
    idling_.clear();
    if (by == Watching::polling && can.has("IDLE")) {
        auto opened = co_await examine(session, "INBOX");
        if (opened) by = Watching::idle;
        if (!opened && opened.error().code != Code::refused) co_return opened;
    }
    if (by != Watching::notify) {
        seen_.clear();
        auto looked = co_await look(session);
        if (!looked) co_return looked;
    }
    if (by == Watching::idle) idling_.insert("INBOX");
    changed_at_ = now();
    by_ = by;
    co_return Result<void>{};
}

Task<Result<void>> Watch::notify(Session& session) {
    ears_->overflow = false;
    auto reply = co_await session.execute(imap::source::notify());
    if (!reply) co_return std::unexpected(std::move(reply).error());
    if (reply->ok()) co_return Result<void>{};
    Error error = session::refusal(*reply, source_.url(), "take NOTIFY");
    if (error.retry != Retry::later) error.code = Code::refused;
    co_return std::unexpected(std::move(error));
}

Task<Result<void>> Watch::examine(Session& session, std::string mailbox) {
    auto command = imap::source::examine(mailbox, {}, session.encoding());
    if (!command) co_return std::unexpected(std::move(command).error());
    auto reply = co_await session.execute(std::move(*command));
    if (!reply) co_return std::unexpected(std::move(reply).error());
    if (reply->ok()) co_return Result<void>{};
    Error error = session::refusal(*reply, source_.url(), "open " + mailbox);
    if (error.retry != Retry::later) error.code = Code::refused;
    co_return std::unexpected(std::move(error));
}

/// Sleeps; an end of the connection or a lost notification ends it.
Task<void> Watch::rest(Session& session, Nanos until) {
    session::Connection& connection = session.connection();
    while (!stopping_ && connection.alive() && !ears_->overflow && now() < until) {
        (void)co_await connection.progress().wait(until);
    }
}

Task<Result<void>> Watch::idle(Session& session, Nanos until) {
    auto ticket = co_await session.connection().begin_idle();
    if (!ticket) co_return std::unexpected(std::move(ticket).error());
    while (!stopping_ && !(*ticket)->done && now() < until) {
        (void)co_await session.connection().progress().wait(until);
    }
    auto reply = co_await session.connection().end_idle(std::move(*ticket));
    if (!reply) co_return std::unexpected(std::move(reply).error());
    co_return Result<void>{};
}

/// Soon where something has just happened and a look costs little.
Nanos Watch::next_look() const {
    const Nanos least = limits::kLookIntervalMin;
    const Nanos most = std::clamp<Nanos>(look_time_ * kLookShare, least, limits::kLookIntervalMax);
    return looked_at_ + std::clamp<Nanos>((looked_at_ - changed_at_) / kQuietShare, least, most);
}

/// Whatever is not as the last look saw it has changed.
Task<Result<void>> Watch::look(Session& session) {
    std::vector<std::string> known;
    for (const auto& [name, before] : seen_) known.push_back(name);
    const Nanos begin = now();
    auto listing = co_await list_mailboxes(session, std::move(known));
    if (!listing) co_return std::unexpected(std::move(listing).error());
    std::map<std::string, Seen> seen;
    bool changed = listing->mailboxes.size() != seen_.size();
    for (const Mailbox& box : listing->mailboxes) {
        const Seen is{box.messages, box.uid_next, box.uid_validity, box.highest_modseq,
                      box.subscribed};
        seen[box.name] = is;
        const auto before = seen_.find(box.name);
        if (before != seen_.end() && before->second == is) continue;
        if (idling_.contains(box.name)) continue;  // told of at once
        changed = true;
        ++changes_[box.name];
    }
    const bool first = seen_.empty();
    seen_ = std::move(seen);
    look_time_ = now() - begin;
    if (first) changes_.clear();
    if (changed && !first) {
        changed_at_ = begin;
        hooks_.told(looked_at_);
        idle_where_most_happens();
    }
    looked_at_ = begin;
    co_return Result<void>{};
}

/// A connection of its own for the mailbox that looks have found changed most often.
void Watch::idle_where_most_happens() {
    if (by_ != Watching::idle || idlers_.running() >= limits::kIdlersMax ||
        now() < no_idlers_before_)
        return;
    const auto busiest =
        std::max_element(changes_.begin(), changes_.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    if (busiest == changes_.end()) return;
    const std::string mailbox = busiest->first;
    changes_.erase(busiest);
    idlers_.spawn(idle_apart(mailbox));
}

/// For one turn; then others may be busier.
Task<void> Watch::idle_apart(std::string mailbox) {
    Result<void> result;
    auto opened = co_await open();
    if (opened) {
        std::unique_ptr<Session> session = std::move(*opened);
        result = co_await examine(*session, mailbox);
        if (result && !stopping_) {
            idler_failures_ = 0;
            idling_.insert(mailbox);
            hooks_.told(now());
            result = co_await idle(*session, now() + limits::kWatchRenewal);
            idling_.erase(mailbox);
        }
        co_await close(std::move(session));
    } else {
        result = std::unexpected(std::move(opened).error());
    }
    if (result || stopping_) co_return;
    const Error error = std::move(result).error();
    no_idlers_before_ =
        now() + session::backoff(++idler_failures_, error.retry_after, environment_->seed);
}

}  // namespace imapult::replica
