#include <nlohmann/json.hpp>

#include "engine/base/text.h"
#include "tools/imapult/command_line.h"
#include "tools/imapult/exit_code.h"
#include "tools/imapult/reports.h"
#include "tools/imapult/rights_report.h"

namespace imapult::program {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kTextBytesMax = 4096;

std::string safe(std::string_view text) {
    return printable(text, kTextBytesMax);
}

Json mailboxes_json(const campaign::MailboxCounts& counts) {
    return {{"total", counts.total},
            {"created", counts.created},
            {"renamed", counts.renamed},
            {"unchanged", counts.unchanged},
            {"failed", counts.failed}};
}

Json messages_json(const campaign::MessageCounts& counts) {
    return {{"source", counts.source},
            {"already_there", counts.already_there},
            {"copied", counts.copied},
            {"adopted", counts.adopted},
            {"refused", counts.refused},
            {"skipped", counts.skipped},
            {"flags_updated", counts.flags_updated},
            {"deleted", counts.deleted},
            {"moved", counts.moved},
            {"labelled", counts.labelled},
            {"represented", counts.represented},
            {"gone_at_source", counts.gone_at_source},
            {"kept_by_limit", counts.kept_by_limit},
            {"not_reached", counts.not_reached}};
}

Json bytes_json(const campaign::ByteCounts& counts) {
    return {{"copied", counts.copied},
            {"source_in", counts.source_in},
            {"source_out", counts.source_out},
            {"destination_in", counts.destination_in},
            {"destination_out", counts.destination_out}};
}

Json round_trips_json(const campaign::RoundTrips& trips) {
    return {{"source", trips.source}, {"destination", trips.destination}};
}

Json verify_json(const campaign::VerifyCounts& counts) {
    Json json = {{"equal", counts.equal},
                 {"altered", counts.altered},
                 {"different", counts.different},
                 {"missing", counts.missing},
                 {"extra", counts.extra}};
    json["altered_by"] = Json::object();
    for (std::size_t i = 0; i < campaign::kAlterations; ++i) {
        if (counts.altered_by[i] == 0) continue;
        json["altered_by"][std::string(name_of(static_cast<campaign::Alteration>(i)))] =
            counts.altered_by[i];
    }
    if (counts.bodies > 0) {
        const double part = altered_part_max(counts);
        json["bodies"] = {{"total", counts.bodies},
                          {"compared", counts.sampled},
                          {"altered", counts.sampled_altered},
                          {"confidence", counts.sampled < counts.bodies ? 0.99 : 1.0},
                          {"altered_part_at_most", part}};
    }
    return json;
}

Json verified_json(const campaign::VerifiedMailbox& box) {
    Json json = {{"account", safe(box.account)}, {"mailbox", safe(box.mailbox)}};
    json["result"] = box.counts.differences() > 0 ? "different" : "equal";
    json.update(verify_json(box.counts));
    return json;
}

Json repair_json(const campaign::Repair& repair) {
    return {{"account", safe(repair.account)},
            {"mailbox", safe(repair.mailbox)},
            {"uid", repair.uid},
            {"message_id", safe(repair.message_id)},
            {"subject", safe(repair.subject)},
            {"applied", safe(repair.applied)},
            {"reason", safe(repair.reason)},
            {"original", safe(repair.kept_as)}};
}

Json following_json(const campaign::Following& following) {
    return {{"by", name_of(following.by)},
            {"passes", following.passes},
            {"lag_seconds", following.lag},
            {"median_lag_seconds", following.median},
            {"longest_lag_seconds", following.longest}};
}

Json refusal_json(const campaign::Refusal& refusal) {
    return {{"account", safe(refusal.account)},
            {"mailbox", safe(refusal.mailbox)},
            {"uid", refusal.uid},
            {"message_id", safe(refusal.message_id)},
            {"subject", safe(refusal.subject)},
            {"date", utc_time(refusal.date)},
            {"size", refusal.size},
            {"messages", refusal.count},
            {"reason", safe(refusal.reason)}};
}

Json notice_json(const campaign::Notice& notice) {
    return {{"account", safe(notice.account)},
            {"mailbox", safe(notice.mailbox)},
            {"kind", name_of(notice.kind)},
            {"text", safe(notice.text)}};
}

Json difference_json(const campaign::Difference& difference) {
    return {{"account", safe(difference.account)},
            {"mailbox", safe(difference.mailbox)},
            {"kind", name_of(difference.kind)},
            {"altered_by", difference.by ? Json(name_of(*difference.by)) : Json()},
            {"source_uid", difference.source_uid},
            {"destination_uid", difference.destination_uid},
            {"message_id", safe(difference.message_id)},
            {"text", safe(difference.text)}};
}

Json error_json(const std::string& account, const campaign::Failure& failure) {
    Json json;
    json["account"] = account.empty() ? Json() : Json(safe(account));
    json["side"] = failure.side ? Json(imapult::name_of(*failure.side)) : Json();
    json["code"] = imapult::name_of(failure.error.code);
    json["text"] = safe(failure.error.text);
    return json;
}

/// What totals and single accounts have in common, in the order of the contract.
void add_counts(Json& json, const campaign::MailboxCounts& mailboxes,
                const campaign::MessageCounts& messages, const campaign::ByteCounts& bytes,
                const campaign::RoundTrips& trips) {
    json["mailboxes"] = mailboxes_json(mailboxes);
    json["messages"] = messages_json(messages);
    json["bytes"] = bytes_json(bytes);
    json["round_trips"] = round_trips_json(trips);
}

void add_lists(Json& json, const campaign::AccountSummary& account, bool verifies) {
    for (const auto& refusal : account.refusals) json["refusals"].push_back(refusal_json(refusal));
    for (const auto& notice : account.notices) json["notices"].push_back(notice_json(notice));
    if (account.failure) json["errors"].push_back(error_json(account.account, *account.failure));
    if (!verifies) {
        for (const auto& repair : account.repairs) json["repairs"].push_back(repair_json(repair));
        return;
    }
    for (const auto& box : account.verified) json["verified"].push_back(verified_json(box));
    for (const auto& difference : account.differences) {
        json["differences"].push_back(difference_json(difference));
    }
}

void add_empty_lists(Json& json, bool verifies) {
    json["refusals"] = Json::array();
    json["notices"] = Json::array();
    json["errors"] = Json::array();
    if (!verifies) {
        json["repairs"] = Json::array();
        return;
    }
    json["verified"] = Json::array();
    json["differences"] = Json::array();
}

Json account_json(const campaign::AccountSummary& account, campaign::Command command) {
    const bool verifies = command == campaign::Command::verify;
    Json json;
    json["account"] = safe(account.account);
    json["source"] = safe(account.source);
    json["destination"] = safe(account.destination);
    json["result"] = name_of(account.result);
    add_counts(json, account.mailboxes, account.messages, account.bytes, account.round_trips);
    if (verifies) json["verify"] = verify_json(account.verify);
    if (account.following) json["follow"] = following_json(*account.following);
    json["seconds"] = account.seconds;
    add_empty_lists(json, verifies);
    add_lists(json, account, verifies);
    add_rights(json, {account});
    return json;
}

}  // namespace

