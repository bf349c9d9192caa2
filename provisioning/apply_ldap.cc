#include <ldap.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <set>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "engine/base/text.h"
#include "provisioning/apply.h"
#include "provisioning/calls.h"
#include "provisioning/dn.h"
#include "provisioning/emit.h"
#include "provisioning/limits.h"
#include "provisioning/password.h"
#include "provisioning/plan_writer.h"

namespace imapult::provisioning {
namespace {

constexpr int kAttemptsMax = 8;
constexpr int kLmtpPort = 7025;
constexpr auto kBusyPause = std::chrono::milliseconds(200);
constexpr std::string_view kPlanEnd = "}\n";
constexpr std::string_view kEntryEnd = "\n\n";

enum class Doing : std::uint8_t { add, read_before_add, compare, read_before_change, change };

struct Pending {
    Entry entry;
    std::vector<Modification> changes;  ///< of a change record; its entry has only a DN
    std::string normal;
    Doing doing = Doing::add;
    int attempts = 0;
    std::size_t bytes = 0;
};

std::size_t size_of(const Entry& entry) {
    std::size_t bytes = entry.dn.size() + 32;
    for (const auto& attribute : entry.attributes) {
        bytes += attribute.name.size() + 12;
        for (const auto& value : attribute.values) bytes += value.size() + 6;
    }
    return bytes;
}

// The attribute a slapd diagnostic speaks of: "mail: value #0 invalid per syntax",
// "attribute 'x' not allowed", "x: attribute type undefined".
std::string attribute_in(std::string_view text) {
    if (const auto quote = text.find("attribute '"); quote != std::string_view::npos) {
        const auto start = quote + 11;
        return to_lower(text.substr(start, text.find('\'', start) - start));
    }
    const auto colon = text.find(':');
    if (colon == std::string_view::npos || text.substr(0, colon).contains(' ')) return {};
    return to_lower(text.substr(0, colon));
}

bool may_drop(std::string_view key) {
    constexpr std::array<std::string_view, 12> kEssential = {"objectclass",
                                                             "uid",
                                                             "cn",
                                                             "sn",
                                                             "dc",
                                                             "o",
                                                             "ou",
                                                             "mail",
                                                             "zimbraid",
                                                             "zimbramaildeliveryaddress",
                                                             "zimbramailalias",
                                                             "zimbraaliastargetid"};
    return !key.empty() && std::ranges::find(kEssential, key) == kEssential.end();
}

class LdapApplier {
  public:
    LdapApplier(SourceSet& plan, LdapSession& session) : plan_(plan), session_(session) {}

    Result<ApplyReport> run() {
        IMAPULT_CHECK(look_around());
        Result<> state;
        IMAPULT_CHECK(plan_.scan([&](Record& record) {
            if (state) state = take(record);
        }));
        IMAPULT_CHECK(state);
        IMAPULT_CHECK(drain());
        add_broken_lines(plan_, report_);
        for (const auto& [name, count] : unknown_) {
            report_.notes.push_back(name + " is not known at the destination and was left out of " +
                                    std::to_string(count) + " entries");
        }
        return std::move(report_);
    }

  private:
    Result<> look_around() {
        IMAPULT_TRY(const auto root, session_.read("cn=zimbra"));
        if (!root) {
            return invalid(
                "the destination has no cn=zimbra: it is not a Carbonio directory, or the bind DN "
                "may not read it");
        }
        IMAPULT_TRY(schema_, session_.read_schema());
        std::set<std::string> hosts;
        IMAPULT_CHECK(session_.search(
            "cn=servers,cn=zimbra", "(objectClass=zimbraServer)",
            {"cn", "zimbraServiceHostname", "zimbraServiceEnabled"}, [&](const Entry& entry) {
                if (entry.has("zimbraserviceenabled") &&
                    !entry.has_value("zimbraserviceenabled", "mailbox") &&
                    !entry.has_value("zimbraserviceenabled", "service")) {
                    return;
                }
                const auto host = entry.first("zimbraservicehostname");
                hosts.insert(to_lower(host.empty() ? entry.first("cn") : host));
            }));
        if (hosts.size() == 1) host_ = *hosts.begin();
        return {};
    }

