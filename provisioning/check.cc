#include "provisioning/check.h"

#include <algorithm>
#include <tuple>

#include "engine/base/text.h"
#include "provisioning/address.h"
#include "provisioning/dn.h"
#include "provisioning/limits.h"

namespace imapult::provisioning {
namespace {

bool is_list(Kind kind) {
    return kind == Kind::list || kind == Kind::dynamic_group;
}

bool is_person(Kind kind) {
    return kind == Kind::account || kind == Kind::resource;
}

ConflictSide side_of(const Destination::Existing& existing) {
    return {true, existing.where, existing.dn};
}

class Checker {
  public:
    Checker(Index& index, const Destination& destination, const Settings& settings)
        : index_(index), destination_(destination), settings_(settings) {}

    Result<> run() {
        for (auto& node : index_.nodes) {
            if (node.kind == Kind::cos && node.skip.empty()) take_cos(node);
        }
        for (auto& node : index_.nodes) {
            if (node.kind == Kind::domain && node.skip.empty()) take_domain(node);
        }
        for (std::uint32_t i = 0; i < index_.nodes.size(); ++i) {
            const auto& node = index_.nodes[i];
            if (!node.skip.empty()) continue;
            check_against_destination(node);
            check_parent(node);
            check_name(node);
            check_limits(node);
        }
        IMAPULT_CHECK(check_contents());
        find_loops();
        std::ranges::sort(index_.conflicts, [](const Conflict& a, const Conflict& b) {
            return std::tie(a.where.file, a.where.line, a.kind, a.value) <
                   std::tie(b.where.file, b.where.line, b.kind, b.value);
        });
        return {};
    }

  private:
    void conflict(std::string_view kind, std::string value, const Node& node,
                  const Destination::Existing& existing, std::string message) {
        index_.add_conflict(kind, std::move(value), node, nullptr, std::move(message));
        index_.conflicts.back().other = side_of(existing);
    }

    // A COS that the destination has is used as it is there, under the id it has there.
    void take_cos(Node& node) {
        const auto [slot, fresh] = cos_.try_emplace(node.name, &node);
        if (!fresh) {
            index_.add_conflict("duplicate_dn", node.name, node, slot->second,
                                "two classes of service of the source have the same name at the "
                                "destination");
        }
        if (const auto id = destination_.cos_id(node.name)) {
            node.source_id = node.id;
            node.id = *id;
        }
    }

    void take_domain(Node& node) {
        const auto* existing = destination_.by_dn(domain_dn(node.name));
        if (!existing || existing->kind != Kind::domain || existing->id == node.id) return;
        const bool adopted =
            std::ranges::find(settings_.adopt_domains, node.name) != settings_.adopt_domains.end();
        if (!adopted && !node.synthetic) {
            conflict("local_domain", node.name, node, *existing,
                     "the destination already has this domain with another id; name it in "
                     "adopt_domains to put the accounts there, or rename it in [domains]");
            return;
        }
        node.source_id = node.id;
        node.id = existing->id;
    }

    void check_against_destination(const Node& node) {
        if (!destination_.known() || node.kind == Kind::cos || node.kind == Kind::domain ||
            node.kind == Kind::contact || node.kind == Kind::container ||
            node.kind == Kind::grant) {
            return;
        }
        if ((node.kind == Kind::signature || node.kind == Kind::identity ||
             node.kind == Kind::data_source || node.kind == Kind::unit) &&
            node.parent == kNone) {
            return;
        }
        const auto dn = normal_dn(target_dn(index_, node));
        const auto* same_dn = dn ? destination_.by_dn(*dn) : nullptr;
        const bool child = node.kind == Kind::signature || node.kind == Kind::identity ||
                           node.kind == Kind::data_source;
        if (same_dn && !child && same_dn->id != node.id) {
            if (same_dn->system) {
                return conflict("reserved_name", node.name, node, *same_dn,
                                "the destination has a system or administrator account of this "
                                "name");
            }
            if (node.kind == Kind::account || node.kind == Kind::resource || is_list(node.kind)) {
                conflict("duplicate_mail", node.name, node, *same_dn,
                         "the destination has another entry with this address");
            } else {
                conflict("duplicate_dn", target_dn(index_, node), node, *same_dn,
                         "the destination has another entry with this dn");
            }
            return;
        }
        if (child) return;
        const auto* same_id = destination_.by_id(node.id);
        if (same_id && same_id != same_dn) {
            conflict("duplicate_zimbra_id", node.id, node, *same_id,
                     "the destination has another entry with this zimbraId");
        }
        if (node.kind == Kind::alias || node.kind == Kind::unit) return;
        for (std::size_t i = 0; i <= node.aliases.size(); ++i) {
            const auto& address = i == 0 ? node.name : node.aliases[i - 1];
            const auto* same_mail = destination_.by_address(address);
            if (same_mail && same_mail != same_dn) {
                conflict("duplicate_mail", address, node, *same_mail,
                         "the destination has another entry with this address");
            }
        }
    }

