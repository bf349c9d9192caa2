#include "engine/base/memory.h"

#include <malloc.h>

#include <fstream>
#include <string>

namespace imapult {
namespace {
constexpr int kLargeBlockBytes = 256 * 1024;
}

std::uint64_t peak_resident_bytes() {
    std::ifstream status("/proc/self/status");
    std::string word;
    while (status >> word) {
        if (word != "VmHWM:") continue;
        std::uint64_t kibibytes = 0;
        return status >> kibibytes ? kibibytes * 1024 : 0;
    }
    return 0;
}

void return_large_blocks() {
#ifdef M_MMAP_THRESHOLD  // glibc's
    mallopt(M_MMAP_THRESHOLD, kLargeBlockBytes);
#endif
}

}  // namespace imapult
