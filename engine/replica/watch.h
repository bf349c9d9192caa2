#pragma once
// Hears that something has changed at an account's source: by NOTIFY (RFC 5465) where it is
// offered; else by IDLE (RFC 2177) in the INBOX and where most happens, while all mailboxes are
// looked at now and then; else by looking alone.
//
// What it tells is a hint and no more: what has changed is for a pass to find out. Whatever goes
// wrong here is tried again; what happened meanwhile is told of when the watch stands again.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "engine/base/report.h"
#include "engine/replica/mailbox.h"

namespace imapult::replica {

class Watch {
  public:
    struct Hooks {
        /// Something may have changed, not before `since`.
        std::function<void(Nanos since)> told;
        /// The watch was lost and is set up again after `delay`.
        std::function<void(std::chrono::milliseconds delay, const Error& why)> retrying;
    };
    /// `openings`: how many watches may log in at the same time.
    Watch(session::Environment& environment, EndpointSpec source, runtime::Credit& openings,
          Hooks hooks);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    /// Until stop().
    Task<void> run();
    void stop();

    [[nodiscard]] report::Watching by() const { return by_; }
    /// Changed flags are told of, too.
    [[nodiscard]] bool tells_flags() const { return tells_flags_; }

  private:
    class Ears;
    /// What a look has seen of a mailbox.
    struct Seen {
        std::optional<std::uint32_t> messages, uid_next, uid_validity;
        std::optional<std::uint64_t> highest_modseq;
        bool subscribed = false;
        bool operator==(const Seen&) const = default;
    };

    Task<Result<std::unique_ptr<Session>>> open();
    Task<void> close(std::unique_ptr<Session> session);
    Task<Result<void>> attend(Nanos unknown_since);
    Task<Result<void>> set_up(Session& session);
    Task<Result<void>> notify(Session& session);
    Task<Result<void>> examine(Session& session, std::string mailbox);
    Task<Result<void>> idle(Session& session, Nanos until);
    Task<Result<void>> look(Session& session);
    Task<void> rest(Session& session, Nanos until);
    Task<void> idle_apart(std::string mailbox);
    void idle_where_most_happens();
    [[nodiscard]] Nanos next_look() const;
    [[nodiscard]] Nanos now() const { return environment_->scheduler.now(); }

    session::Environment* environment_;
    EndpointSpec source_;
    runtime::Credit* openings_;
    Hooks hooks_;
    std::unique_ptr<Ears> ears_;
    runtime::Event wake_;
    runtime::TaskScope idlers_;
    std::set<Session*> open_;
    report::Watching by_ = report::Watching::nothing;
    bool stopping_ = false;
    bool ending_ = false;  ///< the connection: idlers end with it
    bool tells_flags_ = false;

    std::map<std::string, Seen> seen_;         ///< by wire name
    std::map<std::string, unsigned> changes_;  ///< seen by looks, lately
    std::set<std::string> idling_;             ///< mailboxes that IDLE tells of
    Nanos looked_at_{0}, look_time_{0}, changed_at_{0};
    Nanos no_idlers_before_{0};
    unsigned idler_failures_ = 0;
};

}  // namespace imapult::replica
