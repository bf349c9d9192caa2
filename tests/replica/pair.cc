#include "replica/pair.h"

#include <sstream>

#include "dedup/ledger.h"
#include "engine/replica/account.h"
#include "sim/support/silent_observer.h"

namespace imapult::test {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

constexpr std::string_view kPassword = "password";
constexpr std::uint64_t kStepsMax = 20'000'000;

EndpointSpec endpoint(std::string host, std::string user) {
    EndpointSpec spec;
    spec.host = std::move(host);
    spec.port = 143;
    spec.tls = TlsMode::off;
    spec.user = std::move(user);
    spec.secret.fetch = [] { return Result<Secret>(Secret(std::string(kPassword))); };
    spec.secret.origin = "the test";
    return spec;
}

std::string_view subject_of(std::string_view body) {
    constexpr std::string_view kField = "Subject: ";
    const auto begin = body.find(kField);
    if (begin == std::string_view::npos) return "?";
    body.remove_prefix(begin + kField.size());
    return body.substr(0, body.find('\r'));
}

/// The first who asks.
class FirstClaims final : public replica::Claims {
  public:
    std::size_t take(const std::string& mailbox, const std::string& /*name*/,
                     std::size_t account) override {
        return taken_.try_emplace(mailbox, account).first->second;
    }

  private:
    std::map<std::string, std::size_t> taken_;
};

}  // namespace

namespace {
/// Many log-ins: not each with thousands of hashes.
imapd::Behaviour quick(imapd::Behaviour kind) {
    kind.capabilities_before_auth.erase("AUTH=SCRAM-SHA-256");
    return kind;
}
}  // namespace

Pair::Pair(imapd::Behaviour source_kind, imapd::Behaviour destination_kind,
           std::vector<std::string> names)
    : source(quick(std::move(source_kind)), &scheduler_.clock()),
      destination(quick(std::move(destination_kind)), &scheduler_.clock()),
      accounts(std::move(names)),
      servers_(scheduler_),
      disk_(std::make_shared<dedup::MemoryDisk>()) {
    for (const std::string& name : accounts) {
        source.add_account(name, kPassword);
        destination.add_account(name, kPassword);
    }
}

std::string Pair::mail(std::string_view name) {
    const std::string text(name);
    return "From: sender@example.com\r\nTo: alice@example.com\r\nSubject: " + text +
           "\r\nMessage-ID: <" + text +
           "@example.com>\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\nThis is " + text +
           ".\r\n";
}

