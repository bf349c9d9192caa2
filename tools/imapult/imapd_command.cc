#include "tools/imapult/imapd_command.h"

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/text.h"
#include "tools/imapd/maildir.h"
#include "tools/imapd/store.h"
#include "tools/imapult/endpoint_url.h"
#include "tools/imapult/exit_code.h"
#include "tools/imapult/imapd_server.h"
#include "tools/imapult/secrets.h"
#include "tools/imapult/signals.h"

namespace imapult::program {
namespace {

/// Of every account if no --user is given: nobody but this machine can reach it then.
constexpr std::string_view kCommonPassword = "imapult";

struct Place {
    std::string address;
    std::uint16_t port = 0;
};

Result<Place> parse_listen(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    const std::string help = "--listen: HOST:PORT is needed, such as 127.0.0.1:10143 or [::1]:0";
    if (colon == std::string_view::npos) return invalid(help);
    const auto port = parse_number(text.substr(colon + 1));
    if (!port || *port > UINT16_MAX) return invalid(help);
    Place place;
    IMAPULT_TRY(place.address, parse_host(text.substr(0, colon)));
    place.port = static_cast<std::uint16_t>(*port);
    if (place.address == "localhost") place.address = "127.0.0.1";
    return place;
}

struct User {
    std::string name;
    Secret password;
};

Result<std::vector<User>> read_users(const ImapdArguments& arguments) {
    std::vector<User> users;
    for (const std::string& text : arguments.users) {
        const std::size_t colon = text.rfind(':');
        if (colon == std::string::npos || colon == 0) {
            return invalid("--user: NAME:FILE is needed; the file's first line is the password");
        }
        IMAPULT_TRY(Secret password, read_secret_file(text.substr(colon + 1), nullptr));
        users.push_back(User{text.substr(0, colon), std::move(password)});
    }
    return users;
}

Result<void> load(imapd::Store& store, const std::string& account,
                  const std::filesystem::path& folder) {
    IMAPULT_TRY(const auto count, imapd::load_maildir(store, account, folder));
    fmt::print(stderr, "imapult imapd: {}: {} mailboxes, {} messages\n", printable(account),
               count.mailboxes, count.messages);
    return {};
}

bool is_maildir(const std::filesystem::path& folder) {
    std::error_code ignored;
    return std::filesystem::is_directory(folder / "cur", ignored);
}

/// One Maildir goes to every user; a folder of Maildirs holds one for each account by name.
Result<void> load_maildirs(imapd::Store& store, const std::string& folder,
                           const std::vector<User>& users) {
    std::error_code failed;
    if (is_maildir(folder)) {
        for (const User& user : users) IMAPULT_CHECK(load(store, user.name, folder));
        if (!users.empty()) return {};
        store.add_account("user", kCommonPassword);
        return load(store, "user", folder);
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
        if (!is_maildir(entry.path())) continue;
        const std::string account = entry.path().filename().string();
        bool known = false;
        for (const User& user : users) known = known || user.name == account;
        if (!known && !users.empty()) continue;
        if (!known) store.add_account(account, kCommonPassword);
        IMAPULT_CHECK(load(store, account, entry.path()));
    }
    if (failed)
        return invalid(fmt::format("--maildir: {}: {}", printable(folder), failed.message()));
    return {};
}

Result<void> serve(const ImapdArguments& arguments) {
    IMAPULT_TRY(const Place place, parse_listen(arguments.listen));
    IMAPULT_TRY(const auto users, read_users(arguments));
    const bool loopback = is_loopback_host(place.address);
    if (!loopback && !arguments.force) {
        return invalid(
            "--listen: others could reach this address, and nothing is encrypted; use a "
            "loopback address, or --force");
    }
    if (!loopback && users.empty()) {
        return invalid("--user NAME:FILE is needed where others can reach the server");
    }
    imapd::Store store(ImapdServer::clear_text_behaviour());
    for (const User& user : users) store.add_account(user.name, user.password.reveal());
    if (users.empty()) store.accept_anybody(kCommonPassword);
    if (!arguments.maildir.empty()) {
        IMAPULT_CHECK(load_maildirs(store, arguments.maildir, users));
    }
    block_signals();
    IMAPULT_TRY(const auto server, ImapdServer::start(store, place.address, place.port));
    const bool ipv6 = place.address.contains(':');
    fmt::print("listening on {}{}{}:{}\n", ipv6 ? "[" : "", place.address, ipv6 ? "]" : "",
               server->port());
    if (users.empty()) fmt::print("any user, password: {}\n", kCommonPassword);
    std::fflush(stdout);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    int signal = 0;
    sigwait(&set, &signal);
    return {};
}

}  // namespace

int run_imapd(const ImapdArguments& arguments) {
    const auto done = serve(arguments);
    if (done) return kExitComplete;
    fmt::print(stderr, "imapult: {}\n", done.error().text);
    return done.error().code == Code::io ? kExitConnection : exit_code_of(done.error().code);
}

}  // namespace imapult::program
