#include "tools/imapd/digest.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace imapult::imapd {
namespace {

constexpr std::size_t kBlock = 64;

/// The first 32 bits of the fractional part of `root`.
std::uint32_t fraction_bits(long double root) {
    const long double fraction = root - std::floor(root);
    return static_cast<std::uint32_t>(std::floor(std::ldexp(fraction, 32)));
}

struct Sha256Constants {
    std::array<std::uint32_t, 64> k{};
    std::array<std::uint32_t, 8> start{};
    /// FIPS 180-4: cube roots of the first 64 primes, square roots of the first 8.
    Sha256Constants() {
        std::size_t found = 0;
        for (std::uint32_t n = 2; found < 64; ++n) {
            bool prime = true;
            for (std::uint32_t d = 2; d * d <= n; ++d) prime = prime && n % d != 0;
            if (!prime) continue;
            k[found] = fraction_bits(std::cbrt(static_cast<long double>(n)));
            if (found < 8) start[found] = fraction_bits(std::sqrt(static_cast<long double>(n)));
            ++found;
        }
    }
};

/// The message with its padding: 0x80, zeros, the length in bits.
std::string padded(std::string_view bytes, bool big_endian) {
    std::string out(bytes);
    const std::uint64_t bits = static_cast<std::uint64_t>(bytes.size()) * 8;
    out += static_cast<char>(0x80);
    while (out.size() % kBlock != kBlock - 8) out += '\0';
    for (int i = 0; i < 8; ++i) {
        out += static_cast<char>((bits >> (big_endian ? 56 - 8 * i : 8 * i)) & 0xFF);
    }
    return out;
}

std::uint32_t word(std::string_view bytes, std::size_t at, bool big_endian) {
    std::uint32_t out = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        const std::uint32_t byte = static_cast<unsigned char>(bytes[at + i]);
        out |= byte << (big_endian ? 24 - 8 * i : 8 * i);
    }
    return out;
}

template <std::size_t N>
std::string octets(const std::array<std::uint32_t, N>& words, bool big_endian) {
    std::string out;
    for (const std::uint32_t w : words) {
        for (int i = 0; i < 4; ++i) {
            out += static_cast<char>((w >> (big_endian ? 24 - 8 * i : 8 * i)) & 0xFF);
        }
    }
    return out;
}

/// RFC 2104.
template <class Hash>
std::string hmac(Hash hash, std::string_view key, std::string_view bytes) {
    std::string block(key.size() > kBlock ? hash(key) : std::string(key));
    block.resize(kBlock, '\0');
    std::string inner = block;
    std::string outer = block;
    for (char& c : inner) c = static_cast<char>(c ^ 0x36);
    for (char& c : outer) c = static_cast<char>(c ^ 0x5C);
    return hash(outer + hash(inner + std::string(bytes)));
}

void sha256_block(std::array<std::uint32_t, 8>& h, std::string_view block,
                  const std::array<std::uint32_t, 64>& k) {
    std::array<std::uint32_t, 64> w{};
    for (std::size_t i = 0; i < 16; ++i) w[i] = word(block, i * 4, true);
    for (std::size_t i = 16; i < 64; ++i) {
        const std::uint32_t a = w[i - 15];
        const std::uint32_t b = w[i - 2];
        const std::uint32_t s0 = std::rotr(a, 7) ^ std::rotr(a, 18) ^ (a >> 3);
        const std::uint32_t s1 = std::rotr(b, 17) ^ std::rotr(b, 19) ^ (b >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    std::array<std::uint32_t, 8> v = h;
    for (std::size_t i = 0; i < 64; ++i) {
        const std::uint32_t s1 = std::rotr(v[4], 6) ^ std::rotr(v[4], 11) ^ std::rotr(v[4], 25);
        const std::uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        const std::uint32_t t1 = v[7] + s1 + choice + k[i] + w[i];
        const std::uint32_t s0 = std::rotr(v[0], 2) ^ std::rotr(v[0], 13) ^ std::rotr(v[0], 22);
        const std::uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        v = {t1 + s0 + majority, v[0], v[1], v[2], v[3] + t1, v[4], v[5], v[6]};
    }
    for (std::size_t i = 0; i < 8; ++i) h[i] += v[i];
}

void md5_block(std::array<std::uint32_t, 4>& h, std::string_view block) {
    constexpr std::array<int, 16> kShift{7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};
    std::array<std::uint32_t, 4> v = h;
    for (std::uint32_t i = 0; i < 64; ++i) {
        const auto [a, b, c, d] = v;
        std::uint32_t f = 0;
        std::uint32_t g = 0;
        switch (i / 16) {
            case 0:
                f = (b & c) | (~b & d), g = i;
                break;
            case 1:
                f = (d & b) | (~d & c), g = (5 * i + 1) % 16;
                break;
            case 2:
                f = b ^ c ^ d, g = (3 * i + 5) % 16;
                break;
            default:
                f = c ^ (b | ~d), g = (7 * i) % 16;
                break;
        }
        const auto k = static_cast<std::uint32_t>(
            std::floor(std::ldexp(std::fabs(std::sin(static_cast<long double>(i + 1))), 32)));
        const std::uint32_t sum = a + f + k + word(block, g * 4, false);
        v = {d, b + std::rotl(sum, kShift[i / 16 * 4 + i % 4]), b, c};
    }
    for (std::size_t i = 0; i < 4; ++i) h[i] += v[i];
}

}  // namespace

std::string sha256(std::string_view bytes) {
    static const Sha256Constants constants;
    std::array<std::uint32_t, 8> h = constants.start;
    const std::string data = padded(bytes, true);
    for (std::size_t at = 0; at < data.size(); at += kBlock) {
        sha256_block(h, std::string_view(data).substr(at, kBlock), constants.k);
    }
    return octets(h, true);
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
    return hmac(sha256, key, bytes);
}

std::string pbkdf2_sha256(std::string_view password, std::string_view salt, int iterations) {
    using namespace std::string_literals;
    std::string u = hmac_sha256(password, std::string(salt) + "\0\0\0\1"s);
    std::string out = u;
    for (int i = 1; i < iterations; ++i) {
        u = hmac_sha256(password, u);
        for (std::size_t j = 0; j < out.size(); ++j) out[j] = static_cast<char>(out[j] ^ u[j]);
    }
    return out;
}

std::string md5(std::string_view bytes) {
    std::array<std::uint32_t, 4> h{0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476};
    const std::string data = padded(bytes, false);
    for (std::size_t at = 0; at < data.size(); at += kBlock) {
        md5_block(h, std::string_view(data).substr(at, kBlock));
    }
    return octets(h, false);
}

std::string hmac_md5(std::string_view key, std::string_view bytes) {
    return hmac(md5, key, bytes);
}

std::string hex(std::string_view bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    for (const char c : bytes) {
        out += kDigits[static_cast<unsigned char>(c) >> 4];
        out += kDigits[static_cast<unsigned char>(c) & 15];
    }
    return out;
}

}  // namespace imapult::imapd
