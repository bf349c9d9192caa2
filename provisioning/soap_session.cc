#include "provisioning/soap_session.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "engine/base/text.h"
#include "provisioning/limits.h"

namespace imapult::provisioning {
namespace {

constexpr int kTriesMax = 4;
constexpr int kTokensMax = 16;  ///< for one request, while others use up each token too
constexpr auto kFirstPause = std::chrono::milliseconds(500);

constexpr std::array<std::string_view, 4> kTryAgain = {
    "service.TEMPORARILY_UNAVAILABLE", "mail.TRY_AGAIN", "mail.MAINTENANCE", "service.INTERRUPTED"};

/// A server may quote the request it refuses; its token is not for a log.
std::string without(std::string text, std::string_view secret) {
    if (secret.empty()) return text;
    for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret)) {
        text.replace(at, secret.size(), "…");
    }
    return text;
}

SoapReply reply_of(const XmlNode& document, const Secret& token) {
    SoapReply reply;
    const auto* body = document.find("Body");
    if (!body || body->children.empty()) {
        reply.fault = "service.PARSE_ERROR";
        reply.reason = "an answer without a body";
        return reply;
    }
    const auto& first = body->children.front();
    if (first.name != "Fault") {
        reply.body = first;
        return reply;
    }
    const auto* detail = first.find("Error");
    const auto* code = detail ? detail->child("Code") : nullptr;
    reply.fault = code ? printable(trim(code->text), 128) : "service.FAILURE";
    const auto* text = first.find("Text");
    reply.reason = text ? printable(trim(without(text->text, token.reveal()))) : reply.fault;
    return reply;
}

}  // namespace

bool SoapReply::exists() const {
    return fault.ends_with("_EXISTS") || fault == "mail.ALREADY_EXISTS";
}

bool SoapReply::missing() const {
    return fault.starts_with("account.NO_SUCH_");
}

std::string xml_attribute(std::string_view name, std::string_view value) {
    std::string out = " " + std::string(name) + "=\"";
    append_xml(out, value);
    return out + "\"";
}

std::string xml_element(std::string_view name, std::string_view value) {
    std::string out = "<" + std::string(name) + ">";
    append_xml(out, value);
    return out + "</" + std::string(name) + ">";
}

Result<SoapSession> SoapSession::open(const SoapTarget& target) {
    IMAPULT_TRY(const auto endpoint, http::parse_endpoint(target.url, target.allow_cleartext));
    http::Options options;
    options.tls = target.tls;
    options.connections = limits::kSoapInFlightMax;
    SoapSession session;
    session.token_ = std::make_unique<Token>();
    IMAPULT_TRY(session.client_, http::Client::create(options));
    session.url_ = endpoint.base + "/service/admin/soap";
    session.admin_ = target.admin;
    session.password_ = target.password;
    IMAPULT_CHECK(session.renew(Secret()));
    return session;
}

Secret SoapSession::token() const {
    const std::lock_guard lock(token_->reading);
    return token_->value;
}

Result<> SoapSession::renew(const Secret& old) {
    const std::lock_guard changing(token_->changing);
    if (token().reveal() != old.reveal()) return {};
    auto request = "<AuthRequest xmlns=\"urn:zimbraAdmin\"" + xml_attribute("name", admin_) +
                   xml_attribute("password", password_.reveal()) + "/>";
    auto reply = exchange(request, {}, Secret());
    Secret::wipe(request);
    if (!reply) return std::unexpected(std::move(reply).error());
    if (!reply->fault.empty()) {
        return fail(Code::auth_refused, Scope::host, Retry::never,
                    "the administrator's log-in was refused: " + reply->fault);
    }
    const auto* token = reply->body.child("authToken");
    if (!token || token->text.empty()) {
        return fail(Code::protocol, Scope::host, Retry::never, "the log-in gave no token");
    }
    const std::lock_guard lock(token_->reading);
    token_->value = Secret(token->text);
    return {};
}

Result<SoapReply> SoapSession::exchange(const std::string& request, const std::string& account,
                                        const Secret& token) {
    http::Request post;
    post.method = "POST";
    post.url = url_;
    post.headers.push_back({"Content-Type", "application/soap+xml; charset=utf-8"});
    post.resend = http::Resend::if_lost;  // what was made meanwhile answers with *_EXISTS
    post.reply_bytes_max = limits::kSoapReplyBytesMax;
    auto& body = post.body;
    body =
        "<soap:Envelope xmlns:soap=\"http://www.w3.org/2003/05/soap-envelope\"><soap:Header>"
        "<context xmlns=\"urn:zimbra\"><nosession/>";
    if (!token.empty()) body += xml_element("authToken", token.reveal());
    if (!account.empty()) {
        body += "<account by=\"name\">";
        append_xml(body, account);
        body += "</account>";
    }
    body += "</context></soap:Header><soap:Body>" + request + "</soap:Body></soap:Envelope>";
    IMAPULT_TRY(const auto response, client_->run(std::move(post)));
    if (response.status != 200 && response.status != 500) {
        return fail(Code::protocol, Scope::host, Retry::never,
                    "the server answered " + std::to_string(response.status) +
                        " to a SOAP request; is the URL the administration port (7071)?");
    }
    IMAPULT_TRY(const auto document, parse_xml(response.body));
    return reply_of(document, token);
}

Result<SoapReply> SoapSession::call(const std::string& request, const std::string& account) {
    auto pause = kFirstPause;
    int tries = 0;
    int tokens = 0;
    for (;;) {
        const auto used = token();
        IMAPULT_TRY(auto reply, exchange(request, account, used));
        if (reply.fault == "service.AUTH_EXPIRED" || reply.fault == "service.AUTH_REQUIRED") {
            if (++tokens >= kTokensMax) return reply;
            IMAPULT_CHECK(renew(used));
        } else if (std::ranges::find(kTryAgain, reply.fault) != kTryAgain.end()) {
            if (++tries >= kTriesMax) return reply;
            std::this_thread::sleep_for(pause);
            pause *= 2;
        } else {
            return reply;
        }
    }
}

}  // namespace imapult::provisioning
