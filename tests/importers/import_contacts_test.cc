
#include "importers/contact.h"
#include "importers/csv.h"
#include "importers/dialects.h"
#include "importers/world.h"

namespace imapult::importers_test {
namespace {

using importers::What;
using testing::Contains;
using testing::HasSubstr;
using testing::Pair;
using testing::SizeIs;

class ImportContacts : public World {};

struct Export {
    const char* program;
    const char* header;
    const char* row;
};

/// The same person as five programs and languages write it; '|' stands for the separator.
const std::vector<Export> kLatin = {
    {"Thunderbird",
     "First Name|Last Name|Display Name|Primary Email|Work Phone|Home City|Organization",
     "Zoë|Müller|Zoë Müller|zoe@example.net|+49 30 1|Köln|Bäckerei"},
    {"Thunderbird",
     "Vorname|Nachname|Anzeigename|Primäre E-Mail-Adresse|Tel. dienstlich|Privat: Ort|Organisation",
     "Zoë|Müller|Zoë Müller|zoe@example.net|+49 30 1|Köln|Bäckerei"},
    {"Thunderbird",
     "Prénom|Nom de famille|Nom à afficher|Adresse électronique principale|Tél. "
     "professionnel|Ville|Société",
     "Zoë|Müller|Zoë Müller|zoe@example.net|+49 30 1|Köln|Bäckerei"},
    {"Outlook",
     "First Name|Last Name|E-mail Display Name|E-mail Address|Business Phone|Home City|Company|Web "
     "Page",
     "Zoë|Müller|Z|zoe@example.net|+49 30 1|Köln|Bäckerei|"},
    {"Outlook",
     "Vorname|Weitere Vornamen|Nachname|E-Mail-Adresse|Telefon geschäftlich|Ort privat|Firma",
     "Zoë||Müller|zoe@example.net|+49 30 1|Köln|Bäckerei"},
    {"Outlook",
     "Titre|Prénom|Nom|Adresse de messagerie|Téléphone (bureau)|Ville (domicile)|Société",
     "|Zoë|Müller|zoe@example.net|+49 30 1|Köln|Bäckerei"},
    {"Outlook",
     "Titolo|Nome|Cognome|Indirizzo posta elettronica|Telefono (uff.)|Città (ab.)|Società",
     "|Zoë|Müller|zoe@example.net|+49 30 1|Köln|Bäckerei"},
    {"Google",
     "Name|Given Name|Family Name|E-mail 1 - Type|E-mail 1 - Value|Phone 1 - Type|Phone 1 - "
     "Value|Address 1 - Type|Address 1 - City|Organization 1 - Name",
     "Zoë Müller|Zoë|Müller|* Home|zoe@example.net|Work|+49 30 1|Home|Köln|Bäckerei"},
    {"Google",
     "First Name|Last Name|Organization Name|Labels|E-mail 1 - Label|E-mail 1 - Value|Phone 1 - "
     "Label|Phone 1 - Value|Address 1 - Label|Address 1 - City",
     "Zoë|Müller|Bäckerei|* myContacts|*|zoe@example.net|Work|+49 30 1|Home|Köln"},
    {"Yahoo", "First|Middle|Last|Email|Work|Home City|Company|Messenger ID",
     "Zoë||Müller|zoe@example.net|+49 30 1|Köln|Bäckerei|"},
    {"Windows Live Mail",
     "First Name|Last Name|E-mail Address|Business Phone|Home City|Company|Business Web "
     "Page|Personal Web Page",
     "Zoë|Müller|zoe@example.net|+49 30 1|Köln|Bäckerei||"}};

std::string as_csv(std::string text, char separator) {
    for (char& c : text) c = c == '|' ? separator : c;
    return text + "\r\n";
}

TEST(ContactDialects, EveryProgramLanguageCharsetAndSeparatorGivesTheSameContact) {
    for (const Export& e : kLatin) {
        for (const char separator : {',', ';', '\t'}) {
            const std::string text = as_csv(e.header, separator) + as_csv(e.row, separator);
            for (const std::string& bytes :
                 {text, "\xEF\xBB\xBF" + text, to_charset(text, "windows-1252"),
                  "\xFF\xFE" + to_charset(text, "UTF-16LE"), to_charset(text, "UTF-16BE")}) {
                const auto file = importers::read_csv_contacts(bytes);
                ASSERT_TRUE(file) << e.header << file.error().text;
                EXPECT_EQ(file->dialect, e.program) << e.header;
                ASSERT_THAT(file->contacts, SizeIs(1)) << e.header;
                const auto& fields = file->contacts[0].fields;
                EXPECT_THAT(fields, Contains(Pair("firstName", "Zoë")))
                    << e.header << file->charset;
                EXPECT_THAT(fields, Contains(Pair("lastName", "Müller")))
                    << e.header << file->charset;
                EXPECT_THAT(fields, Contains(Pair("email", "zoe@example.net"))) << e.header;
                EXPECT_THAT(fields, Contains(Pair("workPhone", "+49 30 1"))) << e.header;
                EXPECT_THAT(fields, Contains(Pair("homeCity", "Köln"))) << e.header;
                EXPECT_THAT(fields, Contains(Pair("company", "Bäckerei"))) << e.header;
            }
        }
    }
}

TEST(ContactDialects, JapaneseArrivesFromEveryCharset) {
    const std::vector<Export> exports = {
        {"Thunderbird", "名|姓|表示名|メールアドレス|勤務先電話番号|市区町村 (自宅)|組織",
         "花子|山田|山田 花子|hanako@example.net|03-1|東京|株式会社サンプル"},
        {"Outlook", "名|姓|電子メール アドレス|会社電話|市区町村 (自宅)|会社名",
         "花子|山田|hanako@example.net|03-1|東京|株式会社サンプル"}};
    for (const Export& e : exports) {
        const std::string text = as_csv(e.header, ',') + as_csv(e.row, ',');
        for (const std::string& bytes :
             {text, to_charset(text, "Shift_JIS"), to_charset(text, "EUC-JP"),
              "\xFF\xFE" + to_charset(text, "UTF-16LE")}) {
            const auto file = importers::read_csv_contacts(bytes);
            ASSERT_TRUE(file) << e.header;
            ASSERT_THAT(file->contacts, SizeIs(1));
            EXPECT_THAT(file->contacts[0].fields, Contains(Pair("firstName", "花子")))
                << file->charset;
            EXPECT_THAT(file->contacts[0].fields, Contains(Pair("company", "株式会社サンプル")))
                << file->charset;
            EXPECT_THAT(file->contacts[0].fields, Contains(Pair("workPhone", "03-1")))
                << file->charset;
        }
    }
}

TEST(ContactDialects, ThunderbirdsOrderTellsWhereItsLanguageDoesNot) {
    std::string header;
    std::string row;
    for (int i = 0; i < 37; ++i) {
        header += (i > 0 ? "," : "") + std::string("Стълб ") + std::to_string(i);
        row += (i > 0 ? "," : "") + std::string(i == 4    ? "a@example.net"
                                                : i == 0  ? "Ана"
                                                : i == 29 ? "1980"
                                                : i == 30 ? "1"
                                                : i == 31 ? "31"
                                                          : "");
    }
    const auto file = importers::read_csv_contacts(header + "\n" + row + "\n");
    ASSERT_TRUE(file);
    EXPECT_THAT(file->contacts.at(0).fields, Contains(Pair("email", "a@example.net")));
    EXPECT_THAT(file->contacts.at(0).fields, Contains(Pair("birthday", "1980-01-31")));
}

TEST(ContactDialects, WhatHasNoPlaceGoesIntoTheNotesAndIsNamed) {
    const auto file = importers::read_csv_contacts(
        "First Name,E-mail Address,Shoe Size,Web Page,Notes\nA,a@example.net,42,,\"one\ntwo\"\n");
    ASSERT_TRUE(file);
    EXPECT_EQ(file->contacts.at(0).fields.at("notes"), "one\ntwo\nShoe Size: 42");
    EXPECT_THAT(file->notes, Contains(HasSubstr("Shoe Size")));
}

TEST(VCards, AllVersionsGiveTheSameFields) {
    const std::string v21 =
        "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller;Zo="
        "EB\r\nFN:x\r\nTEL;CELL:1\r\nTEL;WORK;FAX:2\r\nEMAIL;INTERNET:zoe@example.net\r\nADR;HOME:;"
        ";Weg 1;Stadt;;12345;DE\r\nEND:VCARD\r\n";
    const std::string v30 =
        "BEGIN:VCARD\nVERSION:3.0\nN:Müller;Zoë;;;\nFN:x\nTEL;TYPE=CELL,VOICE:1\nTEL;TYPE=WORK;"
        "TYPE=FAX:2\nEMAIL;TYPE=INTERNET:zoe@example.net\nADR;TYPE=home:;;Weg "
        "1;Stadt;;12345;DE\nEND:VCARD\n";
    const std::string v40 =
        "BEGIN:VCARD\r\nVERSION:4.0\r\nN:Müller;Zoë;;;\r\nFN:x\r\nTEL;VALUE=uri;TYPE=\"cell,"
        "voice\":tel:1\r\nTEL;TYPE=\"work,fax\":2\r\nEMAIL:zoe@example.net\r\nADR;TYPE=home:;;Weg "
        "1;Stadt;;12345;DE\r\nEND:VCARD\r\n";
    for (const std::string& text : {v21, v30, v40}) {
        const auto file = importers::read_vcards(text);
        ASSERT_TRUE(file);
        ASSERT_THAT(file->contacts, SizeIs(1));
        const std::map<std::string, std::string> wanted = {
            {"lastName", "Müller"},  {"firstName", "Zoë"},  {"fullName", "x"},
            {"mobilePhone", "1"},    {"workFax", "2"},      {"email", "zoe@example.net"},
            {"homeStreet", "Weg 1"}, {"homeCity", "Stadt"}, {"homePostalCode", "12345"},
            {"homeCountry", "DE"}};
        EXPECT_EQ(file->contacts[0].fields, wanted) << text;
    }
}

TEST(VCards, GroupsBecomeListsOfAddresses) {
    const auto file = importers::read_vcards(
        "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:urn:uuid:1\r\nFN:A\r\nEMAIL:a@example.net\r\nEND:"
        "VCARD\r\nBEGIN:VCARD\r\nVERSION:4.0\r\nKIND:group\r\nFN:Team\r\nMEMBER:urn:uuid:"
        "1\r\nMEMBER:mailto:b@example.net\r\nEND:VCARD\r\n");
    ASSERT_TRUE(file);
    EXPECT_EQ(file->contacts.at(1).fields.at("dlist"), "a@example.net, b@example.net");
}

TEST(VCards, ACardWithoutEndSpoilsOnlyItself) {
    const auto file =
        importers::read_vcards("BEGIN:VCARD\r\nFN:A\r\nBEGIN:VCARD\r\nFN:B\r\nEND:VCARD\r\n");
    ASSERT_TRUE(file);
    ASSERT_THAT(file->contacts, SizeIs(1));
    EXPECT_EQ(file->contacts[0].fields.at("fullName"), "B");
    ASSERT_THAT(file->refused, SizeIs(1));
    EXPECT_EQ(file->refused[0].line, 1U);
}

TEST(Csv, CellsOfSeveralLinesKeepLineNumbers) {
    const auto table = importers::parse_csv(
        "a;b\r\n\"1\n2\";x\r\n\r\n\"un\"\"quoted\";y\r\n\"open;z\r\nlast;row\r\n");
    ASSERT_TRUE(table);
    ASSERT_THAT(table->rows, SizeIs(4));
    EXPECT_EQ(table->rows[1].line, 5U);
    EXPECT_EQ(table->rows[1].cells[0], "un\"quoted");
    EXPECT_NE(table->rows[2].broken, nullptr) << "an open quote spoils its own row only";
    EXPECT_EQ(table->rows[3].cells[1], "row");
}

std::string rows(std::size_t count) {
    std::string out = "First Name,Last Name,Primary Email,Notes\r\n";
    for (std::size_t i = 0; i < count; ++i)
        out += "F" + std::to_string(i) + ",Größe,c" + std::to_string(i) +
               "@example.net,\"n\r\nm\"\r\n";
    return out;
}

TEST_F(ImportContacts, ASecondRunSendsNothingAndANewOneGoesAlone) {
    write("alice@example.com.csv", rows(1200));
    const auto first = contacts();
    EXPECT_EQ(first.exit_code(), 0) << first.text();
    EXPECT_EQ(first.total().sent, 1200U);
    EXPECT_EQ(contacts().total().already_there, 1200U);
    fs::remove_all(root_ / "state");
    EXPECT_EQ(contacts().total().already_there, 1200U) << "a fresh state directory";
    write("alice@example.com.csv", rows(1201));
    EXPECT_EQ(contacts().total().sent, 1U);
    EXPECT_EQ(stats()["mailboxes"]["alice@example.com"]["Contacts"], 1201);
    EXPECT_THAT(exported("alice@example.com", "Contacts", "csv"), HasSubstr("Größe"));
}

TEST_F(ImportContacts, NothingIsDoubledWhateverBreaks) {
    write("alice@example.com.csv", rows(3000));
    write("bob@example.com.csv", rows(600));
    fault({{"busy_every", 5}, {"cut_every", 3}, {"drop_every", 4}, {"token_uses", 6}});
    const auto report = contacts();
    EXPECT_EQ(report.exit_code(), 0) << report.text();
    EXPECT_EQ(stats()["mailboxes"]["alice@example.com"]["Contacts"], 3000);
    EXPECT_EQ(stats()["mailboxes"]["bob@example.com"]["Contacts"], 600);
}

TEST_F(ImportContacts, EqualOnesAreMergedAndNearOnesKeptAndListed) {
    write("alice@example.com.csv",
          "First Name,Primary Email,Work Phone\nA,a@example.net,1\nA, A@example.net "
          ",1\nA,a@example.net,2\n");
    const auto report = contacts();
    EXPECT_EQ(report.total().sent, 2U);
    EXPECT_EQ(report.total().merged, 1U);
    EXPECT_THAT(report.text(), HasSubstr("has the same address and other details"));
}

TEST_F(ImportContacts, TheLimitIsNoticedBeforeSending) {
    write("alice@example.com.csv", rows(130));
    auto o = options(What::contacts);
    o.contacts_max = 100;
    const auto report = run(o);
    EXPECT_EQ(report.exit_code(), 1);
    EXPECT_EQ(report.total().sent, 100U);
    EXPECT_EQ(report.total().refused, 30U);
    EXPECT_EQ(stats()["mailboxes"]["alice@example.com"]["Contacts"], 100);
}

TEST_F(ImportContacts, RefusedRowsComeBackWithAReasonAndCanBeMended) {
    write("alice@example.com.csv",
          "First Name;Primary Email\nA;a@example.net\nB;b@example.net;too;many\n");
    EXPECT_EQ(contacts().exit_code(), 1);
    std::string text = read(root_ / "out" / "refused" / "alice@example.com.csv");
    EXPECT_THAT(text,
                HasSubstr("First Name;Primary Email;\"reason\"\r\nB;b@example.net;too;many;\"the "
                          "row has more cells"));
    text.replace(text.find(";too;many"), 9, "");
    write("alice@example.com.csv", text);
    const auto mended = contacts();
    EXPECT_EQ(mended.exit_code(), 0) << mended.text();
    EXPECT_EQ(stats()["mailboxes"]["alice@example.com"]["Contacts"], 2);
}

TEST_F(ImportContacts, PhotosGoAsVCard) {
    write("alice@example.com.vcf",
          "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:A\r\nEMAIL:a@example.net\r\nPHOTO;ENCODING=b;TYPE=PNG:"
          "iVBORw0KGgo=\r\nEND:VCARD\r\n");
    EXPECT_EQ(contacts().exit_code(), 0);
    EXPECT_THAT(exported("alice@example.com", "Contacts", "vcf"), HasSubstr("iVBORw0KGgo="));
    EXPECT_EQ(contacts().total().already_there, 1U);
    fs::remove_all(root_ / "state");
    EXPECT_EQ(contacts().total().already_there, 1U);
}

}  // namespace
}  // namespace imapult::importers_test
