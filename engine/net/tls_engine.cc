#include "engine/net/tls_engine.h"

#include <openssl/bio.h>
#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace imapult::net::detail {

/// A BIO whose two ends are the engine's input view and output string: one copy in, one copy out,
/// nothing in between.
struct EngineBio {
    static TlsEngine& engine(BIO* bio) { return *static_cast<TlsEngine*>(BIO_get_data(bio)); }

    static int read(BIO* bio, char* memory, std::size_t bytes_max, std::size_t* got) {
        TlsEngine& self = engine(bio);
        BIO_clear_retry_flags(bio);
        *got = 0;
        if (self.input_.empty()) {
            if (!self.input_ended_) BIO_set_retry_read(bio);
            return 0;
        }
        *got = std::min(bytes_max, self.input_.size());
        std::memcpy(memory, self.input_.data(), *got);
        self.input_.remove_prefix(*got);
        return 1;
    }

    static int write(BIO* bio, const char* bytes, std::size_t size, std::size_t* written) {
        BIO_clear_retry_flags(bio);
        engine(bio).output_.append(bytes, size);
        *written = size;
        return 1;
    }

    static long control(BIO* bio, int command, long, void*) {
        if (command == BIO_CTRL_FLUSH) return 1;
        if (command == BIO_CTRL_EOF) {
            const TlsEngine& self = engine(bio);
            return self.input_ended_ && self.input_.empty() ? 1 : 0;
        }
        return 0;
    }

    static const BIO_METHOD* method() {
        static const BIO_METHOD* const kMethod = [] {
            BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "imapult");
            IMAPULT_ASSERT(made != nullptr);
            BIO_meth_set_read_ex(made, &EngineBio::read);
            BIO_meth_set_write_ex(made, &EngineBio::write);
            BIO_meth_set_ctrl(made, &EngineBio::control);
            return made;
        }();
        return kMethod;
    }
};

TlsEngine::TlsEngine(SslPtr ssl) : ssl_(std::move(ssl)) {
    BIO* bio = BIO_new(EngineBio::method());
    IMAPULT_ASSERT(bio != nullptr);
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);  // takes it over
}

TlsEngine::Step TlsEngine::step_of(int result) {
    switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_NONE:
            return Step::done;
        case SSL_ERROR_WANT_READ:
            return Step::need_input;
        case SSL_ERROR_ZERO_RETURN:
            return Step::ended;
        default:
            failure_ = take_openssl_error("the connection ended in the middle", &failure_reason_);
            return Step::failed;
    }
}

TlsEngine::Step TlsEngine::handshake() {
    ERR_clear_error();
    return step_of(SSL_do_handshake(ssl_.get()));
}

TlsEngine::Step TlsEngine::read(char* memory, std::size_t bytes_max, std::size_t& got) {
    got = 0;
    while (got < bytes_max) {
        ERR_clear_error();
        std::size_t more = 0;
        const int result = SSL_read_ex(ssl_.get(), memory + got, bytes_max - got, &more);
        if (result != 1) {
            // What was decrypted before comes first; the reason will come again.
            const Step step = step_of(result);
            return got > 0 ? Step::done : step;
        }
        got += more;
    }
    return Step::done;
}

TlsEngine::Step TlsEngine::write(std::string_view bytes) {
    if (bytes.empty()) return Step::done;
    ERR_clear_error();
    std::size_t written = 0;
    const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
    if (result == 1) IMAPULT_ASSERT(written == bytes.size());
    return step_of(result);
}

void TlsEngine::shut_down() {
    ERR_clear_error();
    if (SSL_is_init_finished(ssl_.get()) != 0) SSL_shutdown(ssl_.get());
    ERR_clear_error();
}

std::string take_openssl_error(const char* fallback, int* reason) {
    const unsigned long first = ERR_get_error();
    ERR_clear_error();
    if (reason != nullptr) *reason = ERR_GET_REASON(first);
    if (first == 0) return fallback;
    const char* words = ERR_reason_error_string(first);
    return words != nullptr ? words : "error " + std::to_string(first);
}

}  // namespace imapult::net::detail
