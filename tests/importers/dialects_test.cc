// The same two people as every program and language that we know exports them, in the charsets and
// with the separators that it uses, through the whole product: what is in the mailbox is compared.

#include <set>

#include "importers/contact.h"
#include "importers/world.h"

namespace imapult::importers_test {
namespace {

using importers::What;

/// '|' stands for the separator. Cells are named by what they hold: see value_of().
struct Export {
    const char* program;
    const char* language;
    const char* header;
    const char* cells;
};

const std::vector<Export> kExports = {
    {"Thunderbird", "en",
     "First Name|Last Name|Display Name|Nickname|Primary Email|Work Phone|Home City|Organization|"
     "Notes",
     "first|last|full|nick|email|phone|city|company|notes"},
    {"Thunderbird", "de",
     "Vorname|Nachname|Anzeigename|Spitzname|Primäre E-Mail-Adresse|Tel. dienstlich|Privat: Ort|"
     "Organisation|Notizen",
     "first|last|full|nick|email|phone|city|company|notes"},
    {"Thunderbird", "fr",
     "Prénom|Nom de famille|Nom à afficher|Surnom|Adresse électronique principale|"
     "Tél. professionnel|Ville|Société|Notes",
     "first|last|full|nick|email|phone|city|company|notes"},
    {"Thunderbird", "it",
     "Nome|Cognome|Nome visualizzato|Soprannome|E-mail primaria|Telefono ufficio|"
     "Città di residenza|Organizzazione|Note",
     "first|last|full|nick|email|phone|city|company|notes"},
    {"Thunderbird", "ja",
     "名|姓|表示名|ニックネーム|メールアドレス|勤務先の電話番号|市区町村 (自宅)|組織|メモ",
     "first|last|full|nick|email|phone|city|company|notes"},
    {"Outlook", "en",
     "Title|First Name|Middle Name|Last Name|Suffix|Company|Business Phone|Home City|"
     "E-mail Address|E-mail Type|Notes|Priority",
     "|first||last||company|phone|city|email|SMTP|notes|Normal"},
    {"Outlook", "de",
     "Anrede|Vorname|Weitere Vornamen|Nachname|Firma|Telefon geschäftlich|Ort privat|"
     "E-Mail-Adresse|E-Mail-Typ|Notizen|Priorität",
     "|first||last|company|phone|city|email|SMTP|notes|Normal"},
    {"Outlook", "fr",
     "Titre|Prénom|Deuxième prénom|Nom|Société|Titre|Téléphone (bureau)|Ville (domicile)|"
     "Adresse de messagerie|Notes",
     "|first||last|company||phone|city|email|notes"},
    {"Outlook", "it",
     "Titolo|Nome|Secondo nome|Cognome|Società|Ufficio|Città (ab.)|Indirizzo posta elettronica|"
     "Notes",
     "|first||last|company|phone|city|email|notes"},
    {"Outlook", "ja", "肩書き|名|ミドル|姓|会社名|会社電話|市町村 (自宅)|電子メール アドレス|メモ",
     "|first||last|company|phone|city|email|notes"},
    {"Google", "en",
     "Name|Given Name|Family Name|Notes|Group Membership|E-mail 1 - Type|E-mail 1 - Value|"
     "Phone 1 - Type|Phone 1 - Value|Address 1 - Type|Address 1 - City|Organization 1 - Name",
     "full|first|last|notes|* myContacts|*|email|Work|phone|Home|city|company"},
    {"Google", "de",
     "First Name|Last Name|Organization Name|Notes|Labels|E-mail 1 - Label|E-mail 1 - Value|"
     "Phone 1 - Label|Phone 1 - Value|Address 1 - Label|Address 1 - City",
     "first|last|company|notes|* myContacts|*|email|Arbeit|phone|Privat|city"},
    {"Google", "fr",
     "First Name|Last Name|Organization Name|Notes|Labels|E-mail 1 - Label|E-mail 1 - Value|"
     "Phone 1 - Label|Phone 1 - Value|Address 1 - Label|Address 1 - City",
     "first|last|company|notes|* myContacts|*|email|Bureau|phone|Domicile|city"},
    {"Google", "it",
     "First Name|Last Name|Organization Name|Notes|Labels|E-mail 1 - Label|E-mail 1 - Value|"
     "Phone 1 - Label|Phone 1 - Value|Address 1 - Label|Address 1 - City",
     "first|last|company|notes|* myContacts|*|email|Lavoro|phone|Casa|city"},
    {"Google", "ja",
     "First Name|Last Name|Organization Name|Notes|Labels|E-mail 1 - Label|E-mail 1 - Value|"
     "Phone 1 - Label|Phone 1 - Value|Address 1 - Label|Address 1 - City",
     "first|last|company|notes|* myContacts|*|email|勤務先|phone|自宅|city"},
    // Yahoo's columns are English for everybody.
    {"Yahoo", "en",
     "First|Middle|Last|Nickname|Email|Category|Messenger ID|Home|Work|Home City|Company|Comments",
     "first||last|nick|email||||phone|city|company|notes"},
    {"Windows Live Mail", "en",
     "First Name|Last Name|Middle Name|Name|Nickname|E-mail Address|Home City|Personal Web Page|"
     "Business Phone|Company|Notes",
     "first|last||full|nick|email|city||phone|company|notes"},
    {"Windows Live Mail", "de",
     "Vorname|Nachname|2. Vorname|Name|Spitzname|E-Mail-Adresse|Ort (privat)|Webseite (privat)|"
     "Telefon (geschäftlich)|Firma|Notizen",
     "first|last||full|nick|email|city||phone|company|notes"},
    {"Windows Live Mail", "fr",
     "Prénom|Nom|Deuxième prénom|Nom|Pseudo|Adresse de messagerie|Ville (domicile)|"
     "Page Web (domicile)|Téléphone professionnel|Société|Notes",
     "first|last||full|nick|email|city||phone|company|notes"},
    {"Windows Live Mail", "it",
     "Nome|Cognome|Secondo nome|Nome|Soprannome|Indirizzo di posta elettronica|Città (ab.)|"
     "Pagina Web professionale|Telefono (ufficio)|Società|Note",
     "first|last||full|nick|email|city||phone|company|notes"},
    {"Windows Live Mail", "ja",
     "名|姓|ミドル ネーム|名前|ニックネーム|電子メール アドレス|自宅の市区町村|"
     "ビジネス Web ページ|勤務先電話番号|会社名|メモ",
     "first|last||full|nick|email|city||phone|company|notes"}};

using Person = std::map<std::string, std::string>;
const Person kZoe = {{"first", "Zoë"},
                     {"last", "Müller-Łuć"},
                     {"full", "Zoë Müller-Łuć"},
                     {"nick", "Zöe"},
                     {"city", "Köln"},
                     {"email", "zoe@example.net"},
                     {"phone", "+49 30 12"},
                     {"company", "Bäckerei \"Für Elise\", Café"},
                     {"notes", "two\r\nlines; é à ß"}};
const Person kHanako = {{"first", "花子"},
                        {"last", "山田"},
                        {"full", "山田 花子"},
                        {"nick", "はな"},
                        {"city", "東京"},
                        {"email", "hanako@example.net"},
                        {"phone", "03-1234"},
                        {"company", "株式会社サンプル"},
                        {"notes", "一行目\r\n二行目"}};

struct Encoding {
    const char* charset;
    const char* mark;
    bool latin;  ///< can write the accents
    bool cjk;
};
/// Japanese Windows has Shift_JIS where others have Windows-1252.
const std::vector<Encoding> kEncodings = {{"UTF-8", "", true, true},
                                          {"UTF-8", "\xEF\xBB\xBF", true, true},
                                          {"UTF-16LE", "\xFF\xFE", true, true},
                                          {"windows-1252", "", true, false},
                                          {"Shift_JIS", "", false, true}};

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> out(1);
    for (const char c : text) {
        if (c == '|') {
            out.emplace_back();
        } else {
            out.back() += c;
        }
    }
    return out;
}

std::string row_of(const std::vector<std::string>& cells, const Person* person, char separator) {
    std::string out;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        std::string value = cells[i];
        if (person != nullptr && person->contains(value)) value = person->at(value);
        const bool quote = value.find_first_of(",;\"\n\t") != std::string::npos;
        std::string cell;
        for (const char c : value) cell += c == '"' ? std::string("\"\"") : std::string(1, c);
        out += (i == 0 ? "" : std::string(1, separator)) + (quote ? "\"" + cell + "\"" : cell);
    }
    return out + "\r\n";
}

