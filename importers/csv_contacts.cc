// Contacts from CSV (contact.h).

#include <algorithm>
#include <map>
#include <set>

#include "engine/base/text.h"
#include "importers/charset.h"
#include "importers/contact.h"
#include "importers/csv.h"
#include "importers/dialects.h"

namespace imapult::importers {
namespace {

/// One numbered entry of Google's ("Phone 2"), its parts by name.
using GoogleEntries = std::map<std::pair<std::string, int>, std::map<std::string, std::string>>;

std::string phone_field(const std::string& label) {
    const std::string type = to_lower(label);
    const bool home = type.contains("home") || type.contains("privat") ||
                      type.contains("domicile") || type.contains("casa") || type.contains("自宅");
    const bool work = type.contains("work") || type.contains("business") ||
                      type.contains("arbeit") || type.contains("bureau") ||
                      type.contains("lavoro") || type.contains("勤務先");
    if (type.contains("fax")) return home ? "homeFax" : work ? "workFax" : "otherFax";
    if (type.contains("mobile") || type.contains("cell") || type.contains("mobil") ||
        type.contains("portable") || type.contains("携帯"))
        return "mobilePhone";
    if (type.contains("pager")) return "pager";
    if (home) return "homePhone";
    return work ? "workPhone" : "otherPhone";
}

std::string place_of(const std::string& label) {
    const std::string type = to_lower(label);
    if (type.contains("work") || type.contains("business") || type.contains("lavoro") ||
        type.contains("arbeit"))
        return "work";
    return type.contains("other") ? "other" : "home";
}

/// Values joined by " ::: ".
std::vector<std::string> split_google(const std::string& value) {
    std::vector<std::string> out;
    std::size_t at = 0;
    for (;;) {
        const auto next = value.find(" ::: ", at);
        out.push_back(value.substr(at, next - at));
        if (next == std::string::npos) return out;
        at = next + 5;
    }
}

void add_google(Contact& contact, const std::string& kind,
                std::map<std::string, std::string>& parts) {
    const std::string label = parts.contains("Label") ? parts["Label"] : parts["Type"];
    const std::string shown = label.empty() || label == "*" ? kind : label;
    if (kind == "E-mail") {
        for (const std::string& one : split_google(parts["Value"]))
            contact.put("email", one, "E-mail");
    } else if (kind == "Phone") {
        for (const std::string& one : split_google(parts["Value"]))
            contact.put(phone_field(label), one, "Phone (" + shown + ")");
    } else if (kind == "Website") {
        for (const std::string& one : split_google(parts["Value"]))
            contact.put(place_of(label) == "work" ? "workURL" : "homeURL", one, "Website");
    } else if (kind == "Organization") {
        contact.put("company", parts["Name"], "Organization");
        contact.put("jobTitle", parts["Title"], "Title");
        contact.put("department", parts["Department"], "Department");
    } else if (kind == "Address") {
        const std::string place = place_of(label);
        std::string street = parts["Street"];
        for (const char* more : {"Extended Address", "PO Box"}) {
            if (!parts[more].empty()) street += (street.empty() ? "" : "\n") + parts[more];
        }
        const bool parted = !street.empty() || !parts["City"].empty() ||
                            !parts["Country"].empty() || !parts["Postal Code"].empty();
        const bool taken = std::ranges::any_of(contact.fields, [&](const auto& f) {
            return f.first.starts_with(place) &&
                   (f.first.ends_with("Street") || f.first.ends_with("City"));
        });
        if (taken || !parted) {
            contact.add_note("Address (" + shown + ")", parts["Formatted"].empty()
                                                            ? street + "\n" + parts["City"]
                                                            : parts["Formatted"]);
            return;
        }
        contact.put(place + "Street", street);
        contact.put(place + "City", parts["City"]);
        contact.put(place + "State", parts["Region"]);
        contact.put(place + "PostalCode", parts["Postal Code"]);
        contact.put(place + "Country", parts["Country"]);
    } else {
        contact.add_note(shown, parts["Value"]);
    }
}

/// Cells that say nothing: what Outlook and Google write into empty fields.
bool is_filler(const std::string& header, std::string_view value) {
    const std::string name = to_lower(header);
    if (value == "0/0/00" || value == "0.0.00" || value == "00/00/00" || value == "0") return true;
    return (name == "group membership" || name == "labels") &&
           (value == "* myContacts" || value == "* My Contacts");
}

class RowConverter {
  public:
    RowConverter(const Dialect& dialect, std::set<std::string>& into_notes)
        : dialect_(dialect), into_notes_(into_notes) {}

    Contact convert(const CsvRow& row) {
        Contact contact;
        contact.line = row.line;
        contact.raw = row.raw;
        // Notes first, so that what is added comes below.
        for (std::size_t i = 0; i < dialect_.columns.size() && i < row.cells.size(); ++i) {
            if (dialect_.columns[i].meaning == "notes") contact.put("notes", row.cells[i]);
        }
        for (std::size_t i = 0; i < dialect_.columns.size() && i < row.cells.size(); ++i) {
            const std::string_view cell = trim(row.cells[i]);
            if (!cell.empty() && dialect_.columns[i].meaning != "notes")
                this->cell(contact, dialect_.columns[i], std::string(cell));
        }
        for (auto& [key, parts] : google_) add_google(contact, key.first, parts);
        google_.clear();
        birthday(contact);
        return contact;
    }

