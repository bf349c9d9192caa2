#pragma once
// The organisation without its bulk: one node an entry, with names, ids and the place in the files.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/base/error.h"
#include "provisioning/profile.h"
#include "provisioning/source.h"

namespace imapult::provisioning {

class Destination;

inline constexpr std::uint32_t kNone = UINT32_MAX;

struct Node {
    Kind kind = Kind::container;
    bool alias_domain = false;
    bool derived_id = false;  ///< the source has none
    bool synthetic = false;   ///< a domain that only addresses speak of
    bool default_cos = false;
    bool partial = false;  ///< a later range of a group that stood before the first
    std::uint8_t signatures = 0;
    std::uint8_t identities = 0;
    std::uint8_t data_sources = 0;
    std::uint32_t signature_characters = 0;  ///< of the longer form of the entry's own signature
    std::uint32_t cos = kNone;               ///< number in Index::cos_ids of the COS it names
    std::uint32_t parent = kNone;  ///< account of a signature, group of a unit, target of an alias
    Location where;
    std::string name;         ///< at the destination, normal form
    std::string source_name;  ///< only where it differs
    std::string dn;           ///< of the source
    std::string id;           ///< zimbraId at the destination (or signature id, …)
    std::string source_id;    ///< only where it differs
    std::string target_id;
    std::string skip;  ///< why it is not moved
    std::vector<std::string> aliases;
    std::vector<Location> more;  ///< further parts: ranged members, modify records
};

/// The other entry of a conflict.
struct ConflictSide {
    bool at_destination = false;
    Location where;
    std::string dn;
};

struct Conflict {
    std::string_view kind;
    std::string value;
    Location where;
    std::string dn;
    std::optional<ConflictSide> other;
    std::string message;
};

/// Renames and exclusions of the settings.
class Mapper {
  public:
    explicit Mapper(const Settings& settings) : settings_(settings) {}
    [[nodiscard]] std::string domain(std::string_view domain) const;
    [[nodiscard]] std::string address(std::string_view address) const;
    [[nodiscard]] bool renames() const { return !settings_.domains.empty(); }
    /// Why the address or domain is excluded, or empty.
    [[nodiscard]] std::string excluded_account(std::string_view address) const;
    [[nodiscard]] std::string excluded_domain(std::string_view domain) const;

  private:
    const Settings& settings_;
};

class Index {
  public:
    Index(SourceSet& source, ProfileContext context);

    /// Reads all files. Errors: io.
    Result<> build();
    /// Everything about one entry again, further parts and change records included.
    Result<Item> load(const Node& node);

    [[nodiscard]] std::uint32_t by_id(std::string_view id) const;
    [[nodiscard]] std::uint32_t by_address(std::string_view address) const;
    [[nodiscard]] std::uint32_t by_dn(std::string_view dn) const;
    [[nodiscard]] std::uint32_t by_uid(std::string_view uid) const;
    [[nodiscard]] std::uint32_t domain(std::string_view name) const;
    [[nodiscard]] const Node& node(std::uint32_t i) const { return nodes[i]; }
    /// Nodes in the order of the files.
    std::deque<Node> nodes;
    std::vector<Conflict> conflicts;
    /// Records that are not entries (moves, unknown ones), as decisions.
    struct Leftover {
        Location where;
        std::string dn;
        std::string reason;
    };
    std::vector<Leftover> leftovers;
    /// Ids of classes of service as accounts and domains name them, each once.
    std::vector<std::string> cos_ids;

    [[nodiscard]] const Mapper& mapper() const { return mapper_; }
    [[nodiscard]] SourceSet& source() { return source_; }
    [[nodiscard]] const ProfileContext& context() const { return context_; }
    /// Entry of an alias by its address; kNone if only the target names it.
    [[nodiscard]] std::uint32_t alias_entry(std::string_view address) const;
    void add_conflict(std::string_view kind, std::string value, const Node& node, const Node* other,
                      std::string message);
    std::uint32_t add_synthetic_domain(const std::string& name, const Location& where);
    void claim_address(std::uint32_t i, const std::string& address);

  private:
    using Map = std::unordered_map<std::string, std::uint32_t>;
    void scan_all();
    void take(Record& record);
    void take_change(Record& record, const std::string& normal);
    void take_item(Item item, const Location& where);
    void name_node(Node& node, const Item& item);
    void check_addresses(const Node& node, const Item& item);
    void note_for_checks(Node& node, const Entry& entry);
    void link();
    void link_child(Node& node);
    void link_alias(std::uint32_t i);
    void make_domains();

    SourceSet& source_;
    ProfileContext context_;
    Mapper mapper_;
    Map by_dn_;
    Map by_id_;
    Map by_source_id_;
    Map by_address_;
    Map by_uid_;
    Map domains_;
    Map alias_entries_;
    Map cos_numbers_;
    std::unordered_map<std::string, std::vector<Location>> patches_;
    bool patches_known_ = false;
    Result<> failure_;
};

/// DN of the node at the destination.
std::string target_dn(const Index& index, const Node& node);

}  // namespace imapult::provisioning
