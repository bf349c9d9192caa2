#include "importers/xml.h"

#include <cstdint>

#include "engine/base/text.h"

namespace imapult::importers {
namespace {

constexpr std::size_t kDepthMax = 64;
constexpr std::size_t kElementsMax = 100'000;

std::unexpected<Error> broken(std::string_view what) {
    return fail(Code::protocol, Scope::connection, Retry::never,
                "the XML is broken: " + std::string(what));
}

void append_utf8(std::string& out, std::uint32_t c) {
    if (c < 0x80) {
        out += static_cast<char>(c);
    } else if (c < 0x800) {
        out += static_cast<char>(0xC0U | (c >> 6U));
        out += static_cast<char>(0x80U | (c & 0x3FU));
    } else if (c < 0x10000) {
        out += static_cast<char>(0xE0U | (c >> 12U));
        out += static_cast<char>(0x80U | ((c >> 6U) & 0x3FU));
        out += static_cast<char>(0x80U | (c & 0x3FU));
    } else {
        out += static_cast<char>(0xF0U | (c >> 18U));
        out += static_cast<char>(0x80U | ((c >> 12U) & 0x3FU));
        out += static_cast<char>(0x80U | ((c >> 6U) & 0x3FU));
        out += static_cast<char>(0x80U | (c & 0x3FU));
    }
}

class Parser {
  public:
    explicit Parser(std::string_view text) : rest_(text) {}

    Result<XmlElement> document() {
        if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);
        if (!misc()) return broken("an unfinished comment or declaration");
        XmlElement root;
        IMAPULT_CHECK(element(root, 0));
        return root;
    }

