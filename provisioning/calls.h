#pragma once
// What it takes to make an entry by Carbonio's administration interface, where ids cannot be given:
// the batch file for `carbonio prov` and the SOAP road are two ways to write the same calls.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "provisioning/entry.h"
#include "provisioning/profile.h"

namespace imapult::provisioning {

/// Calls of one stage only need those of earlier stages to have been made.
enum class Stage : std::uint8_t {
    cos,
    domain,
    alias_domain,
    account,
    alias,
    child,
    list,
    group,
    member,
    grant,
    share,
};
inline constexpr std::size_t kStages = 11;

enum class Verb : std::uint8_t {
    create_cos,
    create_domain,
    create_alias_domain,
    create_account,
    create_resource,
    set_cos,
    set_default_cos,  ///< of a domain; only by SOAP, the batch file cannot name an id to come
    add_alias,
    add_list_alias,
    create_signature,
    default_signature,  ///< `name` is the signature's, `text` the preference's; SOAP only
    create_identity,
    create_data_source,
    create_list,
    create_group,
    add_members,
    grant_right,
};

struct Call {
    Verb verb = Verb::create_account;
    Stage stage = Stage::account;
    std::string target;  ///< whose: an address, a domain or a COS
    std::string name;    ///< alias, signature, COS, …
    std::string text;    ///< type of a data source, right, preference
    std::string grantee_type;
    std::string target_type;  ///< of grant_right: account, dl, domain, cos
    std::vector<std::pair<std::string, std::string>> attributes;
    std::vector<std::string> members;
    std::string dn;  ///< the entry it makes or completes
};

/// Ids of an entry tree and the names they stand for.
class Names {
  public:
    struct Named {
        Kind kind = Kind::account;
        std::string name;
    };
    void add(Kind kind, std::string_view id, std::string name);
    [[nodiscard]] const Named* find(std::string_view id) const;
    /// Reads the ids of an entry of carbonio.ldif.
    void learn(const Entry& entry);

  private:
    std::unordered_map<std::string, Named> names_;
};

/// Address, domain or COS name that an entry of carbonio.ldif stands for, by its DN.
std::string name_of_entry(Kind kind, const Entry& entry);
/// Address of the account (or group) above a child entry.
std::string owner_of_entry(const Entry& entry);

/// Calls for one entry of carbonio.ldif, in the order they are to be made. `say` hears what the
/// interface cannot carry (attribute, reason).
class CallBuilder {
  public:
    using Say = std::function<void(const std::string& dn, const std::string& attribute,
                                   const std::string& reason)>;
    CallBuilder(const Names& names, Say say) : names_(names), say_(std::move(say)) {}
    std::vector<Call> calls_for(const Entry& entry);
    /// Members of dynamic groups, gathered from the accounts; after the last entry.
    std::vector<Call> group_members();

  private:
    void account(const Entry& entry, Kind kind, std::vector<Call>& out);
    void signature(const Entry& entry, const std::string& owner, std::vector<Call>& out);
    void default_signatures(const Entry& entry, const std::string& owner, std::vector<Call>& out);
    void list(const Entry& entry, std::vector<Call>& out);
    void group(const Entry& entry, std::vector<Call>& out);
    void domain(const Entry& entry, std::vector<Call>& out);
    void grants(const Entry& entry, const std::string& type, const std::string& target,
                std::vector<Call>& out);
    void copy_attributes(const Entry& entry, Kind kind, Call& call);

    const Names& names_;
    Say say_;
    std::map<std::string, std::vector<std::string>> members_;   ///< dynamic group → addresses
    std::unordered_map<std::string, Names::Named> signatures_;  ///< signature id → name
};

}  // namespace imapult::provisioning
