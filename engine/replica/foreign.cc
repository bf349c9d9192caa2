#include "engine/replica/foreign.h"

#include <algorithm>
#include <deque>

#include "engine/base/text.h"
#include "engine/replica/patience.h"
#include "engine/replica/rights.h"
#include "engine/replica/rights_text.h"

namespace imapult::replica {
namespace {

/// Carbonio names the owner first, with all rights.
std::string owner_of(const AclSink& acl) {
    return acl.entries.empty() ? std::string() : acl.entries.front().first;
}

/// A folder of the account's own can be asked for its rights, and names the account as its owner.
Task<Result<void>> find_mounts(Account& account, Session& source,
                               const std::vector<dedup::MailboxRecord>& records) {
    struct Asked {
        Mailbox* box;
        session::Ticket acl;
        AclSink sink;
    };
    std::deque<Asked> asked;
    std::vector<session::Ticket> between;
    const Translation names = account.translation();
    const auto user = account.source.id.find("user");
    const auto is_self = [&](const std::string& who) {
        return names.is_self(who) ||
               (user != account.source.id.end() && equal_ignoring_case(user->second, who));
    };
    for (Mailbox& box : account.source.mailboxes) {
        if (box.space != Space::personal || !box.selectable || box.role == Role::inbox) continue;
        const bool known = std::ranges::any_of(records, [&](const dedup::MailboxRecord& record) {
            return !record.archived && record.source_name == box.name;
        });
        if (known) continue;
        auto command = imap::source::get_acl(box.name, source.encoding());
        if (!command) continue;
        Asked& one = asked.emplace_back(&box, nullptr, AclSink(box.name));
        one.acl = source.start(std::move(*command), &one.sink);
        // Five refusals in a row end the connection; an OK between them starts anew.
        between.push_back(source.start(imap::source::noop()));
    }
    std::optional<Error> error;
    for (Asked& one : asked) {
        auto reply = co_await source.finish(one.acl);
        if (!reply) {
            if (!error) error = std::move(reply).error();
            continue;
        }
        if (auto later =
                throttled(*reply, source.connection().peer(), "tell whose its mailboxes are")) {
            if (!error) error = std::move(later);
            continue;
        }
        const std::string owner = owner_of(one.sink);
        if (reply->ok() && (owner.empty() || is_self(owner))) continue;
        if (reply->condition == imap::Condition::bad) continue;
        one.box->left_out = "a mountpoint: the folder belongs to " +
                            (owner.empty() ? std::string("somebody else") : printable(owner)) +
                            " and goes with that account";
    }
    for (session::Ticket& ticket : between) (void)co_await source.finish(ticket);
    if (error) co_return std::unexpected(std::move(*error));
    co_return Result<void>{};
}

/// What stands in a namespace of the destination is there for everybody who may see it.
void leave_to_others(Account& account, Mailbox& box) {
    Claims* claims = account.options.claims;
    const bool common = account.destination.spaces.first(box.space) != nullptr &&
                        account.destination.asked.has(box.space);
    if (claims == nullptr || !common) return;
    const std::string key = claim_key(account.source_endpoint, box.name);
    if (claims->take(key, printable(box.display()), account.index) != account.index)
        box.left_out = "another account of this run sees the mailbox, too, and copies it";
}

}  // namespace

std::string claim_key(const EndpointSpec& source, std::string_view wire_name) {
    return source.host + ":" + std::to_string(source.port) + " " + std::string(wire_name);
}

Task<Result<void>> leave_out_foreign(Account& account, Session& source,
                                     const std::vector<dedup::MailboxRecord>& records) {
    if (account.source.is_zimbra() && source.capabilities().has("ACL")) {
        auto found = co_await find_mounts(account, source, records);
        if (!found) co_return found;
    }
    for (Mailbox& box : account.source.mailboxes) {
        if (box.space == Space::personal || !box.selectable) continue;
        const std::string& owner = box.path[box.root];
        const bool other = box.space == Space::other;
        if (other && account.translation().is_self(owner)) {
            box.left_out = "the account's own mailbox, shown a second time";
        } else if (other && account.options.people && account.options.people->knows(owner)) {
            box.left_out = "it belongs to " + printable(owner) +
                           ", an account of this run, and is copied with it";
        } else if (!box.messages) {
            box.left_out = "the account may see it and not read it";
        } else {
            leave_to_others(account, box);
        }
    }
    co_return Result<void>{};
}

void tell_left_out(Account& account) {
    for (const Mailbox& box : account.source.mailboxes) {
        // What becomes of Gmail's own is said in one sentence.
        if (box.left_out.empty() || (account.source.gmail && box.space == Space::personal))
            continue;
        account.notice(printable(box.display()), report::NoticeKind::left_out,
                       "not copied: " + box.left_out);
    }
}

}  // namespace imapult::replica
