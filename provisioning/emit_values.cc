// What the second reading does with the values of any entry: clean them, and carry names, ids and
// addresses over to the destination.

#include <algorithm>
#include <array>
#include <unordered_set>

#include "engine/base/glob.h"
#include "engine/base/text.h"
#include "provisioning/address.h"
#include "provisioning/emit.h"
#include "provisioning/limits.h"
#include "provisioning/password.h"

namespace imapult::provisioning {
namespace {

// Values that are octets, not text.
constexpr std::array<std::string_view, 10> kBinary = {
    "userpassword", "jpegphoto",  "thumbnailphoto",  "thumbnaillogo",        "photo",
    "audio",        "userpkcs12", "usercertificate", "usersmimecertificate", "cacertificate"};

bool is_binary(std::string_view key) {
    return key.contains(";binary") || std::ranges::find(kBinary, key) != kBinary.end();
}

// Attributes whose values hold addresses; with `comma` several in one value.
struct AddressAttribute {
    std::string_view name;
    bool comma = false;
};
constexpr std::array kAddressAttributes = {
    AddressAttribute{"zimbraMailForwardingAddress"},
    AddressAttribute{"zimbraPrefMailForwardingAddress", true},
    AddressAttribute{"zimbraPrefFromAddress"},
    AddressAttribute{"zimbraPrefReplyToAddress"},
    AddressAttribute{"zimbraMailCanonicalAddress"},
    AddressAttribute{"zimbraAllowFromAddress"},
    AddressAttribute{"zimbraPrefNewMailNotificationAddress"},
    AddressAttribute{"zimbraPrefCalendarForwardInvitesTo"},
    AddressAttribute{"zimbraMailCatchAllAddress"},
    AddressAttribute{"zimbraMailCatchAllForwardingAddress"},
    AddressAttribute{"zimbraMailCatchAllCanonicalAddress"},
    AddressAttribute{"zimbraPrefWhenInFoldersForwardingAddress"}};

std::string map_one_address(const Mapper& mapper, std::string_view text) {
    if (text.starts_with('@')) return "@" + mapper.domain(to_lower(text.substr(1)));
    const auto address = normal_address(text);
    return address ? mapper.address(*address) : std::string(text);
}

}  // namespace

bool Emitter::clean_value(const Node& node, const Attribute& attribute, const std::string& value) {
    const auto drop = [&](std::string reason) {
        note(node, {attribute.name, "dropped", std::move(reason)});
        return false;
    };
    if (value.empty()) {
        note(node, {attribute.name, "dropped", "an empty value", true});
        return false;
    }
    if (value.size() > limits::kValueBytesMax) {
        return drop("a value of " + std::to_string(value.size()) +
                    " octets is over what the directory takes in one request (3 MiB)");
    }
    if (is_binary(attribute.key)) return true;
    if (value.contains('\0')) return drop("a value with a NUL octet");
    if (!is_utf8(value)) return drop("a value that is not UTF-8; correct it in the source");
    return true;
}

void Emitter::rename_attributes(const Node& node, Entry& entry) {
    for (const auto& [from, to] : settings_.attributes) {
        const auto* attribute = entry.find(from);
        if (!attribute || equal_ignoring_case(from, to)) continue;
        note(node, {attribute->name, "rewritten", "carried as " + to, true});
        for (const auto& value : std::vector(attribute->values)) entry.add_unique(to, value);
        entry.remove(from);
    }
}

void Emitter::clean(const Node& node, Entry& entry) {
    rename_attributes(node, entry);
    std::erase_if(entry.attributes, [&](Attribute& attribute) {
        for (const auto& pattern : settings_.exclude_attributes) {
            if (!glob_match(pattern, attribute.key)) continue;
            note(node, {attribute.name, "dropped", "excluded by the settings", true});
            return true;
        }
        if (!destination_.schema.empty() && !destination_.schema.attributes.contains(
                                                attribute.key.substr(0, attribute.key.find(';')))) {
            note(node, {attribute.name, "dropped", "the destination has no such attribute", true});
            return true;
        }
        std::erase_if(attribute.values, [&](const std::string& value) {
            return !clean_value(node, attribute, value);
        });
        if (attribute.values.size() > 1) drop_repeated(node, attribute);
        return attribute.values.empty();
    });
}

// A value twice would make the directory refuse the entry.
void Emitter::drop_repeated(const Node& node, Attribute& attribute) {
    std::unordered_set<std::string> seen;
    std::erase_if(attribute.values, [&](const std::string& value) {
        const bool repeated =
            !seen.insert(attribute.key == "objectclass" ? to_lower(value) : value).second;
        if (repeated) note(node, {attribute.name, "dropped", "the same value again", true});
        return repeated;
    });
}

void Emitter::rewrite_addresses(Entry& entry) {
    if (!index_.mapper().renames()) return;
    for (const auto& known : kAddressAttributes) {
        auto* attribute = entry.find(to_lower(known.name));
        if (!attribute) continue;
        for (auto& value : attribute->values) {
            if (!known.comma) {
                value = map_one_address(index_.mapper(), value);
                continue;
            }
            std::string joined;
            std::string_view rest = value;
            while (true) {
                const auto comma = rest.find(',');
                if (!joined.empty()) joined += ',';
                joined += map_one_address(index_.mapper(), trim(rest.substr(0, comma)));
                if (comma == std::string_view::npos) break;
                rest.remove_prefix(comma + 1);
            }
            value = std::move(joined);
        }
    }
}

// amavisAccount belongs to another schema file: it is kept where the destination has it.
void Emitter::classes(const Node& node, Entry& entry) {
    auto* attribute = entry.find("objectclass");
    if (!attribute) return;
    const bool amavis = destination_.schema.classes.contains("amavisaccount");
    std::erase_if(attribute->values, [&](const std::string& name) {
        const auto lower = to_lower(name);
        const bool drop = destination_.schema.empty()
                              ? lower == "amavisaccount"
                              : !destination_.schema.classes.contains(lower);
        if (drop) {
            note(node, {"objectClass", "dropped",
                        "object class " + printable(name, 64) + " is not known at the destination",
                        true});
        }
        return drop;
    });
    if (!amavis) {
        std::erase_if(entry.attributes, [&](const Attribute& candidate) {
            if (!candidate.key.starts_with("amavis")) return false;
            note(node, {candidate.name, "dropped", "belongs to object class amavisAccount", true});
            return true;
        });
    } else if (node.kind == Kind::account || node.kind == Kind::resource ||
               node.kind == Kind::domain) {
        if (!entry.has_class("amavisAccount")) entry.add("objectClass", "amavisAccount");
    }
}

void Emitter::cos_reference(const Node& node, Entry& entry, std::string_view name) {
    const auto id = to_lower(entry.first(to_lower(name)));
    if (id.empty()) return;
    const auto cos = index_.by_id(id);
    if (cos != kNone && index_.node(cos).kind == Kind::cos) {
        if (index_.node(cos).id != id) {
            note(node, {std::string(name), "rewritten",
                        "the class of service has another id at the destination", true});
        }
        entry.set(name, index_.node(cos).id);
    } else if (id == kDefaultCosId) {
        entry.set(name, *destination_.cos_id("default"));
    } else if (!destination_.by_id(id)) {
        note(node, {std::string(name), "dropped", "the class of service is not in the files"});
        entry.remove(to_lower(name));
    }
}

// ---- rights: "<grantee id> <type> <right>"

void Emitter::aces(const Node& node, Entry& entry) {
    auto* attribute = entry.find("zimbraace");
    if (!attribute) return;
    std::erase_if(attribute->values, [&](std::string& ace) {
        const auto blank = ace.find(' ');
        const auto id = to_lower(std::string_view(ace).substr(0, blank));
        if (blank == std::string::npos || !is_uuid(id)) return false;
        // The ids that stand for everybody and the public are the same everywhere.
        if (id.starts_with("00000000-0000-0000-0000-")) return false;
        const auto grantee = index_.by_id(id);
        if (grantee != kNone && index_.node(grantee).skip.empty()) {
            ace.replace(0, blank, index_.node(grantee).id);
            return false;
        }
        if (destination_.by_id(id)) return false;
        note(node, {"zimbraACE", "dropped", "its grantee is not moved: " + printable(ace, 128)});
        return true;
    });
    if (attribute->values.empty()) entry.remove("zimbraace");
}

}  // namespace imapult::provisioning
