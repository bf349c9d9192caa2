#pragma once
// Inside the store: what connections work on while they hold its lock.

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tools/imapd/store.h"

namespace imapult::imapd::detail {

struct Expunged {
    std::uint32_t uid = 0;
    std::uint64_t modseq = 0;
};

/// Messages are sorted by UID. Every change takes the next MODSEQ.
struct Mailbox {
    std::uint32_t uidvalidity = 0;
    std::uint32_t uidnext = 1;
    std::uint64_t highest_modseq = 1;
    std::uint64_t flags_modseq = 1;  ///< of the last change of flags
    std::uint64_t octets = 0;
    std::string id;
    std::string special_use;
    bool selectable = true;
    bool gone = false;  ///< deleted while connections have it selected
    std::vector<Message> messages;
    std::vector<Expunged> expunged;
    std::vector<std::string> keywords;  ///< ever used here, in order
    std::map<std::string, std::string> acl;
    std::string owner;  ///< empty: whoever sees it

    [[nodiscard]] Message* find(std::uint32_t uid);
    std::uint32_t add(Message message);
    void touch(Message& message);
    void note_keywords(const FlagSet& flags);
    /// Expunges those for which `condition(message)` holds; returns their UIDs.
    template <class Condition>
    std::vector<std::uint32_t> expunge_if(Condition condition) {
        std::vector<std::uint32_t> out;
        std::erase_if(messages, [&](const Message& m) {
            if (!condition(m)) return false;
            out.push_back(m.uid);
            octets -= m.body->size();
            expunged.push_back({m.uid, highest_modseq + 1});
            return true;
        });
        if (!out.empty()) ++highest_modseq;
        return out;
    }
};

struct Account {
    std::string name;
    std::string password;
    std::string token;
    std::uint64_t quota = 0;
    unsigned connections = 0;
    // For Throttle and DailyLimit.
    std::uint64_t commands = 0;
    unsigned appends = 0;
    Nanos throttled_at{0}, patience_until{0};  ///< on the monotonic clock
    std::int64_t day = 0;
    std::uint64_t bytes_out = 0, bytes_in = 0;  ///< on `day`
    std::map<std::string, std::shared_ptr<Mailbox>, std::less<>> mailboxes;
    std::set<std::string, std::less<>> subscribed;

    [[nodiscard]] std::uint64_t used() const;
};

struct Data {
    std::map<std::string, std::shared_ptr<Account>, std::less<>> accounts;
    std::map<std::string, std::string, std::less<>> admins;
    std::optional<std::string> anybody;  ///< password
    std::uint32_t next_uidvalidity = 1'700'000'000;
    std::uint64_t next_object = 1;
    std::uint64_t next_mailbox = 1;
    std::uint64_t version = 0;  ///< of mailbox contents; tells the guard to wake listeners

    std::shared_ptr<Account> account(std::string_view name);
    Account& open_account(std::string_view name, std::string_view password, const Behaviour& b);
    /// By name; INBOX in any case, all names in any case where the server is like that. The map's
    /// own key comes back in `key` if wanted.
    std::shared_ptr<Mailbox> mailbox(Account& account, std::string_view name, const Behaviour& b,
                                     std::string* key = nullptr);
    std::shared_ptr<Mailbox> create(Account& account, std::string_view name, const Behaviour& b);
    /// The same, with mailboxes that several accounts see still the same for all of them.
    [[nodiscard]] Data deep_copy() const;
    /// Moves the mailbox and all below it; INBOX leaves an empty one behind.
    void rename(Account& account, const std::string& from, const std::string& to,
                const Behaviour& b);
    std::uint32_t add(Mailbox& mailbox, NewMessage message, std::int64_t now, const Behaviour& b);
    std::uint32_t copy(Mailbox& mailbox, const Message& message, const Behaviour& b);
};

/// True for the name of the inbox in any case.
bool is_inbox(std::string_view name);

/// The store, locked. Wakes the watchers when it goes, if something changed.
class Guard {
  public:
    explicit Guard(Store& store)
        : store_(store), lock_(store.mutex_), version_(store.data_->version) {}
    ~Guard() {
        const bool changed = store_.data_->version != version_;
        lock_.unlock();
        if (changed) store_.changed();
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    /// Null where nobody counts.
    [[nodiscard]] Journal* journal() { return store_.journal_ ? &*store_.journal_ : nullptr; }
    Data* operator->() { return store_.data_.get(); }
    Data& operator*() { return *store_.data_; }

  private:
    Store& store_;
    std::unique_lock<std::mutex> lock_;
    std::uint64_t version_;
};

}  // namespace imapult::imapd::detail
