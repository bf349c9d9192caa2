// The items of a FETCH or UIDFETCH response (RFC 9051 §7.5.2 and extensions), one at a time, so
// that the parser can stop at a body and go on behind it.
#include <algorithm>

#include "engine/base/limits.h"
#include "imap/command.h"
#include "imap/response_parts.h"

namespace imapult::imap {
namespace {

/// The item's name with its section and partial: "BODY[HEADER.FIELDS (DATE)]<0>".
std::string_view item_name(Cursor& cursor) {
    const std::string_view text = cursor.rest();
    std::size_t i = 0;
    while (i < text.size() && text[i] != ' ' && text[i] != '(' && text[i] != ')') {
        if (text[i++] != '[') continue;
        const std::size_t end = text.find(']', i);
        if (end == std::string_view::npos) break;
        i = end + 1;
        if (text.substr(i).starts_with('<')) i = std::min(text.find('>', i), text.size() - 1) + 1;
        break;
    }
    cursor.advance(i);
    return text.substr(0, i);
}

bool read_flags(Cursor& cursor, Fetch& fetch) {
    if (!cursor.eat('(')) return false;
    auto& flags = fetch.flags.emplace();
    while (true) {
        cursor.skip_spaces();
        if (cursor.eat(')')) return true;
        const std::string_view flag = cursor.word();
        if (flag.empty()) return false;
        // No destination takes such a word: it is left out, and costs neither message nor
        // connection.
        if (flag.size() > limits::kFlagBytesMax) continue;
        if (flags.empty()) flags.reserve(4);
        flags.push_back(flag);
        if (flags.size() > limits::kFlagsPerMessageMax) {
            cursor.context().pass_limit("too many flags on a message");
            return false;
        }
    }
}

bool read_labels(Cursor& cursor, Fetch& fetch) {
    auto& labels = fetch.gm_labels.emplace();
    if (!cursor.eat('(')) {
        const auto nil = cursor.string();
        return nil && nil->nil;
    }
    while (true) {
        cursor.skip_spaces();
        if (cursor.eat(')')) return true;
        const auto label = cursor.string();
        if (!label) return false;
        labels.push_back(label->view);
        if (labels.size() > limits::kFlagsPerMessageMax) {
            cursor.context().pass_limit("too many labels on a message");
            return false;
        }
    }
}

bool read_date(Cursor& cursor, Fetch& fetch) {
    const auto text = cursor.string();
    if (!text) return false;
    const auto date = parse_date_time(text->view);
    if (!date) {
        cursor.context().note(Quirk::garbled_date);
        fetch.internal_date.reset();
        return true;
    }
    fetch.internal_date = date->unix_seconds;
    fetch.internal_date_zone = date->zone_minutes;
    return true;
}

/// "(value)" or a bare value: EMAILID, THREADID, MODSEQ.
std::optional<std::string_view> value_in_parens(Cursor& cursor) {
    if (!cursor.eat('(')) return cursor.word();
    cursor.skip_spaces();
    const std::string_view value = cursor.word();
    cursor.skip_spaces();
    if (!cursor.eat(')')) return std::nullopt;
    return value;
}

bool read_object_id(Cursor& cursor, std::string_view& id) {
    const auto value = value_in_parens(cursor);
    if (!value) return false;
    id = is_object_id(*value) && !is_word(*value, "NIL") ? *value : std::string_view{};
    return true;
}

bool read_uid(Cursor& cursor, Fetch& fetch) {
    fetch.uid = to_u32(lenient_number(cursor.word(), cursor.context(), false));
    if (fetch.uid == 0U) fetch.uid.reset();
    return true;
}

bool read_modseq(Cursor& cursor, Fetch& fetch) {
    const auto value = value_in_parens(cursor);
    if (!value) return false;
    fetch.modseq = modseq_number(*value, cursor.context());
    return true;
}

bool read_digest(Cursor& cursor, Fetch& fetch) {
    const auto text = cursor.string();
    if (!text) return false;
    fetch.digest_sha1 = text->nil ? std::string_view{} : text->view;
    return true;
}

/// BODY[…], BINARY[…], RFC822, RFC822.HEADER, RFC822.TEXT: items whose value is message octets.
std::optional<BodySection> body_section(std::string_view name) {
    if (is_word(name, "RFC822")) return BodySection{};
    if (is_word(name, "RFC822.HEADER")) return BodySection{"HEADER", {}};
    if (is_word(name, "RFC822.TEXT")) return BodySection{"TEXT", {}};
    const std::size_t open = name.find('[');
    if (open == std::string_view::npos) return std::nullopt;
    const std::string_view verb = name.substr(0, open);
    if (!is_word(verb, "BODY") && !is_word(verb, "BINARY")) {
        return std::nullopt;
    }
    const std::size_t close = name.find(']', open);
    if (close == std::string_view::npos) return std::nullopt;
    BodySection section{name.substr(open + 1, close - open - 1), {}};
    const std::string_view partial = name.substr(close + 1);
    if (partial.starts_with('<')) section.origin = to_u32(leading_digits(partial.substr(1)).value);
    return section;
}

/// Items that are not bodies; `name` decides. Unknown ones are skipped whole.
bool read_plain_item(std::string_view name, Cursor& cursor, Fetch& fetch) {
    const auto is = [&](std::string_view other) { return is_word(name, other); };
    if (is("UID")) return read_uid(cursor, fetch);
    if (is("FLAGS")) return read_flags(cursor, fetch);
    if (is("RFC822.SIZE")) {
        fetch.size = lenient_number(cursor.word(), cursor.context(), true);
        return true;
    }
    if (is("INTERNALDATE")) return read_date(cursor, fetch);
    if (is("MODSEQ")) return read_modseq(cursor, fetch);
    if (is("EMAILID")) return read_object_id(cursor, fetch.email_id);
    if (is("THREADID")) return read_object_id(cursor, fetch.thread_id);
    if (is("X-GM-MSGID")) {
        fetch.gm_message_id = parse_number(cursor.word());
        return true;
    }
    if (is("X-GM-THRID")) {
        fetch.gm_thread_id = parse_number(cursor.word());
        return true;
    }
    if (is("X-GM-LABELS")) return read_labels(cursor, fetch);
    if (is("DIGEST.SHA1")) return read_digest(cursor, fetch);
    return cursor.skip_value();
}

}  // namespace

ItemResult parse_fetch_item(Cursor& cursor, Fetch& fetch, BodySection& body) {
    const std::string_view name = item_name(cursor);
    if (name.empty()) return ItemResult::malformed;
    cursor.skip_spaces();
    if (const auto section = body_section(name)) {
        body = *section;
        return ItemResult::body;
    }
    return read_plain_item(name, cursor, fetch) ? ItemResult::done : ItemResult::malformed;
}

}  // namespace imapult::imap
