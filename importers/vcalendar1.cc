#include "importers/vcalendar1.h"

#include <algorithm>
#include <string>

#include "engine/base/text.h"
#include "importers/charset.h"
#include "importers/zones.h"

namespace imapult::importers {
namespace {

ContentLine make(std::string name, std::string value, std::size_t line) {
    ContentLine out;
    out.name = std::move(name);
    out.value = std::move(value);
    out.line = line;
    return out;
}

std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> out;
    while (!text.empty()) {
        const auto end = text.find(' ');
        if (end != 0) out.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
    return out;
}

bool is_number(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// "1+" → 1, "2-" → -2
std::string position(const std::string& text) {
    if (text == "LD") return "-1";
    if (text.size() < 2) return text;
    const std::string digits = text.substr(0, text.size() - 1);
    if (!is_number(digits)) return text;
    return text.back() == '-' ? "-" + digits : text.back() == '+' ? digits : text;
}

/// The rule grammar of version 1.0: "W2 MO TH #10", "MP1 1+ MO 19991224T000000", "YM1 6 7 #0".
std::string convert_rule(std::string_view value) {
    const auto parts = words(value);
    if (parts.empty()) return {};
    std::string kind;
    std::string interval;
    for (const char c : parts[0]) (c >= '0' && c <= '9' ? interval : kind) += c;
    std::string list;
    std::string end = ";COUNT=2";  // the default of the standard
    std::string prefix;
    for (std::size_t i = 1; i < parts.size(); ++i) {
        const std::string& part = parts[i];
        if (part.starts_with('#')) {
            end = part == "#0" ? "" : ";COUNT=" + part.substr(1);
        } else if (const auto until = parse_wall_time(part)) {
            end = ";UNTIL=" + part;
        } else if (kind == "MP" && (part.ends_with('+') || part.ends_with('-'))) {
            prefix = position(part);
        } else {
            list += (list.empty() ? "" : ",") + prefix + (kind == "MP" ? part : position(part));
        }
    }
    std::string rule;
    if (kind == "D") rule = "FREQ=DAILY";
    if (kind == "W") rule = "FREQ=WEEKLY" + (list.empty() ? "" : ";BYDAY=" + list);
    if (kind == "MP") rule = "FREQ=MONTHLY" + (list.empty() ? "" : ";BYDAY=" + list);
    if (kind == "MD") rule = "FREQ=MONTHLY" + (list.empty() ? "" : ";BYMONTHDAY=" + list);
    if (kind == "YM") rule = "FREQ=YEARLY" + (list.empty() ? "" : ";BYMONTH=" + list);
    if (kind == "YD") rule = "FREQ=YEARLY" + (list.empty() ? "" : ";BYYEARDAY=" + list);
    if (rule.empty()) return std::string(value);
    return rule + (interval.empty() ? "" : ";INTERVAL=" + interval) + end;
}

std::vector<ContentLine> alarm_of(const ContentLine& line) {
    // Run time;snooze time;repeat count;display string
    const std::string when(trim(line.value.substr(0, line.value.find(';'))));
    const auto time = parse_wall_time(when);
    if (!time || time->date_only || !time->utc) return {};
    const auto last = line.value.rfind(';');
    std::string text =
        line.name == "DALARM" && last != std::string::npos ? line.value.substr(last + 1) : "";
    if (text.empty()) text = "Reminder";
    ContentLine trigger = make("TRIGGER", when, line.line);
    trigger.parameters.push_back({"VALUE", "DATE-TIME"});
    return {make("BEGIN", "VALARM", line.line), make("ACTION", "DISPLAY", line.line),
            make("DESCRIPTION", text, line.line), trigger, make("END", "VALARM", line.line)};
}

bool is_text(std::string_view name) {
    return name == "SUMMARY" || name == "DESCRIPTION" || name == "LOCATION" || name == "CATEGORIES";
}

}  // namespace

std::vector<ContentLine> convert_vcalendar1(ContentLine line) {
    const Parameter* encoding = line.parameter("ENCODING");
    const Parameter* charset = line.parameter("CHARSET");
    const bool quoted =
        encoding != nullptr && equal_ignoring_case(encoding->value, "QUOTED-PRINTABLE");
    if (quoted) {
        line.value = decode_quoted_printable(line.value);
        if (charset != nullptr && !equal_ignoring_case(charset->value, "UTF-8")) {
            const std::string converted = convert_from(charset->value, line.value);
            if (!converted.empty()) line.value = converted;
        }
        // No charset, or one that nobody knows.
        if (!is_utf8(line.value)) line.value = convert_from("windows-1252", line.value);
    }
    if (quoted || charset != nullptr) {
        if (quoted) line.remove_parameter("ENCODING");
        line.remove_parameter("CHARSET");
    }
    if (line.name == "DALARM" || line.name == "AALARM") return alarm_of(line);
    if (line.name == "MALARM" || line.name == "PALARM" || line.name == "RNUM") return {};
    if (line.name == "DCREATED") line.name = "CREATED";
    if (line.name == "RRULE") line.value = convert_rule(line.value);
    if (line.name == "EXDATE" || line.name == "RDATE" || line.name == "CATEGORIES")
        std::ranges::replace(line.value, ';', ',');
    if (line.name == "TRANSP" && is_number(line.value))
        line.value = line.value == "0" ? "OPAQUE" : "TRANSPARENT";
    if (line.name == "STATUS") {
        if (equal_ignoring_case(line.value, "NEEDS ACTION")) line.value = "NEEDS-ACTION";
        if (equal_ignoring_case(line.value, "SENT") || equal_ignoring_case(line.value, "ACCEPTED"))
            line.value = "CONFIRMED";
    }
    if (line.name == "ATTENDEE" && !to_lower(line.value).starts_with("mailto:")) {
        const auto open = line.value.find('<');
        const auto close = line.value.find('>', open);
        if (open != std::string::npos && close != std::string::npos) {
            const std::string name(trim(line.value.substr(0, open)));
            if (!name.empty()) line.set_parameter("CN", name);
            line.value = line.value.substr(open + 1, close - open - 1);
        }
        if (line.value.contains('@')) line.value = "mailto:" + line.value;
    }
    if (is_text(line.name) && line.name != "CATEGORIES") {
        // Version 1.0 escapes at most ';' and lets ',' and line breaks (by QP) stand.
        line.value = escape_text(quoted ? line.value : unescape_text(line.value));
    }
    // What was encoded may be anything.
    std::erase_if(line.value, [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F;
    });
    return {std::move(line)};
}

}  // namespace imapult::importers
