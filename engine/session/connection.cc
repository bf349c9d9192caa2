#include "engine/session/connection.h"

#include <cstdio>
#include <cstring>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/secret.h"
#include "engine/base/text.h"
#include "imap/status_text.h"

namespace imapult::session {
namespace {

using namespace std::chrono_literals;
constexpr Nanos kLogoutWait = 2s;
constexpr Nanos kStallLookEvery = 5s;
constexpr std::uint64_t kTagsMax = 10'000'000;

Error lost(const std::string& peer, std::string_view what, std::string_view bye) {
    std::string text = peer + ": " + std::string(what);
    if (!bye.empty()) text += "; its last words: " + printable(bye);
    return Error{
        Code::connection_lost, Scope::connection, Retry::later, Outcome::unknown, {}, text};
}

bool has_non_synchronising_literal(const imap::Command& command) {
    for (const std::string& piece : command.pieces) {
        if (piece.find("+}\r\n") != std::string::npos) return true;
    }
    return false;
}

template <class... Ts>
struct Overloaded : Ts... {
    using Ts::operator()...;
};

}  // namespace

Reply to_reply(const imap::Status& status) {
    Reply reply;
    reply.condition = status.condition;
    reply.code = status.code;
    reply.numbers = status.numbers;
    reply.uid_set = status.uid_set;
    reply.uid_set_source = status.uid_set_source;
    for (const std::string_view word : status.words) reply.words.emplace_back(word);
    reply.code_text = status.code_text;
    reply.text = status.text;
    return reply;
}

Connection::Connection(runtime::Scheduler& scheduler, std::unique_ptr<net::Stream> stream,
                       std::string peer, Nanos stall_timeout)
    : scheduler_(&scheduler),
      stream_(std::move(stream)),
      peer_(std::move(peer)),
      stall_timeout_(stall_timeout),
      loopback_(stream_->is_loopback()),
      progress_(scheduler),
      work_(scheduler),
      ended_(scheduler) {}

Connection::~Connection() = default;

Task<void> Connection::run() {
    runtime::TaskScope scope(*scheduler_);
    scope.spawn(read_loop());
    scope.spawn(write_loop());
    scope.spawn(watch_stall());
    co_await scope.join();
    if (stream_) {
        bytes_in_before_ += stream_->wire_bytes_in();
        bytes_out_before_ += stream_->wire_bytes_out();
        stream_.reset();
    }
}

std::uint64_t Connection::wire_bytes_in() const {
    return bytes_in_before_ + (stream_ ? stream_->wire_bytes_in() : 0);
}
std::uint64_t Connection::wire_bytes_out() const {
    return bytes_out_before_ + (stream_ ? stream_->wire_bytes_out() : 0);
}

// --- reading -----------------------------------------------------------------------------------

Task<void> Connection::read_loop() {
    while (!failure_) {
        if (paused_) {
            co_await work_.wait();
            continue;
        }
        auto bytes = co_await stream_->read();
        if (failure_) break;
        if (!bytes) {
            Error error = std::move(bytes).error();
            error.text = peer_ + ": " + error.text;
            error.outcome = Outcome::unknown;
            end(std::move(error));
            break;
        }
        if (bytes->empty()) {
            end(lost(peer_, "the server closed the connection", bye_));
            break;
        }
        parser_.feed(*bytes);
        while (!paused_ && !failure_) {
            auto event = parser_.next();
            if (!event) {
                Error error = std::move(event).error();
                error.text = peer_ + ": " + error.text;
                error.outcome = Outcome::unknown;
                end(std::move(error));
                break;
            }
            if (std::holds_alternative<imap::NeedInput>(*event)) break;
            ++heartbeat_;
            last_sink_ = nullptr;
            dispatch(*event);
            while (!failure_ && last_sink_ != nullptr && last_sink_->blocked()) {
                co_await last_sink_->wait();
                ++heartbeat_;
            }
        }
    }
}

void Connection::dispatch(const imap::Event& event) {
    std::visit(
        Overloaded{
            [&](const imap::Status& status) { on_status(status, event); },
            [&](const imap::Continuation& more) {
                continuations_.emplace_back(more.text);
                progress_.notify_all();
                work_.notify_all();
            },
            [&](const imap::BodyBegin& begin) {
                in_body_ = true;
                body_sink_ = nullptr;
                for (const Ticket& ticket : open_) {
                    if (ticket->sink != nullptr && ticket->sink->on_body_begin(begin)) {
                        body_sink_ = ticket->sink;
                        break;
                    }
                }
                last_sink_ = body_sink_;
            },
            [&](const imap::BodyChunk& chunk) {
                if (body_sink_ != nullptr) body_sink_->on_body_chunk(chunk);
                last_sink_ = body_sink_;
            },
            [&](const imap::Fetch& fetch) {
                if (in_body_ && fetch.body != imap::Fetch::Body::absent) {
                    in_body_ = false;
                    Sink* sink = std::exchange(body_sink_, nullptr);
                    if (sink != nullptr) sink->on_untagged(event);
                    last_sink_ = sink;
                    return;
                }
                last_sink_ = offer(event);
            },
            [&](const imap::Garbage& garbage) {
                if (++garbage_lines_ > limits::kGarbageLinesMax) {
                    end(Error{Code::protocol,
                              Scope::connection,
                              Retry::later,
                              Outcome::unknown,
                              {},
                              peer_ + ": the server sends lines that are not IMAP, for example \"" +
                                  printable(garbage.line, 80) + "\""});
                }
            },
            [&](const auto&) { last_sink_ = offer(event); },
        },
        event);
}

Sink* Connection::offer(const imap::Event& event) {
    for (const Ticket& ticket : open_) {
        if (ticket->sink != nullptr && ticket->sink->on_untagged(event)) return ticket->sink;
    }
    if (default_sink_ != nullptr) default_sink_->on_untagged(event);
    return nullptr;
}

void Connection::on_status(const imap::Status& status, const imap::Event& event) {
    if (!status.tag.empty()) return on_tagged(status);
    if (!greeting_) {
        greeting_ = to_reply(status);
        if (status.condition == imap::Condition::bye) bye_ = status.text;
        progress_.notify_all();
        return;
    }
    if (status.condition == imap::Condition::bye) {
        const bool expected = !open_.empty() && open_.back()->verb == "LOGOUT";
        bye_ = status.text;
        // Servers that say BYE and stay would hold us for ever; all in flight is of unknown
        // outcome.
        if (!expected) {
            Error error = lost(peer_, "the server ended the session", bye_);
            if (const auto delay = imap::suggested_delay(status.text)) error.retry_after = *delay;
            const bool patience = imap::is_throttling(status) || error.retry_after.count() > 0;
            if (patience) error.code = Code::throttled;
            end(std::move(error));
        }
        return;
    }
    // Exchange's line without tag or star, before it closes.
    if (status.condition == imap::Condition::bad) {
        bye_ = status.text;
        note_parting(status);
    }
    last_sink_ = offer(event);
}

/// A server that asks for patience and then closes: everything else that was in flight is lost for
/// that reason.
void Connection::note_parting(const imap::Status& status) {
    parting_.reset();
    if (status.condition == imap::Condition::ok) return;
    Error why;
    if (const auto delay = imap::suggested_delay(status.text)) why.retry_after = *delay;
    if (imap::is_throttling(status) || why.retry_after.count() > 0) {
        why.code = Code::throttled;
    } else if (imap::is_unavailable(status)) {
        why.code = Code::unavailable;
    } else {
        return;
    }
    why.text = status.text;
    parting_ = std::move(why);
}

void Connection::on_tagged(const imap::Status& status) {
    for (const Ticket& ticket : open_) {
        if (ticket->tag != status.tag) continue;
        const Ticket answered = ticket;
        const bool poisoned = answered->poisonous && status.condition == imap::Condition::bad;
        note_parting(status);
        if (answered->pauses_reader && status.condition == imap::Condition::ok) paused_ = true;
        complete(answered, to_reply(status));
        if (poisoned) {
            end(Error{Code::protocol,
                      Scope::connection,
                      Retry::now,
                      Outcome::unknown,
                      {},
                      peer_ + ": the server refused a command after its literal was under way (\"" +
                          printable(status.text, 120) +
                          "\"); the connection was closed so that no message is read as commands"});
        }
        return;
    }
    end(Error{Code::protocol,
              Scope::connection,
              Retry::later,
              Outcome::unknown,
              {},
              peer_ + ": the server answered a command that was not sent (\"" +
                  printable(status.tag, 32) + "\")"});
}

void Connection::complete(const Ticket& ticket, Result<Reply> reply) {
    std::erase(open_, ticket);
    ticket->reply = std::move(reply);
    ticket->done = true;
    progress_.notify_all();
    work_.notify_all();
}

// --- writing -----------------------------------------------------------------------------------

Ticket Connection::new_ticket(std::string verb, Sink* sink) {
    auto ticket = std::make_shared<Pending>();
    char tag[kTagBytes + 1];
    std::snprintf(tag, sizeof tag, "I%07llu", static_cast<unsigned long long>(next_tag_));
    next_tag_ = next_tag_ % (kTagsMax - 1) + 1;
    ticket->tag.assign(tag, kTagBytes);
    ticket->verb = std::move(verb);
    ticket->sink = sink;
    if (failure_) {
        Error error = *failure_;
        error.outcome = Outcome::not_done;
        ticket->reply = std::unexpected(std::move(error));
        ticket->done = true;
        if (sink != nullptr) sink->on_connection_lost();
        return ticket;
    }
    if (open_.empty()) ++round_trips_;
    open_.push_back(ticket);
    return ticket;
}

void Connection::enqueue(Output output) {
    if (failure_) {
        if (output.written != nullptr) *output.written = true;
        if (output.wipe) Secret::wipe(output.text);
        return;
    }
    if (in_pieces_ && output.ticket != in_pieces_) {
        held_back_.push_back(std::move(output));
        return;
    }
    output_.push_back(std::move(output));
    work_.notify_all();
}

Ticket Connection::start(imap::Command command, Sink* sink) {
    const bool secret = command.verb == "LOGIN" || command.verb == "AUTHENTICATE";
    Ticket ticket = new_ticket(command.verb, sink);
    ticket->poisonous = has_non_synchronising_literal(command);
    ticket->pauses_reader = command.verb == "STARTTLS" || command.verb == "COMPRESS";
    for (std::size_t i = 0; i < command.pieces.size(); ++i) {
        Output output;
        if (i == 0) output.text = ticket->tag;
        output.text += command.pieces[i];
        if (secret) Secret::wipe(command.pieces[i]);
        output.ticket = ticket;
        output.await_continuation = i + 1 < command.pieces.size();
        output.wipe = secret;
        enqueue(std::move(output));
    }
    return ticket;
}

Ticket Connection::start_prepared(std::string verb, std::span<char> buffer, bool poisonous,
                                  bool* written) {
    IMAPULT_ASSERT(buffer.size() > kTagBytes);
    Ticket ticket = new_ticket(std::move(verb), nullptr);
    ticket->poisonous = poisonous;
    std::memcpy(buffer.data(), ticket->tag.data(), kTagBytes);
    Output output;
    output.borrowed = std::string_view(buffer.data(), buffer.size());
    output.written = written;
    output.ticket = ticket;
    enqueue(std::move(output));
    return ticket;
}

Ticket Connection::start_pieces(std::string verb, bool poisonous) {
    Ticket ticket = new_ticket(std::move(verb), nullptr);
    ticket->poisonous = poisonous;
    IMAPULT_ASSERT(!in_pieces_);
    if (!ticket->done) in_pieces_ = ticket;
    Output output;
    output.text = ticket->tag;
    output.ticket = ticket;
    enqueue(std::move(output));
    return ticket;
}

void Connection::end_pieces() {
    in_pieces_.reset();
    for (Output& output : std::exchange(held_back_, {})) output_.push_back(std::move(output));
    work_.notify_all();
}

Task<Result<void>> Connection::write_piece(Ticket ticket, std::string_view bytes,
                                           bool await_continuation) {
    bool written = false;
    Output output;
    output.borrowed = bytes;
    output.written = &written;
    output.ticket = ticket;
    enqueue(std::move(output));
    while (!written) co_await progress_.wait();
    if (failure_) co_return std::unexpected(*failure_);
    if (!await_continuation) co_return Result<void>{};
    auto more = co_await continuation(ticket);
    if (!more) co_return std::unexpected(std::move(more).error());
    if (!*more) {
        co_return fail(Code::refused, Scope::message, Retry::never,
                       "the server refused the literal");
    }
    co_return Result<void>{};
}

Task<Result<std::optional<std::string>>> Connection::continuation(Ticket ticket) {
    ++round_trips_;
    while (continuations_.empty() && !ticket->done) co_await progress_.wait();
    if (!continuations_.empty()) {
        std::optional<std::string> text = std::move(continuations_.front());
        continuations_.pop_front();
        co_return text;
    }
    if (!ticket->reply) co_return std::unexpected(ticket->reply.error());
    co_return std::optional<std::string>{};
}

Task<Result<void>> Connection::send_line(std::string line) {
    bool written = false;
    Output output;
    output.text = std::move(line);
    output.text += "\r\n";
    output.written = &written;
    output.wipe = true;
    enqueue(std::move(output));
    while (!written) co_await progress_.wait();
    if (failure_) co_return std::unexpected(*failure_);
    co_return Result<void>{};
}

Task<Result<Ticket>> Connection::begin_idle() {
    Ticket ticket = start(imap::source::idle());
    auto more = co_await continuation(ticket);
    if (!more) co_return std::unexpected(std::move(more).error());
    if (!*more) {
        co_return fail(Code::refused, Scope::connection, Retry::later,
                       peer_ + ": the server does not take IDLE");
    }
    ticket->idles = true;
    co_return ticket;
}

Task<Result<Reply>> Connection::end_idle(Ticket ticket) {
    ticket->idles = false;
    if (!ticket->done) {
        auto sent = co_await send_line("DONE");
        if (!sent) co_return std::unexpected(std::move(sent).error());
    }
    co_return co_await finish(std::move(ticket));
}

void Connection::drop_output_of(const Ticket& ticket) {
    while (!output_.empty() && output_.front().ticket == ticket) {
        if (output_.front().written != nullptr) *output_.front().written = true;
        output_.pop_front();
    }
    progress_.notify_all();
}

Task<void> Connection::write_loop() {
    while (!failure_) {
        if (output_.empty() || paused_) {
            co_await work_.wait();
            continue;
        }
        co_await write_one();
    }
}

/// Writes the front of the queue: one borrowed buffer, or all owned text up to the next literal
/// that waits for `+`.
Task<void> Connection::write_one() {
    Output output = std::move(output_.front());
    output_.pop_front();
    if (output.ticket) output.ticket->written = true;
    while (output.borrowed.empty() && output.written == nullptr && !output.await_continuation &&
           !output.wipe && !output_.empty() && output_.front().borrowed.empty() &&
           output_.front().written == nullptr && !output_.front().wipe) {
        output.text += output_.front().text;
        output.await_continuation = output_.front().await_continuation;
        output.ticket = output_.front().ticket;
        if (output.ticket) output.ticket->written = true;
        output_.pop_front();
    }
    const std::string_view bytes =
        output.borrowed.empty() ? std::string_view(output.text) : output.borrowed;
    auto result = co_await stream_->write(bytes);
    ++heartbeat_;
    if (output.wipe) Secret::wipe(output.text);
    if (output.written != nullptr) *output.written = true;
    progress_.notify_all();
    if (failure_) co_return;
    if (!result) {
        // The server may have said why (BYE) before it closed: the reader gets a moment to see it.
        for (int i = 0; i < 20 && !failure_ && bye_.empty(); ++i) {
            co_await runtime::sleep_for(*scheduler_, 5ms);
        }
        Error error = std::move(result).error();
        error.text = peer_ + ": " + error.text;
        error.outcome = Outcome::unknown;
        end(std::move(error));
        co_return;
    }
    if (!output.await_continuation) co_return;
    ++round_trips_;
    while (!failure_ && continuations_.empty() && !output.ticket->done) co_await work_.wait();
    if (failure_) co_return;
    if (!continuations_.empty()) {
        continuations_.pop_front();
    } else {
        drop_output_of(output.ticket);  // the server refused the literal
    }
}

// --- life --------------------------------------------------------------------------------------

Task<void> Connection::watch_stall() {
    std::uint64_t heartbeat = heartbeat_;
    std::uint64_t bytes = 0;
    Nanos quiet_since = scheduler_->now();
    while (!failure_) {
        const Nanos look = std::min<Nanos>(stall_timeout_ / 8, kStallLookEvery);
        if (co_await ended_.wait(scheduler_->now() + look)) break;
        if (failure_) break;
        const std::uint64_t moved = wire_bytes_in() + wire_bytes_out();
        const bool idles = !open_.empty() && open_.front()->idles;
        const bool waiting = (!open_.empty() && !idles) || !greeting_;
        const bool ours = last_sink_ != nullptr && last_sink_->blocked();
        if (!waiting || ours || paused_ || heartbeat != heartbeat_ || bytes != moved) {
            heartbeat = heartbeat_;
            bytes = moved;
            quiet_since = scheduler_->now();
        } else if (scheduler_->now() - quiet_since >= stall_timeout_) {
            const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(stall_timeout_);
            end(Error{Code::timeout,
                      Scope::connection,
                      Retry::later,
                      Outcome::unknown,
                      {},
                      peer_ + ": the server has been silent for " +
                          std::to_string(seconds.count()) + " s" +
                          (open_.empty() ? "" : " during " + open_.front()->verb)});
            break;
        }
    }
}

Task<Result<Reply>> Connection::greeting() {
    while (!greeting_ && !failure_) co_await progress_.wait();
    if (!greeting_) co_return std::unexpected(*failure_);
    co_return *greeting_;
}

Task<Result<Reply>> Connection::finish(Ticket ticket) {
    while (!ticket->done) co_await progress_.wait();
    co_return ticket->reply;
}

Task<Result<Reply>> Connection::execute(imap::Command command, Sink* sink) {
    Ticket ticket = start(std::move(command), sink);
    co_return co_await finish(std::move(ticket));
}

std::unique_ptr<net::Stream> Connection::detach(std::string* unconsumed) {
    IMAPULT_ASSERT(paused_ && open_.empty());
    unconsumed->assign(parser_.unconsumed());
    bytes_in_before_ += stream_->wire_bytes_in();
    bytes_out_before_ += stream_->wire_bytes_out();
    return std::move(stream_);
}

void Connection::attach(std::unique_ptr<net::Stream> stream) {
    stream_ = std::move(stream);
    bytes_in_before_ -= std::min(bytes_in_before_, stream_->wire_bytes_in());
    bytes_out_before_ -= std::min(bytes_out_before_, stream_->wire_bytes_out());
    parser_ = imap::ResponseParser();
    paused_ = false;
    work_.notify_all();
}

Task<void> Connection::close(bool polite) {
    if (polite && !failure_) {
        const Ticket bye = start(imap::source::logout());
        const Nanos deadline = scheduler_->now() + kLogoutWait;
        while (!bye->done && scheduler_->now() < deadline) {
            if (!co_await progress_.wait(deadline)) break;
        }
    }
    abort();
}

void Connection::abort(std::optional<Error> reason) {
    if (failure_) return;
    end(reason ? std::move(*reason)
               : Error{Code::cancelled,
                       Scope::connection,
                       Retry::later,
                       Outcome::unknown,
                       {},
                       peer_ + ": the connection was given up"});
}

void Connection::end(Error error) {
    if (failure_) return;
    const bool theirs = error.code == Code::connection_lost || error.code == Code::protocol;
    if (theirs && parting_) {
        error.code = parting_->code;
        error.retry = Retry::later;
        error.retry_after = parting_->retry_after;
        if (!error.text.contains(parting_->text))
            error.text += "; before that: \"" + printable(parting_->text, 200) + "\"";
    }
    failure_ = error;
    const auto open = std::exchange(open_, {});
    for (const Ticket& ticket : open) {
        Error own = error;
        own.outcome = ticket->written ? Outcome::unknown : Outcome::not_done;
        ticket->reply = std::unexpected(std::move(own));
        ticket->done = true;
        if (ticket->sink != nullptr) ticket->sink->on_connection_lost();
    }
    in_pieces_.reset();
    for (Output& output : std::exchange(held_back_, {})) output_.push_back(std::move(output));
    for (Output& output : output_) {
        if (output.written != nullptr) *output.written = true;
        if (output.wipe) Secret::wipe(output.text);
    }
    output_.clear();
    if (stream_) stream_->abort();
    progress_.notify_all();
    work_.notify_all();
    ended_.notify_all();
}

}  // namespace imapult::session
