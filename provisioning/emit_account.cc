// Accounts, lists, dynamic groups and shares of the second reading.

#include <algorithm>

#include "engine/base/text.h"
#include "provisioning/address.h"
#include "provisioning/batch.h"
#include "provisioning/emit.h"
#include "provisioning/password.h"

namespace imapult::provisioning {
namespace {

constexpr int kLmtpPort = 7025;

std::vector<std::string> with_name(const Node& node) {
    std::vector<std::string> all{node.name};
    all.insert(all.end(), node.aliases.begin(), node.aliases.end());
    return all;
}

// "key:value;key:value…" of zimbraSharedItem; a value may itself hold a colon.
std::string shared_item_field(std::string_view item, std::string_view key) {
    while (!item.empty()) {
        const auto end = item.find(';');
        const auto pair = item.substr(0, end);
        const auto colon = pair.find(':');
        if (colon != std::string_view::npos && pair.substr(0, colon) == key) {
            return std::string(pair.substr(colon + 1));
        }
        if (end == std::string_view::npos) break;
        item.remove_prefix(end + 1);
    }
    return {};
}

// IMAP ACL letters (RFC 4314) to Carbonio's: each group counts only as a whole.
std::string rights_from_imap(std::string_view letters) {
    std::string out;
    const auto has = [&](std::string_view all) {
        return std::ranges::all_of(all, [&](char c) { return letters.contains(c); });
    };
    if (has("r")) out += 'r';
    if (has("w")) out += 'w';
    if (has("i")) out += 'i';
    if (has("t") || has("d")) out += 'd';
    if (has("a")) out += 'a';
    return out;
}

}  // namespace

void Emitter::mail_host(const Node& node, Entry& entry, bool transport) {
    const auto old = entry.first("zimbramailhost");
    if (!old.empty() && old != host_) {
        note(node, {"zimbraMailHost", "rewritten",
                    printable(old, 256) + " → " +
                        (host_.empty() ? "the destination's only server, at apply" : host_),
                    true});
    }
    entry.remove("zimbramailhost");
    entry.remove("zimbramailtransport");
    if (host_.empty()) return;
    entry.set("zimbraMailHost", host_);
    if (transport) {
        entry.set("zimbraMailTransport", "lmtp:" + host_ + ":" + std::to_string(kLmtpPort));
    }
}

void Emitter::account_addresses(const Node& node, Entry& entry) {
    entry.set("uid", std::string(local_part(node.name)));
    entry.set_values("mail", with_name(node));
    entry.set("zimbraMailDeliveryAddress", node.name);
    entry.set_values("zimbraMailAlias", node.aliases);
    entry.set("zimbraId", node.id);
    if (!entry.has("zimbramailstatus")) entry.set("zimbraMailStatus", "enabled");
    if (!entry.has("zimbraaccountstatus")) entry.set("zimbraAccountStatus", "active");
    for (const auto* name : {"cn", "sn"}) {
        if (!entry.has(name)) entry.set(name, std::string(local_part(node.name)));
    }
}

void Emitter::random_password(const Node& node, Entry& entry, const std::string& why,
                              bool by_default) {
    const auto password = writer_.password_for(node.name);
    entry.set("userPassword", hash_password(password.reveal(), node.name));
    if (settings_.force_change.value_or(by_default)) {
        entry.set("zimbraPasswordMustChange", "TRUE");
    }
    note(node, {"userPassword", "rewritten", why + ": a random password, in passwords.csv"});
}

void Emitter::account_password(const Node& node, const Item& item, Entry& entry) {
    if (item.from_csv && item.form == FileForm::csv_recovery) return;
    const bool forced_layout = item.from_csv && (item.form == FileForm::csv_shared_password ||
                                                 item.form == FileForm::csv_own_password);
    const auto values = entry.values("userpassword");
    entry.remove("userpassword");
    if (values.empty()) {
        if (node.kind == Kind::resource) return;
        return random_password(node, entry, "the source has no password", forced_layout);
    }
    if (!settings_.keep_hashes && !item.from_csv) {
        return random_password(node, entry, "keep_hashes is false", false);
    }
    std::vector<std::string> kept;
    std::string refused;
    for (const auto& value : values) {
        const auto verdict = judge_hash(value);
        if (verdict.fate == HashFate::keep) {
            kept.push_back(value);
        } else if (verdict.fate == HashFate::cleartext) {
            kept.push_back(hash_password(verdict.secret, node.name));
            if (!item.from_csv) {
                note(node, {"userPassword", "rewritten",
                            "stood in clear text in the source; hashed with {SSHA512}"});
            }
        } else {
            refused = verdict.scheme.empty() ? "an empty value" : "scheme " + verdict.scheme;
        }
    }
    if (kept.empty()) {
        return random_password(node, entry, refused + " cannot be verified by Carbonio",
                               forced_layout);
    }
    entry.set_values("userPassword", std::move(kept));
    if (forced_layout && settings_.force_change.value_or(true)) {
        entry.set("zimbraPasswordMustChange", "TRUE");
    }
}

void Emitter::account_references(const Node& node, const Item& item, Entry& entry) {
    cos_reference(node, entry, "zimbraCOSId");
    std::vector<std::string> groups;
    for (const auto& id : entry.values("zimbramemberof")) {
        const auto group = index_.by_id(to_lower(id));
        const bool fits = group != kNone && index_.node(group).skip.empty() &&
                          index_.node(group).kind == Kind::dynamic_group;
        if (fits) {
            groups.push_back(index_.node(group).id);
            group_members_[group].push_back(node.name);
        } else {
            note(node, {"zimbraMemberOf", "dropped",
                        "the dynamic group " + printable(id, 64) + " is not in the files"});
        }
    }
    entry.set_values("zimbraMemberOf", std::move(groups));
    for (const auto* name : {"zimbraChildAccount", "zimbraPrefChildVisibleAccount"}) {
        auto* attribute = entry.find(to_lower(name));
        if (!attribute) continue;
        auto values = attribute->values;
        std::erase_if(values, [&](const std::string& id) {
            const auto child = index_.by_id(to_lower(id));
            return child == kNone || !index_.node(child).skip.empty();
        });
        entry.set_values(name, std::move(values));
    }
    if (item.forward) {
        const auto target = resolve(index_, *item.forward);
        if (target && !target->address.empty()) {
            auto joined = std::string(entry.first("zimbraprefmailforwardingaddress"));
            if (!joined.empty()) joined += ',';
            entry.set("zimbraPrefMailForwardingAddress", joined + target->address);
        } else {
            note(node, {"altRecipient", "dropped",
                        "no entry with a mail address: " + printable(item.forward->value, 256)});
            entry.remove("zimbraprefmaillocaldeliverydisabled");
        }
    }
}

Result<> Emitter::emit_account(std::uint32_t i) {
    const auto& node = index_.node(i);
    IMAPULT_TRY(auto item, index_.load(node));
    for (const auto& item_note : item.notes) note(node, item_note);
    Entry entry = std::move(item.entry);
    entry.dn = target_dn(index_, node);
    clean(node, entry);
    account_addresses(node, entry);
    account_password(node, item, entry);
    account_references(node, item, entry);
    mail_host(node, entry, true);
    aces(node, entry);
    rewrite_addresses(entry);
    classes(node, entry);
    const auto status = std::string(entry.first("zimbraaccountstatus"));
    IMAPULT_CHECK(put(node, std::move(entry), reason_of(node)));
    if (equal_ignoring_case(status, "active")) {
        writer_.account(node.source_name.empty() ? node.name : node.source_name, node.name);
    }
    return emit_shares(node, item);
}

Result<> Emitter::emit_list(std::uint32_t i) {
    const auto& node = index_.node(i);
    IMAPULT_TRY(auto item, index_.load(node));
    for (const auto& item_note : item.notes) note(node, item_note);
    IMAPULT_TRY(const auto resolved, resolve_members(index_, destination_, item));
    std::vector<std::string> members;
    for (const auto& member : resolved.members) {
        members.push_back(member.address);
        if (member.node == kNone) {
            note(node,
                 {"member", "kept", "a member outside of the organisation: " + member.address});
        }
    }
    for (const auto& lost : resolved.lost) {
        note(node, {"member", "dropped", printable(lost.value, 256) + ": " + lost.reason});
    }
    Entry entry = item.entry;
    entry.dn = target_dn(index_, node);
    entry.set("uid", std::string(local_part(node.name)));
    entry.set_values("mail", with_name(node));
    entry.set_values("zimbraMailAlias", with_name(node));
    entry.set_values("zimbraMailForwardingAddress", members);
    entry.set("zimbraId", node.id);
    if (!entry.has("zimbramailstatus")) entry.set("zimbraMailStatus", "enabled");
    if (item.owner) {
        const auto owner = resolve(index_, *item.owner);
        if (owner && owner->node != kNone && index_.node(owner->node).skip.empty()) {
            const auto& who = index_.node(owner->node);
            const bool group = who.kind == Kind::list || who.kind == Kind::dynamic_group;
            entry.add("zimbraACE", who.id + (group ? " grp" : " usr") + " ownDistList");
        } else {
            note(node, {"owner", "dropped",
                        "the owner is not moved: " + printable(item.owner->value, 256)});
        }
    }
    mail_host(node, entry, false);
    aces(node, entry);
    const auto outside = std::move(members);
    clean(node, entry);
    classes(node, entry);
    IMAPULT_CHECK(put(node, std::move(entry), reason_of(node)));
    member_actions(node, outside, last_op_);
    return {};
}

Result<> Emitter::emit_group(std::uint32_t i) {
    const auto& node = index_.node(i);
    IMAPULT_TRY(auto item, index_.load(node));
    for (const auto& item_note : item.notes) note(node, item_note);
    Entry entry = item.entry;
    entry.dn = target_dn(index_, node);
    entry.set("cn", std::string(local_part(node.name)));
    entry.set_values("mail", with_name(node));
    entry.set_values("zimbraMailAlias", with_name(node));
    entry.set("zimbraId", node.id);
    entry.set("dgIdentity", std::string(kAdminDn));
    if (!entry.has_class("dgIdentityAux")) entry.add("objectClass", "dgIdentityAux");
    if (!entry.has("zimbramailstatus")) entry.set("zimbraMailStatus", "enabled");
    mail_host(node, entry, false);
    aces(node, entry);
    rewrite_addresses(entry);
    clean(node, entry);
    classes(node, entry);
    return put(node, std::move(entry), reason_of(node));
}

// ---- shares

void Emitter::share(const Node& node, const std::string& owner, std::string folder,
                    const std::string& grantee_type, const std::string& grantee, std::string rights,
                    std::string view) {
    if (!folder.starts_with('/')) folder.insert(0, "/");
    if (view.empty() || view == "unknown") view = "message";
    writer_.action({Op::create, Kind::grant, owner, target_dn(index_, node),
                    folder + " to " + grantee_type + " " + grantee + " (" + rights + ")", grantee,
                    &node.where});
    std::string line =
        "sm " + batch_word(owner) + " mfg " + batch_word(folder) + " " + batch_word(grantee_type);
    if (!grantee.empty()) line += " " + batch_word(grantee);
    writer_.share_line(line + " " + batch_word(rights));
    if (grantee_type != "account") {
        note(node, {"zimbraSharedItem", "rewritten",
                    folder + " is granted; mountpoints only are made for single accounts"});
        return;
    }
    // The same name for every reader of the folder, and unlike any folder of his own.
    const auto leaf = folder.substr(folder.rfind('/') + 1);
    const auto name = "/" + std::string(local_part(owner)) + "'s " + leaf;
    writer_.action({Op::create, Kind::mountpoint, grantee, target_dn(index_, node),
                    name + " for " + folder + " of " + owner, owner, &node.where});
    writer_.share_line("sm " + batch_word(grantee) + " cm --view " + batch_word(view) + " " +
                       batch_word(name) + " " + batch_word(owner) + " " + batch_word(folder));
}

Result<> Emitter::emit_shares(const Node& node, const Item& item) {
    for (const auto& value : item.shares) {
        const auto folder = shared_item_field(value, "folderPath");
        const auto type = shared_item_field(value, "granteeType");
        const auto rights = shared_item_field(value, "rights");
        const auto view = shared_item_field(value, "folderDefaultView");
        const auto refuse = [&](const std::string& why) {
            note(node, {"zimbraSharedItem", "dropped", why + ": " + printable(value, 256)});
        };
        if (folder.empty() || rights.empty() || !is_utf8(folder) || folder.contains('\0')) {
            refuse("no folder or no rights");
            continue;
        }
        if (type == "all" || type == "pub") {
            share(node, node.name, folder, type == "pub" ? "public" : "all", {}, rights, view);
            continue;
        }
        if (type != "usr" && type != "grp") {
            refuse("only shares with accounts, lists, all and public are carried");
            continue;
        }
        auto grantee = index_.by_id(to_lower(shared_item_field(value, "granteeId")));
        if (grantee == kNone) {
            const auto name = normal_address(shared_item_field(value, "granteeName"));
            if (name) grantee = index_.by_address(index_.mapper().address(*name));
        }
        if (grantee == kNone || !index_.node(grantee).skip.empty()) {
            refuse("its grantee is not moved");
            continue;
        }
        share(node, node.name, folder, type == "grp" ? "group" : "account",
              index_.node(grantee).name, rights, view);
    }
    return {};
}

Result<> Emitter::emit_csv_share(const Node& node, const Item& item) {
    const auto& fields = item.shares;
    const auto field = [&](std::size_t k) { return k < fields.size() ? fields[k] : std::string(); };
    const auto owner = resolve(index_, {Reference::Type::address, field(0)});
    const auto grantee = resolve(index_, {Reference::Type::address, field(2)});
    const auto rights = rights_from_imap(field(3));
    const bool known = owner && owner->node != kNone && grantee && grantee->node != kNone &&
                       index_.node(owner->node).skip.empty() &&
                       index_.node(grantee->node).skip.empty();
    if (!known || rights.empty() || field(1).empty()) {
        note(node, {"share", "dropped",
                    known ? "no folder, or no rights that Carbonio has"
                          : "owner or grantee is not moved"});
        return {};
    }
    const auto& who = index_.node(grantee->node);
    const bool group = who.kind == Kind::list || who.kind == Kind::dynamic_group;
    Node placed = index_.node(owner->node);
    placed.where = node.where;
    share(placed, index_.node(owner->node).name, field(1), group ? "group" : "account", who.name,
          rights, field(4));
    return {};
}

}  // namespace imapult::provisioning
