#include "engine/session/session.h"

#include <algorithm>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/random.h"
#include "engine/base/text.h"
#include "imap/status_text.h"

namespace imapult::session {

namespace {
constexpr std::chrono::minutes kBandwidthDelay{30};
}

/// Untagged data that no command asked for: capabilities that the server announces by itself.
class Session::Alerts final : public Sink {
  public:
    bool on_untagged(const imap::Event& event) override {
        if (const auto* list = std::get_if<imap::Capabilities>(&event)) {
            words.clear();
            for (const std::string_view word : list->words) words.emplace_back(word);
            return true;
        }
        if (const auto* status = std::get_if<imap::Status>(&event)) {
            if (status->code == imap::ResponseCode::capability) {
                words.clear();
                for (const std::string_view word : status->words) words.emplace_back(word);
            }
        }
        return true;
    }
    std::vector<std::string> words;  ///< the last announcement; empty if none came
};

Session::Session(Environment& environment, EndpointSpec endpoint, Side side)
    : environment_(&environment),
      endpoint_(std::move(endpoint)),
      side_(side),
      alerts_(std::make_unique<Alerts>()),
      scope_(environment.scheduler) {}

Session::~Session() = default;

Task<Result<std::unique_ptr<Session>>> Session::open(Environment& environment,
                                                     EndpointSpec endpoint, Side side) {
    std::unique_ptr<Session> session(new Session(environment, std::move(endpoint), side));
    auto result = co_await session->log_in();
    if (!result) {
        Error error = std::move(result).error();
        // Nothing has been asked for yet: whatever broke, nothing was done.
        error.outcome = Outcome::not_done;
        co_await session->close(false);
        co_return std::unexpected(std::move(error));
    }
    session->connection_->reset_round_trips();
    session->connection_->set_stall_timeout(limits::kCommandStallTimeout);
    co_return session;
}

Task<void> Session::close(bool polite) {
    if (connection_) {
        co_await connection_->close(polite);
        co_await scope_.join();
    }
}

imap::EncodeOptions Session::encoding() const {
    imap::EncodeOptions options;
    options.literals = capabilities_.literal_mode();
    return options;
}

Ticket Session::start_change(imap::Command command, Sink* sink) {
    IMAPULT_ASSERT(side_ == Side::destination);
    return connection_->start(std::move(command), sink);
}

Task<Result<Reply>> Session::execute(imap::SourceCommand command, Sink* sink) {
    Ticket ticket = start(std::move(command), sink);
    co_return co_await finish(std::move(ticket));
}

std::string Session::server() const {
    const bool v6 = endpoint_.host.find(':') != std::string::npos;
    return (v6 ? "[" + endpoint_.host + "]" : endpoint_.host) + ":" +
           std::to_string(endpoint_.port);
}

net::TlsOptions Session::tls_options() const {
    return {endpoint_.host, endpoint_.ca_file, endpoint_.fingerprint_sha256,
            endpoint_.tls_insecure};
}

Task<Result<void>> Session::log_in() {
    auto stream = co_await environment_->connector.connect(endpoint_.host, endpoint_.port);
    if (!stream) co_return std::unexpected(std::move(stream).error());
    std::unique_ptr<net::Stream> bytes = std::move(*stream);
    if (endpoint_.tls == TlsMode::implicit) {
        net::TlsOptions options = tls_options();
        auto secured = co_await environment_->connector.start_tls(std::move(bytes), options);
        if (!secured) co_return std::unexpected(std::move(secured).error());
        bytes = std::move(*secured);
    }
    if (endpoint_.tls == TlsMode::off && !bytes->is_loopback() && !endpoint_.allow_cleartext) {
        bytes->abort();
        co_return fail(Code::tls_failed, Scope::host, Retry::never,
                       server() +
                           ": clear text is refused for another host than loopback; use TLS, "
                           "or give --allow-cleartext if the network is trusted");
    }
    connection_ = std::make_unique<Connection>(environment_->scheduler, std::move(bytes), server(),
                                               limits::kGreetingTimeout);
    connection_->set_default_sink(alerts_.get());
    scope_.spawn(connection_->run());

    auto greeting = co_await connection_->greeting();
    if (!greeting) co_return std::unexpected(std::move(greeting).error());
    if (greeting->condition == imap::Condition::bye) {
        Error error = refusal(*greeting, server(), "open a session");
        error.scope = Scope::host;
        if (error.code == Code::refused) error.code = Code::unavailable;
        error.retry = Retry::later;
        co_return std::unexpected(std::move(error));
    }
    adopt_capabilities(greeting->words);
    preauthenticated_ = greeting->condition == imap::Condition::preauth;
    if (endpoint_.tls == TlsMode::starttls) {
        if (preauthenticated_) {
            // STARTTLS is not allowed any more (RFC 9051 §7.1.4): going on in the clear would be a
            // downgrade.
            co_return fail(Code::tls_failed, Scope::host, Retry::never,
                           server() +
                               ": the server greets with PREAUTH, so that STARTTLS is not "
                               "possible; use imaps:// instead");
        }
        auto secured = co_await start_tls();
        if (!secured) co_return secured;
    }
    auto authenticated =
        preauthenticated_ ? co_await learn_capabilities(&*greeting) : co_await authenticate();
    if (!authenticated) co_return authenticated;
    co_return co_await enable_uid_only();
}

/// Yahoo and AOL show the newest 10,000 messages of a mailbox to everybody else. All our commands
/// go by UID.
Task<Result<void>> Session::enable_uid_only() {
    if (!capabilities_.has("UIDONLY")) co_return Result<void>{};
    constexpr std::string_view kExtensions[] = {"UIDONLY"};
    auto command = imap::source::enable(kExtensions);
    if (!command) co_return std::unexpected(std::move(command).error());
    imap::SourceCommand enable = std::move(*command);
    class Told final : public Sink {
      public:
        bool on_untagged(const imap::Event& event) override {
            const auto* enabled = std::get_if<imap::Enabled>(&event);
            if (enabled == nullptr) return false;
            uid_only = uid_only || std::ranges::any_of(enabled->words, [](std::string_view word) {
                           return equal_ignoring_case(word, "UIDONLY");
                       });
            return true;
        }
        bool uid_only = false;
    } told;
    auto reply = co_await connection_->execute(std::move(enable), &told);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    if (auto later = put_off(*reply, connection_->peer(), "enable UIDONLY"))
        co_return std::unexpected(std::move(*later));
    uid_only_ = reply->ok() && told.uid_only;  // some say OK to what they do not know
    co_return Result<void>{};
}

std::size_t Session::messages_per_command() const {
    constexpr std::string_view kPrefix = "MESSAGELIMIT=";
    const auto found = capabilities_.names().lower_bound(std::string(kPrefix));
    if (found == capabilities_.names().end() || !found->starts_with(kPrefix)) return SIZE_MAX;
    const auto most = parse_number(std::string_view(*found).substr(kPrefix.size()));
    return most && *most > 0 ? static_cast<std::size_t>(*most) : SIZE_MAX;
}

std::size_t Session::set_bytes_max() const {
    // Yahoo and UW take lines of 1,000 octets, the others 8,000 and more.
    const bool short_lines = capabilities_.has("XYMHIGHESTMODSEQ") || capabilities_.has("SCAN");
    return short_lines ? 800 : 6'000;  // of 8,000 (Zimbra 10,240; RFC 7162, section 4)
}

Task<Result<void>> Session::start_tls() {
    auto reply = co_await connection_->execute(imap::source::starttls());
    if (!reply) co_return std::unexpected(std::move(reply).error());
    if (!reply->ok()) {
        co_return fail(Code::tls_failed, Scope::host, Retry::never,
                       server() + ": the server does not do STARTTLS (\"" +
                           printable(reply->text, 120) +
                           "\"); use imaps://, or ?tls=off on loopback");
    }
    std::string unconsumed;
    auto bytes = connection_->detach(&unconsumed);
    if (!unconsumed.empty()) {
        // Clear text behind the OK would be read as if it were protected (command injection).
        bytes->abort();
        co_return fail(
            Code::tls_failed, Scope::host, Retry::never,
            server() +
                ": bytes came in clear text behind the answer to STARTTLS: somebody between may "
                "have put them there; the connection was closed");
    }
    net::TlsOptions options = tls_options();
    auto secured = co_await environment_->connector.start_tls(std::move(bytes), options);
    if (!secured) co_return std::unexpected(std::move(secured).error());
    capabilities_ = {};  // what was said in the clear counts no more (RFC 9051 §6.2.1)
    alerts_->words.clear();
    connection_->attach(std::move(*secured));
    co_return Result<void>{};
}

void Session::forget_announcement() {
    alerts_->words.clear();
}

void Session::adopt_capabilities(const std::vector<std::string>& words) {
    if (words.empty()) return;
    const std::vector<std::string_view> views(words.begin(), words.end());
    capabilities_.assign(views);
}

/// Takes the capabilities that came with `reply` or untagged before it; asks where neither did.
Task<Result<void>> Session::learn_capabilities(const Reply* reply) {
    if (reply != nullptr && reply->code == imap::ResponseCode::capability &&
        !reply->words.empty()) {
        adopt_capabilities(reply->words);
        co_return Result<void>{};
    }
    if (alerts_->words.empty()) {
        auto asked = co_await connection_->execute(imap::source::capability());
        if (!asked) co_return std::unexpected(std::move(asked).error());
    }
    adopt_capabilities(std::exchange(alerts_->words, {}));
    co_return Result<void>{};
}

Task<Result<void>> Session::compress() {
    if (compressed_ || !capabilities_.has("COMPRESS=DEFLATE")) co_return Result<void>{};
    auto reply = co_await connection_->execute(imap::source::compress_deflate());
    if (!reply) co_return std::unexpected(std::move(reply).error());
    compressed_ = true;  // or refused: not asked again
    if (!reply->ok()) co_return Result<void>{};
    std::string pending;
    auto bytes = connection_->detach(&pending);
    connection_->attach(
        environment_->connector.start_deflate(std::move(bytes), std::move(pending)));
    co_return Result<void>{};
}

Error refusal(const Reply& reply, std::string_view peer, std::string_view what) {
    imap::Status status;
    status.condition = reply.condition;
    status.code = reply.code;
    status.text = reply.text;
    Error error;
    error.scope = Scope::mailbox;
    error.text = std::string(peer) + " did not " + std::string(what) + ": \"" +
                 printable(reply.text, 200) + "\"";
    error.code = reply.condition == imap::Condition::bad ? Code::bad_command : Code::refused;
    error.retry = Retry::never;
    if (const auto delay = imap::suggested_delay(reply.text)) error.retry_after = *delay;
    // Exchange: LOGIN is OK whatever the licence, and then nothing is.
    if (to_lower(reply.text).contains("authenticated but not connected")) {
        error.code = Code::auth_refused;
        error.scope = Scope::account;
        return error;
    }
    if (imap::is_throttling(status) || error.retry_after.count() > 0) {
        error.code = Code::throttled;
        error.retry = Retry::later;
        // A day's octets are used up: there is no point in asking every few seconds.
        const bool bandwidth = to_lower(reply.text).contains("bandwidth");
        if (bandwidth && error.retry_after.count() == 0) error.retry_after = kBandwidthDelay;
    } else if (imap::is_over_quota(status)) {
        error.code = Code::over_quota;
        error.scope = Scope::account;
    } else if (imap::is_too_big(status)) {
        error.code = Code::too_big;
        error.scope = Scope::message;
    } else if (imap::is_unavailable(status)) {
        error.code = Code::unavailable;
        error.retry = Retry::later;
    } else {
        switch (reply.code) {
            case imap::ResponseCode::try_create:
            case imap::ResponseCode::nonexistent:
                error.code = Code::not_found;
                break;
            case imap::ResponseCode::already_exists:
                error.code = Code::already_exists;
                break;
            case imap::ResponseCode::no_perm:
            case imap::ResponseCode::cannot:
                error.code = Code::no_permission;
                break;
            default:
                break;
        }
    }
    return error;
}

std::optional<Error> put_off(const Reply& reply, std::string_view peer, std::string_view what) {
    if (reply.ok()) return std::nullopt;
    Error error = refusal(reply, peer, what);
    if (error.retry != Retry::later) return std::nullopt;
    return error;
}

Nanos backoff(unsigned attempt, std::chrono::milliseconds suggested, std::uint64_t random) {
    Random dice(random ^ (attempt * 0x9E3779B97F4A7C15ULL));
    if (suggested.count() > 0) {
        // To the second, and a little later, so that all accounts do not come back at the same
        // moment.
        return suggested + std::chrono::milliseconds(dice.below(1000));
    }
    const unsigned doublings = std::min(attempt > 0 ? attempt - 1 : 0U, 16U);
    const Nanos base =
        std::min<Nanos>(limits::kBackoffFirst * (1LL << doublings), limits::kBackoffMax);
    return base / 2 +
           Nanos(static_cast<std::int64_t>(dice.unit() * static_cast<double>((base / 2).count())));
}

}  // namespace imapult::session
