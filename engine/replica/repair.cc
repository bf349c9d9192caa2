#include "engine/replica/repair.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "engine/base/text.h"

namespace imapult::replica {
namespace {

constexpr std::size_t kEncodedWordOctets = 42;  ///< of text: 75 characters with its frame

bool is_8bit(char c) {
    return (static_cast<unsigned char>(c) & 0x80) != 0;
}
bool has_8bit(std::string_view text) {
    return std::any_of(text.begin(), text.end(), is_8bit);
}
bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/// Up to and with its line end.
std::string_view take_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end == std::string_view::npos ? end : end + 1);
    rest.remove_prefix(line.size());
    return line;
}
std::string_view without_line_end(std::string_view line) {
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

std::string crlf_for_bare_lf(std::string_view message) {
    std::string out;
    out.reserve(message.size() + message.size() / 32);
    char before = 0;
    for (const char c : message) {
        if (c == '\n' && before != '\r') out += '\r';
        out += c;
        before = c;
    }
    return out;
}

bool has_bare_lf(std::string_view message) {
    for (std::size_t at = message.find('\n'); at != std::string_view::npos;
         at = message.find('\n', at + 1)) {
        if (at == 0 || message[at - 1] != '\r') return true;
    }
    return false;
}

bool has_from_line(std::string_view message) {
    const bool field = message.starts_with("From :");  // RFC 5322 §4.5
    return message.starts_with("From ") && !field && message.find('\n') != std::string_view::npos;
}

std::string with_final_crlf(std::string_view message) {
    if (message.ends_with("\r\n")) return std::string(message);
    if (message.ends_with('\n')) message.remove_suffix(1);
    if (message.ends_with('\r')) message.remove_suffix(1);
    return std::string(message) + "\r\n";
}

// --- RFC 2047 -----------------------------------------------------------------------------------

std::string base64(std::string_view octets) {
    static constexpr std::string_view kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t i = 0; i < octets.size(); i += 3) {
        const auto at = [&](std::size_t n) {
            return n < octets.size() ? static_cast<unsigned>(static_cast<unsigned char>(octets[n]))
                                     : 0U;
        };
        const unsigned bits = (at(i) << 16) | (at(i + 1) << 8) | at(i + 2);
        out += kAlphabet[bits >> 18];
        out += kAlphabet[(bits >> 12) & 63];
        out += i + 1 < octets.size() ? kAlphabet[(bits >> 6) & 63] : '=';
        out += i + 2 < octets.size() ? kAlphabet[bits & 63] : '=';
    }
    return out;
}

/// As many encoded words as it takes, each on a line of its own from the second on (RFC 2047 §2).
/// Text that is not UTF-8 gets the charset of RFC 1428 §3.
std::string encoded_words(std::string_view text) {
    const bool utf8 = is_utf8(text);
    std::string out;
    while (!text.empty()) {
        std::size_t part = std::min(text.size(), kEncodedWordOctets);
        // Never in the middle of a character (RFC 2047 §5).
        while (utf8 && part < text.size() &&
               (static_cast<unsigned char>(text[part]) & 0xC0) == 0x80)
            --part;
        if (!out.empty()) out += "\r\n ";
        out += utf8 ? "=?utf-8?B?" : "=?unknown-8bit?B?";
        out += base64(text.substr(0, part)) + "?=";
        text.remove_prefix(part);
    }
    return out;
}

/// Behind the quoted string that begins at `at`; the end of the text if it is not closed.
std::size_t behind_quoted(std::string_view text, std::size_t at) {
    for (++at; at < text.size() && text[at] != '"'; ++at) at += text[at] == '\\' ? 1 : 0;
    return std::min(text.size(), at + 1);
}

/// Behind the address in `<…>` that begins at `at`; the end of the text if it is not closed.
std::size_t behind_angle(std::string_view text, std::size_t at) {
    while (at < text.size() && text[at] != '>')
        at = text[at] == '"' ? behind_quoted(text, at) : at + 1;
    return std::min(text.size(), at + 1);
}

/// A piece of a field's value: blanks, or what stands between them; in an address field a quoted
/// string and an address in `<…>` are one piece each.
std::string_view take_piece(std::string_view& rest, bool quotes) {
    std::size_t end = 0;
    if (is_blank(rest[0])) {
        while (end < rest.size() && is_blank(rest[end])) ++end;
    } else if (quotes && rest[0] == '"') {
        end = behind_quoted(rest, 0);
    } else if (quotes && rest[0] == '<') {
        end = behind_angle(rest, 0);
    } else {
        // In an address these end a word; elsewhere only blanks do.
        static constexpr std::string_view kEnds = "<>\",();";
        while (end < rest.size() && !is_blank(rest[end])) {
            const bool ends = quotes && kEnds.contains(rest[end]);
            if (ends && end > 0) break;
            ++end;
            if (ends) break;
        }
    }
    const std::string_view piece = rest.substr(0, end);
    rest.remove_prefix(end);
    return piece;
}

