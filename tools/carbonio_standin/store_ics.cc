#include <libical/ical.h>

#include <memory>

#include "importers/zones.h"
#include "tools/carbonio_standin/store.h"

namespace imapult::standin {
namespace {

struct Free {
    void operator()(icalcomponent* component) const { icalcomponent_free(component); }
};
using Component = std::unique_ptr<icalcomponent, Free>;

bool has_error(icalcomponent* component) {
    return icalcomponent_get_first_property(component, ICAL_XLICERROR_PROPERTY) != nullptr;
}

std::string text_of(icalcomponent* component) {
    char* text = icalcomponent_as_ical_string_r(component);
    std::string out = text == nullptr ? "" : text;
    icalmemory_free_buffer(text);
    return out;
}

/// The first TZID that neither the upload nor the server knows.
std::string unknown_zone(icalcomponent* component, const std::set<std::string>& seen) {
    for (icalproperty* p = icalcomponent_get_first_property(component, ICAL_ANY_PROPERTY);
         p != nullptr; p = icalcomponent_get_next_property(component, ICAL_ANY_PROPERTY)) {
        const char* tzid = icalproperty_get_parameter_as_string(p, "TZID");
        if (tzid == nullptr || seen.contains(tzid)) continue;
        if (importers::olson_name(tzid) != tzid) return tzid;
    }
    return {};
}

/// Calls `take(component)` for every component of the upload, in order; false ends it.
template <class Take>
void each_component(icalcomponent* root, Take take) {
    if (icalcomponent_isa(root) == ICAL_VCALENDAR_COMPONENT) {
        for (icalcomponent* c = icalcomponent_get_first_component(root, ICAL_ANY_COMPONENT);
             c != nullptr; c = icalcomponent_get_next_component(root, ICAL_ANY_COMPONENT)) {
            if (!take(c)) return;
        }
        return;
    }
    for (icalcomponent* c = icalcomponent_get_first_component(root, ICAL_VCALENDAR_COMPONENT);
         c != nullptr; c = icalcomponent_get_next_component(root, ICAL_VCALENDAR_COMPONENT))
        each_component(c, take);
}

struct Incoming {
    std::string uid;
    std::uint32_t sequence = 0;
    std::map<std::string, std::string> pieces;
};

/// Reads one VEVENT or VTODO; the error's text, or "".
std::string read_piece(icalcomponent* c, Incoming& item) {
    if (has_error(c)) return "parse error in component";
    const bool event = icalcomponent_isa(c) == ICAL_VEVENT_COMPONENT;
    icalproperty* start = icalcomponent_get_first_property(c, ICAL_DTSTART_PROPERTY);
    if (event && start == nullptr) return "DTSTART missing";
    static int anonymous = 0;
    const char* uid = icalcomponent_get_uid(c);
    item.uid = uid == nullptr ? "random-" + std::to_string(++anonymous) : uid;
    item.sequence = static_cast<std::uint32_t>(std::max(0, icalcomponent_get_sequence(c)));
    icalproperty* recurrence = icalcomponent_get_first_property(c, ICAL_RECURRENCEID_PROPERTY);
    const std::string key =
        recurrence == nullptr ? "" : icalproperty_get_value_as_string(recurrence);
    item.pieces[key] = text_of(c);
    return {};
}

void store(MailboxStore& mailbox, const std::string& folder, const Incoming& incoming) {
    auto& entry = mailbox.items[incoming.uid];
    const bool known = !entry.pieces.empty();
    // Even an older version moves the item.
    entry.folder = folder;
    if (known && incoming.sequence < entry.sequence) return;
    if (incoming.pieces.contains("")) {
        const bool same_post = false;
        if (!same_post) entry.pieces = incoming.pieces;
    } else {
        for (const auto& [key, text] : incoming.pieces) entry.pieces[key] = text;
    }
    entry.sequence = incoming.sequence;
}

}  // namespace

Status MailboxStore::import_ics(const std::string& folder, const std::string& body,
                                std::size_t content_length, bool ignore, const Limits& limits,
                                const std::set<std::string>& forbidden) {
    icalerror_set_errors_are_fatal(false);
    const Component root(icalparser_parse_string(body.c_str()));
    if (root == nullptr) return {500, "ics formatter failure: parse error"};
    const bool streaming = content_length > limits.full_parse_bytes;
    std::set<std::string> seen;
    std::string error;
    std::vector<Incoming> incoming;
    std::map<std::string, std::string> new_zones;
    bool any = false;
    icalcomponent* first =
        icalcomponent_isa(root.get()) == ICAL_VCALENDAR_COMPONENT
            ? root.get()
            : icalcomponent_get_first_component(root.get(), ICAL_VCALENDAR_COMPONENT);
    if (first == nullptr) return {500, "ics formatter failure: no VCALENDAR"};
    icalproperty* version = icalcomponent_get_first_property(first, ICAL_VERSION_PROPERTY);
    if (version == nullptr || std::string(icalproperty_get_version(version)) != "2.0")
        return {500, "ics formatter failure: VERSION must be 2.0"};
    const icalproperty_method method = icalcomponent_get_method(first);
    if (!streaming) {
        each_component(root.get(), [&](icalcomponent* c) {
            if (icalcomponent_isa(c) == ICAL_VTIMEZONE_COMPONENT) {
                icalproperty* id = icalcomponent_get_first_property(c, ICAL_TZID_PROPERTY);
                if (id != nullptr) seen.insert(icalproperty_get_tzid(id));
            }
            return true;
        });
    }
    std::set<std::string> replaced;
    const auto keep = [&](const Incoming& item) {
        if (forbidden.contains(item.uid)) return;
        const bool may_create = method == ICAL_METHOD_NONE || method == ICAL_METHOD_PUBLISH ||
                                method == ICAL_METHOD_REQUEST || method == ICAL_METHOD_X;
        if (!may_create && !items.contains(item.uid)) return;
        // Master and exceptions of one upload belong together.
        if (replaced.insert(item.uid).second || !items.contains(item.uid)) {
            store(*this, folder, item);
        } else {
            for (const auto& [key, text] : item.pieces) items[item.uid].pieces[key] = text;
        }
    };
    each_component(root.get(), [&](icalcomponent* c) {
        any = true;
        const auto kind = icalcomponent_isa(c);
        if (kind == ICAL_VTIMEZONE_COMPONENT) {
            icalproperty* id = icalcomponent_get_first_property(c, ICAL_TZID_PROPERTY);
            if (id == nullptr) return true;
            seen.insert(icalproperty_get_tzid(id));
            new_zones[icalproperty_get_tzid(id)] = text_of(c);
            return true;
        }
        if (kind != ICAL_VEVENT_COMPONENT && kind != ICAL_VTODO_COMPONENT) return true;
        Incoming item;
        std::string wrong = read_piece(c, item);
        if (wrong.empty()) {
            const std::string zone = unknown_zone(c, seen);
            if (!zone.empty())
                wrong = "TZID reference encountered before/without its VTIMEZONE: " + zone;
        }
        if (!wrong.empty()) {
            if (ignore) return true;
            error = wrong;
            return false;
        }
        if (streaming) {
            keep(item);
        } else {
            incoming.push_back(std::move(item));
        }
        return true;
    });
    if (error.empty() || streaming) {
        for (const Incoming& item : incoming) keep(item);
        zones.insert(new_zones.begin(), new_zones.end());
    }
    if (!error.empty()) return {500, "ics formatter failure: " + error};
    if (!any && !body.contains("END:VCALENDAR")) return {500, "ics formatter failure: parse error"};
    return {};
}

std::string MailboxStore::export_ics(const std::string& folder, bool extra) const {
    std::string out = "BEGIN:VCALENDAR\r\nX-WR-CALNAME:" + folders.at(folder).name +
                      "\r\nPRODID:Carbonio-Calendar-Provider\r\nVERSION:2.0\r\nMETHOD:PUBLISH\r\n";
    for (const auto& [name, text] : zones) out += text;
    for (const auto& [uid, item] : items) {
        if (item.folder != folder) continue;
        for (const auto& [key, text] : item.pieces) {
            const auto end = text.find('\n') + 1;
            out += text.substr(0, end);
            if (extra) {
                if (!text.contains("\nCLASS:")) out += "CLASS:PUBLIC\r\n";
                if (!text.contains("\nSEQUENCE:")) out += "SEQUENCE:0\r\n";
                if (!text.contains("\nDTSTAMP:")) out += "DTSTAMP:20260101T000000Z\r\n";
                out += "X-MICROSOFT-CDO-INTENDEDSTATUS:BUSY\r\n";
            }
            out += text.substr(end);
        }
    }
    return out + "END:VCALENDAR\r\n";
}

}  // namespace imapult::standin
