#pragma once
// What stands on the command line (or in --config), before it is checked against the world.

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "engine/campaign/campaign.h"
#include "tools/imapult/secrets.h"

namespace CLI {
class App;
}

namespace imapult::program {

inline constexpr const char* kVersion = "0.1.0";

/// One of `--source-…` and `--destination-…`.
struct SideArguments {
    std::string url;
    std::string user;
    std::string admin;
    AuthMechanism auth = AuthMechanism::automatic;
    SecretArguments password;
    SecretArguments token;
    std::string ca_file;
    std::string fingerprint;
    bool insecure = false;
};

struct DataArguments {
    SideArguments source;
    SideArguments destination;
    std::string accounts_file;
    bool allow_cleartext = false;
    std::string state_dir;
    std::vector<std::string> include;
    std::vector<std::string> exclude;
    std::vector<std::string> map;
    std::vector<std::string> namespaces;  ///< empty: personal
    campaign::LabelPolicy gmail_labels = campaign::LabelPolicy::mailboxes;
    campaign::RightsPolicy acl = campaign::RightsPolicy::automatic;
    bool dry_run = false;
    bool no_special_use = false;
    bool no_subscriptions = false;
    bool retry_refused = false;
    bool delete_mirror = false;
    std::string delete_limit;  ///< "10%,1000"; empty: the default
    std::string delete_to;
    bool trust = false;
    bool repair = true;
    unsigned connections = 0;
    unsigned accounts_at_once = 0;
    std::string bytes_per_second_max;
    std::string bytes_per_day_max, host_bytes_per_day_max;
    std::string messages_per_day_max, host_messages_per_day_max;
    std::string retry_for;
    campaign::Compress compress = campaign::Compress::automatic;
    campaign::VerifyDepth depth = campaign::VerifyDepth::metadata;
    bool depth_given = false;
    std::string sample;        ///< "0.01" or "1%"
    std::string proof_file;    ///< to be written
    std::string against_file;  ///< to be read
};

struct OutputArguments {
    bool json = false;
    bool quiet = false;
    std::string events_file;
    std::vector<std::string> reports;
    std::string log_level;  ///< empty: warning, or error if quiet
};

struct ImapdArguments {
    std::string listen;
    std::string maildir;
    std::vector<std::string> users;  ///< NAME:FILE, the password in the file's first line
    bool force = false;
};

enum class Verb : std::uint8_t {
    none,  ///< help or version was printed
    copy,
    migrate,
    follow,
    check,
    verify,
    status,
    imapd,
    completion,
    other,  ///< a command registered by another part of the program; `exit_code` is its result
};
std::string_view name_of(Verb verb);

struct CommandLine {
    Verb verb = Verb::none;
    DataArguments data;
    OutputArguments output;
    ImapdArguments imapd;
    std::string config_file;  ///< already read when the command line has been parsed
    std::string shell;        ///< for completion
    int exit_code = 0;        ///< for none and other
};

/// How other parts of the program (provisioning, importers, demo) add commands: called with the
/// App before parsing; what their commands return is stored in `exit_code`.
using Registrar = std::function<void(CLI::App& app, int& exit_code)>;

/// Help texts go to `out` (standard output in production). The error is a text for standard error;
/// it never repeats what may be a credential. The program then ends with exit code 2.
std::expected<CommandLine, std::string> parse_command_line(
    const std::vector<std::string>& arguments, const std::vector<Registrar>& registrars,
    std::string& out);

/// A completion script for "bash", "zsh" or "fish".
std::string completion_script(std::string_view shell, const std::vector<Registrar>& registrars);

}  // namespace imapult::program
