#include "quirks/world.h"

#include <algorithm>
#include <sstream>

#include "dedup/ledger.h"
#include "engine/base/text.h"
#include "engine/campaign/budget.h"
#include "engine/replica/account.h"

namespace imapult::quirks {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kStepsMax = 20'000'000;
constexpr Nanos kTimeMax = 14 * 24h;
constexpr std::string_view kPassword = "password";

/// Remembers what a person would be shown.
class Listener final : public report::Observer {
  public:
    Listener(Told& told, const runtime::Scheduler& scheduler)
        : told_(&told), scheduler_(&scheduler) {}
    void account_started(std::size_t /*account*/) override {}
    void account_listed(std::size_t /*account*/, std::size_t /*mailboxes*/) override {}
    void mailbox_started(std::size_t /*account*/, std::string_view /*mailbox*/,
                         std::uint64_t /*messages*/, std::uint64_t /*pending*/,
                         std::uint64_t /*bytes*/) override {}
    void mailbox_finished(std::size_t /*account*/, std::string_view /*mailbox*/) override {}
    void progress(std::size_t /*account*/, const report::Progress& /*change*/) override {}
    void message_refused(std::size_t /*account*/, const report::Refusal& /*refusal*/) override {}
    void notice(std::size_t /*account*/, const report::Notice& /*notice*/) override {}
    void waiting(std::size_t /*account*/, report::Waiting /*what*/) override {}
    void retrying(std::size_t /*account*/, Side side, std::chrono::milliseconds delay,
                  const Error& why) override {
        told_->retries.push_back({scheduler_->now(), delay, side, why.text});
    }
    void account_finished(std::size_t /*account*/,
                          const report::AccountSummary& /*summary*/) override {}
    [[nodiscard]] bool logs(report::LogLevel /*level*/) const override { return true; }
    void log(report::LogLevel /*level*/, std::string_view text) override {
        told_->log.emplace_back(text);
    }

  private:
    Told* told_;
    const runtime::Scheduler* scheduler_;
};

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

}  // namespace

World::World(imapd::Behaviour source_kind, imapd::Behaviour destination_kind, unsigned accounts)
    : source(std::move(source_kind), &scheduler_.clock()),
      destination(std::move(destination_kind), &scheduler_.clock()),
      servers_(scheduler_),
      disk_(std::make_shared<dedup::MemoryDisk>()) {
    weather.latency = 5ms;
    for (unsigned i = 0; i < accounts; ++i) {
        std::string name(kUser);
        if (i > 0) name = "user" + std::to_string(i + 1) + "@example.com";
        source.add_account(name, kPassword);
        destination.add_account(name, kPassword);
        accounts_.push_back(std::move(name));
    }
    source.keep_journal();
    destination.keep_journal();
}

World::~World() = default;

// --- filling -----------------------------------------------------------------------------------

std::string World::mail(std::string_view name, std::size_t bytes) {
    std::string out =
        "From: sender@example.com\r\nTo: user@example.com\r\nSubject: " + std::string(name) +
        "\r\nMessage-ID: <" + std::string(name) +
        "@example.com>\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\n";
    std::size_t line = 0;
    while (out.size() < bytes)
        out += "Line " + std::to_string(line++) + " of " + std::string(name) + ".\r\n";
    return out;
}

