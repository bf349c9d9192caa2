#pragma once
// What kind of server this is: its extensions, its limits and everything it does differently from
// the book. Each quirk is one named field, so that a test switches on exactly the one it is about;
// the presets combine those seen together on real servers.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imapult::imapd {

/// A reply of the test's own, given to the `nth` command (counted from 1 per connection) that
/// starts with `command` (upper case, "UID FETCH"; empty: any command).
struct ScriptedReply {
    std::string command;
    unsigned nth = 1;
    bool every = false;   ///< from the nth on, each time
    std::string reply;    ///< "%t" becomes the tag; written as it stands
    bool instead = true;  ///< false: written in front of the server's own reply
    bool close = false;   ///< the connection ends after it
};

/// What happens to a message, a name or a date this server does not like.
enum class OnNul : std::uint8_t { keep, to_0x80, refuse_no, refuse_bad, cut };
enum class OnBareLf : std::uint8_t { keep, to_crlf, refuse };
enum class OnLoneCr : std::uint8_t { keep, drop_one_of_two, drop_all };
enum class OnEmpty : std::uint8_t { keep, refuse_no, refuse_bad, close };
enum class OnDate : std::uint8_t { keep, to_now, refuse_no, refuse_bad };
enum class OnUnknownFlag : std::uint8_t { refuse_bad, refuse_no, ignore };
enum class OnUnknownStatusItem : std::uint8_t { refuse_bad, leave_out };
enum class OnLongLine : std::uint8_t { refuse_bad, reset };

/// How a provider asks for patience. Commands are counted per connection by `per_connection`, and
/// over all connections of an account by the others; log-ins and LOGOUT are not counted.
struct Throttle {
    unsigned per_connection = 0;  ///< 0: never; after so many the reply, and the connection ends
    unsigned every = 0;           ///< 0: never; each so-many-th command gets the reply instead
    unsigned drop_every = 0;      ///< 0: never; at each so-many-th the connection is cut
    enum class As : std::uint8_t { bad, no, ok, bye } as = As::bad;
    std::string text = "Request is throttled. Suggested Backoff Time: 1000 milliseconds";
    bool closes = false;  ///< with `every`: the connection ends, too
    /// Who comes back sooner is asked for patience again (and counted: Journal::impatient).
    std::int64_t seconds = 0;
    /// At log-in, too: `NO` with the text to everybody who has not waited.
    bool at_login = false;
};

/// Octets of bodies per account and UTC day; what is beyond gets `text` as NO, then BYE.
struct DailyLimit {
    std::uint64_t bytes_out = 0;  ///< 0: none
    std::uint64_t bytes_in = 0;
    std::string text = "[OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)";
};

struct Behaviour {
    // --- the session
    std::string product = "imapult-imapd";           ///< name in the greeting and in ID
    std::set<std::string> capabilities;              ///< after authentication
    std::set<std::string> capabilities_before_auth;  ///< in the greeting and before LOGIN
    bool capability_in_greeting = true;
    bool capability_in_login = true;
    bool login_disabled_without_tls = false;
    bool preauth_greeting = false;            ///< `* PREAUTH` as the first account
    bool drops_input_behind_login = false;    ///< Courier: what came with LOGIN is lost
    bool enable_says_nothing = false;         ///< iCloud: OK without `* ENABLED`
    bool enabled_line_empty = false;          ///< Courier: `* ENABLED` and no name
    bool refuses_id = false;                  ///< Courier: NO
    bool bye_repeated = false;                ///< Yandex: BYE until the client closes
    bool literal_plus_spaced = false;         ///< `LITERAL +` in CAPABILITY
    bool namespace_drops_connection = false;  ///< Exchange 2003
    bool not_connected_after_login = false;   ///< Exchange: LOGIN OK, then BAD for everything
    bool authzid_falls_back_to_admin_domain = false;  ///< Carbonio: the wrong mailbox, silently
    bool id_names_user = false;              ///< Zimbra, Carbonio: ID after login has "USER"
    bool status_overtakes_fetch = false;     ///< Dovecot: a pipelined STATUS finishes first
    bool fetch_overtakes_ok = false;         ///< Dovecot: data of the next FETCH, then the OK
    unsigned bad_commands_max = 0;           ///< 0: no limit; else BYE and close at this BAD
    unsigned errors_in_a_row_max = 0;        ///< Zimbra: NO and BAD count, any OK resets
    std::size_t line_bytes_max = 64 * 1024;  ///< one command without its literals
    OnLongLine on_long_line = OnLongLine::refuse_bad;
    unsigned connections_max = 0;  ///< per account; 0: any number
    Throttle throttle;
    DailyLimit daily;
    bool leading_nuls = false;     ///< home.pl: NULs before a response
    bool literal_in_text = false;  ///< `* OK … {17}` after log-in, which is no literal
    bool stays_after_bye = false;  ///< BYE, and the connection is neither closed nor read
    std::vector<ScriptedReply> script;

