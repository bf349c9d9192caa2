#include "provisioning/calls.h"

#include <algorithm>
#include <array>

#include "engine/base/text.h"
#include "provisioning/address.h"
#include "provisioning/dn.h"

namespace imapult::provisioning {
namespace {

// What the server sets itself and refuses to be told (carbonio.md, "Immutable for the API"), and
// what is carried by calls of its own.
constexpr std::array<std::string_view, 33> kNotAttributes = {"objectclass",
                                                             "uid",
                                                             "mail",
                                                             "zimbraid",
                                                             "zimbramemberof",
                                                             "zimbracreatetimestamp",
                                                             "zimbramailalias",
                                                             "zimbramaildeliveryaddress",
                                                             "zimbradomainname",
                                                             "zimbradomaintype",
                                                             "zimbramailtransport",
                                                             "zimbracosid",
                                                             "zimbraace",
                                                             "zimbrasignatureid",
                                                             "zimbrasignaturename",
                                                             "zimbraprefmailsignature",
                                                             "zimbraprefmailsignaturehtml",
                                                             "zimbraprefdefaultsignatureid",
                                                             "zimbraprefforwardreplysignatureid",
                                                             "zimbraprefidentityid",
                                                             "zimbraprefidentityname",
                                                             "zimbradatasourceid",
                                                             "zimbradatasourcename",
                                                             "zimbradatasourcetype",
                                                             "zimbradomainaliastargetid",
                                                             "zimbradomaindefaultcosid",
                                                             "zimbradomaindefaultexternalusercosid",
                                                             "zimbramailforwardingaddress",
                                                             "dc",
                                                             "dgidentity",
                                                             "memberurl",
                                                             "zimbragroupid",
                                                             "zimbrachildaccount"};

// Encrypted with an id that changes on this road.
constexpr std::array<std::string_view, 3> kEncrypted = {
    "zimbradatasourcepassword", "zimbraucpassword", "zimbraprefchildvisibleaccount"};

bool is_in(std::string_view key, auto&& list) {
    return std::ranges::find(list, key) != std::ranges::end(list);
}

struct SourceType {
    std::string_view object_class;
    std::string_view type;
};
constexpr std::array kSourceTypes = {
    SourceType{"zimbraImapDataSource", "imap"},        SourceType{"zimbraPop3DataSource", "pop3"},
    SourceType{"zimbraRssDataSource", "rss"},          SourceType{"zimbraCalDataSource", "cal"},
    SourceType{"zimbraGalDataSource", "gal"},          SourceType{"zimbraLiveDataSource", "live"},
    SourceType{"zimbraContactsDataSource", "contacts"}};

Call call_for(const Entry& entry, Verb verb, Stage stage, std::string target,
              std::string_view name = {}) {
    Call call;
    call.verb = verb;
    call.stage = stage;
    call.dn = entry.dn;
    call.target = std::move(target);
    call.name = name;
    return call;
}

std::string data_source_type(const Entry& entry) {
    for (const auto& known : kSourceTypes) {
        if (entry.has_class(known.object_class)) return std::string(known.type);
    }
    const auto type = entry.first("zimbradatasourcetype");
    return type.empty() ? "unknown" : std::string(type);
}

}  // namespace

void Names::add(Kind kind, std::string_view id, std::string name) {
    if (!id.empty()) names_.insert_or_assign(to_lower(id), Named{kind, std::move(name)});
}

const Names::Named* Names::find(std::string_view id) const {
    const auto found = names_.find(to_lower(id));
    return found == names_.end() ? nullptr : &found->second;
}

void Names::learn(const Entry& entry) {
    const auto kind = kind_of_entry(entry);
    switch (kind) {
        case Kind::cos:
        case Kind::domain:
        case Kind::account:
        case Kind::resource:
        case Kind::list:
        case Kind::dynamic_group:
        case Kind::unit:
            add(kind, entry.first("zimbraid"), name_of_entry(kind, entry));
            break;
        default:
            break;
    }
}

std::string name_of_entry(Kind kind, const Entry& entry) {
    const auto dn = parse_dn(entry.dn);
    if (!dn || dn->empty()) return {};
    switch (kind) {
        case Kind::domain:
            return domain_of(*dn);
        case Kind::account:
        case Kind::resource:
        case Kind::alias:
        case Kind::list:
        case Kind::dynamic_group:
            return dn->front().value + "@" + domain_of(*dn);
        default:
            return dn->front().value;
    }
}

std::string owner_of_entry(const Entry& entry) {
    const auto dn = parse_dn(entry.dn);
    if (!dn || dn->size() < 2) return {};
    return (*dn)[1].value + "@" + domain_of(*dn);
}

void CallBuilder::copy_attributes(const Entry& entry, Kind kind, Call& call) {
    for (const auto& attribute : entry.attributes) {
        if (is_in(attribute.key, kNotAttributes)) continue;
        if (kind == Kind::cos && attribute.key == "cn") continue;
        if (kind == Kind::domain && attribute.key == "o") continue;
        if ((kind == Kind::dynamic_group || kind == Kind::list) && attribute.key == "cn") continue;
        if (is_in(attribute.key, kEncrypted)) {
            say_(entry.dn, attribute.name,
                 "encrypted with, or naming, an id that is new at the destination");
            continue;
        }
        for (const auto& value : attribute.values)
            call.attributes.emplace_back(attribute.name, value);
    }
}

// ACEs "<grantee id> <type> <right>" become grants by name.
void CallBuilder::grants(const Entry& entry, const std::string& type, const std::string& target,
                         std::vector<Call>& out) {
    for (const auto& ace : entry.values("zimbraace")) {
        const auto first = ace.find(' ');
        const auto second = first == std::string::npos ? first : ace.find(' ', first + 1);
        const auto* grantee = names_.find(std::string_view(ace).substr(0, first));
        if (second == std::string::npos || !grantee) {
            say_(entry.dn, "zimbraACE",
                 "its grantee is no entry of the plan: " + printable(ace, 128));
            continue;
        }
        auto call = call_for(entry, Verb::grant_right, Stage::grant, target);
        call.target_type = type;
        call.name = grantee->name;
        call.grantee_type = ace.substr(first + 1, second - first - 1);
        call.text = ace.substr(second + 1);
        out.push_back(std::move(call));
    }
}

void CallBuilder::signature(const Entry& entry, const std::string& owner, std::vector<Call>& out) {
    if (!entry.has("zimbrasignaturename")) return;
    auto call = call_for(entry, Verb::create_signature, Stage::child, owner,
                         entry.first("zimbrasignaturename"));
    for (const auto* name : {"zimbraPrefMailSignature", "zimbraPrefMailSignatureHTML"}) {
        const auto value = entry.first(to_lower(name));
        if (!value.empty()) call.attributes.emplace_back(name, value);
    }
    signatures_.insert_or_assign(to_lower(entry.first("zimbrasignatureid")),
                                 Names::Named{Kind::signature, call.name});
    out.push_back(std::move(call));
}

void CallBuilder::default_signatures(const Entry& entry, const std::string& owner,
                                     std::vector<Call>& out) {
    for (const auto* key : {"zimbraPrefDefaultSignatureId", "zimbraPrefForwardReplySignatureId"}) {
        const auto id = entry.first(to_lower(key));
        if (id.empty()) continue;
        // after every signature
        auto call = call_for(entry, Verb::default_signature, Stage::member, owner, id);
        call.text = key;
        out.push_back(std::move(call));
    }
}

void CallBuilder::account(const Entry& entry, Kind kind, std::vector<Call>& out) {
    auto call =
        call_for(entry, kind == Kind::resource ? Verb::create_resource : Verb::create_account,
                 Stage::account, name_of_entry(kind, entry));
    const auto address = call.target;
    copy_attributes(entry, kind, call);
    out.push_back(std::move(call));
    if (const auto id = entry.first("zimbracosid"); !id.empty()) {
        if (const auto* cos = names_.find(id)) {
            out.push_back(call_for(entry, Verb::set_cos, Stage::account, address, cos->name));
        }
    }
    // zimbraMailForwardingAddress of an account is a forward, not a member.
    for (const auto& value : entry.values("zimbramailforwardingaddress")) {
        out.front().attributes.emplace_back("zimbraMailForwardingAddress", value);
    }
    for (const auto& alias : entry.values("zimbramailalias")) {
        out.push_back(call_for(entry, Verb::add_alias, Stage::alias, address, alias));
    }
    signature(entry, address, out);
    default_signatures(entry, address, out);
    for (const auto& id : entry.values("zimbramemberof")) {
        if (const auto* named = names_.find(id)) members_[named->name].push_back(address);
    }
    grants(entry, "account", address, out);
}

void CallBuilder::list(const Entry& entry, std::vector<Call>& out) {
    auto call = call_for(entry, Verb::create_list, Stage::list, name_of_entry(Kind::list, entry));
    const auto address = call.target;
    copy_attributes(entry, Kind::list, call);
    for (const auto& cn : entry.values("cn")) call.attributes.emplace_back("cn", cn);
    out.push_back(std::move(call));
    for (const auto& alias : entry.values("zimbramailalias")) {
        if (alias == address) continue;
        out.push_back(call_for(entry, Verb::add_list_alias, Stage::list, address, alias));
    }
    if (entry.has("zimbramailforwardingaddress")) {
        auto members = call_for(entry, Verb::add_members, Stage::member, address);
        members.members = entry.values("zimbramailforwardingaddress");
        out.push_back(std::move(members));
    }
    grants(entry, "dl", address, out);
}

void CallBuilder::group(const Entry& entry, std::vector<Call>& out) {
    auto call = call_for(entry, Verb::create_group, Stage::group,
                         name_of_entry(Kind::dynamic_group, entry));
    const auto address = call.target;
    copy_attributes(entry, Kind::dynamic_group, call);
    // A memberURL of the administrator's own is carried; the default one names ids of the source.
    for (const auto& url : entry.values("memberurl")) {
        if (!to_lower(url).contains("zimbramemberof="))
            call.attributes.emplace_back("memberURL", url);
    }
    out.push_back(std::move(call));
    for (const auto& alias : entry.values("zimbramailalias")) {
        if (alias == address) continue;
        out.push_back(call_for(entry, Verb::add_list_alias, Stage::group, address, alias));
    }
    grants(entry, "dl", address, out);
}

void CallBuilder::domain(const Entry& entry, std::vector<Call>& out) {
    Call call;
    call.dn = entry.dn;
    call.target = name_of_entry(Kind::domain, entry);
    const bool alias = entry.has_value("zimbradomaintype", "alias");
    call.verb = alias ? Verb::create_alias_domain : Verb::create_domain;
    call.stage = alias ? Stage::alias_domain : Stage::domain;
    if (alias) {
        if (const auto* target = names_.find(entry.first("zimbradomainaliastargetid"))) {
            call.name = target->name;
        }
    }
    copy_attributes(entry, Kind::domain, call);
    const auto name = call.target;
    out.push_back(std::move(call));
    if (const auto* cos = names_.find(entry.first("zimbradomaindefaultcosid"))) {
        out.push_back(call_for(entry, Verb::set_default_cos, Stage::alias_domain, name, cos->name));
    }
    grants(entry, "domain", name, out);
}

std::vector<Call> CallBuilder::calls_for(const Entry& entry) {
    std::vector<Call> out;
    const auto kind = kind_of_entry(entry);
    Call call;
    call.dn = entry.dn;
    switch (kind) {
        case Kind::cos:
            call.verb = Verb::create_cos;
            call.stage = Stage::cos;
            call.target = name_of_entry(kind, entry);
            copy_attributes(entry, kind, call);
            out.push_back(std::move(call));
            break;
        case Kind::domain:
            domain(entry, out);
            break;
        case Kind::account:
        case Kind::resource:
            account(entry, kind, out);
            break;
        case Kind::signature:
            signature(entry, owner_of_entry(entry), out);
            break;
        case Kind::identity:
        case Kind::data_source:
            call.verb = kind == Kind::identity ? Verb::create_identity : Verb::create_data_source;
            call.stage = Stage::child;
            call.target = owner_of_entry(entry);
            call.name = name_of_entry(kind, entry);
            call.text = kind == Kind::data_source ? data_source_type(entry) : std::string();
            copy_attributes(entry, kind, call);
            out.push_back(std::move(call));
            break;
        case Kind::list:
            list(entry, out);
            break;
        case Kind::dynamic_group:
            group(entry, out);
            break;
        case Kind::unit: {
            auto& members = members_[owner_of_entry(entry)];
            const auto& outside = entry.values("zimbramailforwardingaddress");
            members.insert(members.end(), outside.begin(), outside.end());
            break;
        }
        default:
            break;  // alias entries and containers come with what they belong to
    }
    for (auto& made : out) {
        if (made.verb != Verb::default_signature) continue;
        const auto found = signatures_.find(to_lower(made.name));
        if (found != signatures_.end()) made.name = found->second.name;
    }
    return out;
}

std::vector<Call> CallBuilder::group_members() {
    std::vector<Call> out;
    for (auto& [group, members] : members_) {
        if (members.empty()) continue;
        Call call;
        call.verb = Verb::add_members;
        call.stage = Stage::member;
        call.target = group;
        call.members = std::move(members);
        out.push_back(std::move(call));
    }
    members_.clear();
    return out;
}

}  // namespace imapult::provisioning
