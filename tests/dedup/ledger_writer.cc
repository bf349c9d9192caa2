// A process to be killed: works on the ledger as a replica does and says on standard output, one
// line each, what it was promised. Usage: ledger_writer FOLDER GROUPS
//   N number      an intent sequence number, before anything uses it
//   B number      a mailbox id, likewise
//   I sequence    the intent of the group is durable
//   R sequence    the receipts of the group are in
// A group with sequence s has the source UIDs 10 s … 10 s + 4 in mailbox 1.

#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>

#include "dedup/ledger.h"

namespace {

using namespace imapult;
using namespace imapult::dedup;

constexpr std::uint32_t kGroupMessages = 5;
constexpr std::uint64_t kInFlightMax = 40;

void say(char what, std::uint64_t number) {
    const std::string line = std::string(1, what) + ' ' + std::to_string(number) + '\n';
    // One write: lines of two threads do not mix, and nothing said is lost with the process.
    if (write(STDOUT_FILENO, line.data(), line.size()) < 0) _exit(2);
}

class Writer {
  public:
    explicit Writer(Ledger& ledger) : ledger_(ledger) {}

    void run(std::uint64_t groups) {
        for (std::uint64_t i = 0; i < groups; ++i) {
            if (i % 16 == 0) say('B', ledger_.new_mailbox_id());
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return in_flight_ < kInFlightMax; });
            ++in_flight_;
            lock.unlock();
            start_group();
        }
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return in_flight_ == 0; });
    }

  private:
    void start_group() {
        const std::uint64_t sequence = ledger_.new_intent_sequence();
        say('N', sequence);
        Intent intent{.mailbox = 1, .sequence = sequence, .floor = 1, .items = {}};
        for (std::uint32_t i = 0; i < kGroupMessages; ++i) {
            intent.items.push_back({.source_uid = uid(sequence, i), .size = 100, .digest = {}});
        }
        Batch batch;
        batch.put_intent(intent);
        ledger_.commit(std::move(batch), [this, sequence](Result<void> result) {
            if (!result) _exit(3);
            say('I', sequence);
            finish_group(sequence);
        });
    }

    void finish_group(std::uint64_t sequence) {
        Batch batch;
        batch.erase_intent(1, sequence);
        for (std::uint32_t i = 0; i < kGroupMessages; ++i) {
            batch.put_message(1, {.source_uid = uid(sequence, i), .destination_uid = 1});
        }
        ledger_.commit(std::move(batch), [this, sequence](Result<void> result) {
            if (!result) _exit(3);
            say('R', sequence);
            const std::lock_guard lock(mutex_);
            --in_flight_;
            changed_.notify_all();
        });
    }

    static std::uint32_t uid(std::uint64_t sequence, std::uint32_t i) {
        return static_cast<std::uint32_t>(sequence * 10 + i);
    }

    Ledger& ledger_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::uint64_t in_flight_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    auto store = open_rocks_store(argv[1], {});
    if (!store) return 4;
    auto ledger = Ledger::open(std::move(*store), false);
    if (!ledger) return 5;
    Writer(**ledger).run(std::strtoull(argv[2], nullptr, 10));
    return 0;
}
