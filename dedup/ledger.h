#pragma once
// What is known of every message: the memory that makes "run it again" exact. See FORMAT.md for the
// bytes. Identity is (mailbox, source UIDVALIDITY, source UID) -> (destination UIDVALIDITY, UID).
//
// Reads block and belong on the blocking pool; commits never block.

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dedup/store.h"
#include "engine/base/error.h"

namespace imapult::dedup {

using AccountId = std::uint32_t;
/// One mailbox in one incarnation: when the UIDVALIDITY changes on either side a new id is taken
/// and the old incarnation is kept (archived) for evidence.
using MailboxId = std::uint32_t;

using Digest128 =
    std::array<std::uint8_t, 16>;  ///< XXH3-128 with the ledger's secret; all zero: not known

/// The five system flags as bits; keywords stand beside them as text.
enum SystemFlag : std::uint8_t {
    kSeen = 1,
    kAnswered = 2,
    kFlagged = 4,
    kDeleted = 8,
    kDraft = 16,
};

struct Flags {
    std::uint8_t system = 0;  ///< SystemFlag bits
    std::string keywords;     ///< sorted, unique, joined by single spaces; case as at the source
    bool operator==(const Flags&) const = default;
};

struct MailboxRecord {
    MailboxId id = 0;
    AccountId account = 0;
    bool archived = false;
    std::string source_name;       ///< wire form
    std::string destination_name;  ///< wire form, as the destination lists it
    std::uint32_t source_uid_validity = 0;
    std::uint32_t destination_uid_validity = 0;
    /// The checkpoint: every change at the source up to it is durable at the destination and here.
    bool complete = false;  ///< there is a checkpoint
    std::uint32_t source_uid_next = 0;
    std::uint64_t source_highest_modseq = 0;  ///< 0: none
    std::uint32_t source_messages = 0;
    /// The destination as we left it, to notice changes made by others.
    std::uint32_t destination_uid_next = 0;
    std::uint64_t destination_highest_modseq = 0;
    std::uint32_t destination_messages = 0;
    std::string source_mailbox_id;  ///< OBJECTID, if any
    /// Messages of this mailbox with MessageRecord::gone: copied, gone at the source, not (yet)
    /// deleted at the destination.
    std::uint32_t gone = 0;
    bool removing =
        false;  ///< some of its messages may carry our \Deleted: MessageRecord::removing
    std::uint64_t source_flags_checked_at =
        0;  ///< unix seconds of the last full flag comparison (class C)
};

enum class MessageState : std::uint8_t {
    copied = 1,       ///< appended by us
    adopted = 2,      ///< was there already, found by identity
    refused = 3,      ///< the destination does not take it; see Refusal
    represented = 4,  ///< another mailbox has it (Gmail's labels): there is no copy here
    repaired = 5,     ///< appended by us, changed, since the destination had refused the original
};
/// Appended by us, and whole.
constexpr bool is_ours(MessageState state) {
    return state == MessageState::copied || state == MessageState::repaired;
}

struct MessageRecord {
    std::uint32_t source_uid = 0;
    MessageState state = MessageState::copied;
    std::uint32_t destination_uid = 0;  ///< 0: not known (no UIDPLUS, not read back yet)
    std::uint64_t size = 0;             ///< octets of the literal as fetched; 0 if never fetched
    Digest128 digest{};                 ///< of the octets as fetched
    Flags base{};           ///< source flags as last carried over: base of the three-way merge
    bool gone = false;      ///< confirmed: no longer in this mailbox at the source
    bool removing = false;  ///< we are about to delete it: a \Deleted at the destination is ours
    /// Of the source's EMAILID or X-GM-MSGID (object_of); 0: not known. Moved messages keep it.
    std::uint64_t object = 0;
    /// Flags that are on their way to the copy: until we have heard that they arrived it may carry
    /// those of `base`, these, or some of both.
    std::optional<Flags> storing{};
};

/// Durable before a group is sent: what may land although we never hear of it.
struct Intent {
    MailboxId mailbox = 0;
    std::uint64_t sequence = 0;  ///< unique and rising in the ledger
    std::uint32_t destination_uid_validity = 0;
    std::uint32_t floor = 0;  ///< a destination UID below which the group cannot have landed
    struct Item {
        std::uint32_t source_uid = 0;
        std::uint64_t size = 0;              ///< as the source tells it; 0: not known
        Digest128 digest{};                  ///< all zero: not known
        std::optional<std::int64_t> date{};  ///< INTERNALDATE, unix seconds
        std::optional<Flags> flags{};        ///< the source's, which it was or would be sent with
        bool operator==(const Item&) const = default;
    };
    std::vector<Item> items{};
};

struct Refusal {
    MailboxId mailbox = 0;
    std::uint32_t source_uid = 0;
    std::string mailbox_name;         ///< source's, decoded UTF-8
    std::string message_id, subject;  ///< subject decoded (RFC 2047), both printable
    std::string reason;               ///< our sentence with the server's words, printable
    std::int64_t date = 0;            ///< INTERNALDATE, unix seconds
    std::uint64_t size = 0;
    std::int64_t first_seen = 0;  ///< unix seconds
    std::uint32_t tries = 1;
};

/// One finished or interrupted pass of an account, for `imapult status`.
struct Pass {
    std::int64_t started = 0, finished = 0;  ///< unix seconds; finished 0: interrupted
    std::string result;                      ///< complete, partial, failed, interrupted
    std::uint64_t source = 0, already_there = 0, copied = 0, adopted = 0, refused = 0, skipped = 0;
    /// Of `follow`: since when at most something of this pass had been waiting at the source.
    std::optional<std::uint64_t> lag_ms{};
};

struct AccountRecord {
    AccountId id = 0;
    std::string source;  ///< "user@host:port", never a secret
    std::string destination;
    std::optional<Pass> last_pass{};
};

/// What an account has moved on one day, for budgets.
struct Spent {
    std::int64_t day = 0;  ///< since 1970-01-01, UTC
    std::uint64_t messages = 0, bytes = 0;
};

/// What was learnt of a host: how much it likes to be asked for at once.
struct HostRecord {
    std::string host;
    std::uint64_t window_bytes = 0;  ///< 0: as much as we like
    std::uint32_t connections = 0;   ///< of one account; 0: not known
};

/// The rights on a mailbox as they were last carried over (replica/rights_text.h says how they are
/// written).
struct RightsRecord {
    MailboxId mailbox = 0;
    std::string text;
};

class Ledger;

/// Changes to the ledger, committed together.
class Batch {
  public:
    void put_mailbox(const MailboxRecord& record);
    void put_message(MailboxId mailbox, const MessageRecord& record);
    void erase_message(MailboxId mailbox, std::uint32_t source_uid);
    void put_intent(const Intent& intent);  ///< makes the batch durable
    void erase_intent(MailboxId mailbox, std::uint64_t sequence);
    void put_refusal(AccountId account, const Refusal& refusal);
    void erase_refusal(AccountId account, MailboxId mailbox, std::uint32_t source_uid);
    void put_pass(AccountId account, const Pass& pass);
    void put_spent(AccountId account, const Spent& spent);
    void put_host(const HostRecord& host);
    void put_rights(AccountId account, const RightsRecord& rights);
    void make_durable() { durable_ = true; }
    [[nodiscard]] bool empty() const { return writes_.changes.empty(); }

