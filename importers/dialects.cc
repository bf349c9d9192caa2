#include "importers/dialects.h"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>

#include "engine/base/text.h"
#include "importers/contact.h"
#include "importers/csv.h"

namespace imapult::importers {
namespace {

/// Column names of the programs we know, in the languages we know: one line a meaning. They are
/// compared without case, blanks and punctuation. Where programs disagree, kOverrides decides.
constexpr std::string_view kVocabulary = R"(
firstName|First Name|Given Name|First|Forename|Vorname|Prénom|Nome|Nombre|Voornaam|Primeiro nome|Nome próprio|名|名字|名前|이름|Förnamn|Fornavn|Fornamn|Imię|Имя|Etunimi|Ad|이름(성 제외)
lastName|Last Name|Family Name|Surname|Last|Nachname|Familienname|Nom de famille|Nom|Cognome|Apellidos|Apellido|Achternaam|Sobrenome|Apelido|姓|姓氏|성|Efternamn|Efternavn|Etternavn|Nazwisko|Фамилия|Sukunimi|Soyadı
middleName|Middle Name|Additional Name|Middle|Weitere Vornamen|Zweiter Vorname|Deuxième prénom|Autre prénom|Secondo nome|Segundo nombre|Middelste naam|Tweede voornaam|Segundo nome|ミドルネーム|ミドル ネーム|Отчество|2. Vorname|ミドル|Mellemnavn|Drugie imię|중간 이름
fullName|Display Name|Full Name|Anzeigename|Nom à afficher|Nom affiché|Nome visualizzato|Visualizza nome|Nombre mostrado|Nombre para mostrar|Weergavenaam|Nome de exibição|Nome completo|Name anzeigen|Nom complet|Nombre completo|Vollständiger Name|Volledige naam|表示名|显示名称|顯示名稱|氏名|표시명|Visningsnamn|Vis navn|Visningsnavn|Wyświetlana nazwa|Отображаемое имя|Näyttönimi|Apresentar como
nickname|Nickname|Nick Name|Short Name|Spitzname|Rufname|Surnom|Pseudonyme|Soprannome|Nomignolo|Apodo|Bijnaam|Apelido|ニックネーム|昵称|暱稱|별명|애칭|Smeknamn|Kaldenavn|Kallenavn|Pseudonim|Псевдоним|Pseudo|呢称|Alias
namePrefix|Name Prefix|Prefix|Salutation|Anrede|Titre de civilité|Civilité|Prefisso|Titolo onorifico|Tratamiento|Aanhef|Tratamento|敬称|Обращение|肩書き
nameSuffix|Name Suffix|Suffix|Namenszusatz|Suffixe|Suffisso|Titolo straniero|Sufijo|Achtervoegsel|Sufixo|サフィックス|Суффикс
initials|Initials|Initialen|Initiales|Iniziali|Iniciales|Initialen|イニシャル|Инициалы
email|Primary Email|E-mail Address|Email|Email Address|E-mail|Mail|Primary E-mail|E-Mail-Adresse|Primäre E-Mail-Adresse|E-Mail|Adresse électronique principale|Première adresse électronique|Adresse de messagerie|Adresse e-mail|Adresse électronique|Courriel|Indirizzo email principale|Email primaria|Indirizzo posta elettronica|Indirizzo di posta elettronica|Indirizzo e-mail|Posta elettronica|Dirección de correo electrónico principal|Correo electrónico principal|Dirección de correo electrónico|Correo electrónico|Eerste e-mail|Primair e-mailadres|E-mailadres|Email primário|E-mail principal|Endereço de e-mail|Endereço de correio eletrônico|メールアドレス|第1メールアドレス|主要メールアドレス|電子メール アドレス|電子メール|主メールアドレス|主要电子邮件|电子邮件地址|電子郵件地址|主要 Email|기본 메일|전자 메일 주소|E-postadress|Primær mail|Mailadresse|E-postadresse|Podstawowy e-mail|Adres e-mail|Адрес электронной почты|Адрес эл. почты|Sähköpostiosoite
email2|Secondary Email|E-mail 2 Address|Email 2|Email2|E-mail 2|Alternate Email 1|Additional Email|E-Mail 2: Adresse|E-Mail-Adresse 2|Sekundäre E-Mail-Adresse|Zweite E-Mail-Adresse|Adresse électronique secondaire|Deuxième adresse électronique|Adresse de messagerie 2|Adresse e-mail 2|Indirizzo email secondario|Email secondaria|Indirizzo posta elettronica 2|Indirizzo di posta elettronica 2|Indirizzo e-mail 2|Dirección de correo electrónico secundaria|Dirección del correo electrónico 2|Correo electrónico secundario|Correo electrónico 2|Tweede e-mail|E-mailadres 2|Email secundário|Endereço de e-mail 2|第2メールアドレス|別メールアドレス|電子メール 2 アドレス|メールアドレス 2|备用电子邮件|電子郵件 2 地址|次要 Email|추가 메일|Annan e-post|E-postadress 2|Sekundær mail|Dodatkowy e-mail|Альтернативный адрес электронной почты|別のメールアドレス|Dirección de correo electrónico 2|Adres e-mail 2
email3|E-mail 3 Address|Email 3|Email3|E-mail 3|Alternate Email 2|E-Mail 3: Adresse|E-Mail-Adresse 3|Adresse de messagerie 3|Adresse e-mail 3|Indirizzo posta elettronica 3|Indirizzo di posta elettronica 3|Indirizzo e-mail 3|Dirección del correo electrónico 3|Correo electrónico 3|E-mailadres 3|Endereço de e-mail 3|電子メール 3 アドレス|メールアドレス 3|Adres e-mail 3
workPhone|Work Phone|Business Phone|Tel. dienstlich|Telefon geschäftlich|Telefon (geschäftlich)|Geschäftlich: Telefon|Rufnummer (geschäftlich)|Geschäftstelefon|Tél. professionnel|Téléphone (bureau)|Téléphone professionnel|Téléphone bureau|Telefono ufficio|Telefono (uff.)|Tel. ufficio|Teléfono (Trabajo)|Teléfono del trabajo|Teléfono trabajo|Telefoon werk|Telefoon op werk|Telefone comercial|勤務先電話番号|会社電話|会社電話番号|電話番号 (勤務先)|勤務先の電話|勤務先電話|工作电话|商務電話|직장 전화|Telefon arbete|Arbejdstelefon|Telefon służbowy|Рабочий телефон|勤務先の電話番号|Telefon (arbejde)
workPhone2|Work Phone 2|Business Phone 2|Telefon geschäftlich 2|Téléphone 2 (bureau)|Telefono 2 (uff.)|Telefono ufficio 2|Teléfono del trabajo 2|Telefoon op werk 2|Telefone comercial 2|会社電話 2|会社電話2|Telefon 2 (arbejde)|Ufficio 2
homePhone|Home Phone|Tel. privat|Telefon (privat)|Telefon privat|Privat: Telefon|Rufnummer (privat)|Telefonnummer (privat)|Tél. personnel|Téléphone (domicile)|Téléphone personnel|Téléphone domicile|Telefono abitazione|Telefono (ab.)|Telefono casa|Tel. casa|Teléfono particular|Particular|Telefoon thuis|Telefone residencial|自宅電話番号|自宅電話|電話番号 (自宅)|自宅の電話|家庭电话|住家電話|자택 전화|Telefon hem|Hjemmetelefon|Telefon domowy|Домашний телефон|自宅の電話番号|Abitazione|집 전화
homePhone2|Home Phone 2|Telefon (privat 2)|Telefon privat 2|Téléphone 2 (domicile)|Telefono 2 (ab.)|Telefono abitazione 2|Teléfono particular 2|Telefoon thuis 2|Telefone residencial 2|自宅電話 2|自宅電話2|Abitazione 2|Telefon 2 (privat)
mobilePhone|Mobile Phone|Mobile Number|Mobile|Cell Phone|Mobil-Tel.-Nr.|Mobiltelefon|Mobilnummer|Handy|Mobil|Portable|Tél. mobile|Téléphone mobile|Mobile|Numéro de portable|Cellulare|Numero cellulare|Telefono cellulare|Teléfono móvil|Móvil|Mobiel nummer|Mobiele telefoon|Mobiel|Número celular|Celular|Telefone celular|携帯電話番号|携帯電話|携帯番号|移动电话号码|手機號碼|移动电话|휴대폰|Mobilnummer|Numer telefonu komórkowego|Telefon komórkowy|Номер сотового телефона|Мобильный телефон
otherPhone|Other Phone|Weiteres Telefon|Téléphone (autre)|Altro telefono|Otro teléfono|Andere telefoon|Outro telefone|その他の電話|その他電話|Anden telefon
companyPhone|Company Main Phone|Telefon Firma|Téléphone société|Telefono principale società|Número de centralita de la organización|Hoofdtelefoon bedrijf|Telefone principal da empresa|会社代表電話|代表電話
assistant|Assistant's Phone|Assistant Phone|Telefon Assistent|Téléphone de l'assistant(e)|Telefono assistente|Teléfono del ayudante|Telefoon assistent|秘書の電話
callbackPhone|Callback|Rückmeldung|Rückruf|Rappel|Telefono per richiamata|Devolución de llamada|コールバック|Richiamata automatica|Tilbagekald|Terugbellen
carPhone|Car Phone|Autotelefon|Téléphone (voiture)|Telefono auto|Teléfono del automóvil|Autotelefoon|自動車電話|Biltelefon
workFax|Business Fax|Work Fax|Fax Number|Fax|Fax-Nummer|Faxnummer|Fax geschäftlich|Fax (geschäftlich)|Télécopie (bureau)|Fax professionnel|Numéro de fax|Télécopieur|Fax (uff.)|Fax ufficio|Numero di fax|Fax del trabajo|Fax op werk|Número do fax|Fax comercial|FAX番号|会社 FAX|会社FAX|FAX (勤務先)|勤務先 FAX|勤務先FAX|传真号码|傳真號碼|팩스|Numer faksu|Номер факса|Numero fax|Télécopie professionnelle|勤務先ファックス|Fax (arbejde)|Fax werk
homeFax|Home Fax|Fax privat|Fax (privat)|Télécopie (domicile)|Fax (domicile)|Fax (ab.)|Fax abitazione|Fax casa|Fax particular|Fax thuis|Fax residencial|自宅 FAX|自宅FAX|FAX (自宅)|自宅ファックス
otherFax|Other Fax|Weiteres Fax|Télécopie (autre)|Altro fax|Otro fax|Andere fax|Outro fax|その他の FAX|その他 FAX|Anden fax
pager|Pager|Pager Number|Pager-Nummer|Récepteur de radiomessagerie|Bip|Cercapersone|Numero cercapersone|Numero pager|Buscapersonas|Localizador|Piepernummer|Semafoon|ポケットベル番号|ポケットベル|ポケベル|Personsökare|Personsøgernummer|Номер пейджера|Radiomessagerie|Número do pager|寻呼机号码|Personsøger
homeStreet|Home Address|Home Street|Home Street Address|Privat: Adresse|Straße privat|Straße (privat)|Privatadresse|Adresse privée|Rue (domicile)|Adresse personnelle|Adresse (domicile)|Indirizzo di casa|Indirizzo abitazione|Via (ab.)|Indirizzo (abitazione)|Dirección personal|Calle del domicilio particular|Calle particular|Adres|Huisadres, straat|Straat thuis|Endereço|Endereço residencial|Rua do endereço residencial|自宅住所|番地 (自宅)|番地（自宅）|住所 (自宅)|家庭地址|住家住址|Hjemmeadresse|Hemadress|Adres domowy|自宅の番地|Indirizzo casa|Adresse privat|Gade (privat)|Dirección particular|Adres thuis
@street2:homeStreet|Home Address 2|Home Street 2|Home Street 3|Privat: Adresse 2|Straße privat 2|Straße privat 3|Adresse privée 2|Rue (domicile) 2|Rue (domicile) 3|Indirizzo di casa 2|Indirizzo abitazione 2|Via (ab.) 2|Via (ab.) 3|Dirección personal 2|Adres 2|Endereço 2|自宅住所 2|番地 (自宅) 2|番地 (自宅) 3|家庭地址 2|住所 2 (自宅)|住所 3 (自宅)|Gade 2 (privat)|Gade 3 (privat)
homeCity|Home City|Privat: Ort|Ort privat|Ort (privat)|Ville (domicile)|Ville personnelle|Città di residenza|Città (ab.)|Città abitazione|Città|Ciudad de residencia|Ciudad del domicilio particular|Ciudad donde vive|Woonplaats|Plaats thuis|Cidade|Cidade do endereço residencial|Cidade residencial|市区町村 (自宅)|自宅の市区町村|城市|Hjemmeby|Hemort|市町村 (自宅)|By (privat)
homeState|Home State|Home County|Home State/Province|Privat: Bundesland|Bundesland/Kanton privat|Bundesland (privat)|Dép/Région (domicile)|Département (domicile)|Provincia (ab.)|Provincia abitazione|Provincia|Provincia o estado del domicilio particular|Provincie|Provincie thuis|Estado|Estado residencial|都道府県 (自宅)|自宅の都道府県|Provincia di residenza|Område (privat)
homePostalCode|Home ZipCode|Home Postal Code|Home Post Code|Home ZIP|Privat: PLZ|Postleitzahl privat|PLZ (privat)|Postleitzahl (privat)|Code postal (domicile)|CAP di residenza|CAP (ab.)|CAP abitazione|CAP|Código postal del domicilio|Código postal|Postcode|Postcode thuis|CEP|CEP residencial|郵便番号 (自宅)|自宅の郵便番号|邮政编码|Postnummer (privat)|CEP do endereço residencial
homeCountry|Home Country|Home Country/Region|Privat: Land|Land/Region privat|Land privat|Land (privat)|Pays/Région (domicile)|Pays (domicile)|Paese di residenza|Paese (ab.)|Paese abitazione|Nazione|Paese|País o región del domicilio particular|País de residencia|Land|Land thuis|País|País residencial|国 (自宅)|国/地域 (自宅)|自宅の国|国家|Nazione di residenza|国 (自宅)/地域|国または地域|Land/område (privat)|País o región del domicilio|País o región de residencia
workStreet|Work Address|Business Street|Work Street|Business Address|Dienstlich: Adresse|Straße geschäftlich|Straße (geschäftlich)|Adresse professionnelle|Rue (bureau)|Adresse (bureau)|Indirizzo di lavoro|Indirizzo ufficio|Via (uff.)|Indirizzo (ufficio)|Dirección de trabajo|Calle del trabajo|Werkadres|Werkadres, straat|Straat werk|Endereço de trabalho|Endereço comercial|Rua do endereço comercial|勤務先住所|番地 (勤務先)|番地 (会社)|番地（会社）|住所 (勤務先)|工作地址|商務地址|Arbejdsadresse|Adres służbowy|勤務先の番地|Adresse geschäftlich|Gade (arbejde)|Dirección trabajo|Adres werk
@street2:workStreet|Work Address 2|Business Street 2|Business Street 3|Dienstlich: Adresse 2|Straße geschäftlich 2|Straße geschäftlich 3|Adresse professionnelle 2|Rue (bureau) 2|Rue (bureau) 3|Indirizzo di lavoro 2|Indirizzo ufficio 2|Via (uff.) 2|Via (uff.) 3|Dirección de trabajo 2|Werkadres 2|Endereço de trabalho 2|勤務先住所 2|番地 (勤務先) 2|番地 (会社) 2|番地 (会社) 3|工作地址 2|住所 2 (会社)|住所 3 (会社)|Gade 2 (firma)|Gade 3 (firma)|Calle del trabajo 2|Calle del trabajo 3
workCity|Work City|Business City|Dienstlich: Ort|Ort geschäftlich|Ort (geschäftlich)|Ville (bureau)|Ville professionnelle|Città di lavoro|Città (uff.)|Città ufficio|Ciudad (Trabajo)|Ciudad de trabajo|Werklocatie|Plaats werk|Cidade de trabalho|Cidade comercial|Cidade do endereço comercial|市区町村 (勤務先)|市区町村 (会社)|勤務先の市区町村|市町村 (会社)|By (arbejde)
workState|Work State|Business State|Work County|Dienstlich: Bundesland|Region geschäftlich|Bundesland (geschäftlich)|Dép/Région (bureau)|Département (bureau)|Provincia (uff.)|Provincia ufficio|Provincia (Trabajo)|Provincia o estado del trabajo|Werkprovincie|Provincie werk|Estado de trabalho|Estado comercial|都道府県 (勤務先)|都道府県 (会社)|勤務先の都道府県|Provincia di lavoro|Område (arbejde)|省/自治区/直辖市|Provincia o estado de trabajo
workPostalCode|Work ZipCode|Business Postal Code|Work Post Code|Work ZIP|Dienstlich: PLZ|Postleitzahl geschäftlich|PLZ (geschäftlich)|Postleitzahl (geschäftlich)|Code postal (bureau)|CAP di lavoro|CAP (uff.)|CAP ufficio|Código postal (Trabajo)|Código postal del trabajo|Werkpostcode|Postcode werk|CEP de trabalho|CEP comercial|郵便番号 (勤務先)|郵便番号 (会社)|勤務先の郵便番号|Postnummer (arbejde)
workCountry|Work Country|Business Country|Business Country/Region|Work Country/Region|Dienstlich: Land|Land/Region geschäftlich|Land geschäftlich|Land (geschäftlich)|Pays/Région (bureau)|Pays (bureau)|Paese di lavoro|Paese (uff.)|Paese ufficio|País (Trabajo)|País o región del trabajo|Werkland|Land werk|País de trabalho|País comercial|国 (勤務先)|国 (会社)|国/地域 (会社)|勤務先の国|Nazione di lavoro|国 (会社)/地域|勤務先の国または地域|Land/område (arbejde)
otherStreet|Other Street|Other Address|Weitere Straße|Rue (autre)|Altra via|Otra calle|Andere straat|Outra rua|番地 (その他)|住所 (その他)
@street2:otherStreet|Other Street 2|Other Street 3|Weitere Straße 2|Weitere Straße 3|Rue (autre) 2|Rue (autre) 3|番地 (その他) 2|番地 (その他) 3|住所 2 (その他)|住所 3 (その他)|Altra via 2|Altra via 3|Otra calle 2|Otra calle 3
otherCity|Other City|Weiterer Ort|Ville (autre)|Altra città|Otra ciudad|Andere plaats|Outra cidade|市区町村 (その他)|市町村 (その他)
otherState|Other State|Weiteres/r Bundesland/Kanton|Dép/Région (autre)|Altra provincia|Otra provincia o estado|Andere provincie|Outro estado|都道府県 (その他)
otherPostalCode|Other Postal Code|Weitere Postleitzahl|Code postal (autre)|Altro CAP|Otro código postal|Andere postcode|Outro CEP|郵便番号 (その他)
otherCountry|Other Country|Other Country/Region|Weiteres/e Land/Region|Pays/Région (autre)|Altro paese|Otro país o región|Ander land|Outro país|国 (その他)|国/地域 (その他)|国 (その他)/地域
jobTitle|Job Title|Position|Arbeitstitel|Berufsbezeichnung|Stellung|Funktion|Profession|Fonction|Titre du poste|Posizione|Qualifica|Titolo di lavoro|Mansione|Puesto|Cargo|Werkfunctie|Functie|役職|役職名|职务|職稱|직위|Job titel|Stanowisko|Должность|Stilling
department|Department|Abteilung|Service|Département|Reparto|Dipartimento|Ufficio reparto|Departamento|Afdeling|Setor|部門|部署|部门|부서|Avdelning|Departament|Отдел|Dział
company|Company|Organization|Organisation|Organization Name|Firma|Organisation|Société|Entreprise|Azienda|Società|Organizzazione|Ditta|Organización|Empresa|Compañía|Organisatie|Bedrijf|組織|会社|会社名|勤務先|组织|公司|회사명|Företag|Firma/Organizacja|Организация
office|Office Location|Büro|Bureau|Ubicazione ufficio|Ufficio|Ubicación de la oficina|Oficina|Kantoorlocatie|Local do escritório|事業所|オフィスの場所|Kontor|Sala
workURL|Web Page 1|Web Page|Business Web Page|Business Website|Work Web Page|Webseite 1|Webseite|Site Web 1|Page Web|Site Web professionnel|Pagina web 1|Pagina Web|Sito web 1|Sito web ufficio|Pagina Web ufficio|Página web 1|Página Web|Webpagina 1|Webpagina|Página da web 1|Página da Web|Web ページ 1|Webページ1|Web ページ|ウェブページ 1|勤務先 Web ページ|网页 1|網頁 1|Hjemmeside 1|Hemsida 1|Strona WWW 1|Веб-страница 1|Webseite (geschäftlich)|Page Web (bureau)|Pagina Web professionale|ビジネス Web ページ|Webside (arbejde)|Zakelijke webpagina
homeURL|Web Page 2|Personal Web Page|Personal Website|Home Web Page|Webseite 2|Private Webseite|Persönliche Webseite|Site Web 2|Page Web personnelle|Pagina web 2|Sito web 2|Pagina Web personale|Página web 2|Página Web personal|Webpagina 2|Persoonlijke webpagina|Página da web 2|Página da Web pessoal|Web ページ 2|Webページ2|ウェブページ 2|個人 Web ページ|网页 2|網頁 2|Webseite (privat)|Page Web (domicile)|Personlig webside
birthday|Birthday|Geburtstag|Anniversaire|Date de naissance|Compleanno|Data di nascita|Cumpleaños|Fecha de nacimiento|Verjaardag|Aniversário|誕生日|생일|Fødselsdag|Födelsedag|День рождения
@birthYear|Birth Year|Geburtsjahr|Année de naissance|Anno di nascita|Año de nacimiento|Geboortejaar|Ano de nascimento|誕生年|生年|出生年份
@birthMonth|Birth Month|Geburtsmonat|Mois de naissance|Mese di nascita|Mes de nacimiento|Geboortemaand|Mês de nascimento|誕生月|出生月份
@birthDay|Birth Day|Jour de naissance|Giorno di nascita|Día de nacimiento|Geboortedag|Dia de nascimento|出生日
custom1|Custom 1|Benutzerdef. 1|Benutzerdefiniert 1|Divers 1|Personnalisé 1|Personalizzato 1|Personalizado 1|Overig 1|追加情報 1|カスタム 1|User 1|Benutzer 1|Utilisateur 1|Utente 1|Usuario 1|ユーザー 1|定制 1|Bruger 1
custom2|Custom 2|Benutzerdef. 2|Benutzerdefiniert 2|Divers 2|Personnalisé 2|Personalizzato 2|Personalizado 2|Overig 2|追加情報 2|カスタム 2|User 2|Benutzer 2|Utilisateur 2|Utente 2|Usuario 2|ユーザー 2|定制 2|Bruger 2
custom3|Custom 3|Benutzerdef. 3|Benutzerdefiniert 3|Divers 3|Personnalisé 3|Personalizzato 3|Personalizado 3|Overig 3|追加情報 3|カスタム 3|User 3|Benutzer 3|Utilisateur 3|Utente 3|Usuario 3|ユーザー 3|定制 3|Bruger 3
custom4|Custom 4|Benutzerdef. 4|Benutzerdefiniert 4|Divers 4|Personnalisé 4|Personalizzato 4|Personalizado 4|Overig 4|追加情報 4|カスタム 4|User 4|Benutzer 4|Utilisateur 4|Utente 4|Usuario 4|ユーザー 4|定制 4|Bruger 4
notes|Notes|Note|Comments|Notizen|Anmerkungen|Kommentare|Commentaires|Remarques|Annotazioni|Notas|Observações|Aantekeningen|Notities|メモ|备注|注释|註解|메모|Anteckningar|Notater|Notatki|Заметки|Noter|Anotações
phoneticFirstName|Phonetic First Name|Given Name Yomi|フリガナ (名)|名 (読み)|名前フリガナ
phoneticLastName|Phonetic Last Name|Family Name Yomi|フリガナ (姓)|姓 (読み)|姓フリガナ
phoneticCompany|Phonetic Company|Organization 1 - Yomi Name|フリガナ (会社)|会社名フリガナ
dlist|Members|Mitglieder|Membres|Membri
@ignore|Internet Free Busy|Directory Server|E-mail Type|E-mail 2 Type|E-mail 3 Type|E-mail Display Name|E-mail 2 Display Name|E-mail 3 Display Name|Priority|Private|Sensitivity|Gender|E-Mail-Typ|E-Mail 2: Typ|E-Mail 3: Typ|E-Mail: Angezeigter Name|E-Mail 2: Angezeigter Name|E-Mail 3: Angezeigter Name|Priorität|Privat|Vertraulichkeit|Geschlecht|Verzeichnisserver|Internet-Frei/Gebucht|Type de messagerie|Priorité|Critère de diffusion|Privé|Sexe|Serveur de répertoire|Priorità|Privato|Riservatezza|Sesso|Server di elenchi in linea|優先度|秘密度|性別|プライベート|fileAs
)";

/// Where the same word means something else.
struct Override {
    std::string_view dialect;
    std::string_view name;
    std::string_view meaning;
};
constexpr std::array<Override, 27> kOverrides = {
    {{"Outlook", "Title", "namePrefix"},
     {"Outlook", "Titre", "namePrefix"},
     {"Outlook", "Titolo", "namePrefix"},
     {"Outlook", "Name", "@name"},
     {"Outlook", "Location", ""},
     {"Outlook", "Profession", ""},
     {"Yahoo", "Title", "jobTitle"},
     {"Yahoo", "Home", "homePhone"},
     {"Yahoo", "Work", "workPhone"},
     {"Yahoo", "Other", "otherPhone"},
     {"Yahoo", "Mobile", "mobilePhone"},
     {"Windows Live Mail", "Name", "fullName"},
     {"Windows Live Mail", "名前", "fullName"},
     {"Windows Live Mail", "Adresse professionnelle", "office"},
     {"Outlook", "Ufficio", "workPhone"},
     {"Thunderbird", "Pays/État", "homeState"},
     {"Thunderbird", "Région", "homeCountry"},
     {"Google", "Name", "fullName"},
     {"Google", "Title", "jobTitle"},
     {"Google", "Location", ""},
     {"Google", "Photo", "@ignore"},
     {"Google", "Organization Title", "jobTitle"},
     {"Google", "Organization Department", "department"},
     {"Thunderbird", "Ville", "homeCity"},
     {"Thunderbird", "Code postal", "homePostalCode"},
     {"Thunderbird", "Screen Name", ""},
     {"unknown", "Name", "fullName"}}};

/// Thunderbird writes all its columns, always in this order, whatever the language.
constexpr std::array<std::string_view, 37> kThunderbirdOrder = {"firstName",
                                                                "lastName",
                                                                "fullName",
                                                                "nickname",
                                                                "email",
                                                                "email2",
                                                                "",
                                                                "workPhone",
                                                                "homePhone",
                                                                "workFax",
                                                                "pager",
                                                                "mobilePhone",
                                                                "homeStreet",
                                                                "@street2:homeStreet",
                                                                "homeCity",
                                                                "homeState",
                                                                "homePostalCode",
                                                                "homeCountry",
                                                                "workStreet",
                                                                "@street2:workStreet",
                                                                "workCity",
                                                                "workState",
                                                                "workPostalCode",
                                                                "workCountry",
                                                                "jobTitle",
                                                                "department",
                                                                "company",
                                                                "workURL",
                                                                "homeURL",
                                                                "@birthYear",
                                                                "@birthMonth",
                                                                "@birthDay",
                                                                "custom1",
                                                                "custom2",
                                                                "custom3",
                                                                "custom4",
                                                                "notes"};

/// Without case, blanks and punctuation (full-width brackets included).
std::string plain_name(std::string_view name) {
    std::string out;
    for (std::size_t i = 0; i < name.size(); ++i) {
        const std::string_view rest = name.substr(i);
        if (rest.starts_with("（") || rest.starts_with("）") || rest.starts_with("’") ||
            rest.starts_with("　") || rest.starts_with("・")) {
            i += 2;
        } else if (rest.starts_with("\xC2\xA0")) {
            i += 1;
        } else if (rest.starts_with("\xC3") && rest.size() > 1 &&
                   static_cast<std::uint8_t>(rest[1]) >= 0x80 &&
                   static_cast<std::uint8_t>(rest[1]) <= 0x9E && rest[1] != '\x97') {
            out += '\xC3';  // À … Þ → à … þ
            out += static_cast<char>(static_cast<std::uint8_t>(rest[1]) + 0x20);
            ++i;
        } else if (!std::string_view(" \t.:-()/'_\r\n").contains(rest[0])) {
            out += rest[0] >= 'A' && rest[0] <= 'Z' ? static_cast<char>(rest[0] + 32) : rest[0];
        }
    }
    return out;
}

const std::unordered_map<std::string, std::string>& vocabulary() {
    static const std::unordered_map<std::string, std::string> words = [] {
        std::unordered_map<std::string, std::string> out;
        std::string_view rest = kVocabulary;
        while (!rest.empty()) {
            const auto end = rest.find('\n');
            std::string_view line = rest.substr(0, end);
            rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
            const std::string meaning(line.substr(0, line.find('|')));
            while (line.contains('|')) {
                line.remove_prefix(line.find('|') + 1);
                out.emplace(plain_name(line.substr(0, line.find('|'))), meaning);
            }
        }
        return out;
    }();
    return words;
}

bool has(const std::vector<std::string>& names, std::initializer_list<std::string_view> wanted) {
    return std::ranges::any_of(wanted, [&](std::string_view w) {
        return std::ranges::find(names, plain_name(w)) != names.end();
    });
}

/// By names that only one program writes.
std::string program_of(const std::vector<std::string>& header,
                       const std::vector<std::string>& names) {
    std::size_t native = 0;
    for (const std::string& name : header) native += is_native_field(name) ? 1 : 0;
    if (native > 0 && native * 2 >= header.size()) return "native";
    const bool google = std::ranges::any_of(header, [](const std::string& h) {
        return h.contains(" - Value") || h.contains(" - Type") || h.contains(" - Label");
    });
    if (google || has(names, {"Group Membership"}) ||
        (has(names, {"Labels"}) && has(names, {"Given Name", "First Name"})))
        return "Google";
    if (has(names, {"Messenger ID", "Alternate Email 1", "Yahoo ID", "Personal Website"}))
        return "Yahoo";
    if (has(names, {"Business Web Page", "Personal Web Page", "Webseite (geschäftlich)",
                    "Webseite (privat)", "Page Web (bureau)", "Page Web (domicile)",
                    "Pagina Web professionale", "ビジネス Web ページ",
                    "Página web de la organización", "Webside (arbejde)", "Zakelijke webpagina"}))
        return "Windows Live Mail";
    if (has(names, {"Primary Email",
                    "Secondary Email",
                    "Primäre E-Mail-Adresse",
                    "Sekundäre E-Mail-Adresse",
                    "Adresse électronique principale",
                    "Première adresse électronique",
                    "Email primaria",
                    "Indirizzo email principale",
                    "Web Page 1",
                    "Webseite 1",
                    "Site Web 1",
                    "Eerste e-mail",
                    "メールアドレス",
                    "第1メールアドレス",
                    "Web ページ 1",
                    "Home ZipCode",
                    "Anzeigename",
                    "Nom à afficher",
                    "Nome visualizzato",
                    "Visualizza nome"}))
        return "Thunderbird";
    if (has(names, {"E-mail 2 Address",
                    "Business Street",
                    "Assistant's Name",
                    "Web Page",
                    "E-mail Display Name",
                    "Weitere Vornamen",
                    "Straße geschäftlich",
                    "E-Mail: Angezeigter Name",
                    "E-Mail 2: Adresse",
                    "Telefon geschäftlich",
                    "Rue (bureau)",
                    "Deuxième prénom",
                    "Adresse de messagerie",
                    "Téléphone (bureau)",
                    "Via (uff.)",
                    "Secondo nome",
                    "Indirizzo posta elettronica",
                    "Telefono (uff.)",
                    "会社電話",
                    "番地 (会社)",
                    "電子メール アドレス",
                    "Suffix"}))
        return "Outlook";
    if (has(names, {"E-mail Address", "E-Mail-Adresse", "Adresse e-mail", "Adresse de messagerie",
                    "Indirizzo di posta elettronica", "電子メール"}))
        return "Windows Live Mail";
    return "unknown";
}

std::string google_meaning(const std::string& header) {
    for (const char* kind : {"E-mail", "Phone", "Address", "Website", "Organization",
                             "Custom Field", "IM", "Relation", "Event", "Jot"}) {
        const std::string start = std::string(kind) + " ";
        if (!header.starts_with(start)) continue;
        const auto dash = header.find(" - ");
        if (dash == std::string::npos || dash <= start.size()) continue;
        const auto number = parse_number(header.substr(start.size(), dash - start.size()));
        if (number)
            return "@google:" + std::string(kind) + ":" + std::to_string(*number) + ":" +
                   header.substr(dash + 3);
    }
    return {};
}

}  // namespace

