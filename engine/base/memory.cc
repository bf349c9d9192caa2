#include "engine/base/memory.h"

#include <fstream>
#include <string>

namespace imapult {

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

}  // namespace imapult
