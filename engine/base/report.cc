// Arithmetic and names of the summary, and the stop token: no engine in it.

#include <algorithm>

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
    missing += other.missing;
    different += other.different;
    extra += other.extra;
    return *this;
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
