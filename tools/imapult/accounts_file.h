#pragma once
// The list of accounts to move, in any of the forms that people have already. Parsing never stops
// at the first error: an administrator with 500 rows wants all of them at once.
//
// No message from here repeats a value of the file: in a file with a wrong separator every field
// may be a password.

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/secret.h"
#include "tools/imapult/endpoint_url.h"

namespace imapult::program {

/// One row. What is not set is taken from the command line.
struct AccountRow {
    std::size_t line = 0;  ///< where the row begins, from 1
    std::string source_user;
    std::string destination_user;  ///< never empty: the source's unless the row says otherwise
    std::optional<Secret> source_password;
    std::optional<Secret> destination_password;
    std::optional<EndpointUrl> source;  ///< of source_url, or of the host columns of other tools
    std::optional<EndpointUrl> destination;
};

struct AccountsFile {
    std::vector<AccountRow> rows;
    std::vector<std::string> warnings;  ///< "FILE:LINE: …"
};

/// "FILE:LINE: what; cure", one each.
using AccountErrors = std::vector<std::string>;

/// Reads the four forms (see README.md): a CSV with our header, imapsync's
/// `host1;user1;password1;host2;user2;password2;`, the ten-column `srchost,srcport,…` table, and a
/// plain list of addresses. `file_name` is for messages.
std::expected<AccountsFile, AccountErrors> parse_accounts(std::string_view text,
                                                          std::string_view file_name);

/// The same from a file; a warning says if others than the owner can read it.
std::expected<AccountsFile, AccountErrors> read_accounts_file(const std::string& path);

}  // namespace imapult::program
