#include "sim/simulation.h"

#include <cstdio>
#include <cstring>
#include <functional>

#include "dedup/identity.h"
#include "engine/replica/account.h"
#include "engine/replica/repair.h"

namespace imapult::sim {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kStepsMax = 5'000'000;
constexpr Nanos kTimeMax = 24h;  ///< far beyond every time-out and back-off together

/// Sees what nobody else looks at: how often a connection was given up. Prints it if wanted.
class Witness final : public report::Observer {
  public:
    Witness(Numbers& numbers, const SimScheduler& scheduler, bool verbose)
        : numbers_(&numbers), scheduler_(&scheduler), verbose_(verbose) {}
    void account_started(std::size_t /*account*/) override {}
    void account_listed(std::size_t /*account*/, std::size_t /*mailboxes*/) override {}
    void mailbox_started(std::size_t /*account*/, std::string_view mailbox, std::uint64_t messages,
                         std::uint64_t pending, std::uint64_t /*bytes*/) override {
        if (!verbose_) return;
        tell(std::string(mailbox) + ": " + std::to_string(messages) + " messages, " +
             std::to_string(pending) + " to do");
    }
    void mailbox_finished(std::size_t /*account*/, std::string_view mailbox) override {
        if (verbose_) tell(std::string(mailbox) + ": done");
    }
    void progress(std::size_t /*account*/, const report::Progress& change) override {
        numbers_->messages += change.copied;
        if (verbose_ && change.copied + change.adopted + change.flags_updated > 0) {
            tell("copied " + std::to_string(change.copied) + ", adopted " +
                 std::to_string(change.adopted) + ", flags " +
                 std::to_string(change.flags_updated));
        }
    }
    void message_refused(std::size_t /*account*/, const report::Refusal& refusal) override {
        if (verbose_) tell("refused " + std::to_string(refusal.uid) + ": " + refusal.reason);
    }
    void notice(std::size_t /*account*/, const report::Notice& notice) override {
        if (verbose_) tell("notice: " + notice.mailbox + ": " + notice.text);
    }
    void waiting(std::size_t /*account*/, report::Waiting /*what*/) override {}
    void retrying(std::size_t /*account*/, Side side, std::chrono::milliseconds delay,
                  const Error& why) override {
        ++numbers_->unknown_outcomes;
        if (verbose_) {
            tell("retrying the " + std::string(name_of(side)) + " in " +
                 std::to_string(delay.count()) + " ms: " + why.text);
        }
    }
    void account_finished(std::size_t /*account*/,
                          const report::AccountSummary& /*summary*/) override {}
    [[nodiscard]] bool logs(report::LogLevel /*level*/) const override { return verbose_; }
    void log(report::LogLevel /*level*/, std::string_view text) override {
        if (verbose_) tell(std::string(text));
    }

  private:
    void tell(const std::string& text) const {
        std::printf("    %9.3f s  %s\n", std::chrono::duration<double>(scheduler_->now()).count(),
                    text.c_str());
    }
    Numbers* numbers_;
    const SimScheduler* scheduler_;
    bool verbose_;
};

EndpointSpec endpoint(std::string host, std::string user) {
    EndpointSpec spec;
    spec.host = std::move(host);
    spec.port = 143;
    spec.tls = TlsMode::off;
    spec.user = std::move(user);
    spec.secret.fetch = [] { return Result<Secret>(Secret("password")); };
    spec.secret.origin = "the simulation";
    return spec;
}

/// Ends `process` at the planned moment, unless it has ended before.
struct Fate {
    PassPlan plan;
    std::uint64_t seed;
    SimConnector& connector;
    std::shared_ptr<ProcessStore::Shared> store;
    dedup::MemoryDisk& disk;
    report::StopToken& stop;

