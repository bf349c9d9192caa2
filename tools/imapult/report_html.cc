#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/base/markup.h"
#include "engine/base/text.h"
#include "tools/imapult/command_line.h"
#include "tools/imapult/display.h"
#include "tools/imapult/exit_code.h"
#include "tools/imapult/reports.h"
#include "tools/imapult/rights_report.h"

namespace imapult::program {
namespace {

constexpr double kChartWidth = 860;
constexpr double kChartHeight = 200;
constexpr double kChartMargin = 54;

/// Text from anywhere, for the inside of an element or a quoted attribute.
std::string escape(std::string_view text) {
    return escape_html(printable(text, 4096));
}

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--line:#8884;--a:#2563eb;--b:#d97706}
body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin-bottom:0}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;font-size:.9rem;display:block;overflow-x:auto}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{white-space:nowrap}
th button{font:inherit;background:none;border:0;padding:0;cursor:pointer;color:inherit}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.bad{color:#dc2626;font-weight:600}.good{color:#16a34a;font-weight:600}
.warn{border:2px solid #dc2626;padding:.5rem 1rem}
dl{display:grid;grid-template-columns:max-content auto;gap:.2rem 1.2rem}dt{opacity:.7}dd{margin:0}
svg text{font-size:11px;fill:currentColor}svg{max-width:100%;height:auto}
)";

/// Sorts a table by the column whose heading is pressed; numbers by data-v.
constexpr std::string_view kScript = R"(
document.querySelectorAll('table').forEach(t=>t.querySelectorAll('th button').forEach((b,i)=>{
let up=true;b.onclick=()=>{const rows=[...t.tBodies[0].rows];const key=r=>{const c=r.cells[i];
return c.dataset.v===undefined?c.textContent:Number(c.dataset.v)};
rows.sort((x,y)=>{const a=key(x),c=key(y);return (a<c?-1:a>c?1:0)*(up?1:-1)});up=!up;
rows.forEach(r=>t.tBodies[0].append(r))}}));
)";

struct Axis {
    double most = 1;  ///< the value at the top
    [[nodiscard]] double y(double value) const {
        return kChartHeight - 20 - (kChartHeight - 40) * value / most;
    }
};

/// The least of 1, 2, 5 times a power of ten that is not below `value`.
double round_up(double value) {
    if (value <= 0) return 1;
    const double power = std::pow(10, std::floor(std::log10(value)));
    for (const double step : {1.0, 2.0, 5.0}) {
        if (step * power >= value) return step * power;
    }
    return 10 * power;
}

