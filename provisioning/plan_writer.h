#pragma once
// The files of a plan. Everything is written as a stream; only plan.json's last rename makes the
// folder a plan that `apply` accepts.

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/secret.h"
#include "provisioning/batch.h"
#include "provisioning/calls.h"
#include "provisioning/plan.h"

namespace imapult::provisioning {

/// A file made new with mode 0600, or a nameless one in the same folder.
class OutputFile {
  public:
    static Result<OutputFile> create(const std::string& path);
    static Result<OutputFile> spool(const std::string& folder);
    void write(std::string_view text);
    /// Flushes and closes; tells whether everything was written.
    Result<> close();
    /// Copies a spool's content to `into`.
    Result<> copy_to(OutputFile& into);
    [[nodiscard]] bool open() const { return file_ != nullptr; }

  private:
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    std::unique_ptr<std::FILE, Close> file_;
    std::string path_;
    bool failed_ = false;
};

/// Names of the files in a plan's folder.
inline constexpr const char* kPlanFile = "plan.json";
inline constexpr const char* kLdifFile = "carbonio.ldif";
inline constexpr const char* kKeepFile = "keep.ldif";
inline constexpr const char* kScriptFile = "carbonio-prov.txt";
inline constexpr const char* kAccountsFile = "accounts.csv";
inline constexpr const char* kDecisionsFile = "decisions.csv";
inline constexpr const char* kPasswordsFile = "passwords.csv";
inline constexpr const char* kSummaryText = "summary.txt";
inline constexpr const char* kSummaryHtml = "summary.html";

struct Action {
    Op op = Op::create;
    Kind kind = Kind::account;
    std::string_view name;
    std::string_view dn;
    std::string_view reason;
    std::string_view member;  ///< kind member: who; kind mountpoint: whose folder
    const Location* where = nullptr;
};

class PlanWriter {
  public:
    /// With an empty `out` nothing is written, but decisions are still counted and listed.
    PlanWriter(const SourceSet& source, const Names& names, PlanReport& report, std::string out);
    Result<> prepare();

    void action(const Action& action);
    /// An entry to create: carbonio.ldif and the calls for it.
    void entry(const Entry& entry);
    /// An entry the destination has as it should be (no hashes are written).
    void keep(Entry entry);
    /// A `changetype: modify` record, ready to write.
    void update(std::string_view record);
    void share_line(std::string_view line);
    void decision(const Location& where, std::string_view dn, const Note& note);
    void account(std::string_view source, std::string_view destination);
    /// The random password for the account: the one of an earlier plan in this folder, or a new
    /// one.
    Secret password_for(const std::string& account);

    /// Routine decisions, group members, summaries; plan.json becomes valid.
    Result<> finish();
    /// With conflicts: summaries only.
    Result<> finish_with_conflicts();

  private:
    struct Routine {
        Location where;
        Note note;
        std::uint64_t count = 0;
    };
    [[nodiscard]] std::string path(const char* name) const { return out_ + "/" + name; }
    Result<> read_old_passwords();
    void write_calls(const std::vector<Call>& calls);
    void write_routine();
    void decision_line(const Location& where, std::string_view dn, const Note& note,
                       const std::string& reason);
    Result<> write_summaries();

    const SourceSet& source_;
    PlanReport& report_;
    std::string out_;
    CallBuilder calls_;
    OutputFile plan_;
    OutputFile ldif_;
    OutputFile updates_;
    OutputFile keep_;
    OutputFile accounts_;
    OutputFile decisions_;
    OutputFile passwords_;
    std::array<OutputFile, kStages> script_;
    bool first_action_ = true;
    bool any_password_ = false;
    bool any_keep_ = false;
    std::unordered_map<std::string, std::string> old_passwords_;
    std::map<std::pair<std::string, std::string>, Routine> routine_;
};

}  // namespace imapult::provisioning
