#pragma once
// What memory this process uses.

#include <cstdint>

namespace imapult {

/// The most resident memory since this program was started, in octets (VmHWM of /proc/self/status;
/// getrusage() would count what our parent used before it started us). 0 if the system does not
/// tell.
std::uint64_t peak_resident_bytes();

/// Large blocks go back to the system as soon as they are freed. The allocator's default raises the
/// size from which it does so with every block that is freed, and message buffers then scatter over
/// a heap half as large again.
void return_large_blocks();

}  // namespace imapult
