#include "importers/account_job.h"

#include <algorithm>

namespace imapult::importers {

AccountJob::AccountJob(const Job& job, const AccountInput& input) : job_(job), input_(input) {
    report_.account = input.account;
    if (job.carbonio != nullptr) mailbox_.emplace(*job.carbonio, input.account, input.password);
}

void AccountJob::give_up(const Error& error) {
    if (report_.error) return;
    report_.error = for_account(error);
    const bool nobody = error.code == Code::connect_failed || error.code == Code::resolve_failed ||
                        error.code == Code::tls_failed;
    if (nobody && job_.unreachable != nullptr) job_.unreachable->store(true);
}

Result<> AccountJob::open(const std::string& view) {
    names_.emplace(view, std::nullopt);
    if (!mailbox_) return {};
    if (job_.unreachable->load())
        return fail(Code::connect_failed, Scope::account, Retry::later,
                    "the destination cannot be reached");
    IMAPULT_CHECK(mailbox_->open());
    const bool named =
        std::ranges::any_of(input_.files, [](const SourceFile& f) { return !f.folder.empty(); });
    if (!named) return {};
    IMAPULT_TRY(remote_folders_, mailbox_->folders());
    names_.emplace(view, remote_folders_);
    return {};
}

Result<std::string> AccountJob::export_of(const std::string& folder, const char* format) {
    IMAPULT_TRY(const ScratchFile scratch, ScratchFile::create(job_.scratch));
    auto got = mailbox_->download(folder, format, scratch.fd());
    if (!got && got.error().code == Code::not_found &&
        job_.carbonio->home_path() == "/service/home" && !any_accepted_) {
        // Some releases know only the old short form; one that does answers there.
        job_.carbonio->use_short_home_path();
        const auto second = mailbox_->download(folder, format, scratch.fd());
        if (second) {
            got = {};
        } else {
            job_.carbonio->use_long_home_path();
        }
    }
    if (!got) return std::unexpected(std::move(got.error()));
    return scratch.read();
}

std::string AccountJob::folder_for(const SourceFile& from, const std::string& kind,
                                   const std::string& wish) {
    const std::string key = kind + ":" + from.folder;
    std::optional<std::string> last;
    if (job_.ledger != nullptr)
        last = job_.ledger->folder(input_.account, key).value_or(std::nullopt);
    std::string name = names_->choose(wish, last);
    if (job_.ledger != nullptr && !report_.error) {
        if (const auto put = job_.ledger->put_folder(input_.account, key, name); !put)
            give_up(put.error());
    }
    return name;
}

void AccountJob::sync_ledger() {
    if (job_.ledger == nullptr) return;
    if (const auto synced = job_.ledger->sync(); !synced) give_up(synced.error());
}

}  // namespace imapult::importers
