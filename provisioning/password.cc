#include "provisioning/password.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "engine/base/error.h"
#include "engine/base/text.h"
#include "provisioning/ldif.h"

namespace imapult::provisioning {
namespace {

constexpr std::array<std::string_view, 11> kVerifiable = {
    "{ssha}",    "{sha}",     "{smd5}",   "{md5}",    "{crypt}", "{ssha256}",
    "{ssha384}", "{ssha512}", "{sha256}", "{sha384}", "{sha512}"};
constexpr std::size_t kSaltBytes = 8;
constexpr std::size_t kPasswordLetters = 20;

std::string digest(const EVP_MD* algorithm, std::string_view text) {
    std::string out(EVP_MAX_MD_SIZE, '\0');
    unsigned size = 0;
    const int done =
        EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(out.data()), &size,
                   algorithm, nullptr);
    IMAPULT_ASSERT(done == 1);
    out.resize(size);
    return out;
}

}  // namespace

HashVerdict judge_hash(std::string_view user_password) {
    HashVerdict verdict;
    if (!user_password.starts_with('{') || !user_password.contains('}')) {
        verdict.fate = user_password.empty() ? HashFate::reset : HashFate::cleartext;
        verdict.secret = user_password;
        return verdict;
    }
    const auto end = user_password.find('}') + 1;
    const auto scheme = to_lower(user_password.substr(0, end));
    verdict.scheme = printable(user_password.substr(0, end), 32);
    const auto rest = user_password.substr(end);
    if (scheme == "{cleartext}" && !rest.empty()) {
        verdict.fate = HashFate::cleartext;
        verdict.secret = rest;
        return verdict;
    }
    for (const auto known : kVerifiable) {
        if (scheme != known || rest.empty()) continue;
        const bool form = scheme == "{crypt}" ? is_ldif_safe(rest)
                                              : base64_decode(rest).value_or("").size() >= 16;
        if (form) verdict.fate = HashFate::keep;
    }
    return verdict;
}

std::string hash_password(std::string_view password, std::string_view account) {
    std::string seed = "imapult salt\n";
    seed.append(account).append("\n").append(password);
    auto salt = digest(EVP_sha256(), seed).substr(0, kSaltBytes);
    Secret::wipe(seed);
    std::string salted(password);
    salted += salt;
    auto hash = digest(EVP_sha512(), salted);
    Secret::wipe(salted);
    return "{SSHA512}" + base64_encode(hash + salt);
}

Secret random_password() {
    constexpr std::string_view kLetters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    constexpr unsigned kFair = 256 - 256 % kLetters.size();
    std::string out;
    while (out.size() < kPasswordLetters) {
        std::array<unsigned char, 32> octets{};
        IMAPULT_ASSERT(RAND_bytes(octets.data(), octets.size()) == 1);
        for (const unsigned octet : octets) {
            if (octet < kFair && out.size() < kPasswordLetters) {
                out.push_back(kLetters[octet % kLetters.size()]);
            }
        }
    }
    return Secret(std::move(out));
}

std::string derived_uuid(std::string_view text) {
    auto hash = digest(EVP_sha256(), "imapult id\n" + std::string(text)).substr(0, 16);
    hash[6] = static_cast<char>((static_cast<unsigned char>(hash[6]) & 0x0FU) | 0x80U);
    hash[8] = static_cast<char>((static_cast<unsigned char>(hash[8]) & 0x3FU) | 0x80U);
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string out;
    for (std::size_t i = 0; i < hash.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
        out += kHex[static_cast<unsigned char>(hash[i]) >> 4U];
        out += kHex[static_cast<unsigned char>(hash[i]) & 15U];
    }
    return out;
}

std::string without_hashes(std::string_view text) {
    const auto is_scheme_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_';
    };
    std::string out;
    for (auto close = text.find('}'); close != std::string_view::npos; close = text.find('}')) {
        const auto open = text.rfind('{', close);
        const auto scheme = open == std::string_view::npos
                                ? std::string_view()
                                : text.substr(open + 1, close - open - 1);
        out += text.substr(0, close + 1);
        text.remove_prefix(close + 1);
        if (scheme.empty() || !std::ranges::all_of(scheme, is_scheme_letter)) continue;
        const auto hash = std::min(text.find_first_of(" \t,;)\"'<"), text.size());
        if (hash > 0) out += "…";
        text.remove_prefix(hash);
    }
    return out.append(text);
}

bool is_uuid(std::string_view text) {
    if (text.size() != 36) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex) return false;
    }
    return true;
}

}  // namespace imapult::provisioning
