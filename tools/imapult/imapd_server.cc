#include "tools/imapult/imapd_server.h"

#include <chrono>
#include <future>
#include <list>
#include <optional>
#include <utility>

#include "engine/net/listener.h"
#include "engine/runtime/ring.h"
#include "engine/runtime/sync.h"
#include "tools/imapd/connection.h"

namespace imapult::program {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

constexpr std::size_t kWriteBytesMax = 256UL * 1024;
constexpr auto kLingerTime = 1s;  ///< for the client to end its side once we have said BYE
constexpr auto kAcceptPause = 100ms;

/// One client: a reader and a writer that share the conversation.
class Client {
  public:
    Client(runtime::Scheduler& scheduler, std::unique_ptr<net::Stream> stream, imapd::Store& store)
        : scheduler_(scheduler), stream_(std::move(stream)), connection_(store), news_(scheduler) {}

    Task<void> serve() {
        runtime::TaskScope scope(scheduler_);
        scope.spawn(read_loop());
        co_await write_loop();
        if (!read_ended_ && !ending_) co_await linger();
        stream_->abort();
        ending_ = true;
        news_.notify_all();
        co_await scope.join();
        co_await stream_->close();
    }

    /// The store has changed: an idling client wants to hear of it.
    void poll() {
        connection_.poll();
        news_.notify_all();
    }
    void end() {
        ending_ = true;
        stream_->abort();
        news_.notify_all();
    }

  private:
    Task<void> read_loop() {
        while (!ending_) {
            while (!connection_.wants_input() && !ending_) co_await news_.wait();
            if (ending_) break;
            auto bytes = co_await stream_->read();
            if (!bytes || bytes->empty()) break;
            connection_.feed(*bytes);
            news_.notify_all();
        }
        read_ended_ = true;
        news_.notify_all();
    }

    Task<void> write_loop() {
        std::string out;
        while (!ending_ && !connection_.wants_reset()) {
            if (connection_.has_output()) {
                out.clear();
                connection_.read_output(out, kWriteBytesMax);
                const auto written = co_await stream_->write(out);
                if (!written) break;
                news_.notify_all();
                continue;
            }
            if (connection_.wants_close() || read_ended_) break;
            co_await news_.wait();
        }
    }

    Task<void> linger() {
        const Nanos deadline = scheduler_.now() + kLingerTime;
        while (!read_ended_ && !connection_.wants_reset()) {
            if (!co_await news_.wait(deadline)) break;
        }
    }

    runtime::Scheduler& scheduler_;
    std::unique_ptr<net::Stream> stream_;
    imapd::Connection connection_;
    runtime::Event news_;
    bool read_ended_ = false;
    bool ending_ = false;
};

}  // namespace

struct ImapdServer::Impl {
    Impl(imapd::Store& store_of, std::unique_ptr<runtime::Ring> ring_of,
         std::unique_ptr<net::Listener> listener_of)
        : store(store_of), ring(std::move(ring_of)), listener(std::move(listener_of)) {}

    imapd::Store& store;
    std::unique_ptr<runtime::Ring> ring;
    std::unique_ptr<net::Listener> listener;
    std::list<std::shared_ptr<Client>> clients;
    bool stopping = false;
    std::thread thread;

    Task<void> serve_one(std::unique_ptr<net::Stream> stream) {
        auto client = std::make_shared<Client>(*ring, std::move(stream), store);
        const auto place = clients.insert(clients.end(), client);
        co_await client->serve();
        clients.erase(place);
    }

    Task<void> run() {
        const auto watch = store.watch([this] { ring->post_remote([this] { poll_all(); }); });
        runtime::TaskScope scope(*ring);
        while (!stopping) {
            auto stream = co_await listener->accept();
            if (stream) {
                scope.spawn(serve_one(std::move(*stream)));
            } else if (stream.error().code == Code::cancelled) {
                break;
            } else {
                co_await runtime::sleep_for(*ring, kAcceptPause);
            }
        }
        for (const auto& client : clients) client->end();
        co_await scope.join();
    }

    void poll_all() {
        for (const auto& client : clients) client->poll();
    }

    void stop() {
        stopping = true;
        listener->stop();
    }
};

ImapdServer::ImapdServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

imapd::Behaviour ImapdServer::clear_text_behaviour() {
    imapd::Behaviour behaviour = imapd::standard();
    behaviour.hide("STARTTLS");
    behaviour.hide("LOGINDISABLED");
    behaviour.hide("COMPRESS=DEFLATE");
    return behaviour;
}

Result<std::unique_ptr<ImapdServer>> ImapdServer::start(imapd::Store& store, std::string address,
                                                        std::uint16_t port) {
    // The ring belongs to the thread that runs it first; creating it here reports its errors.
    IMAPULT_TRY(auto ring, runtime::Ring::create());
    IMAPULT_TRY(auto listener, net::Listener::create(*ring, std::move(address), port));
    auto impl = std::make_unique<Impl>(store, std::move(ring), std::move(listener));
    impl->thread = std::thread([&server = *impl] { server.ring->run(server.run()); });
    return std::unique_ptr<ImapdServer>(new ImapdServer(std::move(impl)));
}

ImapdServer::~ImapdServer() {
    impl_->ring->post_remote([impl = impl_.get()] { impl->stop(); });
    impl_->thread.join();
    impl_->listener.reset();
}

std::uint16_t ImapdServer::port() const {
    return impl_->listener->port();
}

}  // namespace imapult::program
