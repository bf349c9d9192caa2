#pragma once
// From a seed to a story: two servers, an organisation, passes with their troubles, and what users
// do in between.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/random.h"
#include "sim/process.h"
#include "tools/imapd/behaviour.h"
#include "tools/imapd/corpus.h"

namespace imapult::sim {

enum class Ending : std::uint8_t {
    normal,
    killed_at_time,    ///< at a virtual moment
    killed_at_commit,  ///< just before the ledger takes its nth commit
    stopped,           ///< Ctrl-C at a virtual moment
    stopped_at_once,
    disk_full,  ///< the ledger's commits fail from a moment on
};
std::string_view name_of(Ending ending);

struct PassPlan {
    Weather weather;
    Ending ending = Ending::normal;
    Nanos when{0};
    std::uint64_t commit = 0;
    bool busy_source = false;    ///< users go on working during the pass
    bool forget_ledger = false;  ///< the state directory was deleted before it
    std::size_t changes = 0;     ///< per account, before the pass
    Nanos commit_max{0};         ///< how long the ledger may take
    [[nodiscard]] bool undisturbed() const {
        return ending == Ending::normal && !weather.breaks_connections();
    }
};

struct Scenario {
    std::uint64_t seed = 0;
    std::string source_kind, destination_kind;
    imapd::Behaviour source, destination;
    bool refusing = false;  ///< the destination takes not every message
    bool repair = false;    ///< … and imapult changes those as little as it takes
    imapd::OrganisationShape organisation;
    bool large_message = false;
    double copied_before = 0;  ///< part of the messages that another tool has copied
    unsigned lanes = 2;
    bool mirror = false;  ///< --delete mirror
    bool fuse = false;    ///< … with its usual limit
    std::vector<PassPlan> passes;  ///< without the two calm ones at the end
};

Scenario make_scenario(std::uint64_t seed);
/// One line for people.
std::string describe(const Scenario& scenario);
std::string describe(const PassPlan& plan);

}  // namespace imapult::sim
