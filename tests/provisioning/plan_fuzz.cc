// Any octets as a directory: they are planned, or refused in a sentence, without a broken promise, and what an entry
// comes to as calls stays one line of the batch file a call, whatever its values hold.

#include <cstddef>
#include <cstdint>
#include <string>

#include "fuzz/fuzz_input.h"
#include "provisioning/batch.h"
#include "provisioning/calls.h"
#include "provisioning/plan.h"

using namespace imapult::provisioning;

namespace {

constexpr std::size_t kBytesMax = 64 * 1024;

void check_calls(SourceSet& source) {
    Names names;
    CallBuilder builder(names, [](auto&, auto&, auto&) {});
    const auto done = source.scan([&](Record& record) {
        names.learn(record.entry);
        for (const auto& call : builder.calls_for(record.entry)) {
            FUZZ_CHECK(batch_line(call).find_first_of("\n\r") == std::string::npos);
        }
    });
    FUZZ_CHECK(done.has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > kBytesMax) return 0;
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    auto source = SourceSet::from_memory("input", bytes);
    if (!source) return 0;
    check_calls(*source);
    PlanInput input;
    Destination nothing;
    const auto report = make_plan(std::move(*source), input, nothing, {});
    if (!report) {  // nothing in it can be planned: said in a sentence
        FUZZ_CHECK(report.error().code == imapult::Code::invalid_input);
        FUZZ_CHECK(!report.error().text.empty());
        return 0;
    }
    for (const auto& conflict : report->conflicts) {
        FUZZ_CHECK(conflict.where.line > 0 && conflict.where.offset <= size);
    }
    return 0;
}
