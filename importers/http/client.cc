#include "importers/http/client.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "engine/base/text.h"

namespace imapult::http {
namespace {

using Steady = std::chrono::steady_clock;
constexpr std::size_t kHeaderBytesMax = 64UL * 1024;
constexpr std::chrono::milliseconds kRetryAfterMax{300'000};

bool has_control(std::string_view text) {
    return std::ranges::any_of(
        text, [](char c) { return static_cast<std::uint8_t>(c) < 0x20 || c == 0x7F; });
}

/// One request on its way: everything libcurl points into.
struct Transfer {
    Request request;
    const std::string* fingerprint = nullptr;
    Response response;
    CURL* easy = nullptr;
    curl_slist* headers = nullptr;
    std::array<char, CURL_ERROR_SIZE> message{};
    std::uint64_t body_bytes = 0;
    std::size_t header_bytes = 0;
    bool too_long = false;
    bool sink_failed = false;
    unsigned tries = 0;
    Steady::time_point not_before;
    Result<Response> result = Response{};
    bool done = false;
};

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
    auto* transfer = static_cast<Transfer*>(user);
    const std::size_t bytes = size * count;
    transfer->body_bytes += bytes;
    if (transfer->body_bytes > transfer->request.reply_bytes_max) {
        transfer->too_long = true;
        return 0;
    }
    if (transfer->request.reply_fd < 0) {
        transfer->response.body.append(data, bytes);
        return bytes;
    }
    std::size_t written = 0;
    while (written < bytes) {
        const ssize_t n = ::write(transfer->request.reply_fd, data + written, bytes - written);
        if (n <= 0) {
            transfer->sink_failed = true;
            return 0;
        }
        written += static_cast<std::size_t>(n);
    }
    return bytes;
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
    auto* transfer = static_cast<Transfer*>(user);
    const std::size_t bytes = size * count;
    const std::string_view line = trim(std::string_view(data, bytes));
    transfer->header_bytes += bytes;
    if (transfer->header_bytes > kHeaderBytesMax) {
        transfer->too_long = true;
        return 0;
    }
    if (line.starts_with("HTTP/")) {
        // An interim reply (100, 103) was here before: only the last one's headers count.
        transfer->response.headers.clear();
        return bytes;
    }
    const auto colon = line.find(':');
    if (colon != std::string_view::npos) {
        transfer->response.headers.push_back(
            {std::string(trim(line.substr(0, colon))), std::string(trim(line.substr(colon + 1)))});
    }
    return bytes;
}

/// Trusts exactly the pinned certificate; replaces OpenSSL's chain check.
int verify_pinned(X509_STORE_CTX* store, void* argument) {
    const auto* wanted = static_cast<const std::string*>(argument);
    X509* certificate = X509_STORE_CTX_get0_cert(store);
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    if (certificate == nullptr ||
        X509_digest(certificate, EVP_sha256(), digest.data(), &length) != 1) {
        return 0;
    }
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string seen;
    for (unsigned i = 0; i < length; ++i) {
        seen += kHex[digest[i] >> 4U];
        seen += kHex[digest[i] & 15U];
    }
    if (seen == *wanted) return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
    return 0;
}

CURLcode on_ssl_context(CURL* /*easy*/, void* context, void* user) {
    const auto* transfer = static_cast<Transfer*>(user);
    auto* ssl = static_cast<SSL_CTX*>(context);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(ssl, verify_pinned,
                                     const_cast<std::string*>(transfer->fingerprint));
    return CURLE_OK;
}

std::string host_of(const std::string& url) {
    const auto start = url.find("://");
    if (start == std::string::npos) return "the server";
    const auto end = url.find_first_of("/?#", start + 3);
    return printable(url.substr(start + 3, end == std::string::npos ? end : end - start - 3));
}

/// What a libcurl code means for us. Outcome::unknown as soon as the request may have been read.
Error error_of(CURLcode code, const Transfer& transfer) {
    const std::string host = host_of(transfer.request.url);
    const std::string detail =
        printable(transfer.message[0] != '\0' ? transfer.message.data() : curl_easy_strerror(code));
    Error error{Code::connection_lost,
                Scope::connection,
                Retry::later,
                Outcome::unknown,
                {},
                "the connection to " + host + " was lost: " + detail};
    switch (code) {
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
            return {Code::resolve_failed,
                    Scope::host,
                    Retry::later,
                    Outcome::not_done,
                    {},
                    "the name of " + host + " has no address: " + detail};
        case CURLE_COULDNT_CONNECT:
            return {Code::connect_failed, Scope::host, Retry::later,
                    Outcome::not_done,    {},          "no connection to " + host + ": " + detail};
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_USE_SSL_FAILED:
        case CURLE_SSL_INVALIDCERTSTATUS:
            return {Code::tls_failed,  Scope::host, Retry::never,
                    Outcome::not_done, {},          "TLS with " + host + " failed: " + detail};
        case CURLE_OPERATION_TIMEDOUT: {
            curl_off_t connected = 0;
            curl_easy_getinfo(transfer.easy, CURLINFO_CONNECT_TIME_T, &connected);
            const auto outcome = connected > 0 ? Outcome::unknown : Outcome::not_done;
            return {Code::timeout,
                    Scope::connection,
                    Retry::later,
                    outcome,
                    {},
                    host + " did not answer in time: " + detail};
        }
        case CURLE_WRITE_ERROR:
            if (transfer.sink_failed) {
                return {Code::io,     Scope::run,
                        Retry::never, Outcome::unknown,
                        {},           "cannot write what " + host + " sent (disk full?)"};
            }
            return {Code::limit,
                    Scope::connection,
                    Retry::never,
                    Outcome::unknown,
                    {},
                    "the reply of " + host + " is longer than " +
                        std::to_string(transfer.request.reply_bytes_max) + " bytes"};
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
            return {Code::invalid_input, Scope::run, Retry::never,
                    Outcome::not_done,   {},         "bad URL: " + detail};
        case CURLE_OUT_OF_MEMORY:
            return {Code::io, Scope::run, Retry::never, Outcome::unknown, {}, "out of memory"};
        default:
            return error;
    }
}

bool is_loopback_url(const std::string& url) {
    const std::string host = host_of(url);
    return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

}  // namespace

std::string_view Response::header(std::string_view name) const {
    for (const Header& header : headers) {
        if (equal_ignoring_case(header.name, name)) return header.value;
    }
    return {};
}

class Client::Impl {
  public:
    explicit Impl(Options options) : options_(std::move(options)) {}
    ~Impl();
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Result<> start();
    void run(std::vector<std::unique_ptr<Transfer>>& transfers);
    void cancel();

