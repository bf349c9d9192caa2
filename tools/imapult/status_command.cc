#include "tools/imapult/status_command.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "dedup/ledger.h"
#include "engine/base/text.h"
#include "tools/imapult/command_line.h"
#include "tools/imapult/display.h"
#include "tools/imapult/outcome.h"
#include "tools/imapult/reports.h"

namespace imapult::program {
namespace {

using Json = nlohmann::ordered_json;

/// One account of the ledger, summed up.
struct AccountStatus {
    dedup::AccountRecord record;
    std::uint64_t mailboxes = 0, mailboxes_complete = 0;
    dedup::Ledger::Counts counts;
    std::vector<dedup::Refusal> refusals;
};

Result<AccountStatus> read_account(const dedup::Ledger& ledger, dedup::AccountRecord record) {
    AccountStatus status;
    IMAPULT_TRY(const auto mailboxes, ledger.mailboxes(record.id));
    for (const dedup::MailboxRecord& mailbox : mailboxes) {
        if (mailbox.archived) continue;
        ++status.mailboxes;
        if (mailbox.complete) ++status.mailboxes_complete;
        IMAPULT_TRY(const auto counts, ledger.counts(mailbox.id));
        status.counts.messages += counts.messages;
        status.counts.represented += counts.represented;
        status.counts.refused += counts.refused;
        status.counts.intents += counts.intents;
    }
    IMAPULT_TRY(status.refusals, ledger.refusals(record.id));
    status.record = std::move(record);
    return status;
}

Json pass_json(const std::optional<dedup::Pass>& pass) {
    if (!pass) return nullptr;
    Json json;
    json["started"] = utc_time(pass->started);
    json["finished"] = pass->finished == 0 ? Json() : Json(utc_time(pass->finished));
    json["result"] = printable(pass->result);
    json["source"] = pass->source;
    json["already_there"] = pass->already_there;
    json["copied"] = pass->copied;
    json["adopted"] = pass->adopted;
    json["refused"] = pass->refused;
    json["skipped"] = pass->skipped;
    if (pass->lag_ms) json["lag_seconds"] = static_cast<double>(*pass->lag_ms) / 1000;
    return json;
}

Json account_json(const AccountStatus& status) {
    Json refusals = Json::array();
    for (const dedup::Refusal& refusal : status.refusals) {
        refusals.push_back({{"mailbox", printable(refusal.mailbox_name)},
                            {"uid", refusal.source_uid},
                            {"message_id", printable(refusal.message_id)},
                            {"subject", printable(refusal.subject)},
                            {"size", refusal.size},
                            {"tries", refusal.tries},
                            {"reason", printable(refusal.reason, 4096)}});
    }
    Json json;
    json["account"] = printable(status.record.source);
    json["destination"] = printable(status.record.destination);
    json["mailboxes"] = status.mailboxes;
    json["messages"] = status.counts.messages;
    if (status.counts.represented > 0) json["represented"] = status.counts.represented;
    json["refused"] = status.refusals.size();
    json["intents_open"] = status.counts.intents;
    json["last_pass"] = pass_json(status.record.last_pass);
    json["refusals"] = std::move(refusals);
    return json;
}

std::string account_text(const AccountStatus& status) {
    std::string out =
        fmt::format("{} → {}\n  {} mailboxes ({} complete), {} messages, {} refused",
                    printable(status.record.source), printable(status.record.destination),
                    with_thousands(status.mailboxes), with_thousands(status.mailboxes_complete),
                    with_thousands(status.counts.messages), with_thousands(status.refusals.size()));
    if (status.counts.represented > 0) {
        out += fmt::format(" (and {} that other mailboxes have)",
                           with_thousands(status.counts.represented));
    }
    if (status.counts.intents > 0) {
        out += fmt::format(", {} groups with unknown outcome (the next run settles them)",
                           with_thousands(status.counts.intents));
    }
    out += '\n';
    if (const auto& pass = status.record.last_pass) {
        out += fmt::format(
            "  last pass: {} {}; {} already there, {} copied, {} adopted, {} refused, "
            "{} skipped{}\n",
            utc_time(pass->started), printable(pass->result), with_thousands(pass->already_there),
            with_thousands(pass->copied), with_thousands(pass->adopted),
            with_thousands(pass->refused), with_thousands(pass->skipped),
            pass->lag_ms ? "; lag " + human_duration(static_cast<double>(*pass->lag_ms) / 1000)
                         : std::string());
    }
    for (const dedup::Refusal& refusal : status.refusals) {
        out += fmt::format("  refused: {} UID {} {} {}: {}\n", printable(refusal.mailbox_name),
                           refusal.source_uid, printable(refusal.message_id),
                           human_bytes(refusal.size), printable(refusal.reason, 1024));
    }
    return out;
}

}  // namespace

Result<std::string> status_report(const std::string& state_dir, bool json) {
    struct stat status{};
    if (stat(state_dir.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
        return fail(Code::not_found, Scope::run, Retry::never,
                    fmt::format("there is no state directory {}; give the --state of the copy or "
                                "migrate you ask about",
                                printable(state_dir)));
    }
    IMAPULT_TRY(auto store, dedup::open_rocks_store(state_dir, {.read_only = true, .sync = true}));
    IMAPULT_TRY(const auto ledger, dedup::Ledger::open(std::move(store), true));
    IMAPULT_TRY(auto records, ledger->accounts());
    Json whole;
    whole["imapult"] = kVersion;
    whole["format"] = 1;
    whole["accounts"] = Json::array();
    std::string text;
    for (dedup::AccountRecord& record : records) {
        IMAPULT_TRY(const auto account, read_account(*ledger, std::move(record)));
        if (json) whole["accounts"].push_back(account_json(account));
        if (!json) text += account_text(account);
    }
    if (json) return to_text(whole);
    return text.empty() ? fmt::format("{} knows no account yet\n", printable(state_dir)) : text;
}

}  // namespace imapult::program
