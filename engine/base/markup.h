#pragma once
// Text inside HTML.

#include <string>
#include <string_view>

namespace imapult {

/// Safe inside an element or a quoted attribute. Control characters are printable()'s business.
std::string escape_html(std::string_view text);

}  // namespace imapult
