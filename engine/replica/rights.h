#pragma once
// Rights on mailboxes (ACL): read at the source, written at the destination or listed for a person
// who may write them.
//
// What was carried over stands in the ledger: a later pass carries what has changed at the source
// since, so that what somebody changed at the destination stays.

#include <string>
#include <utility>
#include <vector>

#include "engine/replica/account.h"

namespace imapult::replica {

/// One GETACL.
class AclSink final : public session::Sink {
  public:
    explicit AclSink(std::string mailbox) : mailbox_(std::move(mailbox)) {}
    bool on_untagged(const imap::Event& event) override;
    std::vector<std::pair<std::string, std::string>> entries;  ///< in the server's order

  private:
    std::string mailbox_;  ///< wire form
};

/// A mailbox whose rights are looked at.
struct RightsTarget {
    dedup::MailboxId id = 0;
    const Mailbox* source = nullptr;
    Place place;
};

/// Before the lanes take the sessions. What goes wrong is told in the report: messages are not kept
/// waiting for it. False: a connection was lost.
/// `quiet`: nothing else has changed in the account.
Task<bool> carry_rights(Account& account, Sessions& sessions, std::vector<RightsTarget> targets,
                        bool quiet);

}  // namespace imapult::replica