    void strike() {
        switch (plan.ending) {
            case Ending::normal:
                break;
            case Ending::killed_at_time:
            case Ending::killed_at_commit:
                kill_store(store, seed);
                connector.kill();
                stop.request(report::StopToken::Level::at_once);
                break;
            case Ending::stopped:
                stop.request(report::StopToken::Level::graceful);
                break;
            case Ending::stopped_at_once:
                stop.request(report::StopToken::Level::at_once);
                break;
            case Ending::disk_full:
                disk.fail_commits(Error{Code::io,
                                        Scope::run,
                                        Retry::never,
                                        Outcome::not_done,
                                        {},
                                        "the simulated disk is full"});
                break;
        }
    }

    Task<void> wait(runtime::Event& finished, const bool& done) {
        const Nanos until = finished_at(plan.when);
        while (!done) {
            if (!co_await finished.wait(until)) {
                strike();
                break;
            }
        }
    }
    SimScheduler& scheduler;
    [[nodiscard]] Nanos finished_at(Nanos after) const { return scheduler.now() + after; }
};

}  // namespace

Content content_of(std::string_view body) {
    return std::hash<std::string_view>()(body);
}

Simulation::Simulation(Scenario scenario, Verbosity verbosity)
    : scenario_(std::move(scenario)),
      verbose_(verbosity != Verbosity::quiet),
      wire_(verbosity == Verbosity::wire),
      random_(scenario_.seed * 2 + 2),
      scheduler_(scenario_.seed),
      source_(scenario_.source, &scheduler_.clock()),
      destination_(scenario_.destination, &scheduler_.clock()),
      disk_(std::make_shared<dedup::MemoryDisk>()),
      scope_(scheduler_),
      generator_(random_.next(), scenario_.organisation.shape) {}

Simulation::~Simulation() = default;

Content Simulation::content_of(std::string_view body) const {
    if (!scenario_.repair) return sim::content_of(body);
    dedup::NormalDigest digest;
    digest.update(replica::repaired(body, replica::kReplaceNul | replica::kEncodeHeader));
    Content content{};
    std::memcpy(&content, digest.finish().data(), sizeof content);
    return content;
}

void Simulation::tell(const std::string& text) const {
    if (verbose_) std::printf("%s\n", text.c_str());
}

void Simulation::problem(const std::string& when, std::string text) {
    tell("  PROBLEM " + when + ": " + text);
    if (problems_.size() < 20) problems_.push_back(when + ": " + std::move(text));
}

// --- the beginning -----------------------------------------------------------------------------

void Simulation::fill() {
    accounts_ = imapd::fill(source_, random_.next(), scenario_.organisation).accounts;
    truth_.resize(accounts_.size());
    for (std::size_t i = 0; i < accounts_.size(); ++i) {
        destination_.add_account(accounts_[i], "password");
        if (scenario_.large_message) {
            std::string body = "Subject: large\r\nMessage-ID: <large@example.com>\r\n\r\n";
            const std::size_t bytes = random_.between(262'000, 500'000);
            while (body.size() < bytes) body += "A line like many others.\r\n";
            source_.add_message(accounts_[i], scenario_.source.inbox_name, body);
        }
        for (const auto& box : source_.mailboxes(accounts_[i])) {
            for (const auto& message : source_.messages(accounts_[i], box.name)) {
                remember_flags(i, message);
            }
        }
    }
    if (scenario_.copied_before > 0) copy_some_before(scenario_.copied_before);
}

/// What another tool has copied: a part of the INBOX, octet by octet, some with fewer flags.
void Simulation::copy_some_before(double part) {
    trouble_.adoption = true;
    for (const std::string& account : accounts_) {
        for (const auto& message : source_.messages(account, scenario_.source.inbox_name)) {
            if (!random_.chance(part)) continue;
            imapd::NewMessage copy;
            copy.body = message.body;
            copy.date = message.date;
            if (random_.chance(0.7)) copy.flags = message.flags;
            destination_.add_message(account, scenario_.destination.inbox_name, std::move(copy));
        }
    }
}

// --- passes ------------------------------------------------------------------------------------

