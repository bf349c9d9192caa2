#include <algorithm>
#include <array>
#include <cstring>

#include "dedup/header_lines.h"
#include "dedup/identity.h"
#include "dedup/sha256.h"
#include "engine/base/error.h"
#include "engine/base/limits.h"

namespace imapult::dedup {

Sha256Stream::Sha256Stream() : context_(EVP_MD_CTX_new()) {
    IMAPULT_ASSERT(context_ != nullptr);
    IMAPULT_ASSERT(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void Sha256Stream::update(std::string_view bytes) {
    IMAPULT_ASSERT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

Sha256 Sha256Stream::finish() {
    Sha256 digest{};
    unsigned size = 0;
    IMAPULT_ASSERT(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1);
    IMAPULT_ASSERT(size == digest.size());
    return digest;
}

Sha1Stream::Sha1Stream() : context_(EVP_MD_CTX_new()) {
    IMAPULT_ASSERT(context_ != nullptr);
    IMAPULT_ASSERT(EVP_DigestInit_ex(context_.get(), EVP_sha1(), nullptr) == 1);
}

void Sha1Stream::update(std::string_view bytes) {
    IMAPULT_ASSERT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

std::string Sha1Stream::finish() {
    std::array<unsigned char, 20> digest{};
    unsigned size = 0;
    IMAPULT_ASSERT(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1);
    IMAPULT_ASSERT(size == digest.size());
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string hex;
    for (const unsigned octet : digest) {
        hex += kDigits[octet >> 4];
        hex += kDigits[octet & 15];
    }
    return hex;
}

/// Works octet by octet, so that it cannot matter how the message is cut into pieces. A header line
/// is held back while it may still turn out to be a tool's: until it is too long for one, or its
/// successor shows that it is not folded.
struct NormalDigest::State {
    enum class Where : std::uint8_t {
        line,      ///< inside a header line
        line_end,  ///< behind the line end of one; the next octet tells whether it is folded
        body,
    };

    Sha256Stream hash;
    std::array<char, 16 * limits::kKiB> out{};
    std::size_t out_size = 0;
    std::uint64_t line_ends = 0;  // met and not yet put out: those at the end do not count

    Where where = Where::line;
    std::string held;     // the line so far, while it is held back
    bool holding = true;  // false: the line is too long for a tool's and is put out as it comes
    bool line_empty = true;
    bool in_value = false;  // behind the colon of a field, or in its folds
    bool first_line = true;
    std::uint64_t header_bytes = 0;

    void put(char c) {
        if (out_size == out.size()) flush();
        out[out_size++] = c;
    }
    void put_text(char c) {
        for (; line_ends > 0; --line_ends) put('\n');
        put(c);
    }
    void flush() {
        hash.update({out.data(), out_size});
        out_size = 0;
    }

    void release_held() {
        for (const char c : held) put_text(c);
        held.clear();
    }

    /// A header line is over and `next_is_blank` is known.
    void close_line(bool folded) {
        const bool dropped = holding && !folded && is_tool_line(held, first_line);
        if (dropped) {
            held.clear();
        } else {
            release_held();
            ++line_ends;
        }
        first_line = false;
        holding = true;
        line_empty = true;
        if (!folded) in_value = false;
    }

    void header_octet(char c) {
        if (++header_bytes > limits::kLineBytesMax) return leave_header(c);
        if (where == Where::line_end) {
            close_line(c == ' ' || c == '\t');
            where = Where::line;
        }
        if (c == '\n') {
            if (line_empty) {
                where = Where::body;
                ++line_ends;
            } else {
                where = Where::line_end;
            }
            return;
        }
        line_empty = false;
        // Cyrus writes X for every 8-bit octet of a field.
        if (in_value && (static_cast<std::uint8_t>(c) & 0x80) != 0) c = 'X';
        if (c == ':') in_value = true;
        if (holding && held.size() == kToolLineBytesMax) {
            release_held();
            holding = false;
        }
        if (holding) {
            held.push_back(c);
        } else {
            put_text(c);
        }
    }

    /// Nothing ends this header: the rest is taken as body.
    void leave_header(char c) {
        if (where == Where::line_end) close_line(c == ' ' || c == '\t');
        release_held();
        where = Where::body;
        body_octet(c);
    }

    void body_octet(char c) {
        if (c == '\n') {
            ++line_ends;
        } else {
            put_text(c);
        }
    }

    /// Line by line; a line without a CR inside and without NUL, as nearly all are, is copied
    /// whole.
    void body(std::string_view bytes) {
        while (!bytes.empty()) {
            const std::size_t end = std::min(bytes.find('\n'), bytes.size());
            std::string_view line = bytes.substr(0, end);
            if (line.ends_with('\r')) line.remove_suffix(1);
            if (line.find('\r') == std::string_view::npos &&
                line.find('\0') == std::string_view::npos) {
                put_run(line);
            } else {
                for (const char c : line) {
                    if (c != '\r') put_text(even_out(c));
                }
            }
            if (end == bytes.size()) return;
            ++line_ends;
            bytes.remove_prefix(end + 1);
        }
    }

    void put_run(std::string_view run) {
        if (run.empty()) return;
        for (; line_ends > 0; --line_ends) put('\n');
        while (!run.empty()) {
            if (out_size == out.size()) flush();
            const std::size_t part = std::min(run.size(), out.size() - out_size);
            std::memcpy(out.data() + out_size, run.data(), part);
            out_size += part;
            run.remove_prefix(part);
        }
    }

    void update(std::string_view bytes) {
        while (!bytes.empty() && where != Where::body) {
            // A CR says nothing: servers drop it alone, double it or keep it; the LF is the line
            // end.
            if (bytes[0] != '\r') header_octet(even_out(bytes[0]));
            bytes.remove_prefix(1);
        }
        body(bytes);
    }

    Sha256 finish() {
        if (where != Where::body) {
            close_line(false);
            release_held();
        }
        flush();
        return hash.finish();
    }
};

NormalDigest::NormalDigest() : state_(std::make_unique<State>()) {}
NormalDigest::~NormalDigest() = default;
NormalDigest::NormalDigest(NormalDigest&&) noexcept = default;
NormalDigest& NormalDigest::operator=(NormalDigest&&) noexcept = default;

void NormalDigest::update(std::string_view bytes) {
    state_->update(bytes);
}
Sha256 NormalDigest::finish() {
    return state_->finish();
}

}  // namespace imapult::dedup
