#include "engine/replica/spaces.h"

#include <algorithm>

#include "engine/base/text.h"
#include "imap/mailbox_name.h"

namespace imapult::replica {
namespace {

bool starts_with_prefix(std::string_view name, std::string_view prefix) {
    // Cyrus and Courier list "INBOX." in any case.
    return name.size() >= prefix.size() &&
           equal_ignoring_case(name.substr(0, prefix.size()), prefix);
}

bool is_inbox(std::string_view name) {
    return equal_ignoring_case(name, "INBOX");
}

void split_into(std::vector<std::string>& out, std::string_view wire, char separator) {
    while (true) {
        const auto cut = separator == 0 ? std::string_view::npos : wire.find(separator);
        const std::string_view part = wire.substr(0, cut);
        if (!part.empty()) out.push_back(imap::decode_mailbox_name(part).utf8);
        if (cut == std::string_view::npos) break;
        wire.remove_prefix(cut + 1);
    }
}

}  // namespace

std::string_view words_for(Space space) {
    switch (space) {
        case Space::personal:
            return "personal";
        case Space::other:
            return "other users'";
        case Space::shared:
            return "shared";
    }
    return "";
}

SpaceMap::SpaceMap(const imap::Namespaces& told) {
    const auto take = [this](Space space, const std::vector<imap::Namespaces::Entry>& entries) {
        for (const auto& entry : entries) all_.push_back({space, entry.prefix, entry.separator});
    };
    take(Space::personal, told.personal);
    take(Space::other, told.other_users);
    take(Space::shared, told.shared);
}

const Namespace* SpaceMap::foreign(std::string_view wire_name) const {
    if (is_inbox(wire_name)) return nullptr;
    const Namespace* best = nullptr;
    for (const Namespace& space : all_) {
        const std::string_view prefix = space.prefix;
        const bool is_root = prefix.size() > 1 && wire_name.size() + 1 == prefix.size() &&
                             starts_with_prefix(prefix, wire_name);
        if (!is_root && !starts_with_prefix(wire_name, prefix)) continue;
        // Of two of the same prefix the first counts: the personal one.
        if (best == nullptr || space.prefix.size() > best->prefix.size()) best = &space;
    }
    return best == nullptr || best->space == Space::personal ? nullptr : best;
}

const Namespace* SpaceMap::first(Space space) const {
    const auto found = std::ranges::find(all_, space, &Namespace::space);
    return found == all_.end() ? nullptr : &*found;
}

ForeignPath foreign_path(std::string_view wire_name, const Namespace& space) {
    ForeignPath out;
    split_into(out.path, space.prefix, space.separator);
    if (out.path.empty())
        out.path.emplace_back(space.space == Space::other ? "Other users" : "Shared");
    out.root = out.path.size();
    if (wire_name.size() > space.prefix.size())
        split_into(out.path, wire_name.substr(space.prefix.size()), space.separator);
    return out;
}

}  // namespace imapult::replica
