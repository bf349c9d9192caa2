#pragma once
// What was sent before, per account: a small RocksDB of the importers' own in <state>/import. Its
// bytes are described in FORMAT.md. Losing it duplicates nothing: the destination is read back
// before each run.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace rocksdb {
class DB;
}

namespace imapult::importers {

/// Thread-safe.
class Ledger {
  public:
    /// Opens or creates `<state>/import`. Errors: state_locked, state_damaged, state_version, io.
    static Result<std::unique_ptr<Ledger>> open(const std::string& state_directory);
    ~Ledger();
    Ledger(const Ledger&) = delete;
    Ledger& operator=(const Ledger&) = delete;

    /// A calendar item that the read-back has confirmed.
    struct CalendarEntry {
        std::uint32_t sequence = 0;
        std::string digest;  ///< 32 octets, CleanItem::digest
        std::string folder;
    };
    [[nodiscard]] Result<std::optional<CalendarEntry>> calendar(std::string_view account,
                                                                std::string_view uid) const;
    Result<> put_calendar(std::string_view account, std::string_view uid,
                          const CalendarEntry& entry);

    /// A contact (32 octet digest of its fields) that the read-back has confirmed, and the digest
    /// under which the destination's export shows it.
    [[nodiscard]] Result<std::optional<std::string>> contact(std::string_view account,
                                                             std::string_view digest) const;
    Result<> put_contact(std::string_view account, std::string_view digest, std::string_view shown);

    /// The destination folder that a source calendar or address book was given.
    [[nodiscard]] Result<std::optional<std::string>> folder(std::string_view account,
                                                            std::string_view source) const;
    Result<> put_folder(std::string_view account, std::string_view source, std::string_view folder);

    /// Makes everything put so far durable.
    Result<> sync();

  private:
    explicit Ledger(std::unique_ptr<rocksdb::DB> db);
    [[nodiscard]] Result<std::optional<std::string>> get(const std::string& key) const;
    Result<> put(const std::string& key, const std::string& value);

    std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace imapult::importers
