#pragma once
// Errors are values. An Error tells its readers three things they act on (how much it spoils, when
// trying again makes sense, whether the peer may have done the work after all) and one they show.

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace imapult {

/// How much an error spoils. Each level handles its own scope and passes the wider ones up.
enum class Scope : std::uint8_t { message, mailbox, connection, account, host, run };

/// When trying the same thing again makes sense.
enum class Retry : std::uint8_t { now, later, never };

/// Whether the peer may have carried the operation out although we got no answer.
enum class Outcome : std::uint8_t { not_done, unknown };

/// What went wrong. A code exists only if some caller reacts to it.
enum class Code : std::uint8_t {
    invalid_input,    ///< command line, configuration, accounts file, LDIF, ICS, …
    resolve_failed,   ///< the host name has no address
    connect_failed,   ///< no TCP connection
    tls_failed,       ///< handshake, certificate or host name
    auth_refused,     ///< never tried again: lock-outs
    connection_lost,  ///< reset, EOF, BYE
    timeout,          ///< a deadline of ours passed
    protocol,         ///< the peer broke the protocol; the connection is unusable
    refused,          ///< tagged NO without a more precise meaning
    bad_command,      ///< tagged BAD
    over_quota,       ///< [OVERQUOTA]
    too_big,          ///< [TOOBIG], APPENDLIMIT, "maximum message size"
    throttled,        ///< [LIMIT], THROTTLED, "Suggested Backoff Time"; see Error::retry_after
    unavailable,      ///< [UNAVAILABLE], [SERVERBUG], [INUSE], [CONTACTADMIN]
    not_found,        ///< [NONEXISTENT], [TRYCREATE]
    already_exists,   ///< [ALREADYEXISTS]
    no_permission,    ///< [NOPERM], [CANNOT]
    cancelled,        ///< we gave up on purpose (abort, signal)
    state_locked,     ///< the state directory belongs to another process
    state_damaged,    ///< the ledger cannot be read
    state_version,    ///< the ledger is of an unknown version
    io,               ///< a file or system call failed
    ring_forbidden,   ///< io_uring is not available here
    limit,            ///< one of our own limits (engine/base/limits.h) was passed
};

/// Lower-case name of a code, as in events and JSON: "auth_refused".
std::string_view name_of(Code code);

struct Error {
    Code code = Code::io;
    Scope scope = Scope::run;
    Retry retry = Retry::never;
    Outcome outcome = Outcome::not_done;
    /// The peer's own suggested delay, if it gave one; zero otherwise.
    std::chrono::milliseconds retry_after{0};
    /// One sentence for a person: what happened and what cures it. Never holds credentials or
    /// message content; bytes of a peer in it are already escaped (see text.h).
    std::string text;
};

template <class T = void>
using Result = std::expected<T, Error>;

/// `return fail(Code::timeout, Scope::connection, Retry::now, "…");`
inline std::unexpected<Error> fail(Code code, Scope scope, Retry retry, std::string text) {
    return std::unexpected<Error>(
        Error{code, scope, retry, Outcome::not_done, {}, std::move(text)});
}
/// An error of our own input: run scope, never retried.
inline std::unexpected<Error> invalid(std::string text) {
    return fail(Code::invalid_input, Scope::run, Retry::never, std::move(text));
}

/// A broken invariant of our own: prints the place to standard error and ends with exit code 70.
[[noreturn]] void broken_invariant(const char* expression, const char* file, int line);

}  // namespace imapult

/// Assertion that stays on in release builds. Only for our own invariants, never for a peer's
/// bytes.
#define IMAPULT_ASSERT(expression)                        \
    (static_cast<bool>(expression) ? static_cast<void>(0) \
                                   : ::imapult::broken_invariant(#expression, __FILE__, __LINE__))

#define IMAPULT_CONCAT_(a, b) a##b
#define IMAPULT_CONCAT(a, b) IMAPULT_CONCAT_(a, b)
#define IMAPULT_TRY_(variable, declaration, expression, ret)         \
    auto variable = (expression);                                    \
    if (!variable) ret std::unexpected(std::move(variable).error()); \
    declaration = std::move(*variable)

/// `IMAPULT_TRY(auto box, parse(name));` returns the error, or declares the value.
#define IMAPULT_TRY(declaration, expression) \
    IMAPULT_TRY_(IMAPULT_CONCAT(try_, __LINE__), declaration, expression, return)
/// The same inside a coroutine: `IMAPULT_CO_TRY(auto box, co_await session.examine(name));`
#define IMAPULT_CO_TRY(declaration, expression) \
    IMAPULT_TRY_(IMAPULT_CONCAT(try_, __LINE__), declaration, expression, co_return)
/// For results without a value.
#define IMAPULT_CHECK(expression)                        \
    if (auto check_result = (expression); !check_result) \
    return std::unexpected(std::move(check_result).error())
#define IMAPULT_CO_CHECK(expression)                     \
    if (auto check_result = (expression); !check_result) \
    co_return std::unexpected(std::move(check_result).error())
