#include "tools/imapult/display.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/base/text.h"

namespace imapult::program {
namespace {

constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kDim = "\x1b[2m";
constexpr std::string_view kRed = "\x1b[31m";
constexpr std::string_view kPlain = "\x1b[0m";

struct Character {
    std::size_t bytes = 1;
    std::uint32_t value = 0;
};

/// The first character of well-formed UTF-8 (printable() sees to that).
Character first_character(std::string_view text) {
    const auto lead = static_cast<std::uint8_t>(text[0]);
    if (lead < 0x80) return {1, lead};
    const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    std::uint32_t value = lead & (0xFFU >> (bytes + 1));
    for (std::size_t i = 1; i < bytes && i < text.size(); ++i) {
        value = (value << 6) | (static_cast<std::uint8_t>(text[i]) & 0x3FU);
    }
    return {std::min(bytes, text.size()), value};
}

/// Cells that a terminal uses (Unicode TR 11, the wide blocks; combining marks use none).
std::size_t cells_of(std::uint32_t c) {
    const auto in = [c](std::uint32_t first, std::uint32_t last) {
        return c >= first && c <= last;
    };
    if (in(0x0300, 0x036F) || in(0x20D0, 0x20FF) || in(0xFE00, 0xFE0F)) return 0;
    const bool wide = in(0x1100, 0x115F) || in(0x2E80, 0xA4CF) || in(0xAC00, 0xD7A3) ||
                      in(0xF900, 0xFAFF) || in(0xFE30, 0xFE6F) || in(0xFF00, 0xFF60) ||
                      in(0xFFE0, 0xFFE6) || in(0x1F300, 0x1FAFF) || in(0x20000, 0x3FFFD);
    return wide ? 2 : 1;
}

std::size_t width_of(std::string_view text) {
    std::size_t cells = 0;
    while (!text.empty()) {
        const Character c = first_character(text);
        cells += cells_of(c.value);
        text.remove_prefix(c.bytes);
    }
    return cells;
}

std::string pad(std::string text, std::size_t columns) {
    const std::size_t width = width_of(text);
    if (width < columns) text.append(columns - width, ' ');
    return text;
}

std::string coloured(const Screen& screen, std::string_view colour, std::string text) {
    return screen.colours ? fmt::format("{}{}{}", colour, text, kPlain) : text;
}

std::string bar(double share, std::size_t columns) {
    const auto filled =
        static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(columns));
    std::string text = "[";
    for (std::size_t i = 0; i < columns; ++i) text += i < filled ? "█" : "·";
    return text + "]";
}

std::string waits_line(const Snapshot& snapshot) {
    std::array<std::size_t, 4> count{};
    std::size_t retrying = 0;
    for (const ActiveAccount& account : snapshot.active) {
        ++count[static_cast<std::size_t>(account.waiting)];
        if (account.retrying) ++retrying;
    }
    std::string text;
    const auto add = [&](std::size_t number, std::string_view what) {
        if (number > 0) text += fmt::format("{}{} for {}", text.empty() ? "" : ", ", number, what);
    };
    add(count[1], "the source");
    add(count[2], "the destination");
    add(count[3], "us");
    if (!text.empty()) text = "waiting: " + text;
    if (retrying > 0) text += fmt::format("{}{} reconnecting", text.empty() ? "" : "; ", retrying);
    return text;
}

/// "0.4 s", "12 s": what changes while it is read needs no second decimal.
std::string short_duration(double seconds) {
    return seconds < 10 ? fmt::format("{:.1f} s", std::floor(std::max(seconds, 0.0) * 10) / 10)
                        : human_duration(seconds);
}

std::string eta(const Snapshot& snapshot) {
    const bool follows =
        !snapshot.active.empty() &&
        std::ranges::all_of(snapshot.active, [](const auto& a) { return a.following.has_value(); });
    if (follows) return "following";
    if (snapshot.messages_planned > 0 && snapshot.messages_settled == snapshot.messages_planned) {
        return "finishing";  // what mailboxes not opened yet may hold cannot be told
    }
    if (snapshot.eta_seconds < 0) return "ETA ?";
    const double seconds = std::ceil(snapshot.eta_seconds);
    return fmt::format("ETA {}{}", snapshot.eta_is_rough ? "~" : "",
                       seconds < 10 ? fmt::format("{:.0f} s", seconds) : human_duration(seconds));
}

std::string rate(double per_second) {
    return with_thousands(static_cast<std::uint64_t>(std::llround(std::max(per_second, 0.0))));
}

std::string account_line(const ActiveAccount& account, std::size_t columns, Nanos now) {
    const std::string counts =
        fmt::format("{}/{}", with_thousands(account.done), with_thousands(account.planned));
    const std::string state = account.retrying ? "reconnecting"
                              : account.following
                                  ? "lag " + human_duration(lag_of(*account.following, now))
                              : account.waiting == campaign::Waiting::nothing
                                  ? ""
                                  : fmt::format("← {}", name_of(account.waiting));
    // Two blanks, two names, the counts and the longest state with what keeps them apart.
    constexpr std::size_t kOthers = 36;
    constexpr std::size_t kNamesMin = 14;
    constexpr std::size_t kNamesMax = 80;
    const std::size_t names =
        std::clamp(columns > kOthers ? columns - kOthers : 0, kNamesMin, kNamesMax);
    const std::size_t left = names / 2;
    return fit(fmt::format("  {} {} {:>17}  {}", pad(fit(account.name, left), left),
                           pad(fit(account.mailbox, names - left), names - left), counts, state),
               columns);
}

}  // namespace

