// The bytes of FORMAT.md: examples octet by octet, round trips, and damage of every kind.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <type_traits>

#include "dedup/ledger.h"
#include "dedup/ledger_format.h"
#include "dedup/memory_store.h"
#include "engine/base/random.h"
#include "temporary_folder.h"

namespace imapult::dedup {
namespace {

std::string hex(std::string_view bytes) {
    std::string out;
    for (const char c : bytes) {
        out += "0123456789abcdef"[static_cast<std::uint8_t>(c) >> 4];
        out += "0123456789abcdef"[static_cast<std::uint8_t>(c) & 15];
    }
    return out;
}

const Digest128 kDigest = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr std::string_view kDigestHex = "000102030405060708090a0b0c0d0e0f";

AccountRecord account() {
    return {.id = 7, .source = "a@s", .destination = "b@d"};
}

MailboxRecord mailbox() {
    MailboxRecord m;
    m.account = 7;
    m.id = 258;
    m.archived = true;
    m.complete = true;
    m.source_name = "INBOX";
    m.destination_name = "In";
    m.source_uid_validity = 1;
    m.destination_uid_validity = 128;
    m.source_uid_next = 4294967295U;
    m.source_highest_modseq = 1ULL << 63;
    m.source_messages = 3;
    m.destination_uid_next = 4;
    m.destination_highest_modseq = 5;
    m.destination_messages = 6;
    m.source_mailbox_id = "F1";
    m.source_flags_checked_at = 300;
    return m;
}

MessageRecord message() {
    return {.source_uid = 5,
            .state = MessageState::adopted,
            .destination_uid = 300,
            .size = 4096,
            .digest = kDigest,
            .base = {.system = kSeen | kDraft, .keywords = "$A b"}};
}

MailboxRecord gone_mailbox() {
    MailboxRecord m = mailbox();
    m.gone = 256;
    m.removing = true;
    return m;
}

MessageRecord gone_message() {
    MessageRecord m = message();
    m.state = MessageState::copied;
    m.gone = m.removing = true;
    m.object = 0x0102030405060708;
    return m;
}

MessageRecord storing_message() {
    MessageRecord m{.source_uid = 5};
    m.storing = Flags{.system = kSeen, .keywords = "a b"};
    return m;
}

Intent intent() {
    return {.mailbox = 258,
            .sequence = 4097,
            .destination_uid_validity = 9,
            .floor = 10,
            .items = {{.source_uid = 1, .size = 2, .digest = kDigest},
                      {.source_uid = 300, .size = 128, .digest = {}}}};
}

Intent dated_intent() {
    Intent dated = intent();
    dated.items.front().date = -1;
    dated.items.back().flags = Flags{.system = kSeen, .keywords = "a b"};
    return dated;
}

Refusal refusal() {
    return {.mailbox = 258,
            .source_uid = 5,
            .mailbox_name = "M",
            .message_id = "<i>",
            .subject = "s",
            .reason = "no",
            .date = -1,
            .size = 130,
            .first_seen = 2,
            .tries = 3};
}

Pass pass() {
    return {.started = 1,
            .finished = 2,
            .result = "partial",
            .source = 21,
            .already_there = 1,
            .copied = 2,
            .adopted = 3,
            .refused = 4,
            .skipped = 11};
}

Pass followed_pass() {
    Pass p = pass();
    p.lag_ms = 300;
    return p;
}

TEST(Format, KeysAreAsDocumented) {
    EXPECT_EQ(hex(format::account_key(7)), "6900000007");
    EXPECT_EQ(hex(format::account_name_key("a@s", "b")), "6e0000000361407362");
    EXPECT_EQ(hex(format::mailbox_key(7, 258)), "0000000700000102");
    EXPECT_EQ(hex(format::message_key(258, 4294967295U)), "00000102ffffffff");
    EXPECT_EQ(hex(format::intent_key(258, 4097)), "000001020000000000001001");
    EXPECT_EQ(hex(format::refusal_key(7, 258, 5)), "000000070000010200000005");
    EXPECT_EQ(hex(format::pass_key(7)), "00000007");
    EXPECT_EQ(hex(format::rights_key(7, 258)), "720000000700000102");
}

TEST(Format, ValuesAreAsDocumented) {
    EXPECT_EQ(hex(format::encode_number(258)), "0000000000000102");
    EXPECT_EQ(hex(format::encode(account())), "010361407303624064");
    EXPECT_EQ(hex(format::encode(mailbox())),
              "010305494e424f5802496e"
              "018001ffffffff0f80808080808080808001"
              "03040506024631ac02");
    EXPECT_EQ(hex(format::encode(message())),
              "1271ac028020" + std::string(kDigestHex) + "0424412062");
    EXPECT_EQ(hex(format::encode(MessageRecord{.source_uid = 5})), "11000000");
    EXPECT_EQ(hex(format::encode(gone_mailbox())),
              "020705494e424f5802496e"
              "018001ffffffff0f80808080808080808001"
              "03040506024631ac028002");
    EXPECT_EQ(hex(format::encode(gone_message())),
              "217107ac0280200102030405060708" + std::string(kDigestHex) + "0424412062");
    EXPECT_EQ(hex(format::encode(storing_message())), "21000800000103612062");
    EXPECT_EQ(hex(format::encode(intent())),
              "01090a02010201" + std::string(kDigestHex) + "ac02800100");
    EXPECT_EQ(hex(format::encode(dated_intent())), "02090a02010203" + std::string(kDigestHex) +
                                                       "ffffffffffffffff" + "ac0280010401" +
                                                       "03612062");
    EXPECT_EQ(hex(format::encode(refusal())),
              "01014d033c693e0173026e6fffffffffffffffff8201000000000000000203");
    EXPECT_EQ(hex(format::encode(pass())),
              "0100000000000000010000000000000002077061727469616c15010203040b");
    EXPECT_EQ(hex(format::encode(followed_pass())),
              "0200000000000000010000000000000002077061727469616c15010203040bac02");
    EXPECT_EQ(hex(format::encode(RightsRecord{258, "lr bob\n"})), "01076c7220626f620a");
}

TEST(Format, VersionIsTheOneDocumented) {
    EXPECT_EQ(format::kVersion, 4U);
}

TEST(Format, WhatIsKeptForBudgetsAndHosts) {
    EXPECT_EQ(hex(format::spent_key(7)), "7300000007");
    EXPECT_EQ(hex(format::encode(Spent{19'676, 300, 5})), "01dc9901ac0205");
    EXPECT_EQ(hex(format::host_key("a.b")), "68612e62");
    const std::string value = format::encode(HostRecord{"a.b", 300, 2});
    EXPECT_EQ(hex(value), "01ac0202");
    const auto host = format::decode_host("ha.b", value);
    ASSERT_TRUE(host);
    EXPECT_EQ(host->host, "a.b");
    EXPECT_EQ(host->window_bytes, 300U);
    EXPECT_EQ(host->connections, 2U);
    EXPECT_FALSE(format::decode_host("ia.b", value));
    EXPECT_FALSE(format::decode_host("ha.b", value + value));
}

/// One kind of record: its key and value, and whether (and as what) a value is read again.
struct Kind {
    std::string name, key, value;
    std::function<std::optional<std::string>(std::string_view, std::string_view)> reencode;
    std::string family;
};

template <class Record>
Kind kind(std::string name, std::string key, std::string value, std::string family,
          Result<Record> (*decode)(std::string_view, std::string_view)) {
    return {std::move(name), std::move(key), std::move(value),
            [decode](std::string_view k, std::string_view v) -> std::optional<std::string> {
                auto record = decode(k, v);
                if (record) {
                    if constexpr (std::is_same_v<Record, std::uint64_t>) {
                        return format::encode_number(*record);
                    } else {
                        return format::encode(*record);
                    }
                }
                EXPECT_EQ(record.error().code, Code::state_damaged);
                return std::nullopt;
            },
            std::move(family)};
}

std::vector<Kind> kinds() {
    using namespace format;
    return {
        kind("number", "secret", encode_number(77), "meta", decode_number),
        kind("account", account_key(7), encode(account()), "accounts", decode_account),
        kind("mailbox", mailbox_key(7, 258), encode(mailbox()), "mailboxes", decode_mailbox),
        kind("message", message_key(258, 5), encode(message()), "messages", decode_message),
        kind("gone mailbox", mailbox_key(7, 258), encode(gone_mailbox()), "mailboxes",
             decode_mailbox),
        kind("gone message", message_key(258, 5), encode(gone_message()), "messages",
             decode_message),
        kind("intent", intent_key(258, 4097), encode(intent()), "intents", decode_intent),
        kind("dated intent", intent_key(258, 4097), encode(dated_intent()), "intents",
             decode_intent),
        kind("refusal", refusal_key(7, 258, 5), encode(refusal()), "refusals", decode_refusal),
        kind("pass", pass_key(7), encode(pass()), "passes", decode_pass),
        kind("rights", rights_key(7, 258), encode(RightsRecord{258, "lr bob\n"}), "accounts",
             decode_rights),
        kind("followed pass", pass_key(7), encode(followed_pass()), "passes", decode_pass),
        kind("spent", spent_key(7), encode(Spent{19'676, 300, 5}), "accounts", decode_spent),
    };
}

TEST(Format, EveryRecordIsReadAsItWasWritten) {
    for (const Kind& k : kinds()) EXPECT_EQ(k.reencode(k.key, k.value), k.value) << k.name;
    const auto m = format::decode_mailbox(format::mailbox_key(7, 258), format::encode(mailbox()));
    ASSERT_TRUE(m);
    EXPECT_EQ(m->account, 7U);
    EXPECT_EQ(m->id, 258U);
    EXPECT_EQ(m->source_highest_modseq, 1ULL << 63);
    const auto r =
        format::decode_refusal(format::refusal_key(7, 258, 5), format::encode(refusal()));
    ASSERT_TRUE(r);
    EXPECT_EQ(r->date, -1);
    EXPECT_EQ(r->mailbox, 258U);
    EXPECT_EQ(r->source_uid, 5U);
}

TEST(Format, ACutOrLongerValueIsDamage) {
    for (const Kind& k : kinds()) {
        for (std::size_t size = 0; size < k.value.size(); ++size) {
            EXPECT_FALSE(k.reencode(k.key, k.value.substr(0, size))) << k.name << " " << size;
        }
        EXPECT_FALSE(k.reencode(k.key, k.value + '\0')) << k.name;
        if (k.name == "number") continue;  // its key is a name
        EXPECT_FALSE(k.reencode(k.key.substr(1), k.value)) << k.name;
        EXPECT_FALSE(k.reencode(k.key + '\0', k.value)) << k.name;
    }
}

TEST(Format, AnotherLayoutIsDamage) {
    for (const Kind& k : kinds()) {
        if (k.name == "number") continue;
        std::string value = k.value;
        value[0] = static_cast<char>(value[0] ^ 0x40);
        EXPECT_FALSE(k.reencode(k.key, value)) << k.name;
    }
}

/// What a decoder takes is exactly what the encoder writes: no two byte strings are one record.
TEST(Format, OnlyWhatTheEncoderWritesIsTaken) {
    const std::uint64_t seed = 31;
    Random random(seed);
    std::size_t taken = 0;
    const std::vector<Kind> all = kinds();
    for (int round = 0; round < 200'000; ++round) {
        const Kind& k = all[random.below(all.size())];
        std::string value = k.value;
        for (std::uint64_t i = random.between(1, 3); i > 0; --i) {
            value[random.below(value.size())] = static_cast<char>(random.next());
        }
        if (random.chance(0.2)) value.resize(random.below(value.size() + 8));
        if (value.empty()) continue;
        if (const auto again = k.reencode(k.key, value)) {
            ASSERT_EQ(hex(*again), hex(value)) << k.name << " seed " << seed;
            ++taken;
        }
    }
    EXPECT_GT(taken, 1000U);
}

TEST(Format, DamageNamesFamilyAndKey) {
    auto disk = std::make_shared<MemoryDisk>();
    {
        ASSERT_TRUE(Ledger::open(open_memory_store(disk), false));
    }
    WriteBatch batch;
    batch.changes.push_back({Family::messages, format::message_key(3, 4), "\x11", false});
    ASSERT_TRUE(open_memory_store(disk)->commit_and_wait(std::move(batch)));
    auto ledger = Ledger::open(open_memory_store(disk), false);
    ASSERT_TRUE(ledger);
    const auto messages = (*ledger)->messages(3, 0, UINT32_MAX);
    ASSERT_FALSE(messages);
    EXPECT_EQ(messages.error().code, Code::state_damaged);
    EXPECT_NE(messages.error().text.find("family messages, key 0000000300000004"),
              std::string::npos)
        << messages.error().text;
    EXPECT_FALSE((*ledger)->counts(3));
    EXPECT_TRUE((*ledger)->messages(4, 0, UINT32_MAX)) << "others can be read";
}

TEST(Format, AnotherVersionIsRefused) {
    auto disk = std::make_shared<MemoryDisk>();
    {
        ASSERT_TRUE(Ledger::open(open_memory_store(disk), false));
    }
    WriteBatch batch;
    batch.changes.push_back(
        {Family::meta, "format", format::encode_number(format::kVersion + 1), false});
    ASSERT_TRUE(open_memory_store(disk)->commit_and_wait(std::move(batch)));
    for (const bool read_only : {false, true}) {
        const auto ledger = Ledger::open(open_memory_store(disk), read_only);
        ASSERT_FALSE(ledger);
        EXPECT_EQ(ledger.error().code, Code::state_version);
    }
}

TEST(Format, AnOlderVersionIsReadAndBecomesThisOneWhenItIsWritten) {
    auto disk = std::make_shared<MemoryDisk>();
    {
        ASSERT_TRUE(Ledger::open(open_memory_store(disk), false));
    }
    WriteBatch batch;
    batch.changes.push_back({Family::meta, "format", format::encode_number(1), false});
    batch.changes.push_back({Family::messages, format::message_key(3, 4),
                             format::encode(MessageRecord{.source_uid = 4}), false});
    ASSERT_TRUE(open_memory_store(disk)->commit_and_wait(std::move(batch)));
    for (const bool read_only : {true, false}) {
        const auto ledger = Ledger::open(open_memory_store(disk), read_only);
        ASSERT_TRUE(ledger);
        const auto messages = (*ledger)->messages(3, 0, UINT32_MAX);
        ASSERT_TRUE(messages);
        ASSERT_EQ(messages->size(), 1U);
        EXPECT_FALSE(messages->front().gone);
        const auto version = open_memory_store(disk)->get(Family::meta, "format");
        ASSERT_TRUE(version);
        EXPECT_EQ(*version, format::encode_number(read_only ? 1 : 4));
    }
}

TEST(Format, AMissingSecretOrVersionIsDamage) {
    for (const std::string key : {"format", "secret"}) {
        auto disk = std::make_shared<MemoryDisk>();
        {
            ASSERT_TRUE(Ledger::open(open_memory_store(disk), false));
        }
        WriteBatch batch;
        batch.changes.push_back({Family::meta, key, {}, true});
        ASSERT_TRUE(open_memory_store(disk)->commit_and_wait(std::move(batch)));
        const auto ledger = Ledger::open(open_memory_store(disk), false);
        ASSERT_FALSE(ledger) << key;
        EXPECT_EQ(ledger.error().code, Code::state_damaged);
    }
}

TEST(RocksStoreErrors, NothingThereIsNotFoundForAReader) {
    TemporaryFolder folder;
    const auto store = open_rocks_store(folder.path() + "/none", {.read_only = true});
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, Code::not_found);
    EXPECT_FALSE(std::filesystem::exists(folder.path() + "/none")) << "a reader makes nothing";
}

TEST(RocksStoreErrors, DamagedFilesAreNamedSo) {
    // The current manifest is named by CURRENT; each file is overwritten in its turn.
    for (const std::string victim : {"CURRENT", "MANIFEST", ".sst"}) {
        TemporaryFolder folder;
        for (int round = 0; round < 2; ++round) {  // a second open writes the tables
            auto ledger = Ledger::open(open_rocks_store(folder.path(), {}).value(), false);
            ASSERT_TRUE(ledger);
            ASSERT_TRUE((*ledger)->open_account("s", std::to_string(round)));
        }
        bool found = false;
        for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
            if (file.path().string().find(victim) == std::string::npos) continue;
            found = true;
            std::ofstream(file.path(), std::ios::trunc) << "damage";
        }
        ASSERT_TRUE(found) << victim;
        auto store = open_rocks_store(folder.path(), {});
        Error error;
        if (store) {
            auto ledger = Ledger::open(std::move(*store), false);
            ASSERT_FALSE(ledger) << victim;
            error = ledger.error();
        } else {
            error = store.error();
        }
        EXPECT_EQ(error.code, Code::state_damaged) << victim << ": " << error.text;
        EXPECT_NE(error.text.find("not copied twice"), std::string::npos) << error.text;
    }
}

TEST(RocksStoreErrors, AFolderThatCannotBeMadeIsAnIoError) {
    TemporaryFolder folder;
    std::ofstream(folder.path() + "/file") << "x";
    for (const std::string& path : {folder.path() + "/file", folder.path() + "/file/state"}) {
        const auto store = open_rocks_store(path, {});
        ASSERT_FALSE(store);
        EXPECT_EQ(store.error().code, Code::io) << store.error().text;
        EXPECT_NE(store.error().text.find(path), std::string::npos);
        EXPECT_NE(store.error().text.find("give another one"), std::string::npos);
    }
}

}  // namespace
}  // namespace imapult::dedup
