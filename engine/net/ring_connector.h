#pragma once
// The connector of production: one per shard.

#include <memory>
#include <string>

#include "engine/net/stream.h"
#include "engine/net/tcp_connect.h"
#include "engine/net/tls.h"
#include "engine/runtime/ring.h"
#include "engine/runtime/sync.h"

namespace imapult::net {

class RingConnector final : public Connector {
  public:
    /// `pool` resolves names; `tls` is shared by all shards. Both must outlive the connector.
    RingConnector(runtime::Ring& ring, runtime::BlockingPool& pool,
                  std::shared_ptr<TlsClientContext> tls, ConnectOptions options = {})
        : ring_(ring), pool_(pool), tls_(std::move(tls)), options_(std::move(options)) {}

    runtime::Task<Result<std::unique_ptr<Stream>>> connect(std::string host,
                                                           std::uint16_t port) override;
    runtime::Task<Result<std::unique_ptr<Stream>>> start_tls(std::unique_ptr<Stream> inner,
                                                             TlsOptions options) override;
    std::unique_ptr<Stream> start_deflate(std::unique_ptr<Stream> inner,
                                          std::string pending) override;

  private:
    runtime::Ring& ring_;
    runtime::BlockingPool& pool_;
    std::shared_ptr<TlsClientContext> tls_;
    ConnectOptions options_;
};

}  // namespace imapult::net
