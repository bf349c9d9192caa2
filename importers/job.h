#pragma once
// What the work on one account shares with the others: the destination, the ledger, where files go.

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "importers/carbonio.h"
#include "importers/input_set.h"
#include "importers/ledger.h"
#include "importers/report.h"

namespace imapult::importers {

enum class Mode : std::uint8_t { upload, check, script };

/// `carbonio prov` commands and the files they name. Thread-safe.
class ScriptWriter {
  public:
    explicit ScriptWriter(std::string directory) : directory_(std::move(directory)) {}
    /// Makes the directories (0700).
    Result<> open();
    /// `sm ACCOUNT createFolder --view VIEW /NAME`
    void create_folder(const std::string& account, const std::string& name,
                       const std::string& view);
    /// Writes the file and `sm ACCOUNT postRestURL "/FOLDER?QUERY" files/…`.
    Result<> post(const std::string& account, const std::string& folder, const std::string& query,
                  const std::string& ending, const std::string& body);
    /// Writes carbonio-prov.txt, accounts in order.
    Result<> close();

  private:
    std::string directory_;
    std::mutex mutex_;
    std::map<std::string, std::string> commands_;
    std::map<std::string, std::size_t> files_;
};

/// One of refused/USER@DOMAIN[.NAME].ics|csv: made when the first refusal arrives, replaced at the
/// end.
class RefusedFile {
  public:
    RefusedFile(std::string directory, std::string name)
        : directory_(std::move(directory)), name_(std::move(name)) {}
    void add(const std::string& text) { text_ += text; }
    [[nodiscard]] bool empty() const { return text_.empty(); }
    /// Writes head + all text + tail; without any text removes an older file of that name unless it
    /// is `source` itself.
    Result<> close(const std::string& head, const std::string& tail, const std::string& source);

  private:
    std::string directory_;
    std::string name_;
    std::string text_;
};

struct Job {
    Mode mode = Mode::upload;
    Carbonio* carbonio = nullptr;  ///< null in check and script
    Ledger* ledger = nullptr;      ///< likewise
    ScriptWriter* script = nullptr;
    Progress* progress = nullptr;
    std::string out;              ///< --out
    std::string scratch;          ///< directory for exports on their way
    std::size_t connections = 4;  ///< uploads of one account at once
    std::size_t contacts_max = 10'000;
    std::atomic<bool>* stop = nullptr;
    /// Set once nobody can be reached any more, so that later accounts do not wait for it, too.
    std::atomic<bool>* unreachable = nullptr;

    [[nodiscard]] bool stopped() const { return stop != nullptr && stop->load(); }
};

/// A file without a name for one export. Errors: io.
class ScratchFile {
  public:
    static Result<ScratchFile> create(const std::string& directory);
    ScratchFile(ScratchFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    ScratchFile& operator=(ScratchFile&&) = delete;
    ~ScratchFile();
    [[nodiscard]] int fd() const { return fd_; }
    [[nodiscard]] Result<std::string> read() const;

  private:
    explicit ScratchFile(int fd) : fd_(fd) {}
    int fd_;
};

/// Chooses root folders for an account's calendars or address books: as wished where free, the same
/// at every run, `NAME (2)` where another kind of folder or another file of this run has the name.
class FolderNames {
  public:
    /// `view`: "appointment" or "contact"; `remote`: what is there.
    FolderNames(std::string view, const std::optional<std::vector<RemoteFolder>>& remote);
    /// `last_time`: what the ledger remembers for this source. Marks the result as taken.
    std::string choose(const std::string& wish, const std::optional<std::string>& last_time);
    void take(const std::string& name);

  private:
    [[nodiscard]] bool free(const std::string& name) const;

    std::string view_;
    std::map<std::string, std::string> views_;  // lower-case name → view
    std::set<std::string> taken_;
};

/// An account-wide error from a message-scope one.
Error for_account(Error error);

AccountReport import_calendars(const Job& job, const AccountInput& input);
AccountReport import_contacts(const Job& job, const AccountInput& input);

}  // namespace imapult::importers
