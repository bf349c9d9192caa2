// `check`: what a copy would meet, without writing anything.

#include "engine/base/text.h"
#include "engine/replica/account.h"
#include "engine/replica/foreign.h"
#include "engine/replica/labels.h"

namespace imapult::replica {

Task<void> check_account(Account& account) {
    const Nanos begin = account.environment.scheduler.now();
    account.observer.account_started(account.index);
    Sessions sessions;
    report::AccountSummary& summary = account.summary;
    if (co_await open_and_list(account, sessions)) {
        (void)leave_out_views(account.source, account.options.names, account.options.labels);
        // An error leaves mountpoints unnoticed: the rest of the estimate is worth having.
        (void)co_await leave_out_foreign(account, *sessions.source, {});
        tell_left_out(account);
        const Translation names = account.translation();
        const Placement placement = place_mailboxes(
            account.source, account.destination, account.options.names,
            [](const std::string&) { return std::string(); },
            [&names](std::string_view name) { return names.of(name); });
        summary.mailboxes.total = placement.places.size();
        account.observer.account_listed(account.index, placement.places.size());
        std::uint64_t bytes = 0;
        bool sizes_known = true;
        for (const Place& place : placement.places) {
            const Mailbox& box = account.source.mailboxes[place.source];
            summary.messages.source += box.messages.value_or(0);
            summary.messages.copied += box.messages.value_or(0);
            if (box.size) {
                bytes += *box.size;
            } else {
                sizes_known = false;
            }
            if (!place.mapped_because.empty()) {
                account.notice(printable(box.display()), report::NoticeKind::name_mapped,
                               "would go to \"" + printable(display_of(place)) +
                                   "\": " + place.mapped_because);
            }
        }
        std::string estimate = std::to_string(summary.messages.source) + " messages in " +
                               std::to_string(placement.places.size()) + " mailboxes";
        if (sizes_known) estimate += ", " + std::to_string(bytes / 1'000'000) + " MB";
        account.notice("", report::NoticeKind::estimate, std::move(estimate));
        if (account.destination.quota && account.destination.quota->limit_bytes > 0 &&
            sizes_known) {
            const auto& quota = *account.destination.quota;
            const std::uint64_t room =
                quota.limit_bytes - std::min(quota.limit_bytes, quota.used_bytes);
            if (room < bytes) {
                account.notice("", report::NoticeKind::quota,
                               "the destination has room for " + std::to_string(room / 1'000'000) +
                                   " MB, the source holds " + std::to_string(bytes / 1'000'000) +
                                   " MB: raise the quota first");
            }
        }
        const imap::CapabilitySet& can = sessions.destination->capabilities();
        if (const auto limit = can.append_limit()) {
            account.notice(
                "", report::NoticeKind::oversize,
                "the destination takes messages of at most " + std::to_string(*limit) + " octets");
        }
        if (can.literal_mode() == imap::LiteralMode::synchronising) {
            account.notice("", report::NoticeKind::capability,
                           "the destination has no LITERAL+: each message costs a round trip");
        }
        if (!can.has("UIDPLUS")) {
            account.notice(
                "", report::NoticeKind::capability,
                "the destination has no UIDPLUS: new UIDs are found by reading them back");
        }
    }
    co_await close_sessions(account, sessions, false);
    if (account.fatal) {
        summary.failure = report::Failure{*account.fatal, account.fatal_side};
        summary.result = report::RunResult::failed;
    } else {
        summary.result =
            account.stop.stopping() ? report::RunResult::interrupted : report::RunResult::complete;
    }
    summary.seconds =
        std::chrono::duration<double>(account.environment.scheduler.now() - begin).count();
    account.observer.account_finished(account.index, summary);
}

}  // namespace imapult::replica