    bool domain_exists(std::string_view name) const {
        const auto i = index_.domain(name);
        if (i != kNone && index_.node(i).skip.empty()) return true;
        const auto* existing = destination_.by_dn(domain_dn(name));
        return existing && existing->kind == Kind::domain;
    }

    void check_parent(const Node& node) {
        if (!is_person(node.kind) && !is_list(node.kind)) return;
        for (std::size_t i = 0; i <= node.aliases.size(); ++i) {
            const auto& address = i == 0 ? node.name : node.aliases[i - 1];
            if (domain_exists(domain_part(address))) continue;
            index_.add_conflict("missing_parent", address, node, nullptr,
                                "its domain " + std::string(domain_part(address)) +
                                    " is neither in the files nor at the destination");
        }
    }

    void check_name(const Node& node) {
        if (!is_person(node.kind) && !is_list(node.kind)) return;
        for (std::size_t i = 0; i <= node.aliases.size(); ++i) {
            const auto& address = i == 0 ? node.name : node.aliases[i - 1];
            const auto local = local_part(address);
            const bool reserved = is_system_local_part(local) || local.ends_with(".__internal__");
            if (!reserved) continue;
            index_.add_conflict("reserved_name", address, node, nullptr,
                                "Carbonio keeps names like this for its own accounts; rename or "
                                "exclude it");
        }
    }

    void check_limits(const Node& node) {
        const auto over = [&](std::string_view kind, std::size_t have, std::size_t limit,
                              std::string_view what) {
            if (have <= limit) return;
            index_.add_conflict(kind, node.name, node, nullptr,
                                std::to_string(have) + " " + std::string(what) +
                                    "; Carbonio allows " + std::to_string(limit));
        };
        over("too_many_signatures", node.signatures, limits::kSignaturesMax, "signatures");
        over("too_many_identities", node.identities, limits::kIdentitiesMax, "identities");
        over("too_many_data_sources", node.data_sources, limits::kDataSourcesMax, "data sources");
    }

    void check_signature(const Node& node) {
        if (node.signature_characters <= limits::kSignatureCharactersMax) return;
        index_.add_conflict("signature_too_long", node.name, node, nullptr,
                            "a signature of " + std::to_string(node.signature_characters) +
                                " characters; Carbonio allows " +
                                std::to_string(limits::kSignatureCharactersMax));
    }

    // zimbraDomainDefaultExternalUserCOSId is not looked at: that COS is part of every
    // installation, and not exported by all.
    void check_cos(const Node& node) {
        if (node.cos == kNone) return;
        const auto& id = index_.cos_ids[node.cos];
        if (id == kDefaultCosId) return;
        const auto cos = index_.by_id(id);
        const auto* existing = destination_.by_id(id);
        if ((cos != kNone && index_.node(cos).kind == Kind::cos) ||
            (existing && existing->kind == Kind::cos)) {
            return;
        }
        index_.add_conflict("unknown_cos", id, node, nullptr,
                            "no class of service has this id, neither in the files nor at the "
                            "destination");
    }

    // Members are the only thing that needs the entries themselves.
    Result<> check_contents() {
        for (std::uint32_t i = 0; i < index_.nodes.size(); ++i) {
            const auto& node = index_.nodes[i];
            if (!node.skip.empty() || node.synthetic) continue;
            check_signature(node);
            check_cos(node);
            if (node.kind == Kind::domain) check_alias_domain(node);
            if (node.kind != Kind::list && node.kind != Kind::unit) continue;
            IMAPULT_TRY(const auto item, index_.load(node));
            IMAPULT_CHECK(check_members(i, item));
        }
        return {};
    }

    void check_alias_domain(const Node& node) {
        if (!node.alias_domain) return;
        const auto target = index_.by_id(node.target_id);
        const auto* existing = destination_.by_id(node.target_id);
        if ((target != kNone && index_.node(target).kind == Kind::domain) || existing) return;
        index_.add_conflict("alias_without_target", node.name, node, nullptr,
                            "the domain this alias domain stands for is not in the files");
    }

    Result<> check_members(std::uint32_t i, const Item& item) {
        const auto& node = index_.nodes[i];
        IMAPULT_TRY(const auto resolved, resolve_members(index_, destination_, item));
        for (const auto& lost : resolved.lost) {
            if (!lost.conflict) continue;
            index_.add_conflict("unknown_member", lost.value, node, nullptr, lost.reason);
        }
        if (node.kind != Kind::list) return {};
        for (const auto& member : resolved.members) {
            if (member.node == kNone || index_.node(member.node).kind != Kind::list) continue;
            edges_[i].push_back(member.node);
        }
        return {};
    }