    Result<> take(Record& record) {
        ++report_.total;
        const bool change = record.change == ChangeType::modify;
        auto entry = std::move(record.entry);
        if (!change) complete(entry);
        auto normal = normal_dn(entry.dn);
        if (!normal) {
            ++report_.failed;
            report_.add_failure(entry.dn, "its dn cannot be read");
            return {};
        }
        Pending pending;
        pending.bytes = size_of(entry);
        for (const auto& step : record.modifications) {
            for (const auto& value : step.attribute.values) pending.bytes += value.size();
        }
        if (pending.bytes > limits::kEntrySentBytesMax) {
            fail_entry(entry, *normal, "larger than the directory takes in one request");
            return {};
        }
        const bool domain_level = entry.has_class("dcObject");
        if (domain_level) IMAPULT_CHECK(drain());
        IMAPULT_TRY(const bool fits, has_its_owner(entry, *normal));
        if (!fits) {
            fail_entry(entry, *normal, "what it belongs to could not be made, or is another's");
            return {};
        }
        IMAPULT_CHECK(make_room(pending.bytes));
        pending.doing = change                  ? Doing::read_before_change
                        : is_below_new(*normal) ? Doing::add
                                                : Doing::read_before_add;
        pending.changes = std::move(record.modifications);
        pending.entry = std::move(entry);
        pending.normal = std::move(*normal);
        IMAPULT_CHECK(send(std::move(pending)));
        if (domain_level) IMAPULT_CHECK(drain());
        return {};
    }

    // Nothing is hung on an account that is not there, or that is somebody else's of the same name:
    // neither an entry below it nor an alias. Its own answer is waited for.
    Result<bool> has_its_owner(const Entry& entry, const std::string& normal) {
        const std::string parent(parent_of(normal));
        const bool alias = entry.has_class("zimbraAlias");
        if (in_flight_dns_.contains(parent) || (alias && !among_aliases_)) IMAPULT_CHECK(drain());
        among_aliases_ = alias;
        if (unmade_.contains(parent)) return false;
        return !alias || !unmade_.contains(to_lower(entry.first("zimbraaliastargetid")));
    }

    void remember_unmade(const Entry& entry, const std::string& normal) {
        unmade_.insert(normal);
        const auto id = to_lower(entry.first("zimbraid"));
        if (!id.empty()) unmade_.insert(id);
    }

    void fail_entry(const Entry& entry, const std::string& normal, std::string reason) {
        ++report_.failed;
        report_.add_failure(entry.dn, std::move(reason));
        remember_unmade(entry, normal);
    }

    // What only the destination can tell: its server, and which attributes it knows.
    void complete(Entry& entry) {
        const auto kind = kind_of_entry(entry);
        const bool mailbox = kind == Kind::account || kind == Kind::resource;
        const bool hosted = mailbox || kind == Kind::list || kind == Kind::dynamic_group;
        if (hosted && !host_.empty() && !entry.has("zimbramailhost")) {
            entry.set("zimbraMailHost", host_);
            if (mailbox) {
                entry.set("zimbraMailTransport", "lmtp:" + host_ + ":" + std::to_string(kLmtpPort));
            }
        }
        if (schema_.empty()) return;
        std::erase_if(entry.attributes, [&](const Attribute& attribute) {
            const auto plain = attribute.key.substr(0, attribute.key.find(';'));
            if (schema_.attributes.contains(plain)) return false;
            ++unknown_[attribute.name];
            return true;
        });
        if (auto* classes = entry.find("objectclass")) {
            std::erase_if(classes->values, [&](const std::string& name) {
                if (schema_.classes.contains(to_lower(name))) return false;
                ++unknown_["objectClass " + printable(name, 64)];
                return true;
            });
        }
    }

    // An entry below something this run created cannot be there already: no need to look.
    bool is_below_new(std::string_view normal) const {
        for (auto above = parent_of(normal); !above.empty(); above = parent_of(above)) {
            if (new_domains_.contains(std::string(above))) return true;
        }
        return false;
    }

    Result<> send(Pending pending) {
        int id = 0;
        if (pending.doing == Doing::add) {
            IMAPULT_TRY(id, session_.send_add(pending.entry));
        } else if (pending.doing == Doing::change) {
            IMAPULT_TRY(id, session_.send_modify(pending.entry.dn, pending.changes));
        } else {
            IMAPULT_TRY(id, session_.send_read(pending.entry.dn));
        }
        in_flight_bytes_ += pending.bytes;
        in_flight_dns_.insert(pending.normal);
        in_flight_.emplace(id, std::move(pending));
        return {};
    }

