#include "imap/command.h"

#include <algorithm>
#include <array>

#include "engine/base/limits.h"
#include "imap/command_parts.h"

namespace imapult::imap {
namespace {

SourceCommand plain(std::string_view verb, bool barrier = false) {
    CommandWriter writer(verb, {});
    if (barrier) writer.barrier();
    return {writer.finish_own()};
}

Result<SourceCommand> finish(CommandWriter& writer) {
    IMAPULT_TRY(Command command, writer.finish());
    return SourceCommand{std::move(command)};
}

void write_status_items(CommandWriter& writer, const StatusItems& items) {
    struct Item {
        bool wanted;
        std::string_view name;
    };
    const std::array list = {Item{items.messages, "MESSAGES"},
                             Item{items.uid_next, "UIDNEXT"},
                             Item{items.uid_validity, "UIDVALIDITY"},
                             Item{items.unseen, "UNSEEN"},
                             Item{items.highest_modseq, "HIGHESTMODSEQ"},
                             Item{items.size, "SIZE"},
                             Item{items.mailbox_id, "MAILBOXID"}};
    bool any = false;
    writer.raw("(");
    for (const Item& item : list) {
        if (!item.wanted) continue;
        if (any) writer.raw(" ");
        any = true;
        writer.raw(item.name);
    }
    // "STATUS x ()" is a syntax error.
    writer.raw(any ? ")" : "MESSAGES)");
}

void write_list_return(CommandWriter& writer, const source::ListOptions& options) {
    if (!options.extended) return;
    const char* space = "";
    const auto option = [&](bool wanted, std::string_view name) {
        if (!wanted) return;
        writer.raw(space).raw(name);
        space = " ";
    };
    if (!options.subscribed && !options.children && !options.special_use && !options.status) return;
    writer.raw(" RETURN (");
    option(options.subscribed, "SUBSCRIBED");
    option(options.children, "CHILDREN");
    option(options.special_use, "SPECIAL-USE");
    if (options.status) {
        option(true, "STATUS ");
        write_status_items(writer, *options.status);
    }
    writer.raw(")");
}

/// RFC 5322 field-name, as strict as an atom.
bool is_field_name(std::string_view name) {
    return !name.empty() && name.size() <= 100 && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_';
    });
}

void write_body_item(CommandWriter& writer, const FetchItems& items) {
    if (!items.header_fields.empty()) {
        writer.raw(" BODY.PEEK[HEADER.FIELDS (");
        bool first = true;
        for (const std::string& name : items.header_fields) {
            if (!is_field_name(name))
                writer.fail("not a header field name: " + printable(name, 80));
            if (!first) writer.raw(" ");
            first = false;
            writer.raw(name);
        }
        writer.raw(")]");
        return;
    }
    if (items.body == FetchItems::Body::whole) writer.raw(" BODY.PEEK[]");
    if (items.body == FetchItems::Body::header) writer.raw(" BODY.PEEK[HEADER]");
}

bool is_base64(std::string_view text) {
    return text == "=" || (!text.empty() && std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '+' || c == '/' || c == '=';
           }));
}

bool is_search_key(std::string_view key) {
    static constexpr std::array<std::string_view, 12> kKeys = {
        "ALL",        "SEEN",    "UNSEEN",    "FLAGGED", "UNFLAGGED", "ANSWERED",
        "UNANSWERED", "DELETED", "UNDELETED", "DRAFT",   "UNDRAFT",   "NEW"};
    if (std::ranges::find(kKeys, key) != kKeys.end()) return true;
    for (const std::string_view verb : {"KEYWORD ", "UNKEYWORD "}) {
        if (key.starts_with(verb)) return is_atom(key.substr(verb.size()));
    }
    return false;
}

/// The mailbox commands that take nothing but a name.
Result<SourceCommand> with_name(std::string_view verb, std::string_view wire_name,
                                EncodeOptions options) {
    CommandWriter writer(verb, options);
    writer.astring(wire_name);
    return finish(writer);
}

Result<void> check_name(std::string_view wire_name) {
    if (wire_name.empty()) return invalid("empty mailbox name");
    if (wire_name.size() > limits::kMailboxNameBytesMax) return invalid("mailbox name too long");
    return {};
}

Result<Command> to_mailbox(std::string_view verb, const UidSet& set, std::string_view to,
                           EncodeOptions options) {
    IMAPULT_CHECK(check_name(to));
    CommandWriter writer(verb, options);
    if (set.empty()) writer.fail(std::string(verb) + " of no message");
    writer.raw(" ").raw(set.text()).astring(to);
    return writer.finish();
}

}  // namespace

