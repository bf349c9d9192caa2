// `verify`: what is at the source is at the destination, message by message.

#include "engine/replica/verify.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/base/text.h"
#include "engine/replica/foreign.h"
#include "engine/replica/reading.h"

namespace imapult::replica {
namespace {

using report::Difference;
using report::VerifyDepth;

std::string flag_words(const Flags& flags) {
    std::string text;
    for (const std::string_view word : words_of(flags)) {
        if (!text.empty()) text += ' ';
        text += printable(word, 64);
    }
    return text;
}

std::string describe_flags(const Comparison& comparison, const Flags& here, const Flags& there,
                           const Paired& pair) {
    std::string text = "flags differ";
    const Flags lacking = minus(here, there);
    const Flags more = minus(there, here);
    if (!is_empty(lacking)) text += "; only at the source: " + flag_words(lacking);
    if (!is_empty(more)) text += "; only at the destination: " + flag_words(more);
    if (pair.base == UINT32_MAX) return text;
    const Flags& base = comparison.flags.at(pair.base);
    if (here == base) text += " (as carried over; changed at the destination since)";
    if (there == base && here != base) text += " (changed at the source since the last pass)";
    return text;
}

class Verifier {
  public:
    Verifier(Account& account, Sessions& sessions, const VerifyOptions& options)
        : account_(account),
          sessions_(sessions),
          options_(options),
          repeats_(account, sessions),
          random_(account.environment.seed ^ account.id) {}

    Task<Result<void>> mailbox(Comparison start) {
        const std::uint64_t here = start.source->messages.value_or(0);
        const std::string display = start.source->display();
        account_.observer.mailbox_started(account_.index, display, here, 0, 0);
        const std::size_t told_before = account_.summary.differences.size();
        while (true) {
            Comparison comparison = start;
            Verdicts verdicts(account_, printable(display), comparison.counts);
            told_ = 0;
            judged_ = true;
            auto done = co_await compare(comparison, verdicts);
            if (done) repeats_.progress();
            if (!done) {
                // What was told of it so far is void.
                auto& differences = account_.summary.differences;
                differences.erase(differences.begin() + static_cast<std::ptrdiff_t>(told_before),
                                  differences.end());
                comparison.counts = {};
                verdicts = Verdicts(account_, printable(display), comparison.counts);
                Error why = std::move(done).error();
                if (co_await repeats_.again(why, asked_)) continue;
                done = Result<void>{};
                if (account_.stopping()) {
                    judged_ = false;
                } else {
                    done = co_await refused(comparison, verdicts, std::move(why));
                }
            }
            if (!done) co_return done;
            if (judged_) {
                verdicts.close();
                report::Progress progress;
                progress.verified = here - std::min(here, told_);
                account_.observer.progress(account_.index, progress);
            }
            break;
        }
        account_.observer.mailbox_finished(account_.index, display);
        co_return Result<void>{};
    }

    AccountProof proof;

  private:
    Task<Result<void>> compare(Comparison& comparison, Verdicts& verdicts) {
        asked_ = Side::source;
        if (comparison.destination == nullptr) {
            const std::uint64_t here = comparison.source->messages.value_or(0);
            verdicts.tell(Difference::Kind::missing, 0, 0, "the mailbox is not at the destination",
                          here);
            Result<void> done;
            if (options_.proof) done = co_await prove_source(comparison);
            if (done && here == 0) ++account_.summary.mailboxes.failed;  // no message counts for it
            co_return done;
        } else if (options_.depth == VerifyDepth::counts &&
                   !(comparison.labels && comparison.labels->box.represents)) {
            compare_counts(comparison, verdicts);
        } else {
            co_return co_await messages(comparison, verdicts);
        }
        co_return Result<void>{};
    }

