#pragma once
// One authenticated IMAP connection: from the TCP connection to "logged in, capabilities known".

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/endpoint.h"
#include "engine/runtime/sync.h"
#include "engine/session/connection.h"
#include "imap/capability.h"

namespace imapult::session {

/// What a shard offers to everything that runs on it.
struct Environment {
    runtime::Scheduler& scheduler;
    net::Connector& connector;
    runtime::BlockingPool& blocking;
    /// Seed of back-off jitter and the like.
    std::uint64_t seed = 0;
};

/// Must be closed (`co_await session->close(…)`) before it is destroyed.
class Session {
  public:
    /// Connects, secures, authenticates and learns the capabilities. Errors: resolve_failed,
    /// connect_failed, tls_failed (host); auth_refused (account, never retried); throttled,
    /// unavailable (later).
    static Task<Result<std::unique_ptr<Session>>> open(Environment& environment,
                                                       EndpointSpec endpoint, Side side);
    ~Session();

    [[nodiscard]] Connection& connection() { return *connection_; }
    [[nodiscard]] const imap::CapabilitySet& capabilities() const { return capabilities_; }
    [[nodiscard]] imap::CapabilitySet& capabilities() { return capabilities_; }
    [[nodiscard]] Side side() const { return side_; }
    [[nodiscard]] const EndpointSpec& endpoint() const { return endpoint_; }
    [[nodiscard]] imap::EncodeOptions encoding() const;
    /// UIDONLY (RFC 9586) is on: the server shows all messages, and names them by UID only.
    [[nodiscard]] bool uid_only() const { return uid_only_; }
    /// MESSAGELIMIT=n (RFC 9738): messages that one command may be about.
    [[nodiscard]] std::size_t messages_per_command() const;
    /// Octets that a set of UIDs may take in a command.
    [[nodiscard]] std::size_t set_bytes_max() const;
    [[nodiscard]] bool preauthenticated() const { return preauthenticated_; }

    /// The source takes only commands that cannot change anything.
    Ticket start(imap::SourceCommand command, Sink* sink = nullptr) {
        return connection_->start(std::move(command), sink);
    }
    /// Only on the destination (asserted).
    Ticket start_change(imap::Command command, Sink* sink = nullptr);
    Task<Result<Reply>> finish(Ticket ticket) { return connection_->finish(std::move(ticket)); }
    Task<Result<Reply>> execute(imap::SourceCommand command, Sink* sink = nullptr);

    /// COMPRESS=DEFLATE where it is offered and not on yet. Nothing may be in flight.
    Task<Result<void>> compress();

    /// Ends the connection and waits for its coroutines.
    Task<void> close(bool polite);

  private:
    class Alerts;
    Session(Environment& environment, EndpointSpec endpoint, Side side);
    Task<Result<void>> log_in();
    [[nodiscard]] std::string server() const;  ///< "host:port"
    [[nodiscard]] net::TlsOptions tls_options() const;
    Task<Result<void>> start_tls();
    Task<Result<void>> authenticate();
    Task<Result<void>> enable_uid_only();
    Task<Result<Reply>> plain(Secret secret);
    Task<Result<Reply>> bearer(Secret token, bool xoauth2);
    Task<Result<Reply>> gsasl(const char* mechanism, Secret secret);
    Task<Result<Reply>> sasl_single(std::string_view mechanism, Secret encoded);
    Task<Result<void>> learn_capabilities(const Reply* reply);
    [[nodiscard]] Result<AuthMechanism> choose_method() const;
    [[nodiscard]] Error refused_login(const Reply& reply, std::string_view how) const;
    void forget_announcement();
    void adopt_capabilities(const std::vector<std::string>& words);

    Environment* environment_;
    EndpointSpec endpoint_;
    Side side_;
    std::unique_ptr<Connection> connection_;
    std::unique_ptr<Alerts> alerts_;
    runtime::TaskScope scope_;
    imap::CapabilitySet capabilities_;
    bool preauthenticated_ = false;
    bool compressed_ = false;
    bool uid_only_ = false;
};

/// The error, if the server only asks for patience: what such a reply leaves out is no answer.
std::optional<Error> put_off(const Reply& reply, std::string_view peer, std::string_view what);

/// What a refused command (NO, BAD) means to us: code, scope, when to retry, the server's own
/// delay. `what` says what we wanted, for the sentence: "create Archive".
Error refusal(const Reply& reply, std::string_view peer, std::string_view what);

/// Delay before reconnection number `attempt` (from 1): exponential with full jitter, between
/// limits::kBackoffFirst and kBackoffMax; the server's own `suggested` delay is obeyed instead.
Nanos backoff(unsigned attempt, std::chrono::milliseconds suggested, std::uint64_t random);

}  // namespace imapult::session
