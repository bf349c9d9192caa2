#pragma once
// Physical lines of a text file with their place in it: UTF-8 or UTF-16 (ldifde writes it), with or
// without BOM. Memory: one block and one line.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace imapult::provisioning {

enum class Encoding : std::uint8_t { utf8, utf16_le, utf16_be };

/// Random access to octets: a file, or memory in tests.
class ByteSource {
  public:
    virtual ~ByteSource() = default;
    /// Reads up to `size` octets at `offset`; 0 means the end.
    virtual Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t size) = 0;
};

/// A regular file opened for reading; anything else (a pipe, a folder) is refused with the cure.
Result<std::unique_ptr<ByteSource>> open_file(const std::string& path);
/// A copy of `bytes`.
std::unique_ptr<ByteSource> memory_source(std::string bytes);

struct Line {
    std::string text;  ///< UTF-8 where the file was UTF-16; without CR and LF
    std::uint64_t offset = 0;
    std::uint32_t number = 0;
    bool too_long = false;  ///< passed limits::kLineBytesMax; `text` is empty
};

class LineReader {
  public:
    /// Detects the encoding from the first octets and skips a BOM.
    explicit LineReader(ByteSource& source);

    /// Next line into `line`; false at the end of the file. A read error ends the file and is kept
    /// in error().
    bool next(Line& line);
    /// True if a next line is there and begins with a space: what LDIF calls a folded line.
    bool next_begins_with_space();
    /// Continues at an offset that an earlier line had.
    void seek(std::uint64_t offset, std::uint32_t number);

    [[nodiscard]] std::uint64_t offset() const { return position_; }
    [[nodiscard]] Encoding encoding() const { return encoding_; }
    [[nodiscard]] const Result<>& error() const { return error_; }

  private:
    bool fill();
    bool take_raw(std::string& raw, bool& too_long);

    ByteSource& source_;
    Encoding encoding_ = Encoding::utf8;
    std::string block_;
    std::uint64_t block_offset_ = 0;  ///< of block_[0] in the file
    std::uint64_t position_ = 0;      ///< next octet to hand out
    std::uint32_t number_ = 0;
    std::string raw_;  ///< a line in UTF-16
    Result<> error_;
};

/// UTF-16 octets to UTF-8; a lone surrogate or odd octet becomes U+FFFD.
std::string utf16_to_utf8(std::string_view octets, Encoding encoding);

}  // namespace imapult::provisioning
