#include "engine/replica/names.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "engine/base/glob.h"
#include "engine/base/text.h"
#include "imap/mailbox_name.h"

namespace imapult::replica {
namespace {

constexpr std::size_t kComponentBytesMax = 255;

/// Names that Carbonio has taken without showing them all to IMAP clients (folders of other kinds).
constexpr std::array<std::string_view, 7> kZimbraTaken = {
    "calendar", "tasks", "briefcase", "contacts", "emailed contacts", "chats", "conversations"};

std::vector<std::string> split(std::string_view display) {
    std::vector<std::string> path;
    while (!display.empty()) {
        const auto cut = display.find('/');
        if (cut != 0) path.emplace_back(display.substr(0, cut));
        if (cut == std::string_view::npos) break;
        display.remove_prefix(cut + 1);
    }
    if (!path.empty() && equal_ignoring_case(path.front(), "INBOX")) path.front() = "INBOX";
    return path;
}

bool starts_with(const std::vector<std::string>& path, const std::vector<std::string>& head) {
    return path.size() >= head.size() && std::equal(head.begin(), head.end(), path.begin());
}

std::vector<std::string> replace_head(const std::vector<std::string>& path, std::size_t head_size,
                                      const std::vector<std::string>& head) {
    std::vector<std::string> out = head;
    out.insert(out.end(), path.begin() + static_cast<std::ptrdiff_t>(head_size), path.end());
    return out;
}

/// Source head -> destination head, for mailboxes with a role on both sides under different names.
using Heads = std::map<std::vector<std::string>, std::vector<std::string>>;

Heads role_heads(const Listing& source, const Listing& destination) {
    Heads heads;
    std::set<std::vector<std::string>> source_paths;
    for (const Mailbox& box : source.mailboxes) source_paths.insert(box.path);
    for (const Role role : {Role::sent, Role::drafts, Role::trash, Role::junk, Role::archive}) {
        const auto holder = [&](const Listing& listing) -> const Mailbox* {
            const Mailbox* found = nullptr;
            for (const Mailbox& box : listing.mailboxes) {
                if (box.role != role || !box.selectable || box.space != Space::personal) continue;
                if (found != nullptr && !box.role_by_name)
                    return nullptr;  // two claim it: leave it alone
                if (found == nullptr) found = &box;
            }
            return found;
        };
        const Mailbox* from = holder(source);
        const Mailbox* to = holder(destination);
        if (from == nullptr || to == nullptr || from->path == to->path) continue;
        // Another source mailbox has that very name: merging two mailboxes would be a surprise.
        if (source_paths.contains(to->path)) continue;
        heads[from->path] = to->path;
    }
    return heads;
}

struct Mapper {
    const Listing& source;
    const Listing& destination;
    const NameOptions& options;
    Heads roles;
    std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> maps;

