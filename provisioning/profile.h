#pragma once
// Where a directory comes from, and what its entries are in Carbonio's words. A profile looks at
// one record at a time; references to other entries stay references.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "provisioning/entry.h"
#include "provisioning/settings.h"
#include "provisioning/source.h"

namespace imapult::provisioning {

enum class Profile : std::uint8_t { zimbra, openldap, activedirectory, ds389, csv };
/// "zimbra", "openldap", "activedirectory", "389ds", "csv".
std::string_view name_of(Profile profile);
std::optional<Profile> profile_named(std::string_view name);

/// What an entry is. The kinds of plan.json, and three that never stand there by themselves.
enum class Kind : std::uint8_t {
    domain,
    cos,
    account,
    resource,
    alias,
    list,
    dynamic_group,
    signature,
    identity,
    data_source,
    member,
    grant,
    mountpoint,
    unit,      ///< internal or external unit of a dynamic group; part of it in the plan
    contact,   ///< an AD contact or a person outside: only resolves references
    container  ///< organisational entries: regenerated, not moved
};
std::string_view name_of(Kind kind);

/// A reference to another entry, as the source writes it.
struct Reference {
    enum class Type : std::uint8_t { address, dn, uid } type = Type::address;
    std::string value;
};

/// Something dropped, rewritten or not carried. `routine` ones are summed up per attribute.
struct Note {
    std::string attribute;
    std::string decision;  ///< "dropped", "rewritten", "skipped", "added", "kept"
    std::string reason;
    bool routine = false;
};

/// One entry of the source in Carbonio's words.
struct Item {
    Kind kind = Kind::container;
    Entry entry;  ///< `dn` is the source's
    /// Normal form: an address, a COS's name, a domain, or the name of a signature, identity, ….
    std::string name;
    std::vector<std::string> aliases;        ///< further addresses, normal form
    std::vector<std::string> bad_addresses;  ///< of the entry itself, as written
    std::string id;                          ///< zimbraId, signature id, … ; may be empty
    std::string target_id;                   ///< alias: zimbraAliasTargetId; unit: zimbraGroupId
    std::string uid;                         ///< of generic sources, for memberUid
    std::vector<std::string> shares;         ///< zimbraSharedItem values; CSV: "owner\tfolder\t…"
    std::vector<Reference> members;
    std::optional<Reference> forward;
    std::optional<Reference> owner;
    std::string skip;           ///< not empty: why this entry is not moved
    bool adds_members = false;  ///< a further part of an entry seen before (member;range=…)
    bool from_csv = false;
    FileForm form = FileForm::ldif;
    std::vector<Note> notes;
};

/// The profile that most of the first entries of the set speak for.
Result<Profile> detect_profile(SourceSet& source);

struct ProfileContext {
    Profile profile = Profile::zimbra;
    const Settings* settings = nullptr;
    FileForm form = FileForm::ldif;
    const std::string* shared_password = nullptr;  ///< CSV layout 1; may be null
};

/// What the record is. Never fails: an entry nobody knows is a skipped one.
Item interpret(const ProfileContext& context, Record record);

// The profiles, each in a file of its own.
Item interpret_zimbra(const ProfileContext& context, Record record);
Item interpret_generic(const ProfileContext& context, Record record);  // OpenLDAP, 389ds, AD
Item interpret_csv(const ProfileContext& context, Record record);

/// What an entry in Carbonio's words is, by its object classes.
Kind kind_of_entry(const Entry& entry);

/// Applies `changetype: modify` to the entry it names.
void apply_modifications(Entry& entry, const std::vector<Modification>& modifications);
/// Strips language tags and ranges from attribute names: the untagged value wins.
void strip_options(Entry& entry);

/// A local part that Carbonio keeps for its own accounts (spam., ham., virus-quarantine., galsync).
bool is_system_local_part(std::string_view local);

}  // namespace imapult::provisioning
