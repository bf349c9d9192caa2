#pragma once
// The little XML that SOAP needs: a tree to read replies (expat; no DTD, no entities of a
// document's own, bounded), and escaping to write requests.

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"

namespace imapult::provisioning {

struct XmlNode {
    std::string name;  ///< without namespace
    std::vector<std::pair<std::string, std::string>> attributes;
    std::string text;  ///< character data of the element itself
    std::deque<XmlNode> children;

    [[nodiscard]] std::string_view attribute(std::string_view key) const;
    [[nodiscard]] const XmlNode* child(std::string_view key) const;
    /// Depth-first search; nullptr if there is none. Bounded by limits::kSoapNestingMax.
    [[nodiscard]] const XmlNode* find(std::string_view key) const;
};

/// Errors: protocol (not well-formed, a DTD, nested too deep, too large).
Result<XmlNode> parse_xml(std::string_view text);

/// Appends text or a quoted attribute value, escaped; line breaks and tabs as character references.
void append_xml(std::string& out, std::string_view value);
/// False if XML 1.0 cannot hold the value: control characters, U+FFFE, U+FFFF, invalid UTF-8.
bool fits_xml(std::string_view value);

/// What a reader of XML makes of a text whose CRs were written as they are (XML 1.0, section 2.11):
/// every line end is LF.
std::string read_by_xml(std::string_view text);

}  // namespace imapult::provisioning
