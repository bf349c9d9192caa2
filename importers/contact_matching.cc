#include "importers/contact_matching.h"

#include <algorithm>

#include "engine/base/text.h"

namespace imapult::importers {
namespace {

/// Words by which a contact can be looked up: addresses, names, numbers.
std::vector<std::string> keys_of(const Fields& fields) {
    std::vector<std::string> keys;
    const auto get = [&](const char* name) {
        const auto found = fields.find(name);
        return found == fields.end() ? std::string{} : found->second;
    };
    for (const char* name : {"email", "email2", "email3"}) {
        if (!get(name).empty()) keys.push_back("e" + get(name));
    }
    const std::string both = get("firstName") + "|" + get("lastName");
    if (both.size() > 1) keys.push_back("n" + to_lower(both));
    for (const char* name : {"fullName", "company", "nickname", "dlist", "mobilePhone", "homePhone",
                             "workPhone", "otherPhone", "notes"}) {
        if (!get(name).empty()) keys.push_back(std::string(name) + to_lower(get(name)));
    }
    if (keys.empty() && !fields.empty())
        keys.push_back(fields.begin()->first + fields.begin()->second);
    return keys;
}

/// Whether a row of the export is the contact: all of its fields, or (not `exact`) more.
bool fits(const OutgoingContact& item, const Fields& row, bool exact) {
    // What went as a vCard comes back in the server's own translation: names and addresses
    // count.
    const bool card = !item.contact.photo.empty();
    std::size_t compared = 0;
    for (const auto& [name, value] : item.even) {
        const bool main = name == "fullName" || name == "firstName" || name == "lastName" ||
                          name.starts_with("email");
        if (card && !main) continue;
        if (name == "fileAs") continue;
        ++compared;
        const auto found = row.find(name);
        if (found == row.end()) return false;
        if (found->second == value) continue;
        // Dates may come back quoted or without dashes.
        if (name != "birthday") return false;
        const auto digits = [](const std::string& text) {
            std::string out;
            for (const char c : text) {
                if (c >= '0' && c <= '9') out += c;
            }
            return out;
        };
        if (digits(value) != digits(found->second)) return false;
    }
    if (card && compared == 0) return !exact;
    return !exact || card || row.size() == compared;
}

}  // namespace

ExportedContacts::ExportedContacts(const std::vector<Contact>& contacts) {
    for (const Contact& contact : contacts) {
        Fields fields = normalised(contact.fields);
        fields.erase("fileAs");
        for (const std::string& key : keys_of(fields)) index_.emplace(key, rows_.size());
        rows_.push_back({std::move(fields), false});
    }
}

bool ExportedContacts::take(const OutgoingContact& item, bool exact) {
    for (const std::string& key : keys_of(item.even)) {
        const auto [from, to] = index_.equal_range(key);
        for (auto it = from; it != to; ++it) {
            Row& row = rows_[it->second];
            if (row.taken || !fits(item, row.fields, exact)) continue;
            row.taken = true;
            return true;
        }
    }
    return false;
}

bool ExportedContacts::resembles(const OutgoingContact& item) const {
    for (const std::string& key : keys_of(item.even)) {
        const auto [from, to] = index_.equal_range(key);
        for (auto it = from; it != to; ++it) {
            if (!rows_[it->second].taken) return true;
        }
    }
    return false;
}

void pair_up(ExportedContacts& there, std::vector<OutgoingContact*> open,
             const std::function<void(OutgoingContact&)>& found) {
    std::ranges::sort(open, [](const OutgoingContact* a, const OutgoingContact* b) {
        return a->even.size() > b->even.size();
    });
    for (const bool exact : {true, false}) {
        for (OutgoingContact*& item : open) {
            if (item == nullptr || !there.take(*item, exact)) continue;
            found(*item);
            item = nullptr;
        }
    }
}

}  // namespace imapult::importers
