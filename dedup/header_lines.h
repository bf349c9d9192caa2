#pragma once
// Header lines as identity sees them, whatever a server or a copying tool did to them on the way.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace imapult::dedup {

/// No line that a copying tool adds is longer; longer lines are never left out.
inline constexpr std::size_t kToolLineBytesMax = 256;

/// NUL becomes 0x80, as Dovecot does it; protocol notes, section "Identity".
inline char even_out(char c) {
    return c == '\0' ? '\x80' : c;
}

/// True if `line` (without its line end, evened out) was put there by a copying tool and not by the
/// message's sender or the servers on its way. `first`: it is the first line of the message.
/// The forms are exact, so that a sender gains nothing by imitating them but a line left out:
///   X-TUID: 12 characters of base64                     (isync, mbsync)
///   X-OfflineIMAP: digits-digits[-version]              (offlineimap; before 6.2 with a suffix of
///                                                        the name: -checksum-hex-hex)
///   Message-Id: <digits@imapsync>                       (imapsync --addheader; <> in some versions
///   only) From …                                              (mbox's separator, on the first line
///   only)
bool is_tool_line(std::string_view line, bool first);

/// One line of a header.
struct HeaderLine {
    std::string_view text;      ///< evened out: no CR, no line end, NUL as 0x80; valid in the call
    std::uint32_t bytes = 0;    ///< octets it takes in the message, with its line end
    bool continuation = false;  ///< begins with a blank: belongs to the line before (folding)
    bool from_tool = false;
};

/// Calls `visit` for every line up to the first empty one.
void each_header_line(std::string_view header, const std::function<void(const HeaderLine&)>& visit);

/// Name of the field a line begins, without blanks before the colon (RFC 5322, section 4.5.8);
/// empty if the line begins none.
std::string_view field_name(std::string_view line);

}  // namespace imapult::dedup
