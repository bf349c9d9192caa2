#pragma once
// SHA-256 and MD5 for SCRAM and CRAM-MD5, so that this server needs no library and shares none with
// the client it tests. Results are raw octets. Not hardened: for tests only.

#include <string>
#include <string_view>

namespace imapult::imapd {

std::string sha256(std::string_view bytes);
std::string hmac_sha256(std::string_view key, std::string_view bytes);
/// One block (32 octets) of PBKDF2 with HMAC-SHA-256: SCRAM's Hi().
std::string pbkdf2_sha256(std::string_view password, std::string_view salt, int iterations);
std::string md5(std::string_view bytes);
std::string hmac_md5(std::string_view key, std::string_view bytes);
/// Lower-case hexadecimal.
std::string hex(std::string_view bytes);

}  // namespace imapult::imapd