/// Throughput over time: messages on the left axis, octets on the right one.
std::string chart(const Outcome& outcome) {
    const auto& samples = outcome.samples;
    double messages = 0;
    double bytes = 0;
    double end = 0;
    for (const Sample& s : samples) {
        messages = std::max(messages, static_cast<double>(s.messages) / s.length_seconds);
        bytes = std::max(bytes, static_cast<double>(s.bytes) / s.length_seconds);
        end = std::max(end, s.start_seconds + s.length_seconds);
    }
    if (samples.empty() || end <= 0) return "<p>The run was too short for a chart.</p>\n";
    const Axis left{round_up(messages)};
    const Axis right{round_up(bytes)};
    const double span = kChartWidth - 2 * kChartMargin;
    const auto x = [&](double seconds) { return kChartMargin + span * seconds / end; };
    std::string message_line;
    std::string byte_line;
    for (const Sample& s : samples) {
        const double m = left.y(static_cast<double>(s.messages) / s.length_seconds);
        const double b = right.y(static_cast<double>(s.bytes) / s.length_seconds);
        const double from = x(s.start_seconds);
        const double to = x(s.start_seconds + s.length_seconds);
        message_line += fmt::format("{:.1f},{:.1f} {:.1f},{:.1f} ", from, m, to, m);
        byte_line += fmt::format("{:.1f},{:.1f} {:.1f},{:.1f} ", from, b, to, b);
    }
    std::string svg = fmt::format(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Throughput over time\">\n",
        kChartWidth, kChartHeight);
    for (const double share : {0.0, 0.5, 1.0}) {
        const double y = left.y(left.most * share);
        svg += fmt::format(
            "<line x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\" stroke=\"var(--line)\"/>"
            "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>"
            "<text x=\"{6}\" y=\"{4:.1f}\">{7}</text>\n",
            kChartMargin, kChartWidth - kChartMargin, y, kChartMargin - 5, y + 4,
            with_thousands(static_cast<std::uint64_t>(left.most * share)),
            kChartWidth - kChartMargin + 5,
            human_bytes(static_cast<std::uint64_t>(right.most * share)));
    }
    svg += fmt::format(
        "<polyline fill=\"none\" stroke=\"var(--b)\" stroke-width=\"1.5\" points=\"{}\"/>\n"
        "<polyline fill=\"none\" stroke=\"var(--a)\" stroke-width=\"1.5\" points=\"{}\"/>\n"
        "<text x=\"{}\" y=\"12\" style=\"fill:var(--a)\">messages a second</text>"
        "<text x=\"{}\" y=\"12\" text-anchor=\"end\" style=\"fill:var(--b)\">octets a second</text>"
        "<text x=\"{}\" y=\"{}\">0</text>"
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n</svg>\n",
        byte_line, message_line, kChartMargin, kChartWidth - kChartMargin, kChartMargin,
        kChartHeight - 4, kChartWidth - kChartMargin, kChartHeight - 4, human_duration(end));
    return svg;
}

std::string number(std::uint64_t value, std::string_view shown = "") {
    return fmt::format("<td class=\"n\" data-v=\"{}\">{}</td>", value,
                       shown.empty() ? with_thousands(value) : std::string(shown));
}

std::string heading(std::initializer_list<const char*> names, std::size_t numbers_from,
                    std::size_t numbers_to) {
    std::string out = "<table><thead><tr>";
    std::size_t i = 0;
    for (const char* name : names) {
        const bool is_number = i >= numbers_from && i < numbers_to;
        out += fmt::format("<th{}><button type=\"button\">{}</button></th>",
                           is_number ? " class=\"n\"" : "", name);
        ++i;
    }
    return out + "</tr></thead><tbody>\n";
}

std::string result_cell(campaign::RunResult result) {
    const bool good = result == campaign::RunResult::complete;
    return fmt::format("<td class=\"{}\">{}</td>", good ? "good" : "bad", name_of(result));
}

std::string accounts_table(const Outcome& outcome) {
    std::string out =
        "<h2>Accounts</h2>\n" +
        heading({"Account", "Result", "Mailboxes", "Messages", "Already there", "Copied", "Adopted",
                 "Refused", "Skipped", "Flags", "Octets", "Time", "Reason"},
                2, 12);
    for (const auto& a : outcome.summary.accounts) {
        const campaign::MessageCounts& m = a.messages;
        out += fmt::format("<tr><td title=\"{} → {}\">{}</td>{}", escape(a.source),
                           escape(a.destination), escape(a.account), result_cell(a.result));
        out += number(a.mailboxes.total) + number(m.source) + number(m.already_there) +
               number(m.copied) + number(m.adopted) + number(m.refused) + number(m.skipped) +
               number(m.flags_updated) + number(a.bytes.copied, human_bytes(a.bytes.copied)) +
               number(static_cast<std::uint64_t>(a.seconds * 1000), human_duration(a.seconds));
        out += fmt::format("<td>{}</td></tr>\n", a.failure ? escape(failure_text(*a.failure)) : "");
    }
    return out + "</tbody></table>\n";
}

