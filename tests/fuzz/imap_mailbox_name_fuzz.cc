// Modified UTF-7: what decodes exactly encodes back; what encodes decodes back, exactly.

#include "engine/base/text.h"
#include "fuzz/fuzz_input.h"
#include "imap/mailbox_name.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace imapult;
    using namespace imapult::imap;
    const std::string_view bytes = FuzzInput(data, size).rest();

    const DecodedName decoded = decode_mailbox_name(bytes);
    const auto again = encode_mailbox_name(decoded.utf8);
    FUZZ_CHECK(decoded.exact == (again && *again == bytes));

    const auto wire = encode_mailbox_name(bytes);
    FUZZ_CHECK(wire.has_value() == (is_utf8(bytes) && !bytes.contains('\0')));
    if (!wire) return 0;
    for (const char c : *wire) FUZZ_CHECK(c >= 0x20 && c <= 0x7E);
    const DecodedName back = decode_mailbox_name(*wire);
    FUZZ_CHECK(back.exact && back.utf8 == bytes);
    return 0;
}
