#pragma once
// One IMAP connection: commands go out in order, answers come back matched by tag, untagged data
// goes to the command that asked for it. Knows nothing of log-in or of what is copied.
//
// Two coroutines serve it for as long as it lives, the reader and the writer; `run()` is both:
//
//     Connection connection(scheduler, std::move(stream));
//     scope.spawn(connection.run());
//     auto reply = co_await connection.execute(imap::source::noop());
//     co_await connection.close();                  // or abort(); run() ends then
//
// Pipelining: start() writes nothing itself and does not wait; finish() waits for the answer.

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/net/stream.h"
#include "engine/runtime/sync.h"
#include "imap/command.h"
#include "imap/response.h"

namespace imapult::session {

using runtime::Task;

/// A tagged answer, owned.
struct Reply {
    imap::Condition condition = imap::Condition::ok;
    imap::ResponseCode code = imap::ResponseCode::none;
    std::vector<std::uint64_t> numbers;
    std::string uid_set, uid_set_source;
    std::vector<std::string> words;
    std::string code_text;
    std::string text;  ///< raw; show with printable()
    [[nodiscard]] bool ok() const { return condition == imap::Condition::ok; }
};

/// Takes the untagged responses that belong to a command. All calls come from the reader, between
/// two reads; they must not block. What is offered and refused goes to the next open command's
/// sink.
class Sink {
  public:
    virtual ~Sink() = default;
    /// Any untagged response but bodies; a Fetch that follows a claimed body comes to the same
    /// sink. False: not mine.
    virtual bool on_untagged(const imap::Event& event) = 0;
    /// A body section begins: true claims it, its chunks and its Fetch.
    virtual bool on_body_begin(const imap::BodyBegin& /*begin*/) { return false; }
    virtual void on_body_chunk(const imap::BodyChunk& /*chunk*/) {}
    /// True if the reader must wait before it goes on (back-pressure). The views of the last event
    /// stay valid while it waits.
    virtual bool blocked() { return false; }
    virtual Task<void> wait() { co_return; }
    /// The connection has ended: nothing more will come, whoever waits must be woken.
    virtual void on_connection_lost() {}
};

/// A command on its way.
struct Pending {
    std::string tag;
    std::string verb;
    Sink* sink = nullptr;
    bool written = false;  ///< its first octet may have left
    bool done = false;
    /// Carries a non-synchronising literal: a BAD answer means that the server may be reading the
    /// literal's octets as commands, so the connection is closed at once (RST).
    bool poisonous = false;
    bool pauses_reader = false;  ///< STARTTLS, COMPRESS: nothing is read behind its answer
    bool idles = false;  ///< IDLE under way: the server is silent for as long as nothing happens
    Result<Reply> reply;
};
using Ticket = std::shared_ptr<Pending>;

/// Width of every tag, so that a prepared buffer can leave room for it.
inline constexpr std::size_t kTagBytes = 8;

class Connection {
  public:
    Connection(runtime::Scheduler& scheduler, std::unique_ptr<net::Stream> stream, std::string peer,
               Nanos stall_timeout);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Reads and writes until the connection ends. Spawn it once, join it before destruction.
    Task<void> run();

    /// Waits for the greeting (an untagged OK, PREAUTH or BYE).
    Task<Result<Reply>> greeting();

    /// Queues a command. `sink`, if any, must live until the command is done.
    Ticket start(imap::Command command, Sink* sink = nullptr);
    /// Waits for the tagged answer. The error is the connection's, with Outcome::unknown if the
    /// command may have reached the server. A NO or BAD is no error here: see Reply.
    Task<Result<Reply>> finish(Ticket ticket);
    Task<Result<Reply>> execute(imap::Command command, Sink* sink = nullptr);

    // --- APPEND, whose octets are not a Command ------------------------------------------------
    /// Queues one whole command that stands in `buffer`: its first kTagBytes octets are overwritten
    /// with the tag. `buffer` must live until `*written` is set (signalled by progress()); commands
    /// that stand one behind the other in memory go out together.
    Ticket start_prepared(std::string verb, std::span<char> buffer, bool poisonous, bool* written);
    /// Opens a command whose pieces follow by write_piece(); the caller sends nothing else until
    /// the last.
    Ticket start_pieces(std::string verb, bool poisonous);
    /// Other commands that are started meanwhile are kept back until end_pieces(): between the head
    /// of an APPEND and its literal the server would read them as the message. Writes one piece and
    /// waits until the stream has taken it. With `await_continuation` it then waits for `+`; an
    /// error Code::refused means that the server answered the command instead.
    Task<Result<void>> write_piece(Ticket ticket, std::string_view bytes, bool await_continuation);
    void end_pieces();
    /// Signalled whenever prepared output was written or a command was answered, and when the
    /// connection ends.
    runtime::Event& progress() { return progress_; }

