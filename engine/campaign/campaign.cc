#include "engine/campaign/campaign.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <thread>

#include "dedup/memory_store.h"
#include "engine/base/limits.h"
#include "engine/campaign/budget.h"
#include "engine/campaign/follow.h"
#include "engine/campaign/hosts.h"
#include "engine/net/ring_connector.h"
#include "engine/replica/account.h"
#include "engine/replica/foreign.h"
#include "engine/runtime/ring.h"
#include "engine/runtime/thread_pool.h"

namespace imapult::campaign {
namespace {

using runtime::Task;

constexpr unsigned kShardsMax = 8;
constexpr unsigned kAccountsAtOnce = 8;
constexpr unsigned kLanesAlone = 2;
/// Beyond these an unchanged account costs one log-in, not two (listed_anyway_max is 0).
constexpr std::size_t kListedAnywayAccountsMax = 50;
constexpr std::size_t kBlockingThreads = 4;
constexpr std::size_t kBufferedBytesTotal = 16 * limits::kMiB;  ///< of all lanes of all accounts
constexpr std::size_t kBufferedBytesLeast = limits::kMiB;

/// Octets per second for all shards: each reservation moves the moment at which the budget is free
/// again.
class SharedRate final : public replica::RateLimiter {
  public:
    explicit SharedRate(std::uint64_t bytes_per_second) : per_second_(bytes_per_second) {}
    Nanos reserve(std::uint64_t bytes, Nanos now) override {
        const std::lock_guard lock(mutex_);
        free_at_ = std::max(free_at_, now);
        free_at_ += Nanos(static_cast<std::int64_t>(static_cast<double>(bytes) * 1e9 /
                                                    static_cast<double>(per_second_)));
        return free_at_;
    }

  private:
    std::mutex mutex_;
    std::uint64_t per_second_;
    Nanos free_at_{0};
};

/// Who copies what several accounts see: who has done so in an earlier run, else who is first.
class SharedClaims final : public replica::Claims {
  public:
    /// What the ledger says that accounts of this run have copied.
    void remember(const Options& options, const dedup::Ledger& ledger) {
        const auto rows = ledger.accounts();
        if (!rows) return;
        for (std::size_t i = 0; i < options.accounts.size(); ++i) {
            const AccountSpec& spec = options.accounts[i];
            for (const dedup::AccountRecord& row : *rows) {
                const bool same = row.source == spec.source.account() &&
                                  row.destination == spec.destination.account();
                const auto boxes =
                    same ? ledger.mailboxes(row.id) : Result<std::vector<dedup::MailboxRecord>>();
                if (!same || !boxes) continue;
                for (const dedup::MailboxRecord& box : *boxes) {
                    if (box.archived) continue;
                    Claim& claim = taken_[replica::claim_key(spec.source, box.source_name)];
                    claim.by = claim.by.value_or(i);
                }
            }
        }
    }
    std::size_t take(const std::string& mailbox, const std::string& name,
                     std::size_t account) override {
        const std::lock_guard lock(mutex_);
        Claim& claim = taken_[mailbox];
        claim.by = claim.by.value_or(account);
        if (*claim.by == account) {
            claim.kept = true;
        } else if (!claim.left_by) {
            claim.left_by = account;
            claim.name = name;
        }
        return *claim.by;
    }
    /// Left to an account that has copied it in an earlier run, and did not come for it in this one
    /// (it may not see it any more): the account that left it is not complete.
    void tell_forsaken(std::vector<AccountSummary>& accounts) const {
        for (const auto& [unused, claim] : taken_) {
            if (!claim.left_by || claim.kept) continue;
            AccountSummary& account = accounts[*claim.left_by];
            report::Refusal refusal;
            refusal.account = account.account;
            refusal.mailbox = claim.name;
            refusal.reason = "nobody copied it in this run: it was left to " +
                             accounts[*claim.by].account +
                             ", which copied it before and has not come to it now. If that account "
                             "does not see it any more, run this one from an accounts file without "
                             "it";
            account.refusals.push_back(std::move(refusal));
            ++account.mailboxes.failed;
            if (account.result == RunResult::complete) account.result = RunResult::partial;
        }
    }

