#include "importers/calendar_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <unordered_map>

#include "engine/base/text.h"
#include "importers/charset.h"
#include "importers/content_line.h"
#include "importers/limits.h"

namespace imapult::importers {
namespace {

ItemKind kind_of(std::string_view name) {
    if (name == "VEVENT") return ItemKind::event;
    if (name == "VTODO") return ItemKind::todo;
    return ItemKind::other;
}

/// Cuts the text in one pass. Keeps names of open components to a fixed depth only.
class Cutter {
  public:
    explicit Cutter(CalendarFile& file) : file_(file), text_(file.text) {}

    Result<> run();

  private:
    void line(std::string_view text, std::size_t begin);
    void begin(std::string_view name, std::size_t at);
    void end(std::string_view raw, std::size_t at);
    void property(std::string_view text, std::size_t begin);
    void calendar_property(const ContentLine& line);
    void close_piece(std::size_t after, const char* broken);
    void store_zone(std::size_t after);
    void repair(const char* what) {
        if (noted_.insert(what).second) file_.repairs.emplace_back(what);
    }
    void leave_calendar(const char* what) {
        if (what != nullptr) repair(what);
        if (!version_seen_) repair("VERSION was missing");
        in_calendar_ = false;
    }
    [[nodiscard]] std::string unfolded(std::size_t begin) const;

