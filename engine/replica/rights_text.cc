#include "engine/replica/rights_text.h"

#include <algorithm>

#include "engine/base/text.h"

namespace imapult::replica {
namespace {

constexpr std::string_view kLetters = "lrswipkxtea";

bool has(std::string_view letters, char right) {
    return letters.find(right) != std::string_view::npos;
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : printable(text)) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

std::string folder_of(const std::vector<std::string>& path) {
    std::string out;
    for (std::size_t i = 0; i < path.size(); ++i)
        out += "/" + (i == 0 && path[i] == "INBOX" ? std::string("Inbox") : path[i]);
    return out;
}

std::string grantee_words(const Grantee& who) {
    switch (who.kind) {
        case Grantee::Kind::user:
            return "account " + quoted(who.name);
        case Grantee::Kind::group:
            return "group " + quoted(who.name);
        case Grantee::Kind::anyone:
        case Grantee::Kind::authenticated:
            return "all";
        case Grantee::Kind::anonymous:
            return "public";
        case Grantee::Kind::server:
            break;
    }
    return "";
}

}  // namespace

Grantee parse_identifier(std::string_view identifier) {
    Grantee out;
    if (identifier.starts_with('-')) {
        out.negative = true;
        identifier.remove_prefix(1);
    }
    const std::string lower = to_lower(identifier);
    const auto after = [&](std::string_view head, Grantee::Kind kind) {
        if (!lower.starts_with(head) || identifier.size() == head.size()) return false;
        out.kind = kind;
        out.name = identifier.substr(head.size());
        return true;
    };
    if (lower == "anyone") {
        out.kind = Grantee::Kind::anyone;
    } else if (lower == "authenticated" || lower == "authuser") {
        out.kind = Grantee::Kind::authenticated;
    } else if (lower == "anonymous") {
        out.kind = Grantee::Kind::anonymous;
    } else if (lower == "owner" || lower == "administrators" || lower.starts_with('#')) {
        out.kind = Grantee::Kind::server;
    } else if (!after("user=", Grantee::Kind::user) && !after("group=", Grantee::Kind::group) &&
               !after("group:", Grantee::Kind::group) && !after("$", Grantee::Kind::group)) {
        out.name = identifier;
    }
    return out;
}

std::optional<std::string> write_identifier(const Grantee& who, std::string_view as_sent,
                                            const Dialect& dialect) {
    std::string out;
    switch (who.kind) {
        case Grantee::Kind::user:
            out = who.name;
            break;
        case Grantee::Kind::group:
            if (dialect.letters == Dialect::Letters::zimbra) {
                out = who.name;
                break;
            }
            switch (dialect.groups) {
                case Dialect::Groups::as_sent:
                    out = as_sent.substr(who.negative ? 1 : 0);
                    break;
                case Dialect::Groups::dollar:
                    out = "$" + who.name;
                    break;
                case Dialect::Groups::colon:
                    out = "group:" + who.name;
                    break;
            }
            break;
        case Grantee::Kind::anyone:
            out = "anyone";
            break;
        case Grantee::Kind::authenticated:
            if (dialect.groups != Dialect::Groups::dollar) return std::nullopt;
            out = "authenticated";
            break;
        case Grantee::Kind::anonymous:
            if (dialect.letters == Dialect::Letters::zimbra) return std::nullopt;
            out = "anonymous";
            break;
        case Grantee::Kind::server:
            return std::nullopt;
    }
    if (!who.negative) return out;
    if (dialect.letters == Dialect::Letters::zimbra) return std::nullopt;
    return "-" + out;
}

std::string plain_rights(std::string_view letters) {
    const bool split = letters.find_first_of("kxte") != std::string_view::npos;
    std::string out;
    for (const char right : kLetters) {
        const bool by_create = !split && has(letters, 'c') && (right == 'k' || right == 'x');
        const bool by_delete = !split && has(letters, 'd') && (right == 't' || right == 'e');
        if (has(letters, right) || by_create || by_delete) out += right;
    }
    return out;
}

std::string minus_rights(std::string_view a, std::string_view b) {
    std::string out(a);
    std::erase_if(out, [&](char right) { return has(b, right); });
    return out;
}

std::string write_rights(std::string_view plain, Dialect::Letters letters) {
    switch (letters) {
        case Dialect::Letters::rfc4314:
            return std::string(plain);
        case Dialect::Letters::rfc2086: {
            std::string out;
            for (const char right : plain) {
                if (!has("kxte", right)) out += right;
            }
            if (has(plain, 'k') && has(plain, 'x')) out += 'c';
            if (has(plain, 't') && has(plain, 'e')) out += 'd';
            return out;
        }
        case Dialect::Letters::courier: {
            std::string out(plain);
            std::erase(out, 'p');
            std::ranges::replace(out, 'k', 'c');
            return out;
        }
        case Dialect::Letters::zimbra: {
            std::string out;
            for (const char perm : carbonio_perms(plain)) {
                out += perm == 'r'   ? "lr"
                       : perm == 'w' ? "sw"
                       : perm == 'i' ? "ick"
                       : perm == 'd' ? "xted"
                                     : "a";
            }
            return out;
        }
    }
    return "";
}

std::string carbonio_perms(std::string_view plain) {
    std::string out;
    if (has(plain, 'r')) out += 'r';
    if (has(plain, 'w')) out += 'w';
    if (has(plain, 'i')) out += 'i';
    if (has(plain, 't') && has(plain, 'e')) out += 'd';
    if (has(plain, 'a')) out += 'a';
    return out;
}

CarbonioLines carbonio_lines(std::string_view owner, const std::vector<std::string>& path,
                             const Grantee& who, std::string_view perms) {
    CarbonioLines out;
    const std::string grantee = grantee_words(who);
    if (grantee.empty() || perms.empty() || who.negative || path.empty()) return out;
    const std::string folder = quoted(folder_of(path));
    out.grant = "sm " + quoted(owner) + " mfg " + folder + " " + grantee + " " + std::string(perms);
    if (who.kind != Grantee::Kind::user) return out;
    const std::string name = path.back() == "INBOX" ? "Inbox" : path.back();
    const std::string_view local = owner.substr(0, owner.find('@'));
    out.mount = "sm " + quoted(who.name) + " cm --view message " +
                quoted("/" + name + " of " + std::string(local)) + " " + quoted(owner) + " " +
                folder;
    return out;
}

std::string to_text(const Acl& acl) {
    std::string out;
    for (const auto& [identifier, rights] : acl) out += rights + " " + identifier + "\n";
    return out;
}

Acl acl_of_text(std::string_view text) {
    Acl out;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        const auto blank = line.find(' ');
        if (blank != std::string_view::npos)
            out[std::string(line.substr(blank + 1))] = line.substr(0, blank);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

std::vector<AclChange> changes(const Acl& before, const Acl& now) {
    std::vector<AclChange> out;
    const auto rights = [](const Acl& acl, const std::string& who) {
        const auto found = acl.find(who);
        return found == acl.end() ? std::string() : found->second;
    };
    Acl all = before;
    all.insert(now.begin(), now.end());
    for (const auto& [who, unused] : all) {
        const std::string old = rights(before, who), present = rights(now, who);
        if (old != present) out.push_back({who, old, present});
    }
    return out;
}

}  // namespace imapult::replica
