#include "tools/demo/groupware.h"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "importers/run.h"
#include "tools/carbonio_standin/http_server.h"
#include "tools/carbonio_standin/server.h"

namespace imapult::demo {
namespace {

using importers::ItemCounts;
using importers::RunReport;
using importers::What;

constexpr std::size_t kEvents = 40;
constexpr std::size_t kPeople = 30;
/// Each calendar has these on top: a task, and an event that nobody can place in time.
constexpr std::size_t kMoreItems = 1;
constexpr std::size_t kBroken = 1;

/// Names as an Outlook, a Thunderbird and a phone write them.
constexpr std::array<std::string_view, 4> kZones = {"Europe/Berlin", "W. Europe Standard Time",
                                                    "/citadel.org/20210210_1/Europe/Rome",
                                                    "Tokyo Standard Time"};
constexpr std::array<std::string_view, 5> kNames = {"Müller", "D'Angelo", "Şahin", "Ångström",
                                                    "山田"};

std::string calendar_of(std::size_t account) {
    const std::string_view zone = kZones[account % kZones.size()];
    std::string out = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example//calendar//EN\r\n";
    const auto event = [&](std::size_t number, std::string_view more, unsigned hour) {
        out += fmt::format(
            "BEGIN:VEVENT\r\nUID:{}-{}@example.com\r\nDTSTAMP:20261101T080000Z\r\n"
            "DTSTART;TZID={}:202611{:02}T{:02}0000\r\nDTEND;TZID={}:202611{:02}T{:02}3000\r\n"
            "SUMMARY:Besprechung № {}\r\n{}END:VEVENT\r\n",
            account, number, zone, number % 28 + 1, hour, zone, number % 28 + 1, hour, number,
            more);
    };
    for (std::size_t i = 0; i < kEvents; ++i) {
        const bool weekly = i % 5 == 0;
        event(i, weekly ? "RRULE:FREQ=WEEKLY;COUNT=10\r\n" : "", 9);
        // One of the series is later that day.
        if (weekly)
            event(i, fmt::format("RECURRENCE-ID;TZID={}:202611{:02}T090000\r\n", zone, i % 28 + 1),
                  15);
    }
    out += fmt::format(
        "BEGIN:VTODO\r\nUID:todo-{}@example.com\r\nDUE;VALUE=DATE:20261201\r\n"
        "SUMMARY:Jahresabschluß\r\nEND:VTODO\r\n"
        "BEGIN:VEVENT\r\nUID:lost-{}@example.com\r\nDTSTART:some day\r\nSUMMARY:When?\r\n"
        "END:VEVENT\r\nEND:VCALENDAR\r\n",
        account, account);
    return out;
}

struct AddressBook {
    std::string_view header;
    char separator;
    bool cards;  ///< vCard instead
};
/// Thunderbird, a German Outlook, Google, vCard.
constexpr std::array<AddressBook, 4> kBooks = {{
    {"First Name,Last Name,Primary Email,Mobile Number,Notes", ',', false},
    {"Vorname;Nachname;E-Mail-Adresse;Mobiltelefon;Notizen", ';', false},
    {"First Name,Last Name,E-mail 1 - Value,Phone 1 - Value,Notes", ',', false},
    {"", ',', true},
}};

std::string contacts_of(std::size_t account) {
    const AddressBook& book = kBooks[account % kBooks.size()];
    std::string out = book.cards ? "" : std::string(book.header) + "\r\n";
    for (std::size_t i = 0; i < kPeople; ++i) {
        const std::string_view name = kNames[i % kNames.size()];
        const std::string mail = fmt::format("person{}.{}@example.net", i, account);
        if (book.cards) {
            out += fmt::format(
                "BEGIN:VCARD\r\nVERSION:3.0\r\nN:{};Person {};;;\r\nFN:Person {} {}\r\n"
                "EMAIL;TYPE=INTERNET:{}\r\nEND:VCARD\r\n",
                name, i, i, name, mail);
            continue;
        }
        const std::string cell = fmt::format("\"two\nlines, \"\"quoted\"\"; {}\"", i);
        out += fmt::format("Person {}{}{}{}{}{}+49 30 {:04}{}{}\r\n", i, book.separator, name,
                           book.separator, mail, book.separator, i, book.separator, cell);
    }
    return out;
}

Result<> write(const std::filesystem::path& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    if (file) return {};
    return fail(Code::io, Scope::run, Retry::never, "the temporary folder is full");
}

/// The stand-in with both its ports.
class Destination {
  public:
    explicit Destination(standin::Settings settings) : server_(std::move(settings)) {}
    [[nodiscard]] std::string user_url() const { return user_.url(); }
    [[nodiscard]] std::string admin_url() const { return admin_.url(); }
    /// What is in the mailboxes' folders of these names, counted by the server itself.
    std::size_t count(std::initializer_list<const char*> folders) {
        standin::HttpRequest request;
        request.path = "/standin/stats";
        const auto stats = nlohmann::json::parse(server_.handle(request, true).body);
        std::size_t sum = 0;
        for (const auto& mailbox : stats.value("mailboxes", nlohmann::json::object())) {
            for (const char* folder : folders) sum += mailbox.value(folder, std::size_t{0});
        }
        return sum;
    }

