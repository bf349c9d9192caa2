#pragma once
// Socket addresses: from literals, to text, and whether they are this machine.

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

namespace imapult::net {

/// An IPv4 or IPv6 address with a port.
struct Address {
    sockaddr_storage storage{};
    socklen_t bytes = 0;

    [[nodiscard]] const sockaddr* get() const {
        return reinterpret_cast<const sockaddr*>(&storage);
    }
    [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    [[nodiscard]] int family() const { return storage.ss_family; }
    [[nodiscard]] std::uint16_t port() const;
    void set_port(std::uint16_t port);
    /// 127/8, ::1, ::ffff:127.0.0.0/104.
    [[nodiscard]] bool is_loopback() const;
    /// "192.0.2.1:143", "[2001:db8::1]:143".
    [[nodiscard]] std::string text() const;

    /// A literal address without brackets; a zone (fe80::1%eth0) is allowed.
    static std::optional<Address> parse(const std::string& literal, std::uint16_t port);
};

/// "host:port", with brackets around an IPv6 literal.
std::string host_and_port(const std::string& host, std::uint16_t port);

}  // namespace imapult::net
