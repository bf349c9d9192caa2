#include "engine/replica/verify_kind.h"

#include <algorithm>
#include <utility>

#include "dedup/identity.h"

namespace imapult::replica {
namespace {

using report::Alteration;

bool is_8bit(char c) {
    return (static_cast<unsigned char>(c) & 0x80) != 0;
}

void drop_line_ends_at_end(std::string& text) {
    while (!text.empty() && text.back() == '\n') text.pop_back();
}

/// Line ends evened out as dedup::NormalDigest does it: a CR says nothing, line ends at the end do
/// not count.
std::string without_cr(std::string_view message) {
    std::string out;
    out.reserve(message.size());
    for (const char c : message) {
        if (c != '\r') out += c;
    }
    drop_line_ends_at_end(out);
    return out;
}

/// The other reading: a CR alone is a line end.
std::string with_lone_cr_as_line_end(std::string_view message) {
    std::string out;
    out.reserve(message.size());
    for (std::size_t i = 0; i < message.size(); ++i) {
        if (message[i] != '\r') {
            out += message[i];
        } else if (i + 1 == message.size() || message[i + 1] != '\n') {
            out += '\n';
        }
    }
    drop_line_ends_at_end(out);
    return out;
}

/// Equal but for NULs, each of which became one other octet or none.
bool equal_but_nul(std::string_view original, std::string_view copy) {
    std::size_t at = 0;
    for (const char c : original) {
        if (at < copy.size() && copy[at] == c) {
            ++at;
        } else if (c == '\0') {
            // Replaced by one octet where what follows fits; dropped otherwise.
            if (at < copy.size() && (copy[at] == '\x80' || copy[at] == ' ' || copy[at] == '?'))
                ++at;
        } else {
            return false;
        }
    }
    return at == copy.size();
}

struct Halves {
    std::vector<std::string_view> fields;  ///< with their folds
    std::string_view body;
};

/// Of a message whose lines end with LF.
Halves halves_of(std::string_view message) {
    Halves out;
    while (!message.empty()) {
        if (message.front() == '\n') {
            out.body = message.substr(1);
            break;
        }
        std::size_t end = message.find('\n');
        while (end != std::string_view::npos && end + 1 < message.size() &&
               (message[end + 1] == ' ' || message[end + 1] == '\t')) {
            end = message.find('\n', end + 1);
        }
        out.fields.push_back(message.substr(0, end));
        message.remove_prefix(end == std::string_view::npos ? message.size() : end + 1);
    }
    return out;
}

/// The bodies are equal but for NULs, and only header fields with 8-bit octets changed.
bool differs_in_8bit_fields(const Halves& original, const Halves& copy) {
    if (original.fields.size() != copy.fields.size() || !equal_but_nul(original.body, copy.body))
        return false;
    bool any = false;
    for (std::size_t i = 0; i < original.fields.size(); ++i) {
        const std::string_view field = original.fields[i];
        if (equal_but_nul(field, copy.fields[i])) continue;
        if (std::none_of(field.begin(), field.end(), is_8bit)) return false;
        any = true;
    }
    return any;
}

std::string_view header_of(std::string_view message) {
    const std::size_t end = message.find("\n\n");
    return end == std::string_view::npos ? message : message.substr(0, end + 2);
}

std::string with_thousands(std::size_t number) {
    std::string digits = std::to_string(number);
    for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
    return digits;
}

}  // namespace

Alteration alteration_of(std::string_view original, std::string_view copy) {
    const std::string before = without_cr(original);
    const std::string after = without_cr(copy);
    if (before == after) return Alteration::line_ends;
    if (before.starts_with(after)) return Alteration::truncated;
    if (with_lone_cr_as_line_end(original) == with_lone_cr_as_line_end(copy))
        return Alteration::line_ends;
    if (equal_but_nul(before, after)) return Alteration::nul;
    if (differs_in_8bit_fields(halves_of(before), halves_of(after))) return Alteration::header_8bit;
    if (dedup::identify_header(header_of(before)).loose ==
        dedup::identify_header(header_of(after)).loose) {
        const std::vector<std::string> leaves = mime_leaves(before);
        if (!leaves.empty() && leaves == mime_leaves(after)) return Alteration::re_mimed;
    }
    return Alteration::other;
}

std::string describe_alteration(std::string_view original, std::string_view copy) {
    const auto differ = std::mismatch(original.begin(), original.end(), copy.begin(), copy.end());
    const auto place = static_cast<std::size_t>(differ.first - original.begin());
    std::string text = with_thousands(original.size()) + " octets";
    if (original.size() != copy.size()) text += " became " + with_thousands(copy.size());
    return text + ", the first difference is at " + with_thousands(place);
}

}  // namespace imapult::replica
