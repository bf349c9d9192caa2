#include "dedup/ledger.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "dedup/ledger_format.h"
#include "engine/base/limits.h"

namespace imapult::dedup {
namespace {

using format::Range;

void put(WriteBatch& batch, Family family, std::string key, std::string value) {
    batch.changes.push_back({family, std::move(key), std::move(value), false});
}
void erase(WriteBatch& batch, Family family, std::string key) {
    batch.changes.push_back({family, std::move(key), {}, true});
}

/// Numbers handed out from blocks whose end is recorded ahead. The record of a new block is queued
/// before any batch that can name a number of it, and batches become durable in order: a number
/// that survives a crash was always recorded before.
class Numbers {
  public:
    Numbers(std::string_view key, std::uint64_t block) : key_(key), block_(block) {}

    Result<void> open(Store& store, bool read_only) {
        Result<std::string> stored = store.get(Family::meta, key_);
        if (!stored && stored.error().code != Code::not_found) {
            return std::unexpected(std::move(stored).error());
        }
        if (stored) {
            IMAPULT_TRY(next_, format::decode_number(key_, *stored));
        }
        // Zero is no number of anything.
        next_ = std::max<std::uint64_t>(next_, 1);
        reserved_ = next_;
        if (read_only) return {};
        return store.commit_and_wait(reserve());
    }

    /// Read only, numbers name what will be forgotten: nothing is recorded of them.
    std::uint64_t take(Store& store, bool read_only) {
        const std::lock_guard lock(mutex_);
        const std::uint64_t number = next_++;
        if (read_only) return number;
        // Early, so that the record is durable long before its first number is in use.
        if (next_ + block_ / 2 >= reserved_) store.commit(reserve(), true, [](Result<void>) {});
        return number;
    }

  private:
    WriteBatch reserve() {
        reserved_ += block_;
        WriteBatch batch;
        put(batch, Family::meta, std::string(key_), format::encode_number(reserved_));
        return batch;
    }

    std::string_view key_;
    std::uint64_t block_;
    std::mutex mutex_;
    std::uint64_t next_ = 0;
    std::uint64_t reserved_ = 0;
};

Result<std::string> random_secret() {
    std::string secret(format::kSecretBytes, '\0');
    // getrandom(2) gives up to 256 octets whole.
    if (getrandom(secret.data(), secret.size(), 0) != static_cast<ssize_t>(secret.size())) {
        return fail(Code::io, Scope::run, Retry::later,
                    std::string("no random numbers from the system: ") + std::strerror(errno));
    }
    return secret;
}

}  // namespace

void Batch::put_mailbox(const MailboxRecord& record) {
    put(writes_, Family::mailboxes, format::mailbox_key(record.account, record.id),
        format::encode(record));
}

void Batch::put_message(MailboxId mailbox, const MessageRecord& record) {
    put(writes_, Family::messages, format::message_key(mailbox, record.source_uid),
        format::encode(record));
}

void Batch::erase_message(MailboxId mailbox, std::uint32_t source_uid) {
    erase(writes_, Family::messages, format::message_key(mailbox, source_uid));
}

void Batch::put_intent(const Intent& intent) {
    put(writes_, Family::intents, format::intent_key(intent.mailbox, intent.sequence),
        format::encode(intent));
    durable_ = true;
}

void Batch::erase_intent(MailboxId mailbox, std::uint64_t sequence) {
    erase(writes_, Family::intents, format::intent_key(mailbox, sequence));
}

void Batch::put_refusal(AccountId account, const Refusal& refusal) {
    put(writes_, Family::refusals,
        format::refusal_key(account, refusal.mailbox, refusal.source_uid), format::encode(refusal));
}

void Batch::erase_refusal(AccountId account, MailboxId mailbox, std::uint32_t source_uid) {
    erase(writes_, Family::refusals, format::refusal_key(account, mailbox, source_uid));
}

void Batch::put_spent(AccountId account, const Spent& spent) {
    put(writes_, Family::accounts, format::spent_key(account), format::encode(spent));
}

void Batch::put_host(const HostRecord& host) {
    put(writes_, Family::accounts, format::host_key(host.host), format::encode(host));
}

void Batch::put_rights(AccountId account, const RightsRecord& rights) {
    put(writes_, Family::accounts, format::rights_key(account, rights.mailbox),
        format::encode(rights));
}

void Batch::put_pass(AccountId account, const Pass& pass) {
    put(writes_, Family::passes, format::pass_key(account), format::encode(pass));
}

struct Ledger::State {
    std::unique_ptr<Store> store;
    bool read_only = false;
    std::string secret;
    std::mutex accounts;  // held while an account is looked up and created
    Numbers mailbox_ids{format::kKeyMailboxIds, limits::kMailboxIdBlock};
    Numbers intent_sequences{format::kKeyIntentSequences, limits::kIntentSequenceBlock};

