#pragma once
// What a run did, per account and in sum; as summary object, events, report files and refused/
// files.

#include <cstdint>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/error.h"

namespace imapult::importers {

/// source = already_there + sent + merged + refused; repaired is part of sent.
struct ItemCounts {
    std::uint64_t source = 0;
    std::uint64_t already_there = 0;
    std::uint64_t sent = 0;
    std::uint64_t merged = 0;
    std::uint64_t refused = 0;
    std::uint64_t repaired = 0;
    std::uint64_t missing = 0;

    void add(const ItemCounts& other);
};

struct Notice {
    std::string account;
    std::string file;
    std::size_t line = 0;
    std::string uid;
    std::string reason;
};

struct AccountReport {
    std::string account;
    ItemCounts items;
    std::vector<Notice> refusals;  ///< at most kRefusalsShownMax; the counts are exact
    std::vector<Notice> repairs;   ///< the first hundred
    std::vector<Notice> missing;
    std::vector<Notice> notes;   ///< near duplicates, columns put into notes, …
    std::optional<Error> error;  ///< why the account was given up

    void refuse(Notice notice);
    void repair(Notice notice);
    void note(Notice notice);
};

struct RunReport {
    std::string command;  ///< "import calendars"
    std::vector<AccountReport> accounts;
    std::vector<std::string> ignored;  ///< files that are no input
    std::vector<std::string> warnings;
    std::optional<Error> error;  ///< nothing could be done at all
    double seconds = 0;
    bool interrupted = false;
    int signal = 0;

    [[nodiscard]] ItemCounts total() const;
    [[nodiscard]] int exit_code() const;
    /// complete, partial, failed, interrupted
    [[nodiscard]] std::string result() const;
    /// The summary object of `--json`.
    [[nodiscard]] std::string json() const;
    /// A few lines for a person.
    [[nodiscard]] std::string text() const;
    /// Writes `.json`, `.csv` or `.html` by the name's end.
    Result<> write(const std::string& path) const;
};

/// Progress on standard error and events in a file. Thread-safe.
class Progress {
  public:
    Progress(bool quiet, bool terminal) : quiet_(quiet), terminal_(terminal) {}
    Result<> open_events(const std::string& path);

    void start(std::size_t accounts);
    void account_begins(const std::string& account);
    void account_ends(const AccountReport& report);
    void sent(std::uint64_t items);
    void finish();

  private:
    void event(const std::string& line);
    void show(bool force);

    bool quiet_;
    bool terminal_;
    std::mutex mutex_;
    std::ofstream events_;
    std::size_t accounts_ = 0;
    std::size_t done_ = 0;
    std::uint64_t items_ = 0;
    std::int64_t last_shown_ms_ = 0;
};

}  // namespace imapult::importers
