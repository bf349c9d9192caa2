#include "tools/demo/demo.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <array>
#include <csignal>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "engine/base/text.h"
#include "tools/demo/comparison.h"
#include "tools/demo/groupware.h"
#include "tools/demo/organisation.h"
#include "tools/demo/page.h"
#include "tools/demo/workplace.h"
#include "tools/imapult/display.h"
#include "tools/imapult/exit_code.h"
#include "tools/imapult/signals.h"

namespace imapult::demo {
namespace {

using nlohmann::json;
using program::human_bytes;
using program::human_duration;
using program::with_thousands;

constexpr std::size_t kMessagesDefault = 12'000;
constexpr std::size_t kMessagesMin = 100;
constexpr std::size_t kMessagesMax = 100'000;  // both copies of each are kept in memory
constexpr std::size_t kTroublesShown = 10;

struct Options {
    std::size_t messages = kMessagesDefault;
    std::string report;  ///< empty: none
};

/// One command of the program: its exit code and its summary object.
struct Ran {
    int exit_code = 0;
    json summary;
    [[nodiscard]] std::uint64_t count(const char* pointer) const {
        return summary.value(json::json_pointer(pointer), std::uint64_t{0});
    }
    [[nodiscard]] double seconds() const { return summary.value("seconds", 0.0); }
};

/// Standard output of a command that runs inside this process.
class Output {
  public:
    Output() : descriptor_(memfd_create("imapult-demo", MFD_CLOEXEC)) {}
    ~Output() {
        if (descriptor_ >= 0) close(descriptor_);
    }
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;
    [[nodiscard]] int descriptor() const { return descriptor_; }
    [[nodiscard]] std::string text() const {
        std::string out;
        std::array<char, 64UL * 1024> block{};
        while (true) {
            const auto at = static_cast<off_t>(out.size());
            const ssize_t got = pread(descriptor_, block.data(), block.size(), at);
            if (got <= 0) return out;
            out.append(block.data(), static_cast<std::size_t>(got));
        }
    }

  private:
    int descriptor_;
};

/// How a user would call this very program: relative where that is shorter, quoted where needed.
std::string own_name() {
    std::error_code failed;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", failed);
    if (failed) return "imapult";
    const auto here = std::filesystem::current_path(failed);
    std::string name = program.string();
    if (!failed) {
        const std::string relative = program.lexically_relative(here).string();
        if (!relative.empty() && !relative.starts_with("..")) name = relative;
        if (!name.contains('/')) name = "./" + name;
    }
    constexpr std::string_view kHarmless =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+";
    if (name.find_first_not_of(kHarmless) == std::string::npos) return name;
    std::string quoted = "'";
    for (const char c : printable(name, name.size()))
        quoted += c == '\'' ? "'\\''" : std::string(1, c);
    return quoted + "'";
}

/// SIGINT or SIGTERM that came while no command ran, or 0.
int pending_signal() {
    sigset_t set;
    sigemptyset(&set);
    if (sigpending(&set) != 0) return 0;
    if (sigismember(&set, SIGINT) == 1) return SIGINT;
    return sigismember(&set, SIGTERM) == 1 ? SIGTERM : 0;
}

class Demo {
  public:
    Demo(Options options, const program::Environment& environment)
        : options_(std::move(options)),
          environment_(environment),
          page_(environment.standard_output) {
        // The same engine; only whether somebody asked it to stop is remembered.
        environment_.run_campaign = [this, &environment](const campaign::Options& what,
                                                         campaign::Observer& observer,
                                                         campaign::StopToken& stop) {
            auto summary = environment.run_campaign(what, observer, stop);
            stopped_ = stopped_ || stop.stopping();
            return summary;
        };
    }

    int run() {
        program::block_signals();
        page_.line(page_.strong("imapult demo") +
                   ": a migration on this machine only; nothing of it stays behind");
        auto made = make_workplace(account_names());
        if (!made) {
            page_.bad(made.error().text);
            return program::exit_code_of(made.error().code);
        }
        place_ = std::move(*made);
        contents_ = fill(*place_.source_store, options_.messages);
        introduce();
        int code = steps();
        if (stopped_ || pending_signal() != 0) {
            if (code == program::kExitComplete || code == program::kExitIncomplete) {
                code = pending_signal() == SIGTERM ? program::kExitTerminated
                                                   : program::kExitInterrupted;
            }
            page_.line();
            page_.line("Interrupted. Both servers and the temporary folder are gone.");
            return code;
        }
        if (code == program::kExitComplete) farewell();
        return code;
    }

