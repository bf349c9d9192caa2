#include "tools/imapult/settings.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include "engine/base/text.h"
#include "tools/imapult/accounts_file.h"
#include "tools/imapult/endpoint_url.h"
#include "tools/imapult/proof_file.h"

namespace imapult::program {
namespace {

constexpr std::size_t kFingerprintDigits = 64;  // SHA-256 in hex
constexpr std::size_t kGlobBytesMax = 4096;

/// What the command line says of one side, checked; rows of the accounts file are laid over it.
struct SideDefaults {
    Side side = Side::source;
    std::optional<EndpointUrl> url;
    std::string user;
    EndpointSpec spec;  ///< all but host, port, tls, user and, for passwords asked later, secret
};

class Preparation {
  public:
    Preparation(Verb verb, const DataArguments& arguments, const Prompt& prompt)
        : verb_(verb), arguments_(arguments), prompt_(prompt) {}

    std::expected<Settings, std::vector<std::string>> run() {
        simple_options();
        names();
        source_ = side(Side::source, arguments_.source);
        destination_ = side(Side::destination, arguments_.destination);
        if (verb_ == Verb::verify) verify_options();
        if (!arguments_.against_file.empty()) {
            if (errors_.empty()) accounts_of_proof();
        } else if (arguments_.accounts_file.empty()) {
            if (errors_.empty()) single_account();
        } else {
            accounts_of_file();
        }
        if (!errors_.empty()) return std::unexpected(std::move(errors_));
        disambiguate_names();
        return std::move(settings_);
    }

  private:
    void error(std::string text) { errors_.push_back(std::move(text)); }

    void simple_options() {
        campaign::Options& options = settings_.options;
        switch (verb_) {
            case Verb::migrate:
                options.command = campaign::Command::migrate;
                break;
            case Verb::follow:
                options.command = campaign::Command::follow;
                break;
            case Verb::check:
                options.command = campaign::Command::check;
                break;
            case Verb::verify:
                options.command = campaign::Command::verify;
                break;
            default:
                options.command = campaign::Command::copy;
                break;
        }
        options.depth = arguments_.depth;
        options.dry_run = arguments_.dry_run;
        options.rights = arguments_.acl;
        options.labels = arguments_.gmail_labels;
        namespaces(options.spaces);
        options.special_use = !arguments_.no_special_use;
        options.subscriptions = !arguments_.no_subscriptions;
        options.retry_refused = arguments_.retry_refused;
        options.trust = arguments_.trust;
        options.repair = arguments_.repair;
        options.compress = arguments_.compress;
        options.connections = arguments_.connections;
        options.accounts_at_once = arguments_.accounts_at_once;
        if (!arguments_.bytes_per_second_max.empty()) {
            const auto bytes = parse_byte_count(arguments_.bytes_per_second_max);
            if (!bytes || *bytes == 0) {
                error("--max-bytes-per-second: a number such as 500000, 500k or 10M is needed");
            } else {
                options.bytes_per_second_max = *bytes;
            }
        }
        deletions(options.remove);
        budgets();
        auto folder = state_folder(arguments_.state_dir);
        if (folder) options.state_dir = std::move(*folder);
        if (!folder) error(folder.error().text);
    }

    void namespaces(campaign::Spaces& spaces) {
        if (arguments_.namespaces.empty()) return;
        spaces = {.personal = false, .other = false, .shared = false};
        for (const std::string& list : arguments_.namespaces) {
            std::string_view rest = list;
            do {
                const std::size_t comma = std::min(rest.find(','), rest.size());
                const std::string_view word = trim(rest.substr(0, comma));
                rest.remove_prefix(std::min(comma + 1, rest.size()));
                if (word == "personal") {
                    spaces.personal = true;
                } else if (word == "shared") {
                    spaces.shared = true;
                } else if (word == "other") {
                    spaces.other = true;
                } else {
                    return error(
                        "--namespaces: one or more of personal, shared and other are needed, "
                        "separated by commas");
                }
            } while (!rest.empty());
        }
    }