Json summary_json(const Outcome& outcome) {
    const Totals totals = totals_of(outcome.summary);
    const bool verifies = outcome.command == campaign::Command::verify;
    Json json;
    json["imapult"] = kVersion;
    json["command"] = name_of(outcome.command);
    json["result"] = name_of(result_of(outcome.summary));
    json["exit_code"] = outcome.exit_code;
    if (outcome.dry_run) json["dry_run"] = true;
    json["accounts"] = {{"total", totals.accounts},
                        {"complete", totals.complete},
                        {"partial", totals.partial},
                        {"failed", totals.failed}};
    add_counts(json, totals.mailboxes, totals.messages, totals.bytes, totals.round_trips);
    if (verifies) json["verify"] = verify_json(totals.verify);
    json["started"] = utc_time(outcome.started);
    json["seconds"] = outcome.seconds;
    json["cpu_seconds"] = outcome.cpu_seconds;
    json["peak_rss_bytes"] = outcome.peak_rss_bytes;
    add_empty_lists(json, verifies);
    for (const std::string& text : outcome.input_errors) {
        json["errors"].push_back(error_json(
            "", campaign::Failure{Error{.code = Code::invalid_input, .text = text}, std::nullopt}));
    }
    if (outcome.summary.failure) json["errors"].push_back(error_json("", *outcome.summary.failure));
    json["warnings"] = Json::array();
    for (const std::string& text : outcome.warnings) json["warnings"].push_back(safe(text));
    json["insecure"] = Json::array();
    for (const std::string& text : outcome.insecure) json["insecure"].push_back(safe(text));
    for (const auto& account : outcome.summary.accounts) add_lists(json, account, verifies);
    add_rights(json, outcome.summary.accounts);
    if (outcome.command == campaign::Command::copy) return json;
    json["per_account"] = Json::array();
    for (const auto& account : outcome.summary.accounts) {
        json["per_account"].push_back(account_json(account, outcome.command));
    }
    return json;
}

std::string to_text(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace imapult::program
