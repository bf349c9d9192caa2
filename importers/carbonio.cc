#include "importers/carbonio.h"

#include <algorithm>
#include <utility>

#include "engine/base/text.h"
#include "importers/limits.h"
#include "importers/xml.h"

namespace imapult::importers {
namespace {

constexpr std::string_view kEnvelope = "http://www.w3.org/2003/05/soap-envelope";

/// The visible words of an error page, cut short.
std::string page_text(std::string_view html) {
    std::string out;
    bool tag = false;
    for (const char c : html.substr(0, 64 * kKiB)) {
        if (c == '<') tag = true;
        const bool blank = c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '>';
        if (!tag && !blank) out += c;
        if ((blank || tag) && !out.empty() && !out.ends_with(' ')) out += ' ';
        if (c == '>') tag = false;
    }
    return printable(trim(out), 300);
}

std::unexpected<Error> account_error(Code code, Retry retry, std::string text) {
    return fail(code, Scope::account, retry, std::move(text));
}

std::unexpected<Error> fault_error(const SoapFault& fault) {
    const std::string text = printable(fault.code, 100) + " (" + printable(fault.reason, 200) + ")";
    if (fault.code == "account.AUTH_FAILED" || fault.code == "account.CHANGE_PASSWORD") {
        return account_error(Code::auth_refused, Retry::never,
                             "the server refuses the name or password: " + text);
    }
    if (fault.code.starts_with("service.AUTH_"))
        return account_error(Code::auth_refused, Retry::never,
                             "the server does not accept our token: " + text);
    if (fault.code == "account.NO_SUCH_ACCOUNT")
        return account_error(Code::not_found, Retry::never, "there is no such account: " + text);
    if (fault.code == "service.PERM_DENIED")
        return account_error(Code::no_permission, Retry::never, "permission denied: " + text);
    if (fault.code.ends_with("MAINTENANCE") || fault.code.ends_with("MAINTENANCE_MODE") ||
        fault.code == "service.TEMPORARILY_UNAVAILABLE" || fault.code == "mail.TRY_AGAIN") {
        return account_error(Code::unavailable, Retry::later,
                             "the account is not available now: " + text);
    }
    if (fault.code == "mail.QUOTA_EXCEEDED")
        return account_error(Code::over_quota, Retry::never, "the mailbox is over quota: " + text);
    return account_error(Code::refused, Retry::never, "the server refused: " + text);
}

bool is_auth_fault(const SoapFault& fault) {
    return fault.code == "service.AUTH_EXPIRED" || fault.code == "service.AUTH_REQUIRED";
}

}  // namespace

Carbonio::Carbonio(http::Client& client, CarbonioSettings settings)
    : client_(client), settings_(std::move(settings)) {}

Result<std::expected<std::string, SoapFault>> Carbonio::soap(const std::string& url,
                                                             const Secret& token,
                                                             const std::string& body) {
    http::Request request;
    request.method = "POST";
    request.url = url;
    request.headers.push_back({"Content-Type", "application/soap+xml; charset=utf-8"});
    request.body = "<soap:Envelope xmlns:soap=\"" + std::string(kEnvelope) +
                   "\"><soap:Header><context xmlns=\"urn:zimbra\">";
    if (!token.empty()) request.body += "<authToken>" + xml_escape(token.reveal()) + "</authToken>";
    request.body +=
        "<nosession/></context></soap:Header><soap:Body>" + body + "</soap:Body></soap:Envelope>";
    IMAPULT_TRY(const http::Response response, client_.run(std::move(request)));
    if (response.status == 503 || response.status == 429)
        return account_error(
            Code::throttled, Retry::later,
            "the server is too busy (HTTP " + std::to_string(response.status) + ")");
    auto parsed = parse_xml(response.body);
    const XmlElement* soap_body = parsed ? parsed->find("Body") : nullptr;
    if (soap_body == nullptr || soap_body->children.empty()) {
        return fail(Code::protocol, Scope::host, Retry::never,
                    "no SOAP reply (HTTP " + std::to_string(response.status) +
                        "): " + page_text(response.body));
    }
    const XmlElement* fault = soap_body->child("Fault");
    if (fault == nullptr) return std::expected<std::string, SoapFault>(response.body);
    SoapFault out;
    if (const XmlElement* text = fault->find("Text")) out.reason = text->text;
    // Detail/Error/Code; the envelope's own Code holds Value.
    if (const XmlElement* error = fault->find("Error")) {
        if (const XmlElement* code = error->child("Code")) out.code = trim(code->text);
    }
    return std::expected<std::string, SoapFault>(std::unexpected(std::move(out)));
}

Result<Secret> Carbonio::admin_token(const std::string& unless) {
    const std::scoped_lock lock(mutex_);
    if (!admin_token_.empty() && admin_token_.reveal() != unless) return admin_token_;
    const std::string body = "<AuthRequest xmlns=\"urn:zimbraAdmin\" name=\"" +
                             xml_escape(settings_.admin_name) + "\" password=\"" +
                             xml_escape(settings_.admin_password.reveal()) + "\"/>";
    IMAPULT_TRY(const auto reply,
                soap(settings_.admin_side.base + "/service/admin/soap", Secret{}, body));
    if (!reply) return fault_error(reply.error());
    IMAPULT_TRY(const XmlElement xml, parse_xml(*reply));
    const XmlElement* token = xml.find("authToken");
    if (token == nullptr || trim(token->text).empty())
        return fail(Code::protocol, Scope::host, Retry::never,
                    "the reply to AuthRequest has no token");
    admin_token_ = Secret(std::string(trim(token->text)));
    return admin_token_;
}

Result<> Carbonio::log_in() {
    if (settings_.import_as == ImportAs::user) return {};
    IMAPULT_CHECK(admin_token({}));
    return {};
}

Result<Secret> Carbonio::delegate(const std::string& account) {
    std::string dead;
    for (int attempt = 0;; ++attempt) {
        IMAPULT_TRY(const Secret token, admin_token(dead));
        const std::string body =
            "<DelegateAuthRequest xmlns=\"urn:zimbraAdmin\"><account by=\"name\">" +
            xml_escape(account) + "</account></DelegateAuthRequest>";
        IMAPULT_TRY(const auto reply,
                    soap(settings_.admin_side.base + "/service/admin/soap", token, body));
        if (reply) {
            IMAPULT_TRY(const XmlElement xml, parse_xml(*reply));
            const XmlElement* found = xml.find("authToken");
            if (found == nullptr || trim(found->text).empty())
                return fail(Code::protocol, Scope::host, Retry::never,
                            "the reply to DelegateAuthRequest has no token");
            return Secret(std::string(trim(found->text)));
        }
        if (!is_auth_fault(reply.error()) || attempt == 2) return fault_error(reply.error());
        dead = token.reveal();
    }
}

Result<Secret> Carbonio::user_token(const std::string& account, const Secret& password) {
    const std::string body = "<AuthRequest xmlns=\"urn:zimbraAccount\"><account by=\"name\">" +
                             xml_escape(account) + "</account><password>" +
                             xml_escape(password.reveal()) + "</password></AuthRequest>";
    IMAPULT_TRY(const auto reply, soap(settings_.user_side.base + "/service/soap", Secret{}, body));
    if (!reply) return fault_error(reply.error());
    IMAPULT_TRY(const XmlElement xml, parse_xml(*reply));
    const XmlElement* token = xml.find("authToken");
    if (token == nullptr || trim(token->text).empty())
        return fail(Code::protocol, Scope::host, Retry::never,
                    "the reply to AuthRequest has no token");
    return Secret(std::string(trim(token->text)));
}

Result<bool> Carbonio::token_alive(const Secret& token) {
    IMAPULT_TRY(const auto reply, soap(settings_.user_side.base + "/service/soap", token,
                                       "<NoOpRequest xmlns=\"urn:zimbraMail\"/>"));
    return reply.has_value() || !is_auth_fault(reply.error());
}

std::string Carbonio::home_path() {
    const std::scoped_lock lock(mutex_);
    return short_home_ ? "/home" : "/service/home";
}

void Carbonio::use_short_home_path() {
    const std::scoped_lock lock(mutex_);
    short_home_ = true;
}

void Carbonio::use_long_home_path() {
    const std::scoped_lock lock(mutex_);
    short_home_ = false;
}

Mailbox::Mailbox(Carbonio& carbonio, std::string account, Secret password)
    : carbonio_(carbonio), account_(std::move(account)), password_(std::move(password)) {}

Result<> Mailbox::open() {
    if (carbonio_.settings().import_as != ImportAs::delegate) return {};
    IMAPULT_TRY(token_, carbonio_.delegate(account_));
    return {};
}

Result<Secret> Mailbox::soap_token() {
    if (!token_.empty()) return token_;
    if (carbonio_.settings().import_as == ImportAs::user) {
        IMAPULT_TRY(token_, carbonio_.user_token(account_, password_));
    } else {
        IMAPULT_TRY(token_, carbonio_.delegate(account_));
    }
    return token_;
}

Result<std::optional<std::vector<RemoteFolder>>> Mailbox::folders() {
    const std::string url = carbonio_.settings().user_side.base + "/service/soap";
    for (int attempt = 0;; ++attempt) {
        IMAPULT_TRY(const Secret token, soap_token());
        const auto answer =
            carbonio_.soap(url, token, "<GetFolderRequest xmlns=\"urn:zimbraMail\"/>");
        // A server that does not tell is no obstacle: creating a folder says whether it is there.
        if (!answer && answer.error().code == Code::protocol) return std::nullopt;
        if (!answer) return std::unexpected(answer.error());
        const auto& reply = *answer;
        if (!reply) {
            if (is_auth_fault(reply.error()) && attempt == 0) {
                token_ = Secret{};
                continue;
            }
            if (is_auth_fault(reply.error())) return fault_error(reply.error());
            return std::nullopt;
        }
        IMAPULT_TRY(const XmlElement xml, parse_xml(*reply));
        std::vector<RemoteFolder> out;
        const XmlElement* response = xml.find("GetFolderResponse");
        const XmlElement* root = response == nullptr ? nullptr : response->child("folder");
        if (root == nullptr) return std::nullopt;
        for (const XmlElement& folder : root->children) {
            if (folder.name != "folder" && folder.name != "link" && folder.name != "search")
                continue;
            RemoteFolder one;
            one.name = folder.attribute("name");
            one.view =
                folder.name == "folder" ? folder.attribute("view") : std::string_view(folder.name);
            one.items = parse_number(folder.attribute("n"));
            if (!one.name.empty()) out.push_back(std::move(one));
        }
        return out;
    }
}

Result<bool> Mailbox::create_folder(const std::string& name, const std::string& view,
                                    const std::string& colour) {
    const std::string url = carbonio_.settings().user_side.base + "/service/soap";
    std::string body = "<CreateFolderRequest xmlns=\"urn:zimbraMail\"><folder name=\"" +
                       xml_escape(name) + "\" l=\"1\" view=\"" + view + "\"";
    if (!colour.empty()) body += " rgb=\"" + xml_escape(colour) + "\"";
    body += "/></CreateFolderRequest>";
    for (int attempt = 0;; ++attempt) {
        IMAPULT_TRY(const Secret token, soap_token());
        IMAPULT_TRY(const auto reply, carbonio_.soap(url, token, body));
        if (reply) return true;
        if (reply.error().code == "mail.ALREADY_EXISTS") return false;
        if (!is_auth_fault(reply.error()) || attempt > 0) return fault_error(reply.error());
        token_ = Secret{};
    }
}

http::Request Mailbox::request(const std::string& method, const std::string& folder,
                               const std::string& query) const {
    const CarbonioSettings& settings = carbonio_.settings();
    http::Request out;
    out.method = method;
    const bool admin = settings.import_as == ImportAs::admin;
    out.url = (admin ? settings.admin_side.base : settings.user_side.base) + carbonio_.home_path() +
              "/" + http::percent_encode(account_) + "/" + http::percent_encode(folder) + "?" +
              query;
    if (admin) {
        out.user = settings.admin_name;
        out.password = settings.admin_password;
    } else if (settings.import_as == ImportAs::user) {
        out.user = account_;
        out.password = password_;
    } else {
        out.cookie_name = "ZM_AUTH_TOKEN";
        out.cookie_value = token_;
    }
    return out;
}

Result<> Mailbox::judge(const http::Response& response, const std::string& what) const {
    const long status = response.status;
    if (status == 200) return {};
    const std::string words = page_text(response.body);
    const std::string lower = to_lower(words);
    const std::string shown =
        "HTTP " + std::to_string(status) + (words.empty() ? "" : ": " + words);
    if (status == 401) {
        if (carbonio_.settings().import_as == ImportAs::delegate) {
            return account_error(
                Code::not_found, Retry::never,
                what +
                    ": no such folder or account, no permission, or the account is not active (" +
                    shown + ")");
        }
        return account_error(Code::auth_refused, Retry::never,
                             "the server refuses the name or password (" + shown + ")");
    }
    if (status == 403)
        return account_error(Code::no_permission, Retry::never,
                             what + ": permission denied (" + shown + ")");
    if (status == 404)
        return account_error(
            Code::not_found, Retry::never,
            what + ": no such folder or account, no permission, or the account is not active (" +
                shown + ")");
    if (status == 503 || status == 429)
        return account_error(
            Code::throttled, Retry::later,
            "the server is too busy (" + shown + "); run the same command again later");
    if (lower.contains("quota_exceeded") || lower.contains("over quota") ||
        lower.contains("quota exceeded"))
        return account_error(Code::over_quota, Retry::never,
                             "the mailbox is over quota (" + shown + ")");
    if (status == 413 || lower.contains("byte limit"))
        return fail(Code::too_big, Scope::message, Retry::never,
                    "larger than the server takes (" + shown + ")");
    if (status == 502 || status == 504)
        return account_error(Code::unavailable, Retry::later,
                             "the server behind the proxy does not answer (" + shown + ")");
    return fail(Code::refused, Scope::message, Retry::never,
                "the server refused it (" + shown + ")");
}

Result<bool> Mailbox::renew_after_401() {
    if (carbonio_.settings().import_as != ImportAs::delegate) return false;
    // 401 also stands for "no such folder" and its like: only SOAP tells a dead token from these.
    IMAPULT_TRY(const bool alive, carbonio_.token_alive(token_));
    if (alive) return false;
    IMAPULT_TRY(token_, carbonio_.delegate(account_));
    return true;
}

Result<> Mailbox::download(const std::string& folder, const std::string& format, int fd) {
    for (int attempt = 0;; ++attempt) {
        http::Request get = request("GET", folder, "fmt=" + format);
        get.reply_fd = fd;
        get.reply_bytes_max = kExportBytesMax;
        IMAPULT_TRY(const http::Response response, carbonio_.client().run(std::move(get)));
        if (response.status == 200 || response.status == 204) return {};
        if (response.status == 401 && attempt == 0) {
            IMAPULT_TRY(const bool again, renew_after_401());
            if (again) continue;
        }
        return judge(response, "\"" + printable(folder) + "\" of " + printable(account_));
    }
}

std::vector<Result<>> Mailbox::upload(const std::vector<Upload>& uploads) {
    std::vector<Result<>> results(uploads.size());
    std::vector<std::size_t> open(uploads.size());
    for (std::size_t i = 0; i < open.size(); ++i) open[i] = i;
    for (int attempt = 0; !open.empty(); ++attempt) {
        std::vector<http::Request> requests;
        for (const std::size_t i : open) {
            http::Request post = request("POST", uploads[i].folder, uploads[i].query);
            post.headers.push_back({"Content-Type", uploads[i].content_type});
            post.body = uploads[i].body;
            post.resend = uploads[i].resend;
            requests.push_back(std::move(post));
        }
        auto responses = carbonio_.client().run_all(std::move(requests));
        std::vector<std::size_t> again;
        for (std::size_t k = 0; k < open.size(); ++k) {
            const std::size_t i = open[k];
            if (!responses[k]) {
                results[i] = std::unexpected(responses[k].error());
                continue;
            }
            results[i] = judge(*responses[k], "\"" + printable(uploads[i].folder) + "\" of " +
                                                  printable(account_));
            if (responses[k]->status == 401 && attempt < 2) again.push_back(i);
        }
        if (again.empty()) break;
        const auto renewed = renew_after_401();
        if (!renewed) {
            for (const std::size_t i : again) results[i] = std::unexpected(renewed.error());
            break;
        }
        if (!*renewed) break;
        open = std::move(again);
    }
    return results;
}

}  // namespace imapult::importers
