#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "engine/base/text.h"
#include "tools/imapult/csv.h"
#include "tools/imapult/reports.h"
#include "tools/imapult/rights_report.h"

namespace imapult::program {
namespace {

constexpr std::string_view kHeader =
    "kind,account,source,destination,result,mailboxes,messages,already_there,copied,adopted,"
    "refused,skipped,flags_updated,bytes,seconds,mailbox,uid,message_id,subject,date,size,text\n";

std::string cell(std::string_view text) {
    return csv_field(printable(text, 4096));
}

std::string account_row(const campaign::AccountSummary& a) {
    const campaign::MessageCounts& m = a.messages;
    return fmt::format("account,{},{},{},{},{},{},{},{},{},{},{},{},{},{:.3f},,,,,,,{}\n",
                       cell(a.account), cell(a.source), cell(a.destination), name_of(a.result),
                       a.mailboxes.total, m.source, m.already_there, m.copied, m.adopted, m.refused,
                       m.skipped, m.flags_updated, a.bytes.copied, a.seconds,
                       a.failure ? cell(failure_text(*a.failure)) : "");
}

/// What stands in the columns from `mailbox` on; those before it are the account's.
struct Detail {
    std::string_view kind = {};
    std::string_view account = {};
    std::string_view mailbox = {};
    std::string_view message_id = {};
    std::string_view subject = {};
    std::string_view text = {};
    std::uint32_t uid = 0;
    std::int64_t date = 0;
    std::uint64_t size = 0;
};

std::string detail_row(const Detail& d) {
    return fmt::format("{},{},,,,,,,,,,,,,,{},{},{},{},{},{},{}\n", d.kind, cell(d.account),
                       cell(d.mailbox), d.uid == 0 ? "" : std::to_string(d.uid), cell(d.message_id),
                       cell(d.subject), utc_time(d.date), d.size == 0 ? "" : std::to_string(d.size),
                       cell(d.text));
}

Result<void> write_whole(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = write(descriptor, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return invalid(std::strerror(errno));
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

}  // namespace

std::string report_csv(const Outcome& outcome) {
    std::string out(kHeader);
    for (const std::string& text : outcome.insecure) {
        out += detail_row({.kind = "insecure", .text = text});
    }
    if (outcome.summary.failure) {
        const std::string text = failure_text(*outcome.summary.failure);
        out += detail_row({.kind = "failure", .text = text});
    }
    for (const auto& account : outcome.summary.accounts) out += account_row(account);
    for (const auto& account : outcome.summary.accounts) {
        for (const auto& r : account.refusals) {
            out += detail_row({.kind = "refusal",
                               .account = r.account,
                               .mailbox = r.mailbox,
                               .message_id = r.message_id,
                               .subject = r.subject,
                               .text = r.reason,
                               .uid = r.uid,
                               .date = r.date,
                               .size = r.size});
        }
        for (const auto& d : account.differences) {
            out += detail_row({.kind = name_of(d.kind),
                               .account = d.account,
                               .mailbox = d.mailbox,
                               .message_id = d.message_id,
                               .text = d.text,
                               .uid = d.source_uid != 0 ? d.source_uid : d.destination_uid});
        }
        for (const auto& r : account.repairs) {
            out += detail_row({.kind = "repair",
                               .account = r.account,
                               .mailbox = r.mailbox,
                               .message_id = r.message_id,
                               .subject = r.subject,
                               .text = r.applied + " (" + r.reason + ")",
                               .uid = r.uid});
        }
        for (const auto& right : account.unset_rights) {
            const std::string text = unset_text(right) + ": " + right.grant_line;
            out += detail_row({.kind = "unset_right",
                               .account = right.account,
                               .mailbox = right.mailbox,
                               .text = text});
        }
        for (const auto& n : account.notices) {
            out += detail_row({.kind = name_of(n.kind),
                               .account = n.account,
                               .mailbox = n.mailbox,
                               .text = n.text});
        }
    }
    return out;
}

bool is_report_name(const std::string& path) {
    return path.ends_with(".html") || path.ends_with(".json") || path.ends_with(".csv");
}

Result<void> check_report(const std::string& path) {
    if (!is_report_name(path)) {
        return invalid(fmt::format("--report: {}: the name must end in .html, .json or .csv",
                                   printable(path)));
    }
    const std::size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    if (access(folder.c_str(), W_OK | X_OK) != 0) {
        return invalid(fmt::format("--report: {} cannot be written there: {}", printable(path),
                                   std::strerror(errno)));
    }
    return {};
}

Result<void> replace_file(const std::string& path, std::string_view text) {
    const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
    const int descriptor =
        open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    Result<void> done = descriptor < 0 ? Result<void>(invalid(std::strerror(errno)))
                                       : write_whole(descriptor, text);
    if (descriptor >= 0 && close(descriptor) != 0 && done) done = invalid(std::strerror(errno));
    if (done && rename(temporary.c_str(), path.c_str()) != 0) done = invalid(std::strerror(errno));
    if (!done && descriptor >= 0) unlink(temporary.c_str());
    return done;
}

Result<void> write_report(const std::string& path, const Outcome& outcome) {
    const std::string text = path.ends_with(".html")   ? report_html(outcome)
                             : path.ends_with(".json") ? to_text(summary_json(outcome))
                                                       : report_csv(outcome);
    const auto done = replace_file(path, text);
    if (done) return {};
    return invalid(
        fmt::format("the report {} cannot be written: {}", printable(path), done.error().text));
}

}  // namespace imapult::program
