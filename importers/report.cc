#include "importers/report.h"

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "engine/base/markup.h"
#include "engine/base/memory.h"
#include "engine/base/text.h"
#include "importers/limits.h"

#ifndef IMAPULT_VERSION
#define IMAPULT_VERSION "0.1.0"
#endif

namespace imapult::importers {
namespace {

using nlohmann::json;

json counts_json(const ItemCounts& c) {
    return {{"source", c.source},   {"already_there", c.already_there},
            {"sent", c.sent},       {"merged", c.merged},
            {"refused", c.refused}, {"repaired", c.repaired},
            {"missing", c.missing}};
}

void append_json(json& out, const std::vector<Notice>& notices) {
    for (const Notice& n : notices) {
        if (out.size() == kNoticesShownMax) return;
        out.push_back({{"account", printable(n.account)},
                       {"file", printable(n.file)},
                       {"line", n.line},
                       {"uid", printable(n.uid)},
                       {"reason", printable(n.reason, 1000)}});
    }
}

void push_limited(std::vector<Notice>& list, Notice notice, std::size_t most) {
    if (list.size() < most) list.push_back(std::move(notice));
}

std::int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

std::string status_of(const AccountReport& a) {
    if (a.error) return a.items.sent + a.items.already_there > 0 ? "partial" : "failed";
    return a.items.refused + a.items.missing > 0 ? "partial" : "complete";
}

bool is_connection_error(Code code) {
    return code == Code::resolve_failed || code == Code::connect_failed ||
           code == Code::tls_failed || code == Code::connection_lost || code == Code::timeout;
}

int code_of(const Error& error) {
    switch (error.code) {
        case Code::invalid_input:
            return 2;
        case Code::auth_refused:
            return 3;
        case Code::over_quota:
            return 5;
        case Code::state_locked:
        case Code::state_damaged:
        case Code::state_version:
            return 6;
        default:
            return is_connection_error(error.code) ? 4 : 1;
    }
}

/// A spreadsheet runs what begins like a formula.
std::string csv_cell(const std::string& text) {
    std::string out = printable(text, 1000);
    if (!out.empty() && std::string_view("=+-@").contains(out[0])) out.insert(0, "'");
    std::string quoted = "\"";
    for (const char c : out) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
}

std::string html_text(const std::string& text) {
    return escape_html(printable(text, 1000));
}

}  // namespace

void ItemCounts::add(const ItemCounts& o) {
    source += o.source;
    already_there += o.already_there;
    sent += o.sent;
    merged += o.merged;
    refused += o.refused;
    repaired += o.repaired;
    missing += o.missing;
}

void AccountReport::refuse(Notice notice) {
    ++items.refused;
    notice.account = account;
    push_limited(refusals, std::move(notice), kRefusalsShownMax);
}
void AccountReport::repair(Notice notice) {
    notice.account = account;
    push_limited(repairs, std::move(notice), kRepairsShownMax);
}
void AccountReport::note(Notice notice) {
    notice.account = account;
    push_limited(notes, std::move(notice), kRefusalsShownMax);
}

ItemCounts RunReport::total() const {
    ItemCounts sum;
    for (const AccountReport& a : accounts) sum.add(a.items);
    return sum;
}

int RunReport::exit_code() const {
    if (interrupted) return signal == 15 ? 143 : 130;
    if (error) return code_of(*error);
    std::size_t failed = 0;
    std::size_t refused_login = 0;
    std::size_t unconnected = 0;
    bool quota = false;
    for (const AccountReport& a : accounts) {
        if (!a.error) continue;
        ++failed;
        refused_login += a.error->code == Code::auth_refused ? 1 : 0;
        unconnected +=
            is_connection_error(a.error->code) && a.items.sent + a.items.already_there == 0 ? 1 : 0;
        quota = quota || a.error->code == Code::over_quota;
    }
    if (failed > 0 && refused_login == accounts.size()) return 3;
    if (failed > 0 && unconnected == accounts.size()) return 4;
    if (quota) return 5;
    const ItemCounts sum = total();
    return failed > 0 || sum.refused > 0 || sum.missing > 0 ? 1 : 0;
}

std::string RunReport::result() const {
    const int code = exit_code();
    if (interrupted) return "interrupted";
    if (code == 0) return "complete";
    const bool all_failed =
        !accounts.empty() && std::ranges::all_of(accounts, [](const AccountReport& a) {
            return status_of(a) == "failed";
        });
    if (error || all_failed || (accounts.empty() && code != 0)) return "failed";
    return "partial";
}

std::string RunReport::json() const {
    std::size_t complete = 0;
    std::size_t partial = 0;
    std::size_t failed = 0;
    nlohmann::json refusals = nlohmann::json::array();
    nlohmann::json repairs = nlohmann::json::array();
    nlohmann::json missing = nlohmann::json::array();
    nlohmann::json notes = nlohmann::json::array();
    nlohmann::json per_account = nlohmann::json::array();
    for (const AccountReport& a : accounts) {
        const std::string status = error ? "failed" : status_of(a);
        complete += status == "complete" ? 1 : 0;
        partial += status == "partial" ? 1 : 0;
        failed += status == "failed" ? 1 : 0;
        append_json(refusals, a.refusals);
        append_json(repairs, a.repairs);
        append_json(missing, a.missing);
        append_json(notes, a.notes);
        nlohmann::json one = {
            {"account", printable(a.account)}, {"result", status}, {"items", counts_json(a.items)}};
        if (a.error)
            one["error"] = {{"code", std::string(name_of(a.error->code))},
                            {"text", printable(a.error->text, 1000)}};
        per_account.push_back(std::move(one));
    }
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds_of = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    nlohmann::json out = {{"imapult", IMAPULT_VERSION},
                          {"command", command},
                          {"result", result()},
                          {"exit_code", exit_code()},
                          {"accounts",
                           {{"total", accounts.size()},
                            {"complete", complete},
                            {"partial", partial},
                            {"failed", failed}}},
                          {"items", counts_json(total())},
                          {"seconds", seconds},
                          {"cpu_seconds", seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime)},
                          {"peak_rss_bytes", peak_resident_bytes()},
                          {"refusals", std::move(refusals)},
                          {"repairs", std::move(repairs)},
                          {"missing", missing},
                          {"notes", notes},
                          {"per_account", per_account}};
    out["ignored"] = nlohmann::json::array();
    for (const std::string& file : ignored) out["ignored"].push_back(printable(file));
    out["warnings"] = nlohmann::json::array();
    for (const std::string& warning : warnings) out["warnings"].push_back(printable(warning, 1000));
    if (error)
        out["error"] = {{"code", std::string(name_of(error->code))},
                        {"text", printable(error->text, 1000)}};
    return out.dump(1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string RunReport::text() const {
    std::string out;
    const auto list = [&](const std::vector<Notice>& notices, const char* what) {
        std::size_t shown = 0;
        for (const Notice& n : notices) {
            if (++shown > 20) {
                out += "  … " + std::to_string(notices.size() - 20) + " more " + what +
                       " (--report FILE lists all)\n";
                break;
            }
            out += std::string("  ") + what + ": " + printable(n.account) + " " +
                   printable(n.file) + ":" + std::to_string(n.line) + ": " +
                   printable(n.reason, 400) + "\n";
        }
    };
    for (const std::string& warning : warnings)
        out += "  warning: " + printable(warning, 400) + "\n";
    for (const std::string& file : ignored) out += "  ignored: " + printable(file) + "\n";
    for (const AccountReport& a : accounts) {
        if (a.error)
            out += "  " + printable(a.account) + ": " + printable(a.error->text, 400) + "\n";
        list(a.refusals, "refused");
        list(a.missing, "missing");
        list(a.notes, "note");
    }
    if (error) out += "  " + printable(error->text, 1000) + "\n";
    const ItemCounts sum = total();
    out += command + ": " + result() + " – " + std::to_string(sum.source) + " items of " +
           std::to_string(accounts.size()) + " accounts: " + std::to_string(sum.sent) + " sent (" +
           std::to_string(sum.repaired) + " repaired), " + std::to_string(sum.already_there) +
           " already there, " + std::to_string(sum.merged) + " merged, " +
           std::to_string(sum.refused) + " refused, " + std::to_string(sum.missing) + " missing\n";
    return out;
}

Result<> RunReport::write(const std::string& path) const {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    if (path.ends_with(".json")) {
        file << json() << '\n';
    } else if (path.ends_with(".csv")) {
        file << "kind,account,file,line,uid,reason\r\n";
        for (const std::string& warning : warnings)
            file << "warning,,,,," << csv_cell(warning) << "\r\n";
        if (error) file << "error,,,,," << csv_cell(error->text) << "\r\n";
        const auto rows = [&](const char* kind, const std::vector<Notice>& notices) {
            for (const Notice& n : notices)
                file << kind << ',' << csv_cell(n.account) << ',' << csv_cell(n.file) << ','
                     << n.line << ',' << csv_cell(n.uid) << ',' << csv_cell(n.reason) << "\r\n";
        };
        for (const AccountReport& a : accounts) {
            if (a.error)
                file << "error," << csv_cell(a.account) << ",,,," << csv_cell(a.error->text)
                     << "\r\n";
            rows("refused", a.refusals);
            rows("missing", a.missing);
            rows("repaired", a.repairs);
            rows("note", a.notes);
        }
    } else if (path.ends_with(".html")) {
        file << "<!doctype html><meta charset=\"utf-8\"><title>imapult " << html_text(command)
             << "</title><h1>imapult " << html_text(command) << ": " << result() << "</h1><pre>"
             << html_text(text())
             << "</pre><table border=\"1\"><tr><th>account<th>source<th>already "
                "there<th>sent<th>merged<th>refused<th>repaired<th>missing<th>error\n";
        for (const AccountReport& a : accounts) {
            file << "<tr><td>" << html_text(a.account) << "<td>" << a.items.source << "<td>"
                 << a.items.already_there << "<td>" << a.items.sent << "<td>" << a.items.merged
                 << "<td>" << a.items.refused << "<td>" << a.items.repaired << "<td>"
                 << a.items.missing << "<td>" << (a.error ? html_text(a.error->text) : "") << "\n";
        }
        file << "</table><table "
                "border=\"1\"><tr><th>what<th>account<th>file<th>line<th>UID<th>reason\n";
        const auto rows = [&](const char* kind, const std::vector<Notice>& notices) {
            for (const Notice& n : notices)
                file << "<tr><td>" << kind << "<td>" << html_text(n.account) << "<td>"
                     << html_text(n.file) << "<td>" << n.line << "<td>" << html_text(n.uid)
                     << "<td>" << html_text(n.reason) << "\n";
        };
        for (const AccountReport& a : accounts) {
            rows("refused", a.refusals);
            rows("missing", a.missing);
            rows("repaired", a.repairs);
            rows("note", a.notes);
        }
        file << "</table>\n";
    } else {
        return invalid("--report wants a name that ends in .html, .json or .csv");
    }
    file.close();
    if (!file)
        return fail(Code::io, Scope::run, Retry::never,
                    "the report " + printable(path) + " cannot be written");
    return {};
}

Result<> Progress::open_events(const std::string& path) {
    events_.open(path, std::ios::app);
    if (!events_) return invalid("the events file " + printable(path) + " cannot be written");
    return {};
}

void Progress::event(const std::string& line) {
    if (events_.is_open()) events_ << line << '\n' << std::flush;
}

void Progress::start(std::size_t accounts) {
    const std::scoped_lock lock(mutex_);
    accounts_ = accounts;
    event(nlohmann::json{{"event", "begin"}, {"accounts", accounts}}.dump());
}

void Progress::account_begins(const std::string& account) {
    const std::scoped_lock lock(mutex_);
    event(nlohmann::json{{"event", "account_begins"}, {"account", printable(account)}}.dump());
}

void Progress::account_ends(const AccountReport& report) {
    const std::scoped_lock lock(mutex_);
    ++done_;
    nlohmann::json line = {{"event", "account_ends"},
                           {"account", printable(report.account)},
                           {"result", status_of(report)},
                           {"items", counts_json(report.items)}};
    if (report.error) line["error"] = printable(report.error->text, 1000);
    event(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    show(false);
}

void Progress::sent(std::uint64_t items) {
    const std::scoped_lock lock(mutex_);
    items_ += items;
    show(false);
}

void Progress::show(bool force) {
    if (quiet_) return;
    const std::int64_t now = now_ms();
    if (!force && now - last_shown_ms_ < (terminal_ ? 200 : 5000)) return;
    last_shown_ms_ = now;
    std::array<char, 128> line{};
    std::snprintf(line.data(), line.size(), "%zu of %zu accounts, %llu items sent", done_,
                  accounts_, static_cast<unsigned long long>(items_));
    std::cerr << (terminal_ ? "\r\x1b[K" : "") << line.data() << (terminal_ ? "" : "\n")
              << std::flush;
}

void Progress::finish() {
    const std::scoped_lock lock(mutex_);
    event(nlohmann::json{{"event", "end"}, {"items_sent", items_}}.dump());
    if (quiet_) return;
    if (terminal_ && last_shown_ms_ > 0) std::cerr << "\r\x1b[K" << std::flush;
}

}  // namespace imapult::importers
