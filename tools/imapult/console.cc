#include "tools/imapult/console.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace imapult::program {
namespace {

constexpr std::string_view kNoWrap = "\x1b[?7l";
constexpr std::string_view kWrap = "\x1b[?7h";
constexpr std::string_view kEraseBelow = "\x1b[J";
constexpr std::string_view kEraseRight = "\x1b[K";

bool variable_set(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0';
}

bool dumb_terminal() {
    const char* term = std::getenv("TERM");
    return term == nullptr || *term == '\0' || std::string_view(term) == "dumb";
}

}  // namespace

Console::Console(int descriptor)
    : descriptor_(descriptor),
      is_terminal_(isatty(descriptor) == 1 && !dumb_terminal()),
      colours_(is_terminal_ && !variable_set("NO_COLOR")) {}

Screen Console::screen() const {
    winsize size{};
    Screen screen;
    screen.colours = colours_;
    if (ioctl(descriptor_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        screen.columns = size.ws_col;
        screen.rows = size.ws_row;
    }
    return screen;
}

void Console::write_all(std::string_view bytes) const {
    while (!bytes.empty()) {
        const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && errno == EAGAIN) {
            pollfd waiting{descriptor_, POLLOUT, 0};
            poll(&waiting, 1, -1);
            continue;
        }
        if (written <= 0) return;  // nobody reads any more: the run goes on
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
}

std::string Console::erase() const {
    if (live_.empty()) return "";
    const std::string up = live_.size() > 1 ? fmt::format("\x1b[{}A", live_.size() - 1) : "";
    return fmt::format("\r{}{}", up, kEraseBelow);
}

void Console::print(std::string_view line) {
    const std::lock_guard lock(mutex_);
    std::string out = erase();
    out.append(line);
    out += '\n';
    // The live display comes back with the next draw().
    live_.clear();
    write_all(out);
}

void Console::draw(const std::vector<std::string>& lines) {
    const std::lock_guard lock(mutex_);
    std::string out;
    if (live_.size() > 1) out += fmt::format("\x1b[{}A", live_.size() - 1);
    if (!live_.empty()) out += '\r';
    if (!lines.empty()) out += kNoWrap;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (i > 0) out += "\r\n";
        out += lines[i];
        out += kEraseRight;
    }
    if (!live_.empty()) out += kEraseBelow;
    if (!lines.empty()) out += kWrap;
    live_ = lines;
    write_all(out);
}

}  // namespace imapult::program
