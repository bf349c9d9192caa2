#pragma once
// How much memory this process has used.

#include <cstdint>

namespace imapult {

/// The most resident memory since this program was started, in octets (VmHWM of /proc/self/status;
/// getrusage() would count what our parent used before it started us). 0 if the system does not
/// tell.
std::uint64_t peak_resident_bytes();

}  // namespace imapult
