// Framing and dispatch. A response is first framed (its lines and the literals that are collected
// stand in one piece of memory), then parsed. Inside one feed() this piece is the fed bytes
// themselves; only a response that is split over feeds is put together in `pending`.
//
// FETCH is the exception: its body literals are not part of the frame. A FETCH is a chain of
// segments, each ending in a body literal but the last, and the octets between them leave as
// chunks.
#include <algorithm>
#include <array>
#include <cstring>

#include "engine/base/limits.h"
#include "imap/response_parts.h"

namespace imapult::imap {
namespace {

constexpr std::size_t kPendingKept = 64 * limits::kKiB;  ///< capacity kept between responses
constexpr unsigned kStrayLineEndsMax = 2;                ///< short_literal: then it is nonsense

enum class Phase : std::uint8_t {
    framing,      ///< a new response, or the next segment of a FETCH
    fetch_items,  ///< `segment` has been framed and is being read
    body,         ///< octets of a body literal
    quoted_body,  ///< a body that came as a quoted string: one chunk
    failed,
};

enum class FrameKind : std::uint8_t {
    other,  ///< no literal can follow: status, continuation, garbage
    data,   ///< untagged; literals are collected
    fetch,  ///< untagged FETCH or UIDFETCH
};

bool is_body_literal(std::string_view before) {
    while (before.ends_with(' ')) before.remove_suffix(1);
    if (before.ends_with(']') || before.ends_with('>')) return true;
    const std::size_t begin = before.find_last_of(" (") + 1;
    const std::string_view word = before.substr(begin);
    return is_word(word, "RFC822") || is_word(word, "RFC822.HEADER") ||
           is_word(word, "RFC822.TEXT");
}

bool is_tag(std::string_view word) {
    return !word.empty() && word.size() <= 64 && std::ranges::all_of(word, [](char c) {
        return c > ' ' && c < 0x7F &&
               std::string_view("(){%*\"\\+").find(c) == std::string_view::npos;
    });
}

/// The characters that matter where a literal may stand.
constexpr auto kScanned = [] {
    std::array<std::uint8_t, 256> kinds{};
    for (const char c : {'(', ')', '"'}) {
        kinds[static_cast<std::uint8_t>(c)] = static_cast<std::uint8_t>(c);
    }
    return kinds;
}();

/// The closing quote of a string whose first octet is at `at`; null if there is none.
const char* past_quoted(const char* at, const char* end) {
    for (; at < end; ++at) {
        if (*at == '"') return at;
        if (*at == '\\') ++at;
    }
    return nullptr;
}

std::string_view first_word(std::string_view text) {
    return text.substr(0, text.find(' '));
}

/// What kind of frame a first line begins; `line` without its end.
FrameKind classify(std::string_view line) {
    if (!line.starts_with("* ")) return FrameKind::other;
    line.remove_prefix(2);
    while (line.starts_with(' ')) line.remove_prefix(1);
    if (line.starts_with('[')) return FrameKind::other;
    const std::string_view word = first_word(line);
    if (condition_of(word)) return FrameKind::other;
    if (leading_digits(word).length != word.size() || word.empty()) return FrameKind::data;
    line.remove_prefix(word.size());
    while (line.starts_with(' ')) line.remove_prefix(1);
    const std::string_view name = line.substr(0, line.find_first_of(" ("));
    const bool fetch = is_word(name, "FETCH") || is_word(name, "UIDFETCH");
    return fetch ? FrameKind::fetch : FrameKind::data;
}

}  // namespace

ParserOptions::ParserOptions()
    : line_bytes_max(limits::kLineBytesMax), literal_bytes_max(limits::kLiteralBytesMax) {}

struct ResponseParser::State {
    explicit State(ParserOptions given) : options(given) {}

    ParserOptions options;
    ParseContext context;
    std::string_view input;     ///< fed and not yet consumed
    std::string pending;        ///< the start of a frame, from earlier feeds
    bool pending_done = false;  ///< `pending` holds a frame that has been handed out
    Phase phase = Phase::framing;
    Error error;

    // The frame under way, as offsets from its beginning.
    FrameKind kind = FrameKind::other;
    bool first_line = true;
    std::size_t line_begin = 0;       ///< where the line under way begins
    std::size_t searched = 0;         ///< up to where no line end was found (in place only)
    std::uint64_t collecting = 0;     ///< octets of a collected literal still to come
    std::size_t text_bytes = 0;       ///< of the response so far, without literals
    std::size_t collected_bytes = 0;  ///< collected literals of the response so far
    std::size_t literals = 0;         ///< of the response so far
    std::size_t depth = 0;            ///< parentheses open at line_begin
    bool crlf = false;                ///< the frame's last line ended in CRLF

