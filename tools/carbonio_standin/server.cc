#include "tools/carbonio_standin/server.h"

#include <nlohmann/json.hpp>
#include <thread>

#include "engine/base/text.h"
#include "importers/content_line.h"

namespace imapult::standin {
namespace {

using nlohmann::json;

HttpReply html(int status, const std::string& message) {
    HttpReply reply;
    reply.status = status;
    reply.headers.emplace_back("Content-Type", "text/html;charset=utf-8");
    reply.body = "<html><head><title>Error " + std::to_string(status) +
                 "</title></head><body><h2>HTTP ERROR " + std::to_string(status) + "</h2><p>" +
                 importers::xml_escape(message) + "</p></body></html>";
    return reply;
}

std::string cookie(const std::string& header, const std::string& name) {
    const auto at = (";" + header).find(";" + name + "=");
    const auto spaced = header.find("; " + name + "=");
    const std::size_t start = at != std::string::npos       ? at + name.size() + 1
                              : spaced != std::string::npos ? spaced + name.size() + 3
                                                            : std::string::npos;
    if (start == std::string::npos) return {};
    return header.substr(start, header.find(';', start) - start);
}

/// The first file part of a multipart body; false if there is none.
bool first_part(const std::string& type, std::string& body) {
    const auto at = type.find("boundary=");
    if (at == std::string::npos) return false;
    std::string boundary = type.substr(at + 9);
    if (boundary.starts_with('"')) boundary = boundary.substr(1, boundary.find('"', 1) - 1);
    const std::string mark = "--" + boundary;
    std::size_t part = body.find(mark);
    while (part != std::string::npos) {
        const auto head_end = body.find("\r\n\r\n", part);
        const auto next = body.find("\r\n" + mark, part + mark.size());
        if (head_end == std::string::npos || next == std::string::npos) return false;
        if (body.substr(part, head_end - part).contains("filename=")) {
            body = body.substr(head_end + 4, next - head_end - 4);
            return true;
        }
        part = next + 2;
    }
    return false;
}

}  // namespace

Server::Server(Settings settings) : settings_(std::move(settings)) {
    if (settings_.journal.empty()) return;
    replay();
    journal_.open(settings_.journal, std::ios::app);
}

void Server::journal(const json& entry) {
    if (!journal_.is_open()) return;
    journal_ << entry.dump() << '\n';
    journal_.flush();
}

void Server::replay() {
    std::ifstream file(settings_.journal);
    std::string line;
    while (std::getline(file, line)) {
        const json entry = json::parse(line, nullptr, false);
        if (entry.is_discarded()) continue;  // the process was killed while it wrote
        MailboxStore& store = mailbox(entry["account"]);
        const std::string folder = entry["folder"];
        if (entry.contains("view")) {
            store.folders[lower_case(folder)] = {
                folder, entry["view"], entry.value("colour", ""), {}};
        } else {
            std::map<std::string, std::string> query = entry["query"];
            apply(store, folder, query, importers::decode_base64(entry["body"].get<std::string>()),
                  entry["length"]);
        }
    }
}

bool Server::exists(const std::string& account) const {
    return settings_.accounts.contains(account) ||
           (!settings_.any_account_password.empty() && account.contains('@')) ||
           account == settings_.admin;
}

bool Server::password_fits(const std::string& account, const std::string& password) const {
    if (account == settings_.admin) return password == settings_.admin_password;
    const auto found = settings_.accounts.find(account);
    if (found != settings_.accounts.end()) return password == found->second;
    return exists(account) && password == settings_.any_account_password;
}

std::string Server::new_token(const std::string& account, bool admin) {
    const std::uint64_t number = next_token_++;
    const std::string token =
        "0_" + std::to_string(number) + "_" +
        std::to_string(std::hash<std::string>{}(account + std::to_string(number)));
    tokens_[token] = {account, admin, 0};
    return token;
}

Server::Token* Server::use_token(const std::string& token) {
    const auto found = tokens_.find(token);
    if (found == tokens_.end()) return nullptr;
    if (faults_.token_uses > 0 && found->second.uses++ >= faults_.token_uses) return nullptr;
    return &found->second;
}

MailboxStore& Server::mailbox(const std::string& account) {
    return mailboxes_[account];
}

HttpReply Server::handle(const HttpRequest& request, bool admin_port) {
    if (request.path.starts_with("/standin/")) return control(request);
    std::uint64_t slow = 0;
    {
        const std::scoped_lock lock(mutex_);
        HttpReply lost;
        lost.drop = true;
        if (faults_.down) return lost;
        if (faults_.busy_next > 0) {
            --faults_.busy_next;
            ++stats_["busy"];
            return html(503, "Service Unavailable");
        }
        slow = faults_.slow_ms;
    }
    if (slow > 0) std::this_thread::sleep_for(std::chrono::milliseconds(slow));
    if (request.path.starts_with("/service/admin/soap") ||
        request.path.starts_with("/service/soap"))
        return soap(request, admin_port);
    for (const std::string prefix : {"/service/home/", "/home/"}) {
        if (request.path.starts_with(prefix))
            return rest(request, request.path.substr(prefix.size()), admin_port);
    }
    return html(404, "Not Found");
}

Server::Caller Server::caller_of(const HttpRequest& request, bool admin_port) {
    Caller caller;
    const auto header = [&](const char* name) {
        const auto found = request.headers.find(name);
        return found == request.headers.end() ? std::string{} : found->second;
    };
    std::string token =
        cookie(header("cookie"), admin_port ? "ZM_ADMIN_AUTH_TOKEN" : "ZM_AUTH_TOKEN");
    if (token.empty() && request.query.contains("zauthtoken"))
        token = request.query.at("zauthtoken");
    if (!token.empty()) {
        if (const Token* found = use_token(token))
            return {Caller::Kind::token, found->account, found->admin && admin_port};
        return caller;
    }
    const std::string authorization = header("authorization");
    if (!lower_case(authorization).starts_with("basic ")) return caller;
    const std::string pair = importers::decode_base64(authorization.substr(6));
    const auto colon = pair.find(':');
    if (colon == std::string::npos) return caller;
    const std::string account = lower_case(pair.substr(0, colon));
    if (!password_fits(account, pair.substr(colon + 1))) return caller;
    return {Caller::Kind::basic, account, account == settings_.admin && admin_port};
}

HttpReply Server::rest_error(const Caller& caller, int status, const std::string& message,
                             bool folder_kind) {
    if (!folder_kind) return html(status, message);
    // One answer for all four cases, against address harvesting.
    return caller.kind == Caller::Kind::basic ? html(404, message) : html(401, message);
}

HttpReply Server::rest(const HttpRequest& request, const std::string& path, bool admin_port) {
    const std::scoped_lock lock(mutex_);
    ++rest_requests_;
    ++stats_["rest_" + lower_case(request.method)];
    if (faults_.busy_every > 0 && rest_requests_ % faults_.busy_every == 0) {
        ++stats_["busy"];
        return html(503, "Service Unavailable");
    }
    const Caller caller = caller_of(request, admin_port);
    if (caller.kind == Caller::Kind::none) {
        HttpReply reply = html(401, "must authenticate");
        reply.headers.emplace_back("WWW-Authenticate", "BASIC realm=\"Carbonio\"");
        return reply;
    }
    const auto slash = path.find('/');
    std::string account = lower_case(url_decode(path.substr(0, slash), false));
    if (account == "~") account = caller.account;
    std::vector<std::string> segments;
    std::string rest = slash == std::string::npos ? "" : path.substr(slash + 1);
    while (!rest.empty()) {
        const auto end = rest.find('/');
        if (end != 0) segments.push_back(url_decode(rest.substr(0, end), false));
        if (end == std::string::npos) break;
        rest.erase(0, end + 1);
    }
    const bool post = request.method == "POST" || request.method == "PUT";
    const bool own = caller.account == account || caller.admin;
    if (!exists(account) || !own || faults_.maintenance.contains(account))
        return rest_error(caller, 404, "no such item", true);
    MailboxStore& store = mailbox(account);
    if (segments.empty()) return html(400, "no path");
    const std::string folder = lower_case(segments[0]);
    // A nested path that is not there: uploads land in the parent, without a word.
    if (!store.folders.contains(folder) || (segments.size() > 1 && !post))
        return rest_error(caller, 404, "no such item", true);
    const auto fmt = request.query.find("fmt");
    const std::string format = fmt == request.query.end() ? "" : fmt->second;
    if (format != "ics" && format != "csv" && format != "vcf")
        return html(format.empty() || format == "html" ? 400 : 501, "unsupported format");
    if (post) return upload(request, store, account, folder);
    HttpReply reply;
    reply.headers.emplace_back("Content-Type", format == "ics" ? "text/calendar; charset=utf-8"
                                                               : "text/plain; charset=utf-8");
    if (format == "ics") reply.body = store.export_ics(folder, settings_.extra);
    if (format == "csv") reply.body = store.export_csv(folder, settings_.extra);
    if (format == "vcf") reply.body = store.export_vcf(folder);
    return reply;
}

Status Server::apply(MailboxStore& store, const std::string& folder,
                     const std::map<std::string, std::string>& query, const std::string& body,
                     std::size_t length) {
    const auto value = [&](const char* name) {
        const auto found = query.find(name);
        return found == query.end() ? std::string{} : found->second;
    };
    const std::string format = value("fmt");
    if (format == "ics")
        return store.import_ics(folder, body, length, value("ignore") == "1", settings_.limits,
                                faults_.forbidden_uids);
    if (format == "csv") return store.import_csv(folder, body, value("csvfmt"), settings_.limits);
    return store.import_vcf(folder, body, settings_.limits);
}

HttpReply Server::upload(const HttpRequest& request, MailboxStore& store,
                         const std::string& account, const std::string& folder) {
    ++uploads_;
    ++stats_["uploads_" + request.query.at("fmt")];
    HttpReply reply;
    if (faults_.drop_every > 0 && uploads_ % faults_.drop_every == 0) {
        reply.drop = true;
        return reply;
    }
    std::string body = request.body;
    const auto type = request.headers.find("content-type");
    if (type != request.headers.end() && type->second.starts_with("multipart/form-data") &&
        !first_part(type->second, body)) {
        reply.status = 204;
        return reply;
    }
    const std::size_t before = store.items.size() + store.contact_count();
    if (request.query.at("fmt") == "ics")
        stats_["largest_ics"] =
            std::max<std::uint64_t>(stats_["largest_ics"], request.content_length);
    const Status status = apply(store, folder, request.query, body, request.content_length);
    journal({{"account", account},
             {"folder", folder},
             {"query", request.query},
             {"body", importers::encode_base64(body)},
             {"length", request.content_length}});
    stats_["created"] += store.items.size() + store.contact_count() - before;
    if (status.code != 200) return html(status.code, status.message);
    reply.cut_off = faults_.cut_every > 0 && uploads_ % faults_.cut_every == 0;
    return reply;
}

HttpReply Server::control(const HttpRequest& request) {
    const std::scoped_lock lock(mutex_);
    HttpReply reply;
    reply.headers.emplace_back("Content-Type", "application/json");
    if (request.path == "/standin/stats") {
        json out = stats_;
        for (const auto& [account, store] : mailboxes_) {
            for (const auto& [name, folder] : store.folders) {
                const std::size_t count = store.count_in(name);
                if (count > 0) out["mailboxes"][account][folder.name] = count;
            }
        }
        reply.body = out.dump(1);
        return reply;
    }
    if (request.path == "/standin/faults" && request.method == "POST") {
        const json in = json::parse(request.body, nullptr, false);
        if (!in.is_object()) return html(400, "expected a JSON object");
        const auto number = [&](const char* name, std::uint64_t& value) {
            value = in.value(name, value);
        };
        number("busy_next", faults_.busy_next);
        number("busy_every", faults_.busy_every);
        number("cut_every", faults_.cut_every);
        number("drop_every", faults_.drop_every);
        number("slow_ms", faults_.slow_ms);
        number("token_uses", faults_.token_uses);
        faults_.down = in.value("down", faults_.down);
        if (in.contains("forbidden_uids"))
            faults_.forbidden_uids = in["forbidden_uids"].get<std::set<std::string>>();
        if (in.contains("maintenance"))
            faults_.maintenance = in["maintenance"].get<std::set<std::string>>();
        if (in.value("expire_tokens", false)) tokens_.clear();
        reply.body = "{}";
        return reply;
    }
    return html(404, "Not Found");
}

}  // namespace imapult::standin
