// APPEND and MULTIAPPEND heads: the hot path of the destination. Everything is checked before a
// byte is written, because a server that answers BAD may run the message as commands (rule 4).
#include <array>
#include <charconv>

#include "imap/command.h"
#include "imap/command_parts.h"

namespace imapult::imap {
namespace {

void append_number(std::string& out, std::uint64_t number) {
    std::array<char, 20> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    out.append(digits.data(), end);
}

Result<void> check_flags(std::span<const std::string_view> flags) {
    for (const std::string_view flag : flags) {
        if (!is_valid_flag(flag))
            return invalid("not a flag that can be sent: " + printable(flag, 80));
    }
    return {};
}

void append_arguments(std::string& out, const AppendItem& item, bool non_synchronising) {
    out.push_back(' ');
    if (!item.flags.empty()) {
        out.push_back('(');
        bool first = true;
        for (const std::string_view flag : item.flags) {
            if (!first) out.push_back(' ');
            first = false;
            out.append(flag);
        }
        out.append(") ");
    }
    if (item.internal_date) {
        out.push_back('"');
        append_date_time(out, item.internal_date->unix_seconds, item.internal_date->zone_minutes);
        out.append("\" ");
    }
    if (item.literal8) out.push_back('~');
    out.push_back('{');
    append_number(out, item.bytes);
    out.append(non_synchronising ? "+}\r\n" : "}\r\n");
}

/// What encode_mailbox() gives: one atom or one quoted string.
bool is_encoded_mailbox(std::string_view name) {
    if (is_atom(name)) return true;
    if (name.size() < 2 || name.front() != '"' || name.back() != '"') return false;
    name = name.substr(1, name.size() - 2);
    for (std::size_t i = 0; i < name.size(); ++i) {
        const auto c = static_cast<unsigned char>(name[i]);
        if (c < 0x20 || c >= 0x7F || c == '"') return false;
        if (c != '\\') continue;
        if (++i >= name.size() || (name[i] != '"' && name[i] != '\\')) return false;
    }
    return true;
}

}  // namespace

Result<void> append_first(std::string& out, std::string_view encoded_name, const AppendItem& item,
                          bool non_synchronising) {
    if (!is_encoded_mailbox(encoded_name)) {
        return invalid("not an encoded mailbox name: " + printable(encoded_name, 80));
    }
    IMAPULT_CHECK(check_flags(item.flags));
    out.append(" APPEND ");
    out.append(encoded_name);
    append_arguments(out, item, non_synchronising);
    return {};
}

Result<void> append_next(std::string& out, const AppendItem& item, bool non_synchronising) {
    IMAPULT_CHECK(check_flags(item.flags));
    append_arguments(out, item, non_synchronising);
    return {};
}

}  // namespace imapult::imap
