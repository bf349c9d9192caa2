// What a report says of a message: RFC 2047 decoded, and safe to print.

#include <iconv.h>
#include <mimetic/codec/base64.h>
#include <mimetic/codec/code.h>
#include <mimetic/codec/qp.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <iterator>
#include <optional>
#include <string>

#include "dedup/header_lines.h"
#include "dedup/identity.h"
#include "engine/base/text.h"

namespace imapult::dedup {
namespace {

constexpr std::size_t kFieldBytesMax = 4096;   // of a field that are looked at
constexpr std::size_t kSummaryBytesMax = 200;  // of the decoded text that are shown
constexpr std::size_t kCharsetBytesMax = 40;

/// Converts to UTF-8; what cannot be converted becomes U+FFFD. Nothing for an unknown charset.
std::optional<std::string> to_utf8(std::string_view bytes, const std::string& charset) {
    const iconv_t converter = iconv_open("UTF-8", charset.c_str());
    // The type of an iconv_t is a pointer, its error value -1.
    if (converter == reinterpret_cast<iconv_t>(-1)) return std::nullopt;
    std::string out;
    std::string in(bytes);
    char* next = in.data();
    std::size_t left = in.size();
    while (left > 0) {
        char buffer[512];
        char* end = buffer;
        std::size_t room = sizeof buffer;
        const std::size_t converted = iconv(converter, &next, &left, &end, &room);
        out.append(buffer, sizeof buffer - room);
        if (converted == static_cast<std::size_t>(-1) && errno != E2BIG) {
            out += "\uFFFD";
            ++next;
            --left;
        }
    }
    iconv_close(converter);
    return out;
}

/// One encoded word (RFC 2047, section 2) at the start of `text`; nothing if there is none.
struct EncodedWord {
    std::string charset;
    std::string bytes;
    std::size_t length = 0;  ///< octets it takes in the text
};

std::optional<EncodedWord> encoded_word(std::string_view text) {
    if (!text.starts_with("=?")) return std::nullopt;
    const std::size_t charset_end = text.find('?', 2);
    if (charset_end == std::string_view::npos || charset_end + 3 > text.size()) return std::nullopt;
    if (text[charset_end + 2] != '?') return std::nullopt;
    const std::size_t end = text.find("?=", charset_end + 3);
    if (end == std::string_view::npos) return std::nullopt;
    EncodedWord word;
    std::string_view charset = text.substr(2, charset_end - 2);
    charset = charset.substr(0, charset.find('*'));  // RFC 2231, section 5: language behind it
    if (charset.empty() || charset.size() > kCharsetBytesMax) return std::nullopt;
    word.charset = charset;
    word.length = end + 2;
    std::string payload(text.substr(charset_end + 3, end - charset_end - 3));
    switch (text[charset_end + 1]) {
        case 'B':
        case 'b': {
            mimetic::Base64::Decoder decoder;
            mimetic::code(payload.begin(), payload.end(), decoder, std::back_inserter(word.bytes));
            return word;
        }
        case 'Q':
        case 'q': {
            std::ranges::replace(payload, '_', ' ');
            mimetic::QP::Decoder decoder;
            mimetic::code(payload.begin(), payload.end(), decoder, std::back_inserter(word.bytes));
            return word;
        }
        default:
            return std::nullopt;
    }
}

/// Decodes the encoded words of an unfolded value; blanks between two of them do not count.
/// Neighbours of one charset are joined first: some senders cut characters in two.
std::string decode_words(std::string_view value) {
    std::string out;
    std::string pending;
    std::string charset;
    const auto settle = [&] {
        if (pending.empty()) return;
        out += to_utf8(pending, charset).value_or(pending);
        pending.clear();
    };
    while (!value.empty()) {
        const std::size_t blanks = std::min(value.find_first_not_of(" \t"), value.size());
        std::optional<EncodedWord> word = encoded_word(value.substr(blanks));
        if (!word) {
            settle();
            out.append(value.substr(0, blanks));
            value.remove_prefix(blanks);
            const std::size_t next = std::min(value.find_first_of(" \t", 1), value.size());
            // An encoded word may stand where it should not, inside another word.
            const std::size_t inner = value.empty() ? next : std::min(value.find("=?", 1), next);
            out.append(value.substr(0, inner));
            value.remove_prefix(inner);
            continue;
        }
        const bool joins = !pending.empty() && equal_ignoring_case(charset, word->charset);
        if (!joins) {
            const bool behind_word = !pending.empty();
            settle();
            if (!behind_word) out.append(value.substr(0, blanks));
            charset = word->charset;
        }
        pending += word->bytes;
        value.remove_prefix(blanks + word->length);
    }
    settle();
    return out;
}

std::string shown(std::string_view value, bool decode) {
    const std::string_view raw = trim(value);
    std::string text = decode ? decode_words(raw) : std::string(raw);
    // Raw 8-bit text of old senders: most of it is Latin-1 where it is not UTF-8.
    if (!is_utf8(text)) text = to_utf8(text, "ISO-8859-1").value_or(text);
    return printable(text, kSummaryBytesMax);
}

}  // namespace

HeaderSummary summarise_header(std::string_view header) {
    struct Field {
        std::string_view name;
        std::string value;
        bool seen = false;
    };
    Field fields[] = {{"Message-ID", {}, false},
                      {"Subject", {}, false},
                      {"From", {}, false},
                      {"Date", {}, false}};
    Field* open = nullptr;
    each_header_line(header, [&](const HeaderLine& line) {
        std::string_view text = line.text;
        if (!line.continuation) {
            open = nullptr;
            if (line.from_tool) return;
            const std::string_view name = field_name(text);
            for (Field& field : fields) {
                if (!field.seen && equal_ignoring_case(field.name, name)) open = &field;
            }
            if (open == nullptr) return;
            open->seen = true;
            text.remove_prefix(text.find(':') + 1);
        }
        if (open == nullptr) return;
        const std::size_t room = kFieldBytesMax - std::min(kFieldBytesMax, open->value.size());
        open->value.append(text.substr(0, room));
    });
    HeaderSummary summary;
    try {
        summary.message_id = shown(fields[0].value, false);
        summary.subject = shown(fields[1].value, true);
        summary.from = shown(fields[2].value, true);
        summary.date = shown(fields[3].value, false);
    } catch (const std::exception&) {
        // A header that no decoder takes: the report does without.
    }
    return summary;
}

}  // namespace imapult::dedup