    /// For SASL: waits for `+` or the tagged answer of `ticket`. The text of the continuation, or
    /// nothing if the command was answered.
    Task<Result<std::optional<std::string>>> continuation(Ticket ticket);
    /// Sends one raw line (SASL response, DONE); CRLF is added. Wiped after writing.
    Task<Result<void>> send_line(std::string line);

    /// IDLE (RFC 2177): until end_idle() the server tells the default sink what happens in the open
    /// mailbox, and nothing else may be sent. Code::refused if it does not take the command.
    Task<Result<Ticket>> begin_idle();
    Task<Result<Reply>> end_idle(Ticket ticket);

    /// Takes the stream out after a command with pauses_reader was answered OK (STARTTLS,
    /// COMPRESS); attach() puts the new one in. `unconsumed` receives the bytes already read behind
    /// the answer.
    std::unique_ptr<net::Stream> detach(std::string* unconsumed);
    void attach(std::unique_ptr<net::Stream> stream);

    /// Ends: with LOGOUT and waiting for its answer (2 s at most) if `polite`, else at once.
    /// run() returns afterwards.
    Task<void> close(bool polite);
    /// RST. Everything in flight ends with Code::cancelled (or `reason`).
    void abort(std::optional<Error> reason = std::nullopt);

    [[nodiscard]] bool alive() const { return !failure_.has_value(); }
    [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
    [[nodiscard]] std::size_t in_flight() const { return open_.size(); }
    [[nodiscard]] std::uint64_t wire_bytes_in() const;
    [[nodiscard]] std::uint64_t wire_bytes_out() const;
    /// How often we had to wait a full round trip with nothing else in flight.
    [[nodiscard]] std::uint64_t round_trips() const { return round_trips_; }
    void reset_round_trips() { round_trips_ = 0; }
    /// How long the server may be silent while we wait for it.
    void set_stall_timeout(Nanos timeout) { stall_timeout_ = timeout; }
    [[nodiscard]] bool is_loopback() const { return loopback_; }
    [[nodiscard]] bool is_secure() const { return stream_ && stream_->is_secure(); }
    [[nodiscard]] const std::string& peer() const { return peer_; }
    [[nodiscard]] std::uint64_t quirk_count(imap::Quirk quirk) const {
        return parser_.quirk_count(quirk);
    }

    /// Untagged events that no command claimed go here (ALERT, CAPABILITY, BYE …).
    void set_default_sink(Sink* sink) { default_sink_ = sink; }

  private:
    struct Output {
        std::string text;                 ///< owned bytes, or
        std::string_view borrowed;        ///< bytes of a caller
        bool* written = nullptr;          ///< set once the stream has taken them
        Ticket ticket;                    ///< the command it belongs to
        bool await_continuation = false;  ///< after it
        bool wipe = false;
    };

    Task<void> read_loop();
    Task<void> write_loop();
    Task<void> watch_stall();
    Task<void> write_one();
    void dispatch(const imap::Event& event);
    void note_parting(const imap::Status& status);
    void on_status(const imap::Status& status, const imap::Event& event);
    void on_tagged(const imap::Status& status);
    Sink* offer(const imap::Event& event);
    void end(Error error);
    Ticket new_ticket(std::string verb, Sink* sink);
    void complete(const Ticket& ticket, Result<Reply> reply);
    void enqueue(Output output);
    void drop_output_of(const Ticket& ticket);

    runtime::Scheduler* scheduler_;
    std::unique_ptr<net::Stream> stream_;
    std::string peer_;
    Nanos stall_timeout_;
    bool loopback_ = false;
    imap::ResponseParser parser_;
    std::deque<Output> output_;
    std::deque<Output> held_back_;  ///< of others, while a command is written in pieces
    Ticket in_pieces_;
    std::deque<Ticket> open_;  ///< in the order of sending
    runtime::Event progress_;  ///< answers, written output, end
    runtime::Event work_;      ///< output queued, stream attached, end
    runtime::Event ended_;
    Sink* default_sink_ = nullptr;
    Sink* body_sink_ = nullptr;  ///< claimed the body that is coming in
    bool in_body_ = false;       ///< between BodyBegin and its Fetch
    Sink* last_sink_ = nullptr;  ///< took the last event
    std::optional<Error> failure_;
    std::optional<Reply> greeting_;
    std::deque<std::string> continuations_;
    std::string bye_;
    /// Asked for in the last NO or BAD, or in words without a tag: why the connection then ends.
    std::optional<Error> parting_;
    bool paused_ = false;  ///< the reader waits for attach()
    std::uint64_t next_tag_ = 1;
    std::uint64_t round_trips_ = 0;
    std::uint64_t bytes_in_before_ = 0, bytes_out_before_ = 0;  ///< of streams taken out
    std::size_t garbage_lines_ = 0;
    std::uint64_t heartbeat_ = 0;  ///< counts events and finished writes, for the stall watch
};

/// Owned copy of a status response.
Reply to_reply(const imap::Status& status);

}  // namespace imapult::session