  private:
    void loop();
    void launch_ready();
    bool set_up(Transfer& transfer);
    void finish(CURL* easy, CURLcode code);
    bool should_resend(Transfer& transfer, CURLcode code);
    void complete(Transfer& transfer, Result<Response> result);
    void drop_all();
    [[nodiscard]] int wait_ms() const;

    Options options_;
    CURLM* multi_ = nullptr;
    std::vector<CURL*> idle_;  // handles kept for their settings' memory; multi keeps connections
    std::map<CURL*, Transfer*> running_;  // owned by the callers of run()
    std::list<Transfer*> delayed_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Transfer*> queue_;  // guarded by mutex_
    bool stop_ = false;            // guarded by mutex_
    bool cancelled_ = false;       // guarded by mutex_
    std::thread thread_;
};

Client::Impl::~Impl() {
    {
        const std::scoped_lock lock(mutex_);
        stop_ = true;
        cancelled_ = true;
    }
    if (multi_ != nullptr) curl_multi_wakeup(multi_);
    if (thread_.joinable()) thread_.join();
    for (CURL* easy : idle_) curl_easy_cleanup(easy);
    if (multi_ != nullptr) curl_multi_cleanup(multi_);
}

Result<> Client::Impl::start() {
    // Once for the process; libcurl counts the calls. A server that goes while TLS is written to it
    // must not end us: with CURLOPT_NOSIGNAL libcurl leaves that to its user.
    static const CURLcode global = [] {
        std::signal(SIGPIPE, SIG_IGN);
        return curl_global_init(CURL_GLOBAL_DEFAULT);
    }();
    if (global != CURLE_OK)
        return fail(Code::io, Scope::run, Retry::never, "libcurl does not start");
    if (options_.connections == 0 || options_.connections > kTransfersMax) {
        return invalid("connections must be between 1 and " + std::to_string(kTransfersMax));
    }
    if (!options_.tls.fingerprint_sha256.empty()) {
        IMAPULT_TRY(options_.tls.fingerprint_sha256,
                    parse_fingerprint(options_.tls.fingerprint_sha256));
    }
    if (!options_.tls.ca_file.empty() && ::access(options_.tls.ca_file.c_str(), R_OK) != 0) {
        return invalid("the CA file " + printable(options_.tls.ca_file) + " cannot be read");
    }
    multi_ = curl_multi_init();
    if (multi_ == nullptr)
        return fail(Code::io, Scope::run, Retry::never, "libcurl does not start");
    curl_multi_setopt(multi_, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(options_.connections + 2));
    thread_ = std::thread([this] { loop(); });
    return {};
}

void Client::Impl::run(std::vector<std::unique_ptr<Transfer>>& transfers) {
    std::unique_lock lock(mutex_);
    for (auto& transfer : transfers) {
        if (cancelled_) {
            transfer->result = fail(Code::cancelled, Scope::run, Retry::never, "interrupted");
            transfer->done = true;
        } else {
            queue_.push_back(transfer.get());
        }
    }
    curl_multi_wakeup(multi_);
    changed_.wait(lock, [&] {
        return std::ranges::all_of(transfers, [](const auto& transfer) { return transfer->done; });
    });
}

void Client::Impl::cancel() {
    {
        const std::scoped_lock lock(mutex_);
        cancelled_ = true;
    }
    curl_multi_wakeup(multi_);
}

void Client::Impl::complete(Transfer& transfer, Result<Response> result) {
    const std::scoped_lock lock(mutex_);
    transfer.result = std::move(result);
    transfer.done = true;
    changed_.notify_all();
}

int Client::Impl::wait_ms() const {
    std::chrono::milliseconds wait{1000};
    const auto now = Steady::now();
    for (const Transfer* transfer : delayed_) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(transfer->not_before - now);
        wait = std::clamp(left, std::chrono::milliseconds{1}, wait);
    }
    return static_cast<int>(wait.count());
}

void Client::Impl::loop() {
    for (;;) {
        {
            const std::scoped_lock lock(mutex_);
            if (cancelled_) {
                for (Transfer* transfer : queue_) delayed_.push_back(transfer);
                queue_.clear();
            }
            if (stop_ && running_.empty() && queue_.empty() && delayed_.empty()) return;
        }
        bool cancelled = false;
        {
            const std::scoped_lock lock(mutex_);
            cancelled = cancelled_;
        }
        if (cancelled) drop_all();
        launch_ready();
        int still = 0;
        curl_multi_perform(multi_, &still);
        int left = 0;
        bool finished = false;
        while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
            if (message->msg != CURLMSG_DONE) continue;
            finish(message->easy_handle, message->data.result);
            finished = true;
        }
        if (!finished) curl_multi_poll(multi_, nullptr, 0, wait_ms(), nullptr);
    }
}

