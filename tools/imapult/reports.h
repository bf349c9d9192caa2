#pragma once
// The finished run, written down: the summary object, a page, a table, a few lines.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/base/error.h"
#include "tools/imapult/outcome.h"

namespace imapult::program {

/// The summary object of `--json`: always valid JSON, names printable.
nlohmann::ordered_json summary_json(const Outcome& outcome);
/// One line, with a line end.
std::string to_text(const nlohmann::ordered_json& json);

/// What a person reads on standard output at the end.
std::string summary_text(const Outcome& outcome);

/// One self-contained file: no external script, style, font or image.
std::string report_html(const Outcome& outcome);

/// One row an account, then one a refusal, told apart by the column `kind`. Cells that a
/// spreadsheet would run as formulas are defused.
std::string report_csv(const Outcome& outcome);

/// "Every one of 1,203 bodies was compared." or what a sample says of all; empty if there were
/// none.
std::string sample_sentence(const campaign::VerifyCounts& counts);

/// True for names that end in .html, .json or .csv.
bool is_report_name(const std::string& path);
/// Tells now whether the report can be written later. invalid_input.
Result<void> check_report(const std::string& path);
/// Writes `text`; the old file stays until the new one is complete. invalid_input, with the reason.
Result<void> replace_file(const std::string& path, std::string_view text);
/// Writes the form that the name asks for; the old file stays until the new one is complete.
Result<void> write_report(const std::string& path, const Outcome& outcome);

}  // namespace imapult::program
