#include "provisioning/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "engine/base/text.h"
#include "importers/http/client.h"
#include "provisioning/apply.h"
#include "provisioning/plan.h"
#include "provisioning/soap.h"
#include "provisioning/summary.h"

namespace imapult::provisioning {
namespace {

constexpr std::string_view kVersion = "0.1.0";
constexpr std::size_t kDecisionsShown = 50;

struct Arguments {
    std::vector<std::string> from;
    std::string settings;
    std::string against;
    std::string against_ldif;
    std::string out;
    std::string folder;
    std::string csv_layout;
    std::string shared_password_file;
    std::string directory;
    std::string soap;
    std::string bind_dn;
    std::string bind_password_file;
    std::string admin;
    std::string password_file;
    std::string ca_file;
    std::string fingerprint;
    bool tls_insecure = false;
    bool allow_cleartext = false;
    bool json = false;
};

int exit_code_of(const Error& error) {
    switch (error.code) {
        case Code::invalid_input:
            return 2;
        case Code::auth_refused:
            return 3;
        case Code::resolve_failed:
        case Code::connect_failed:
        case Code::tls_failed:
        case Code::connection_lost:
        case Code::timeout:
        case Code::protocol:
            return 4;
        default:
            return 1;
    }
}

std::string_view result_of(int exit_code) {
    if (exit_code == 0) return "complete";
    return exit_code == 1 || exit_code == 7 ? "partial" : "failed";
}

nlohmann::json head(std::string_view command, int exit_code) {
    return {{"imapult", kVersion},
            {"command", command},
            {"result", result_of(exit_code)},
            {"exit_code", exit_code}};
}

std::string dump(const nlohmann::json& object) {
    return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

// First line, without its line end (cli.md, provision 9).
Result<Secret> secret_in(const std::string& path, std::string_view option) {
    if (path.empty()) return invalid(std::string(option) + " is missing");
    std::ifstream in(path, std::ios::binary);
    std::string line;
    std::getline(in, line);
    if (in.bad() || (in.fail() && line.empty())) {
        return invalid("cannot read a password from " + printable(path));
    }
    while (line.ends_with('\r') || line.ends_with('\n')) line.pop_back();
    Secret secret(line);
    Secret::wipe(line);
    return secret;
}

Result<CsvLayout> layout_named(const std::string& name) {
    if (name.empty()) return CsvLayout::detect;
    if (name == "1") return CsvLayout::shared_password;
    if (name == "2") return CsvLayout::recovery;
    if (name == "3") return CsvLayout::own_password;
    if (name == "lists") return CsvLayout::lists;
    return invalid("--csv-layout is 1, 2, 3 or lists");
}

class Program {
  public:
    Program(std::ostream& out, std::ostream& err, int& exit_code)
        : out_(out), err_(err), exit_code_(exit_code) {}

    Arguments args;

    void inspect() { finish("provision inspect", do_inspect()); }
    void plan() { finish("provision plan", do_plan()); }
    void apply() { finish("provision apply", do_apply()); }
    void verify() { finish("provision verify", do_verify()); }
    void settings() {
        out_ << settings_example();
        exit_code_ = 0;
    }

  private:
    void finish(std::string_view command, Result<int> result) {
        if (result) {
            exit_code_ = *result;
            return;
        }
        exit_code_ = exit_code_of(result.error());
        err_ << "imapult: " << result.error().text << "\n";
        if (!args.json) return;
        auto object = head(command, exit_code_);
        object["error"] = result.error().text;
        out_ << dump(object);
    }

    Result<LdapTarget> target(const std::string& url) {
        IMAPULT_TRY(auto target, parse_ldap_url(url, args.allow_cleartext));
        if (args.bind_dn.empty() && !target.url.starts_with("ldapi:")) {
            return invalid("--bind-dn is missing");
        }
        if (!args.bind_dn.empty() && args.bind_password_file.empty()) {
            return invalid("--bind-password-file is missing");
        }
        target.bind_dn = args.bind_dn;
        target.ca_file = args.ca_file;
        target.insecure = args.tls_insecure;
        if (!args.fingerprint.empty()) {
            IMAPULT_TRY(target.fingerprint_sha256, http::parse_fingerprint(args.fingerprint));
        }
        if (!args.bind_password_file.empty()) {
            IMAPULT_TRY(target.password,
                        secret_in(args.bind_password_file, "--bind-password-file"));
        }
        if (args.tls_insecure) err_ << "imapult: certificates are not checked (insecure)\n";
        return target;
    }

    Result<PlanInput> input() {
        PlanInput input;
        input.from = args.from;
        if (input.from.empty()) return invalid("no files are given");
        IMAPULT_TRY(input.layout, layout_named(args.csv_layout));
        if (!args.settings.empty()) {
            IMAPULT_TRY(input.settings, load_settings(args.settings));
        }
        if (!args.shared_password_file.empty()) {
            IMAPULT_TRY(auto secret,
                        secret_in(args.shared_password_file, "--shared-password-file"));
            input.shared_password = std::string(secret.reveal());
        }
        return input;
    }

    Result<Destination> destination() {
        if (!args.against.empty() && !args.against_ldif.empty()) {
            return invalid("--against and --against-ldif exclude each other");
        }
        Destination destination;
        if (!args.against_ldif.empty()) {
            IMAPULT_TRY(auto source, SourceSet::open({args.against_ldif}, CsvLayout::detect));
            IMAPULT_CHECK(destination.read(std::move(source)));
        } else if (!args.against.empty()) {
            IMAPULT_TRY(const auto where, target(args.against));
            IMAPULT_TRY(auto session, LdapSession::connect(where));
            std::string spool = args.out;
            while (spool.ends_with('/')) spool.pop_back();
            std::error_code ignored;  // a folder that cannot be made shows when the spool is made
            std::filesystem::create_directories(std::filesystem::path(spool).parent_path(),
                                                ignored);
            return destination_from(session, spool + ".against.tmp");
        }
        return destination;
    }

    static nlohmann::json conflict_json(const PlanReport& report, const Conflict& conflict) {
        const auto file = [&](const Location& where) {
            return printable(report.files[where.file]);
        };
        nlohmann::json object = {
            {"kind", conflict.kind},        {"value", printable(conflict.value)},
            {"file", file(conflict.where)}, {"line", conflict.where.line},
            {"dn", printable(conflict.dn)}, {"other", nullptr},
            {"message", conflict.message}};
        if (conflict.other) {
            const auto& other = *conflict.other;
            nlohmann::json side = {
                {"file", nullptr}, {"line", nullptr}, {"dn", printable(other.dn)}};
            if (!other.at_destination) {
                side["file"] = file(other.where);
                side["line"] = other.where.line;
            }
            object["other"] = std::move(side);
        }
        return object;
    }

    int report_plan(std::string_view command, const PlanReport& report, bool conflicts_stop) {
        for (const auto& problem : report.problems) err_ << problem_line(report, problem) << "\n";
        for (const auto& conflict : report.conflicts) {
            err_ << conflict_line(report, conflict) << "\n";
        }
        int code = report.problems_total > 0 ? 1 : 0;
        if (!report.conflicts.empty() && conflicts_stop) code = 2;
        if (!args.json) {
            out_ << summary_text(report);
            return code;
        }
        auto object = head(command, code);
        object["profile"] = name_of(report.profile);
        object["counts"] = report.counts;
        object["decisions"] = report.decisions;
        object["random_passwords"] = report.random_passwords;
        object["notes"] = report.notes;
        object["conflicts"] = nlohmann::json::array();
        for (const auto& conflict : report.conflicts) {
            object["conflicts"].push_back(conflict_json(report, conflict));
        }
        if (command == "provision inspect") object["decision_lines"] = report.decision_lines;
        object["problems"] = nlohmann::json::array();
        for (const auto& problem : report.problems) {
            object["problems"].push_back({{"file", printable(report.files[problem.file])},
                                          {"line", problem.problem.line},
                                          {"dn", printable(problem.problem.dn)},
                                          {"message", problem.problem.what}});
        }
        out_ << dump(object);
        return code;
    }

    Result<int> do_inspect() {
        IMAPULT_TRY(const auto from, input());
        Destination nothing;
        IMAPULT_TRY(const auto report, make_plan(from, nothing, {}));
        const int code = report_plan("provision inspect", report, false);
        if (args.json) return code;
        out_ << "\nDecisions\n";
        for (std::size_t i = 0; i < report.decision_lines.size(); ++i) {
            if (i == kDecisionsShown) {
                out_ << "  … and " << report.decisions - i << " more; `plan` writes all of them\n";
                break;
            }
            out_ << "  " << report.decision_lines[i] << "\n";
        }
        return code;
    }

    Result<int> do_plan() {
        IMAPULT_TRY(const auto from, input());
        IMAPULT_TRY(auto against, destination());
        IMAPULT_TRY(const auto report, make_plan(from, against, args.out));
        return report_plan("provision plan", report, true);
    }

    Result<int> do_apply() {
        if (args.directory.empty() == args.soap.empty()) {
            return invalid("give either --directory or --soap");
        }
        ApplyReport report;
        if (!args.directory.empty()) {
            IMAPULT_TRY(const auto where, target(args.directory));
            IMAPULT_CHECK(open_plan(args.folder, false));
            IMAPULT_TRY(auto session, LdapSession::connect(where));
            IMAPULT_TRY(report, apply_over_ldap(args.folder, session));
        } else {
            SoapTarget where;
            where.url = args.soap;
            where.allow_cleartext = args.allow_cleartext;
            where.tls = {args.ca_file, args.fingerprint, args.tls_insecure};
            where.admin = args.admin;
            if (where.admin.empty()) return invalid("--admin is missing");
            IMAPULT_TRY(where.password, secret_in(args.password_file, "--password-file"));
            if (args.tls_insecure) err_ << "imapult: certificates are not checked (insecure)\n";
            IMAPULT_TRY(report, apply_over_soap(args.folder, where));
        }
        return report_apply(report);
    }

    static nlohmann::json failures_json(const std::vector<Failure>& failures) {
        auto list = nlohmann::json::array();
        for (const auto& failure : failures) {
            list.push_back({{"dn", printable(failure.dn)}, {"reason", failure.reason}});
        }
        return list;
    }

    int report_apply(const ApplyReport& report) {
        const bool all = report.failed + report.skipped == 0 && report.dropped.empty();
        const int code = all ? 0 : 1;
        for (const auto& failure : report.failures) {
            err_ << printable(failure.dn) << ": " << failure.reason << "\n";
        }
        for (const auto& value : report.dropped) {
            err_ << printable(value.dn) << ": not carried: " << value.reason << "\n";
        }
        for (const auto& note : report.notes) err_ << "imapult: " << note << "\n";
        if (!args.json) {
            out_ << report.total << " entries: " << report.created << " created, " << report.updated
                 << " updated, " << report.unchanged << " unchanged, " << report.failed
                 << " failed, " << report.skipped << " skipped\n";
            return code;
        }
        auto object = head("provision apply", code);
        object["actions"] = {{"total", report.total},     {"created", report.created},
                             {"updated", report.updated}, {"unchanged", report.unchanged},
                             {"failed", report.failed},   {"skipped", report.skipped}};
        object["notes"] = report.notes;
        object["failures"] = failures_json(report.failures);
        object["not_carried"] = failures_json(report.dropped);
        out_ << dump(object);
        return code;
    }

    Result<int> do_verify() {
        IMAPULT_TRY(const auto where, target(args.directory));
        IMAPULT_CHECK(open_plan(args.folder, true));
        IMAPULT_TRY(auto session, LdapSession::connect(where));
        IMAPULT_TRY(const auto report, verify_over_ldap(args.folder, session));
        const int code = report.different + report.missing + report.extra > 0 ? 7 : 0;
        for (const auto& difference : report.differences) {
            err_ << printable(difference.dn) << ": " << difference.reason << "\n";
        }
        if (!args.json) {
            out_ << report.total << " entries: " << report.equal << " equal, " << report.different
                 << " different, " << report.missing << " missing, " << report.extra << " extra\n";
            return code;
        }
        auto object = head("provision verify", code);
        object["entries"] = {{"total", report.total},
                             {"equal", report.equal},
                             {"different", report.different},
                             {"missing", report.missing},
                             {"extra", report.extra}};
        object["differences"] = failures_json(report.differences);
        out_ << dump(object);
        return code;
    }

    std::ostream& out_;
    std::ostream& err_;
    int& exit_code_;
};

void add_input(CLI::App& command, Arguments& args) {
    command.add_option("--settings", args.settings,
                       "Names and rules of the move (see `imapult provision settings`)");
    command.add_option("--csv-layout", args.csv_layout,
                       "Layout of CSV files: 1, 2, 3 or lists (default: by their shape)");
    command.add_option("--shared-password-file", args.shared_password_file,
                       "First line: the password of all accounts of CSV layout 1");
    command.add_flag("--json", args.json, "One JSON object on standard output");
}

void add_directory(CLI::App& command, Arguments& args) {
    command.add_option("--bind-dn", args.bind_dn, "DN to bind as");
    command.add_option("--bind-password-file", args.bind_password_file,
                       "File whose first line is the bind password");
    command.add_option("--destination-ca-file", args.ca_file, "PEM file of trusted authorities");
    command.add_option("--destination-tls-fingerprint", args.fingerprint,
                       "SHA-256 of the server's certificate");
    command.add_flag("--destination-tls-insecure", args.tls_insecure, "Do not check certificates");
    command.add_flag("--allow-cleartext", args.allow_cleartext,
                     "Clear text elsewhere than on loopback");
}

}  // namespace

void add_commands(CLI::App& app, std::ostream& out, std::ostream& err, int& exit_code) {
    auto program = std::make_shared<Program>(out, err, exit_code);
    auto& args = program->args;
    auto* provision = app.add_subcommand(
        "provision", "Move the directory: domains, accounts, lists (LDIF or CSV to Carbonio)");
    provision->require_subcommand(1);

    auto* inspect = provision->add_subcommand("inspect", "What is in the files");
    inspect->add_option("files", args.from, "LDIF or CSV files")->required();
    add_input(*inspect, args);
    inspect->callback([program] { program->inspect(); });

    auto* plan = provision->add_subcommand("plan", "Compute what to create; touches nothing");
    plan->add_option("--from", args.from, "LDIF or CSV files (one input set)")->required();
    plan->add_option("--against", args.against, "ldap:// URL of the destination's directory");
    plan->add_option("--against-ldif", args.against_ldif, "LDIF export of the destination");
    plan->add_option("--out", args.out, "Folder of the plan")->required();
    add_input(*plan, args);
    add_directory(*plan, args);
    plan->footer(
        "Example:\n  imapult provision plan --from export.ldif --against "
        "ldap://ldap.example.com --bind-dn uid=zimbra,cn=admins,cn=zimbra "
        "--bind-password-file secret --out plan");
    plan->callback([program] { program->plan(); });

    auto* apply = provision->add_subcommand("apply", "Carry a plan out");
    apply->add_option("plan", args.folder, "Folder of the plan")->required();
    apply->add_option("--directory", args.directory, "ldap://, ldaps:// or ldapi:// URL");
    apply->add_option("--soap", args.soap, "https://HOST:7071 of the administration interface");
    apply->add_option("--admin", args.admin, "Administrator for --soap");
    apply->add_option("--password-file", args.password_file,
                      "File whose first line is the administrator's password");
    apply->add_flag("--json", args.json, "One JSON object on standard output");
    add_directory(*apply, args);
    apply->callback([program] { program->apply(); });

    auto* verify = provision->add_subcommand("verify", "Read back and compare entry by entry");
    verify->add_option("plan", args.folder, "Folder of the plan")->required();
    verify->add_option("--directory", args.directory, "ldap://, ldaps:// or ldapi:// URL")
        ->required();
    verify->add_flag("--json", args.json, "One JSON object on standard output");
    add_directory(*verify, args);
    verify->callback([program] { program->verify(); });

    auto* settings =
        provision->add_subcommand("settings", "Print a commented example of provision.toml");
    settings->callback([program] { program->settings(); });
}

}  // namespace imapult::provisioning
