// The comparable core of an item (calendar_item.h).

#include <algorithm>
#include <optional>

#include "engine/base/text.h"
#include "importers/calendar_item.h"
#include "importers/content_line.h"
#include "importers/digest.h"
#include "importers/limits.h"
#include "importers/zones.h"

namespace imapult::importers {
namespace {

/// Texts equal but for white space and line ends are equal.
std::string plain(std::string_view value) {
    std::string out;
    bool blank = false;
    for (const char c : unescape_text(value)) {
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            blank = !out.empty();
        } else {
            if (blank) out += ' ';
            blank = false;
            out += c;
        }
    }
    return out;
}

/// An instant, a date, or a floating time, spelled so that equal ones are equal.
std::string moment(const ContentLine& line, std::string_view value) {
    const auto time = parse_wall_time(trim(value));
    if (!time) return std::string(value);
    if (time->date_only) return "d" + std::string(value.substr(0, 8));
    const Parameter* tzid = line.parameter("TZID");
    if (time->utc) return "u" + std::to_string(seconds_of(*time));
    if (tzid == nullptr) return "f" + format_wall_time(*time);
    const auto zone = find_zone(olson_name(tzid->value));
    if (zone == nullptr) return "z" + format_wall_time(*time);
    return "u" + std::to_string(utc_of(*zone, *time));
}

std::vector<std::string> moments(const ContentLine& line) {
    std::vector<std::string> parts;
    std::string_view rest = line.value;
    while (!rest.empty()) {
        const auto comma = rest.find(',');
        parts.push_back(moment(line, rest.substr(0, comma)));
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
    }
    return parts;
}

/// Parts in order, without defaults: INTERVAL=1 and WKST.
std::string recurrence(std::string_view value) {
    std::vector<std::string> parts;
    while (!value.empty()) {
        const auto end = value.find(';');
        std::string part(trim(value.substr(0, end)));
        std::ranges::transform(part, part.begin(), [](char c) {
            return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
        });
        if (!part.empty() && part != "INTERVAL=1" && !part.starts_with("WKST="))
            parts.push_back(std::move(part));
        if (end == std::string_view::npos) break;
        value.remove_prefix(end + 1);
    }
    std::ranges::sort(parts);
    std::string out;
    for (const std::string& part : parts) out += part + ";";
    return out;
}

/// "P1DT2H" in seconds; nothing if it is none.
std::optional<std::int64_t> duration_seconds(std::string_view text) {
    std::int64_t sign = 1;
    if (text.starts_with('-')) sign = -1;
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    if (!text.starts_with('P')) return std::nullopt;
    std::int64_t total = 0;
    std::int64_t number = 0;
    for (const char c : text.substr(1)) {
        if (c >= '0' && c <= '9') {
            number = std::min<std::int64_t>(number * 10 + (c - '0'), 1'000'000'000);
            continue;
        }
        if (c == 'W')
            total += number * 604800;
        else if (c == 'D')
            total += number * 86400;
        else if (c == 'H')
            total += number * 3600;
        else if (c == 'M')
            total += number * 60;
        else if (c == 'S')
            total += number;
        else if (c != 'T')
            return std::nullopt;
        number = 0;
    }
    return sign * total;
}

std::string add(const std::string& start, std::int64_t seconds) {
    if (start.size() > 1 && start[0] == 'u')
        return "u" + std::to_string(std::stoll(start.substr(1)) + seconds);
    if (const auto time = parse_wall_time(std::string_view(start).substr(start.empty() ? 0 : 1))) {
        const WallTime end = wall_time_of(seconds_of(*time) + seconds);
        return start[0] == 'd' ? "d" + format_wall_time(end).substr(0, 8)
                               : "f" + format_wall_time(end);
    }
    return start;
}

/// One piece as "NAME=value" lines.
std::string piece_core(std::string_view text, bool qp) {
    LineReader reader(text, 1, qp);
    std::string_view raw;
    std::size_t number = 0;
    int depth = 0;
    std::string start;
    std::string end;
    std::optional<std::int64_t> duration;
    std::vector<std::string> facts;
    ContentLine line;
    while (reader.next(raw, number)) {
        if (!parse_content_line(raw, line)) continue;
        if (line.name == "BEGIN") ++depth;
        if (line.name == "END") --depth;
        if (depth != 1) continue;
        const std::string& name = line.name;
        if (name == "DTSTART") start = moment(line, line.value);
        if (name == "DTEND" || name == "DUE") end = moment(line, line.value);
        if (name == "DURATION") duration = duration_seconds(trim(line.value));
        if (name == "RECURRENCE-ID") facts.push_back("ID=" + moment(line, line.value));
        if (name == "RRULE") facts.push_back("RRULE=" + recurrence(line.value));
        if (name == "EXDATE" || name == "RDATE") {
            for (const std::string& one : moments(line)) facts.push_back(name + "=" + one);
        }
        if (name == "SUMMARY" || name == "LOCATION" || name == "DESCRIPTION") {
            const std::string value = plain(line.value);
            if (!value.empty()) facts.push_back(name + "=" + value);
        }
    }
    if (end.empty() && duration) end = add(start, *duration);
    if (end.empty()) end = start.starts_with('d') ? add(start, 86400) : start;
    facts.push_back("FROM=" + start);
    facts.push_back("TO=" + end);
    std::ranges::sort(facts);
    facts.erase(std::ranges::unique(facts).begin(), facts.end());
    std::string out;
    for (const std::string& fact : facts) out += std::to_string(fact.size()) + ":" + fact;
    return out;
}

}  // namespace

ItemCore core_of(const CalendarFile& file, const RawItem& item) {
    ItemCore core;
    std::vector<std::string> pieces;
    for (const RawPiece& piece : item.pieces) {
        pieces.push_back(piece_core(std::string_view(file.text).substr(piece.begin, piece.length),
                                    piece.version_1));
        if (!piece.exception || item.pieces.size() == 1)
            core.sequence = std::max(core.sequence, piece.sequence);
    }
    std::ranges::sort(pieces);
    pieces.erase(std::ranges::unique(pieces).begin(), pieces.end());
    core.pieces = static_cast<std::uint32_t>(pieces.size());
    std::string all;
    for (const std::string& piece : pieces) all += std::to_string(piece.size()) + "|" + piece;
    core.digest = sha256(all);
    return core;
}

}  // namespace imapult::importers
