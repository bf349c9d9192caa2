#include "tools/imapult/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>

#include "engine/base/text.h"
#include "tools/imapult/command_line_app.h"
#include "tools/imapult/config_file.h"
#include "tools/imapult/endpoint_url.h"

namespace imapult::program {
namespace {

constexpr const char* kUrlHelp =
    "imaps://HOST[:PORT] (TLS), imap://HOST[:PORT] (STARTTLS) or imap://HOST[:PORT]?tls=off;\n"
    "a user may stand before an @";

const std::map<std::string, AuthMechanism> kMechanisms = {
    {"auto", AuthMechanism::automatic},
    {"plain", AuthMechanism::plain},
    {"login", AuthMechanism::login},
    {"cram-md5", AuthMechanism::cram_md5},
    {"scram-sha-256", AuthMechanism::scram_sha_256},
    {"xoauth2", AuthMechanism::xoauth2},
    {"oauthbearer", AuthMechanism::oauthbearer},
};
const std::map<std::string, campaign::Compress> kCompress = {
    {"auto", campaign::Compress::automatic},
    {"on", campaign::Compress::on},
    {"off", campaign::Compress::off},
};
const std::map<std::string, campaign::RightsPolicy> kAcl = {
    {"none", campaign::RightsPolicy::none},
    {"auto", campaign::RightsPolicy::automatic},
    {"copy", campaign::RightsPolicy::copy},
    {"list", campaign::RightsPolicy::list},
};
const std::map<std::string, campaign::LabelPolicy> kLabels = {
    {"mailboxes", campaign::LabelPolicy::mailboxes},
    {"first", campaign::LabelPolicy::first},
    {"keywords", campaign::LabelPolicy::keywords},
};
const std::map<std::string, bool> kDelete = {{"none", false}, {"mirror", true}};
const std::map<std::string, bool> kOnOff = {{"on", true}, {"off", false}};
const std::map<std::string, campaign::VerifyDepth> kDepths = {
    {"counts", campaign::VerifyDepth::counts},
    {"metadata", campaign::VerifyDepth::metadata},
    {"content", campaign::VerifyDepth::content},
};

/// A choice shown by its names, not by numbers.
template <class T>
CLI::Option* add_choice(CLI::App& app, const std::string& name, T& value,
                        const std::map<std::string, T>& choices, const std::string& help) {
    std::string names;
    for (const auto& [key, unused] : choices) names += (names.empty() ? "" : "|") + key;
    return app
        .add_option_function<std::string>(
            name, [&value, &choices](const std::string& key) { value = choices.at(key); }, help)
        ->check([&choices, names](const std::string& key) {
            return choices.contains(key) ? std::string() : "must be one of " + names;
        })
        ->type_name(names);
}

void add_side(CLI::App& app, const std::string& side, SideArguments& arguments) {
    const std::string group = side == "source" ? "Source" : "Destination";
    const auto option = [&](const std::string& name, auto& value, const std::string& help) {
        return app.add_option("--" + side + name, value, help)->group(group);
    };
    option("", arguments.url, kUrlHelp)->type_name("URL");
    option("-user", arguments.user, "the account, if it does not stand in the URL")
        ->type_name("NAME");
    option("-admin", arguments.admin,
           "log in as this administrator and act as the account (SASL PLAIN authzid)")
        ->type_name("NAME");
    option("-password-file", arguments.password.file, "the password is the file's first line")
        ->type_name("FILE");
    option("-password-env", arguments.password.environment,
           "the password is in this environment variable")
        ->type_name("NAME");
    option("-password-command", arguments.password.command,
           "the password is the first line that this shell command prints")
        ->type_name("COMMAND");
    option("-token-file", arguments.token.file,
           "OAuth token: the file's first line, read anew at each log-in")
        ->type_name("FILE");
    option("-token-env", arguments.token.environment, "OAuth token from this environment variable")
        ->type_name("NAME");
    option("-token-command", arguments.token.command,
           "OAuth token printed by this shell command, run anew at each log-in")
        ->type_name("COMMAND");
    add_choice(app, "--" + side + "-auth", arguments.auth, kMechanisms,
               "how to log in; auto picks the strongest offered")
        ->group(group);
    option("-ca-file", arguments.ca_file, "PEM file of the authorities to trust")
        ->type_name("FILE");
    option("-tls-fingerprint", arguments.fingerprint,
           "trust the certificate with this SHA-256 fingerprint and no other")
        ->type_name("SHA256");
    app.add_flag("--" + side + "-tls-insecure", arguments.insecure,
                 "accept any certificate; named in every report")
        ->group(group);
}

void add_output(CLI::App& app, OutputArguments& output, bool with_progress) {
    app.add_flag("--json", output.json,
                 "print the summary as one JSON object, and nothing else, on standard output")
        ->group("Output");
    if (!with_progress) return;
    app.add_flag("--quiet,-q", output.quiet, "no progress, only errors")->group("Output");
    app.add_option("--events", output.events_file, "append one JSON object a line as things happen")
        ->type_name("FILE")
        ->group("Output");
    app.add_option("--report", output.reports, "write a report: .html, .json or .csv (repeatable)")
        ->type_name("FILE")
        ->expected(1)
        ->take_all()
        ->group("Output");
    app.add_option("--log-level", output.log_level,
                   "what is logged to standard error (default: warning)")
        ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "off"}))
        ->type_name("LEVEL")
        ->group("Output");
}