std::string unquoted(std::string_view piece) {
    if (!piece.starts_with('"')) return std::string(piece);
    std::string out;
    for (std::size_t i = 1; i < piece.size(); ++i) {
        if (piece[i] == '\\' && i + 1 < piece.size()) {
            out += piece[++i];
        } else if (piece[i] != '"') {
            out += piece[i];
        }
    }
    return out;
}

/// In an address field: an address, which holds no encoded words (RFC 2047 §5). `rest` follows it.
bool is_address(std::string_view piece, std::string_view rest) {
    if (piece[0] == '<') return true;
    return piece[0] == '"' ? rest.starts_with('@') : piece.contains('@');
}

/// The value of one header line, without its line end. Words with 8-bit octets that stand together
/// become one encoded text, the blanks between them included.
std::string encode_value(std::string_view value, bool quotes) {
    std::string out, text, blanks;
    const auto close = [&] {
        if (!text.empty()) {
            // An encoded word stands apart from what is in front of it.
            if (!out.empty() && !is_blank(out.back()) && out.back() != '(') out += ' ';
            out += encoded_words(text);
        }
        text.clear();
    };
    bool behind_word = false;  // an encoded word stands apart from what is behind it, too
    while (!value.empty()) {
        const std::string_view piece = take_piece(value, quotes);
        if (is_blank(piece[0])) {
            blanks = piece;
            continue;
        }
        if (has_8bit(piece) && !(quotes && is_address(piece, value))) {
            if (text.empty()) {
                out += blanks;
            } else {
                text += blanks;
            }
            text += quotes ? unquoted(piece) : std::string(piece);
            behind_word = true;
        } else {
            close();
            const bool apart = piece[0] == ',' || piece[0] == ')' || piece[0] == ';';
            if (behind_word && blanks.empty() && !apart) blanks = " ";
            out += blanks;
            out += piece;
            behind_word = false;
        }
        blanks.clear();
    }
    close();
    return out + blanks;
}

/// `text` ends in `name=` or `filename=`, as a parameter.
bool ends_in_name(std::string_view text) {
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    if (!text.ends_with('=')) return false;
    text.remove_suffix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    const std::size_t before = text.find_last_of("; \t");
    const std::string_view name = text.substr(before == std::string_view::npos ? 0 : before + 1);
    return equal_ignoring_case(name, "name") || equal_ignoring_case(name, "filename");
}

/// One line of a field with parameters (`Content-Type: …; name="…"`). Of these only names are text,
/// and encoded words in them, though against RFC 2047 §5, are what mail programs write and read;
/// all else is structure. `in_quotes`: the line begins, or the next one does, inside a quoted
/// string.
std::string encode_names(std::string_view value, bool& in_quotes) {
    std::string out;
    std::size_t at = 0;
    while (at < value.size()) {
        if (!in_quotes && value[at] != '"') {
            out += value[at++];
            continue;
        }
        // What is left of a string that began on an earlier line stays as it is.
        const bool name = !in_quotes && ends_in_name(value.substr(0, at));
        const std::size_t begin = in_quotes ? at : at + 1;
        std::size_t end = begin;
        while (end < value.size() && value[end] != '"') end += value[end] == '\\' ? 2 : 1;
        in_quotes = end >= value.size();
        const std::string_view quoted =
            value.substr(at, in_quotes ? value.size() - at : end + 1 - at);
        if (name && !in_quotes && has_8bit(quoted)) {
            out += '"' + encoded_words(unquoted(quoted)) + '"';
        } else {
            out += quoted;
        }
        at += quoted.size();
    }
    return out;
}

enum class FieldKind : std::uint8_t { text, addresses, parameters };

bool is_address_field(std::string_view name) {
    static constexpr std::array<std::string_view, 12> kNames{"from",
                                                             "to",
                                                             "cc",
                                                             "bcc",
                                                             "reply-to",
                                                             "sender",
                                                             "resent-from",
                                                             "resent-to",
                                                             "resent-cc",
                                                             "resent-bcc",
                                                             "resent-sender",
                                                             "disposition-notification-to"};
    const std::string lower = to_lower(name);
    return std::find(kNames.begin(), kNames.end(), lower) != kNames.end();
}

