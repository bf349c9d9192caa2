// Repairs of hostile messages: each step ends, is done once and for all, and keeps its promise;
// naming the kind of an alteration ends, too.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/base/error.h"
#include "engine/replica/repair.h"
#include "engine/replica/verify_kind.h"

using namespace imapult;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view message(reinterpret_cast<const char*>(data), size);
    for (const std::uint8_t steps : replica::repair_ladder(message, true)) {
        const std::string after = replica::repaired(message, steps);
        IMAPULT_ASSERT(after.size() <= message.size() * 32 + 64);
        if ((steps & replica::kReplaceNul) != 0) IMAPULT_ASSERT(after.find('\0') == after.npos);
        const unsigned cured = steps & (replica::kCrlfForBareLf | replica::kReplaceNul);
        IMAPULT_ASSERT((replica::applicable_repairs(after, false) & cured) == 0);
        if (after != message) (void)replica::alteration_of(message, after);
    }
    (void)replica::mime_leaves(message);
    const std::string_view half = message.substr(0, size / 2);
    const std::string_view rest = message.substr(size / 2);
    if (half != rest) (void)replica::alteration_of(half, rest);
    return 0;
}
