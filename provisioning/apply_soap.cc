// The SOAP road: every entry of carbonio.ldif is looked for by name, made if it is not there, and
// completed where an earlier run was cut short.

#include <algorithm>
#include <memory>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/base/text.h"
#include "provisioning/address.h"
#include "provisioning/calls.h"
#include "provisioning/crew.h"
#include "provisioning/dn.h"
#include "provisioning/limits.h"
#include "provisioning/soap_forms.h"
#include "provisioning/soap_session.h"

namespace imapult::provisioning {
namespace {

class SoapApplier {
  public:
    SoapApplier(SourceSet& plan, SoapSession& session)
        : plan_(plan), session_(session), builder_(names_, [this](auto& dn, auto& name, auto& why) {
              if (first_pass_) {
                  report_.notes.push_back(printable(dn, 256) + ": " + name +
                                          " is not carried by SOAP: " + printable(why, 256));
              }
          }) {}

    Result<ApplyReport> run() {
        IMAPULT_CHECK(plan_.scan([&](Record& record) { names_.learn(record.entry); }));
        names_.add(Kind::cos, kDefaultCosId, "default");
        IMAPULT_CHECK(pass(Stage::cos, Stage::domain));
        first_pass_ = false;
        IMAPULT_CHECK(pass(Stage::alias_domain, Stage::group));
        IMAPULT_CHECK(pass(Stage::member, Stage::grant));
        add_broken_lines(plan_, report_);
        for (const auto& [dn, state] : states_) {
            ++report_.total;
            if (state == State::failed) {
                ++report_.failed;
            } else if (state == State::created) {
                ++report_.created;
            } else if (state == State::skipped) {
                ++report_.skipped;
            } else if (state == State::updated) {
                ++report_.updated;
            } else {
                ++report_.unchanged;
            }
        }
        return std::move(report_);
    }

  private:
    // In the order of their weight: the heaviest thing that happened to an entry counts.
    enum class State : std::uint8_t { unchanged, updated, created, skipped, failed };

    Result<> pass(Stage from, Stage to) {
        Result<> result;
        IMAPULT_CHECK(plan_.scan([&](Record& record) {
            if (result) result = take(record, from, to);
        }));
        IMAPULT_CHECK(result);
        IMAPULT_CHECK(send_steps());
        IMAPULT_CHECK(crew_.drain());
        for (const auto& call : builder_.group_members()) {
            if (to == Stage::grant) IMAPULT_CHECK(add_members(call, Kind::dynamic_group));
        }
        return {};
    }

    Result<> take(Record& record, Stage from, Stage to) {
        const auto& dn = record.entry.dn;
        if (record.change != ChangeType::add) {
            if (from == Stage::cos) fail_entry(dn, "changes are only applied over --directory");
            return {};
        }
        states_.try_emplace(dn, State::unchanged);
        const auto kind = kind_of_entry(record.entry);
        if (kind == Kind::alias || kind == Kind::unit || kind == Kind::container) {
            builder_.calls_for(
                record.entry);  // outside members of a dynamic group stand in its unit
            return note_companion(record.entry, kind, from);
        }
        const auto* cos = names_.find(record.entry.first("zimbracosid"));
        for (auto& call : builder_.calls_for(record.entry)) {
            if (call.stage < from || call.stage > to) continue;
            IMAPULT_CHECK(add_step({std::move(call), kind, cos ? cos->name : std::string()}));
        }
        return {};
    }

    // What one account or list consists of stays together, in order.
    Result<> add_step(Step step) {
        const auto rank = rank_of(step.kind);
        if (!steps_.empty() && steps_.front().call.target != step.call.target) {
            IMAPULT_CHECK(send_steps());
        }
        if (rank != rank_) {
            IMAPULT_CHECK(send_steps());
            IMAPULT_CHECK(crew_.drain());
            rank_ = rank;
        }
        steps_.push_back(std::move(step));
        return {};
    }

    Result<> send_steps() {
        if (steps_.empty()) return {};
        auto steps = std::make_shared<std::vector<Step>>(std::exchange(steps_, {}));
        IMAPULT_CHECK(crew_.submit([this, steps]() -> Result<> {
            for (const auto& step : *steps) {
                if (broken_.contains(step.call.dn)) continue;
                IMAPULT_CHECK(make(step));
            }
            return {};
        }));
        return rank_ == 0 ? crew_.drain() : Result<>();
    }