    // The FETCH under way.
    bool in_fetch = false;
    Fetch fetch;
    bool fetch_views_loose = false;  ///< views of `fetch` point to what may go away
    std::vector<char> fetch_texts;   ///< where they point once they are kept
    std::string_view segment;        ///< items still to be read, without line end
    std::size_t position = 0;
    bool segment_has_literal = false;
    std::uint64_t segment_literal = 0;
    unsigned stray_line_ends = 0;
    bool body_seen = false;
    std::uint64_t body_left = 0;
    std::string_view quoted_body;

    Result<Event> fail_with(Code code, std::string text) {
        phase = Phase::failed;
        const Retry retry = code == Code::limit ? Retry::never : Retry::later;
        error = Error{code, Scope::connection, retry, Outcome::unknown, {}, std::move(text)};
        return std::unexpected(error);
    }
    Result<Event> fail_limit(const char* what) {
        return fail_with(Code::limit, std::string("server passes a limit: ") + what);
    }

    [[nodiscard]] std::string_view buffer() const {
        return pending.empty() ? input : std::string_view(pending);
    }

    // --- framing -----------------------------------------------------------------------------

    enum class Frame : std::uint8_t { incomplete, complete, failed };

    void begin_response() {
        context.scratch.clear();
        kind = FrameKind::other;
        first_line = true;
        text_bytes = collected_bytes = literals = depth = 0;
    }
    void begin_frame() {
        line_begin = searched = 0;
        collecting = 0;
        segment_has_literal = false;
    }
    void release_pending() {
        if (!pending_done) return;
        pending_done = false;
        if (in_fetch) keep_fetch_views();
        pending.clear();
        if (pending.capacity() > kPendingKept) pending.shrink_to_fit();
    }
    /// Everything fed belongs to the frame and is not enough.
    Frame stash() {
        if (pending.empty()) {
            searched = input.size();
            pending.assign(input);
        }
        input = {};
        return Frame::incomplete;
    }
    /// Passes over a collected literal; false if its octets are not all there.
    bool pass_collected() {
        if (!pending.empty()) {
            const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(
                collecting - std::min<std::uint64_t>(collecting, pending.size() - line_begin),
                input.size()));
            pending.append(input.substr(0, take));
            input.remove_prefix(take);
        }
        if (buffer().size() - line_begin < collecting) return false;
        line_begin += static_cast<std::size_t>(collecting);
        searched = line_begin;
        collecting = 0;
        return true;
    }
    /// Offset of the next LF in buffer(), taking fed bytes into `pending` where it is in use.
    std::optional<std::size_t> find_line_end() {
        if (pending.empty()) {
            const std::size_t found = input.find('\n', searched);
            if (found == std::string_view::npos) return std::nullopt;
            return found;
        }
        const std::size_t found = input.find('\n');
        const bool ends = found != std::string_view::npos;
        const std::size_t take = ends ? found + 1 : input.size();
        // Never more than the limit, whatever is fed.
        if (text_bytes + (pending.size() - line_begin) + take <= options.line_bytes_max + 2) {
            pending.append(input.substr(0, take));
            input.remove_prefix(take);
            if (ends) return pending.size() - 1;
            return std::nullopt;
        }
        over_long = true;
        return std::nullopt;
    }
    bool over_long = false;

    /// Counts parentheses and quotes of a line. False if it ends inside a quoted string.
    bool scan(std::string_view line) {
        const char* const end = line.data() + line.size();
        for (const char* at = line.data(); at < end; ++at) {
            const std::uint8_t kind_of = kScanned[static_cast<std::uint8_t>(*at)];
            if (kind_of == 0) [[likely]]
                continue;
            if (kind_of == '(') {
                ++depth;
            } else if (kind_of == ')') {
                depth -= depth > 0 ? 1 : 0;
            } else {
                at = past_quoted(at + 1, end);
                if (at == nullptr) return false;
            }
        }
        return true;
    }