Dialect recognise_header(const std::vector<std::string>& header) {
    Dialect dialect;
    std::vector<std::string> names;
    for (const std::string& name : header) names.push_back(plain_name(name));
    dialect.name = program_of(header, names);
    dialect.month_first = true;
    std::map<std::string, int> seen;
    for (std::size_t i = 0; i < header.size(); ++i) {
        Column column{header[i], {}};
        if (is_native_field(header[i]) && header[i] != "fileAs") {
            column.meaning = header[i];
        } else if (dialect.name == "Google" && !google_meaning(header[i]).empty()) {
            column.meaning = google_meaning(header[i]);
        } else {
            const auto forced = std::ranges::find_if(kOverrides, [&](const Override& o) {
                return o.dialect == dialect.name && plain_name(o.name) == names[i];
            });
            const auto word = vocabulary().find(names[i]);
            if (forced != kOverrides.end()) {
                column.meaning = forced->meaning;
            } else if (word != vocabulary().end()) {
                column.meaning = word->second;
            }
        }
        // "Titre" and the like twice: courtesy first, then the job. "Ville" twice: home first, then
        // work. "Nom" or "Nome" twice: the part first, then the whole.
        if (!column.meaning.empty() && !header[i].empty() && ++seen[names[i]] == 2) {
            if (column.meaning == "namePrefix") column.meaning = "jobTitle";
            if (column.meaning == "firstName" || column.meaning == "lastName")
                column.meaning = "@name";
            if (column.meaning.starts_with("home")) column.meaning.replace(0, 4, "work");
        }
        if (!column.meaning.empty()) ++dialect.known;
        dialect.columns.push_back(std::move(column));
    }
    std::size_t width = header.size();
    while (width > 0 && header[width - 1].empty()) --width;
    // A language that we do not know: Thunderbird's order still tells.
    if ((width == 36 || width == 37) && dialect.known * 5 < width * 3) {
        dialect.name = "Thunderbird";
        dialect.known = width;
        std::size_t at = 0;
        for (std::size_t i = 0; i < width; ++i, ++at) {
            if (width == 36 && at == 6) ++at;  // newer ones have no Screen Name
            dialect.columns[i].meaning = kThunderbirdOrder[at];
        }
    }
    return dialect;
}

int known_names(std::string_view text) {
    const auto end = text.find_first_of("\r\n");
    const auto table = parse_csv(text.substr(0, end));
    if (!table) return 0;
    int known = 0;
    for (const std::string& name : table->header) {
        const bool ascii =
            std::ranges::all_of(name, [](char c) { return static_cast<std::uint8_t>(c) < 0x80; });
        if (!ascii && vocabulary().contains(plain_name(name))) ++known;
    }
    return known;
}

}  // namespace imapult::importers
