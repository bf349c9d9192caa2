// Hostile octets to the server: the first octet chooses the kind of server, the rest is a client.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tools/imapd/connection.h"

namespace imapult::imapd {
namespace {

constexpr std::size_t kOutputMax = 4 * 1024 * 1024;

void run(std::string_view input) {
    const auto names = preset_names();
    Behaviour behaviour;
    const auto kind = static_cast<std::uint8_t>(input.front());
    if (!preset(names[kind % names.size()], behaviour)) __builtin_trap();
    const ManualClock clock(1'750'000'000);
    Store store(behaviour, &clock);
    store.add_account("u", "p");
    store.add_message("u", "INBOX", "Subject: x\r\n\r\nText\r\n", {"\\Seen"});
    store.add_message("u", "INBOX", "a: b\n\n", {"k"});
    Connection connection(store, {.can_start_tls = true, .can_deflate = true});
    connection.take_output();
    connection.feed("0 LOGIN u p\r\n");
    connection.take_output();
    connection.feed("0 SELECT INBOX\r\n");
    input.remove_prefix(1);
    // In pieces, since a client's writes may end anywhere.
    const std::size_t piece = 1 + kind / names.size();
    std::size_t seen = 0;
    std::string out;
    while (!input.empty() && !connection.wants_close() && seen < kOutputMax) {
        connection.feed(input.substr(0, piece));
        input.remove_prefix(std::min(piece, input.size()));
        out.clear();
        seen += connection.read_output(out, kOutputMax);
        if (connection.handover() != Handover::none) connection.feed(connection.handover_done());
    }
    // UIDs rise strictly, whatever the client did.
    std::uint32_t last = 0;
    for (const Message& m : store.messages("u", "INBOX")) {
        if (m.uid <= last) __builtin_trap();
        last = m.uid;
    }
}

}  // namespace
}  // namespace imapult::imapd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 1) {
        imapult::imapd::run({reinterpret_cast<const char*>(data), size});
    }
    return 0;
}
