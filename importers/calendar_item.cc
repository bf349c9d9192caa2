#include "importers/calendar_item.h"

#include <libical/ical.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "engine/base/text.h"
#include "importers/calendar_piece.h"
#include "importers/content_line.h"
#include "importers/digest.h"
#include "importers/limits.h"

namespace imapult::importers {
namespace {

/// An inline attachment above this is taken out first when an item is too long for one post.
constexpr std::size_t kInlineBytesKept = 4096;

struct IcalFree {
    void operator()(icalcomponent* component) const { icalcomponent_free(component); }
};
using IcalPtr = std::unique_ptr<icalcomponent, IcalFree>;

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

ItemRefusal too_large(const CleanItem& item, std::size_t bytes) {
    return {item.line, "it is too large for one upload (" + std::to_string(bytes) +
                           " bytes with its exceptions, without attachments)"};
}

/// Lets libical read the piece. Properties it cannot read are dropped one by one if the item can
/// live without them.
std::optional<ItemRefusal> check_with_libical(CleanPiece& piece, CleanItem& item) {
    icalerror_set_errors_are_fatal(false);
    for (int round = 0; round < 20; ++round) {
        std::string text;
        for (const ContentLine& line : piece.lines) append_content_line(line, text);
        // Far too long for any upload: libical need not see it.
        if (text.size() > kCalendarPostBytesMax) return too_large(item, text.size());
        const IcalPtr parsed(icalparser_parse_string(text.c_str()));
        if (parsed == nullptr)
            return ItemRefusal{piece.line, "it is not a valid calendar component"};
        const auto error = first_error(parsed.get());
        if (!error) {
            const icalproperty* start =
                icalcomponent_get_first_property(parsed.get(), ICAL_DTSTART_PROPERTY);
            if (item.kind == ItemKind::event &&
                (start == nullptr || icaltime_is_null_time(icalproperty_get_dtstart(start))))
                return ItemRefusal{piece.line, "the event has no DTSTART that can be read"};
            return std::nullopt;
        }
        const std::string name = error->property;
        const auto found = std::ranges::find(piece.lines, name, &ContentLine::name);
        if (is_vital(name) || name.empty() || found == piece.lines.end()) {
            const std::size_t line = found == piece.lines.end() ? piece.line : found->line;
            std::string value =
                found == piece.lines.end() ? "" : ": \"" + printable(found->value, 80) + "\"";
            return ItemRefusal{line, (name.empty() ? "it" : name) + " is not valid" + value};
        }
        item.repairs.push_back("line " + std::to_string(found->line) + ": " + name +
                               " was not valid and was dropped");
        piece.lines.erase(found);
    }
    return ItemRefusal{piece.line, "it has too many properties that are not valid"};
}

/// Not less than the line takes when it is written.
std::size_t written_bytes(const ContentLine& line) {
    std::size_t bytes = line.group.size() + line.name.size() + line.value.size() + 2;
    for (const Parameter& p : line.parameters) bytes += p.name.size() + p.value.size() + 4;
    return bytes + bytes / 70 * 3 + 8;
}

/// Takes inline attachments out, the largest first, until the item fits.
void make_room(std::vector<CleanPiece>& pieces, CleanItem& item, std::size_t room) {
    std::size_t total = 0;
    std::vector<ContentLine*> inlined;
    for (CleanPiece& piece : pieces) {
        for (ContentLine& line : piece.lines) {
            total += written_bytes(line);
            const bool may_go =
                line.name == "ATTACH" || line.name == "IMAGE" || line.name.starts_with("X-");
            if (may_go && line.value.size() >= kInlineBytesKept) inlined.push_back(&line);
        }
    }
    if (total <= room || inlined.empty()) return;
    std::ranges::sort(inlined, [](const ContentLine* a, const ContentLine* b) {
        return std::pair(b->value.size(), a->line) < std::pair(a->value.size(), b->line);
    });
    for (ContentLine* line : inlined) {
        if (total <= room) break;
        total -= written_bytes(*line);
        item.repairs.push_back("line " + std::to_string(line->line) + ": " + line->name + " with " +
                               std::to_string(line->value.size()) +
                               " bytes inside was left out: it does not fit into one upload");
        line->name.clear();
    }
    for (CleanPiece& piece : pieces)
        std::erase_if(piece.lines, [](const ContentLine& line) { return line.name.empty(); });
}

/// For an item without a UID: what is the same in every export of it.
std::string uid_from_content(const std::vector<CleanPiece>& pieces) {
    std::string all;
    for (const CleanPiece& piece : pieces) {
        for (const ContentLine& line : piece.lines) {
            if (line.name != "DTSTAMP" && line.name != "LAST-MODIFIED" && line.name != "CREATED" &&
                line.name != "UID")
                append_content_line(line, all);
        }
    }
    return "imapult-" + to_hex(sha256(all).substr(0, 16));
}

/// The item's text, and the digest of everything but what an exporter renews each time.
void write_item(const std::vector<CleanPiece>& pieces, CleanItem& item) {
    std::string lasting;
    for (const CleanPiece& piece : pieces) {
        for (const ContentLine& line : piece.lines) {
            const std::size_t begin = item.body.size();
            append_content_line(line, item.body);
            if (line.name != "DTSTAMP" && line.name != "LAST-MODIFIED")
                lasting.append(item.body, begin);
        }
    }
    item.digest = sha256(lasting);
}

/// Of several pieces for the same occurrence the newest stays.
void drop_outdated(std::vector<CleanPiece>& pieces, CleanItem& item) {
    std::vector<CleanPiece> kept;
    std::map<std::pair<bool, std::string>, std::size_t> places;
    for (CleanPiece& piece : pieces) {
        const auto [place, fresh] =
            places.try_emplace({piece.exception, piece.recurrence_id}, kept.size());
        if (fresh) {
            kept.push_back(std::move(piece));
            continue;
        }
        CleanPiece& same = kept[place->second];
        item.repairs.push_back("line " + std::to_string(piece.line) +
                               ": the UID stands twice; the newer version was kept");
        const auto rank = [](const CleanPiece& p) {
            return std::tuple(p.sequence, p.modified, p.stamp);
        };
        if (rank(piece) >= rank(same)) same = std::move(piece);
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
        auto piece = clean_piece(file, raw_piece, item);
        if (!piece) return std::unexpected(std::move(piece.error()));
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
        item.uid = uid_from_content(pieces);
        written = item.uid;
        item.repairs.push_back("line " + std::to_string(item.line) +
                               ": it had no UID; one was derived from its content");
    }
    std::size_t zone_bytes = 0;
    for (const auto& [name, text] : item.zones) zone_bytes += text->size();
    if (zone_bytes > kCalendarPostBytesAim / 2) {
        return std::unexpected(
            ItemRefusal{item.line, "the time zones that it uses are too large for one upload"});
    }
    make_room(pieces, item, kCalendarPostBytesAim - zone_bytes);
    for (CleanPiece& piece : pieces) {
        set_uid(piece, written);
        if (auto refused = check_with_libical(piece, item))
            return std::unexpected(std::move(*refused));
    }
    write_item(pieces, item);
    if (item.body.size() + zone_bytes > kCalendarPostBytesMax - kKiB)
        return std::unexpected(too_large(item, item.body.size()));
    // Taken from what is sent, so that it equals the core of a faithful export.
    item.core = core_of(pieces);
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
            if (text.contains(tzid) && zones.insert(tzid).second) out.insert(0, *zone);
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