    // --- mailbox names
    char separator = '/';            ///< '\0': flat, NIL
    std::string prefix;              ///< personal namespace, "INBOX." on Courier
    std::string other_users_prefix;  ///< "Other Users/", Zimbra: "/home/"; empty: there is none
    std::string shared_prefix;       ///< "Shared Folders/"; what is made below it all accounts see
    bool lists_own_spaces_only = false;  ///< LIST "" "*" shows the personal namespace and no other
    std::string inbox_name = "INBOX";    ///< "Inbox" on Yahoo
    bool case_insensitive_names = false;
    bool refuses_names_not_utf7 = true;  ///< raw 8-bit, bare `&`, non-canonical mUTF-7
    bool canonicalises_names = false;    ///< Courier: `&AGE-` becomes `a`
    bool trims_names = false;            ///< trailing blanks cut
    bool refuses_blanks_around = false;  ///< Gmail: leading, trailing, double blanks
    std::string forbidden_in_names;
    std::size_t name_bytes_max = 1024;
    std::vector<std::string> hidden_names;     ///< taken, never listed (Carbonio: Calendar, …)
    std::vector<std::string> reserved_names;   ///< refused, never listed (Exchange: Files)
    bool literal_list_names = false;           ///< mailutils: every name in LIST as a literal
    bool raw_list_names = false;               ///< Exchange: control characters, no quotes
    bool inbox_separator_nil = false;          ///< mailutils
    bool list_extended_refused = false;        ///< ProtonMail, hMailServer: offered, and BAD
    bool trailing_blank_drops_select = false;  ///< Exchange 2007: a name that ends in a blank
    std::set<std::string> locked_mailboxes;    ///< Zimbra: a mounted folder under repair: BYE
    bool children_of_inbox_refused = false;    ///< Domino
    bool noselect_untold = false;  ///< Dovecot: not in LIST, and a NO without a code to STATUS
    bool list_extended_ignored = false;       ///< Courier: `LIST (SUBSCRIBED)` lists all
    bool list_return_of_inbox_empty = false;  ///< Strato
    std::size_t uid_gap = 0;                  ///< UIDNEXT jumps by up to this many more
    bool uidvalidity_changes_on_select = false;
    bool one_uidvalidity = false;     ///< Yahoo: 1 for every mailbox
    bool mailbox_id_garbage = false;  ///< Cyrus 3.6: in LIST-STATUS and mixed STATUS
    bool uidnext_zero = false;
    bool negative_counts = false;  ///< STATUS (MESSAGES -1)
    OnUnknownStatusItem on_unknown_status_item = OnUnknownStatusItem::refuse_bad;

    // --- FETCH and SEARCH
    bool fetch_uid_last = false;        ///< hoodiecrow: after the body
    bool fetch_flags_first = false;     ///< Cyrus
    bool splits_fetch_lines = false;    ///< Yahoo: each item in a line of its own
    bool rfc822_empty = false;          ///< iCloud: OK, no payload
    bool changedsince_ignored = false;  ///< hoodiecrow: returns all
    bool modseq_minus_one = false;      ///< Zoho
    bool sizes_in_exponents = false;    ///< mail.ru: 9.3736e+06
    bool fetch_even_if_silent = false;  ///< Cyrus, or anybody with CONDSTORE
    bool unsolicited_fetch = false;     ///< a FLAGS line of another message in between
    std::function<std::uint64_t(std::uint64_t)> estimate_size;  ///< RFC822.SIZE; literals stay true
    std::set<std::uint32_t> fetch_missing;                      ///< UIDs that get OK and no line
    std::set<std::uint32_t> fetch_without_body;                 ///< `BODY[])`
    std::set<std::uint32_t> fetch_unavailable;  ///< NO [UNAVAILABLE] for the whole command
    std::set<std::uint32_t> fetch_replaced;     ///< Exchange: a text of its own instead
    bool short_literals = false;  ///< Domino: two octets too few announced, CRLF before `)`
    std::size_t visible_messages_max = 0;   ///< Yahoo without UIDONLY: the newest only
    std::size_t command_messages_max = 0;   ///< MESSAGELIMIT (RFC 9738): the highest UIDs only
    bool metadata_silently_capped = false;  ///< … and without a code (older Yahoo fronts)
    bool pseudo_message = false;  ///< UW, mbox: "FOLDER INTERNAL DATA" is the first message
    bool trailing_space_in_search = false;  ///< Yahoo
    bool search_keyword_refused = false;    ///< Exchange: BAD Command Argument Error. 11
    bool search_all_bogus = false;          ///< iCloud: sequence numbers for UID SEARCH ALL
    bool vanished_malformed = false;        ///< iCloud
    bool copyuid_untagged = false;          ///< `* [COPYUID …]` without OK
    bool copyuid_empty = false;             ///< `[COPYUID 1  ]`

