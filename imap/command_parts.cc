#include "imap/command_parts.h"

#include <algorithm>
#include <array>

#include "engine/base/limits.h"

namespace imapult::imap {
namespace {

constexpr std::size_t kQuotedBytesMax = 1000;   ///< longer strings go as literals
constexpr std::size_t kLiteralMinusMax = 4096;  ///< RFC 7888 §5
constexpr std::size_t kTagBytes = 16;           ///< what the session's tag may take of the line

constexpr std::array<bool, 256> make_atom_chars() {
    std::array<bool, 256> allowed{};
    for (std::size_t c = 0x21; c < 0x7F; ++c) allowed[c] = true;
    for (const char c : std::string_view("(){%*\"\\]"))
        allowed[static_cast<unsigned char>(c)] = false;
    return allowed;
}
constexpr auto kAtomChars = make_atom_chars();

bool is_quotable(std::string_view text) {
    return text.size() <= kQuotedBytesMax && std::ranges::all_of(text, [](char c) {
               const auto byte = static_cast<unsigned char>(c);
               return byte >= 0x20 && byte < 0x7F;
           });
}

std::string quote(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out.push_back('\\');
        out.push_back(c);
    }
    out.push_back('"');
    return out;
}

/// Atoms that mean something else where a name is expected.
bool is_plain_word(std::string_view text) {
    return is_atom(text) && !equal_ignoring_case(text, "NIL");
}

}  // namespace

bool is_atom(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return kAtomChars[static_cast<unsigned char>(c)];
    });
}

std::string encode_id_string(std::string_view text) {
    std::string kept;
    for (const char c : text.substr(0, 1024)) {
        if (c >= 0x20 && c < 0x7F) kept.push_back(c);
    }
    return quote(kept);
}

bool is_valid_flag(std::string_view flag) {
    if (flag.size() > limits::kFlagBytesMax) return false;
    if (!flag.starts_with('\\')) return is_atom(flag);
    return is_atom(flag.substr(1)) && !equal_ignoring_case(flag, "\\Recent");
}

Result<std::string> encode_mailbox(std::string_view wire_name) {
    if (wire_name.size() > limits::kMailboxNameBytesMax) return invalid("mailbox name too long");
    if (is_plain_word(wire_name)) return std::string(wire_name);
    const bool carried = std::ranges::all_of(wire_name, [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte >= 0x20 && byte < 0x7F;
    });
    if (!carried) {
        return invalid("only a literal could carry this mailbox name: " +
                       printable(wire_name, 100));
    }
    return quote(wire_name);
}

CommandWriter::CommandWriter(std::string_view verb, EncodeOptions options) : options_(options) {
    command_.verb = verb;
    line_ = " ";
    line_ += verb;
}

CommandWriter& CommandWriter::raw(std::string_view text) {
    line_ += text;
    return *this;
}

CommandWriter& CommandWriter::fail(std::string text) {
    if (error_.empty()) error_ = std::move(text);
    return *this;
}

CommandWriter& CommandWriter::atom(std::string_view text) {
    if (!is_atom(text)) return fail("not an atom: " + printable(text, 80));
    line_ += ' ';
    line_ += text;
    return *this;
}

CommandWriter& CommandWriter::astring(std::string_view text) {
    if (!is_plain_word(text)) return string(text);
    line_ += ' ';
    line_ += text;
    return *this;
}

CommandWriter& CommandWriter::string(std::string_view text) {
    line_ += ' ';
    if (is_quotable(text)) {
        line_ += quote(text);
    } else {
        literal(text);
    }
    return *this;
}

void CommandWriter::literal(std::string_view text) {
    // The text itself is not shown: it may be a password.
    if (text.contains('\0')) {
        fail("an argument of " + command_.verb + " contains NUL");
        return;
    }
    // RFC 9051 lets a literal hold CR and LF; no argument of ours has a use for them, and a server
    // that loses step would run what follows.
    if (text.contains('\r') || text.contains('\n')) {
        fail("an argument of " + command_.verb + " contains a line break");
        return;
    }
    if (text.size() > limits::kSmallLiteralBytesMax) {
        fail("an argument of " + command_.verb + " is too long");
        return;
    }
    const bool at_once =
        options_.literals == LiteralMode::plus ||
        (options_.literals == LiteralMode::minus && text.size() <= kLiteralMinusMax);
    line_ += '{';
    line_ += std::to_string(text.size());
    line_ += at_once ? "+}\r\n" : "}\r\n";
    if (!at_once) {
        line_bytes_ += line_.size();
        command_.pieces.push_back(std::move(line_));
        line_.clear();
    }
    line_ += text;
}

CommandWriter& CommandWriter::number(std::uint64_t value) {
    line_ += std::to_string(value);
    return *this;
}

CommandWriter& CommandWriter::flags(std::span<const std::string_view> flags) {
    line_ += " (";
    bool first = true;
    for (const std::string_view flag : flags) {
        if (!is_valid_flag(flag))
            return fail("not a flag that can be sent: " + printable(flag, 80));
        if (!first) line_ += ' ';
        first = false;
        line_ += flag;
    }
    line_ += ')';
    return *this;
}

CommandWriter& CommandWriter::barrier() {
    command_.is_barrier = true;
    return *this;
}

Result<Command> CommandWriter::finish() {
    if (!error_.empty()) return invalid(error_);
    line_ += "\r\n";
    if (line_bytes_ + line_.size() + kTagBytes > options_.line_bytes_max) {
        return invalid(command_.verb + " would be longer than a command line may be");
    }
    command_.pieces.push_back(std::move(line_));
    return std::move(command_);
}

Command CommandWriter::finish_own() {
    IMAPULT_ASSERT(error_.empty());
    line_ += "\r\n";
    command_.pieces.push_back(std::move(line_));
    return std::move(command_);
}

}  // namespace imapult::imap
