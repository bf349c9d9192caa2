#include "provisioning/plan.h"

#include <array>

#include "provisioning/check.h"
#include "provisioning/emit.h"
#include "provisioning/password.h"
#include "provisioning/plan_writer.h"

namespace imapult::provisioning {

Result<PlanReport> make_plan(const PlanInput& input, Destination& destination,
                             const std::string& out) {
    IMAPULT_TRY(auto source, SourceSet::open(input.from, input.layout));
    return make_plan(std::move(source), input, destination, out);
}

Result<PlanReport> make_plan(SourceSet source, const PlanInput& input, Destination& destination,
                             const std::string& out) {
    PlanReport report;
    for (const auto& file : source.files()) report.files.push_back(file.path);
    IMAPULT_TRY(report.profile, detect_profile(source));
    ProfileContext context;
    context.profile = report.profile;
    context.settings = &input.settings;
    context.shared_password = input.shared_password ? &*input.shared_password : nullptr;
    Index index(source, context);
    IMAPULT_CHECK(index.build());
    if (index.nodes.empty() && index.leftovers.empty() && source.problems_total() == 0) {
        return invalid("there is no entry in the files: nothing to plan");
    }
    IMAPULT_CHECK(check(index, destination, input.settings));
    report.problems = source.problems();
    report.problems_total = source.problems_total();
    report.conflicts = index.conflicts;
    Names names;
    names.add(Kind::cos, *destination.cos_id("default"), "default");
    for (const auto& node : index.nodes) {
        if (node.skip.empty() && node.kind != Kind::container) {
            names.add(node.kind, node.id, node.name);
        }
    }
    PlanWriter writer(source, names, report, out);
    IMAPULT_CHECK(writer.prepare());
    for (const auto& problem : report.problems) {
        Location where;
        where.file = problem.file;
        where.line = problem.problem.line;
        writer.decision(where, problem.problem.dn, {"", "skipped", problem.problem.what});
    }
    if (!report.conflicts.empty()) {
        for (const auto& conflict : report.conflicts) {
            writer.decision(conflict.where, conflict.dn,
                            {"", "conflict", std::string(conflict.kind) + ": " + conflict.message});
        }
        IMAPULT_CHECK(writer.finish_with_conflicts());
        return report;
    }
    Emitter emitter(index, destination, input.settings, writer, report);
    IMAPULT_CHECK(emitter.run());
    IMAPULT_CHECK(writer.finish());
    return report;
}

std::string_view name_of(Op op) {
    constexpr std::array<std::string_view, 4> kNames = {"create", "update", "keep", "skip"};
    return kNames[static_cast<std::size_t>(op)];
}

}  // namespace imapult::provisioning