void add_state(CLI::App& app, DataArguments& data) {
    app.add_option("--state", data.state_dir,
                   "what is known of every message (default: $XDG_STATE_HOME/imapult)")
        ->type_name("DIR");
}

void add_selection(CLI::App& app, DataArguments& data) {
    app.add_option("--include", data.include,
                   "only mailboxes like this, e.g. 'INBOX*'; * matches any characters, / included "
                   "(repeatable)")
        ->type_name("GLOB")
        ->expected(1)
        ->take_all()
        ->group("Mailboxes");
    app.add_option("--exclude", data.exclude, "no mailboxes like this; wins over --include")
        ->type_name("GLOB")
        ->expected(1)
        ->take_all()
        ->group("Mailboxes");
    app.add_option("--map", data.map,
                   "the mailbox SRC and all below it become DST at the destination (repeatable)")
        ->type_name("SRC=DST")
        ->expected(1)
        ->take_all()
        ->group("Mailboxes");
    app.add_option("--namespaces", data.namespaces,
                   "whose mailboxes are copied: personal, shared, other (users'), separated by "
                   "commas (default: personal)")
        ->type_name("LIST")
        ->expected(1)
        ->take_all()
        ->group("Mailboxes");
    add_choice(app, "--gmail-labels", data.gmail_labels, kLabels,
               "of a Gmail source: mailboxes puts a message into each of its labels' mailboxes "
               "(default), first into one of them; keywords makes keywords of them")
        ->group("Mailboxes");
    app.add_flag("--no-special-use", data.no_special_use,
                 "do not bring Sent, Drafts, Trash … together when their names differ")
        ->group("Mailboxes");
}

void add_config(CLI::App& app, std::string& file) {
    app.add_option(
           "--config", file,
           "TOML with long options as keys, e.g. source = \"imaps://old.example.com\"; what "
           "stands on the command line goes before it")
        ->type_name("FILE");
}

/// How much a provider is asked for, and for how long.
void add_budgets(CLI::App& app, DataArguments& data) {
    const auto add = [&app](const char* name, std::string& value, const char* help) {
        app.add_option(name, value, help)->type_name("N")->group("Budgets and patience");
    };
    add("--max-bytes-per-day", data.bytes_per_day_max,
        "stop an account for today (UTC) when it has copied so much, for example 2500M for Gmail; "
        "the others go on, and the same command goes on tomorrow; earlier runs count");
    add("--max-messages-per-day", data.messages_per_day_max, "the same in messages");
    add("--max-host-bytes-per-day", data.host_bytes_per_day_max,
        "the same for all accounts of a host together, source or destination");
    add("--max-host-messages-per-day", data.host_messages_per_day_max, "the same in messages");
    app.add_option("--retry-for", data.retry_for,
                   "go on so long without progress while a server asks for patience or cannot be "
                   "reached, for example 90s, 20m or 12h (default: 1h if it asks, else 45s)")
        ->type_name("TIME")
        ->group("Budgets and patience");
}

