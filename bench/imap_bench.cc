// How fast the codec is: FETCH bodies through framer and parser, metadata, APPEND heads.
//
//     build/release/bench/imap_bench

#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "imap/command.h"
#include "imap/response.h"

namespace {

using namespace imapult;
using namespace imapult::imap;

constexpr std::size_t kBlockBytes = 64 * 1024;  // what one receive gives

std::string fetch_responses(std::size_t count, std::size_t body_bytes, bool with_metadata) {
    std::string out;
    const std::string body(body_bytes, 'x');
    for (std::size_t i = 1; i <= count; ++i) {
        const std::string number = std::to_string(i);
        out += "* " + number + " FETCH (UID " + number;
        if (with_metadata) {
            out += " FLAGS (\\Seen $Forwarded) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\"";
        }
        out += " BODY[] {" + std::to_string(body_bytes) + "}\r\n" + body + ")\r\n";
    }
    return out;
}

/// Feeds blocks and takes all events; gives a number that depends on them.
std::uint64_t drain(ResponseParser& parser, std::string_view bytes) {
    std::uint64_t sum = 0;
    while (!bytes.empty()) {
        parser.feed(bytes.substr(0, kBlockBytes));
        bytes.remove_prefix(std::min(bytes.size(), kBlockBytes));
        while (true) {
            const Result<Event> event = parser.next();
            if (!event) std::abort();
            if (std::holds_alternative<NeedInput>(*event)) break;
            if (const auto* chunk = std::get_if<BodyChunk>(&*event)) sum += chunk->bytes.size();
            if (const auto* fetch = std::get_if<Fetch>(&*event)) sum += fetch->uid.value_or(0);
        }
    }
    return sum;
}

void parse_bodies(benchmark::State& state, bool with_metadata) {
    const auto body_bytes = static_cast<std::size_t>(state.range(0));
    // Octets that were just received are in the cache: so are these.
    const std::size_t count = std::max<std::size_t>(1, 512 * 1024 / (body_bytes + 128));
    const std::string bytes = fetch_responses(count, body_bytes, with_metadata);
    for (auto _ : state) {
        ResponseParser parser;
        benchmark::DoNotOptimize(drain(parser, bytes));
    }
    const auto rounds = static_cast<std::int64_t>(state.iterations());
    state.SetItemsProcessed(rounds * static_cast<std::int64_t>(count));
    state.SetBytesProcessed(rounds * static_cast<std::int64_t>(bytes.size()));
}
void bodies(benchmark::State& state) {
    parse_bodies(state, false);
}
void bodies_with_metadata(benchmark::State& state) {
    parse_bodies(state, true);
}
BENCHMARK(bodies_with_metadata)->Arg(4096);
BENCHMARK(bodies)->Arg(256)->Arg(4096)->Arg(65536)->Arg(8 << 20);

void metadata(benchmark::State& state) {
    std::string bytes;
    constexpr std::int64_t kCount = 5000;
    for (std::int64_t i = 1; i <= kCount; ++i) {
        const std::string number = std::to_string(i);
        bytes += "* " + number + " FETCH (UID " + number +
                 " FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4096 "
                 "MODSEQ (12121230956))\r\n";
    }
    for (auto _ : state) {
        ResponseParser parser;
        benchmark::DoNotOptimize(drain(parser, bytes));
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kCount);
}
BENCHMARK(metadata);

void append_heads(benchmark::State& state) {
    const std::string_view flags[] = {"\\Seen", "$Forwarded"};
    const AppendItem item{
        .flags = flags, .internal_date = DateTime{837596665, -420}, .bytes = 4096};
    std::string out;
    for (auto _ : state) {
        out.clear();
        for (int i = 0; i < 64; ++i) {
            if (!(i == 0 ? append_first(out, "INBOX", item, true) : append_next(out, item, true))) {
                std::abort();
            }
        }
        benchmark::DoNotOptimize(out.data());
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * 64);
}
BENCHMARK(append_heads);

}  // namespace

BENCHMARK_MAIN();
