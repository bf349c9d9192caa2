#pragma once
// Cuts a fuzzer's octets into arguments, and stops it where a promise is broken.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

/// A promise of the code under test, on in every build.
#define FUZZ_CHECK(expression)                                                              \
    (static_cast<bool>(expression)                                                          \
         ? static_cast<void>(0)                                                             \
         : (std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #expression), \
            std::abort()))

class FuzzInput {
  public:
    FuzzInput(const std::uint8_t* data, std::size_t size)
        : rest_(reinterpret_cast<const char*>(data), size) {}

    std::uint8_t octet() {
        if (rest_.empty()) return 0;
        const auto value = static_cast<std::uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        return value;
    }
    std::uint64_t number(unsigned octets = 8) {
        std::uint64_t value = 0;
        for (unsigned i = 0; i < octets; ++i) value = (value << 8) | octet();
        return value;
    }
    /// A length octet, then as many octets.
    std::string_view text() {
        const std::string_view found = rest_.substr(0, octet());
        return take(found.size());
    }
    std::string_view take(std::size_t count) {
        const std::string_view found = rest_.substr(0, count);
        rest_.remove_prefix(found.size());
        return found;
    }
    [[nodiscard]] std::string_view rest() const { return rest_; }

  private:
    std::string_view rest_;
};
