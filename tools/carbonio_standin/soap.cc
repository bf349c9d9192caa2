#include "engine/base/text.h"
#include "tools/carbonio_standin/server.h"

namespace imapult::standin {
namespace {

using importers::xml_escape;
using importers::XmlElement;

constexpr std::string_view kEnvelope = "http://www.w3.org/2003/05/soap-envelope";

HttpReply fault_reply(const std::string& code, const std::string& message) {
    HttpReply reply;
    reply.status = 500;
    reply.headers.emplace_back("Content-Type", "text/xml; charset=utf-8");
    reply.body = "<soap:Envelope xmlns:soap=\"" + std::string(kEnvelope) +
                 "\"><soap:Header><context "
                 "xmlns=\"urn:zimbra\"/></"
                 "soap:Header><soap:Body><soap:Fault><soap:Code><soap:Value>soap:Sender</"
                 "soap:Value></soap:Code><soap:Reason><soap:Text>" +
                 xml_escape(message) +
                 "</soap:Text></soap:Reason><soap:Detail><Error xmlns=\"urn:zimbra\"><Code>" +
                 code +
                 "</Code><Trace>standin</Trace></Error></soap:Detail></soap:Fault></soap:Body></"
                 "soap:Envelope>";
    return reply;
}

std::string name_of(const XmlElement& call) {
    if (const XmlElement* account = call.child("account"))
        return lower_case(std::string(trim(account->text)));
    return lower_case(std::string(call.attribute("name")));
}

}  // namespace

HttpReply Server::soap(const HttpRequest& request, bool admin_port) {
    const std::scoped_lock lock(mutex_);
    ++stats_["soap"];
    auto parsed = importers::parse_xml(request.body);
    if (!parsed) return fault_reply("service.PARSE_ERROR", "parse error");
    if (parsed->name != "Envelope" || !request.body.contains(kEnvelope))
        return fault_reply("service.INVALID_REQUEST", "no SOAP 1.2 envelope");
    const XmlElement* body = parsed->child("Body");
    if (body == nullptr || body->children.size() != 1)
        return fault_reply("service.INVALID_REQUEST", "one request expected");
    const XmlElement* header = parsed->child("Header");
    const XmlElement* context = header == nullptr ? nullptr : header->child("context");
    std::string token;
    std::string for_account;
    if (context != nullptr && context->child("authToken") != nullptr)
        token = trim(context->child("authToken")->text);
    if (context != nullptr && context->child("account") != nullptr)
        for_account = lower_case(std::string(trim(context->child("account")->text)));
    const bool admin_path = request.path.starts_with("/service/admin/soap");
    if (admin_path && !admin_port) return HttpReply{404, {}, "", false, false};
    std::string fault;
    const XmlElement& call = body->children.front();
    const std::string inner = soap_body(call, token, for_account, admin_path, fault);
    if (!fault.empty()) return fault_reply(fault, "the stand-in refuses " + call.name);
    HttpReply reply;
    reply.headers.emplace_back("Content-Type", "text/xml; charset=utf-8");
    reply.body = "<soap:Envelope xmlns:soap=\"" + std::string(kEnvelope) +
                 "\"><soap:Header><context xmlns=\"urn:zimbra\"/></soap:Header><soap:Body>" +
                 inner + "</soap:Body></soap:Envelope>";
    return reply;
}

std::string Server::soap_body(const XmlElement& call, const std::string& token,
                              const std::string& for_account, bool admin_path, std::string& fault) {
    const std::string space(call.attribute("xmlns"));
    if (call.name == "AuthRequest") {
        const std::string account = name_of(call);
        std::string password(call.attribute("password"));
        if (const XmlElement* element = call.child("password")) password = element->text;
        ++stats_["auth"];
        const bool admin = space == "urn:zimbraAdmin";
        if (!password_fits(account, password) || (admin && account != settings_.admin)) {
            fault = "account.AUTH_FAILED";
            return {};
        }
        if (faults_.maintenance.contains(account)) {
            fault = "account.MAINTENANCE_MODE";
            return {};
        }
        return "<AuthResponse xmlns=\"" + space + "\"><authToken>" + new_token(account, admin) +
               "</authToken><lifetime>43200000</lifetime></AuthResponse>";
    }
    const bool known = tokens_.contains(token);
    Token* caller = use_token(token);
    if (caller == nullptr) {
        fault = token.empty() || !known ? "service.AUTH_REQUIRED" : "service.AUTH_EXPIRED";
        return {};
    }
    if (space == "urn:zimbraAdmin") {
        if (!caller->admin || !admin_path) {
            fault = "service.PERM_DENIED";
            return {};
        }
        if (call.name == "DelegateAuthRequest") {
            const std::string account = name_of(call);
            ++stats_["delegate"];
            if (!exists(account)) {
                fault = "account.NO_SUCH_ACCOUNT";
                return {};
            }
            if (faults_.maintenance.contains(account)) {
                fault = "account.MAINTENANCE_MODE";
                return {};
            }
            return "<DelegateAuthResponse xmlns=\"urn:zimbraAdmin\"><authToken>" +
                   new_token(account, false) +
                   "</authToken><lifetime>3600000</lifetime></DelegateAuthResponse>";
        }
        fault = "service.UNKNOWN_DOCUMENT";
        return {};
    }
    std::string account = caller->account;
    if (!for_account.empty() && for_account != account) {
        if (!caller->admin) {
            fault = "service.PERM_DENIED";
            return {};
        }
        account = for_account;
    }
    return mail_call(call, account, fault);
}

std::string Server::mail_call(const XmlElement& call, const std::string& account,
                              std::string& fault) {
    if (call.name == "NoOpRequest") return "<NoOpResponse xmlns=\"urn:zimbraMail\"/>";
    MailboxStore& store = mailbox(account);
    const auto describe = [&](const Folder& folder) {
        return "<folder name=\"" + xml_escape(folder.name) + "\" view=\"" + folder.view +
               "\" l=\"1\" n=\"" + std::to_string(store.count_in(lower_case(folder.name))) +
               "\" rgb=\"" + xml_escape(folder.colour) + "\"/>";
    };
    if (call.name == "GetFolderRequest") {
        std::string out =
            "<GetFolderResponse xmlns=\"urn:zimbraMail\"><folder id=\"1\" name=\"USER_ROOT\">";
        for (const auto& [key, folder] : store.folders) out += describe(folder);
        return out + "</folder></GetFolderResponse>";
    }
    if (call.name == "CreateFolderRequest") {
        const XmlElement* wanted = call.child("folder");
        const std::string name(wanted == nullptr ? std::string_view{} : wanted->attribute("name"));
        if (name.empty() || name.size() > 255 ||
            name.find_first_of(":/\"\t\r\n") != std::string::npos || name == "." || name == "..") {
            fault = "mail.INVALID_NAME";
            return {};
        }
        if (store.folders.contains(lower_case(name))) {
            fault = "mail.ALREADY_EXISTS";
            return {};
        }
        Folder& folder = store.folders[lower_case(name)];
        folder = {name,
                  std::string(wanted->attribute("view")),
                  std::string(wanted->attribute("rgb")),
                  {}};
        if (journal_.is_open()) {
            journal_ << "{\"account\":\"" << account << "\",\"folder\":\"";
            for (const char c : name) journal_ << (c == '"' || c == '\\' ? "\\" : "") << c;
            journal_ << "\",\"view\":\"" << folder.view << "\"}\n" << std::flush;
        }
        return "<CreateFolderResponse xmlns=\"urn:zimbraMail\">" + describe(folder) +
               "</CreateFolderResponse>";
    }
    fault = "service.UNKNOWN_DOCUMENT";
    return {};
}

}  // namespace imapult::standin
