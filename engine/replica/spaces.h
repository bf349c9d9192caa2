#pragma once
// Whose mailboxes are whose: the namespaces of a server (RFC 2342).

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "imap/response.h"

namespace imapult::replica {

enum class Space : std::uint8_t {
    personal,
    other,   ///< other users' mailboxes that are open to this account
    shared,  ///< everybody's
};
/// "other users'", "shared": for sentences.
std::string_view words_for(Space space);

/// Which are worked on; the personal one always can be.
struct SpaceSet {
    bool personal = true, other = false, shared = false;
    [[nodiscard]] bool has(Space space) const {
        return space == Space::personal ? personal : space == Space::other ? other : shared;
    }
    [[nodiscard]] bool beyond_personal() const { return other || shared; }
};

struct Namespace {
    Space space = Space::personal;
    std::string prefix;  ///< wire form: "Other Users/", "#shared."; may be empty
    char separator = 0;
};

class SpaceMap {
  public:
    SpaceMap() = default;
    explicit SpaceMap(const imap::Namespaces& told);

    /// The namespace with the longest prefix of `wire_name`; null: the personal one.
    [[nodiscard]] const Namespace* foreign(std::string_view wire_name) const;
    [[nodiscard]] Space space_of(std::string_view wire_name) const {
        const Namespace* found = foreign(wire_name);
        return found == nullptr ? Space::personal : found->space;
    }
    /// The first of its kind; null if the server has none.
    [[nodiscard]] const Namespace* first(Space space) const;
    [[nodiscard]] const std::vector<Namespace>& all() const { return all_; }

  private:
    std::vector<Namespace> all_;
};

/// Decoded components: those of the prefix (a word where it has none), then those below it.
struct ForeignPath {
    std::vector<std::string> path;
    std::size_t root = 0;
};
/// Without components below the root if `wire_name` is the namespace's own name.
ForeignPath foreign_path(std::string_view wire_name, const Namespace& space);

}  // namespace imapult::replica
