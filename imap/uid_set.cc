#include "imap/uid_set.h"

#include <algorithm>
#include <charconv>

#include "engine/base/limits.h"
#include "engine/base/text.h"

namespace imapult::imap {
namespace {

constexpr std::size_t kRangesMax = 4'000'000;

std::unexpected<Error> bad_set(std::string_view text) {
    return fail(Code::protocol, Scope::connection, Retry::later,
                "not a set of UIDs: " + printable(text, 80));
}

void append_number(std::string& out, std::uint32_t number) {
    char digits[10];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    out.append(digits, end);
}

void append_range(std::string& out, UidSet::Range range) {
    append_number(out, range.first);
    if (range.last != range.first) {
        out.push_back(':');
        append_number(out, range.last);
    }
}

/// Calls `take(first, last)` for each written range (first may be above last); stops with false as
/// soon as `take` returns false.
template <class Take>
Result<bool> each_range(std::string_view text, Take take) {
    std::string_view rest = text;
    const auto number = [&](std::uint32_t& value) {
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
        if (error != std::errc{} || value == 0) return false;
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
        return true;
    };
    while (true) {
        std::uint32_t first = 0;
        if (!number(first)) return bad_set(text);
        std::uint32_t last = first;
        if (rest.starts_with(':')) {
            rest.remove_prefix(1);
            if (!number(last)) return bad_set(text);
        }
        if (!take(first, last)) return false;
        if (rest.empty()) return true;
        if (!rest.starts_with(',')) return bad_set(text);
        rest.remove_prefix(1);
    }
}

}  // namespace

void UidSet::add(std::uint32_t first, std::uint32_t last) {
    if (first > last) std::swap(first, last);
    if (last == 0) return;
    first = std::max<std::uint32_t>(first, 1);
    if (ranges_.empty() || first > ranges_.back().last) {
        if (!ranges_.empty() && ranges_.back().last + 1 == first) {
            ranges_.back().last = last;
        } else {
            ranges_.push_back({first, last});
        }
        return;
    }
    // The first range that touches or follows [first, last], and the first one beyond it.
    const auto begin = std::ranges::lower_bound(
        ranges_, first, {}, [](Range r) { return r.last == UINT32_MAX ? r.last : r.last + 1; });
    auto end = begin;
    while (end != ranges_.end() && (last == UINT32_MAX || end->first <= last + 1)) {
        first = std::min(first, end->first);
        last = std::max(last, end->last);
        ++end;
    }
    if (begin == end) {
        ranges_.insert(begin, {first, last});
    } else {
        *begin = {first, last};
        ranges_.erase(begin + 1, end);
    }
}

bool UidSet::contains(std::uint32_t uid) const {
    const auto range = std::ranges::lower_bound(ranges_, uid, {}, &Range::last);
    return range != ranges_.end() && range->first <= uid;
}

std::uint64_t UidSet::size() const {
    std::uint64_t count = 0;
    for (const Range range : ranges_) count += std::uint64_t{range.last} - range.first + 1;
    return count;
}

std::string UidSet::text() const {
    std::string out;
    for (const Range range : ranges_) {
        if (!out.empty()) out.push_back(',');
        append_range(out, range);
    }
    return out;
}

std::vector<UidSet> UidSet::split(std::size_t bytes_max, std::uint64_t uids_max) const {
    std::vector<UidSet> sets;
    std::size_t bytes = 0;
    std::uint64_t uids = 0;
    std::string piece;
    for (Range range : ranges_) {
        while (true) {
            if (uids_max != 0 && (sets.empty() || uids >= uids_max)) {
                sets.emplace_back();
                bytes = uids = 0;
            }
            Range head = range;
            if (uids_max != 0 && std::uint64_t{head.last} - head.first >= uids_max - uids) {
                head.last = static_cast<std::uint32_t>(head.first + (uids_max - uids) - 1);
            }
            piece.clear();
            append_range(piece, head);
            const std::size_t comma = bytes == 0 ? 0 : 1;
            if (sets.empty() || (bytes != 0 && bytes + comma + piece.size() > bytes_max)) {
                sets.emplace_back();
                bytes = uids = 0;
                if (uids_max != 0) continue;  // a fresh set may hold more of this range
            }
            bytes += (bytes == 0 ? 0 : 1) + piece.size();
            uids += std::uint64_t{head.last} - head.first + 1;
            sets.back().ranges_.push_back(head);
            if (head.last == range.last) break;
            range.first = head.last + 1;
        }
    }
    return sets;
}

Result<UidSet> UidSet::parse(std::string_view text) {
    UidSet set;
    std::vector<Range> unsorted;
    const auto take = [&](std::uint32_t first, std::uint32_t last) {
        if (first > last) std::swap(first, last);
        const bool rising = unsorted.empty() || first > unsorted.back().last;
        if (rising && !unsorted.empty() && unsorted.back().last + 1 == first) {
            unsorted.back().last = last;
        } else {
            unsorted.push_back({first, last});
        }
        return unsorted.size() <= kRangesMax;
    };
    IMAPULT_TRY(const bool whole, each_range(text, take));
    if (!whole) {
        return fail(Code::limit, Scope::connection, Retry::never,
                    "a set of more ranges than 4 million");
    }
    // Sorted first, so that a hostile order does not make add() quadratic.
    std::ranges::sort(unsorted, {}, &Range::first);
    for (const Range range : unsorted) {
        if (!set.ranges_.empty() && range.first <= set.ranges_.back().last) {
            set.ranges_.back().last = std::max(set.ranges_.back().last, range.last);
        } else {
            set.add(range.first, range.last);
        }
    }
    return set;
}

Result<std::vector<std::uint32_t>> UidSet::parse_ordered(std::string_view text,
                                                         std::size_t count_max) {
    std::vector<std::uint32_t> uids;
    const auto take = [&](std::uint32_t first, std::uint32_t last) {
        if (first > last) std::swap(first, last);
        if (std::uint64_t{last} - first >= count_max - uids.size()) return false;
        for (std::uint64_t uid = first; uid <= last; ++uid) {
            uids.push_back(static_cast<std::uint32_t>(uid));
        }
        return true;
    };
    IMAPULT_TRY(const bool whole, each_range(text, take));
    if (!whole) {
        return fail(Code::limit, Scope::connection, Retry::never,
                    "a set of more than " + std::to_string(count_max) + " UIDs");
    }
    return uids;
}

}  // namespace imapult::imap