    Result<> make_room(std::size_t bytes) {
        while (!in_flight_.empty() && (in_flight_.size() >= limits::kLdapInFlightMax ||
                                       in_flight_bytes_ + bytes > limits::kLdapInFlightBytesMax)) {
            IMAPULT_CHECK(take_one_reply());
        }
        return {};
    }

    Result<> drain() {
        while (!in_flight_.empty()) IMAPULT_CHECK(take_one_reply());
        return {};
    }

    Result<> take_one_reply() {
        IMAPULT_TRY(auto reply, session_.wait());
        const auto found = in_flight_.find(reply.message_id);
        if (found == in_flight_.end()) return {};
        auto pending = std::move(found->second);
        in_flight_.erase(found);
        in_flight_bytes_ -= pending.bytes;
        in_flight_dns_.erase(pending.normal);
        if (pending.doing == Doing::add) return added(std::move(pending), reply);
        if (pending.doing == Doing::change) return changed(pending, reply);
        return was_read(std::move(pending), reply);
    }

    Result<> was_read(Pending pending, const LdapReply& reply) {
        if (reply.code == LDAP_NO_SUCH_OBJECT && pending.doing == Doing::read_before_add) {
            pending.doing = Doing::add;
            return send(std::move(pending));
        }
        const bool change = pending.doing == Doing::read_before_change;
        if (reply.code != LDAP_SUCCESS || !reply.entry) {
            ++report_.failed;
            const bool gone = change && reply.code == LDAP_NO_SUCH_OBJECT;
            report_.add_failure(pending.entry.dn, gone ? "to be changed, but no longer there"
                                                       : "cannot be read: " + reply.text);
            return {};
        }
        if (!change) {
            compare(pending, *reply.entry);
        } else if (is_done(pending.changes, *reply.entry)) {
            ++report_.unchanged;
        } else {
            pending.doing = Doing::change;
            return send(std::move(pending));
        }
        return {};
    }

    void compare(const Pending& pending, const Entry& have) {
        const auto& wanted = pending.entry;
        // An id that the plan only derived is not one to insist on (a version 8 UUID).
        const auto planned_id = wanted.first("zimbraid");
        const bool derived = planned_id.size() == 36 && planned_id[14] == '8';
        const bool same_domain =
            wanted.has_class("zimbraDomain") && derived &&
            equal_ignoring_case(wanted.first("zimbradomainname"), have.first("zimbradomainname"));
        const bool container = kind_of_entry(wanted) == Kind::container;
        if (same_domain || container || modify_body(wanted, have).empty()) {
            ++report_.unchanged;
            return;
        }
        // A domain of that name takes the accounts, whatever its id.
        const bool same = equal_ignoring_case(planned_id, have.first("zimbraid"));
        if (!same && !wanted.has_class("zimbraDomain")) remember_unmade(wanted, pending.normal);
        ++report_.skipped;
        report_.add_failure(wanted.dn,
                            "is there already with other values, and was left as it is; plan again "
                            "with --against to see the difference");
    }

    Result<> added(Pending pending, const LdapReply& reply) {
        switch (reply.code) {
            case LDAP_SUCCESS:
                ++report_.created;
                if (pending.entry.has_class("dcObject")) new_domains_.insert(pending.normal);
                return {};
            case LDAP_ALREADY_EXISTS:
                pending.doing = Doing::compare;
                return send(std::move(pending));
            case LDAP_BUSY:
            case LDAP_UNAVAILABLE:
            case LDAP_ADMINLIMIT_EXCEEDED:
                if (++pending.attempts < kAttemptsMax) {
                    std::this_thread::sleep_for(kBusyPause * pending.attempts);
                    return send(std::move(pending));
                }
                break;
            case LDAP_INVALID_SYNTAX:
            case LDAP_UNDEFINED_TYPE:
            case LDAP_OBJECT_CLASS_VIOLATION:
            case LDAP_CONSTRAINT_VIOLATION: {
                // One value the server cannot take must not cost the account.
                const auto key = attribute_in(reply.text);
                const bool unique = reply.text.contains("non-unique");
                if (!unique && may_drop(key) && pending.entry.has(key) &&
                    ++pending.attempts < kAttemptsMax) {
                    report_.add_dropped(pending.entry.dn, reply.text);
                    pending.entry.remove(key);
                    return send(std::move(pending));
                }
                break;
            }
            default:
                break;
        }
        fail_entry(pending.entry, pending.normal,
                   ldap_err2string(reply.code) + (reply.text.empty() ? "" : ": " + reply.text));
        return {};
    }

