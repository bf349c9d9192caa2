#include "provisioning/xml.h"

#include <expat.h>

#include <memory>

#include "engine/base/text.h"
#include "provisioning/limits.h"

namespace imapult::provisioning {
namespace {

struct Builder {
    XmlNode root;
    std::vector<XmlNode*> path;
    XML_Parser parser = nullptr;
    std::string problem;

    void stop(std::string what) {
        problem = std::move(what);
        XML_StopParser(parser, XML_FALSE);
    }
};

std::string local_name(const char* name) {
    const std::string_view full(name);
    return std::string(full.substr(full.rfind('|') + 1));
}

void on_start(void* data, const char* name, const char** attributes) {
    auto& builder = *static_cast<Builder*>(data);
    if (builder.path.size() >= limits::kSoapNestingMax) return builder.stop("nested too deep");
    auto& node = builder.path.back()->children.emplace_back();
    node.name = local_name(name);
    for (; *attributes; attributes += 2) {
        node.attributes.emplace_back(local_name(attributes[0]), attributes[1]);
    }
    builder.path.push_back(&node);
}

void on_end(void* data, const char*) {
    static_cast<Builder*>(data)->path.pop_back();
}

void on_text(void* data, const char* text, int size) {
    static_cast<Builder*>(data)->path.back()->text.append(text, static_cast<std::size_t>(size));
}

void on_doctype(void* data, const char*, const char*, const char*, int) {
    static_cast<Builder*>(data)->stop("a document type declaration");
}

struct ParserFree {
    void operator()(XML_Parser parser) const { XML_ParserFree(parser); }
};

}  // namespace

std::string_view XmlNode::attribute(std::string_view key) const {
    for (const auto& [name_, value] : attributes) {
        if (name_ == key) return value;
    }
    return {};
}

const XmlNode* XmlNode::child(std::string_view key) const {
    for (const auto& node : children) {
        if (node.name == key) return &node;
    }
    return nullptr;
}

const XmlNode* XmlNode::find(std::string_view key) const {
    for (const auto& node : children) {
        if (node.name == key) return &node;
        if (const auto* found = node.find(key)) return found;
    }
    return nullptr;
}

Result<XmlNode> parse_xml(std::string_view text) {
    const auto protocol = [](std::string what) {
        return fail(Code::protocol, Scope::host, Retry::never,
                    "the server's answer is not SOAP: " + printable(what));
    };
    if (text.size() > limits::kSoapReplyBytesMax) return protocol("larger than 16 MiB");
    const std::unique_ptr<XML_ParserStruct, ParserFree> parser(XML_ParserCreateNS("UTF-8", '|'));
    IMAPULT_ASSERT(parser != nullptr);
    Builder builder;
    builder.parser = parser.get();
    builder.path.push_back(&builder.root);
    XML_SetUserData(parser.get(), &builder);
    XML_SetElementHandler(parser.get(), on_start, on_end);
    XML_SetCharacterDataHandler(parser.get(), on_text);
    XML_SetStartDoctypeDeclHandler(parser.get(), on_doctype);
    const auto status =
        XML_Parse(parser.get(), text.data(), static_cast<int>(text.size()), XML_TRUE);
    if (!builder.problem.empty()) return protocol(builder.problem);
    if (status != XML_STATUS_OK) return protocol(XML_ErrorString(XML_GetErrorCode(parser.get())));
    return std::move(builder.root);
}

void append_xml(std::string& out, std::string_view value) {
    for (const char c : value) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\n':
                out += "&#10;";
                break;
            case '\r':
                out += "&#13;";
                break;
            case '\t':
                out += "&#9;";
                break;
            default:
                out += c;
        }
    }
}

bool fits_xml(std::string_view value) {
    if (!is_utf8(value)) return false;
    if (value.contains("\xEF\xBF\xBE") || value.contains("\xEF\xBF\xBF")) return false;
    for (const char c : value) {
        const auto octet = static_cast<unsigned char>(c);
        if (octet < 0x20 && c != '\n' && c != '\r' && c != '\t') return false;
    }
    return true;
}

std::string read_by_xml(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\r') {
            out += text[i];
        } else if (i + 1 == text.size() || text[i + 1] != '\n') {
            out += '\n';
        }
    }
    return out;
}

}  // namespace imapult::provisioning
