#include "engine/runtime/ring.h"

#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/base/limits.h"
#include "engine/runtime/block_pool.h"
#include "engine/runtime/detached.h"
#include "engine/runtime/timer_heap.h"

// Debian 12's liburing 2.3 is older than the kernels we meet: values of the kernel's stable
// interface (include/uapi/linux/io_uring.h), set by hand and used only where the ring reports them.
#ifndef IORING_FEAT_RECVSEND_BUNDLE
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14)
#endif
#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1U << 4)
#endif

namespace imapult::runtime {

namespace {

/// Coroutines resumed before the kernel is asked again: bounds the latency of completions.
constexpr std::size_t kResumesPerTurn = 1024;

Error ring_error(int error) {
    if (error == EPERM || error == ENOSYS || error == EACCES) {
        return Error{Code::ring_forbidden,
                     Scope::run,
                     Retry::never,
                     Outcome::not_done,
                     {},
                     "io_uring is not allowed here (" + std::generic_category().message(error) +
                         "): set the sysctl kernel.io_uring_disabled=0, or in a container use a "
                         "seccomp profile that allows the io_uring system calls"};
    }
    return Error{Code::io,
                 Scope::run,
                 Retry::never,
                 Outcome::not_done,
                 {},
                 "cannot set up io_uring: " + std::generic_category().message(error) +
                     (error == ENOMEM ? " (raise the locked memory limit, ulimit -l)" : "")};
}

}  // namespace

struct Ring::Impl {
    RingOptions options;
    io_uring uring{};
    bool open = false;
    bool disabled = false;  ///< created with R_DISABLED, not yet enabled
    bool bundles = false;
    std::vector<std::string> lost;
    std::unique_ptr<BlockPool> blocks;
    SystemClock clock;
    TimerHeap timers;
    std::vector<std::coroutine_handle<>> ready;
    std::vector<std::coroutine_handle<>> batch;
    std::size_t in_flight = 0;
    std::uint64_t enters = 0;
    std::thread::id thread;

    int wake_fd = -1;
    bool wake_armed = false;
    Completion wake{&Impl::woken, this};
    std::atomic<bool> wake_sent{false};
    std::mutex remote_mutex;
    std::vector<std::function<void()>> remote;  ///< guarded by remote_mutex

    ~Impl();
    int open_ring(unsigned flags);
    Result<void> set_up();
    void bind_thread();
    io_uring_sqe* next_entry();
    void start(Operation& operation, Ring* ring, io_uring_sqe* entry,
               void (*function)(void*, std::int32_t, std::uint32_t));
    void arm_wake();
    static void woken(void* self, std::int32_t result, std::uint32_t flags);
    void run_remote();
    void run_ready();
    void enter(bool may_wait);
    void reap();
    void fire_timers();
};

Ring::Impl::~Impl() {
    if (open) io_uring_queue_exit(&uring);
    if (wake_fd >= 0) close(wake_fd);
}

int Ring::Impl::open_ring(unsigned flags) {
    io_uring_params parameters{};
    parameters.flags = flags;
    const int result = io_uring_queue_init_params(limits::kRingEntries, &uring, &parameters);
    if (result == 0) open = true;
    return -result;
}

Result<void> Ring::Impl::set_up() {
    constexpr unsigned kBase = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP;
    int error = EINVAL;
    if (options.single_issuer) {
        // Disabled at first, so that the thread of run() becomes the issuer, not the creator's.
        error = open_ring(kBase | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                          IORING_SETUP_R_DISABLED);
        disabled = error == 0;
    }
    if (error == EINVAL) {
        lost.emplace_back("io_uring: no deferred task work (kernel older than 6.1)");
        error = open_ring(kBase | IORING_SETUP_COOP_TASKRUN);
    }
    if (error == EINVAL) {
        lost.emplace_back("io_uring: no cooperative task work (kernel older than 5.19)");
        error = open_ring(0);
    }
    if (error != 0) return std::unexpected(ring_error(error));
    if ((uring.features & IORING_FEAT_EXT_ARG) == 0 || (uring.features & IORING_FEAT_NODROP) == 0) {
        return std::unexpected(ring_error(ENOSYS));
    }
    if (options.provided_buffers) blocks = BlockPool::create(uring);
    if (!blocks) lost.emplace_back("io_uring: no provided buffers, one memory block per receive");
    bundles = blocks && options.bundles && (uring.features & IORING_FEAT_RECVSEND_BUNDLE) != 0;
    if (blocks && !bundles) {
        lost.emplace_back("io_uring: no bundled receive (kernel older than 6.10)");
    }
    // Non-blocking, because it is polled and then read by hand: the kernel never writes into our
    // memory on its own account.
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0) return std::unexpected(ring_error(errno));
    return {};
}

