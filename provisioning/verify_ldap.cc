#include <ldap.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "engine/base/text.h"
#include "provisioning/apply.h"
#include "provisioning/calls.h"
#include "provisioning/dn.h"
#include "provisioning/limits.h"
#include "provisioning/password.h"

namespace imapult::provisioning {
namespace {

// Set by the server on the SOAP road, or by it alone.
constexpr std::array<std::string_view, 1> kNeverCompared = {"zimbracreatetimestamp"};
constexpr std::array<const char*, 4> kIdAttributes = {"zimbraid", "zimbrasignatureid",
                                                      "zimbraprefidentityid", "zimbradatasourceid"};
constexpr std::size_t kUuidLength = 36;

struct Found {
    std::array<std::string, kIdAttributes.size()> ids;
    bool system = false;
    bool planned = false;
};

class Verifier {
  public:
    Verifier(SourceSet& plan, LdapSession& session) : plan_(plan), session_(session) {}

    Result<VerifyReport> run() {
        IMAPULT_CHECK(survey());
        IMAPULT_CHECK(learn_ids());
        Result<> state;
        IMAPULT_CHECK(plan_.scan([&](Record& record) {
            if (state) state = take(record);
        }));
        IMAPULT_CHECK(state);
        while (!in_flight_.empty()) IMAPULT_CHECK(take_one_reply());
        report_.total += plan_.problems_total();
        report_.different += plan_.problems_total();
        for (const auto& [file, problem] : plan_.problems()) {
            differ(problem.dn, printable(plan_.path(file)) + ":" + std::to_string(problem.line) +
                                   ": " + problem.what);
        }
        count_extra();
        return std::move(report_);
    }

  private:
    // Every DN of the plan's domains as the destination has them, with the ids it gave.
    Result<> survey() {
        std::set<std::string> bases = {"cn=cos,cn=zimbra"};
        IMAPULT_CHECK(plan_.scan([&](Record& record) {
            if (record.change != ChangeType::add) return;
            if (!record.entry.has_class("zimbraDomain")) return;
            auto normal = normal_dn(record.entry.dn);
            if (!normal) return;
            if (record.entry.has_class("dcObject")) new_domains_.insert(*normal);
            bases.insert(std::move(*normal));
        }));
        for (const auto& base : bases) {
            const bool inside = std::ranges::any_of(bases, [&](const auto& other) {
                return other != base && base.ends_with("," + other);
            });
            if (inside) continue;
            IMAPULT_CHECK(session_.search(
                base, "(objectClass=*)",
                {"zimbraId", "zimbraSignatureId", "zimbraPrefIdentityId", "zimbraDataSourceId",
                 "zimbraIsSystemResource"},
                [&](const Entry& entry) {
                    auto normal = normal_dn(entry.dn);
                    if (!normal) return;
                    Found found;
                    for (std::size_t i = 0; i < kIdAttributes.size(); ++i) {
                        found.ids[i] = to_lower(entry.first(kIdAttributes[i]));
                    }
                    found.system = entry.has_value("zimbraissystemresource", "TRUE");
                    found_.emplace(std::move(*normal), std::move(found));
                }));
        }
        return {};
    }

    // On the SOAP road ids are new: the same thing under another id is equal.
    Result<> learn_ids() {
        return plan_.scan([&](Record& record) {
            if (record.change != ChangeType::add) return;
            const auto normal = normal_dn(record.entry.dn);
            const auto there = normal ? found_.find(*normal) : found_.end();
            if (there == found_.end()) return;
            there->second.planned = true;
            for (std::size_t i = 0; i < kIdAttributes.size(); ++i) {
                auto planned = to_lower(record.entry.first(kIdAttributes[i]));
                const auto& have = there->second.ids[i];
                if (!planned.empty() && !have.empty() && planned != have) {
                    ids_.insert_or_assign(std::move(planned), have);
                }
            }
        });
    }

