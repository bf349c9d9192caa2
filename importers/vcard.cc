// Contacts from vCard 2.1, 3.0 and 4.0 (contact.h; RFC 6350, RFC 2426).

#include <algorithm>
#include <map>

#include "engine/base/text.h"
#include "importers/charset.h"
#include "importers/contact.h"
#include "importers/content_line.h"
#include "importers/limits.h"

namespace imapult::importers {
namespace {

constexpr std::size_t kCardNestingMax = 8;

std::vector<std::string> split_parts(std::string_view value, char separator) {
    std::vector<std::string> out(1);
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (value[i] == '\\' && i + 1 < value.size()) {
            out.back() += value[i];
            out.back() += value[++i];
        } else if (value[i] == separator) {
            out.emplace_back();
        } else {
            out.back() += value[i];
        }
    }
    for (std::string& part : out) part = unescape_text(part);
    return out;
}

/// All TYPE values of a line, lower case, joined by ','.
std::string types_of(const ContentLine& line) {
    std::string out = ",";
    for (const Parameter& p : line.parameters) {
        if (p.name == "TYPE") out += to_lower(p.value) + ",";
    }
    return out;
}

bool has_type(const std::string& types, std::string_view type) {
    return types.contains("," + std::string(type) + ",");
}

struct Card {
    Contact contact;
    std::string uid;
    std::string version;
    bool group = false;
    std::vector<std::string> members;
    std::size_t lines = 0;
};

class CardReader {
  public:
    explicit CardReader(ContactFile& file) : file_(file) {}

    void run(std::string_view text) {
        LineReader reader(text, 1, true);
        std::string_view raw;
        std::size_t number = 0;
        while (reader.next(raw, number)) {
            const std::string_view head = trim(raw.substr(0, 64));
            if (equal_ignoring_case(head, "BEGIN:VCARD")) {
                begin(number);
            } else if (equal_ignoring_case(head, "END:VCARD")) {
                end();
            } else if (depth_ == 1) {
                keep_raw(raw);
                if (!trim(raw).empty()) line(raw, number);
            }
        }
        if (depth_ > 0) refuse("the file ends inside this card (cut off?)");
        resolve_groups();
    }

  private:
    void keep_raw(std::string_view raw) {
        if (card_.contact.raw.size() < kPhotoBytesMax * 2)
            card_.contact.raw += std::string(raw) + "\r\n";
    }

    void begin(std::size_t number) {
        // An AGENT may hold a card; any other BEGIN inside a card means that its END is missing.
        if (depth_ > 0 && !agent_) refuse("the card has no END:VCARD before the next one begins");
        agent_ = false;
        if (++depth_ > kCardNestingMax) too_deep_ = true;
        if (depth_ > 1) return;
        card_ = Card{};
        card_.contact.line = number;
        too_deep_ = false;
    }

    void end() {
        if (depth_ == 0) return;
        if (--depth_ > 0) return;
        if (too_deep_) return refuse("cards are nested too deeply");
        if (card_.contact.fields.empty() && card_.contact.photo.empty())
            return refuse("the card holds no name, address or number");
        file_.contacts.push_back({});
        cards_.push_back(std::move(card_));
    }

    void refuse(const char* reason) {
        file_.refused.push_back({card_.contact.line, card_.uid, reason,
                                 "BEGIN:VCARD\r\n" + card_.contact.raw + "END:VCARD\r\n"});
        depth_ = 0;
        card_ = Card{};
    }

    void line(std::string_view raw, std::size_t number) {
        ContentLine property;
        if (!parse_content_line(raw, property, true)) {
            card_.contact.repairs.push_back("line " + std::to_string(number) +
                                            ": a line that is no property was dropped");
            return;
        }
        ++card_.lines;
        property.line = number;
        agent_ = property.name == "AGENT" && trim(property.value).empty();
        if (agent_) return;
        decode(property);
        // "item1.X-ABLabel" and its like name the property of the same group: not kept.
        take(property);
    }

    void decode(ContentLine& line) {
        const Parameter* encoding = line.parameter("ENCODING");
        if (encoding == nullptr || !equal_ignoring_case(encoding->value, "QUOTED-PRINTABLE"))
            return;
        const Parameter* charset = line.parameter("CHARSET");
        std::string value = decode_quoted_printable(line.value);
        if (charset != nullptr && !equal_ignoring_case(charset->value, "UTF-8")) {
            const std::string converted = convert_from(charset->value, value);
            if (!converted.empty()) value = converted;
        }
        if (!is_utf8(value)) value = convert_from("windows-1252", value);
        // Line breaks were encoded: escape them as the later versions do, and nothing else.
        line.value.clear();
        for (const char c : value) {
            if (c == '\n')
                line.value += "\\n";
            else if (c != '\r')
                line.value += c;
        }
    }