    enum class LineEnd : std::uint8_t { last, body_literal, collected, failed };
    /// What the line that ends at `line.end()` is followed by.
    LineEnd judge_line(std::string_view line) {
        if (kind == FrameKind::other) return LineEnd::last;
        const auto mark = literal_mark(line);
        if (!mark) return LineEnd::last;
        if (!scan(line.substr(0, mark->begin))) {
            // In a string it is text, unless this is a FETCH, whose strings we know to be whole:
            // then octets of a message would be read as responses.
            if (kind != FrameKind::fetch) return LineEnd::last;
            fail_with(Code::protocol, "server sends a literal inside a quoted string");
            return LineEnd::failed;
        }
        if (depth > limits::kNestingMax) {
            fail_limit("parentheses nested too deep");
            return LineEnd::failed;
        }
        if (++literals > limits::kLiteralsPerResponseMax) {
            fail_limit("too many literals in a response");
            return LineEnd::failed;
        }
        if (kind == FrameKind::fetch && depth == 1 &&
            is_body_literal(line.substr(0, mark->begin))) {
            if (mark->bytes > options.literal_bytes_max) {
                fail_limit("literal too long");
                return LineEnd::failed;
            }
            segment_has_literal = true;
            segment_literal = mark->bytes;
            return LineEnd::body_literal;
        }
        if (mark->bytes > limits::kSmallLiteralBytesMax ||
            collected_bytes + mark->bytes > options.line_bytes_max) {
            fail_limit("literal too long outside a message");
            return LineEnd::failed;
        }
        collected_bytes += static_cast<std::size_t>(mark->bytes);
        collecting = mark->bytes;
        return LineEnd::collected;
    }

    /// NULs before a line, and the CRLF that a literal announced too short leaves (Domino).
    void skip_leading_nuls() {
        if (!pending.empty() || !first_line || line_begin != 0) return;
        std::size_t count = 0;
        while (count < input.size() && input[count] == '\0') ++count;
        if (count == 0) return;
        if (!nul_noted) context.note(Quirk::leading_nul);
        nul_noted = true;
        input.remove_prefix(count);
    }
    bool nul_noted = false;

    /// Moves on until a whole frame stands in buffer(), whose length is then `frame_bytes`.
    Frame frame(std::size_t& frame_bytes) {
        while (true) {
            skip_leading_nuls();
            if (collecting > 0 && !pass_collected()) return stash();
            const auto end = find_line_end();
            if (!end) {
                const std::size_t open = buffer().size() - line_begin;
                if (over_long || text_bytes + open > options.line_bytes_max + 2) {
                    fail_limit("line too long");
                    return Frame::failed;
                }
                return stash();
            }
            std::string_view line = buffer().substr(line_begin, *end - line_begin);
            crlf = line.ends_with('\r');
            if (crlf) line.remove_suffix(1);
            if (!crlf) context.note(Quirk::bare_lf);
            text_bytes += line.size();
            if (text_bytes > options.line_bytes_max) {
                fail_limit("line too long");
                return Frame::failed;
            }
            if (first_line) kind = classify(line);
            first_line = false;
            nul_noted = false;
            const LineEnd next = judge_line(line);
            if (next == LineEnd::failed) return Frame::failed;
            line_begin = searched = *end + 1;
            if (next != LineEnd::collected) {
                frame_bytes = *end + 1;
                return Frame::complete;
            }
        }
    }

    /// Takes a complete frame out; the view (without line end) stays valid until the next frame.
    std::string_view take_frame(std::size_t bytes) {
        std::string_view whole = buffer().substr(0, bytes);
        if (pending.empty()) {
            input.remove_prefix(bytes);
        } else {
            pending_done = true;
        }
        whole.remove_suffix(crlf ? 2 : 1);
        return whole;
    }

    // --- FETCH -------------------------------------------------------------------------------

    template <class Visit>
    void each_fetch_view(Visit visit) {
        visit(fetch.email_id);
        visit(fetch.thread_id);
        visit(fetch.digest_sha1);
        if (fetch.flags) {
            for (auto& flag : *fetch.flags) visit(flag);
        }
        if (fetch.gm_labels) {
            for (auto& label : *fetch.gm_labels) visit(label);
        }
    }
    /// Copies what `fetch` points to, because the bytes it came in are about to go.
    void keep_fetch_views() {
        if (!fetch_views_loose) return;
        fetch_views_loose = false;
        std::size_t bytes = 0;
        each_fetch_view([&](std::string_view& view) { bytes += view.size(); });
        std::vector<char> kept;
        kept.reserve(bytes);  // so that nothing moves
        each_fetch_view([&](std::string_view& view) {
            const std::size_t begin = kept.size();
            kept.insert(kept.end(), view.begin(), view.end());
            view = std::string_view(kept.data() + begin, view.size());
        });
        fetch_texts = std::move(kept);
    }

    Result<Event> malformed_fetch(std::string_view line) {
        if (context.limit_passed != nullptr) return fail_limit(context.limit_passed);
        // Octets of the message may follow, or came already: no way to tell where we are.
        if (body_seen || segment_has_literal) {
            return fail_with(Code::protocol,
                             "server sends a FETCH that cannot be read: " + printable(line, 100));
        }
        in_fetch = false;
        phase = Phase::framing;
        return Unknown{line};
    }

