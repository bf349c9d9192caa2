// Zimbra and Carbonio exports: the tree tells what an entry is; attributes are carried as they are,
// but for what belongs to the old servers and sessions.

#include <algorithm>
#include <array>
#include <unordered_map>

#include "engine/base/text.h"
#include "provisioning/address.h"
#include "provisioning/dn.h"
#include "provisioning/profile.h"

namespace imapult::provisioning {
namespace {

struct DropRule {
    std::string_view key;  ///< lower case; a final * is a prefix
    std::string_view reason;
};

constexpr std::string_view kOperational = "operational attribute, set by the directory itself";
constexpr std::string_view kState = "session or server state of the source";
constexpr std::string_view kUnknown = "Carbonio has no such attribute";
constexpr std::string_view kServerKept = "kept by the server itself, or names the source's servers";

constexpr std::array kDropRules = {
    DropRule{"structuralobjectclass", kOperational},
    DropRule{"entryuuid", kOperational},
    DropRule{"entrycsn", kOperational},
    DropRule{"contextcsn", kOperational},
    DropRule{"creatorsname", kOperational},
    DropRule{"createtimestamp", kOperational},
    DropRule{"modifiersname", kOperational},
    DropRule{"modifytimestamp", kOperational},
    DropRule{"hassubordinates", kOperational},
    DropRule{"numsubordinates", kOperational},
    DropRule{"subschemasubentry", kOperational},
    DropRule{"entrydn", kOperational},
    DropRule{"memberof", kOperational},
    DropRule{"pwd*", kOperational},
    DropRule{"zimbraauthtokens", kState},
    DropRule{"zimbraauthtokenvalidityvalue", kState},
    DropRule{"zimbracsrftokendata", kState},
    DropRule{"zimbralastlogontimestamp", kState},
    DropRule{"zimbrapasswordlockoutlockedtime", kState},
    DropRule{"zimbrapasswordlockoutfailuretime", kState},
    DropRule{"zimbrapasswordlockoutsuppress*", kState},
    DropRule{"zimbrainvalidjwtokens", kState},
    DropRule{"zimbratwofactorauth*", kState},
    DropRule{"zimbraappspecificpassword*", kState},
    DropRule{"zimbraresetpasswordrecoverycode", kState},
    DropRule{"zimbrarecoveryaccountverificationdata", kState},
    DropRule{"zimbragalaccountid", kServerKept},
    DropRule{"zimbramailhostpool", kServerKept},
    DropRule{"zimbrashareditem", kServerKept},
    DropRule{"zimbrashareinfo", kServerKept},
    DropRule{"zimbradatasourcelaststatus", kState},
    DropRule{"zimbrasmtphostname", kServerKept},
    DropRule{"zimbrazimlet*", kUnknown},
    DropRule{"zimbramobile*", kUnknown},
    DropRule{"zimbraarchive*", kUnknown},
    DropRule{"zimbrayahoo*", kUnknown},
    DropRule{"zimbraxmpp*", kUnknown},
    DropRule{"zimbrachat*", kUnknown},
};

std::string_view drop_reason(std::string_view key, Kind kind) {
    static const auto by_name = [] {
        std::unordered_map<std::string_view, std::string_view> rules;
        for (const auto& rule : kDropRules) rules.emplace(rule.key, rule.reason);
        return rules;
    }();
    if (const auto found = by_name.find(key); found != by_name.end()) return found->second;
    for (const auto& rule : kDropRules) {
        if (!rule.key.ends_with('*')) continue;
        if (key.starts_with(rule.key.substr(0, rule.key.size() - 1))) return rule.reason;
    }
    // On a COS these are policy, on an account what a lock-out left behind.
    if ((kind == Kind::account || kind == Kind::resource) &&
        key.starts_with("zimbrapasswordlockout")) {
        return kState;
    }
    return {};
}

struct ClassKind {
    std::string_view object_class;
    Kind kind;
};
// Most telling class first: a resource is an account too.
constexpr std::array kClassKinds = {
    ClassKind{"zimbraCalendarResource", Kind::resource},
    ClassKind{"zimbraAccount", Kind::account},
    ClassKind{"zimbraAlias", Kind::alias},
    ClassKind{"zimbraGroupDynamicUnit", Kind::unit},
    ClassKind{"zimbraGroupStaticUnit", Kind::unit},
    ClassKind{"zimbraGroup", Kind::dynamic_group},
    ClassKind{"zimbraDistributionList", Kind::list},
    ClassKind{"zimbraSignature", Kind::signature},
    ClassKind{"zimbraIdentity", Kind::identity},
    ClassKind{"zimbraDataSource", Kind::data_source},
    ClassKind{"zimbraDomain", Kind::domain},
    ClassKind{"zimbraCOS", Kind::cos},
};

std::string_view naming_attribute(Kind kind) {
    switch (kind) {
        case Kind::signature:
            return "zimbrasignaturename";
        case Kind::identity:
            return "zimbraprefidentityname";
        case Kind::data_source:
            return "zimbradatasourcename";
        case Kind::cos:
        case Kind::unit:
            return "cn";
        default:
            return {};
    }
}

std::string_view id_attribute(Kind kind) {
    switch (kind) {
        case Kind::signature:
            return "zimbrasignatureid";
        case Kind::identity:
            return "zimbraprefidentityid";
        case Kind::data_source:
            return "zimbradatasourceid";
        default:
            return "zimbraid";
    }
}

// Domain part of the entry's address: its dc= tail, as the server itself maps DNs to addresses.
void read_addresses(Item& item, const std::vector<Rdn>& dn) {
    const auto domain = domain_of(dn);
    const std::string written = dn.front().value + "@" + domain;
    if (auto address = normal_address(written)) {
        item.name = std::move(*address);
    } else {
        item.bad_addresses.push_back(written);
    }
    std::vector<std::string> further = item.entry.values("zimbramailalias");
    for (const auto* key : {"mail", "zimbramaildeliveryaddress"}) {
        for (const auto& value : item.entry.values(key)) further.push_back(value);
    }
    for (const auto& value : further) {
        auto address = normal_address(value);
        if (!address) {
            if (std::ranges::find(item.bad_addresses, value) == item.bad_addresses.end()) {
                item.bad_addresses.push_back(value);
            }
        } else if (*address != item.name &&
                   std::ranges::find(item.aliases, *address) == item.aliases.end()) {
            item.aliases.push_back(std::move(*address));
        }
    }
}

void drop_attributes(Item& item) {
    std::erase_if(item.entry.attributes, [&](const Attribute& attribute) {
        const auto reason = drop_reason(attribute.key, item.kind);
        if (reason.empty()) return false;
        if (attribute.key == "zimbrashareditem") item.shares = attribute.values;
        item.notes.push_back({attribute.name, "dropped", std::string(reason), true});
        return true;
    });
}

// Accounts and lists of the source's own machinery.
std::string system_reason(const Item& item, const std::vector<Rdn>& dn) {
    if (item.entry.has_value("zimbraissystemresource", "TRUE")) {
        return "system account of the source (zimbraIsSystemResource)";
    }
    if (item.entry.has_value("zimbraisexternalvirtualaccount", "TRUE")) {
        return "external virtual account, made by the server for a share";
    }
    if (domain_of(dn).empty()) return "administrative entry of the source";
    if ((item.kind == Kind::account || item.kind == Kind::resource) &&
        is_system_local_part(dn.front().value)) {
        return "system account of the source (its name)";
    }
    return {};
}

void read_domain(Item& item, const std::vector<Rdn>& dn) {
    auto name = std::string(item.entry.first("zimbradomainname"));
    if (name.empty()) name = domain_of(dn);
    if (auto normal = normal_domain(name)) {
        item.name = std::move(*normal);
    } else {
        item.bad_addresses.push_back(name);
    }
}

bool is_plain_container(const Entry& entry) {
    return std::ranges::all_of(entry.values("objectclass"), [](const auto& name) {
        return !to_lower(name).starts_with("zimbra");
    });
}

}  // namespace

Kind kind_of_entry(const Entry& entry) {
    for (const auto& known : kClassKinds) {
        if (entry.has_class(known.object_class)) return known.kind;
    }
    return Kind::container;
}

Item interpret_zimbra(const ProfileContext&, Record record) {
    Item item;
    item.entry = std::move(record.entry);
    strip_options(item.entry);
    item.kind = kind_of_entry(item.entry);
    const auto dn = parse_dn(item.entry.dn);
    if (!dn || dn->empty()) {
        item.skip = dn ? "the root of the directory" : "its dn cannot be read";
        return item;
    }
    if (item.kind == Kind::container) {
        if (!is_plain_container(item.entry)) {
            item.skip = "belongs to the source's servers and configuration";
        }
        return item;
    }
    item.id = to_lower(item.entry.first(id_attribute(item.kind)));
    switch (item.kind) {
        case Kind::domain:
            read_domain(item, *dn);
            break;
        case Kind::account:
        case Kind::resource:
        case Kind::list:
        case Kind::dynamic_group:
            read_addresses(item, *dn);
            item.skip = system_reason(item, *dn);
            break;
        case Kind::alias:
            read_addresses(item, *dn);
            item.target_id = to_lower(item.entry.first("zimbraaliastargetid"));
            if (domain_of(*dn).empty()) item.skip = "administrative entry of the source";
            break;
        default:
            item.name = item.entry.first(naming_attribute(item.kind));
            if (item.name.empty()) item.name = dn->front().value;
            item.target_id = to_lower(item.entry.first("zimbragroupid"));
            break;
    }
    for (const auto& value : item.kind == Kind::list || item.kind == Kind::unit
                                 ? item.entry.values("zimbramailforwardingaddress")
                                 : std::vector<std::string>{}) {
        item.members.push_back({Reference::Type::address, value});
    }
    drop_attributes(item);
    return item;
}

}  // namespace imapult::provisioning