    void deletions(campaign::DeletePolicy& policy) {
        policy.mirror = arguments_.delete_mirror;
        if (!arguments_.delete_limit.empty()) {
            const auto limit = parse_delete_limit(arguments_.delete_limit);
            if (limit) {
                policy.percent_max = limit->percent_max;
                policy.messages_max = limit->messages_max;
            } else {
                error(limit.error().text);
            }
        }
        const std::string& to = arguments_.delete_to;
        if (!policy.mirror && !(to.empty() && arguments_.delete_limit.empty()))
            error("--delete-limit and --delete-to say how --delete mirror deletes; it is missing");
        if (!to.empty() && (!is_utf8(to) || to.starts_with('/') || to.ends_with('/') ||
                            printable(to, SIZE_MAX) != to)) {
            error("--delete-to: the name of a mailbox is needed, with / between levels");
        }
        policy.to = to;
    }

    void budgets() {
        campaign::Limits& limits = settings_.options.limits;
        const auto read = [this](const std::string& text, const char* option, std::uint64_t& out) {
            if (text.empty()) return;
            const auto number = parse_byte_count(text);
            if (number && *number > 0) {
                out = *number;
            } else {
                error(fmt::format("{}: a number such as 500000, 500k or 10M is needed", option));
            }
        };
        read(arguments_.bytes_per_day_max, "--max-bytes-per-day", limits.bytes_per_day);
        read(arguments_.messages_per_day_max, "--max-messages-per-day", limits.messages_per_day);
        read(arguments_.host_bytes_per_day_max, "--max-host-bytes-per-day",
             limits.host_bytes_per_day);
        read(arguments_.host_messages_per_day_max, "--max-host-messages-per-day",
             limits.host_messages_per_day);
        if (arguments_.retry_for.empty()) return;
        const auto time = parse_duration(arguments_.retry_for);
        if (time) {
            settings_.options.retry_for = settings_.options.away_for = *time;
        } else {
            error("--retry-for: a time such as 90s, 20m or 12h is needed");
        }
    }

    void verify_options() {
        campaign::Options& options = settings_.options;
        const bool sampled = !arguments_.sample.empty();
        const bool proves = !arguments_.proof_file.empty();
        const bool against = !arguments_.against_file.empty();
        if (sampled) {
            const auto rate = parse_rate(arguments_.sample);
            if (rate) options.sample = *rate;
            if (!rate) error("--sample: a part such as 0.01 or 1% is needed");
        }
        if (proves) {
            options.proof = true;
            if (sampled) error("--proof needs every body; leave --sample out");
            if (const auto good = check_folder(arguments_.proof_file); !good)
                error("--proof: " + good.error().text);
        }
        if (against && (sampled || proves))
            error("--against compares everything that was proved; leave --sample and --proof out");
        if (!sampled && !proves && !against) return;
        if (arguments_.depth_given && options.depth != campaign::VerifyDepth::content) {
            error(fmt::format("{} compares bodies: --depth content, or no --depth",
                              sampled  ? "--sample"
                              : proves ? "--proof"
                                       : "--against"));
        }
        options.depth = campaign::VerifyDepth::content;
    }

    static std::optional<double> parse_rate(std::string_view text) {
        double scale = 1;
        if (text.ends_with('%')) {
            text.remove_suffix(1);
            scale = 100;
        }
        double value = 0;
        const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value,
                                                   std::chars_format::fixed);
        if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
        value /= scale;
        if (!(value > 0 && value <= 1)) return std::nullopt;
        return value;
    }

    static Result<void> check_folder(const std::string& path) {
        const std::size_t slash = path.rfind('/');
        const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
        if (access(folder.c_str(), W_OK | X_OK) == 0) return {};
        return invalid(
            fmt::format("{} cannot be written there: {}", printable(path), std::strerror(errno)));
    }

    void names() {
        const auto check_globs = [&](const std::vector<std::string>& globs, const char* option) {
            for (const std::string& glob : globs) {
                if (glob.empty() || glob.size() > kGlobBytesMax || !is_utf8(glob)) {
                    error(fmt::format("{}: a pattern is empty, too long or not UTF-8", option));
                }
            }
        };
        check_globs(arguments_.include, "--include");
        check_globs(arguments_.exclude, "--exclude");
        settings_.options.include = arguments_.include;
        settings_.options.exclude = arguments_.exclude;
        std::set<std::string> seen;
        for (const std::string& text : arguments_.map) {
            const auto map = parse_map(text);
            if (!map) {
                error(map.error().text);
            } else if (!seen.insert(map->source).second) {
                error(fmt::format("--map: {} is mapped twice", printable(map->source)));
            } else {
                settings_.options.map.push_back(*map);
            }
        }
    }

