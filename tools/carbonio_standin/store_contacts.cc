#include <algorithm>

#include "engine/base/text.h"
#include "tools/carbonio_standin/store.h"

namespace imapult::standin {
namespace {

std::string latin1_to_utf8(const std::string& text) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80) {
            out += c;
        } else {
            out += static_cast<char>(0xC0 | (byte >> 6));
            out += static_cast<char>(0x80 | (byte & 0x3F));
        }
    }
    return out;
}

/// The server's own guess; the Content-Type is not asked.
std::string guess_charset(std::string body) {
    if (body.starts_with("\xEF\xBB\xBF")) body.erase(0, 3);
    return is_utf8(body) ? body : latin1_to_utf8(body);
}

/// Rows of cells; the separator is the first `,` or `;` outside quotes in the header.
std::vector<std::vector<std::string>> parse_rows(const std::string& text) {
    char separator = 0;
    bool quoted = false;
    for (const char c : text) {
        if (c == '"') quoted = !quoted;
        if (!quoted && (c == ',' || c == ';')) {
            separator = c;
            break;
        }
        if (!quoted && (c == '\n' || c == '\r')) break;
    }
    std::vector<std::vector<std::string>> rows(1);
    rows.back().emplace_back();
    quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            if (c != '"') {
                rows.back().back() += c;
            } else if (i + 1 < text.size() && text[i + 1] == '"') {
                rows.back().back() += '"';
                ++i;
            } else {
                quoted = false;
            }
        } else if (c == '"') {
            quoted = true;
        } else if (c == separator) {
            rows.back().emplace_back();
        } else if (c == '\n' || c == '\r') {
            if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
            rows.emplace_back();
            rows.back().emplace_back();
        } else {
            rows.back().back() += c;
        }
    }
    std::erase_if(rows, [](const auto& row) { return row.size() == 1 && trim(row[0]).empty(); });
    return rows;
}

std::string quote(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
    return out + "\"";
}

/// A few columns of the formats the server translates; every other name stays itself.
const std::map<std::string, std::string>& columns_of(const std::string& format) {
    static const std::map<std::string, std::string> none;
    static const std::map<std::string, std::string> thunderbird = {
        {"First Name", "firstName"}, {"Last Name", "lastName"},   {"Display Name", "fullName"},
        {"Nickname", "nickname"},    {"Primary Email", "email"},  {"Secondary Email", "email2"},
        {"Work Phone", "workPhone"}, {"Home Phone", "homePhone"}, {"Mobile Number", "mobilePhone"},
        {"Organization", "company"}, {"Job Title", "jobTitle"},   {"Notes", "notes"}};
    static const std::map<std::string, std::string> outlook = {
        {"First Name", "firstName"},     {"Last Name", "lastName"},
        {"E-mail Address", "email"},     {"E-mail 2 Address", "email2"},
        {"Company", "company"},          {"Job Title", "jobTitle"},
        {"Mobile Phone", "mobilePhone"}, {"Business Phone", "workPhone"},
        {"Home Phone", "homePhone"},     {"Notes", "notes"}};
    if (format == "thunderbird-csv") return thunderbird;
    if (format == "outlook-2003-csv") return outlook;
    return none;
}

std::string unfold(const std::string& body) {
    std::string out;
    for (std::size_t i = 0; i < body.size(); ++i) {
        if (body[i] == '\r') continue;
        if (body[i] == '\n' && i + 1 < body.size() && (body[i + 1] == ' ' || body[i + 1] == '\t')) {
            ++i;
            continue;
        }
        out += body[i];
    }
    return out;
}

std::string plain(const std::string& value) {
    std::string out;
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (value[i] == '\\' && i + 1 < value.size()) {
            ++i;
            out += value[i] == 'n' || value[i] == 'N' ? '\n' : value[i];
        } else {
            out += value[i];
        }
    }
    return out;
}