void Client::Impl::drop_all() {
    while (!running_.empty()) {
        auto [easy, transfer] = *running_.begin();
        running_.erase(running_.begin());
        curl_multi_remove_handle(multi_, easy);
        curl_slist_free_all(transfer->headers);
        curl_easy_reset(easy);
        idle_.push_back(easy);
        Error error{Code::cancelled, Scope::run, Retry::never, Outcome::unknown, {}, "interrupted"};
        complete(*transfer, std::unexpected(std::move(error)));
    }
    for (Transfer* transfer : std::exchange(delayed_, {})) {
        complete(*transfer, fail(Code::cancelled, Scope::run, Retry::never, "interrupted"));
    }
}

void Client::Impl::launch_ready() {
    const auto now = Steady::now();
    while (running_.size() < options_.connections) {
        Transfer* next = nullptr;
        const auto due = std::ranges::find_if(
            delayed_, [&](const Transfer* transfer) { return transfer->not_before <= now; });
        if (due != delayed_.end()) {
            next = *due;
            delayed_.erase(due);
        } else {
            const std::scoped_lock lock(mutex_);
            if (queue_.empty()) return;
            next = queue_.front();
            queue_.pop_front();
        }
        if (!set_up(*next)) {
            complete(*next,
                     fail(Code::io, Scope::run, Retry::never, "libcurl refuses the request"));
        }
    }
}

