#pragma once
// One LDAP connection over libldap: bound, with requests in flight. Blocking: never on a shard's
// thread.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/secret.h"
#include "provisioning/destination.h"
#include "provisioning/entry.h"
#include "provisioning/ldif.h"

namespace imapult::provisioning {

struct LdapTarget {
    std::string url;  ///< ldap://, ldaps:// or ldapi://, without a query
    bool starttls = false;
    std::string ca_file;
    std::string fingerprint_sha256;  ///< 64 hex digits in lower case, or empty
    bool insecure = false;
    std::string bind_dn;
    Secret password;
};

/// Checks the URL of the command line: scheme, no user or password inside, `?tls=starttls|off`,
/// clear text only on loopback or with `allow_cleartext`. Errors: invalid_input; the URL is not
/// echoed when it holds a password.
Result<LdapTarget> parse_ldap_url(std::string_view url, bool allow_cleartext);

/// The end of one request.
struct LdapReply {
    int message_id = 0;
    int code = 0;                ///< LDAP result code
    std::string text;            ///< the server's diagnostic message, made printable
    std::optional<Entry> entry;  ///< of a search for one entry
};

class LdapSession {
  public:
    /// Connects, starts TLS where asked, checks the certificate, binds. Errors: connect_failed,
    /// tls_failed, auth_refused.
    static Result<LdapSession> connect(const LdapTarget& target);

    /// Sends a request and returns its message id. Errors: connection_lost.
    Result<int> send_add(const Entry& entry);
    Result<int> send_modify(const std::string& dn, const std::vector<Modification>& changes);
    Result<int> send_read(const std::string& dn);
    /// Waits for any of the requests to end. Errors: connection_lost, timeout.
    Result<LdapReply> wait();

    /// One entry now; nothing if it does not exist.
    Result<std::optional<Entry>> read(const std::string& dn);
    /// Every entry below `base` (paged); a base that does not exist has none.
    Result<> search(const std::string& base, const std::string& filter,
                    const std::vector<std::string>& attributes,
                    const std::function<void(const Entry&)>& visit);
    /// Suffixes of the server's databases.
    Result<std::vector<std::string>> naming_contexts();
    Result<Schema> read_schema();

  private:
    struct Close;
    struct Handle;
    explicit LdapSession(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}
    std::shared_ptr<Handle> handle_;
};

/// Writes everything the destination shows to `path` (0600, without passwords) and reads it as a
/// Destination with the server's schema.
Result<Destination> destination_from(LdapSession& session, const std::string& path);

}  // namespace imapult::provisioning