    static Result<campaign::NameMap> parse_map(const std::string& text) {
        const std::string help = fmt::format(
            "--map: {}: SRC=DST is needed, with / between levels and none at the ends "
            "(a = in a name is written \\=)",
            printable(text));
        campaign::NameMap map;
        std::string* part = &map.source;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '\\' && i + 1 < text.size() &&
                (text[i + 1] == '=' || text[i + 1] == '\\')) {
                *part += text[++i];
            } else if (text[i] == '=' && part == &map.source) {
                part = &map.destination;
            } else {
                *part += text[i];
            }
        }
        for (const std::string& name : {map.source, map.destination}) {
            const bool control = std::ranges::any_of(
                name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
            if (name.empty() || name.front() == '/' || name.back() == '/' || control ||
                name.contains("//") || !is_utf8(name)) {
                return invalid(help);
            }
        }
        return map;
    }

    SideDefaults side(Side which, const SideArguments& arguments) {
        SideDefaults defaults;
        defaults.side = which;
        const std::string option = fmt::format("--{}", name_of(which));
        if (!arguments.url.empty()) {
            auto url = parse_endpoint_url(arguments.url);
            if (url) {
                defaults.user = url->user;
                defaults.url = std::move(*url);
            } else {
                error(fmt::format("{}: {}", option, url.error().text));
            }
        }
        if (!arguments.user.empty()) {
            if (!defaults.user.empty() && defaults.user != arguments.user) {
                error(fmt::format(
                    "{0}-user: the URL in {0} names another user; give one of the two", option));
            }
            defaults.user = arguments.user;
        }
        EndpointSpec& spec = defaults.spec;
        spec.admin = arguments.admin;
        spec.auth = arguments.auth;
        spec.tls_insecure = arguments.insecure;
        spec.allow_cleartext = arguments_.allow_cleartext;
        tls(option, arguments, spec);
        secret(option, arguments, spec);
        return defaults;
    }

    void tls(const std::string& option, const SideArguments& arguments, EndpointSpec& spec) {
        spec.ca_file = arguments.ca_file;
        if (!spec.ca_file.empty() && access(spec.ca_file.c_str(), R_OK) != 0) {
            error(fmt::format("{}-ca-file: {} cannot be read", option, printable(spec.ca_file)));
        }
        for (const char c : to_lower(arguments.fingerprint)) {
            if (c != ':' && c != ' ') spec.fingerprint_sha256 += c;
        }
        const bool is_hex =
            spec.fingerprint_sha256.find_first_not_of("0123456789abcdef") == std::string::npos;
        if (!spec.fingerprint_sha256.empty() &&
            (!is_hex || spec.fingerprint_sha256.size() != kFingerprintDigits)) {
            error(
                fmt::format("{}-tls-fingerprint: 64 hex digits are needed, colons allowed (openssl "
                            "x509 -noout -fingerprint -sha256 prints them)",
                            option));
        }
        if (spec.tls_insecure && !(spec.ca_file.empty() && spec.fingerprint_sha256.empty())) {
            error(fmt::format("{0}-tls-insecure contradicts {0}-ca-file and {0}-tls-fingerprint",
                              option));
        }
    }

    void secret(const std::string& option, const SideArguments& arguments, EndpointSpec& spec) {
        if (arguments.password.given() + arguments.token.given() > 1) {
            error(
                fmt::format("{0}: the secret comes from exactly one of {0}-password-file, "
                            "{0}-password-env, {0}-password-command and the {0}-token-… options",
                            option));
            return;
        }
        const bool has_token = arguments.token.given() > 0;
        if (has_token && spec.auth == AuthMechanism::automatic) spec.auth = AuthMechanism::xoauth2;
        if (has_token != takes_token(spec.auth)) {
            error(has_token
                      ? fmt::format("{0}-auth: a token goes with xoauth2 or oauthbearer", option)
                      : fmt::format("{0}-auth {1} needs a token: {0}-token-file, "
                                    "{0}-token-env or {0}-token-command",
                                    option, name_of(spec.auth)));
            return;
        }
        const bool acts_for_others = spec.auth == AuthMechanism::automatic ||
                                     spec.auth == AuthMechanism::plain ||
                                     spec.auth == AuthMechanism::scram_sha_256;
        if (!spec.admin.empty() && !acts_for_others) {
            error(
                fmt::format("{0}-admin works with {0}-auth plain or scram-sha-256 only: {1} cannot "
                            "act as another user",
                            option, name_of(spec.auth)));
            return;
        }
        if (!has_token && arguments.password.given() == 0) return;
        auto source = has_token ? token_source(arguments.token, settings_.warnings)
                                : password_source(arguments.password, settings_.warnings);
        if (source) spec.secret = std::move(*source);
        if (!source) error(fmt::format("{}: {}", option, source.error().text));
    }

