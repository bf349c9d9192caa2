#include "tools/imapult/outcome.h"

#include <fmt/format.h>

#include <array>
#include <ctime>
#include <set>

#include "engine/base/text.h"
#include "tools/imapult/endpoint_url.h"

namespace imapult::program {

Totals totals_of(const campaign::Summary& summary) {
    Totals totals;
    for (const campaign::AccountSummary& account : summary.accounts) {
        ++totals.accounts;
        switch (account.result) {
            case campaign::RunResult::complete:
                ++totals.complete;
                break;
            case campaign::RunResult::failed:
                ++totals.failed;
                break;
            case campaign::RunResult::partial:
            case campaign::RunResult::interrupted:
                ++totals.partial;
                break;
        }
        totals.mailboxes += account.mailboxes;
        totals.messages += account.messages;
        totals.bytes += account.bytes;
        totals.round_trips += account.round_trips;
        totals.verify += account.verify;
    }
    return totals;
}

std::string_view name_of(campaign::Command command) {
    switch (command) {
        case campaign::Command::copy:
            return "copy";
        case campaign::Command::migrate:
            return "migrate";
        case campaign::Command::follow:
            return "follow";
        case campaign::Command::check:
            return "check";
        case campaign::Command::verify:
            return "verify";
    }
    broken_invariant("every command has a name", __FILE__, __LINE__);
}

std::string utc_time(std::int64_t unix_seconds) {
    if (unix_seconds == 0) return "";
    const std::time_t time = unix_seconds;
    std::tm parts{};
    if (gmtime_r(&time, &parts) == nullptr) return "";
    std::array<char, 64> text{};
    const std::size_t bytes = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return {text.data(), bytes};
}

std::string failure_text(const campaign::Failure& failure) {
    const std::string text = printable(failure.error.text, 2048);
    return failure.side ? fmt::format("{}: {}", imapult::name_of(*failure.side), text) : text;
}

std::vector<std::string> insecure_choices(const campaign::Options& options) {
    std::vector<std::string> sentences;
    std::set<std::string> seen;
    const auto look_at = [&](const EndpointSpec& spec, Side side) {
        const std::string where = fmt::format("the {} {}", imapult::name_of(side), spec.url());
        if (!seen.insert(where).second) return;
        if (spec.tls == TlsMode::off && !is_loopback_host(spec.host)) {
            sentences.push_back(where + ": clear text, nothing is encrypted");
        } else if (spec.tls != TlsMode::off && spec.tls_insecure) {
            sentences.push_back(where + ": its certificate is not checked (tls-insecure)");
        }
    };
    for (const campaign::AccountSpec& account : options.accounts) {
        if (!account.against) look_at(account.source, Side::source);
        look_at(account.destination, Side::destination);
    }
    return sentences;
}

}  // namespace imapult::program
