#pragma once
// The mailboxes of one account on one server, as LIST and STATUS tell them.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/replica/spaces.h"
#include "engine/session/session.h"

namespace imapult::replica {

using runtime::Task;
using session::Session;

/// Special uses (RFC 6154), XLIST's and well-known names.
enum class Role : std::uint8_t {
    none,
    inbox,
    sent,
    drafts,
    trash,
    junk,
    archive,
    all,
    flagged,
    important
};
/// "\\Sent" for CREATE … (USE …); empty for none and inbox.
std::string_view use_attribute(Role role);

struct Mailbox {
    std::string name;  ///< wire form, exactly as the server lists it
    /// Decoded components without the personal namespace's prefix: {"INBOX"}, {"Work", "2024"}. Of
    /// other namespaces the prefix stands in front: {"Other Users", "bob", "Work"}.
    std::vector<std::string> path;
    Space space = Space::personal;
    std::size_t root = 0;  ///< how many components of path are the namespace's
    std::string left_out;  ///< why it is not copied, a sentence; empty: it may be
    char separator = 0;
    bool selectable = true;
    bool subscribed = false;
    Role role = Role::none;
    bool role_by_name = false;  ///< guessed from the name, not said by the server
    // STATUS; absent if the server did not tell.
    std::optional<std::uint32_t> messages, uid_next, uid_validity;
    std::optional<std::uint64_t> highest_modseq, size;

    /// "Work/2024": for people, filters and reports.
    [[nodiscard]] std::string display() const;
};

/// Everything the first round trip after log-in tells of an account.
struct Listing {
    std::vector<Mailbox> mailboxes;  ///< of the namespaces asked for, sorted by path
    SpaceMap spaces;                 ///< all that the server has
    SpaceSet asked;                  ///< those of `mailboxes`
    std::string prefix;              ///< of the personal namespace, wire form: "" or "INBOX."
    char separator = '/';            ///< of the personal namespace; 0: flat
    std::map<std::string, std::string> id;  ///< keys in lower case
    bool gmail = false;                     ///< X-GM-EXT-1: mailboxes are labels
    bool namespaces_told = false;           ///< the server has NAMESPACE: prefix is what it says
    bool spaces_unknown = false;            ///< it has NAMESPACE and was not asked
    struct StorageQuota {
        std::uint64_t used_bytes = 0, limit_bytes = 0;
    };
    std::optional<StorageQuota> quota;
    /// Carbonio and Zimbra: reserved and case-insensitive names, 5-error rule, repeat throttles.
    [[nodiscard]] bool is_zimbra() const;

    [[nodiscard]] Mailbox* find(std::string_view wire_name);
    /// Mailbox::display() of a mailbox of the personal namespace that need not be listed any more.
    [[nodiscard]] std::string display_of(std::string_view wire_name) const;
    /// There is such a mailbox, and it may hold messages.
    [[nodiscard]] bool holds(std::string_view wire_name) {
        const Mailbox* box = find(wire_name);
        return box != nullptr && box->selectable;
    }
    /// The account had such a mailbox and has it no more. What others have shown and show no more
    /// is no sign of that, nor what was not asked for, nor anything if nobody can tell whose it is.
    [[nodiscard]] bool has_lost(std::string_view wire_name) {
        return asked.personal && !spaces_unknown && spaces.foreign(wire_name) == nullptr &&
               !holds(wire_name);
    }
};

/// One round trip where the server has LIST-STATUS (RFC 5819) or `known` names every mailbox that
/// exists; two otherwise, and one more for namespaces besides the personal one. `known` are wire
/// names that an earlier pass saw.
/// `careful`: without the commands that some servers end the connection for (NAMESPACE, ID).
Task<Result<Listing>> list_mailboxes(Session& session, std::vector<std::string> known,
                                     SpaceSet spaces = {}, bool careful = false);

/// The role that a top-level name suggests in one of the usual languages.
Role role_by_name(std::string_view decoded_name);

}  // namespace imapult::replica
