#pragma once
// The sample organisation's calendars and contacts, as its old programs export them, on their way
// into a stand-in for Carbonio's REST and SOAP sides.

#include <cstddef>
#include <string>
#include <vector>

#include "engine/base/error.h"

namespace imapult::demo {

struct GroupwareResult {
    std::size_t items = 0;     ///< events and tasks at the destination
    std::size_t contacts = 0;  ///< likewise, counted inside the server
    std::size_t repaired = 0;
    std::size_t refused = 0;
    double seconds = 0;
    std::vector<std::string> troubles;  ///< what is not as it should be; empty: all is well
};

/// Writes one calendar and one address book an account below `folder`, imports both twice and looks
/// into the server. The servers end with the call. Errors: io.
Result<GroupwareResult> import_groupware(const std::vector<std::string>& accounts,
                                         const std::string& folder);

}  // namespace imapult::demo
