// The delta planner against a naive model: after any changes at the source one undisturbed pass
// with
// --delete mirror makes the destination what the source is, message by message and in order; it
// does so by copying exactly what is new, moving what has moved and deleting what is gone, on
// servers of every class.

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "dedup/memory_store.h"
#include "engine/replica/account.h"
#include "sim/process.h"
#include "sim/support/silent_observer.h"
#include "sim/support/sim_scheduler.h"
#include "tools/imapd/store.h"

namespace imapult::sim {
namespace {

constexpr std::string_view kUser = "alice";

/// One kind of pair of servers.
struct Kind {
    std::string name;
    std::function<void(imapd::Behaviour& source, imapd::Behaviour& destination)> change;
};

std::vector<Kind> kinds() {
    using B = imapd::Behaviour;
    return {
        {"QRESYNC", [](B&, B&) {}},
        {"QRESYNC without ids", [](B& s, B&) { s.hide("OBJECTID"); }},
        {"CONDSTORE", [](B& s, B&) { s.hide("QRESYNC"); }},
        {"neither", [](B& s, B&) { s.hide("QRESYNC").hide("CONDSTORE"); }},
        {"neither, and no ESEARCH",
         [](B& s, B&) {
             s.hide("QRESYNC")
                 .hide("CONDSTORE")
                 .hide("ESEARCH")
                 .hide("LIST-STATUS")
                 .hide("OBJECTID");
         }},
        {"keywords cannot be searched",
         [](B& s, B&) {
             s.hide("QRESYNC").hide("CONDSTORE");
             s.search_keyword_refused = true;
         }},
        {"broken VANISHED", [](B& s, B&) { s.vanished_malformed = true; }},
        {"CHANGEDSINCE without effect",
         [](B& s, B&) {
             s.hide("QRESYNC");
             s.changedsince_ignored = true;
         }},
        {"a destination with less",
         [](B&, B& d) { d.hide("MOVE").hide("CONDSTORE").hide("QRESYNC").hide("MULTIAPPEND"); }},
        {"UIDs with gaps",
         [](B& s, B& d) {
             s.uid_gap = 5;
             d.uid_gap = 3;
         }},
    };
}

/// Where a message is at the source: what a pass has seen of it.
using Seen = std::set<std::pair<std::uint32_t, std::uint32_t>>;  // (UIDVALIDITY, UID)

class World {
  public:
    World(const Kind& kind, std::uint64_t seed)
        : random_(seed), scheduler_(seed), scope_(scheduler_) {
        imapd::Behaviour source = imapd::standard(), destination = imapd::standard();
        kind.change(source, destination);
        source_ = std::make_unique<imapd::Store>(source, &scheduler_.clock());
        destination_ = std::make_unique<imapd::Store>(destination, &scheduler_.clock());
        for (imapd::Store* store : {source_.get(), destination_.get()})
            store->add_account(kUser, "password");
        // One mailbox is large enough for sets of flags.
        for (const char* name : {"Large", "Work", "Work/Old", "Work/New", "Lists"}) {
            source_->create(kUser, name);
            for (std::uint64_t n = name[1] == 'a' ? 120 : random_.below(30); n > 0; --n) add(name);
        }
    }

