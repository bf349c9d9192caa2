#pragma once
// The second reading: every entry that is moved, in dependency order, as Carbonio wants it.

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "provisioning/check.h"
#include "provisioning/destination.h"
#include "provisioning/index.h"
#include "provisioning/plan_writer.h"

namespace imapult::provisioning {

class Emitter {
  public:
    Emitter(Index& index, Destination& destination, const Settings& settings, PlanWriter& writer,
            PlanReport& report);
    Result<> run();

  private:
    void note_leftovers();
    Result<> all_of(std::initializer_list<Kind> kinds);
    Result<> one(std::uint32_t i);
    Result<> domains();
    Result<> parents_of(const std::string& domain);
    Result<> emit_domain(std::uint32_t i);
    Result<> emit_account(std::uint32_t i);
    Result<> emit_child(std::uint32_t i);
    Result<> emit_alias(const Node& node, const std::string& id, const std::string& target_id,
                        const std::string& reason);
    Result<> aliases_of(std::initializer_list<Kind> kinds);
    Result<> emit_list(std::uint32_t i);
    Result<> emit_group(std::uint32_t i);
    Result<> emit_shares(const Node& node, const Item& item);
    Result<> emit_csv_share(const Node& node, const Item& item);
    void share(const Node& node, const std::string& owner, std::string folder,
               const std::string& grantee_type, const std::string& grantee, std::string rights,
               std::string view);

    // Parts of an account.
    void account_addresses(const Node& node, Entry& entry);
    void account_password(const Node& node, const Item& item, Entry& entry);
    void account_references(const Node& node, const Item& item, Entry& entry);
    void random_password(const Node& node, Entry& entry, const std::string& why, bool by_default);
    void mail_host(const Node& node, Entry& entry, bool transport);
    void aces(const Node& node, Entry& entry);
    void cos_reference(const Node& node, Entry& entry, std::string_view name);

    // Any entry.
    void clean(const Node& node, Entry& entry);
    bool clean_value(const Node& node, const Attribute& attribute, const std::string& value);
    void rename_attributes(const Node& node, Entry& entry);
    void drop_repeated(const Node& node, Attribute& attribute);
    void rewrite_addresses(Entry& entry);
    void classes(const Node& node, Entry& entry);
    void order_attributes(Entry& entry);
    Result<> put(const Node& node, Entry entry, std::string reason);
    Result<> put_container(Entry entry);
    void note(const Node& node, const Note& note) { writer_.decision(node.where, node.dn, note); }
    void member_actions(const Node& node, const std::vector<std::string>& members, Op op);
    std::string reason_of(const Node& node) const;

    Index& index_;
    Destination& destination_;
    const Settings& settings_;
    PlanWriter& writer_;
    PlanReport& report_;
    std::string host_;
    std::set<std::string> containers_;
    std::set<std::string> source_hosts_;
    std::unordered_map<std::uint32_t, std::vector<std::string>> group_members_;
    Op last_op_ = Op::create;
};

/// Difference between what is wanted and what is there, as the body of a `changetype: modify`
/// record; empty if nothing has to change. Each step names the old value it takes away, so that a
/// value that changed since then is never overwritten. Passwords, hosts and creation times are
/// left.
std::string modify_body(const Entry& wanted, const Entry& have);

}  // namespace imapult::provisioning
