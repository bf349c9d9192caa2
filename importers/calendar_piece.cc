// Mending of one VEVENT or VTODO (calendar_piece.h).

#include "importers/calendar_piece.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "engine/base/text.h"
#include "importers/limits.h"
#include "importers/vcalendar1.h"
#include "importers/zones.h"

namespace imapult::importers {
namespace {

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    return std::ranges::find(names, name) != names.end();
}

bool is_text_property(std::string_view name) {
    return is_one_of(name, {"DESCRIPTION", "SUMMARY", "LOCATION", "COMMENT", "CONTACT"});
}

/// These may stand once in an item.
bool is_single(std::string_view name) {
    return is_one_of(name, {"DTSTART", "DTEND", "DUE", "DURATION", "SUMMARY", "LOCATION",
                            "DESCRIPTION", "RECURRENCE-ID", "SEQUENCE", "STATUS", "CLASS", "TRANSP",
                            "ORGANIZER", "PRIORITY", "CREATED", "LAST-MODIFIED", "DTSTAMP"});
}

/// Makes one piece clean, line by line.
class PieceCleaner {
  public:
    PieceCleaner(const CalendarFile& file, const RawPiece& raw, CleanItem& item)
        : file_(file), raw_(raw), item_(item) {}

    std::expected<CleanPiece, ItemRefusal> run();

  private:
    void add(std::string_view text, std::size_t number);
    void add_line(ContentLine line);
    void add_stray(std::string_view text, std::size_t number);
    bool fix_times(ContentLine& line);
    bool fix_zone(ContentLine& line);
    void note(std::size_t line, const std::string& what) {
        if (item_.repairs.size() < 50)
            item_.repairs.push_back("line " + std::to_string(line) + ": " + what);
    }
    void refuse(std::size_t line, std::string reason) {
        if (!refused_) refused_ = ItemRefusal{line, std::move(reason)};
    }
    [[nodiscard]] bool at_top() const { return open_.size() == 1; }
    void check_times();

