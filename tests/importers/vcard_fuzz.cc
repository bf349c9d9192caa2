// Any bytes as vCards; what is written is one card again.

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
    const auto file = read_vcards(std::string(reinterpret_cast<const char*>(data), size));
    if (!file) return 0;
    for (const Contact& contact : file->contacts) {
        for (const auto& [name, value] : contact.fields)
            require(is_native_field(name) && !value.empty());
        const auto again = read_vcards(write_vcard(contact));
        require(again.has_value() && again->contacts.size() + again->refused.size() == 1);
    }
    return 0;
}