    // What the record asks for is done already, by an earlier run or by somebody.
    static bool is_done(const std::vector<Modification>& changes, const Entry& have) {
        return std::ranges::all_of(changes, [&](const Modification& change) {
            const auto& values = have.values(change.attribute.key);
            return std::ranges::all_of(change.attribute.values, [&](const auto& value) {
                const bool there = std::ranges::find(values, value) != values.end();
                return there == (change.op == Modification::Op::add);
            });
        });
    }

    // Steps name the old values they take away: what changed since the plan is not overwritten.
    Result<> changed(const Pending& pending, const LdapReply& reply) {
        const auto& dn = pending.entry.dn;
        if (reply.code == LDAP_SUCCESS) {
            ++report_.updated;
        } else if (reply.code == LDAP_NO_SUCH_ATTRIBUTE ||
                   reply.code == LDAP_TYPE_OR_VALUE_EXISTS) {
            ++report_.skipped;
            report_.add_failure(dn, "changed since the plan was made; plan again");
        } else {
            ++report_.failed;
            report_.add_failure(dn, ldap_err2string(reply.code) + (": " + reply.text));
        }
        return {};
    }

    SourceSet& plan_;
    LdapSession& session_;
    ApplyReport report_;
    Schema schema_;
    std::string host_;
    std::unordered_map<int, Pending> in_flight_;
    std::unordered_set<std::string> in_flight_dns_;
    std::unordered_set<std::string> new_domains_;
    std::unordered_set<std::string> unmade_;  ///< DNs and ids of what is not there as planned
    bool among_aliases_ = false;
    std::size_t in_flight_bytes_ = 0;
    std::map<std::string, std::uint64_t> unknown_;  ///< to the destination's schema
};

}  // namespace

void ApplyReport::add_failure(std::string dn, std::string reason) {
    if (failures.size() < limits::kFailuresKept) {
        failures.push_back({std::move(dn), without_hashes(reason)});
    }
}

void ApplyReport::add_dropped(std::string dn, std::string reason) {
    if (dropped.size() < limits::kFailuresKept) {
        dropped.push_back({std::move(dn), without_hashes(reason)});
    }
}

void add_broken_lines(const SourceSet& plan, ApplyReport& report) {
    report.total += plan.problems_total();
    report.failed += plan.problems_total();
    for (const auto& [file, problem] : plan.problems()) {
        report.add_failure(problem.dn, printable(plan.path(file)) + ":" +
                                           std::to_string(problem.line) + ": " + problem.what);
    }
}

namespace {

// The last octets of a file the plan writer has finished.
Result<> check_end(const std::string& path, std::string_view end) {
    IMAPULT_TRY(const auto file, open_file(path));
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    std::string tail(end.size(), '\0');
    if (size == 0 && end == kEntryEnd) return {};  // nothing to create
    const auto from = size < end.size() ? 0 : size - end.size();
    IMAPULT_TRY(const auto got, file->read_at(from, tail.data(), tail.size()));
    if (got == end.size() && tail == end) return {};
    return invalid(printable(path) + " is cut off at its end; copy the plan again, or plan again");
}

}  // namespace

Result<SourceSet> open_plan(const std::string& folder, bool with_kept) {
    const auto path = [&](const char* name) { return folder + "/" + name; };
    if (::access(path(kPlanFile).c_str(), R_OK) != 0 ||
        ::access(path(kLdifFile).c_str(), R_OK) != 0) {
        return invalid(printable(folder) +
                       " is not a finished plan (no plan.json and carbonio.ldif); run `imapult "
                       "provision plan` first and settle its conflicts");
    }
    IMAPULT_CHECK(check_end(path(kPlanFile), kPlanEnd));
    IMAPULT_CHECK(check_end(path(kLdifFile), kEntryEnd));
    std::vector<std::string> files;
    if (with_kept && ::access(path(kKeepFile).c_str(), R_OK) == 0) {
        files.push_back(path(kKeepFile));
    }
    files.push_back(path(kLdifFile));
    return SourceSet::open(files, CsvLayout::detect);
}

Result<ApplyReport> apply_over_ldap(const std::string& folder, LdapSession& session) {
    IMAPULT_TRY(auto plan, open_plan(folder, false));
    return LdapApplier(plan, session).run();
}

}  // namespace imapult::provisioning