    /// The destination has no such mailbox: what the source has is proved all the same, so that the
    /// roots differ.
    Task<Result<void>> prove_source(Comparison& comparison) {
        auto here = co_await list_messages(*sessions_.source, *comparison.source, comparison.flags);
        if (!here && here.error().scope == Scope::mailbox && !asks_for_patience(here.error())) {
            fail_mailbox(comparison, here.error());
            prove_nothing(comparison);
            co_return Result<void>{};
        }
        if (!here) co_return std::unexpected(std::move(here).error());
        comparison.here = std::move(here->metas);
        comparison.unseen_here = here->unseen;
        BodyComparison bodies(account_, *sessions_.source, *sessions_.destination, comparison,
                              true);
        co_return co_await finish_proof(comparison, bodies);
    }

    void prove_nothing(const Comparison& comparison) {
        MailboxProof box;
        box.mailbox = comparison.source->display();
        box.source_messages = comparison.source->messages.value_or(0);
        box.root = dedup::root_of(box);
        proof.mailboxes.push_back(std::move(box));
    }

    void fail_mailbox(const Comparison& comparison, const Error& error) {
        ++account_.summary.mailboxes.failed;
        account_.notice(printable(comparison.source->display()), report::NoticeKind::other,
                        "not compared: " + error.text);
    }

    /// A server refuses this mailbox alone. Nothing is known of its messages then, and the other
    /// mailboxes are compared still.
    Task<Result<void>> refused(Comparison& comparison, Verdicts& verdicts, Error error) {
        const Side side = asked_;
        if (error.scope != Scope::mailbox || asks_for_patience(error))
            co_return std::unexpected(std::move(error));
        fail_mailbox(comparison, error);
        const std::uint64_t here = comparison.source->messages.value_or(0);
        judged_ = here > 0;  // of an empty one there is nothing to say
        if (here > 0) {
            verdicts.tell(
                side == Side::source ? Difference::Kind::different : Difference::Kind::missing, 0,
                0, "not compared: " + error.text, here);
        }
        if (!options_.proof) co_return Result<void>{};
        if (side == Side::source) {
            prove_nothing(comparison);
            co_return Result<void>{};
        }
        comparison.destination = nullptr;
        BodyComparison bodies(account_, *sessions_.source, *sessions_.destination, comparison,
                              true);
        co_return co_await finish_proof(comparison, bodies);
    }

    void compare_counts(Comparison& comparison, Verdicts& verdicts) {
        const Mailbox& source = *comparison.source;
        const Mailbox& destination = *comparison.destination;
        const std::uint64_t here = source.messages.value_or(0);
        const std::uint64_t there = destination.messages.value_or(0);
        comparison.counts.equal = std::min(here, there);
        const std::string numbers = std::to_string(here) + " messages at the source, " +
                                    std::to_string(there) + " at the destination";
        if (here > there) verdicts.tell(Difference::Kind::missing, 0, 0, numbers, here - there);
        if (there > here) comparison.counts.extra = there - here;
        const bool sizes_told = source.size && destination.size;
        if (here != there || here == 0 || !sizes_told || *source.size == *destination.size) return;
        // At least one message; which and how many only the metadata tell.
        --comparison.counts.equal;
        verdicts.tell(Difference::Kind::different, 0, 0,
                      std::to_string(*source.size) + " octets at the source, " +
                          std::to_string(*destination.size) +
                          " at the destination (STATUS=SIZE); --depth metadata tells which");
    }