    // Depth-first over lists in lists, without recursion: a chain may be as long as there are
    // lists.
    void find_loops() {
        enum class Mark : std::uint8_t { white, grey, black };
        std::unordered_map<std::uint32_t, Mark> marks;
        for (const auto& [start, unused] : edges_) {
            if (marks[start] != Mark::white) continue;
            std::vector<std::pair<std::uint32_t, std::size_t>> path{{start, 0}};
            marks[start] = Mark::grey;
            while (!path.empty()) {
                auto& [at, next] = path.back();
                const auto found = edges_.find(at);
                if (found == edges_.end() || next >= found->second.size()) {
                    marks[at] = Mark::black;
                    path.pop_back();
                    continue;
                }
                const auto to = found->second[next++];
                auto& mark = marks[to];
                if (mark == Mark::grey) {
                    const auto& from = index_.node(at);
                    const auto& other = index_.node(to);
                    index_.add_conflict("list_loop", other.name, from, &other,
                                        at == to ? "the list is a member of itself"
                                                 : "the list " + from.name + " has " + other.name +
                                                       " as a member, which contains it");
                } else if (mark == Mark::white) {
                    mark = Mark::grey;
                    path.emplace_back(to, 0);
                }
            }
        }
    }

    Index& index_;
    const Destination& destination_;
    const Settings& settings_;
    std::map<std::uint32_t, std::vector<std::uint32_t>> edges_;
    std::map<std::string, const Node*> cos_;
};

// Members of groups that have no address of their own, each group once.
class MemberResolver {
  public:
    MemberResolver(Index& index, const Destination& destination)
        : index_(index), destination_(destination) {}

    Result<Members> run(const Item& item) {
        std::vector<Item> open;
        std::unordered_set<std::uint32_t> expanded;
        IMAPULT_CHECK(take_all(item, open, expanded));
        while (!open.empty()) {
            const auto next = std::move(open.back());
            open.pop_back();
            IMAPULT_CHECK(take_all(next, open, expanded));
        }
        return std::move(members_);
    }

  private:
    Result<> take_all(const Item& item, std::vector<Item>& open,
                      std::unordered_set<std::uint32_t>& expanded) {
        for (const auto& reference : item.members) {
            const auto found = resolve(index_, reference);
            if (!found) {
                lose(reference, item);
                continue;
            }
            if (found->node != kNone) {
                const auto& node = index_.node(found->node);
                if (node.name.empty() && node.kind == Kind::list) {
                    if (!expanded.insert(found->node).second) continue;
                    IMAPULT_TRY(auto inner, index_.load(node));
                    open.push_back(std::move(inner));
                    continue;
                }
                if (!node.skip.empty()) {
                    members_.lost.push_back({reference.value, "not moved: " + node.skip, false});
                    continue;
                }
                if (node.kind == Kind::dynamic_group) {
                    members_.lost.push_back(
                        {reference.value, "a dynamic group cannot be a member of a list", false});
                    continue;
                }
            }
            if (seen_.insert(found->address).second) members_.members.push_back(*found);
        }
        return {};
    }

    void lose(const Reference& reference, const Item&) {
        if (reference.type != Reference::Type::address) {
            members_.lost.push_back(
                {reference.value, "no entry of the files, or one without a mail address", false});
            return;
        }
        const auto address = normal_address(reference.value);
        if (!address) {
            members_.lost.push_back({reference.value, "not a mail address", false});
            return;
        }
        const auto mapped = index_.mapper().address(*address);
        const std::string domain(domain_part(mapped));
        if (destination_.by_address(mapped)) {
            members_.members.push_back({mapped, kNone});
            return;
        }
        if (!index_.mapper().excluded_domain(domain_part(*address)).empty()) {
            members_.lost.push_back({reference.value, "its domain is excluded", false});
            return;
        }
        members_.lost.push_back({reference.value,
                                 "no account, alias or list of the organisation has this address",
                                 true});
    }

    Index& index_;
    const Destination& destination_;
    Members members_;
    std::unordered_set<std::string> seen_;
};

}  // namespace

std::optional<ResolvedMember> resolve(const Index& index, const Reference& reference) {
    std::uint32_t i = kNone;
    switch (reference.type) {
        case Reference::Type::dn:
            i = index.by_dn(reference.value);
            break;
        case Reference::Type::uid:
            i = index.by_uid(to_lower(reference.value));
            break;
        case Reference::Type::address: {
            const auto address = normal_address(reference.value);
            if (!address) return {};
            auto mapped = index.mapper().address(*address);
            i = index.by_address(mapped);
            if (i != kNone) return ResolvedMember{std::move(mapped), i};
            // Another system's address is as good as any.
            if (index.domain(domain_part(mapped)) == kNone &&
                index.mapper().excluded_domain(domain_part(*address)).empty()) {
                return ResolvedMember{std::move(mapped), kNone};
            }
            return {};
        }
    }
    if (i == kNone) return {};
    const auto& node = index.node(i);
    if (node.kind == Kind::contact) {
        if (node.name.empty()) return {};
        return ResolvedMember{node.name, kNone};
    }
    if (node.name.empty() && node.kind != Kind::list) return {};
    return ResolvedMember{node.name, i};
}

Result<Members> resolve_members(Index& index, const Destination& destination, const Item& item) {
    return MemberResolver(index, destination).run(item);
}

Result<> check(Index& index, const Destination& destination, const Settings& settings) {
    return Checker(index, destination, settings).run();
}

}  // namespace imapult::provisioning
