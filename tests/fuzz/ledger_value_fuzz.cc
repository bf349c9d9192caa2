// Ledger records: any key and value is read or refused; what is read is written the same again.

#include "dedup/ledger_format.h"
#include "fuzz/fuzz_input.h"

namespace {

using namespace imapult;
using namespace imapult::dedup;

template <class Record>
void check(Result<Record> (*decode)(std::string_view, std::string_view), std::string_view key,
           std::string_view value) {
    const Result<Record> record = decode(key, value);
    if (record) {
        FUZZ_CHECK(format::encode(*record) == value);
    } else {
        FUZZ_CHECK(record.error().code == Code::state_damaged);
        FUZZ_CHECK(record.error().text.size() < 1024);
    }
}

}  // namespace

/// An octet for the kind of record, a length octet and the key, then the value.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    FuzzInput input(data, size);
    const std::uint8_t kind = input.octet();
    const std::string_view key = input.text();
    const std::string_view value = input.rest();
    switch (kind % 7) {
        case 0:
            check(format::decode_account, key, value);
            break;
        case 1:
            check(format::decode_mailbox, key, value);
            break;
        case 2:
            check(format::decode_message, key, value);
            break;
        case 3:
            check(format::decode_intent, key, value);
            break;
        case 4:
            check(format::decode_refusal, key, value);
            break;
        case 5:
            check(format::decode_pass, key, value);
            break;
        default: {
            const auto number = format::decode_number(key, value);
            FUZZ_CHECK(number.has_value() == (value.size() == 8));
            FUZZ_CHECK(!number || format::encode_number(*number) == value);
        }
    }
    return 0;
}
