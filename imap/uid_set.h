#pragma once
// Sets of UIDs as sorted, disjoint ranges: what UID FETCH takes and ESEARCH, VANISHED, APPENDUID
// give.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"

namespace imapult::imap {

class UidSet {
  public:
    struct Range {
        std::uint32_t first, last;  ///< inclusive, first <= last, never 0
        bool operator==(const Range&) const = default;
    };
    UidSet() = default;
    UidSet(std::uint32_t first, std::uint32_t last) { add(first, last); }

    /// Adding in rising order is O(1); any order is allowed.
    void add(std::uint32_t uid) { add(uid, uid); }
    void add(std::uint32_t first, std::uint32_t last);
    [[nodiscard]] bool contains(std::uint32_t uid) const;
    [[nodiscard]] bool empty() const { return ranges_.empty(); }
    /// How many UIDs.
    [[nodiscard]] std::uint64_t size() const;
    [[nodiscard]] const std::vector<Range>& ranges() const { return ranges_; }

    /// "1:3,7" (RFC 9051 sequence-set, without `*`).
    [[nodiscard]] std::string text() const;
    /// Sets whose text() is at most `bytes_max` long each, in order; `uids_max` UIDs each at most
    /// (0: any).
    [[nodiscard]] std::vector<UidSet> split(std::size_t bytes_max,
                                            std::uint64_t uids_max = 0) const;

    /// Parses a sequence-set of numbers; ranges may be reversed, `*` is refused; at most 4 million
    /// ranges.
    static Result<UidSet> parse(std::string_view text);
    /// The UIDs of a set in the order they were written, as APPENDUID and COPYUID need ("7:5" is
    /// 5,6,7). Refuses more than `count_max`.
    static Result<std::vector<std::uint32_t>> parse_ordered(std::string_view text,
                                                            std::size_t count_max);

    bool operator==(const UidSet&) const = default;

  private:
    std::vector<Range> ranges_;
};

}  // namespace imapult::imap
