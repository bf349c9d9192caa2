// Which commands there are, in which state they may come, and which extension brings them.

#include "tools/imapd/session.h"

namespace imapult::imapd {

const std::map<std::string_view, Session::Command>& Session::commands() {
    using S = Session;
    static const std::map<std::string_view, Command> kCommands{
        {"CAPABILITY", {&S::cmd_capability, kAny, nullptr}},
        {"NOOP", {&S::cmd_noop, kAny, nullptr}},
        {"LOGOUT", {&S::cmd_logout, kAny, nullptr}},
        {"ID", {&S::cmd_id, kAny, nullptr}},
        {"STARTTLS", {&S::cmd_starttls, kNoUser, "STARTTLS"}},
        {"LOGIN", {&S::cmd_login, kNoUser, nullptr}},
        {"AUTHENTICATE", {&S::cmd_authenticate, kNoUser, nullptr}},
        {"ENABLE", {&S::cmd_enable, kUser, "ENABLE"}},
        {"COMPRESS", {&S::cmd_compress, kUser, "COMPRESS=DEFLATE"}},
        {"UNAUTHENTICATE", {&S::cmd_unauthenticate, kUser, "UNAUTHENTICATE"}},
        {"NAMESPACE", {&S::cmd_namespace, kUser, "NAMESPACE"}},
        {"LIST", {&S::cmd_list, kUser, nullptr}},
        {"LSUB", {&S::cmd_lsub, kUser, nullptr}},
        {"XLIST", {&S::cmd_xlist, kUser, "XLIST"}},
        {"STATUS", {&S::cmd_status, kUser, nullptr}},
        {"CREATE", {&S::cmd_create, kUser, nullptr}},
        {"DELETE", {&S::cmd_delete, kUser, nullptr}},
        {"RENAME", {&S::cmd_rename, kUser, nullptr}},
        {"SUBSCRIBE", {&S::cmd_subscribe, kUser, nullptr}},
        {"UNSUBSCRIBE", {&S::cmd_unsubscribe, kUser, nullptr}},
        {"NOTIFY", {&S::cmd_notify, kUser, "NOTIFY"}},
        {"GETQUOTAROOT", {&S::cmd_getquotaroot, kUser, "QUOTA"}},
        {"GETQUOTA", {&S::cmd_getquota, kUser, "QUOTA"}},
        {"GETACL", {&S::cmd_getacl, kUser, "ACL"}},
        {"MYRIGHTS", {&S::cmd_myrights, kUser, "ACL"}},
        {"SETACL", {&S::cmd_setacl, kUser, "ACL"}},
        {"DELETEACL", {&S::cmd_deleteacl, kUser, "ACL"}},
        {"SELECT", {&S::cmd_select, kUser, nullptr}},
        {"EXAMINE", {&S::cmd_examine, kUser, nullptr}},
        {"APPEND", {&S::cmd_append, kUser, nullptr}},
        {"IDLE", {&S::cmd_idle, kUser, "IDLE"}},
        {"CHECK", {&S::cmd_check, kMailbox, nullptr}},
        {"CLOSE", {&S::cmd_close, kMailbox, nullptr}},
        {"UNSELECT", {&S::cmd_unselect, kMailbox, "UNSELECT"}},
        {"EXPUNGE", {&S::cmd_expunge, kMailbox, nullptr}},
        {"FETCH", {&S::cmd_fetch, kMailbox, nullptr}},
        {"STORE", {&S::cmd_store, kMailbox, nullptr}},
        {"SEARCH", {&S::cmd_search, kMailbox, nullptr}},
        {"COPY", {&S::cmd_copy, kMailbox, nullptr}},
        {"MOVE", {&S::cmd_move, kMailbox, "MOVE"}},
    };
    return kCommands;
}

}  // namespace imapult::imapd
