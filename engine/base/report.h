#pragma once
// What happens in a run, in numbers and words: shared by the engine, which fills it in, and the
// program, which shows it. Also how a run is stopped, and the choices both speak of.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/endpoint.h"
#include "engine/base/error.h"

namespace imapult::dedup {
struct AccountProof;  // dedup/proof.h
}

namespace imapult::report {

enum class VerifyDepth : std::uint8_t {
    counts,    ///< messages per mailbox
    metadata,  ///< identity, size, flags, date of every message
    content,   ///< every octet of every message
};

/// `--map SRC=DST`: the mailbox SRC and everything below it goes to DST. Decoded UTF-8 names with
/// `/` as separator. The longest matching SRC wins; INBOX is compared without regard to case.
struct NameMap {
    std::string source;
    std::string destination;
};

/// What becomes of a copy whose original is gone at the source.
struct DeletePolicy {
    bool mirror = false;  ///< it is deleted, unless somebody changed it
    // The fuse: where a pass would delete more than one of these, it deletes nothing of the
    // mailbox.
    std::optional<unsigned> percent_max = 10;  ///< of the mailbox, rounded up
    std::optional<std::uint64_t> messages_max = 1000;
    std::string to;  ///< `--delete-to`: moved there instead; decoded, `/` as separator
};

// --- What happened -----------------------------------------------------------------------------

/// complete: the books balance and everything selected is there. partial: finished, but something
/// is missing. failed: gave up. interrupted: stopped on request; the same command resumes.
enum class RunResult : std::uint8_t { complete, partial, failed, interrupted };
std::string_view name_of(RunResult result);

/// source = already_there + copied + adopted + refused + skipped, always. What an interrupted or
/// failed run did not reach stands in `not_reached` and is not part of `source`.
struct MessageCounts {
    std::uint64_t source = 0;
    std::uint64_t already_there = 0;  ///< copied or adopted by an earlier run
    std::uint64_t copied = 0;         ///< in a dry run: would be copied
    std::uint64_t adopted = 0;        ///< found at the destination without our having copied it
    std::uint64_t refused = 0;        ///< each with a Refusal
    std::uint64_t skipped = 0;        ///< by the user's own filters
    std::uint64_t flags_updated = 0;
    std::uint64_t deleted = 0;  ///< at the destination, because gone at the source
    std::uint64_t moved = 0;    ///< inside the destination, as at the source; part of already_there
    std::uint64_t gone_at_source = 0;  ///< copied or adopted earlier, still at the destination
    std::uint64_t kept_by_limit = 0;   ///< of these: not deleted because of --delete-limit
    std::uint64_t not_reached = 0;
    // Gmail; parts of already_there.
    std::uint64_t labelled = 0;     ///< carried to another mailbox because a label says so
    std::uint64_t represented = 0;  ///< noted down: another mailbox has the message

