#include "sim/support/memory_stream.h"

#include <algorithm>

namespace imapult::sim {

namespace {

/// One direction: octets with the time from which they can be read.
struct Channel {
    explicit Channel(runtime::Scheduler& scheduler) : changed(scheduler) {}

    struct Part {
        Nanos visible_at;
        std::string bytes;
    };
    runtime::Event changed;
    std::deque<Part> parts;
    std::size_t bytes = 0;
    bool ended = false;  ///< FIN after what is in `parts`
    Nanos end_visible_at{0};
    bool reader_gone = false;  ///< closed by its reader: writing breaks the connection
    bool reset = false;
};

struct Pipe {
    Pipe(runtime::Scheduler& on, PipeOptions with)
        : scheduler(on), options(std::move(with)), forward(on), backward(on) {}
    runtime::Scheduler& scheduler;
    PipeOptions options;
    Channel forward;   ///< first → second
    Channel backward;  ///< second → first

    void reset() {
        for (Channel* channel : {&forward, &backward}) {
            channel->reset = true;
            if (!options.reset_keeps_sent) {
                channel->parts.clear();
                channel->bytes = 0;
            }
            channel->changed.notify_all();
        }
    }
};

class MemoryStream final : public net::Stream {
  public:
    MemoryStream(std::shared_ptr<Pipe> pipe, Channel& in, Channel& out, Faults faults)
        : pipe_(std::move(pipe)), in_(in), out_(out), faults_(faults), random_(faults.seed) {}
    ~MemoryStream() override {
        IMAPULT_ASSERT(!reading_ && !writing_);
        if (!closed_) pipe_->reset();
    }
    MemoryStream(const MemoryStream&) = delete;
    MemoryStream& operator=(const MemoryStream&) = delete;

    runtime::Task<Result<std::string_view>> read() override {
        IMAPULT_ASSERT(!reading_);
        reading_ = true;
        auto result = co_await read_part();
        reading_ = false;
        co_return result;
    }

    runtime::Task<Result<void>> write(std::string_view bytes) override {
        IMAPULT_ASSERT(!writing_);
        writing_ = true;
        auto result = co_await write_parts(bytes);
        writing_ = false;
        co_return result;
    }

    void abort() override {
        if (aborted_ || closed_) return;
        aborted_ = true;
        pipe_->reset();
    }

    runtime::Task<void> close() override {
        IMAPULT_ASSERT(!reading_ && !writing_);
        if (!aborted_ && !closed_) {
            out_.ended = true;
            out_.end_visible_at = pipe_->scheduler.now() + pipe_->options.latency;
            out_.changed.notify_all();
            // What the other end still sends has no reader any more: it must not wait for ever.
            in_.reader_gone = true;
            in_.parts.clear();
            in_.bytes = 0;
            in_.changed.notify_all();
        }
        closed_ = true;
        co_return;
    }

    [[nodiscard]] std::uint64_t wire_bytes_in() const override { return bytes_in_; }
    [[nodiscard]] std::uint64_t wire_bytes_out() const override { return bytes_out_; }
    [[nodiscard]] bool is_loopback() const override { return pipe_->options.loopback; }
    [[nodiscard]] bool is_secure() const override { return pipe_->options.secure; }

  private:
    [[nodiscard]] std::optional<Error> broken() const {
        if (aborted_ || closed_) {
            return fail(Code::cancelled, Scope::connection, Retry::now,
                        "the simulated connection was given up")
                .error();
        }
        if (in_.reset) {
            return fail(Code::connection_lost, Scope::connection, Retry::now,
                        "the simulated connection was reset")
                .error();
        }
        return std::nullopt;
    }

    /// The other end has reset the connection, and not all that it had sent is read.
    [[nodiscard]] bool left_behind() const {
        const bool frozen = faults_.freeze_after_in && bytes_in_ >= *faults_.freeze_after_in;
        const bool cut = faults_.reset_after_in && bytes_in_ >= *faults_.reset_after_in;
        return in_.reset && !aborted_ && !closed_ && !in_.parts.empty() && !frozen && !cut;
    }

    runtime::Task<void> maybe_stall() {
        if (faults_.stall_max.count() > 0 && random_.chance(faults_.stall)) {
            const auto limit = static_cast<std::uint64_t>(faults_.stall_max.count());
            const Nanos delay{static_cast<std::int64_t>(random_.below(limit + 1))};
            co_await runtime::sleep_for(pipe_->scheduler, delay);
        }
    }