    CalendarFile& file_;
    std::string_view text_;
    std::set<std::string> noted_;
    std::unordered_map<std::string, std::size_t> by_uid_;
    std::vector<std::string> stack_;  // components inside the current piece, the piece first
    std::size_t too_deep_ = 0;        // levels below the deepest that is kept
    std::size_t line_ = 0;
    std::size_t next_line_at_ = 0;
    bool in_calendar_ = false;
    bool version_seen_ = false;
    bool version_1_ = false;
    bool in_zone_ = false;
    std::size_t calendars_ = 0;
    RawPiece piece_;
    std::string uid_;
    std::string zone_id_;
};

std::string Cutter::unfolded(std::size_t begin) const {
    LineReader reader(text_.substr(begin, 64 * kKiB), 1);
    std::string_view line;
    std::size_t number = 0;
    return reader.next(line, number) ? std::string(line) : std::string{};
}

Result<> Cutter::run() {
    std::size_t at = 0;
    while (at < text_.size()) {
        const void* found = std::memchr(text_.data() + at, '\n', text_.size() - at);
        const std::size_t stop =
            found == nullptr
                ? text_.size()
                : static_cast<std::size_t>(static_cast<const char*>(found) - text_.data());
        next_line_at_ = std::min(stop + 1, text_.size());
        ++line_;
        const char first = text_[at];
        if (first != ' ' && first != '\t' && first != '\r' && first != '\n') {
            line(text_.substr(at, stop - at), at);
        }
        at = next_line_at_;
    }
    if (in_zone_ || !stack_.empty()) {
        close_piece(text_.size(), "the file ends inside this item (cut off?)");
        repair("the file ends in the middle");
    }
    if (in_calendar_) leave_calendar("END:VCALENDAR was missing");
    if (calendars_ == 0 && file_.items.empty()) {
        return invalid("the file holds no iCalendar data (no BEGIN:VCALENDAR)");
    }
    if (calendars_ == 0) repair("BEGIN:VCALENDAR was missing");
    if (calendars_ > 1) repair("several calendars stood in one file");
    return {};
}

void Cutter::line(std::string_view text, std::size_t at) {
    if (!is_component_line(text)) {
        property(text, at);
        return;
    }
    const auto colon = text.find(':');
    if (trim(text.substr(0, colon)).size() == std::string_view("BEGIN").size()) {
        begin(text.substr(colon + 1), at);
    } else {
        end(text.substr(colon + 1), at);
    }
}

void Cutter::begin(std::string_view raw, std::size_t at) {
    std::string name = component_name(raw);
    if (name == "VCALENDAR") {
        if (!stack_.empty())
            close_piece(at, "the item has no END line before the next calendar begins");
        if (in_calendar_) leave_calendar("END:VCALENDAR was missing");
        in_calendar_ = true;
        ++calendars_;
        version_seen_ = false;
        version_1_ = false;
        return;
    }
    const bool top = name == "VEVENT" || name == "VTODO" || name == "VJOURNAL" ||
                     name == "VFREEBUSY" || name == "VTIMEZONE";
    if (top && !stack_.empty())
        close_piece(at, "the item has no END line before the next one begins");
    if (!stack_.empty()) {
        if (stack_.size() >= kCalendarNestingMax) {
            ++too_deep_;
            piece_.broken = "components are nested too deeply in this item";
        } else {
            stack_.push_back(std::move(name));
        }
        return;
    }
    piece_ = RawPiece{};
    piece_.begin = at;
    piece_.line = static_cast<std::uint32_t>(line_);
    piece_.version_1 = version_1_;
    uid_.clear();
    zone_id_.clear();
    in_zone_ = name == "VTIMEZONE";
    if (calendars_ == 0) repair("BEGIN:VCALENDAR was missing");
    stack_.push_back(std::move(name));
}

void Cutter::end(std::string_view raw, std::size_t at) {
    const std::string name = component_name(raw);
    if (equal_ignoring_case(name, "VCALENDAR")) {
        if (!stack_.empty()) close_piece(at, "the item has no END line before its calendar ends");
        if (in_calendar_) leave_calendar(nullptr);
        return;
    }
    if (stack_.empty()) {
        repair("END lines without BEGIN were dropped");
        return;
    }
    if (too_deep_ > 0) {
        --too_deep_;
        return;
    }
    if (!equal_ignoring_case(name, stack_.back())) {
        if (!equal_ignoring_case(name, stack_.front())) {
            piece_.unclosed = true;  // an END that fits nothing: the item's own END decides
            return;
        }
        piece_.unclosed = true;
        stack_.resize(1);
    }
    stack_.pop_back();
    if (stack_.empty()) close_piece(next_line_at_, nullptr);
}

void Cutter::close_piece(std::size_t after, const char* broken) {
    const std::string name = stack_.empty() ? std::string{} : stack_.front();
    piece_.length = after - piece_.begin;
    if (broken != nullptr && piece_.broken == nullptr) piece_.broken = broken;
    too_deep_ = 0;
    if (in_zone_) {
        in_zone_ = false;
        stack_.clear();
        if (piece_.broken == nullptr) store_zone(after);
        return;
    }
    // The name was popped already when the piece ended well: read it from its first line.
    std::string_view first = text_.substr(piece_.begin);
    first = first.substr(0, first.find('\n'));
    const std::string own = component_name(first.substr(first.find(':') + 1));
    stack_.clear();
    const ItemKind kind = kind_of(own);
    // Availability, custom components: nothing that a calendar of the destination could hold.
    if (kind == ItemKind::other && own != "VJOURNAL" && own != "VFREEBUSY") {
        repair("components that are no events or tasks were dropped");
        return;
    }
    if (!uid_.empty()) {
        const auto [found, fresh] = by_uid_.emplace(uid_ + '\0' + own, file_.items.size());
        if (!fresh) {
            file_.items[found->second].pieces.push_back(piece_);
            return;
        }
    }
    RawItem item;
    item.uid = uid_;
    item.kind = kind;
    item.pieces.push_back(piece_);
    file_.items.push_back(std::move(item));
}

void Cutter::store_zone(std::size_t after) {
    if (zone_id_.empty() || after - piece_.begin > kZoneTextBytesMax || file_.zones.size() >= 1000)
        return;
    LineReader reader(text_.substr(piece_.begin, after - piece_.begin), 1);
    std::string_view raw;
    std::size_t number = 0;
    ContentLine line;
    std::string text;
    bool observed = false;
    while (reader.next(raw, number)) {
        if (!parse_content_line(raw, line)) continue;
        drop_controls(line.value);
        append_content_line(line, text);
        observed = observed || line.value == "STANDARD" || line.value == "DAYLIGHT";
    }
    if (observed)
        file_.zones.emplace(zone_id_, std::make_shared<const std::string>(std::move(text)));
}

void Cutter::property(std::string_view text, std::size_t at) {
    const auto starts = [&](std::string_view name) {
        return text.size() > name.size() &&
               equal_ignoring_case(text.substr(0, name.size()), name) &&
               (text[name.size()] == ':' || text[name.size()] == ';');
    };
    ContentLine line;
    if (stack_.size() == 1 && too_deep_ == 0) {
        if (in_zone_) {
            if (starts("TZID") && parse_content_line(unfolded(at), line))
                zone_id_ = trim(line.value);
        } else if (starts("UID")) {
            if (uid_.empty() && parse_content_line(unfolded(at), line)) uid_ = trim(line.value);
            if (uid_.size() > kUidBytesMax) piece_.broken = "the UID is longer than 1024 octets";
        } else if (starts("RECURRENCE-ID")) {
            piece_.exception = true;
        } else if (starts("SEQUENCE")) {
            if (parse_content_line(unfolded(at), line)) {
                const auto number = parse_number(trim(line.value));
                piece_.sequence = static_cast<std::uint32_t>(
                    std::min<std::uint64_t>(number.value_or(0), 0x7FFFFFFF));
            }
        }
        return;
    }
    if (!stack_.empty() || !in_calendar_) return;
    if (parse_content_line(unfolded(at), line)) calendar_property(line);
}

void Cutter::calendar_property(const ContentLine& line) {
    if (line.name == "VERSION") {
        version_seen_ = true;
        const std::string_view version = trim(line.value);
        if (version == "1.0") {
            version_1_ = true;
            repair("version 1.0 was converted to 2.0");
        } else if (version != "2.0") {
            repair("VERSION was not 2.0");
        }
    } else if (line.name == "X-WR-CALNAME" || line.name == "NAME") {
        if (file_.name.empty()) file_.name = unescape_text(trim(line.value));
    } else if (line.name == "X-APPLE-CALENDAR-COLOR" || line.name == "COLOR" ||
               line.name == "X-OUTLOOK-COLOR" || line.name == "X-FUNAMBOL-COLOR") {
        const std::string_view colour = trim(line.value);
        const bool hex = colour.size() >= 7 && colour[0] == '#' &&
                         colour.substr(1, 6).find_first_not_of("0123456789abcdefABCDEF") ==
                             std::string_view::npos;
        if (file_.colour.empty() && hex) file_.colour = to_lower(colour.substr(0, 7));
    }
}

/// CR alone and CR CR LF become LF, so that the rest knows two line ends only.
void unify_line_ends(CalendarFile& file) {
    std::string& text = file.text;
    std::size_t lf = 0;
    std::size_t crlf = 0;
    for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1)) {
        ++lf;
        if (at > 0 && text[at - 1] == '\r') ++crlf;
    }
    if (lf == 0 && text.contains('\r')) {
        std::ranges::replace(text, '\r', '\n');
        file.repairs.emplace_back("lines ended in CR");
    } else if (crlf != lf) {
        file.repairs.emplace_back("lines ended in LF");
    }
}

}  // namespace