bool Client::Impl::set_up(Transfer& transfer) {
    CURL* easy = nullptr;
    if (idle_.empty()) {
        easy = curl_easy_init();
    } else {
        easy = idle_.back();
        idle_.pop_back();
    }
    if (easy == nullptr) return false;
    const Request& request = transfer.request;
    transfer.easy = easy;
    transfer.fingerprint = &options_.tls.fingerprint_sha256;
    transfer.response = Response{};
    transfer.body_bytes = 0;
    transfer.header_bytes = 0;
    transfer.message[0] = '\0';
    ++transfer.tries;
    if (request.reply_fd >= 0) {
        if (::ftruncate(request.reply_fd, 0) != 0) {
            idle_.push_back(easy);
            return false;
        }
        ::lseek(request.reply_fd, 0, SEEK_SET);
    }
    const auto set = [easy](CURLoption option, auto value) {
        curl_easy_setopt(easy, option, value);
    };
    set(CURLOPT_URL, request.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    set(CURLOPT_PIPEWAIT, 1L);
    set(CURLOPT_TCP_NODELAY, 1L);
    // On a connection that was used before, libcurl sends again by itself when it is closed without
    // a reply. The server may have done the work, so what must not be repeated gets a new
    // connection.
    if (request.method != "GET" && request.resend != Resend::if_lost)
        set(CURLOPT_FRESH_CONNECT, 1L);
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(options_.total_timeout.count()));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    const auto stall = std::chrono::duration_cast<std::chrono::seconds>(options_.stall_timeout);
    set(CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(stall.count())));
    set(CURLOPT_ERRORBUFFER, transfer.message.data());
    set(CURLOPT_WRITEFUNCTION, &on_body);
    set(CURLOPT_WRITEDATA, &transfer);
    set(CURLOPT_HEADERFUNCTION, &on_header);
    set(CURLOPT_HEADERDATA, &transfer);
    set(CURLOPT_PRIVATE, &transfer);
    set(CURLOPT_USERAGENT, "imapult");
    if (is_loopback_url(request.url)) set(CURLOPT_PROXY, "");
    const TlsOptions& tls = options_.tls;
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    const bool check = !tls.insecure && tls.fingerprint_sha256.empty();
    set(CURLOPT_SSL_VERIFYPEER, check ? 1L : 0L);
    set(CURLOPT_SSL_VERIFYHOST, check ? 2L : 0L);
    if (!tls.ca_file.empty()) {
        set(CURLOPT_CAINFO, tls.ca_file.c_str());
        set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    }
    if (!tls.fingerprint_sha256.empty() && !tls.insecure) {
        set(CURLOPT_SSL_CTX_FUNCTION, &on_ssl_context);
        set(CURLOPT_SSL_CTX_DATA, &transfer);
    }
    if (!request.user.empty()) {
        set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
        set(CURLOPT_USERNAME, request.user.c_str());
        set(CURLOPT_PASSWORD, std::string(request.password.reveal()).c_str());
    }
    if (!request.cookie_name.empty()) {
        const std::string cookie =
            request.cookie_name + "=" + std::string(request.cookie_value.reveal());
        set(CURLOPT_COOKIE, cookie.c_str());
    }
    if (request.method != "GET") {
        set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
        set(CURLOPT_POSTFIELDS, request.body.data());
        set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
    transfer.headers = curl_slist_append(nullptr, "Expect:");
    for (const Header& header : request.headers) {
        transfer.headers =
            curl_slist_append(transfer.headers, (header.name + ": " + header.value).c_str());
    }
    set(CURLOPT_HTTPHEADER, transfer.headers);
    running_[easy] = &transfer;
    if (curl_multi_add_handle(multi_, easy) == CURLM_OK) return true;
    running_.erase(easy);
    curl_slist_free_all(transfer.headers);
    curl_easy_cleanup(easy);
    return false;
}

