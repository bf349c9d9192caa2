// The coroutine side of TLS: moves bytes between the engine and the inner stream.

#include <utility>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/net/tls.h"
#include "engine/net/tls_engine.h"
#include "engine/runtime/sync.h"

namespace imapult::net {

using detail::TlsEngine;
using detail::Verification;
using Step = TlsEngine::Step;

namespace {

/// Encrypted at once before it is sent: fits a send slab with the records' overhead, and the
/// core's cache.
constexpr std::size_t kEncryptBytes = limits::kSendSlabBytes / 2;
constexpr std::size_t kDecryptBytes = limits::kReceiveBlockBytes;

/// Aborts a stream when time is up.
class Deadline {
  public:
    Deadline(runtime::Scheduler& scheduler, Stream& stream, Nanos limit)
        : scheduler_(scheduler),
          stream_(stream),
          timer_(scheduler.add_timer(scheduler.now() + limit, {&Deadline::expire, this})) {}
    ~Deadline() { scheduler_.cancel_timer(timer_); }
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;
    [[nodiscard]] bool passed() const { return passed_; }

  private:
    static void expire(void* context) {
        auto* self = static_cast<Deadline*>(context);
        self->passed_ = true;
        self->stream_.abort();
    }
    runtime::Scheduler& scheduler_;
    Stream& stream_;
    bool passed_ = false;
    runtime::TimerId timer_;
};

class TlsStream final : public Stream {
  public:
    TlsStream(runtime::Scheduler& scheduler, std::unique_ptr<Stream> inner,
              std::shared_ptr<void> context, std::unique_ptr<Verification> verification,
              detail::SslPtr ssl)
        : scheduler_(scheduler),
          context_(std::move(context)),
          verification_(std::move(verification)),
          inner_(std::move(inner)),
          engine_(std::move(ssl)),
          flushed_(scheduler) {}

    runtime::Task<Result<void>> client_handshake();
    runtime::Task<Result<void>> server_handshake();

    runtime::Task<Result<std::string_view>> read() override;
    runtime::Task<Result<void>> write(std::string_view bytes) override;
    void abort() override { inner_->abort(); }
    runtime::Task<void> close() override;

    [[nodiscard]] std::uint64_t wire_bytes_in() const override { return inner_->wire_bytes_in(); }
    [[nodiscard]] std::uint64_t wire_bytes_out() const override { return inner_->wire_bytes_out(); }
    [[nodiscard]] bool is_loopback() const override { return inner_->is_loopback(); }
    [[nodiscard]] bool is_secure() const override { return true; }
    [[nodiscard]] const TlsInfo& info() const { return info_; }

  private:
    runtime::Task<Result<void>> shake_hands();
    runtime::Task<Result<void>> refill();
    runtime::Task<Result<void>> flush();
    void note_info();
    [[nodiscard]] std::unexpected<Error> broken() const;

    runtime::Scheduler& scheduler_;
    std::shared_ptr<void> context_;  ///< what the SSL object points into
    std::unique_ptr<Verification> verification_;
    std::unique_ptr<Stream> inner_;
    TlsEngine engine_;
    TlsInfo info_;
    std::string clear_text_seen_;
    bool input_ended_ = false;
    bool ended_ = false;
    std::unique_ptr<char[]> plain_;  ///< kDecryptBytes

