#include "dedup/ledger_format.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/limits.h"

namespace imapult::dedup::format {
namespace {

// First octet of every value but those of meta: the layout. A new layout gets a new number, and
// kVersion rises with it.
constexpr std::uint8_t kLayout = 1;
constexpr std::uint8_t kLayoutLag = 2;   ///< of passes of `follow`
constexpr std::uint8_t kLayoutGone = 2;  ///< of mailboxes and messages, where version 2 says more
constexpr std::uint8_t kLayoutLikeness = 2;  ///< of intents with INTERNALDATEs or flags
constexpr std::uint8_t kItemDigest = 0x01;
constexpr std::uint8_t kItemDate = 0x02;
constexpr std::uint8_t kItemFlags = 0x04;
constexpr std::uint8_t kMessageDigest = 0x20;
constexpr std::uint8_t kMessageKeywords = 0x40;
constexpr std::uint8_t kMessageGone = 0x01;
constexpr std::uint8_t kMessageRemoving = 0x02;
constexpr std::uint8_t kMessageObject = 0x04;
constexpr std::uint8_t kMessageStoring = 0x08;
constexpr std::uint8_t kSystemFlags = kSeen | kAnswered | kFlagged | kDeleted | kDraft;
constexpr Digest128 kNoDigest{};

class Writer {
  public:
    void u8(std::uint8_t v) { bytes_.push_back(static_cast<char>(v)); }
    void u32(std::uint32_t v) {
        for (int shift = 24; shift >= 0; shift -= 8) u8(static_cast<std::uint8_t>(v >> shift));
    }
    void u64(std::uint64_t v) {
        u32(static_cast<std::uint32_t>(v >> 32));
        u32(static_cast<std::uint32_t>(v));
    }
    /// LEB128: seven bits an octet, lowest first, in the fewest octets.
    void varint(std::uint64_t v) {
        for (; v >= 0x80; v >>= 7) u8(static_cast<std::uint8_t>(v) | 0x80);
        u8(static_cast<std::uint8_t>(v));
    }
    void text(std::string_view v) {
        IMAPULT_ASSERT(v.size() <= limits::kLedgerTextBytesMax);
        varint(v.size());
        bytes_.append(v);
    }
    void raw(std::string_view v) { bytes_.append(v); }
    void digest(const Digest128& v) {
        bytes_.append(reinterpret_cast<const char*>(v.data()), v.size());
    }
    std::string take() { return std::move(bytes_); }

  private:
    std::string bytes_;
};

/// Reads what Writer wrote. The first thing that does not fit sets `bad`; every later read gives
/// zero, so that a decoder checks once, at its end.
class Reader {
  public:
    explicit Reader(std::string_view bytes) : rest_(bytes) {}

    std::uint8_t u8() {
        if (rest_.empty()) return refuse();
        const auto v = static_cast<std::uint8_t>(rest_[0]);
        rest_.remove_prefix(1);
        return v;
    }
    std::uint32_t u32() {
        std::uint32_t v = 0;
        for (int i = 0; i < 4; ++i) v = (v << 8) | u8();
        return v;
    }
    std::uint64_t u64() {
        const std::uint64_t high = u32();
        return (high << 32) | u32();
    }
    std::uint64_t varint() {
        std::uint64_t v = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const std::uint8_t octet = u8();
            if (shift == 63 && octet > 1) return refuse();
            v |= static_cast<std::uint64_t>(octet & 0x7F) << shift;
            if ((octet & 0x80) == 0) return octet == 0 && shift > 0 ? refuse() : v;
        }
        return refuse();
    }
    std::uint32_t varint32() {
        const std::uint64_t v = varint();
        return v > UINT32_MAX ? refuse() : static_cast<std::uint32_t>(v);
    }
    bool boolean() {
        const std::uint8_t v = u8();
        if (v > 1) refuse();
        return v == 1;
    }
    std::string text() {
        const std::uint64_t size = varint();
        if (size > rest_.size() || size > limits::kLedgerTextBytesMax) {
            refuse();
            return {};
        }
        std::string v(rest_.substr(0, size));
        rest_.remove_prefix(size);
        return v;
    }
    Digest128 digest() {
        Digest128 v{};
        if (rest_.size() < v.size()) {
            refuse();
            return {};
        }
        std::ranges::copy(rest_.substr(0, v.size()), v.begin());
        rest_.remove_prefix(v.size());
        return v;
    }
    std::uint8_t refuse() {
        bad_ = true;
        rest_ = {};
        return 0;
    }
    [[nodiscard]] std::size_t left() const { return rest_.size(); }
    /// Read to the end, and nothing was wrong.
    [[nodiscard]] bool clean() const { return !bad_ && rest_.empty(); }

