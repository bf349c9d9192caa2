#pragma once
// Every bound of the program by name. Relations between them are held by static_assert, so that a
// change of one cannot silently break another.

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace imapult::limits {

using namespace std::chrono_literals;

inline constexpr std::size_t kKiB = 1024;
inline constexpr std::size_t kMiB = 1024 * kKiB;

// What a server may send us.
inline constexpr std::size_t kLineBytesMax = 1 * kMiB;  ///< one response without its literals
inline constexpr std::uint64_t kLiteralBytesMax = 2048ULL * kMiB;  ///< one literal (streamed)
inline constexpr std::size_t kSmallLiteralBytesMax = 64 * kKiB;  ///< a literal outside FETCH (kept)
inline constexpr std::size_t kLiteralsPerResponseMax = 1024;
inline constexpr std::size_t kNestingMax = 64;  ///< parentheses in a response
inline constexpr std::size_t kMailboxesPerAccountMax = 100'000;
inline constexpr std::size_t kMailboxNameBytesMax = 4 * kKiB;
inline constexpr std::size_t kFlagsPerMessageMax = 256;
inline constexpr std::size_t kFlagBytesMax = 255;
inline constexpr std::size_t kCapabilitiesMax = 512;
inline constexpr std::size_t kGarbageLinesMax = 3;  ///< then the connection is given up

// Messages on their way.
inline constexpr std::size_t kStoreAndForwardBytesMax = 256 * kKiB;  ///< above: cut-through
inline constexpr std::size_t kGroupMessagesMax = 64;
inline constexpr std::size_t kGroupBytesMax = 4 * kMiB;
inline constexpr std::size_t kGroupsInFlightMax = 32;           ///< per lane, unacknowledged
inline constexpr std::size_t kFetchWindowBytes = 4 * kMiB;      ///< asked for by one UID FETCH
inline constexpr std::size_t kLaneBufferedBytesMax = 8 * kMiB;  ///< fetched, not yet written
static_assert(kStoreAndForwardBytesMax <= kGroupBytesMax);
static_assert(kGroupBytesMax <= kLaneBufferedBytesMax);

// The ring.
inline constexpr std::size_t kReceiveBlockBytes = 64 * kKiB;
inline constexpr std::size_t kReceiveBlocks = 128;  ///< provided buffers per shard
inline constexpr unsigned kRingEntries = 1024;
inline constexpr std::size_t kSendSlabBytes = 256 * kKiB;
inline constexpr std::size_t kSendBytesMax = 1024 * kMiB;  ///< one send; results are 32 bits

// Connections.
inline constexpr std::size_t kAddressesPerHostMax = 16;       ///< tried by one connect
inline constexpr std::size_t kTlsSessionsPerHostMax = 8;      ///< kept for resumption
inline constexpr std::size_t kTlsHostsMax = 1024;             ///< hosts with kept sessions
inline constexpr std::size_t kInflateBlockBytes = 64 * kKiB;  ///< handed out at once
inline constexpr int kKeepAliveIdleSeconds = 60;
inline constexpr int kKeepAliveIntervalSeconds = 15;
inline constexpr int kKeepAliveProbes = 4;

// The ledger.
inline constexpr std::size_t kLedgerTextBytesMax = 64 * kKiB;     ///< one text in a record
inline constexpr std::size_t kLedgerWriteBufferBytes = 4 * kMiB;  ///< memtables of all families
inline constexpr std::size_t kLedgerCacheBytes = 4 * kMiB;
inline constexpr int kLedgerOpenFilesMax = 64;
inline constexpr std::size_t kLedgerLogBytesMax = 16 * kMiB;      ///< write-ahead log
inline constexpr std::size_t kLedgerCommitGroupBytes = 1 * kMiB;  ///< one write of the committer
inline constexpr std::uint32_t kMailboxIdBlock = 256;             ///< ids reserved at a time
inline constexpr std::uint64_t kIntentSequenceBlock = 4096;

// Time.
inline constexpr auto kConnectTimeout = 15s;
inline constexpr auto kTlsHandshakeTimeout = 30s;
inline constexpr auto kCloseTimeout = 5s;  ///< for close_notify to leave
inline constexpr auto kGreetingTimeout = 60s;
inline constexpr auto kLoginTimeout = 60s;
inline constexpr auto kCommandStallTimeout = 600s;  ///< no byte in or out while a command is open
inline constexpr auto kHappyEyeballsDelay = 250ms;  ///< RFC 8305, section 5
inline constexpr auto kBackoffFirst = 1s;
inline constexpr auto kBackoffMax = 300s;
inline constexpr unsigned kReconnectsPerAccountMax = 6;  ///< without progress in between

// Following an account.
inline constexpr auto kWatchRenewal = 9min;        ///< a connection that only listens is used
inline constexpr auto kWatchAnswerTimeout = 60s;   ///< for its answers
inline constexpr unsigned kWatchesOpeningMax = 8;  ///< per shard
inline constexpr unsigned kIdlersMax = 2;          ///< connections in IDLE besides the INBOX's
inline constexpr auto kLookIntervalMin = 1s;       ///< between two looks at all mailboxes
inline constexpr auto kLookIntervalMax = 30s;
inline constexpr auto kPassGapMin = 200ms;  ///< between two passes of an account
inline constexpr auto kPassGapMax = 5s;
inline constexpr auto kPassAnyway = 300s;         ///< a pass although nothing was told
inline constexpr auto kPassAnywayForFlags = 30s;  ///< where STATUS does not tell of flags
inline constexpr std::size_t kLagsKept = 1024;    ///< for the median
static_assert(kWatchRenewal < 29min);             // RFC 2177 §3

}  // namespace imapult::limits
