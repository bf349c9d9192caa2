#include "importers/commands.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <memory>

#include "engine/base/text.h"
#include "importers/run.h"
#include "importers/secrets.h"

namespace imapult::importers {
namespace {

std::atomic<bool> stop_requested{false};
std::atomic<int> stop_signal{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void on_signal(int number) {
    stop_signal = number;
    stop_requested = true;
}

/// Catches SIGINT and SIGTERM for its lifetime.
class SignalGuard {
  public:
    SignalGuard() {
        stop_requested = false;
        struct sigaction action{};
        action.sa_handler = on_signal;
        ::sigaction(SIGINT, &action, &interrupt_);
        ::sigaction(SIGTERM, &action, &terminate_);
    }
    ~SignalGuard() {
        ::sigaction(SIGINT, &interrupt_, nullptr);
        ::sigaction(SIGTERM, &terminate_, nullptr);
    }
    SignalGuard(const SignalGuard&) = delete;
    SignalGuard& operator=(const SignalGuard&) = delete;

  private:
    struct sigaction interrupt_{};
    struct sigaction terminate_{};
};

/// What the user gave, as given.
struct Given {
    RunOptions run;
    std::string destination;
    std::string admin;
    std::string admin_url;
    std::string import_as;
    SecretSource secret;
    bool allow_cleartext = false;
    bool json = false;
    bool dry_run = false;
    std::string report;
    std::string log_level = "info";
    double timeout_seconds = 600;
};

std::string default_state() {
    const char* state = std::getenv("XDG_STATE_HOME");
    if (state != nullptr && *state == '/') return std::string(state) + "/imapult";
    const char* home = std::getenv("HOME");
    return (home == nullptr ? std::string(".") : std::string(home) + "/.local/state") + "/imapult";
}

std::string default_admin_url(const http::Endpoint& user) {
    const bool six = user.host.contains(':');
    return "https://" + std::string(six ? "[" : "") + user.host + (six ? "]" : "") + ":7071";
}

Result<> settle_destination(Given& given) {
    RunOptions& run = given.run;
    if (given.destination.empty()) return invalid("--destination https://HOST is missing");
    IMAPULT_TRY(run.carbonio.user_side,
                http::parse_endpoint(given.destination, given.allow_cleartext));
    const std::string admin_url =
        given.admin_url.empty() ? default_admin_url(run.carbonio.user_side) : given.admin_url;
    IMAPULT_TRY(run.carbonio.admin_side, http::parse_endpoint(admin_url, given.allow_cleartext));
    const std::string as = !given.import_as.empty() ? given.import_as
                           : given.admin.empty()    ? "user"
                                                    : "delegate";
    run.carbonio.import_as = as == "admin"  ? ImportAs::admin
                             : as == "user" ? ImportAs::user
                                            : ImportAs::delegate;
    if (run.carbonio.import_as != ImportAs::user) {
        if (given.admin.empty())
            return invalid("--import-as " + as + " needs --destination-admin NAME");
        run.carbonio.admin_name = given.admin;
        IMAPULT_TRY(run.carbonio.admin_password, read_secret(given.secret, "destination"));
    }
    if (!run.http.tls.fingerprint_sha256.empty()) {
        IMAPULT_TRY(run.http.tls.fingerprint_sha256,
                    http::parse_fingerprint(run.http.tls.fingerprint_sha256));
    }
    run.http.total_timeout =
        std::chrono::milliseconds(static_cast<std::int64_t>(given.timeout_seconds * 1000));
    if (run.state_directory.empty()) run.state_directory = default_state();
    return {};
}

/// The users' own passwords where there is no accounts file.
Result<> settle_passwords(Given& given) {
    const bool needed = given.run.mode == Mode::upload &&
                        given.run.carbonio.import_as == ImportAs::user &&
                        given.run.inputs.accounts_file.empty();
    if (!needed) return {};
    if (given.run.inputs.account.empty() && !given.secret.given()) {
        return invalid(
            "whose password? give --destination-admin, --accounts FILE with destination_password, "
            "or --account");
    }
    IMAPULT_TRY(given.run.user_password, read_secret(given.secret, "destination"));
    return {};
}

int finish(const Given& given, const RunReport& report) {
    if (!given.report.empty()) {
        if (const auto written = report.write(given.report); !written) {
            std::cerr << "imapult: " << written.error().text << '\n';
        }
    }
    if (given.json) {
        std::cout << report.json() << std::endl;
        if (report.error) std::cerr << "imapult: " << report.error->text << '\n';
    } else if (!given.run.quiet || report.exit_code() != 0) {
        std::cerr << report.text();
    }
    return report.exit_code();
}

int execute(Given& given) {
    const auto usage_error = [&](const Error& error) {
        RunReport report;
        report.command = given.run.mode == Mode::check       ? "import check"
                         : given.run.mode == Mode::script    ? "import script"
                         : given.run.what == What::calendars ? "import calendars"
                                                             : "import contacts";
        report.error = error;
        return finish(given, report);
    };
    if (given.dry_run && given.run.mode == Mode::upload) given.run.mode = Mode::check;
    if (given.run.mode == Mode::upload) {
        if (const auto settled = settle_destination(given); !settled)
            return usage_error(settled.error());
        if (const auto settled = settle_passwords(given); !settled)
            return usage_error(settled.error());
    }
    for (const char* ending : {".json", ".csv", ".html"}) {
        if (given.report.empty() || given.report.ends_with(ending)) break;
        if (std::string_view(ending) == ".html")
            return usage_error(Error{Code::invalid_input,
                                     Scope::run,
                                     Retry::never,
                                     Outcome::not_done,
                                     {},
                                     "--report wants a name that ends in .html, .json or .csv"});
    }
    given.run.terminal = ::isatty(STDERR_FILENO) != 0;
    const SignalGuard guard;
    const RunReport report = run_import(given.run, stop_requested, stop_signal);
    return finish(given, report);
}

void add_common(CLI::App& command, Given& given) {
    InputOptions& in = given.run.inputs;
    command.add_option("--from", in.from, "Directories with USER@DOMAIN files, or single files")
        ->required();
    command.add_option("--account", in.account, "Only this account; owner of single files");
    command.add_option("--folder", in.folder, "Destination folder of --account's files");
    command.add_option(
        "--accounts", in.accounts_file,
        "Accounts file: columns destination_user, destination_password, source_user");
    command.add_option("--out", given.run.out, "Where refused/ (and the script) is written")
        ->capture_default_str();
    command.add_flag("--json", given.json, "Print the summary object");
    command.add_option("--events", given.run.events, "Append one JSON object a line to this file");
    command.add_option("--report", given.report, "Write a report: FILE.html, .json or .csv");
    command.add_option("--log-level", given.log_level, "error, warning, info or debug")
        ->check(CLI::IsMember({"error", "warning", "info", "debug"}));
    command.add_flag("--quiet", given.run.quiet, "No progress");
    command
        .add_option("--contacts-max", given.run.contacts_max,
                    "The server's zimbraContactMaxNumEntries")
        ->capture_default_str();
    command
        .add_option("--accounts-at-once", given.run.accounts_at_once,
                    "Accounts worked on in parallel")
        ->capture_default_str()
        ->check(CLI::Range(1, 64));
}

void add_destination(CLI::App& command, Given& given) {
    command.add_option("--destination", given.destination,
                       "https://HOST[:PORT] of the users' side");
    command.add_option("--destination-admin", given.admin, "Administrator to act as");
    command.add_option("--destination-admin-url", given.admin_url,
                       "Where admin SOAP lives (default https://HOST:7071)");
    command.add_option("--import-as", given.import_as, "delegate, admin or user")
        ->check(CLI::IsMember({"delegate", "admin", "user"}));
    command.add_option("--destination-password-file", given.secret.file,
                       "First line is the password");
    command.add_option("--destination-password-env", given.secret.env,
                       "Environment variable with the password");
    command.add_option("--destination-password-command", given.secret.command,
                       "Command that prints the password");
    command.add_option("--destination-ca-file", given.run.http.tls.ca_file,
                       "PEM file of trusted authorities");
    command.add_option("--destination-tls-fingerprint", given.run.http.tls.fingerprint_sha256,
                       "Trust exactly this certificate (SHA-256)");
    command.add_flag("--destination-tls-insecure", given.run.http.tls.insecure,
                     "Check no certificate (named in every report)");
    command.add_flag("--allow-cleartext", given.allow_cleartext,
                     "Allow http:// elsewhere than on loopback");
    command.add_option("--connections", given.run.connections, "Uploads of one account at once")
        ->capture_default_str()
        ->check(CLI::Range(1, 16));
    command.add_option("--state", given.run.state_directory,
                       "State directory (default $XDG_STATE_HOME/imapult)");
    command.add_option("--timeout", given.timeout_seconds, "Seconds for one request")
        ->capture_default_str()
        ->check(CLI::Range(1.0, 86400.0));
    command.add_option("--tries", given.run.http.tries, "Tries of one request")
        ->capture_default_str()
        ->check(CLI::Range(1, 20));
    command.add_flag("--dry-run", given.dry_run, "Read and check only; nothing is sent");
}

void add_command(CLI::App& parent, int& exit_code, const char* name, const char* help,
                 const char* example, What what, Mode mode) {
    CLI::App* command = parent.add_subcommand(name, help);
    // Owned by the callback, which CLI11 keeps as long as the command.
    auto given = std::make_shared<Given>();
    given->run.what = what;
    given->run.mode = mode;
    add_common(*command, *given);
    // check and script need no network, but take the same line.
    add_destination(*command, *given);
    command->footer(example);
    command->callback([given, &exit_code] { exit_code = execute(*given); });
}

}  // namespace

void add_import_commands(CLI::App& app, int& exit_code) {
    CLI::App* import =
        app.add_subcommand("import", "Calendars (ICS) and contacts (CSV, vCard) into Carbonio");
    import->require_subcommand(1);
    add_command(*import, exit_code, "calendars", "Upload USER@DOMAIN.ics files",
                "Example:\n  imapult import calendars --from export/ --destination "
                "https://mail.example.com \\\n      --destination-admin admin@example.com "
                "--destination-password-file admin.pw",
                What::calendars, Mode::upload);
    add_command(
        *import, exit_code, "contacts", "Upload USER@DOMAIN.csv and .vcf files",
        "Example:\n  imapult import contacts --from export/ --destination https://mail.example.com "
        "\\\n      --destination-admin admin@example.com --destination-password-file admin.pw",
        What::contacts, Mode::upload);
    add_command(*import, exit_code, "check", "Read and mend everything, say what would be sent",
                "Example:\n  imapult import check --from export/ --report check.html", What::both,
                Mode::check);
    add_command(*import, exit_code, "script", "Write a `carbonio prov` batch and cleaned files",
                "Example:\n  imapult import script --from export/ --out batch && cd batch && "
                "carbonio prov -f carbonio-prov.txt",
                What::both, Mode::script);
}

}  // namespace imapult::importers
