#include "provisioning/destination.h"

#include "engine/base/text.h"
#include "provisioning/address.h"
#include "provisioning/dn.h"

namespace imapult::provisioning {

void Destination::take(const Record& record) {
    const auto& entry = record.entry;
    const auto normal = normal_dn(entry.dn);
    if (!normal) return;
    if (*normal == "cn=zimbra") has_root_ = true;
    const auto id = to_lower(entry.first("zimbraid"));
    if (entry.has_class("zimbraServer")) {
        const bool mailbox = !entry.has("zimbraserviceenabled") ||
                             entry.has_value("zimbraserviceenabled", "mailbox") ||
                             entry.has_value("zimbraserviceenabled", "service");
        auto host = entry.first("zimbraservicehostname");
        if (host.empty()) host = entry.first("cn");
        if (mailbox) servers_.emplace_back(to_lower(host));
    }
    Existing existing;
    existing.where = record.where;
    existing.id = id;
    existing.dn = entry.dn;
    existing.kind = kind_of_entry(entry);
    existing.system = entry.has_value("zimbraissystemresource", "TRUE") ||
                      entry.has_value("zimbraisadminaccount", "TRUE");
    if (existing.kind == Kind::cos) cos_[std::string(entry.first("cn"))] = id;
    const auto i = static_cast<std::uint32_t>(entries_.size());
    by_dn_.try_emplace(*normal, i);
    if (!id.empty()) by_id_.try_emplace(id, i);
    for (const auto* key : {"mail", "zimbramailalias"}) {
        for (const auto& value : entry.values(key)) {
            if (auto address = normal_address(value)) by_address_.try_emplace(*address, i);
        }
    }
    entries_.push_back(std::move(existing));
}

Result<> Destination::read(SourceSet source) {
    source_.emplace(std::move(source));
    IMAPULT_CHECK(source_->scan([this](Record& record) {
        if (record.change == ChangeType::add) take(record);
    }));
    if (!source_->problems().empty()) {
        const auto& first = source_->problems().front();
        return invalid(printable(source_->path(first.file)) + ":" +
                       std::to_string(first.problem.line) + ": " + first.problem.what);
    }
    if (!has_root_) {
        return invalid(
            "the destination has no cn=zimbra: it is not a Carbonio directory, or the bind DN may "
            "not read it");
    }
    if (!cos_.contains("default")) {
        return invalid(
            "the destination has no class of service \"default\" below cn=cos,cn=zimbra");
    }
    return {};
}

const Destination::Existing* Destination::by_dn(std::string_view normal) const {
    const auto found = by_dn_.find(std::string(normal));
    return found == by_dn_.end() ? nullptr : &entries_[found->second];
}

const Destination::Existing* Destination::by_id(std::string_view id) const {
    const auto found = by_id_.find(std::string(id));
    return found == by_id_.end() ? nullptr : &entries_[found->second];
}

const Destination::Existing* Destination::by_address(std::string_view address) const {
    const auto found = by_address_.find(std::string(address));
    return found == by_address_.end() ? nullptr : &entries_[found->second];
}

std::optional<std::string> Destination::cos_id(std::string_view name) const {
    const auto found = cos_.find(std::string(name));
    if (found != cos_.end()) return found->second;
    if (name == "default") return std::string(kDefaultCosId);
    return {};
}

std::string Destination::only_server() const {
    return servers_.size() == 1 ? servers_.front() : std::string();
}

Result<Entry> Destination::load(const Existing& existing) {
    IMAPULT_ASSERT(source_.has_value());
    IMAPULT_TRY(auto record, source_->load(existing.where));
    return std::move(record.entry);
}

}  // namespace imapult::provisioning