    // Every id inside the value replaced by the destination's.
    std::string with_ids(const std::string& value) const {
        if (ids_.empty() || value.size() < kUuidLength || value.size() > 4096) return value;
        std::string out;
        for (std::size_t i = 0; i < value.size();) {
            const auto piece = std::string_view(value).substr(i, kUuidLength);
            if (is_uuid(piece)) {
                const auto found = ids_.find(to_lower(piece));
                out += found == ids_.end() ? std::string(piece) : found->second;
                i += kUuidLength;
            } else {
                out += value[i++];
            }
        }
        return out;
    }

    Result<> take(Record& record) {
        ++report_.total;
        if (in_flight_.size() >= limits::kLdapInFlightMax) IMAPULT_CHECK(take_one_reply());
        IMAPULT_TRY(const int id, session_.send_read(record.entry.dn));
        in_flight_.emplace(id, std::move(record));
        return {};
    }

    Result<> take_one_reply() {
        IMAPULT_TRY(const auto reply, session_.wait());
        const auto found = in_flight_.find(reply.message_id);
        if (found == in_flight_.end()) return {};
        const auto record = std::move(found->second);
        in_flight_.erase(found);
        if (reply.code == LDAP_NO_SUCH_OBJECT || !reply.entry) {
            ++report_.missing;
            differ(record.entry.dn, "is missing");
            return {};
        }
        std::string difference;
        if (record.change == ChangeType::modify) {
            difference = compare_change(record, *reply.entry);
        } else {
            difference = compare(record.entry, *reply.entry);
        }
        if (difference.empty()) {
            ++report_.equal;
        } else {
            ++report_.different;
            differ(record.entry.dn, difference);
        }
        return {};
    }

    static bool contains(const std::vector<std::string>& values, const std::string& value,
                         bool ignore_case) {
        return std::ranges::any_of(values, [&](const auto& candidate) {
            return ignore_case ? equal_ignoring_case(candidate, value) : candidate == value;
        });
    }

    std::string compare(const Entry& wanted, const Entry& have) const {
        std::string out;
        for (const auto& attribute : wanted.attributes) {
            if (std::ranges::find(kNeverCompared, attribute.key) != kNeverCompared.end()) continue;
            const auto& values = have.values(attribute.key);
            const bool subset = attribute.key == "objectclass" || attribute.key == "userpassword";
            bool same = subset || values.size() == attribute.values.size();
            for (const auto& value : attribute.values) {
                same = same && contains(values, with_ids(value), attribute.key == "objectclass");
            }
            if (same) continue;
            // Names only: a value may be a hash.
            out += (out.empty() ? "differs in " : ", ") + attribute.name;
        }
        return out;
    }

    static std::string compare_change(const Record& record, const Entry& have) {
        for (const auto& change : record.modifications) {
            const bool wanted = change.op != Modification::Op::remove;
            for (const auto& value : change.attribute.values) {
                if (contains(have.values(change.attribute.key), value, false) != wanted) {
                    return "differs in " + change.attribute.name;
                }
            }
        }
        return {};
    }

    void differ(std::string dn, std::string reason) {
        if (report_.differences.size() < limits::kFailuresKept) {
            report_.differences.push_back({std::move(dn), std::move(reason)});
        }
    }

    // In a domain that the plan makes, everything is the plan's. What the server makes for itself
    // is not counted, nor what stands in domains that were there before.
    void count_extra() {
        for (const auto& [dn, found] : found_) {
            if (found.planned || found.system) continue;
            bool below_new = false;
            for (auto above = parent_of(dn); !above.empty(); above = parent_of(above)) {
                below_new = below_new || new_domains_.contains(std::string(above));
            }
            if (!below_new || dn.starts_with("cn=groups,") || dn.starts_with("ou=people,")) {
                continue;
            }
            ++report_.total;
            ++report_.extra;
            differ(dn, "is not in the plan");
        }
    }

    SourceSet& plan_;
    LdapSession& session_;
    VerifyReport report_;
    std::unordered_map<std::string, Found> found_;
    std::unordered_map<std::string, std::string> ids_;
    std::set<std::string> new_domains_;
    std::unordered_map<int, Record> in_flight_;
};

}  // namespace

Result<VerifyReport> verify_over_ldap(const std::string& folder, LdapSession& session) {
    IMAPULT_TRY(auto plan, open_plan(folder, true));
    return Verifier(plan, session).run();
}

}  // namespace imapult::provisioning
