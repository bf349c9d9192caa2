#include "importers/contact.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "engine/base/text.h"
#include "importers/calendar_file.h"
#include "importers/content_line.h"
#include "importers/csv.h"
#include "importers/digest.h"
#include "importers/zones.h"

namespace imapult::importers {
namespace {

const std::set<std::string, std::less<>>& native_fields() {
    static const std::set<std::string, std::less<>> fields = {"assistant",
                                                              "birthday",
                                                              "callbackPhone",
                                                              "carPhone",
                                                              "company",
                                                              "companyPhone",
                                                              "custom1",
                                                              "custom2",
                                                              "custom3",
                                                              "custom4",
                                                              "department",
                                                              "dlist",
                                                              "email",
                                                              "email2",
                                                              "email3",
                                                              "fileAs",
                                                              "firstName",
                                                              "fullName",
                                                              "homeCity",
                                                              "homeCountry",
                                                              "homeFax",
                                                              "homePhone",
                                                              "homePhone2",
                                                              "homePostalCode",
                                                              "homeState",
                                                              "homeStreet",
                                                              "homeURL",
                                                              "initials",
                                                              "jobTitle",
                                                              "lastName",
                                                              "middleName",
                                                              "mobilePhone",
                                                              "namePrefix",
                                                              "nameSuffix",
                                                              "nickname",
                                                              "notes",
                                                              "office",
                                                              "otherCity",
                                                              "otherCountry",
                                                              "otherFax",
                                                              "otherPhone",
                                                              "otherPostalCode",
                                                              "otherState",
                                                              "otherStreet",
                                                              "otherURL",
                                                              "phoneticCompany",
                                                              "phoneticFirstName",
                                                              "phoneticLastName",
                                                              "pager",
                                                              "workCity",
                                                              "workCountry",
                                                              "workFax",
                                                              "workPhone",
                                                              "workPhone2",
                                                              "workPostalCode",
                                                              "workState",
                                                              "workStreet",
                                                              "workURL"};
    return fields;
}

/// Where a second value of the same kind goes.
std::string_view next_of(std::string_view field) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kNext = {
        {{"email", "email2"},
         {"email2", "email3"},
         {"homePhone", "homePhone2"},
         {"workPhone", "workPhone2"},
         {"homeURL", "otherURL"},
         {"workURL", "otherURL"},
         {"homeFax", "otherFax"},
         {"workFax", "otherFax"}}};
    for (const auto& [from, to] : kNext) {
        if (from == field) return to;
    }
    return {};
}

std::string even_white_space(std::string_view text) {
    std::string out;
    bool blank = false;
    for (const char c : text) {
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            blank = !out.empty();
        } else {
            if (blank) out += ' ';
            blank = false;
            out += c;
        }
    }
    return out;
}

/// Without control characters but line feeds and tabs; CRLF as LF.
std::string clean_value(std::string_view value) {
    std::string out;
    for (std::size_t i = 0; i < value.size(); ++i) {
        const auto byte = static_cast<std::uint8_t>(value[i]);
        if (value[i] == '\r') {
            if (i + 1 >= value.size() || value[i + 1] != '\n') out += '\n';
        } else if (byte >= 0x20 ? byte != 0x7F : value[i] == '\n' || value[i] == '\t') {
            out += value[i];
        }
    }
    return std::string(trim(out));
}

ContentLine property(std::string name, std::string value, std::string type = {}) {
    ContentLine line;
    line.name = std::move(name);
    line.value = std::move(value);
    if (!type.empty()) line.parameters.push_back({"TYPE", std::move(type)});
    return line;
}

/// "1980-01-31" if the three are a date.
std::string iso_date(int year, int month, int day) {
    std::array<char, 48> digits{};
    std::snprintf(digits.data(), digits.size(), "%04d%02d%02d", year, month, day);
    if (!parse_wall_time(digits.data())) return {};
    std::snprintf(digits.data(), digits.size(), "%04d-%02d-%02d", year, month, day);
    return digits.data();
}

}  // namespace

