// Untagged data responses other than FETCH (RFC 9051 §7.2–7.4 and extensions).
#include <algorithm>
#include <charconv>

#include "engine/base/limits.h"
#include "imap/response_parts.h"

namespace imapult::imap {
namespace {

using Parsed = std::optional<Event>;

bool is_set_bytes(std::string_view text) {
    return std::ranges::all_of(
        text, [](char c) { return (c >= '0' && c <= '9') || c == ',' || c == ':'; });
}

std::vector<std::string_view> words_to_end(Cursor& cursor) {
    std::vector<std::string_view> words;
    for (cursor.skip_spaces(); !cursor.at_end(); cursor.skip_spaces()) {
        words.push_back(cursor.until_space());
    }
    return words;
}

/// "(a b c)", possibly empty.
std::optional<std::vector<std::string_view>> paren_words(Cursor& cursor) {
    if (!cursor.eat('(')) return std::nullopt;
    std::vector<std::string_view> words;
    while (true) {
        cursor.skip_spaces();
        if (cursor.eat(')')) return words;
        const std::string_view word = cursor.word();
        if (word.empty()) return std::nullopt;
        words.push_back(word);
    }
}

bool check_name(std::string_view name, ParseContext& context) {
    if (name.size() <= limits::kMailboxNameBytesMax) return true;
    context.pass_limit("mailbox name too long");
    return false;
}

/// A mailbox name with more behind it ("name (…)", "name rights"): strings, or a bare word.
std::optional<std::string_view> name_before_more(Cursor& cursor) {
    cursor.skip_spaces();
    if (cursor.next_is('"') || cursor.at_literal()) {
        const auto text = cursor.string();
        if (!text || !check_name(text->view, cursor.context())) return std::nullopt;
        return text->view;
    }
    const std::string_view name = cursor.until_space();
    if (name.empty() || !check_name(name, cursor.context())) return std::nullopt;
    return name;
}

/// `"/"`, `"\\"`, `NIL`, and the `"\"` and bare characters of servers that do not escape.
std::optional<char> separator(Cursor& cursor) {
    cursor.skip_spaces();
    const std::string_view rest = cursor.rest();
    if (rest.starts_with("\"\\\" ")) {
        cursor.advance(3);
        return '\\';
    }
    const auto text = cursor.string();
    if (!text) return std::nullopt;
    if (text->nil || text->view.empty()) return '\0';
    if (text->view.size() != 1) return std::nullopt;
    return text->view.front();
}

bool has_extended_items(std::string_view rest) {
    if (!rest.starts_with(" (") || !rest.ends_with(")")) return false;
    rest.remove_prefix(2);
    if (rest.starts_with('"')) rest.remove_prefix(1);
    const std::size_t letters = rest.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ-");
    return letters != 0 && letters != std::string_view::npos &&
           (rest[letters] == ' ' || rest[letters] == '"');
}

/// The last argument of LIST. Exchange sends names with tabs and spaces without quotes, others
/// forget to escape quotes inside: then the name is what is left of the line.
std::optional<std::string_view> list_name(Cursor& cursor) {
    ParseContext& context = cursor.context();
    const std::size_t begin = cursor.position();
    const bool is_string = cursor.next_is('"') || cursor.at_literal();
    if (is_string) {
        if (const auto text = cursor.string()) {
            if (cursor.at_end() || has_extended_items(cursor.rest())) return text->view;
            if (trim(cursor.rest()).empty()) {
                context.note(Quirk::trailing_space);
                return text->view;
            }
        }
        cursor.seek(begin);
        std::string_view name = cursor.rest();
        context.note(Quirk::unquoted_list_name);
        cursor.advance(name.size());
        if (name.size() >= 2 && name.front() == '"' && name.back() == '"') {
            name = name.substr(1, name.size() - 2);
        }
        return name;
    }
    std::string_view name = cursor.until_space();
    if (!cursor.at_end() && !has_extended_items(cursor.rest())) {
        if (cursor.rest().find_first_not_of(' ') == std::string_view::npos) {
            context.note(Quirk::trailing_space);
        } else {
            cursor.seek(begin);
            name = cursor.rest();
        }
        cursor.advance(cursor.rest().size());
    }
    const bool special = std::ranges::any_of(
        name, [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '"' || c == 0x7F; });
    if (special) context.note(Quirk::unquoted_list_name);
    if (name.empty()) return std::nullopt;
    return name;
}

/// RFC 5258 extended data items; only OLDNAME is used.
void list_extended_items(Cursor& cursor, ListEntry& entry) {
    cursor.skip_spaces();
    if (!cursor.eat('(')) return;
    while (true) {
        cursor.skip_spaces();
        const auto tag = cursor.string();
        if (!tag) return;
        cursor.skip_spaces();
        if (!is_word(tag->view, "OLDNAME")) {
            if (!cursor.skip_value()) return;
            continue;
        }
        const bool list = cursor.eat('(');
        const auto name = cursor.string();
        if (!name || !check_name(name->view, cursor.context())) return;
        entry.old_name = name->view;
        if (list && !cursor.eat(')')) return;
    }
}

Parsed parse_list(Cursor& cursor, ListEntry::Kind kind) {
    ListEntry entry;
    entry.kind = kind;
    cursor.skip_spaces();
    auto attributes = paren_words(cursor);
    if (!attributes) return std::nullopt;
    entry.attributes = std::move(*attributes);
    const auto character = separator(cursor);
    if (!character || !cursor.eat(' ')) return std::nullopt;
    entry.separator = *character;
    const auto name = list_name(cursor);
    if (!name || !check_name(*name, cursor.context())) return std::nullopt;
    entry.name = *name;
    list_extended_items(cursor, entry);
    return entry;
}

void parse_mailbox_id(Cursor& cursor, StatusData& data) {
    // Cyrus 3.6 sends freed memory here: anything up to the next `)`.
    cursor.eat('(');
    const std::string_view rest = cursor.rest();
    const std::size_t end = std::min(rest.find(')'), rest.size());
    const std::string_view id = rest.substr(0, end);
    cursor.advance(std::min(end + 1, rest.size()));
    if (is_object_id(id)) {
        data.mailbox_id = id;
    } else {
        cursor.context().note(Quirk::garbage_mailbox_id);
    }
}

void status_item(std::string_view item, Cursor& cursor, StatusData& data) {
    ParseContext& context = cursor.context();
    const auto count = [&] { return to_u32(lenient_number(cursor.word(), context, true)); };
    const auto exact = [&] { return to_u32(lenient_number(cursor.word(), context, false)); };
    if (is_word(item, "MESSAGES")) {
        data.messages = count();
    } else if (is_word(item, "UIDNEXT")) {
        data.uid_next = exact();
        if (data.uid_next == 0U) {
            context.note(Quirk::uid_next_zero);
            data.uid_next.reset();
        }
    } else if (is_word(item, "UIDVALIDITY")) {
        data.uid_validity = exact();
    } else if (is_word(item, "UNSEEN")) {
        data.unseen = count();
    } else if (is_word(item, "RECENT")) {
        data.recent = count();
    } else if (is_word(item, "DELETED")) {
        data.deleted = count();
    } else if (is_word(item, "HIGHESTMODSEQ")) {
        data.highest_modseq = modseq_number(cursor.word(), context);
    } else if (is_word(item, "SIZE")) {
        data.size = lenient_number(cursor.word(), context, true);
    } else if (is_word(item, "APPENDLIMIT")) {
        data.append_limit = parse_number(cursor.word());
    } else if (is_word(item, "MAILBOXID")) {
        parse_mailbox_id(cursor, data);
    } else {
        cursor.skip_value();
    }
}

Parsed parse_status_data(Cursor& cursor) {
    StatusData data;
    cursor.skip_spaces();
    if (cursor.next_is('"') || cursor.at_literal()) {
        const auto name = cursor.string();
        if (!name) return std::nullopt;
        data.name = name->view;
    } else {
        // Names with spaces come unquoted from Exchange: the items begin at the last " (" that is
        // not the parenthesis of MAILBOXID.
        const std::string_view rest = cursor.rest();
        std::size_t end = rest.rfind(" (");
        if (end != std::string_view::npos && end >= 9 &&
            is_word(rest.substr(end - 9, 9), "MAILBOXID")) {
            end = rest.rfind(" (", end - 1);
        }
        if (end == std::string_view::npos || end == 0) return std::nullopt;
        data.name = rest.substr(0, end);
        if (data.name.contains(' ')) cursor.context().note(Quirk::unquoted_list_name);
        cursor.advance(end);
    }
    if (!check_name(data.name, cursor.context())) return std::nullopt;
    cursor.skip_spaces();
    if (!cursor.eat('(')) return std::nullopt;
    while (true) {
        cursor.skip_spaces();
        if (cursor.eat(')') || cursor.at_end()) break;
        const std::string_view item = cursor.word();
        if (item.empty()) break;  // damaged (a garbage MAILBOXID): what was read stands
        cursor.skip_spaces();
        status_item(item, cursor, data);
    }
    return data;
}

Parsed parse_search(Cursor& cursor) {
    SearchData data;
    if (cursor.rest().ends_with(' ') && cursor.rest().size() > 1) {
        cursor.context().note(Quirk::trailing_space);
    }
    for (cursor.skip_spaces(); !cursor.at_end(); cursor.skip_spaces()) {
        if (cursor.eat('(')) {
            if (!is_word(cursor.word(), "MODSEQ")) return std::nullopt;
            cursor.skip_spaces();
            data.modseq = modseq_number(cursor.word(), cursor.context());
            if (!cursor.eat(')')) return std::nullopt;
            continue;
        }
        const std::string_view word = cursor.word();
        if (word.empty()) return std::nullopt;
        const auto number = to_u32(lenient_number(word, cursor.context(), false));
        if (number && *number != 0) data.numbers.push_back(*number);
    }
    return data;
}

/// RFC 9394: "PARTIAL (1:500 set)".
bool esearch_partial(Cursor& cursor, SearchData& data) {
    if (!cursor.eat('(')) return false;
    cursor.word();
    cursor.skip_spaces();
    const std::string_view set = cursor.word();
    if (!is_word(set, "NIL")) data.all = set;
    return cursor.eat(')');
}

Parsed parse_esearch(Cursor& cursor) {
    SearchData data;
    data.extended = true;
    for (cursor.skip_spaces(); !cursor.at_end(); cursor.skip_spaces()) {
        if (cursor.eat('(')) {
            if (!is_word(cursor.word(), "TAG")) return std::nullopt;
            cursor.skip_spaces();
            const auto tag = cursor.string();
            if (!tag || !cursor.eat(')')) return std::nullopt;
            data.tag = tag->view;
            continue;
        }
        const std::string_view item = cursor.word();
        if (item.empty()) return std::nullopt;
        if (is_word(item, "UID")) {
            data.uid = true;
            continue;
        }
        cursor.skip_spaces();
        if (is_word(item, "ALL")) {
            data.all = cursor.word();
        } else if (is_word(item, "MIN")) {
            data.min = to_u32(parse_number(cursor.word()));
        } else if (is_word(item, "MAX")) {
            data.max = to_u32(parse_number(cursor.word()));
        } else if (is_word(item, "COUNT")) {
            data.count = to_u32(parse_number(cursor.word()));
        } else if (is_word(item, "MODSEQ")) {
            data.modseq = modseq_number(cursor.word(), cursor.context());
        } else if (is_word(item, "PARTIAL")) {
            if (!esearch_partial(cursor, data)) return std::nullopt;
        } else if (!cursor.skip_value()) {
            return std::nullopt;
        }
    }
    return data;
}

Parsed parse_vanished(Cursor& cursor) {
    Vanished vanished;
    cursor.skip_spaces();
    if (cursor.eat('(')) {
        vanished.earlier = is_word(cursor.word(), "EARLIER");
        if (!cursor.eat(')')) vanished.ok = false;
        cursor.skip_spaces();
    }
    vanished.uid_set = cursor.word();
    cursor.skip_spaces();
    const std::string_view set = vanished.uid_set;
    const bool whole = !set.empty() && is_set_bytes(set) && set.front() != ',' &&
                       set.back() != ',' && set.back() != ':' && cursor.at_end();
    if (!whole) {
        cursor.context().note(Quirk::bad_vanished);
        vanished.ok = false;
    }
    return vanished;
}

Parsed parse_id(Cursor& cursor) {
    Id id;
    cursor.skip_spaces();
    if (!cursor.eat('(')) return id;  // NIL
    while (true) {
        cursor.skip_spaces();
        if (cursor.eat(')')) return id;
        const auto name = cursor.string();
        cursor.skip_spaces();
        const auto value = cursor.string();
        if (!name || !value) return std::nullopt;
        id.fields.emplace_back(name->view, value->nil ? std::string_view{} : value->view);
    }
}

bool namespace_entries(Cursor& cursor, std::vector<Namespaces::Entry>& entries) {
    cursor.skip_spaces();
    if (!cursor.eat('(')) {
        const auto nil = cursor.string();
        return nil && nil->nil;
    }
    while (true) {
        cursor.skip_spaces();
        if (cursor.eat(')')) return true;
        if (!cursor.eat('(')) return false;
        const auto prefix = cursor.string();
        if (!prefix || !check_name(prefix->view, cursor.context())) return false;
        const auto character = separator(cursor);
        if (!character) return false;
        entries.push_back(
            {std::string(prefix->nil ? std::string_view{} : prefix->view), *character});
        for (cursor.skip_spaces(); !cursor.eat(')'); cursor.skip_spaces()) {
            if (!cursor.skip_value()) return false;  // extensions (RFC 2342 §5)
        }
    }
}

Parsed parse_namespaces(Cursor& cursor) {
    Namespaces names;
    if (!namespace_entries(cursor, names.personal)) return std::nullopt;
    if (!namespace_entries(cursor, names.other_users)) return std::nullopt;
    if (!namespace_entries(cursor, names.shared)) return std::nullopt;
    return names;
}

Parsed parse_quota(Cursor& cursor) {
    Quota quota;
    const auto root = name_before_more(cursor);
    if (!root) return std::nullopt;
    quota.root = *root;
    cursor.skip_spaces();
    if (!cursor.eat('(')) return std::nullopt;
    while (true) {
        cursor.skip_spaces();
        if (cursor.eat(')')) return quota;
        Quota::Resource resource{.name = cursor.word()};
        cursor.skip_spaces();
        const auto usage = lenient_number(cursor.word(), cursor.context(), true);
        cursor.skip_spaces();
        const auto limit = lenient_number(cursor.word(), cursor.context(), true);
        if (resource.name.empty()) return std::nullopt;
        // A limit that makes no sense (Zimbra: -1) is no limit.
        if (!usage || !limit) continue;
        resource.usage = *usage;
        resource.limit = *limit;
        quota.resources.push_back(resource);
    }
}

Parsed parse_quota_root(Cursor& cursor) {
    QuotaRoot root;
    const auto name = name_before_more(cursor);
    if (!name) return std::nullopt;
    root.name = *name;
    for (cursor.skip_spaces(); !cursor.at_end(); cursor.skip_spaces()) {
        const auto one = cursor.string();
        if (!one) return std::nullopt;
        root.roots.push_back(one->view);
    }
    return root;
}

Parsed parse_acl(Cursor& cursor) {
    Acl acl;
    const auto name = name_before_more(cursor);
    if (!name) return std::nullopt;
    acl.name = *name;
    for (cursor.skip_spaces(); !cursor.at_end(); cursor.skip_spaces()) {
        const auto who = cursor.string();
        cursor.skip_spaces();
        const auto rights = cursor.string();
        if (!who || !rights) return std::nullopt;
        acl.rights.emplace_back(who->view, rights->view);
    }
    return acl;
}

Parsed parse_my_rights(Cursor& cursor) {
    const auto name = name_before_more(cursor);
    if (!name) return std::nullopt;
    cursor.skip_spaces();
    const auto rights = cursor.string();
    if (!rights) return std::nullopt;
    return MyRights{*name, rights->view};
}

Parsed parse_flags(Cursor& cursor) {
    cursor.skip_spaces();
    auto flags = paren_words(cursor);
    if (!flags) return std::nullopt;
    return MailboxFlags{std::move(*flags)};
}

Parsed parse_numbered(std::string_view number, Cursor& cursor) {
    cursor.skip_spaces();
    const std::string_view name = cursor.word();
    const bool counted = is_word(name, "EXISTS") || is_word(name, "RECENT");
    if (!counted && !is_word(name, "EXPUNGE")) return std::nullopt;
    const auto value = to_u32(lenient_number(number, cursor.context(), counted));
    if (!value) return std::nullopt;
    if (is_word(name, "EXISTS")) return Exists{*value};
    if (is_word(name, "RECENT")) return Recent{*value};
    return Expunge{*value};
}

Parsed parse_named(std::string_view name, Cursor& cursor) {
    const auto is = [&](std::string_view other) { return is_word(name, other); };
    if (is("LIST")) return parse_list(cursor, ListEntry::Kind::list);
    if (is("LSUB")) return parse_list(cursor, ListEntry::Kind::lsub);
    if (is("XLIST")) return parse_list(cursor, ListEntry::Kind::xlist);
    if (is("STATUS")) return parse_status_data(cursor);
    if (is("SEARCH")) return parse_search(cursor);
    if (is("ESEARCH")) return parse_esearch(cursor);
    if (is("VANISHED")) return parse_vanished(cursor);
    if (is("FLAGS")) return parse_flags(cursor);
    if (is("CAPABILITY")) return Capabilities{capability_words(cursor)};
    if (is("ENABLED")) return Enabled{words_to_end(cursor)};
    if (is("ID")) return parse_id(cursor);
    if (is("NAMESPACE")) return parse_namespaces(cursor);
    if (is("QUOTA")) return parse_quota(cursor);
    if (is("QUOTAROOT")) return parse_quota_root(cursor);
    if (is("ACL")) return parse_acl(cursor);
    if (is("MYRIGHTS")) return parse_my_rights(cursor);
    return std::nullopt;
}

}  // namespace

bool is_object_id(std::string_view text) {
    return !text.empty() && text.size() <= 255 && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_';
    });
}