    void add(const std::string& box) {
        const std::string number = std::to_string(++number_);
        std::string body = "Received: from a.example.com; " + number + "\r\nMessage-ID: <" +
                           number + "@example.com>\r\nDate: " + number + "\r\nSubject: " + number +
                           "\r\n\r\n";
        // Many are of equal size.
        body.append(100 + 10 * random_.below(8), 'x');
        source_->add_message(kUser, box, body, flags(), imapd::Date{1'600'000'000 + number_, 0});
    }

    imapd::FlagSet flags() {
        imapd::FlagSet out;
        for (const char* word :
             {"\\Seen", "\\Flagged", "\\Answered", "\\Draft", "$Forwarded", "project-7"}) {
            if (random_.chance(0.3)) out.add(word);
        }
        return out;
    }

    std::string some_mailbox() {
        const auto boxes = source_->mailboxes(kUser);
        return boxes[random_.below(boxes.size())].name;
    }

    void change() {
        const std::string box = some_mailbox();
        const auto messages = source_->messages(kUser, box);
        const double what = random_.unit();
        if (what < 0.25 || messages.empty()) {
            add(box);
        } else if (what < 0.5) {
            const auto& message = messages[random_.below(messages.size())];
            source_->set_flags(kUser, box, message.uid, flags());
        } else if (what < 0.65) {
            source_->expunge(kUser, box, messages[random_.below(messages.size())].uid);
        } else if (what < 0.9) {
            move(box, some_mailbox(), messages);
        } else if (what < 0.95 && box != "INBOX") {
            source_->rename(kUser, box, "Renamed " + std::to_string(++number_));
        } else {
            source_->create(kUser, "Fresh " + std::to_string(++number_));
        }
    }

    /// As another client would: the server keeps date, flags and id.
    void move(const std::string& from, const std::string& to,
              const std::vector<imapd::Message>& messages) {
        if (from == to) return;
        const std::size_t first = random_.below(messages.size());
        const std::size_t last = std::min(messages.size() - 1, first + random_.below(5));
        imapd::Connection client(*source_);
        const auto say = [&client](const std::string& line) {
            client.feed("t " + line + "\r\n");
            std::string out;
            while (client.has_output()) out += client.take_output(1 << 16);
            return out;
        };
        say("LOGIN " + std::string(kUser) + " password");
        say("SELECT \"" + from + "\"");
        const std::string done = say("UID MOVE " + std::to_string(messages[first].uid) + ":" +
                                     std::to_string(messages[last].uid) + " \"" + to + "\"");
        ASSERT_NE(done.find("t OK"), std::string::npos) << done;
    }

    report::AccountSummary pass() {
        SimBlockingPool pool;
        SimConnector connector(scheduler_, scope_, *source_, *destination_, Weather{},
                               random_.next());
        auto store =
            std::make_unique<ProcessStore>(scheduler_, scope_, disk_, random_.next(), Nanos{0});
        auto ledger = dedup::Ledger::open(std::move(store), false);
        EXPECT_TRUE(ledger);
        session::Environment environment{scheduler_, connector, pool, random_.next()};
        replica::Options options;
        options.remove.mirror = true;
        options.remove.percent_max.reset();
        options.remove.messages_max.reset();
        report::StopToken stop;
        report::AccountSummary summary;
        const bool ended =
            scheduler_.run(one(environment, options, *ledger, stop, summary), 2'000'000);
        EXPECT_TRUE(ended) << "it does not end";
        return summary;
    }

    Task<void> one(session::Environment& environment, const replica::Options& options,
                   std::unique_ptr<dedup::Ledger>& ledger, const report::StopToken& stop,
                   report::AccountSummary& summary) {
        SilentObserver silent;
        {
            replica::Account account(environment, options, *ledger, silent, stop, 0);
            account.source_endpoint = endpoint("source");
            account.destination_endpoint = endpoint("destination");
            co_await replica::copy_account(account);
            summary = std::move(account.summary);
        }
        ledger.reset();
        co_await runtime::sleep_for(scheduler_, std::chrono::milliseconds(1));
        co_await scope_.join();
    }

    static EndpointSpec endpoint(std::string host) {
        EndpointSpec spec;
        spec.host = std::move(host);
        spec.port = 143;
        spec.tls = TlsMode::off;
        spec.auth = AuthMechanism::plain;  // no time for key derivation
        spec.user = kUser;
        spec.secret.fetch = [] { return Result<Secret>(Secret("password")); };
        spec.secret.origin = "the test";
        return spec;
    }

    /// Mailbox: its messages, in order, as text.
    static std::map<std::string, std::vector<std::string>> picture(const imapd::Store& store) {
        std::map<std::string, std::vector<std::string>> out;
        for (const auto& box : store.mailboxes(kUser)) {
            auto& lines = out[box.name];
            for (const auto& message : store.messages(kUser, box.name)) {
                lines.push_back(*message.body + message.flags.text() +
                                std::to_string(message.date.unix_seconds));
            }
        }
        return out;
    }

    /// What a look at every message tells, without any cleverness.
    struct Naive {
        std::size_t fresh = 0, moved = 0, gone = 0;
        std::uint64_t fresh_bytes = 0;
    };
    Naive compare_with_last() {
        Seen now;
        std::map<std::string, std::size_t> arrived, left;  // by body
        std::map<std::pair<std::uint32_t, std::uint32_t>, std::string> bodies;
        for (const auto& box : source_->mailboxes(kUser)) {
            for (const auto& message : source_->messages(kUser, box.name)) {
                const std::pair place(box.uidvalidity, message.uid);
                now.insert(place);
                bodies[place] = *message.body;
                if (!last_.contains(place)) ++arrived[*message.body];
            }
        }
        for (const auto& place : last_) {
            if (!now.contains(place)) ++left[last_bodies_[place]];
        }
        Naive out;
        for (const auto& [body, count] : arrived) {
            const std::size_t moved = std::min(count, left.contains(body) ? left[body] : 0);
            out.moved += moved;
            out.fresh += count - moved;
            out.fresh_bytes += (count - moved) * body.size();
        }
        for (const auto& [body, count] : left) out.gone += count;
        out.gone -= out.moved;
        last_ = std::move(now);
        last_bodies_ = std::move(bodies);
        return out;
    }

    Random random_;
    SimScheduler scheduler_;
    runtime::TaskScope scope_;
    std::unique_ptr<imapd::Store> source_, destination_;
    std::shared_ptr<dedup::MemoryDisk> disk_ = std::make_shared<dedup::MemoryDisk>();
    std::int64_t number_ = 0;
    Seen last_;
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::string> last_bodies_;
};

class DeltaProperty : public ::testing::TestWithParam<std::size_t> {};

TEST_P(DeltaProperty, OnePassMakesTheDestinationWhatTheSourceIs) {
    const Kind kind = kinds()[GetParam()];
    constexpr std::uint64_t kSeeds = 8;
    constexpr int kPasses = 5;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        World world(kind, seed);
        for (int pass = 1; pass <= kPasses; ++pass) {
            SCOPED_TRACE(kind.name + ", seed " + std::to_string(seed) + ", pass " +
                         std::to_string(pass));
            if (pass > 1) {
                for (std::uint64_t n = world.random_.below(12); n > 0; --n) world.change();
            }
            const World::Naive naive = world.compare_with_last();
            const report::AccountSummary summary = world.pass();
            ASSERT_EQ(summary.result, report::RunResult::complete)
                << (summary.failure ? summary.failure->error.text : "");
            const report::MessageCounts& m = summary.messages;
            EXPECT_EQ(m.copied, naive.fresh);
            EXPECT_EQ(m.moved, naive.moved);
            EXPECT_EQ(m.deleted, naive.gone);
            EXPECT_EQ(m.gone_at_source, 0U);
            EXPECT_EQ(summary.bytes.copied, naive.fresh_bytes) << "a known body was sent again";
            auto there = World::picture(*world.destination_);
            for (const auto& [name, messages] : World::picture(*world.source_)) {
                EXPECT_EQ(there[name], messages) << name;
                there.erase(name);
            }
            for (const auto& [name, messages] : there)
                EXPECT_TRUE(messages.empty()) << name << " is not at the source";
            ASSERT_FALSE(HasFailure());
        }
        const report::AccountSummary idle = world.pass();
        EXPECT_EQ(idle.messages.copied + idle.messages.moved + idle.messages.deleted +
                      idle.messages.flags_updated,
                  0U)
            << kind.name << ", seed " << seed;
    }
}

INSTANTIATE_TEST_SUITE_P(Servers, DeltaProperty, ::testing::Range<std::size_t>(0, 10));

}  // namespace
}  // namespace imapult::sim
