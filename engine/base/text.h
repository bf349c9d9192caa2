#pragma once
// Text that came from elsewhere, made safe to show; and small string helpers everybody needs.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace imapult {

/// Copy of `bytes` that may go to a terminal, a log or a report: control characters (C0, DEL, C1,
/// bidirectional overrides) and invalid UTF-8 become \xNN or \u{NNNN}; at most `bytes_max` octets
/// of input are shown, then "…".
std::string printable(std::string_view bytes, std::size_t bytes_max = 512);

/// True if `bytes` is well-formed UTF-8 (RFC 3629: no surrogates, no over-long forms).
bool is_utf8(std::string_view bytes);

/// ASCII-only lower case and comparison: IMAP keywords, host names, header names.
std::string to_lower(std::string_view text);
bool equal_ignoring_case(std::string_view a, std::string_view b);

/// Strips blanks and tabs (and CR, LF) at both ends.
std::string_view trim(std::string_view text);

/// Decimal digits only, no sign; nothing on overflow or any other character.
std::optional<std::uint64_t> parse_number(std::string_view digits);

}  // namespace imapult