std::optional<std::uint32_t> to_u32(std::optional<std::uint64_t> value) {
    if (!value || *value > UINT32_MAX) return std::nullopt;
    return static_cast<std::uint32_t>(*value);
}

std::optional<std::uint64_t> lenient_number(std::string_view word, ParseContext& context,
                                            bool exponent_allowed) {
    const Digits digits = leading_digits(word);
    if (digits.length == word.size()) return digits.value;
    if (word.starts_with('-')) {
        context.note(Quirk::negative_number);
        return std::nullopt;
    }
    if (!exponent_allowed || digits.length == 0) return std::nullopt;
    double value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    const bool whole = error == std::errc{} && end == word.data() + word.size();
    if (!whole || !(value >= 0 && value < 0x1p63)) return std::nullopt;
    context.note(Quirk::exponent_number);
    return static_cast<std::uint64_t>(value);
}

std::optional<std::uint64_t> modseq_number(std::string_view word, ParseContext& context) {
    const auto value = parse_number(word);
    if (!value || *value > INT64_MAX) {
        context.note(Quirk::invalid_modseq);
        return std::nullopt;
    }
    return value;
}

std::vector<std::string_view> capability_words(Cursor& cursor) {
    std::vector<std::string_view> words;
    for (cursor.skip_spaces(); !cursor.at_end(); cursor.skip_spaces()) {
        const std::string_view word = cursor.until_space();
        const bool split =
            (word == "+" || word == "-") && !words.empty() && is_word(words.back(), "LITERAL");
        if (split) {
            cursor.context().note(Quirk::capability_with_space);
            words.back() = word == "+" ? "LITERAL+" : "LITERAL-";
            continue;
        }
        words.push_back(word);
        if (words.size() > limits::kCapabilitiesMax) {
            cursor.context().pass_limit("too many capabilities");
            break;
        }
    }
    return words;
}

Event parse_data(std::string_view text, ParseContext& context) {
    Cursor cursor(text, context);
    cursor.skip_spaces();
    const std::string_view name = cursor.word();
    const bool number = !name.empty() && (name[0] == '-' || (name[0] >= '0' && name[0] <= '9'));
    Parsed parsed = number ? parse_numbered(name, cursor) : parse_named(name, cursor);
    if (!parsed) return Unknown{text};
    return std::move(*parsed);
}

}  // namespace imapult::imap
