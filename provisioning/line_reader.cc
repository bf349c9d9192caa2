#include "provisioning/line_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "engine/base/text.h"
#include "provisioning/limits.h"

namespace imapult::provisioning {
namespace {

class FileSource final : public ByteSource {
  public:
    FileSource(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
    FileSource(const FileSource&) = delete;
    FileSource& operator=(const FileSource&) = delete;
    ~FileSource() override { ::close(fd_); }

    Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t size) override {
        for (;;) {
            const auto got = ::pread(fd_, into, size, static_cast<off_t>(offset));
            if (got >= 0) return static_cast<std::size_t>(got);
            if (errno == EINTR) continue;
            return fail(
                Code::io, Scope::run, Retry::never,
                "cannot read " + printable(path_) + ": " + std::generic_category().message(errno));
        }
    }

  private:
    int fd_;
    std::string path_;
};

class MemorySource final : public ByteSource {
  public:
    explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}
    Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t size) override {
        if (offset >= bytes_.size()) return std::size_t{0};
        const auto count = std::min(size, bytes_.size() - static_cast<std::size_t>(offset));
        std::memcpy(into, bytes_.data() + offset, count);
        return count;
    }

  private:
    std::string bytes_;
};

void append_utf8(std::string& out, std::uint32_t c) {
    const auto put = [&](std::uint32_t octet) { out.push_back(static_cast<char>(octet)); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xC0 | (c >> 6));
        put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        put(0xE0 | (c >> 12));
        put(0x80 | ((c >> 6) & 0x3F));
        put(0x80 | (c & 0x3F));
    } else {
        put(0xF0 | (c >> 18));
        put(0x80 | ((c >> 12) & 0x3F));
        put(0x80 | ((c >> 6) & 0x3F));
        put(0x80 | (c & 0x3F));
    }
}

constexpr std::uint32_t kReplacement = 0xFFFD;

}  // namespace

Result<std::unique_ptr<ByteSource>> open_file(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return invalid("cannot open " + printable(path) + ": " +
                       std::generic_category().message(errno));
    }
    struct stat info{};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        ::close(fd);
        return invalid(printable(path) +
                       " is not a regular file; the input is read more than once, so save it to a "
                       "file first");
    }
    return std::make_unique<FileSource>(fd, path);
}

std::unique_ptr<ByteSource> memory_source(std::string bytes) {
    return std::make_unique<MemorySource>(std::move(bytes));
}

std::string utf16_to_utf8(std::string_view octets, Encoding encoding) {
    const auto unit = [&](std::size_t i) -> std::uint32_t {
        const std::uint32_t a = static_cast<unsigned char>(octets[i]);
        const std::uint32_t b = static_cast<unsigned char>(octets[i + 1]);
        return encoding == Encoding::utf16_le ? a | (b << 8U) : b | (a << 8U);
    };
    std::string out;
    out.reserve(octets.size() / 2);
    std::size_t i = 0;
    for (; i + 1 < octets.size(); i += 2) {
        std::uint32_t c = unit(i);
        if (c >= 0xD800 && c < 0xDC00 && i + 3 < octets.size()) {
            const auto low = unit(i + 2);
            if (low >= 0xDC00 && low < 0xE000) {
                c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
                i += 2;
            }
        }
        if (c >= 0xD800 && c < 0xE000) c = kReplacement;
        append_utf8(out, c);
    }
    if (i < octets.size()) append_utf8(out, kReplacement);
    return out;
}

LineReader::LineReader(ByteSource& source) : source_(source) {
    fill();
    if (block_.starts_with("\xEF\xBB\xBF")) {
        position_ = 3;
    } else if (block_.starts_with("\xFF\xFE")) {
        encoding_ = Encoding::utf16_le;
        position_ = 2;
    } else if (block_.starts_with("\xFE\xFF")) {
        encoding_ = Encoding::utf16_be;
        position_ = 2;
    } else if (block_.size() >= 2 && (block_[0] == '\0') != (block_[1] == '\0')) {
        // No mark, but no text begins with a NUL either.
        encoding_ = block_[1] == '\0' ? Encoding::utf16_le : Encoding::utf16_be;
    }
}

bool LineReader::fill() {
    block_offset_ = position_;
    block_.resize_and_overwrite(limits::kReadBlockBytes, [this](char* into, std::size_t size) {
        auto got = source_.read_at(position_, into, size);
        if (!got) error_ = std::unexpected(std::move(got).error());
        return got.value_or(0);
    });
    return !block_.empty();
}

// Octets up to and including the next line feed into `raw`; false at the end of the file.
bool LineReader::take_raw(std::string& raw, bool& too_long) {
    raw.clear();
    too_long = false;
    bool any = false;
    const std::size_t width = encoding_ == Encoding::utf8 ? 1 : 2;
    for (;;) {
        if (position_ < block_offset_ || position_ >= block_offset_ + block_.size()) {
            if (!fill()) return any;
        }
        any = true;
        const std::string_view rest =
            std::string_view(block_).substr(static_cast<std::size_t>(position_ - block_offset_));
        std::size_t end = std::string_view::npos;
        if (width == 1) {
            end = rest.find('\n');
        } else {
            const char first = encoding_ == Encoding::utf16_le ? '\n' : '\0';
            const char second = encoding_ == Encoding::utf16_le ? '\0' : '\n';
            for (std::size_t i = 0; i + 1 < rest.size(); i += 2) {
                if (rest[i] == first && rest[i + 1] == second) {
                    end = i;
                    break;
                }
            }
        }
        auto take = end == std::string_view::npos ? rest.size() : end + width;
        // Never cut a UTF-16 unit: an odd octet at the end of a block is read again.
        if (width == 2 && end == std::string_view::npos && take > 1) take -= take % 2;
        if (raw.size() + take > limits::kLineBytesMax) {
            too_long = true;
        } else {
            raw.append(rest.substr(0, take));
        }
        position_ += take;
        if (end != std::string_view::npos) return true;
    }
}

bool LineReader::next(Line& line) {
    line.offset = position_;
    line.number = ++number_;
    auto& raw = encoding_ == Encoding::utf8 ? line.text : raw_;
    if (!take_raw(raw, line.too_long)) {
        --number_;
        return false;
    }
    if (line.too_long) {
        line.text.clear();
        return true;
    }
    if (encoding_ != Encoding::utf8) line.text = utf16_to_utf8(raw_, encoding_);
    if (line.text.ends_with('\n')) line.text.pop_back();
    if (line.text.ends_with('\r')) line.text.pop_back();
    return true;
}

bool LineReader::next_begins_with_space() {
    const std::size_t width = encoding_ == Encoding::utf8 ? 1 : 2;
    if (position_ < block_offset_ || position_ + width > block_offset_ + block_.size()) {
        if (!fill() || block_.size() < width) return false;
    }
    const auto at = static_cast<std::size_t>(position_ - block_offset_);
    if (width == 1) return block_[at] == ' ';
    const bool little = encoding_ == Encoding::utf16_le;
    return block_[at] == (little ? ' ' : '\0') && block_[at + 1] == (little ? '\0' : ' ');
}

void LineReader::seek(std::uint64_t offset, std::uint32_t number) {
    position_ = offset;
    number_ = number - 1;
}

}  // namespace imapult::provisioning
