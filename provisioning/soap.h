#pragma once
// Carbonio's administration interface (SOAP 1.2 over HTTPS): one session, requests and faults.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/secret.h"
#include "importers/http/client.h"
#include "provisioning/apply.h"

namespace imapult::provisioning {

struct SoapTarget {
    std::string url;  ///< https://HOST:PORT
    http::TlsOptions tls;
    bool allow_cleartext = false;
    std::string admin;
    Secret password;
};

/// Makes the plan's entries by SOAP. Ids are the server's own; references go by name. Errors as for
/// the LDAP road; one entry's fault is in the report.
Result<ApplyReport> apply_over_soap(const std::string& folder, const SoapTarget& target);

}  // namespace imapult::provisioning
