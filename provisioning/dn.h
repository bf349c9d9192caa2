#pragma once
// Distinguished names: taken apart and written by libldap (RFC 4514), compared by a normal form.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imapult::provisioning {

/// One RDN; only its first attribute-value pair is kept apart, the others follow in `more`.
struct Rdn {
    std::string type;   ///< lower case
    std::string value;  ///< unescaped octets
    std::vector<std::pair<std::string, std::string>> more;
};

/// Leaf first. Nothing if it is not a DN. The empty DN has no RDN.
std::optional<std::vector<Rdn>> parse_dn(std::string_view dn);

/// Form for comparison: types and values in lower case, blanks squeezed, escapes as libldap writes
/// them, pairs of a multi-valued RDN sorted. Nothing if it is not a DN.
std::optional<std::string> normal_dn(std::string_view dn);

/// `type=value` with everything escaped that RFC 4514, section 2.4 wants escaped.
std::string make_rdn(std::string_view type, std::string_view value);

/// The DN without its first RDN; empty for a DN of one RDN. `normal` must come from normal_dn().
std::string_view parent_of(std::string_view normal);

/// "dc=example,dc=com" for "example.com".
std::string domain_dn(std::string_view domain);
/// "example.com" from the dc= tail of a DN; empty if there is none.
std::string domain_of(const std::vector<Rdn>& dn);

/// RFC 4515: `value` with \ * ( ) NUL and everything not plain ASCII as \xx.
std::string escape_filter(std::string_view value);

}  // namespace imapult::provisioning
