// What ends in the middle is completed by the next run, and nothing is there twice.

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "importers/world.h"

extern char** environ;

namespace imapult::importers_test {
namespace {

using importers::What;
using namespace std::chrono_literals;

constexpr int kEvents = 1500;
constexpr int kContacts = 2600;

class Interruptions : public World {
  protected:
    Interruptions() {
        restart();
        std::string events;
        for (int i = 0; i < kEvents; ++i)
            events += event("e" + std::to_string(i),
                            "SUMMARY:A\r\nDESCRIPTION:" + std::string(600, 'x') + "\r\n");
        write("alice@example.com.ics", calendar(events));
        std::string rows = "First Name,Last Name,Primary Email\r\n";
        for (int i = 0; i < kContacts; ++i)
            rows += "F,L,c" + std::to_string(i) + "@example.net\r\n";
        write("alice@example.com.csv", rows);
    }
    /// The server comes back with what it had stored.
    void restart() {
        standin::Settings settings;
        settings.journal = (root_ / "journal").string();
        start(settings);
    }
    [[nodiscard]] int uploads() {
        return stats().value("uploads_ics", 0) + stats().value("uploads_csv", 0);
    }
    /// Calls `act` once the server has seen so many uploads, or the run has ended.
    std::thread after_uploads(int count, std::function<void()> act) {
        return std::thread([this, count, act = std::move(act)] {
            const auto deadline = std::chrono::steady_clock::now() + 60s;
            while (uploads() < count && std::chrono::steady_clock::now() < deadline)
                std::this_thread::sleep_for(8ms);
            act();
        });
    }
    void expect_everything_once() {
        const json box = stats()["mailboxes"]["alice@example.com"];
        EXPECT_EQ(box.value("Calendar", 0), kEvents);
        EXPECT_EQ(box.value("Contacts", 0), kContacts);
    }
    void expect_next_run_completes() {
        for (const What what : {What::calendars, What::contacts}) {
            const auto report = run(options(what));
            EXPECT_EQ(report.exit_code(), 0) << report.text();
        }
        expect_everything_once();
        EXPECT_EQ(calendars().total().sent, 0U);
        EXPECT_EQ(contacts().total().sent, 0U);
    }
};

TEST_F(Interruptions, AServerKilledInTheMiddleCostsARunAndNothingElse) {
    for (const What what : {What::calendars, What::contacts}) {
        fault({{"slow_ms", 40}});
        auto o = options(what);
        o.http.tries = 2;
        std::thread killer = after_uploads(3, [this] { fault({{"down", true}}); });
        const auto report = run(o);
        killer.join();
        EXPECT_NE(report.exit_code(), 0) << report.text();
        EXPECT_GT(report.total().refused, 0U);
        restart();
    }
    EXPECT_LT(stats()["mailboxes"]["alice@example.com"].value("Contacts", 0), kContacts);
    expect_next_run_completes();
}

TEST_F(Interruptions, AStormOf503sIsWaitedOutOrLeftToTheNextRun) {
    for (const What what : {What::calendars, What::contacts}) {
        fault({{"slow_ms", 30}});
        auto o = options(what);
        o.http.tries = 3;
        std::thread storm = after_uploads(2, [this] { fault({{"busy_next", 400}}); });
        const auto report = run(o);
        storm.join();
        EXPECT_EQ(report.exit_code(), 1) << report.text();
        EXPECT_THAT(report.text(), testing::HasSubstr("too busy"));
        restart();
    }
    expect_next_run_completes();
}

TEST_F(Interruptions, TokensThatExpireInTheMiddleAreRenewed) {
    for (const What what : {What::calendars, What::contacts}) {
        fault({{"slow_ms", 30}});
        std::thread expiry = after_uploads(2, [this] { fault({{"expire_tokens", true}}); });
        const auto report = run(options(what));
        expiry.join();
        EXPECT_EQ(report.exit_code(), 0) << report.text();
    }
    expect_everything_once();
}

TEST_F(Interruptions, AnImporterKilledInTheMiddleDoublesNothing) {
    write("pw", "admin-secret\n");
    fs::rename(root_ / "in" / "pw", root_ / "pw");
    fault({{"slow_ms", 30}});
    for (const char* what : {"calendars", "contacts"}) {
        const int before = uploads();
        std::vector<std::string> words = {IMPORT_ALONE,
                                          "import",
                                          what,
                                          "--from",
                                          (root_ / "in").string(),
                                          "--destination",
                                          user_->url(),
                                          "--destination-admin-url",
                                          admin_->url(),
                                          "--destination-admin",
                                          "admin@example.com",
                                          "--destination-password-file",
                                          (root_ / "pw").string(),
                                          "--state",
                                          (root_ / "state").string(),
                                          "--out",
                                          (root_ / "out").string(),
                                          "--quiet"};
        std::vector<char*> arguments;
        for (std::string& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        pid_t pid = -1;
        ASSERT_EQ(::posix_spawn(&pid, arguments[0], nullptr, nullptr, arguments.data(), environ),
                  0);
        after_uploads(before + 2, [pid] { ::kill(pid, SIGKILL); }).join();
        int status = 0;
        ASSERT_EQ(::waitpid(pid, &status, 0), pid);
        EXPECT_TRUE(WIFSIGNALED(status)) << "it was done before it could be killed";
    }
    fault({{"slow_ms", 0}});
    expect_next_run_completes();
}

}  // namespace
}  // namespace imapult::importers_test