  private:
    std::string_view rest_;
    bool bad_ = false;
};

std::unexpected<Error> damage(Family family, std::string_view key, std::string_view what) {
    return std::unexpected(damaged(family, key, what));
}

std::string text_within_limit(std::string_view text) {
    return std::string(text.substr(0, limits::kLedgerTextBytesMax));
}

std::string key_of(std::uint32_t a, std::uint32_t b) {
    Writer w;
    w.u32(a);
    w.u32(b);
    return w.take();
}

}  // namespace

std::string_view name_of(Family family) {
    constexpr std::array<std::string_view, 7> kNames = {
        "meta", "accounts", "mailboxes", "messages", "intents", "refusals", "passes"};
    static_assert(kNames.size() == static_cast<std::size_t>(Family::count_));
    return kNames.at(static_cast<std::size_t>(family));
}

Error damaged(Family family, std::string_view key, std::string_view what) {
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string hex;
    for (const char c : key.substr(0, 64)) {
        hex += kHex[static_cast<std::uint8_t>(c) >> 4];
        hex += kHex[static_cast<std::uint8_t>(c) & 15];
    }
    std::string text = "the ledger is damaged: " + std::string(what) + " in family " +
                       std::string(name_of(family)) + ", key " + hex +
                       "; move the state directory away and run again: what was copied is "
                       "recognised at the destination and not copied twice";
    return Error{Code::state_damaged, Scope::run, Retry::never, Outcome::not_done, {}, text};
}

std::string account_key(AccountId account) {
    Writer w;
    w.u8('i');
    w.u32(account);
    return w.take();
}

std::string account_name_key(std::string_view source, std::string_view destination) {
    Writer w;
    w.u8('n');
    w.u32(static_cast<std::uint32_t>(source.size()));
    w.raw(source);
    w.raw(destination);
    return w.take();
}

std::string mailbox_key(AccountId account, MailboxId mailbox) {
    return key_of(account, mailbox);
}
std::string message_key(MailboxId mailbox, std::uint32_t source_uid) {
    return key_of(mailbox, source_uid);
}

std::string intent_key(MailboxId mailbox, std::uint64_t sequence) {
    Writer w;
    w.u32(mailbox);
    w.u64(sequence);
    return w.take();
}

std::string refusal_key(AccountId account, MailboxId mailbox, std::uint32_t source_uid) {
    Writer w;
    w.u32(account);
    w.u32(mailbox);
    w.u32(source_uid);
    return w.take();
}

std::string host_key(std::string_view host) {
    return "h" + std::string(text_within_limit(host));
}

std::string spent_key(AccountId account) {
    Writer w;
    w.u8('s');
    w.u32(account);
    return w.take();
}

std::string rights_key(AccountId account, MailboxId mailbox) {
    return "r" + key_of(account, mailbox);
}

std::string pass_key(AccountId account) {
    Writer w;
    w.u32(account);
    return w.take();
}

Range range_of(std::uint32_t prefix) {
    Range range{pass_key(prefix), {}};
    // Longer than any key with this prefix, and greater than each: no key has 13 octets of 0xFF.
    range.end = prefix == UINT32_MAX ? std::string(16, '\xFF') : pass_key(prefix + 1);
    return range;
}

Range message_range(MailboxId mailbox, std::uint32_t first_uid, std::uint32_t last_uid) {
    // The key after the last: the shortest string greater than it.
    return {message_key(mailbox, first_uid), message_key(mailbox, last_uid) + '\0'};
}

Range account_range() {
    return {"i", "j"};
}
Range spent_range() {
    return {"s", "t"};
}
Range host_range() {
    return {"h", "i"};
}

Range rights_range(AccountId account) {
    // The key behind that of the greatest mailbox id.
    return {rights_key(account, 0), rights_key(account, UINT32_MAX) + '\0'};
}

std::string encode_number(std::uint64_t value) {
    Writer w;
    w.u64(value);
    return w.take();
}

Result<std::uint64_t> decode_number(std::string_view key, std::string_view value) {
    Reader r(value);
    const std::uint64_t number = r.u64();
    if (!r.clean()) return damage(Family::meta, key, "a number is not 8 octets");
    return number;
}

std::string encode(const AccountRecord& record) {
    Writer w;
    w.u8(kLayout);
    w.text(record.source);
    w.text(record.destination);
    return w.take();
}

