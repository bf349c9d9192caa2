#pragma once
// `provision apply` and `provision verify`: a plan's carbonio.ldif against a live destination.

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "provisioning/ldap.h"

namespace imapult::provisioning {

struct Failure {
    std::string dn;
    std::string reason;
};

struct ApplyReport {
    std::uint64_t total = 0;
    std::uint64_t created = 0;
    std::uint64_t updated = 0;
    std::uint64_t unchanged = 0;
    std::uint64_t failed = 0;
    std::uint64_t skipped = 0;  ///< there with other values: left as they are
    std::vector<Failure> failures;
    std::vector<Failure> dropped;  ///< single values the server refused; the entry is there
    std::vector<std::string> notes;
    void add_failure(std::string dn, std::string reason);
    void add_dropped(std::string dn, std::string reason);
};

struct VerifyReport {
    std::uint64_t total = 0;
    std::uint64_t equal = 0;
    std::uint64_t different = 0;
    std::uint64_t missing = 0;
    std::uint64_t extra = 0;
    std::vector<Failure> differences;
};

/// Errors: invalid_input (no plan), and those of LdapSession. One entry's failure is in the report.
Result<ApplyReport> apply_over_ldap(const std::string& folder, LdapSession& session);
Result<VerifyReport> verify_over_ldap(const std::string& folder, LdapSession& session);

/// Counts what could not be read in a scan of the plan's own files as failures.
void add_broken_lines(const SourceSet& plan, ApplyReport& report);

/// The entries of a plan in order. Errors: invalid_input when the folder is not a finished plan, or
/// a file of it is cut off.
Result<SourceSet> open_plan(const std::string& folder, bool with_kept);

}  // namespace imapult::provisioning