void Ring::Impl::bind_thread() {
    if (thread == std::thread::id{}) {
        thread = std::this_thread::get_id();
        if (disabled) {
            // liburing 2.3 declares io_uring_enable_rings() but does not export it.
            const int result = io_uring_register(static_cast<unsigned>(uring.ring_fd),
                                                 IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
            IMAPULT_ASSERT(result == 0);
            disabled = false;
        }
    }
    IMAPULT_ASSERT(thread == std::this_thread::get_id());
}

io_uring_sqe* Ring::Impl::next_entry() {
    for (;;) {
        if (io_uring_sqe* entry = io_uring_get_sqe(&uring)) return entry;
        // The queue is full: hand it over. Completions wait in the other queue (NODROP).
        const int result = io_uring_submit(&uring);
        ++enters;
        IMAPULT_ASSERT(result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY);
    }
}

void Ring::Impl::start(Operation& operation, Ring* ring, io_uring_sqe* entry,
                       void (*function)(void*, std::int32_t, std::uint32_t)) {
    IMAPULT_ASSERT(!operation.in_flight_);
    operation.ring_ = ring;
    operation.completion_ = Completion{function, &operation};
    operation.in_flight_ = true;
    operation.has_blocks_ = false;
    operation.waiter_ = {};
    ++in_flight;
    io_uring_sqe_set_data(entry, &operation.completion_);
}

void Ring::Impl::arm_wake() {
    if (wake_armed) return;
    io_uring_sqe* entry = next_entry();
    io_uring_prep_poll_multishot(entry, wake_fd, POLLIN);
    io_uring_sqe_set_data(entry, &wake);
    wake_armed = true;
}

void Ring::Impl::woken(void* self, std::int32_t, std::uint32_t flags) {
    auto* impl = static_cast<Impl*>(self);
    if ((flags & IORING_CQE_F_MORE) == 0) impl->wake_armed = false;
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = read(impl->wake_fd, &count, sizeof count);
}

void Ring::Impl::run_remote() {
    if (!wake_sent.load(std::memory_order_acquire)) return;
    std::vector<std::function<void()>> work;
    {
        const std::lock_guard lock(remote_mutex);
        work.swap(remote);
        wake_sent.store(false, std::memory_order_release);
    }
    for (auto& item : work) item();
}

void Ring::Impl::run_ready() {
    std::size_t resumed = 0;
    while (!ready.empty() && resumed < kResumesPerTurn) {
        batch.swap(ready);
        for (const auto handle : batch) handle.resume();
        resumed += batch.size();
        batch.clear();
    }
}

void Ring::Impl::enter(bool may_wait) {
    ++enters;
    int result = 0;
    const auto due = timers.next_due();
    if (!may_wait || !ready.empty() || wake_sent.load(std::memory_order_acquire)) {
        result = io_uring_submit_and_get_events(&uring);
    } else {
        io_uring_cqe* first = nullptr;
        __kernel_timespec limit{};
        if (due) {
            const Nanos left = std::max(*due - clock.monotonic(), Nanos{0});
            limit.tv_sec = left.count() / 1'000'000'000;
            limit.tv_nsec = left.count() % 1'000'000'000;
        }
        result =
            io_uring_submit_and_wait_timeout(&uring, &first, 1, due ? &limit : nullptr, nullptr);
    }
    // EBUSY, EAGAIN: completions must be taken first, which is what comes next.
    IMAPULT_ASSERT(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
                   result == -EBUSY);
}

void Ring::Impl::reap() {
    io_uring_cqe* entry = nullptr;
    unsigned head = 0;
    unsigned count = 0;
    io_uring_for_each_cqe(&uring, head, entry) {
        ++count;
        const auto* completion = static_cast<const Completion*>(io_uring_cqe_get_data(entry));
        if (completion != nullptr) {
            completion->function(completion->context, entry->res, entry->flags);
        }
    }
    io_uring_cq_advance(&uring, count);
}

void Ring::Impl::fire_timers() {
    if (timers.empty()) return;
    const Nanos now = clock.monotonic();
    while (auto callback = timers.take_due(now)) (*callback)();
}

// ---- Ring ----------------------------------------------------------------------------------

Ring::Ring(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Ring::~Ring() {
    IMAPULT_ASSERT(impl_->in_flight == 0);
}

Result<std::unique_ptr<Ring>> Ring::create(RingOptions options) {
    auto impl = std::make_unique<Impl>();
    impl->options = options;
    IMAPULT_CHECK(impl->set_up());
    return std::unique_ptr<Ring>(new Ring(std::move(impl)));
}

namespace {

detail::Detached run_root(Task<void> task, bool* done) {
    {
        Task<void> running = std::move(task);
        co_await std::move(running);
    }
    *done = true;
}

}  // namespace

void Ring::run(Task<void> task) {
    Impl& impl = *impl_;
    impl.bind_thread();
    bool done = false;
    post(run_root(std::move(task), &done).handle);
    for (;;) {
        impl.run_remote();
        impl.run_ready();
        impl.arm_wake();
        // The last turn still submits: cancellations and closes must not stay behind.
        impl.enter(!done);
        impl.reap();
        impl.fire_timers();
        if (done) break;
    }
}

const std::vector<std::string>& Ring::lost_features() const {
    return impl_->lost;
}
const Clock& Ring::clock() const {
    return impl_->clock;
}
void Ring::post(std::coroutine_handle<> handle) {
    impl_->ready.push_back(handle);
}

void Ring::post_remote(std::function<void()> work) {
    const std::lock_guard lock(impl_->remote_mutex);
    impl_->remote.push_back(std::move(work));
    if (impl_->wake_sent.exchange(true, std::memory_order_acq_rel)) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(impl_->wake_fd, &one, sizeof one);
}

TimerId Ring::add_timer(Nanos due, Callback callback) {
    return impl_->timers.add(due, callback);
}
void Ring::cancel_timer(TimerId id) {
    impl_->timers.cancel(id);
}

// ---- Operations ----------------------------------------------------------------------------

void Ring::complete(void* context, std::int32_t result, std::uint32_t) {
    auto& operation = *static_cast<Operation*>(context);
    Ring& ring = *operation.ring_;
    operation.result_ = result;
    operation.in_flight_ = false;
    --ring.impl_->in_flight;
    if (operation.waiter_) ring.post(std::exchange(operation.waiter_, {}));
}

void Ring::complete_receive(void* context, std::int32_t result, std::uint32_t flags) {
    auto& operation = *static_cast<Operation*>(context);
    BlockPool& blocks = *operation.ring_->impl_->blocks;
    blocks.disarm();
    if ((flags & IORING_CQE_F_BUFFER) != 0) {
        const auto first = static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
        blocks.taken(first, result);
        if (result > 0) {
            operation.first_block_ = first;
            operation.has_blocks_ = true;
        } else {
            blocks.release(first);
        }
    }
    operation.more_waiting_ = (flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
    complete(context, result, flags);
}

void Ring::start_receive(ReceiveOperation& operation, int socket, bool likely_empty) {
    Impl& impl = *impl_;
    if (!impl.blocks) {
        operation.result_ = -ENOBUFS;
        operation.has_blocks_ = false;
        return;
    }
    io_uring_sqe* entry = impl.next_entry();
    impl.blocks->arm();
    io_uring_prep_recv(entry, socket, nullptr, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = BlockPool::kGroup;
    if (impl.bundles) entry->ioprio |= IORING_RECVSEND_BUNDLE;
    if (likely_empty) entry->ioprio |= IORING_RECVSEND_POLL_FIRST;
    impl.start(operation, this, entry, &Ring::complete_receive);
}

void Ring::start_receive_into(Operation& operation, int socket, char* memory,
                              std::size_t bytes_max) {
    io_uring_sqe* entry = impl_->next_entry();
    io_uring_prep_recv(entry, socket, memory, bytes_max, 0);
    impl_->start(operation, this, entry, &Ring::complete);
}

void Ring::start_send(Operation& operation, int socket, std::string_view bytes) {
    io_uring_sqe* entry = impl_->next_entry();
    io_uring_prep_send(entry, socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_WAITALL);
    impl_->start(operation, this, entry, &Ring::complete);
}

void Ring::start_connect(Operation& operation, int socket, const sockaddr* address,
                         std::uint32_t address_bytes) {
    io_uring_sqe* entry = impl_->next_entry();
    io_uring_prep_connect(entry, socket, address, address_bytes);
    impl_->start(operation, this, entry, &Ring::complete);
}

void Ring::start_accept(Operation& operation, int socket) {
    io_uring_sqe* entry = impl_->next_entry();
    io_uring_prep_accept(entry, socket, nullptr, nullptr, SOCK_CLOEXEC);
    impl_->start(operation, this, entry, &Ring::complete);
}

void Ring::start_poll(Operation& operation, int descriptor, std::uint32_t events) {
    io_uring_sqe* entry = impl_->next_entry();
    io_uring_prep_poll_add(entry, descriptor, events);
    impl_->start(operation, this, entry, &Ring::complete);
}

void Ring::cancel(Operation& operation) {
    if (!operation.in_flight_) return;
    io_uring_sqe* entry = impl_->next_entry();
    io_uring_prep_cancel64(entry, reinterpret_cast<std::uint64_t>(&operation.completion_), 0);
    io_uring_sqe_set_data(entry, nullptr);
}

const char* Ring::block_data(std::uint16_t block) const {
    return impl_->blocks->data(block);
}
std::uint16_t Ring::next_block(std::uint16_t block) const {
    return impl_->blocks->next(block);
}
void Ring::release_block(std::uint16_t block) {
    impl_->blocks->release(block);
}
std::size_t Ring::blocks_held() const {
    return impl_->blocks ? impl_->blocks->held() : 0;
}
std::size_t Ring::operations_in_flight() const {
    return impl_->in_flight;
}
std::uint64_t Ring::enters() const {
    return impl_->enters;
}

}  // namespace imapult::runtime
