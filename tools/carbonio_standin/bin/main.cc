// carbonio_standin CONFIG.json: a Carbonio's REST and SOAP sides for tests and the demo. Prints one
// JSON line {"user_url", "admin_url", "pid"} when it listens; ends on SIGTERM or SIGINT.

#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "tools/carbonio_standin/server.h"

int main(int argc, char** argv) {
    using nlohmann::json;
    using namespace imapult::standin;
    if (argc != 2 || std::string(argv[1]) == "--help") {
        std::cerr << "usage: carbonio_standin CONFIG.json   (see README.md beside its source)\n";
        return 2;
    }
    std::ifstream file(argv[1]);
    const json config = json::parse(file, nullptr, false);
    if (!config.is_object()) {
        std::cerr << "carbonio_standin: the configuration is no JSON object\n";
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);
    try {
        Settings settings;
        settings.admin = config.value("admin", settings.admin);
        settings.admin_password = config.value("admin_password", settings.admin_password);
        settings.accounts = config.value("accounts", settings.accounts);
        settings.any_account_password = config.value("any_account_password", "");
        settings.extra = config.value("extra", true);
        settings.journal = config.value("journal", "");
        settings.limits.contacts = config.value("contacts_max", settings.limits.contacts);
        settings.limits.contact_upload_bytes =
            config.value("contact_upload_bytes", settings.limits.contact_upload_bytes);
        Server server(std::move(settings));
        const std::string host = config.value("host", "127.0.0.1");
        const std::string certificate = config.value("certificate", "");
        const std::string key = config.value("key", "");
        HttpServer user(host, config.value("port", 0), certificate, key,
                        [&](const HttpRequest& request) { return server.handle(request, false); });
        HttpServer admin(host, config.value("admin_port", 0), certificate, key,
                         [&](const HttpRequest& request) { return server.handle(request, true); });
        std::cout << json{{"user_url", user.url()}, {"admin_url", admin.url()}, {"pid", ::getpid()}}
                         .dump()
                  << std::endl;
        int signal_number = 0;
        sigwait(&signals, &signal_number);
    } catch (const std::exception& error) {
        std::cerr << "carbonio_standin: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