namespace source {

SourceCommand capability() {
    return plain("CAPABILITY");
}
SourceCommand noop() {
    return plain("NOOP");
}
SourceCommand logout() {
    return plain("LOGOUT", true);
}
SourceCommand starttls() {
    return plain("STARTTLS", true);
}
SourceCommand unselect() {
    return plain("UNSELECT");
}
SourceCommand namespaces() {
    return plain("NAMESPACE");
}
SourceCommand idle() {
    return plain("IDLE", true);
}
SourceCommand notify() {
    // §5: MessageNew and MessageExpunge stand together, and FlagChange only with both.
    CommandWriter writer("NOTIFY", {});
    return {writer
                .raw(" SET (personal (MessageNew MessageExpunge FlagChange MailboxName "
                     "SubscriptionChange))")
                .finish_own()};
}
SourceCommand unauthenticate() {
    return plain("UNAUTHENTICATE", true);
}

SourceCommand compress_deflate() {
    CommandWriter writer("COMPRESS", {});
    return {writer.raw(" DEFLATE").barrier().finish_own()};
}

SourceCommand id(std::span<const std::pair<std::string, std::string>> fields) {
    CommandWriter writer("ID", {});
    if (fields.empty()) return {writer.raw(" NIL").finish_own()};
    // Our own constants: RFC 2971 allows 30 fields of 30 and 1024 octets.
    writer.raw(" (");
    bool first = true;
    for (const auto& [name, value] : fields) {
        const auto encoded_name = encode_id_string(name);
        const auto encoded_value = encode_id_string(value);
        writer.raw(first ? "" : " ").raw(encoded_name).raw(" ").raw(encoded_value);
        first = false;
    }
    return {writer.raw(")").finish_own()};
}

Result<SourceCommand> enable(std::span<const std::string_view> extensions) {
    CommandWriter writer("ENABLE", {});
    if (extensions.empty()) writer.fail("ENABLE of nothing");
    for (const std::string_view extension : extensions) writer.atom(extension);
    return finish(writer);
}

Result<SourceCommand> login(std::string_view user, std::string_view password,
                            EncodeOptions options) {
    CommandWriter writer("LOGIN", options);
    writer.string(user).string(password).barrier();
    return finish(writer);
}

Result<SourceCommand> authenticate(std::string_view mechanism,
                                   std::optional<std::string_view> initial_response_base64) {
    // A token (OAUTHBEARER) may be longer than a usual line: it is the server that asked for it.
    CommandWriter writer("AUTHENTICATE", {.line_bytes_max = limits::kSmallLiteralBytesMax});
    writer.atom(mechanism).barrier();
    if (initial_response_base64) {
        const std::string_view response =
            initial_response_base64->empty() ? "=" : *initial_response_base64;
        if (!is_base64(response)) writer.fail("the initial response is not base64");
        writer.raw(" ").raw(response);
    }
    return finish(writer);
}

SourceCommand list(const ListOptions& options) {
    CommandWriter writer("LIST", {});
    writer.raw(" \"\" \"*\"");
    write_list_return(writer, options);
    return {writer.finish_own()};
}

Result<SourceCommand> list_pattern(std::string_view wire_pattern, const ListOptions& options,
                                   EncodeOptions encode) {
    CommandWriter writer("LIST", encode);
    writer.raw(" \"\"").string(wire_pattern);
    write_list_return(writer, options);
    return finish(writer);
}

SourceCommand lsub() {
    CommandWriter writer("LSUB", {});
    return {writer.raw(" \"\" \"*\"").finish_own()};
}

SourceCommand xlist() {
    CommandWriter writer("XLIST", {});
    return {writer.raw(" \"\" \"*\"").finish_own()};
}

Result<SourceCommand> status(std::string_view wire_name, const StatusItems& items,
                             EncodeOptions options) {
    IMAPULT_CHECK(check_name(wire_name));
    CommandWriter writer("STATUS", options);
    writer.astring(wire_name).raw(" ");
    write_status_items(writer, items);
    return finish(writer);
}

Result<SourceCommand> examine(std::string_view wire_name, const ExamineOptions& examine,
                              EncodeOptions options) {
    IMAPULT_CHECK(check_name(wire_name));
    CommandWriter writer("EXAMINE", options);
    writer.astring(wire_name);
    if (examine.qresync) {
        const auto [validity, modseq, last_known] = *examine.qresync;
        // RFC 7162 §7: both are non-zero numbers.
        if (validity == 0 || modseq == 0)
            writer.fail("QRESYNC needs UIDVALIDITY and a mod-sequence");
        writer.raw(" (QRESYNC (").number(validity).raw(" ").number(modseq);
        if (last_known > 0) writer.raw(" 1:").number(last_known);
        writer.raw("))");
    } else if (examine.condstore) {
        writer.raw(" (CONDSTORE)");
    }
    return finish(writer);
}

Result<SourceCommand> uid_fetch(const UidSet& set, const FetchItems& items,
                                std::optional<std::uint64_t> changed_since, EncodeOptions options) {
    CommandWriter writer("UID FETCH", options);
    if (set.empty()) writer.fail("UID FETCH of no message");
    writer.raw(" ").raw(set.text()).raw(" (UID");
    const auto item = [&](bool wanted, std::string_view name) {
        if (wanted) writer.raw(" ").raw(name);
    };
    item(items.flags, "FLAGS");
    item(items.internal_date, "INTERNALDATE");
    item(items.size, "RFC822.SIZE");
    item(items.modseq, "MODSEQ");
    item(items.email_id, "EMAILID");
    item(items.gm_message_id, "X-GM-MSGID");
    item(items.gm_labels, "X-GM-LABELS");
    item(items.digest_sha1, "DIGEST.SHA1");
    write_body_item(writer, items);
    writer.raw(")");
    if (changed_since && *changed_since != 0) {
        writer.raw(" (CHANGEDSINCE ").number(*changed_since).raw(")");
    }
    return finish(writer);
}

Result<SourceCommand> uid_search(const UidSet& set, std::string_view key, bool esearch,
                                 EncodeOptions options) {
    CommandWriter writer("UID SEARCH", options);
    if (set.empty()) writer.fail("UID SEARCH in no message");
    if (!is_search_key(key)) writer.fail("not a search key: " + printable(key, 80));
    if (esearch) writer.raw(" RETURN (ALL)");
    writer.raw(" UID ").raw(set.text());
    if (key != "ALL") writer.raw(" ").raw(key);
    return finish(writer);
}

Result<SourceCommand> get_quota_root(std::string_view wire_name, EncodeOptions options) {
    IMAPULT_CHECK(check_name(wire_name));
    return with_name("GETQUOTAROOT", wire_name, options);
}
Result<SourceCommand> get_acl(std::string_view wire_name, EncodeOptions options) {
    IMAPULT_CHECK(check_name(wire_name));
    return with_name("GETACL", wire_name, options);
}
Result<SourceCommand> my_rights(std::string_view wire_name, EncodeOptions options) {
    IMAPULT_CHECK(check_name(wire_name));
    return with_name("MYRIGHTS", wire_name, options);
}

}  // namespace source

