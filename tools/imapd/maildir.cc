#include "tools/imapd/maildir.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <system_error>

#include "engine/base/text.h"
#include "tools/imapd/acceptance.h"

namespace imapult::imapd {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> unreadable(const fs::path& path) {
    return fail(Code::io, Scope::run, Retry::never, "cannot read " + printable(path.string()));
}

FlagSet flags_of(std::string_view file_name) {
    FlagSet out;
    const std::size_t at = file_name.rfind(":2,");
    if (at == std::string_view::npos) return out;
    for (const char c : file_name.substr(at + 3)) {
        if (c == 'S') out.add("\\Seen");
        if (c == 'R') out.add("\\Answered");
        if (c == 'F') out.add("\\Flagged");
        if (c == 'D') out.add("\\Draft");
        if (c == 'T') out.add("\\Deleted");
        if (c == 'P') out.add("$Forwarded");
    }
    return out;
}

Result<NewMessage> read_message(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    std::error_code problem;
    const auto changed = fs::last_write_time(path, problem);
    if (!in || problem) return unreadable(path);
    Behaviour on_disk;
    on_disk.on_bare_lf = OnBareLf::to_crlf;
    accept_message(on_disk, bytes, false);
    const auto since = std::chrono::file_clock::to_sys(changed).time_since_epoch();
    return NewMessage{
        .body = std::make_shared<const std::string>(std::move(bytes)),
        .flags = flags_of(path.filename().string()),
        .date = Date{std::chrono::duration_cast<std::chrono::seconds>(since).count(), 0},
        .labels = {}};
}

Result<> load_folder(Store& store, std::string_view account, const std::string& mailbox,
                     const fs::path& folder, MaildirCount& count) {
    ++count.mailboxes;
    std::vector<fs::path> files;
    for (const char* part : {"cur", "new"}) {
        std::error_code problem;
        for (const auto& entry : fs::directory_iterator(folder / part, problem)) {
            if (entry.is_regular_file(problem)) files.push_back(entry.path());
        }
    }
    // By name, which begins with the time of delivery: the order is the same each time.
    std::ranges::sort(files, {}, [](const fs::path& p) { return p.filename().string(); });
    for (const fs::path& file : files) {
        IMAPULT_TRY(NewMessage message, read_message(file));
        count.octets += message.body->size();
        ++count.messages;
        store.add_message(account, mailbox, std::move(message));
    }
    return {};
}

}  // namespace

Result<MaildirCount> load_maildir(Store& store, std::string_view account, const fs::path& folder) {
    std::error_code problem;
    if (!fs::is_directory(folder / "cur", problem)) return unreadable(folder / "cur");
    const auto b = store.behaviour();
    MaildirCount count;
    IMAPULT_CHECK(load_folder(store, account, b->inbox_name, folder, count));
    std::vector<fs::path> subfolders;
    for (const auto& entry : fs::directory_iterator(folder, problem)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with('.') && fs::is_directory(entry.path() / "cur", problem)) {
            subfolders.push_back(entry.path());
        }
    }
    if (problem) return unreadable(folder);
    std::ranges::sort(subfolders);
    for (const fs::path& path : subfolders) {
        std::string name = path.filename().string().substr(1);
        if (b->separator != '\0') std::ranges::replace(name, '.', b->separator);
        name.insert(0, b->prefix);
        store.create(account, name);
        IMAPULT_CHECK(load_folder(store, account, name, path, count));
    }
    return count;
}

}  // namespace imapult::imapd