    void take(const ContentLine& line) {
        Contact& c = card_.contact;
        const std::string text = unescape_text(line.value);
        const std::string types = types_of(line);
        const std::string& name = line.name;
        if (name == "VERSION")
            card_.version = trim(line.value);
        else if (name == "FN")
            c.put("fullName", text);
        else if (name == "N")
            names(split_parts(line.value, ';'));
        else if (name == "NICKNAME")
            c.put("nickname", text);
        else if (name == "EMAIL")
            c.put("email", text, "E-mail");
        else if (name == "TEL")
            phone(text, types);
        else if (name == "ADR")
            address(split_parts(line.value, ';'), types);
        else if (name == "ORG")
            organisation(split_parts(line.value, ';'));
        else if (name == "TITLE")
            c.put("jobTitle", text, "Title");
        else if (name == "BDAY")
            c.put("birthday", normalise_date(text, false));
        else if (name == "URL")
            c.put(has_type(types, "work") ? "workURL" : "homeURL", text, "URL");
        else if (name == "NOTE")
            c.put("notes", text);
        else if (name == "PHOTO")
            photo(line, types);
        else if (name == "UID")
            card_.uid = text;
        else if (name == "KIND" || name == "X-ADDRESSBOOKSERVER-KIND")
            card_.group = equal_ignoring_case(trim(text), "group");
        else if (name == "MEMBER" || name == "X-ADDRESSBOOKSERVER-MEMBER")
            member(text);
        else if (name == "X-PHONETIC-FIRST-NAME")
            c.put("phoneticFirstName", text);
        else if (name == "X-PHONETIC-LAST-NAME")
            c.put("phoneticLastName", text);
        else if (name == "X-PHONETIC-ORG")
            c.put("phoneticCompany", text);
        else
            other(line, text);
    }

    void names(const std::vector<std::string>& parts) {
        constexpr std::array<const char*, 5> kFields = {"lastName", "firstName", "middleName",
                                                        "namePrefix", "nameSuffix"};
        for (std::size_t i = 0; i < parts.size() && i < kFields.size(); ++i)
            card_.contact.put(kFields[i], parts[i]);
    }

    void phone(std::string text, const std::string& types) {
        if (to_lower(text).starts_with("tel:")) text.erase(0, 4);
        const bool home = has_type(types, "home");
        const bool work = has_type(types, "work");
        const char* field = "otherPhone";
        if (has_type(types, "fax"))
            field = home ? "homeFax" : work ? "workFax" : "otherFax";
        else if (has_type(types, "pager"))
            field = "pager";
        else if (has_type(types, "car"))
            field = "carPhone";
        else if (has_type(types, "cell") || has_type(types, "iphone"))
            field = "mobilePhone";
        else if (home)
            field = "homePhone";
        else if (work)
            field = "workPhone";
        card_.contact.put(field, text, "Phone");
    }

    void address(const std::vector<std::string>& parts, const std::string& types) {
        std::string place = has_type(types, "work")   ? "work"
                            : has_type(types, "home") ? "home"
                                                      : "other";
        const auto part = [&](std::size_t i) {
            return i < parts.size() ? parts[i] : std::string{};
        };
        std::string street;
        for (const std::size_t i : {2U, 1U, 0U}) {
            if (!trim(part(i)).empty()) street += (street.empty() ? "" : "\n") + part(i);
        }
        Contact& c = card_.contact;
        const bool taken = std::ranges::any_of(c.fields, [&](const auto& f) {
            return f.first == place + "Street" || f.first == place + "City" ||
                   f.first == place + "Country";
        });
        if (taken) {
            std::string all = street;
            for (std::size_t i = 3; i < 7; ++i) all += trim(part(i)).empty() ? "" : ", " + part(i);
            return c.add_note("Address", all);
        }
        c.put(place + "Street", street);
        c.put(place + "City", part(3));
        c.put(place + "State", part(4));
        c.put(place + "PostalCode", part(5));
        c.put(place + "Country", part(6));
    }

    void organisation(const std::vector<std::string>& parts) {
        std::string department;
        for (std::size_t i = 1; i < parts.size(); ++i) {
            if (!trim(parts[i]).empty()) department += (department.empty() ? "" : ", ") + parts[i];
        }
        card_.contact.put("company", parts[0], "Organization");
        card_.contact.put("department", department, "Department");
    }

