#include "provisioning/ldif.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "engine/base/text.h"
#include "provisioning/limits.h"

namespace imapult::provisioning {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kFoldColumns = 76;

constexpr std::array<std::int8_t, 256> make_decoder() {
    std::array<std::int8_t, 256> table{};
    table.fill(-1);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
        table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
    }
    return table;
}
constexpr auto kDecoder = make_decoder();

// attributeDescription of RFC 4512: a name or a dotted OID, then options.
bool is_attribute_name(std::string_view name) {
    if (name.empty()) return false;
    const auto is_alnum = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    if (!is_alnum(name.front())) return false;
    return std::ranges::all_of(name, [&](char c) {
        return is_alnum(c) || c == '-' || c == ';' || c == '.' || c == '_' || c == '=' || c == '*';
    });
}

std::optional<std::string> percent_decode(std::string_view text) {
    std::string out;
    const auto hex = [](char c) -> int {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        if (c >= 'A' && c <= 'F') return c - 'A' + 10;
        return -1;
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out.push_back(text[i]);
            continue;
        }
        if (i + 2 >= text.size() || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return {};
        out.push_back(static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2])));
        i += 2;
    }
    if (out.contains('\0')) return {};
    return out;
}

}  // namespace

std::string base64_encode(std::string_view octets) {
    std::string out;
    out.reserve((octets.size() + 2) / 3 * 4);
    std::size_t i = 0;
    const auto at = [&](std::size_t k) -> unsigned {
        return static_cast<unsigned char>(octets[k]);
    };
    for (; i + 2 < octets.size(); i += 3) {
        const unsigned v = (at(i) << 16U) | (at(i + 1) << 8U) | at(i + 2);
        for (const unsigned shift : {18U, 12U, 6U, 0U})
            out.push_back(kAlphabet[(v >> shift) & 63U]);
    }
    if (i + 1 == octets.size()) {
        const unsigned v = at(i) << 16U;
        out.push_back(kAlphabet[v >> 18U]);
        out.push_back(kAlphabet[(v >> 12U) & 63U]);
        out += "==";
    } else if (i + 2 == octets.size()) {
        const unsigned v = (at(i) << 16U) | (at(i + 1) << 8U);
        out.push_back(kAlphabet[v >> 18U]);
        out.push_back(kAlphabet[(v >> 12U) & 63U]);
        out.push_back(kAlphabet[(v >> 6U) & 63U]);
        out.push_back('=');
    }
    return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
    if (text.size() % 4 != 0) return {};
    std::size_t padding = 0;
    while (padding < 2 && !text.empty() && text.back() == '=') {
        text.remove_suffix(1);
        ++padding;
    }
    if (text.size() % 4 == 1) return {};
    std::string out;
    out.reserve(text.size() * 3 / 4);
    unsigned bits = 0;
    unsigned count = 0;
    for (const char c : text) {
        const auto digit = kDecoder[static_cast<unsigned char>(c)];
        if (digit < 0) return {};
        bits = (bits << 6U) | static_cast<unsigned>(digit);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out.push_back(static_cast<char>((bits >> count) & 0xFFU));
            bits &= (1U << count) - 1;
        }
    }
    return out;
}

UrlReader file_urls_below(std::string folder) {
    return [folder = std::move(folder)](
               std::string_view url) -> std::expected<std::string, std::string> {
        namespace fs = std::filesystem;
        if (!to_lower(url.substr(0, 7)).starts_with("file://")) {
            return std::unexpected(
                "only file:// URLs are read; fetch the value and write it in "
                "base64");
        }
        auto rest = url.substr(7);
        if (rest.starts_with("localhost/")) rest.remove_prefix(9);
        const auto path = percent_decode(rest);
        if (!path || !path->starts_with('/')) {
            return std::unexpected("the URL is not a file:///absolute/path");
        }
        std::error_code error;
        const auto real = fs::canonical(*path, error);
        if (error) return std::unexpected("the file it names cannot be opened");
        const auto base = fs::canonical(folder.empty() ? "." : folder, error);
        const auto relative = real.lexically_relative(base);
        if (error || relative.empty() || *relative.begin() == "..") {
            return std::unexpected(
                "the file it names is outside the folder of the LDIF file, and is not read for "
                "safety; copy it beside the LDIF file");
        }
        if (!fs::is_regular_file(real, error) ||
            fs::file_size(real, error) > limits::kUrlFileBytesMax) {
            return std::unexpected("the file it names is not a regular file of at most 16 MiB");
        }
        std::ifstream in(real, std::ios::binary);
        std::string bytes(std::istreambuf_iterator<char>(in), {});
        if (!in) return std::unexpected("the file it names cannot be read");
        return bytes;
    };
}

