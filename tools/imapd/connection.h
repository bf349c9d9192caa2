#pragma once
// One client's IMAP conversation, without a socket: bytes go in by feed(), bytes come out by
// read_output(). The program around it owns the transport, TLS, DEFLATE and all waiting.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "tools/imapd/store.h"

namespace imapult::imapd {

class Session;

/// What the transport must do before the conversation goes on.
enum class Handover : std::uint8_t {
    none,
    tls,      ///< once the output is drained: the server side of a TLS handshake
    deflate,  ///< once the output is drained: raw DEFLATE both ways (RFC 4978)
};

/// What the transport is and can do. STARTTLS and COMPRESS=DEFLATE are offered only where the
/// behaviour has them and the transport can.
struct Transport {
    bool encrypted = false;  ///< from the start
    bool can_start_tls = false;
    bool can_deflate = false;
};

class Connection {
  public:
    /// `store` must outlive the connection.
    explicit Connection(Store& store, Transport transport = {});
    ~Connection();
    Connection(Connection&&) noexcept;
    Connection& operator=(Connection&&) noexcept;

    /// Takes any number of octets. Commands are answered as they become complete, except while
    /// the output of an earlier one is not read yet: input then waits inside.
    void feed(std::string_view bytes);
    /// False while the connection holds so much unanswered input or unread output that the
    /// transport should stop reading from its peer.
    [[nodiscard]] bool wants_input() const;

    /// The greeting is the first output. Large answers are made while they are read.
    [[nodiscard]] bool has_output() const;
    /// Appends at most `bytes_max` octets to `out`; returns how many.
    std::size_t read_output(std::string& out, std::size_t bytes_max);
    /// The same as a string; everything if `bytes_max` is not given.
    std::string take_output(std::size_t bytes_max = SIZE_MAX);

    /// True once the transport should be closed after the output is drained.
    [[nodiscard]] bool wants_close() const;
    /// True if it should be closed by a reset (a server that just drops the line).
    [[nodiscard]] bool wants_reset() const;

    [[nodiscard]] Handover handover() const;
    /// Tells that the handover has happened. Input that came too early is dropped for TLS (command
    /// injection, RFC 9051, section 11.1) and given back for DEFLATE, to be inflated.
    std::string handover_done();

    /// Puts news into the output if the client is in IDLE; call it when Store::watch fires.
    void poll();
    [[nodiscard]] bool idling() const;

  private:
    std::unique_ptr<Session> session_;
};

}  // namespace imapult::imapd