    /// When the next octets or the end can be read; nothing if that is not known yet.
    [[nodiscard]] std::optional<Nanos> visible_at() const {
        if (faults_.freeze_after_in && bytes_in_ >= *faults_.freeze_after_in) return std::nullopt;
        if (!in_.parts.empty()) return in_.parts.front().visible_at;
        if (in_.ended) return in_.end_visible_at;
        return std::nullopt;
    }

    runtime::Task<Result<std::string_view>> read_part() {
        co_await maybe_stall();
        for (;;) {
            if (auto error = broken(); error && !left_behind()) {
                co_return std::unexpected(std::move(*error));
            }
            if (faults_.reset_after_in && bytes_in_ >= *faults_.reset_after_in) {
                pipe_->reset();
                continue;
            }
            const auto when = visible_at();
            if (when && *when <= pipe_->scheduler.now()) break;
            co_await in_.changed.wait(when.value_or(Nanos::max()));
        }
        held_.clear();
        if (in_.parts.empty()) co_return std::string_view{};
        take_front();
        co_return std::string_view(held_);
    }

    void take_front() {
        std::string& front = in_.parts.front().bytes;
        std::uint64_t wanted = front.size();
        if (random_.chance(faults_.short_read)) wanted = random_.between(1, wanted);
        if (faults_.reset_after_in) wanted = std::min(wanted, *faults_.reset_after_in - bytes_in_);
        if (faults_.freeze_after_in) {
            wanted = std::min(wanted, *faults_.freeze_after_in - bytes_in_);
        }
        held_.assign(front, 0, wanted);
        front.erase(0, wanted);
        if (front.empty()) in_.parts.pop_front();
        in_.bytes -= wanted;
        bytes_in_ += wanted;
        in_.changed.notify_all();
    }

    runtime::Task<Result<void>> write_parts(std::string_view bytes) {
        while (!bytes.empty()) {
            co_await maybe_stall();
            if (auto error = broken()) co_return std::unexpected(std::move(*error));
            if (faults_.reset_after_out && bytes_out_ >= *faults_.reset_after_out) {
                pipe_->reset();
                continue;
            }
            if (out_.reader_gone) {
                // As TCP does: octets for a closed socket are answered with a reset.
                pipe_->reset();
                continue;
            }
            if (out_.bytes >= pipe_->options.capacity) {
                co_await out_.changed.wait();
                continue;
            }
            std::size_t part = std::min(bytes.size(), pipe_->options.capacity - out_.bytes);
            if (random_.chance(faults_.split_write)) part = random_.between(1, part);
            if (faults_.reset_after_out) {
                part = std::min<std::size_t>(part, *faults_.reset_after_out - bytes_out_);
            }
            put(bytes.substr(0, part));
            bytes.remove_prefix(part);
            // Others run in between, as they do beside a real socket.
            if (!bytes.empty()) co_await runtime::sleep_for(pipe_->scheduler, Nanos{0});
        }
        if (auto error = broken()) co_return std::unexpected(std::move(*error));
        co_return Result<void>{};
    }

    void put(std::string_view part) {
        bytes_out_ += part.size();
        out_.parts.push_back({pipe_->scheduler.now() + pipe_->options.latency, std::string(part)});
        out_.bytes += part.size();
        out_.changed.notify_all();
    }

    std::shared_ptr<Pipe> pipe_;
    Channel& in_;
    Channel& out_;
    Faults faults_;
    Random random_;
    std::string held_;
    std::uint64_t bytes_in_ = 0;
    std::uint64_t bytes_out_ = 0;
    bool reading_ = false;
    bool writing_ = false;
    bool aborted_ = false;
    bool closed_ = false;
};

}  // namespace

StreamPair make_pipe(runtime::Scheduler& scheduler, PipeOptions options) {
    const Faults first = options.first;
    const Faults second = options.second;
    auto pipe = std::make_shared<Pipe>(scheduler, std::move(options));
    Channel& forward = pipe->forward;
    Channel& backward = pipe->backward;
    return {std::make_unique<MemoryStream>(pipe, backward, forward, first),
            std::make_unique<MemoryStream>(pipe, forward, backward, second)};
}

}  // namespace imapult::sim
