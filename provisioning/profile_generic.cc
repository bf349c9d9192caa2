// OpenLDAP, 389 Directory Server and Active Directory: an account is built from the attributes that
// have a place in Carbonio; everything else is summed up in the decisions.

#include <algorithm>
#include <array>
#include <charconv>

#include "engine/base/text.h"
#include "provisioning/address.h"
#include "provisioning/dn.h"
#include "provisioning/profile.h"

namespace imapult::provisioning {
namespace {

struct Carried {
    std::string_view key;
    std::string_view name;
    bool single = false;
};
constexpr std::array kCarried = {
    Carried{"givenname", "givenName"},
    Carried{"initials", "initials"},
    Carried{"displayname", "displayName", true},
    Carried{"title", "title"},
    Carried{"ou", "ou"},
    Carried{"department", "ou"},
    Carried{"company", "company"},
    Carried{"o", "o"},
    Carried{"telephonenumber", "telephoneNumber"},
    Carried{"mobile", "mobile"},
    Carried{"homephone", "homePhone"},
    Carried{"pager", "pager"},
    Carried{"facsimiletelephonenumber", "facsimileTelephoneNumber"},
    Carried{"physicaldeliveryofficename", "physicalDeliveryOfficeName"},
    Carried{"street", "street"},
    Carried{"streetaddress", "street"},
    Carried{"l", "l"},
    Carried{"st", "st"},
    Carried{"postalcode", "postalCode"},
    Carried{"co", "co"},
    Carried{"description", "description"},
    Carried{"employeenumber", "employeeNumber", true},
    Carried{"employeetype", "employeeType"},
};

constexpr std::array<std::string_view, 26> kUsed = {"objectclass",
                                                    "cn",
                                                    "sn",
                                                    "uid",
                                                    "mail",
                                                    "mailalternateaddress",
                                                    "maillocaladdress",
                                                    "gosamailalternateaddress",
                                                    "proxyaddresses",
                                                    "userpassword",
                                                    "mailquota",
                                                    "gosamailquota",
                                                    "quota",
                                                    "mdboverquotalimit",
                                                    "mailforwardingaddress",
                                                    "gosamailforwardingaddress",
                                                    "altrecipient",
                                                    "deliverandredirect",
                                                    "useraccountcontrol",
                                                    "nsaccountlock",
                                                    "member",
                                                    "uniquemember",
                                                    "memberuid",
                                                    "rfc822mailmember",
                                                    "mgrprfc822mailaddress",
                                                    "managedby"};

constexpr std::array<std::string_view, 3> kAliasKeys = {"mailalternateaddress", "maillocaladdress",
                                                        "gosamailalternateaddress"};

void add_address(Item& item, std::string_view written) {
    auto address = normal_address(written);
    if (!address) {
        item.bad_addresses.emplace_back(written);
        return;
    }
    if (item.name.empty()) {
        item.name = std::move(*address);
    } else if (*address != item.name &&
               std::ranges::find(item.aliases, *address) == item.aliases.end()) {
        item.aliases.push_back(std::move(*address));
    }
}

// proxyAddresses: "SMTP:" is the primary, "smtp:" an alias; the rest is not mail.
void read_proxy_addresses(Item& item, const Entry& source) {
    std::vector<std::string> aliases;
    for (const auto& value : source.values("proxyaddresses")) {
        const auto colon = value.find(':');
        const auto prefix = std::string_view(value).substr(0, colon);
        if (colon == std::string::npos || !equal_ignoring_case(prefix, "smtp")) {
            item.notes.push_back(
                {"proxyAddresses", "dropped", "not a mail address (x500, sip, …)", true});
            continue;
        }
        auto address = value.substr(colon + 1);
        if (to_lower(address).ends_with(".onmicrosoft.com")) {
            item.notes.push_back({"proxyAddresses", "dropped",
                                  "an address of the old provider (onmicrosoft.com)", true});
        } else if (prefix == "SMTP" && item.name.empty()) {
            add_address(item, address);
        } else {
            aliases.push_back(std::move(address));
        }
    }
    if (item.name.empty() && source.has("mail")) add_address(item, source.first("mail"));
    if (item.name.empty() && !aliases.empty() && source.has("userprincipalname")) {
        add_address(item, source.first("userprincipalname"));
    }
    for (const auto& alias : aliases) add_address(item, alias);
}

void read_addresses(const ProfileContext& context, Item& item, const Entry& source) {
    if (context.profile == Profile::activedirectory) return read_proxy_addresses(item, source);
    for (const auto& value : source.values("mail")) add_address(item, value);
    if (item.name.empty()) return;
    for (const auto key : kAliasKeys) {
        for (const auto& value : source.values(key)) add_address(item, value);
    }
}

std::uint64_t unit_factor(std::string_view unit) {
    const auto lower = to_lower(unit);
    if (lower.starts_with("k")) return 1ULL << 10U;
    if (lower.starts_with("m")) return 1ULL << 20U;
    if (lower.starts_with("g")) return 1ULL << 30U;
    if (lower.starts_with("t")) return 1ULL << 40U;
    return 1;
}

// "500M", "2GB", "104857600S" (Courier), "1024": octets; nothing if it is no quota.
std::optional<std::uint64_t> quota_bytes(std::string_view text, std::uint64_t plain_factor) {
    text = trim(text);
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end == text.data()) return {};
    const auto unit = trim(text.substr(static_cast<std::size_t>(end - text.data())));
    std::uint64_t factor = plain_factor;
    if (unit == "S" || equal_ignoring_case(unit, "B")) {
        factor = 1;
    } else if (!unit.empty()) {
        factor = unit_factor(unit);
        if (factor == 1) return {};
    }
    if (factor != 0 && number > (1ULL << 60U) / factor) return {};
    return number * factor;
}

void read_quota(const ProfileContext& context, Item& item, const Entry& source) {
    struct Form {
        std::string_view key;
        std::uint64_t factor;
    };
    const std::array forms = {Form{"mailquota", unit_factor(context.settings->quota_unit)},
                              Form{"gosamailquota", 1ULL << 20U},
                              Form{"quota", unit_factor(context.settings->quota_unit)},
                              Form{"mdboverquotalimit", 1ULL << 10U}};
    for (const auto& form : forms) {
        if (!source.has(form.key)) continue;
        if (const auto bytes = quota_bytes(source.first(form.key), form.factor)) {
            item.entry.set("zimbraMailQuota", std::to_string(*bytes));
        } else {
            item.notes.push_back({std::string(form.key), "dropped", "not a quota"});
        }
        return;
    }
}

void read_status(const ProfileContext& context, Item& item, const Entry& source) {
    std::string status = "active";
    const auto control = source.first("useraccountcontrol");
    std::uint32_t bits = 0;
    std::from_chars(control.data(), control.data() + control.size(), bits);
    if (context.profile == Profile::activedirectory && (bits & 2U) != 0) status = "closed";
    if (equal_ignoring_case(source.first("nsaccountlock"), "true")) status = "locked";
    if (source.first("pwdaccountlockedtime").starts_with("00000101")) status = "locked";
    item.entry.set("zimbraAccountStatus", status);
}

void read_forward(Item& item, const Entry& source) {
    std::string joined;
    for (const auto* key : {"mailforwardingaddress", "gosamailforwardingaddress"}) {
        for (const auto& value : source.values(key)) {
            const auto address = normal_address(value);
            if (!address) {
                item.notes.push_back({key, "dropped", "not a mail address"});
                continue;
            }
            if (!joined.empty()) joined += ',';
            joined += *address;
        }
    }
    if (!joined.empty()) item.entry.set("zimbraPrefMailForwardingAddress", joined);
    if (source.has("altrecipient")) {
        item.forward = Reference{Reference::Type::dn, std::string(source.first("altrecipient"))};
        if (!equal_ignoring_case(source.first("deliverandredirect"), "true")) {
            item.entry.set("zimbraPrefMailLocalDeliveryDisabled", "TRUE");
        }
    }
}

void note_rest(const ProfileContext& context, Item& item, const Entry& source) {
    for (const auto& attribute : source.attributes) {
        const auto renamed = context.settings->attributes.find(attribute.key);
        if (renamed != context.settings->attributes.end()) {
            item.notes.push_back(
                {attribute.name, "rewritten", "carried as " + renamed->second, true});
            continue;
        }
        const bool carried =
            std::ranges::any_of(kCarried, [&](const Carried& c) { return c.key == attribute.key; });
        if (carried || std::ranges::find(kUsed, attribute.key) != kUsed.end()) continue;
        if (item.entry.has(attribute.key)) continue;
        item.notes.push_back({attribute.name, "dropped", "no place for it in Carbonio", true});
    }
}

void carry(const ProfileContext& context, Item& item, const Entry& source) {
    for (const auto& carried : kCarried) {
        if (context.settings->attributes.contains(std::string(carried.key))) continue;
        for (const auto& value : source.values(carried.key)) {
            item.entry.add_unique(carried.name, value);
            if (carried.single) break;
        }
    }
    for (const auto& [from, to] : context.settings->attributes) {
        for (const auto& value : source.values(from)) item.entry.add_unique(to, value);
    }
}

void build_account(const ProfileContext& context, Item& item, const Entry& source) {
    auto& entry = item.entry;
    entry.add("objectClass", "inetOrgPerson");
    entry.add("objectClass", "zimbraAccount");
    const std::string local(local_part(item.name));
    entry.set_values("cn", source.values("cn"));
    if (!entry.has("cn")) entry.set("cn", local);
    entry.set_values("sn", source.values("sn"));
    if (!entry.has("sn")) entry.set("sn", local);
    carry(context, item, source);
    entry.set_values("userPassword", source.values("userpassword"));
    read_status(context, item, source);
    read_quota(context, item, source);
    read_forward(item, source);
    const auto display_type = source.first("msexchrecipientdisplaytype");
    if (display_type == "7" || display_type == "8") {
        item.kind = Kind::resource;
        entry.add("objectClass", "zimbraCalendarResource");
        entry.set("zimbraAccountCalendarUserType", "RESOURCE");
        entry.set("zimbraCalResType", display_type == "7" ? "Location" : "Equipment");
        if (!entry.has("displayname")) entry.set("displayName", entry.values("cn").front());
    }
    item.uid = to_lower(source.has("uid") ? source.first("uid") : source.first("samaccountname"));
}

void read_members(Item& item, const Entry& source) {
    const auto take = [&](std::string_view key, Reference::Type type) {
        for (const auto& value : source.values(key)) item.members.push_back({type, value});
    };
    take("member", Reference::Type::dn);
    for (const auto& value : source.values("uniquemember")) {
        // RFC 4519, section 2.40: an optional UID part "#'…'B" behind the DN.
        item.members.push_back({Reference::Type::dn, value.substr(0, value.find("#'"))});
    }
    take("memberuid", Reference::Type::uid);
    take("rfc822mailmember", Reference::Type::address);
    take("mgrprfc822mailaddress", Reference::Type::address);
}

// nisMailAlias has no address of its own: its cn in the domain of its DN.
void name_mail_alias(Item& item, const Entry& source) {
    const auto dn = parse_dn(source.dn);
    const auto domain = dn ? domain_of(*dn) : std::string();
    const auto cn = std::string(source.first("cn"));
    add_address(item, cn.contains('@') ? cn : cn + "@" + domain);
    for (auto& member : item.members) {
        if (!member.value.contains('@')) member.value += "@" + domain;
    }
}

void build_list(const ProfileContext& context, Item& item, const Entry& source) {
    read_members(item, source);
    if (item.name.empty() && source.has_class("nisMailAlias")) name_mail_alias(item, source);
    if (item.name.empty()) {
        item.skip = "a group without a mail address";
        return;
    }
    auto& entry = item.entry;
    entry.add("objectClass", "zimbraDistributionList");
    entry.add("objectClass", "zimbraMailRecipient");
    entry.set_values("cn", source.values("cn"));
    entry.set("displayName", std::string(source.first("displayname")));
    entry.set_values("description", source.values("description"));
    if (source.has("managedby")) {
        item.owner = Reference{Reference::Type::dn, std::string(source.first("managedby"))};
    }
    if (context.profile == Profile::openldap || context.profile == Profile::ds389) {
        if (source.has("owner")) {
            item.owner = Reference{Reference::Type::dn, std::string(source.first("owner"))};
        }
    }
}

Kind kind_of(const ProfileContext& context, const Entry& entry) {
    if (entry.has_class("computer")) return Kind::container;
    for (const auto* name : {"groupOfNames", "groupOfUniqueNames", "groupOfMembers", "posixGroup",
                             "nisMailAlias", "mailGroup", "group"}) {
        if (entry.has_class(name)) return Kind::list;
    }
    if (entry.has_class("groupOfURLs")) return Kind::dynamic_group;
    if (entry.has_class("contact")) return Kind::contact;
    const bool person = context.profile == Profile::activedirectory
                            ? entry.has_class("user")
                            : entry.has_class("inetOrgPerson") || entry.has_class("person") ||
                                  entry.has_class("organizationalPerson") ||
                                  entry.has_class("posixAccount");
    return person ? Kind::account : Kind::container;
}

}  // namespace

Item interpret_generic(const ProfileContext& context, Record record) {
    Item item;
    Entry source = std::move(record.entry);
    const bool ranged = std::ranges::any_of(source.attributes, [](const Attribute& attribute) {
        return attribute.key.starts_with("member;range=") &&
               !attribute.key.starts_with("member;range=0-");
    });
    strip_options(source);
    item.entry.dn = source.dn;
    item.kind = kind_of(context, source);
    if (item.kind == Kind::container) return item;
    if (ranged) item.adds_members = true;
    read_addresses(context, item, source);
    switch (item.kind) {
        case Kind::list:
            build_list(context, item, source);
            break;
        case Kind::dynamic_group:
            item.skip =
                "a group by search (memberURL): make a list or a dynamic group of it by hand";
            break;
        case Kind::contact:
            break;
        default:
            if (item.name.empty() && item.bad_addresses.empty()) {
                item.skip = "a person without a mail address";
                item.uid = to_lower(source.first("uid"));
            } else {
                build_account(context, item, source);
            }
            break;
    }
    if (item.skip.empty() && item.kind != Kind::contact) note_rest(context, item, source);
    return item;
}

}  // namespace imapult::provisioning
