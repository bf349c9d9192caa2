// Certificates: which are trusted, what is said when one is not, and sessions for resumption.

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <cctype>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/net/tls.h"
#include "engine/net/tls_engine.h"

namespace imapult::net {

using detail::SessionPtr;
using detail::SslContextPtr;
using detail::SslPtr;
using detail::Verification;

struct TlsClientContext::Impl {
    std::mutex mutex;
    std::map<std::string, SslContextPtr> contexts;           ///< by CA file
    std::map<std::string, std::deque<SessionPtr>> sessions;  ///< by host and way of verifying
};

struct TlsServerContext::Impl {
    SslContextPtr context;
};

TlsClientContext::TlsClientContext() : impl_(std::make_unique<Impl>()) {}
TlsClientContext::~TlsClientContext() = default;
TlsServerContext::TlsServerContext() : impl_(std::make_unique<Impl>()) {}
TlsServerContext::~TlsServerContext() = default;

namespace {

/// Where an SSL object keeps its Verification, and an SSL_CTX its TlsClientContext::Impl.
int verification_index() {
    static const int kIndex = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return kIndex;
}
int context_index() {
    static const int kIndex = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return kIndex;
}
Verification& verification_of(const SSL* ssl) {
    return *static_cast<Verification*>(SSL_get_ex_data(ssl, verification_index()));
}

/// A name as certificates have it: without a final dot.
std::string certificate_name(std::string host) {
    if (host.size() > 1 && host.back() == '.') host.pop_back();
    return host;
}

bool is_address(const std::string& host) {
    unsigned char bytes[sizeof(in6_addr)];
    return inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
           inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

/// Sessions are resumed only under the same demands as those under which they were verified.
std::string session_key(const TlsOptions& options, const std::string& pin) {
    std::string key = to_lower(certificate_name(options.host_name));
    key += '\n';
    key += options.ca_file;
    key += '\n';
    key += pin;
    key += options.insecure ? "\ninsecure" : "\n";
    return key;
}

std::string fingerprint_of(const X509* certificate) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) return {};
    static constexpr char kHex[] = "0123456789ABCDEF";
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
        if (i > 0) text += ':';
        text += kHex[digest[i] >> 4];
        text += kHex[digest[i] & 15];
    }
    return text;
}

/// The DNS names and addresses of a certificate, the first few, made printable.
std::string names_of(const X509* certificate) {
    constexpr int kNamesShown = 5;
    auto* names = static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    std::string text;
    int shown = 0;
    for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS) continue;
        if (!text.empty()) text += ", ";
        if (++shown > kNamesShown) {
            text += "…";
            break;
        }
        const ASN1_IA5STRING* dns = name->d.dNSName;
        text += printable({reinterpret_cast<const char*>(ASN1_STRING_get0_data(dns)),
                           static_cast<std::size_t>(ASN1_STRING_length(dns))},
                          128);
    }
    GENERAL_NAMES_free(names);
    if (!text.empty()) return text;
    char common_name[128];
    const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                               common_name, sizeof common_name);
    return size > 0 ? printable({common_name, static_cast<std::size_t>(size)}) : "no name";
}

