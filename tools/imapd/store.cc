#include "tools/imapd/store.h"

#include <algorithm>

#include "tools/imapd/store_data.h"

namespace imapult::imapd {

using detail::Data;
using detail::Guard;

Store::Store(Behaviour behaviour, const Clock* clock)
    : clock_(clock != nullptr ? clock : &system_clock_),
      data_(std::make_unique<Data>()),
      behaviour_(std::make_shared<const Behaviour>(std::move(behaviour))) {}

Store::~Store() = default;

void Store::set_behaviour(Behaviour behaviour) {
    auto next = std::make_shared<const Behaviour>(std::move(behaviour));
    const std::lock_guard lock(mutex_);
    behaviour_ = std::move(next);
}

std::shared_ptr<const Behaviour> Store::behaviour() const {
    const std::lock_guard lock(mutex_);
    return behaviour_;
}

// The inspecting functions lock through the same guard as the changing ones; it touches nothing.
namespace {
Store& mutable_of(const Store& store) {
    return const_cast<Store&>(store);
}

MailboxView view_of(const detail::Account& account, const std::string& name,
                    const detail::Mailbox& box) {
    return {.name = name,
            .special_use = box.special_use,
            .subscribed = account.subscribed.contains(name),
            .selectable = box.selectable,
            .uidvalidity = box.uidvalidity,
            .uidnext = box.uidnext,
            .highest_modseq = box.highest_modseq,
            .messages = box.messages.size()};
}
}  // namespace

void Store::add_account(std::string_view account, std::string_view password) {
    const auto b = behaviour();
    Guard data(*this);
    data->open_account(account, password, *b);
}

void Store::accept_anybody(std::string_view password) {
    Guard data(*this);
    data->anybody = password;
}

void Store::add_admin(std::string_view user, std::string_view password) {
    Guard data(*this);
    data->admins[std::string(user)] = password;
}

void Store::set_token(std::string_view account, std::string_view token) {
    Guard data(*this);
    if (auto a = data->account(account)) a->token = token;
}

void Store::set_quota(std::string_view account, std::uint64_t octets) {
    Guard data(*this);
    if (auto a = data->account(account)) a->quota = octets;
}

std::vector<std::string> Store::accounts() const {
    Guard data(mutable_of(*this));
    std::vector<std::string> out;
    for (const auto& [name, account] : data->accounts) out.push_back(name);
    return out;
}

bool Store::create(std::string_view account, std::string_view mailbox, MailboxOptions options) {
    const auto b = behaviour();
    Guard data(*this);
    auto a = data->account(account);
    if (!a || data->mailbox(*a, mailbox, *b)) return false;
    auto box = data->create(*a, mailbox, *b);
    box->special_use = options.special_use;
    box->selectable = options.selectable;
    if (options.subscribed) a->subscribed.emplace(mailbox);
    return true;
}

bool Store::remove(std::string_view account, std::string_view mailbox) {
    const auto b = behaviour();
    Guard data(*this);
    auto a = data->account(account);
    std::string key;
    auto box = a ? data->mailbox(*a, mailbox, *b, &key) : nullptr;
    if (!box) return false;
    box->gone = true;
    a->mailboxes.erase(key);
    ++data->version;
    return true;
}

bool Store::rename(std::string_view account, std::string_view from, std::string_view to) {
    const auto b = behaviour();
    Guard data(*this);
    auto a = data->account(account);
    std::string key;
    if (!a || !data->mailbox(*a, from, *b, &key) || data->mailbox(*a, to, *b)) return false;
    data->rename(*a, key, std::string(to), *b);
    return true;
}

bool Store::subscribe(std::string_view account, std::string_view mailbox, bool on) {
    Guard data(*this);
    auto a = data->account(account);
    if (!a) return false;
    if (on) {
        a->subscribed.emplace(mailbox);
    } else {
        a->subscribed.erase(std::string(mailbox));
    }
    return true;
}

bool Store::set_acl(std::string_view account, std::string_view mailbox, std::string_view identifier,
                    std::string_view rights) {
    const auto b = behaviour();
    Guard data(*this);
    auto a = data->account(account);
    auto box = a ? data->mailbox(*a, mailbox, *b) : nullptr;
    if (!box) return false;
    if (rights.empty()) {
        box->acl.erase(std::string(identifier));
    } else {
        box->acl[std::string(identifier)] = rights;
    }
    return true;
}

bool Store::mount(std::string_view account, std::string_view name, std::string_view owner,
                  std::string_view mailbox) {
    const auto b = behaviour();
    Guard data(*this);
    auto a = data->account(account);
    auto o = data->account(owner);
    auto box = o ? data->mailbox(*o, mailbox, *b) : nullptr;
    if (!a || !box) return false;
    box->owner = owner;
    a->mailboxes[std::string(name)] = box;
    ++data->version;
    return true;
}

std::string Store::acl(std::string_view account, std::string_view mailbox) const {
    const auto b = behaviour();
    Guard data(mutable_of(*this));
    auto a = data->account(account);
    auto box = a ? data->mailbox(*a, mailbox, *b) : nullptr;
    std::string out;
    if (!box) return out;
    for (const auto& [who, rights] : box->acl) out += who + " " + rights + "\n";
    return out;
}

bool Store::reset_uidvalidity(std::string_view account, std::string_view mailbox) {
    const auto b = behaviour();
    Guard data(*this);
    auto a = data->account(account);
    std::string key;
    auto box = a ? data->mailbox(*a, mailbox, *b, &key) : nullptr;
    if (!box) return false;
    // A new mailbox object: connections that have the old one selected keep their numbers.
    auto fresh = std::make_shared<detail::Mailbox>(*box);
    box->gone = true;
    fresh->uidvalidity = data->next_uidvalidity++;
    fresh->uidnext = 1;
    fresh->expunged.clear();
    for (Message& m : fresh->messages) {
        m.uid = fresh->uidnext++;
        m.modseq = ++fresh->highest_modseq;
    }
    a->mailboxes[key] = fresh;
    ++data->version;
    return true;
}

std::vector<MailboxView> Store::mailboxes(std::string_view account) const {
    Guard data(mutable_of(*this));
    std::vector<MailboxView> out;
    if (auto a = data->account(account)) {
        for (const auto& [name, box] : a->mailboxes) out.push_back(view_of(*a, name, *box));
    }
    return out;
}

std::optional<MailboxView> Store::mailbox(std::string_view account, std::string_view name) const {
    const auto b = behaviour();
    Guard data(mutable_of(*this));
    auto a = data->account(account);
    std::string key;
    auto box = a ? data->mailbox(*a, name, *b, &key) : nullptr;
    if (!box) return std::nullopt;
    return view_of(*a, key, *box);
}

std::uint32_t Store::add_message(std::string_view account, std::string_view mailbox,
                                 NewMessage message) {
    const auto b = behaviour();
    Guard data(*this);
    auto a = data->account(account);
    auto box = a ? data->mailbox(*a, mailbox, *b) : nullptr;
    if (!box) return 0;
    return data->add(*box, std::move(message), unix_seconds(), *b);
}

std::uint32_t Store::add_message(std::string_view account, std::string_view mailbox,
                                 std::string_view body, FlagSet flags, std::optional<Date> date) {
    return add_message(account, mailbox,
                       {.body = std::make_shared<const std::string>(body),
                        .flags = std::move(flags),
                        .date = date,
                        .labels = {}});
}

std::vector<Message> Store::messages(std::string_view account, std::string_view mailbox) const {
    const auto b = behaviour();
    Guard data(mutable_of(*this));
    auto a = data->account(account);
    auto box = a ? data->mailbox(*a, mailbox, *b) : nullptr;
    return box ? box->messages : std::vector<Message>{};
}

namespace {
/// Every mailbox that shows the message has news of it.
void touch_all(detail::Account& account, std::uint64_t object) {
    for (auto& [unused, box] : account.mailboxes) {
        for (Message& message : box->messages) {
            if (message.object == object) box->touch(message);
        }
    }
}
}  // namespace

std::uint32_t Store::add_label(std::string_view account, std::string_view mailbox,
                               std::uint32_t uid, std::string_view label) {
    const auto b = behaviour();
    Guard data(*this);
    auto a = data->account(account);
    auto from = a ? data->mailbox(*a, mailbox, *b) : nullptr;
    const Message* message = from ? from->find(uid) : nullptr;
    if (message == nullptr) return 0;
    auto to = data->mailbox(*a, label, *b);
    if (!to) to = data->create(*a, label, *b);
    const Message copy = *message;
    const std::uint32_t added = data->copy(*to, copy, *b);
    touch_all(*a, copy.object);
    return added;
}

bool Store::remove_label(std::string_view account, std::string_view mailbox, std::uint32_t uid) {
    const auto b = behaviour();
    Guard data(*this);
    auto a = data->account(account);
    auto box = a ? data->mailbox(*a, mailbox, *b) : nullptr;
    const Message* message = box ? box->find(uid) : nullptr;
    if (message == nullptr) return false;
    const std::uint64_t object = message->object;
    (void)box->expunge_if([uid](const Message& m) { return m.uid == uid; });
    touch_all(*a, object);
    ++data->version;
    return true;
}

bool Store::set_flags(std::string_view account, std::string_view mailbox, std::uint32_t uid,
                      FlagSet flags) {
    const auto b = behaviour();
    Guard data(*this);
    auto a = data->account(account);
    auto box = a ? data->mailbox(*a, mailbox, *b) : nullptr;
    Message* message = box ? box->find(uid) : nullptr;
    if (message == nullptr) return false;
    message->flags = std::move(flags);
    box->touch(*message);
    ++data->version;
    return true;
}

bool Store::expunge(std::string_view account, std::string_view mailbox, std::uint32_t uid) {
    const auto b = behaviour();
    Guard data(*this);
    auto a = data->account(account);
    auto box = a ? data->mailbox(*a, mailbox, *b) : nullptr;
    if (!box) return false;
    const auto gone = box->expunge_if([uid](const Message& m) { return m.uid == uid; });
    if (!gone.empty()) ++data->version;
    return !gone.empty();
}

Snapshot Store::snapshot() const {
    Guard data(mutable_of(*this));
    return std::make_shared<Data>(data->deep_copy());
}

void Store::restore(const Snapshot& snapshot) {
    auto copy = std::make_unique<Data>(snapshot->deep_copy());
    for (auto& [name, account] : copy->accounts) account->connections = 0;
    const std::lock_guard lock(mutex_);
    copy->version = data_->version + 1;
    data_ = std::move(copy);
}

void Store::keep_journal() {
    const Guard data(*this);
    journal_ = Journal{};
}

Journal Store::journal() const {
    const Guard data(mutable_of(*this));
    return journal_.value_or(Journal{});
}

std::shared_ptr<void> Store::watch(std::function<void()> listener) {
    auto token = std::make_shared<std::function<void()>>(std::move(listener));
    const std::lock_guard lock(listeners_mutex_);
    std::erase_if(listeners_, [](const auto& weak) { return weak.expired(); });
    listeners_.push_back(token);
    return token;
}

void Store::changed() {
    std::vector<std::shared_ptr<std::function<void()>>> awake;
    {
        const std::lock_guard lock(listeners_mutex_);
        for (const auto& weak : listeners_) {
            if (auto listener = weak.lock()) awake.push_back(std::move(listener));
        }
    }
    for (const auto& listener : awake) (*listener)();
}

}  // namespace imapult::imapd