std::uint32_t Pair::deliver(std::string_view account, std::string_view mailbox,
                            std::string_view name, imapd::FlagSet flags) {
    source.create(account, mailbox);
    return source.add_message(account, mailbox, mail(name), std::move(flags),
                              imapd::Date{1'690'000'000, 60});
}

Task<void> Pair::pass(std::vector<report::AccountSummary>& summaries, std::uint64_t kill_at,
                      std::optional<report::VerifyDepth> verify) {
    sim::SimBlockingPool pool;
    sim::Weather weather;
    weather.latency = 5ms;
    runtime::TaskScope commits(scheduler_);
    sim::SimConnector connector(scheduler_, servers_, source, destination, weather, seed_++);
    auto store =
        std::make_unique<sim::ProcessStore>(scheduler_, commits, disk_, seed_++, Nanos(1ms));
    const auto shared = store->shared();
    if (kill_at > 0) {
        sim::at_commit(shared, kill_at, [&connector, shared] {
            sim::kill_store(shared, 1);
            connector.kill();
        });
    }
    auto ledger = dedup::Ledger::open(std::move(store), false);
    if (ledger) {
        FirstClaims claims;
        options.claims = &claims;
        auto people = std::make_shared<replica::People>();
        for (const std::string& name : accounts) people->add(name, name);
        options.people = people;
        session::Environment environment{scheduler_, connector, pool, 1};
        sim::SilentObserver silent;
        report::StopToken stop;
        std::vector<std::unique_ptr<replica::Account>> all;
        runtime::TaskScope scope(scheduler_);
        replica::VerifyOptions how;
        if (verify) how.depth = *verify;
        for (std::size_t i = 0; i < accounts.size(); ++i) {
            auto& account = *all.emplace_back(std::make_unique<replica::Account>(
                environment, options, **ledger, silent, stop, i));
            account.source_endpoint = endpoint("source", accounts[i]);
            account.destination_endpoint = endpoint("destination", accounts[i]);
            account.summary.account = accounts[i];
            scope.spawn(verify ? replica::verify_account(account, how)
                               : replica::copy_account(account));
        }
        co_await scope.join();
        for (std::size_t i = 0; i < all.size(); ++i) summaries[i] = std::move(all[i]->summary);
        options.claims = nullptr;
    }
    sim::at_commit(shared, 0, {});  // which holds `shared`
    connector.kill();               // servers that wait for a client that is gone
    co_await servers_.join();
    if (ledger) ledger->reset();
    co_await commits.join();
}

std::vector<report::AccountSummary> Pair::run() {
    std::vector<report::AccountSummary> summaries(accounts.size());
    const bool ended = scheduler_.run(pass(summaries, 0), kStepsMax, scheduler_.now() + Nanos(24h));
    EXPECT_TRUE(ended) << "the pass did not end";
    for (const auto& summary : summaries)
        EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
    return summaries;
}

report::AccountSummary Pair::verify(report::VerifyDepth depth) {
    std::vector<report::AccountSummary> summaries(accounts.size());
    const bool ended =
        scheduler_.run(pass(summaries, 0, depth), kStepsMax, scheduler_.now() + Nanos(24h));
    EXPECT_TRUE(ended) << "verify did not end";
    return std::move(summaries.front());
}

void Pair::killed_copy(std::uint64_t nth) {
    std::vector<report::AccountSummary> summaries(accounts.size());
    const bool ended =
        scheduler_.run(pass(summaries, nth), kStepsMax, scheduler_.now() + Nanos(24h));
    EXPECT_TRUE(ended) << "the killed pass did not end";
}

std::vector<std::string> Pair::subjects(const imapd::Store& store, std::string_view account,
                                        std::string_view mailbox) {
    std::vector<std::string> out;
    for (const auto& message : store.messages(account, mailbox))
        out.emplace_back(subject_of(*message.body));
    return out;
}

std::vector<std::string> notices(const report::AccountSummary& summary, report::NoticeKind kind) {
    std::vector<std::string> out;
    for (const auto& notice : summary.notices) {
        if (notice.kind == kind) out.push_back(notice.mailbox + ": " + notice.text);
    }
    return out;
}

std::string describe(const report::AccountSummary& summary) {
    std::ostringstream out;
    const report::MessageCounts& m = summary.messages;
    out << report::name_of(summary.result) << ": source " << m.source << ", there "
        << m.already_there << ", copied " << m.copied << ", adopted " << m.adopted << ", refused "
        << m.refused << ", skipped " << m.skipped << ", moved " << m.moved << ", deleted "
        << m.deleted << ", gone " << m.gone_at_source << ", not reached " << m.not_reached
        << ", mailboxes failed " << summary.mailboxes.failed;
    if (summary.failure) out << "; " << summary.failure->error.text;
    for (const auto& refusal : summary.refusals)
        out << "\n  refused " << refusal.mailbox << " " << refusal.uid << ": " << refusal.reason;
    for (const auto& notice : summary.notices)
        out << "\n  notice " << notice.mailbox << ": " << notice.text;
    for (const auto& right : summary.unset_rights)
        out << "\n  unset " << right.mailbox << " " << right.identifier << " " << right.rights
            << ": " << right.reason << "\n    " << right.grant_line;
    return out.str();
}

}  // namespace imapult::test
