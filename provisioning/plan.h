#pragma once
// `provision plan` and `inspect`: reads the input set twice (index, then output), finds conflicts
// in between, and writes the plan. Memory grows with the number of entries (about 1 KiB each for
// names, ids and places), never with their size: the entries themselves are read again when their
// turn comes.

#include <array>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "provisioning/destination.h"
#include "provisioning/index.h"
#include "provisioning/settings.h"

namespace imapult::provisioning {

struct PlanInput {
    std::vector<std::string> from;
    CsvLayout layout = CsvLayout::detect;
    Settings settings;
    std::optional<std::string> shared_password;  ///< CSV layout 1
};

enum class Op : std::uint8_t { create, update, keep, skip };
std::string_view name_of(Op op);

struct PlanReport {
    Profile profile = Profile::zimbra;
    std::map<std::string, std::map<std::string, std::uint64_t>> counts;  ///< kind → op → number
    std::vector<Conflict> conflicts;
    std::vector<FileProblem> problems;
    std::uint64_t problems_total = 0;
    std::uint64_t decisions = 0;
    std::uint64_t random_passwords = 0;
    std::vector<std::string> files;           ///< paths, by InputFile number
    std::vector<std::string> notes;           ///< what the reader should know, one sentence each
    std::vector<std::string> decision_lines;  ///< inspect: "FILE:LINE: …", the first ones
};

/// Makes the plan in `out` (see cli.md, "provision"); with conflicts only summaries and decisions
/// are written. An empty `out` writes nothing: `inspect`.
Result<PlanReport> make_plan(const PlanInput& input, Destination& destination,
                             const std::string& out);
/// The same for files that are open; `input.from` and `input.layout` are not looked at.
Result<PlanReport> make_plan(SourceSet source, const PlanInput& input, Destination& destination,
                             const std::string& out);

}  // namespace imapult::provisioning
