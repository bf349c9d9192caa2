#pragma once
// Bounds of the importers, by name.

#include <cstddef>
#include <cstdint>

#include "engine/base/limits.h"

namespace imapult::importers {

using limits::kKiB;
using limits::kMiB;

inline constexpr std::uint64_t kSourceFileBytesMax = 1024ULL * kMiB;
/// Above this Content-Length the server parses as a stream and keeps what came before an error.
inline constexpr std::size_t kCalendarPostBytesMax = 131'072;
/// What we fill a post with; leaves room for the envelope.
inline constexpr std::size_t kCalendarPostBytesAim = 120'000;
static_assert(kCalendarPostBytesAim < kCalendarPostBytesMax);
inline constexpr std::size_t kCalendarNestingMax = 8;
/// Properties of one event or task; more than this is no appointment of anybody's.
inline constexpr std::size_t kPieceLinesMax = 100'000;
inline constexpr std::size_t kZoneTextBytesMax = 48 * kKiB;
/// Names of time zones and what they mean that are remembered.
inline constexpr std::size_t kZonesRememberedMax = 4096;
inline constexpr std::size_t kTzidBytesMax = 256;
inline constexpr std::size_t kUidBytesMax = 1024;
inline constexpr std::size_t kFolderNameBytesMax = 200;
/// zimbraMtaMaxMessageSize is 10,240,000; smaller posts make a failure cheap.
inline constexpr std::size_t kContactPostBytesAim = 1 * kMiB;
inline constexpr std::size_t kContactPostBytesMax = 10'000'000;
inline constexpr std::size_t kContactsPerPostMax = 500;
inline constexpr std::size_t kContactsPerMailboxMax = 10'000;
inline constexpr std::size_t kCsvColumnsMax = 1000;
inline constexpr std::size_t kCsvCellBytesMax = 1 * kMiB;
inline constexpr std::size_t kCsvRowsMax = 1'000'000;
inline constexpr std::size_t kPhotoBytesMax = 2 * kMiB;
inline constexpr std::uint64_t kExportBytesMax = 2048ULL * kMiB;
inline constexpr std::size_t kRefusalsShownMax = 10'000;  ///< per account
inline constexpr std::size_t kRepairsShownMax = 100;      ///< per account
inline constexpr std::size_t kNoticesShownMax = 100'000;  ///< per list of the summary object

}  // namespace imapult::importers
