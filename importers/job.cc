#include "importers/job.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "engine/base/text.h"
#include "importers/http/client.h"

namespace imapult::importers {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> cannot_write(const std::string& path) {
    return fail(Code::io, Scope::run, Retry::never, "cannot write " + printable(path));
}

Result<> make_directory(const std::string& path) {
    std::error_code error;
    const bool there = fs::exists(path, error);
    fs::create_directories(path, error);
    if (error) return cannot_write(path);
    if (!there) ::chmod(path.c_str(), 0700);
    return {};
}

/// Personal data: for the owner only.
Result<> write_file(const std::string& path, const std::string& text) {
    const std::string temporary = path + ".new";
    const int fd =
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return cannot_write(path);
    std::size_t done = 0;
    while (done < text.size()) {
        const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
        if (n <= 0) break;
        done += static_cast<std::size_t>(n);
    }
    const bool closed = ::close(fd) == 0;
    if (done != text.size() || !closed || ::rename(temporary.c_str(), path.c_str()) != 0) {
        ::unlink(temporary.c_str());
        return cannot_write(path);
    }
    return {};
}

/// A word of a `carbonio prov` line.
std::string quote(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (static_cast<std::uint8_t>(c) >= 0x20) out += c;
    }
    return out + "\"";
}

}  // namespace

Result<> ScriptWriter::open() {
    IMAPULT_CHECK(make_directory(directory_));
    return make_directory(directory_ + "/files");
}

void ScriptWriter::create_folder(const std::string& account, const std::string& name,
                                 const std::string& view) {
    const std::scoped_lock lock(mutex_);
    commands_[account] += "sm " + account + " cf --view " + view + " " + quote("/" + name) + "\n";
}

Result<> ScriptWriter::post(const std::string& account, const std::string& folder,
                            const std::string& query, const std::string& ending,
                            const std::string& body) {
    std::string file;
    {
        const std::scoped_lock lock(mutex_);
        std::array<char, 16> number{};
        std::snprintf(number.data(), number.size(), ".%04zu", ++files_[account + ending]);
        file = "files/" + safe_file_name(account) + number.data() + ending;
        commands_[account] += "sm " + account + " pru " +
                              quote("/" + http::percent_encode(folder) + "?" + query) + " " +
                              (file.contains(' ') ? quote(file) : file) + "\n";
    }
    return write_file(directory_ + "/" + file, body);
}

Result<> ScriptWriter::close() {
    std::string all;
    for (const auto& [account, commands] : commands_) all += commands;
    return write_file(directory_ + "/carbonio-prov.txt", all);
}

Result<> RefusedFile::close(const std::string& head, const std::string& tail,
                            const std::string& source) {
    const std::string path = directory_ + "/" + name_;
    if (!text_.empty()) {
        IMAPULT_CHECK(make_directory(fs::path(directory_).parent_path().string()));
        IMAPULT_CHECK(make_directory(directory_));
        return write_file(path, head + text_ + tail);
    }
    std::error_code error;
    if (fs::exists(path, error) && !fs::equivalent(path, source, error) && !error)
        fs::remove(path, error);
    return {};
}

Result<ScratchFile> ScratchFile::create(const std::string& directory) {
    int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        std::string name = directory + "/export-XXXXXX";
        fd = ::mkostemp(name.data(), O_CLOEXEC);
        if (fd >= 0) ::unlink(name.c_str());
    }
    if (fd < 0) return cannot_write(directory);
    return ScratchFile(fd);
}

ScratchFile::~ScratchFile() {
    if (fd_ >= 0) ::close(fd_);
}

Result<std::string> ScratchFile::read() const {
    std::string out;
    const off_t size = ::lseek(fd_, 0, SEEK_END);
    if (size < 0) return cannot_write("a scratch file");
    out.resize(static_cast<std::size_t>(size));
    std::size_t done = 0;
    while (done < out.size()) {
        const ssize_t n =
            ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(done));
        if (n <= 0) break;
        done += static_cast<std::size_t>(n);
    }
    out.resize(done);
    return out;
}

FolderNames::FolderNames(std::string view, const std::optional<std::vector<RemoteFolder>>& remote)
    : view_(std::move(view)) {
    constexpr std::array<std::pair<const char*, const char*>, 11> kRoot = {
        {{"Inbox", "message"},
         {"Trash", "none"},
         {"Junk", "message"},
         {"Sent", "message"},
         {"Drafts", "message"},
         {"Contacts", "contact"},
         {"Calendar", "appointment"},
         {"Tasks", "task"},
         {"Emailed Contacts", "contact"},
         {"Chats", "message"},
         {"Briefcase", "document"}}};
    for (const auto& [name, folder_view] : kRoot) views_[to_lower(name)] = folder_view;
    if (!remote) return;
    for (const RemoteFolder& folder : *remote) views_.emplace(to_lower(folder.name), folder.view);
}

bool FolderNames::free(const std::string& name) const {
    const std::string key = to_lower(name);
    if (taken_.contains(key)) return false;
    const auto there = views_.find(key);
    return there == views_.end() || there->second == view_;
}

void FolderNames::take(const std::string& name) {
    taken_.insert(to_lower(name));
}

std::string FolderNames::choose(const std::string& wish,
                                const std::optional<std::string>& last_time) {
    if (last_time && free(*last_time)) {
        take(*last_time);
        return *last_time;
    }
    std::string base = clean_folder_name(wish);
    if (base.empty()) base = view_ == "contact" ? "Imported contacts" : "Imported calendar";
    std::string name = base;
    for (int n = 2; !free(name); ++n) name = base + " (" + std::to_string(n) + ")";
    take(name);
    return name;
}

Error for_account(Error error) {
    if (error.scope == Scope::message) error.scope = Scope::account;
    return error;
}

}  // namespace imapult::importers
