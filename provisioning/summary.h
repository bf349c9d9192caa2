#pragma once
// What a person reads and signs off.

#include <string>

#include "provisioning/plan.h"

namespace imapult::provisioning {

std::string summary_text(const PlanReport& report);
/// A page of its own, without scripts or anything from elsewhere.
std::string summary_html(const PlanReport& report);
/// "FILE:LINE: message", as on standard error.
std::string conflict_line(const PlanReport& report, const Conflict& conflict);
std::string problem_line(const PlanReport& report, const FileProblem& problem);

}  // namespace imapult::provisioning