    [[nodiscard]] bool balanced() const {
        return source == already_there + copied + adopted + refused + skipped;
    }
    MessageCounts& operator+=(const MessageCounts& other);
    bool operator==(const MessageCounts&) const = default;
};

struct MailboxCounts {
    std::uint64_t total = 0;  ///< selected at the source
    std::uint64_t created = 0;
    std::uint64_t renamed = 0;    ///< at the destination, as at the source
    std::uint64_t unchanged = 0;  ///< nothing new since the last pass
    std::uint64_t failed = 0;     ///< could not be created, selected or listed
    MailboxCounts& operator+=(const MailboxCounts& other);
    bool operator==(const MailboxCounts&) const = default;
};

/// Octets. `*_in` and `*_out` are counted on the wire, after TLS and compression.
struct ByteCounts {
    std::uint64_t copied = 0;  ///< message octets appended
    std::uint64_t source_in = 0, source_out = 0;
    std::uint64_t destination_in = 0, destination_out = 0;
    ByteCounts& operator+=(const ByteCounts& other);
    bool operator==(const ByteCounts&) const = default;
};

/// Round trips after log-in that we waited for with nothing else in flight.
struct RoundTrips {
    std::uint64_t source = 0, destination = 0;
    RoundTrips& operator+=(const RoundTrips& other);
    bool operator==(const RoundTrips&) const = default;
};

/// One message that the destination does not take. Texts are printable, decoded UTF-8.
struct Refusal {
    std::string account;
    std::string mailbox;    ///< source's decoded name
    std::uint32_t uid = 0;  ///< at the source; 0: the whole mailbox
    std::string message_id, subject;
    std::int64_t date = 0;    ///< INTERNALDATE, unix seconds; 0: not known
    std::uint64_t size = 0;   ///< octets
    std::string reason;       ///< our sentence with the server's words
    std::uint64_t count = 1;  ///< messages it stands for (with uid 0)
};

/// How the octets of a copy differ from those of its original.
enum class Alteration : std::uint8_t {
    line_ends,    ///< LF or CR made CRLF, CRs dropped, the last line end added or dropped
    nul,          ///< NULs replaced
    header_8bit,  ///< 8-bit octets of the header replaced
    re_mimed,     ///< the same parts, encoded or framed anew
    repaired,     ///< by us: the destination had refused the original
    truncated,    ///< the copy is only the beginning, or lacks what stood behind a NUL
    other,
};
inline constexpr std::size_t kAlterations = 7;
/// "line_ends", … as in JSON.
std::string_view name_of(Alteration alteration);
/// "line ends", … for people.
std::string_view words_of(Alteration alteration);
using AlterationCounts = std::array<std::uint64_t, kAlterations>;
/// "3 line ends, 1 NUL"; empty if all are 0.
std::string words_of(const AlterationCounts& counts);

/// A message that the destination took only after a change (repair.h).
struct Repair {
    std::string account;
    std::string mailbox;    ///< source's decoded name
    std::uint32_t uid = 0;  ///< at the source
    std::string message_id, subject;
    std::string applied;  ///< what was changed: "LF to CRLF; NUL to 0x80"
    std::string reason;   ///< the server's words to the original
    std::string kept_as;  ///< file with the original octets; empty if none was written
};

/// A right on a mailbox that the destination did not take or cannot express, to be given by hand.
struct UnsetRight {
    std::string account;     ///< AccountSpec::name
    std::string mailbox;     ///< source's decoded name
    std::string identifier;  ///< as the source writes it
    std::string rights;      ///< letters of RFC 4314
    std::string reason;      ///< why it was not written, a sentence
    /// For `carbonio prov`: the grant, and the folder shown to the grantee (run all grants first).
    /// Empty where there is no such thing.
    std::string grant_line, mount_line;
};
struct RightsCounts {
    std::uint64_t given = 0;  ///< entries written; in a dry run: would be
    std::uint64_t taken = 0;  ///< entries from which rights were taken, as at the source
    RightsCounts& operator+=(const RightsCounts& other);
    bool operator==(const RightsCounts&) const = default;
};

/// Whether rights on mailboxes (ACL) are carried over.
enum class RightsPolicy : std::uint8_t {
    none,
    automatic,  ///< as copy; a pass that finds nothing else changed asks only of new mailboxes
    copy,       ///< written; listed where the destination does not take them
    list,       ///< only listed
};

/// What becomes of Gmail's labels (X-GM-EXT-1); every message is fetched once in any case.
enum class LabelPolicy : std::uint8_t {
    mailboxes,  ///< a message stands in the mailbox of each label
    first,      ///< in one: its first label's, else Sent or Drafts, else INBOX, else All Mail
    keywords,   ///< in one of Gmail's own, with a keyword for each label
};

/// Whose mailboxes of the source are copied (namespaces, RFC 2342).
struct Spaces {
    bool personal = true, other = false, shared = false;
};

/// Something seen and said, which is no failure.
enum class NoticeKind : std::uint8_t {
    deleted_at_source,    ///< messages copied earlier are gone at the source
    uid_validity,         ///< a mailbox was made anew on one side
    name_mapped,          ///< the destination cannot hold the name
    mailbox_gone,         ///< a mailbox copied earlier is gone or renamed at the source
    mailbox_renamed,      ///< renamed at the destination, as at the source
    delete_limit,         ///< more is gone at the source than a pass may delete
    not_deleted,          ///< gone at the source, and for another reason not deleted
    keywords_dropped,     ///< the destination does not take these keywords
    message_altered,      ///< the destination changed what we appended
    message_repaired,     ///< taken only after a change of ours
    size_mismatch,        ///< RFC822.SIZE and the literal differ
    quota,                ///< space is short
    oversize,             ///< larger than the destination's APPENDLIMIT
    capability,           ///< an extension is missing; slower or less exact, and why
    identity,             ///< logged in as somebody else than asked, or cannot tell
    destination_changed,  ///< somebody else changed the destination since the last pass
    labels,               ///< what becomes of Gmail's labels
    left_out,             ///< a mailbox that is not this account's to copy
    rights,               ///< of rights on mailboxes
    insecure,             ///< clear text or unchecked certificate
    estimate,             ///< of `check`: what a copy would take
    other,
};
/// "deleted_at_source", … as in JSON.
std::string_view name_of(NoticeKind kind);

struct Notice {
    std::string account;
    std::string mailbox;  ///< empty: the whole account
    NoticeKind kind = NoticeKind::other;
    std::string text;  ///< one printable sentence
};

/// What `verify` found. All but `extra` make the exit code 7; what is at the destination only is
/// told and does not, since mail that arrived there belongs there.
struct Difference {
    enum class Kind : std::uint8_t {
        missing,
        altered,    ///< other octets
        different,  ///< other flags or INTERNALDATE; of a whole mailbox: other numbers
        extra,
    };
    std::string account, mailbox;
    std::uint32_t source_uid = 0, destination_uid = 0;  ///< 0: none
    std::string message_id;
    Kind kind = Kind::missing;
    std::optional<Alteration> by;  ///< with `altered`
    std::string text;              ///< what differs, printable
};
std::string_view name_of(Difference::Kind kind);
struct VerifyCounts {
    std::uint64_t equal = 0, missing = 0, different = 0, extra = 0, altered = 0;
    AlterationCounts altered_by{};  ///< sums up to `altered`
    /// Bodies: how many there are to compare, how many of them chance chose, and how many of those
    /// were found altered. Without sampling the first two are the same.
    std::uint64_t bodies = 0, sampled = 0, sampled_altered = 0;

