#pragma once
// One administrator's session: log-in, requests, faults, a new token when the old one has run out.

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "importers/http/client.h"
#include "provisioning/soap.h"
#include "provisioning/xml.h"

namespace imapult::provisioning {

/// What a request came to: a body, or the code of a fault.
struct SoapReply {
    XmlNode body;       ///< the response element
    std::string fault;  ///< "account.ACCOUNT_EXISTS"; empty: no fault
    std::string reason;
    [[nodiscard]] bool exists() const;   ///< the fault says that it is already there
    [[nodiscard]] bool missing() const;  ///< the fault says that there is no such entry
};

class SoapSession {
  public:
    /// Errors: invalid_input, auth_refused, connect_failed, tls_failed, protocol.
    static Result<SoapSession> open(const SoapTarget& target);
    /// `request` is the element inside the body; `account` the mailbox it is about, for requests of
    /// urn:zimbraAccount. Errors only where there is no answer. Any number of threads may call.
    Result<SoapReply> call(const std::string& request, const std::string& account = {});

  private:
    SoapSession() = default;
    /// The token all requests carry, and who may get a new one.
    struct Token {
        std::mutex changing;
        std::mutex reading;
        Secret value;
    };
    Secret token() const;
    /// Gets a new token, unless another thread has replaced `old` meanwhile.
    Result<> renew(const Secret& old);
    Result<SoapReply> exchange(const std::string& request, const std::string& account,
                               const Secret& token);

    std::string url_;
    std::string admin_;
    Secret password_;
    std::unique_ptr<Token> token_;
    std::unique_ptr<http::Client> client_;
};

/// `name="value"` with a blank in front, escaped.
std::string xml_attribute(std::string_view name, std::string_view value);
/// `<name>value</name>`, escaped.
std::string xml_element(std::string_view name, std::string_view value);

}  // namespace imapult::provisioning
