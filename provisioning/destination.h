#pragma once
// What the destination already has: an LDIF (`--against-ldif`), a live directory spooled to one, or
// nothing but a bare `cn=zimbra`.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/base/error.h"
#include "provisioning/profile.h"
#include "provisioning/source.h"

namespace imapult::provisioning {

/// Id of the COS `default` in every installation (carbonio-mailbox, ZimbraCOS).
inline constexpr std::string_view kDefaultCosId = "e00428a1-0c00-11d9-836a-000d93afea2a";
/// The bind entry that dynamic groups name as dgIdentity.
inline constexpr std::string_view kAdminDn = "uid=zimbra,cn=admins,cn=zimbra";

/// Attribute types and object classes a server knows, in lower case.
struct Schema {
    std::unordered_set<std::string> attributes;
    std::unordered_set<std::string> classes;
    [[nodiscard]] bool empty() const { return attributes.empty(); }
};

class Destination {
  public:
    struct Existing {
        Location where;
        std::string id;
        std::string dn;
        Kind kind = Kind::container;
        bool system = false;
    };

    /// An empty tree: only the COS `default`.
    Destination() = default;
    /// Reads an LDIF export of the destination. Errors: invalid_input (no such file, no cn=zimbra).
    Result<> read(SourceSet source);

    [[nodiscard]] const Existing* by_dn(std::string_view normal_dn) const;
    [[nodiscard]] const Existing* by_id(std::string_view id) const;
    [[nodiscard]] const Existing* by_address(std::string_view address) const;
    /// Id of a COS by name; `default` is always there.
    [[nodiscard]] std::optional<std::string> cos_id(std::string_view name) const;
    /// Host of the only mailbox server; empty if there is none or more than one.
    [[nodiscard]] std::string only_server() const;
    [[nodiscard]] std::size_t servers() const { return servers_.size(); }
    /// The entry with all its attributes.
    Result<Entry> load(const Existing& existing);
    [[nodiscard]] bool known() const { return source_.has_value(); }

    Schema schema;  ///< empty unless a live server told it

  private:
    void take(const Record& record);

    std::optional<SourceSet> source_;
    std::vector<std::string> servers_;
    bool has_root_ = false;
    std::vector<Existing> entries_;
    std::unordered_map<std::string, std::uint32_t> by_dn_;
    std::unordered_map<std::string, std::uint32_t> by_id_;
    std::unordered_map<std::string, std::uint32_t> by_address_;
    std::unordered_map<std::string, std::string> cos_;
};

}  // namespace imapult::provisioning
