#pragma once
// Exported files come in any charset and rarely say which. What cannot be told for certain is
// guessed, with a confidence that the report states.

#include <functional>
#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace imapult::importers {

struct Decoded {
    /// UTF-8 without a byte order mark, well-formed.
    std::string text;
    /// IANA-like name of what the bytes were: "UTF-8", "UTF-16LE", "windows-1252", …
    std::string charset;
    /// 0 … 100; 100 where a byte order mark or well-formed UTF-8 proves it.
    int confidence = 100;
    /// A byte order mark was there.
    bool bom = false;
    /// Bytes that no character of the charset has became U+FFFD.
    bool damaged = false;
};

/// Says how well `text`, the file decoded with one candidate, fits what such a file holds (known
/// column names, say); the best candidate wins, the statistical guess decides between equals.
using FitScore = std::function<int(std::string_view text)>;

/// Decodes a whole file. `fit` may be empty. `folded`: RFC 5545 folding may have cut UTF-8
/// sequences. Errors: invalid_input if the bytes are no text at all.
Result<Decoded> decode_text(std::string bytes, const FitScore& fit = {}, bool folded = false);

/// Converts from a named charset (for CHARSET= parameters); empty if the name is unknown.
std::string convert_from(std::string_view charset, std::string_view bytes);

}  // namespace imapult::importers
