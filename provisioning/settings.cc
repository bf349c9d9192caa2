#include "provisioning/settings.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "engine/base/text.h"
#include "provisioning/address.h"

namespace imapult::provisioning {
namespace {

struct Known {
    std::string_view table;
    std::string_view key;  ///< "*": any key
};
constexpr std::array kKnown = {
    Known{"destination", "mail_host"},
    Known{"destination", "adopt_domains"},
    Known{"domains", "*"},
    Known{"cos", "*"},
    Known{"hosts", "*"},
    Known{"attributes", "*"},
    Known{"exclude", "accounts"},
    Known{"exclude", "domains"},
    Known{"exclude", "attributes"},
    Known{"passwords", "keep_hashes"},
    Known{"passwords", "force_change"},
    Known{"quota", "unit"},
};

bool is_known(std::string_view table, std::string_view key) {
    return std::ranges::any_of(kKnown, [&](const Known& known) {
        return known.table == table && (known.key == "*" || known.key == key);
    });
}

// A value of the wrong type is an error, not a default.
struct Reader {
    const toml::table& root;
    std::string path;
    std::string problem;

    const toml::node* node(std::string_view table, std::string_view key) const {
        const auto* inner = root.get_as<toml::table>(table);
        return inner ? inner->get(key) : nullptr;
    }
    void wrong(std::string_view table, std::string_view key, std::string_view what) {
        problem = printable(path) + ": [" + std::string(table) + "] " + printable(key, 64) +
                  " must be " + std::string(what);
    }
    void text(std::string_view table, std::string_view key, std::string& into) {
        const auto* value = node(table, key);
        if (!value) return;
        if (const auto string = value->value_exact<std::string>()) {
            into = *string;
        } else {
            wrong(table, key, "a string");
        }
    }
    std::optional<bool> flag(std::string_view table, std::string_view key) {
        const auto* value = node(table, key);
        if (!value) return {};
        const auto result = value->value_exact<bool>();
        if (!result) wrong(table, key, "true or false");
        return result;
    }
    void list(std::string_view table, std::string_view key, std::vector<std::string>& into) {
        const auto* value = node(table, key);
        if (!value) return;
        const auto* array = value->as_array();
        if (!array) return wrong(table, key, "a list of strings");
        for (const auto& item : *array) {
            const auto string = item.value_exact<std::string>();
            if (!string) return wrong(table, key, "a list of strings");
            into.push_back(*string);
        }
    }
    void map(std::string_view table, std::map<std::string, std::string>& into) {
        const auto* inner = root.get_as<toml::table>(table);
        if (!inner) return;
        for (const auto& [key, value] : *inner) {
            const auto string = value.value_exact<std::string>();
            if (!string) return wrong(table, key.str(), "a string (quote names that hold dots)");
            into.emplace(key.str(), *string);
        }
    }
};

Result<> check_names(const toml::table& root, const std::string& path) {
    for (const auto& [table, value] : root) {
        const auto* inner = value.as_table();
        if (!inner) {
            return invalid(printable(path) + ": " + printable(table.str(), 64) +
                           " stands outside a table; see `imapult provision settings`");
        }
        bool any = false;
        for (const auto& known : kKnown) any = any || known.table == table.str();
        if (!any) {
            return invalid(printable(path) + ": unknown table [" + printable(table.str(), 64) +
                           "]; see `imapult provision settings`");
        }
        for (const auto& [key, unused] : *inner) {
            if (is_known(table.str(), key.str())) continue;
            return invalid(printable(path) + ": unknown key " + printable(key.str(), 64) + " in [" +
                           std::string(table.str()) + "]; see `imapult provision settings`");
        }
    }
    return {};
}

Result<std::string> domain_name(const std::string& path, std::string_view text) {
    auto name = normal_domain(text);
    if (name) return std::move(*name);
    return invalid(printable(path) + ": \"" + printable(text, 128) + "\" is not a domain name");
}

Result<Settings> read(const toml::table& root, const std::string& path) {
    IMAPULT_CHECK(check_names(root, path));
    Settings settings;
    Reader reader{root, path, {}};
    reader.text("destination", "mail_host", settings.mail_host);
    std::vector<std::string> adopt;
    reader.list("destination", "adopt_domains", adopt);
    std::map<std::string, std::string> domains;
    reader.map("domains", domains);
    reader.map("cos", settings.cos);
    reader.map("hosts", settings.hosts);
    reader.map("attributes", settings.attributes);
    reader.list("exclude", "accounts", settings.exclude_accounts);
    reader.list("exclude", "domains", settings.exclude_domains);
    reader.list("exclude", "attributes", settings.exclude_attributes);
    settings.keep_hashes = reader.flag("passwords", "keep_hashes").value_or(true);
    settings.force_change = reader.flag("passwords", "force_change");
    reader.text("quota", "unit", settings.quota_unit);
    if (!reader.problem.empty()) return invalid(reader.problem);

    if (!settings.mail_host.empty()) {
        IMAPULT_TRY(settings.mail_host, domain_name(path, settings.mail_host));
    }
    for (const auto& name : adopt) {
        IMAPULT_TRY(auto normal, domain_name(path, name));
        settings.adopt_domains.push_back(std::move(normal));
    }
    for (const auto& [from, to] : domains) {
        IMAPULT_TRY(auto source, domain_name(path, from));
        IMAPULT_TRY(auto destination, domain_name(path, to));
        settings.domains.emplace(std::move(source), std::move(destination));
    }
    for (auto* patterns :
         {&settings.exclude_accounts, &settings.exclude_domains, &settings.exclude_attributes}) {
        for (auto& pattern : *patterns) pattern = to_lower(pattern);
    }
    std::map<std::string, std::string> attributes;
    for (auto& [from, to] : settings.attributes) attributes.emplace(to_lower(from), to);
    settings.attributes = std::move(attributes);
    constexpr std::array<std::string_view, 4> kUnits = {"B", "KiB", "MiB", "GiB"};
    if (std::ranges::find(kUnits, settings.quota_unit) == kUnits.end()) {
        return invalid(printable(path) + ": [quota] unit must be B, KiB, MiB or GiB");
    }
    return settings;
}

}  // namespace

Result<Settings> load_settings(const std::string& path) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
        return invalid("the settings file " + printable(path) + " is a folder");
    }
    std::ifstream in(path, std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    if (!in) return invalid("cannot read the settings file " + printable(path));
    try {
        return read(toml::parse(text), path);
    } catch (const toml::parse_error& error) {
        return invalid(printable(path) + ":" + std::to_string(error.source().begin.line) + ": " +
                       printable(error.description()));
    }
}

