#pragma once
// The server's side of TCP: for `imapult imapd` and the tests.

#include <cstdint>
#include <memory>
#include <string>

#include "engine/net/stream.h"
#include "engine/runtime/ring.h"

namespace imapult::net {

class Listener {
  public:
    /// Listens on an IP address (loopback unless told otherwise); port 0 lets the kernel choose.
    /// Fails with Code::io: "cannot listen on 127.0.0.1:143: …".
    static Result<std::unique_ptr<Listener>> create(runtime::Ring& ring,
                                                    std::string address = "127.0.0.1",
                                                    std::uint16_t port = 0);
    /// Nothing may wait in accept().
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }

    /// The next client. Code::cancelled after stop(); Code::io with Retry::later where descriptors
    /// or memory are short. One waiter at a time.
    runtime::Task<Result<std::unique_ptr<Stream>>> accept();
    /// Ends accept(), now and later, and closes the listening socket.
    void stop();

  private:
    Listener(runtime::Ring& ring, int socket, std::uint16_t port)
        : ring_(ring), socket_(socket), port_(port) {}

    runtime::Ring& ring_;
    int socket_;
    std::uint16_t port_;
    runtime::Operation accept_;
    bool accepting_ = false;
    bool stopped_ = false;
};

}  // namespace imapult::net
