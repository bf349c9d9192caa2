#pragma once
// A plain HTTP/1.1 server for tests: a thread per connection, keep-alive, optional TLS, gzip
// bodies.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace imapult::standin {

struct HttpRequest {
    std::string method;
    std::string path;                            ///< decoded? no: as it came, without the query
    std::map<std::string, std::string> query;    ///< decoded
    std::map<std::string, std::string> headers;  ///< names in lower case
    std::string body;                            ///< decoded from gzip and chunked
    std::size_t content_length = 0;              ///< 0 when chunked
};

struct HttpReply {
    int status = 200;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    /// Close after half of the reply.
    bool cut_off = false;
    /// Close without a byte.
    bool drop = false;
};

std::string url_decode(const std::string& text, bool plus_is_space);

class HttpServer {
  public:
    using Handler = std::function<HttpReply(const HttpRequest&)>;
    /// Listens on host:port (0: any). Empty certificate: clear text. Throws std::runtime_error.
    HttpServer(const std::string& host, int port, const std::string& certificate,
               const std::string& key, Handler handler);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    [[nodiscard]] std::string url() const;

  private:
    struct Tls;
    struct Peer;
    void accept_loop();
    void serve(int socket);
    bool serve_one(Peer& peer);

    Handler handler_;
    std::string host_;
    int listener_ = -1;
    int port_ = 0;
    std::unique_ptr<Tls> tls_;
    std::atomic<bool> stop_{false};
    std::atomic<int> active_{0};
    std::mutex mutex_;
    std::map<int, int> sockets_;
    std::thread thread_;
};

}  // namespace imapult::standin
