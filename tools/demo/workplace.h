#pragma once
// What the demo needs on this machine: a private temporary folder and two servers.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "tools/imapd/store.h"
#include "tools/imapult/imapd_server.h"

namespace imapult::demo {

/// A folder for this user only, removed with everything in it.
class TemporaryFolder {
  public:
    static Result<std::unique_ptr<TemporaryFolder>> create();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    [[nodiscard]] std::string path(const char* name) const { return (path_ / name).string(); }

  private:
    explicit TemporaryFolder(std::filesystem::path path) : path_(std::move(path)) {}
    std::filesystem::path path_;
};

/// Both servers with empty accounts, and the accounts file that opens them.
struct Workplace {
    std::unique_ptr<TemporaryFolder> folder;
    std::string accounts_file;
    // The servers go before the stores they serve.
    std::unique_ptr<imapd::Store> source_store, destination_store;
    std::unique_ptr<program::ImapdServer> source, destination;
};

/// Passwords are random and stand in the accounts file only. Errors: io, ring_forbidden.
Result<Workplace> make_workplace(const std::vector<std::string>& accounts);

}  // namespace imapult::demo
