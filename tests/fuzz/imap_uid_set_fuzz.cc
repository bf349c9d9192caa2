// UID sets: parsing, printing and splitting keep the members, and the ranges stay sorted.

#include <algorithm>

#include "fuzz/fuzz_input.h"
#include "imap/uid_set.h"

namespace {

void check_shape(const imapult::imap::UidSet& set) {
    std::uint64_t after = 0;
    for (const auto [first, last] : set.ranges()) {
        // Neither touching nor overlapping: the shortest form.
        FUZZ_CHECK(first >= 1 && first <= last && (after == 0 || first > after + 1));
        after = last;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace imapult::imap;
    FuzzInput input(data, size);
    const std::size_t bytes_max = input.octet();
    const std::uint64_t uids_max = input.octet();
    const std::string_view text = input.rest();
    const auto ordered = UidSet::parse_ordered(text, 1000);
    const auto set = UidSet::parse(text);
    if (!set) {
        FUZZ_CHECK(!ordered);
        return 0;
    }
    check_shape(*set);
    FUZZ_CHECK(*UidSet::parse(set->text()) == *set);
    if (ordered) {
        UidSet collected;
        for (const std::uint32_t uid : *ordered) collected.add(uid);
        FUZZ_CHECK(collected == *set);
    }
    // Parts of 1 UID of a set of 4 billion are no use of split().
    if (uids_max != 0 && set->size() / uids_max > 10'000) return 0;
    UidSet joined;
    std::uint64_t total = 0;
    for (const UidSet& part : set->split(bytes_max, uids_max)) {
        check_shape(part);
        FUZZ_CHECK(!part.empty());
        FUZZ_CHECK(part.text().size() <= bytes_max || part.ranges().size() == 1);
        FUZZ_CHECK(uids_max == 0 || part.size() <= uids_max);
        total += part.size();
        for (const auto [first, last] : part.ranges()) joined.add(first, last);
    }
    FUZZ_CHECK(joined == *set && total == set->size());
    return 0;
}
