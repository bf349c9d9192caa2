#include "provisioning/index.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "engine/base/glob.h"
#include "engine/base/text.h"
#include "provisioning/address.h"
#include "provisioning/dn.h"
#include "provisioning/password.h"

namespace imapult::provisioning {
namespace {

std::uint32_t look_up(const std::unordered_map<std::string, std::uint32_t>& map,
                      std::string_view key) {
    const auto found = map.find(std::string(key));
    return found == map.end() ? kNone : found->second;
}

bool has_addresses(Kind kind) {
    return kind == Kind::account || kind == Kind::resource || kind == Kind::list ||
           kind == Kind::dynamic_group;
}

bool is_child(Kind kind) {
    return kind == Kind::signature || kind == Kind::identity || kind == Kind::data_source ||
           kind == Kind::unit;
}

// Ids of these kinds are zimbraIds; the others have id spaces of their own.
bool has_zimbra_id(Kind kind) {
    return has_addresses(kind) || kind == Kind::domain || kind == Kind::cos ||
           kind == Kind::alias || kind == Kind::unit;
}

std::string_view child_rdn(Kind kind) {
    switch (kind) {
        case Kind::signature:
            return "zimbraSignatureName";
        case Kind::identity:
            return "zimbraPrefIdentityName";
        case Kind::data_source:
            return "zimbraDataSourceName";
        default:
            return "cn";
    }
}

}  // namespace

std::string Mapper::domain(std::string_view domain) const {
    const auto found = settings_.domains.find(std::string(domain));
    return found == settings_.domains.end() ? std::string(domain) : found->second;
}

std::string Mapper::address(std::string_view address) const {
    if (!renames()) return std::string(address);
    return std::string(local_part(address)) + "@" + domain(domain_part(address));
}

std::string Mapper::excluded_account(std::string_view address) const {
    for (const auto& pattern : settings_.exclude_accounts) {
        if (glob_match(pattern, address)) return "excluded by the settings (accounts)";
    }
    return excluded_domain(domain_part(address));
}

std::string Mapper::excluded_domain(std::string_view domain) const {
    for (const auto& pattern : settings_.exclude_domains) {
        if (glob_match(pattern, domain)) return "excluded by the settings (domains)";
    }
    return {};
}

std::string target_dn(const Index& index, const Node& node) {
    const auto domain = domain_dn(domain_part(node.name));
    switch (node.kind) {
        case Kind::domain:
            return domain_dn(node.name);
        case Kind::cos:
            return make_rdn("cn", node.name) + ",cn=cos,cn=zimbra";
        case Kind::dynamic_group:
            return make_rdn("cn", local_part(node.name)) + ",cn=groups," + domain;
        case Kind::signature:
        case Kind::identity:
        case Kind::data_source:
        case Kind::unit:
            IMAPULT_ASSERT(node.parent != kNone);
            return make_rdn(child_rdn(node.kind), node.name) + "," +
                   target_dn(index, index.node(node.parent));
        default:
            return make_rdn("uid", local_part(node.name)) + ",ou=people," + domain;
    }
}

Index::Index(SourceSet& source, ProfileContext context)
    : source_(source), context_(context), mapper_(*context_.settings) {}

std::uint32_t Index::by_id(std::string_view id) const {
    const auto found = look_up(by_id_, id);
    return found != kNone ? found : look_up(by_source_id_, id);
}
std::uint32_t Index::by_address(std::string_view address) const {
    const auto direct = look_up(by_address_, address);
    if (direct != kNone) return direct;
    // An address in an alias domain is the same local part in the real one.
    const auto alias = domain(domain_part(address));
    if (alias == kNone || !nodes[alias].alias_domain) return kNone;
    const auto target = by_id(nodes[alias].target_id);
    if (target == kNone || nodes[target].kind != Kind::domain) return kNone;
    return look_up(by_address_, std::string(local_part(address)) + "@" + nodes[target].name);
}
std::uint32_t Index::by_dn(std::string_view dn) const {
    const auto normal = normal_dn(dn);
    return normal ? look_up(by_dn_, *normal) : kNone;
}
std::uint32_t Index::by_uid(std::string_view uid) const {
    return look_up(by_uid_, uid);
}
std::uint32_t Index::domain(std::string_view name) const {
    return look_up(domains_, name);
}
std::uint32_t Index::alias_entry(std::string_view address) const {
    return look_up(alias_entries_, address);
}

void Index::add_conflict(std::string_view kind, std::string value, const Node& node,
                         const Node* other, std::string message) {
    Conflict conflict{kind, std::move(value), node.where, node.dn, {}, std::move(message)};
    if (other) conflict.other = ConflictSide{false, other->where, other->dn};
    conflicts.push_back(std::move(conflict));
}

// Change records may stand before or behind the entry they change, and may change what the index
// holds: when there are any, the files are read once more with the changes known.
Result<> Index::build() {
    IMAPULT_CHECK(source_.scan([this](Record& record) { take(record); }));
    if (!patches_.empty()) {
        patches_known_ = true;
        nodes.clear();
        conflicts.clear();
        leftovers.clear();
        for (auto* map : {&by_dn_, &by_id_, &by_source_id_, &by_address_, &by_uid_, &domains_,
                          &alias_entries_}) {
            map->clear();
        }
        IMAPULT_CHECK(source_.scan([this](Record& record) { take(record); }));
    }
    IMAPULT_CHECK(failure_);
    link();
    make_domains();
    return {};
}

void Index::take(Record& record) {
    context_.form = source_.files()[record.where.file].form;
    std::string normal;
    if (!record.entry.has(kCsvFields)) {
        auto parsed = normal_dn(record.entry.dn);
        if (!parsed) {
            leftovers.push_back({record.where, record.entry.dn,
                                 "the dn is not one of RFC 4514; correct it in the file"});
            return;
        }
        normal = std::move(*parsed);
    }
    if (record.change != ChangeType::add) return take_change(record, normal);
    if (patches_known_) {
        if (const auto found = patches_.find(normal); found != patches_.end()) {
            for (const auto& where : found->second) {
                auto patch = source_.load(where);
                if (!patch) {
                    failure_ = std::unexpected(patch.error());
                    return;
                }
                if (patch->change == ChangeType::remove) {
                    if (where.offset > record.where.offset || where.file > record.where.file) {
                        leftovers.push_back({record.where, record.entry.dn,
                                             "deleted by a later record of the files"});
                        return;
                    }
                    continue;
                }
                apply_modifications(record.entry, patch->modifications);
            }
        }
    }
    const auto where = record.where;
    auto item = interpret(context_, std::move(record));
    if (!normal.empty()) {
        const auto next = static_cast<std::uint32_t>(nodes.size());
        const auto [slot, fresh] = by_dn_.try_emplace(normal, next);
        if (!fresh) {
            auto& first = nodes[slot->second];
            if (item.adds_members || first.partial) {
                first.partial = first.partial && item.adds_members;
                first.more.push_back(where);
                return;
            }
            Node second;
            second.where = where;
            second.dn = item.entry.dn;
            add_conflict("duplicate_dn", item.entry.dn, second, &first,
                         "the same dn a second time");
            return;
        }
        if (patches_known_ && patches_.contains(normal)) item.adds_members = false;
    }
    take_item(std::move(item), where);
    if (!normal.empty() && patches_known_) {
        if (const auto found = patches_.find(normal); found != patches_.end()) {
            nodes.back().more = found->second;
        }
    }
}

void Index::take_change(Record& record, const std::string& normal) {
    if (record.change == ChangeType::rename) {
        leftovers.push_back({record.where, record.entry.dn,
                             "changetype modrdn: export the directory after the move instead"});
        return;
    }
    if (!patches_known_) patches_[normal].push_back(record.where);
}

void Index::name_node(Node& node, const Item& item) {
    node.name = item.name;
    if (node.kind == Kind::domain) {
        node.name = mapper_.domain(item.name);
        if (node.skip.empty()) node.skip = mapper_.excluded_domain(item.name);
    } else if (node.kind == Kind::cos) {
        const auto found = context_.settings->cos.find(item.name);
        if (found != context_.settings->cos.end()) node.name = found->second;
        node.default_cos = node.name == "default";
    } else if (has_addresses(node.kind) || node.kind == Kind::alias || node.kind == Kind::contact) {
        node.name = mapper_.address(item.name);
        if (node.skip.empty()) node.skip = mapper_.excluded_account(item.name);
        for (const auto& alias : item.aliases) {
            // Addresses of an excluded domain go, the account stays.
            if (mapper_.excluded_domain(domain_part(alias)).empty()) {
                node.aliases.push_back(mapper_.address(alias));
            }
        }
    }
    if (node.name != item.name) node.source_name = item.name;
}

void Index::check_addresses(const Node& node, const Item& item) {
    if (!node.skip.empty()) return;
    for (const auto& bad : item.bad_addresses) {
        add_conflict("invalid_address", bad, node, nullptr,
                     "not an address that Carbonio can have; correct it in the file or exclude "
                     "the entry");
    }
}

// What the check wants to know of an entry, so that it need not be read again for that.
void Index::note_for_checks(Node& node, const Entry& entry) {
    if (context_.profile != Profile::zimbra) return;
    const bool person = node.kind == Kind::account || node.kind == Kind::resource;
    if (person && entry.has("zimbrasignaturename")) ++node.signatures;
    if (person || node.kind == Kind::signature) {
        for (const auto* key : {"zimbraprefmailsignature", "zimbraprefmailsignaturehtml"}) {
            const auto characters = std::ranges::count_if(entry.first(key), [](char c) {
                return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
            });
            node.signature_characters =
                std::max(node.signature_characters, static_cast<std::uint32_t>(characters));
        }
    }
    if (!person && node.kind != Kind::domain) return;
    auto id = to_lower(entry.first(person ? "zimbracosid" : "zimbradomaindefaultcosid"));
    if (id.empty()) return;
    const auto next = static_cast<std::uint32_t>(cos_ids.size());
    const auto [slot, fresh] = cos_numbers_.try_emplace(id, next);
    if (fresh) cos_ids.push_back(std::move(id));
    node.cos = slot->second;
}

void Index::take_item(Item item, const Location& where) {
    Node node;
    node.kind = item.kind;
    node.where = where;
    node.dn = std::move(item.entry.dn);
    node.skip = std::move(item.skip);
    node.target_id = std::move(item.target_id);
    node.partial = item.adds_members;
    name_node(node, item);
    if (node.kind == Kind::domain) {
        node.alias_domain = item.entry.has_value("zimbradomaintype", "alias");
        if (node.alias_domain) {
            node.target_id = to_lower(item.entry.first("zimbradomainaliastargetid"));
        }
    }
    note_for_checks(node, item.entry);
    check_addresses(node, item);
    if (!item.bad_addresses.empty() && item.name.empty() && node.kind != Kind::container) {
        node.skip = "its address is not valid";
    }
    if (node.dn.empty()) node.dn = node.name;
    node.id = std::move(item.id);
    if (node.id.empty() && node.skip.empty() && has_zimbra_id(node.kind)) {
        node.id = derived_uuid(std::string(name_of(node.kind)) + " " + node.name);
        node.derived_id = true;
    }
    const auto i = static_cast<std::uint32_t>(nodes.size());
    if (!item.uid.empty()) by_uid_.try_emplace(item.uid, i);
    nodes.push_back(std::move(node));
    auto& added = nodes.back();
    if (!added.skip.empty()) {
        // Kept, so that references to it are told from references to nothing.
        if (!added.id.empty()) by_source_id_.try_emplace(added.id, i);
        if (!added.name.empty()) by_address_.try_emplace(added.name, i);
        return;
    }
    if (has_zimbra_id(added.kind)) {
        const auto [slot, fresh] = by_id_.try_emplace(added.id, i);
        if (!fresh && !added.derived_id) {
            add_conflict("duplicate_zimbra_id", added.id, added, &nodes[slot->second],
                         "two entries have the same zimbraId");
        }
    }
    if (added.kind == Kind::contact && !added.name.empty()) return;
    if (added.kind == Kind::alias) {
        alias_entries_.try_emplace(added.name, i);
    } else if (added.kind == Kind::domain) {
        const auto [slot, fresh] = domains_.try_emplace(added.name, i);
        if (!fresh) {
            add_conflict("duplicate_dn", added.name, added, &nodes[slot->second],
                         "two domains of the source have the same name at the destination");
        }
    } else if (has_addresses(added.kind)) {
        claim_address(i, added.name);
        for (const auto& alias : added.aliases) claim_address(i, alias);
    }
}

void Index::claim_address(std::uint32_t i, const std::string& address) {
    auto [slot, fresh] = by_address_.try_emplace(address, i);
    if (fresh || slot->second == i) return;
    if (!nodes[slot->second].skip.empty()) {
        slot->second = i;
        return;
    }
    add_conflict("duplicate_mail", address, nodes[i], &nodes[slot->second],
                 "two entries have this address");
}

void Index::link_child(Node& node) {
    const auto normal = normal_dn(node.dn);
    const auto parent = normal ? look_up(by_dn_, parent_of(*normal)) : kNone;
    const bool unit = node.kind == Kind::unit;
    const bool fits = parent != kNone && (unit ? nodes[parent].kind == Kind::dynamic_group
                                               : nodes[parent].kind == Kind::account ||
                                                     nodes[parent].kind == Kind::resource);
    if (!fits) {
        add_conflict("missing_parent", node.dn, node, nullptr,
                     unit ? "the dynamic group it belongs to is not in the files"
                          : "the account it belongs to is not in the files");
        node.skip = "its parent is missing";
        return;
    }
    node.parent = parent;
    auto& owner = nodes[parent];
    if (!owner.skip.empty()) {
        node.skip = "belongs to " + owner.name + ", which is not moved";
        return;
    }
    auto& count = node.kind == Kind::signature  ? owner.signatures
                  : node.kind == Kind::identity ? owner.identities
                                                : owner.data_sources;
    if (!unit && count < UINT8_MAX) ++count;
}

void Index::link_alias(std::uint32_t i) {
    auto& node = nodes[i];
    const auto target = by_id(node.target_id);
    if (target == kNone) {
        add_conflict("alias_without_target", node.name, node, nullptr,
                     "no entry has the zimbraId " + printable(node.target_id, 64) +
                         " that this alias stands for");
        return;
    }
    node.parent = target;
    auto& owner = nodes[target];
    if (!owner.skip.empty()) {
        node.skip = "alias of " + owner.name + ", which is not moved";
        return;
    }
    if (!has_addresses(owner.kind)) {
        add_conflict("alias_without_target", node.name, node, &owner,
                     "the entry this alias stands for can have no aliases");
        return;
    }
    if (std::ranges::find(owner.aliases, node.name) == owner.aliases.end() &&
        owner.name != node.name) {
        owner.aliases.push_back(node.name);
        claim_address(target, node.name);
    }
}

void Index::link() {
    for (std::uint32_t i = 0; i < nodes.size(); ++i) {
        auto& node = nodes[i];
        if (!node.skip.empty()) continue;
        if (is_child(node.kind)) link_child(node);
        if (node.kind == Kind::alias) link_alias(i);
    }
}

std::uint32_t Index::add_synthetic_domain(const std::string& name, const Location& where) {
    Node node;
    node.kind = Kind::domain;
    node.name = name;
    node.dn = domain_dn(name);
    node.where = where;
    node.synthetic = true;
    node.derived_id = true;
    node.id = derived_uuid("domain " + name);
    const auto i = static_cast<std::uint32_t>(nodes.size());
    by_id_.try_emplace(node.id, i);
    domains_.emplace(name, i);
    nodes.push_back(std::move(node));
    return i;
}

// Sources without domain entries: the domains are those of the addresses.
void Index::make_domains() {
    const auto count = nodes.size();
    for (std::size_t i = 0; i < count; ++i) {
        const auto& node = nodes[i];
        if (!node.skip.empty() || !has_addresses(node.kind)) continue;
        const bool from_csv = source_.files()[node.where.file].form != FileForm::ldif;
        if (context_.profile == Profile::zimbra && !from_csv) continue;
        for (std::size_t k = 0; k <= node.aliases.size(); ++k) {
            const auto& address = k == 0 ? nodes[i].name : nodes[i].aliases[k - 1];
            const std::string name(domain_part(address));
            if (!domains_.contains(name)) add_synthetic_domain(name, nodes[i].where);
        }
    }
}

Result<Item> Index::load(const Node& node) {
    IMAPULT_TRY(auto record, source_.load(node.where));
    context_.form = source_.files()[node.where.file].form;
    for (const auto& where : node.more) {
        IMAPULT_TRY(auto more, source_.load(where));
        if (more.change == ChangeType::modify) {
            apply_modifications(record.entry, more.modifications);
        } else if (more.change == ChangeType::add) {
            for (auto& attribute : more.entry.attributes) {
                if (!attribute.key.starts_with("member")) continue;
                for (auto& value : attribute.values) {
                    record.entry.add(attribute.name, std::move(value));
                }
            }
        }
    }
    return interpret(context_, std::move(record));
}

}  // namespace imapult::provisioning