/// Content-Description is the one text among the Content- fields (RFC 2045 §8).
FieldKind kind_of_field(std::string_view name) {
    const std::string lower = to_lower(name);
    if (lower.starts_with("content-") && lower != "content-description")
        return FieldKind::parameters;
    return is_address_field(name) ? FieldKind::addresses : FieldKind::text;
}

std::string with_encoded_header(std::string_view message) {
    std::string out;
    out.reserve(message.size() + 256);
    FieldKind kind = FieldKind::text;
    bool in_quotes = false;
    while (!message.empty()) {
        const std::string_view line = take_line(message);
        const std::string_view text = without_line_end(line);
        if (text.empty()) {
            out += line;
            break;
        }
        const std::size_t colon = is_blank(text[0]) ? std::string_view::npos : text.find(':');
        const std::size_t head = colon == std::string_view::npos ? 0 : colon + 1;
        if (head > 0) {
            kind = kind_of_field(trim(text.substr(0, colon)));
            in_quotes = false;
        }
        const std::string_view value = text.substr(head);
        // A line that neither begins nor continues a field is no place for an encoded word.
        const bool field = head > 0 || is_blank(text[0]);
        const bool quiet = kind != FieldKind::parameters && !has_8bit(value);
        if (!field || quiet || has_8bit(text.substr(0, head))) {
            out += line;
            continue;
        }
        out += text.substr(0, head);
        out += kind == FieldKind::parameters ? encode_names(value, in_quotes)
                                             : encode_value(value, kind == FieldKind::addresses);
        out += line.substr(text.size());
    }
    out += message;
    return out;
}

/// A field line that encoding would change: the same condition as in with_encoded_header().
bool has_8bit_header(std::string_view message) {
    const std::size_t end = std::min(message.find("\n\r\n"), message.find("\n\n"));
    const std::string_view header = message.substr(0, end);
    return has_8bit(header) && with_encoded_header(header) != header;
}

// --- long lines ---------------------------------------------------------------------------------

bool has_line_over(std::string_view message, std::size_t most) {
    while (!message.empty()) {
        if (without_line_end(take_line(message)).size() > most) return true;
    }
    return false;
}

/// Knows of the lines so far whether the next one is a header's and how its part is encoded.
class Place {
  public:
    [[nodiscard]] bool in_header() const { return header_; }
    [[nodiscard]] bool quoted_printable() const { return quoted_printable_; }
    void pass(std::string_view line) {
        if (header_) {
            if (line.empty()) header_ = false;
            const std::size_t colon = line.find(':');
            if (colon != std::string_view::npos &&
                equal_ignoring_case(trim(line.substr(0, colon)), "Content-Transfer-Encoding")) {
                quoted_printable_ =
                    equal_ignoring_case(trim(line.substr(colon + 1)), "quoted-printable");
            }
        } else if (line.starts_with("--") && line.size() > 2 && line.size() <= 74) {
            header_ = true;  // of a part, if it is a boundary; a text's rule does no harm
            quoted_printable_ = false;
        }
    }

  private:
    bool header_ = true;
    bool quoted_printable_ = false;
};

/// A field is folded in front of a blank (RFC 5322 §2.2.3); without any it stays as it is, since a
/// blank put into it would be a change of its value.
void fold(std::string& out, std::string_view line, std::size_t most) {
    while (line.size() > most) {
        std::size_t at = line.find_last_of(" \t", most);
        while (at != std::string_view::npos && at > 0 && is_blank(line[at - 1])) --at;
        if (at == std::string_view::npos || at == 0) {
            at = line.find_first_of(" \t", most);
            if (at == std::string_view::npos) break;
        }
        out += line.substr(0, at);
        out += "\r\n";
        line.remove_prefix(at);
    }
    out += line;
}

/// `at`, or up to three octets less where it is in the middle of a UTF-8 character.
std::size_t before_character(std::string_view line, std::size_t at) {
    for (std::size_t back = 0; back < 4 && back < at; ++back) {
        if ((static_cast<unsigned char>(line[at - back]) & 0xC0) != 0x80) return at - back;
    }
    return at;
}

/// Behind the last blank of the room, or in the middle of a word if there is none; in
/// quoted-printable with a soft line break, which says that there is none (RFC 2045 §6.7).
void wrap(std::string& out, std::string_view line, std::size_t most, bool quoted_printable) {
    while (line.size() > most) {
        std::size_t at = most;
        if (quoted_printable) {
            --at;  // room for `=`
            if (line[at - 1] == '=') {
                at -= 1;
            } else if (line[at - 2] == '=') {
                at -= 2;
            }
            out += line.substr(0, at);
            out += "=\r\n";
        } else {
            const std::size_t blank = line.find_last_of(" \t", most - 1);
            if (blank != std::string_view::npos) at = blank + 1;
            if (blank == std::string_view::npos) at = before_character(line, at);
            out += line.substr(0, at);
            out += "\r\n";
        }
        line.remove_prefix(at);
    }
    out += line;
}

