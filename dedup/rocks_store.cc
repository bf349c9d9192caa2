// The ledger's store on disk: RocksDB, tuned for little memory, with one committer thread.

#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <filesystem>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "dedup/ledger_format.h"
#include "dedup/store.h"
#include "engine/base/limits.h"
#include "engine/base/text.h"

namespace imapult::dedup {
namespace {

constexpr std::uint64_t kSpaceLeast = limits::kMiB;
constexpr std::size_t kFamilies = static_cast<std::size_t>(Family::count_);
constexpr int kReadOnlyTries = 5;

/// RocksDB's name of a family. Its "default" family must exist and stays empty.
std::string rocks_name(std::size_t family) {
    return std::string(format::name_of(static_cast<Family>(family)));
}

/// Swallows RocksDB's diary: a reader must not write into the writer's folder.
class NoLog final : public rocksdb::Logger {
  public:
    NoLog() : Logger(rocksdb::InfoLogLevel::FATAL_LEVEL) {}
    using rocksdb::Logger::Logv;
    void Logv(const char*, va_list) override {}
};

std::unexpected<Error> io_error(const std::string& folder, const std::string& what) {
    return fail(Code::io, Scope::run, Retry::never,
                "the state directory " + printable(folder) + " cannot be used: " + what +
                    "; give another one, or make it writable by this user with room on its disk");
}

/// Bytes of RocksDB's own messages name files and system errors, never keys or values.
std::unexpected<Error> error_of(const rocksdb::Status& status, const std::string& folder) {
    const std::string text = status.ToString();
    const auto says = [&](std::string_view part) { return text.find(part) != std::string::npos; };
    if (status.IsIOError() && (says("While lock file") || says("lock hold by current process"))) {
        return fail(Code::state_locked, Scope::run, Retry::later,
                    "the state directory " + printable(folder) +
                        " is in use by another imapult; wait for it to end, or give this run a "
                        "state directory of its own");
    }
    const bool file_missing = status.IsPathNotFound() || says("No such file or directory");
    if (status.IsCorruption() || status.IsInvalidArgument() || status.IsNotFound() ||
        file_missing) {
        return fail(Code::state_damaged, Scope::run, Retry::never,
                    "the ledger in " + printable(folder) + " is damaged (" + printable(text) +
                        "); move the directory away and run again: what was copied is recognised "
                        "at the destination and not copied twice");
    }
    return io_error(folder, printable(text));
}

rocksdb::Options database_options(const OpenOptions& options) {
    rocksdb::Options o;
    o.create_if_missing = !options.read_only;
    o.create_missing_column_families = !options.read_only;
    o.max_open_files = limits::kLedgerOpenFilesMax;
    o.max_file_opening_threads = 1;
    o.max_background_jobs = 2;
    o.max_subcompactions = 1;
    o.db_write_buffer_size = limits::kLedgerWriteBufferBytes;
    o.max_total_wal_size = limits::kLedgerLogBytesMax;
    o.max_manifest_file_size = 4 * limits::kMiB;
    o.writable_file_max_buffer_size = 256 * limits::kKiB;
    o.compaction_readahead_size = 256 * limits::kKiB;
    o.allow_concurrent_memtable_write = false;  // one committer
    o.enable_write_thread_adaptive_yield = false;
    o.stats_dump_period_sec = 0;
    o.stats_persist_period_sec = 0;
    o.max_log_file_size = 256 * limits::kKiB;
    o.keep_log_file_num = 2;
    o.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
    if (options.read_only) o.info_log = std::make_shared<NoLog>();
    return o;
}

rocksdb::ColumnFamilyOptions family_options() {
    rocksdb::ColumnFamilyOptions o;
    o.write_buffer_size = limits::kLedgerWriteBufferBytes;
    o.max_write_buffer_number = 2;
    o.arena_block_size = 64 * limits::kKiB;
    o.target_file_size_base = 8 * limits::kMiB;
    o.max_bytes_for_level_base = 32 * limits::kMiB;
    o.compression = rocksdb::kLZ4Compression;
    return o;
}

class RocksStore final : public Store {
  public:
    RocksStore(std::string folder, OpenOptions options)
        : folder_(std::move(folder)), options_(options) {}
    RocksStore(const RocksStore&) = delete;
    RocksStore& operator=(const RocksStore&) = delete;
    ~RocksStore() override;

    Result<void> open();

