#pragma once
// What the progress of a run looks like: pure functions from a snapshot to lines of text.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/campaign/campaign.h"

namespace imapult::program {

/// One account that is being worked on.
struct ActiveAccount {
    std::string name;
    std::string mailbox;
    std::uint64_t done = 0;     ///< messages settled in this run
    std::uint64_t planned = 0;  ///< of the mailboxes opened so far
    campaign::Waiting waiting = campaign::Waiting::nothing;
    bool retrying = false;
    std::optional<campaign::Following> following{};  ///< with `follow`, after the first pass
};

/// The state of a run at one moment.
struct Snapshot {
    std::string command;
    double seconds = 0;
    std::uint64_t accounts_total = 0, accounts_done = 0, accounts_failed = 0;
    std::uint64_t mailboxes_total = 0, mailboxes_done = 0;
    bool mailboxes_known = false;  ///< every account has been listed
    std::uint64_t messages_copied = 0, messages_settled = 0, messages_planned = 0;
    std::uint64_t bytes_copied = 0;
    std::uint64_t refused = 0;
    double messages_per_second = 0, bytes_per_second = 0;  ///< lately
    double eta_seconds = -1;                               ///< negative: cannot be told yet
    bool eta_is_rough = true;
    bool stopping = false;
    Nanos now{0};  ///< monotonic
    std::vector<ActiveAccount> active;
};

struct Screen {
    std::size_t columns = 80;
    std::size_t rows = 24;
    bool colours = true;
};

/// The live display: at most `rows - 1` lines, none wider than `columns`, no line ends in them.
std::vector<std::string> live_lines(const Snapshot& snapshot, const Screen& screen);
/// The line for logs and pipes.
std::string plain_line(const Snapshot& snapshot);

/// "by notify, lag 0.61 s (median 0.58 s, longest 1.20 s) in 12 passes"; `now` is monotonic.
std::string lag_text(const campaign::Following& following, Nanos now);
/// How far it is behind now, or was at the last pass: seconds.
double lag_of(const campaign::Following& following, Nanos now);

/// "1,234,567".
std::string with_thousands(std::uint64_t number);
/// "12.3 MB" (decimal units).
std::string human_bytes(std::uint64_t bytes);
/// "0.31 s", "12 s", "4:05", "1:02:03".
std::string human_duration(double seconds);
/// At most `columns` terminal cells of `text`, made printable; wide characters count two.
std::string fit(std::string_view text, std::size_t columns);

}  // namespace imapult::program
