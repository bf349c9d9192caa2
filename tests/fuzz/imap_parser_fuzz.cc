// Any octets, cut in any way: the same events, bounded memory, no undefined behaviour.

#include <malloc.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "engine/base/random.h"
#include "fuzz/fuzz_input.h"
#include "imap/event_text.h"
#include "imap/response.h"
#include "imap/status_text.h"

extern "C" __attribute__((weak)) std::size_t __sanitizer_get_current_allocated_bytes();

namespace {

using namespace imapult;
using namespace imapult::imap;

ParserOptions small_options() {
    ParserOptions options;
    options.line_bytes_max = 2048;
    options.literal_bytes_max = 100'000;
    return options;
}

/// What this process has allocated now.
std::size_t live_bytes() {
    if (__sanitizer_get_current_allocated_bytes != nullptr) {
        return __sanitizer_get_current_allocated_bytes();
    }
    return mallinfo2().uordblks;
}

struct Run {
    std::vector<std::string> lines;
    std::array<std::uint64_t, static_cast<std::size_t>(Quirk::count_)> quirks{};
    bool operator==(const Run&) const = default;
};

Run run_cut(std::string_view bytes, Random* random) {
    ResponseParser parser(small_options());
    imap::testing::EventLog log;
    while (!bytes.empty()) {
        const std::size_t most = random == nullptr ? bytes.size() : random->between(1, 24);
        const std::string_view piece = bytes.substr(0, most);
        bytes.remove_prefix(piece.size());
        if (!log.feed(parser, piece)) break;
    }
    log.close_body();
    Run run{std::move(log.lines), {}};
    for (std::size_t i = 0; i < run.quirks.size(); ++i) {
        run.quirks[i] = parser.quirk_count(static_cast<Quirk>(i));
    }
    return run;
}

/// Feeds the bytes again and again in pieces: what the parser holds must not grow with them. A
/// word of a response is a view of 16 octets for at least two on the wire, in vectors that double.
void check_memory(std::string_view bytes, Random& random) {
    constexpr std::size_t kRounds = 100;
    const std::size_t bound = 64 * small_options().line_bytes_max + 256 * 1024;
    ResponseParser parser(small_options());
    const std::size_t before = live_bytes();
    std::uint64_t octets = 0;
    for (std::size_t round = 0; round < kRounds; ++round) {
        std::string_view rest = bytes;
        while (!rest.empty()) {
            const std::string_view piece = rest.substr(0, random.between(1, 4096));
            rest.remove_prefix(piece.size());
            parser.feed(piece);
            while (true) {
                const Result<Event> event = parser.next();
                FUZZ_CHECK(live_bytes() < before + bound);
                if (!event) return;
                if (std::holds_alternative<NeedInput>(*event)) break;
                if (const auto* chunk = std::get_if<BodyChunk>(&*event))
                    octets += chunk->bytes.size();
                if (const auto* status = std::get_if<Status>(&*event)) {
                    octets += is_over_quota(*status) || is_too_big(*status) ? 1 : 0;
                    const auto delay = suggested_delay(status->text);
                    FUZZ_CHECK(!delay || (delay->count() >= 0 && *delay <= std::chrono::hours(24)));
                }
            }
            FUZZ_CHECK(live_bytes() < before + bound);
        }
    }
    FUZZ_CHECK(octets <= kRounds * (2 * bytes.size() + 1));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    FuzzInput input(data, size);
    const std::uint8_t first = input.octet();
    Random random(first);
    const std::string_view bytes = input.rest();
    const Run whole = run_cut(bytes, nullptr);
    FUZZ_CHECK(run_cut(bytes, &random) == whole);
    FUZZ_CHECK(run_cut(bytes, &random) == whole);
    if (first % 8 == 1) check_memory(bytes, random);  // slow: not for every input
    return 0;
}