  private:
    void introduce() {
        page_.line();
        page_.line(
            fmt::format("   old server  127.0.0.1:{}  {} accounts, {} mailboxes, {} messages",
                        place_.source->port(), contents_.accounts.size(), contents_.mailboxes,
                        with_thousands(contents_.messages)));
        page_.line(fmt::format("   new server  127.0.0.1:{}  the same accounts, empty",
                               place_.destination->port()));
        page_.line(page_.faint(fmt::format(
            "   Folders such as Verträge/Büro & Technik, Проекты/Север, 日本語/受信; flags,")));
        page_.line(page_.faint(fmt::format(
            "   keywords, dates of many years, a 20 MB attachment, {} malformed messages.",
            contents_.malformed)));
    }

    int steps() {
        for (const auto step : {&Demo::migrate, &Demo::delta, &Demo::verify, &Demo::look_inside,
                                &Demo::import_groupware}) {
            const int code = (this->*step)();
            if (code != program::kExitComplete || stopped_ || pending_signal() != 0) return code;
        }
        return program::kExitComplete;
    }

    int migrate() {
        page_.step(1, "migrate", "everything, all accounts at once");
        const Ran ran = command("migrate", {});
        const auto copied = ran.count("/messages/copied");
        if (!expect(ran, copied == contents_.messages && ran.count("/messages/refused") == 0)) {
            return trouble(ran);
        }
        const double seconds = std::max(ran.seconds(), 1e-3);
        page_.good(fmt::format(
            "{} messages, {} in {}: {} messages/s, {}/s", with_thousands(copied),
            human_bytes(ran.count("/bytes/copied")), human_duration(seconds),
            with_thousands(static_cast<std::uint64_t>(static_cast<double>(copied) / seconds)),
            human_bytes(static_cast<std::uint64_t>(static_cast<double>(ran.count("/bytes/copied")) /
                                                   seconds))));
        return ran.exit_code;
    }

    int delta() {
        const Changes changes = go_on_working(*place_.source_store);
        page_.step(
            2, "delta",
            fmt::format("the same command, after {} new messages, {} flagged, {} new mailbox",
                        changes.messages, changes.flags, changes.mailboxes));
        const Ran ran = command("migrate", {});
        if (!expect(ran, ran.count("/messages/copied") == changes.messages &&
                             ran.count("/messages/flags_updated") == changes.flags &&
                             ran.count("/messages/already_there") == contents_.messages)) {
            return trouble(ran);
        }
        messages_ = contents_.messages + changes.messages;
        page_.good(fmt::format(
            "{} messages, {} flag changes in {}, {} on the wire; {} already there",
            changes.messages, changes.flags, human_duration(ran.seconds()),
            human_bytes(ran.count("/bytes/source_in") + ran.count("/bytes/source_out") +
                        ran.count("/bytes/destination_in") + ran.count("/bytes/destination_out")),
            with_thousands(ran.count("/messages/already_there"))));
        return ran.exit_code;
    }

    int verify() {
        page_.step(3, "verify", "every octet, flag and date of every message, over IMAP");
        const Ran ran = command("verify", {"--depth", "content"});
        if (!expect(ran,
                    ran.count("/verify/equal") == messages_ && ran.count("/verify/missing") == 0 &&
                        ran.count("/verify/different") == 0 && ran.count("/verify/extra") == 0)) {
            return trouble(ran);
        }
        page_.good(fmt::format("{} equal, 0 different, 0 missing, 0 too many; {}",
                               with_thousands(ran.count("/verify/equal")),
                               human_duration(ran.seconds())));
        return ran.exit_code;
    }

    /// imapult's word is not taken for it: the demo owns both servers and can look.
    int look_inside() {
        page_.step(4, "report", "counted inside the new server, compared with the old one");
        const Comparison comparison =
            compare(*place_.source_store, *place_.destination_store, contents_.accounts);
        page_.line(page_.faint(fmt::format("      {:<26} {:>9} {:>10} {:>10}", "account",
                                           "mailboxes", "messages", "size")));
        for (const AccountView& account : comparison.accounts) {
            page_.line(fmt::format("      {:<26} {:>9} {:>10} {:>10}", account.name,
                                   account.mailboxes, with_thousands(account.messages),
                                   human_bytes(account.octets)));
        }
        if (comparison.equal != messages_ || !comparison.differences.empty()) {
            page_.bad(fmt::format("{} of {} messages are equal", with_thousands(comparison.equal),
                                  with_thousands(messages_)));
            for (std::size_t i = 0; i < comparison.differences.size() && i < kTroublesShown; ++i) {
                page_.line("      " + comparison.differences[i]);
            }
            return program::kExitBug;
        }
        page_.good(fmt::format("{} of {} messages: same octets, flags, dates, mailbox and order",
                               with_thousands(comparison.equal), with_thousands(messages_)));
        return program::kExitComplete;
    }