std::uint32_t World::deliver(std::string_view mailbox, std::string_view body,
                             imapd::FlagSet flags) {
    source.create(kUser, mailbox);
    const imapd::Date date{scheduler_.clock().unix_seconds() - 86'400, 60};
    return source.add_message(kUser, mailbox, body, std::move(flags), date);
}

void World::deliver_many(std::string_view mailbox, std::size_t count, std::size_t bytes) {
    for (std::size_t i = 0; i < count; ++i) {
        deliver(mailbox, mail(std::string(mailbox) + "-" + std::to_string(i), bytes));
    }
}

void World::fill() {
    const auto behaviour = source.behaviour();
    const std::string inbox = behaviour->inbox_name;
    const std::string work = behaviour->prefix + "Work";
    deliver(inbox, mail("one"), {"\\Seen"});
    deliver(inbox, mail("two"), {"\\Seen", "\\Answered"});
    deliver(inbox, mail("three"), {"\\Flagged"});
    deliver(inbox, mail("four"), {"\\Draft", "\\Deleted"});
    deliver(inbox, mail("large", 300'000));
    deliver(inbox, mail("six"));
    deliver(work, mail("seven"), {"$Forwarded"});
    deliver(work, mail("eight"));
    deliver_many(behaviour->prefix + "Many", 30);
}

// --- running -----------------------------------------------------------------------------------

Task<void> World::one_event(Nanos when, std::function<void()> what) {
    co_await runtime::sleep_for(scheduler_, when);
    what();
}

Task<void> World::pass(std::vector<report::AccountSummary>& summaries) {
    sim::SimBlockingPool pool;
    sim::SimConnector connector(scheduler_, servers_, source, destination, weather, seed_++);
    auto ledger = dedup::Ledger::open(dedup::open_memory_store(disk_), false);
    if (!ledger) {
        ADD_FAILURE() << ledger.error().text;
        co_return;
    }
    connector_ = &connector;
    session::Environment environment{scheduler_, connector, pool, 1};
    std::vector<campaign::AccountSpec> specs;
    for (const std::string& name : accounts_) {
        campaign::AccountSpec& spec = specs.emplace_back();
        spec.name = name;
        spec.source = endpoint("source", name);
        spec.destination = endpoint("destination", name);
    }
    auto budget = campaign::DailyBudget::open(limits, specs, **ledger, scheduler_.clock());
    if (!budget) {
        ADD_FAILURE() << budget.error().text;
        co_return;
    }
    options.budget = limits.any() ? budget->get() : nullptr;
    Listener listener(told, scheduler_);
    report::StopToken stop;
    runtime::TaskScope beside(scheduler_);
    for (auto& [when, what] : std::exchange(events_, {})) beside.spawn(one_event(when, what));
    const Nanos begin = scheduler_.now();
    std::vector<std::unique_ptr<replica::Account>> all;
    runtime::TaskScope scope(scheduler_);
    for (std::size_t i = 0; i < accounts_.size(); ++i) {
        auto& account = *all.emplace_back(
            std::make_unique<replica::Account>(environment, options, **ledger, listener, stop, i));
        account.source_endpoint = endpoint("source", accounts_[i]);
        account.destination_endpoint = endpoint("destination", accounts_[i]);
        if (!destination_admin.empty()) account.destination_endpoint.admin = destination_admin;
        if (!destination_user.empty()) account.destination_endpoint.user = destination_user;
        account.summary.account = accounts_[i];
        scope.spawn(replica::copy_account(account));
    }
    co_await scope.join();
    pass_took_ = scheduler_.now() - begin;
    connections_ += connector.connections_made();
    for (std::size_t i = 0; i < all.size(); ++i) summaries[i] = std::move(all[i]->summary);
    co_await beside.join();
    connector.kill();  // servers that wait for a client that is gone
    co_await servers_.join();
}

std::vector<report::AccountSummary> World::run() {
    std::vector<report::AccountSummary> summaries(accounts_.size());
    const bool ended = scheduler_.run(pass(summaries), kStepsMax, scheduler_.now() + kTimeMax);
    EXPECT_TRUE(ended) << "the pass did not end";
    return summaries;
}

void World::outage(Nanos from, Nanos until) {
    at(from, [this] { connector_->outage(true); });
    at(until, [this] { connector_->outage(false); });
}

void World::sleep(Nanos time) {
    EXPECT_TRUE(scheduler_.run(runtime::sleep_for(scheduler_, time)));
}

// --- looking -----------------------------------------------------------------------------------

std::vector<std::string> World::bodies(std::string_view mailbox) const {
    std::vector<std::string> out;
    for (const auto& message : destination.messages(kUser, mailbox)) out.push_back(*message.body);
    return out;
}

std::string display_name(std::string_view wire, const imapd::Behaviour& behaviour) {
    std::string name(wire);
    if (equal_ignoring_case(name, "INBOX")) return "INBOX";
    if (!behaviour.prefix.empty() && name.starts_with(behaviour.prefix)) {
        name.erase(0, behaviour.prefix.size());
    }
    std::ranges::replace(name, behaviour.separator, '/');
    return name;
}

std::string World::difference(const Expected& expected) const {
    const auto from = source.behaviour();
    const auto to = destination.behaviour();
    std::map<std::string, std::string> there;
    for (const auto& box : destination.mailboxes(kUser)) {
        there[display_name(box.name, *to)] = box.name;
    }
    for (const auto& box : source.mailboxes(kUser)) {
        const std::string name = display_name(box.name, *from);
        if (!box.selectable) continue;
        if (!there.contains(name)) return "no mailbox " + name;
        auto ours = source.messages(kUser, box.name);
        auto theirs = destination.messages(kUser, there[name]);
        if (any_order || !told.retries.empty()) {
            const auto by_body = [](const imapd::Message& a, const imapd::Message& b) {
                return *a.body < *b.body;
            };
            std::ranges::sort(ours, by_body);
            std::ranges::sort(theirs, by_body);
        }
        if (ours.size() != theirs.size()) {
            return name + ": " + std::to_string(theirs.size()) + " messages instead of " +
                   std::to_string(ours.size());
        }
        for (std::size_t i = 0; i < ours.size(); ++i) {
            imapd::NewMessage wanted{ours[i].body, ours[i].flags, ours[i].date, {}};
            if (expected) wanted = expected(ours[i]);
            const std::string which = name + " " + std::to_string(ours[i].uid);
            if (*wanted.body != *theirs[i].body) return which + ": other octets";
            if (wanted.flags != theirs[i].flags) {
                return which + ": flags (" + theirs[i].flags.text() + ") instead of (" +
                       wanted.flags.text() + ")";
            }
            if (wanted.date && wanted.date->unix_seconds != theirs[i].date.unix_seconds) {
                return which + ": date " + std::to_string(theirs[i].date.unix_seconds) +
                       " instead of " + std::to_string(wanted.date->unix_seconds);
            }
        }
    }
    return {};
}

std::string describe(const report::AccountSummary& summary) {
    std::ostringstream out;
    const report::MessageCounts& m = summary.messages;
    out << report::name_of(summary.result) << ": source " << m.source << ", there "
        << m.already_there << ", copied " << m.copied << ", adopted " << m.adopted << ", refused "
        << m.refused << ", skipped " << m.skipped << ", not reached " << m.not_reached
        << ", mailboxes failed " << summary.mailboxes.failed;
    if (summary.failure) out << "; " << summary.failure->error.text;
    for (const auto& refusal : summary.refusals) {
        out << "\n  refused " << refusal.mailbox << " " << refusal.uid << ": " << refusal.reason;
    }
    for (const auto& notice : summary.notices) {
        out << "\n  notice " << notice.mailbox << ": " << notice.text;
    }
    return out.str();
}

void expect_complete(const report::AccountSummary& summary) {
    EXPECT_EQ(summary.result, report::RunResult::complete) << describe(summary);
    EXPECT_TRUE(summary.messages.balanced()) << describe(summary);
    EXPECT_EQ(summary.messages.refused, 0U) << describe(summary);
    EXPECT_EQ(summary.messages.not_reached, 0U) << describe(summary);
}

std::vector<std::string> notices(const report::AccountSummary& summary, report::NoticeKind kind) {
    std::vector<std::string> out;
    for (const auto& notice : summary.notices) {
        if (notice.kind == kind) out.push_back(notice.mailbox + ": " + notice.text);
    }
    return out;
}

}  // namespace imapult::quirks
