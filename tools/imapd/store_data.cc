#include "tools/imapd/store_data.h"

#include <algorithm>

#include "engine/base/text.h"

namespace imapult::imapd {

// --- flags

namespace {
struct SystemFlag {
    std::string_view name;
    std::uint8_t bit;
};
constexpr SystemFlag kSystemFlags[] = {{"\\Answered", FlagSet::kAnswered},
                                       {"\\Flagged", FlagSet::kFlagged},
                                       {"\\Deleted", FlagSet::kDeleted},
                                       {"\\Seen", FlagSet::kSeen},
                                       {"\\Draft", FlagSet::kDraft}};
}  // namespace

FlagSet::FlagSet(std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) add(name);
}

std::uint8_t FlagSet::system_bit(std::string_view name) {
    for (const SystemFlag& f : kSystemFlags) {
        if (equal_ignoring_case(f.name, name)) return f.bit;
    }
    return 0;
}

bool FlagSet::add(std::string_view name) {
    if (const std::uint8_t bit = system_bit(name); bit != 0) {
        system_ |= bit;
        return true;
    }
    if (name.starts_with('\\')) return false;
    const auto at = std::ranges::lower_bound(keywords_, name);
    if (at == keywords_.end() || *at != name) keywords_.insert(at, std::string(name));
    return true;
}

void FlagSet::remove(std::string_view name) {
    system_ = static_cast<std::uint8_t>(system_ & ~system_bit(name));
    std::erase_if(keywords_, [name](const auto& k) { return equal_ignoring_case(k, name); });
}

bool FlagSet::has(std::string_view name) const {
    if (const std::uint8_t bit = system_bit(name); bit != 0) return has(bit);
    return std::ranges::any_of(keywords_,
                               [name](const auto& k) { return equal_ignoring_case(k, name); });
}

void FlagSet::append_to(std::string& out) const {
    const std::size_t start = out.size();
    const auto one = [&out, start](std::string_view name) {
        if (out.size() > start) out += ' ';
        out += name;
    };
    for (const SystemFlag& f : kSystemFlags) {
        if (has(f.bit)) one(f.name);
    }
    for (const std::string& k : keywords_) one(k);
}

std::string FlagSet::text() const {
    std::string out;
    append_to(out);
    return out;
}