    Task<Result<void>> messages(Comparison& comparison, Verdicts& verdicts) {
        const LabelView* labels = comparison.labels ? &*comparison.labels : nullptr;
        auto here =
            co_await list_messages(*sessions_.source, *comparison.source, comparison.flags, labels);
        if (!here) co_return co_await refused(comparison, verdicts, std::move(here).error());
        comparison.here = std::move(here->metas);
        comparison.unseen_here = here->unseen;
        if (labels != nullptr && labels->box.represents) {
            // Compared in the mailbox that stands for them.
            comparison.counts.equal +=
                std::erase_if(comparison.here, [](const Meta& meta) { return meta.elsewhere; });
        }
        asked_ = Side::destination;
        auto there = co_await list_messages(*sessions_.destination, *comparison.destination,
                                            comparison.flags);
        if (!there) co_return co_await refused(comparison, verdicts, std::move(there).error());
        asked_ = Side::source;
        comparison.there = std::move(there->metas);
        comparison.unseen_there = there->unseen;
        auto paired = co_await pair_messages(account_, sessions_, comparison);
        if (!paired) co_return paired;
        // Pairs whose one side is gone prove nothing.
        std::erase_if(comparison.pairs, [&comparison](const Paired& pair) {
            return find_meta(comparison.here, pair.source_uid) == nullptr ||
                   find_meta(comparison.there, pair.destination_uid) == nullptr;
        });
        BodyComparison bodies(account_, *sessions_.source, *sessions_.destination, comparison,
                              options_.proof);
        std::vector<std::uint32_t> sampled;
        std::vector<std::size_t> chosen = choose(comparison, sampled);
        told_ = chosen.size();
        auto compared = co_await bodies.run(std::move(chosen));
        if (!compared) co_return compared;
        if (account_.stopping()) {  // what nobody read is not equal
            judged_ = false;
            co_return Result<void>{};
        }
        for (const std::uint32_t uid : sampled)
            comparison.counts.sampled_altered += bodies.verdicts.contains(uid) ? 1 : 0;
        judge(comparison, bodies.verdicts, verdicts);
        auto named = co_await name_differences(verdicts);
        if (!named) co_return named;
        if (options_.proof) co_return co_await finish_proof(comparison, bodies);
        co_return Result<void>{};
    }

    /// Whose bodies are compared: those whose size is not what was sent always, of the others as
    /// many as were asked for, chosen by chance (`sampled`: their source UIDs).
    std::vector<std::size_t> choose(Comparison& comparison, std::vector<std::uint32_t>& sampled) {
        std::vector<std::size_t> chosen;
        const bool contents = options_.depth == VerifyDepth::content;
        if (contents) comparison.counts.bodies = comparison.pairs.size();
        for (std::size_t i = 0; i < comparison.pairs.size(); ++i) {
            const Paired& pair = comparison.pairs[i];
            const Meta& here = *find_meta(comparison.here, pair.source_uid);
            const Meta& there = *find_meta(comparison.there, pair.destination_uid);
            const std::uint64_t sent = pair.size != 0 ? pair.size : here.size;
            const bool by_chance =
                contents && (options_.sample >= 1 || random_.chance(options_.sample));
            if (by_chance) sampled.push_back(pair.source_uid);
            if (by_chance || sent != there.size) chosen.push_back(i);
        }
        comparison.counts.sampled = sampled.size();
        return chosen;
    }

    void judge(Comparison& comparison, const std::map<std::uint32_t, BodyVerdict>& bodies,
               Verdicts& verdicts) {
        report::VerifyCounts& counts = comparison.counts;
        auto pair = comparison.pairs.begin();
        for (const Meta& here : comparison.here) {
            while (pair != comparison.pairs.end() && pair->source_uid < here.uid) ++pair;
            if (pair == comparison.pairs.end() || pair->source_uid != here.uid) {
                verdicts.tell(Difference::Kind::missing, here.uid, 0,
                              why_missing(comparison, here));
                continue;
            }
            const Meta& there = *find_meta(comparison.there, pair->destination_uid);
            const auto body = bodies.find(here.uid);
            if (body != bodies.end()) {
                verdicts.tell(
                    body->second.unread ? Difference::Kind::different : Difference::Kind::altered,
                    here.uid, there.uid, body->second.text, 1, body->second.by);
                continue;
            }
            std::string what = compare_metadata(comparison, here, there, *pair);
            if (what.empty()) {
                ++counts.equal;
            } else {
                verdicts.tell(Difference::Kind::different, here.uid, there.uid, std::move(what));
            }
        }
        if (comparison.unseen_here > 0) {
            verdicts.tell(Difference::Kind::missing, 0, 0,
                          "not compared: the source counts " +
                              std::to_string(comparison.unseen_here) +
                              " messages more than it lists",
                          comparison.unseen_here);
        }
        counts.extra +=
            comparison.there.size() - std::min(comparison.there.size(), comparison.pairs.size());
    }

