// Session: changing an account's mailboxes (CREATE, DELETE, RENAME, SUBSCRIBE), quota and rights.

#include <algorithm>

#include "engine/base/text.h"
#include "tools/imapd/session.h"

namespace imapult::imapd {
namespace {

std::optional<std::string> one_name(Args& args) {
    if (!args.space()) return std::nullopt;
    return args.astring();
}

bool listed_among(const std::vector<std::string>& names, std::string_view name) {
    return std::ranges::any_of(
        names, [name](const std::string& n) { return equal_ignoring_case(n, name); });
}

constexpr std::string_view kAllRights = "lrswipkxteacd";

}  // namespace

/// Whether this server would make a mailbox of this name; may change the name the way the server
/// does.
std::optional<Reply> Session::check_name(std::string& name, detail::Guard& data) {
    const char sep = b_->separator;
    if (sep != '\0' && name.ends_with(sep)) name.pop_back();
    if (b_->trims_names) {
        while (name.ends_with(' ')) name.pop_back();
    }
    if (name.empty() || name.size() > b_->name_bytes_max)
        return no("[CANNOT] Invalid mailbox name");
    const auto is_raw = [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte >= 0x7F;
    };
    if (b_->refuses_names_not_utf7 && (std::ranges::any_of(name, is_raw) || !decode_mutf7(name) ||
                                       (!b_->canonicalises_names && !is_canonical_mutf7(name)))) {
        return no("[CANNOT] Mailbox name is not valid mUTF-7");
    }
    if (b_->canonicalises_names) {
        if (const auto text = decode_mutf7(name)) name = encode_mutf7(*text);
    }
    const std::string_view inner =
        std::string_view(name).substr(name.starts_with(b_->prefix) ? b_->prefix.size() : 0);
    if (inner.find_first_of(b_->forbidden_in_names) != std::string_view::npos) {
        return no("[CANNOT] Character not allowed in mailbox name");
    }
    const std::string twice(2, sep);
    if (sep != '\0' && (name.starts_with(sep) || name.find(twice) != std::string::npos)) {
        return no("[CANNOT] Invalid mailbox name");
    }
    const bool blanks =
        name.starts_with(' ') || name.ends_with(' ') || name.find("  ") != std::string::npos;
    if (b_->refuses_blanks_around && blanks) return no("[CANNOT] Invalid folder name");
    if (b_->children_of_inbox_refused && name.size() > 5 && name[5] == sep &&
        detail::is_inbox(std::string_view(name).substr(0, 5))) {
        return no("[CANNOT] Cannot create a folder under Inbox");
    }
    if (listed_among(b_->hidden_names, name) || listed_among(b_->reserved_names, name)) {
        return no("[CANNOT] This name is reserved");
    }
    if (!b_->prefix.empty() && !name.starts_with(b_->prefix) && !detail::is_inbox(name)) {
        return no("[CANNOT] Invalid mailbox name: it must start with " + b_->prefix);
    }
    if (find(data, name)) return no("[ALREADYEXISTS] Mailbox already exists");
    if (!b_->other_users_prefix.empty() && name.starts_with(b_->other_users_prefix))
        return no("[NOPERM] Permission denied");
    return std::nullopt;
}

Answer Session::cmd_create(Args& args) {
    auto name = one_name(args);
    if (!name) return bad("Invalid arguments to CREATE");
    std::string special;
    if (args.space()) {
        std::optional<std::vector<std::string>> uses;
        if (offers("CREATE-SPECIAL-USE") && args.accept('(') && args.accept_word("USE") &&
            args.space()) {
            uses = args.word_list();
        }
        if (!uses || uses->size() != 1 || !args.accept(')')) {
            return bad("Invalid arguments to CREATE");
        }
        constexpr std::string_view kUses[] = {"\\All",  "\\Archive", "\\Drafts", "\\Flagged",
                                              "\\Junk", "\\Sent",    "\\Trash",  "\\Important"};
        for (const std::string_view use : kUses) {
            if (equal_ignoring_case(use, uses->front())) special = use;
        }
        if (special.empty()) return no("[USEATTR] Unknown special use");
    }
    if (!args.at_end()) return bad("Invalid arguments to CREATE");
    detail::Guard data(store_);
    if (auto refusal = check_name(*name, data)) return refusal;
    auto box = data->create(*account_, *name, *b_);
    box->special_use = special;
    return ok((offers("OBJECTID") ? "[MAILBOXID (" + box->id + ")] " : "") + "Create completed.");
}

Answer Session::cmd_delete(Args& args) {
    const auto name = one_name(args);
    if (!name || !args.at_end()) return bad("Invalid arguments to DELETE");
    detail::Guard data(store_);
    std::string key;
    const auto box = find(data, *name, &key);
    if (!box) return no("[NONEXISTENT] Mailbox doesn't exist");
    if (detail::is_inbox(key)) return no("[CANNOT] INBOX cannot be deleted");
    if (state_ == State::selected && selected_.box == box) unselect();
    box->gone = true;
    account_->mailboxes.erase(key);
    ++data->version;
    return ok("Delete completed.");
}

Answer Session::cmd_rename(Args& args) {
    const auto from = one_name(args);
    auto to = from ? one_name(args) : std::nullopt;
    if (!to || !args.at_end()) return bad("Invalid arguments to RENAME");
    detail::Guard data(store_);
    std::string key;
    if (!find(data, *from, &key)) return no("[NONEXISTENT] Mailbox doesn't exist");
    if (auto refusal = check_name(*to, data)) return refusal;
    if (b_->separator != '\0' && to->starts_with(key + b_->separator)) {
        return no("[CANNOT] A mailbox cannot move below itself");
    }
    data->rename(*account_, key, *to, *b_);
    return ok("Rename completed.");
}

Answer Session::cmd_subscribe(Args& args) {
    const auto name = one_name(args);
    if (!name || !args.at_end()) return bad("Invalid arguments to SUBSCRIBE");
    detail::Guard data(store_);
    std::string key;
    if (!find(data, *name, &key)) return no("[NONEXISTENT] Mailbox doesn't exist");
    account_->subscribed.insert(key);
    return ok("Subscribe completed.");
}

Answer Session::cmd_unsubscribe(Args& args) {
    const auto name = one_name(args);
    if (!name || !args.at_end()) return bad("Invalid arguments to UNSUBSCRIBE");
    detail::Guard data(store_);
    std::string key = *name;
    find(data, *name, &key);
    account_->subscribed.erase(key);
    return ok("Unsubscribe completed.");
}

// --- quota (RFC 9208) and rights (RFC 4314)

/// Mailboxes that the store made for this account alone have no owner: all rights.
std::string Session::rights_on(const detail::Mailbox& box) const {
    const auto mine = box.acl.find(user_);
    if (mine != box.acl.end()) return mine->second;
    if (box.owner.empty() || box.owner == user_) return std::string(kAllRights);
    const auto all = box.acl.find("anyone");
    return all == box.acl.end() ? std::string() : all->second;
}

bool Session::may(const detail::Mailbox& box, char right) const {
    return rights_on(box).find(right) != std::string::npos;
}

void Session::write_quota() {
    if (account_->quota == 0) return untagged("QUOTA \"User quota\" ()");
    untagged("QUOTA \"User quota\" (STORAGE " + std::to_string(account_->used() / 1024) + " " +
             std::to_string(account_->quota / 1024) + ")");
}

Answer Session::cmd_getquotaroot(Args& args) {
    const auto name = one_name(args);
    if (!name || !args.at_end()) return bad("Invalid arguments to GETQUOTAROOT");
    detail::Guard data(store_);
    std::string key;
    if (!find(data, *name, &key)) return no("[NONEXISTENT] Mailbox doesn't exist");
    untagged("QUOTAROOT " + wire_name(key) + " \"User quota\"");
    write_quota();
    return ok("Getquotaroot completed.");
}

Answer Session::cmd_getquota(Args& args) {
    const auto root = one_name(args);
    if (!root || !args.at_end()) return bad("Invalid arguments to GETQUOTA");
    if (*root != "User quota") return no("[NONEXISTENT] Quota root doesn't exist");
    const detail::Guard data(store_);
    write_quota();
    return ok("Getquota completed.");
}

Answer Session::cmd_getacl(Args& args) {
    const auto name = one_name(args);
    if (!name || !args.at_end()) return bad("Invalid arguments to GETACL");
    detail::Guard data(store_);
    std::string key;
    const auto box = find(data, *name, &key);
    if (!box) return no("[NONEXISTENT] Mailbox doesn't exist");
    if (!may(*box, 'a')) return no("[NOPERM] Permission denied");
    const std::string& owner = box->owner.empty() ? user_ : box->owner;
    std::string line = "ACL " + wire_name(key);
    if (!box->acl.contains(owner)) line += " " + as_astring(owner) + " " + std::string(kAllRights);
    for (const auto& [who, rights] : box->acl) line += " " + as_astring(who) + " " + rights;
    untagged(line);
    return ok("Getacl completed.");
}

Answer Session::cmd_myrights(Args& args) {
    const auto name = one_name(args);
    if (!name || !args.at_end()) return bad("Invalid arguments to MYRIGHTS");
    detail::Guard data(store_);
    std::string key;
    const auto box = find(data, *name, &key);
    if (!box) return no("[NONEXISTENT] Mailbox doesn't exist");
    untagged("MYRIGHTS " + wire_name(key) + " " + rights_on(*box));
    return ok("Myrights completed.");
}

Answer Session::cmd_setacl(Args& args) {
    const auto name = one_name(args);
    const auto who = name ? one_name(args) : std::nullopt;
    const auto rights = who ? one_name(args) : std::nullopt;
    if (!rights || !args.at_end()) return bad("Invalid arguments to SETACL");
    detail::Guard data(store_);
    const auto box = find(data, *name);
    if (!box) return no("[NONEXISTENT] Mailbox doesn't exist");
    const char mode = rights->empty() ? '\0' : rights->front();
    const std::string letters = mode == '+' || mode == '-' ? rights->substr(1) : *rights;
    if (!may(*box, 'a')) return no("[NOPERM] Permission denied");
    if (letters.find_first_not_of(kAllRights) != std::string::npos) return bad("Unknown right");
    if (b_->product == "Carbonio" && letters.find('p') != std::string::npos)
        return bad("Unknown right");
    std::string& have = box->acl[*who];
    if (mode != '+' && mode != '-') have.clear();
    for (const char c : letters) {
        std::erase(have, c);
        if (mode != '-') have += c;
    }
    if (have.empty()) box->acl.erase(*who);
    return ok("Setacl completed.");
}

Answer Session::cmd_deleteacl(Args& args) {
    const auto name = one_name(args);
    const auto who = name ? one_name(args) : std::nullopt;
    if (!who || !args.at_end()) return bad("Invalid arguments to DELETEACL");
    detail::Guard data(store_);
    const auto box = find(data, *name);
    if (!box) return no("[NONEXISTENT] Mailbox doesn't exist");
    box->acl.erase(*who);
    return ok("Deleteacl completed.");
}

}  // namespace imapult::imapd
