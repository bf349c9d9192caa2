#pragma once
// Internal to imap/: the parsers of single framed responses, called by ResponseParser.

#include <optional>
#include <string_view>

#include "imap/lexer.h"
#include "imap/response.h"

namespace imapult::imap {

/// Which statuses a word names; nothing if none.
std::optional<Condition> condition_of(std::string_view word);

/// `text` follows the condition word: "[CODE …] human text".
Status parse_status(std::string_view tag, Condition condition, std::string_view text,
                    ParseContext& context);

/// An untagged response that is neither status nor FETCH; `text` follows "* ", without its line
/// end. Unknown where it is malformed; context.limit_passed is set where a limit was passed.
Event parse_data(std::string_view text, ParseContext& context);

/// Capability words, "LITERAL +" joined.
std::vector<std::string_view> capability_words(Cursor& cursor);

/// One item of a FETCH response.
struct BodySection {
    std::string_view section;
    std::optional<std::uint32_t> origin;
};
enum class ItemResult : std::uint8_t {
    done,       ///< an item other than a body was read
    body,       ///< a body section's name was read; its value is next
    malformed,  ///< or a limit was passed
};
ItemResult parse_fetch_item(Cursor& cursor, Fetch& fetch, BodySection& body);

/// Numbers of servers: plain, or of the wrong kinds that are known (negative: absent).
std::optional<std::uint64_t> lenient_number(std::string_view word, ParseContext& context,
                                            bool exponent_allowed);
std::optional<std::uint32_t> to_u32(std::optional<std::uint64_t> value);
/// MODSEQ and HIGHESTMODSEQ: anything but a number of 63 bits is a quirk and absent.
std::optional<std::uint64_t> modseq_number(std::string_view word, ParseContext& context);
/// RFC 8474 objectid: 1*255(ALPHA / DIGIT / "_" / "-").
bool is_object_id(std::string_view text);

}  // namespace imapult::imap