std::string refusals_table(const Outcome& outcome) {
    std::string rows;
    for (const auto& a : outcome.summary.accounts) {
        for (const auto& r : a.refusals) {
            rows += fmt::format(
                "<tr><td>{}</td><td>{}</td>{}<td>{}</td><td>{}</td><td>{}</td>{}"
                "<td>{}</td></tr>\n",
                escape(r.account), escape(r.mailbox), number(r.uid), escape(r.message_id),
                escape(r.subject), utc_time(r.date), number(r.size, human_bytes(r.size)),
                escape(r.reason));
        }
    }
    if (rows.empty()) return "";
    return "<h2>Refused by the destination</h2>\n" +
           heading({"Account", "Mailbox", "UID", "Message-ID", "Subject", "Date", "Size", "Reason"},
                   2, 3) +
           rows + "</tbody></table>\n";
}

std::string differences_table(const Outcome& outcome) {
    std::string rows;
    for (const auto& a : outcome.summary.accounts) {
        for (const auto& d : a.differences) {
            rows += fmt::format(
                "<tr><td>{}</td><td>{}</td><td>{}</td>{}{}<td>{}</td><td>{}</td>"
                "</tr>\n",
                name_of(d.kind), escape(d.account), escape(d.mailbox), number(d.source_uid),
                number(d.destination_uid), escape(d.message_id), escape(d.text));
        }
    }
    if (rows.empty()) return "";
    return "<h2>Differences</h2>\n" +
           heading({"Kind", "Account", "Mailbox", "Source UID", "Destination UID", "Message-ID",
                    "What differs"},
                   3, 5) +
           rows + "</tbody></table>\n";
}

std::string verified_table(const Outcome& outcome) {
    std::string rows;
    for (const auto& a : outcome.summary.accounts) {
        for (const auto& box : a.verified) {
            const campaign::VerifyCounts& v = box.counts;
            rows += fmt::format("<tr><td>{}</td><td>{}</td><td class=\"{}\">{}</td>",
                                escape(box.account), escape(box.mailbox),
                                v.differences() > 0 ? "bad" : "good",
                                v.differences() > 0 ? "different" : "equal");
            rows += number(v.equal) + number(v.altered);
            rows += fmt::format("<td>{}</td>", campaign::words_of(v.altered_by));
            rows += number(v.different) + number(v.missing) + number(v.extra) + "</tr>\n";
        }
    }
    if (rows.empty()) return "";
    return "<h2>Mailboxes</h2>\n" +
           heading({"Account", "Mailbox", "Result", "Equal", "Altered", "Altered in", "Different",
                    "Missing", "At the destination only"},
                   3, 5) +
           rows + "</tbody></table>\n";
}

std::string repairs_table(const Outcome& outcome) {
    std::string rows;
    for (const auto& a : outcome.summary.accounts) {
        for (const auto& r : a.repairs) {
            rows += fmt::format(
                "<tr><td>{}</td><td>{}</td>{}<td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
                "<td>{}</td></tr>\n",
                escape(r.account), escape(r.mailbox), number(r.uid), escape(r.message_id),
                escape(r.subject), escape(r.applied), escape(r.reason), escape(r.kept_as));
        }
    }
    if (rows.empty()) return "";
    return "<h2>Taken only after a change</h2>\n" +
           heading({"Account", "Mailbox", "UID", "Message-ID", "Subject", "Change", "Reason for it",
                    "Original"},
                   2, 3) +
           rows + "</tbody></table>\n";
}

std::string notices_table(const Outcome& outcome) {
    std::string rows;
    for (const auto& a : outcome.summary.accounts) {
        for (const auto& n : a.notices) {
            rows +=
                fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                            escape(n.account), escape(n.mailbox), name_of(n.kind), escape(n.text));
        }
    }
    if (rows.empty()) return "";
    return "<h2>Noticed</h2>\n" + heading({"Account", "Mailbox", "Kind", "What"}, 4, 4) + rows +
           "</tbody></table>\n";
}