    /// Decodes every record in `range` with `decode`; `visit(record)` returns false to stop.
    template <class Record, class Visit>
    Result<void> each(Family family, const Range& range,
                      Result<Record> (*decode)(std::string_view, std::string_view),
                      Visit visit) const {
        Result<void> outcome;
        IMAPULT_CHECK(store->scan(family, range.first, range.end,
                                  [&](std::string_view key, std::string_view value) {
                                      Result<Record> record = decode(key, value);
                                      if (!record) {
                                          outcome = std::unexpected(std::move(record).error());
                                          return false;
                                      }
                                      return static_cast<bool>(visit(*record));
                                  }));
        return outcome;
    }

    template <class Record>
    Result<std::vector<Record>> all(Family family, const Range& range,
                                    Result<Record> (*decode)(std::string_view,
                                                             std::string_view)) const {
        std::vector<Record> records;
        IMAPULT_CHECK(each(family, range, decode, [&](Record& record) {
            records.push_back(std::move(record));
            return true;
        }));
        return records;
    }

    Result<void> create();
    Result<void> check_version();
};

/// A new ledger: version and secret in one durable batch, so that neither stands without the other.
Result<void> Ledger::State::create() {
    bool empty = true;
    for (std::uint8_t f = 0; f < static_cast<std::uint8_t>(Family::count_); ++f) {
        IMAPULT_CHECK(store->scan(static_cast<Family>(f), {}, std::string(16, '\xFF'),
                                  [&](std::string_view, std::string_view) {
                                      empty = false;
                                      return false;
                                  }));
    }
    if (!empty) {
        return std::unexpected(
            format::damaged(Family::meta, format::kKeyVersion, "the format version is missing"));
    }
    if (read_only) {
        return fail(Code::not_found, Scope::run, Retry::never,
                    "the state directory holds no ledger yet; copy or migrate first");
    }
    IMAPULT_TRY(secret, random_secret());
    WriteBatch batch;
    put(batch, Family::meta, std::string(format::kKeyVersion),
        format::encode_number(format::kVersion));
    put(batch, Family::meta, std::string(format::kKeySecret), secret);
    return store->commit_and_wait(std::move(batch));
}

Result<void> Ledger::State::check_version() {
    Result<std::string> stored = store->get(Family::meta, format::kKeyVersion);
    if (!stored) {
        if (stored.error().code == Code::not_found) return create();
        return std::unexpected(std::move(stored).error());
    }
    IMAPULT_TRY(const std::uint64_t version, format::decode_number(format::kKeyVersion, *stored));
    if (version < format::kVersionOldest || version > format::kVersion) {
        return fail(Code::state_version, Scope::run, Retry::never,
                    "the ledger is of format " + std::to_string(version) +
                        ", this imapult reads up to format " + std::to_string(format::kVersion) +
                        "; use the imapult that wrote it, or another state directory: what was "
                        "copied is recognised at the destination and not copied twice");
    }
    Result<std::string> kept = store->get(Family::meta, format::kKeySecret);
    if (!kept && kept.error().code != Code::not_found) {
        return std::unexpected(std::move(kept).error());
    }
    if (!kept || kept->size() != format::kSecretBytes) {
        return std::unexpected(format::damaged(Family::meta, format::kKeySecret,
                                               "the digest secret is missing or cut"));
    }
    secret = std::move(*kept);
    if (version == format::kVersion || read_only) return {};
    // Every record of an older format reads the same; the number keeps an older imapult from
    // taking newer ones for damage.
    WriteBatch batch;
    put(batch, Family::meta, std::string(format::kKeyVersion),
        format::encode_number(format::kVersion));
    return store->commit_and_wait(std::move(batch));
}

Ledger::Ledger(std::unique_ptr<Store> store) : state_(std::make_unique<State>()) {
    state_->store = std::move(store);
}

Ledger::~Ledger() = default;

Result<std::unique_ptr<Ledger>> Ledger::open(std::unique_ptr<Store> store, bool read_only) {
    std::unique_ptr<Ledger> ledger(new Ledger(std::move(store)));
    State& state = *ledger->state_;
    state.read_only = read_only;
    IMAPULT_CHECK(state.check_version());
    IMAPULT_CHECK(state.mailbox_ids.open(*state.store, read_only));
    IMAPULT_CHECK(state.intent_sequences.open(*state.store, read_only));
    return ledger;
}

std::string_view Ledger::digest_secret() const {
    return state_->secret;
}

Result<AccountRecord> Ledger::open_account(const std::string& source,
                                           const std::string& destination) {
    const std::lock_guard lock(state_->accounts);
    Store& store = *state_->store;
    const std::string name_key = format::account_name_key(source, destination);
    Result<std::string> known = store.get(Family::accounts, name_key);
    if (!known && known.error().code != Code::not_found) {
        return std::unexpected(std::move(known).error());
    }
    AccountRecord record{.id = 0, .source = source, .destination = destination, .last_pass = {}};
    if (known) {
        IMAPULT_TRY(const std::uint64_t id, format::decode_number(name_key, *known));
        record.id = static_cast<AccountId>(id);
        const std::string key = format::pass_key(record.id);
        Result<std::string> pass = store.get(Family::passes, key);
        if (pass) {
            IMAPULT_TRY(record.last_pass, format::decode_pass(key, *pass));
        } else if (pass.error().code != Code::not_found) {
            return std::unexpected(std::move(pass).error());
        }
        return record;
    }
    Result<std::string> next = store.get(Family::meta, format::kKeyNextAccount);
    std::uint64_t id = 1;
    if (next) {
        IMAPULT_TRY(id, format::decode_number(format::kKeyNextAccount, *next));
    } else if (next.error().code != Code::not_found) {
        return std::unexpected(std::move(next).error());
    }
    record.id = static_cast<AccountId>(id);
    if (state_->read_only) return record;
    WriteBatch batch;
    put(batch, Family::meta, std::string(format::kKeyNextAccount), format::encode_number(id + 1));
    put(batch, Family::accounts, name_key, format::encode_number(id));
    put(batch, Family::accounts, format::account_key(record.id), format::encode(record));
    IMAPULT_CHECK(store.commit_and_wait(std::move(batch)));
    return record;
}

Result<std::vector<AccountRecord>> Ledger::accounts() const {
    IMAPULT_TRY(auto records,
                state_->all(Family::accounts, format::account_range(), format::decode_account));
    std::map<AccountId, Pass> passes;
    Result<void> outcome;
    IMAPULT_CHECK(state_->store->scan(Family::passes, {}, std::string(16, '\xFF'),
                                      [&](std::string_view key, std::string_view value) {
                                          Result<Pass> pass = format::decode_pass(key, value);
                                          if (!pass) {
                                              outcome = std::unexpected(std::move(pass).error());
                                              return false;
                                          }
                                          passes.emplace(format::account_of_pass(key),
                                                         std::move(*pass));
                                          return true;
                                      }));
    IMAPULT_CHECK(outcome);
    for (AccountRecord& record : records) {
        if (const auto pass = passes.find(record.id); pass != passes.end()) {
            record.last_pass = std::move(pass->second);
        }
    }
    return records;
}

Result<std::vector<HostRecord>> Ledger::hosts() const {
    return state_->all(Family::accounts, format::host_range(), format::decode_host);
}

Result<std::map<AccountId, Spent>> Ledger::spent() const {
    std::map<AccountId, Spent> out;
    Result<void> outcome;
    const format::Range range = format::spent_range();
    IMAPULT_CHECK(state_->store->scan(Family::accounts, range.first, range.end,
                                      [&](std::string_view key, std::string_view value) {
                                          Result<Spent> spent = format::decode_spent(key, value);
                                          if (!spent) {
                                              outcome = std::unexpected(std::move(spent).error());
                                              return false;
                                          }
                                          out.emplace(format::account_of_spent(key), *spent);
                                          return true;
                                      }));
    IMAPULT_CHECK(outcome);
    return out;
}

Result<std::vector<RightsRecord>> Ledger::rights(AccountId account) const {
    return state_->all(Family::accounts, format::rights_range(account), format::decode_rights);
}

Result<std::vector<MailboxRecord>> Ledger::mailboxes(AccountId account) const {
    return state_->all(Family::mailboxes, format::range_of(account), format::decode_mailbox);
}

MailboxId Ledger::new_mailbox_id() {
    const std::uint64_t id = state_->mailbox_ids.take(*state_->store, state_->read_only);
    IMAPULT_ASSERT(id <= UINT32_MAX);
    return static_cast<MailboxId>(id);
}

std::uint64_t Ledger::new_intent_sequence() {
    return state_->intent_sequences.take(*state_->store, state_->read_only);
}

Result<std::vector<MessageRecord>> Ledger::messages(MailboxId mailbox, std::uint32_t first,
                                                    std::uint32_t last) const {
    return state_->all(Family::messages, format::message_range(mailbox, first, last),
                       format::decode_message);
}

Result<void> Ledger::visit_messages(MailboxId mailbox, std::uint32_t first, std::uint32_t last,
                                    const std::function<bool(const MessageRecord&)>& visit) const {
    return state_->each(Family::messages, format::message_range(mailbox, first, last),
                        format::decode_message,
                        [&](const MessageRecord& record) { return visit(record); });
}

Result<std::vector<Intent>> Ledger::intents(MailboxId mailbox) const {
    return state_->all(Family::intents, format::range_of(mailbox), format::decode_intent);
}

Result<std::vector<Refusal>> Ledger::refusals(AccountId account) const {
    return state_->all(Family::refusals, format::range_of(account), format::decode_refusal);
}

Result<Ledger::Counts> Ledger::counts(MailboxId mailbox) const {
    Counts counts;
    IMAPULT_CHECK(visit_messages(mailbox, 0, UINT32_MAX, [&](const MessageRecord& record) {
        ++(record.state == MessageState::represented ? counts.represented : counts.messages);
        if (record.state == MessageState::refused) ++counts.refused;
        return true;
    }));
    IMAPULT_CHECK(state_->each(Family::intents, format::range_of(mailbox), format::decode_intent,
                               [&](const Intent&) {
                                   ++counts.intents;
                                   return true;
                               }));
    return counts;
}

void Ledger::commit(Batch batch, std::function<void(Result<void>)> done) {
    IMAPULT_ASSERT(!state_->read_only);
    state_->store->commit(std::move(batch.writes_), batch.durable_, std::move(done));
}

}  // namespace imapult::dedup
