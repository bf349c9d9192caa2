#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/base/text.h"
#include "tools/imapult/display.h"
#include "tools/imapult/exit_code.h"
#include "tools/imapult/reports.h"
#include "tools/imapult/rights_report.h"

namespace imapult::program {
namespace {

constexpr std::size_t kLinesPerListMax = 20;

/// "… and 17 more" once a list has grown too long for a terminal.
class List {
  public:
    List(std::string& out, std::string_view title) : out_(out), title_(title) {}
    ~List() {
        if (count_ <= kLinesPerListMax) return;
        out_ += fmt::format("  … and {} more; --report FILE.html or --json lists all\n",
                            with_thousands(count_ - kLinesPerListMax));
    }
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    void add(const std::string& text) {
        if (count_++ == 0) out_ += fmt::format("\n{}\n", title_);
        if (count_ <= kLinesPerListMax) out_ += "  " + text + "\n";
    }

  private:
    std::string& out_;
    std::string_view title_;
    std::size_t count_ = 0;
};

std::string counts_line(const Outcome& outcome, const Totals& totals) {
    const campaign::MessageCounts& m = totals.messages;
    std::string line = fmt::format(
        "{} messages at the source = {} already there + {} {} + {} adopted + {} refused + {} "
        "skipped\n",
        with_thousands(m.source), with_thousands(m.already_there), with_thousands(m.copied),
        outcome.dry_run ? "to copy" : "copied", with_thousands(m.adopted),
        with_thousands(m.refused), with_thousands(m.skipped));
    if (m.flags_updated > 0) {
        line += fmt::format("{} flag changes carried over\n", with_thousands(m.flags_updated));
    }
    if (m.not_reached > 0) {
        line += fmt::format("{} messages not reached; the same command goes on with them\n",
                            with_thousands(m.not_reached));
    }
    if (m.moved > 0) {
        line += fmt::format("{} messages moved inside the destination, as at the source\n",
                            with_thousands(m.moved));
    }
    if (m.labelled + m.represented > 0) {
        line += fmt::format(
            "{} messages {} inside the destination because of their labels, {} left to another "
            "mailbox that has them\n",
            with_thousands(m.labelled), outcome.dry_run ? "to carry" : "carried",
            with_thousands(m.represented));
    }
    if (m.deleted > 0) {
        line += fmt::format("{} messages {} at the destination, as at the source\n",
                            with_thousands(m.deleted), outcome.dry_run ? "to delete" : "deleted");
    }
    if (m.gone_at_source > 0) {
        line += fmt::format(
            "{} messages copied earlier are gone at the source and kept at the "
            "destination\n",
            with_thousands(m.gone_at_source));
    }
    return line;
}

std::string headline(const Outcome& outcome, const Totals& totals) {
    std::string line =
        fmt::format("{}{}: {}", name_of(outcome.command), outcome.dry_run ? " (dry run)" : "",
                    name_of(result_of(outcome.summary)));
    if (totals.accounts > 1) {
        line += fmt::format("; {} accounts: {} complete, {} partial, {} failed", totals.accounts,
                            totals.complete, totals.partial, totals.failed);
    }
    line += fmt::format("; {} mailboxes, {}, {}\n", with_thousands(totals.mailboxes.total),
                        human_bytes(totals.bytes.copied), human_duration(outcome.seconds));
    return line;
}

/// "12 equal, 2 altered (2 line ends), 0 different, 0 missing, 0 at the destination only"
std::string verdict_words(const campaign::VerifyCounts& v) {
    const std::string kinds = campaign::words_of(v.altered_by);
    return fmt::format(
        "{} equal, {} altered{}, {} different, {} missing, {} at the destination only",
        with_thousands(v.equal), with_thousands(v.altered), kinds.empty() ? "" : " (" + kinds + ")",
        with_thousands(v.different), with_thousands(v.missing), with_thousands(v.extra));
}

void add_lists(std::string& out, const Outcome& outcome) {
    const auto& accounts = outcome.summary.accounts;
    {
        List failures(out, "Failed:");
        if (outcome.summary.failure) failures.add(failure_text(*outcome.summary.failure));
        for (const auto& account : accounts) {
            if (!account.failure) continue;
            failures.add(
                fmt::format("{}: {}", printable(account.account), failure_text(*account.failure)));
        }
    }
    {
        List lags(out, "Followed:");
        for (const auto& account : accounts) {
            if (!account.following) continue;
            lags.add(fmt::format("{}: {}", printable(account.account),
                                 lag_text(*account.following, {})));
        }
    }
    {
        List refusals(out, "Refused by the destination:");
        for (const auto& account : accounts) {
            for (const auto& r : account.refusals) {
                refusals.add(fmt::format("{} {} UID {} {} {}: {}", printable(r.account),
                                         printable(r.mailbox), r.uid, printable(r.message_id),
                                         human_bytes(r.size), printable(r.reason, 1024)));
            }
        }
    }
    {
        List repairs(out, "Taken only after a change; the originals are kept:");
        for (const auto& account : accounts) {
            for (const auto& r : account.repairs) {
                repairs.add(fmt::format("{} {} UID {} {}: {} ({})", printable(r.account),
                                        printable(r.mailbox), r.uid, printable(r.message_id),
                                        printable(r.applied), printable(r.reason, 512)));
            }
        }
    }
    {
        List mailboxes(out, "Mailboxes that differ:");
        for (const auto& account : accounts) {
            for (const auto& box : account.verified) {
                if (box.counts.differences() == 0) continue;
                mailboxes.add(fmt::format("{} {}: {}", printable(box.account),
                                          printable(box.mailbox), verdict_words(box.counts)));
            }
        }
    }
    {
        List differences(out, "Different:");
        for (const auto& account : accounts) {
            for (const auto& d : account.differences) {
                std::string message;  // none: it is about the mailbox
                const std::uint32_t uid = d.source_uid != 0 ? d.source_uid : d.destination_uid;
                if (uid != 0) message = fmt::format(" UID {}", uid);
                if (!d.message_id.empty()) message += ' ' + printable(d.message_id);
                differences.add(fmt::format("{} {} {}{}: {}", name_of(d.kind), printable(d.account),
                                            printable(d.mailbox), message,
                                            printable(d.text, 1024)));
            }
        }
    }
    List notices(out, "Noticed:");
    for (const auto& account : accounts) {
        for (const auto& n : account.notices) {
            notices.add(fmt::format("{} {}: {}", printable(n.account), printable(n.mailbox),
                                    printable(n.text, 1024)));
        }
    }
}

}  // namespace

std::string sample_sentence(const campaign::VerifyCounts& counts) {
    if (counts.bodies == 0) return {};
    if (counts.sampled >= counts.bodies) {
        return fmt::format("All {} bodies were compared, octet by octet.",
                           with_thousands(counts.bodies));
    }
    const double part = altered_part_max(counts);
    const auto most =
        static_cast<std::uint64_t>(std::ceil(part * static_cast<double>(counts.bodies)));
    return fmt::format(
        "{} of {} bodies were compared, chosen by chance; {} of them {} altered. With 99 % "
        "confidence at most {:.2f} % of all bodies ({}) are.",
        with_thousands(counts.sampled), with_thousands(counts.bodies),
        counts.sampled_altered == 0 ? "none" : with_thousands(counts.sampled_altered),
        counts.sampled_altered > 1 ? "are" : "is", part * 100,
        with_thousands(std::min(most, counts.bodies)));
}

std::string summary_text(const Outcome& outcome) {
    const Totals totals = totals_of(outcome.summary);
    std::string out = headline(outcome, totals);
    if (outcome.command == campaign::Command::verify) {
        out += verdict_words(totals.verify) + "\n";
        if (const std::string words = sample_sentence(totals.verify); !words.empty())
            out += words + "\n";
    } else {
        out += counts_line(outcome, totals);
    }
    for (const std::string& text : outcome.insecure) out += fmt::format("INSECURE: {}\n", text);
    out += rights_text(outcome);
    add_lists(out, outcome);
    return out;
}

}  // namespace imapult::program
