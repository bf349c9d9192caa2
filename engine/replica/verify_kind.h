#pragma once
// What a server (or our repair) made of a message: the kind of alteration, from both octet strings.

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/report.h"

namespace imapult::replica {

/// Messages longer than this are not read into memory to name the kind of their alteration.
inline constexpr std::size_t kExaminedBytesMax = std::size_t{8} * 1024 * 1024;

/// The kind by which `copy` differs from `original`; the two are not equal. Where several came
/// together the gravest is named, in the order truncated, header_8bit, nul, line_ends. Takes memory
/// of a few times the messages' sizes.
report::Alteration alteration_of(std::string_view original, std::string_view copy);

/// "3,120 octets became 2,048, the first difference is at 1,024".
std::string describe_alteration(std::string_view original, std::string_view copy);

/// The decoded leaf parts of a MIME message, in order: media type and octets of each, text with its
/// line ends evened out. Empty if the message cannot be cut into parts within the bounds.
std::vector<std::string> mime_leaves(std::string_view message);

}  // namespace imapult::replica
