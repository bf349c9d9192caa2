#pragma once
// The accounts, mailboxes and messages behind the server. Any number of connections, in any
// threads, share one store; tests fill it and look into it through this class.
//
// Mailbox names are those on the wire (modified UTF-7, with the server's prefix and separator):
// `store.create("user@example.com", encode_mutf7("Entwürfe"))`.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/clock.h"
#include "tools/imapd/behaviour.h"
#include "tools/imapd/wire.h"

namespace imapult::imapd {

using Body = std::shared_ptr<const std::string>;

/// The flags of one message. Keywords are kept sorted, so equal sets compare equal.
class FlagSet {
  public:
    static constexpr std::uint8_t kSeen = 1;
    static constexpr std::uint8_t kAnswered = 2;
    static constexpr std::uint8_t kFlagged = 4;
    static constexpr std::uint8_t kDeleted = 8;
    static constexpr std::uint8_t kDraft = 16;

    FlagSet() = default;
    /// {"\\Seen", "$Forwarded"}; unknown system flags are left out.
    FlagSet(std::initializer_list<std::string_view> names);

    /// The bit of "\Seen", "\Answered", …; 0 for anything else.
    static std::uint8_t system_bit(std::string_view name);

    /// False for an unknown system flag, which is not added.
    bool add(std::string_view name);
    void remove(std::string_view name);
    [[nodiscard]] bool has(std::string_view name) const;
    [[nodiscard]] bool has(std::uint8_t bit) const { return (system_ & bit) != 0; }
    [[nodiscard]] const std::vector<std::string>& keywords() const { return keywords_; }
    /// System flags first, as in "\Answered \Seen $Forwarded".
    void append_to(std::string& out) const;
    [[nodiscard]] std::string text() const;
    friend bool operator==(const FlagSet&, const FlagSet&) = default;

  private:
    std::uint8_t system_ = 0;
    std::vector<std::string> keywords_;
};

struct Message {
    std::uint32_t uid = 0;
    std::uint64_t modseq = 0;
    std::uint64_t object = 0;  ///< EMAILID and X-GM-MSGID; kept by COPY and MOVE
    Date date;
    FlagSet flags;
    Body body;
    std::vector<std::string> labels;  ///< X-GM-LABELS
};

struct NewMessage {
    Body body;
    FlagSet flags;
    std::optional<Date> date;  ///< none: now
    std::vector<std::string> labels;
};

struct MailboxOptions {
    std::string special_use;  ///< "\\Sent" or empty
    bool subscribed = true;
    bool selectable = true;
};

/// What a test sees of a mailbox.
struct MailboxView {
    std::string name;
    std::string special_use;
    bool subscribed = false;
    bool selectable = true;
    std::uint32_t uidvalidity = 0;
    std::uint32_t uidnext = 0;
    std::uint64_t highest_modseq = 0;
    std::size_t messages = 0;
};

/// What clients did, for tests that count (Store::keep_journal).
struct Journal {
    std::uint64_t connections = 0, log_ins = 0;
    std::uint64_t dropped = 0;    ///< connections cut by Throttle::drop_every
    std::uint64_t throttled = 0;  ///< replies that asked for patience
    std::uint64_t impatient = 0;  ///< commands and log-ins before the asked-for time had passed
    std::map<std::string, std::uint64_t> commands{};  ///< by name: "UID FETCH"
    /// Whole bodies handed out, by "account/mailbox" and UID.
    std::map<std::pair<std::string, std::uint32_t>, unsigned> bodies{};
};

namespace detail {
struct Data;
class Guard;
}  // namespace detail

/// A saved state of everything (bodies shared); see Store::snapshot.
using Snapshot = std::shared_ptr<const detail::Data>;

class Store {
  public:
    /// `clock` gives INTERNALDATE where APPEND has none; null: the machine's. Must outlive the
    /// store.
    explicit Store(Behaviour behaviour = standard(), const Clock* clock = nullptr);
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    /// Commands begun later obey the new one.
    void set_behaviour(Behaviour behaviour);
    [[nodiscard]] std::shared_ptr<const Behaviour> behaviour() const;

