#pragma once
// What a server says, as events. Sans-I/O: bytes in, events out; no sockets, no clock, no threads.
//
// RFC 3501/9051 §7 and the extensions a replicator reads. The literal of a FETCH body is never
// collected: it leaves the parser as chunks, as the bytes come in.
//
//     ResponseParser parser(options);
//     parser.feed(bytes);
//     while (true) {
//         Result<Event> event = parser.next();     // an error: the connection is unusable
//         if (!event || event->is<NeedInput>()) break;
//         …
//     }
//
// Views in an event point into the bytes given to feed() or into the parser and are valid until the
// next call of next() or feed(). The bytes given to feed() must stay valid until next() has
// returned NeedInput.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/base/error.h"

namespace imapult::imap {

/// More bytes are needed.
struct NeedInput {};

/// `+ text`: the server waits for a literal or a SASL response.
struct Continuation {
    std::string_view text;
};

enum class Condition : std::uint8_t { ok, no, bad, preauth, bye };

/// The bracketed code of a status response (RFC 9051 §7.1, RFC 5530, …).
enum class ResponseCode : std::uint8_t {
    none,
    alert,
    capability,
    permanent_flags,
    read_only,
    read_write,
    try_create,
    uid_next,
    uid_validity,
    uid_not_sticky,
    unseen,
    highest_modseq,
    no_modseq,
    modified,
    append_uid,
    copy_uid,
    closed,
    over_quota,
    too_big,
    limit,
    unavailable,
    server_bug,
    in_use,
    contact_admin,
    already_exists,
    nonexistent,
    authentication_failed,
    authorization_failed,
    expired,
    privacy_required,
    no_perm,
    cannot,
    client_bug,
    corruption,
    expunge_issued,
    compression_active,
    message_limit,
    mailbox_id,
    referral,
    not_saved,
    has_children,
    throttled /* Exchange and Gmail texts */,
    other,
};

/// As on the wire: "APPENDUID"; "none" and "other" for those two.
std::string_view name_of(ResponseCode code);

/// Tagged or untagged OK, NO, BAD, PREAUTH, BYE, and the greeting. `tag` is empty if untagged.
struct Status {
    std::string_view tag;
    Condition condition = Condition::ok;
    ResponseCode code = ResponseCode::none;
    std::string_view code_name;  ///< as sent, upper or lower case; empty if none
    std::string_view code_text;  ///< what follows the name inside the brackets
    std::vector<std::uint64_t>
        numbers;  ///< the code's numbers in order (UIDVALIDITY 1; APPENDUID: validity)
    std::string_view uid_set_source;  ///< COPYUID
    std::string_view uid_set;  ///< APPENDUID and COPYUID's destination; MODIFIED; MESSAGELIMIT
    std::vector<std::string_view> words;  ///< flags of PERMANENTFLAGS; capabilities of CAPABILITY
    std::string_view text;                ///< human text; raw, never show it without printable()
};

/// `* CAPABILITY …` (upper-cased by the consumer's set, see capability.h).
struct Capabilities {
    std::vector<std::string_view> words;
};

/// `* ENABLED …`, possibly empty.
struct Enabled {
    std::vector<std::string_view> words;
};

/// `* FLAGS (…)`
struct MailboxFlags {
    std::vector<std::string_view> flags;
};

struct Exists {
    std::uint32_t count = 0;
};
struct Recent {
    std::uint32_t count = 0;
};
struct Expunge {
    std::uint32_t sequence = 0;
};

/// `* VANISHED [(EARLIER)] set` (RFC 7162 §3.2.10). An empty or broken set is a quirk: ok = false.
struct Vanished {
    bool earlier = false;
    std::string_view uid_set;
    bool ok = true;
};

/// `* LIST|LSUB|XLIST (attributes) separator name` (RFC 9051 §7.3.1, RFC 5258).
struct ListEntry {
    enum class Kind : std::uint8_t { list, lsub, xlist } kind = Kind::list;
    std::vector<std::string_view> attributes;  ///< as sent: "\\HasNoChildren", "\\Sent", …
    char separator = 0;                        ///< 0: NIL, a flat name
    std::string_view name;                     ///< wire form (modified UTF-7 or whatever was sent)
    std::string_view old_name;                 ///< OLDNAME extended item, wire form
};

/// `* STATUS name (…)`. Values that were not sent or are nonsense (negative, garbage) are absent.
struct StatusData {
    std::string_view name;
    std::optional<std::uint32_t> messages, uid_next, uid_validity, unseen, recent, deleted;
    std::optional<std::uint64_t> highest_modseq, size, append_limit;
    std::string_view mailbox_id;
};

/// `* SEARCH n …` and `* ESEARCH …`, both (RFC 9051 §7.3.4).
struct SearchData {
    bool extended = false;
    std::string_view tag;  ///< ESEARCH's correlator, empty if none
    bool uid = false;
    std::vector<std::uint32_t> numbers;  ///< SEARCH
    std::string_view all;                ///< ESEARCH ALL or PARTIAL set
    std::optional<std::uint32_t> min, max, count;
    std::optional<std::uint64_t> modseq;
};

/// A FETCH (or UIDFETCH, RFC 9586) response, when it is complete. If it carried a body section, its
/// octets came before in BodyBegin/BodyChunk.
struct Fetch {
    std::uint32_t sequence = 0;  ///< 0 for UIDFETCH
    std::optional<std::uint32_t> uid;
    std::optional<std::vector<std::string_view>> flags;
    std::optional<std::int64_t> internal_date;  ///< unix seconds; absent if missing or garbled
    std::int16_t internal_date_zone = 0;        ///< minutes east of UTC
    std::optional<std::uint64_t> size;          ///< RFC822.SIZE
    std::optional<std::uint64_t> modseq;
    std::string_view email_id, thread_id;
    std::optional<std::uint64_t> gm_message_id, gm_thread_id;
    std::optional<std::vector<std::string_view>> gm_labels;  ///< absent: not told; wire form
    std::string_view digest_sha1;  ///< Cyrus DIGEST.SHA1
    enum class Body : std::uint8_t { absent, nil, streamed } body = Body::absent;
    std::uint64_t body_bytes = 0;  ///< octets streamed for it
};

/// A body section begins; `uid` is known if the server sent it first. Chunks follow until `bytes`
/// octets were seen, then (after any other items) the Fetch.
struct BodyBegin {
    std::optional<std::uint32_t> uid;
    std::uint32_t sequence = 0;
    std::string_view section;             ///< "", "HEADER", "HEADER.FIELDS (…)"
    std::optional<std::uint32_t> origin;  ///< partial: BODY[]<0>
    std::uint64_t bytes = 0;
};
struct BodyChunk {
    std::string_view bytes;
    bool last = false;  ///< the section is complete
};

/// `* ID (…)` or `* ID NIL`: name, value pairs.
struct Id {
    std::vector<std::pair<std::string_view, std::string_view>> fields;
};

/// `* NAMESPACE personal other shared` (RFC 2342).
struct Namespaces {
    struct Entry {
        std::string prefix;  ///< wire form
        char separator = 0;
    };
    std::vector<Entry> personal, other_users, shared;
};

/// `* QUOTA root (resource usage limit …)` (RFC 9208); STORAGE counts units of 1024 octets.
struct Quota {
    struct Resource {
        std::string_view name;
        std::uint64_t usage = 0, limit = 0;
    };
    std::string_view root;
    std::vector<Resource> resources;
};
struct QuotaRoot {
    std::string_view name;
    std::vector<std::string_view> roots;
};

/// `* ACL mailbox id rights …`, `* MYRIGHTS mailbox rights` (RFC 4314).
struct Acl {
    std::string_view name;
    std::vector<std::pair<std::string_view, std::string_view>> rights;
};
struct MyRights {
    std::string_view name, rights;
};

/// A response this codec has no use for, skipped to its end, literals included.
struct Unknown {
    std::string_view line;
};
/// A line that is no response at all (no `*`, `+` or tag): counted; the caller gives up after
/// limits::kGarbageLinesMax.
struct Garbage {
    std::string_view line;
};

using Event =
    std::variant<NeedInput, Continuation, Status, Capabilities, Enabled, MailboxFlags, Exists,
                 Recent, Expunge, Vanished, ListEntry, StatusData, SearchData, Fetch, BodyBegin,
                 BodyChunk, Id, Namespaces, Quota, QuotaRoot, Acl, MyRights, Unknown, Garbage>;

/// Wrong things servers are known to send, which were accepted. Counted, for the log and the tests.
enum class Quirk : std::uint8_t {
    untagged_bracket,       ///< `* [COPYUID …` without OK
    capability_with_space,  ///< `LITERAL +`
    exponent_number,        ///< 9.3736e+06
    negative_number,
    uid_next_zero,
    garbage_mailbox_id,
    invalid_modseq,      ///< -1
    short_literal,       ///< CRLF left before `)` (Domino)
    body_without_value,  ///< `BODY[])` (Yandex)
    leading_nul,         ///< NULs before a line
    unquoted_list_name,  ///< control characters, spaces (Exchange)
    bad_vanished,        ///< `* VANISHED` without a set (iCloud)
    trailing_space,      ///< `* SEARCH 7456 `
    bare_lf,             ///< line end without CR
    garbled_date,
    empty_copyuid,
    server_line_without_tag,  ///< `Server Unavailable. 15`: an untagged BAD, code unavailable
    count_,
};
std::string_view name_of(Quirk quirk);

struct ParserOptions {
    std::size_t line_bytes_max;
    std::uint64_t literal_bytes_max;
    ParserOptions();  ///< limits::kLineBytesMax, limits::kLiteralBytesMax
};

class ResponseParser {
  public:
    explicit ResponseParser(ParserOptions options = {});
    ~ResponseParser();
    ResponseParser(ResponseParser&&) noexcept;
    ResponseParser& operator=(ResponseParser&&) noexcept;

    /// Only when next() has returned NeedInput, or before the first next().
    void feed(std::string_view bytes);
    /// An error (Code::protocol or Code::limit, Scope::connection) means: close the connection.
    Result<Event> next();

    /// Bytes fed but not yet consumed: what stands behind the last event (for COMPRESS, and for
    /// STARTTLS, where anything here is an attack). Only meaningful between responses; to go on with
    /// another stream, start with a new parser.
    [[nodiscard]] std::string_view unconsumed() const;
    [[nodiscard]] std::uint64_t quirk_count(Quirk quirk) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace imapult::imap