namespace detail {

// --- mailboxes

bool is_inbox(std::string_view name) {
    return equal_ignoring_case(name, "INBOX");
}

Message* Mailbox::find(std::uint32_t uid) {
    const auto it = std::ranges::lower_bound(messages, uid, {}, &Message::uid);
    return it != messages.end() && it->uid == uid ? &*it : nullptr;
}

void Mailbox::note_keywords(const FlagSet& flags) {
    for (const std::string& k : flags.keywords()) {
        const bool known = std::ranges::any_of(
            keywords, [&k](const auto& x) { return equal_ignoring_case(x, k); });
        if (!known) keywords.push_back(k);
    }
}

std::uint32_t Mailbox::add(Message message) {
    message.uid = uidnext++;
    message.modseq = ++highest_modseq;
    octets += message.body->size();
    note_keywords(message.flags);
    messages.push_back(std::move(message));
    return messages.back().uid;
}

void Mailbox::touch(Message& message) {
    message.modseq = flags_modseq = ++highest_modseq;
    note_keywords(message.flags);
}

std::uint64_t Account::used() const {
    std::uint64_t sum = 0;
    for (const auto& entry : mailboxes) sum += entry.second->octets;
    return sum;
}

// --- everything

std::shared_ptr<Account> Data::account(std::string_view name) {
    const auto it = accounts.find(name);
    return it == accounts.end() ? nullptr : it->second;
}

Account& Data::open_account(std::string_view name, std::string_view password, const Behaviour& b) {
    auto& slot = accounts[std::string(name)];
    if (!slot) {
        slot = std::make_shared<Account>();
        slot->name = name;
        create(*slot, b.inbox_name, b);
        slot->subscribed.insert(b.inbox_name);
    }
    slot->password = password;
    return *slot;
}

std::shared_ptr<Mailbox> Data::mailbox(Account& account, std::string_view name, const Behaviour& b,
                                       std::string* key) {
    std::string wanted(is_inbox(name) ? std::string_view(b.inbox_name) : name);
    if (b.trims_names) {
        while (wanted.ends_with(' ')) wanted.pop_back();
    }
    auto it = account.mailboxes.find(wanted);
    if (it == account.mailboxes.end() && b.case_insensitive_names) {
        it = std::ranges::find_if(account.mailboxes, [&wanted](const auto& entry) {
            return equal_ignoring_case(entry.first, wanted);
        });
    }
    if (it == account.mailboxes.end()) return nullptr;
    if (key != nullptr) *key = it->first;
    return it->second;
}

/// What UW's mbox driver keeps its UIDs in, and other programs show as a message.
constexpr std::string_view kPseudoMessage =
    "Date: 14 Nov 2023 22:13:20 +0000\r\n"
    "From: Mail System Internal Data <MAILER-DAEMON@mail.example.com>\r\n"
    "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\r\n"
    "Message-ID: <1700000000@mail.example.com>\r\nX-IMAP: 1700000000 0000000001\r\n"
    "Status: RO\r\n\r\n"
    "This text is part of the internal format of your mail folder, and is not\r\n"
    "a real message.\r\n";

std::shared_ptr<Mailbox> Data::create(Account& account, std::string_view name, const Behaviour& b) {
    // What stands above comes first (RFC 3501, section 6.3.3: "SHOULD create").
    if (b.separator != '\0') {
        const std::size_t cut = name.rfind(b.separator);
        const bool is_space =
            cut != std::string_view::npos && name.substr(0, cut + 1) == b.shared_prefix;
        const bool above =
            cut != std::string_view::npos && cut > 0 && cut + 1 > b.prefix.size() && !is_space;
        if (above && !mailbox(account, name.substr(0, cut), b)) {
            create(account, name.substr(0, cut), b);
        }
    }
    auto box = std::make_shared<Mailbox>();
    box->uidvalidity = b.one_uidvalidity ? 1 : next_uidvalidity++;
    box->id = "F" + std::to_string(next_mailbox++);
    account.mailboxes[std::string(name)] = box;
    if (!b.shared_prefix.empty() && name.starts_with(b.shared_prefix)) {
        for (auto& [unused, other] : accounts) other->mailboxes[std::string(name)] = box;
    }
    ++version;
    if (b.pseudo_message) {
        Message internal;
        internal.object = next_object++;
        internal.date = {1'700'000'000, 0};
        internal.flags = {"\\Seen"};
        internal.body = std::make_shared<const std::string>(kPseudoMessage);
        box->add(std::move(internal));
    }
    return box;
}

Data Data::deep_copy() const {
    Data copy = *this;
    std::map<const Mailbox*, std::shared_ptr<Mailbox>> copies;
    for (auto& [name, account] : copy.accounts) {
        account = std::make_shared<Account>(*account);
        for (auto& [box_name, box] : account->mailboxes) {
            auto& one = copies[box.get()];
            if (!one) one = std::make_shared<Mailbox>(*box);
            box = one;
        }
    }
    return copy;
}

void Data::rename(Account& account, const std::string& from, const std::string& to,
                  const Behaviour& b) {
    if (b.separator != '\0' && to.find(b.separator) != std::string::npos) {
        const std::string above = to.substr(0, to.rfind(b.separator));
        if (!above.empty() && above + b.separator != b.prefix && !mailbox(account, above, b)) {
            create(account, above, b);
        }
    }
    if (is_inbox(from)) {
        // RFC 3501, section 6.3.5: the messages move, INBOX stays, empty.
        auto box = account.mailboxes[from];
        account.mailboxes.erase(from);
        account.mailboxes[to] = box;
        create(account, from, b);
        return;
    }
    const std::string below = from + b.separator;
    std::vector<std::pair<std::string, std::shared_ptr<Mailbox>>> moved;
    std::erase_if(account.mailboxes, [&](const auto& entry) {
        const bool is_below = b.separator != '\0' && entry.first.starts_with(below);
        if (entry.first != from && !is_below) return false;
        moved.emplace_back(to + entry.first.substr(from.size()), entry.second);
        return true;
    });
    for (auto& [name, box] : moved) account.mailboxes[name] = std::move(box);
    ++version;
}

std::uint32_t Data::add(Mailbox& mailbox, NewMessage message, std::int64_t now,
                        const Behaviour& b) {
    Message m;
    m.body = std::move(message.body);
    m.flags = std::move(message.flags);
    m.labels = std::move(message.labels);
    m.date = message.date.value_or(Date{now, 0});
    m.object = next_object++;
    // A gap without randomness of its own: runs must be repeatable.
    if (b.uid_gap > 0) {
        mailbox.uidnext += static_cast<std::uint32_t>(m.object * 7 % (b.uid_gap + 1));
    }
    ++version;
    return mailbox.add(std::move(m));
}

std::uint32_t Data::copy(Mailbox& mailbox, const Message& message, const Behaviour& b) {
    Message m = message;
    if (b.uid_gap > 0) mailbox.uidnext += static_cast<std::uint32_t>(b.uid_gap);
    ++version;
    return mailbox.add(std::move(m));
}

}  // namespace detail
}  // namespace imapult::imapd
