#pragma once
// A TCP server on loopback that answers the n-th connection's requests with the n-th scripted
// bytes.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace imapult::importers_test {

/// One connection per script entry: reads one request (headers and Content-Length bytes), writes
/// the entry and closes. An empty entry closes without a word.
class ScriptedServer {
  public:
    explicit ScriptedServer(std::vector<std::string> script) : script_(std::move(script)) {
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
        ::listen(listener_, 16);
        socklen_t length = sizeof address;
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~ScriptedServer() {
        ::shutdown(listener_, SHUT_RDWR);
        ::close(listener_);
        thread_.join();
    }
    ScriptedServer(const ScriptedServer&) = delete;
    ScriptedServer& operator=(const ScriptedServer&) = delete;

    [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
    std::vector<std::string> requests() {
        const std::scoped_lock lock(mutex_);
        return requests_;
    }

  private:
    void serve() {
        for (const std::string& reply : script_) {
            const int peer = ::accept(listener_, nullptr, nullptr);
            if (peer < 0) return;
            std::string request;
            std::string block(65536, '\0');
            std::size_t wanted = std::string::npos;
            while (request.size() < wanted) {
                const ssize_t n = ::recv(peer, block.data(), block.size(), 0);
                if (n <= 0) break;
                request.append(block, 0, static_cast<std::size_t>(n));
                const auto end = request.find("\r\n\r\n");
                if (end == std::string::npos || wanted != std::string::npos) continue;
                wanted = end + 4;
                const auto length = request.find("Content-Length: ");
                if (length != std::string::npos) wanted += std::stoul(request.substr(length + 16));
            }
            {
                const std::scoped_lock lock(mutex_);
                requests_.push_back(request);
            }
            ::send(peer, reply.data(), reply.size(), MSG_NOSIGNAL);
            ::close(peer);
        }
    }

    std::vector<std::string> script_;
    int listener_ = -1;
    int port_ = 0;
    std::mutex mutex_;
    std::vector<std::string> requests_;
    std::thread thread_;
};

}  // namespace imapult::importers_test