Result<std::string> read_whole_file(const std::string& path) {
    const auto failed = [](std::string text) {
        return fail(Code::io, Scope::account, Retry::never, std::move(text));
    };
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return failed("the file cannot be opened: " + std::string(std::strerror(errno)));
    struct stat info{};
    std::string bytes;
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        ::close(fd);
        return failed("it is not a regular file");
    }
    if (static_cast<std::uint64_t>(info.st_size) > kSourceFileBytesMax) {
        ::close(fd);
        return fail(Code::limit, Scope::account, Retry::never,
                    "the file is larger than 1 GiB: split it");
    }
    bytes.resize(static_cast<std::size_t>(info.st_size));
    std::size_t have = 0;
    while (have < bytes.size()) {
        const ssize_t n = ::read(fd, bytes.data() + have, bytes.size() - have);
        if (n <= 0) break;
        have += static_cast<std::size_t>(n);
    }
    ::close(fd);
    bytes.resize(have);
    return bytes;
}

Result<CalendarFile> read_calendar_text(std::string bytes) {
    CalendarFile file;
    const auto fit = [](std::string_view text) {
        return text.substr(0, 4096).contains("BEGIN:VCALENDAR") ? 1 : 0;
    };
    IMAPULT_TRY(Decoded decoded, decode_text(std::move(bytes), fit, true));
    if (decoded.charset != "UTF-8") {
        file.repairs.push_back("the charset was " + decoded.charset + " (confidence " +
                               std::to_string(decoded.confidence) + " %)");
    } else if (decoded.bom) {
        file.repairs.emplace_back("a byte order mark stood at the start");
    }
    if (decoded.damaged) file.repairs.emplace_back("bytes that are no characters were replaced");
    file.text = std::move(decoded.text);
    unify_line_ends(file);
    IMAPULT_CHECK(Cutter(file).run());
    return file;
}

Result<CalendarFile> read_calendar_file(const std::string& path) {
    IMAPULT_TRY(std::string bytes, read_whole_file(path));
    IMAPULT_TRY(CalendarFile file, read_calendar_text(std::move(bytes)));
    file.path = path;
    return file;
}

}  // namespace imapult::importers
