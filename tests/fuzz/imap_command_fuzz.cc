// Arbitrary arguments of every command: an error, or lines that a server cannot misread. Checked by
// a reader of its own that knows nothing but quoted strings and literals.

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/fuzz_input.h"
#include "imap/command.h"

namespace {

using namespace imapult;
using namespace imapult::imap;

/// Reads "{n}CRLF" or "{n+}CRLF" at `text`; gives n and whether it was `+`.
struct Announcement {
    std::size_t bytes = 0, length = 0;
    bool at_once = false;
};
std::optional<Announcement> announcement(std::string_view text) {
    Announcement found;
    std::size_t i = 1;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
        found.bytes = found.bytes * 10 + static_cast<std::size_t>(text[i] - '0');
    }
    if (i == 1) return std::nullopt;
    if (text.substr(i).starts_with("+")) found.at_once = true, ++i;
    if (!text.substr(i).starts_with("}\r\n")) return std::nullopt;
    found.length = i + 3;
    return found;
}

/// `wire` is one command: text and quoted strings without controls, literals, CRLF at the end only.
/// `pieces_ends` are where the sender waits: exactly behind the announcements without `+`.
void check_wire(std::string_view wire, const std::vector<std::size_t>& piece_ends) {
    bool quoted = false;
    std::size_t waits = 0;
    std::size_t depth = 0;
    for (std::size_t i = 0; i < wire.size(); ++i) {
        const auto c = static_cast<unsigned char>(wire[i]);
        if (quoted) {
            FUZZ_CHECK(c >= 0x20 && c < 0x7F);
            if (c == '\\') {
                ++i;
                FUZZ_CHECK(i < wire.size() && (wire[i] == '"' || wire[i] == '\\'));
            } else if (c == '"') {
                quoted = false;
            }
            continue;
        }
        if (c == '"') {
            quoted = true;
        } else if (c == '{') {
            const auto found = announcement(wire.substr(i));
            FUZZ_CHECK(found);
            i += found->length;
            if (!found->at_once) FUZZ_CHECK(waits < piece_ends.size() && piece_ends[waits++] == i);
            const std::string_view octets = wire.substr(i, found->bytes);
            FUZZ_CHECK(octets.size() == found->bytes);
            FUZZ_CHECK(octets.find_first_of(std::string_view("\r\n\0", 3)) == octets.npos);
            i += found->bytes - 1;
        } else if (c == '\r') {
            FUZZ_CHECK(i + 2 == wire.size() && wire[i + 1] == '\n');
            break;
        } else {
            FUZZ_CHECK(c >= 0x20 && c < 0x7F);
            if (c == '(') ++depth;
            if (c == ')') FUZZ_CHECK(depth-- > 0);
        }
    }
    FUZZ_CHECK(!quoted && depth == 0 && waits == piece_ends.size() && wire.ends_with("\r\n"));
}

void check(const Command& command) {
    std::string wire;
    std::vector<std::size_t> ends;
    FUZZ_CHECK(!command.pieces.empty());
    for (const std::string& piece : command.pieces) {
        wire += piece;
        ends.push_back(wire.size());
    }
    ends.pop_back();
    FUZZ_CHECK(wire.starts_with(" " + command.verb));
    check_wire(wire, ends);
}
template <class T>
void check(const Result<T>& command) {
    if (command) check(static_cast<const Command&>(*command));
}

void check_append(FuzzInput& input, std::string_view name,
                  std::span<const std::string_view> flags) {
    const AppendItem item{.flags = flags,
                          .internal_date = DateTime{static_cast<std::int64_t>(input.number()),
                                                    static_cast<std::int16_t>(input.number(2))},
                          .bytes = input.octet(),
                          .literal8 = input.octet() % 2 == 1};
    const auto encoded = encode_mailbox(name);
    std::string out;
    const auto first = append_first(out, encoded ? std::string_view(*encoded) : name, item, true);
    if (!first) {
        FUZZ_CHECK(out.empty());
        return;
    }
    out.append(item.bytes, 'x');
    FUZZ_CHECK(append_next(out, item, true));
    out.append(item.bytes, 'x');
    out += "\r\n";
    check_wire(out, {});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    FuzzInput input(data, size);
    const std::array modes = {LiteralMode::synchronising, LiteralMode::minus, LiteralMode::plus};
    const EncodeOptions options{.literals = modes[input.octet() % modes.size()]};
    const std::uint8_t bits = input.octet();
    const std::string_view a = input.text();
    const std::string_view b = input.text();
    const std::array<std::string_view, 2> words = {input.text(), input.text()};
    UidSet set(static_cast<std::uint32_t>(input.number(4)),
               static_cast<std::uint32_t>(input.octet()));
    StatusItems items{.messages = (bits & 1) != 0, .uid_next = (bits & 2) != 0, .size = true};
    source::ListOptions list{.extended = (bits & 1) != 0, .subscribed = (bits & 2) != 0};
    if ((bits & 4) != 0) list.status = items;
    const std::vector<std::pair<std::string, std::string>> fields = {
        {std::string(a), std::string(b)}};

    check(source::id(fields));
    check(source::enable(words));
    check(source::login(a, b, options));
    check(source::authenticate(a, b));
    check(source::list(list));
    check(source::list_pattern(a, list, options));
    check(source::status(a, items, options));
    check(source::examine(a, {.condstore = (bits & 8) != 0}, options));
    check(source::examine(a, {.qresync = {{bits, input.number()}}}, options));
    check(source::uid_fetch(set, {.flags = true, .header_fields = {std::string(a), std::string(b)}},
                            input.number(), options));
    check(source::uid_search(set, a, (bits & 1) != 0, options));
    check(source::get_quota_root(a, options));
    check(source::get_acl(a, options));
    check(source::my_rights(a, options));
    check(destination::create(a, b, options));
    check(destination::subscribe(a, options));
    check(destination::select(a, true, options));
    check(destination::uid_store(set, destination::StoreMode::add, words, bits, options));
    check_append(input, a, words);
    return 0;
}
