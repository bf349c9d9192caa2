#pragma once
// One connection to a host by happy eyeballs (RFC 8305).

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/limits.h"
#include "engine/net/address.h"
#include "engine/net/stream.h"
#include "engine/runtime/ring.h"
#include "engine/runtime/sync.h"

namespace imapult::net {

/// All addresses of a name in the system's order of preference; blocks (getaddrinfo).
/// Code::resolve_failed with scope host.
Result<std::vector<Address>> resolve(const std::string& host, std::uint16_t port);

using Resolver =
    std::function<Result<std::vector<Address>>(const std::string& host, std::uint16_t port)>;

struct ConnectOptions {
    Nanos timeout = limits::kConnectTimeout;            ///< for all addresses together
    Nanos attempt_delay = limits::kHappyEyeballsDelay;  ///< RFC 8305, section 5
    Resolver resolver = &resolve;                       ///< runs on the blocking pool
};

/// The order of RFC 8305, section 4: families alternate, beginning with the family of the first.
std::vector<Address> interleave(std::vector<Address> addresses);

/// Tries one address after the other, the next one 250 ms after the last or as soon as one
/// fails; the first to connect wins and the others are cancelled. Code::resolve_failed or
/// Code::connect_failed, scope host; the sentence names host and port.
runtime::Task<Result<std::unique_ptr<Stream>>> tcp_connect(runtime::Ring& ring,
                                                           runtime::BlockingPool& pool,
                                                           std::string host, std::uint16_t port,
                                                           ConnectOptions options = {});

}  // namespace imapult::net
