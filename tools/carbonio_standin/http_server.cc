#include "tools/carbonio_standin/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <stdexcept>

namespace imapult::standin {
namespace {

constexpr std::size_t kHeadBytesMax = 64UL * 1024;
constexpr std::size_t kBodyBytesMax = 512UL * 1024 * 1024;

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    return text;
}

std::string strip(const std::string& text) {
    const auto from = text.find_first_not_of(" \t\r\n");
    if (from == std::string::npos) return {};
    return text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}

bool gunzip(std::string& body) {
    z_stream stream{};
    if (inflateInit2(&stream, 15 + 32) != Z_OK) return false;
    std::string out;
    std::array<char, 65536> block{};
    stream.next_in = reinterpret_cast<Bytef*>(body.data());
    stream.avail_in = static_cast<uInt>(body.size());
    int status = Z_OK;
    while (status == Z_OK && out.size() < kBodyBytesMax) {
        stream.next_out = reinterpret_cast<Bytef*>(block.data());
        stream.avail_out = block.size();
        status = inflate(&stream, Z_NO_FLUSH);
        out.append(block.data(), block.size() - stream.avail_out);
    }
    inflateEnd(&stream);
    body = std::move(out);
    return status == Z_STREAM_END;
}

const char* reason_of(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 204:
            return "No Content";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 404:
            return "Not Found";
        case 500:
            return "Server Error";
        case 501:
            return "Not Implemented";
        case 503:
            return "Service Unavailable";
        default:
            return "Status";
    }
}

}  // namespace

std::string url_decode(const std::string& text, bool plus_is_space) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size()) {
            out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
            i += 2;
        } else {
            out += plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    return out;
}

struct HttpServer::Tls {
    SSL_CTX* context = nullptr;
    ~Tls() { SSL_CTX_free(context); }
};

struct HttpServer::Peer {
    int socket = -1;
    SSL* ssl = nullptr;
    std::string buffer;

    bool fill() {
        std::array<char, 65536> block{};
        const auto n = ssl != nullptr
                           ? static_cast<ssize_t>(SSL_read(ssl, block.data(), block.size()))
                           : ::recv(socket, block.data(), block.size(), 0);
        if (n <= 0) return false;
        buffer.append(block.data(), static_cast<std::size_t>(n));
        return true;
    }
    bool write(const std::string& bytes) {
        std::size_t done = 0;
        while (done < bytes.size()) {
            const auto n =
                ssl != nullptr
                    ? static_cast<ssize_t>(SSL_write(
                          ssl, bytes.data() + done,
                          static_cast<int>(std::min<std::size_t>(bytes.size() - done, 1 << 20))))
                    : ::send(socket, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
            if (n <= 0) return false;
            done += static_cast<std::size_t>(n);
        }
        return true;
    }
    bool take(std::size_t count, std::string& out) {
        while (buffer.size() < count) {
            if (!fill()) return false;
        }
        out = buffer.substr(0, count);
        buffer.erase(0, count);
        return true;
    }
    bool line(std::string& out) {
        std::size_t end = 0;
        while ((end = buffer.find("\r\n")) == std::string::npos) {
            if (buffer.size() > kHeadBytesMax || !fill()) return false;
        }
        out = buffer.substr(0, end);
        buffer.erase(0, end + 2);
        return true;
    }
};

HttpServer::HttpServer(const std::string& host, int port, const std::string& certificate,
                       const std::string& key, Handler handler)
    : handler_(std::move(handler)), host_(host) {
    if (!certificate.empty()) {
        tls_ = std::make_unique<Tls>();
        tls_->context = SSL_CTX_new(TLS_server_method());
        if (SSL_CTX_use_certificate_chain_file(tls_->context, certificate.c_str()) != 1 ||
            SSL_CTX_use_PrivateKey_file(tls_->context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
            throw std::runtime_error("cannot read the certificate or its key");
        }
    }
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_, 256) != 0)
        throw std::runtime_error("cannot listen on " + host + ":" + std::to_string(port));
    socklen_t length = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    std::signal(SIGPIPE, SIG_IGN);  // a client may go while TLS is written to it
    thread_ = std::thread([this] { accept_loop(); });
}

