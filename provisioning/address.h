#pragma once
// Mail addresses in the form Carbonio keeps them: lower case, domain in IDNA ASCII.

#include <optional>
#include <string>
#include <string_view>

namespace imapult::provisioning {

/// "Ann@Bücher.EXAMPLE" → "ann@xn--bcher-kva.example". Nothing if it is not an address a Carbonio
/// account can have: one @, a local part of RFC 5321 atoms (UTF-8 refused), a domain with labels of
/// at most 63 octets, 254 octets in all.
std::optional<std::string> normal_address(std::string_view text);

/// Lower case and IDNA ASCII (IDNA 2008, non-transitional); nothing if it is not a domain name.
std::optional<std::string> normal_domain(std::string_view text);

/// Parts of a normal address.
std::string_view local_part(std::string_view address);
std::string_view domain_part(std::string_view address);

}  // namespace imapult::provisioning
