// The LDIF reader on any octets: it ends, keeps its places, and what it read can be written and
// read again with the same values.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "provisioning/ldif.h"

using namespace imapult::provisioning;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto source = memory_source(std::string(reinterpret_cast<const char*>(data), size));
    LdifReader reader(*source, {});
    LdifReader again(*source, {});
    std::vector<Problem> problems;
    std::size_t records = 0;
    while (auto record = reader.next(problems)) {
        if (++records > 64) break;
        if (record->where.offset > size || record->last_line < record->where.line) std::abort();
        again.seek(record->where);
        std::vector<Problem> unused;
        const auto second = again.next(unused);
        if (!second || second->entry.dn != record->entry.dn) std::abort();
        if (record->change != ChangeType::add || record->entry.dn.empty()) continue;
        std::string text;
        append_ldif_entry(text, record->entry);
        const auto copy = memory_source(text);
        LdifReader round(*copy, {});
        const auto third = round.next(unused);
        if (!third || third->entry.dn != record->entry.dn) std::abort();
        // "changetype" and "control" are words of LDIF itself, wherever they stand first.
        for (const auto& attribute : record->entry.attributes) {
            if (attribute.key == "changetype" || attribute.key == "control") return 0;
        }
        if (third->entry.attributes.size() != record->entry.attributes.size()) std::abort();
        for (std::size_t i = 0; i < third->entry.attributes.size(); ++i) {
            if (third->entry.attributes[i].values != record->entry.attributes[i].values)
                std::abort();
        }
    }
    return 0;
}
