#include "engine/replica/people.h"

#include "engine/base/text.h"

namespace imapult::replica {
namespace {

std::string_view local_part(std::string_view name) {
    return name.substr(0, name.find('@'));
}
std::string_view domain_of(std::string_view name) {
    const auto at = name.find('@');
    return at == std::string_view::npos ? std::string_view{} : name.substr(at);
}

}  // namespace

void People::add(std::string_view source_user, std::string_view destination_user) {
    whole_[to_lower(source_user)] = destination_user;
    const auto [place, fresh] =
        local_.try_emplace(to_lower(local_part(source_user)), std::string(destination_user));
    if (!fresh && place->second != destination_user) place->second.reset();
}

std::optional<std::string> People::find(std::string_view source_name) const {
    const std::string lower = to_lower(source_name);
    if (const auto found = whole_.find(lower); found != whole_.end()) return found->second;
    // A name with a domain is somebody else than one with another domain.
    if (lower.find('@') != std::string::npos) return std::nullopt;
    const auto found = local_.find(lower);
    return found == local_.end() ? std::nullopt : found->second;
}

std::string Translation::of(std::string_view source_name) const {
    if (people != nullptr) {
        if (auto known = people->find(source_name)) return std::move(*known);
    }
    const std::string_view ours = domain_of(source_user), theirs = domain_of(destination_user);
    const std::string_view domain = domain_of(source_name);
    if (domain.empty() && !theirs.empty()) return std::string(source_name) + std::string(theirs);
    // Another domain's people are others at the destination, too.
    if (domain.empty() || !equal_ignoring_case(domain, ours)) return std::string(source_name);
    return std::string(local_part(source_name)) + std::string(theirs);
}

bool Translation::is_self(std::string_view source_name) const {
    if (equal_ignoring_case(source_name, source_user)) return true;
    const bool bare = domain_of(source_name).empty() || domain_of(source_user).empty();
    return bare && equal_ignoring_case(local_part(source_name), local_part(source_user));
}

}  // namespace imapult::replica