  private:
    struct Claim {
        std::optional<std::size_t> by;       ///< account
        bool kept = false;                   ///< it sees the mailbox in this run, too
        std::optional<std::size_t> left_by;  ///< the first account that left it to that one
        std::string name;
    };
    std::mutex mutex_;
    std::map<std::string, Claim> taken_;
};

/// What the shards share.
struct Campaign {
    Campaign(const Options& options_in, Observer& observer_in, StopToken& stop_in)
        : options(options_in), observer(observer_in), stop(stop_in) {}

    const Options& options;
    Observer& observer;
    StopToken& stop;
    replica::Options replica_options;
    std::unique_ptr<SharedRate> rate;
    std::unique_ptr<DailyBudget> budget;
    std::unique_ptr<Hosts> hosts;
    SystemClock clock;
    SharedClaims claims;
    std::unique_ptr<dedup::Ledger> ledger;
    runtime::ThreadPool blocking{kBlockingThreads};
    std::shared_ptr<net::TlsClientContext> tls;
    std::vector<std::size_t> order;  ///< indices into options.accounts, largest first
    std::atomic<std::size_t> next{0};
    unsigned at_once_per_shard = 1;
    std::size_t shards = 1;
    std::vector<AccountSummary> summaries;  ///< one slot an account, written by its shard
};

bool is_folder(const std::string& path) {
    struct stat info {};
    return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

/// Only what copies writes; everything else reads the ledger if there is one.
Result<std::unique_ptr<dedup::Ledger>> open_ledger(const Options& options) {
    const bool copies = options.command != Command::check && options.command != Command::verify;
    const bool writes = copies && !options.dry_run;
    if (!writes) {
        // What a dry run or a check notes down is forgotten: it works on a copy in memory.
        if (is_folder(options.state_dir)) {
            auto store =
                dedup::open_rocks_store(options.state_dir, {.read_only = true, .sync = false});
            if (store) return dedup::Ledger::open(std::move(*store), true);
            if (store.error().code != Code::io && store.error().code != Code::not_found) {
                return std::unexpected(std::move(store).error());
            }
        }
        return dedup::Ledger::open(dedup::open_memory_store(std::make_shared<dedup::MemoryDisk>()),
                                   false);
    }
    IMAPULT_TRY(auto store,
                dedup::open_rocks_store(options.state_dir, {.read_only = false, .sync = true}));
    return dedup::Ledger::open(std::move(store), false);
}

void name_account(AccountSummary& summary, const AccountSpec& spec) {
    summary.account = spec.name;
    if (!spec.against) summary.source = spec.source.account();
    summary.destination = spec.destination.account();
}

/// Largest first, as far as an earlier pass knows, so that no giant starts last.
std::vector<std::size_t> order_of(const Options& options, const dedup::Ledger& ledger) {
    std::vector<std::size_t> order(options.accounts.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (order.size() < 2) return order;
    auto rows = ledger.accounts();
    if (!rows) return order;
    std::map<std::pair<std::string, std::string>, std::uint64_t> sizes;
    for (const dedup::AccountRecord& row : *rows) {
        if (row.last_pass) sizes[{row.source, row.destination}] = row.last_pass->source;
    }
    std::vector<std::uint64_t> size_of(order.size(), 0);
    for (const std::size_t i : order) {
        const AccountSpec& spec = options.accounts[i];
        const auto found = sizes.find({spec.source.account(), spec.destination.account()});
        if (found != sizes.end()) size_of[i] = found->second;
    }
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return size_of[a] != size_of[b] ? size_of[a] > size_of[b] : a < b;
    });
    return order;
}

/// One thread and one ring.
class Shard {
  public:
    Shard(Campaign& campaign, std::size_t number, std::unique_ptr<runtime::Ring> ring,
          std::uint64_t seed)
        : campaign_(campaign),
          number_(number),
          ring_(std::move(ring)),
          connector_(*ring_, campaign.blocking, campaign.tls),
          environment_{*ring_, connector_, campaign.blocking, seed} {}

    void run() {
        const std::size_t listener = campaign_.stop.add_listener(
            [this](StopToken::Level level) { ring_->post_remote([this, level] { poke(level); }); });
        ring_->run(work());
        campaign_.stop.remove_listener(listener);
        // A poke may have been posted behind the last turn: it finds no account.
        ring_->run(drain());
    }

  private:
    static Task<void> drain() { co_return; }

    void poke(StopToken::Level level) {
        for (replica::Account* account : active_) account->on_stop(level);
        for (Follower* follower : followers_) follower->on_stop(level);
    }