Task<void> Simulation::account_pass(session::Environment& environment,
                                    const replica::Options& options, dedup::Ledger& ledger,
                                    const report::StopToken& stop, std::size_t index,
                                    Summaries& summaries, std::vector<replica::Account*>& running) {
    Witness witness(numbers_, scheduler_, verbose_);
    replica::Account account(environment, options, ledger, witness, stop, index);
    account.source_endpoint = endpoint("source", accounts_[index]);
    account.destination_endpoint = endpoint("destination", accounts_[index]);
    account.summary.account = accounts_[index];
    account.summary.source = account.source_endpoint.account();
    account.summary.destination = account.destination_endpoint.account();
    running[index] = &account;
    ++accounts_running_;
    co_await replica::copy_account(account);
    --accounts_running_;
    running[index] = nullptr;
    summaries[index] = std::move(account.summary);
}

Task<void> Simulation::pass(PassPlan plan, Summaries& summaries) {
    SimBlockingPool pool;
    SimConnector connector(scheduler_, scope_, source_, destination_, plan.weather, random_.next());
    if (wire_) connector.trace();
    auto store =
        std::make_unique<ProcessStore>(scheduler_, scope_, disk_, random_.next(), plan.commit_max);
    const auto shared = store->shared();
    auto ledger = dedup::Ledger::open(std::move(store), false);
    if (!ledger) {
        problem("start", "the ledger cannot be opened: " + ledger.error().text);
        co_return;
    }
    session::Environment environment{scheduler_, connector, pool, random_.next()};
    replica::Options options;
    options.lanes = scenario_.lanes;
    options.remove.mirror = scenario_.mirror;
    if (!scenario_.fuse) {
        options.remove.percent_max.reset();
        options.remove.messages_max.reset();
    }
    options.repair = scenario_.repair;
    if (scenario_.seed % 3 == 0) options.lane_buffered_bytes_max = 4'096;
    report::StopToken stop;
    std::vector<replica::Account*> running(accounts_.size(), nullptr);
    const std::size_t listener = stop.add_listener([&](report::StopToken::Level level) {
        scheduler_.post_remote([&running, level] {
            for (replica::Account* account : running) {
                if (account != nullptr) account->on_stop(level);
            }
        });
    });

    Fate fate{plan, random_.next(), connector, shared, *disk_, stop, scheduler_};
    runtime::Event finished(scheduler_);
    bool done = false;
    runtime::TaskScope beside(scheduler_);
    if (plan.ending == Ending::killed_at_commit) {
        at_commit(shared, plan.commit, [&fate] { fate.strike(); });
    } else if (plan.ending != Ending::normal) {
        beside.spawn(fate.wait(finished, done));
    }
    if (plan.busy_source) beside.spawn(users_meanwhile(finished, done));

    runtime::TaskScope accounts(scheduler_);
    for (std::size_t i = 0; i < accounts_.size(); ++i) {
        accounts.spawn(account_pass(environment, options, **ledger, stop, i, summaries, running));
    }
    co_await accounts.join();
    done = true;
    finished.notify_all();
    co_await beside.join();
    stop.remove_listener(listener);
    at_commit(shared, 0, {});
    disk_->fail_commits(std::nullopt);
    // A poke may have been posted: it looks at `running`.
    co_await runtime::sleep_for(scheduler_, 1ms);
    numbers_.connections += connector.connections_made();
    ledger->reset();
    // Servers end with their connections; what they had received may take them a while.
    co_await scope_.join();
}