Result<AccountRecord> decode_account(std::string_view key, std::string_view value) {
    Reader k(key);
    AccountRecord record;
    if (k.u8() != 'i') k.refuse();
    record.id = k.u32();
    if (!k.clean()) return damage(Family::accounts, key, "a key of the wrong form");
    Reader r(value);
    if (r.u8() != kLayout) r.refuse();
    record.source = r.text();
    record.destination = r.text();
    if (!r.clean()) return damage(Family::accounts, key, "an unreadable account");
    return record;
}

std::string encode(const MailboxRecord& record) {
    Writer w;
    const bool gone = record.gone > 0 || record.removing;
    w.u8(gone ? kLayoutGone : kLayout);
    w.u8(static_cast<std::uint8_t>((record.archived ? 1 : 0) | (record.complete ? 2 : 0) |
                                   (record.removing ? 4 : 0)));
    w.text(record.source_name);
    w.text(record.destination_name);
    w.varint(record.source_uid_validity);
    w.varint(record.destination_uid_validity);
    w.varint(record.source_uid_next);
    w.varint(record.source_highest_modseq);
    w.varint(record.source_messages);
    w.varint(record.destination_uid_next);
    w.varint(record.destination_highest_modseq);
    w.varint(record.destination_messages);
    w.text(record.source_mailbox_id);
    w.varint(record.source_flags_checked_at);
    if (gone) w.varint(record.gone);
    return w.take();
}

Result<MailboxRecord> decode_mailbox(std::string_view key, std::string_view value) {
    Reader k(key);
    MailboxRecord record;
    record.account = k.u32();
    record.id = k.u32();
    if (!k.clean()) return damage(Family::mailboxes, key, "a key of the wrong form");
    Reader r(value);
    const std::uint8_t layout = r.u8();
    if (layout != kLayout && layout != kLayoutGone) r.refuse();
    const std::uint8_t bits = r.u8();
    if (bits > (layout == kLayoutGone ? 7 : 3)) r.refuse();
    record.archived = (bits & 1) != 0;
    record.complete = (bits & 2) != 0;
    record.removing = (bits & 4) != 0;
    record.source_name = r.text();
    record.destination_name = r.text();
    record.source_uid_validity = r.varint32();
    record.destination_uid_validity = r.varint32();
    record.source_uid_next = r.varint32();
    record.source_highest_modseq = r.varint();
    record.source_messages = r.varint32();
    record.destination_uid_next = r.varint32();
    record.destination_highest_modseq = r.varint();
    record.destination_messages = r.varint32();
    record.source_mailbox_id = r.text();
    record.source_flags_checked_at = r.varint();
    if (layout == kLayoutGone) {
        record.gone = r.varint32();
        if (record.gone == 0 && !record.removing) r.refuse();
    }
    if (!r.clean()) return damage(Family::mailboxes, key, "an unreadable mailbox");
    return record;
}

std::string encode(const MessageRecord& record) {
    Writer w;
    const auto more = static_cast<std::uint8_t>(
        (record.gone ? kMessageGone : 0) | (record.removing ? kMessageRemoving : 0) |
        (record.object != 0 ? kMessageObject : 0) | (record.storing ? kMessageStoring : 0));
    const std::uint8_t layout = more != 0 ? kLayoutGone : kLayout;
    w.u8(static_cast<std::uint8_t>((layout << 4) | static_cast<std::uint8_t>(record.state)));
    const bool digest = record.digest != kNoDigest;
    const bool keywords = !record.base.keywords.empty();
    w.u8(static_cast<std::uint8_t>((record.base.system & kSystemFlags) |
                                   (digest ? kMessageDigest : 0) |
                                   (keywords ? kMessageKeywords : 0)));
    if (more != 0) w.u8(more);
    w.varint(record.destination_uid);
    w.varint(record.size);
    if (record.object != 0) w.u64(record.object);
    if (digest) w.digest(record.digest);
    if (keywords) w.text(record.base.keywords);
    if (record.storing) {
        w.u8(record.storing->system & kSystemFlags);
        w.text(record.storing->keywords);
    }
    return w.take();
}

