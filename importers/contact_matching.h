#pragma once
// Contacts have no identity at the destination: what is to come is paired with what an export
// shows.

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "importers/contact.h"

namespace imapult::importers {

using Fields = std::map<std::string, std::string>;

/// A source contact on its way.
struct OutgoingContact {
    Contact contact;
    std::size_t file = 0;
    std::string digest;
    Fields even;  ///< normalised
    bool in_ledger = false;
    bool there = false;  ///< found in the export
    bool sent = false;
    bool gone = false;  ///< refused
};

/// The export of one folder, each row to be matched once.
class ExportedContacts {
  public:
    explicit ExportedContacts(const std::vector<Contact>& contacts);
    [[nodiscard]] std::size_t size() const { return rows_.size(); }
    /// Takes a row that is `item` (exactly, or with more on it); false if there is none.
    bool take(const OutgoingContact& item, bool exact);
    /// Whether a row that nobody took shares an address or the name: the contact, edited since.
    [[nodiscard]] bool resembles(const OutgoingContact& item) const;

  private:
    struct Row {
        Fields fields;
        bool taken = false;
    };

    std::vector<Row> rows_;
    std::unordered_multimap<std::string, std::size_t> index_;
};

/// Pairs what is there with what is to come, equal rows first, then rows that have more on them;
/// calls `found` for each that is there.
void pair_up(ExportedContacts& there, std::vector<OutgoingContact*> open,
             const std::function<void(OutgoingContact&)>& found);

}  // namespace imapult::importers