  private:
    standin::Server server_;
    standin::HttpServer user_{"127.0.0.1", 0, "", "", [this](const standin::HttpRequest& request) {
                                  return server_.handle(request, false);
                              }};
    standin::HttpServer admin_{"127.0.0.1", 0, "", "", [this](const standin::HttpRequest& request) {
                                   return server_.handle(request, true);
                               }};
};

Result<RunReport> import(What what, const Destination& destination, const std::string& folder,
                         const standin::Settings& settings) {
    importers::RunOptions options;
    options.what = what;
    options.mode = importers::Mode::upload;
    options.inputs.from = {folder + "/export"};
    options.out = folder + "/import";
    options.state_directory = folder + "/state";
    options.quiet = true;
    options.carbonio.import_as = importers::ImportAs::delegate;
    options.carbonio.admin_name = settings.admin;
    options.carbonio.admin_password = Secret(settings.admin_password);
    IMAPULT_TRY(options.carbonio.user_side, http::parse_endpoint(destination.user_url(), false));
    IMAPULT_TRY(options.carbonio.admin_side, http::parse_endpoint(destination.admin_url(), false));
    std::atomic<bool> stop{false};
    const std::atomic<int> signal{0};
    return importers::run_import(options, stop, signal);
}

void expect(bool holds, const RunReport& report, GroupwareResult& result) {
    if (!holds) result.troubles.push_back(report.text());
}

}  // namespace

Result<GroupwareResult> import_groupware(const std::vector<std::string>& accounts,
                                         const std::string& folder) {
    std::error_code failed;
    const std::filesystem::path exports = std::filesystem::path(folder) / "export";
    std::filesystem::create_directories(exports, failed);
    for (std::size_t i = 0; i < accounts.size(); ++i) {
        IMAPULT_CHECK(write(exports / (accounts[i] + ".ics"), calendar_of(i)));
        const char* ending = kBooks[i % kBooks.size()].cards ? ".vcf" : ".csv";
        IMAPULT_CHECK(write(exports / (accounts[i] + ending), contacts_of(i)));
    }
    standin::Settings settings;
    for (const std::string& account : accounts) settings.accounts[account] = "unused";
    Destination destination(settings);
    GroupwareResult result;
    const std::size_t items = accounts.size() * (kEvents + kMoreItems);
    const std::size_t people = accounts.size() * kPeople;
    for (const What what : {What::calendars, What::contacts}) {
        const bool calendars = what == What::calendars;
        const std::size_t wanted = calendars ? items : people;
        IMAPULT_TRY(const RunReport first, import(what, destination, folder, settings));
        const ItemCounts sent = first.total();
        expect(sent.sent == wanted && sent.missing == 0 &&
                   sent.refused == (calendars ? accounts.size() * kBroken : 0),
               first, result);
        result.repaired += sent.repaired;
        result.refused += sent.refused;
        result.seconds += first.seconds;
        IMAPULT_TRY(const RunReport again, import(what, destination, folder, settings));
        expect(again.total().sent == 0 && again.total().already_there == wanted, again, result);
    }
    result.items = destination.count({"Calendar", "Tasks"});
    result.contacts = destination.count({"Contacts"});
    if (result.items != items || result.contacts != people)
        result.troubles.push_back(
            fmt::format("the server has {} items and {} contacts; expected {} and {}", result.items,
                        result.contacts, items, people));
    return result;
}

}  // namespace imapult::demo
