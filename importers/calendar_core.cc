// The comparable core of an item (calendar_item.h).

#include <algorithm>
#include <optional>

#include "engine/base/text.h"
#include "importers/calendar_item.h"
#include "importers/calendar_piece.h"
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

std::string later(const std::string& start, std::int64_t seconds) {
    if (start.size() > 1 && start[0] == 'u')
        return "u" + std::to_string(std::stoll(start.substr(1)) + seconds);
    if (const auto time = parse_wall_time(std::string_view(start).substr(start.empty() ? 0 : 1))) {
        const WallTime end = wall_time_of(seconds_of(*time) + seconds);
        return start[0] == 'd' ? "d" + format_wall_time(end).substr(0, 8)
                               : "f" + format_wall_time(end);
    }
    return start;
}

/// One piece as "NAME=value" lines, whatever their order in it.
class PieceFacts {
  public:
    void add(const ContentLine& line);
    std::string text() &&;

  private:
    int depth_ = 0;
    std::string start_;
    std::string end_;
    std::optional<std::int64_t> duration_;
    std::vector<std::string> facts_;
};

void PieceFacts::add(const ContentLine& line) {
    const std::string& name = line.name;
    if (name == "BEGIN") ++depth_;
    if (name == "END") --depth_;
    if (depth_ != 1) return;
    if (name == "DTSTART") start_ = moment(line, line.value);
    if (name == "DTEND" || name == "DUE") end_ = moment(line, line.value);
    if (name == "DURATION") duration_ = duration_seconds(trim(line.value));
    if (name == "RECURRENCE-ID") facts_.push_back("ID=" + moment(line, line.value));
    if (name == "RRULE") facts_.push_back("RRULE=" + recurrence(line.value));
    if (name == "EXDATE" || name == "RDATE") {
        for (const std::string& one : moments(line)) facts_.push_back(name + "=" + one);
    }
    if (name == "SUMMARY" || name == "LOCATION" || name == "DESCRIPTION") {
        const std::string value = plain(line.value);
        if (!value.empty()) facts_.push_back(name + "=" + value);
    }
}

std::string PieceFacts::text() && {
    if (end_.empty() && duration_) end_ = later(start_, *duration_);
    if (end_.empty()) end_ = start_.starts_with('d') ? later(start_, 86400) : start_;
    facts_.push_back("FROM=" + start_);
    facts_.push_back("TO=" + end_);
    std::ranges::sort(facts_);
    facts_.erase(std::ranges::unique(facts_).begin(), facts_.end());
    std::string out;
    for (const std::string& fact : facts_) {
        out += std::to_string(fact.size());
        out += ':';
        out += fact;
    }
    return out;
}

ItemCore core_of_pieces(std::vector<std::string> pieces, std::uint32_t sequence) {
    ItemCore core;
    core.sequence = sequence;
    std::ranges::sort(pieces);
    pieces.erase(std::ranges::unique(pieces).begin(), pieces.end());
    core.pieces = static_cast<std::uint32_t>(pieces.size());
    std::string all;
    for (const std::string& piece : pieces) all += std::to_string(piece.size()) + "|" + piece;
    core.digest = sha256(all);
    return core;
}

}  // namespace

ItemCore core_of(const CalendarFile& file, const RawItem& item) {
    std::vector<std::string> pieces;
    std::uint32_t sequence = 0;
    for (const RawPiece& piece : item.pieces) {
        LineReader reader(std::string_view(file.text).substr(piece.begin, piece.length), 1,
                          piece.version_1);
        std::string_view raw;
        std::size_t number = 0;
        ContentLine line;
        PieceFacts facts;
        while (reader.next(raw, number)) {
            if (parse_content_line(raw, line)) facts.add(line);
        }
        pieces.push_back(std::move(facts).text());
        if (!piece.exception || item.pieces.size() == 1)
            sequence = std::max(sequence, piece.sequence);
    }
    return core_of_pieces(std::move(pieces), sequence);
}

ItemCore core_of(const std::vector<CleanPiece>& clean) {
    std::vector<std::string> pieces;
    std::uint32_t sequence = 0;
    for (const CleanPiece& piece : clean) {
        PieceFacts facts;
        for (const ContentLine& line : piece.lines) facts.add(line);
        pieces.push_back(std::move(facts).text());
        if (!piece.exception || clean.size() == 1) sequence = std::max(sequence, piece.sequence);
    }
    return core_of_pieces(std::move(pieces), sequence);
}

}  // namespace imapult::importers