    Result<std::string> get(Family family, std::string_view key) const override;
    Result<void> scan(
        Family family, std::string_view first, std::string_view end,
        const std::function<bool(std::string_view, std::string_view)>& visit) const override;
    void commit(WriteBatch batch, bool durable, std::function<void(Result<void>)> done) override;

  private:
    struct Queued {
        WriteBatch batch;
        bool durable = false;
        std::function<void(Result<void>)> done;
    };

    Result<void> prepare_folder() const;
    Result<void> find_space() const;
    Result<void> open_database(const std::vector<rocksdb::ColumnFamilyDescriptor>& families);
    [[nodiscard]] rocksdb::ColumnFamilyHandle* handle(Family family) const {
        return handles_.at(static_cast<std::size_t>(family));
    }
    void run_committer();
    Result<void> write(const std::deque<Queued>& group);

    std::string folder_;
    OpenOptions options_;
    std::unique_ptr<rocksdb::DB> database_;
    std::vector<rocksdb::ColumnFamilyHandle*> handles_;  // by Family, then "default"

    std::mutex mutex_;
    std::condition_variable queued_;
    std::deque<Queued> queue_;
    bool stopping_ = false;
    std::thread committer_;
};

RocksStore::~RocksStore() {
    if (committer_.joinable()) {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        queued_.notify_one();
        committer_.join();
    }
    if (database_) {
        for (rocksdb::ColumnFamilyHandle* family : handles_) {
            database_->DestroyColumnFamilyHandle(family);
        }
        database_->Close();
    }
}

/// Makes the folder with mode 0700; one that is there and open to others is closed to them.
Result<void> RocksStore::prepare_folder() const {
    if (options_.read_only) return {};
    std::error_code error;
    const std::filesystem::path path(folder_);
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
    if (error) return io_error(folder_, error.message());
    if (mkdir(folder_.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
        return io_error(folder_, std::strerror(errno));
    }
    struct stat status{};
    if (stat(folder_.c_str(), &status) != 0) return io_error(folder_, std::strerror(errno));
    if (!S_ISDIR(status.st_mode)) return io_error(folder_, "it is not a directory");
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0 && chmod(folder_.c_str(), S_IRWXU) != 0) {
        return io_error(folder_, std::string("it is open to other users and its mode cannot be "
                                             "changed to 0700: ") +
                                     std::strerror(errno));
    }
    return {};
}

/// RocksDB aborts where a disk is full while it makes its files: found out before.
Result<void> RocksStore::find_space() const {
    if (options_.read_only) return {};
    const std::string name = folder_ + "/space-check";
    const int file = ::open(name.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file < 0) return io_error(folder_, std::strerror(errno));
    const int failure = posix_fallocate(file, 0, static_cast<off_t>(kSpaceLeast));
    close(file);
    unlink(name.c_str());
    if (failure == ENOSPC || failure == EDQUOT || failure == EFBIG)
        return io_error(folder_, std::strerror(failure));
    return {};
}

Result<void> RocksStore::open() {
    IMAPULT_CHECK(prepare_folder());
    IMAPULT_CHECK(find_space());
    std::error_code error;
    const bool exists = std::filesystem::exists(std::filesystem::path(folder_) / "CURRENT", error);
    if (error) return io_error(folder_, error.message());
    if (!exists && options_.read_only) {
        return fail(Code::not_found, Scope::run, Retry::never,
                    "the state directory " + printable(folder_) +
                        " holds no ledger yet; copy or migrate first");
    }
    if (exists) {
        std::vector<std::string> names;
        const rocksdb::Status listed = rocksdb::DB::ListColumnFamilies(
            rocksdb::DBOptions(database_options(options_)), folder_, &names);
        if (!listed.ok()) return error_of(listed, folder_);
        for (const std::string& name : names) {
            bool known = name == rocksdb::kDefaultColumnFamilyName;
            for (std::size_t f = 0; f < kFamilies; ++f) known = known || name == rocks_name(f);
            if (!known) {
                return fail(Code::state_version, Scope::run, Retry::never,
                            "the ledger in " + printable(folder_) +
                                " was written by another version of imapult (it has a family " +
                                printable(name, 64) + "); use that version");
            }
        }
    }
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(limits::kLedgerCacheBytes, 0);
    table.cache_index_and_filter_blocks = true;
    table.block_size = 16 * limits::kKiB;
    rocksdb::ColumnFamilyOptions family = family_options();
    family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (std::size_t f = 0; f < kFamilies; ++f) families.emplace_back(rocks_name(f), family);
    families.emplace_back(rocksdb::kDefaultColumnFamilyName, family);
    IMAPULT_CHECK(open_database(families));
    if (!options_.read_only) committer_ = std::thread([this] { run_committer(); });
    return {};
}

Result<void> RocksStore::open_database(
    const std::vector<rocksdb::ColumnFamilyDescriptor>& families) {
    const rocksdb::DBOptions options(database_options(options_));
    rocksdb::DB* database = nullptr;
    rocksdb::Status status;
    if (!options_.read_only) {
        status = rocksdb::DB::Open(options, folder_, families, &handles_, &database);
    } else {
        // The writer may delete a file between our look at the manifest and our opening it.
        for (int tries = 0; tries < kReadOnlyTries; ++tries) {
            status = rocksdb::DB::OpenForReadOnly(options, folder_, families, &handles_, &database);
            if (status.ok()) break;
        }
    }
    if (!status.ok()) return error_of(status, folder_);
    database_.reset(database);
    return {};
}

Result<std::string> RocksStore::get(Family family, std::string_view key) const {
    std::string value;
    const rocksdb::Status status = database_->Get(rocksdb::ReadOptions(), handle(family),
                                                  rocksdb::Slice(key.data(), key.size()), &value);
    if (status.IsNotFound()) {
        return fail(Code::not_found, Scope::run, Retry::never, "no such key in the store");
    }
    if (!status.ok()) return error_of(status, folder_);
    return value;
}

Result<void> RocksStore::scan(
    Family family, std::string_view first, std::string_view end,
    const std::function<bool(std::string_view, std::string_view)>& visit) const {
    const rocksdb::Slice upper(end.data(), end.size());
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &upper;
    options.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> it(database_->NewIterator(options, handle(family)));
    for (it->Seek(rocksdb::Slice(first.data(), first.size())); it->Valid(); it->Next()) {
        const rocksdb::Slice key = it->key();
        const rocksdb::Slice value = it->value();
        if (!visit({key.data(), key.size()}, {value.data(), value.size()})) return {};
    }
    if (!it->status().ok()) return error_of(it->status(), folder_);
    return {};
}

void RocksStore::commit(WriteBatch batch, bool durable, std::function<void(Result<void>)> done) {
    IMAPULT_ASSERT(!options_.read_only);
    bool wake = false;
    {
        const std::lock_guard lock(mutex_);
        IMAPULT_ASSERT(!stopping_);
        wake = queue_.empty();
        queue_.push_back({std::move(batch), durable, std::move(done)});
    }
    if (wake) queued_.notify_one();
}

/// Takes what is queued, up to a bound of bytes, writes it as one batch, reports in order.
void RocksStore::run_committer() {
    std::deque<Queued> group;
    while (true) {
        {
            std::unique_lock lock(mutex_);
            queued_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
            if (queue_.empty()) return;  // stopping, and everything is written
            std::size_t bytes = 0;
            while (!queue_.empty() && bytes < limits::kLedgerCommitGroupBytes) {
                for (const WriteBatch::Change& change : queue_.front().batch.changes) {
                    bytes += change.key.size() + change.value.size();
                }
                group.push_back(std::move(queue_.front()));
                queue_.pop_front();
            }
        }
        const Result<void> result = write(group);
        for (Queued& queued : group) {
            if (queued.done) queued.done(result);
        }
        group.clear();
    }
}

Result<void> RocksStore::write(const std::deque<Queued>& group) {
    rocksdb::WriteBatch writes;
    bool durable = false;
    for (const Queued& queued : group) {
        durable = durable || queued.durable;
        for (const WriteBatch::Change& change : queued.batch.changes) {
            const rocksdb::Status status =
                change.erase ? writes.Delete(handle(change.family), change.key)
                             : writes.Put(handle(change.family), change.key, change.value);
            if (!status.ok()) return error_of(status, folder_);
        }
    }
    rocksdb::WriteOptions options;
    options.sync = durable && options_.sync;
    const rocksdb::Status status = database_->Write(options, &writes);
    if (!status.ok()) return error_of(status, folder_);
    return {};
}

}  // namespace

Result<std::unique_ptr<Store>> open_rocks_store(const std::string& folder, OpenOptions options) {
    try {
        auto store = std::make_unique<RocksStore>(folder, options);
        IMAPULT_CHECK(store->open());
        return store;
    } catch (const std::exception& error) {
        return io_error(folder, printable(error.what()));
    }
}

}  // namespace imapult::dedup