    Result<SoapReply> ask(const std::string& request, const std::string& account = {}) {
        return crew_.unlocked([&] { return session_.call(request, account); });
    }

    // Containers, alias entries and units come with what they belong to, and share its fate.
    Result<> note_companion(const Entry& entry, Kind kind, Stage from) {
        if (from != Stage::member) return {};
        const auto& dn = entry.dn;
        State state = State::unchanged;
        if (kind == Kind::alias) {
            const auto found = alias_states_.find(name_of_entry(kind, entry));
            state = found == alias_states_.end() ? State::unchanged : found->second;
        } else {
            const auto normal = normal_dn(dn).value_or("");
            for (const auto& made : made_) {
                const bool below = normal.ends_with("," + made);
                const bool above = made.ends_with("," + normal);
                if (below || above) state = State::created;
            }
        }
        set_state(dn, state);
        return {};
    }

    void set_state(const std::string& dn, State state) {
        auto& have = states_[dn];
        have = std::max(have, state);
    }

    void fail_entry(const std::string& dn, std::string reason) {
        set_state(dn, State::failed);
        report_.add_failure(dn, std::move(reason));
    }

    Result<bool> accepted(const Call& call, const SoapReply& reply, std::string_view what) {
        if (reply.fault.empty() || reply.exists()) return true;
        fail_entry(call.dn, std::string(what) + " " + printable(call.target, 256) +
                                (call.name.empty() ? "" : " " + printable(call.name, 256)) + ": " +
                                reply.fault + " (" + reply.reason + ")");
        return false;
    }

    Result<std::optional<Shown>> get(Kind kind, const std::string& name) {
        const auto form = get_form(kind);
        std::string request = "<" + std::string(form.request) + " " + std::string(kAdmin);
        if (kind == Kind::list || kind == Kind::dynamic_group) request += " limit=\"0\"";
        if (kind == Kind::account || kind == Kind::resource) request += " applyCos=\"0\"";
        if (kind == Kind::domain) request += " applyConfig=\"0\"";
        request += "><" + std::string(form.element) + " by=\"name\">";
        append_xml(request, name);
        request += "</" + std::string(form.element) + "></" + std::string(form.request) + ">";
        IMAPULT_TRY(const auto reply, ask(request));
        if (reply.missing()) return std::nullopt;
        if (!reply.fault.empty()) {
            if (reply.fault == "service.PERM_DENIED") {
                return fail(Code::no_permission, Scope::host, Retry::never,
                            "the administrator may not read entries: " + reply.reason);
            }
            return std::nullopt;
        }
        const auto* node = reply.body.child(form.reply);
        if (!node) return std::nullopt;
        auto shown = shown_of(*node);
        ids_.insert_or_assign(name, shown.id);
        return shown;
    }

    void unfit(const Call& call, const std::string& name) {
        report_.add_dropped(call.dn, name + ": holds characters that XML cannot carry");
    }

    std::string attributes_of(const Call& call) {
        std::string out;
        for (const auto& [name, value] : call.attributes) {
            if (!fits_xml(value)) {
                unfit(call, name);
                continue;
            }
            out += "<a" + xml_attribute("n", name) + ">";
            append_xml(out, value);
            out += "</a>";
        }
        return out;
    }

    Result<> make(const Step& step) {
        const auto& call = step.call;
        const auto kind = step.kind;
        switch (call.verb) {
            case Verb::create_cos:
            case Verb::create_domain:
            case Verb::create_alias_domain:
            case Verb::create_account:
            case Verb::create_resource:
            case Verb::create_list:
            case Verb::create_group:
                return create(call, kind, step.cos);
            case Verb::set_cos:
                return {};  // part of the creation
            case Verb::set_default_cos:
                return set_default_cos(call);
            case Verb::add_alias:
            case Verb::add_list_alias:
                return add_alias(call, kind);
            case Verb::create_signature:
                return create_signature(call);
            case Verb::default_signature:
                return default_signature(call, kind);
            case Verb::create_identity:
                return create_identity(call);
            case Verb::create_data_source:
                return create_data_source(call);
            case Verb::add_members:
                return add_members(call, kind);
            case Verb::grant_right:
                return grant(call, kind);
        }
        return {};
    }

