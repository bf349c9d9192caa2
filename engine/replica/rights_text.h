#pragma once
// Rights of mailboxes (RFC 4314, RFC 2086) between servers, and as Carbonio's own grants. Pure.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imapult::replica {

/// Whom an ACL entry is about.
struct Grantee {
    enum class Kind : std::uint8_t {
        user,
        group,
        anyone,         ///< everybody who can log in, on most servers also nobody in particular
        authenticated,  ///< everybody who has logged in
        anonymous,
        server,  ///< of the server's own: owner, administrators, Dovecot's global ones (#)
    };
    Kind kind = Kind::user;
    std::string name;       ///< of user and group
    bool negative = false;  ///< rights that are taken away
    bool operator==(const Grantee&) const = default;
};
/// As Dovecot ($group), Cyrus (group:name), Courier (user=, group=) and Zimbra write them.
Grantee parse_identifier(std::string_view identifier);

/// How a destination writes rights and people.
struct Dialect {
    enum class Letters : std::uint8_t {
        rfc4314,
        rfc2086,  ///< c and d for what has letters of its own since
        courier,  ///< c for k, and no p
        zimbra,   ///< sets of letters, each whole or without effect
    } letters = Letters::rfc4314;
    enum class Groups : std::uint8_t { as_sent, dollar, colon } groups = Groups::as_sent;
};
/// Nothing if the destination has no word for it.
std::optional<std::string> write_identifier(const Grantee& who, std::string_view as_sent,
                                            const Dialect& dialect);

/// The letters of RFC 4314 in a fixed order; c and d of RFC 2086 become what they stood for.
std::string plain_rights(std::string_view letters);
std::string minus_rights(std::string_view a, std::string_view b);
/// What the destination is told: never more than `plain`, empty if nothing of it can be said.
std::string write_rights(std::string_view plain, Dialect::Letters letters);
/// Carbonio's letters r w i d a; never more than `plain`.
std::string carbonio_perms(std::string_view plain);

/// Lines for `carbonio prov`: the grant, and what shows the folder to the grantee. Without a
/// mount where nobody in particular is meant; empty where Carbonio has no such grant.
struct CarbonioLines {
    std::string grant, mount;
};
CarbonioLines carbonio_lines(std::string_view owner, const std::vector<std::string>& path,
                             const Grantee& who, std::string_view perms);

/// An ACL as it was last carried over: identifier as the source writes it -> plain rights.
using Acl = std::map<std::string, std::string, std::less<>>;
std::string to_text(const Acl& acl);
Acl acl_of_text(std::string_view text);

/// What changed at the source since, one entry an identifier; plain rights.
struct AclChange {
    std::string identifier, before, now;
};
std::vector<AclChange> changes(const Acl& before, const Acl& now);

}  // namespace imapult::replica
