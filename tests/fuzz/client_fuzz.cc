// The whole replicator between two servers in memory, of which one is garbled on its way to us:
// what it sends is changed, cut off or held back as the input says. A clean pass with the same
// ledger follows. Every promise checked here holds however a server lies.
//
//     source octet, destination octet   presets, by their place in preset_names()
//     options octet                     kMutateDestination, …
//     mutations                         gap varint, operation octet, length octet, argument
//
// CLIENT_FUZZ_TRACE=1 in the environment prints what goes over the wire and what reaches us.

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dedup/ledger.h"
#include "engine/base/text.h"
#include "engine/replica/account.h"
#include "fuzz/fuzz_input.h"
#include "sim/process.h"
#include "sim/support/silent_observer.h"
#include "sim/support/sim_scheduler.h"
#include "tools/imapd/behaviour.h"
#include "tools/imapd/store.h"

namespace imapult {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

constexpr std::string_view kUser = "user@example.com";
constexpr std::string_view kPassword = "password";
constexpr std::string_view kForeign = "foreign";  ///< of the destination's own messages
constexpr std::uint64_t kStepsMax = 2'000'000;    ///< per pass
constexpr Nanos kPassMax = 48h;
constexpr Nanos kBetweenPasses = 25h;  ///< a day's limits and pleas for patience are over
constexpr std::size_t kMutationsMax = 64;
constexpr std::size_t kHistoryMax = 256;

enum Options : std::uint8_t {
    kMutateDestination = 1,  ///< else the source
    kTwoLanes = 2,
    kTrust = 4,
    kMirror = 8,
    kLate = 16,    ///< a clean pass comes first: what is garbled is the second
    kPieces = 32,  ///< octets come in pieces of any size
    kRetryRefused = 64,
    kLittleMemory = 128,
};

bool traced() {
    static const bool on = std::getenv("CLIENT_FUZZ_TRACE") != nullptr;
    return on;
}

// --- mutations ---------------------------------------------------------------------------------

struct Mutation {
    enum class Kind : std::uint8_t {
        overwrite,
        insert,
        erase,
        repeat,   ///< of what was passed on last
        number,   ///< the next digits are other ones
        token,    ///< one of kTokens
        end,      ///< FIN
        reset,    ///< RST
        silence,  ///< nothing comes any more
    };
    static constexpr std::uint8_t kKinds = 9;
    static constexpr std::uint8_t kGapInLines = 128;  ///< of the operation octet
    std::uint64_t gap = 0;                            ///< octets, or line ends
    bool gap_in_lines = false;
    Kind kind = Kind::overwrite;
    std::string_view argument;

    /// For `erase` and `repeat`.
    [[nodiscard]] std::size_t count() const {
        return argument.empty() ? 1 : static_cast<std::uint8_t>(argument.front());
    }
    [[nodiscard]] bool ends_connection() const { return kind >= Kind::end; }
};

constexpr std::array<std::string_view, 24> kTokens = {
    "* BYE\r\n",
    "* OK [ALERT] x\r\n",
    "* CAPABILITY IMAP4rev1\r\n",
    "* CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS MULTIAPPEND CONDSTORE QRESYNC ESEARCH MOVE\r\n",
    "* 4294967295 EXISTS\r\n",
    "* 0 EXISTS\r\n",
    "* 1 EXPUNGE\r\n",
    "* VANISHED 1:4294967295\r\n",
    "* 1 FETCH (UID 4294967295 FLAGS (\\Deleted) RFC822.SIZE 0)\r\n",
    "* 1 FETCH (UID 1 BODY[] {18446744073709551615}\r\n",
    "* ESEARCH UID ALL 1:4294967295\r\n",
    "* SEARCH 4294967295 0\r\n",
    "* LIST () \"/\" \"\"\r\n",
    "* LIST () NIL INBOX\r\n",
    "* OK [UIDVALIDITY 4294967295] x\r\n",
    "* OK [UIDNEXT 0] x\r\n",
    "+ \r\n",
    "{3}\r\n",
    "{4294967296}\r\n",
    "NIL",
    "\r\n",
    "[APPENDUID 1 4294967295] ",
    "[COPYUID 1 1:4294967295 1] ",
    "[UNAVAILABLE] ",
};

std::vector<Mutation> read_mutations(FuzzInput& input) {
    std::vector<Mutation> out;
    while (!input.rest().empty() && out.size() < kMutationsMax) {
        Mutation mutation;
        for (unsigned shift = 0; shift <= 14; shift += 7) {
            const std::uint8_t octet = input.octet();
            mutation.gap |= std::uint64_t{octet & 127U} << shift;
            if (octet < 128) break;
        }
        const std::uint8_t operation = input.octet();
        mutation.gap_in_lines = (operation & Mutation::kGapInLines) != 0;
        mutation.kind = static_cast<Mutation::Kind>((operation & 127U) % Mutation::kKinds);
        if (!mutation.ends_connection()) mutation.argument = input.take(input.octet());
        out.push_back(mutation);
    }
    return out;
}

/// Changes one server's octets, over all its connections in the order in which they are read.
class Mutator {
  public:
    explicit Mutator(std::vector<Mutation> mutations) : mutations_(std::move(mutations)) {
        take_gap();
    }

