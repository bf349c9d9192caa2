#include "importers/ledger.h"

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>

#include <filesystem>
#include <system_error>

#include "engine/base/text.h"

namespace imapult::importers {
namespace {

constexpr std::string_view kFormatKey = "!format";
constexpr std::string_view kFormat = "imapult-import 1";
constexpr std::size_t kDigestBytes = 32;

std::unexpected<Error> state_error(const rocksdb::Status& status, const std::string& path) {
    const std::string detail = printable(status.ToString(), 300);
    const bool locked = status.IsIOError() && (detail.contains("lock hold") ||
                                               detail.contains("LOCK") || detail.contains("lock "));
    if (locked)
        return fail(Code::state_locked, Scope::run, Retry::later,
                    "the state directory " + printable(path) + " is in use by another process");
    if (status.IsIOError())
        return fail(Code::io, Scope::run, Retry::never,
                    "the state directory " + printable(path) + " cannot be used: " + detail);
    return fail(
        Code::state_damaged, Scope::run, Retry::never,
        "the ledger in " + printable(path) + " is damaged (" + detail +
            "); moved away, the next run reads the destination back and duplicates nothing");
}

std::unexpected<Error> damaged(std::string_view what) {
    return fail(Code::state_damaged, Scope::run, Retry::never,
                "the import ledger holds a broken " + std::string(what));
}

std::string key_of(char kind, std::string_view account, std::string_view rest) {
    std::string key(1, kind);
    key += to_lower(account);
    key += '\0';
    key += rest;
    return key;
}

}  // namespace

Ledger::Ledger(std::unique_ptr<rocksdb::DB> db) : db_(std::move(db)) {}
Ledger::~Ledger() = default;

Result<std::unique_ptr<Ledger>> Ledger::open(const std::string& state_directory) {
    const std::string path = state_directory + "/import";
    std::error_code error;
    const bool fresh_state = !std::filesystem::exists(state_directory, error);
    std::filesystem::create_directories(state_directory, error);
    if (!error && fresh_state) ::chmod(state_directory.c_str(), 0700);
    if (error)
        return fail(Code::io, Scope::run, Retry::never,
                    "the state directory " + printable(state_directory) +
                        " cannot be made: " + error.message());
    const bool there = std::filesystem::exists(path + "/CURRENT", error);
    if (!there && std::filesystem::exists(path, error) && !std::filesystem::is_empty(path, error)) {
        // RocksDB would silently begin a new database beside the remains of the old one.
        for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
            const std::string name = entry.path().filename().string();
            if (name.ends_with(".sst") || name.starts_with("MANIFEST"))
                return state_error(rocksdb::Status::Corruption("CURRENT is missing"), path);
        }
    }
    rocksdb::Options options;
    options.create_if_missing = true;
    options.max_open_files = 64;
    options.write_buffer_size = 8UL * 1024 * 1024;
    options.keep_log_file_num = 2;
    options.info_log_level = rocksdb::WARN_LEVEL;
    options.max_background_jobs = 1;
    rocksdb::DB* raw = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(options, path, &raw);
    if (!status.ok()) return state_error(status, path);
    ::chmod(path.c_str(), 0700);
    std::unique_ptr<Ledger> ledger(new Ledger(std::unique_ptr<rocksdb::DB>(raw)));
    IMAPULT_TRY(const auto format, ledger->get(std::string(kFormatKey)));
    if (!format) {
        if (there) {
            const std::unique_ptr<rocksdb::Iterator> it(raw->NewIterator({}));
            it->SeekToFirst();
            if (it->Valid())
                return fail(Code::state_version, Scope::run, Retry::never,
                            "the ledger in " + printable(path) + " is none of imapult's");
        }
        IMAPULT_CHECK(ledger->put(std::string(kFormatKey), std::string(kFormat)));
    } else if (*format != kFormat) {
        return fail(Code::state_version, Scope::run, Retry::never,
                    "the ledger in " + printable(path) + " has the format \"" +
                        printable(*format, 60) + "\"; this program knows \"" +
                        std::string(kFormat) + "\"");
    }
    return ledger;
}

Result<std::optional<std::string>> Ledger::get(const std::string& key) const {
    std::string value;
    const rocksdb::Status status = db_->Get({}, key, &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return state_error(status, db_->GetName());
    return value;
}

Result<> Ledger::put(const std::string& key, const std::string& value) {
    const rocksdb::Status status = db_->Put({}, key, value);
    if (!status.ok()) return state_error(status, db_->GetName());
    return {};
}

Result<> Ledger::sync() {
    const rocksdb::Status status = db_->SyncWAL();
    if (!status.ok()) return state_error(status, db_->GetName());
    return {};
}

Result<std::optional<Ledger::CalendarEntry>> Ledger::calendar(std::string_view account,
                                                              std::string_view uid) const {
    IMAPULT_TRY(const auto value, get(key_of('c', account, uid)));
    if (!value) return std::nullopt;
    if (value->size() < 4 + kDigestBytes) return damaged("calendar entry");
    CalendarEntry entry;
    for (std::size_t i = 0; i < 4; ++i)
        entry.sequence = (entry.sequence << 8U) | static_cast<std::uint8_t>((*value)[i]);
    entry.digest = value->substr(4, kDigestBytes);
    entry.folder = value->substr(4 + kDigestBytes);
    return entry;
}

Result<> Ledger::put_calendar(std::string_view account, std::string_view uid,
                              const CalendarEntry& entry) {
    IMAPULT_ASSERT(entry.digest.size() == kDigestBytes);
    std::string value;
    for (unsigned shift = 32; shift > 0; shift -= 8)
        value += static_cast<char>((entry.sequence >> (shift - 8)) & 0xFFU);
    return put(key_of('c', account, uid), value + entry.digest + entry.folder);
}

Result<std::optional<std::string>> Ledger::contact(std::string_view account,
                                                   std::string_view digest) const {
    return get(key_of('p', account, digest));
}

Result<> Ledger::put_contact(std::string_view account, std::string_view digest,
                             std::string_view shown) {
    return put(key_of('p', account, digest), std::string(shown));
}

Result<std::optional<std::string>> Ledger::folder(std::string_view account,
                                                  std::string_view source) const {
    return get(key_of('f', account, source));
}

Result<> Ledger::put_folder(std::string_view account, std::string_view source,
                            std::string_view folder) {
    return put(key_of('f', account, source), std::string(folder));
}

}  // namespace imapult::importers