/// Hex digits only, lower case; colons and blanks are allowed in what a person gives.
std::string normal_fingerprint(std::string_view text) {
    std::string digits;
    for (const char c : text) {
        if (c == ':' || c == ' ') continue;
        digits += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return digits;
}

bool valid_fingerprint(const std::string& digits) {
    return digits.size() == 64 && digits.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// In the place of OpenSSL's own verification: notes what was shown, then decides.
int judge_certificate(X509_STORE_CTX* store, void*) {
    const auto* ssl = static_cast<const SSL*>(
        X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    Verification& verification = verification_of(ssl);
    const X509* leaf = X509_STORE_CTX_get0_cert(store);
    if (leaf == nullptr) return 0;
    verification.judged = true;
    verification.seen_fingerprint = fingerprint_of(leaf);
    verification.seen_names = names_of(leaf);
    if (!verification.pin.empty()) {
        const bool same = normal_fingerprint(verification.seen_fingerprint) == verification.pin;
        X509_STORE_CTX_set_error(store, same ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
        return same ? 1 : 0;
    }
    if (verification.options.insecure) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    return X509_verify_cert(store) == 1 ? 1 : 0;
}

/// A ticket came: kept for the next connection to the same host.
int keep_session(SSL* ssl, SSL_SESSION* session) {
    auto* context = SSL_get_SSL_CTX(ssl);
    auto& impl =
        *static_cast<TlsClientContext::Impl*>(SSL_CTX_get_ex_data(context, context_index()));
    const Verification& verification = verification_of(ssl);
    std::string key = session_key(verification.options, verification.pin);
    const std::lock_guard lock(impl.mutex);
    const auto found = impl.sessions.find(key);
    if (found == impl.sessions.end() && impl.sessions.size() >= limits::kTlsHostsMax) return 0;
    auto& kept = impl.sessions[std::move(key)];
    kept.emplace_back(session);  // ours now: 1 is returned
    if (kept.size() > limits::kTlsSessionsPerHostMax) kept.pop_front();
    return 1;
}

/// TLS 1.3 tickets are for one use (RFC 8446, appendix C.4); older sessions for many.
SessionPtr take_session(TlsClientContext::Impl& impl, const std::string& key) {
    const std::lock_guard lock(impl.mutex);
    const auto found = impl.sessions.find(key);
    if (found == impl.sessions.end() || found->second.empty()) return nullptr;
    auto& kept = found->second;
    if (SSL_SESSION_get_protocol_version(kept.back().get()) < TLS1_3_VERSION) {
        SSL_SESSION_up_ref(kept.back().get());
        return SessionPtr(kept.back().get());
    }
    SessionPtr session = std::move(kept.back());
    kept.pop_back();
    return session;
}

SslContextPtr new_context(const SSL_METHOD* method) {
    SslContextPtr context(SSL_CTX_new(method));
    IMAPULT_ASSERT(context != nullptr);
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    // Many servers just close the connection at the end; IMAP's own framing notices a cut.
    SSL_CTX_set_options(context.get(), SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_NO_COMPRESSION);
    return context;
}

Result<SslContextPtr> new_client_context(TlsClientContext::Impl& impl, const std::string& ca_file) {
    SslContextPtr context = new_context(TLS_client_method());
    SSL_CTX_set_ex_data(context.get(), context_index(), &impl);
    // The three of RFC 8446, the cheapest first: AES-128 costs a quarter less than AES-256.
    SSL_CTX_set_ciphersuites(context.get(),
                             "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                             "TLS_CHACHA20_POLY1305_SHA256");
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(context.get(), &judge_certificate, nullptr);
    SSL_CTX_set_session_cache_mode(context.get(),
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context.get(), &keep_session);
    ERR_clear_error();
    if (ca_file.empty()) {
        SSL_CTX_set_default_verify_paths(context.get());
    } else if (SSL_CTX_load_verify_file(context.get(), ca_file.c_str()) != 1) {
        return invalid("cannot use the CA file " + printable(ca_file) + ": " +
                       detail::take_openssl_error("no certificate in it"));
    }
    ERR_clear_error();
    return context;
}

Error host_error(std::string text, Retry retry = Retry::never) {
    return Error{Code::tls_failed, Scope::host, retry, Outcome::not_done, {}, std::move(text)};
}

/// What is wrong with the certificate, in words, and the cure.
std::string certificate_sentence(long result, const Verification& verification) {
    const std::string host = printable(certificate_name(verification.options.host_name), 256);
    const std::string trust =
        "; give its CA with the ca-file option or pin it with the tls-fingerprint option";
    std::string what;
    switch (result) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            what = "has expired; renew it on the server, or pin it with the tls-fingerprint option";
            break;
        case X509_V_ERR_CERT_NOT_YET_VALID:
            what = "is not valid yet; check this machine's clock and the server's certificate";
            break;
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            what = "does not match the host name: it is for another name (" + verification.seen_names +
                   "); connect by that name, or pin it with the tls-fingerprint option";
            break;
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            what = "is self-signed" + trust;
            break;
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
            what = "comes from a CA that is not known here" + trust;
            break;
        case X509_V_ERR_APPLICATION_VERIFICATION:
            what =
                "is not the pinned one; if the server's certificate was renewed, pin the new "
                "fingerprint";
            break;
        default:
            what = std::string("is not trusted (") + X509_verify_cert_error_string(result) + ")" +
                   trust;
    }
    return "the certificate of " + host + " " + what +
           " (SHA-256 fingerprint seen: " + verification.seen_fingerprint + ")";
}

}  // namespace

namespace detail {

Result<SslPtr> new_client_ssl(TlsClientContext& shared, Verification& verification) {
    const TlsOptions& options = verification.options;
    if (!options.fingerprint_sha256.empty()) {
        verification.pin = normal_fingerprint(options.fingerprint_sha256);
        if (!valid_fingerprint(verification.pin)) {
            return invalid("a SHA-256 fingerprint has 64 hexadecimal digits");
        }
    }
    auto& impl = shared.impl();
    SSL_CTX* context = nullptr;
    {
        const std::lock_guard lock(impl.mutex);
        auto& slot = impl.contexts[options.ca_file];
        if (!slot) {
            auto made = new_client_context(impl, options.ca_file);
            if (!made) return std::unexpected(std::move(made).error());
            slot = std::move(*made);
        }
        context = slot.get();
    }
    SslPtr ssl(SSL_new(context));
    IMAPULT_ASSERT(ssl != nullptr);
    SSL_set_ex_data(ssl.get(), verification_index(), &verification);
    const std::string host = certificate_name(options.host_name);
    X509_VERIFY_PARAM* parameters = SSL_get0_param(ssl.get());
    if (is_address(host)) {
        X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str());
    } else {
        if (host.empty()) return invalid("TLS needs the server's host name");
        X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        if (X509_VERIFY_PARAM_set1_host(parameters, host.c_str(), host.size()) != 1 ||
            SSL_set_tlsext_host_name(ssl.get(), host.c_str()) != 1) {
            ERR_clear_error();
            return invalid("the host name " + printable(host, 256) + " cannot be used with TLS");
        }
    }
    if (const SessionPtr session = take_session(impl, session_key(options, verification.pin))) {
        SSL_set_session(ssl.get(), session.get());
    }
    SSL_set_connect_state(ssl.get());
    return ssl;
}

Error client_handshake_error(const TlsEngine& engine, const Verification& verification) {
    const long result = SSL_get_verify_result(engine.ssl());
    if (verification.judged && result != X509_V_OK) {
        return host_error(certificate_sentence(result, verification));
    }
    const std::string host = printable(verification.options.host_name, 256);
    switch (engine.failure_reason()) {
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
            return host_error("the server " + host +
                              " offers no TLS version from 1.2 on; update the server");
        default:
            return host_error("TLS handshake with " + host + " failed: " + engine.failure());
    }
}

Result<SslPtr> new_server_ssl(TlsServerContext& shared) {
    SslPtr ssl(SSL_new(shared.impl().context.get()));
    IMAPULT_ASSERT(ssl != nullptr);
    SSL_set_accept_state(ssl.get());
    return ssl;
}

}  // namespace detail

Result<std::shared_ptr<TlsServerContext>> TlsServerContext::create(
    const std::string& certificate_file, const std::string& key_file) {
    std::shared_ptr<TlsServerContext> result(new TlsServerContext);
    result->impl_->context = new_context(TLS_server_method());
    SSL_CTX* context = result->impl_->context.get();
    static constexpr unsigned char kSessionId[] = "imapult";
    SSL_CTX_set_session_id_context(context, kSessionId, sizeof kSessionId - 1);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1) {
        return invalid("cannot use the certificate file " + printable(certificate_file) + ": " +
                       detail::take_openssl_error("no certificate in it"));
    }
    if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return invalid("cannot use the key file " + printable(key_file) + ": " +
                       detail::take_openssl_error("no key in it"));
    }
    return result;
}

}  // namespace imapult::net