std::string with_thousands(std::uint64_t number) {
    std::string digits = std::to_string(number);
    for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
    return digits;
}

std::string human_bytes(std::uint64_t bytes) {
    constexpr std::array<const char*, 5> kUnits = {"kB", "MB", "GB", "TB", "PB"};
    if (bytes < 1000) return fmt::format("{} B", bytes);
    double value = static_cast<double>(bytes) / 1000;
    std::size_t unit = 0;
    while (value >= 999.95 && unit + 1 < kUnits.size()) {
        value /= 1000;
        ++unit;
    }
    return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_duration(double seconds) {
    if (seconds < 10) return fmt::format("{:.2f} s", std::max(seconds, 0.0));
    const auto whole = static_cast<std::uint64_t>(std::min(seconds, 1e9));
    if (whole < 60) return fmt::format("{} s", whole);
    if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

double lag_of(const campaign::Following& following, Nanos now) {
    if (!following.behind_since) return following.lag;
    return std::chrono::duration<double>(now - *following.behind_since).count();
}

std::string lag_text(const campaign::Following& following, Nanos now) {
    std::string text = following.by == campaign::Watching::nothing
                           ? "not watched at the moment"
                           : fmt::format("by {}", name_of(following.by));
    text += fmt::format(", {} {}", following.behind_since ? "behind for" : "lag",
                        human_duration(lag_of(following, now)));
    if (following.passes > 0) {
        text +=
            fmt::format(" (median {}, longest {}) in {} passes", human_duration(following.median),
                        human_duration(following.longest), with_thousands(following.passes));
    }
    return text;
}

std::string fit(std::string_view text, std::size_t columns) {
    const std::string safe = printable(text, 1024);
    if (width_of(safe) <= columns) return safe;
    std::string out;
    std::string_view rest = safe;
    std::size_t cells = 0;
    while (!rest.empty()) {
        const Character c = first_character(rest);
        if (cells + cells_of(c.value) + 1 > columns) break;
        cells += cells_of(c.value);
        out.append(rest.substr(0, c.bytes));
        rest.remove_prefix(c.bytes);
    }
    return columns == 0 ? "" : out + "…";
}

std::vector<std::string> live_lines(const Snapshot& snapshot, const Screen& screen) {
    std::vector<std::string> lines;
    const std::size_t columns = std::max<std::size_t>(screen.columns, 20);
    std::string head =
        fmt::format("imapult {}  {}  ", snapshot.command, short_duration(snapshot.seconds));
    if (snapshot.accounts_total > 1) {
        head += fmt::format("{}/{} accounts  ", with_thousands(snapshot.accounts_done),
                            with_thousands(snapshot.accounts_total));
    }
    head +=
        fmt::format("{}/{}{} mailboxes", with_thousands(snapshot.mailboxes_done),
                    with_thousands(snapshot.mailboxes_total), snapshot.mailboxes_known ? "" : "+");
    if (snapshot.stopping) head += "  stopping; Ctrl-C again stops at once";
    lines.push_back(coloured(screen, kBold, fit(head, columns)));

    const double share = snapshot.messages_planned == 0
                             ? 0
                             : static_cast<double>(snapshot.messages_settled) /
                                   static_cast<double>(snapshot.messages_planned);
    std::string middle = bar(share, std::min<std::size_t>(20, columns / 4));
    if (snapshot.mailboxes_total == 0) {
        middle += " connecting";
    } else {
        middle += fmt::format(
            " {}/{} messages  {}/s  {}/s  {}", with_thousands(snapshot.messages_settled),
            with_thousands(snapshot.messages_planned), rate(snapshot.messages_per_second),
            human_bytes(static_cast<std::uint64_t>(snapshot.bytes_per_second)), eta(snapshot));
    }
    lines.push_back(fit(middle, columns));

    std::string third = waits_line(snapshot);
    const std::string failures =
        fmt::format("{} refused, {} accounts failed", with_thousands(snapshot.refused),
                    with_thousands(snapshot.accounts_failed));
    if (snapshot.refused + snapshot.accounts_failed > 0) {
        if (!third.empty()) lines.push_back(coloured(screen, kDim, fit(third, columns)));
        lines.push_back(coloured(screen, kRed, fit(failures, columns)));
    } else if (!third.empty()) {
        lines.push_back(coloured(screen, kDim, fit(third, columns)));
    }
    const std::size_t rows_max = screen.rows > 1 ? screen.rows - 1 : 1;
    if (lines.size() > rows_max) lines.resize(rows_max);
    for (std::size_t i = 0; i < snapshot.active.size(); ++i) {
        const std::size_t more = snapshot.active.size() - i;
        if (lines.size() + 1 >= rows_max && more > 1) {
            if (lines.size() < rows_max) {
                lines.push_back(fit(fmt::format("  … and {} more", more), columns));
            }
            break;
        }
        if (lines.size() >= rows_max) break;
        lines.push_back(account_line(snapshot.active[i], columns, snapshot.now));
    }
    return lines;
}

std::string plain_line(const Snapshot& snapshot) {
    std::string line = fmt::format(
        "imapult {}: {}; {}/{} accounts, {}/{} mailboxes, {}/{} messages, {} copied, {} "
        "messages/s, {}/s, {}",
        snapshot.command, human_duration(snapshot.seconds), snapshot.accounts_done,
        snapshot.accounts_total, snapshot.mailboxes_done, snapshot.mailboxes_total,
        with_thousands(snapshot.messages_settled), with_thousands(snapshot.messages_planned),
        human_bytes(snapshot.bytes_copied), rate(snapshot.messages_per_second),
        human_bytes(static_cast<std::uint64_t>(snapshot.bytes_per_second)), eta(snapshot));
    if (snapshot.refused > 0) line += fmt::format("; {} refused", snapshot.refused);
    if (snapshot.accounts_failed > 0) {
        line += fmt::format("; {} accounts failed", snapshot.accounts_failed);
    }
    if (const std::string waits = waits_line(snapshot); !waits.empty()) line += "; " + waits;
    return line;
}

}  // namespace imapult::program