    Task<void> work() {
        if (campaign_.options.command == Command::follow) co_return co_await follow_all();
        runtime::TaskScope scope(*ring_);
        for (unsigned i = 0; i < campaign_.at_once_per_shard; ++i) scope.spawn(accounts());
        co_await scope.join();
    }

    Task<void> accounts() {
        while (!campaign_.stop.stopping()) {
            const std::size_t turn = campaign_.next.fetch_add(1);
            if (turn >= campaign_.order.size()) break;
            co_await one(campaign_.order[turn]);
        }
    }

    /// All at the same time, since each of them mostly waits; the passes take turns.
    Task<void> follow_all() {
        runtime::Credit passes(*ring_, campaign_.at_once_per_shard);
        runtime::Credit openings(*ring_, limits::kWatchesOpeningMax);
        const FollowShared shared{environment_,      campaign_.replica_options,
                                  *campaign_.ledger, campaign_.observer,
                                  campaign_.stop,    passes,
                                  openings};
        runtime::TaskScope scope(*ring_);
        for (std::size_t i = number_; i < campaign_.order.size(); i += campaign_.shards) {
            scope.spawn(follow(shared, campaign_.order[i]));
        }
        co_await scope.join();
    }

    Task<void> follow(FollowShared shared, std::size_t index) {
        Follower follower(shared, index, campaign_.options.accounts[index]);
        followers_.push_back(&follower);
        co_await follower.run();
        std::erase(followers_, &follower);
        campaign_.summaries[index] = std::move(follower.summary);
    }

    Task<void> one(std::size_t index) {
        const AccountSpec& spec = campaign_.options.accounts[index];
        replica::Account account(environment_, campaign_.replica_options, *campaign_.ledger,
                                 campaign_.observer, campaign_.stop, index);
        account.source_endpoint = spec.source;
        account.destination_endpoint = spec.destination;
        name_account(account.summary, spec);
        active_.push_back(&account);
        switch (campaign_.options.command) {
            case Command::copy:
            case Command::migrate:
            case Command::follow:
                co_await replica::copy_account(account);
                break;
            case Command::check:
                co_await replica::check_account(account);
                break;
            case Command::verify: {
                replica::VerifyOptions how;
                how.depth = campaign_.options.depth;
                how.sample = campaign_.options.sample;
                how.proof = campaign_.options.proof;
                how.against = spec.against;
                co_await replica::verify_account(account, std::move(how));
                break;
            }
        }
        std::erase(active_, &account);
        campaign_.summaries[index] = std::move(account.summary);
    }