HttpServer::~HttpServer() {
    stop_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    {
        const std::scoped_lock lock(mutex_);
        for (const auto& [socket, ignored] : sockets_) ::shutdown(socket, SHUT_RDWR);
    }
    while (active_ > 0) ::usleep(1000);
}

std::string HttpServer::url() const {
    return (tls_ ? "https://" : "http://") + host_ + ":" + std::to_string(port_);
}

void HttpServer::accept_loop() {
    while (!stop_) {
        const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (socket < 0) {
            if (stop_) return;
            ::usleep(1000);
            continue;
        }
        const int yes = 1;
        ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        ++active_;
        {
            const std::scoped_lock lock(mutex_);
            sockets_[socket] = 1;
        }
        std::thread([this, socket] { serve(socket); }).detach();
    }
}

void HttpServer::serve(int socket) {
    Peer peer;
    peer.socket = socket;
    bool ok = true;
    if (tls_) {
        peer.ssl = SSL_new(tls_->context);
        SSL_set_fd(peer.ssl, socket);
        ok = SSL_accept(peer.ssl) == 1;
    }
    // Numbers that are none throw: such a peer is hung up on.
    try {
        while (ok && !stop_) ok = serve_one(peer);
    } catch (const std::exception&) {
        ok = false;
    }
    if (peer.ssl != nullptr) {
        if (ok) SSL_shutdown(peer.ssl);
        SSL_free(peer.ssl);
        ERR_clear_error();
    }
    {
        const std::scoped_lock lock(mutex_);
        sockets_.erase(socket);
    }
    ::close(socket);
    --active_;
}

bool HttpServer::serve_one(Peer& peer) {
    std::string line;
    if (!peer.line(line)) return false;
    HttpRequest request;
    const auto space = line.find(' ');
    const auto last = line.rfind(' ');
    if (space == std::string::npos || last == space) return false;
    request.method = line.substr(0, space);
    std::string target = line.substr(space + 1, last - space - 1);
    const auto question = target.find('?');
    request.path = target.substr(0, question);
    std::string query = question == std::string::npos ? "" : target.substr(question + 1);
    while (!query.empty()) {
        const auto end = query.find('&');
        const std::string one = query.substr(0, end);
        const auto equal = one.find('=');
        request.query[url_decode(one.substr(0, equal), true)] =
            equal == std::string::npos ? "" : url_decode(one.substr(equal + 1), true);
        if (end == std::string::npos) break;
        query.erase(0, end + 1);
    }
    for (;;) {
        if (!peer.line(line)) return false;
        if (line.empty()) break;
        const auto colon = line.find(':');
        if (colon == std::string::npos) return false;
        request.headers[lower(line.substr(0, colon))] = strip(line.substr(colon + 1));
        if (request.headers.size() > 100) return false;
    }
    if (request.headers.contains("content-length")) {
        request.content_length = std::stoul(request.headers["content-length"]);
        if (request.content_length > kBodyBytesMax ||
            !peer.take(request.content_length, request.body))
            return false;
    } else if (lower(request.headers["transfer-encoding"]) == "chunked") {
        for (;;) {
            std::string chunk;
            if (!peer.line(line)) return false;
            const std::size_t size = std::stoul(line, nullptr, 16);
            if (request.body.size() + size > kBodyBytesMax || !peer.take(size, chunk)) return false;
            request.body += chunk;
            if (!peer.line(line)) return false;
            if (size == 0) break;
        }
    }
    HttpReply reply;
    if (lower(request.headers["content-encoding"]) == "gzip" && !gunzip(request.body)) {
        reply.status = 400;
    } else {
        reply = handler_(request);
    }
    if (reply.drop) return false;
    std::string out =
        "HTTP/1.1 " + std::to_string(reply.status) + " " + reason_of(reply.status) + "\r\n";
    for (const auto& [name, value] : reply.headers) out += name + ": " + value + "\r\n";
    out += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n\r\n" + reply.body;
    if (reply.cut_off) {
        peer.write(out.substr(
            0, std::max<std::size_t>(out.size() / 2, 20) - (reply.body.empty() ? 5 : 0)));
        return false;
    }
    return peer.write(out) && lower(request.headers["connection"]) != "close";
}

}  // namespace imapult::standin
