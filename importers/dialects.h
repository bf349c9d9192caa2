#pragma once
// Which program wrote a CSV, in which language, and what its columns are here.

#include <string>
#include <string_view>
#include <vector>

namespace imapult::importers {

/// What a column is: a native field, or one of these
///   "@name" (first and last name in one), "@birthYear" "@birthMonth" "@birthDay",
///   "@street2:homeStreet" (joined by a line feed), "@ignore", "@google:KIND:N:PART", "" (unknown).
struct Column {
    std::string header;
    std::string meaning;
};

struct Dialect {
    std::string name;  ///< "Thunderbird", "Outlook", "Google", "Yahoo", "Windows Live Mail",
                       ///< "native", "unknown"
    std::vector<Column> columns;
    std::size_t known = 0;
    bool month_first = false;  ///< 1/31/1980
};

Dialect recognise_header(const std::vector<std::string>& header);

/// How many names of the (first) header line are known: for guessing the charset.
int known_names(std::string_view text);

}  // namespace imapult::importers