// The record under construction. `broken` keeps reading to its end without keeping anything.
struct LdifReader::Building {
    Record record;
    std::vector<Problem>* problems = nullptr;
    bool has_dn = false;
    bool broken = false;
    bool in_modification = false;
    std::size_t bytes = 0;
    std::size_t values = 0;
};

LdifReader::LdifReader(ByteSource& source, UrlReader urls)
    : lines_(source), urls_(std::move(urls)) {}

// One line with its continuations (RFC 2849, note 2: a line that begins with one space). A folded
// comment is a comment, so folding comes before everything else.
bool LdifReader::logical_line(Line& line) {
    if (pending_) {
        line = std::move(*pending_);
        pending_.reset();
        return true;
    }
    if (!lines_.next(line)) return false;
    while ((line.too_long || !line.text.empty()) && lines_.next_begins_with_space()) {
        if (!lines_.next(folded_)) break;
        if (line.text.size() + folded_.text.size() > limits::kLineBytesMax) {
            line.too_long = true;
        } else if (!line.too_long) {
            line.text.append(folded_.text, 1);
        }
        line.too_long = line.too_long || folded_.too_long;
    }
    return true;
}

void LdifReader::problem(Building& building, std::uint32_t line, std::string what) {
    building.broken = true;
    building.problems->push_back({line, building.record.entry.dn, std::move(what)});
}

std::optional<std::string> LdifReader::value_of(Building& building, const Line& line,
                                                std::size_t colon) {
    std::string_view rest = std::string_view(line.text).substr(colon + 1);
    const char kind = rest.empty() ? ' ' : rest.front();
    if (kind == ':' || kind == '<') rest.remove_prefix(1);
    while (rest.starts_with(' ')) rest.remove_prefix(1);
    if (kind == ':') {
        while (rest.ends_with(' ')) rest.remove_suffix(1);
        auto decoded = base64_decode(rest);
        if (!decoded) {
            problem(building, line.number,
                    "the value after \"::\" is not base64; export the entry again, or write the "
                    "value after a single colon");
        }
        return decoded;
    }
    if (kind == '<') {
        auto read = urls_ ? urls_(trim(rest)) : std::unexpected(std::string("URLs are not read"));
        if (read) return std::move(*read);
        problem(building, line.number, "the value is a URL: " + read.error());
        return {};
    }
    if (rest.contains('\0')) {
        problem(building, line.number, "a NUL octet in a plain value; write the value in base64");
        return {};
    }
    return std::string(rest);
}

void LdifReader::take_content(Building& building, const Line& line, std::string_view name,
                              std::string value) {
    auto& record = building.record;
    const bool first = record.entry.attributes.empty();
    if (first && equal_ignoring_case(name, "control")) return;  // RFC 2849 section 4
    if (first && equal_ignoring_case(name, "changetype")) {
        const auto type = to_lower(trim(value));
        if (type == "add") {
            record.change = ChangeType::add;
        } else if (type == "modify") {
            record.change = ChangeType::modify;
        } else if (type == "delete") {
            record.change = ChangeType::remove;
        } else if (type == "modrdn" || type == "moddn") {
            record.change = ChangeType::rename;
        } else {
            problem(building, line.number,
                    "unknown changetype; RFC 2849 has add, delete, modify, modrdn and moddn");
        }
        return;
    }
    record.entry.add(name, std::move(value));
}

void LdifReader::take_modify(Building& building, const Line& line, std::string_view name,
                             std::string value) {
    auto& modifications = building.record.modifications;
    if (!building.in_modification) {
        const auto op = to_lower(name);
        Modification modification;
        if (op == "add") {
            modification.op = Modification::Op::add;
        } else if (op == "replace") {
            modification.op = Modification::Op::replace;
        } else if (op == "delete") {
            modification.op = Modification::Op::remove;
        } else {
            return problem(building, line.number,
                           "a modify record needs add:, replace: or delete: here");
        }
        modification.attribute.name = trim(value);
        modification.attribute.key = to_lower(modification.attribute.name);
        modifications.push_back(std::move(modification));
        building.in_modification = true;
        return;
    }
    if (to_lower(name) != modifications.back().attribute.key) {
        return problem(building, line.number,
                       "this line names another attribute than the modification it stands in; "
                       "end the modification with a line \"-\"");
    }
    modifications.back().attribute.values.push_back(std::move(value));
}

