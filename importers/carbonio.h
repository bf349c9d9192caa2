#pragma once
// One Carbonio as the importers see it: who we are there (tokens, passwords), folders by SOAP,
// uploads and exports by REST. Knows which 401 means a dead token and which does not.

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/secret.h"
#include "importers/http/client.h"

namespace imapult::importers {

enum class ImportAs : std::uint8_t {
    delegate,  ///< DelegateAuth token per account, REST on the user side
    admin,     ///< the administrator's Basic credentials, REST on the admin port
    user,      ///< each account's own password, REST on the user side
};

struct CarbonioSettings {
    http::Endpoint user_side;
    http::Endpoint admin_side;
    ImportAs import_as = ImportAs::user;
    std::string admin_name;
    Secret admin_password;
};

/// A root folder as GetFolder tells it.
struct RemoteFolder {
    std::string name;
    std::string view;                    ///< "appointment", "contact", "task", "message", …
    std::optional<std::uint64_t> items;  ///< where the server tells
};

/// A SOAP fault.
struct SoapFault {
    std::string code;  ///< "account.AUTH_FAILED"
    std::string reason;
};

class Carbonio {
  public:
    Carbonio(http::Client& client, CarbonioSettings settings);

    /// Administrator modes: logs in. Errors: auth_refused, connect_failed, tls_failed, …
    Result<> log_in();
    [[nodiscard]] const CarbonioSettings& settings() const { return settings_; }

    /// A DelegateAuth token; renews the administrator's own token where that has expired.
    Result<Secret> delegate(const std::string& account);
    /// A user's own token, by password.
    Result<Secret> user_token(const std::string& account, const Secret& password);
    /// Whether the token still authenticates (a cheap call; anything but an authentication fault
    /// counts).
    Result<bool> token_alive(const Secret& token);
    /// Sends one request body; the reply's body element, or the fault.
    Result<std::expected<std::string, SoapFault>> soap(const std::string& url, const Secret& token,
                                                       const std::string& body);

    /// "/service/home" or, on servers that have only that, "/home".
    std::string home_path();
    void use_short_home_path();
    void use_long_home_path();

    http::Client& client() { return client_; }

  private:
    Result<Secret> admin_token(const std::string& unless);

    http::Client& client_;
    CarbonioSettings settings_;
    std::mutex mutex_;
    Secret admin_token_;
    bool short_home_ = false;
};

/// One account's mailbox. Not thread-safe.
class Mailbox {
  public:
    Mailbox(Carbonio& carbonio, std::string account, Secret password);

    /// Makes sure of credentials: a token in delegate mode. Errors: auth_refused, not_found, …
    Result<> open();
    /// All root folders; nothing where the server does not tell.
    Result<std::optional<std::vector<RemoteFolder>>> folders();
    /// Creates a root folder; false if one of that name was there. `colour`: "#rrggbb" or empty.
    Result<bool> create_folder(const std::string& name, const std::string& view,
                               const std::string& colour);

    /// GET of a root folder into `fd` (truncated first). Errors: not_found where the folder is not
    /// there.
    Result<> download(const std::string& folder, const std::string& format, int fd);

    struct Upload {
        std::string folder;
        std::string query;  ///< "fmt=ics"
        std::string content_type;
        std::string body;
        http::Resend resend = http::Resend::if_lost;
    };
    /// Uploads, in parallel as the client allows. Success is 200. Errors: refused (the server's
    /// reason), over_quota, too_big, not_found, auth_refused, throttled, connection_lost, …
    std::vector<Result<>> upload(const std::vector<Upload>& uploads);

  private:
    http::Request request(const std::string& method, const std::string& folder,
                          const std::string& query) const;
    Result<> judge(const http::Response& response, const std::string& what) const;
    /// After a 401: true if the credentials were renewed and trying again makes sense.
    Result<bool> renew_after_401();
    Result<Secret> soap_token();

    Carbonio& carbonio_;
    std::string account_;
    Secret password_;
    Secret token_;
};

}  // namespace imapult::importers
