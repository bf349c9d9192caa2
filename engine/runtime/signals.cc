#include "engine/runtime/signals.h"

#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace imapult::runtime {

struct Signals::Mask {
    sigset_t set;
};

Result<std::unique_ptr<Signals>> Signals::create(std::initializer_list<int> signals) {
    sigset_t wanted;
    sigemptyset(&wanted);
    for (const int signal : signals) sigaddset(&wanted, signal);
    std::unique_ptr<Signals> result(new Signals);
    auto before = std::make_unique<Mask>();
    if (pthread_sigmask(SIG_BLOCK, &wanted, &before->set) != 0) {
        return fail(Code::io, Scope::run, Retry::never, "cannot block signals");
    }
    result->before_ = std::move(before);
    result->descriptor_ = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    if (result->descriptor_ < 0) {
        return fail(Code::io, Scope::run, Retry::never,
                    "cannot wait for signals: " + std::generic_category().message(errno));
    }
    return result;
}

Signals::~Signals() {
    if (descriptor_ >= 0) close(descriptor_);
    if (before_) pthread_sigmask(SIG_SETMASK, &before_->set, nullptr);
}

Task<std::optional<int>> Signals::next(Ring& ring) {
    while (!stopped_) {
        signalfd_siginfo info{};
        const ssize_t got = read(descriptor_, &info, sizeof info);
        if (got == static_cast<ssize_t>(sizeof info)) co_return static_cast<int>(info.ssi_signo);
        waiting_on_ = &ring;
        ring.start_poll(wait_, descriptor_, POLLIN);
        co_await wait_;
        waiting_on_ = nullptr;
    }
    co_return std::nullopt;
}

void Signals::stop() {
    stopped_ = true;
    if (waiting_on_ != nullptr) waiting_on_->cancel(wait_);
}

}  // namespace imapult::runtime
