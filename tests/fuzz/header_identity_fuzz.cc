// Identity of any octets: never depends on how they are cut, forgives line ends, and what goes into
// a report is printable.

#include <string>

#include "dedup/identity.h"
#include "engine/base/text.h"
#include "fuzz/fuzz_input.h"

namespace {

using namespace imapult;
using namespace imapult::dedup;

void check_normal_digest(std::string_view message, std::size_t cut) {
    NormalDigest whole;
    whole.update(message);
    const Sha256 expected = whole.finish();

    NormalDigest two;
    two.update(message.substr(0, cut));
    two.update(message.substr(cut));
    FUZZ_CHECK(two.finish() == expected);

    NormalDigest octets;
    for (const char& c : message) octets.update({&c, 1});
    FUZZ_CHECK(octets.finish() == expected);

    // As a server with other line ends sends it.
    NormalDigest other;
    for (const char& c : message) {
        if (c == '\n') {
            other.update("\r\n");
        } else if (c != '\r') {
            other.update({&c, 1});
        }
    }
    other.update("\r\n");
    FUZZ_CHECK(other.finish() == expected);
}

void check_text(const std::string& text) {
    FUZZ_CHECK(is_utf8(text));
    FUZZ_CHECK(text.size() < 2048);
    for (const char c : text) FUZZ_CHECK(static_cast<std::uint8_t>(c) >= 0x20 && c != 0x7F);
}

}  // namespace

/// Two octets that say where to cut, then the message.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    FuzzInput input(data, size);
    const std::uint64_t cut = input.number(2);
    const std::string_view message = input.rest();
    check_normal_digest(message, static_cast<std::size_t>(cut % (message.size() + 1)));

    const HeaderIdentity identity = identify_header(message);
    FUZZ_CHECK(identity.added_bytes <= message.size());
    std::string bare;
    for (const char c : message) {
        if (c != '\r') bare.push_back(c);
    }
    const HeaderIdentity again = identify_header(bare);
    FUZZ_CHECK(again.strict == identity.strict && again.loose == identity.loose);
    FUZZ_CHECK(again.strong == identity.strong && again.traced == identity.traced);

    const HeaderSummary summary = summarise_header(message);
    check_text(summary.message_id);
    check_text(summary.subject);
    check_text(summary.from);
    check_text(summary.date);
    return 0;
}
