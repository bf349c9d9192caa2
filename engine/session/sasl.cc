// Authentication: choosing a mechanism and running its exchange (RFC 9051 §6.2.2, RFC 4959).

#include <gsasl.h>

#include <cstring>
#include <memory>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/session/session.h"

namespace imapult::session {
namespace {

/// libgsasl's base64, as a Secret: the text holds credentials.
Secret base64(std::string_view bytes) {
    char* out = nullptr;
    std::size_t length = 0;
    if (gsasl_base64_to(bytes.data(), bytes.size(), &out, &length) != GSASL_OK) return Secret{};
    std::string text(out, length);
    explicit_bzero(out, length);
    gsasl_free(out);
    return Secret(std::move(text));
}

std::string_view wire_name(AuthMechanism method) {
    switch (method) {
        case AuthMechanism::plain:
            return "PLAIN";
        case AuthMechanism::cram_md5:
            return "CRAM-MD5";
        case AuthMechanism::scram_sha_256:
            return "SCRAM-SHA-256";
        case AuthMechanism::xoauth2:
            return "XOAUTH2";
        case AuthMechanism::oauthbearer:
            return "OAUTHBEARER";
        case AuthMechanism::login:
            return "LOGIN";
        case AuthMechanism::automatic:
            break;
    }
    return "";
}

}  // namespace

Result<AuthMechanism> Session::choose_method() const {
    const bool clear_is_fine =
        connection_->is_secure() || connection_->is_loopback() || endpoint_.allow_cleartext;
    const AuthMechanism asked = endpoint_.auth;
    if (asked == AuthMechanism::automatic) {
        if (capabilities_.has_auth("SCRAM-SHA-256")) return AuthMechanism::scram_sha_256;
        if (clear_is_fine && capabilities_.has_auth("PLAIN")) return AuthMechanism::plain;
        if (clear_is_fine && endpoint_.admin.empty() && !capabilities_.has("LOGINDISABLED")) {
            return AuthMechanism::login;
        }
        if (endpoint_.admin.empty() && capabilities_.has_auth("CRAM-MD5"))
            return AuthMechanism::cram_md5;
        // Some servers do not advertise what they can: SASL PLAIN is the one way to name two
        // identities.
        if (clear_is_fine && !endpoint_.admin.empty()) return AuthMechanism::plain;
        return fail(Code::auth_refused, Scope::host, Retry::never,
                    server() +
                        ": the server offers no way to log in that is safe on this connection "
                        "(use imaps:// or STARTTLS)");
    }
    const bool sends_secret =
        asked != AuthMechanism::cram_md5 && asked != AuthMechanism::scram_sha_256;
    if (sends_secret && !clear_is_fine) {
        return fail(Code::auth_refused, Scope::host, Retry::never,
                    server() + ": " + std::string(wire_name(asked)) +
                        " sends the secret itself, which is refused without TLS");
    }
    if (!endpoint_.admin.empty() &&
        (asked == AuthMechanism::login || asked == AuthMechanism::cram_md5)) {
        return fail(Code::auth_refused, Scope::host, Retry::never,
                    server() + ": " + std::string(wire_name(asked)) +
                        " cannot log in as an administrator for somebody else; use plain or "
                        "scram-sha-256");
    }
    return asked;
}

Error Session::refused_login(const Reply& reply, std::string_view how) const {
    const std::string who = endpoint_.admin.empty()
                                ? "\"" + printable(endpoint_.user) + "\""
                                : "administrator \"" + printable(endpoint_.admin) + "\" for \"" +
                                      printable(endpoint_.user) + "\"";
    Error error = refusal(reply, server(), "log in " + who);
    const bool temporary = error.code == Code::throttled || error.code == Code::unavailable;
    if (temporary) {
        error.scope = Scope::account;
        return error;
    }
    error.code = Code::auth_refused;
    error.scope = Scope::account;
    error.retry = Retry::never;
    error.text = server() + " refused to log in " + who + " (" + std::string(how) + "): \"" +
                 printable(reply.text, 200) +
                 "\". Check the name and the secret; it is not tried again, "
                 "so that no account gets locked";
    return error;
}

Task<Result<void>> Session::authenticate() {
    if (capabilities_.empty()) {
        auto learnt = co_await learn_capabilities(nullptr);
        if (!learnt) co_return learnt;
    }
    auto method = choose_method();
    if (!method) co_return std::unexpected(std::move(method).error());
    const auto ask = endpoint_.secret.fetch;
    auto secret = co_await runtime::offload(environment_->scheduler, environment_->blocking,
                                            [ask]() -> Result<Secret> { return ask(); });
    if (!secret) co_return std::unexpected(std::move(secret).error());

    forget_announcement();
    Result<Reply> reply;
    switch (*method) {
        case AuthMechanism::login: {
            auto command = imap::source::login(endpoint_.user, secret->reveal(), encoding());
            if (!command) co_return std::unexpected(std::move(command).error());
            imap::SourceCommand login = std::move(*command);
            reply = co_await connection_->execute(std::move(login));
            break;
        }
        case AuthMechanism::plain:
            reply = co_await plain(std::move(*secret));
            break;
        case AuthMechanism::xoauth2:
            reply = co_await bearer(std::move(*secret), true);
            break;
        case AuthMechanism::oauthbearer:
            reply = co_await bearer(std::move(*secret), false);
            break;
        case AuthMechanism::cram_md5:
            reply = co_await gsasl("CRAM-MD5", std::move(*secret));
            break;
        case AuthMechanism::scram_sha_256:
            reply = co_await gsasl("SCRAM-SHA-256", std::move(*secret));
            break;
        case AuthMechanism::automatic:
            break;
    }
    if (!reply) co_return std::unexpected(std::move(reply).error());
    if (!reply->ok()) co_return std::unexpected(refused_login(*reply, wire_name(*method)));
    capabilities_ = {};
    co_return co_await learn_capabilities(&*reply);
}

/// AUTHENTICATE with one client response: in the command's line where SASL-IR allows, else after
/// `+`.
Task<Result<Reply>> Session::sasl_single(std::string_view mechanism, Secret encoded) {
    const bool initial = capabilities_.has("SASL-IR");
    std::optional<std::string_view> response;
    if (initial) response = encoded.reveal();
    auto command = imap::source::authenticate(mechanism, response);
    if (!command) co_return std::unexpected(std::move(command).error());
    imap::SourceCommand authenticate = std::move(*command);
    Ticket ticket = connection_->start(std::move(authenticate));
    if (!initial) {
        auto ready = co_await connection_->continuation(ticket);
        if (!ready) co_return std::unexpected(std::move(ready).error());
        if (*ready) {
            auto sent = co_await connection_->send_line(std::string(encoded.reveal()));
            if (!sent) co_return std::unexpected(std::move(sent).error());
        }
    }
    // A further challenge is the server's explanation of a failure (RFC 7628 §3.2.3): an empty
    // answer (XOAUTH2) or ^A (OAUTHBEARER) brings the tagged NO.
    while (true) {
        auto more = co_await connection_->continuation(ticket);
        if (!more) co_return std::unexpected(std::move(more).error());
        if (!*more) break;
        const std::string answer = mechanism == "OAUTHBEARER" ? "AQ=="
                                   : mechanism == "XOAUTH2"   ? ""
                                                              : "*";
        auto sent = co_await connection_->send_line(answer);
        if (!sent) co_return std::unexpected(std::move(sent).error());
    }
    co_return co_await connection_->finish(ticket);
}

/// RFC 4616: authzid NUL authcid NUL password.
Task<Result<Reply>> Session::plain(Secret secret) {
    std::string message;
    if (!endpoint_.admin.empty()) message += endpoint_.user;
    message += '\0';
    message += endpoint_.admin.empty() ? endpoint_.user : endpoint_.admin;
    message += '\0';
    message += secret.reveal();
    Secret encoded = base64(message);
    Secret::wipe(message);
    co_return co_await sasl_single("PLAIN", std::move(encoded));
}

/// XOAUTH2 (Google's and Microsoft's) and OAUTHBEARER (RFC 7628 §3.1).
Task<Result<Reply>> Session::bearer(Secret token, bool xoauth2) {
    std::string message;
    if (xoauth2) {
        message = "user=" + endpoint_.user + "\x01" + "auth=Bearer ";
        message += token.reveal();
        message += "\x01\x01";
    } else {
        std::string name;  // "," and "=" have a meaning in the GS2 header (RFC 5801 §4)
        for (const char c : endpoint_.user) {
            if (c == ',')
                name += "=2C";
            else if (c == '=')
                name += "=3D";
            else
                name += c;
        }
        message = "n,a=" + name + ",\x01" + "host=" + endpoint_.host + "\x01" +
                  "port=" + std::to_string(endpoint_.port) + "\x01" + "auth=Bearer ";
        message += token.reveal();
        message += "\x01\x01";
    }
    Secret encoded = base64(message);
    Secret::wipe(message);
    co_return co_await sasl_single(xoauth2 ? "XOAUTH2" : "OAUTHBEARER", std::move(encoded));
}

/// Challenge-response mechanisms, by libgsasl.
Task<Result<Reply>> Session::gsasl(const char* mechanism, Secret secret) {
    Gsasl* raw_context = nullptr;
    if (gsasl_init(&raw_context) != GSASL_OK) {
        co_return fail(Code::auth_refused, Scope::run, Retry::never, "libgsasl cannot be started");
    }
    const std::unique_ptr<Gsasl, decltype(&gsasl_done)> context(raw_context, &gsasl_done);
    Gsasl_session* raw_session = nullptr;
    if (gsasl_client_start(context.get(), mechanism, &raw_session) != GSASL_OK) {
        co_return fail(Code::auth_refused, Scope::run, Retry::never,
                       std::string("libgsasl does not know ") + mechanism);
    }
    const std::unique_ptr<Gsasl_session, decltype(&gsasl_finish)> session(raw_session,
                                                                          &gsasl_finish);
    const std::string& name = endpoint_.admin.empty() ? endpoint_.user : endpoint_.admin;
    gsasl_property_set(session.get(), GSASL_AUTHID, name.c_str());
    if (!endpoint_.admin.empty()) {
        gsasl_property_set(session.get(), GSASL_AUTHZID, endpoint_.user.c_str());
    }
    gsasl_property_set_raw(session.get(), GSASL_PASSWORD, secret.reveal().data(),
                           secret.reveal().size());

    // SCRAM speaks first: where SASL-IR is offered that saves a round trip.
    int status = GSASL_NEEDS_MORE;
    std::optional<std::string> first;
    if (capabilities_.has("SASL-IR") && std::string_view(mechanism).starts_with("SCRAM")) {
        char* out = nullptr;
        status = gsasl_step64(session.get(), "", &out);
        if (status == GSASL_NEEDS_MORE) first = out;
        gsasl_free(out);
    }
    std::optional<std::string_view> initial;
    if (first) initial = *first;
    auto command = imap::source::authenticate(mechanism, initial);
    if (!command) co_return std::unexpected(std::move(command).error());
    imap::SourceCommand authenticate = std::move(*command);
    Ticket ticket = connection_->start(std::move(authenticate));
    while (true) {
        auto challenge = co_await connection_->continuation(ticket);
        if (!challenge) co_return std::unexpected(std::move(challenge).error());
        if (!*challenge) break;
        std::string answer = "*";  // cancels the exchange (RFC 9051 §6.2.2)
        if (status == GSASL_NEEDS_MORE) {
            char* out = nullptr;
            status = gsasl_step64(session.get(), (*challenge)->c_str(), &out);
            if (status == GSASL_OK || status == GSASL_NEEDS_MORE) answer = out;
            gsasl_free(out);
        } else if (status == GSASL_OK) {
            answer.clear();  // the server's last message was additional data with success
        }
        auto sent = co_await connection_->send_line(std::move(answer));
        if (!sent) co_return std::unexpected(std::move(sent).error());
    }
    auto reply = co_await connection_->finish(ticket);
    if (reply && reply->ok() && status != GSASL_OK) {
        co_return fail(Code::auth_refused, Scope::host, Retry::never,
                       server() +
                           ": the server accepted the log-in without proving that it knows the "
                           "password (" +
                           mechanism + "); it may not be who it says");
    }
    co_return reply;
}

}  // namespace imapult::session