    Result<> create(Call call, Kind kind, const std::string& cos) {
        IMAPULT_TRY(const auto there, get(kind, call.target));
        if (there) {
            compare(call, there->entry);
            const auto& aliases = there->entry.values("zimbramailalias");
            existing_.insert_or_assign(call.target, std::set(aliases.begin(), aliases.end()));
            return {};
        }
        if (!cos.empty()) {
            IMAPULT_TRY(const auto id, cos_id(cos));
            if (!id.empty()) call.attributes.emplace_back("zimbraCOSId", id);
        }
        if (call.verb == Verb::create_alias_domain) {
            call.attributes.emplace_back("zimbraDomainType", "alias");
            call.attributes.emplace_back("zimbraDomainAliasTargetId", ids_[call.name]);
        }
        const auto name = std::string(create_request(call.verb));
        std::string request = "<" + name + " " + std::string(kAdmin);
        if (call.verb != Verb::create_cos) request += xml_attribute("name", call.target);
        if (call.verb == Verb::create_account || call.verb == Verb::create_resource) {
            request += " password=\"\"";
        }
        if (call.verb == Verb::create_list) request += " dynamic=\"0\"";
        if (call.verb == Verb::create_group) request += " dynamic=\"1\"";
        request += ">";
        if (call.verb == Verb::create_cos) request += xml_element("name", call.target);
        request += attributes_of(call) + "</" + name + ">";
        IMAPULT_TRY(const auto reply, ask(request));
        Secret::wipe(request);
        IMAPULT_TRY(const bool done, accepted(call, reply, "creating"));
        if (!done) {
            broken_.insert(call.dn);
            broken_owners_.insert(call.target);
            return {};
        }
        if (!reply.body.children.empty()) {
            ids_.insert_or_assign(call.target, shown_of(reply.body.children.front()).id);
        } else {
            IMAPULT_CHECK(get(kind, call.target));
        }
        fresh_.insert(call.target);
        set_state(call.dn, State::created);
        if (kind == Kind::domain || kind == Kind::dynamic_group) {
            made_.push_back(normal_dn(call.dn).value_or(""));
        }
        return {};
    }

    // Passwords are not shown; what the server adds by itself is not ours to judge.
    void compare(const Call& call, const Entry& have) {
        std::string different;
        for (const auto& [name, value] : call.attributes) {
            const auto key = to_lower(name);
            if (key == "userpassword" || key == "zimbrapasswordmustchange") continue;
            if (!fits_xml(value)) {
                unfit(call, name);
                continue;
            }
            if (!have.has(key)) {
                different = name;
                continue;
            }
            const auto& values = have.values(key);
            const bool there = std::ranges::find(values, value) != values.end() ||
                               std::ranges::find(values, read_by_xml(value)) != values.end();
            if (!there) different = name;
        }
        if (different.empty()) return;
        set_state(call.dn, State::skipped);
        report_.add_failure(call.dn, "is there already with other values (" + different +
                                         "), and was left as it is");
    }

    Result<std::string> cos_id(const std::string& name) {
        if (const auto found = cos_ids_.find(name); found != cos_ids_.end()) return found->second;
        IMAPULT_TRY(const auto shown, get(Kind::cos, name));
        return cos_ids_[name] = shown ? shown->id : std::string();
    }

    Result<std::string> id_of(const std::string& name, Kind kind) {
        if (const auto found = ids_.find(name); found != ids_.end()) return found->second;
        IMAPULT_TRY(const auto shown, get(kind, name));
        return shown ? shown->id : std::string();
    }

    Result<> set_default_cos(const Call& call) {
        IMAPULT_TRY(const auto cos, cos_id(call.name));
        IMAPULT_TRY(const auto domain, get(Kind::domain, call.target));
        if (!domain || cos.empty() || domain->entry.first("zimbradomaindefaultcosid") == cos) {
            return {};
        }
        const auto request = "<ModifyDomainRequest " + std::string(kAdmin) + ">" +
                             xml_element("id", domain->id) + "<a n=\"zimbraDomainDefaultCOSId\">" +
                             cos + "</a></ModifyDomainRequest>";
        IMAPULT_TRY(const auto reply, ask(request));
        IMAPULT_TRY(const bool done, accepted(call, reply, "setting the default COS of"));
        if (done) set_state(call.dn, State::updated);
        return {};
    }