    // --- APPEND
    std::uint64_t max_message_bytes = 0;  ///< 0: any
    bool too_big_has_code = true;
    bool over_quota_has_code = true;
    unsigned append_unanswered = 0;  ///< the account's so-many-th is stored, and the connection cut
    std::string append_unanswered_as{};       ///< … or refused with this text all the same
    bool append_failure_bare = false;         ///< Zimbra: every refusal is `NO APPEND failed`
    bool body_as_commands_after_bad = false;  ///< Dovecot: BAD to {n+}, then the body is obeyed
    bool server_unavailable_line = false;     ///< Exchange over quota: untagged, unstarred line
    OnNul on_nul = OnNul::keep;
    bool literal8_keeps_nul = false;  ///< Dovecot
    OnBareLf on_bare_lf = OnBareLf::keep;
    OnLoneCr on_lone_cr = OnLoneCr::keep;
    OnEmpty on_empty = OnEmpty::keep;
    bool adds_final_crlf = false;
    bool refuses_without_final_crlf = false;  ///< Yahoo: BAD [CLIENTBUG]
    bool munges_8bit_headers = false;         ///< Cyrus: X
    bool refuses_8bit_headers = false;        ///< Cyrus with reject8bit
    bool refuses_headerless = false;
    bool drops_from_line = false;            ///< mailutils: the mbox `From ` line
    bool drops_body_without_header = false;  ///< mailutils
    unsigned identical_messages_max = 0;     ///< Cyrus with conversations: 10
    bool merges_identical = false;           ///< Gmail: APPEND of the same bytes: the old UID
    bool revives_from_trash = false;         ///< Gmail: … from Trash, with its old date
    std::size_t message_line_bytes_max = 0;  ///< Exchange: BAD for a longer line in a message
    std::int64_t date_min = INT64_MIN;       ///< seconds since 1970
    std::int64_t date_max = INT64_MAX;
    OnDate on_date_out_of_range = OnDate::keep;
    OnDate on_invalid_date = OnDate::refuse_bad;
    bool future_dates_to_now = false;    ///< Dovecot with maildir
    bool dates_in_utc = true;            ///< INTERNALDATE given back with +0000
    bool drops_flags_and_dates = false;  ///< mailutils says OK

    // --- flags
    bool keywords_creatable = true;               ///< `\*` in PERMANENTFLAGS
    std::set<std::string> keywords_allowed;       ///< where they are not creatable
    bool refuses_other_keywords = false;          ///< NO; else silently dropped
    std::set<std::string> keywords_session_only;  ///< said OK to, and lost
    std::string keyword_forbidden;                ///< characters; NO
    std::size_t keyword_bytes_max = 255;
    std::size_t keywords_max = 0;  ///< per mailbox; NO "Too many user flags"
    OnUnknownFlag on_unknown_system_flag = OnUnknownFlag::refuse_bad;
    std::set<std::string> system_flags_refused;  ///< NO in APPEND: \\Deleted (Yahoo), \\Flagged

    // --- throttles counted in commands (Zimbra, Carbonio): the next equal one drops the connection
    unsigned repeated_creates_max = 0;
    unsigned repeated_appends_max = 0;

    /// True if this extension is offered after authentication.
    [[nodiscard]] bool offers(std::string_view capability) const {
        return capabilities.contains(std::string(capability));
    }
    /// Takes an extension away, for tests of the fallback.
    Behaviour& hide(std::string_view capability);
    Behaviour& offer(std::string_view capability);
};

/// One thing that servers do their own way, by name. The table is quirks.cc.
struct Quirk {
    std::string_view name;     ///< "courier-line-limit"
    std::string_view servers;  ///< the presets that have it, separated by blanks; may be empty
    std::string_view what;     ///< one line for people
    void (*apply)(Behaviour& behaviour);
};
std::span<const Quirk> quirks();
/// Switches one on; false if there is none of this name.
bool apply_quirk(std::string_view name, Behaviour& behaviour);

/// Everything on, nothing odd.
Behaviour standard();
/// Dovecot 2.3.19 with maildir.
Behaviour dovecot();
/// Cyrus 3.6.
Behaviour cyrus();
/// Courier 5.
Behaviour courier();
Behaviour gmail();
/// Exchange and Microsoft 365.
Behaviour exchange();
Behaviour yahoo();
Behaviour icloud();
/// Carbonio (and, mostly, Zimbra).
Behaviour carbonio();
/// GNU mailutils imap4d 3.15.
Behaviour mailutils();
/// By lower-case name ("dovecot", …, "standard"; also those without a function of their own);
/// false if there is none.
bool preset(std::string_view name, Behaviour& out);
/// The names `preset` knows.
std::vector<std::string> preset_names();

}  // namespace imapult::imapd
