// A message cut into its decoded leaf parts (RFC 2045, 2046), to tell a re-encoded message from
// another one. Only as much MIME as that takes: parameters are read leniently, charsets are left
// alone, and whatever goes beyond the bounds makes the message incomparable.

#include <algorithm>
#include <array>
#include <optional>

#include "engine/base/text.h"
#include "engine/replica/verify_kind.h"

namespace imapult::replica {
namespace {

constexpr std::size_t kDepthMax = 32;
constexpr std::size_t kPartsMax = 4096;

struct Part {
    std::string type = "text/plain";  ///< lower case
    std::string boundary;
    std::string encoding;  ///< lower case
    std::string_view body;
};

std::string unfolded(std::string_view field) {
    std::string out;
    for (const char c : field) {
        if (c != '\n' && c != '\r') out += c;
    }
    return out;
}

/// The value of parameter `name`, quoted or not.
std::string parameter(const std::string& value, std::string_view name) {
    const std::string lower = to_lower(value);
    std::size_t at = 0;
    while ((at = lower.find(name, at)) != std::string::npos) {
        std::size_t end = at + name.size();
        const bool begins =
            at == 0 || lower[at - 1] == ';' || lower[at - 1] == ' ' || lower[at - 1] == '\t';
        while (end < value.size() && value[end] == ' ') ++end;
        if (!begins || end >= value.size() || value[end] != '=') {
            at += name.size();
            continue;
        }
        ++end;
        while (end < value.size() && value[end] == ' ') ++end;
        if (end < value.size() && value[end] == '"') {
            const std::size_t close = value.find('"', end + 1);
            return value.substr(end + 1, close == std::string::npos ? close : close - end - 1);
        }
        const std::size_t close = value.find_first_of("; \t", end);
        return value.substr(end, close == std::string::npos ? close : close - end);
    }
    return {};
}

/// Lines end with LF. `digest`: inside multipart/digest the default type is another.
Part part_of(std::string_view text, bool digest) {
    Part part;
    if (digest) part.type = "message/rfc822";
    while (!text.empty() && text.front() != '\n') {
        std::size_t end = text.find('\n');
        while (end != std::string_view::npos && end + 1 < text.size() &&
               (text[end + 1] == ' ' || text[end + 1] == '\t')) {
            end = text.find('\n', end + 1);
        }
        const std::string field = unfolded(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        const std::size_t colon = field.find(':');
        if (colon == std::string::npos) continue;
        const std::string_view name = trim(std::string_view(field).substr(0, colon));
        const std::string value(trim(std::string_view(field).substr(colon + 1)));
        if (equal_ignoring_case(name, "Content-Type")) {
            part.type = to_lower(trim(std::string_view(value).substr(0, value.find(';'))));
            part.boundary = parameter(value, "boundary");
        } else if (equal_ignoring_case(name, "Content-Transfer-Encoding")) {
            part.encoding = to_lower(trim(std::string_view(value).substr(0, value.find(';'))));
        }
    }
    if (!text.empty()) text.remove_prefix(1);
    part.body = text;
    return part;
}

std::string from_base64(std::string_view text) {
    static constexpr std::string_view kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const auto values = [] {
        std::array<int, 256> table{};
        table.fill(-1);
        for (std::size_t i = 0; i < kAlphabet.size(); ++i)
            table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<int>(i);
        return table;
    }();
    std::string out;
    out.reserve(text.size() / 4 * 3);
    unsigned bits = 0;
    int count = 0;
    for (const char c : text) {
        const int value = values[static_cast<unsigned char>(c)];
        if (value < 0) continue;
        bits = (bits << 6) | static_cast<unsigned>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out += static_cast<char>((bits >> count) & 0xFF);
        }
    }
    return out;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

std::string from_quoted_printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '=') {
            out += text[i];
            continue;
        }
        // A soft line break may have blanks in front of its line end.
        std::size_t end = i + 1;
        while (end < text.size() && (text[end] == ' ' || text[end] == '\t')) ++end;
        if (end == text.size() || text[end] == '\n') {
            i = end;
            continue;
        }
        const int high = hex_value(text[i + 1]);
        const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
        if (high < 0 || low < 0) {
            out += '=';
            continue;
        }
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

/// Blanks at line ends and empty lines at the end say nothing in a text.
std::string even_text(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    std::size_t blanks_from = std::string::npos;
    for (const char c : text) {
        if (c == '\r') continue;
        if (c == '\n' && blanks_from != std::string::npos) out.resize(blanks_from);
        if (c != ' ' && c != '\t') {
            blanks_from = std::string::npos;
        } else if (blanks_from == std::string::npos) {
            blanks_from = out.size();
        }
        out += c;
    }
    if (blanks_from != std::string::npos) out.resize(blanks_from);
    while (!out.empty() && out.back() == '\n') out.pop_back();
    return out;
}

class Cutter {
  public:
    /// False: beyond the bounds.
    bool cut(std::string_view text, std::size_t depth, bool digest) {
        if (depth > kDepthMax) return false;
        const Part part = part_of(text, digest);
        if (part.type.starts_with("multipart/") && !part.boundary.empty())
            return cut_multipart(part, depth);
        std::string content(part.body);
        if (part.encoding == "base64") content = from_base64(part.body);
        if (part.encoding == "quoted-printable") content = from_quoted_printable(part.body);
        if (part.type == "message/rfc822") return cut(content, depth + 1, false);
        if (part.type.starts_with("text/")) content = even_text(content);
        if (leaves.size() == kPartsMax) return false;
        leaves.push_back(part.type + '\n' + content);
        return true;
    }
    std::vector<std::string> leaves;

  private:
    bool cut_multipart(const Part& part, std::size_t depth) {
        const std::string mark = "--" + part.boundary;
        std::optional<std::size_t> begin;
        std::size_t at = 0;
        while (at <= part.body.size()) {
            const std::size_t end = std::min(part.body.find('\n', at), part.body.size());
            const std::string_view line = part.body.substr(at, end - at);
            if (line.starts_with(mark)) {
                const std::string_view rest = line.substr(mark.size());
                const bool last = rest.starts_with("--");
                if (last || trim(rest).empty()) {
                    if (begin && !inner(part, *begin, at, depth)) return false;
                    begin = end + 1;
                    if (last) return true;
                }
            }
            at = end + 1;
        }
        return !begin || inner(part, *begin, part.body.size() + 1, depth);
    }
    /// The part in [begin, end): the line end in front of a boundary belongs to the boundary.
    bool inner(const Part& part, std::size_t begin, std::size_t end, std::size_t depth) {
        const std::size_t size = end > begin ? end - begin - 1 : 0;
        const std::string_view text =
            begin <= part.body.size() ? part.body.substr(begin, size) : std::string_view();
        return cut(text, depth + 1, part.type == "multipart/digest");
    }
};

}  // namespace

std::vector<std::string> mime_leaves(std::string_view message) {
    std::string text;
    text.reserve(message.size());
    for (const char c : message) {
        if (c != '\r') text += c;
    }
    Cutter cutter;
    if (!cutter.cut(text, 0, false)) return {};
    return std::move(cutter.leaves);
}

}  // namespace imapult::replica
