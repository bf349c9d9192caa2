#pragma once
// Signals as something a coroutine waits for.

#include <initializer_list>
#include <memory>
#include <optional>

#include "engine/base/error.h"
#include "engine/runtime/ring.h"

namespace imapult::runtime {

/// Takes the given signals away from the process and hands them to one coroutine. Create it in the
/// main thread before any other thread starts: the mask is inherited, so that no thread dies of a
/// signal meant for this one. Signals sent before next() is called are kept (each once).
class Signals {
  public:
    /// `Signals::create({SIGINT, SIGTERM})`; fails with Code::io.
    static Result<std::unique_ptr<Signals>> create(std::initializer_list<int> signals);
    /// Puts the mask of the calling thread back. Nothing may wait in next().
    ~Signals();
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    /// The next signal; nothing once stop() was called. One waiter at a time.
    Task<std::optional<int>> next(Ring& ring);
    /// Ends next(), now and later. On the waiter's shard.
    void stop();

  private:
    Signals() = default;

    struct Mask;
    std::unique_ptr<Mask> before_;
    int descriptor_ = -1;
    Ring* waiting_on_ = nullptr;
    Operation wait_;
    bool stopped_ = false;
};

}  // namespace imapult::runtime