  private:
    void cell(Contact& contact, const Column& column, const std::string& value) {
        const std::string& meaning = column.meaning;
        if (meaning == "@ignore") return;
        if (meaning == "@birthYear")
            birth_[0] = value;
        else if (meaning == "@birthMonth")
            birth_[1] = value;
        else if (meaning == "@birthDay")
            birth_[2] = value;
        else if (meaning.starts_with("@street2:")) {
            std::string& street = contact.fields[meaning.substr(9)];
            street += (street.empty() ? "" : "\n") + value;
        } else if (meaning == "@name") {
            contact.put("fullName", value);
        } else if (meaning.starts_with("@google:")) {
            const auto kind_end = meaning.find(':', 8);
            const auto number_end = meaning.find(':', kind_end + 1);
            const auto number =
                parse_number(meaning.substr(kind_end + 1, number_end - kind_end - 1)).value_or(0);
            google_[{meaning.substr(8, kind_end - 8), static_cast<int>(number)}]
                   [meaning.substr(number_end + 1)] = value;
        } else if (meaning == "birthday") {
            contact.put("birthday", normalise_date(value, dialect_.month_first));
        } else if (!meaning.empty()) {
            contact.put(meaning, value, column.header);
        } else if (!is_filler(column.header, value)) {
            contact.add_note(column.header, value);
            into_notes_.insert(column.header);
        }
    }

    void birthday(Contact& contact) {
        if (!birth_[0].empty() || !birth_[1].empty() || !birth_[2].empty()) {
            const std::string iso =
                normalise_date(birth_[0] + "-" + birth_[1] + "-" + birth_[2], false);
            const bool whole = iso.size() == 10 && iso[4] == '-' && iso[7] == '-';
            if (whole) {
                contact.put("birthday", iso);
            } else if (birth_[0].empty() && !birth_[1].empty() && !birth_[2].empty()) {
                contact.put("birthday", "--" + std::string(birth_[1].size() == 1 ? "0" : "") +
                                            birth_[1] + "-" + (birth_[2].size() == 1 ? "0" : "") +
                                            birth_[2]);
            } else {
                contact.add_note("Birthday", birth_[0] + " " + birth_[1] + " " + birth_[2]);
            }
        }
        birth_ = {};
    }

    const Dialect& dialect_;
    std::set<std::string>& into_notes_;
    std::array<std::string, 3> birth_;
    GoogleEntries google_;
};

}  // namespace

Result<ContactFile> read_csv_contacts(std::string bytes) {
    IMAPULT_TRY(Decoded decoded, decode_text(std::move(bytes), [](std::string_view text) {
                    return known_names(text);
                }));
    ContactFile file;
    file.charset = decoded.charset;
    if (decoded.confidence < 100)
        file.repairs.push_back("the charset was taken as " + decoded.charset + " (confidence " +
                               std::to_string(decoded.confidence) + " %)");
    if (decoded.damaged) file.repairs.emplace_back("bytes that are no characters were replaced");
    IMAPULT_TRY(CsvTable table, parse_csv(decoded.text));
    decoded.text.clear();
    file.separator = table.separator;
    file.raw_header = table.raw_header;
    // The column that our own refused/ files end with.
    const bool mended = table.header.size() > 1 && table.header.back() == "reason";
    if (mended) {
        table.header.pop_back();
        const auto last = file.raw_header.rfind(file.separator);
        if (last != std::string::npos) file.raw_header.resize(last);
    }
    const std::size_t width = table.header.size();
    const Dialect dialect = recognise_header(table.header);
    file.dialect = dialect.name;
    if (dialect.known == 0)
        return invalid(
            "no column of the header is known: is the first line the header? It begins with \"" +
            printable(table.header.front(), 60) + "\"");
    std::set<std::string> into_notes;
    RowConverter converter(dialect, into_notes);
    for (CsvRow& row : table.rows) {
        if (mended && row.cells.size() == width + 1) row.cells.pop_back();
        while (row.cells.size() > width && trim(row.cells.back()).empty()) row.cells.pop_back();
        if (row.broken == nullptr && row.cells.size() > width)
            row.broken =
                "the row has more cells than the header has columns (a separator that is not "
                "quoted?)";
        if (row.broken != nullptr) {
            file.refused.push_back({row.line, {}, row.broken, std::move(row.raw)});
            continue;
        }
        Contact contact = converter.convert(row);
        if (contact.fields.empty()) {
            file.refused.push_back({row.line,
                                    {},
                                    "the row holds nothing that a contact could be made of",
                                    std::move(contact.raw)});
            continue;
        }
        file.contacts.push_back(std::move(contact));
    }
    for (const std::string& name : into_notes)
        file.notes.push_back("the column \"" + printable(name, 100) +
                             "\" has no place in Carbonio and went into the notes");
    return file;
}

}  // namespace imapult::importers