    /// "12 FETCH (…" without "* ".
    Result<Event> begin_fetch(std::string_view text) {
        Cursor cursor(text, context);
        cursor.skip_spaces();
        const auto number = to_u32(leading_digits(cursor.word()).value);
        cursor.skip_spaces();
        const bool uid_fetch = is_word(cursor.word(), "UIDFETCH");
        cursor.skip_spaces();
        fetch = Fetch{};
        fetch_views_loose = false;
        in_fetch = true;
        body_seen = false;
        stray_line_ends = 0;
        segment = text;
        if (!number || *number == 0 || !cursor.eat('(')) return malformed_fetch(text);
        if (uid_fetch) {
            fetch.uid = *number;
        } else {
            fetch.sequence = *number;
        }
        position = cursor.position();
        phase = Phase::fetch_items;
        return read_items();
    }

    Result<Event> end_fetch() {
        in_fetch = false;
        phase = Phase::framing;
        return Event(std::move(fetch));
    }

    Result<Event> read_items() {
        Cursor cursor(segment, context);
        cursor.seek(position);
        while (true) {
            cursor.skip_spaces();
            if (cursor.eat(')')) {
                cursor.skip_spaces();
                if (segment_has_literal || !cursor.at_end()) return malformed_fetch(segment);
                return end_fetch();
            }
            if (cursor.at_end()) return malformed_fetch(segment);
            BodySection body;
            const ItemResult item = parse_fetch_item(cursor, fetch, body);
            fetch_views_loose = true;
            if (item == ItemResult::malformed) {
                return malformed_fetch(segment);
            }
            if (item == ItemResult::done) continue;
            if (auto event = read_body_value(cursor, body)) return std::move(*event);
        }
    }

    BodyBegin begin_body(const BodySection& body, std::uint64_t bytes) {
        body_seen = true;
        fetch.body = Fetch::Body::streamed;
        fetch.body_bytes += bytes;
        return BodyBegin{fetch.uid, fetch.sequence, body.section, body.origin, bytes};
    }
    void absent_body() {
        if (fetch.body == Fetch::Body::absent) fetch.body = Fetch::Body::nil;
    }

    /// The value of a body section: the segment's literal, a quoted string, NIL, or nothing.
    std::optional<Result<Event>> read_body_value(Cursor& cursor, const BodySection& body) {
        if (cursor.at_literal() && segment_has_literal) {
            const auto mark = literal_mark(cursor.rest());
            if (!mark || mark->begin != 0) return malformed_fetch(segment);
            phase = Phase::body;
            body_left = segment_literal;
            segment_has_literal = false;
            return Result<Event>(begin_body(body, body_left));
        }
        if (cursor.next_is('"')) {
            const auto text = cursor.quoted();
            if (!text) return malformed_fetch(segment);
            position = cursor.position();
            quoted_body = *text;
            phase = Phase::quoted_body;
            return Result<Event>(begin_body(body, text->size()));
        }
        if (cursor.next_is(')')) {
            context.note(Quirk::body_without_value);
            absent_body();
            return std::nullopt;
        }
        const auto text = cursor.string();
        if (!text || !text->nil) return malformed_fetch(segment);
        absent_body();
        return std::nullopt;
    }

    Result<Event> read_body() {
        if (input.empty() && body_left > 0) return need_input();
        const auto take =
            static_cast<std::size_t>(std::min<std::uint64_t>(body_left, input.size()));
        const BodyChunk chunk{input.substr(0, take), take == body_left};
        input.remove_prefix(take);
        body_left -= take;
        if (chunk.last) {
            phase = Phase::framing;
            depth = 1;
        }
        return chunk;
    }

    // --- dispatch ----------------------------------------------------------------------------

    Result<Event> need_input() {
        if (in_fetch) keep_fetch_views();
        return NeedInput{};
    }

    Result<Event> next_segment(std::string_view line) {
        if (trim(line).empty()) {
            if (++stray_line_ends > kStrayLineEndsMax) {
                return fail_with(Code::protocol, "server sends empty lines inside a FETCH");
            }
            context.note(Quirk::short_literal);
            return next();
        }
        segment = line;
        position = 0;
        phase = Phase::fetch_items;
        return read_items();
    }

    Result<Event> untagged(std::string_view line) {
        line.remove_prefix(2);
        while (line.starts_with(' ')) line.remove_prefix(1);
        if (kind == FrameKind::fetch) return begin_fetch(line);
        if (line.starts_with('[')) {
            context.note(Quirk::untagged_bracket);
            return checked(parse_status({}, Condition::ok, line, context));
        }
        const std::string_view word = first_word(line);
        if (const auto condition = condition_of(word)) {
            return checked(parse_status({}, *condition, line.substr(word.size()), context));
        }
        return checked(parse_data(line, context));
    }

