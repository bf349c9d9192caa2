#include "importers/digest.h"

#include <openssl/evp.h>

#include <cstdint>

#include "engine/base/error.h"

namespace imapult::importers {

std::string sha256(std::string_view bytes) {
    // Looked up once: by name it would be searched for at every call.
    static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    IMAPULT_ASSERT(method != nullptr);
    std::string out(32, '\0');
    unsigned length = 0;
    const int ok =
        EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()),
                   &length, method, nullptr);
    IMAPULT_ASSERT(ok == 1 && length == 32);
    return out;
}

std::string to_hex(std::string_view bytes) {
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string out;
    out.reserve(bytes.size() * 2);
    for (const char c : bytes) {
        const auto byte = static_cast<std::uint8_t>(c);
        out += kHex[byte >> 4U];
        out += kHex[byte & 15U];
    }
    return out;
}

}  // namespace imapult::importers
