#include "tools/demo/page.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "tools/imapult/console.h"

namespace imapult::demo {
namespace {

constexpr std::string_view kBold = "1";
constexpr std::string_view kFaint = "2";
constexpr std::string_view kGreen = "32";
constexpr std::string_view kRed = "31";

}  // namespace

Page::Page(int descriptor)
    : descriptor_(descriptor), colours_(program::Console(descriptor).colours()) {}

void Page::line(std::string_view text) {
    std::string out(text);
    out += '\n';
    std::string_view rest = out;
    while (!rest.empty()) {
        const ssize_t written = write(descriptor_, rest.data(), rest.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;  // nobody reads any more: the demo still cleans up
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
}

void Page::step(int number, std::string_view name, std::string_view text) {
    line();
    line(fmt::format("{}  {}", strong(fmt::format("{}  {:<8}", number, name)), text));
}

void Page::good(std::string_view text) {
    line(fmt::format("   {}  {}", styled(kGreen, "✓"), text));
}

void Page::bad(std::string_view text) {
    line(fmt::format("   {}  {}", styled(kRed, "✗"), text));
}

std::string Page::strong(std::string_view text) const {
    return styled(kBold, text);
}

std::string Page::faint(std::string_view text) const {
    return styled(kFaint, text);
}

std::string Page::styled(std::string_view style, std::string_view text) const {
    return colours_ ? fmt::format("\x1b[{}m{}\x1b[0m", style, text) : std::string(text);
}

}  // namespace imapult::demo