std::string warnings(const Outcome& outcome) {
    std::string out;
    if (outcome.summary.failure) {
        out += fmt::format("<p class=\"warn\">{}</p>\n",
                           escape(failure_text(*outcome.summary.failure)));
    }
    for (const std::string& text : outcome.insecure) {
        out += fmt::format("<p class=\"warn\"><b>Insecure:</b> {}</p>\n", escape(text));
    }
    for (const std::string& text : outcome.input_errors) {
        out += fmt::format("<p class=\"warn\">{}</p>\n", escape(text));
    }
    for (const std::string& text : outcome.warnings) {
        out += fmt::format("<p>{}</p>\n", escape(text));
    }
    return out;
}

std::string totals_list(const Outcome& outcome) {
    const Totals t = totals_of(outcome.summary);
    const campaign::MessageCounts& m = t.messages;
    std::string out = "<dl>\n";
    const auto row = [&](std::string_view name, const std::string& value) {
        out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, value);
    };
    row("Accounts", fmt::format("{}: {} complete, {} partial, {} failed", t.accounts, t.complete,
                                t.partial, t.failed));
    row("Mailboxes",
        fmt::format("{}: {} created, {} unchanged, {} failed", with_thousands(t.mailboxes.total),
                    t.mailboxes.created, t.mailboxes.unchanged, t.mailboxes.failed));
    if (outcome.command == campaign::Command::verify) {
        row("Messages",
            fmt::format("{} equal, {} altered, {} different, {} missing, {} at the destination "
                        "only. {}",
                        with_thousands(t.verify.equal), with_thousands(t.verify.altered),
                        with_thousands(t.verify.different), with_thousands(t.verify.missing),
                        with_thousands(t.verify.extra), sample_sentence(t.verify)));
    } else {
        row("Messages",
            fmt::format("{} at the source = {} already there + {} {} + {} adopted + {} refused + "
                        "{} skipped",
                        with_thousands(m.source), with_thousands(m.already_there),
                        with_thousands(m.copied), outcome.dry_run ? "to copy" : "copied",
                        with_thousands(m.adopted), with_thousands(m.refused),
                        with_thousands(m.skipped)));
    }
    row("Copied", human_bytes(t.bytes.copied));
    row("On the wire",
        fmt::format("source {} in, {} out; destination {} in, {} out",
                    human_bytes(t.bytes.source_in), human_bytes(t.bytes.source_out),
                    human_bytes(t.bytes.destination_in), human_bytes(t.bytes.destination_out)));
    row("Time", fmt::format("{} ({} of processor time, at most {} of memory)",
                            human_duration(outcome.seconds), human_duration(outcome.cpu_seconds),
                            human_bytes(outcome.peak_rss_bytes)));
    return out + "</dl>\n";
}

}  // namespace

std::string report_html(const Outcome& outcome) {
    const campaign::RunResult result = result_of(outcome.summary);
    const bool good = outcome.exit_code == kExitComplete;
    std::string out = fmt::format(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n"
        "<title>imapult {0}: {1}</title>\n<style>{2}</style></head><body>\n"
        "<h1>imapult {0}{3}: <span class=\"{4}\">{1}</span></h1>\n"
        "<p>{5}, version {6}, exit code {7}</p>\n",
        name_of(outcome.command), name_of(result), kStyle, outcome.dry_run ? " (dry run)" : "",
        good ? "good" : "bad", utc_time(outcome.started), kVersion, outcome.exit_code);
    out += warnings(outcome);
    out += totals_list(outcome);
    out += "<h2>Throughput</h2>\n" + chart(outcome);
    out += accounts_table(outcome);
    out += refusals_table(outcome);
    out += repairs_table(outcome);
    out += verified_table(outcome);
    out += differences_table(outcome);
    out += rights_html(outcome);
    out += notices_table(outcome);
    out += fmt::format("<script>{}</script>\n</body></html>\n", kScript);
    return out;
}

}  // namespace imapult::program
