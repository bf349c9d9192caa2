#include "importers/content_line.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "engine/base/text.h"

namespace imapult::importers {
namespace {

constexpr std::size_t kFoldOctets = 75;
constexpr std::size_t kParametersMax = 64;

char upper(char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
}

bool is_name(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

std::string to_upper(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), upper);
    return out;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = upper(c);
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

const Parameter* ContentLine::parameter(std::string_view wanted) const {
    const auto found = std::ranges::find(parameters, wanted, &Parameter::name);
    return found == parameters.end() ? nullptr : &*found;
}

void ContentLine::remove_parameter(std::string_view unwanted) {
    std::erase_if(parameters, [&](const Parameter& p) { return p.name == unwanted; });
}

void ContentLine::set_parameter(std::string_view parameter_name, std::string new_value) {
    for (Parameter& p : parameters) {
        if (p.name == parameter_name) {
            p.value = std::move(new_value);
            return;
        }
    }
    parameters.push_back({std::string(parameter_name), std::move(new_value)});
}

std::string_view LineReader::physical() {
    const auto end = rest_.find('\n');
    std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    ++line_;
    while (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

std::string component_name(std::string_view raw) {
    constexpr std::size_t kNameMax = 64;
    std::string name;
    for (const char c : raw) {
        if (static_cast<std::uint8_t>(c) < 0x20 || c == 0x7F) continue;
        if (name.size() == kNameMax) break;
        name += c == ' ' || is_name(c) ? upper(c) : '-';  // half a character reads otherwise
    }
    name = trim(name);
    std::ranges::replace(name, ' ', '-');
    return name;
}

bool is_component_line(std::string_view line) {
    const std::string_view head = trim(line.substr(0, 64));
    const bool word = equal_ignoring_case(head.substr(0, 6), "BEGIN:") ||
                      equal_ignoring_case(head.substr(0, 4), "END:");
    return word && !component_name(line.substr(line.find(':') + 1)).empty();
}

bool LineReader::next(std::string_view& line, std::size_t& number) {
    if (rest_.empty()) return false;
    number = line_;
    line = physical();
    if (is_component_line(line)) return true;
    bool buffered = false;
    const auto keep = [&] {
        if (!buffered) buffer_.assign(line);
        buffered = true;
    };
    while (!rest_.empty()) {
        if (rest_[0] == ' ' || rest_[0] == '\t') {
            keep();
            buffer_ += physical().substr(1);
            continue;
        }
        const std::string_view so_far = buffered ? std::string_view(buffer_) : line;
        if (!quoted_printable_ || !so_far.ends_with('=')) break;
        const std::string_view head = so_far.substr(0, so_far.find(':'));
        if (!to_lower(head.substr(0, 256)).contains("quoted-printable")) break;
        keep();
        buffer_.pop_back();
        buffer_ += physical();
    }
    if (buffered) line = buffer_;
    return true;
}

bool parse_content_line(std::string_view text, ContentLine& out, bool bare_types) {
    out.parameters.clear();
    out.group.clear();
    std::size_t at = 0;
    while (at < text.size() && is_name(text[at])) ++at;
    if (at > 0 && at < text.size() && text[at] == '.') {
        out.group = text.substr(0, at);
        text.remove_prefix(at + 1);
        at = 0;
        while (at < text.size() && is_name(text[at])) ++at;
    }
    if (at == 0 || at == text.size()) return false;
    out.name = to_upper(text.substr(0, at));
    while (at < text.size() && text[at] == ';') {
        if (out.parameters.size() == kParametersMax) return false;
        ++at;
        const std::size_t name_at = at;
        while (at < text.size() && is_name(text[at])) ++at;
        Parameter parameter{to_upper(text.substr(name_at, at - name_at)), {}};
        if (at < text.size() && text[at] == '=') {
            ++at;
            while (at < text.size() && text[at] != ';' && text[at] != ':') {
                if (text[at] != '"') {
                    parameter.value += text[at++];
                    continue;
                }
                const auto end = text.find('"', at + 1);
                if (end == std::string_view::npos) return false;
                parameter.value += text.substr(at + 1, end - at - 1);
                at = end + 1;
            }
        } else if (bare_types || parameter.name == "QUOTED-PRINTABLE" ||
                   parameter.name == "BASE64") {
            const bool encoding = parameter.name == "QUOTED-PRINTABLE" ||
                                  parameter.name == "BASE64" || parameter.name == "8BIT" ||
                                  parameter.name == "7BIT";
            parameter = {encoding ? "ENCODING" : "TYPE", parameter.name};
        } else if (name_at == at && at < text.size() && (text[at] == ';' || text[at] == ':')) {
            continue;  // ";;" or ";:"
        } else {
            return false;
        }
        out.parameters.push_back(std::move(parameter));
    }
    if (at >= text.size() || text[at] != ':') return false;
    out.value = text.substr(at + 1);
    return true;
}

void append_content_line(const ContentLine& line, std::string& out) {
    const std::size_t start = out.size();
    if (!line.group.empty()) {
        out += line.group;
        out += '.';
    }
    out += line.name;
    for (const Parameter& p : line.parameters) {
        out += ';';
        out += p.name;
        out += '=';
        const bool quote = p.value.find_first_of(":;,") != std::string::npos;
        // Lists of plain words ("TYPE=HOME,WORK") stay lists.
        const bool list =
            quote && p.value.find_first_of(":; ") == std::string::npos && p.name != "CN";
        if (quote && !list) out += '"';
        for (const char c : p.value) out += c == '"' ? '\'' : c;
        if (quote && !list) out += '"';
    }
    out += ':';
    out += line.value;
    if (out.size() - start > kFoldOctets) {
        const std::string whole = out.substr(start);
        out.resize(start);
        std::size_t at = 0;
        std::size_t room = kFoldOctets;
        while (whole.size() - at > room) {
            std::size_t cut = at + room;
            while (cut > at + room - 4 && (static_cast<std::uint8_t>(whole[cut]) & 0xC0U) == 0x80)
                --cut;
            out.append(whole, at, cut - at);
            out += "\r\n ";
            at = cut;
            room = kFoldOctets - 1;
        }
        out.append(whole, at);
    }
    out += "\r\n";
}

std::string write_content_line(const ContentLine& line) {
    std::string out;
    append_content_line(line, out);
    return out;
}

bool drop_controls(std::string& text) {
    const auto bad = [](char c) {
        return (static_cast<std::uint8_t>(c) < 0x20 && c != '\t') || c == 0x7F;
    };
    return std::erase_if(text, bad) > 0;
}

std::string unescape_text(std::string_view value) {
    std::string out;
    out.reserve(value.size());
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (value[i] != '\\' || i + 1 == value.size()) {
            out += value[i];
            continue;
        }
        ++i;
        if (value[i] == 'n' || value[i] == 'N') {
            out += '\n';
        } else {
            if (value[i] != '\\' && value[i] != ';' && value[i] != ',' && value[i] != ':' &&
                value[i] != '"')
                out += '\\';
            out += value[i];
        }
    }
    return out;
}

std::string escape_text(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        if (c == '\n') {
            out += "\\n";
        } else if (c != '\r') {
            if (c == '\\' || c == ';' || c == ',') out += '\\';
            out += c;
        }
    }
    return out;
}

std::string decode_quoted_printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '=' && i + 2 < text.size() + 0 && hex_digit(text[i + 1]) >= 0 &&
            hex_digit(text[i + 2]) >= 0) {
            out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::string decode_base64(std::string_view text) {
    std::string out;
    out.reserve(text.size() / 4 * 3);
    std::uint32_t bits = 0;
    int have = 0;
    for (const char c : text) {
        int value = -1;
        if (c >= 'A' && c <= 'Z')
            value = c - 'A';
        else if (c >= 'a' && c <= 'z')
            value = c - 'a' + 26;
        else if (c >= '0' && c <= '9')
            value = c - '0' + 52;
        else if (c == '+' || c == '-')
            value = 62;
        else if (c == '/' || c == '_')
            value = 63;
        else if (c == '=' || c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        if (value < 0) return {};
        bits = (bits << 6U) | static_cast<std::uint32_t>(value);
        have += 6;
        if (have >= 8) {
            have -= 8;
            out += static_cast<char>((bits >> static_cast<unsigned>(have)) & 0xFFU);
        }
    }
    return out;
}

std::string encode_base64(std::string_view bytes) {
    constexpr std::string_view kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const auto byte = [&](std::size_t k) {
            return i + k < bytes.size() ? static_cast<std::uint8_t>(bytes[i + k]) : 0U;
        };
        const std::uint32_t word = (byte(0) << 16U) | (byte(1) << 8U) | byte(2);
        out += kAlphabet[word >> 18U];
        out += kAlphabet[(word >> 12U) & 63U];
        out += i + 1 < bytes.size() ? kAlphabet[(word >> 6U) & 63U] : '=';
        out += i + 2 < bytes.size() ? kAlphabet[word & 63U] : '=';
    }
    return out;
}

}  // namespace imapult::importers
