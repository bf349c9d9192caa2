#pragma once
// Content lines of iCalendar and vCard (RFC 5545, section 3.1; RFC 6350, section 3.3): unfolding,
// splitting into name, parameters and value, and back.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace imapult::importers {

struct Parameter {
    std::string name;   // upper case
    std::string value;  // without surrounding quotes; several values joined by ','
};

struct ContentLine {
    std::string group;  // vCard: "item1"; else empty
    std::string name;   // upper case
    std::vector<Parameter> parameters;
    std::string value;
    std::size_t line = 0;  // physical, from 1

    /// First parameter of that name, or null.
    [[nodiscard]] const Parameter* parameter(std::string_view wanted) const;
    void remove_parameter(std::string_view unwanted);
    void set_parameter(std::string_view name, std::string value);
};

/// A component begins or ends here: nothing stands between the word and the colon, and its name is
/// never folded (what is indented below is another line).
bool is_component_line(std::string_view line);

/// A component's name as everybody will read it: upper case, without control characters,
/// what is no letter, digit, '-' or '_' replaced (RFC 5545, section 3.1: iana-token, x-name).
std::string component_name(std::string_view raw);

/// Walks unfolded lines. Line ends are LF or CRLF. `quoted_printable`: a line that ends in '=' and
/// has ENCODING=QUOTED-PRINTABLE goes on in the next one (vCalendar 1.0, vCard 2.1).
class LineReader {
  public:
    LineReader(std::string_view text, std::size_t first_line, bool quoted_printable = false)
        : rest_(text), line_(first_line), quoted_printable_(quoted_printable) {}

    /// False at the end. The view lives until the next call.
    bool next(std::string_view& line, std::size_t& number);

  private:
    std::string_view physical();

    std::string_view rest_;
    std::size_t line_;
    bool quoted_printable_;
    std::string buffer_;
};

/// False if there is no name and colon. `bare_types`: parameters without '=' are allowed
/// (2.1, 1.0).
bool parse_content_line(std::string_view text, ContentLine& out, bool bare_types = false);

/// With CRLF, folded at 75 octets without cutting a character.
std::string write_content_line(const ContentLine& line);
/// The same at the end of `out`.
void append_content_line(const ContentLine& line, std::string& out);

/// Takes out everything but TAB that no text may hold; true if there was any.
bool drop_controls(std::string& text);

/// Text values: \\n, \\, \; \, and back (RFC 5545, section 3.3.11).
std::string unescape_text(std::string_view value);
std::string escape_text(std::string_view text);

std::string decode_quoted_printable(std::string_view text);
/// Nothing of it if it is no base64.
std::string decode_base64(std::string_view text);
std::string encode_base64(std::string_view bytes);

}  // namespace imapult::importers