    /// What becomes of `in`, and how the connection goes on.
    struct Passed {
        std::string bytes;
        std::optional<Mutation::Kind> ending;
    };
    Passed pass(std::string_view in) {
        Passed out;
        for (const char c : in) {
            while (!done() && gap_ == 0) {
                if (mutations_[next_].ends_connection()) {
                    out.ending = mutations_[next_].kind;
                    step();
                    return out;
                }
                begin(mutations_[next_], out.bytes);
                step();
            }
            const bool counts = !done() && (!mutations_[next_].gap_in_lines || c == '\n');
            if (counts) --gap_;
            pass(c, out.bytes);
        }
        return out;
    }

  private:
    [[nodiscard]] bool done() const { return next_ == mutations_.size(); }
    void take_gap() {
        if (!done()) gap_ = mutations_[next_].gap;
    }
    void step() {
        ++next_;
        take_gap();
    }
    void put(std::string_view bytes, std::string& out) {
        out += bytes;
        history_ += bytes;
        if (history_.size() > 2 * kHistoryMax) history_.erase(0, history_.size() - kHistoryMax);
    }
    void begin(const Mutation& mutation, std::string& out) {
        switch (mutation.kind) {
            case Mutation::Kind::overwrite:
                over_ = mutation.argument;
                break;
            case Mutation::Kind::insert:
                put(mutation.argument, out);
                break;
            case Mutation::Kind::erase:
                to_erase_ = mutation.count();
                break;
            case Mutation::Kind::repeat: {
                const std::size_t count = std::min(mutation.count(), history_.size());
                put(history_.substr(history_.size() - count), out);
                break;
            }
            case Mutation::Kind::number:
                number_ = mutation.argument;
                break;
            case Mutation::Kind::token:
                put(kTokens[mutation.count() % kTokens.size()], out);
                break;
            default:
                std::abort();  // ends_connection()
        }
    }
    void pass(char c, std::string& out) {
        const bool digit = c >= '0' && c <= '9';
        if (in_number_ && digit) return;
        in_number_ = false;
        if (to_erase_ > 0) {
            --to_erase_;
        } else if (!over_.empty()) {
            put(over_.substr(0, 1), out);
            over_.remove_prefix(1);
        } else if (number_ && digit) {
            put(*std::exchange(number_, std::nullopt), out);
            in_number_ = true;
        } else {
            put({&c, 1}, out);
        }
    }

    std::vector<Mutation> mutations_;
    std::size_t next_ = 0;
    std::uint64_t gap_ = 0;
    std::size_t to_erase_ = 0;
    std::string_view over_;
    std::optional<std::string_view> number_;
    bool in_number_ = false;  ///< the rest of the old one is dropped
    std::string history_;
};

class MutatedStream final : public net::Stream {
  public:
    MutatedStream(std::unique_ptr<net::Stream> inner, Mutator& mutator)
        : inner_(std::move(inner)), mutator_(&mutator) {}