std::vector<std::string> split(const std::string& value) {
    std::vector<std::string> out(1);
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (value[i] == '\\' && i + 1 < value.size()) {
            out.back() += value[i];
            out.back() += value[++i];
        } else if (value[i] == ';') {
            out.emplace_back();
        } else {
            out.back() += value[i];
        }
    }
    for (auto& part : out) part = plain(part);
    return out;
}

void set_next(Fields& fields, const std::string& name, const std::string& value) {
    std::string key = name;
    for (int n = 2; fields.contains(key); ++n) key = name + std::to_string(n);
    fields[key] = value;
}

void read_card_line(const std::string& line, Fields& fields) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) return;
    const std::string head = lower_case(line.substr(0, colon));
    const std::string value = line.substr(colon + 1);
    std::string name = head.substr(0, head.find(';'));
    if (name.contains('.')) name = name.substr(name.find('.') + 1);
    const auto type = [&](const char* word) { return head.contains(word); };
    const auto parts = split(value);
    const auto part = [&](std::size_t i) { return i < parts.size() ? parts[i] : std::string{}; };
    const auto put = [&](const std::string& key, const std::string& text) {
        if (!text.empty()) fields[key] = text;
    };
    if (name == "fn") put("fullName", plain(value));
    if (name == "n") {
        put("lastName", part(0));
        put("firstName", part(1));
        put("middleName", part(2));
        put("namePrefix", part(3));
        put("nameSuffix", part(4));
    }
    if (name == "email") set_next(fields, "email", plain(value));
    if (name == "tel") {
        const char* key = type("fax")     ? (type("home") ? "homeFax" : "workFax")
                          : type("pager") ? "pager"
                          : type("cell")  ? "mobilePhone"
                          : type("home")  ? "homePhone"
                          : type("work")  ? "workPhone"
                                          : "otherPhone";
        set_next(fields, key, plain(value));
    }
    if (name == "org") {
        put("company", part(0));
        put("department", part(1));
    }
    if (name == "title") put("jobTitle", plain(value));
    if (name == "note") put("notes", plain(value));
    if (name == "nickname") put("nickname", plain(value));
    if (name == "bday") put("birthday", plain(value));
    if (name == "photo") put("image", value);
    if (name == "url") put(type("home") ? "homeURL" : "workURL", plain(value));
    if (name == "adr") {
        const std::string where = type("home") ? "home" : type("work") ? "work" : "other";
        put(where + "Street", part(2));
        put(where + "City", part(3));
        put(where + "State", part(4));
        put(where + "PostalCode", part(5));
        put(where + "Country", part(6));
    }
}

}  // namespace

