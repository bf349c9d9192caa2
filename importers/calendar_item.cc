#include "importers/calendar_item.h"

#include <libical/ical.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "engine/base/text.h"
#include "importers/content_line.h"
#include "importers/digest.h"
#include "importers/limits.h"
#include "importers/vcalendar1.h"
#include "importers/zones.h"

namespace imapult::importers {
namespace {

/// An inline attachment above this is taken out first when an item is too long for one post.
constexpr std::size_t kInlineBytesKept = 4096;

struct Refused {
    std::size_t line = 0;
    std::string reason;
};

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    return std::ranges::find(names, name) != names.end();
}

bool is_text_property(std::string_view name) {
    return is_one_of(name, {"DESCRIPTION", "SUMMARY", "LOCATION", "COMMENT", "CONTACT"});
}

/// Without these an item is another item: if they are broken, it is refused.
bool is_vital(std::string_view name) {
    return is_one_of(
        name, {"DTSTART", "DTEND", "DUE", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID"});
}

struct CleanPiece {
    std::vector<ContentLine> lines;  // BEGIN … END included
    bool exception = false;
    std::uint32_t sequence = 0;
    std::size_t line = 0;
    std::string modified;
    std::string stamp;
    std::string start;  // value of DTSTART
    std::string recurrence_id;
};

/// Makes one piece clean, line by line.
class PieceCleaner {
  public:
    PieceCleaner(const CalendarFile& file, const RawPiece& raw, CleanItem& item)
        : file_(file), raw_(raw), item_(item) {}

    std::expected<CleanPiece, Refused> run();

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
        if (!refused_) refused_ = Refused{line, std::move(reason)};
    }
    [[nodiscard]] bool at_top() const { return open_.size() == 1; }
    void check_times();

    const CalendarFile& file_;
    const RawPiece& raw_;
    CleanItem& item_;
    CleanPiece piece_;
    std::vector<std::string> open_;
    std::optional<Refused> refused_;
};

/// Everything but TAB that no text may hold, out.
bool drop_controls(std::string& text) {
    const auto bad = [](char c) {
        return (static_cast<std::uint8_t>(c) < 0x20 && c != '\t') || c == 0x7F;
    };
    return std::erase_if(text, bad) > 0;
}

std::expected<CleanPiece, Refused> PieceCleaner::run() {
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
    line.line = number;
    if (drop_controls(line.value))
        note(number, "control characters were removed from " + line.name);
    for (Parameter& p : line.parameters) {
        if (drop_controls(p.value))
            note(number, "control characters were removed from " + line.name);
    }
    if (line.name == "BEGIN" || line.name == "END") {
        line.value = trim(line.value);
        std::ranges::transform(line.value, line.value.begin(), [](char c) {
            return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
        });
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
        if (name == "DTSTART") piece_.start = line.value;
        if (name == "RECURRENCE-ID") piece_.recurrence_id = line.value;
        if (name == "LAST-MODIFIED") piece_.modified = line.value;
        if (name == "DTSTAMP") piece_.stamp = line.value;
        const bool once = is_one_of(
            name, {"DTSTART", "DTEND", "DUE", "DURATION", "SUMMARY", "LOCATION", "DESCRIPTION",
                   "RECURRENCE-ID", "SEQUENCE", "STATUS", "CLASS", "TRANSP", "ORGANIZER",
                   "PRIORITY", "CREATED", "LAST-MODIFIED", "DTSTAMP"});
        if (once && std::ranges::count(piece_.lines, name, &ContentLine::name) > 0 &&
            open_.size() == 1) {
            const bool same = std::ranges::any_of(piece_.lines, [&](const ContentLine& l) {
                return l.name == name && l.value == line.value;
            });
            if (!same && is_vital(name))
                refuse(line.line, "it has two different " + name + " lines");
            note(line.line, "a second " + name + " was dropped");
            return;
        }
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
    const auto given = file_.zones.find(tzid);
    if (given != file_.zones.end() &&
        (given->second.contains("BEGIN:STANDARD") || given->second.contains("BEGIN:DAYLIGHT"))) {
        if (!item_.zones.contains(tzid)) {
            std::string text;
            LineReader reader(given->second, 1);
            std::string_view raw;
            std::size_t number = 0;
            ContentLine zone_line;
            while (reader.next(raw, number)) {
                if (!parse_content_line(raw, zone_line)) continue;
                drop_controls(zone_line.value);
                text += write_content_line(zone_line);
            }
            item_.zones.emplace(tzid, std::move(text));
        }
        line.set_parameter("TZID", tzid);
        return true;
    }
    const std::string olson = olson_name(tzid);
    const auto zone = olson.empty() ? nullptr : find_zone(olson);
    if (zone == nullptr) {
        refuse(line.line, "the time zone \"" + printable(tzid, 80) +
                              "\" is neither defined in the file nor known here");
        return false;
    }
    note(line.line, olson == tzid
                        ? "the definition of the time zone " + olson + " was added"
                        : "the time zone \"" + printable(tzid, 80) + "\" was taken as " + olson);
    line.set_parameter("TZID", olson);
    if (!item_.zones.contains(olson)) item_.zones.emplace(olson, make_vtimezone(*zone, olson));
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

struct IcalFree {
    void operator()(icalcomponent* component) const { icalcomponent_free(component); }
};
using IcalPtr = std::unique_ptr<icalcomponent, IcalFree>;

std::string write_piece(const CleanPiece& piece) {
    std::string out;
    for (const ContentLine& line : piece.lines) out += write_content_line(line);
    return out;
}

/// Names of properties (with their values cut short) that libical could not read.
struct IcalError {
    std::string property;
    std::string text;
};

std::optional<IcalError> first_error(icalcomponent* component) {
    for (icalproperty* p = icalcomponent_get_first_property(component, ICAL_ANY_PROPERTY);
         p != nullptr; p = icalcomponent_get_next_property(component, ICAL_ANY_PROPERTY)) {
        if (icalproperty_isa(p) != ICAL_XLICERROR_PROPERTY) continue;
        const char* text = icalproperty_get_xlicerror(p);
        const std::string_view view = text == nullptr ? "" : text;
        IcalError error;
        error.text = view;
        // "Can't parse as RECUR value in RRULE property. Removing entire property"
        auto in = view.find(" in ");
        if (in == std::string_view::npos) in = view.find("for ");
        const auto property = view.find(" property", in == std::string_view::npos ? 0 : in);
        if (in != std::string_view::npos && property != std::string_view::npos && property > in) {
            error.property = trim(view.substr(in + 4, property - in - 4));
        }
        return error;
    }
    for (icalcomponent* c = icalcomponent_get_first_component(component, ICAL_ANY_COMPONENT);
         c != nullptr; c = icalcomponent_get_next_component(component, ICAL_ANY_COMPONENT)) {
        if (auto error = first_error(c)) return error;
    }
    return std::nullopt;
}

/// Lets libical read the piece. Properties it cannot read are dropped one by one if the item can
/// live without them.
std::optional<Refused> check_with_libical(CleanPiece& piece, CleanItem& item) {
    icalerror_set_errors_are_fatal(false);
    for (int round = 0; round < 20; ++round) {
        const std::string text = write_piece(piece);
        const IcalPtr parsed(icalparser_parse_string(text.c_str()));
        if (parsed == nullptr) return Refused{piece.line, "it is not a valid calendar component"};
        const auto error = first_error(parsed.get());
        if (!error) {
            const auto start = icalcomponent_get_dtstart(parsed.get());
            if (item.kind == ItemKind::event && icaltime_is_null_time(start))
                return Refused{piece.line, "the event has no DTSTART that can be read"};
            return std::nullopt;
        }
        const std::string name = error->property;
        const auto found = std::ranges::find(piece.lines, name, &ContentLine::name);
        if (is_vital(name) || name.empty() || found == piece.lines.end()) {
            const std::size_t line = found == piece.lines.end() ? piece.line : found->line;
            std::string value =
                found == piece.lines.end() ? "" : ": \"" + printable(found->value, 80) + "\"";
            return Refused{line, (name.empty() ? "it" : name) + " is not valid" + value};
        }
        item.repairs.push_back("line " + std::to_string(found->line) + ": " + name +
                               " was not valid and was dropped");
        std::erase_if(piece.lines,
                      [&](const ContentLine& l) { return l.name == name && &l == &*found; });
    }
    return Refused{piece.line, "it has too many properties that are not valid"};
}

/// Takes inline attachments out, the largest first, until the item fits.
void make_room(std::vector<CleanPiece>& pieces, CleanItem& item, std::size_t room) {
    const auto total = [&] {
        std::size_t bytes = 0;
        for (const CleanPiece& piece : pieces) {
            for (const ContentLine& line : piece.lines)
                bytes += line.value.size() + line.value.size() / 70 * 3 + 100;
        }
        return bytes;
    };
    while (total() > room) {
        CleanPiece* owner = nullptr;
        std::size_t index = 0;
        for (CleanPiece& piece : pieces) {
            for (std::size_t i = 0; i < piece.lines.size(); ++i) {
                const ContentLine& line = piece.lines[i];
                const bool inlined =
                    line.name == "ATTACH" || line.name == "IMAGE" || line.name.starts_with("X-");
                if (!inlined || line.value.size() < kInlineBytesKept) continue;
                if (owner == nullptr || line.value.size() > owner->lines[index].value.size()) {
                    owner = &piece;
                    index = i;
                }
            }
        }
        if (owner == nullptr) return;
        const ContentLine& line = owner->lines[index];
        item.repairs.push_back("line " + std::to_string(line.line) + ": " + line.name + " with " +
                               std::to_string(line.value.size()) +
                               " bytes inside was left out: it does not fit into one upload");
        owner->lines.erase(owner->lines.begin() + static_cast<std::ptrdiff_t>(index));
    }
}

/// Everything but what an exporter renews each time.
std::string content_digest(const std::vector<CleanPiece>& pieces, bool with_uid) {
    std::string all;
    for (const CleanPiece& piece : pieces) {
        std::vector<std::string> lines;
        for (const ContentLine& line : piece.lines) {
            if (is_one_of(line.name, {"DTSTAMP", "LAST-MODIFIED"}) ||
                (!with_uid && is_one_of(line.name, {"UID", "CREATED"})))
                continue;
            lines.push_back(write_content_line(line));
        }
        for (const std::string& line : lines) all += line;
    }
    return sha256(all);
}

/// Of several pieces for the same occurrence the newest stays.
void drop_outdated(std::vector<CleanPiece>& pieces, CleanItem& item) {
    std::vector<CleanPiece> kept;
    for (CleanPiece& piece : pieces) {
        const auto same = std::ranges::find_if(kept, [&](const CleanPiece& k) {
            return k.exception == piece.exception && k.recurrence_id == piece.recurrence_id;
        });
        if (same == kept.end()) {
            kept.push_back(std::move(piece));
            continue;
        }
        item.repairs.push_back("line " + std::to_string(piece.line) +
                               ": the UID stands twice; the newer version was kept");
        const auto rank = [](const CleanPiece& p) {
            return std::tuple(p.sequence, p.modified, p.stamp);
        };
        if (rank(piece) >= rank(*same)) *same = std::move(piece);
    }
    std::ranges::sort(kept, [](const CleanPiece& a, const CleanPiece& b) {
        return std::tuple(a.exception, a.exception ? a.recurrence_id : "") <
               std::tuple(b.exception, b.exception ? b.recurrence_id : "");
    });
    pieces = std::move(kept);
}

void set_uid(CleanPiece& piece, const std::string& uid) {
    ContentLine line;
    line.name = "UID";
    line.value = uid;
    line.line = piece.line;
    piece.lines.insert(piece.lines.begin() + 1, std::move(line));
}

}  // namespace

std::string derived_uid(std::string_view uid, std::string_view folder) {
    const std::string digest = sha256(std::string(uid) + '\0' + std::string(folder));
    return "imapult-" + to_hex(digest.substr(0, 16));
}

std::expected<CleanItem, ItemRefusal> clean_item(const CalendarFile& file, const RawItem& raw,
                                                 const std::string& uid) {
    CleanItem item;
    item.kind = raw.kind;
    item.line = raw.pieces.front().line;
    if (raw.kind == ItemKind::other) {
        return std::unexpected(
            ItemRefusal{item.line, "Carbonio has no place for journals and free/busy entries"});
    }
    std::vector<CleanPiece> pieces;
    for (const RawPiece& raw_piece : raw.pieces) {
        if (raw_piece.broken != nullptr)
            return std::unexpected(ItemRefusal{raw_piece.line, raw_piece.broken});
        auto piece = PieceCleaner(file, raw_piece, item).run();
        if (!piece) return std::unexpected(ItemRefusal{piece.error().line, piece.error().reason});
        pieces.push_back(std::move(*piece));
    }
    drop_outdated(pieces, item);
    // UIDs are texts: servers write them escaped as they like, so the plain form is what is
    // compared.
    std::string written = !uid.empty() ? uid : raw.uid;
    item.uid = unescape_text(written);
    if (drop_controls(item.uid) || item.uid.contains('\\')) {
        item.repairs.push_back("line " + std::to_string(item.line) +
                               ": its UID held what servers rewrite; a new one was derived");
        item.uid = derived_uid(raw.uid, "");
        written = item.uid;
    }
    if (item.uid.empty()) {
        item.uid = "imapult-" + to_hex(content_digest(pieces, false).substr(0, 16));
        written = item.uid;
        item.repairs.push_back("line " + std::to_string(item.line) +
                               ": it had no UID; one was derived from its content");
    }
    std::size_t zone_bytes = 0;
    for (const auto& [name, text] : item.zones) zone_bytes += text.size();
    if (zone_bytes > kCalendarPostBytesAim / 2) {
        return std::unexpected(
            ItemRefusal{item.line, "the time zones that it uses are too large for one upload"});
    }
    make_room(pieces, item, kCalendarPostBytesAim - zone_bytes);
    for (CleanPiece& piece : pieces) {
        set_uid(piece, written);
        if (auto refused = check_with_libical(piece, item))
            return std::unexpected(ItemRefusal{refused->line, refused->reason});
        item.body += write_piece(piece);
    }
    if (item.body.size() + zone_bytes > kCalendarPostBytesMax - kKiB) {
        return std::unexpected(ItemRefusal{
            item.line, "it is too large for one upload (" + std::to_string(item.body.size()) +
                           " bytes with its exceptions, without attachments)"});
    }
    item.digest = content_digest(pieces, true);
    CalendarFile clean;
    clean.text = item.body;
    // The core is taken from what is sent, so that it equals the core of a faithful export.
    RawItem sent;
    std::size_t at = 0;
    for (const CleanPiece& piece : pieces) {
        const std::size_t length = write_piece(piece).size();
        RawPiece part;
        part.begin = at;
        part.length = length;
        part.exception = piece.exception;
        part.sequence = piece.sequence;
        sent.pieces.push_back(part);
        at += length;
    }
    item.core = core_of(clean, sent);
    return item;
}

std::string refused_text(const CalendarFile& file, const RawItem& item, const std::string& reason,
                         std::size_t line) {
    ContentLine note;
    note.name = "X-IMAPULT-REFUSED";
    const auto slash = file.path.rfind('/');
    note.value = escape_text(
        printable(slash == std::string::npos ? file.path : file.path.substr(slash + 1)) + ":" +
        std::to_string(line) + ": " + reason);
    std::string out;
    std::set<std::string> zones;
    for (const RawPiece& piece : item.pieces) {
        const std::string_view text = std::string_view(file.text).substr(piece.begin, piece.length);
        for (const auto& [tzid, zone] : file.zones) {
            if (text.contains(tzid) && zones.insert(tzid).second)
                out.insert(0, zone + (zone.ends_with('\n') ? "" : "\r\n"));
        }
        const auto first = text.find('\n');
        out += text.substr(0, first == std::string_view::npos ? text.size() : first + 1);
        if (first == std::string_view::npos) out += "\r\n";
        out += write_content_line(note);
        if (first != std::string_view::npos) out += text.substr(first + 1);
        if (!out.ends_with('\n')) out += "\r\n";
        if (piece.broken != nullptr) {
            std::string_view begin = trim(text.substr(0, first));
            const std::string end =
                "END:" + std::string(trim(begin.substr(std::min<std::size_t>(6, begin.size()))));
            if (!text.contains(end)) out += end + "\r\n";
        }
    }
    return out;
}

}  // namespace imapult::importers
