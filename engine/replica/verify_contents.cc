// Bodies of both sides, in step: chunks of messages, two under way, each body through a digest and
// gone. Cyrus tells SHA-1 of a message without sending it (DIGEST=SHA1).

#include <algorithm>
#include <deque>
#include <utility>

#include "dedup/sha256.h"
#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/replica/patience.h"
#include "engine/replica/repair.h"
#include "engine/replica/verify.h"
#include "engine/replica/verify_kind.h"

namespace imapult::replica {
namespace {

constexpr std::size_t kChunkMessagesMax = 500;
constexpr std::uint64_t kChunkBytes = 4 * limits::kMiB;
constexpr std::size_t kChunksUnderWay = 2;
constexpr unsigned kUnavailableMax = 3;  ///< times one message may be put off when asked for alone
constexpr std::size_t kExaminedMax =
    2000;  ///< altered messages of a mailbox whose kind is looked for
constexpr std::string_view kDigestCapability = "DIGEST=SHA1";
constexpr std::string_view kHandOut = "hand out messages";

}  // namespace

const Meta* find_meta(const std::vector<Meta>& metas, std::uint32_t uid) {
    const auto at = std::lower_bound(metas.begin(), metas.end(), uid,
                                     [](const Meta& m, std::uint32_t u) { return m.uid < u; });
    return at != metas.end() && at->uid == uid ? &*at : nullptr;
}

// --- the sink -----------------------------------------------------------------------------------

struct ContentSink::Hashes {
    std::optional<dedup::ContentDigest> raw;
    std::optional<dedup::Sha256Stream> sha256;
    std::optional<dedup::Sha1Stream> sha1;
    dedup::MessageIdFinder message_id;
};

bool ContentSink::on_body_begin(const imap::BodyBegin& begin) {
    entry_ = Entry{};
    hashes_ = std::make_shared<Hashes>();
    if (!wishes_.secret.empty()) hashes_->raw.emplace(wishes_.secret);
    if (wishes_.sha256) hashes_->sha256.emplace();
    if (wishes_.sha1) hashes_->sha1.emplace();
    entry_.kept = begin.bytes <= wishes_.keep_bytes_max;
    return true;
}

void ContentSink::on_body_chunk(const imap::BodyChunk& chunk) {
    if (account_ != nullptr && account_->options.rate != nullptr) {
        not_before_ = account_->options.rate->reserve(chunk.bytes.size(),
                                                      account_->environment.scheduler.now());
    }
    entry_.size += chunk.bytes.size();
    if (hashes_->raw) hashes_->raw->update(chunk.bytes);
    if (hashes_->sha256) hashes_->sha256->update(chunk.bytes);
    if (hashes_->sha1) hashes_->sha1->update(chunk.bytes);
    if (wishes_.message_id) hashes_->message_id.update(chunk.bytes);
    if (entry_.kept) entry_.body += chunk.bytes;
}

bool ContentSink::blocked() {
    return account_ != nullptr && !account_->stopping() &&
           not_before_ > account_->environment.scheduler.now();
}

Task<void> ContentSink::wait() {
    (void)co_await account_->changed.wait(not_before_);
}

void ContentSink::on_connection_lost() {
    if (account_ != nullptr) account_->changed.notify_all();
}

bool ContentSink::on_untagged(const imap::Event& event) {
    const auto* fetch = std::get_if<imap::Fetch>(&event);
    if (fetch == nullptr) {
        return std::holds_alternative<imap::Exists>(event) ||
               std::holds_alternative<imap::Recent>(event) ||
               std::holds_alternative<imap::Expunge>(event) ||
               std::holds_alternative<imap::Vanished>(event);
    }
    if (!fetch->uid || !is_wanted(*fetch->uid)) return true;
    if (!fetch->digest_sha1.empty()) {
        entries[*fetch->uid].sha1 = to_lower(fetch->digest_sha1);
        return true;
    }
    if (fetch->body != imap::Fetch::Body::streamed || !hashes_) return true;
    if (hashes_->raw) entry_.raw = hashes_->raw->finish();
    if (hashes_->sha256) entry_.sha256 = hashes_->sha256->finish();
    if (hashes_->sha1) entry_.sha1 = hashes_->sha1->finish();
    if (wishes_.message_id) entry_.message_id = hashes_->message_id.finish();
    hashes_.reset();
    entries[*fetch->uid] = std::move(entry_);
    return true;
}

void ContentSink::release(std::uint32_t uid) {
    const auto at = expected_.find(uid);
    if (at == expected_.end() || --at->second > 0) return;
    expected_.erase(at);
    entries.erase(uid);
}

const ContentSink::Entry* ContentSink::find(std::uint32_t uid) const {
    const auto at = entries.find(uid);
    return at == entries.end() ? nullptr : &at->second;
}

// --- the comparison -----------------------------------------------------------------------------

struct BodyComparison::Chunk {
    std::vector<std::size_t> pairs;
    std::vector<session::Ticket> asked_here, asked_there;
    bool put_off = false;  ///< a server said that it cannot just now
};

struct BodyComparison::Sides {
    Sides(ContentSink::Wishes wishes, Account* account)
        : here(wishes, account), there(wishes, account) {}
    void release(const Paired& pair) {
        here.release(pair.source_uid);
        there.release(pair.destination_uid);
    }
    ContentSink here, there;
};

Task<Result<void>> BodyComparison::run(std::vector<std::size_t> chosen) {
    const bool digests = source_->capabilities().has(kDigestCapability) ||
                         destination_->capabilities().has(kDigestCapability);
    const std::size_t most = std::min(
        {kChunkMessagesMax, source_->messages_per_command(), destination_->messages_per_command()});
    Plan plan{most, kChunkBytes};
    plan.by_digest = digests && !proof_;
    auto done = co_await read(std::move(chosen), plan);
    if (done && !undigested_.empty()) {
        std::vector<std::size_t> rest = std::exchange(undigested_, {});
        plan.by_digest = false;
        done = co_await read(std::move(rest), plan);
    }
    if (!done) co_return done;
    // Read again and kept, to see what happened to them.
    std::vector<std::size_t> examined;
    for (const std::size_t index : std::exchange(altered_, {})) {
        const Paired& pair = comparison_->pairs[index];
        const Meta* here = find_meta(comparison_->here, pair.source_uid);
        const bool small = here != nullptr && here->size <= kExaminedBytesMax;
        if (small && examined.size() < kExaminedMax) {
            examined.push_back(index);
        } else {
            verdicts[pair.source_uid].text =
                small ? "the octets differ" : "the octets differ; too large to say how";
        }
    }
    Plan kept{most, kExaminedBytesMax};
    kept.keep = true;
    co_return co_await read(std::move(examined), kept);
}

/// Everything that can be had: waits where a server asks for it, and asks for what was left out
/// once more, alone.
Task<Result<void>> BodyComparison::read(std::vector<std::size_t> chosen, Plan plan) {
    Patience patience(*account_, 5);
    while (true) {
        const std::size_t before = chosen.size();
        auto done = co_await stream(chosen, plan);
        chosen = std::exchange(unread_, {});
        if (!done || account_->stopping()) co_return done;
        std::optional<Asked> asked = std::exchange(later_, std::nullopt);
        std::optional<Asked> unavailable = std::exchange(unavailable_, std::nullopt);
        if (asked) {
            if (chosen.size() < before) patience.progress();
            if (!waits || patience.exhausted()) co_return std::unexpected(std::move(asked->why));
            co_await patience.wait(std::move(asked->why), asked->side);
            continue;
        }
        if (chosen.empty()) co_return Result<void>{};
        if (!plan.alone) {
            plan.alone = true;
            plan.messages_max = 1;
            plan.tries_left = waits ? kUnavailableMax : 1;
        }
        --plan.tries_left;
        if (waits && unavailable)
            co_await patience.wait(std::move(unavailable->why), unavailable->side);
    }
}

/// Chunk by chunk, the next ones asked for before the answers of one are awaited.
Task<Result<void>> BodyComparison::stream(const std::vector<std::size_t>& chosen, Plan plan) {
    Sides sides(wishes(plan), account_);
    std::deque<std::unique_ptr<Chunk>> open;
    std::optional<Error> error;
    std::size_t next = 0;
    while (true) {
        const std::size_t most = plan.keep ? 1 : kChunksUnderWay;
        while (!error && !later_ && !account_->stopping() && next < chosen.size() &&
               open.size() < most) {
            std::unique_ptr<Chunk> chunk = next_chunk(chosen, next, plan);
            auto asked = ask(*chunk, sides, plan);
            if (!asked) error = std::move(asked).error();
            open.push_back(std::move(chunk));
        }
        if (open.empty()) break;
        auto done = co_await finish(*open.front());
        if (!done && !error) error = std::move(done).error();
        if (!error) judge(*open.front(), sides, plan);
        for (const std::size_t index : open.front()->pairs)
            sides.release(comparison_->pairs[index]);
        open.pop_front();
    }
    if (error) co_return std::unexpected(std::move(*error));
    for (; next < chosen.size(); ++next) unread_.push_back(chosen[next]);
    co_return Result<void>{};
}

ContentSink::Wishes BodyComparison::wishes(const Plan& plan) const {
    ContentSink::Wishes wishes;
    wishes.secret = account_->ledger.digest_secret();
    wishes.sha1 = plan.by_digest;
    wishes.sha256 = wishes.message_id = proof_ && !plan.keep;
    if (plan.keep) wishes.keep_bytes_max = kExaminedBytesMax;
    return wishes;
}

std::unique_ptr<BodyComparison::Chunk> BodyComparison::next_chunk(
    const std::vector<std::size_t>& chosen, std::size_t& next, const Plan& plan) {
    auto chunk = std::make_unique<Chunk>();
    std::uint64_t bytes = 0;
    while (next < chosen.size() && chunk->pairs.size() < plan.messages_max) {
        const Meta* meta =
            find_meta(comparison_->here, comparison_->pairs[chosen[next]].source_uid);
        bytes += meta == nullptr ? 0 : meta->size;
        if (!chunk->pairs.empty() && bytes > plan.bytes_max) break;
        chunk->pairs.push_back(chosen[next++]);
    }
    return chunk;
}

Result<void> BodyComparison::ask(Chunk& chunk, Sides& sides, const Plan& plan) {
    std::vector<std::uint32_t> from, to;
    for (const std::size_t index : chunk.pairs) {
        const Paired& pair = comparison_->pairs[index];
        from.push_back(pair.source_uid);
        sides.here.expect(pair.source_uid);
        if (pair.destination_uid != 0) to.push_back(pair.destination_uid);
        sides.there.expect(pair.destination_uid);
    }
    std::sort(to.begin(), to.end());
    const auto start = [&plan](Session& session, const std::vector<std::uint32_t>& uids,
                               ContentSink& sink,
                               std::vector<session::Ticket>& tickets) -> Result<void> {
        imap::FetchItems items;
        items.digest_sha1 = plan.by_digest && session.capabilities().has(kDigestCapability);
        if (!items.digest_sha1) items.body = imap::FetchItems::Body::whole;
        for (const imap::UidSet& set : uid_sets(session, uids, 0)) {
            IMAPULT_TRY(auto command,
                        imap::source::uid_fetch(set, items, std::nullopt, session.encoding()));
            tickets.push_back(session.start(std::move(command), &sink));
        }
        return {};
    };
    auto asked = start(*source_, from, sides.here, chunk.asked_here);
    if (!asked) return asked;
    return start(*destination_, to, sides.there, chunk.asked_there);
}

/// Waits for all of them, whatever happens: the sinks must outlive the commands.
Task<Result<void>> BodyComparison::finish(Chunk& chunk) {
    std::optional<Error> error;
    for (session::Ticket& ticket : chunk.asked_here) {
        auto reply = co_await source_->finish(ticket);
        if (reply) note_refusal(chunk, *reply, *source_);
        if (!reply && !error) error = std::move(reply).error();
    }
    for (session::Ticket& ticket : chunk.asked_there) {
        auto reply = co_await destination_->finish(ticket);
        if (reply) note_refusal(chunk, *reply, *destination_);
        if (!reply && !error) error = std::move(reply).error();
    }
    if (error) co_return std::unexpected(std::move(*error));
    co_return Result<void>{};
}

void BodyComparison::note_refusal(Chunk& chunk, const session::Reply& reply, Session& session) {
    auto why = session::put_off(reply, session.connection().peer(), kHandOut);
    if (!why) return;
    std::optional<Asked>& asked = why->code == Code::throttled ? later_ : unavailable_;
    chunk.put_off = true;
    if (!asked) asked = Asked{std::move(*why), session.side()};
}

void BodyComparison::judge(const Chunk& chunk, const Sides& sides, const Plan& plan) {
    const bool again = !plan.alone || (chunk.put_off && plan.tries_left > 0);
    report::Progress progress;
    for (const std::size_t index : chunk.pairs) {
        const Paired& pair = comparison_->pairs[index];
        const ContentSink::Entry* here = sides.here.find(pair.source_uid);
        const ContentSink::Entry* there = sides.there.find(pair.destination_uid);
        const bool lone = pair.destination_uid == 0;
        const bool unread = here == nullptr || (there == nullptr && !lone);
        if (unread && (later_ || (again && !plan.by_digest))) {
            unread_.push_back(index);
            continue;
        }
        if (plan.keep) {
            judge_kept(pair, here, there);
            continue;
        }
        if (lone) {
            prove(pair, here, nullptr);
            continue;
        }
        const bool undigested = plan.by_digest && (here == nullptr || here->sha1.empty() ||
                                                   there == nullptr || there->sha1.empty());
        if (undigested) {
            undigested_.push_back(index);
            continue;
        }
        ++progress.verified;
        if (here == nullptr || there == nullptr) {
            verdicts[pair.source_uid] = {true, report::Alteration::other,
                                         std::string("the ") +
                                             (here == nullptr ? "source" : "destination") +
                                             " lists this message but does not hand it out"};
            if (proof_) prove(pair, here, there);
            continue;
        }
        const bool equal = plan.by_digest ? here->sha1 == there->sha1
                                          : here->raw == there->raw && here->size == there->size;
        if (!equal) {
            verdicts[pair.source_uid];
            altered_.push_back(index);
        }
        if (proof_) prove(pair, here, there);
    }
    if (plan.keep || !tells_progress) return;
    account_->observer.progress(account_->index, progress);
}

/// The steps that make the one of the other, if it was us who took them; else 0.
std::uint8_t BodyComparison::repair_between(const Paired& pair, std::string_view here,
                                            std::string_view there) {
    if (!pair.repaired) return 0;
    for (const std::uint8_t steps : repair_ladder(here, true)) {
        if (repaired(here, steps) == there) return steps;
    }
    return 0;
}

void BodyComparison::judge_kept(const Paired& pair, const ContentSink::Entry* here,
                                const ContentSink::Entry* there) {
    BodyVerdict& verdict = verdicts[pair.source_uid];
    if (here == nullptr || there == nullptr || !here->kept || !there->kept) {
        verdict.text = "the octets differ; too large to say how";
    } else if (here->body == there->body) {
        // Another answer than the first time: the server does not say the same twice.
        verdict.text = "a server sent other octets when asked again";
    } else if (const std::uint8_t steps = repair_between(pair, here->body, there->body)) {
        verdict.by = report::Alteration::repaired;
        verdict.text =
            "repaired by imapult, since the original was refused: " + words_of_repairs(steps);
    } else {
        verdict.by =
            pair.repaired ? report::Alteration::repaired : alteration_of(here->body, there->body);
        verdict.text = std::string(report::words_of(verdict.by)) + ": " +
                       describe_alteration(here->body, there->body);
    }
}

/// Null: that side did not hand it out.
void BodyComparison::prove(const Paired& pair, const ContentSink::Entry* here,
                           const ContentSink::Entry* there) {
    const auto date_of = [](const Meta& meta) {
        return meta.has_date ? meta.date : dedup::kNoDate;
    };
    const Meta* mine = find_meta(comparison_->here, pair.source_uid);
    const FlagTable& flags = comparison_->flags;
    source_read = source_read && here != nullptr;
    if (mine != nullptr && here != nullptr) {
        source_leaves.push_back(
            dedup::message_leaf(dedup::content_hash(here->message_id, here->sha256), date_of(*mine),
                                dedup::proof_flags(words_of(flags.at(mine->flags)))));
    }
    const Meta* other = find_meta(comparison_->there, pair.destination_uid);
    if (there == nullptr || other == nullptr) return;
    const auto [known, fresh] =
        proof_flags_.try_emplace(other->flags, static_cast<std::uint32_t>(proof.flags.size()));
    if (fresh) proof.flags.push_back(dedup::proof_flags(words_of(flags.at(other->flags))));
    ProvedMessage message;
    message.uid = pair.destination_uid;
    message.flags = known->second;
    message.date = date_of(*other);
    message.content = dedup::content_hash(there->message_id, there->sha256);
    proof.messages.push_back(message);
}

}  // namespace imapult::replica
