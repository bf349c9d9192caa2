#include "provisioning/profile.h"

#include <algorithm>
#include <array>

#include "engine/base/text.h"

namespace imapult::provisioning {
namespace {

constexpr std::size_t kEntriesSampled = 2'000;

constexpr std::array<std::string_view, 5> kProfileNames = {"zimbra", "openldap", "activedirectory",
                                                           "389ds", "csv"};
constexpr std::array<std::string_view, 16> kKindNames = {
    "domain",        "cos",       "account",  "resource",    "alias",  "list",
    "dynamic_group", "signature", "identity", "data_source", "member", "grant",
    "mountpoint",    "unit",      "contact",  "container"};

Profile profile_of(const Entry& entry) {
    for (const auto& name : entry.values("objectclass")) {
        if (to_lower(name).starts_with("zimbra")) return Profile::zimbra;
    }
    for (const auto* key : {"objectcategory", "samaccountname", "objectguid", "proxyaddresses"}) {
        if (entry.has(key)) return Profile::activedirectory;
    }
    for (const auto* key : {"nsuniqueid", "nsaccountlock", "aci"}) {
        if (entry.has(key)) return Profile::ds389;
    }
    return Profile::openldap;
}

}  // namespace

std::string_view name_of(Profile profile) {
    return kProfileNames[static_cast<std::size_t>(profile)];
}

std::optional<Profile> profile_named(std::string_view name) {
    for (std::size_t i = 0; i < kProfileNames.size(); ++i) {
        if (kProfileNames[i] == name) return static_cast<Profile>(i);
    }
    return {};
}

std::string_view name_of(Kind kind) {
    return kKindNames[static_cast<std::size_t>(kind)];
}

Result<Profile> detect_profile(SourceSet& source) {
    std::array<std::size_t, kProfileNames.size()> votes{};
    bool any = false;
    for (const auto& file : source.files()) {
        if (file.form == FileForm::csv_directory)
            ++votes[static_cast<std::size_t>(Profile::activedirectory)];
        if (file.form != FileForm::ldif) continue;
        LdifReader reader(*file.bytes, {});
        std::vector<Problem> problems;
        for (std::size_t i = 0; i < kEntriesSampled; ++i) {
            auto record = reader.next(problems);
            if (!record) break;
            if (record->change != ChangeType::add || record->entry.attributes.empty()) continue;
            any = true;
            ++votes[static_cast<std::size_t>(profile_of(record->entry))];
        }
        IMAPULT_CHECK(reader.error());
    }
    // A few telling entries outweigh the plain ones that every directory has.
    for (const auto profile : {Profile::zimbra, Profile::activedirectory, Profile::ds389}) {
        if (votes[static_cast<std::size_t>(profile)] > 0) return profile;
    }
    return any ? Profile::openldap : Profile::csv;
}

Item interpret(const ProfileContext& context, Record record) {
    if (record.entry.has(kCsvFields)) return interpret_csv(context, std::move(record));
    if (context.profile == Profile::zimbra) return interpret_zimbra(context, std::move(record));
    return interpret_generic(context, std::move(record));
}

void apply_modifications(Entry& entry, const std::vector<Modification>& modifications) {
    for (const auto& modification : modifications) {
        const auto& attribute = modification.attribute;
        switch (modification.op) {
            case Modification::Op::add:
                for (const auto& value : attribute.values) entry.add_unique(attribute.name, value);
                break;
            case Modification::Op::replace:
                entry.set_values(attribute.name, attribute.values);
                break;
            case Modification::Op::remove:
                if (attribute.values.empty()) {
                    entry.remove(attribute.key);
                } else if (auto* have = entry.find(attribute.key)) {
                    std::erase_if(have->values, [&](const auto& value) {
                        return std::ranges::find(attribute.values, value) != attribute.values.end();
                    });
                    if (have->values.empty()) entry.remove(attribute.key);
                }
                break;
        }
    }
}

void strip_options(Entry& entry) {
    const bool any = std::ranges::any_of(entry.attributes, [](const auto& attribute) {
        return attribute.key.contains(';') && !attribute.key.contains(";binary");
    });
    if (!any) return;
    auto attributes = std::move(entry.attributes);
    entry.attributes.clear();
    std::vector<Attribute> tagged;
    for (auto& attribute : attributes) {
        const auto semicolon = attribute.key.find(';');
        if (semicolon == std::string::npos || attribute.key.contains(";binary")) {
            entry.attributes.push_back(std::move(attribute));
            continue;
        }
        const bool is_range = attribute.key.find(";range=") == semicolon;
        attribute.name.resize(semicolon);
        attribute.key.resize(semicolon);
        if (is_range) {
            for (auto& value : attribute.values) entry.add(attribute.name, std::move(value));
        } else {
            tagged.push_back(std::move(attribute));
        }
    }
    for (auto& attribute : tagged) {
        if (!entry.has(attribute.key)) entry.attributes.push_back(std::move(attribute));
    }
}

bool is_system_local_part(std::string_view local) {
    const auto lower = to_lower(local);
    for (const std::string_view prefix : {"spam.", "ham.", "virus-quarantine.", "galsync"}) {
        if (lower.starts_with(prefix)) return true;
    }
    return false;
}

}  // namespace imapult::provisioning
