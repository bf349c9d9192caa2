#include "tools/imapd/behaviour.h"

#include <array>
#include <sstream>

namespace imapult::imapd {
namespace {

std::set<std::string> words(const char* text) {
    std::istringstream in(text);
    std::set<std::string> out;
    for (std::string word; in >> word;) out.insert(word);
    return out;
}

constexpr std::int64_t k1970Jan2 = 86'400;
constexpr std::int64_t k2038Jan19 = 2'147'483'647;

struct Preset {
    const char* name;
    Behaviour (*make)();
};
constexpr std::array kPresets{
    Preset{"standard", standard},   Preset{"dovecot", dovecot}, Preset{"cyrus", cyrus},
    Preset{"courier", courier},     Preset{"gmail", gmail},     Preset{"exchange", exchange},
    Preset{"yahoo", yahoo},         Preset{"icloud", icloud},   Preset{"carbonio", carbonio},
    Preset{"mailutils", mailutils},
};

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
    Behaviour b;
    b.capabilities = words(
        "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE NAMESPACE UIDPLUS MULTIAPPEND BINARY CONDSTORE "
        "QRESYNC LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE ESEARCH SEARCHRES MOVE "
        "UNSELECT CHILDREN QUOTA ACL STATUS=SIZE OBJECTID UNAUTHENTICATE COMPRESS=DEFLATE WITHIN "
        "NOTIFY");
    b.capabilities_before_auth = words(
        "IMAP4rev1 SASL-IR LITERAL+ ID ENABLE STARTTLS AUTH=PLAIN AUTH=LOGIN AUTH=SCRAM-SHA-256 "
        "AUTH=CRAM-MD5 AUTH=XOAUTH2 AUTH=OAUTHBEARER");
    b.dates_in_utc = false;
    return b;
}

Behaviour dovecot() {
    Behaviour b;
    b.product = "Dovecot";
    b.capabilities = words(
        "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES "
        "THREAD=REFS THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN "
        "NAMESPACE UIDPLUS LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES "
        "WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW "
        "STATUS=SIZE SAVEDATE LITERAL+ NOTIFY SPECIAL-USE COMPRESS=DEFLATE QUOTA ACL");
    b.capabilities_before_auth =
        words("IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ STARTTLS AUTH=PLAIN");
    b.status_overtakes_fetch = true;
    b.body_as_commands_after_bad = true;
    b.on_nul = OnNul::to_0x80;
    b.literal8_keeps_nul = true;
    b.on_bare_lf = OnBareLf::to_crlf;
    b.on_lone_cr = OnLoneCr::drop_one_of_two;
    b.on_empty = OnEmpty::refuse_no;
    b.keyword_forbidden = "]";
    b.keyword_bytes_max = 50;
    b.future_dates_to_now = true;
    b.on_invalid_date = OnDate::refuse_bad;
    b.forbidden_in_names = ".";
    b.name_bytes_max = 254;
    return b;
}

Behaviour cyrus() {
    Behaviour b;
    b.product = "Cyrus IMAP 3.6.1";
    b.capabilities = words(
        "IMAP4rev1 LITERAL+ ID ENABLE ACL ANNOTATE-EXPERIMENT-1 BINARY CATENATE CHILDREN CONDSTORE "
        "CREATE-SPECIAL-USE DIGEST=SHA1 ESEARCH ESORT LIST-EXTENDED LIST-METADATA LIST-MYRIGHTS "
        "LIST-STATUS MAILBOX-REFERRALS METADATA MOVE MULTIAPPEND NAMESPACE OBJECTID "
        "PREVIEW=FUZZY QRESYNC QUOTA RIGHTS=kxten SAVEDATE SEARCH=FUZZY SNIPPET=FUZZY SORT "
        "SPECIAL-USE STATUS=SIZE THREAD=ORDEREDSUBJECT THREAD=REFERENCES UIDPLUS UNSELECT "
        "URL-PARTIAL WITHIN COMPRESS=DEFLATE IDLE SASL-IR");
    b.capabilities_before_auth =
        words("IMAP4rev1 LITERAL+ ID ENABLE STARTTLS AUTH=PLAIN SASL-IR AUTH=SCRAM-SHA-256");
    b.fetch_flags_first = true;
    b.fetch_even_if_silent = true;
    b.mailbox_id_garbage = true;
    b.munges_8bit_headers = true;
    b.on_nul = OnNul::refuse_no;
    b.on_bare_lf = OnBareLf::refuse;
    b.on_empty = OnEmpty::refuse_no;
    b.refuses_headerless = true;
    b.identical_messages_max = 10;
    b.keywords_max = 128;
    b.date_min = k1970Jan2;
    b.on_date_out_of_range = OnDate::to_now;
    b.forbidden_in_names = "%\"\\^;";
    b.line_bytes_max = 1024 * 1024;
    return b;
}

Behaviour courier() {
    Behaviour b;
    b.product = "Courier-IMAP";
    b.capabilities = words(
        "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA "
        "IDLE ACL ACL2=UNION ENABLE UTF8=ACCEPT");
    b.capabilities_before_auth =
        words("IMAP4rev1 UIDPLUS CHILDREN NAMESPACE QUOTA IDLE ENABLE STARTTLS AUTH=PLAIN");
    b.capability_in_login = false;
    b.separator = '.';
    b.prefix = "INBOX.";
    b.drops_input_behind_login = true;
    b.refuses_id = true;
    b.enabled_line_empty = true;
    b.bad_commands_max = 10;
    b.line_bytes_max = 16 * 1024;
    b.on_long_line = OnLongLine::reset;
    b.canonicalises_names = true;
    b.name_bytes_max = 254;
    b.forbidden_in_names = "/";
    b.list_extended_ignored = true;
    b.on_unknown_status_item = OnUnknownStatusItem::leave_out;
    b.on_bare_lf = OnBareLf::to_crlf;
    b.on_lone_cr = OnLoneCr::drop_all;
    b.adds_final_crlf = true;
    b.keyword_forbidden = "]";
    b.on_unknown_system_flag = OnUnknownFlag::refuse_no;
    b.date_min = k1970Jan2;
    b.on_date_out_of_range = OnDate::to_now;
    b.on_invalid_date = OnDate::refuse_no;
    return b;
}

Behaviour gmail() {
    Behaviour b;
    b.product = "Gimap";
    b.capabilities = words(
        "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS "
        "COMPRESS=DEFLATE ENABLE MOVE CONDSTORE ESEARCH UTF8=ACCEPT LIST-EXTENDED LIST-STATUS "
        "LITERAL- SPECIAL-USE APPENDLIMIT=35651584 SASL-IR");
    b.capabilities_before_auth = words(
        "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 SASL-IR "
        "AUTH=XOAUTH2 AUTH=PLAIN AUTH=OAUTHBEARER");
    b.capability_in_greeting = false;
    b.merges_identical = true;
    b.max_message_bytes = 35'651'584;
    b.refuses_blanks_around = true;
    b.forbidden_in_names = "^";
    b.case_insensitive_names = true;
    return b;
}

Behaviour exchange() {
    Behaviour b;
    b.product = "The Microsoft Exchange IMAP4 service";
    b.capabilities =
        words("IMAP4 IMAP4rev1 UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+ SASL-IR");
    b.capabilities_before_auth =
        words("IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID LITERAL+ STARTTLS");
    b.capability_in_greeting = false;
    b.capability_in_login = false;
    b.estimate_size = [](std::uint64_t size) { return size + size / 37 + 19; };
    b.case_insensitive_names = true;
    b.reserved_names = {"Files"};
    b.raw_list_names = true;
    b.keywords_creatable = false;
    b.keywords_allowed = {"$MDNSent", "$Forwarded"};
    b.search_keyword_refused = true;
    b.line_bytes_max = 10'239;
    b.server_unavailable_line = true;
    b.copyuid_untagged = true;
    b.max_message_bytes = 36'700'160;
    return b;
}

Behaviour yahoo() {
    Behaviour b;
    b.product = "IMAP4rev1 imapgate";
    b.capabilities = words(
        "IMAP4rev1 ID MOVE NAMESPACE XYMHIGHESTMODSEQ UIDPLUS LITERAL+ CHILDREN UNSELECT "
        "X-MSG-EXT OBJECTID UIDONLY PARTIAL LIST-STATUS LIST-EXTENDED SPECIAL-USE ENABLE IDLE "
        "APPENDLIMIT=41697280 SASL-IR");
    b.capabilities_before_auth =
        words("IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER ID LITERAL+");
    b.inbox_name = "Inbox";
    b.visible_messages_max = 10'000;
    b.trailing_space_in_search = true;
    b.splits_fetch_lines = true;
    b.refuses_without_final_crlf = true;
    b.line_bytes_max = 1'000;
    b.max_message_bytes = 41'697'280;
    return b;
}

Behaviour icloud() {
    Behaviour b;
    b.product = "iSCREAM";
    b.capabilities = words(
        "IMAP4rev1 XAPPLELITERAL CONDSTORE QRESYNC ESEARCH UIDPLUS LIST-STATUS LIST-EXTENDED "
        "BINARY SEARCHRES ENABLE NAMESPACE CHILDREN IDLE ID QUOTA UNSELECT X-UNAUTHENTICATE "
        "SASL-IR");
    b.capabilities_before_auth =
        words("IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PLAIN AUTH=XOAUTH2");
    b.enable_says_nothing = true;
    b.vanished_malformed = true;
    b.search_all_bogus = true;
    b.rfc822_empty = true;
    return b;
}

Behaviour carbonio() {
    Behaviour b;
    b.product = "Carbonio";
    b.capabilities = words(
        "IMAP4rev1 ACL BINARY CATENATE CHILDREN CONDSTORE ENABLE ESEARCH ESORT I18NLEVEL=1 ID IDLE "
        "LIST-EXTENDED LIST-STATUS LITERAL+ LOGIN-REFERRALS MULTIAPPEND NAMESPACE QRESYNC QUOTA "
        "RIGHTS=ektx SASL-IR SEARCHRES SORT THREAD=ORDEREDSUBJECT UIDPLUS UNSELECT WITHIN XLIST");
    b.capabilities_before_auth =
        words("IMAP4rev1 ID LITERAL+ SASL-IR STARTTLS AUTH=PLAIN ENABLE NAMESPACE");
    b.capability_in_greeting = false;
    b.id_names_user = true;
    b.authzid_falls_back_to_admin_domain = true;
    b.case_insensitive_names = true;
    b.trims_names = true;
    b.forbidden_in_names = ":\"";
    b.name_bytes_max = 255;
    b.hidden_names = {"Calendar", "Tasks", "Briefcase"};
    b.errors_in_a_row_max = 5;
    b.line_bytes_max = 10'240;
    b.max_message_bytes = 10'240'000;
    b.append_failure_bare = true;
    b.too_big_has_code = false;
    b.over_quota_has_code = false;
    b.on_empty = OnEmpty::refuse_bad;
    b.keyword_forbidden = ":\\";
    b.keywords_session_only = {"$Junk", "$NotJunk", "Junk", "NonJunk", "NotJunk", "JunkRecorded"};
    b.repeated_creates_max = 25;
    b.repeated_appends_max = 25;
    b.date_max = k2038Jan19;
    b.on_date_out_of_range = OnDate::refuse_no;
    b.uid_gap = 3;
    return b;
}

Behaviour mailutils() {
    Behaviour b;
    b.product = "GNU mailutils";
    b.capabilities = words("IMAP4rev1 NAMESPACE ID IDLE LITERAL+ UNSELECT");
    b.capabilities_before_auth = words("IMAP4rev1 NAMESPACE ID IDLE LITERAL+ UNSELECT STARTTLS");
    b.capability_in_login = false;
    b.literal_list_names = true;
    b.inbox_separator_nil = true;
    b.refuses_names_not_utf7 = false;
    b.on_nul = OnNul::cut;
    b.on_bare_lf = OnBareLf::to_crlf;
    b.on_empty = OnEmpty::close;
    b.drops_from_line = true;
    b.drops_body_without_header = true;
    b.drops_flags_and_dates = true;
    b.on_unknown_system_flag = OnUnknownFlag::ignore;
    b.uid_gap = 2;
    b.line_bytes_max = 1024 * 1024;
    return b;
}

bool preset(std::string_view name, Behaviour& out) {
    for (const Preset& p : kPresets) {
        if (name == p.name) {
            out = p.make();
            return true;
        }
    }
    return false;
}

std::vector<std::string> preset_names() {
    std::vector<std::string> out;
    for (const Preset& p : kPresets) out.emplace_back(p.name);
    return out;
}

}  // namespace imapult::imapd