// Takes one logical line into the record; false when the line belongs to the next record.
bool LdifReader::take_line(Building& building, const Line& line) {
    auto& record = building.record;
    record.last_line = line.number;
    if (line.text.starts_with('#')) return true;
    if (line.too_long) {
        problem(building, line.number, "the line is longer than 64 MiB; the entry is skipped");
        return true;
    }
    if (building.broken && !to_lower(line.text.substr(0, 3)).starts_with("dn:")) return true;
    if (line.text == "-" && record.change == ChangeType::modify) {
        building.in_modification = false;
        return true;
    }
    const auto colon = line.text.find(':');
    if (colon == std::string::npos) {
        problem(building, line.number,
                "no colon in the line; if it continues the line above, begin it with one space");
        return true;
    }
    const auto name = std::string_view(line.text).substr(0, colon);
    if (equal_ignoring_case(name, "dn")) {
        if (building.has_dn) {
            if (!building.broken) {
                building.problems->push_back(
                    {line.number, record.entry.dn,
                     "an empty line is missing before this dn; read as a new entry"});
            }
            return false;
        }
        building.has_dn = true;
        auto value = value_of(building, line, colon);
        if (value) record.entry.dn = std::move(*value);
        return true;
    }
    if (!building.has_dn) {
        problem(building, line.number, "an entry must begin with \"dn:\"");
        return true;
    }
    if (!is_attribute_name(name)) {
        // Not shown: what stands there may be the rest of a broken password.
        problem(building, line.number,
                "what stands before the colon is not the name of an attribute; if the line "
                "continues the one above, begin it with one space");
        return true;
    }
    auto value = value_of(building, line, colon);
    if (!value) return true;
    building.bytes += name.size() + value->size();
    if (building.bytes > limits::kEntryBytesMax || ++building.values > limits::kValuesPerEntryMax) {
        problem(building, line.number, "the entry is larger than 96 MiB or 500,000 values");
        return true;
    }
    if (record.change == ChangeType::modify) {
        take_modify(building, line, name, std::move(*value));
    } else {
        take_content(building, line, name, std::move(*value));
    }
    return true;
}

// To the first line of the next record: blank lines, comments and the version line are passed.
bool LdifReader::skip_blank_lines(Line& line) {
    while (logical_line(line)) {
        if (line.text.empty() && !line.too_long) continue;
        if (line.text.starts_with('#')) continue;
        if (first_record_ && equal_ignoring_case(line.text.substr(0, 8), "version:")) {
            first_record_ = false;
            continue;
        }
        return true;
    }
    return false;
}

std::optional<Record> LdifReader::next(std::vector<Problem>& problems) {
    Line line;
    for (;;) {
        if (!skip_blank_lines(line)) return {};
        first_record_ = false;
        Building building;
        building.problems = &problems;
        building.record.where.offset = line.offset;
        building.record.where.line = line.number;
        bool more = true;
        do {
            if (line.text.empty() && !line.too_long) break;
            if (!take_line(building, line)) {
                pending_ = std::move(line);
                break;
            }
            more = logical_line(line);
        } while (more);
        if (building.broken) continue;
        const auto end = pending_ ? pending_->offset : lines_.offset();
        building.record.where.bytes = end - building.record.where.offset;
        return std::move(building.record);
    }
}

bool is_ldif_safe(std::string_view value) {
    if (value.empty()) return true;
    const char first = value.front();
    if (first == ' ' || first == ':' || first == '<' || value.back() == ' ') return false;
    return std::ranges::all_of(value, [](char c) {
        const auto octet = static_cast<unsigned char>(c);
        // RFC 2849 would let other control characters stand; libldap's reader strips a leading one.
        return octet >= 0x20 && octet < 0x7F;
    });
}

void append_ldif_line(std::string& out, std::string_view name, std::string_view value) {
    std::string encoded;
    std::string line(name);
    if (is_ldif_safe(value)) {
        line += value.empty() ? ":" : ": ";
        line += value;
    } else {
        line += ":: ";
        line += base64_encode(value);
    }
    std::string_view rest = line;
    auto columns = kFoldColumns;
    while (rest.size() > columns) {
        out += rest.substr(0, columns);
        out += "\n ";
        rest.remove_prefix(columns);
        columns = kFoldColumns - 1;
    }
    out += rest;
    out += '\n';
}

void append_ldif_entry(std::string& out, const Entry& entry) {
    append_ldif_line(out, "dn", entry.dn);
    for (const auto& attribute : entry.attributes) {
        for (const auto& value : attribute.values) append_ldif_line(out, attribute.name, value);
    }
    out += '\n';
}

}  // namespace imapult::provisioning