    const CalendarFile& file_;
    const RawPiece& raw_;
    CleanItem& item_;
    CleanPiece piece_;
    std::vector<std::string> open_;
    std::unordered_map<std::string, std::string> single_;  // what may stand once: its value
    std::optional<ItemRefusal> refused_;
};

std::expected<CleanPiece, ItemRefusal> PieceCleaner::run() {
    piece_.line = raw_.line;
    piece_.exception = raw_.exception;
    piece_.sequence = raw_.sequence;
    LineReader reader(std::string_view(file_.text).substr(raw_.begin, raw_.length), raw_.line,
                      raw_.version_1);
    std::string_view text;
    std::size_t number = 0;
    while (!refused_ && reader.next(text, number)) {
        if (trim(text).empty()) continue;
        add(text, number);
        if (piece_.lines.size() > kPieceLinesMax)
            refuse(raw_.line, "it has more than " + std::to_string(kPieceLinesMax) + " lines");
        if (!piece_.lines.empty() && open_.empty()) break;
    }
    while (!open_.empty()) {
        note(raw_.line, "END:" + open_.back() + " was missing");
        ContentLine end;
        end.name = "END";
        end.value = open_.back();
        piece_.lines.push_back(std::move(end));
        open_.pop_back();
    }
    if (!refused_) check_times();
    if (refused_) return std::unexpected(*refused_);
    return std::move(piece_);
}

void PieceCleaner::add(std::string_view text, std::size_t number) {
    ContentLine line;
    if (!parse_content_line(text, line, raw_.version_1)) {
        add_stray(text, number);
        return;
    }
    const bool component = line.name == "BEGIN" || line.name == "END";
    if (component && !is_component_line(text)) {  // BEGIN;X=1:VEVENT is read by nobody as one
        add_stray(text, number);
        return;
    }
    line.line = number;
    if (drop_controls(line.value))
        note(number, "control characters were removed from " + line.name);
    for (Parameter& p : line.parameters) {
        if (drop_controls(p.value))
            note(number, "control characters were removed from " + line.name);
    }
    if (component) {
        line.value = component_name(line.value);
        line.parameters.clear();
        if (line.name == "BEGIN") {
            open_.push_back(line.value);
        } else {
            while (open_.size() > 1 && open_.back() != line.value && open_.front() == line.value) {
                note(number, "END:" + open_.back() + " was missing");
                ContentLine end = line;
                end.value = open_.back();
                open_.pop_back();
                piece_.lines.push_back(std::move(end));
            }
            if (open_.empty() || open_.back() != line.value) {
                note(number, "an END line without BEGIN was dropped");
                return;
            }
            open_.pop_back();
        }
        piece_.lines.push_back(std::move(line));
        return;
    }
    if (!raw_.version_1) {
        add_line(std::move(line));
        return;
    }
    for (ContentLine& converted : convert_vcalendar1(std::move(line)))
        add_line(std::move(converted));
}

void PieceCleaner::add_stray(std::string_view text, std::size_t number) {
    // Most often the rest of a description whose line break was not escaped.
    ContentLine* last = piece_.lines.empty() ? nullptr : &piece_.lines.back();
    if (last != nullptr && is_text_property(last->name)) {
        last->value += "\\n" + escape_text(text);
        drop_controls(last->value);
        note(number, "a line without a property was joined to " + last->name);
        return;
    }
    note(number, "a line that is no property was dropped: " + printable(text, 60));
}

void PieceCleaner::add_line(ContentLine line) {
    const std::string& name = line.name;
    if (name == "X-LIC-ERROR" || name == "X-IMAPULT-REFUSED") return;
    // Many exporters write "LOCATION:" and "DESCRIPTION:" for what is not there; libical calls it
    // an error.
    if (line.value.empty() && !is_vital(name) && name != "UID") return;
    if (is_one_of(name, {"DTSTART", "DTEND", "DUE", "RECURRENCE-ID", "RDATE", "EXDATE"})) {
        line.value = trim(line.value);
        if (!fix_times(line)) return;
    }
    if (name == "RRULE" && at_top()) {
        while (line.value.ends_with(';') || line.value.ends_with(' ')) line.value.pop_back();
        line.value = trim(line.value);
        if (line.value.empty()) {
            note(line.line, "an empty RRULE was dropped");
            return;
        }
    }
    if (at_top()) {
        if (name == "UID") {
            // Set by the caller for every piece alike.
            return;
        }
        if (is_single(name)) {
            const auto [first, fresh] = single_.emplace(name, line.value);
            if (!fresh) {
                if (is_vital(name) && first->second != line.value)
                    refuse(line.line, "it has two different " + name + " lines");
                note(line.line, "a second " + name + " was dropped");
                return;
            }
        }
        if (name == "DTSTART") piece_.start = line.value;
        if (name == "RECURRENCE-ID") piece_.recurrence_id = line.value;
        if (name == "LAST-MODIFIED") piece_.modified = line.value;
        if (name == "DTSTAMP") piece_.stamp = line.value;
    }
    piece_.lines.push_back(std::move(line));
}

bool PieceCleaner::fix_times(ContentLine& line) {
    if (line.name == "RDATE" && line.value.contains('/')) return fix_zone(line);  // periods
    std::string_view rest = line.value;
    bool dates = true;
    bool utc = true;
    std::string kept;
    while (!rest.empty()) {
        const auto comma = rest.find(',');
        std::string_view one = trim(rest.substr(0, comma));
        if (one.size() == 9 && one.ends_with('Z') && parse_wall_time(one.substr(0, 8))) {
            note(line.line, line.name + " was a date with a Z");
            one.remove_suffix(1);
        }
        const auto time = parse_wall_time(one);
        if (!time) {
            if (is_one_of(line.name, {"EXDATE", "RDATE"}) && one.empty()) {
                note(line.line, "an empty " + line.name + " was dropped");
            } else {
                refuse(line.line,
                       line.name + " is not a date or time: \"" + printable(one, 40) + "\"");
                return false;
            }
        } else {
            dates = dates && time->date_only;
            utc = utc && time->utc;
            kept += (kept.empty() ? "" : ",") + std::string(one);
        }
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
    }
    if (kept.empty()) {
        if (is_vital(line.name) && line.name != "EXDATE" && line.name != "RDATE")
            refuse(line.line, line.name + " is empty");
        return false;
    }
    line.value = kept;
    const Parameter* value = line.parameter("VALUE");
    const bool says_date = value != nullptr && equal_ignoring_case(value->value, "DATE");
    if (dates != says_date) {
        if (dates) {
            line.set_parameter("VALUE", "DATE");
        } else {
            line.remove_parameter("VALUE");
        }
        note(line.line, "VALUE of " + line.name + " was put right");
    }
    if (dates || utc) {
        if (line.parameter("TZID") != nullptr && utc && !dates)
            note(line.line, "TZID beside a UTC time was dropped");
        line.remove_parameter("TZID");
        return true;
    }
    return fix_zone(line);
}

bool PieceCleaner::fix_zone(ContentLine& line) {
    const Parameter* parameter = line.parameter("TZID");
    if (parameter == nullptr) return true;
    const std::string tzid(trim(parameter->value));
    if (tzid.empty()) {
        line.remove_parameter("TZID");
        return true;
    }
    if (const auto given = file_.zones.find(tzid); given != file_.zones.end()) {
        item_.zones.insert(*given);
        line.set_parameter("TZID", tzid);
        return true;
    }
    const std::string olson = olson_name(tzid);
    const ZoneText zone = olson.empty() ? nullptr : vtimezone_of(olson);
    if (zone == nullptr) {
        refuse(line.line, "the time zone \"" + printable(tzid, 80) +
                              "\" is neither defined in the file nor known here");
        return false;
    }
    note(line.line, olson == tzid
                        ? "the definition of the time zone " + olson + " was added"
                        : "the time zone \"" + printable(tzid, 80) + "\" was taken as " + olson);
    line.set_parameter("TZID", olson);
    item_.zones.emplace(olson, zone);
    return true;
}

void PieceCleaner::check_times() {
    const ContentLine* start = nullptr;
    const ContentLine* end = nullptr;
    int depth = 0;
    for (const ContentLine& line : piece_.lines) {
        if (line.name == "BEGIN") ++depth;
        if (line.name == "END") --depth;
        if (depth != 1) continue;
        if (line.name == "DTSTART") start = &line;
        if (line.name == "DTEND") end = &line;
    }
    if (start == nullptr) {
        if (item_.kind == ItemKind::event) refuse(raw_.line, "the event has no DTSTART");
        return;
    }
    if (end == nullptr) return;
    const auto from = parse_wall_time(start->value);
    const auto to = parse_wall_time(end->value);
    if (!from || !to) return;
    const Parameter* a = start->parameter("TZID");
    const Parameter* b = end->parameter("TZID");
    const bool comparable =
        from->utc == to->utc && (a == nullptr ? "" : a->value) == (b == nullptr ? "" : b->value);
    if (comparable && seconds_of(*to) < seconds_of(*from)) {
        refuse(end->line,
               "the event ends (" + end->value + ") before it begins (" + start->value + ")");
    }
}

}  // namespace

bool is_vital(std::string_view property) {
    return is_one_of(property, {"DTSTART", "DTEND", "DUE", "DURATION", "RRULE", "RDATE", "EXDATE",
                                "RECURRENCE-ID"});
}

std::expected<CleanPiece, ItemRefusal> clean_piece(const CalendarFile& file, const RawPiece& raw,
                                                   CleanItem& item) {
    return PieceCleaner(file, raw, item).run();
}

}  // namespace imapult::importers