    std::vector<std::string> map(const std::vector<std::string>& path, std::string& because) const {
        const std::vector<std::string>* best_from = nullptr;
        const std::vector<std::string>* best_to = nullptr;
        for (const auto& [from, to] : maps) {
            if (starts_with(path, from) &&
                (best_from == nullptr || from.size() > best_from->size())) {
                best_from = &from;
                best_to = &to;
            }
        }
        if (best_from != nullptr) {
            because = "as --map says";
            return replace_head(path, best_from->size(), *best_to);
        }
        for (const auto& [from, to] : roles) {
            if (starts_with(path, from)) {
                because = "the destination has this mailbox under another name";
                return replace_head(path, from.size(), to);
            }
        }
        return path;
    }
};

char separator_of(const Place& place, const Listing& at) {
    return place.within ? place.within->separator : at.separator;
}

/// Makes a path that the destination can hold and that nobody else has.
void settle_name(Place& place, const Listing& destination, bool zimbra,
                 std::set<std::string>& taken) {
    bool changed = false;
    for (std::size_t i = 0; i < place.path.size(); ++i) {
        std::string& part = place.path[i];
        std::string held = holdable(part, separator_of(place, destination), zimbra);
        if (zimbra && i == 0 && !place.within &&
            std::find(kZimbraTaken.begin(), kZimbraTaken.end(), to_lower(held)) !=
                kZimbraTaken.end()) {
            held += "_mail";
        }
        if (held != part) changed = true;
        part = std::move(held);
    }
    const std::string base = place.path.back();
    const auto key = [&] {
        const std::string wire = wire_name(place, destination);
        return zimbra ? to_lower(wire) : wire;
    };
    for (unsigned n = 2; taken.contains(key()); ++n) {
        place.path.back() = base + " (" + std::to_string(n) + ")";
        changed = true;
    }
    taken.insert(key());
    if (changed && place.mapped_because.empty()) {
        place.mapped_because = "the destination cannot hold the name";
    }
    place.name = wire_name(place, destination);
}

/// "[Gmail]/Gesendet" has a usual name elsewhere, whatever the language.
void place_gmails_own(Place& place, const Mailbox& box, const Listing& destination) {
    const std::string_view name = box.role == Role::sent     ? "Sent"
                                  : box.role == Role::drafts ? "Drafts"
                                  : box.role == Role::trash  ? "Trash"
                                  : box.role == Role::junk   ? "Junk"
                                  : box.role == Role::all    ? "Archive"
                                                             : "";
    if (name.empty() || box.path.size() < 2) return;
    place.path = {std::string(name)};
    place.mapped_because = "it is Gmail's own";
    place.use = box.role == Role::all ? "\\Archive" : use_attribute(box.role);
    if (box.role != Role::all) return;
    for (const Mailbox& other : destination.mailboxes) {
        if (other.role == Role::archive && other.selectable) place.path = other.path;
    }
}

/// Whose mailboxes these are stays visible: into the namespace of that kind where the destination
/// has one, else below a folder that is called like the source's namespace.
void place_foreign(Place& place, const Mailbox& box, const Listing& destination,
                   const Rename& person) {
    const auto below = box.path.begin() + static_cast<std::ptrdiff_t>(box.root);
    std::vector<std::string> tail(below, box.path.end());
    if (box.space == Space::other && person) tail.front() = person(tail.front());
    const Namespace* home = destination.spaces.first(box.space);
    if (home == nullptr || !destination.asked.has(box.space)) {
        place.path.assign(box.path.begin(), below);
        place.path.insert(place.path.end(), tail.begin(), tail.end());
        place.mapped_because = "the destination has no namespace for " +
                               std::string(words_for(box.space)) + " mailboxes";
        return;
    }
    place.within = *home;
    place.path = std::move(tail);
    // A user's inbox bears the user's name (Cyrus), or stands below it (Dovecot, Zimbra).
    const auto stands = [&](const Place& at) {
        const std::string name = wire_name(at, destination);
        return std::ranges::any_of(destination.mailboxes, [&](const Mailbox& other) {
            return other.selectable && other.name == name;
        });
    };
    if (box.space != Space::other || stands(place)) return;
    Place other = place;
    if (place.path.size() == 1) {
        other.path.emplace_back("INBOX");
    } else if (place.path.size() == 2 && equal_ignoring_case(place.path.back(), "INBOX")) {
        other.path.pop_back();
    } else {
        return;
    }
    if (stands(other)) place.path = std::move(other.path);
}

}  // namespace

bool is_selected(const std::string& display, const NameOptions& options) {
    const auto matches = [&](const std::string& glob) { return glob_match_mailbox(glob, display); };
    if (std::any_of(options.exclude.begin(), options.exclude.end(), matches)) return false;
    return options.include.empty() ||
           std::any_of(options.include.begin(), options.include.end(), matches);
}

std::string holdable(std::string_view component, char separator, bool strict) {
    constexpr std::string_view kStrict = "/\\:\"%*^~";
    std::string out;
    for (const char c : component) {
        const auto byte = static_cast<std::uint8_t>(c);
        const bool control = byte < 0x20 || byte == 0x7F;
        const bool separates = separator != 0 && c == separator;
        const bool risky = strict && kStrict.find(c) != std::string_view::npos;
        out += control || separates || risky ? '_' : c;
    }
    if (!is_utf8(out)) {
        for (char& c : out) {
            if (static_cast<std::uint8_t>(c) >= 0x80) c = '_';
        }
    }
    if (strict) {
        while (!out.empty() && out.back() == ' ') out.back() = '_';
        if (!out.empty() && out.front() == ' ') out.front() = '_';
        if (out == "." || out == "..") out += '_';
    }
    if (out.size() > kComponentBytesMax) {
        std::size_t cut = kComponentBytesMax - 8;
        while (cut > 0 && (static_cast<std::uint8_t>(out[cut]) & 0xC0) == 0x80) --cut;
        out.resize(cut);
    }
    if (out.empty()) out = "_";
    return out;
}

std::string wire_name(const std::vector<std::string>& path, const Listing& at) {
    if (path.size() == 1 && path.front() == "INBOX") return "INBOX";
    std::string out = at.prefix;
    if (!path.empty() && path.front() == "INBOX" &&
        equal_ignoring_case(at.prefix, std::string("INBOX") + at.separator)) {
        out.clear();  // children of INBOX stand beside all others there
    }
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (i > 0) out += at.separator != 0 ? at.separator : '_';
        auto encoded = imap::encode_mailbox_name(path[i]);
        out += encoded ? *encoded : std::string("_");
    }
    return out;
}