    void photo(const ContentLine& line, const std::string& types) {
        Contact& c = card_.contact;
        std::string_view data = line.value;
        std::string type = types;
        if (to_lower(data.substr(0, 5)) == "data:") {
            const auto comma = data.find(',');
            if (comma == std::string_view::npos) return;
            type = to_lower(data.substr(5, comma - 5));
            data.remove_prefix(comma + 1);
        } else if (to_lower(data.substr(0, 8)).starts_with("http")) {
            return c.add_note("Photo", data);
        }
        const std::string bytes =
            data.size() > kPhotoBytesMax * 2 ? std::string{} : decode_base64(data);
        const char* kind = bytes.starts_with("\xFF\xD8")  ? "JPEG"
                           : bytes.starts_with("\x89PNG") ? "PNG"
                           : bytes.starts_with("GIF8")    ? "GIF"
                           : type.contains("png")         ? "PNG"
                           : type.contains("gif")         ? "GIF"
                                                          : "JPEG";
        if (bytes.empty() || bytes.size() > kPhotoBytesMax) {
            c.repairs.push_back(
                "line " + std::to_string(line.line) +
                ": the photo was left out (it cannot be read, or is larger than 2 MiB)");
            return;
        }
        c.photo = bytes;
        c.photo_type = kind;
    }

    void member(std::string_view text) {
        if (card_.members.size() < 10'000) card_.members.emplace_back(trim(text));
    }

    void other(const ContentLine& line, const std::string& text) {
        constexpr std::array<std::string_view, 16> kSilent = {
            "PRODID", "REV",       "SORT-STRING", "CLASS",        "MAILER", "TZ",
            "GEO",    "SOURCE",    "PROFILE",     "CLIENTPIDMAP", "LABEL",  "NAME",
            "XML",    "CALADRURI", "CALURI",      "FBURL"};
        constexpr std::array<std::string_view, 4> kBinary = {"LOGO", "SOUND", "KEY", "AGENT"};
        if (std::ranges::find(kSilent, line.name) != kSilent.end() ||
            line.name.starts_with("X-AB") || line.name.starts_with("X-APPLE") ||
            line.name.starts_with("X-MS-OL"))
            return;
        if (std::ranges::find(kBinary, line.name) != kBinary.end() || text.size() > 4096) {
            card_.contact.repairs.push_back("line " + std::to_string(line.line) + ": " +
                                            printable(line.name, 60) +
                                            " has no place in Carbonio and was left out");
            return;
        }
        card_.contact.add_note(line.name, text);
    }

    /// Members by UID become addresses; plain addresses stay.
    void resolve_groups() {
        std::map<std::string, std::string> address_of_uid;
        for (const Card& card : cards_) {
            const auto email = card.contact.fields.find("email");
            if (card.uid.empty() || email == card.contact.fields.end()) continue;
            std::string uid = to_lower(card.uid);
            if (uid.starts_with("urn:uuid:")) uid.erase(0, 9);
            address_of_uid[uid] = email->second;
        }
        for (std::size_t i = 0; i < cards_.size(); ++i) {
            Card& card = cards_[i];
            if (card.group) {
                std::string list;
                for (const std::string& one : card.members) {
                    std::string key = to_lower(one);
                    std::string address;
                    if (key.starts_with("mailto:")) address = one.substr(7);
                    if (key.starts_with("urn:uuid:")) key.erase(0, 9);
                    const auto found = address_of_uid.find(key);
                    if (found != address_of_uid.end()) address = found->second;
                    if (address.empty() && one.contains('@')) address = one;
                    if (address.empty()) {
                        card.contact.repairs.push_back(
                            "line " + std::to_string(card.contact.line) +
                            ": a member of the group is no address and no card of this file: " +
                            printable(one, 80));
                    } else {
                        list += (list.empty() ? "" : ", ") + address;
                    }
                }
                card.contact.put("nickname", contact_name(card.contact));
                card.contact.put("dlist", list);
            }
            if (file_.dialect.empty() && !card.version.empty())
                file_.dialect = "vCard " + printable(card.version, 10);
            file_.contacts[i] = std::move(card.contact);
        }
    }

    ContactFile& file_;
    std::vector<Card> cards_;
    Card card_;
    std::size_t depth_ = 0;
    bool too_deep_ = false;
    bool agent_ = false;
};

}  // namespace

Result<ContactFile> read_vcards(std::string bytes) {
    IMAPULT_TRY(Decoded decoded, decode_text(std::move(bytes), {}, true));
    ContactFile file;
    file.charset = decoded.charset;
    if (decoded.confidence < 100)
        file.repairs.push_back("the charset was taken as " + decoded.charset + " (confidence " +
                               std::to_string(decoded.confidence) + " %)");
    if (decoded.damaged) file.repairs.emplace_back("bytes that are no characters were replaced");
    if (!decoded.text.contains('\n')) std::ranges::replace(decoded.text, '\r', '\n');
    CardReader(file).run(decoded.text);
    if (file.contacts.empty() && file.refused.empty())
        return invalid("the file holds no vCard (no BEGIN:VCARD)");
    if (file.dialect.empty()) file.dialect = "vCard";
    return file;
}

}  // namespace imapult::importers