Result<MessageRecord> decode_message(std::string_view key, std::string_view value) {
    Reader k(key);
    MessageRecord record;
    k.u32();
    record.source_uid = k.u32();
    if (!k.clean()) return damage(Family::messages, key, "a key of the wrong form");
    Reader r(value);
    const std::uint8_t head = r.u8();
    const std::uint8_t bits = r.u8();
    const int layout = head >> 4;
    if ((layout != kLayout && layout != kLayoutGone) || (head & 15) < 1 || (head & 15) > 5 ||
        (bits & 0x80) != 0) {
        r.refuse();
    }
    const std::uint8_t more = layout == kLayoutGone ? r.u8() : 0;
    if (more > (kMessageGone | kMessageRemoving | kMessageObject | kMessageStoring) ||
        (more == 0 && layout == kLayoutGone)) {
        r.refuse();
    }
    record.gone = (more & kMessageGone) != 0;
    record.removing = (more & kMessageRemoving) != 0;
    record.state = static_cast<MessageState>(head & 15);
    record.base.system = bits & kSystemFlags;
    record.destination_uid = r.varint32();
    record.size = r.varint();
    if ((more & kMessageObject) != 0) {
        record.object = r.u64();
        if (record.object == 0) r.refuse();
    }
    if ((bits & kMessageDigest) != 0) {
        record.digest = r.digest();
        if (record.digest == kNoDigest) r.refuse();
    }
    if ((bits & kMessageKeywords) != 0) {
        record.base.keywords = r.text();
        if (record.base.keywords.empty()) r.refuse();
    }
    if ((more & kMessageStoring) != 0) {
        Flags& storing = record.storing.emplace();
        storing.system = r.u8();
        if ((storing.system & ~kSystemFlags) != 0) r.refuse();
        storing.keywords = r.text();
    }
    if (!r.clean()) return damage(Family::messages, key, "an unreadable message record");
    return record;
}

namespace {
bool tells_likeness(const Intent& intent) {
    return std::ranges::any_of(intent.items,
                               [](const auto& item) { return item.date || item.flags; });
}
}  // namespace

std::string encode(const Intent& intent) {
    Writer w;
    w.u8(tells_likeness(intent) ? kLayoutLikeness : kLayout);
    w.varint(intent.destination_uid_validity);
    w.varint(intent.floor);
    w.varint(intent.items.size());
    for (const Intent::Item& item : intent.items) {
        const bool digest = item.digest != kNoDigest;
        w.varint(item.source_uid);
        w.varint(item.size);
        w.u8((digest ? kItemDigest : 0) | (item.date ? kItemDate : 0) |
             (item.flags ? kItemFlags : 0));
        if (digest) w.digest(item.digest);
        if (item.date) w.u64(static_cast<std::uint64_t>(*item.date));
        if (!item.flags) continue;
        w.u8(item.flags->system);
        w.text(item.flags->keywords);
    }
    return w.take();
}

Result<Intent> decode_intent(std::string_view key, std::string_view value) {
    Reader k(key);
    Intent intent;
    intent.mailbox = k.u32();
    intent.sequence = k.u64();
    if (!k.clean()) return damage(Family::intents, key, "a key of the wrong form");
    Reader r(value);
    const std::uint8_t layout = r.u8();
    if (layout != kLayout && layout != kLayoutLikeness) r.refuse();
    intent.destination_uid_validity = r.varint32();
    intent.floor = r.varint32();
    const std::uint64_t count = r.varint();
    constexpr std::size_t kItemBytesMin = 3;
    if (count > r.left() / kItemBytesMin) r.refuse();
    for (std::uint64_t i = 0; i < count && r.left() > 0; ++i) {
        Intent::Item item;
        item.source_uid = r.varint32();
        item.size = r.varint();
        const std::uint8_t bits = r.u8();
        if (bits > (layout == kLayout ? kItemDigest : kItemDigest | kItemDate | kItemFlags))
            r.refuse();
        if ((bits & kItemDigest) != 0) {
            item.digest = r.digest();
            if (item.digest == kNoDigest) r.refuse();
        }
        if ((bits & kItemDate) != 0) item.date = static_cast<std::int64_t>(r.u64());
        if ((bits & kItemFlags) != 0) {
            item.flags.emplace();
            item.flags->system = r.u8();
            if ((item.flags->system & ~kSystemFlags) != 0) r.refuse();
            item.flags->keywords = r.text();
        }
        intent.items.push_back(std::move(item));
    }
    if (tells_likeness(intent) != (layout == kLayoutLikeness)) r.refuse();
    if (!r.clean() || intent.items.size() != count) {
        return damage(Family::intents, key, "an unreadable intent");
    }
    return intent;
}

std::string encode(const Refusal& refusal) {
    Writer w;
    w.u8(kLayout);
    w.text(text_within_limit(refusal.mailbox_name));
    w.text(text_within_limit(refusal.message_id));
    w.text(text_within_limit(refusal.subject));
    w.text(text_within_limit(refusal.reason));
    w.u64(static_cast<std::uint64_t>(refusal.date));
    w.varint(refusal.size);
    w.u64(static_cast<std::uint64_t>(refusal.first_seen));
    w.varint(refusal.tries);
    return w.take();
}