    int import_groupware() {
        page_.step(5, "import", "calendars and contacts, into a stand-in for Carbonio");
        const auto done = demo::import_groupware(contents_.accounts, place_.folder->path("import"));
        if (!done) {
            page_.bad(done.error().text);
            return program::exit_code_of(done.error().code);
        }
        if (!done->troubles.empty()) {
            page_.bad("the counts are not what they should be; this is a bug of imapult");
            for (const std::string& trouble : done->troubles) page_.line("      " + trouble);
            return program::kExitBug;
        }
        page_.good(fmt::format("{} events and tasks, {} contacts in {}; again: nothing sent",
                               done->items, done->contacts, human_duration(done->seconds)));
        page_.good(fmt::format("{} mended on the way, {} refused, each with line and reason",
                               done->repaired, done->refused));
        return program::kExitComplete;
    }

    void farewell() {
        const std::string name = own_name();
        if (!options_.report.empty()) {
            page_.line();
            page_.line(fmt::format("   The report of step 1: {}", printable(options_.report)));
        }
        page_.line();
        page_.line(page_.strong("Your own servers") +
                   ": the old one is only read; the same command again moves what is new");
        page_.line();
        page_.line("   accounts.csv, one line an account:");
        page_.line("      source_user,source_password,destination_password");
        page_.line();
        page_.line(fmt::format("   {} migrate --accounts accounts.csv \\", name));
        page_.line("      --source imaps://old.example.com --destination imaps://new.example.com");
    }

    Ran command(const char* verb, std::vector<std::string> more) {
        const auto url = [](std::uint16_t port) {
            return fmt::format("imap://127.0.0.1:{}?tls=off", port);
        };
        std::vector<std::string> arguments = {verb,
                                              "--json",
                                              "--state",
                                              place_.folder->path("state"),
                                              "--accounts",
                                              place_.accounts_file,
                                              "--source",
                                              url(place_.source->port()),
                                              "--destination",
                                              url(place_.destination->port())};
        arguments.insert(arguments.end(), more.begin(), more.end());
        if (!options_.report.empty() && !reported_) {
            arguments.insert(arguments.end(), {"--report", options_.report});
            reported_ = true;
        }
        const Output output;
        environment_.standard_output = output.descriptor();
        Ran ran;
        ran.exit_code = program::run_program(arguments, environment_);
        ran.summary = json::parse(output.text(), nullptr, false);
        if (!ran.summary.is_object()) ran.summary = json::object();
        return ran;
    }

    [[nodiscard]] bool expect(const Ran& ran, bool counts) const {
        return ran.exit_code == program::kExitComplete && (counts || stopped_);
    }

    /// Says what is not as it should be; the exit code.
    int trouble(const Ran& ran) {
        if (stopped_) return ran.exit_code;
        page_.bad(ran.exit_code == program::kExitComplete
                      ? "the counts are not what they should be; this is a bug of imapult"
                      : fmt::format("ended with exit code {}", ran.exit_code));
        page_.line("      " + printable(ran.summary.value("messages", json::object()).dump()));
        std::size_t shown = 0;
        for (const char* list : {"errors", "refusals", "differences", "notices"}) {
            for (const json& entry : ran.summary.value(list, json::array())) {
                if (shown++ >= kTroublesShown) break;
                page_.line(fmt::format("      {}: {}", list, printable(entry.dump(), 1024)));
            }
        }
        return ran.exit_code == program::kExitComplete ? program::kExitBug : ran.exit_code;
    }

    Options options_;
    program::Environment environment_;
    Page page_;
    Workplace place_;
    Contents contents_;
    std::size_t messages_ = 0;
    bool stopped_ = false;
    bool reported_ = false;
};

}  // namespace

void add_command(CLI::App& app, const program::Environment& environment, int& exit_code) {
    auto options = std::make_shared<Options>();
    CLI::App* demo =
        app.add_subcommand("demo", "See it work: a whole migration between two servers in memory");
    demo->footer("Example:\n  imapult demo --report demo.html\n");
    demo->add_option("--messages", options->messages, "how many, about")
        ->check(CLI::Range(kMessagesMin, kMessagesMax))
        ->capture_default_str()
        ->type_name("N");
    demo->add_option("--report", options->report,
                     "keep the report of the migration: .html, .json or .csv")
        ->type_name("FILE");
    demo->callback(
        [options, &environment, &exit_code] { exit_code = Demo(*options, environment).run(); });
}

}  // namespace imapult::demo