    /// A new account with an empty INBOX; an existing one gets the password.
    void add_account(std::string_view account, std::string_view password);
    /// Creates accounts at their first login with this password ("any user").
    void accept_anybody(std::string_view password);
    /// Somebody who may name any account as authorization identity.
    void add_admin(std::string_view user, std::string_view password);
    /// Bearer token for XOAUTH2 and OAUTHBEARER.
    void set_token(std::string_view account, std::string_view token);
    /// Quota of storage in octets; 0: none.
    void set_quota(std::string_view account, std::uint64_t octets);
    [[nodiscard]] std::vector<std::string> accounts() const;

    /// Creates a mailbox and what is missing above it. False if it is there or the account is not.
    bool create(std::string_view account, std::string_view mailbox, MailboxOptions options = {});
    bool remove(std::string_view account, std::string_view mailbox);
    /// Children follow.
    bool rename(std::string_view account, std::string_view from, std::string_view to);
    bool subscribe(std::string_view account, std::string_view mailbox, bool on);
    /// The owner's mailbox (which is the owner's from now on) is shown in the account under `name`,
    /// with the rights its ACL gives.
    bool mount(std::string_view account, std::string_view name, std::string_view owner,
               std::string_view mailbox);
    /// What the account has been given, in the order of identifiers: "bob lrs\n…".
    [[nodiscard]] std::string acl(std::string_view account, std::string_view mailbox) const;
    bool set_acl(std::string_view account, std::string_view mailbox, std::string_view identifier,
                 std::string_view rights);
    /// A new UIDVALIDITY and new UIDs from 1.
    bool reset_uidvalidity(std::string_view account, std::string_view mailbox);
    [[nodiscard]] std::vector<MailboxView> mailboxes(std::string_view account) const;
    [[nodiscard]] std::optional<MailboxView> mailbox(std::string_view account,
                                                     std::string_view name) const;

    /// The UID, or 0 if there is no such mailbox. None of the behaviour's refusals apply.
    std::uint32_t add_message(std::string_view account, std::string_view mailbox,
                              NewMessage message);
    std::uint32_t add_message(std::string_view account, std::string_view mailbox,
                              std::string_view body, FlagSet flags = {},
                              std::optional<Date> date = {});
    [[nodiscard]] std::vector<Message> messages(std::string_view account,
                                                std::string_view mailbox) const;
    /// Gmail: the message is shown in another mailbox, too (made if need be); its UID there. What
    /// the other mailboxes tell of it (labels) has changed.
    std::uint32_t add_label(std::string_view account, std::string_view mailbox, std::uint32_t uid,
                            std::string_view label);
    /// It is shown in this mailbox no more.
    bool remove_label(std::string_view account, std::string_view mailbox, std::uint32_t uid);
    bool set_flags(std::string_view account, std::string_view mailbox, std::uint32_t uid,
                   FlagSet flags);
    bool expunge(std::string_view account, std::string_view mailbox, std::uint32_t uid);

    /// The whole state; cheap in memory (bodies are shared), linear in the number of messages.
    [[nodiscard]] Snapshot snapshot() const;
    /// Goes back to a snapshot, as a server restarted from a backup. Connections of before must be
    /// given up first.
    void restore(const Snapshot& snapshot);

    /// Counts from now on what clients do; costs memory for each message handed out.
    void keep_journal();
    [[nodiscard]] Journal journal() const;

    /// Calls `listener` after each change of any mailbox, from the changing thread and without a
    /// lock held, until the returned token is destroyed. For waking idle connections.
    [[nodiscard]] std::shared_ptr<void> watch(std::function<void()> listener);

    [[nodiscard]] std::int64_t unix_seconds() const { return clock_->unix_seconds(); }
    [[nodiscard]] Nanos monotonic() const { return clock_->monotonic(); }

  private:
    friend class detail::Guard;
    void changed();

    SystemClock system_clock_;
    const Clock* clock_;
    mutable std::mutex mutex_;
    std::unique_ptr<detail::Data> data_;
    std::optional<Journal> journal_;
    std::shared_ptr<const Behaviour> behaviour_;
    std::mutex listeners_mutex_;
    std::vector<std::weak_ptr<std::function<void()>>> listeners_;
};

}  // namespace imapult::imapd