    // At most one inner write at a time: read() may have something to send as well (key updates).
    std::string sending_;
    bool flushing_ = false;
    runtime::Event flushed_;
};

std::unexpected<Error> TlsStream::broken() const {
    return fail(Code::connection_lost, Scope::connection, Retry::now,
                "the TLS connection broke: " +
                    (engine_.failure().empty() ? "the peer closed it" : engine_.failure()));
}

runtime::Task<Result<void>> TlsStream::flush() {
    while (flushing_) co_await flushed_.wait();
    Result<void> result{};
    flushing_ = true;
    while (result && !engine_.output().empty()) {
        sending_.swap(engine_.output());
        result = co_await inner_->write(sending_);
        sending_.clear();
    }
    flushing_ = false;
    flushed_.notify_all();
    co_return result;
}

/// Gives the engine the next bytes of the inner stream, after what the engine itself has to say.
runtime::Task<Result<void>> TlsStream::refill() {
    if (!engine_.output().empty()) {
        auto sent = co_await flush();
        if (!sent) co_return sent;
    }
    auto bytes = co_await inner_->read();
    if (!bytes) co_return std::unexpected(std::move(bytes).error());
    if (bytes->empty()) {
        engine_.feed_end();
        input_ended_ = true;
    } else {
        engine_.feed(*bytes);
    }
    co_return Result<void>{};
}

runtime::Task<Result<void>> TlsStream::shake_hands() {
    bool first = true;
    for (;;) {
        const Step step = engine_.handshake();
        if (step == Step::done) co_return co_await flush();
        if (step != Step::need_input) co_return broken();
        if (!engine_.output().empty()) {
            auto sent = co_await flush();
            if (!sent) co_return sent;
        }
        auto bytes = co_await inner_->read();
        if (!bytes) co_return std::unexpected(std::move(bytes).error());
        if (bytes->empty()) {
            engine_.feed_end();
            continue;
        }
        // A TLS server's first octet is that of a handshake or alert record (RFC 8446, 5.1).
        if (std::exchange(first, false) && bytes->front() != 0x16 && bytes->front() != 0x15) {
            const std::string_view line = bytes->substr(0, bytes->find_first_of("\r\n"));
            clear_text_seen_ = printable(line, 80);
            co_return broken();
        }
        engine_.feed(*bytes);
    }
}

runtime::Task<Result<void>> TlsStream::client_handshake() {
    const std::string host = printable(verification_->options.host_name, 256);
    Result<void> result{};
    bool late = false;
    {
        const Deadline deadline(scheduler_, *inner_, limits::kTlsHandshakeTimeout);
        result = co_await shake_hands();
        late = deadline.passed();
    }
    if (result) {
        note_info();
        co_return result;
    }
    if (late) {
        co_return fail(Code::timeout, Scope::host, Retry::later,
                       host + " gave no answer to the TLS handshake within " +
                           std::to_string(limits::kTlsHandshakeTimeout.count()) +
                           " s; does the server speak TLS on this port?");
    }
    if (!clear_text_seen_.empty()) {
        co_return fail(Code::tls_failed, Scope::host, Retry::never,
                       "the server does not speak TLS on this port: it sent \"" + clear_text_seen_ +
                           "\" in clear text; use STARTTLS or its TLS port");
    }
    if (result.error().code == Code::cancelled) co_return result;
    if (engine_.failure().empty()) {
        co_return fail(Code::tls_failed, Scope::host, Retry::later,
                       "the server closed the connection during the TLS handshake (" +
                           result.error().text + ")");
    }
    // The alert that tells the server why, as far as it can still be sent.
    static_cast<void>(co_await flush());
    co_return std::unexpected(detail::client_handshake_error(engine_, *verification_));
}

runtime::Task<Result<void>> TlsStream::server_handshake() {
    Result<void> result{};
    {
        const Deadline deadline(scheduler_, *inner_, limits::kTlsHandshakeTimeout);
        result = co_await shake_hands();
    }
    if (result) {
        note_info();
        co_return result;
    }
    if (result.error().code == Code::cancelled) co_return result;
    static_cast<void>(co_await flush());
    co_return fail(Code::tls_failed, Scope::connection, Retry::never,
                   "TLS handshake with a client failed: " +
                       (engine_.failure().empty() ? result.error().text : engine_.failure()));
}

void TlsStream::note_info() {
    info_.version = SSL_get_version(engine_.ssl());
    info_.cipher = SSL_get_cipher_name(engine_.ssl());
    info_.resumed = SSL_session_reused(engine_.ssl()) == 1;
    if (verification_) info_.fingerprint_sha256 = verification_->seen_fingerprint;
}

runtime::Task<Result<std::string_view>> TlsStream::read() {
    if (ended_) co_return std::string_view{};
    if (!plain_) plain_ = std::make_unique_for_overwrite<char[]>(kDecryptBytes);
    for (;;) {
        std::size_t got = 0;
        switch (engine_.read(plain_.get(), kDecryptBytes, got)) {
            case Step::done:
                co_return std::string_view(plain_.get(), got);
            case Step::ended:
                ended_ = true;
                co_return std::string_view{};
            case Step::failed:
                co_return broken();
            case Step::need_input:
                break;
        }
        if (input_ended_) {
            ended_ = true;
            co_return std::string_view{};
        }
        auto filled = co_await refill();
        if (!filled) co_return std::unexpected(std::move(filled).error());
    }
}

runtime::Task<Result<void>> TlsStream::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const std::string_view part = bytes.substr(0, kEncryptBytes);
        if (engine_.write(part) != Step::done) co_return broken();
        bytes.remove_prefix(part.size());
        auto sent = co_await flush();
        if (!sent) co_return sent;
    }
    co_return Result<void>{};
}

runtime::Task<void> TlsStream::close() {
    engine_.shut_down();
    {
        // A peer that does not read must not hold us up.
        const Deadline deadline(scheduler_, *inner_, limits::kCloseTimeout);
        static_cast<void>(co_await flush());
    }
    co_await inner_->close();
}

}  // namespace

runtime::Task<Result<std::unique_ptr<Stream>>> tls_connect(
    runtime::Scheduler& scheduler, std::shared_ptr<TlsClientContext> context,
    std::unique_ptr<Stream> inner, TlsOptions options) {
    auto verification = std::make_unique<Verification>();
    verification->options = std::move(options);
    auto ssl = detail::new_client_ssl(*context, *verification);
    if (!ssl) co_return std::unexpected(std::move(ssl).error());
    auto stream = std::make_unique<TlsStream>(scheduler, std::move(inner), std::move(context),
                                              std::move(verification), std::move(*ssl));
    auto done = co_await stream->client_handshake();
    if (!done) co_return std::unexpected(std::move(done).error());
    std::unique_ptr<Stream> result = std::move(stream);
    co_return result;
}

runtime::Task<Result<std::unique_ptr<Stream>>> tls_accept(runtime::Scheduler& scheduler,
                                                          std::shared_ptr<TlsServerContext> context,
                                                          std::unique_ptr<Stream> inner) {
    auto ssl = detail::new_server_ssl(*context);
    if (!ssl) co_return std::unexpected(std::move(ssl).error());
    auto stream = std::make_unique<TlsStream>(scheduler, std::move(inner), std::move(context),
                                              nullptr, std::move(*ssl));
    auto done = co_await stream->server_handshake();
    if (!done) co_return std::unexpected(std::move(done).error());
    std::unique_ptr<Stream> result = std::move(stream);
    co_return result;
}

const TlsInfo* tls_info(const Stream& stream) {
    const auto* tls = dynamic_cast<const TlsStream*>(&stream);
    return tls != nullptr ? &tls->info() : nullptr;
}

}  // namespace imapult::net
