#include "engine/replica/sinks.h"

#include <algorithm>
#include <map>

#include "engine/base/text.h"

namespace imapult::replica {
namespace {

constexpr std::size_t kHeaderBytesMax = 256 * 1024;

/// Untagged data of a selected mailbox that says nothing about the messages asked for.
bool is_mailbox_noise(const imap::Event& event) {
    return std::holds_alternative<imap::Exists>(event) ||
           std::holds_alternative<imap::Recent>(event) ||
           std::holds_alternative<imap::Expunge>(event) ||
           std::holds_alternative<imap::Vanished>(event) ||
           std::holds_alternative<imap::MailboxFlags>(event);
}

}  // namespace

bool SelectSink::on_untagged(const imap::Event& event) {
    if (const auto* count = std::get_if<imap::Exists>(&event)) {
        exists = count->count;
        return true;
    }
    if (const auto* words = std::get_if<imap::MailboxFlags>(&event)) {
        flags.assign(words->flags.begin(), words->flags.end());
        return true;
    }
    if (std::holds_alternative<imap::Recent>(event)) return true;
    const auto* status = std::get_if<imap::Status>(&event);
    if (status == nullptr) return false;
    switch (status->code) {
        case imap::ResponseCode::uid_validity:
            if (!status->numbers.empty())
                uid_validity = static_cast<std::uint32_t>(status->numbers[0]);
            return true;
        case imap::ResponseCode::uid_next:
            if (!status->numbers.empty()) uid_next = static_cast<std::uint32_t>(status->numbers[0]);
            return true;
        case imap::ResponseCode::highest_modseq:
            if (!status->numbers.empty()) highest_modseq = status->numbers[0];
            return true;
        case imap::ResponseCode::mailbox_id:
            if (!status->words.empty()) mailbox_id = status->words.front();
            return true;
        case imap::ResponseCode::permanent_flags:
            permanent_flags.emplace(status->words.begin(), status->words.end());
            return true;
        default:
            return false;
    }
}

bool MetaSink::on_untagged(const imap::Event& event) {
    const auto* fetch = std::get_if<imap::Fetch>(&event);
    if (fetch == nullptr) return is_mailbox_noise(event);
    if (!fetch->uid || *fetch->uid < first_ || *fetch->uid > last_) return !fetch->uid.has_value();
    Meta meta;
    meta.uid = *fetch->uid;
    meta.flags = flags_->intern(flags_of(*fetch, labels_).value_or(Flags{}));
    if (labels_ != nullptr && fetch->gm_labels) {
        meta.elsewhere = labels_->labels->is_elsewhere(labels_->box, *fetch->gm_labels);
        if (meta.elsewhere && labels_->homes != nullptr)
            labels_->homes->insert(*labels_->labels->home(*fetch->gm_labels));
    }
    meta.size =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(fetch->size.value_or(0), UINT32_MAX));
    if (fetch->internal_date) {
        meta.date = *fetch->internal_date;
        meta.zone = fetch->internal_date_zone;
        meta.has_date = true;
    }
    if (!fetch->email_id.empty()) {
        meta.object = dedup::object_of(fetch->email_id);
    } else if (fetch->gm_message_id) {
        meta.object = dedup::object_of(std::to_string(*fetch->gm_message_id));
    }
    if (!metas_.empty() && metas_.back().uid >= meta.uid) sorted_ = false;
    metas_.push_back(meta);
    return true;
}

std::vector<Meta> MetaSink::take() {
    if (sorted_) return std::move(metas_);
    // Rare: parts of a message on several lines (Yahoo), repeats, another order.
    std::map<std::uint32_t, Meta> whole;
    for (const Meta& part : metas_) {
        const auto [place, fresh] = whole.try_emplace(part.uid, part);
        if (fresh) continue;
        Meta& meta = place->second;
        if (!is_empty(flags_->at(part.flags))) meta.flags = part.flags;
        if (part.size != 0) meta.size = part.size;
        if (part.has_date) meta.date = part.date, meta.zone = part.zone, meta.has_date = true;
        if (part.object != 0) meta.object = part.object;
        meta.elsewhere = meta.elsewhere || part.elsewhere;
    }
    metas_.clear();
    for (const auto& [uid, meta] : whole) metas_.push_back(meta);
    return std::move(metas_);
}