    Result<> add_alias(const Call& call, Kind kind) {
        auto& state = alias_states_[call.name];
        const auto have = existing_.find(call.target);
        const bool existed = have != existing_.end();
        if (existed && have->second.contains(call.name)) return {};
        IMAPULT_TRY(const auto id, id_of(call.target, kind));
        const std::string name = call.verb == Verb::add_alias ? "AddAccountAliasRequest"
                                                              : "AddDistributionListAliasRequest";
        IMAPULT_TRY(const auto reply,
                    ask("<" + name + " " + std::string(kAdmin) + xml_attribute("id", id) +
                        xml_attribute("alias", call.name) + "/>"));
        IMAPULT_TRY(const bool done, accepted(call, reply, "adding an alias to"));
        state = done ? State::created : State::failed;
        if (done && existed) set_state(call.dn, State::updated);
        return {};
    }

    /// Names and ids of an account's signatures, identities or data sources.
    Result<std::map<std::string, std::string>> children(std::string_view request,
                                                        std::string_view element,
                                                        const std::string& account, bool admin) {
        std::map<std::string, std::string> found;
        if (fresh_.contains(account) && element != "signature") return found;
        std::string text =
            "<" + std::string(request) + " " + std::string(admin ? kAdmin : kAccount);
        if (admin) {
            IMAPULT_TRY(const auto id, id_of(account, Kind::account));
            text += xml_attribute("id", id);
        }
        IMAPULT_TRY(const auto reply, ask(text + "/>", admin ? std::string() : account));
        for (const auto& node : reply.body.children) {
            if (node.name == element) {
                found.emplace(node.attribute("name"), node.attribute("id"));
            }
        }
        return found;
    }

    Result<> create_signature(const Call& call) {
        if (broken_owners_.contains(call.target)) return child_of_broken(call);
        if (!fresh_.contains(call.target)) {
            IMAPULT_TRY(const auto have,
                        children("GetSignaturesRequest", "signature", call.target, false));
            if (have.contains(call.name)) return {};
        }
        std::string request = "<CreateSignatureRequest " + std::string(kAccount) + "><signature" +
                              xml_attribute("name", call.name) + ">";
        for (const auto& [name, value] : call.attributes) {
            if (!fits_xml(value)) {
                unfit(call, name);
                continue;
            }
            const bool html = name.ends_with("HTML");
            request +=
                std::string("<content type=\"") + (html ? "text/html" : "text/plain") + "\">";
            append_xml(request, value);
            request += "</content>";
        }
        request += "</signature></CreateSignatureRequest>";
        return create_child(call, request);
    }

    Result<> create_child(const Call& call, const std::string& request, bool admin = false) {
        IMAPULT_TRY(const auto reply, ask(request, admin ? std::string() : call.target));
        IMAPULT_TRY(const bool done, accepted(call, reply, "adding to"));
        if (done) set_state(call.dn, State::created);
        return {};
    }

    Result<> child_of_broken(const Call& call) {
        fail_entry(call.dn, "the account " + call.target + " could not be made");
        return {};
    }

    Result<> create_identity(const Call& call) {
        if (broken_owners_.contains(call.target)) return child_of_broken(call);
        IMAPULT_TRY(const auto have,
                    children("GetIdentitiesRequest", "identity", call.target, false));
        if (have.contains(call.name)) return {};
        std::string request = "<CreateIdentityRequest " + std::string(kAccount) + "><identity" +
                              xml_attribute("name", call.name) + ">";
        for (const auto& [name, value] : call.attributes) {
            if (!fits_xml(value)) {
                unfit(call, name);
                continue;
            }
            request += "<a" + xml_attribute("name", name) + ">";
            append_xml(request, value);
            request += "</a>";
        }
        return create_child(call, request + "</identity></CreateIdentityRequest>");
    }

    Result<> create_data_source(const Call& call) {
        if (broken_owners_.contains(call.target)) return child_of_broken(call);
        IMAPULT_TRY(const auto have,
                    children("GetDataSourcesRequest", "dataSource", call.target, true));
        if (have.contains(call.name)) return {};
        IMAPULT_TRY(const auto id, id_of(call.target, Kind::account));
        return create_child(call,
                            "<CreateDataSourceRequest " + std::string(kAdmin) +
                                xml_attribute("id", id) + "><dataSource" +
                                xml_attribute("name", call.name) +
                                xml_attribute("type", call.text) + ">" + attributes_of(call) +
                                "</dataSource></CreateDataSourceRequest>",
                            true);
    }

