#pragma once
// The in-memory IMAP server on a TCP port: tools/imapd has the conversation, engine/net the bytes.
// Clear text only, without STARTTLS and COMPRESS: it is for this machine.

#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "engine/base/error.h"
#include "tools/imapd/store.h"

namespace imapult::program {

/// Serves one store on a thread of its own from start() until it is destroyed.
class ImapdServer {
  public:
    /// `address` is an IP address; port 0 picks a free one. `store` must outlive the server.
    /// Errors: io (the port is taken …), ring_forbidden.
    static Result<std::unique_ptr<ImapdServer>> start(imapd::Store& store, std::string address,
                                                      std::uint16_t port);
    /// Drops every connection and waits for the thread.
    ~ImapdServer();
    ImapdServer(const ImapdServer&) = delete;
    ImapdServer& operator=(const ImapdServer&) = delete;

    [[nodiscard]] std::uint16_t port() const;

    /// What a server of this kind offers: standard() without what needs a transport of its own.
    static imapd::Behaviour clear_text_behaviour();

  private:
    struct Impl;
    explicit ImapdServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace imapult::program
