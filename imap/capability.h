#pragma once
// The set of a server's capabilities.

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "imap/command.h"

namespace imapult::imap {

/// Names are compared without case; duplicates are fine; "LITERAL +" is read as LITERAL+.
class CapabilitySet {
  public:
    void assign(std::span<const std::string_view> words);
    [[nodiscard]] bool has(std::string_view name) const;
    [[nodiscard]] bool empty() const { return names_.empty(); }
    void remove(std::string_view name);

    [[nodiscard]] LiteralMode literal_mode() const;
    /// APPENDLIMIT=n (RFC 7889); absent if not said.
    [[nodiscard]] std::optional<std::uint64_t> append_limit() const;
    [[nodiscard]] bool has_auth(std::string_view mechanism) const;  ///< AUTH=mechanism
    /// All names, sorted, upper case.
    [[nodiscard]] const std::set<std::string>& names() const { return names_; }

  private:
    std::set<std::string> names_;
};

}  // namespace imapult::imap
