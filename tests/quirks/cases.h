#pragma once
// One quirk on one side, and what must come of it.

#include <functional>
#include <ostream>
#include <string_view>
#include <vector>

#include "quirks/world.h"

namespace imapult::quirks {

struct Case {
    std::string_view quirk;
    Side side = Side::source;
    std::string_view source = "standard";  ///< presets; the quirk comes on top
    std::string_view destination = "standard";
    std::string_view variant = {};
    /// More than World::fill() delivers.
    std::function<void(World&)> given = {};
    /// None: complete, everything equal, and the next pass copies nothing.
    std::function<void(World&, const report::AccountSummary&)> then = {};
};

/// For gtest's messages; without it they show the octets of the struct.
inline void PrintTo(const Case& c, std::ostream* out) {
    *out << c.quirk << " at the " << name_of(c.side);
}

std::vector<Case> session_cases();
std::vector<Case> name_cases();
std::vector<Case> fetch_cases();
std::vector<Case> append_cases();

/// Exactly these messages (by UID at the source, in INBOX) are refused, with a reason that says
/// `reason`; everything else is there.
void expect_refused(const report::AccountSummary& summary, std::vector<std::uint32_t> uids,
                    std::string_view reason);

}  // namespace imapult::quirks
