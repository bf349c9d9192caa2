#include "engine/net/ring_connector.h"

#include <utility>

#include "engine/net/deflate_stream.h"

namespace imapult::net {

runtime::Task<Result<std::unique_ptr<Stream>>> RingConnector::connect(std::string host,
                                                                      std::uint16_t port) {
    return tcp_connect(ring_, pool_, std::move(host), port, options_);
}

runtime::Task<Result<std::unique_ptr<Stream>>> RingConnector::start_tls(
    std::unique_ptr<Stream> inner, TlsOptions options) {
    return tls_connect(ring_, tls_, std::move(inner), std::move(options));
}

std::unique_ptr<Stream> RingConnector::start_deflate(std::unique_ptr<Stream> inner,
                                                     std::string pending) {
    return make_deflate_stream(std::move(inner), std::move(pending));
}

}  // namespace imapult::net
