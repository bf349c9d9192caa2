#include "tools/imapult/rights_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "engine/base/markup.h"
#include "engine/base/text.h"

namespace imapult::program {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLinesMax = 20;
constexpr std::size_t kTextBytesMax = 4096;

std::string safe(std::string_view text) {
    return printable(text, kTextBytesMax);
}

Json unset_json(const campaign::UnsetRight& right) {
    return {{"account", safe(right.account)},       {"mailbox", safe(right.mailbox)},
            {"identifier", safe(right.identifier)}, {"rights", right.rights},
            {"reason", safe(right.reason)},         {"grant", safe(right.grant_line)},
            {"mount", safe(right.mount_line)}};
}

}  // namespace

std::vector<std::string> rights_script(const std::vector<campaign::AccountSummary>& accounts) {
    std::vector<std::string> grants, mounts;
    std::set<std::string> seen;
    for (const auto& account : accounts) {
        for (const campaign::UnsetRight& right : account.unset_rights) {
            if (!right.grant_line.empty() && seen.insert(right.grant_line).second)
                grants.push_back(safe(right.grant_line));
            if (!right.mount_line.empty() && seen.insert(right.mount_line).second)
                mounts.push_back(safe(right.mount_line));
        }
    }
    grants.insert(grants.end(), mounts.begin(), mounts.end());
    return grants;
}

void add_rights(Json& json, const std::vector<campaign::AccountSummary>& accounts) {
    campaign::RightsCounts counts;
    Json unset = Json::array();
    for (const auto& account : accounts) {
        counts += account.rights;
        for (const campaign::UnsetRight& right : account.unset_rights)
            unset.push_back(unset_json(right));
    }
    if (counts == campaign::RightsCounts{} && unset.empty()) return;
    json["rights"] = {{"given", counts.given}, {"taken", counts.taken}, {"unset", unset.size()}};
    json["unset_rights"] = std::move(unset);
    json["rights_script"] = rights_script(accounts);
}

std::string unset_text(const campaign::UnsetRight& right) {
    return fmt::format("{} {}: {}", safe(right.identifier),
                       right.rights.empty() ? "nothing any more" : right.rights,
                       safe(right.reason));
}

std::string rights_text(const Outcome& outcome) {
    campaign::RightsCounts counts;
    std::string unset;
    std::size_t number = 0;
    for (const auto& account : outcome.summary.accounts) {
        counts += account.rights;
        for (const campaign::UnsetRight& right : account.unset_rights) {
            if (++number <= kLinesMax)
                unset += fmt::format("  {} {}: {}\n", safe(right.account), safe(right.mailbox),
                                     unset_text(right));
        }
    }
    std::string out;
    if (counts.given + counts.taken > 0) {
        out += fmt::format("{} rights on mailboxes {}, {} taken away, as at the source\n",
                           counts.given, outcome.dry_run ? "to give" : "given", counts.taken);
    }
    if (number == 0) return out;
    const std::vector<std::string> script = rights_script(outcome.summary.accounts);
    out += "\nRights to be given by hand:\n" + unset;
    if (!script.empty()) out += "In carbonio prov:\n";
    for (std::size_t i = 0; i < script.size() && i < kLinesMax; ++i) out += "  " + script[i] + "\n";
    if (std::max(number, script.size()) > kLinesMax)
        out += "  … and more; --report FILE.html or --json lists all\n";
    return out;
}

std::string rights_html(const Outcome& outcome) {
    std::string rows;
    for (const auto& account : outcome.summary.accounts) {
        for (const campaign::UnsetRight& right : account.unset_rights) {
            rows +=
                fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                            escape_html(safe(right.account)), escape_html(safe(right.mailbox)),
                            escape_html(safe(right.identifier)), escape_html(right.rights),
                            escape_html(safe(right.reason)));
        }
    }
    if (rows.empty()) return "";
    std::string out =
        "<h2>Rights to be given by hand</h2>\n<table><thead><tr><th>Account</th><th>Mailbox</th>"
        "<th>Who</th><th>Rights</th><th>Why</th></tr></thead><tbody>\n" +
        rows + "</tbody></table>\n";
    const std::vector<std::string> script = rights_script(outcome.summary.accounts);
    if (script.empty()) return out;
    out += "<p>For carbonio prov:</p>\n<pre>";
    for (const std::string& line : script) out += escape_html(line) + "\n";
    return out + "</pre>\n";
}

}  // namespace imapult::program
