#pragma once
// A password or token: wiped when it goes, never printed, never compared in logs.

#include <string>
#include <string_view>
#include <utility>

namespace imapult {

/// Owns secret bytes. There is no operator<<, no formatter and no implicit conversion, so that a
/// secret reaches a log or a report only by an explicit `reveal()`, which only the code that talks
/// to a server calls.
class Secret {
  public:
    Secret() = default;
    explicit Secret(std::string value) : value_(std::move(value)) {}
    Secret(const Secret&) = default;
    Secret& operator=(const Secret& other) {
        if (this != &other) {
            wipe(value_);
            value_ = other.value_;
        }
        return *this;
    }
    Secret(Secret&& other) noexcept : value_(other.value_) { wipe(other.value_); }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            wipe(value_);
            value_ = other.value_;
            wipe(other.value_);
        }
        return *this;
    }
    ~Secret() { wipe(value_); }

    [[nodiscard]] std::string_view reveal() const { return value_; }
    [[nodiscard]] bool empty() const { return value_.empty(); }

    /// Overwrites and empties a string that held secret bytes.
    static void wipe(std::string& bytes) noexcept;

  private:
    std::string value_;
};

}  // namespace imapult
