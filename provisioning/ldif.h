#pragma once
// LDIF (RFC 2849), read as a stream and written: versions, comments, folding, base64 and URL
// values, attribute options, change records, CRLF, UTF-16. Memory: one entry.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "provisioning/entry.h"
#include "provisioning/line_reader.h"

namespace imapult::provisioning {

/// What a record of the file asks for. A content record (no `changetype:`) is `add`.
enum class ChangeType : std::uint8_t { add, modify, remove, rename };

/// One step of a `changetype: modify` record.
struct Modification {
    enum class Op : std::uint8_t { add, replace, remove } op = Op::add;
    Attribute attribute;
};

struct Record {
    ChangeType change = ChangeType::add;
    Entry entry;  ///< with change == modify only the dn
    std::vector<Modification> modifications;
    Location where;  ///< `file` is left 0 by the reader
    std::uint32_t last_line = 0;
};

/// A line that is not LDIF, with what a person can do about it. The record it stands in is skipped.
struct Problem {
    std::uint32_t line = 0;
    std::string dn;    ///< of the record, as far as it is known; raw octets
    std::string what;  ///< a sentence with the cure; safe to print
};

/// Reads the octets a `attr:< URL` names; the error is the sentence for the problem.
using UrlReader = std::function<std::expected<std::string, std::string>(std::string_view url)>;

/// file:// URLs below `folder` only (after symbolic links are resolved): an LDIF file from
/// elsewhere must not be able to copy other files of this machine into a directory.
UrlReader file_urls_below(std::string folder);

class LdifReader {
  public:
    LdifReader(ByteSource& source, UrlReader urls);

    /// Next record; nothing at the end of the file. Problems found on the way are appended to
    /// `problems`; a record with a problem is not returned.
    std::optional<Record> next(std::vector<Problem>& problems);
    /// Continues at a record that was read before.
    void seek(const Location& where) {
        pending_.reset();
        lines_.seek(where.offset, where.line);
    }
    [[nodiscard]] const Result<>& error() const { return lines_.error(); }
    [[nodiscard]] Encoding encoding() const { return lines_.encoding(); }

  private:
    struct Building;
    bool logical_line(Line& line);
    void problem(Building& building, std::uint32_t line, std::string what);
    bool take_line(Building& building, const Line& line);
    void take_content(Building& building, const Line& line, std::string_view name,
                      std::string value);
    void take_modify(Building& building, const Line& line, std::string_view name,
                     std::string value);
    std::optional<std::string> value_of(Building& building, const Line& line, std::size_t colon);
    bool skip_blank_lines(Line& line);

    LineReader lines_;
    UrlReader urls_;
    Line folded_;                  ///< kept for its memory
    std::optional<Line> pending_;  ///< the first line of the next record, already read
    bool first_record_ = true;
};

/// True if RFC 2849 lets `value` stand as it is after "attr: " (SAFE-STRING, and no trailing
/// space).
bool is_ldif_safe(std::string_view value);
/// Appends `name: value` or `name:: base64`, folded at 76 columns, with LF.
void append_ldif_line(std::string& out, std::string_view name, std::string_view value);
/// Appends the entry with an empty line behind it.
void append_ldif_entry(std::string& out, const Entry& entry);

std::string base64_encode(std::string_view octets);
/// Nothing if it is not base64 (RFC 4648, section 4, with padding; blanks are not accepted).
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace imapult::provisioning