std::string_view settings_example() {
    return R"(# provision.toml: how the source's directory becomes Carbonio's.
# Every key is optional; what stands here commented out is an example, the rest are the defaults.

[destination]
# Host name of the mailbox server (zimbraMailHost, and the host of zimbraMailTransport).
# Default: the only mailbox server that --against finds.
# mail_host = "mbox1.example.com"

# Domains that the destination already has with another id (the installer's own, for example) and
# that shall receive the source's accounts. Without this, such a domain is a conflict.
adopt_domains = []

[domains]
# Rename domains on the way. Every address in them changes with them.
# "old.example" = "new.example"

[cos]
# Rename classes of service; a name that the destination already has is used as it is there.
# "gold" = "premium"

[hosts]
# Host names in domain attributes (zimbraPublicServiceHostname, zimbraVirtualHostname, …).
# "mail.old.example" = "mail.example.com"

[attributes]
# Carry an attribute of the source under another name.
# "employeeNumber" = "zimbraNotes"

[exclude]
# Patterns with * and ?, on addresses, domain names and attribute names.
accounts = []
domains = []
attributes = []
# accounts = ["test-*@example.com"]
# attributes = ["zimbraZimlet*"]

[passwords]
# Keep hashes that Carbonio can verify. false: everybody gets a random password (passwords.csv).
keep_hashes = true
# zimbraPasswordMustChange for accounts with a random password. Not set: TRUE for the CSV layouts 1
# and 3, FALSE elsewhere. TRUE makes IMAP log-ins with the user's own password fail until changed.
# force_change = false

[quota]
# Unit of mailQuota values that carry none (OpenLDAP, 389ds): B, KiB, MiB or GiB.
unit = "B"
)";
}

}  // namespace imapult::provisioning