Result<Refusal> decode_refusal(std::string_view key, std::string_view value) {
    Reader k(key);
    Refusal refusal;
    k.u32();
    refusal.mailbox = k.u32();
    refusal.source_uid = k.u32();
    if (!k.clean()) return damage(Family::refusals, key, "a key of the wrong form");
    Reader r(value);
    if (r.u8() != kLayout) r.refuse();
    refusal.mailbox_name = r.text();
    refusal.message_id = r.text();
    refusal.subject = r.text();
    refusal.reason = r.text();
    refusal.date = static_cast<std::int64_t>(r.u64());
    refusal.size = r.varint();
    refusal.first_seen = static_cast<std::int64_t>(r.u64());
    refusal.tries = r.varint32();
    if (!r.clean()) return damage(Family::refusals, key, "an unreadable refusal");
    return refusal;
}

std::string encode(const Pass& pass) {
    Writer w;
    w.u8(pass.lag_ms ? kLayoutLag : kLayout);
    w.u64(static_cast<std::uint64_t>(pass.started));
    w.u64(static_cast<std::uint64_t>(pass.finished));
    w.text(text_within_limit(pass.result));
    w.varint(pass.source);
    w.varint(pass.already_there);
    w.varint(pass.copied);
    w.varint(pass.adopted);
    w.varint(pass.refused);
    w.varint(pass.skipped);
    if (pass.lag_ms) w.varint(*pass.lag_ms);
    return w.take();
}

Result<Pass> decode_pass(std::string_view key, std::string_view value) {
    Reader k(key);
    k.u32();
    if (!k.clean()) return damage(Family::passes, key, "a key of the wrong form");
    Reader r(value);
    Pass pass;
    const std::uint8_t layout = r.u8();
    if (layout != kLayout && layout != kLayoutLag) r.refuse();
    pass.started = static_cast<std::int64_t>(r.u64());
    pass.finished = static_cast<std::int64_t>(r.u64());
    pass.result = r.text();
    pass.source = r.varint();
    pass.already_there = r.varint();
    pass.copied = r.varint();
    pass.adopted = r.varint();
    pass.refused = r.varint();
    pass.skipped = r.varint();
    if (layout == kLayoutLag) pass.lag_ms = r.varint();
    if (!r.clean()) return damage(Family::passes, key, "an unreadable pass");
    return pass;
}

std::string encode(const HostRecord& host) {
    Writer w;
    w.u8(kLayout);
    w.varint(host.window_bytes);
    w.varint(host.connections);
    return w.take();
}
Result<HostRecord> decode_host(std::string_view key, std::string_view value) {
    if (!key.starts_with('h')) return damage(Family::accounts, key, "a key of the wrong form");
    Reader r(value);
    HostRecord host;
    host.host = key.substr(1);
    if (r.u8() != kLayout) r.refuse();
    host.window_bytes = r.varint();
    host.connections = r.varint32();
    if (!r.clean()) return damage(Family::accounts, key, "an unreadable host");
    return host;
}

std::string encode(const Spent& spent) {
    Writer w;
    w.u8(kLayout);
    w.varint(static_cast<std::uint64_t>(spent.day));
    w.varint(spent.messages);
    w.varint(spent.bytes);
    return w.take();
}
Result<Spent> decode_spent(std::string_view key, std::string_view value) {
    Reader k(key);
    if (k.u8() != 's') k.refuse();
    k.u32();
    if (!k.clean()) return damage(Family::accounts, key, "a key of the wrong form");
    Reader r(value);
    Spent spent;
    if (r.u8() != kLayout) r.refuse();
    spent.day = static_cast<std::int64_t>(r.varint());
    spent.messages = r.varint();
    spent.bytes = r.varint();
    if (!r.clean()) return damage(Family::accounts, key, "an unreadable budget");
    return spent;
}
AccountId account_of_spent(std::string_view key) {
    Reader k(key);
    k.u8();
    return k.u32();
}

std::string encode(const RightsRecord& rights) {
    Writer w;
    w.u8(kLayout);
    w.text(rights.text);
    return w.take();
}

Result<RightsRecord> decode_rights(std::string_view key, std::string_view value) {
    Reader k(key);
    RightsRecord rights;
    if (k.u8() != 'r') k.refuse();
    k.u32();
    rights.mailbox = k.u32();
    if (!k.clean()) return damage(Family::accounts, key, "a key of the wrong form");
    Reader r(value);
    if (r.u8() != kLayout) r.refuse();
    rights.text = r.text();
    if (!r.clean()) return damage(Family::accounts, key, "an unreadable list of rights");
    return rights;
}

AccountId account_of_pass(std::string_view key) {
    Reader k(key);
    return k.u32();
}

}  // namespace imapult::dedup::format
