#pragma once
// As much XML as SOAP needs: elements, attributes, text. No DTD, no entities but the five and
// numbers.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"

namespace imapult::importers {

struct XmlElement {
    std::string name;  ///< without its prefix
    std::vector<std::pair<std::string, std::string>> attributes;
    std::string text;  ///< all character data of the element itself
    std::vector<XmlElement> children;

    /// The attribute's value, or "".
    [[nodiscard]] std::string_view attribute(std::string_view wanted) const;
    /// First child of that name, or null.
    [[nodiscard]] const XmlElement* child(std::string_view wanted) const;
    /// First descendant of that name (depth first, itself included), or null.
    [[nodiscard]] const XmlElement* find(std::string_view wanted) const;
};

/// Errors: protocol (not well-formed, a DTD, deeper than 64).
Result<XmlElement> parse_xml(std::string_view text);

/// For text and attribute values; what XML 1.0 cannot hold is left out.
std::string xml_escape(std::string_view text);

}  // namespace imapult::importers
