#include "provisioning/emit.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <unordered_set>

#include "engine/base/glob.h"
#include "engine/base/text.h"
#include "provisioning/address.h"
#include "provisioning/dn.h"
#include "provisioning/limits.h"
#include "provisioning/password.h"

namespace imapult::provisioning {
namespace {

constexpr std::array<std::string_view, 3> kHostAttributes = {
    "zimbraPublicServiceHostname", "zimbraVirtualHostname", "zimbraAdminConsoleLoginURL"};

// Left as the destination has them when an entry is compared for an update.
constexpr std::array<std::string_view, 5> kNeverUpdated = {
    "userpassword", "zimbramailhost", "zimbramailtransport", "zimbracreatetimestamp",
    "zimbrapasswordmustchange"};

}  // namespace

std::string modify_body(const Entry& wanted, const Entry& have) {
    std::string out;
    const auto section = [&](std::string_view op, const Attribute& attribute,
                             const std::vector<std::string>& values) {
        if (values.empty()) return;
        append_ldif_line(out, op, attribute.name);
        for (const auto& value : values) append_ldif_line(out, attribute.name, value);
        out += "-\n";
    };
    const auto missing = [](const std::vector<std::string>& from,
                            const std::vector<std::string>& in) {
        std::vector<std::string> result;
        for (const auto& value : from) {
            if (std::ranges::find(in, value) == in.end()) result.push_back(value);
        }
        return result;
    };
    for (const auto& attribute : wanted.attributes) {
        if (std::ranges::find(kNeverUpdated, attribute.key) != kNeverUpdated.end()) continue;
        const auto& there = have.values(attribute.key);
        if (attribute.key != "objectclass") {
            section("delete", attribute, missing(there, attribute.values));
            section("add", attribute, missing(attribute.values, there));
            continue;
        }
        std::vector<std::string> classes;
        for (const auto& name : attribute.values) {
            if (!have.has_class(name)) classes.push_back(name);
        }
        section("add", attribute, classes);
    }
    return out;
}

Emitter::Emitter(Index& index, Destination& destination, const Settings& settings,
                 PlanWriter& writer, PlanReport& report)
    : index_(index),
      destination_(destination),
      settings_(settings),
      writer_(writer),
      report_(report),
      host_(settings.mail_host.empty() ? destination.only_server() : settings.mail_host) {
    if (host_.empty()) {
        report_.notes.push_back(
            "No mailbox server is known (no mail_host in the settings, and --against does not name "
            "exactly one): entries are planned without zimbraMailHost; `apply --directory` fills "
            "in the destination's only server.");
    }
}

std::string Emitter::reason_of(const Node& node) const {
    if (node.synthetic) return "the domain of an address of the files";
    std::string reason = "in the source";
    if (!node.source_name.empty()) reason += ", renamed from " + node.source_name;
    if (node.derived_id) reason += ", id derived from its name";
    return reason;
}

// ---- any entry (its values: emit_values.cc)

// objectClass first: easier to read, and some tools want it so.
void Emitter::order_attributes(Entry& entry) {
    const auto found = std::ranges::find(entry.attributes, "objectclass", &Attribute::key);
    if (found != entry.attributes.end()) {
        std::rotate(entry.attributes.begin(), found, found + 1);
    }
}

Result<> Emitter::put(const Node& node, Entry entry, std::string reason) {
    order_attributes(entry);
    const auto normal = normal_dn(entry.dn);
    const auto* existing = normal ? destination_.by_dn(*normal) : nullptr;
    Action action{Op::create, node.kind, node.name, entry.dn, reason, {}, &node.where};
    std::string why;
    if (!existing) {
        writer_.entry(entry);
    } else {
        IMAPULT_TRY(const auto have, destination_.load(*existing));
        // The installer's own domain and the destination's classes of service stay as they are.
        // What is only the parent of other domains there becomes one.
        const bool leave =
            existing->kind == node.kind && (node.kind == Kind::cos || node.kind == Kind::domain);
        const auto body = leave ? std::string() : modify_body(entry, have);
        if (body.empty()) {
            action.op = Op::keep;
            why = "the destination has it";
            if (leave) {
                Entry bare;
                bare.dn = have.dn;
                bare.set("zimbraId", std::string(have.first("zimbraid")));
                entry = std::move(bare);
            }
            writer_.keep(std::move(entry));
        } else {
            action.op = Op::update;
            why = "the destination has it with other values";
            std::string record;
            append_ldif_line(record, "dn", have.dn);
            record += "changetype: modify\n" + body + "\n";
            writer_.update(record);
        }
        action.reason = why;
        action.dn = existing->dn;
    }
    last_op_ = action.op;
    if (node.kind != Kind::unit) writer_.action(action);
    return {};
}

Result<> Emitter::put_container(Entry entry) {
    const auto normal = normal_dn(entry.dn);
    if (!normal || destination_.by_dn(*normal) || !containers_.insert(*normal).second) return {};
    writer_.entry(entry);
    return {};
}

void Emitter::member_actions(const Node& node, const std::vector<std::string>& members, Op op) {
    for (const auto& member : members) {
        writer_.action({op, Kind::member, node.name, target_dn(index_, node),
                        "member in the source", member, &node.where});
    }
}

// ---- the order of carbonio.md 1.4

Result<> Emitter::run() {
    note_leftovers();
    IMAPULT_CHECK(all_of({Kind::cos}));
    IMAPULT_CHECK(domains());
    IMAPULT_CHECK(all_of({Kind::account, Kind::resource}));
    IMAPULT_CHECK(all_of({Kind::signature, Kind::identity, Kind::data_source}));
    IMAPULT_CHECK(aliases_of({Kind::account, Kind::resource}));
    IMAPULT_CHECK(all_of({Kind::list}));
    IMAPULT_CHECK(all_of({Kind::dynamic_group}));
    IMAPULT_CHECK(all_of({Kind::unit}));
    IMAPULT_CHECK(aliases_of({Kind::list, Kind::dynamic_group}));
    for (const auto& [group, members] : group_members_) {
        member_actions(index_.node(group), members, Op::create);
    }
    return all_of({Kind::grant});
}

void Emitter::note_leftovers() {
    for (const auto& leftover : index_.leftovers) {
        writer_.decision(leftover.where, leftover.dn, {"", "skipped", leftover.reason});
    }
    for (const auto& node : index_.nodes) {
        if (node.skip.empty()) continue;
        const bool routine = node.kind == Kind::container;
        writer_.decision(node.where, node.dn, {"", "skipped", node.skip, routine});
        if (node.kind != Kind::container && node.kind != Kind::contact && node.kind != Kind::unit) {
            writer_.action({Op::skip, node.kind, node.name, node.dn, node.skip, {}, &node.where});
        }
    }
}

Result<> Emitter::all_of(std::initializer_list<Kind> kinds) {
    for (std::uint32_t i = 0; i < index_.nodes.size(); ++i) {
        const auto& node = index_.node(i);
        if (!node.skip.empty()) continue;
        if (std::ranges::find(kinds, node.kind) == kinds.end()) continue;
        IMAPULT_CHECK(one(i));
    }
    return {};
}

Result<> Emitter::one(std::uint32_t i) {
    const auto& node = index_.node(i);
    switch (node.kind) {
        case Kind::account:
        case Kind::resource:
            return emit_account(i);
        case Kind::list:
            return emit_list(i);
        case Kind::dynamic_group:
            return emit_group(i);
        default:
            break;
    }
    if (node.kind != Kind::cos && node.kind != Kind::grant) return emit_child(i);
    IMAPULT_TRY(auto item, index_.load(node));
    if (node.kind == Kind::grant) return emit_csv_share(node, item);
    if (node.default_cos) {
        writer_.action({Op::keep,
                        Kind::cos,
                        node.name,
                        target_dn(index_, node),
                        "the destination's own default is used as it is",
                        {},
                        &node.where});
        note(node, {"", "kept", "the destination's COS default is used with its own values"});
        return {};
    }
    for (const auto& item_note : item.notes) note(node, item_note);
    auto entry = std::move(item.entry);
    entry.dn = target_dn(index_, node);
    entry.set("cn", node.name);
    entry.set("zimbraId", node.id);
    clean(node, entry);
    classes(node, entry);
    return put(node, std::move(entry), reason_of(node));
}

// ---- domains

Result<> Emitter::parents_of(const std::string& domain) {
    std::vector<std::string> parents;
    for (auto dot = domain.find('.'); dot != std::string::npos; dot = domain.find('.', dot + 1)) {
        parents.push_back(domain.substr(dot + 1));
    }
    for (const auto& parent : std::vector(parents.rbegin(), parents.rend())) {
        const auto i = index_.domain(parent);
        if (i != kNone && index_.node(i).skip.empty()) continue;
        Entry entry;
        entry.dn = domain_dn(parent);
        entry.add("objectClass", "dcObject");
        entry.add("objectClass", "organization");
        entry.add("dc", parent.substr(0, parent.find('.')));
        entry.add("o", parent + " domain");
        IMAPULT_CHECK(put_container(std::move(entry)));
    }
    return {};
}

Result<> Emitter::domains() {
    std::vector<std::uint32_t> order;
    for (std::uint32_t i = 0; i < index_.nodes.size(); ++i) {
        const auto& node = index_.node(i);
        if (node.kind == Kind::domain && node.skip.empty()) order.push_back(i);
    }
    // An entry's parent first; real domains before the aliases on the same level.
    std::ranges::sort(order, {}, [&](std::uint32_t i) {
        const auto& node = index_.node(i);
        return std::tuple(std::ranges::count(node.name, '.'), node.alias_domain, i);
    });
    for (const auto i : order) IMAPULT_CHECK(emit_domain(i));
    return {};
}

Result<> Emitter::emit_domain(std::uint32_t i) {
    const auto& node = index_.node(i);
    IMAPULT_CHECK(parents_of(node.name));
    Entry entry;
    if (!node.synthetic) {
        IMAPULT_TRY(auto item, index_.load(node));
        for (const auto& item_note : item.notes) note(node, item_note);
        entry = std::move(item.entry);
    } else {
        for (const auto* name : {"dcObject", "organization", "zimbraDomain"}) {
            entry.add("objectClass", name);
        }
    }
    entry.dn = domain_dn(node.name);
    entry.set("dc", node.name.substr(0, node.name.find('.')));
    entry.set("o", node.name + " domain");  // as the server writes it
    entry.set("zimbraDomainName", node.name);
    if (!entry.has("zimbradomaintype")) entry.set("zimbraDomainType", "local");
    if (!entry.has("zimbradomainstatus")) entry.set("zimbraDomainStatus", "active");
    if (!entry.has("zimbramailstatus")) entry.set("zimbraMailStatus", "enabled");
    entry.set("zimbraId", node.id);
    cos_reference(node, entry, "zimbraDomainDefaultCOSId");
    cos_reference(node, entry, "zimbraDomainDefaultExternalUserCOSId");
    if (node.alias_domain) {
        const auto target = index_.by_id(node.target_id);
        if (target != kNone) entry.set("zimbraDomainAliasTargetId", index_.node(target).id);
    }
    for (const auto name : kHostAttributes) {
        auto* attribute = entry.find(to_lower(name));
        if (!attribute) continue;
        for (auto& value : attribute->values) {
            const auto mapped = settings_.hosts.find(to_lower(value));
            if (mapped != settings_.hosts.end()) {
                note(node, {std::string(name), "rewritten", value + " → " + mapped->second});
                value = mapped->second;
            } else {
                note(node, {std::string(name), "kept",
                            printable(value, 256) + ": name it in [hosts] if it changes"});
            }
        }
    }
    aces(node, entry);
    rewrite_addresses(entry);
    clean(node, entry);
    classes(node, entry);
    IMAPULT_CHECK(put(node, std::move(entry), reason_of(node)));
    for (const auto& [rdn, attribute] :
         {std::pair("ou=people,", "ou"), std::pair("cn=groups,", "cn")}) {
        Entry container;
        container.dn = rdn + domain_dn(node.name);
        container.add("objectClass", "organizationalRole");
        const std::string value = attribute == std::string_view("ou") ? "people" : "groups";
        if (value == "people") container.add("ou", value);
        container.add("cn", value);
        IMAPULT_CHECK(put_container(std::move(container)));
    }
    return {};
}

Result<> Emitter::emit_child(std::uint32_t i) {
    const auto& node = index_.node(i);
    IMAPULT_TRY(auto item, index_.load(node));
    for (const auto& item_note : item.notes) note(node, item_note);
    auto entry = std::move(item.entry);
    entry.dn = target_dn(index_, node);
    rewrite_addresses(entry);
    if (node.kind == Kind::unit) {
        const auto& group = index_.node(node.parent);
        entry.set("zimbraGroupId", group.id);
        entry.set("zimbraId", node.id);
        if (entry.has("dgidentity")) entry.set("dgIdentity", std::string(kAdminDn));
        if (entry.has("mail")) {
            const auto address = std::string(local_part(group.name)) + ".__internal__@" +
                                 std::string(domain_part(group.name));
            entry.set("mail", address);
            entry.set("zimbraMailAlias", address);
        }
        IMAPULT_TRY(const auto members, resolve_members(index_, destination_, item));
        std::vector<std::string> addresses;
        for (const auto& member : members.members) addresses.push_back(member.address);
        for (const auto& lost : members.lost) {
            note(node, {"zimbraMailForwardingAddress", "dropped", lost.value + ": " + lost.reason});
        }
        auto& all = group_members_[node.parent];
        all.insert(all.end(), addresses.begin(), addresses.end());
        entry.set_values("zimbraMailForwardingAddress", std::move(addresses));
    }
    clean(node, entry);
    classes(node, entry);
    Node named = node;
    named.name = index_.node(node.parent).name + "/" + node.name;
    return put(named, std::move(entry), reason_of(node));
}

Result<> Emitter::emit_alias(const Node& node, const std::string& id, const std::string& target_id,
                             const std::string& reason) {
    Entry entry;
    entry.dn = target_dn(index_, node);
    entry.add("objectClass", "zimbraAlias");
    entry.add("uid", std::string(local_part(node.name)));
    entry.add("zimbraId", id);
    entry.add("zimbraAliasTargetId", target_id);
    return put(node, std::move(entry), reason);
}

Result<> Emitter::aliases_of(std::initializer_list<Kind> kinds) {
    for (std::uint32_t i = 0; i < index_.nodes.size(); ++i) {
        const auto& owner = index_.node(i);
        if (!owner.skip.empty()) continue;
        if (std::ranges::find(kinds, owner.kind) == kinds.end()) continue;
        for (const auto& alias : owner.aliases) {
            const auto known = index_.alias_entry(alias);
            Node node;
            node.kind = Kind::alias;
            node.name = alias;
            node.where = known == kNone ? owner.where : index_.node(known).where;
            node.dn = known == kNone ? owner.dn : index_.node(known).dn;
            const auto id = known == kNone ? derived_uuid("alias " + alias) : index_.node(known).id;
            if (known == kNone && index_.context().profile == Profile::zimbra) {
                note(owner,
                     {"zimbraMailAlias", "added", "the alias entry of " + alias + " was missing"});
            }
            IMAPULT_CHECK(emit_alias(node, id, owner.id, "alias of " + owner.name));
        }
    }
    return {};
}

}  // namespace imapult::provisioning
