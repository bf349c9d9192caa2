#pragma once
// Rights on mailboxes that somebody has to give by hand, in each of the reports.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/imapult/outcome.h"

namespace imapult::program {

/// Lines for `carbonio prov`, one each: all grants, then what shows the folders to the grantees.
std::vector<std::string> rights_script(const std::vector<campaign::AccountSummary>& accounts);

/// "rights", "unset_rights" and "rights_script" of these accounts; nothing where there is nothing
/// to say.
void add_rights(nlohmann::ordered_json& json,
                const std::vector<campaign::AccountSummary>& accounts);
std::string rights_text(const Outcome& outcome);
std::string rights_html(const Outcome& outcome);
/// "bob lrs: the destination …"
std::string unset_text(const campaign::UnsetRight& right);

}  // namespace imapult::program