bool is_native_field(std::string_view name) {
    return native_fields().contains(name);
}

void Contact::add_note(std::string_view label, std::string_view value) {
    const std::string clean = clean_value(value);
    if (clean.empty()) return;
    std::string& notes = fields["notes"];
    if (!notes.empty()) notes += '\n';
    if (!label.empty()) notes += printable(label, 100) + ": ";
    notes += clean;
}

void Contact::put(std::string_view field, std::string_view value, std::string_view label) {
    const std::string clean = clean_value(value);
    if (clean.empty()) return;
    if (field == "notes") return add_note({}, clean);
    std::string_view at = field;
    for (;;) {
        const auto [found, fresh] = fields.try_emplace(std::string(at), clean);
        if (fresh || found->second == clean) return;
        at = next_of(at);
        if (at.empty()) return add_note(label.empty() ? field : label, clean);
    }
}

std::map<std::string, std::string> normalised(const std::map<std::string, std::string>& fields) {
    std::map<std::string, std::string> out;
    for (const auto& [name, value] : fields) {
        std::string even = even_white_space(value);
        if (name.starts_with("email") || name == "dlist") even = to_lower(even);
        if (!even.empty()) out.emplace(name, std::move(even));
    }
    return out;
}

std::string contact_digest(const Contact& contact) {
    std::string all;
    for (const auto& [name, value] : normalised(contact.fields)) {
        all += name + "=" + std::to_string(value.size()) + ":" + value;
    }
    if (!contact.photo.empty()) all += "photo=" + sha256(contact.photo);
    return sha256(all);
}

std::string contact_name(const Contact& contact) {
    const auto get = [&](const char* name) {
        const auto found = contact.fields.find(name);
        return found == contact.fields.end() ? std::string{} : found->second;
    };
    std::string name = get("fullName");
    if (name.empty()) name = std::string(trim(get("firstName") + " " + get("lastName")));
    for (const char* other :
         {"nickname", "company", "email", "mobilePhone", "workPhone", "homePhone"}) {
        if (name.empty()) name = get(other);
    }
    return name;
}

std::string write_contacts_csv(const std::vector<const Contact*>& contacts) {
    std::set<std::string> columns;
    for (const Contact* contact : contacts) {
        for (const auto& [name, value] : contact->fields) columns.insert(name);
    }
    std::string out = "\xEF\xBB\xBF";
    const auto row = [&](const auto& cell_of) {
        bool first = true;
        for (const std::string& column : columns) {
            if (!first) out += ',';
            first = false;
            out += csv_quote(cell_of(column));
        }
        out += "\r\n";
    };
    row([](const std::string& column) { return column; });
    for (const Contact* contact : contacts) {
        row([&](const std::string& column) {
            const auto found = contact->fields.find(column);
            return found == contact->fields.end() ? std::string{} : found->second;
        });
    }
    return out;
}