    Task<Result<std::string_view>> read() override {
        while (true) {
            if (ending_ == Mutation::Kind::end) co_return std::string_view();
            if (ending_ == Mutation::Kind::reset) inner_->abort();
            auto bytes = co_await inner_->read();
            if (!bytes || bytes->empty()) co_return bytes;
            if (ending_) continue;
            auto passed = mutator_->pass(*bytes);
            ending_ = passed.ending;
            held_ = std::move(passed.bytes);
            if (traced()) std::printf("reaches us:\n%s\n", printable(held_, 8'192).c_str());
            if (!held_.empty()) co_return std::string_view(held_);
        }
    }
    Task<Result<void>> write(std::string_view bytes) override { return inner_->write(bytes); }
    void abort() override { inner_->abort(); }
    Task<void> close() override { return inner_->close(); }
    [[nodiscard]] std::uint64_t wire_bytes_in() const override { return inner_->wire_bytes_in(); }
    [[nodiscard]] std::uint64_t wire_bytes_out() const override { return inner_->wire_bytes_out(); }
    [[nodiscard]] bool is_loopback() const override { return inner_->is_loopback(); }
    [[nodiscard]] bool is_secure() const override { return inner_->is_secure(); }

  private:
    std::unique_ptr<net::Stream> inner_;
    Mutator* mutator_;
    std::optional<Mutation::Kind> ending_;
    std::string held_;
};

/// Garbles what one host sends.
class MutatingConnector final : public net::Connector {
  public:
    MutatingConnector(net::Connector& inner, std::string host, Mutator& mutator)
        : inner_(&inner), host_(std::move(host)), mutator_(&mutator) {}

    Task<Result<std::unique_ptr<net::Stream>>> connect(std::string host,
                                                       std::uint16_t port) override {
        auto stream = co_await inner_->connect(host, port);
        if (stream && host == host_) {
            *stream = std::make_unique<MutatedStream>(std::move(*stream), *mutator_);
        }
        co_return stream;
    }
    Task<Result<std::unique_ptr<net::Stream>>> start_tls(std::unique_ptr<net::Stream> inner,
                                                         net::TlsOptions options) override {
        return inner_->start_tls(std::move(inner), std::move(options));
    }
    std::unique_ptr<net::Stream> start_deflate(std::unique_ptr<net::Stream> inner,
                                               std::string pending) override {
        return inner_->start_deflate(std::move(inner), std::move(pending));
    }

  private:
    net::Connector* inner_;
    std::string host_;
    Mutator* mutator_;
};

// --- the world ---------------------------------------------------------------------------------

class Listener final : public sim::SilentObserver {
  public:
    void retrying(std::size_t /*account*/, Side /*side*/, std::chrono::milliseconds /*delay*/,
                  const Error& why) override {
        if (traced()) std::printf("retrying: %s\n", why.text.c_str());
    }
    [[nodiscard]] bool logs(report::LogLevel /*level*/) const override { return true; }
    void log(report::LogLevel /*level*/, std::string_view text) override {
        if (traced()) std::printf("log: %.*s\n", static_cast<int>(text.size()), text.data());
    }
};

EndpointSpec endpoint(std::string host) {
    EndpointSpec spec;
    spec.host = std::move(host);
    spec.port = 143;
    spec.tls = TlsMode::off;
    spec.user = kUser;
    spec.secret.fetch = [] { return Result<Secret>(Secret(std::string(kPassword))); };
    spec.secret.origin = "the fuzzer";
    return spec;
}

imapd::Behaviour behaviour(std::uint8_t choice) {
    static const auto names = imapd::preset_names();
    imapd::Behaviour out;
    FUZZ_CHECK(imapd::preset(names[choice % names.size()], out));
    return out;
}

std::string mail(std::string_view name) {
    const std::string word(name);
    return "From: sender@example.com\r\nTo: user@example.com\r\nSubject: " + word +
           "\r\nMessage-ID: <" + word +
           "@example.com>\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\nText of " + word +
           ".\r\n";
}

class World {
    sim::SimScheduler scheduler_;  // first: the servers look at its clock

  public:
    World(std::uint8_t source_kind, std::uint8_t destination_kind, std::uint8_t options)
        : source(behaviour(source_kind), &scheduler_.clock()),
          destination(behaviour(destination_kind), &scheduler_.clock()),
          servers_(scheduler_),
          disk_(std::make_shared<dedup::MemoryDisk>()) {
        source.add_account(kUser, kPassword);
        destination.add_account(kUser, kPassword);
        weather_.latency = 5ms;
        if ((options & kPieces) != 0) weather_.short_read = weather_.split_write = 0.3;
        options_.lanes = (options & kTwoLanes) != 0 ? 2 : 1;
        options_.trust = (options & kTrust) != 0;
        options_.remove.mirror = (options & kMirror) != 0;
        options_.retry_refused = (options & kRetryRefused) != 0;
        if ((options & kLittleMemory) != 0) options_.lane_buffered_bytes_max = 512;
        options_.retry_for = 1min;
        fill();
    }

    imapd::Store source, destination;

    /// What users do between two passes.
    void change_source() {
        const auto first = source.messages(kUser, inbox_);
        source.expunge(kUser, inbox_, first[0].uid);
        source.set_flags(kUser, inbox_, first[1].uid, {"\\Answered"});
        source.add_message(kUser, work_, *first[2].body, first[2].flags, first[2].date);  // moved
        source.expunge(kUser, inbox_, first[2].uid);
        deliver(work_, mail("late"), {});
    }
    /// `garbled` of the servers goes through the mutator; "" for none.
    report::AccountSummary run(const std::string& garbled, Mutator& mutator) {
        report::AccountSummary summary;
        const std::uint64_t before = scheduler_.steps();
        const bool ended =
            scheduler_.run(pass(garbled, mutator, summary), kStepsMax, scheduler_.now() + kPassMax);
        if (traced()) {
            std::printf("%s: %s; %llu steps, now %.0f s\n", ended ? "ended" : "NOT ended",
                        summary.failure ? summary.failure->error.text.c_str() : "no failure",
                        static_cast<unsigned long long>(scheduler_.steps() - before),
                        std::chrono::duration<double>(scheduler_.now()).count());
        }
        FUZZ_CHECK(ended && "the pass comes to an end");
        FUZZ_CHECK(scheduler_.run(runtime::sleep_for(scheduler_, kBetweenPasses)));
        return summary;
    }

  private:
    void deliver(const std::string& mailbox, const std::string& body, imapd::FlagSet flags) {
        const imapd::Date date{scheduler_.clock().unix_seconds() - 86'400, 60};
        source.add_message(kUser, mailbox, body, std::move(flags), date);
    }
    void fill() {
        const auto kind = source.behaviour();
        inbox_ = kind->inbox_name;
        work_ = kind->prefix + "Work";
        const std::string drafts = kind->prefix + "Entw&APw-rfe";
        source.create(kUser, work_);
        source.create(kUser, drafts);
        deliver(inbox_, mail("one"), {"\\Seen"});
        deliver(inbox_, mail("two"), {"\\Seen", "$Forwarded"});
        deliver(inbox_, mail("three"), {"\\Flagged"});
        deliver(inbox_, mail("four"), {"\\Draft", "\\Deleted"});
        deliver(work_, mail("five"), {"\\Answered"});
        constexpr char kOdd[] = "NUL\0, bare LF\n, 8 bit \xE4\r\n";
        deliver(work_, mail("six") + std::string(kOdd, sizeof kOdd - 1), {});
        deliver(drafts, mail("seven"), {"\\Seen"});
        deliver(drafts, mail("eight"), {});
        destination.add_message(kUser, destination.behaviour()->inbox_name, mail(kForeign));
    }
    Task<void> pass(std::string garbled, Mutator& mutator, report::AccountSummary& summary) {
        sim::SimBlockingPool pool;
        sim::SimConnector wires(scheduler_, servers_, source, destination, weather_, 1);
        if (traced()) wires.trace();
        MutatingConnector connector(wires, garbled, mutator);
        auto ledger = dedup::Ledger::open(dedup::open_memory_store(disk_), false);
        FUZZ_CHECK(ledger);
        session::Environment environment{scheduler_, connector, pool, 1};
        Listener listener;
        report::StopToken stop;
        {
            replica::Account account(environment, options_, **ledger, listener, stop, 0);
            account.source_endpoint = endpoint("source");
            account.destination_endpoint = endpoint("destination");
            account.summary.account = kUser;
            co_await replica::copy_account(account);
            summary = std::move(account.summary);
        }
        wires.kill();  // servers that wait for a client that is gone
        co_await servers_.join();
    }

    runtime::TaskScope servers_;
    std::shared_ptr<dedup::MemoryDisk> disk_;
    sim::Weather weather_;
    replica::Options options_;
    std::string inbox_, work_;
};

// --- promises ----------------------------------------------------------------------------------

/// Everything about the messages of an account, to be compared.
std::string all_of(const imapd::Store& store) {
    std::string out;
    for (const auto& box : store.mailboxes(kUser)) {
        out += box.name + " " + std::to_string(box.uidvalidity) + "\n";
        for (const auto& message : store.messages(kUser, box.name)) {
            out += std::to_string(message.uid) + " " + message.flags.text() + " " +
                   std::to_string(message.date.unix_seconds) + " " + *message.body + "\n";
        }
    }
    return out;
}

std::string identity_of(std::string_view body) {
    const std::size_t begin = body.find("Message-ID: <");
    FUZZ_CHECK(begin != body.npos);
    return std::string(body.substr(begin, body.find('>', begin) - begin + 1));
}

bool is_at(const imapd::Store& store, std::string_view identity) {
    return std::ranges::any_of(store.mailboxes(kUser), [&](const auto& box) {
        return std::ranges::any_of(store.messages(kUser, box.name), [&](const auto& message) {
            return message.body->find(identity) != std::string::npos;
        });
    });
}

/// Nobody has lied: each message of the source is there, or listed.
void check_complete(const World& world, const std::vector<report::AccountSummary>& passes) {
    FUZZ_CHECK(passes.back().result == report::RunResult::complete ||
               passes.back().result == report::RunResult::partial);
    std::set<std::uint32_t> listed;
    bool whole_mailbox = false;
    for (const auto& refusal : passes.back().refusals) {
        listed.insert(refusal.uid);
        whole_mailbox = whole_mailbox || refusal.uid == 0;
    }
    for (const auto& box : world.source.mailboxes(kUser)) {
        for (const auto& message : world.source.messages(kUser, box.name)) {
            if (!message.body->contains("@example.com>")) continue;  // UW's own
            const bool there = is_at(world.destination, identity_of(*message.body));
            FUZZ_CHECK(there || whole_mailbox || listed.contains(message.uid));
        }
    }
}

void run(FuzzInput input) {
    const std::uint8_t source_kind = input.octet();
    const std::uint8_t destination_kind = input.octet();
    const std::uint8_t options = input.octet();
    const auto mutations = read_mutations(input);
    const bool honest = std::ranges::all_of(mutations, &Mutation::ends_connection);
    const bool at_destination = (options & kMutateDestination) != 0;

    World world(source_kind, destination_kind, options);
    Mutator mutator(mutations);
    std::vector<report::AccountSummary> passes;
    if ((options & kLate) != 0) {
        passes.push_back(world.run("", mutator));
        world.change_source();
    }
    const std::string source = all_of(world.source);
    passes.push_back(world.run(at_destination ? "destination" : "source", mutator));
    FUZZ_CHECK(all_of(world.source) == source && "the source is only read");
    if ((options & kLate) == 0) world.change_source();
    const std::string changed = all_of(world.source);
    passes.push_back(world.run("", mutator));
    FUZZ_CHECK(all_of(world.source) == changed && "the source is only read");

    for (const auto& summary : passes) FUZZ_CHECK(summary.messages.balanced());
    // Only a destination that lies about its UIDs could have us delete what is not ours.
    if (!at_destination || (options & kMirror) == 0) {
        FUZZ_CHECK(is_at(world.destination, kForeign));
    }
    if (honest) check_complete(world, passes);
}

}  // namespace
}  // namespace imapult

// A server must not make us take more memory than this; without a bound, the machine's would go.
extern "C" const char* __asan_default_options() {
    return "max_allocation_size_mb=1024";
}
extern "C" const char* __tsan_default_options() {
    return "max_allocation_size_mb=1024";
}
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
namespace {
const int limited = [] {
    constexpr rlim_t kBytesMax = 4ULL << 30;
    const rlimit limit{kBytesMax, kBytesMax};
    return setrlimit(RLIMIT_AS, &limit);
}();
}  // namespace
#endif

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    imapult::run(FuzzInput(data, size));
    return 0;
}