bool Client::Impl::should_resend(Transfer& transfer, CURLcode code) {
    if (transfer.tries >= options_.tries || transfer.request.resend == Resend::never) return false;
    std::chrono::milliseconds pause = options_.backoff_first;
    for (unsigned i = 1; i < transfer.tries && pause < options_.backoff_max; ++i) pause *= 2;
    pause = std::min(pause, options_.backoff_max);
    if (code == CURLE_OK) {
        const long status = transfer.response.status;
        if (status != 503 && status != 429) return false;
        if (const auto seconds = parse_number(transfer.response.header("Retry-After"))) {
            const auto most = static_cast<std::uint64_t>(kRetryAfterMax.count() / 1000);
            pause =
                std::max(pause, std::chrono::milliseconds(
                                    static_cast<std::int64_t>(std::min(*seconds, most)) * 1000));
        }
    } else {
        const Error error = error_of(code, transfer);
        const bool lost = error.code == Code::connection_lost || error.code == Code::timeout;
        const bool unconnected = error.code == Code::connect_failed;
        if (!unconnected && !(lost && transfer.request.resend == Resend::if_lost)) return false;
    }
    transfer.not_before = Steady::now() + pause;
    return true;
}

void Client::Impl::finish(CURL* easy, CURLcode code) {
    const auto found = running_.find(easy);
    IMAPULT_ASSERT(found != running_.end());
    Transfer& transfer = *found->second;
    running_.erase(found);
    Response& response = transfer.response;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response.status);
    long version = 0;
    curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    response.http2 = version == CURL_HTTP_VERSION_2_0;
    long headers = 0;
    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &headers);
    response.bytes_sent = static_cast<std::uint64_t>(headers) + transfer.request.body.size();
    response.bytes_received = transfer.body_bytes + transfer.header_bytes;
    response.tries = transfer.tries;
    const bool again = should_resend(transfer, code);
    Result<Response> result = Response{};
    if (code == CURLE_OK) {
        result = std::move(response);
    } else {
        result = std::unexpected(error_of(code, transfer));
    }
    curl_multi_remove_handle(multi_, easy);
    curl_slist_free_all(transfer.headers);
    transfer.headers = nullptr;
    curl_easy_reset(easy);
    idle_.push_back(easy);
    transfer.easy = nullptr;
    if (again) {
        delayed_.push_back(&transfer);
    } else {
        complete(transfer, std::move(result));
    }
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::create(Options options) {
    auto impl = std::make_unique<Impl>(std::move(options));
    IMAPULT_CHECK(impl->start());
    return std::unique_ptr<Client>(new Client(std::move(impl)));
}

Result<Response> Client::run(Request request) {
    std::vector<Request> one;
    one.push_back(std::move(request));
    return std::move(run_all(std::move(one)).front());
}

std::vector<Result<Response>> Client::run_all(std::vector<Request> requests) {
    std::vector<std::unique_ptr<Transfer>> transfers;
    std::vector<std::unique_ptr<Transfer>> good;
    std::vector<Transfer*> order;
    for (Request& request : requests) {
        auto transfer = std::make_unique<Transfer>();
        bool bad = has_control(request.url) || has_control(request.method) ||
                   has_control(request.user) || has_control(request.cookie_name) ||
                   has_control(request.cookie_value.reveal());
        for (const Header& header : request.headers) {
            bad = bad || has_control(header.name) || has_control(header.value);
        }
        transfer->request = std::move(request);
        order.push_back(transfer.get());
        if (bad) {
            transfer->result = invalid("a control character in a request's URL or header");
            transfers.push_back(std::move(transfer));
        } else {
            good.push_back(std::move(transfer));
        }
    }
    impl_->run(good);
    std::vector<Result<Response>> results;
    results.reserve(order.size());
    for (Transfer* transfer : order) results.push_back(std::move(transfer->result));
    return results;
}

void Client::cancel() {
    impl_->cancel();
}

}  // namespace imapult::http