    Result<Event> checked(Event event) {
        if (context.limit_passed != nullptr) return fail_limit(context.limit_passed);
        return event;
    }

    Result<Event> tagged_or_garbage(std::string_view line) {
        // Exchange says so when a quota or its transport stops an APPEND, and means BAD.
        if (line.starts_with("Server Unavailable")) {
            context.note(Quirk::server_line_without_tag);
            Status status;
            status.condition = Condition::bad;
            status.code = ResponseCode::unavailable;
            status.text = line;
            return status;
        }
        const std::string_view tag = first_word(line);
        if (is_tag(tag) && tag.size() < line.size()) {
            std::string_view rest = line.substr(tag.size());
            while (rest.starts_with(' ')) rest.remove_prefix(1);
            const std::string_view word = first_word(rest);
            const auto condition = condition_of(word);
            if (condition && *condition != Condition::preauth) {
                return checked(parse_status(tag, *condition, rest.substr(word.size()), context));
            }
        }
        return Garbage{line};
    }

    Result<Event> next() {
        switch (phase) {
            case Phase::failed:
                return std::unexpected(error);
            case Phase::body:
                return read_body();
            case Phase::quoted_body:
                phase = Phase::fetch_items;
                return BodyChunk{quoted_body, true};
            case Phase::fetch_items:
                return read_items();
            case Phase::framing:
                break;
        }
        release_pending();
        if (input.empty()) return need_input();
        if (pending.empty() && !frame_open) {
            if (!in_fetch) begin_response();
            begin_frame();
            frame_open = true;
        }
        std::size_t bytes = 0;
        const Frame found = frame(bytes);
        if (found == Frame::failed) return std::unexpected(error);
        if (found == Frame::incomplete) return need_input();
        frame_open = false;
        const std::string_view line = take_frame(bytes);
        if (in_fetch) return next_segment(line);
        if (line.starts_with("* ")) return untagged(line);
        if (line.starts_with('+')) {
            std::string_view text = line.substr(1);
            if (text.starts_with(' ')) text.remove_prefix(1);
            return Continuation{text};
        }
        return tagged_or_garbage(line);
    }
    bool frame_open = false;
};

ResponseParser::ResponseParser(ParserOptions options) : state_(std::make_unique<State>(options)) {}
ResponseParser::~ResponseParser() = default;
ResponseParser::ResponseParser(ResponseParser&&) noexcept = default;
ResponseParser& ResponseParser::operator=(ResponseParser&&) noexcept = default;

void ResponseParser::feed(std::string_view bytes) {
    IMAPULT_ASSERT(state_->input.empty());
    state_->input = bytes;
}

Result<Event> ResponseParser::next() {
    return state_->next();
}

std::string_view ResponseParser::unconsumed() const {
    // The start of a response may already have been set aside for the next feed.
    const bool set_aside = !state_->pending.empty() && !state_->pending_done;
    return set_aside ? std::string_view(state_->pending) : state_->input;
}

std::uint64_t ResponseParser::quirk_count(Quirk quirk) const {
    return state_->context.quirks[static_cast<std::size_t>(quirk)];
}

std::string_view name_of(Quirk quirk) {
    switch (quirk) {
        case Quirk::untagged_bracket:
            return "untagged_bracket";
        case Quirk::capability_with_space:
            return "capability_with_space";
        case Quirk::exponent_number:
            return "exponent_number";
        case Quirk::negative_number:
            return "negative_number";
        case Quirk::uid_next_zero:
            return "uid_next_zero";
        case Quirk::garbage_mailbox_id:
            return "garbage_mailbox_id";
        case Quirk::invalid_modseq:
            return "invalid_modseq";
        case Quirk::short_literal:
            return "short_literal";
        case Quirk::body_without_value:
            return "body_without_value";
        case Quirk::leading_nul:
            return "leading_nul";
        case Quirk::unquoted_list_name:
            return "unquoted_list_name";
        case Quirk::bad_vanished:
            return "bad_vanished";
        case Quirk::trailing_space:
            return "trailing_space";
        case Quirk::bare_lf:
            return "bare_lf";
        case Quirk::garbled_date:
            return "garbled_date";
        case Quirk::empty_copyuid:
            return "empty_copyuid";
        case Quirk::server_line_without_tag:
            return "server_line_without_tag";
        case Quirk::count_:
            break;
    }
    return "unknown";
}

}  // namespace imapult::imap
