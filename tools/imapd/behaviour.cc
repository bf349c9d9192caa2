#include "tools/imapd/behaviour.h"

#include <array>
#include <sstream>

namespace imapult::imapd {
namespace {

std::set<std::string> words(std::string_view text) {
    std::istringstream in{std::string(text)};
    std::set<std::string> out;
    for (std::string word; in >> word;) out.insert(word);
    return out;
}

bool is_among(std::string_view name, std::string_view list) {
    return words(list).contains(std::string(name));
}

/// A server: what it is called, what it offers. Its oddities are the rows of quirks.cc that name
/// it.
struct Preset {
    std::string_view name;
    std::string_view product;
    std::string_view capabilities;
    std::string_view before_auth;
    void (*more)(Behaviour&) = nullptr;  ///< limits that are nothing odd
};

void long_lines(Behaviour& b) {
    b.line_bytes_max = 1024 * 1024;
}
void gmail_size(Behaviour& b) {
    b.max_message_bytes = 35'651'584;
}
void exchange_size(Behaviour& b) {
    b.max_message_bytes = 36'700'160;
}
void yahoo_size(Behaviour& b) {
    b.max_message_bytes = 41'697'280;
}
void zoho_size(Behaviour& b) {
    b.max_message_bytes = 10'485'760;
}
void dates_as_sent(Behaviour& b) {
    b.dates_in_utc = false;
}

constexpr std::string_view kZimbraCapabilities =
    "ACL BINARY CATENATE CHILDREN CONDSTORE ENABLE ESEARCH ESORT I18NLEVEL=1 ID IDLE "
    "LIST-EXTENDED LIST-STATUS LITERAL+ LOGIN-REFERRALS MULTIAPPEND NAMESPACE QRESYNC QUOTA "
    "RIGHTS=ektx SASL-IR SEARCHRES SORT THREAD=ORDEREDSUBJECT UIDPLUS UNSELECT WITHIN XLIST";
constexpr std::string_view kZimbraBefore =
    "ID LITERAL+ SASL-IR STARTTLS AUTH=PLAIN ENABLE NAMESPACE";

constexpr std::array kPresets{
    Preset{
        "standard", "imapult-imapd",
        "SASL-IR LITERAL+ ID ENABLE IDLE NAMESPACE UIDPLUS MULTIAPPEND BINARY CONDSTORE QRESYNC "
        "LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE ESEARCH SEARCHRES MOVE "
        "UNSELECT CHILDREN QUOTA ACL STATUS=SIZE OBJECTID UNAUTHENTICATE COMPRESS=DEFLATE WITHIN "
        "NOTIFY",
        "SASL-IR LITERAL+ ID ENABLE STARTTLS AUTH=PLAIN AUTH=LOGIN AUTH=SCRAM-SHA-256 "
        "AUTH=CRAM-MD5 AUTH=XOAUTH2 AUTH=OAUTHBEARER",
        dates_as_sent},
    Preset{"dovecot", "Dovecot",
           "SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES "
           "THREAD=REFS THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN "
           "NAMESPACE UIDPLUS LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES "
           "WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW "
           "STATUS=SIZE SAVEDATE LITERAL+ NOTIFY SPECIAL-USE COMPRESS=DEFLATE QUOTA ACL",
           "SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ STARTTLS AUTH=PLAIN"},
    Preset{"cyrus", "Cyrus IMAP 3.6.1",
           "LITERAL+ ID ENABLE ACL ANNOTATE-EXPERIMENT-1 BINARY CATENATE CHILDREN CONDSTORE "
           "CREATE-SPECIAL-USE DIGEST=SHA1 ESEARCH ESORT LIST-EXTENDED LIST-METADATA LIST-MYRIGHTS "
           "LIST-STATUS MAILBOX-REFERRALS METADATA MOVE MULTIAPPEND NAMESPACE OBJECTID "
           "PREVIEW=FUZZY QRESYNC QUOTA RIGHTS=kxten SAVEDATE SEARCH=FUZZY SNIPPET=FUZZY SORT "
           "SPECIAL-USE STATUS=SIZE THREAD=ORDEREDSUBJECT THREAD=REFERENCES UIDPLUS UNSELECT "
           "URL-PARTIAL WITHIN COMPRESS=DEFLATE IDLE SASL-IR",
           "LITERAL+ ID ENABLE STARTTLS AUTH=PLAIN SASL-IR AUTH=SCRAM-SHA-256", long_lines},
    Preset{"courier", "Courier-IMAP",
           "UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE ACL "
           "ACL2=UNION ENABLE UTF8=ACCEPT",
           "UIDPLUS CHILDREN NAMESPACE QUOTA IDLE ENABLE STARTTLS AUTH=PLAIN"},
    Preset{"gmail", "Gimap",
           "UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS COMPRESS=DEFLATE "
           "ENABLE MOVE CONDSTORE ESEARCH UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- "
           "SPECIAL-USE APPENDLIMIT=35651584 SASL-IR",
           "UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 SASL-IR AUTH=XOAUTH2 "
           "AUTH=PLAIN AUTH=OAUTHBEARER",
           gmail_size},
    Preset{"exchange", "The Microsoft Exchange IMAP4 service",
           "IMAP4 UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+ SASL-IR",
           "IMAP4 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID LITERAL+ STARTTLS", exchange_size},
    Preset{"yahoo", "IMAP4rev1 imapgate",
           "ID MOVE NAMESPACE XYMHIGHESTMODSEQ UIDPLUS LITERAL+ CHILDREN UNSELECT X-MSG-EXT "
           "OBJECTID UIDONLY PARTIAL LIST-STATUS LIST-EXTENDED SPECIAL-USE ENABLE IDLE "
           "APPENDLIMIT=41697280 SASL-IR",
           "SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER ID LITERAL+", yahoo_size},
    Preset{"icloud", "iSCREAM",
           "XAPPLELITERAL CONDSTORE QRESYNC ESEARCH UIDPLUS LIST-STATUS LIST-EXTENDED BINARY "
           "SEARCHRES ENABLE NAMESPACE CHILDREN IDLE ID QUOTA UNSELECT X-UNAUTHENTICATE SASL-IR",
           "IMAP4 SASL-IR AUTH=ATOKEN AUTH=PLAIN AUTH=XOAUTH2"},
    Preset{"carbonio", "Carbonio", kZimbraCapabilities, kZimbraBefore},
    Preset{"mailutils", "GNU mailutils", "NAMESPACE ID IDLE LITERAL+ UNSELECT",
           "NAMESPACE ID IDLE LITERAL+ UNSELECT STARTTLS", long_lines},
    Preset{"zimbra", "Zimbra", kZimbraCapabilities, kZimbraBefore},
    Preset{"yandex", "Yandex IMAP4rev1",
           "CHILDREN UNSELECT LITERAL+ NAMESPACE XLIST UIDPLUS ENABLE ID IDLE MOVE",
           "CHILDREN UNSELECT LITERAL+ NAMESPACE XLIST UIDPLUS ENABLE ID AUTH=PLAIN AUTH=XOAUTH2"},
    Preset{"mailru", "mail.ru", "ID XLIST UIDPLUS UNSELECT MOVE LIST-STATUS",
           "ID XLIST UIDPLUS UNSELECT MOVE LIST-STATUS AUTH=PLAIN"},
    Preset{"zoho", "Zoho Mail IMAP4rev1",
           "UNSELECT CHILDREN XLIST NAMESPACE IDLE MOVE ID UIDPLUS ESEARCH LIST-EXTENDED "
           "LIST-STATUS LITERAL- CONDSTORE SPECIAL-USE APPENDLIMIT=10485760 SASL-IR",
           "UNSELECT CHILDREN XLIST NAMESPACE IDLE MOVE ID SASL-IR AUTH=PLAIN", zoho_size},
    Preset{"domino", "Domino", "LITERAL+ NAMESPACE QUOTA UIDPLUS",
           "LITERAL+ NAMESPACE QUOTA UIDPLUS STARTTLS AUTH=PLAIN"},
    Preset{"protonmail", "Proton Mail Bridge",
           "ID IDLE MOVE UIDPLUS UNSELECT SPECIAL-USE LIST-EXTENDED",
           "ID IDLE MOVE UIDPLUS UNSELECT STARTTLS AUTH=PLAIN"},
    Preset{"uw", "IMAP4rev1 2007f",
           "I18NLEVEL=1 LITERAL+ IDLE UIDPLUS NAMESPACE CHILDREN MAILBOX-REFERRALS BINARY UNSELECT "
           "ESEARCH WITHIN SCAN SORT MULTIAPPEND",
           "LITERAL+ SASL-IR LOGIN-REFERRALS STARTTLS AUTH=PLAIN"},
    Preset{"strato", "RZimapd",
           "CONDSTORE LIST-EXTENDED LIST-STATUS LITERAL+ STATUS=SIZE UIDPLUS ENABLE ID NAMESPACE",
           "LITERAL+ ID STARTTLS AUTH=PLAIN"},
    Preset{"homepl", "home.pl", "LITERAL+ UIDPLUS NAMESPACE CHILDREN IDLE",
           "LITERAL+ UIDPLUS NAMESPACE CHILDREN IDLE AUTH=PLAIN"},
};

Behaviour make(const Preset& p) {
    Behaviour b;
    b.product = p.product;
    b.capabilities = words(p.capabilities);
    b.capabilities.insert("IMAP4rev1");
    b.capabilities_before_auth = words(p.before_auth);
    b.capabilities_before_auth.insert("IMAP4rev1");
    if (p.more != nullptr) p.more(b);
    for (const Quirk& quirk : quirks()) {
        if (is_among(p.name, quirk.servers)) quirk.apply(b);
    }
    return b;
}

Behaviour make(std::string_view name) {
    Behaviour b;
    (void)preset(name, b);
    return b;
}

}  // namespace

Behaviour& Behaviour::hide(std::string_view capability) {
    capabilities.erase(std::string(capability));
    capabilities_before_auth.erase(std::string(capability));
    return *this;
}

Behaviour& Behaviour::offer(std::string_view capability) {
    capabilities.insert(std::string(capability));
    return *this;
}

Behaviour standard() {
    return make("standard");
}
Behaviour dovecot() {
    return make("dovecot");
}
Behaviour cyrus() {
    return make("cyrus");
}
Behaviour courier() {
    return make("courier");
}
Behaviour gmail() {
    return make("gmail");
}
Behaviour exchange() {
    return make("exchange");
}
Behaviour yahoo() {
    return make("yahoo");
}
Behaviour icloud() {
    return make("icloud");
}
Behaviour carbonio() {
    return make("carbonio");
}
Behaviour mailutils() {
    return make("mailutils");
}

bool preset(std::string_view name, Behaviour& out) {
    for (const Preset& p : kPresets) {
        if (name != p.name) continue;
        out = make(p);
        return true;
    }
    return false;
}

std::vector<std::string> preset_names() {
    std::vector<std::string> out;
    for (const Preset& p : kPresets) out.emplace_back(p.name);
    return out;
}

}  // namespace imapult::imapd
