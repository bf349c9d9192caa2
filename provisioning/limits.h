#pragma once
// Bounds of provisioning. They stand here and not in engine/base/limits.h because no other layer
// may depend on them.

#include <chrono>
#include <cstddef>

namespace imapult::provisioning::limits {

inline constexpr std::size_t kMiB = 1024 * 1024;

// What a file may hold.
inline constexpr std::size_t kLineBytesMax = 64 * kMiB;   ///< one physical line of LDIF
inline constexpr std::size_t kEntryBytesMax = 96 * kMiB;  ///< one entry, unfolded
inline constexpr std::size_t kValuesPerEntryMax = 500'000;
inline constexpr std::size_t kUrlFileBytesMax = 16 * kMiB;  ///< what an `attr:< file:///…` may read
inline constexpr std::size_t kCsvRecordBytesMax = 16 * kMiB;
inline constexpr std::size_t kReadBlockBytes = 256 * 1024;
inline constexpr std::size_t kProblemsKept = 10'000;  ///< broken lines listed; all are counted

// What the destination takes: slapd closes the connection above sockbuf_max_incoming_auth
// (4,194,303 octets by default), so a larger value must never be sent.
inline constexpr std::size_t kValueBytesMax = 3 * kMiB;
inline constexpr std::size_t kEntrySentBytesMax = 4'000'000;
static_assert(kValueBytesMax < kEntrySentBytesMax);

// Carbonio's own (carbonio-mailbox: zimbraSignatureMaxNumEntries and its siblings).
inline constexpr std::size_t kSignaturesMax = 20;
inline constexpr std::size_t kSignatureCharactersMax = 10'240;
inline constexpr std::size_t kIdentitiesMax = 20;
inline constexpr std::size_t kDataSourcesMax = 20;
inline constexpr std::size_t kAddressBytesMax = 254;  ///< RFC 5321, section 4.5.3.1.3
inline constexpr std::size_t kLocalPartBytesMax = 64;

// The wire.
// One writer at a time in slapd's mdb: requests beyond those that are decoded and checked meanwhile
// only make its threads wait for each other (3 to 8 were seen to be faster than 32, 128 slower).
inline constexpr std::size_t kLdapInFlightMax = 8;
inline constexpr std::size_t kLdapInFlightBytesMax = 8 * kMiB;
inline constexpr int kLdapPageSize = 1000;
inline constexpr std::chrono::seconds kLdapConnectTimeout{15};
inline constexpr std::chrono::seconds kLdapStallTimeout{120};
inline constexpr std::size_t kSoapReplyBytesMax = 16 * kMiB;
inline constexpr std::size_t kSoapInFlightMax = 6;  ///< requests of one kind of entry at once
inline constexpr std::size_t kSoapMembersPerRequest = 500;
inline constexpr std::size_t kSoapNestingMax = 64;
inline constexpr std::size_t kFailuresKept = 10'000;

}  // namespace imapult::provisioning::limits