std::string with_lines_up_to(std::string_view message, std::size_t most) {
    std::string out;
    out.reserve(message.size() + message.size() / most * 3);
    Place place;
    while (!message.empty()) {
        const std::string_view line = take_line(message);
        const std::string_view text = without_line_end(line);
        if (text.size() <= most) {
            out += text;
        } else if (place.in_header()) {
            fold(out, text, most);
        } else {
            wrap(out, text, most, place.quoted_printable());
        }
        out += line.substr(text.size());
        place.pass(text);
    }
    return out;
}

constexpr std::array kAllSteps{kCrlfForBareLf, kDropFromLine, kLiteral8,     kReplaceNul,
                               kFinalCrlf,     kEncodeHeader, kWrapVeryLong, kWrapLong};

std::string one_step(std::string_view message, RepairStep step) {
    switch (step) {
        case kCrlfForBareLf:
            return crlf_for_bare_lf(message);
        case kDropFromLine:
            if (has_from_line(message)) message.remove_prefix(message.find('\n') + 1);
            return std::string(message);
        case kLiteral8:
            return std::string(message);
        case kReplaceNul: {
            std::string out(message);
            std::replace(out.begin(), out.end(), '\0', '\x80');
            return out;
        }
        case kFinalCrlf:
            return with_final_crlf(message);
        case kEncodeHeader:
            return with_encoded_header(message);
        case kWrapVeryLong:
            return with_lines_up_to(message, kVeryLongLine);
        case kWrapLong:
            return with_lines_up_to(message, kLongLine);
    }
    return std::string(message);
}

}  // namespace

std::uint8_t applicable_repairs(std::string_view message, bool binary) {
    if (message.empty()) return 0;
    unsigned steps = 0;
    if (has_bare_lf(message)) steps |= kCrlfForBareLf;
    if (has_from_line(message)) steps |= kDropFromLine;
    if (message.find('\0') != std::string_view::npos)
        steps |= kReplaceNul | (binary ? unsigned{kLiteral8} : 0U);
    if (!message.ends_with("\r\n") && !message.ends_with('\n')) steps |= kFinalCrlf;
    if (has_8bit_header(message)) steps |= kEncodeHeader;
    if (has_line_over(message, kVeryLongLine)) steps |= kWrapVeryLong;
    if (has_line_over(message, kLongLine)) steps |= kWrapLong;
    return static_cast<std::uint8_t>(steps);
}

std::vector<std::uint8_t> repair_ladder(std::string_view message, bool binary) {
    const std::uint8_t all = applicable_repairs(message, binary);
    std::vector<std::uint8_t> tries;
    const auto bit = [](RepairStep step) { return static_cast<unsigned>(step); };
    const auto add = [&tries](unsigned steps) {
        const auto byte = static_cast<std::uint8_t>(steps);
        if (byte != 0 && std::find(tries.begin(), tries.end(), byte) == tries.end())
            tries.push_back(byte);
    };
    for (const RepairStep step : kAllSteps) add(all & bit(step));
    // Together: a NUL is either kept by BINARY or replaced, a line wrapped at one length only.
    unsigned together = 0;
    for (const RepairStep step : kAllSteps) {
        if ((all & bit(step)) == 0) continue;
        if (step == kReplaceNul) together &= ~bit(kLiteral8);
        if (step == kWrapLong) together &= ~bit(kWrapVeryLong);
        together |= bit(step);
        add(together);
    }
    return tries;
}

std::string repaired(std::string_view message, std::uint8_t steps) {
    std::string out(message);
    for (const RepairStep step : kAllSteps) {
        if ((steps & step) != 0) out = one_step(out, step);
    }
    return out;
}

std::string words_of_repairs(std::uint8_t steps) {
    static constexpr std::array<std::string_view, 8> kWords{"CRLF for bare LF",
                                                            "mbox's From line dropped",
                                                            "NUL sent as BINARY",
                                                            "NUL to 0x80",
                                                            "CRLF added at the end",
                                                            "8-bit header encoded (RFC 2047)",
                                                            "lines over 10,000 octets wrapped",
                                                            "lines over 998 octets wrapped"};
    std::string text;
    for (std::size_t i = 0; i < kAllSteps.size(); ++i) {
        if ((steps & kAllSteps[i]) == 0) continue;
        if (!text.empty()) text += ", ";
        text +=
            kWords[static_cast<std::size_t>(std::countr_zero(static_cast<unsigned>(kAllSteps[i])))];
    }
    return text;
}

}  // namespace imapult::replica