void add_data(CLI::App& app, DataArguments& data, Verb verb) {
    add_side(app, "source", data.source);
    add_side(app, "destination", data.destination);
    app.add_flag("--allow-cleartext", data.allow_cleartext,
                 "allow ?tls=off to hosts that are not this machine");
    if (verb != Verb::copy) {
        auto* accounts = app.add_option("--accounts", data.accounts_file,
                                        "one account a line: CSV with the columns source_user, "
                                        "destination_user, source_password …, imapsync's form, or "
                                        "a plain list of addresses")
                             ->type_name("FILE");
        if (verb == Verb::migrate) accounts->required();
        app.add_option("--accounts-at-once", data.accounts_at_once,
                       verb == Verb::follow ? "how many passes run at a time"
                                            : "how many accounts are worked on at a time")
            ->check(CLI::Range(1U, 10'000U))
            ->type_name("N")
            ->group("Speed");
    }
    add_state(app, data);
    add_selection(app, data);
    app.add_option("--connections", data.connections, "connections per account and side")
        ->check(CLI::Range(1U, 64U))
        ->type_name("N")
        ->group("Speed");
    app.add_option("--max-bytes-per-second", data.bytes_per_second_max,
                   "over all accounts; k, M and G are understood")
        ->type_name("N")
        ->group("Speed");
    if (verb == Verb::copy || verb == Verb::migrate || verb == Verb::follow) add_budgets(app, data);
    add_choice(app, "--compress", data.compress, kCompress,
               "COMPRESS=DEFLATE; auto: where offered, never to this machine")
        ->group("Speed");
    if (verb == Verb::verify) {
        add_choice(app, "--depth", data.depth, kDepths, "what is compared (default: metadata)");
        app.add_option("--sample", data.sample,
                       "compare only this part of the bodies, chosen by chance, and say how "
                       "certain that makes it; implies --depth content")
            ->type_name("RATE");
        app.add_option("--proof", data.proof_file,
                       "write a proof of what is at the destination: SHA-256 Merkle roots and a "
                       "hash for each message; implies --depth content")
            ->type_name("FILE");
        app.add_option("--against", data.against_file,
                       "compare the destination with this proof; no source is needed")
            ->type_name("FILE");
    }
    if (verb == Verb::copy || verb == Verb::migrate) {
        app.add_flag("--dry-run", data.dry_run,
                     "write nothing to the destination; print the plan and its counts");
    }
    if (verb == Verb::copy || verb == Verb::migrate || verb == Verb::follow) {
        app.add_flag("--no-subscriptions", data.no_subscriptions,
                     "leave the destination's subscriptions alone")
            ->group("Mailboxes");
        add_choice(app, "--acl", data.acl, kAcl,
                   "rights on mailboxes: copy writes them, and lists what the destination does not "
                   "take as lines for carbonio prov; auto does so where anything has changed "
                   "(default); list only lists")
            ->group("Mailboxes");
        app.add_flag("--retry-refused", data.retry_refused,
                     "try messages again that the destination refused in an earlier run");
        add_choice(app, "--delete", data.delete_mirror, kDelete,
                   "what becomes of copies whose originals were deleted at the source: none keeps "
                   "them (default); mirror deletes those that imapult copied and nobody changed")
            ->group("Deletions");
        app.add_option("--delete-limit", data.delete_limit,
                       "delete nothing of a mailbox where a run would delete more than this: a "
                       "part, a number or both (default: 10%,1000)")
            ->type_name("P%[,N]|N")
            ->group("Deletions");
        app.add_option("--delete-to", data.delete_to,
                       "move them to this mailbox of the destination instead of deleting them")
            ->type_name("MAILBOX")
            ->group("Deletions");
        add_choice(app, "--repair", data.repair, kOnOff,
                   "change what the destination refuses as little as it takes; originals are kept "
                   "in the state directory under refused/ (default: on)");
        app.add_flag("--trust", data.trust,
                     "do not read back size and flags of what the destination said OK to");
    }
}

struct VerbHelp {
    Verb verb;
    const char* name;
    const char* help;
    const char* examples;
};

constexpr VerbHelp kDataVerbs[] = {
    {Verb::copy, "copy", "Copy one account; run it again to bring over what is new",
     "Examples:\n"
     "  imapult copy --source imaps://alice%40example.com@old.example.com \\\n"
     "               --source-password-file alice.old \\\n"
     "               --destination imaps://alice%40example.com@new.example.com \\\n"
     "               --destination-password-file alice.new\n"
     "  imapult copy … --dry-run --exclude 'Trash*' --map 'Sent Items=Sent'\n"
     "  imapult copy … --namespaces personal,shared --map 'Public Folders=Shared/Old'\n"
     "  imapult copy … --delete mirror --delete-to 'Deleted by the migration'\n"},
    {Verb::migrate, "migrate", "Copy many accounts at once",
     "Examples:\n"
     "  imapult migrate --accounts accounts.csv --source imaps://old.example.com \\\n"
     "                  --destination imaps://new.example.com --report migration.html\n"
     "  imapult migrate --accounts addresses.txt --source imaps://old.example.com \\\n"
     "                  --source-admin root --source-password-file root.old \\\n"
     "                  --destination imaps://new.example.com \\\n"
     "                  --destination-admin admin@example.com \\\n"
     "                  --destination-password-file admin.new\n"},
    {Verb::follow, "follow", "Keep accounts in step until stopped, for the days of a cutover",
     "After a first pass as of copy or migrate it waits for changes at the source (NOTIFY, else\n"
     "IDLE and polling, else polling) and carries them over at once. Ctrl-C or SIGTERM ends it\n"
     "with the summary; SIGUSR1 prints how far each account is behind, as does imapult status.\n"
     "Examples:\n"
     "  imapult follow --accounts accounts.csv --source imaps://old.example.com \\\n"
     "                 --destination imaps://new.example.com --delete mirror --events lag.jsonl\n"
     "  imapult follow --source imaps://alice%40example.com@old.example.com \\\n"
     "                 --source-password-file alice.old \\\n"
     "                 --destination imaps://alice%40example.com@new.example.com \\\n"
     "                 --destination-password-file alice.new\n"},
    {Verb::check, "check", "Connect, log in, list and estimate; write nothing anywhere",
     "Example:\n"
     "  imapult check --accounts accounts.csv --source imaps://old.example.com \\\n"
     "                --destination imaps://new.example.com\n"},
    {Verb::verify, "verify", "Compare source and destination message by message",
     "Examples:\n"
     "  imapult verify --depth content --accounts accounts.csv \\\n"
     "                 --source imaps://old.example.com --destination imaps://new.example.com\n"
     "  imapult verify --sample 1% …           some bodies, and how certain that makes it\n"
     "  imapult verify --proof proof.json …    all bodies, written down for later\n"
     "  imapult verify --against proof.json --destination imaps://new.example.com \\\n"
     "                 --destination-admin admin@example.com \\\n"
     "                 --destination-password-file admin.new\n"},
};

constexpr const char* kFooter =
    "Exit codes: 0 everything is there; 1 some of it is not, and it says what; 2 command line or\n"
    "accounts file; 3 authentication refused; 4 no connection or TLS; 5 destination over quota;\n"
    "6 state directory; 7 verify found differences; 70 a bug; 130, 143 interrupted.\n"
    "\n"
    "Start with:  imapult copy --help\n";

}  // namespace

void build_app(CLI::App& app, CommandLine& line) {
    app.name("imapult");
    app.description(
        "Moves whole mail infrastructures from any IMAP server to another.\n"
        "The source is only read; running the same command again moves what is new.");
    app.footer(kFooter);
    app.set_version_flag("--version", std::string("imapult ") + kVersion);
    app.set_help_flag("--help,-h", "print this help");
    app.set_help_all_flag("--help-all", "print the help of all commands");
    app.require_subcommand(1);
    app.get_formatter()->column_width(38);

    for (const VerbHelp& help : kDataVerbs) {
        CLI::App* sub = app.add_subcommand(help.name, help.help);
        sub->footer(help.examples);
        add_config(*sub, line.config_file);
        add_data(*sub, line.data, help.verb);
        add_output(*sub, line.output, true);
        sub->callback([&line, sub, verb = help.verb] {
            line.verb = verb;
            line.data.depth_given = verb == Verb::verify && sub->count("--depth") > 0;
        });
    }
    CLI::App* status = app.add_subcommand("status", "What the state directory knows; no network");
    status->footer("Example:\n  imapult status --state /var/lib/imapult --json\n");
    add_state(*status, line.data);
    add_output(*status, line.output, false);
    status->callback([&line] { line.verb = Verb::status; });

    CLI::App* imapd = app.add_subcommand("imapd", "A small in-memory IMAP server to try things on");
    imapd->footer(
        "Example:\n"
        "  imapult imapd --listen 127.0.0.1:10143 --user alice:alice.password\n");
    imapd->add_option("--listen", line.imapd.listen, "where; port 0 picks a free one")
        ->required()
        ->type_name("HOST:PORT");
    imapd
        ->add_option("--maildir", line.imapd.maildir,
                     "load this Maildir++ tree, or one for each user below it")
        ->type_name("DIR");
    imapd
        ->add_option("--user", line.imapd.users,
                     "an account; its password is the file's first line (repeatable)")
        ->type_name("NAME:FILE")
        ->expected(1)
        ->take_all();
    imapd->add_flag("--force", line.imapd.force, "also on an address that others can reach");
    imapd->callback([&line] { line.verb = Verb::imapd; });

    CLI::App* completion = app.add_subcommand("completion", "Print a completion script");
    completion->footer("Example:\n  source <(imapult completion bash)\n");
    completion->add_option("shell", line.shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    completion->callback([&line] { line.verb = Verb::completion; });
}

namespace {

/// Error texts of the parser repeat arguments; an argument may be a URL with a password in it, or
/// a password that follows a mistyped option.
std::string safe_error(const CLI::ParseError& error, const std::vector<std::string>& arguments) {
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
        for (const std::string& argument : arguments) {
            const std::string name = argument.substr(0, argument.find('='));
            const bool mentioned = std::string_view(error.what()).contains(argument);
            if (mentioned && name.starts_with("-")) {
                return fmt::format("the option {} is not known here", printable(name, 64));
            }
        }
        return "there is an argument that belongs to no option";
    }
    const std::string text = error.what();
    return text.contains("://") ? "an argument is not valid" : printable(text);
}

}  // namespace

std::string_view name_of(Verb verb) {
    switch (verb) {
        case Verb::copy:
            return "copy";
        case Verb::migrate:
            return "migrate";
        case Verb::follow:
            return "follow";
        case Verb::check:
            return "check";
        case Verb::verify:
            return "verify";
        case Verb::status:
            return "status";
        case Verb::imapd:
            return "imapd";
        case Verb::completion:
            return "completion";
        case Verb::none:
        case Verb::other:
            break;
    }
    return "";
}

namespace {
/// `--delete-to "$UNSET"` must not mean what the option's absence means.
void refuse_empty_values(const CLI::App& app) {
    for (const CLI::Option* option : app.get_options()) {
        const auto& values = option->results();
        if (std::ranges::any_of(values, &std::string::empty)) {
            throw CLI::ValidationError(option->get_name(),
                                       "a value is needed, and the one given is empty");
        }
    }
    for (const CLI::App* parsed : app.get_subcommands()) refuse_empty_values(*parsed);
}
}  // namespace

std::expected<CommandLine, std::string> parse_command_line(
    const std::vector<std::string>& arguments, const std::vector<Registrar>& registrars,
    std::string& out) {
    CommandLine line;
    line.verb = Verb::other;
    CLI::App app;
    build_app(app, line);
    for (const Registrar& registrar : registrars) registrar(app, line.exit_code);
    const auto config = read_config(arguments, app);
    if (!config) return std::unexpected(config.error());
    std::vector<std::string> all = arguments;
    if (!all.empty()) {
        all.insert(all.begin() + 1, config->arguments.begin(), config->arguments.end());
    }
    try {
        // CLI11 takes them from the back.
        app.parse(std::vector<std::string>(all.rbegin(), all.rend()));
        refuse_empty_values(app);
    } catch (const CLI::CallForAllHelp&) {
        out += app.help("", CLI::AppFormatMode::All);
        line.verb = Verb::none;
    } catch (const CLI::CallForHelp&) {
        out += app.help();
        line.verb = Verb::none;
    } catch (const CLI::CallForVersion&) {
        out += std::string("imapult ") + kVersion + "\n";
        line.verb = Verb::none;
    } catch (const CLI::ParseError& error) {
        const auto& parsed = app.get_subcommands();
        const std::string help =
            parsed.empty() ? "imapult --help" : "imapult " + parsed.front()->get_name() + " --help";
        const std::string place = config->place_of(error.what());
        return std::unexpected(fmt::format("{}{}{}\n{} tells what there is.", place,
                                           place.empty() ? "" : ": ", safe_error(error, all),
                                           help));
    }
    return line;
}

}  // namespace imapult::program
