#include "importers/run.h"

#include <algorithm>
#include <filesystem>
#include <thread>

#include "engine/base/text.h"

namespace imapult::importers {
namespace {

std::vector<std::string> endings_of(What what) {
    if (what == What::calendars) return {".ics"};
    if (what == What::contacts) return {".csv", ".vcf"};
    return {".ics", ".csv", ".vcf"};
}

const char* command_of(const RunOptions& options) {
    if (options.mode == Mode::check) return "import check";
    if (options.mode == Mode::script) return "import script";
    return options.what == What::calendars ? "import calendars" : "import contacts";
}

/// One account of `check` and `script` may have both kinds of files.
AccountReport work_on(const Job& job, const AccountInput& input) {
    AccountInput calendars = input;
    AccountInput contacts = input;
    std::erase_if(calendars.files,
                  [](const SourceFile& f) { return !to_lower(f.path).ends_with(".ics"); });
    std::erase_if(contacts.files,
                  [](const SourceFile& f) { return to_lower(f.path).ends_with(".ics"); });
    if (contacts.files.empty()) return import_calendars(job, calendars);
    if (calendars.files.empty()) return import_contacts(job, contacts);
    AccountReport report = import_calendars(job, calendars);
    AccountReport second = import_contacts(job, contacts);
    report.items.add(second.items);
    const auto append = [](auto& to, auto& from) { to.insert(to.end(), from.begin(), from.end()); };
    append(report.refusals, second.refusals);
    append(report.repairs, second.repairs);
    append(report.missing, second.missing);
    append(report.notes, second.notes);
    if (!report.error) report.error = second.error;
    return report;
}

class Run {
  public:
    Run(const RunOptions& options, std::atomic<bool>& stop)
        : options_(options), stop_(stop), progress_(options.quiet, options.terminal) {}

    Result<> go(RunReport& report);

  private:
    Result<> connect();
    void work(RunReport& report, const std::vector<AccountInput>& accounts);

    const RunOptions& options_;
    std::atomic<bool>& stop_;
    std::atomic<bool> unreachable_{false};
    Progress progress_;
    std::unique_ptr<http::Client> client_;
    std::unique_ptr<Carbonio> carbonio_;
    std::unique_ptr<Ledger> ledger_;
    std::unique_ptr<ScriptWriter> script_;
};

Result<> Run::connect() {
    IMAPULT_TRY(ledger_, Ledger::open(options_.state_directory));
    http::Options http = options_.http;
    http.connections = std::clamp<std::size_t>(options_.accounts_at_once * options_.connections, 1,
                                               http::kTransfersMax);
    IMAPULT_TRY(client_, http::Client::create(http));
    carbonio_ = std::make_unique<Carbonio>(*client_, options_.carbonio);
    return carbonio_->log_in();
}

Result<> Run::go(RunReport& report) {
    if (!options_.events.empty()) {
        IMAPULT_CHECK(progress_.open_events(options_.events));
    }
    InputOptions inputs = options_.inputs;
    inputs.endings = endings_of(options_.what);
    IMAPULT_TRY(InputSet set, find_inputs(inputs));
    report.ignored = set.ignored;
    report.warnings.insert(report.warnings.end(), set.warnings.begin(), set.warnings.end());
    if (options_.mode == Mode::script) {
        script_ = std::make_unique<ScriptWriter>(options_.out);
        IMAPULT_CHECK(script_->open());
    }
    if (options_.mode == Mode::upload) {
        if (options_.carbonio.import_as == ImportAs::user) {
            for (AccountInput& input : set.accounts) {
                if (input.password.empty()) input.password = options_.user_password;
                if (input.password.empty())
                    return invalid(
                        "no password for " + printable(input.account) +
                        ": give the accounts file a column destination_password, or "
                        "--destination-password-file for one account, or --destination-admin");
            }
        }
        for (const AccountInput& input : set.accounts) {
            AccountReport waiting;
            waiting.account = input.account;
            report.accounts.push_back(std::move(waiting));
        }
        IMAPULT_CHECK(connect());
    }
    report.accounts.clear();
    work(report, set.accounts);
    if (script_) return script_->close();
    return {};
}

void Run::work(RunReport& report, const std::vector<AccountInput>& accounts) {
    Job job;
    job.mode = options_.mode;
    job.carbonio = carbonio_.get();
    job.ledger = ledger_.get();
    job.script = script_.get();
    job.progress = &progress_;
    job.out = options_.out;
    job.scratch = options_.state_directory.empty() ? std::filesystem::temp_directory_path().string()
                                                   : options_.state_directory;
    job.connections = options_.connections;
    job.contacts_max = options_.contacts_max;
    job.stop = &stop_;
    job.unreachable = &unreachable_;
    report.accounts.resize(accounts.size());
    progress_.start(accounts.size());
    std::atomic<std::size_t> next{0};
    const auto worker = [&] {
        for (std::size_t i = next++; i < accounts.size(); i = next++) {
            report.accounts[i].account = accounts[i].account;
            if (stop_.load()) {
                report.accounts[i].error = Error{Code::cancelled,
                                                 Scope::account,
                                                 Retry::now,
                                                 Outcome::not_done,
                                                 {},
                                                 "interrupted before this account"};
                continue;
            }
            progress_.account_begins(accounts[i].account);
            report.accounts[i] = work_on(job, accounts[i]);
            progress_.account_ends(report.accounts[i]);
        }
    };
    // Signals only set the flag: this thread passes it on to the transfers.
    std::atomic<bool> done{false};
    std::thread watcher([&] {
        while (!done.load()) {
            if (stop_.load() && client_) client_->cancel();
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
    });
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < std::min(options_.accounts_at_once, accounts.size()); ++i)
        threads.emplace_back(worker);
    for (std::thread& thread : threads) thread.join();
    done = true;
    watcher.join();
    progress_.finish();
}

}  // namespace

RunReport run_import(const RunOptions& options, std::atomic<bool>& stop,
                     const std::atomic<int>& signal) {
    const auto begin = std::chrono::steady_clock::now();
    RunReport report;
    report.command = command_of(options);
    if (options.mode == Mode::upload && options.http.tls.insecure)
        report.warnings.push_back(
            "the destination's certificate was not checked (--destination-tls-insecure)");
    if (const auto went = Run(options, stop).go(report); !went) report.error = went.error();
    report.interrupted = stop.load();
    report.signal = signal.load();
    report.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return report;
}

}  // namespace imapult::importers
