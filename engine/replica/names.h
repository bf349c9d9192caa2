#pragma once
// Where each source mailbox goes: selection, roles, separators, names that the destination cannot
// hold. Pure functions of the two listings, so that the same run gives the same names.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/report.h"
#include "engine/replica/mailbox.h"

namespace imapult::replica {

struct NameOptions {
    std::vector<std::string> include, exclude;  ///< globs on display names; exclude wins
    std::vector<report::NameMap> map;
    bool special_use = true;
    SpaceSet spaces;  ///< of the source
};

/// One selected source mailbox and its place at the destination.
struct Place {
    std::size_t source = 0;         ///< index into the source's Listing::mailboxes
    std::vector<std::string> path;  ///< at the destination, decoded, below `within`
    /// Of the destination; the personal one if absent.
    std::optional<Namespace> within;
    std::string name;            ///< at the destination, wire form
    bool exists = false;         ///< listed there already
    std::string use;             ///< "\\Sent" for CREATE, or empty
    std::string mapped_because;  ///< sentence for the report; empty if the name is the same
};

struct Placement {
    std::vector<Place> places;  ///< parents before children
    std::size_t filtered_mailboxes = 0;
    std::uint64_t filtered_messages = 0;
};

/// Names of people change on the way (other users' mailboxes).
using Rename = std::function<std::string(std::string_view source_name)>;

/// `remembered(source wire name)` gives the destination's wire name that an earlier pass used, or
/// "".
Placement place_mailboxes(const Listing& source, const Listing& destination,
                          const NameOptions& options,
                          const std::function<std::string(const std::string&)>& remembered,
                          const Rename& person = {});

/// By --include and --exclude.
bool is_selected(const std::string& display, const NameOptions& options);

/// The wire name of `path` at a server with this namespace.
std::string wire_name(const std::vector<std::string>& path, const Listing& at);
std::string wire_name(const Place& place, const Listing& at);
/// "Other Users/bob/Work": where a place is at the destination, for people.
std::string display_of(const Place& place);

/// A component as the destination can hold it: its separator and control characters become `_`;
/// `strict` (after a refusal, and for Carbonio and Zimbra): also / \ : " % * ^ ~ and blanks at the
/// ends; at most 255 octets of UTF-8.
std::string holdable(std::string_view component, char separator, bool strict);

}  // namespace imapult::replica