    void single_account() {
        if (!source_.url || !destination_.url) {
            error(verb_ == Verb::copy
                      ? "--source URL and --destination URL are needed"
                      : "--source URL and --destination URL, or --accounts FILE, are "
                        "needed");
            return;
        }
        if (source_.user.empty()) {
            error(
                "--source: the user is missing: write it before an @ in the URL (@ in it as %40) "
                "or give --source-user");
            return;
        }
        AccountRow row;
        row.source_user = source_.user;
        row.destination_user = destination_.user.empty() ? source_.user : destination_.user;
        add_account(std::move(row), "");
    }

    /// The destination alone, against what was proved of it.
    void accounts_of_proof() {
        const std::string file = printable(arguments_.against_file);
        if (source_.url) {
            error("--against needs no source; leave --source out");
            return;
        }
        auto proofs = read_proof(arguments_.against_file);
        if (!proofs) {
            error(fmt::format("--against: {}: {}", file, proofs.error().text));
            return;
        }
        std::vector<AccountRow> rows;
        if (!arguments_.accounts_file.empty()) {
            auto listed = read_accounts_file(arguments_.accounts_file);
            if (!listed) {
                for (std::string& text : listed.error()) error(std::move(text));
                return;
            }
            for (std::string& text : listed->warnings)
                settings_.warnings.push_back(std::move(text));
            rows = std::move(listed->rows);
        } else {
            std::set<std::string> users;  // several accounts may have gone to one
            for (const auto& proof : *proofs) {
                AccountRow row;
                row.destination_user = proof->destination_user;
                const bool wanted =
                    destination_.user.empty() || destination_.user == row.destination_user;
                if (wanted && users.insert(row.destination_user).second)
                    rows.push_back(std::move(row));
            }
        }
        if (rows.empty()) {
            error(fmt::format("--against: {} proves nothing of {}", file,
                              printable(destination_.user)));
        }
        for (const AccountRow& row : rows) {
            const Proofs found = proofs_for(row, *proofs);
            if (found.empty()) {
                error(fmt::format("--against: {} proves nothing of {}", file,
                                  printable(row.destination_user)));
                continue;
            }
            const std::string place =
                row.line > 0 ? fmt::format("{}:{}: ", printable(arguments_.accounts_file), row.line)
                             : std::string();
            campaign::AccountSpec account;
            account.destination = endpoint(destination_, row.destination, row.destination_user,
                                           row.destination_password, place);
            for (const auto& proof : found) {
                account.name = proof->account;
                account.against = proof;
                settings_.options.accounts.push_back(account);
            }
        }
    }

    /// What was proved of the row's destination user; of several accounts that went to it, the one
    /// that the row names. A row without a source user, or with the same user on both sides, stands
    /// for all of them.
    static Proofs proofs_for(const AccountRow& row, const Proofs& proofs) {
        Proofs all, named, with_host;
        for (const auto& proof : proofs) {
            if (proof->destination_user != row.destination_user) continue;
            all.push_back(proof);
            if (proof->account == row.source_user) named.push_back(proof);
            // As disambiguate_names() has it.
            if (proof->account.starts_with(row.source_user + "@")) with_host.push_back(proof);
        }
        if (!named.empty()) return named;
        if (row.source_user.empty() || row.source_user == row.destination_user) return all;
        return with_host;
    }

    void accounts_of_file() {
        auto file = read_accounts_file(arguments_.accounts_file);
        if (!file) {
            for (std::string& text : file.error()) error(std::move(text));
            return;
        }
        for (std::string& text : file->warnings) settings_.warnings.push_back(std::move(text));
        if (!source_.user.empty() || !destination_.user.empty()) {
            error(
                "with --accounts the users stand in the file, not in a URL; an administrator's "
                "name goes with --source-admin or --destination-admin");
        }
        if (!errors_.empty()) return;
        const std::string name = printable(arguments_.accounts_file);
        for (AccountRow& row : file->rows) {
            const std::string place = fmt::format("{}:{}: ", name, row.line);
            add_account(std::move(row), place);
            if (errors_.size() > 100) break;
        }
    }