std::string write_vcard(const Contact& contact) {
    std::map<std::string, std::string> left = contact.fields;
    const auto take = [&](const std::string& name) {
        const auto found = left.find(name);
        if (found == left.end()) return std::string{};
        std::string value = found->second;
        left.erase(found);
        return value;
    };
    const auto text = [&](const std::string& name) { return escape_text(take(name)); };
    std::string out = "BEGIN:VCARD\r\nVERSION:3.0\r\n";
    const auto add = [&](const char* name, const std::string& value, const char* type = "") {
        if (!value.empty()) out += write_content_line(property(name, value, type));
    };
    const std::string name = contact_name(contact);
    out += write_content_line(property("FN", escape_text(name)));
    left.erase("fullName");
    std::string parts = text("lastName");
    for (const char* part : {"firstName", "middleName", "namePrefix", "nameSuffix"})
        parts += ";" + text(part);
    out += write_content_line(property("N", parts));
    add("NICKNAME", text("nickname"));
    for (const char* field : {"email", "email2", "email3"}) add("EMAIL", text(field), "INTERNET");
    constexpr std::array<std::pair<const char*, const char*>, 11> kPhones = {
        {{"mobilePhone", "CELL"},
         {"homePhone", "HOME,VOICE"},
         {"homePhone2", "HOME,VOICE"},
         {"workPhone", "WORK,VOICE"},
         {"workPhone2", "WORK,VOICE"},
         {"homeFax", "HOME,FAX"},
         {"workFax", "WORK,FAX"},
         {"otherFax", "FAX"},
         {"pager", "PAGER"},
         {"carPhone", "CAR"},
         {"otherPhone", "VOICE"}}};
    for (const auto& [field, type] : kPhones) add("TEL", text(field), type);
    for (const auto& [prefix, type] : std::initializer_list<std::pair<const char*, const char*>>{
             {"home", "HOME"}, {"work", "WORK"}, {"other", "OTHER"}}) {
        const std::string p = prefix;
        std::string address = ";;" + text(p + "Street");
        for (const char* part : {"City", "State", "PostalCode", "Country"})
            address += ";" + text(p + part);
        if (address != ";;;;;;") add("ADR", address, type);
    }
    const std::string company = text("company");
    const std::string department = text("department");
    if (!company.empty() || !department.empty())
        add("ORG", company + (department.empty() ? "" : ";" + department));
    add("TITLE", text("jobTitle"));
    add("BDAY", text("birthday"));
    add("URL", text("homeURL"), "HOME");
    add("URL", text("workURL"), "WORK");
    std::string notes = take("notes");
    for (const auto& [field, value] : left)
        notes += (notes.empty() ? "" : "\n") + field + ": " + value;
    add("NOTE", escape_text(notes));
    if (!contact.photo.empty()) {
        ContentLine photo = property("PHOTO", encode_base64(contact.photo));
        photo.parameters = {{"ENCODING", "b"}, {"TYPE", contact.photo_type}};
        out += write_content_line(photo);
    }
    return out + "END:VCARD\r\n";
}

std::string normalise_date(std::string_view text, bool month_first) {
    const std::string_view all = trim(text);
    const std::string_view date = all.substr(0, all.find_first_of("T "));
    std::array<int, 3> numbers{};
    std::size_t count = 0;
    std::size_t first_digits = 0;
    std::size_t digits = 0;
    char separator = 0;
    for (const char c : date) {
        if (c >= '0' && c <= '9') {
            if (count == 3 || digits == 8) return std::string(all);
            numbers[count] = numbers[count] * 10 + (c - '0');
            ++digits;
            if (count == 0) first_digits = digits;
        } else if (c == '.' || c == '/' || c == '-') {
            if (digits == 0 && c != '-') return std::string(all);
            separator = c;
            ++count;
            digits = 0;
        } else {
            return std::string(all);
        }
    }
    if (numbers == std::array<int, 3>{}) return {};
    if (count == 0 && first_digits == 8) {
        const std::string iso =
            iso_date(numbers[0] / 10000, numbers[0] / 100 % 100, numbers[0] % 100);
        return iso.empty() ? std::string(all) : iso;
    }
    if (count != 2) return std::string(all);
    std::string iso;
    if (first_digits == 4) {
        iso = iso_date(numbers[0], numbers[1], numbers[2]);
    } else if (numbers[2] >= 1000) {
        const bool month = separator == '/' && month_first;
        iso = month ? iso_date(numbers[2], numbers[0], numbers[1])
                    : iso_date(numbers[2], numbers[1], numbers[0]);
        if (iso.empty())
            iso = month ? iso_date(numbers[2], numbers[1], numbers[0])
                        : iso_date(numbers[2], numbers[0], numbers[1]);
    }
    return iso.empty() ? std::string(all) : iso;
}

Result<ContactFile> read_contact_file(const std::string& path) {
    IMAPULT_TRY(std::string bytes, read_whole_file(path));
    const bool card = to_lower(path).ends_with(".vcf");
    IMAPULT_TRY(ContactFile file,
                card ? read_vcards(std::move(bytes)) : read_csv_contacts(std::move(bytes)));
    file.path = path;
    return file;
}

}  // namespace imapult::importers
