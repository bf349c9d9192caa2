#include "provisioning/plan_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "engine/base/text.h"
#include "provisioning/csv.h"
#include "provisioning/limits.h"
#include "provisioning/password.h"
#include "provisioning/summary.h"

namespace imapult::provisioning {
namespace {

constexpr std::array kOutputs = {kPlanFile,      kLdifFile,     kKeepFile,
                                 kScriptFile,    kAccountsFile, kDecisionsFile,
                                 kPasswordsFile, kSummaryText,  kSummaryHtml};
constexpr const char* kPlanPart = "plan.json.part";
constexpr std::size_t kDecisionLinesKept = 10'000;

std::unexpected<Error> io_error(const std::string& path, int error) {
    return fail(Code::io, Scope::run, Retry::never,
                "cannot write " + printable(path) + ": " + std::generic_category().message(error));
}

std::string json_string(std::string_view text) {
    return nlohmann::json(std::string(text))
        .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Result<OutputFile> OutputFile::create(const std::string& path) {
    OutputFile out;
    out.path_ = path;
    ::unlink(path.c_str());
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return io_error(path, errno);
    out.file_.reset(::fdopen(fd, "w"));
    return out;
}

Result<OutputFile> OutputFile::spool(const std::string& folder) {
    OutputFile out;
    out.path_ = folder + "/(spool)";
    std::string name = folder + "/.spool-XXXXXX";
    const int fd = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd < 0) return io_error(folder, errno);
    ::unlink(name.c_str());
    out.file_.reset(::fdopen(fd, "w+"));
    return out;
}

void OutputFile::write(std::string_view text) {
    if (!file_ || failed_) return;
    failed_ = std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size();
}

Result<> OutputFile::close() {
    if (!file_) return {};
    if (std::fflush(file_.get()) != 0) failed_ = true;
    const int error = failed_ ? (errno != 0 ? errno : EIO) : 0;
    file_.reset();
    if (error != 0) return io_error(path_, error);
    return {};
}

Result<> OutputFile::copy_to(OutputFile& into) {
    if (!file_) return {};
    if (std::fflush(file_.get()) != 0 || failed_) return io_error(path_, EIO);
    std::rewind(file_.get());
    std::string block(limits::kReadBlockBytes, '\0');
    while (const auto got = std::fread(block.data(), 1, block.size(), file_.get())) {
        into.write(std::string_view(block).substr(0, got));
    }
    return {};
}

PlanWriter::PlanWriter(const SourceSet& source, const Names& names, PlanReport& report,
                       std::string out)
    : source_(source),
      report_(report),
      out_(std::move(out)),
      calls_(names, [this](const std::string& dn, const std::string& attribute,
                           const std::string& reason) {
          decision({}, dn, {attribute, "not in carbonio-prov.txt", reason});
      }) {}

Result<> PlanWriter::read_old_passwords() {
    auto file = open_file(path(kPasswordsFile));
    if (!file) return {};  // the usual case: there is none
    CsvReader reader(**file);
    std::vector<Problem> problems;
    while (auto row = reader.next(problems)) {
        if (row->fields.size() == 2) old_passwords_[row->fields[0]] = row->fields[1];
    }
    return reader.error();
}

Result<> PlanWriter::prepare() {
    if (out_.empty()) return {};
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(out_).parent_path(), error);
    if (::mkdir(out_.c_str(), 0700) != 0 && errno != EEXIST) {
        return invalid("cannot make the folder " + printable(out_) + ": " +
                       std::generic_category().message(errno));
    }
    bool plan = false;
    bool foreign = false;
    for (const auto& item : std::filesystem::directory_iterator(out_, error)) {
        const auto name = item.path().filename().string();
        plan = plan || name == kPlanFile || name == kSummaryText || name == kPlanPart;
        foreign = true;
    }
    if (error) {
        return invalid("cannot use the folder " + printable(out_) + ": " + error.message());
    }
    if (foreign && !plan) {
        return invalid(printable(out_) +
                       " is neither empty nor an earlier plan; choose another --out");
    }
    ::chmod(out_.c_str(), 0700);
    IMAPULT_CHECK(read_old_passwords());
    for (const auto* name : kOutputs) {
        // Earlier passwords may be in use: they go only when new ones are there.
        if (name != kPasswordsFile) ::unlink(path(name).c_str());
    }
    IMAPULT_TRY(plan_, OutputFile::create(path(kPlanPart)));
    IMAPULT_TRY(decisions_, OutputFile::create(path(kDecisionsFile)));
    decisions_.write("file,line,dn,attribute,decision,reason\n");
    for (auto* file : {&ldif_, &updates_, &keep_, &accounts_, &passwords_}) {
        IMAPULT_TRY(*file, OutputFile::spool(out_));
    }
    for (auto& stage : script_) {
        IMAPULT_TRY(stage, OutputFile::spool(out_));
    }
    plan_.write("{\"version\":1,\"profile\":" + json_string(name_of(report_.profile)) +
                ",\"actions\":[");
    accounts_.write("source_user,destination_user\n");
    passwords_.write("account,password\n");
    return {};
}

void PlanWriter::action(const Action& action) {
    ++report_.counts[std::string(name_of(action.kind))][std::string(name_of(action.op))];
    if (!plan_.open()) return;
    std::string line = first_action_ ? "\n" : ",\n";
    first_action_ = false;
    line += "{\"op\":\"" + std::string(name_of(action.op)) + "\",\"kind\":\"" +
            std::string(name_of(action.kind)) + "\",\"name\":" + json_string(action.name);
    if (!action.member.empty()) line += ",\"member\":" + json_string(action.member);
    line += ",\"dn\":" + json_string(action.dn) + ",\"reason\":" + json_string(action.reason);
    if (action.where) {
        line += ",\"source\":{\"file\":" + json_string(source_.path(action.where->file)) +
                ",\"line\":" + std::to_string(action.where->line) + "}";
    }
    line += "}";
    plan_.write(line);
}

void PlanWriter::write_calls(const std::vector<Call>& calls) {
    for (const auto& call : calls) {
        const auto line = batch_line(call);
        if (!line.empty()) {
            script_[static_cast<std::size_t>(call.stage)].write(line + "\n");
        } else if (call.verb == Verb::set_default_cos) {
            decision({}, call.dn,
                     {"zimbraDomainDefaultCOSId", "not in carbonio-prov.txt",
                      "the id that " + call.name + " will have is not known beforehand", true});
        }
    }
}

void PlanWriter::entry(const Entry& entry) {
    if (ldif_.open()) {
        std::string text;
        append_ldif_entry(text, entry);
        ldif_.write(text);
    }
    // Also for `inspect`: what the calls cannot carry is a decision.
    write_calls(calls_.calls_for(entry));
}

void PlanWriter::keep(Entry entry) {
    if (out_.empty()) return;
    entry.remove("userpassword");
    std::string text;
    append_ldif_entry(text, entry);
    keep_.write(text);
    any_keep_ = true;
}

void PlanWriter::update(std::string_view record) {
    updates_.write(record);
}

void PlanWriter::share_line(std::string_view line) {
    script_[static_cast<std::size_t>(Stage::share)].write(std::string(line) + "\n");
}

void PlanWriter::decision_line(const Location& where, std::string_view dn, const Note& note,
                               const std::string& reason) {
    ++report_.decisions;
    const bool placed = where.line > 0;
    const std::string line = placed ? std::to_string(where.line) : std::string();
    const std::string file = placed ? source_.path(where.file) : std::string();
    decisions_.write(csv_line({file, line, dn, note.attribute, note.decision, reason}));
    if (report_.decision_lines.size() < kDecisionLinesKept) {
        report_.decision_lines.push_back((placed ? printable(file) + ":" + line + ": " : "") +
                                         (dn.empty() ? "" : printable(dn, 256) + ": ") +
                                         (note.attribute.empty() ? "" : note.attribute + " ") +
                                         note.decision + ": " + printable(reason));
    }
}

void PlanWriter::decision(const Location& where, std::string_view dn, const Note& note) {
    if (!note.routine) return decision_line(where, dn, note, note.reason);
    auto& routine = routine_[{note.attribute, note.reason}];
    if (routine.count++ == 0) {
        routine.where = where;
        routine.note = note;
    }
}

void PlanWriter::write_routine() {
    for (const auto& [key, routine] : routine_) {
        decision_line(routine.where, "", routine.note,
                      routine.note.reason + " (" + std::to_string(routine.count) +
                          (routine.count == 1 ? " entry)" : " entries, first at this line)"));
    }
    routine_.clear();
}

void PlanWriter::account(std::string_view source, std::string_view destination) {
    accounts_.write(csv_line({source, destination}));
}

Secret PlanWriter::password_for(const std::string& account) {
    ++report_.random_passwords;
    const auto old = old_passwords_.find(account);
    Secret password = old == old_passwords_.end() ? random_password() : Secret(old->second);
    any_password_ = true;
    std::string line = csv_field(account) + "," + std::string(password.reveal()) + "\n";
    passwords_.write(line);
    Secret::wipe(line);
    return password;
}

Result<> PlanWriter::write_summaries() {
    IMAPULT_TRY(auto text, OutputFile::create(path(kSummaryText)));
    text.write(summary_text(report_));
    IMAPULT_CHECK(text.close());
    IMAPULT_TRY(auto html, OutputFile::create(path(kSummaryHtml)));
    html.write(summary_html(report_));
    return html.close();
}

Result<> PlanWriter::finish() {
    write_calls(calls_.group_members());
    write_routine();
    if (out_.empty()) return {};
    const auto keep_file = [&](OutputFile& spool, const char* name) -> Result<> {
        IMAPULT_TRY(auto file, OutputFile::create(path(name)));
        IMAPULT_CHECK(spool.copy_to(file));
        if (&spool == &ldif_) IMAPULT_CHECK(updates_.copy_to(file));
        return file.close();
    };
    IMAPULT_CHECK(keep_file(ldif_, kLdifFile));
    IMAPULT_CHECK(keep_file(accounts_, kAccountsFile));
    if (any_keep_) IMAPULT_CHECK(keep_file(keep_, kKeepFile));
    ::unlink(path(kPasswordsFile).c_str());
    if (any_password_) IMAPULT_CHECK(keep_file(passwords_, kPasswordsFile));
    IMAPULT_TRY(auto script, OutputFile::create(path(kScriptFile)));
    for (auto& stage : script_) IMAPULT_CHECK(stage.copy_to(script));
    IMAPULT_CHECK(script.close());
    IMAPULT_CHECK(decisions_.close());
    IMAPULT_CHECK(write_summaries());
    nlohmann::json counts = report_.counts;
    plan_.write("\n],\"counts\":" + counts.dump() + "}\n");
    IMAPULT_CHECK(plan_.close());
    if (::rename(path(kPlanPart).c_str(), path(kPlanFile).c_str()) != 0) {
        return io_error(path(kPlanFile), errno);
    }
    return {};
}

Result<> PlanWriter::finish_with_conflicts() {
    write_routine();
    if (out_.empty()) return {};
    ::unlink(path(kPlanPart).c_str());
    IMAPULT_CHECK(decisions_.close());
    return write_summaries();
}

}  // namespace imapult::provisioning
