#include "importers/zone_names.h"

#include <unicode/ucal.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "engine/base/text.h"
#include "importers/limits.h"

namespace imapult::importers {

std::string zone_folder() {
    const char* folder = std::getenv("TZDIR");
    return folder != nullptr && *folder != '\0' ? folder : "/usr/share/zoneinfo";
}

namespace {

/// Lower-case Olson name → its proper spelling; also last parts ("berlin") where they are unique.
struct ZoneIndex {
    std::map<std::string, std::string> full;
    std::map<std::string, std::string> city;
};

const ZoneIndex& zone_index() {
    static const ZoneIndex index = [] {
        ZoneIndex out;
        std::ifstream file(zone_folder() + "/tzdata.zi");
        std::string line;
        std::set<std::string> names;
        while (std::getline(file, line)) {
            if (line.starts_with("Z ")) names.insert(line.substr(2, line.find(' ', 2) - 2));
            if (line.starts_with("L ")) names.insert(line.substr(line.rfind(' ') + 1));
        }
        if (names.empty()) {
            std::ifstream table(zone_folder() + "/tzdata.zi");
            std::error_code ignored;
            const std::string folder = zone_folder();
            for (auto it = std::filesystem::recursive_directory_iterator(folder, ignored);
                 it != std::filesystem::recursive_directory_iterator(); it.increment(ignored)) {
                if (ignored || !it->is_regular_file(ignored)) continue;
                const std::string name = it->path().string().substr(folder.size() + 1);
                if (name.starts_with("posix/") || name.starts_with("right/") || name.contains('.'))
                    continue;
                names.insert(name);
            }
        }
        for (const std::string& name : names) {
            out.full.emplace(to_lower(name), name);
            const bool area = name.starts_with("Europe/") || name.starts_with("America/") ||
                              name.starts_with("Asia/") || name.starts_with("Africa/") ||
                              name.starts_with("Australia/") || name.starts_with("Pacific/") ||
                              name.starts_with("Atlantic/") || name.starts_with("Indian/");
            if (!area) continue;
            std::string city = to_lower(name.substr(name.rfind('/') + 1));
            std::ranges::replace(city, '_', ' ');
            out.city.emplace(city, name);
        }
        return out;
    }();
    return index;
}

std::string from_windows(std::string_view name) {
    if (name.size() > 100 || !is_utf8(name)) return {};
    std::u16string wide(name.begin(), name.end());
    std::array<UChar, 128> id{};
    UErrorCode status = U_ZERO_ERROR;
    const std::int32_t length =
        ucal_getTimeZoneIDForWindowsID(wide.data(), static_cast<std::int32_t>(wide.size()), nullptr,
                                       id.data(), static_cast<std::int32_t>(id.size()), &status);
    std::string out;
    if (U_FAILURE(status)) return out;
    for (std::int32_t i = 0; i < length; ++i)
        out += static_cast<char>(id[static_cast<std::size_t>(i)]);
    return out;
}

/// "(UTC+01:00) Amsterdam, Berlin, Bern": the first city that is a zone.
std::string from_outlook(std::string_view name) {
    const bool offset_first = name.starts_with('(');
    const auto close = offset_first ? name.find(')') : std::string_view::npos;
    // "(UTC+08:00) Kuala Lumpur, Singapore" and, from older ones, the cities alone.
    if (offset_first ? close == std::string_view::npos : !name.contains(", ")) return {};
    std::string_view rest = offset_first ? name.substr(close + 1) : name;
    while (!rest.empty()) {
        const auto comma = rest.find_first_of(",;/");
        const std::string city = to_lower(trim(rest.substr(0, comma)));
        const auto found = zone_index().city.find(city);
        if (found != zone_index().city.end()) return found->second;
        const std::string windows = from_windows(trim(rest.substr(0, comma)));
        if (!windows.empty()) return windows;
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
    }
    if (!offset_first) return {};
    const std::string_view offset = name.substr(1, close - 1);
    return offset == "UTC" || offset == "GMT" ? "Etc/UTC" : "";
}

}  // namespace

std::string zone_spelling(std::string_view olson) {
    const auto found = zone_index().full.find(to_lower(olson));
    return found == zone_index().full.end() ? std::string{} : found->second;
}

std::string zone_meant(std::string_view tzid) {
    std::string_view name = trim(tzid);
    while (name.size() >= 2 && name.front() == '"' && name.back() == '"')
        name = trim(name.substr(1, name.size() - 2));
    if (name.empty() || name.size() > kTzidBytesMax) return {};
    const auto& index = zone_index().full;
    // Drop one leading segment after the other: /mozilla.org/20050126_1/Europe/Berlin.
    std::string lower = to_lower(name);
    for (std::string_view rest = lower;;) {
        while (rest.starts_with('/')) rest.remove_prefix(1);
        const auto found = index.find(std::string(rest));
        if (found != index.end()) return found->second;
        const auto slash = rest.find('/');
        if (slash == std::string_view::npos) break;
        rest.remove_prefix(slash);
    }
    for (std::string candidate : {from_windows(name), from_outlook(name)}) {
        const auto found = index.find(to_lower(candidate));
        if (found != index.end()) return found->second;
    }
    return {};
}

}  // namespace imapult::importers