bool Simulation::run_pass(const PassPlan& plan, Summaries& summaries) {
    ++numbers_.passes;
    summaries.assign(accounts_.size(), {});
    const std::uint64_t begin = scheduler_.steps();
    const Nanos until = scheduler_.now() + kTimeMax;
    if (!scheduler_.run(pass(plan, summaries), kStepsMax, until)) {
        const std::uint64_t steps = scheduler_.steps() - begin;
        problem("pass " + std::to_string(numbers_.passes),
                (steps < kStepsMax ? "everybody waits for somebody else, for ever, after "
                                   : "it goes round in circles: ") +
                    std::to_string(steps) +
                    " steps; accounts still running: " + std::to_string(accounts_running_) +
                    ", servers: " + std::to_string(scope_.running()));
        return false;
    }
    numbers_.steps = scheduler_.steps();
    for (const auto& summary : summaries) {
        const auto& m = summary.messages;
        tell("  " + summary.account + ": " + std::string(report::name_of(summary.result)) +
             ", source " + std::to_string(m.source) + ", there " + std::to_string(m.already_there) +
             ", copied " + std::to_string(m.copied) + ", adopted " + std::to_string(m.adopted) +
             ", refused " + std::to_string(m.refused) + ", flags " +
             std::to_string(m.flags_updated) + ", moved " + std::to_string(m.moved) + ", deleted " +
             std::to_string(m.deleted) + ", gone " + std::to_string(m.gone_at_source) +
             ", not reached " + std::to_string(m.not_reached) +
             (summary.failure ? "; " + summary.failure->error.text : ""));
    }
    return true;
}

std::unique_ptr<dedup::Ledger> Simulation::open_ledger() {
    auto ledger = dedup::Ledger::open(dedup::open_memory_store(disk_), false);
    if (!ledger) {
        problem("check", "the ledger cannot be opened: " + ledger.error().text);
        return nullptr;
    }
    return std::move(*ledger);
}

void Simulation::after_pass(const PassPlan& plan, const Summaries& summaries) {
    const std::string when = "pass " + std::to_string(numbers_.passes);
    if (!plan.undisturbed()) trouble_.connections = true;
    for (std::size_t i = 0; i < accounts_.size(); ++i) {
        const report::AccountSummary& summary = summaries[i];
        check_books(when, plan, summary);
        using enum report::RunResult;
        // With the usual limit on deletions a pass may end as partial.
        const bool may_lack = scenario_.refusing || scenario_.fuse;
        const bool finished = summary.result == complete || (may_lack && summary.result == partial);
        if (plan.undisturbed() && !finished) {
            problem(when, summary.account + ": nothing went wrong, but it ended as " +
                              std::string(report::name_of(summary.result)) +
                              (summary.failure ? " (" + summary.failure->error.text + ")" : ""));
        }
        // What users did while it ran may or may not have been seen.
        if (summary.result == complete && !plan.busy_source) check_equal(when, i, summary);
    }
}

std::vector<std::string> Simulation::run() {
    tell(describe(scenario_));
    fill();
    Summaries summaries;
    for (const PassPlan& plan : scenario_.passes) {
        if (plan.forget_ledger) {
            disk_ = std::make_shared<dedup::MemoryDisk>();
            trouble_.memory_lost = true;
            for (AccountTruth& truth : truth_) {
                for (auto& [name, box] : truth.mailboxes) {
                    for (const auto& [content, count] : std::exchange(box.kept, {})) {
                        box.maybe[content] += count;
                    }
                }
            }
        }
        for (std::size_t i = 0; i < accounts_.size(); ++i) users_work(i, plan.changes);
        tell("pass: " + describe(plan));
        if (!run_pass(plan, summaries)) return problems_;
        after_pass(plan, summaries);
    }
    for (std::size_t i = 0; i < accounts_.size(); ++i) users_work(i, random_.below(5));
    tell("last pass, calm");
    const PassPlan calm;
    if (!run_pass(calm, summaries)) return problems_;
    after_pass(calm, summaries);
    for (std::size_t i = 0; i < accounts_.size(); ++i) check_equal("at last", i, summaries[i]);
    const std::string before = picture(destination_);
    tell("once more");
    if (!run_pass(calm, summaries)) return problems_;
    after_pass(calm, summaries);
    check_untouched("once more", summaries, before);
    return problems_;
}

}  // namespace imapult::sim
