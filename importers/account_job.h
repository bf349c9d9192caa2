#pragma once
// What the work on an account's calendars and on its contacts have in common (job.h).

#include <optional>
#include <string>
#include <vector>

#include "importers/job.h"

namespace imapult::importers {

class AccountJob {
  protected:
    AccountJob(const Job& job, const AccountInput& input);
    ~AccountJob() = default;

    /// The first error ends the account; the rest of its items are refused with it.
    void give_up(const Error& error);
    /// Logs in; where a file wants a folder of its own, asks which folders there are. `view` is
    /// theirs: "appointment" or "contact".
    Result<> open(const std::string& view);
    /// Everything in a folder, as the server writes it.
    Result<std::string> export_of(const std::string& folder, const char* format);
    /// The root folder for a file: the one of the last run, else as wished where free. `kind` keeps
    /// calendars and address books apart in the ledger.
    std::string folder_for(const SourceFile& from, const std::string& kind,
                           const std::string& wish);
    /// Everything confirmed is made durable.
    void sync_ledger();

    const Job& job_;
    const AccountInput& input_;
    AccountReport report_;
    std::optional<Mailbox> mailbox_;  ///< none in check and script
    std::optional<std::vector<RemoteFolder>> remote_folders_;
    std::optional<FolderNames> names_;
    bool any_accepted_ = false;
};

}  // namespace imapult::importers
