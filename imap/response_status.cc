// Status responses and their codes (RFC 9051 §7.1, RFC 5530 and the extensions that add codes).
#include <array>

#include "engine/base/limits.h"
#include "imap/response_parts.h"
#include "imap/status_text.h"

namespace imapult::imap {
namespace {

struct CodeName {
    std::string_view name;
    ResponseCode code;
};
constexpr std::array kCodes = {
    CodeName{"ALERT", ResponseCode::alert},
    CodeName{"CAPABILITY", ResponseCode::capability},
    CodeName{"PERMANENTFLAGS", ResponseCode::permanent_flags},
    CodeName{"READ-ONLY", ResponseCode::read_only},
    CodeName{"READ-WRITE", ResponseCode::read_write},
    CodeName{"TRYCREATE", ResponseCode::try_create},
    CodeName{"UIDNEXT", ResponseCode::uid_next},
    CodeName{"UIDVALIDITY", ResponseCode::uid_validity},
    CodeName{"UIDNOTSTICKY", ResponseCode::uid_not_sticky},
    CodeName{"UNSEEN", ResponseCode::unseen},
    CodeName{"HIGHESTMODSEQ", ResponseCode::highest_modseq},
    CodeName{"NOMODSEQ", ResponseCode::no_modseq},
    CodeName{"MODIFIED", ResponseCode::modified},
    CodeName{"APPENDUID", ResponseCode::append_uid},
    CodeName{"COPYUID", ResponseCode::copy_uid},
    CodeName{"CLOSED", ResponseCode::closed},
    CodeName{"OVERQUOTA", ResponseCode::over_quota},
    CodeName{"TOOBIG", ResponseCode::too_big},
    CodeName{"LIMIT", ResponseCode::limit},
    CodeName{"UNAVAILABLE", ResponseCode::unavailable},
    CodeName{"SERVERBUG", ResponseCode::server_bug},
    CodeName{"INUSE", ResponseCode::in_use},
    CodeName{"CONTACTADMIN", ResponseCode::contact_admin},
    CodeName{"ALREADYEXISTS", ResponseCode::already_exists},
    CodeName{"NONEXISTENT", ResponseCode::nonexistent},
    CodeName{"AUTHENTICATIONFAILED", ResponseCode::authentication_failed},
    CodeName{"AUTHORIZATIONFAILED", ResponseCode::authorization_failed},
    CodeName{"EXPIRED", ResponseCode::expired},
    CodeName{"PRIVACYREQUIRED", ResponseCode::privacy_required},
    CodeName{"NOPERM", ResponseCode::no_perm},
    CodeName{"CANNOT", ResponseCode::cannot},
    CodeName{"CLIENTBUG", ResponseCode::client_bug},
    CodeName{"CORRUPTION", ResponseCode::corruption},
    CodeName{"EXPUNGEISSUED", ResponseCode::expunge_issued},
    CodeName{"COMPRESSIONACTIVE", ResponseCode::compression_active},
    CodeName{"MESSAGELIMIT", ResponseCode::message_limit},
    CodeName{"MAILBOXID", ResponseCode::mailbox_id},
    CodeName{"REFERRAL", ResponseCode::referral},
    CodeName{"NOTSAVED", ResponseCode::not_saved},
    CodeName{"HASCHILDREN", ResponseCode::has_children},
    CodeName{"THROTTLED", ResponseCode::throttled},
};

ResponseCode code_of(std::string_view name) {
    for (const CodeName& known : kCodes) {
        if (equal_ignoring_case(known.name, name)) return known.code;
    }
    return ResponseCode::other;
}

/// Offset of the `]` that ends a code: not one inside parentheses or a quoted string, because
/// keywords may hold it (Cyrus: "[PERMANENTFLAGS (a]b)]"); if there is no such one, the first.
std::size_t find_code_end(std::string_view text) {
    std::size_t depth = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted && c == '\\') {
            ++i;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && c == '(') {
            ++depth;
        } else if (!quoted && c == ')' && depth > 0) {
            --depth;
        } else if (!quoted && depth == 0 && c == ']') {
            return i;
        }
    }
    return text.find(']');
}

