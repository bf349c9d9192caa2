// Arithmetic and names of the summary, and the stop token: no engine in it.

#include <algorithm>
#include <cmath>

#include "engine/base/report.h"

namespace imapult::report {

MessageCounts& MessageCounts::operator+=(const MessageCounts& other) {
    source += other.source;
    already_there += other.already_there;
    copied += other.copied;
    adopted += other.adopted;
    refused += other.refused;
    skipped += other.skipped;
    flags_updated += other.flags_updated;
    deleted += other.deleted;
    not_reached += other.not_reached;
    moved += other.moved;
    gone_at_source += other.gone_at_source;
    kept_by_limit += other.kept_by_limit;
    labelled += other.labelled;
    represented += other.represented;
    return *this;
}

MailboxCounts& MailboxCounts::operator+=(const MailboxCounts& other) {
    total += other.total;
    created += other.created;
    unchanged += other.unchanged;
    renamed += other.renamed;
    failed += other.failed;
    return *this;
}

ByteCounts& ByteCounts::operator+=(const ByteCounts& other) {
    copied += other.copied;
    source_in += other.source_in;
    source_out += other.source_out;
    destination_in += other.destination_in;
    destination_out += other.destination_out;
    return *this;
}

RoundTrips& RoundTrips::operator+=(const RoundTrips& other) {
    source += other.source;
    destination += other.destination;
    return *this;
}

RightsCounts& RightsCounts::operator+=(const RightsCounts& other) {
    given += other.given;
    taken += other.taken;
    return *this;
}

VerifyCounts& VerifyCounts::operator+=(const VerifyCounts& other) {
    equal += other.equal;
    altered += other.altered;
    different += other.different;
    missing += other.missing;
    extra += other.extra;
    for (std::size_t i = 0; i < kAlterations; ++i) altered_by[i] += other.altered_by[i];
    bodies += other.bodies;
    sampled += other.sampled;
    sampled_altered += other.sampled_altered;
    return *this;
}

/// The Poisson bound: the greatest rate at which seeing so few among so many still has a
/// probability of 1 %. Without any it is 4.6 / sampled.
double altered_part_max(const VerifyCounts& counts) {
    constexpr double kDoubt = 0.01;
    if (counts.sampled == 0) return counts.bodies == 0 ? 0 : 1;
    if (counts.sampled >= counts.bodies)
        return static_cast<double>(counts.sampled_altered) / static_cast<double>(counts.sampled);
    const auto probability_of_so_few = [&](double mean) {
        double term = std::exp(-mean);
        double sum = term;
        for (std::uint64_t i = 1; i <= counts.sampled_altered; ++i) {
            term *= mean / static_cast<double>(i);
            sum += term;
        }
        return sum;
    };
    double low = 0;
    double high = static_cast<double>(counts.sampled);
    if (probability_of_so_few(std::min(high, 700.0)) > kDoubt) return 1;
    for (int i = 0; i < 60; ++i) {
        const double middle = (low + high) / 2;
        (middle < 700 && probability_of_so_few(middle) > kDoubt ? low : high) = middle;
    }
    return high / static_cast<double>(counts.sampled);
}

std::string_view name_of(Alteration alteration) {
    switch (alteration) {
        case Alteration::line_ends:
            return "line_ends";
        case Alteration::nul:
            return "nul";
        case Alteration::header_8bit:
            return "header_8bit";
        case Alteration::re_mimed:
            return "re_mimed";
        case Alteration::repaired:
            return "repaired";
        case Alteration::truncated:
            return "truncated";
        case Alteration::other:
            return "other";
    }
    broken_invariant("every alteration has a name", __FILE__, __LINE__);
}

std::string_view words_of(Alteration alteration) {
    switch (alteration) {
        case Alteration::line_ends:
            return "line ends";
        case Alteration::nul:
            return "NUL";
        case Alteration::header_8bit:
            return "8-bit header";
        case Alteration::re_mimed:
            return "re-MIMEd";
        case Alteration::repaired:
            return "repaired by imapult";
        case Alteration::truncated:
            return "truncated";
        case Alteration::other:
            return "other";
    }
    broken_invariant("every alteration has words", __FILE__, __LINE__);
}

std::string words_of(const AlterationCounts& counts) {
    std::string text;
    for (std::size_t i = 0; i < kAlterations; ++i) {
        if (counts[i] == 0) continue;
        if (!text.empty()) text += ", ";
        text += std::to_string(counts[i]) + " ";
        text += words_of(static_cast<Alteration>(i));
    }
    return text;
}

std::string_view name_of(RunResult result) {
    switch (result) {
        case RunResult::complete:
            return "complete";
        case RunResult::partial:
            return "partial";
        case RunResult::failed:
            return "failed";
        case RunResult::interrupted:
            return "interrupted";
    }
    broken_invariant("every result has a name", __FILE__, __LINE__);
}

std::string_view name_of(NoticeKind kind) {
    switch (kind) {
        case NoticeKind::deleted_at_source:
            return "deleted_at_source";
        case NoticeKind::uid_validity:
            return "uid_validity";
        case NoticeKind::name_mapped:
            return "name_mapped";
        case NoticeKind::mailbox_gone:
            return "mailbox_gone";
        case NoticeKind::keywords_dropped:
            return "keywords_dropped";
        case NoticeKind::mailbox_renamed:
            return "mailbox_renamed";
        case NoticeKind::delete_limit:
            return "delete_limit";
        case NoticeKind::not_deleted:
            return "not_deleted";
        case NoticeKind::message_altered:
            return "message_altered";
        case NoticeKind::message_repaired:
            return "message_repaired";
        case NoticeKind::size_mismatch:
            return "size_mismatch";
        case NoticeKind::quota:
            return "quota";
        case NoticeKind::oversize:
            return "oversize";
        case NoticeKind::capability:
            return "capability";
        case NoticeKind::identity:
            return "identity";
        case NoticeKind::destination_changed:
            return "destination_changed";
        case NoticeKind::labels:
            return "labels";
        case NoticeKind::left_out:
            return "left_out";
        case NoticeKind::rights:
            return "rights";
        case NoticeKind::insecure:
            return "insecure";
        case NoticeKind::estimate:
            return "estimate";
        case NoticeKind::other:
            return "other";
    }
    broken_invariant("every kind of notice has a name", __FILE__, __LINE__);
}

std::string_view name_of(Difference::Kind kind) {
    switch (kind) {
        case Difference::Kind::missing:
            return "missing";
        case Difference::Kind::altered:
            return "altered";
        case Difference::Kind::different:
            return "different";
        case Difference::Kind::extra:
            return "extra";
    }
    broken_invariant("every kind of difference has a name", __FILE__, __LINE__);
}

std::string_view name_of(Waiting waiting) {
    switch (waiting) {
        case Waiting::nothing:
            return "nothing";
        case Waiting::source:
            return "source";
        case Waiting::destination:
            return "destination";
        case Waiting::us:
            return "us";
    }
    broken_invariant("every state of waiting has a name", __FILE__, __LINE__);
}

std::string_view name_of(Watching how) {
    switch (how) {
        case Watching::nothing:
            return "nothing";
        case Watching::polling:
            return "polling";
        case Watching::idle:
            return "idle";
        case Watching::notify:
            return "notify";
    }
    broken_invariant("every way of watching has a name", __FILE__, __LINE__);
}

void StopToken::request(Level level) {
    const std::lock_guard lock(mutex_);
    if (level <= level_.load(std::memory_order_relaxed)) return;
    level_.store(level, std::memory_order_release);
    for (const auto& [id, listener] : listeners_) listener(level);
}

std::size_t StopToken::add_listener(std::function<void(Level)> listener) {
    const std::lock_guard lock(mutex_);
    const Level level = level_.load(std::memory_order_relaxed);
    if (level != Level::none) listener(level);
    listeners_.emplace_back(next_id_, std::move(listener));
    return next_id_++;
}

void StopToken::remove_listener(std::size_t id) {
    const std::lock_guard lock(mutex_);
    std::erase_if(listeners_, [&](const auto& entry) { return entry.first == id; });
}

}  // namespace imapult::report
