#pragma once
// A coroutine that nobody awaits: created suspended, destroys its own frame at the end. Only for
// the runtime's own roots (TaskScope, Ring::run); everybody else uses Task.

#include <coroutine>

#include "engine/base/error.h"

namespace imapult::runtime::detail {

struct Detached {
    struct promise_type {
        Detached get_return_object() {
            return {std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        [[noreturn]] void unhandled_exception() noexcept {
            broken_invariant("an exception escaped a coroutine", __FILE__, __LINE__);
        }
    };
    std::coroutine_handle<promise_type> handle;
};

}  // namespace imapult::runtime::detail