/// Without what cannot be written: ł and ć are not in Windows-1252.
Person in(const Encoding& encoding, Person person) {
    if (std::string(encoding.charset) != "windows-1252") return person;
    for (auto& [name, value] : person) {
        const auto at = value.find("-Łuć");
        if (at != std::string::npos) value.erase(at, 6);
    }
    return person;
}

/// What the mailbox should hold of a person that was exported with these cells.
Person expected(const std::vector<std::string>& cells, const Person& person) {
    const std::map<std::string, std::string> fields = {
        {"first", "firstName"}, {"last", "lastName"},   {"full", "fullName"},
        {"nick", "nickname"},   {"city", "homeCity"},   {"email", "email"},
        {"phone", "workPhone"}, {"company", "company"}, {"notes", "notes"}};
    Person out;
    for (const std::string& cell : cells) {
        if (person.contains(cell)) out[fields.at(cell)] = person.at(cell);
    }
    std::string& notes = out["notes"];
    std::erase(notes, '\r');
    return out;
}

struct Case {
    std::string account;
    const Export* from;
    Encoding encoding;
    std::vector<Person> people;
};

class ImportDialects : public World {
  protected:
    /// One account for every export, charset and separator.
    std::vector<Case> write_all() {
        std::vector<Case> cases;
        for (const Export& e : kExports) {
            const bool japanese = std::string(e.language) == "ja";
            for (const Encoding& encoding : kEncodings) {
                if (japanese ? !encoding.cjk : !encoding.latin) continue;
                for (const char separator : {',', ';'}) {
                    Case one{"u" + std::to_string(cases.size()) + "@example.com", &e, encoding, {}};
                    if (encoding.latin) one.people.push_back(in(encoding, kZoe));
                    if (encoding.cjk) one.people.push_back(kHanako);
                    std::string text = row_of(split(e.header), nullptr, separator);
                    for (const Person& person : one.people)
                        text += row_of(split(e.cells), &person, separator);
                    write(one.account + ".csv", encoding.mark + to_charset(text, encoding.charset));
                    cases.push_back(std::move(one));
                }
            }
        }
        return cases;
    }
    std::set<Person> arrived(const std::string& account) {
        const auto file = importers::read_csv_contacts(exported(account, "Contacts", "csv"));
        std::set<Person> out;
        if (!file) return out;
        for (const importers::Contact& contact : file->contacts) {
            Person fields = contact.fields;
            fields.erase("fileAs");
            out.insert(std::move(fields));
        }
        return out;
    }
};

TEST_F(ImportDialects, TheSameContactsArriveFromEveryProgramLanguageCharsetAndSeparator) {
    standin::Settings settings;
    settings.any_account_password = "x";
    start(settings);
    const std::vector<Case> cases = write_all();
    const importers::RunReport report = contacts();
    EXPECT_EQ(report.exit_code(), 0) << report.text();
    for (const Case& one : cases) {
        std::set<Person> wanted;
        for (const Person& person : one.people)
            wanted.insert(expected(split(one.from->cells), person));
        EXPECT_EQ(arrived(one.account), wanted)
            << one.from->program << ' ' << one.from->language << ' ' << one.encoding.charset << ' '
            << one.account;
    }
    for (const importers::AccountReport& account : report.accounts) {
        const auto found = std::ranges::find(cases, account.account, &Case::account);
        ASSERT_NE(found, cases.end());
        ASSERT_FALSE(account.notes.empty());
        EXPECT_TRUE(account.notes[0].reason.starts_with(std::string("read as ") +
                                                        found->from->program + ","))
            << account.notes[0].reason << " for " << found->from->program << ' '
            << found->from->language;
    }
}

}  // namespace
}  // namespace imapult::importers_test