    void add_account(AccountRow row, const std::string& place) {
        campaign::AccountSpec account;
        const std::size_t errors_before = errors_.size();
        account.source = endpoint(source_, row.source, row.source_user, row.source_password, place);
        account.destination = endpoint(destination_, row.destination, row.destination_user,
                                       row.destination_password, place);
        if (errors_.size() != errors_before) return;
        const EndpointSpec& a = account.source;
        const EndpointSpec& b = account.destination;
        if (a.host == b.host && a.port == b.port && equal_ignoring_case(a.user, b.user)) {
            error(place + "source and destination are the same account; change one of them");
            return;
        }
        account.name = row.source_user;
        settings_.options.accounts.push_back(std::move(account));
    }

    EndpointSpec endpoint(SideDefaults& defaults, const std::optional<EndpointUrl>& row,
                          const std::string& user, const std::optional<Secret>& password,
                          const std::string& place) {
        EndpointSpec spec = defaults.spec;
        spec.user = user;
        const std::string_view side = name_of(defaults.side);
        if (!row && !defaults.url) {
            error(fmt::format("{0}the {1} server is not given; add --{1} URL{2}", place, side,
                              place.empty() ? "" : fmt::format(" or a column {}_url", side)));
            return spec;
        }
        // The row's host with the port and TLS mode of the command line, where it names none.
        EndpointUrl url = row ? *row : *defaults.url;
        if (!url.tls) {
            url.tls = defaults.url ? defaults.url->tls : TlsMode::implicit;
            if (!url.port && defaults.url) url.port = defaults.url->port;
        }
        spec.host = url.host;
        spec.tls = *url.tls;
        spec.port = url.port.value_or(spec.tls == TlsMode::implicit ? 993 : 143);
        if (spec.tls == TlsMode::off && !is_loopback_host(spec.host) && !spec.allow_cleartext) {
            error(fmt::format(
                "{}clear text to the {} {} is refused: passwords and mail could be read "
                "on the way; use imaps:// or imap:// with STARTTLS, or give "
                "--allow-cleartext",
                place, side, spec.host));
        }
        set_secret(spec, defaults, password, place);
        return spec;
    }

    void set_secret(EndpointSpec& spec, SideDefaults& defaults,
                    const std::optional<Secret>& password, const std::string& place) {
        const std::string_view side = name_of(defaults.side);
        if (password && takes_token(spec.auth)) {
            error(
                fmt::format("{}a password for the {} does not go with its --{}-token-… option; "
                            "leave one of them out",
                            place, side, side));
            return;
        }
        if (password) {
            // A password of its own: the account logs in as itself.
            spec.admin.clear();
            spec.secret = fixed_secret(*password, place + "the accounts file");
            return;
        }
        if (spec.secret.present()) return;
        const bool shared = !spec.admin.empty();
        if (!shared && !place.empty()) {
            error(
                fmt::format("{0}there is no {1} password; add the column {1}_password, or give "
                            "--{1}-admin with --{1}-password-file",
                            place, side));
            return;
        }
        ask(spec, defaults, shared);
    }

    void ask(EndpointSpec& spec, SideDefaults& defaults, bool shared) {
        const std::string_view side = name_of(defaults.side);
        if (!prompt_) {
            error(
                fmt::format("there is no {0} password and no terminal to ask on; give one of "
                            "--{0}-password-file, --{0}-password-env and --{0}-password-command",
                            side));
            return;
        }
        if (!errors_.empty()) return;
        auto secret =
            prompt_(fmt::format("Password of {} at the {} {}",
                                printable(shared ? spec.admin : spec.user), side, spec.host));
        if (!secret) {
            error(fmt::format("--{}: {}", side, secret.error().text));
            return;
        }
        spec.secret = fixed_secret(std::move(*secret), "the terminal");
        if (shared) defaults.spec.secret = spec.secret;
    }

    /// Reports name accounts by the source user; where two servers have one each, with the host.
    void disambiguate_names() {
        std::set<std::string> seen;
        std::set<std::string> ambiguous;
        for (const auto& account : settings_.options.accounts) {
            if (!seen.insert(account.name).second) ambiguous.insert(account.name);
        }
        for (auto& account : settings_.options.accounts) {
            if (ambiguous.contains(account.name) && !account.against)
                account.name = account.source.account();
        }
    }