    Result<> default_signature(const Call& call, Kind kind) {
        IMAPULT_TRY(const auto have,
                    children("GetSignaturesRequest", "signature", call.target, false));
        const auto found = have.find(call.name);
        if (found == have.end()) return {};
        IMAPULT_TRY(const auto account, get(kind, call.target));
        if (!account || account->entry.first(to_lower(call.text)) == found->second) return {};
        IMAPULT_TRY(const auto reply,
                    ask("<ModifyAccountRequest " + std::string(kAdmin) + ">" +
                        xml_element("id", account->id) + "<a" + xml_attribute("n", call.text) +
                        ">" + found->second + "</a></ModifyAccountRequest>"));
        IMAPULT_TRY(const bool done, accepted(call, reply, "setting the default signature of"));
        if (done) set_state(call.dn, State::updated);
        return {};
    }

    Result<> add_members(const Call& call, Kind kind) {
        if (broken_owners_.contains(call.target)) return {};
        IMAPULT_TRY(const auto list, get(kind, call.target));
        if (!list) return {};
        std::vector<std::string> missing;
        for (const auto& member : call.members) {
            if (!list->members.contains(to_lower(member))) missing.push_back(member);
        }
        for (std::size_t i = 0; i < missing.size(); i += limits::kSoapMembersPerRequest) {
            std::string request = "<AddDistributionListMemberRequest " + std::string(kAdmin) +
                                  xml_attribute("id", list->id) + ">";
            const auto end = std::min(missing.size(), i + limits::kSoapMembersPerRequest);
            for (std::size_t k = i; k < end; ++k) request += xml_element("dlm", missing[k]);
            IMAPULT_TRY(const auto reply, ask(request + "</AddDistributionListMemberRequest>"));
            auto placed = call;
            if (placed.dn.empty()) placed.dn = call.target;
            IMAPULT_TRY(const bool done, accepted(placed, reply, "adding members to"));
            if (done && !call.dn.empty()) set_state(call.dn, State::updated);
        }
        return {};
    }

    Result<> grant(const Call& call, Kind kind) {
        IMAPULT_TRY(const auto target, get(kind, call.target));
        if (!target) return {};
        std::string grantee_id;
        if (!call.name.empty()) {
            const bool group = call.grantee_type == "grp";
            IMAPULT_TRY(grantee_id, id_of(call.name, group ? Kind::list : Kind::account));
        }
        const auto ace = grantee_id + " " + call.grantee_type + " " + call.text;
        const auto& aces = target->entry.values("zimbraace");
        if (std::ranges::find(aces, ace) != aces.end()) return {};
        auto right = std::string_view(call.text);
        const bool deny = right.starts_with('-');
        if (deny || right.starts_with('+')) right.remove_prefix(1);
        std::string request = "<GrantRightRequest " + std::string(kAdmin) + "><target" +
                              xml_attribute("type", call.target_type) + " by=\"name\">";
        append_xml(request, call.target);
        request += "</target><grantee" + xml_attribute("type", call.grantee_type) + " by=\"name\">";
        append_xml(request, call.name);
        request += std::string("</grantee><right") + (deny ? " deny=\"1\"" : "") + ">";
        append_xml(request, right);
        IMAPULT_TRY(const auto reply, ask(request + "</right></GrantRightRequest>"));
        IMAPULT_TRY(const bool done, accepted(call, reply, "granting a right on"));
        if (done) set_state(call.dn, State::updated);
        return {};
    }

    SourceSet& plan_;
    SoapSession& session_;
    Names names_;
    ApplyReport report_;
    bool first_pass_ = true;
    CallBuilder builder_;
    std::map<std::string, State> states_;  ///< by DN, as it stands in carbonio.ldif
    std::unordered_map<std::string, State> alias_states_;
    std::unordered_map<std::string, std::string> ids_;  ///< name → id at the destination
    std::unordered_map<std::string, std::string> cos_ids_;
    std::unordered_map<std::string, std::set<std::string>> existing_;  ///< aliases it had
    std::unordered_set<std::string> fresh_;
    std::unordered_set<std::string> broken_;
    std::unordered_set<std::string> broken_owners_;
    std::vector<std::string> made_;
    std::vector<Step> steps_;  ///< of the account or list at hand
    int rank_ = 0;
    Crew crew_{limits::kSoapInFlightMax};  ///< last: its threads use all of the above
};

}  // namespace

Result<ApplyReport> apply_over_soap(const std::string& folder, const SoapTarget& target) {
    IMAPULT_TRY(auto plan, open_plan(folder, false));
    IMAPULT_TRY(auto session, SoapSession::open(target));
    return SoapApplier(plan, session).run();
}

}  // namespace imapult::provisioning
