#pragma once
// The stand-in itself: accounts, tokens, faults, REST and SOAP over the store.

#include <chrono>
#include <cstdint>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "importers/xml.h"
#include "tools/carbonio_standin/http_server.h"
#include "tools/carbonio_standin/store.h"

namespace imapult::standin {

/// What goes wrong on purpose; changed at run time by POST /standin/faults (a JSON object of these
/// names).
struct Faults {
    std::uint64_t busy_next = 0;   ///< so many requests get 503
    std::uint64_t busy_every = 0;  ///< every n-th REST request gets 503
    std::uint64_t cut_every = 0;   ///< every n-th upload is carried out and its reply cut off
    std::uint64_t drop_every = 0;  ///< every n-th upload is dropped before it is carried out
    std::uint64_t slow_ms = 0;     ///< before each REST reply
    bool down = false;             ///< every connection is closed without a word
    std::set<std::string> forbidden_uids;  ///< skipped without a word
    std::uint64_t token_uses = 0;          ///< a token expires after so many requests; 0: never
    std::set<std::string> maintenance;     ///< accounts
};

struct Settings {
    std::string admin = "admin@example.com";
    std::string admin_password = "admin-secret";
    std::map<std::string, std::string> accounts;  ///< address → password
    std::string any_account_password;  ///< not empty: every address exists, with this password
    bool extra = true;                 ///< exports carry properties of the server's own
    std::string journal;               ///< a file: uploads are appended and replayed at the start
    Limits limits;
};

class Server {
  public:
    explicit Server(Settings settings);
    HttpReply handle(const HttpRequest& request, bool admin_port);

  private:
    struct Token {
        std::string account;
        bool admin = false;
        std::uint64_t uses = 0;
    };
    struct Caller {
        enum class Kind { none, basic, token } kind = Kind::none;
        std::string account;
        bool admin = false;
    };
    struct Directory;

    HttpReply rest(const HttpRequest& request, const std::string& path, bool admin_port);
    HttpReply rest_error(const Caller& caller, int status, const std::string& message,
                         bool folder_kind);
    HttpReply upload(const HttpRequest& request, MailboxStore& mailbox, const std::string& account,
                     const std::string& folder);
    HttpReply soap(const HttpRequest& request, bool admin_port);
    std::string soap_body(const importers::XmlElement& call, const std::string& token,
                          const std::string& for_account, bool admin_port, std::string& fault);
    std::string mail_call(const importers::XmlElement& call, const std::string& account,
                          std::string& fault);
    HttpReply control(const HttpRequest& request);
    Caller caller_of(const HttpRequest& request, bool admin_port);
    bool password_fits(const std::string& account, const std::string& password) const;
    [[nodiscard]] bool exists(const std::string& account) const;
    std::string new_token(const std::string& account, bool admin);
    /// Null if unknown or expired.
    Token* use_token(const std::string& token);
    MailboxStore& mailbox(const std::string& account);
    Status apply(MailboxStore& mailbox, const std::string& folder,
                 const std::map<std::string, std::string>& query, const std::string& body,
                 std::size_t length);
    void journal(const nlohmann::json& entry);
    void replay();

    Settings settings_;
    Faults faults_;
    std::recursive_mutex mutex_;
    std::map<std::string, MailboxStore> mailboxes_;
    std::map<std::string, Token> tokens_;
    std::uint64_t next_token_ = 1;
    std::uint64_t rest_requests_ = 0;
    std::uint64_t uploads_ = 0;
    std::uint64_t largest_ics_ = 0;
    std::map<std::string, std::uint64_t> stats_;
    std::ofstream journal_;
};

}  // namespace imapult::standin
