#pragma once
// Shell-like patterns over mailbox names and addresses (`--include`, `--exclude`).

#include <string_view>

namespace imapult {

/// True if the whole of `text` matches `pattern`. `*` is any run of characters, `/` included (so
/// that `Archive*` takes a subtree); `?` is one UTF-8 character; `[abc]`, `[a-z]`, `[!a-z]` one
/// character of a set; `\` takes the next character as it is. An unclosed `[` is an ordinary
/// character. Case-sensitive. Linear in `text` times `pattern` at worst: no pattern can stall us.
bool glob_match(std::string_view pattern, std::string_view text);

/// How mailbox names are compared with a pattern: like glob_match, but a name whose first part is
/// INBOX in any letter case matches patterns for `INBOX` (RFC 3501, section 5.1).
bool glob_match_mailbox(std::string_view pattern, std::string_view name);

}  // namespace imapult
