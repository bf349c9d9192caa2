#pragma once
// Internal to imap/: what commands are written with.

#include <string_view>

#include "engine/base/text.h"
#include "imap/command.h"

namespace imapult::imap {

/// RFC 9051 atom: at least one ATOM-CHAR, nothing else.
bool is_atom(std::string_view text);
/// A quoted string for ID (RFC 2971): what is not printable ASCII is left out, 1024 octets at most.
std::string encode_id_string(std::string_view text);

/// format_date_time() into `out`.
void append_date_time(std::string& out, std::int64_t unix_seconds, std::int16_t zone_minutes);

/// Writes one command, argument by argument; the first error sticks and is returned by finish().
class CommandWriter {
  public:
    CommandWriter(std::string_view verb, EncodeOptions options);

    CommandWriter& raw(std::string_view text);   ///< of our own, safe as it is
    CommandWriter& atom(std::string_view text);  ///< " " and an atom
    /// " " and a mailbox name or other astring: atom, quoted string or literal.
    CommandWriter& astring(std::string_view text);
    /// The same, never as an atom (LOGIN: some servers misread atoms).
    CommandWriter& string(std::string_view text);
    CommandWriter& number(std::uint64_t value);                     ///< without a space
    CommandWriter& flags(std::span<const std::string_view> flags);  ///< " (…)"
    CommandWriter& barrier();
    CommandWriter& fail(std::string text);
    Result<Command> finish();
    /// For commands whose arguments are all our own.
    Command finish_own();

  private:
    void literal(std::string_view text);

    Command command_;
    std::string line_;
    EncodeOptions options_;
    std::size_t line_bytes_ = 0;  ///< of pieces already closed by a literal's announcement
    std::string error_;
};

}  // namespace imapult::imap