    static std::string compare_metadata(const Comparison& comparison, const Meta& here,
                                        const Meta& there, const Paired& pair) {
        if (here.has_date && there.has_date && here.date != there.date) {
            return "INTERNALDATE differs: " + imap::format_date_time(here.date, here.zone) +
                   " at the source, " + imap::format_date_time(there.date, there.zone) +
                   " at the destination";
        }
        const Flags& mine = comparison.flags.at(here.flags);
        const Flags& other = comparison.flags.at(there.flags);
        if (is_empty(minus(mine, other)) && is_empty(minus(other, mine))) return {};
        return describe_flags(comparison, mine, other, pair);
    }

    std::string why_missing(const Comparison& comparison, const Meta& here) const {
        if (comparison.record != nullptr) {
            const auto refusal = account_.refusals.find({comparison.record->id, here.uid});
            if (refusal != account_.refusals.end())
                return "refused by the destination: " + refusal->second.reason;
        }
        if (comparison.unseen_there == 0) return "not at the destination";
        return "not compared: not among what the destination lists, which counts " +
               std::to_string(comparison.unseen_there) + " messages more";
    }

    /// A UID tells a person little: the Message-IDs of what is listed, from the source.
    Task<Result<void>> name_differences(Verdicts& verdicts) {
        if (verdicts.listed().empty()) co_return Result<void>{};
        ContentSink::Wishes wishes;
        wishes.message_id = true;
        ContentSink sink(wishes);
        imap::FetchItems items;
        items.body = imap::FetchItems::Body::header;
        std::vector<session::Ticket> tickets;
        Session& source = *sessions_.source;
        for (const imap::UidSet& set : uid_sets(source, verdicts.listed(), 0)) {
            auto command = imap::source::uid_fetch(set, items, std::nullopt, source.encoding());
            if (command) tickets.push_back(source.start(std::move(*command), &sink));
        }
        std::optional<Error> error;
        for (session::Ticket& ticket : tickets) {
            auto reply = co_await source.finish(ticket);
            if (!reply && !error) error = std::move(reply).error();
        }
        if (error) co_return std::unexpected(std::move(*error));
        for (const auto& [uid, entry] : sink.entries) verdicts.name(uid, entry.message_id);
        co_return Result<void>{};
    }

    Task<Result<void>> finish_proof(Comparison& comparison, BodyComparison& bodies) {
        // The source's root is over all it has, also over what has no copy.
        std::vector<std::size_t> alone;
        std::vector<Paired> extra;
        auto pair = comparison.pairs.begin();
        for (const Meta& here : comparison.here) {
            while (pair != comparison.pairs.end() && pair->source_uid < here.uid) ++pair;
            if (pair != comparison.pairs.end() && pair->source_uid == here.uid) continue;
            Paired lone;
            lone.source_uid = here.uid;
            alone.push_back(comparison.pairs.size() + extra.size());
            extra.push_back(lone);
        }
        comparison.pairs.insert(comparison.pairs.end(), extra.begin(), extra.end());
        bodies.tells_progress = false;
        auto done = co_await bodies.run(std::move(alone));
        if (!done || account_.stopping()) co_return done;
        MailboxProof& box = bodies.proof;
        box.mailbox = comparison.source->display();
        if (comparison.destination != nullptr) {
            box.destination = comparison.destination->name;
            box.uid_validity = comparison.destination->uid_validity.value_or(0);
        }
        box.source_messages = comparison.here.size();
        box.root = dedup::root_of(box);
        if (bodies.source_read && comparison.unseen_here == 0) {
            box.source_root = dedup::merkle_root(std::move(bodies.source_leaves));
        } else {
            account_.notice(printable(box.mailbox), report::NoticeKind::other,
                            "the source did not hand out all messages: the proof has no root of "
                            "the source");
        }
        proof.mailboxes.push_back(std::move(box));
        co_return Result<void>{};
    }

