#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace imapult::bench {

/// A file descriptor that is closed with its owner.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd();

    int get() const { return fd_; }
    bool open() const { return fd_ >= 0; }
    void close() { Fd().swap(*this); }
    void swap(Fd& other) { std::swap(fd_, other.fd_); }

  private:
    int fd_ = -1;
};

/// A TCP port in its decimal text, 1 to 65535; the error is a sentence.
std::expected<std::uint16_t, std::string> parse_port(const std::string& text);

/// Listens on 127.0.0.1; port 0 lets the kernel choose. The socket does not block.
std::expected<Fd, std::string> listen_loopback(std::uint16_t port);

/// The local port of a socket.
std::uint16_t port_of(const Fd& socket);

/// Connects to 127.0.0.1 (waits for it), then makes the socket non-blocking, without Nagle's delay.
std::expected<Fd, std::string> connect_loopback(std::uint16_t port);

}  // namespace imapult::bench