    [[nodiscard]] std::uint64_t differences() const { return altered + different + missing; }
    VerifyCounts& operator+=(const VerifyCounts& other);
    bool operator==(const VerifyCounts&) const = default;
};
/// One mailbox's verdict.
struct VerifiedMailbox {
    std::string account, mailbox;
    VerifyCounts counts;
};
/// From the bodies chosen by chance: with 99 % confidence no greater part of all bodies is altered.
double altered_part_max(const VerifyCounts& counts);

/// How `follow` learns that something has changed at the source.
enum class Watching : std::uint8_t { nothing, polling, idle, notify };
std::string_view name_of(Watching how);

/// How far an account that is followed is behind its source. A lag runs from the moment at which a
/// change was told (or, where the source is looked at now and then, could have been seen) to the
/// end of the pass that carried it over.
struct Following {
    Watching by = Watching::nothing;
    std::uint64_t passes = 0;                 ///< that had a reason, and went through
    double lag = 0, median = 0, longest = 0;  ///< seconds; of the last pass, of many, of all
    std::optional<Nanos> behind_since;        ///< monotonic; a change waits for its pass
};

/// The error that ended an account or the run, and where it came from.
struct Failure {
    Error error;
    std::optional<Side> side;
};

struct AccountSummary {
    std::string account;              ///< AccountSpec::name
    std::string source, destination;  ///< user@host:port
    RunResult result = RunResult::failed;
    std::optional<Failure> failure;
    MailboxCounts mailboxes;
    MessageCounts messages;
    ByteCounts bytes;
    RoundTrips round_trips;
    VerifyCounts verify;
    double seconds = 0;
    std::vector<Refusal> refusals;
    std::vector<Notice> notices;
    RightsCounts rights;
    std::vector<UnsetRight> unset_rights;
    std::vector<Difference> differences;
    std::vector<Repair> repairs;
    std::vector<VerifiedMailbox> verified;
    std::shared_ptr<const dedup::AccountProof> proof;  ///< where one was asked for
    std::optional<Following> following;
};

// --- While it happens --------------------------------------------------------------------------

/// What an account waits for.
enum class Waiting : std::uint8_t { nothing, source, destination, us };
std::string_view name_of(Waiting waiting);

enum class LogLevel : std::uint8_t { trace, debug, info, warning, error };

/// Changes since the last call for the same account.
struct Progress {
    std::uint64_t copied = 0;
    std::uint64_t bytes_copied = 0;
    std::uint64_t already_there = 0;
    std::uint64_t adopted = 0;
    std::uint64_t skipped = 0;
    std::uint64_t flags_updated = 0;
    std::uint64_t deleted = 0;
    std::uint64_t moved = 0;
    std::uint64_t verified = 0;
};

/// Told what happens, from the shards' threads: implementations are thread-safe, never block and
/// never throw. `account` is an index into Options::accounts. Views are valid during the call only.
/// Mailbox names are the source's, decoded, with `/`; they may hold any character.
class Observer {
  public:
    virtual ~Observer() = default;
    virtual void account_started(std::size_t account) = 0;
    /// How many mailboxes are selected in the account.
    virtual void account_listed(std::size_t account, std::size_t mailboxes) = 0;
    /// `messages` at the source, of which `pending` are to be copied, `bytes_pending` octets in all
    /// (0 if not known).
    virtual void mailbox_started(std::size_t account, std::string_view mailbox,
                                 std::uint64_t messages, std::uint64_t pending,
                                 std::uint64_t bytes_pending) = 0;
    virtual void mailbox_finished(std::size_t account, std::string_view mailbox) = 0;
    /// A group of messages is settled. Called once per group, not per message.
    virtual void progress(std::size_t account, const Progress& change) = 0;
    virtual void message_refused(std::size_t account, const Refusal& refusal) = 0;
    virtual void notice(std::size_t account, const Notice& notice) = 0;
    /// On changes only.
    virtual void waiting(std::size_t account, Waiting what) = 0;
    /// The connection is given up and made again after `delay`.
    virtual void retrying(std::size_t account, Side side, std::chrono::milliseconds delay,
                          const Error& why) = 0;
    virtual void account_finished(std::size_t account, const AccountSummary& summary) = 0;
    /// Of `follow`: after each pass, and when there is news of the source.
    virtual void followed(std::size_t /*account*/, const Following& /*now*/) {}
    /// Whether log() would show it: ask before a text is put together.
    [[nodiscard]] virtual bool logs(LogLevel level) const = 0;
    /// Diagnostic text; made printable by the implementation. Never secrets, never content.
    virtual void log(LogLevel level, std::string_view text) = 0;
};

/// How a person's Ctrl-C reaches the shards. Thread-safe.
class StopToken {
  public:
    enum class Level : std::uint8_t {
        none,
        graceful,  ///< settle what is in flight, then end
        at_once,   ///< abort every connection; the ledger is consistent at any time
    };
    [[nodiscard]] Level level() const { return level_.load(std::memory_order_acquire); }
    [[nodiscard]] bool stopping() const { return level() != Level::none; }

    /// Raises the level and calls the listeners; a lower level than the present one does nothing.
    void request(Level level);

    /// Called at each raise, on the requester's thread (hand it over with post_remote()), and now
    /// if the level is raised already. The returned number is for remove().
    std::size_t add_listener(std::function<void(Level)> listener);
    /// No call is running or will come after it returns.
    void remove_listener(std::size_t id);

  private:
    std::atomic<Level> level_{Level::none};
    std::mutex mutex_;
    std::size_t next_id_ = 1;
    std::vector<std::pair<std::size_t, std::function<void(Level)>>> listeners_;
};

}  // namespace imapult::report
