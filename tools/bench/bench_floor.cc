// bench-floor: what the servers themselves take. It replays prepared IMAP command streams, each
// over a connection of its own and all at once, as fast as the peers accept them, and drains the
// replies to nothing: FETCHes of whole mailboxes on one side, prerecorded MULTIAPPENDs on the
// other.
//
// A stream's first line (LOGIN) is sent alone and answered before the rest follows. A stream ends
// with the tagged reply to its command `end`. Any NO or BAD is a failure: a floor must do all the
// work.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <expected>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "loopback.h"

namespace imapult::bench {
namespace {

constexpr std::size_t kReadBytes = 512 * 1024;
constexpr std::size_t kWriteMaxBytes = 1024 * 1024;
constexpr std::size_t kLineMaxBytes = 1024 * 1024;
constexpr int kSilenceMaxMs = 60'000;

struct Totals {
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    std::uint64_t literals = 0;
};

/// A file's bytes, mapped.
class Mapping {
  public:
    static std::expected<Mapping, std::string> open(const std::string& path) {
        const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        struct stat about{};
        if (!file.open() || ::fstat(file.get(), &about) != 0 || about.st_size == 0) {
            return std::unexpected("cannot read " + path);
        }
        const auto size = static_cast<std::size_t>(about.st_size);
        void* at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file.get(), 0);
        if (at == MAP_FAILED) return std::unexpected("cannot map " + path);
        return Mapping(static_cast<const char*>(at), size);
    }
    Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    Mapping& operator=(Mapping&&) = delete;
    ~Mapping() {
        if (!bytes_.empty()) ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
    }
    std::string_view bytes() const { return bytes_; }

  private:
    Mapping(const char* at, std::size_t size) : bytes_(at, size) {}
    std::string_view bytes_;
};

/// Follows the replies closely enough to know which lines are tagged: literals are skipped.
class ReplyScanner {
  public:
    /// Empty, or the line that refused a command.
    const std::string& failure() const { return failure_; }
    bool answered(std::string_view tag) const { return last_tag_ == tag; }
    std::uint64_t literals() const { return literals_; }

    void feed(std::string_view bytes) {
        while (!bytes.empty() && failure_.empty()) {
            if (skip_ > 0) {
                const auto step = std::min<std::uint64_t>(skip_, bytes.size());
                skip_ -= step;
                bytes.remove_prefix(static_cast<std::size_t>(step));
                continue;
            }
            const std::size_t end = bytes.find('\n');
            line_.append(bytes.substr(0, end));
            if (end == std::string_view::npos) {
                if (line_.size() > kLineMaxBytes) failure_ = "a line without end";
                return;
            }
            bytes.remove_prefix(end + 1);
            if (line_.ends_with('\r')) line_.pop_back();
            finish_line();
            line_.clear();
        }
    }

  private:
    void finish_line() {
        const bool first = !continued_;
        continued_ = false;
        if (!first || line_.starts_with("* ")) {
            const std::size_t open = line_.rfind('{');
            if (line_.ends_with('}') && open != std::string::npos) {
                const char* end = line_.data() + line_.size() - 1;
                const auto [at, error] = std::from_chars(line_.data() + open + 1, end, skip_);
                continued_ = error == std::errc{} && at == end;
                literals_ += continued_ ? 1 : 0;
            }
            if (first && line_.starts_with("* BYE")) failure_ = line_;
            return;
        }
        if (line_.starts_with("+")) return;
        const std::size_t space = line_.find(' ');
        last_tag_ = line_.substr(0, space);
        if (space == std::string::npos ||
            !std::string_view(line_).substr(space).starts_with(" OK")) {
            failure_ = line_;
        }
    }

    std::string line_;
    std::string last_tag_;
    std::string failure_;
    std::uint64_t skip_ = 0;
    std::uint64_t literals_ = 0;
    bool continued_ = false;
};

/// One connection and its stream.
class Replay {
  public:
    Replay(Fd socket, std::string login, std::string_view stream)
        : socket_(std::move(socket)), login_(std::move(login)), stream_(stream) {}