std::string wire_name(const Place& place, const Listing& at) {
    if (!place.within) return wire_name(place.path, at);
    // INBOX is nothing special there.
    std::string out = place.within->prefix;
    for (std::size_t i = 0; i < place.path.size(); ++i) {
        if (i > 0) out += place.within->separator != 0 ? place.within->separator : '_';
        auto encoded = imap::encode_mailbox_name(place.path[i]);
        out += encoded ? *encoded : std::string("_");
    }
    return out;
}

std::string display_of(const Place& place) {
    std::vector<std::string> path;
    if (place.within) path = foreign_path("", *place.within).path;
    path.insert(path.end(), place.path.begin(), place.path.end());
    std::string out;
    for (const std::string& part : path) out += (out.empty() ? "" : "/") + part;
    return out;
}

Placement place_mailboxes(const Listing& source, const Listing& destination,
                          const NameOptions& options,
                          const std::function<std::string(const std::string&)>& remembered,
                          const Rename& person) {
    Mapper mapper{source, destination, options, {}, {}};
    if (options.special_use) mapper.roles = role_heads(source, destination);
    for (const report::NameMap& map : options.map) {
        mapper.maps.emplace_back(split(map.source), split(map.destination));
    }
    std::set<std::string> there;
    for (const Mailbox& box : destination.mailboxes) {
        if (box.selectable) there.insert(box.name);
    }
    const bool zimbra = destination.is_zimbra();
    std::set<std::string> taken;
    Placement placement;
    std::vector<Place> fresh;
    for (std::size_t i = 0; i < source.mailboxes.size(); ++i) {
        const Mailbox& box = source.mailboxes[i];
        if (!box.selectable || !box.left_out.empty()) continue;
        if (!is_selected(box.display(), options)) {
            ++placement.filtered_mailboxes;
            placement.filtered_messages += box.messages.value_or(0);
            continue;
        }
        Place place;
        place.source = i;
        place.path = mapper.map(box.path, place.mapped_because);
        if (box.space != Space::personal && place.mapped_because.empty())
            place_foreign(place, box, destination, person);
        if (source.gmail && place.mapped_because.empty()) place_gmails_own(place, box, destination);
        if (place.path.empty()) place.path = {"INBOX"};
        if (const std::string before = remembered(box.name);
            !before.empty() && there.contains(before)) {
            // What an earlier pass decided stays, so that nothing is copied into a second place.
            place.name = before;
            place.exists = true;
            taken.insert(zimbra ? to_lower(before) : before);
            placement.places.push_back(std::move(place));
            continue;
        }
        if (box.role != Role::none && !box.role_by_name && place.path == box.path) {
            place.use = use_attribute(box.role);
        }
        fresh.push_back(std::move(place));
    }
    // Names that need no change get theirs before one that must change could take it.
    const auto unchanged = [&](const Place& place) {
        return place.mapped_because.empty() &&
               std::all_of(place.path.begin(), place.path.end(), [&](const std::string& part) {
                   return holdable(part, separator_of(place, destination), zimbra) == part;
               });
    };
    for (const bool change : {false, true}) {
        for (Place& place : fresh) {
            if (!place.name.empty() || unchanged(place) == change) continue;
            settle_name(place, destination, zimbra, taken);
            place.exists = there.contains(place.name);
            placement.places.push_back(place);
        }
    }
    std::sort(placement.places.begin(), placement.places.end(),
              [](const Place& a, const Place& b) { return a.source < b.source; });
    return placement;
}

}  // namespace imapult::replica