std::string lower_case(std::string text) {
    std::ranges::transform(text, text.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    return text;
}

MailboxStore::MailboxStore() {
    for (const auto& [name, view] :
         std::initializer_list<std::pair<const char*, const char*>>{{"Inbox", "message"},
                                                                    {"Trash", ""},
                                                                    {"Junk", "message"},
                                                                    {"Sent", "message"},
                                                                    {"Drafts", "message"},
                                                                    {"Contacts", "contact"},
                                                                    {"Emailed Contacts", "contact"},
                                                                    {"Calendar", "appointment"},
                                                                    {"Tasks", "task"},
                                                                    {"Briefcase", "document"},
                                                                    {"Chats", "message"}}) {
        folders[lower_case(name)] = {name, view, "", {}};
    }
}

std::size_t MailboxStore::contact_count() const {
    std::size_t count = 0;
    for (const auto& [name, folder] : folders) count += folder.contacts.size();
    return count;
}

std::size_t MailboxStore::count_in(const std::string& folder) const {
    std::size_t count = folders.at(folder).contacts.size();
    for (const auto& [uid, item] : items) count += item.folder == folder ? 1 : 0;
    return count;
}

Status MailboxStore::import_csv(const std::string& folder, const std::string& body,
                                const std::string& format, const Limits& limits) {
    if (body.size() > limits.contact_upload_bytes)
        return {500, "csv formatter failure: upload over " +
                         std::to_string(limits.contact_upload_bytes) + " byte limit"};
    const auto rows = parse_rows(guess_charset(body));
    if (rows.empty()) return {400, "Could not parse csv file - Reason : no header"};
    const auto& header = rows[0];
    for (const auto& name : header) {
        if (trim(name).empty() || name.size() > 100 || header.size() > 1000)
            return {400, "Could not parse csv file - Reason : invalid header"};
    }
    const auto& columns = columns_of(format);
    for (std::size_t r = 1; r < rows.size(); ++r) {
        Fields fields;
        for (std::size_t c = 0; c < header.size() && c < rows[r].size(); ++c) {
            if (rows[r][c].empty()) continue;
            const auto known = columns.find(header[c]);
            fields[known == columns.end() ? header[c] : known->second] = rows[r][c];
        }
        if (fields.empty()) continue;
        if (contact_count() >= limits.contacts)
            return {500, "csv formatter failure: mail.TOO_MANY_CONTACTS"};
        folders[folder].contacts.push_back(std::move(fields));
    }
    return {};
}

Status MailboxStore::import_vcf(const std::string& folder, const std::string& body,
                                const Limits& limits) {
    if (body.size() > 10UL * 1024 * 1024)
        return {500, "vcf formatter failure: upload over 10485760 byte limit"};
    const std::string text = unfold(guess_charset(body));
    std::size_t cards = 0;
    std::size_t at = 0;
    Fields fields;
    bool inside = false;
    while (at < text.size()) {
        auto end = text.find('\n', at);
        if (end == std::string::npos) end = text.size();
        const std::string line = text.substr(at, end - at);
        at = end + 1;
        if (lower_case(line) == "begin:vcard") {
            inside = true;
            fields.clear();
        } else if (lower_case(line) == "end:vcard") {
            inside = false;
            if (fields.empty()) continue;
            if (contact_count() >= limits.contacts)
                return {500, "vcf formatter failure: mail.TOO_MANY_CONTACTS"};
            folders[folder].contacts.push_back(fields);
            ++cards;
        } else if (inside) {
            read_card_line(line, fields);
        }
    }
    if (cards == 0) return {400, "no contact fields found in vcard"};
    return {};
}

std::string MailboxStore::export_csv(const std::string& folder, bool extra) const {
    std::set<std::string> names;
    const auto& contacts = folders.at(folder).contacts;
    for (const Fields& fields : contacts) {
        for (const auto& [name, value] : fields) {
            if (name != "image") names.insert(name);
        }
    }
    if (extra) names.insert("fileAs");
    std::string out;
    for (const auto& name : names) out += (out.empty() ? "" : ",") + quote(name);
    out += "\r\n";
    for (const Fields& fields : contacts) {
        std::string row;
        for (const auto& name : names) {
            const auto found = fields.find(name);
            const std::string value = found != fields.end()       ? found->second
                                      : extra && name == "fileAs" ? "8"
                                                                  : "";
            row += (row.empty() ? "" : ",") + quote(value);
        }
        out += row + "\r\n";
    }
    return out;
}

std::string MailboxStore::export_vcf(const std::string& folder) const {
    std::string out;
    for (const Fields& fields : folders.at(folder).contacts) {
        out += "BEGIN:VCARD\r\nVERSION:3.0\r\n";
        for (const auto& [name, value] : fields) {
            if (name == "fullName") out += "FN:" + value + "\r\n";
            if (name.starts_with("email")) out += "EMAIL;TYPE=internet:" + value + "\r\n";
            if (name == "image") out += "PHOTO;ENCODING=B:" + value + "\r\n";
        }
        out += "END:VCARD\r\n";
    }
    return out;
}

}  // namespace imapult::standin
