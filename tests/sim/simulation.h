#pragma once
// One seed from beginning to end: fill the source, run passes in their weather, let users work in
// between, check.

#include <memory>
#include <string>
#include <vector>

#include "dedup/memory_store.h"
#include "engine/base/report.h"
#include "engine/replica/context.h"
#include "sim/scenario.h"
#include "sim/truth.h"

namespace imapult::sim {

struct Numbers {
    std::uint64_t passes = 0, messages = 0, connections = 0, steps = 0, unknown_outcomes = 0;
};

/// wire: also every octet that the process sends and receives (long pieces cut).
enum class Verbosity : std::uint8_t { quiet, story, wire };

class Simulation {
  public:
    Simulation(Scenario scenario, Verbosity verbosity);
    ~Simulation();
    Simulation(const Simulation&) = delete;
    Simulation& operator=(const Simulation&) = delete;

    /// Everything found wrong, as sentences; empty: the seed passes.
    std::vector<std::string> run();
    [[nodiscard]] const Numbers& numbers() const { return numbers_; }

  private:
    using Summaries = std::vector<report::AccountSummary>;

    // simulation.cc
    void fill();
    void copy_some_before(double part);
    Task<void> pass(PassPlan plan, Summaries& summaries);
    bool run_pass(const PassPlan& plan, Summaries& summaries);
    Task<void> account_pass(session::Environment& environment, const replica::Options& options,
                            dedup::Ledger& ledger, const report::StopToken& stop, std::size_t index,
                            Summaries& summaries, std::vector<replica::Account*>& running);
    void after_pass(const PassPlan& plan, const Summaries& summaries);
    std::unique_ptr<dedup::Ledger> open_ledger();
    /// Messages are told apart by their octets; with repairs, by what those leave of them.
    [[nodiscard]] Content content_of(std::string_view body) const;

    // users.cc
    void users_work(std::size_t account, std::size_t changes);
    void change_source(std::size_t account, bool meanwhile);
    void message_left(std::size_t account, const std::string& box, const imapd::Message& message);
    void rename_or_remove(std::size_t account, const std::string& box);
    void use_name_again(std::size_t account, const std::string& box, const std::string& renamed);
    void change_destination(std::size_t account);
    void make_anew(std::size_t account, bool at_source);
    Task<void> users_meanwhile(runtime::Event& finished, const bool& done);
    void remember_flags(std::size_t account, const imapd::Message& message);

    // checker.cc
    void check_books(const std::string& when, const PassPlan& plan,
                     const report::AccountSummary& summary);
    void check_equal(const std::string& when, std::size_t account,
                     const report::AccountSummary& summary);
    void check_mailbox(const std::string& when, std::size_t account,
                       const dedup::MailboxRecord& record, const std::set<std::uint32_t>& refused);
    void check_marks(const std::string& when, std::size_t account);
    void check_details(const std::string& when, std::size_t account,
                       const std::vector<imapd::Message>& source,
                       const std::vector<imapd::Message>& destination);
    void check_untouched(const std::string& when, const Summaries& summaries,
                         const std::string& before);
    [[nodiscard]] std::string picture(const imapd::Store& store) const;

    void problem(const std::string& when, std::string text);
    void tell(const std::string& text) const;

    Scenario scenario_;
    bool verbose_, wire_;
    Random random_;
    SimScheduler scheduler_;
    imapd::Store source_, destination_;
    std::shared_ptr<dedup::MemoryDisk> disk_;
    runtime::TaskScope scope_;  ///< servers, committers
    imapd::MessageGenerator generator_;
    std::vector<std::string> accounts_;
    std::vector<AccountTruth> truth_;
    Trouble trouble_;
    std::uint64_t own_messages_ = 0, new_mailboxes_ = 0;
    std::vector<std::string> problems_;
    Numbers numbers_;
    std::size_t accounts_running_ = 0;
};

}  // namespace imapult::sim
