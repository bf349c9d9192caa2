#pragma once
// The batch grammar of `carbonio prov` (carbonio.md 2.2).

#include <string>
#include <string_view>

namespace imapult::provisioning {

struct Call;

/// One line of `carbonio prov -f`, without its line feed; empty for a call that the batch file
/// cannot make.
std::string batch_line(const Call& call);
/// A word of the batch grammar: double quotes around it, \ and " escaped, LF CR TAB as \n \r \t.
std::string batch_word(std::string_view value);

}  // namespace imapult::provisioning