    Campaign& campaign_;
    std::size_t number_;
    std::unique_ptr<runtime::Ring> ring_;
    net::RingConnector connector_;
    session::Environment environment_;
    std::vector<replica::Account*> active_;
    std::vector<Follower*> followers_;
};

replica::Options to_replica(const Options& options, unsigned accounts_at_once) {
    replica::Options out;
    out.names.include = options.include;
    out.names.exclude = options.exclude;
    out.names.map = options.map;
    out.names.special_use = options.special_use;
    out.names.spaces = {options.spaces.personal, options.spaces.other, options.spaces.shared};
    out.rights = options.rights;
    out.labels = options.labels;
    auto people = std::make_shared<replica::People>();
    for (const AccountSpec& account : options.accounts)
        people->add(account.source.user, account.destination.user);
    out.people = std::move(people);
    out.subscriptions = options.subscriptions;
    if (options.accounts.size() > kListedAnywayAccountsMax) out.listed_anyway_max = 0;
    out.dry_run = options.dry_run;
    out.retry_refused = options.retry_refused;
    out.retry_for = options.retry_for;
    out.away_for = options.away_for;
    out.trust = options.trust;
    out.repair = options.repair;
    out.refused_folder = options.state_dir + "/refused";
    out.compress_on = options.compress == Compress::on;
    out.compress_off = options.compress == Compress::off;
    out.remove = options.remove;
    out.lanes = options.connections != 0 ? options.connections
                : accounts_at_once > 1   ? 1
                                         : kLanesAlone;
    out.lane_buffered_bytes_max = std::clamp(kBufferedBytesTotal / (accounts_at_once * out.lanes),
                                             kBufferedBytesLeast, limits::kLaneBufferedBytesMax);
    return out;
}

/// Of the hosts; without it the next run learns it again.
void keep_what_was_learnt(Campaign& campaign) {
    const Options& options = campaign.options;
    const bool writes = (options.command == Command::copy || options.command == Command::migrate ||
                         options.command == Command::follow) &&
                        !options.dry_run;
    dedup::Batch batch = campaign.hosts->learnt();
    if (!writes || batch.empty()) return;
    std::promise<void> done;
    campaign.ledger->commit(std::move(batch), [&done](const Result<void>&) { done.set_value(); });
    done.get_future().wait();
}

void name_the_unreached(Campaign& campaign) {
    for (std::size_t i = 0; i < campaign.summaries.size(); ++i) {
        AccountSummary& summary = campaign.summaries[i];
        if (!summary.account.empty()) continue;
        const AccountSpec& spec = campaign.options.accounts[i];
        name_account(summary, spec);
        summary.result = campaign.stop.stopping() ? RunResult::interrupted : RunResult::failed;
    }
}

}  // namespace

Summary run(const Options& options, Observer& observer, StopToken& stop) {
    Summary summary;
    const auto failed = [&](Error error) {
        summary.failure = Failure{std::move(error), std::nullopt};
        summary.accounts.resize(options.accounts.size());
        for (std::size_t i = 0; i < options.accounts.size(); ++i)
            name_account(summary.accounts[i], options.accounts[i]);
        return summary;
    };
    const auto count = static_cast<unsigned>(options.accounts.size());
    const unsigned at_once =
        std::min(count, options.accounts_at_once != 0 ? options.accounts_at_once : kAccountsAtOnce);
    const unsigned shards =
        std::clamp(std::thread::hardware_concurrency(), 1U, std::min(kShardsMax, at_once));

    auto ledger = open_ledger(options);
    if (!ledger) return failed(std::move(ledger).error());
    Campaign campaign(options, observer, stop);
    campaign.ledger = std::move(*ledger);
    campaign.replica_options = to_replica(options, at_once);
    if (options.bytes_per_second_max > 0) {
        campaign.rate = std::make_unique<SharedRate>(options.bytes_per_second_max);
        campaign.replica_options.rate = campaign.rate.get();
    }
    if (options.limits.any() && !options.dry_run) {
        auto budget =
            DailyBudget::open(options.limits, options.accounts, *campaign.ledger, campaign.clock);
        if (!budget) return failed(std::move(budget).error());
        campaign.budget = std::move(*budget);
        campaign.replica_options.budget = campaign.budget.get();
    }
    campaign.hosts = std::make_unique<Hosts>(*campaign.ledger);
    campaign.replica_options.pace_of = [&hosts = *campaign.hosts](const std::string& host) {
        return hosts.pace_of(host);
    };
    if (campaign.replica_options.names.spaces.beyond_personal()) {
        campaign.claims.remember(options, *campaign.ledger);
        campaign.replica_options.claims = &campaign.claims;
    }
    campaign.tls = std::make_shared<net::TlsClientContext>();
    campaign.order = order_of(options, *campaign.ledger);
    campaign.at_once_per_shard = (at_once + shards - 1) / shards;
    campaign.summaries.resize(options.accounts.size());

    std::random_device entropy;
    std::vector<std::unique_ptr<Shard>> all;
    for (unsigned i = 0; i < shards; ++i) {
        auto ring = runtime::Ring::create();
        if (!ring) {
            if (all.empty()) return failed(std::move(ring).error());
            break;
        }
        if (observer.logs(LogLevel::debug)) {
            for (const std::string& lost : (*ring)->lost_features())
                observer.log(LogLevel::debug, lost);
        }
        const std::uint64_t seed = (std::uint64_t{entropy()} << 32) | entropy();
        all.push_back(std::make_unique<Shard>(campaign, i, std::move(*ring), seed));
    }
    campaign.shards = all.size();
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < all.size(); ++i)
        threads.emplace_back([&shard = *all[i]] { shard.run(); });
    all.front()->run();
    for (std::thread& thread : threads) thread.join();
    all.clear();
    keep_what_was_learnt(campaign);
    name_the_unreached(campaign);
    if (options.command != Command::follow && !stop.stopping())
        campaign.claims.tell_forsaken(campaign.summaries);
    summary.accounts = std::move(campaign.summaries);
    // To be stopped is how `follow` ends: that interrupts only what is not in step.
    summary.interrupted = stop.stopping() &&
                          (options.command != Command::follow ||
                           std::ranges::any_of(summary.accounts, [](const AccountSummary& account) {
                               return account.result == RunResult::interrupted;
                           }));
    return summary;
}

}  // namespace imapult::campaign
