#pragma once
// What we say. Every argument is validated before a byte is written (protocol rule 4): a function
// returns Code::invalid_input rather than a command that a server might read differently.
//
// The source is read-only by construction: a source connection takes only SourceCommands, and only
// the functions of namespace `source` below make them.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "imap/uid_set.h"

namespace imapult::imap {

/// How long a literal may be without waiting for `+` (RFC 7888).
enum class LiteralMode : std::uint8_t {
    synchronising,  ///< neither extension
    minus,          ///< LITERAL-: `{n+}` up to 4096 octets
    plus,           ///< LITERAL+
};

/// A command without its tag: " verb arguments CRLF" is made of pieces; after each piece but the
/// last the sender waits for `+`. The session puts the tag in front.
struct Command {
    std::string verb;                 ///< for logs and round-trip statistics: "UID FETCH"
    std::vector<std::string> pieces;  ///< joined they are what goes on the wire
    bool is_barrier = false;          ///< nothing may be pipelined behind it (RFC 9051 §5.5)
};
/// A command that cannot change anything on a server.
struct SourceCommand : Command {};

/// Where literals are needed in arguments (8-bit or very long names), this decides their form.
struct EncodeOptions {
    LiteralMode literals = LiteralMode::synchronising;
    std::size_t line_bytes_max = 8000;
};

/// What a metadata FETCH asks for besides UID.
struct FetchItems {
    bool flags = false, internal_date = false, size = false, modseq = false, email_id = false,
         gm_message_id = false, gm_labels = false, digest_sha1 = false;
    enum class Body : std::uint8_t { none, whole, header } body = Body::none;
    /// BODY.PEEK[HEADER.FIELDS (…)] instead; names are header field names.
    std::vector<std::string> header_fields = {};
};

struct StatusItems {
    bool messages = true, uid_next = true, uid_validity = true, unseen = false,
         highest_modseq = false, size = false, mailbox_id = false;
};

namespace source {
SourceCommand capability();
SourceCommand noop();
SourceCommand logout();
SourceCommand starttls();
SourceCommand compress_deflate();
SourceCommand unselect();
SourceCommand namespaces();
/// RFC 2971; values are printable ASCII.
SourceCommand id(std::span<const std::pair<std::string, std::string>> fields);
/// Extensions are atoms: CONDSTORE, QRESYNC, UIDONLY, …
Result<SourceCommand> enable(std::span<const std::string_view> extensions);
/// LOGIN with quoted strings or literals. The password's copy in `pieces` is wiped by the session.
Result<SourceCommand> login(std::string_view user, std::string_view password,
                            EncodeOptions options);
/// AUTHENTICATE mechanism [initial response in base64, "=" if empty].
Result<SourceCommand> authenticate(std::string_view mechanism,
                                   std::optional<std::string_view> initial_response_base64);
/// LIST "" "*", with RETURN (…) where `extended`; `status` adds STATUS (…) (RFC 5819).
struct ListOptions {
    bool extended = false;
    bool subscribed = false, children = false, special_use = false;
    std::optional<StatusItems> status = {};
};
SourceCommand list(const ListOptions& options);
/// LIST reference pattern for namespaces or read-back; `pattern` in wire form, `%` and `*` allowed.
Result<SourceCommand> list_pattern(std::string_view wire_pattern, const ListOptions& options,
                                   EncodeOptions encode);
SourceCommand lsub();
SourceCommand xlist();
Result<SourceCommand> status(std::string_view wire_name, const StatusItems& items,
                             EncodeOptions options);
/// EXAMINE, with (CONDSTORE) or (QRESYNC (validity modseq [known])).
struct ExamineOptions {
    bool condstore = false;
    struct QResync {
        std::uint32_t uid_validity;
        std::uint64_t modseq;
        std::uint32_t last_known = 0;  ///< only of UIDs up to this one; 0: of all
    };
    std::optional<QResync> qresync = {};
};
Result<SourceCommand> examine(std::string_view wire_name, const ExamineOptions& examine,
                              EncodeOptions options);
/// UID FETCH set (items) [(CHANGEDSINCE n)]; `set` must be non-empty and short enough for one line
/// (UidSet::split). CHANGEDSINCE 0 is left out, being a syntax error.
Result<SourceCommand> uid_fetch(const UidSet& set, const FetchItems& items,
                                std::optional<std::uint64_t> changed_since, EncodeOptions options);
/// UID SEARCH [RETURN (ALL)] UID set key; `key` is one of ALL SEEN UNSEEN FLAGGED ANSWERED DELETED
/// DRAFT or "KEYWORD x".
Result<SourceCommand> uid_search(const UidSet& set, std::string_view key, bool esearch,
                                 EncodeOptions options);
Result<SourceCommand> get_quota_root(std::string_view wire_name, EncodeOptions options);
Result<SourceCommand> get_acl(std::string_view wire_name, EncodeOptions options);
Result<SourceCommand> my_rights(std::string_view wire_name, EncodeOptions options);
SourceCommand idle();
/// NOTIFY SET (RFC 5465): what happens in any mailbox of the personal namespaces is to be told.
SourceCommand notify();
SourceCommand unauthenticate();
}  // namespace source

namespace destination {
/// CREATE name [(USE (\Role))] (RFC 6154); `use` empty: none.
Result<Command> create(std::string_view wire_name, std::string_view use, EncodeOptions options);
Result<Command> subscribe(std::string_view wire_name, EncodeOptions options);
Result<Command> select(std::string_view wire_name, bool condstore, EncodeOptions options);
/// UID STORE set ±FLAGS.SILENT (flags) [(UNCHANGEDSINCE n)].
enum class StoreMode : std::uint8_t { add, remove };
Result<Command> uid_store(const UidSet& set, StoreMode mode,
                          std::span<const std::string_view> flags,
                          std::optional<std::uint64_t> unchanged_since, EncodeOptions options);
/// UID EXPUNGE set (RFC 4315): there is no function for EXPUNGE, which takes others' messages
/// along.
Result<Command> uid_expunge(const UidSet& set, EncodeOptions options);
/// UID COPY and UID MOVE (RFC 6851) of the selected mailbox's messages.
Result<Command> uid_copy(const UidSet& set, std::string_view to, EncodeOptions options);
Result<Command> uid_move(const UidSet& set, std::string_view to, EncodeOptions options);
Result<Command> rename(std::string_view from, std::string_view to, EncodeOptions options);
/// SETACL (RFC 4314 §3.1) that adds to what `identifier` has, or takes from it; other rights stay.
enum class RightsMode : std::uint8_t { add, remove };
Result<Command> set_acl(std::string_view wire_name, std::string_view identifier, RightsMode mode,
                        std::string_view rights, EncodeOptions options);
}  // namespace destination

/// INTERNALDATE: "17-Jul-1996 02:44:25 -0700", day zero-padded (RFC 9051 §9, date-time).
std::string format_date_time(std::int64_t unix_seconds, std::int16_t zone_minutes);
/// Lenient: leading space or zero, 1- or 2-digit day, any case, :60 seconds; nothing if garbled.
struct DateTime {
    std::int64_t unix_seconds = 0;
    std::int16_t zone_minutes = 0;
};
std::optional<DateTime> parse_date_time(std::string_view text);

/// The text that goes before the octets of a message in APPEND and MULTIAPPEND (RFC 9051 §6.3.12,
/// RFC 3502, literal8 of RFC 3516):
///   " APPEND mailbox (flags) \"date\" {n+}CRLF" for the first, " (flags) \"date\" {n+}CRLF" for
///   the
/// next of a group; CRLF ends the group. Written into `out` (appended), so that a group is one
/// buffer.
struct AppendItem {
    std::span<const std::string_view> flags = {};  ///< system flags and keywords; never \Recent
    std::optional<DateTime> internal_date = {};
    std::uint64_t bytes = 0;
    bool literal8 = false;
};
/// `encoded_name` comes from encode_mailbox(). Errors: a flag that is no valid flag or atom.
Result<void> append_first(std::string& out, std::string_view encoded_name, const AppendItem& item,
                          bool non_synchronising);
Result<void> append_next(std::string& out, const AppendItem& item, bool non_synchronising);

/// A mailbox name in wire form as an argument: atom, quoted string, never a literal (so that it can
/// be used in an APPEND head); Code::invalid_input where only a literal could carry it (8-bit, CR,
/// LF).
Result<std::string> encode_mailbox(std::string_view wire_name);
/// Whether `flag` may be sent: system flag `\Name` or keyword atom (RFC 9051 flag-keyword).
bool is_valid_flag(std::string_view flag);

}  // namespace imapult::imap