    Verb verb_;
    const DataArguments& arguments_;
    const Prompt& prompt_;
    Settings settings_;
    SideDefaults source_;
    SideDefaults destination_;
    std::vector<std::string> errors_;
};

}  // namespace

std::expected<Settings, std::vector<std::string>> prepare(Verb verb, const DataArguments& arguments,
                                                          const Prompt& prompt) {
    return Preparation(verb, arguments, prompt).run();
}

Result<std::string> state_folder(const std::string& given) {
    std::filesystem::path folder = given;
    if (given.empty()) {
        const char* state_home = std::getenv("XDG_STATE_HOME");
        const char* home = std::getenv("HOME");
        if (state_home != nullptr && *state_home == '/') {
            folder = std::filesystem::path(state_home) / "imapult";
        } else if (home != nullptr && *home == '/') {
            folder = std::filesystem::path(home) / ".local/state/imapult";
        } else {
            return invalid("neither XDG_STATE_HOME nor HOME is set; give --state DIR");
        }
    }
    std::error_code failed;
    const auto absolute = std::filesystem::absolute(folder, failed);
    if (failed) return invalid("--state: the folder's name cannot be used");
    return absolute.lexically_normal().string();
}

Result<campaign::DeletePolicy> parse_delete_limit(std::string_view text) {
    campaign::DeletePolicy policy;
    policy.percent_max.reset();
    policy.messages_max.reset();
    bool fine = !text.empty() && !text.ends_with(',');
    while (fine && !text.empty()) {
        const std::size_t comma = std::min(text.find(','), text.size());
        std::string_view part = trim(text.substr(0, comma));
        text.remove_prefix(std::min(comma + 1, text.size()));
        const bool percent = part.ends_with('%');
        if (percent) part = trim(part.substr(0, part.size() - 1));
        const auto number = parse_number(part);
        fine = number && (!percent || *number <= 100) &&
               !(percent ? policy.percent_max.has_value() : policy.messages_max.has_value());
        if (!fine) break;
        if (percent) {
            policy.percent_max = static_cast<unsigned>(*number);
        } else {
            policy.messages_max = *number;
        }
    }
    if (fine) return policy;
    return invalid(
        "--delete-limit: a part of the mailbox such as 10%, a number of messages such as "
        "1000, or both (10%,1000) are needed");
}

Result<std::chrono::seconds> parse_duration(std::string_view text) {
    using namespace std::chrono_literals;
    constexpr std::chrono::seconds kMost = std::chrono::days(365);
    std::chrono::seconds unit = 1s;
    if (!text.empty()) {
        switch (text.back()) {
            case 's':
                break;
            case 'm':
                unit = 1min;
                break;
            case 'h':
                unit = 1h;
                break;
            case 'd':
                unit = std::chrono::days(1);
                break;
            default:
                unit = 0s;
                break;
        }
    }
    if (unit > 0s) text.remove_suffix(std::min<std::size_t>(text.size(), 1));
    const auto number = parse_number(text);
    const std::chrono::seconds each = std::max(unit, 1s);
    if (!number || *number > static_cast<std::uint64_t>(kMost / each)) {
        return invalid("not a time");
    }
    return each * static_cast<std::int64_t>(*number);
}

Result<std::uint64_t> parse_byte_count(std::string_view text) {
    std::uint64_t unit = 1;
    if (!text.empty()) {
        switch (text.back()) {
            case 'k':
            case 'K':
                unit = 1ULL << 10;
                break;
            case 'm':
            case 'M':
                unit = 1ULL << 20;
                break;
            case 'g':
            case 'G':
                unit = 1ULL << 30;
                break;
            default:
                break;
        }
    }
    if (unit > 1) text.remove_suffix(1);
    const std::size_t point = std::min(text.find('.'), text.size());
    const auto whole = parse_number(text.substr(0, point));
    std::uint64_t fraction = 0;
    std::uint64_t scale = 1;
    if (point < text.size()) {
        const std::string_view digits = text.substr(point + 1);
        const auto parsed = digits.size() <= 6 ? parse_number(digits) : std::nullopt;
        if (!parsed) return invalid("not a number of bytes");
        fraction = *parsed;
        for (std::size_t i = 0; i < digits.size(); ++i) scale *= 10;
    }
    if (!whole || *whole > UINT64_MAX / unit) return invalid("not a number of bytes");
    return *whole * unit + fraction * unit / scale;
}

}  // namespace imapult::program
