// Matching as multisets: what is at the destination already.

#include <algorithm>
#include <array>
#include <span>
#include <tuple>

#include "dedup/identity.h"

namespace imapult::dedup {
namespace {

/// One candidate of either side, to be sorted by a key.
struct Entry {
    const Candidate* candidate = nullptr;
    bool from_source = false;
    bool paired = false;
};

/// The size the message had before a copying tool added to it.
std::uint64_t own_size(const Candidate& candidate) {
    const std::uint64_t added = candidate.header.added_bytes;
    return candidate.size > added ? candidate.size - added : 0;
}

/// Calls `visit` with every run of entries that have the same key; in a run the source's stand
/// first, each side in rising UID order.
template <class Key, class Visit>
void each_run(std::vector<Entry>& entries, Key key, Visit visit) {
    std::ranges::sort(entries, [&](const Entry& a, const Entry& b) {
        if (key(a) != key(b)) return key(a) < key(b);
        if (a.from_source != b.from_source) return a.from_source;
        return a.candidate->uid < b.candidate->uid;
    });
    for (auto first = entries.begin(); first != entries.end();) {
        const auto last = std::find_if(
            first, entries.end(), [&](const Entry& entry) { return key(entry) != key(*first); });
        visit(std::span<Entry>(first, last));
        first = last;
    }
}

const Sha256& strict_of(const Entry& entry) {
    return entry.candidate->header.strict;
}
const Sha256& loose_of(const Entry& entry) {
    return entry.candidate->header.loose;
}

/// Proof by header and size: one message a side has this whole header, the header names one message
/// and holds the trace of its delivery, and the sizes are equal. Whoever has seen a message can
/// send another with its Message-ID, Date, From and size, but not with the lines that the
/// recipient's servers will write.
bool proves(std::span<const Entry> run) {
    if (run.size() != 2 || !run[0].from_source || run[1].from_source) return false;
    const Candidate& source = *run[0].candidate;
    const Candidate& destination = *run[1].candidate;
    return source.header.strong && source.header.traced &&
           own_size(source) == own_size(destination);
}

/// True if a source message and a destination message of the run have the same strict identity.
bool shares_strict(std::span<const Entry> run) {
    std::vector<Sha256> source;
    for (const Entry& entry : run) {
        if (entry.from_source) source.push_back(strict_of(entry));
    }
    std::ranges::sort(source);
    return std::ranges::any_of(run, [&](const Entry& entry) {
        return !entry.from_source && std::ranges::binary_search(source, strict_of(entry));
    });
}

}  // namespace

HeaderMatch match_headers(const std::vector<Candidate>& source,
                          const std::vector<Candidate>& destination, Proof proof) {
    std::vector<Entry> entries;
    entries.reserve(source.size() + destination.size());
    for (const Candidate& candidate : source) entries.push_back({&candidate, true, false});
    for (const Candidate& candidate : destination) entries.push_back({&candidate, false, false});

    HeaderMatch match;
    each_run(entries, strict_of, [&](std::span<Entry> run) {
        if (proof == Proof::content || !proves(run)) return;
        match.pairs.push_back({run[0].candidate->uid, run[1].candidate->uid});
        run[0].paired = run[1].paired = true;
    });
    std::erase_if(entries, [](const Entry& entry) { return entry.paired; });

    // An equal strict identity implies an equal loose one, so groups are made by the loose one.
    each_run(entries, loose_of, [&](std::span<Entry> run) {
        if (!run.back().from_source && run.front().from_source) {
            Group group;
            group.loose = !shares_strict(run);
            group.strong = std::ranges::all_of(
                run, [](const Entry& entry) { return entry.candidate->header.strong; });
            for (const Entry& entry : run) {
                auto& uids = entry.from_source ? group.source_uids : group.destination_uids;
                uids.push_back(entry.candidate->uid);
            }
            match.undecided.push_back(std::move(group));
            return;
        }
        for (const Entry& entry : run) {
            if (entry.from_source) match.unmatched_source.push_back(entry.candidate->uid);
        }
    });
    std::ranges::sort(match.pairs, {}, &Pair::source_uid);
    std::ranges::sort(match.unmatched_source);
    std::ranges::sort(match.undecided, {}, [](const Group& group) { return group.source_uids[0]; });
    return match;
}

namespace {

/// In rising UID order; what was paired is taken out.
void pair_equals(std::vector<ContentCandidate>& ours, std::vector<ContentCandidate>& theirs,
                 bool with_date, std::vector<Pair>& pairs) {
    const auto key = [with_date](const ContentCandidate& c) {
        return std::pair(c.digest, with_date ? c.date : std::nullopt);
    };
    const auto by_key = [&key](const ContentCandidate& a, const ContentCandidate& b) {
        return std::tuple(key(a), a.uid) < std::tuple(key(b), b.uid);
    };
    std::ranges::sort(ours, by_key);
    std::ranges::sort(theirs, by_key);
    std::vector<ContentCandidate> ours_left, theirs_left;
    auto a = ours.begin();
    auto b = theirs.begin();
    while (a != ours.end() && b != theirs.end()) {
        const bool known = !with_date || a->date.has_value();
        if (key(*a) == key(*b) && known) {
            pairs.push_back({(a++)->uid, (b++)->uid});
        } else if (key(*a) <= key(*b)) {
            ours_left.push_back(*a++);
        } else {
            theirs_left.push_back(*b++);
        }
    }
    ours_left.insert(ours_left.end(), a, ours.end());
    theirs_left.insert(theirs_left.end(), b, theirs.end());
    ours = std::move(ours_left);
    theirs = std::move(theirs_left);
}

}  // namespace

std::vector<Pair> match_contents(const Group& group, const std::vector<ContentCandidate>& source,
                                 const std::vector<ContentCandidate>& destination,
                                 bool recovering) {
    std::vector<ContentCandidate> ours = source;
    std::vector<ContentCandidate> theirs = destination;
    std::vector<Pair> pairs;
    // Of equal messages those that arrived at the same moment belong together.
    pair_equals(ours, theirs, true, pairs);
    pair_equals(ours, theirs, false, pairs);
    std::vector<std::uint32_t> ours_left;
    std::vector<std::uint32_t> theirs_left;
    for (const ContentCandidate& left : ours) ours_left.push_back(left.uid);
    for (const ContentCandidate& left : theirs) theirs_left.push_back(left.uid);
    if (recovering && group.strong) {
        std::ranges::sort(ours_left);
        std::ranges::sort(theirs_left);
        const std::size_t altered = std::min(ours_left.size(), theirs_left.size());
        for (std::size_t i = 0; i < altered; ++i) pairs.push_back({ours_left[i], theirs_left[i]});
    }
    std::ranges::sort(pairs, {}, &Pair::source_uid);
    return pairs;
}

}  // namespace imapult::dedup
