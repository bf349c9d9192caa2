// Any bytes as a CSV of contacts; what is written is read back as the same contacts.

#include <cstdint>
#include <string>

#include "importers/contact.h"

namespace {

/// Unlike an assertion of ours this leaves the input behind.
void require(bool holds) {
    if (!holds) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace imapult;
    using namespace imapult::importers;
    const auto file = read_csv_contacts(std::string(reinterpret_cast<const char*>(data), size));
    if (!file || file->contacts.empty()) return 0;
    std::vector<const Contact*> contacts;
    for (const Contact& contact : file->contacts) {
        for (const auto& [name, value] : contact.fields)
            require(is_native_field(name) && !value.empty());
        contacts.push_back(&contact);
    }
    const auto again = read_csv_contacts(write_contacts_csv(contacts));
    require(again.has_value() && again->contacts.size() == contacts.size());
    for (std::size_t i = 0; i < contacts.size(); ++i)
        require(contact_digest(again->contacts[i]) == contact_digest(*contacts[i]));
    return 0;
}