bool FlagSink::on_untagged(const imap::Event& event) {
    const auto* fetch = std::get_if<imap::Fetch>(&event);
    if (fetch == nullptr) return is_mailbox_noise(event);
    if (!fetch->uid) return true;
    if (*fetch->uid < first_ || *fetch->uid > last_) return false;
    if (const auto now = flags_of(*fetch, labels_))
        entries_.push_back({*fetch->uid, flags_->intern(*now)});
    return true;
}

std::vector<FlagSink::Entry> FlagSink::take() {
    std::map<std::uint32_t, std::uint32_t> last;  // the last one said counts
    bool sorted = true;
    for (std::size_t i = 1; i < entries_.size(); ++i)
        sorted = sorted && entries_[i - 1].uid < entries_[i].uid;
    if (sorted) return std::move(entries_);
    for (const Entry& entry : entries_) last[entry.uid] = entry.flags;
    entries_.clear();
    for (const auto& [uid, flags] : last) entries_.push_back({uid, flags});
    return std::move(entries_);
}

bool HeaderSink::on_body_begin(const imap::BodyBegin& /*begin*/) {
    header_.clear();
    return true;
}
void HeaderSink::on_body_chunk(const imap::BodyChunk& chunk) {
    if (header_.size() < kHeaderBytesMax) {
        header_.append(chunk.bytes.substr(0, kHeaderBytesMax - header_.size()));
    }
}
bool HeaderSink::on_untagged(const imap::Event& event) {
    const auto* fetch = std::get_if<imap::Fetch>(&event);
    if (fetch == nullptr) return is_mailbox_noise(event);
    if (!fetch->uid || fetch->body == imap::Fetch::Body::absent) return true;
    Entry entry;
    entry.candidate.uid = *fetch->uid;
    entry.candidate.size = fetch->size.value_or(0);
    entry.candidate.header = dedup::identify_header(header_);
    entry.flags = flags_->intern(fetch->flags ? parse_flags(*fetch->flags) : Flags{});
    entries.push_back(std::move(entry));
    header_.clear();
    return true;
}

bool DigestSink::on_body_begin(const imap::BodyBegin& /*begin*/) {
    normal_.emplace();
    raw_.emplace(secret_);
    size_ = 0;
    return true;
}
void DigestSink::on_body_chunk(const imap::BodyChunk& chunk) {
    normal_->update(chunk.bytes);
    raw_->update(chunk.bytes);
    size_ += chunk.bytes.size();
}
bool DigestSink::on_untagged(const imap::Event& event) {
    const auto* fetch = std::get_if<imap::Fetch>(&event);
    if (fetch == nullptr) return is_mailbox_noise(event);
    if (!fetch->uid || fetch->body != imap::Fetch::Body::streamed || !normal_) return true;
    entries.push_back(
        {*fetch->uid, size_, normal_->finish(), raw_->finish(), fetch->internal_date});
    normal_.reset();
    raw_.reset();
    return true;
}

bool QuotaSink::on_untagged(const imap::Event& event) {
    if (const auto* quota = std::get_if<imap::Quota>(&event)) {
        for (const auto& resource : quota->resources) {
            if (!equal_ignoring_case(resource.name, "STORAGE")) continue;
            used_bytes = resource.usage * 1024;
            limit_bytes = resource.limit * 1024;
        }
        return true;
    }
    return std::holds_alternative<imap::QuotaRoot>(event);
}

bool HeaderTextSink::on_body_begin(const imap::BodyBegin& /*begin*/) {
    header.clear();
    return true;
}
void HeaderTextSink::on_body_chunk(const imap::BodyChunk& chunk) {
    if (header.size() < kHeaderBytesMax) {
        header.append(chunk.bytes.substr(0, kHeaderBytesMax - header.size()));
    }
}
bool HeaderTextSink::on_untagged(const imap::Event& event) {
    if (std::holds_alternative<imap::Fetch>(event)) seen = true;
    return is_mailbox_noise(event) || std::holds_alternative<imap::Fetch>(event);
}

std::vector<imap::UidSet> uid_sets(const session::Session& session,
                                   const std::vector<std::uint32_t>& uids, std::size_t uids_max) {
    imap::UidSet all;
    for (const std::uint32_t uid : uids) all.add(uid);
    return all.split(session.set_bytes_max(), uids_max);
}

}  // namespace imapult::replica
