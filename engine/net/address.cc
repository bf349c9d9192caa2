#include "engine/net/address.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <cstring>

#include "engine/base/text.h"

namespace imapult::net {

namespace {

const sockaddr_in& as_v4(const Address& address) {
    return reinterpret_cast<const sockaddr_in&>(address.storage);
}
const sockaddr_in6& as_v6(const Address& address) {
    return reinterpret_cast<const sockaddr_in6&>(address.storage);
}

}  // namespace

std::uint16_t Address::port() const {
    return ntohs(family() == AF_INET6 ? as_v6(*this).sin6_port : as_v4(*this).sin_port);
}

void Address::set_port(std::uint16_t port) {
    if (family() == AF_INET6) {
        reinterpret_cast<sockaddr_in6&>(storage).sin6_port = htons(port);
    } else {
        reinterpret_cast<sockaddr_in&>(storage).sin_port = htons(port);
    }
}

bool Address::is_loopback() const {
    if (family() == AF_INET) return (ntohl(as_v4(*this).sin_addr.s_addr) >> 24) == 127;
    if (family() != AF_INET6) return false;
    const in6_addr& address = as_v6(*this).sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&address)) return address.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&address);
}

std::string Address::text() const {
    char literal[INET6_ADDRSTRLEN] = "?";
    if (family() == AF_INET6) {
        inet_ntop(AF_INET6, &as_v6(*this).sin6_addr, literal, sizeof literal);
    } else {
        inet_ntop(AF_INET, &as_v4(*this).sin_addr, literal, sizeof literal);
    }
    return host_and_port(literal, port());
}

std::optional<Address> Address::parse(const std::string& literal, std::uint16_t port) {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    // inet_pton first: getaddrinfo also takes "127.1" and "0x7f000001", which are names to us.
    in_addr v4{};
    if (literal.find(':') == std::string::npos && inet_pton(AF_INET, literal.c_str(), &v4) != 1) {
        return std::nullopt;
    }
    if (getaddrinfo(literal.c_str(), nullptr, &hints, &found) != 0) return std::nullopt;
    Address address;
    std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
    address.bytes = found->ai_addrlen;
    freeaddrinfo(found);
    address.set_port(port);
    return address;
}

std::string host_and_port(const std::string& host, std::uint16_t port) {
    const std::string shown = printable(host, 256);
    const bool v6 = host.find(':') != std::string::npos;
    return (v6 ? "[" + shown + "]" : shown) + ":" + std::to_string(port);
}

}  // namespace imapult::net