std::vector<std::string_view> list_words(std::string_view text) {
    std::vector<std::string_view> words;
    std::size_t i = 0;
    while (i < text.size()) {
        const std::size_t end = std::min(text.find_first_of(" ()", i), text.size());
        if (end > i) words.push_back(text.substr(i, end - i));
        i = end + 1;
    }
    return words;
}

void parse_number_codes(Status& status, ParseContext& context) {
    const auto words = list_words(status.code_text);
    if (words.empty()) return;
    if (status.code == ResponseCode::highest_modseq) {
        if (const auto modseq = modseq_number(words[0], context)) {
            status.numbers.push_back(*modseq);
        }
        return;
    }
    const auto number = to_u32(lenient_number(words[0], context, false));
    if (!number) return;
    if (status.code == ResponseCode::uid_next && *number == 0) {
        context.note(Quirk::uid_next_zero);
        return;
    }
    status.numbers.push_back(*number);
    if (status.code == ResponseCode::message_limit && words.size() > 1) status.uid_set = words[1];
}

void parse_uid_codes(Status& status, ParseContext& context) {
    const auto words = list_words(status.code_text);
    if (status.code == ResponseCode::modified) {
        if (!words.empty()) status.uid_set = words[0];
        return;
    }
    if (!words.empty()) {
        if (const auto validity = to_u32(lenient_number(words[0], context, false))) {
            status.numbers.push_back(*validity);
        }
    }
    if (status.code == ResponseCode::append_uid) {
        if (words.size() > 1) status.uid_set = words[1];
    } else if (words.size() > 2) {
        status.uid_set_source = words[1];
        status.uid_set = words[2];
    } else {
        context.note(Quirk::empty_copyuid);
    }
}

void parse_code_arguments(Status& status, ParseContext& context) {
    switch (status.code) {
        case ResponseCode::uid_next:
        case ResponseCode::uid_validity:
        case ResponseCode::unseen:
        case ResponseCode::highest_modseq:
        case ResponseCode::message_limit:
            parse_number_codes(status, context);
            break;
        case ResponseCode::append_uid:
        case ResponseCode::copy_uid:
        case ResponseCode::modified:
            parse_uid_codes(status, context);
            break;
        case ResponseCode::permanent_flags:
            status.words = list_words(status.code_text);
            break;
        case ResponseCode::capability: {
            Cursor cursor(status.code_text, context);
            status.words = capability_words(cursor);
            break;
        }
        case ResponseCode::mailbox_id:
            status.words = list_words(status.code_text);
            if (status.words.size() != 1 || !is_object_id(status.words[0])) {
                context.note(Quirk::garbage_mailbox_id);
                status.words.clear();
            }
            break;
        default:
            break;
    }
}

}  // namespace

std::string_view name_of(ResponseCode code) {
    if (code == ResponseCode::none) return "none";
    for (const CodeName& known : kCodes) {
        if (known.code == code) return known.name;
    }
    return "other";
}

std::optional<Condition> condition_of(std::string_view word) {
    if (is_word(word, "OK")) return Condition::ok;
    if (is_word(word, "NO")) return Condition::no;
    if (is_word(word, "BAD")) return Condition::bad;
    if (is_word(word, "BYE")) return Condition::bye;
    if (is_word(word, "PREAUTH")) return Condition::preauth;
    return std::nullopt;
}

Status parse_status(std::string_view tag, Condition condition, std::string_view text,
                    ParseContext& context) {
    Status status;
    status.tag = tag;
    status.condition = condition;
    while (text.starts_with(' ')) text.remove_prefix(1);
    status.text = text;
    const std::size_t end = text.starts_with('[') ? find_code_end(text) : std::string_view::npos;
    if (end != std::string_view::npos) {
        const std::string_view inside = text.substr(1, end - 1);
        const std::size_t space = std::min(inside.find(' '), inside.size());
        status.code_name = inside.substr(0, space);
        status.code_text = inside.substr(std::min(space + 1, inside.size()));
        status.code = code_of(status.code_name);
        text.remove_prefix(end + 1);
        while (text.starts_with(' ')) text.remove_prefix(1);
        status.text = text;
        parse_code_arguments(status, context);
    }
    if (status.code == ResponseCode::none && is_throttling(status)) {
        status.code = ResponseCode::throttled;
    }
    return status;
}

}  // namespace imapult::imap