  private:
    friend class Ledger;
    WriteBatch writes_;
    bool durable_ = false;
};

class Ledger {
  public:
    /// Errors: state_version if the store was written by another format, state_damaged, io.
    static Result<std::unique_ptr<Ledger>> open(std::unique_ptr<Store> store, bool read_only);
    ~Ledger();

    /// The ledger's random secret (192 octets) for XXH3; never leaves the state directory.
    [[nodiscard]] std::string_view digest_secret() const;

    // Blocking reads and id allocation (durable before they return).
    Result<AccountRecord> open_account(const std::string& source, const std::string& destination);
    Result<std::vector<AccountRecord>> accounts() const;
    /// By account; those that have never spent anything are left out.
    Result<std::map<AccountId, Spent>> spent() const;
    Result<std::vector<HostRecord>> hosts() const;
    Result<std::vector<MailboxRecord>> mailboxes(AccountId account) const;
    /// Takes an unused mailbox id (never reused, also after a crash; of a ledger that is only read:
    /// for this run). Does not block.
    MailboxId new_mailbox_id();
    /// Takes an intent sequence number. Does not block.
    std::uint64_t new_intent_sequence();

    /// In rising source UID, those in [first, last].
    Result<std::vector<MessageRecord>> messages(MailboxId mailbox, std::uint32_t first,
                                                std::uint32_t last) const;
    /// The same without holding them all: `visit` returns false to stop.
    Result<void> visit_messages(MailboxId mailbox, std::uint32_t first, std::uint32_t last,
                                const std::function<bool(const MessageRecord&)>& visit) const;
    Result<std::vector<Intent>> intents(MailboxId mailbox) const;
    Result<std::vector<Refusal>> refusals(AccountId account) const;
    Result<std::vector<RightsRecord>> rights(AccountId account) const;
    struct Counts {
        std::uint64_t messages = 0, represented = 0, refused = 0, intents = 0;
    };
    Result<Counts> counts(MailboxId mailbox) const;

    /// Never blocks; `done` runs on the committer's thread.
    void commit(Batch batch, std::function<void(Result<void>)> done);

  private:
    explicit Ledger(std::unique_ptr<Store> store);
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace imapult::dedup
