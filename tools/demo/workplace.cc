#include "tools/demo/workplace.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>

#include "tools/demo/organisation.h"

namespace imapult::demo {
namespace {

constexpr const char* kAddress = "127.0.0.1";

Result<std::string> random_password() {
    std::array<std::uint8_t, 16> bytes{};
    if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        return fail(Code::io, Scope::run, Retry::never, "the kernel gives no random numbers");
    }
    std::string text;
    for (const std::uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
    return text;
}

}  // namespace

Result<std::unique_ptr<TemporaryFolder>> TemporaryFolder::create() {
    const char* chosen = std::getenv("TMPDIR");
    const std::filesystem::path parent = chosen != nullptr && *chosen != '\0' ? chosen : "/tmp";
    std::string pattern = (parent / "imapult-demo-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
        return fail(Code::io, Scope::run, Retry::never,
                    fmt::format("no temporary folder: {}; set TMPDIR to one that can be written",
                                std::strerror(errno)));
    }
    return std::unique_ptr<TemporaryFolder>(new TemporaryFolder(pattern));
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

Result<Workplace> make_workplace(const std::vector<std::string>& accounts) {
    Workplace place;
    IMAPULT_TRY(place.folder, TemporaryFolder::create());
    place.source_store = std::make_unique<imapd::Store>(old_server());
    place.destination_store = std::make_unique<imapd::Store>(new_server());
    std::string table = "source_user,source_password,destination_password\n";
    for (const std::string& account : accounts) {
        IMAPULT_TRY(const std::string old_password, random_password());
        IMAPULT_TRY(const std::string new_password, random_password());
        place.source_store->add_account(account, old_password);
        place.destination_store->add_account(account, new_password);
        table += fmt::format("{},{},{}\n", account, old_password, new_password);
    }
    place.accounts_file = place.folder->path("accounts.csv");
    std::ofstream file(place.accounts_file, std::ios::binary);
    file << table;
    file.close();
    if (!file) {
        return fail(Code::io, Scope::run, Retry::never, "the temporary folder is full");
    }
    IMAPULT_TRY(place.source, program::ImapdServer::start(*place.source_store, kAddress, 0));
    IMAPULT_TRY(place.destination,
                program::ImapdServer::start(*place.destination_store, kAddress, 0));
    return place;
}

}  // namespace imapult::demo