  private:
    void blanks() {
        while (!rest_.empty() &&
               (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == '\r' || rest_[0] == '\n'))
            rest_.remove_prefix(1);
    }
    bool skip_to(std::string_view end) {
        const auto at = rest_.find(end);
        if (at == std::string_view::npos) return false;
        rest_.remove_prefix(at + end.size());
        return true;
    }
    bool misc() {
        for (;;) {
            blanks();
            if (rest_.starts_with("<?")) {
                if (!skip_to("?>")) return false;
            } else if (rest_.starts_with("<!--")) {
                if (!skip_to("-->")) return false;
            } else {
                return true;
            }
        }
    }
    static bool is_name(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '.' || c == ':' || static_cast<std::uint8_t>(c) >= 0x80;
    }
    std::string_view name() {
        std::size_t n = 0;
        while (n < rest_.size() && is_name(rest_[n])) ++n;
        const std::string_view out = rest_.substr(0, n);
        rest_.remove_prefix(n);
        return out;
    }
    static std::string local(std::string_view qualified) {
        const auto colon = qualified.rfind(':');
        return std::string(colon == std::string_view::npos ? qualified
                                                           : qualified.substr(colon + 1));
    }
    Result<std::string> decoded(std::string_view raw) {
        std::string out;
        out.reserve(raw.size());
        while (!raw.empty()) {
            const auto amp = raw.find('&');
            out += raw.substr(0, amp);
            if (amp == std::string_view::npos) break;
            raw.remove_prefix(amp + 1);
            const auto end = raw.find(';');
            if (end == std::string_view::npos || end > 10) return broken("a stray &");
            const std::string_view entity = raw.substr(0, end);
            raw.remove_prefix(end + 1);
            if (entity == "lt")
                out += '<';
            else if (entity == "gt")
                out += '>';
            else if (entity == "amp")
                out += '&';
            else if (entity == "quot")
                out += '"';
            else if (entity == "apos")
                out += '\'';
            else if (entity.starts_with('#')) {
                std::uint32_t value = 0;
                const bool hex = entity.starts_with("#x");
                for (const char c : entity.substr(hex ? 2 : 1)) {
                    const int digit = c >= '0' && c <= '9' ? c - '0'
                                      : hex && (c | 0x20) >= 'a' && (c | 0x20) <= 'f'
                                          ? (c | 0x20) - 'a' + 10
                                          : -1;
                    if (digit < 0 || value > 0x10FFFF) return broken("a bad character number");
                    value = value * (hex ? 16 : 10) + static_cast<std::uint32_t>(digit);
                }
                if (value == 0 || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
                    return broken("a bad character number");
                append_utf8(out, value);
            } else {
                return broken("an unknown entity");
            }
        }
        return out;
    }
    Result<> attributes(XmlElement& out) {
        for (;;) {
            blanks();
            if (rest_.empty()) return broken("an unfinished tag");
            if (rest_[0] == '>' || rest_[0] == '/') return {};
            const std::string_view key = name();
            blanks();
            if (key.empty() || !rest_.starts_with('=')) return broken("a bad attribute");
            rest_.remove_prefix(1);
            blanks();
            if (rest_.empty() || (rest_[0] != '"' && rest_[0] != '\''))
                return broken("an attribute without quotes");
            const char quote = rest_[0];
            rest_.remove_prefix(1);
            const auto end = rest_.find(quote);
            if (end == std::string_view::npos) return broken("an unfinished attribute");
            IMAPULT_TRY(std::string value, decoded(rest_.substr(0, end)));
            rest_.remove_prefix(end + 1);
            out.attributes.emplace_back(std::string(key), std::move(value));
            if (out.attributes.size() > 1000) return broken("too many attributes");
        }
    }
    Result<> element(XmlElement& out, std::size_t depth) {
        if (depth > kDepthMax) return broken("nested too deeply");
        if (++count_ > kElementsMax) return broken("too many elements");
        if (!rest_.starts_with('<')) return broken("no element where one was expected");
        rest_.remove_prefix(1);
        const std::string qualified(name());
        if (qualified.empty()) return broken("a tag without a name (or a DTD)");
        out.name = local(qualified);
        IMAPULT_CHECK(attributes(out));
        if (rest_.starts_with("/>")) {
            rest_.remove_prefix(2);
            return {};
        }
        rest_.remove_prefix(1);
        for (;;) {
            const auto tag = rest_.find('<');
            if (tag == std::string_view::npos) return broken("an element without end");
            IMAPULT_TRY(std::string text, decoded(rest_.substr(0, tag)));
            out.text += text;
            rest_.remove_prefix(tag);
            if (rest_.starts_with("<!--")) {
                if (!skip_to("-->")) return broken("an unfinished comment");
            } else if (rest_.starts_with("<![CDATA[")) {
                const auto end = rest_.find("]]>");
                if (end == std::string_view::npos) return broken("an unfinished CDATA section");
                out.text += rest_.substr(9, end - 9);
                rest_.remove_prefix(end + 3);
            } else if (rest_.starts_with("</")) {
                rest_.remove_prefix(2);
                if (name() != qualified) return broken("an end tag that fits no start tag");
                blanks();
                if (!rest_.starts_with('>')) return broken("an unfinished end tag");
                rest_.remove_prefix(1);
                return {};
            } else {
                out.children.emplace_back();
                IMAPULT_CHECK(element(out.children.back(), depth + 1));
            }
        }
    }

    std::string_view rest_;
    std::size_t count_ = 0;
};

}  // namespace

std::string_view XmlElement::attribute(std::string_view wanted) const {
    for (const auto& [key, value] : attributes) {
        if (key == wanted) return value;
    }
    return {};
}

const XmlElement* XmlElement::child(std::string_view wanted) const {
    for (const XmlElement& element : children) {
        if (element.name == wanted) return &element;
    }
    return nullptr;
}

const XmlElement* XmlElement::find(std::string_view wanted) const {
    if (name == wanted) return this;
    for (const XmlElement& element : children) {
        if (const XmlElement* found = element.find(wanted)) return found;
    }
    return nullptr;
}

Result<XmlElement> parse_xml(std::string_view text) {
    return Parser(text).document();
}

std::string xml_escape(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const auto byte = static_cast<std::uint8_t>(c);
        if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '&')
            out += "&amp;";
        else if (c == '"')
            out += "&quot;";
        else if (byte == '\n' || byte == '\r' || byte == '\t')
            out += "&#" + std::to_string(byte) + ";";
        else if (byte >= 0x20)
            out += c;
    }
    return out;
}

}  // namespace imapult::importers