    /// Runs to the end; the error is a sentence.
    std::expected<Totals, std::string> run() {
        sending_ = login_;
        bool logged_in = false;
        while (!scanner_.answered("end")) {
            if (!logged_in && scanner_.answered("login")) {
                logged_in = true;
                sending_ = stream_;
            }
            if (auto step = step_once(); !step) return std::unexpected(step.error());
        }
        totals_.literals = scanner_.literals();
        return totals_;
    }

  private:
    std::expected<void, std::string> step_once() {
        pollfd polled{.fd = socket_.get(), .events = POLLIN, .revents = 0};
        if (!sending_.empty()) polled.events |= POLLOUT;
        if (::poll(&polled, 1, kSilenceMaxMs) <= 0) return std::unexpected("the server is silent");
        if ((polled.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            const ssize_t got = ::recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
            if (got == 0 || (got < 0 && errno != EAGAIN)) {
                return std::unexpected("the server closed the connection");
            }
            if (got > 0) {
                const auto size = static_cast<std::size_t>(got);
                totals_.bytes_in += size;
                scanner_.feed({buffer_.data(), size});
            }
            if (!scanner_.failure().empty()) return std::unexpected(scanner_.failure());
        }
        if ((polled.revents & POLLOUT) != 0) {
            const std::size_t size = std::min(sending_.size(), kWriteMaxBytes);
            const ssize_t put = ::send(socket_.get(), sending_.data(), size, MSG_NOSIGNAL);
            if (put < 0 && errno != EAGAIN) return std::unexpected("the connection broke");
            if (put > 0) {
                sending_.remove_prefix(static_cast<std::size_t>(put));
                totals_.bytes_out += static_cast<std::size_t>(put);
            }
        }
        return {};
    }

    Fd socket_;
    std::string login_;
    std::string_view stream_;
    std::string_view sending_;  // what is left of the login line or of the stream
    ReplyScanner scanner_;
    Totals totals_;
    std::vector<char> buffer_ = std::vector<char>(kReadBytes);
};

/// PORT:USER:FILE; the password comes from the environment variable BENCH_PASSWORD.
std::expected<Totals, std::string> replay(const std::string& argument) {
    const std::size_t first = argument.find(':');
    const std::size_t second = argument.find(':', first + 1);
    const auto port = parse_port(argument.substr(0, first));
    const char* password = std::getenv("BENCH_PASSWORD");
    if (second == std::string::npos || !port || password == nullptr) {
        return std::unexpected("not PORT:USER:FILE, or BENCH_PASSWORD is not set: " + argument);
    }
    const auto stream = Mapping::open(argument.substr(second + 1));
    if (!stream) return std::unexpected(stream.error());
    auto socket = connect_loopback(*port);
    if (!socket) return std::unexpected(socket.error());
    const std::string user = argument.substr(first + 1, second - first - 1);
    return Replay(std::move(*socket), "login LOGIN " + user + " " + password + "\r\n",
                  stream->bytes())
        .run();
}

}  // namespace
}  // namespace imapult::bench

int main(int argc, char** argv) {
    using namespace imapult::bench;
    if (argc < 2) {
        std::fprintf(stderr,
                     "usage: bench-floor PORT:USER:FILE…   (one connection each, all at once)\n");
        return 2;
    }
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    std::vector<std::expected<Totals, std::string>> results(arguments.size());
    const auto begin = std::chrono::steady_clock::now();
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < arguments.size(); ++i) {
            threads.emplace_back([&results, &arguments, i] { results[i] = replay(arguments[i]); });
        }
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    Totals all;
    int code = 0;
    for (std::size_t i = 0; i < results.size(); ++i) {
        if (!results[i]) {
            std::fprintf(stderr, "bench-floor: %s: %s\n", arguments[i].c_str(),
                         results[i].error().c_str());
            code = 1;
            continue;
        }
        all.bytes_in += results[i]->bytes_in;
        all.bytes_out += results[i]->bytes_out;
        all.literals += results[i]->literals;
    }
    std::printf(R"({"seconds": %.4f, "bytes_in": %llu, "bytes_out": %llu, "literals": %llu})"
                "\n",
                seconds.count(), static_cast<unsigned long long>(all.bytes_in),
                static_cast<unsigned long long>(all.bytes_out),
                static_cast<unsigned long long>(all.literals));
    return code;
}
