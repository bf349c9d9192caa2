#pragma once
// provision.toml: how the source's names become the destination's.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"

namespace imapult::provisioning {

struct Settings {
    // [destination]
    std::string mail_host;                       ///< empty: the only server of `--against`
    std::vector<std::string> adopt_domains;      ///< may exist at the destination with another id
    std::map<std::string, std::string> domains;  ///< [domains] source → destination, normal form
    std::map<std::string, std::string> cos;      ///< [cos] source name → destination name
    std::map<std::string, std::string> hosts;    ///< [hosts] host names in domain attributes
    std::map<std::string, std::string> attributes;  ///< [attributes] source name → destination name
    // [exclude], patterns of engine/base/glob.h in lower case
    std::vector<std::string> exclude_accounts;
    std::vector<std::string> exclude_domains;
    std::vector<std::string> exclude_attributes;
    // [passwords]
    bool keep_hashes = true;
    std::optional<bool> force_change;  ///< unset: TRUE for CSV layouts 1 and 3, else not forced
    std::string quota_unit = "B";      ///< [quota] unit: B, KiB, MiB or GiB
};

/// Reads and checks the file; an unknown table or key is an error (a misspelt setting must not be
/// ignored).
Result<Settings> load_settings(const std::string& path);

/// The commented example that `provision settings` prints; it parses to the defaults.
std::string_view settings_example();

}  // namespace imapult::provisioning