namespace destination {

Result<Command> create(std::string_view wire_name, std::string_view use, EncodeOptions options) {
    IMAPULT_CHECK(check_name(wire_name));
    CommandWriter writer("CREATE", options);
    writer.astring(wire_name);
    if (!use.empty()) {
        if (!use.starts_with('\\') || !is_atom(use.substr(1))) {
            writer.fail("not a special use: " + printable(use, 80));
        }
        writer.raw(" (USE (").raw(use).raw("))");
    }
    return writer.finish();
}

Result<Command> subscribe(std::string_view wire_name, EncodeOptions options) {
    IMAPULT_CHECK(check_name(wire_name));
    CommandWriter writer("SUBSCRIBE", options);
    return writer.astring(wire_name).finish();
}

Result<Command> select(std::string_view wire_name, bool condstore, EncodeOptions options) {
    IMAPULT_CHECK(check_name(wire_name));
    CommandWriter writer("SELECT", options);
    writer.astring(wire_name);
    if (condstore) writer.raw(" (CONDSTORE)");
    return writer.finish();
}

Result<Command> uid_store(const UidSet& set, StoreMode mode,
                          std::span<const std::string_view> flags,
                          std::optional<std::uint64_t> unchanged_since, EncodeOptions options) {
    CommandWriter writer("UID STORE", options);
    if (set.empty()) writer.fail("UID STORE of no message");
    if (flags.empty()) writer.fail("UID STORE of no flag");
    writer.raw(" ").raw(set.text());
    if (unchanged_since) writer.raw(" (UNCHANGEDSINCE ").number(*unchanged_since).raw(")");
    writer.raw(mode == StoreMode::add ? " +FLAGS.SILENT" : " -FLAGS.SILENT").flags(flags);
    return writer.finish();
}

Result<Command> uid_expunge(const UidSet& set, EncodeOptions options) {
    CommandWriter writer("UID EXPUNGE", options);
    if (set.empty()) writer.fail("UID EXPUNGE of no message");
    writer.raw(" ").raw(set.text());
    return writer.finish();
}

Result<Command> uid_copy(const UidSet& set, std::string_view to, EncodeOptions options) {
    return to_mailbox("UID COPY", set, to, options);
}
Result<Command> uid_move(const UidSet& set, std::string_view to, EncodeOptions options) {
    return to_mailbox("UID MOVE", set, to, options);
}

Result<Command> set_acl(std::string_view wire_name, std::string_view identifier, RightsMode mode,
                        std::string_view rights, EncodeOptions options) {
    IMAPULT_CHECK(check_name(wire_name));
    CommandWriter writer("SETACL", options);
    const bool letters = std::ranges::all_of(
        rights, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
    if (identifier.empty()) writer.fail("SETACL for nobody");
    if (rights.empty() || !letters) writer.fail("not rights: " + printable(rights, 80));
    writer.astring(wire_name).astring(identifier);
    writer.raw(mode == RightsMode::add ? " +" : " -").raw(rights);
    return writer.finish();
}

Result<Command> rename(std::string_view from, std::string_view to, EncodeOptions options) {
    IMAPULT_CHECK(check_name(from));
    IMAPULT_CHECK(check_name(to));
    CommandWriter writer("RENAME", options);
    writer.astring(from).astring(to);
    return writer.finish();
}

}  // namespace destination
}  // namespace imapult::imap