    Account& account_;
    Sessions& sessions_;
    const VerifyOptions& options_;
    Repeats repeats_;
    Side asked_ = Side::source;  ///< whose answer is waited for, where only one is asked
    Random random_;
    std::uint64_t told_ = 0;  ///< messages of the present mailbox in the progress already
    bool judged_ = true;      ///< there is a verdict on the present mailbox
};

void finish_account_proof(Account& account, AccountProof proof) {
    proof.account = account.summary.account;
    proof.destination_user = account.destination_endpoint.user;
    proof.root = dedup::root_of(proof);
    proof.source_root = dedup::source_root_of(proof);
    account.summary.proof = std::make_shared<const AccountProof>(std::move(proof));
}

/// Mailboxes that only the destination has: all their messages are extra.
void count_elsewhere(Account& account, const Placement& placement,
                     const std::vector<dedup::MailboxRecord>& records) {
    std::set<const Mailbox*> placed;
    for (const Place& place : placement.places) placed.insert(account.destination.find(place.name));
    for (const dedup::MailboxRecord& record : records) {
        // Copies of what was not selected this time.
        if (!record.archived && account.source.find(record.source_name) != nullptr)
            placed.insert(account.destination.find(record.destination_name));
    }
    for (const Mailbox& box : account.destination.mailboxes) {
        const bool view =
            account.destination.gmail &&
            (box.role == Role::all || box.role == Role::flagged || box.role == Role::important);
        if (!box.selectable || box.space != Space::personal || view || placed.contains(&box) ||
            box.messages.value_or(0) == 0 || !is_selected(box.display(), account.options.names))
            continue;
        report::VerifyCounts counts;
        counts.extra = *box.messages;
        account.summary.verify += counts;
        account.summary.verified.push_back(
            {account.summary.account, printable(box.display()), counts});
    }
}

Task<void> verify_steps(Account& account, Sessions& sessions, const VerifyOptions& options) {
    if (options.against) {
        if (co_await open_and_list(account, sessions))
            co_await verify_against(account, sessions, *options.against);
        co_return;
    }
    auto records = co_await load_account(account);
    if (!records) co_return account.give_up(std::move(records).error(), std::nullopt);
    if (!co_await open_and_list(account, sessions)) co_return;
    (void)leave_out_views(account.source, account.options.names, account.options.labels);
    auto left = co_await patiently(
        account, Side::source, 4,
        [&] { return leave_out_foreign(account, *sessions.source, *records); },
        [&] { return sessions.alive(); });
    if (!left) co_return account.give_up(std::move(left).error(), Side::source);
    const Translation names = account.translation();
    std::map<std::string, const dedup::MailboxRecord*> known;
    for (const dedup::MailboxRecord& record : *records) {
        if (!record.archived) known[record.source_name] = &record;
    }
    const Placement placement = place_mailboxes(
        account.source, account.destination, account.options.names,
        [&](const std::string& name) {
            const auto found = known.find(name);
            return found == known.end() ? std::string() : found->second->destination_name;
        },
        [&names](std::string_view name) { return names.of(name); });
    account.summary.mailboxes.total = placement.places.size();
    account.observer.account_listed(account.index, placement.places.size());
    std::optional<Labels> labels;
    if (account.source.gmail) labels.emplace(account.source, placement, account.options.labels);
    Verifier verifier(account, sessions, options);
    for (const Place& place : placement.places) {
        if (account.stopping()) break;
        Comparison comparison;
        comparison.source = &account.source.mailboxes[place.source];
        if (account.destination.holds(place.name))
            comparison.destination = account.destination.find(place.name);
        if (labels) comparison.labels = LabelView{&*labels, labels->box(comparison.source->name)};
        account.summary.messages.source += comparison.source->messages.value_or(0);
        const auto record = known.find(comparison.source->name);
        if (record != known.end() && comparison.destination != nullptr &&
            comparison.source->uid_validity == record->second->source_uid_validity &&
            comparison.destination->uid_validity == record->second->destination_uid_validity) {
            comparison.record = record->second;
        }
        auto done = co_await verifier.mailbox(std::move(comparison));
        if (!done) co_return account.give_up(std::move(done).error(), std::nullopt);
    }
    if (!account.stopping()) count_elsewhere(account, placement, *records);
    if (options.proof && !account.stopping())
        finish_account_proof(account, std::move(verifier.proof));
}

void balance(report::AccountSummary& summary) {
    const report::VerifyCounts& counts = summary.verify;
    report::MessageCounts& books = summary.messages;
    books.already_there = std::min(books.source, counts.equal + counts.altered + counts.different);
    books.not_reached = books.source - books.already_there;
    books.source = books.already_there;
}

}  // namespace

void Verdicts::tell(Difference::Kind kind, std::uint32_t source_uid, std::uint32_t destination_uid,
                    std::string text, std::uint64_t messages,
                    std::optional<report::Alteration> by) {
    switch (kind) {
        case Difference::Kind::missing:
            counts_->missing += messages;
            break;
        case Difference::Kind::altered:
            counts_->altered += messages;
            counts_->altered_by[static_cast<std::size_t>(by.value_or(report::Alteration::other))] +=
                messages;
            break;
        case Difference::Kind::different:
            counts_->different += messages;
            break;
        case Difference::Kind::extra:
            counts_->extra += messages;
            break;
    }
    std::uint64_t& told = told_.at(static_cast<std::size_t>(kind));
    if (++told > kDifferencesListedMax) return;
    std::vector<Difference>& list = account_->summary.differences;
    first_ = std::min(first_, list.size());
    Difference difference;
    difference.account = account_->summary.account;
    difference.mailbox = mailbox_;
    difference.source_uid = source_uid;
    difference.destination_uid = destination_uid;
    difference.kind = kind;
    if (kind == Difference::Kind::altered) difference.by = by;
    difference.text = std::move(text);
    list.push_back(std::move(difference));
    if (source_uid != 0) listed_.push_back(source_uid);
}

void Verdicts::name(std::uint32_t source_uid, const std::string& message_id) {
    std::vector<Difference>& list = account_->summary.differences;
    for (std::size_t i = first_; i < list.size(); ++i) {
        if (list[i].source_uid == source_uid) list[i].message_id = printable(message_id, 256);
    }
}

void Verdicts::close() {
    for (const std::uint64_t told : told_) {
        if (told <= kDifferencesListedMax) continue;
        account_->notice(mailbox_, report::NoticeKind::other,
                         "of " + std::to_string(told) + " differences of one kind the first " +
                             std::to_string(kDifferencesListedMax) + " are listed");
    }
    account_->summary.verify += *counts_;
    account_->summary.verified.push_back({account_->summary.account, mailbox_, *counts_});
}

Task<void> verify_account(Account& account, VerifyOptions options) {
    const Nanos begin = account.environment.scheduler.now();
    account.observer.account_started(account.index);
    Sessions sessions;
    co_await verify_steps(account, sessions, options);
    co_await close_sessions(account, sessions, false);
    report::AccountSummary& summary = account.summary;
    balance(summary);
    if (account.fatal) {
        summary.failure = report::Failure{*account.fatal, account.fatal_side};
        summary.result = report::RunResult::failed;
    } else if (account.stop.stopping()) {
        summary.result = report::RunResult::interrupted;
    } else {
        const bool all_equal = summary.verify.differences() == 0 && summary.mailboxes.failed == 0;
        summary.result = all_equal ? report::RunResult::complete : report::RunResult::partial;
    }
    summary.seconds =
        std::chrono::duration<double>(account.environment.scheduler.now() - begin).count();
    account.observer.account_finished(account.index, summary);
}

}  // namespace imapult::replica
