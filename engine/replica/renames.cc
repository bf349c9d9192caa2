#include "engine/replica/renames.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "engine/base/text.h"
#include "engine/replica/patience.h"
#include "engine/replica/sinks.h"

namespace imapult::replica {
namespace {

constexpr std::size_t kSampledMax = 20;
/// Mailboxes that are sampled in one pass because several have one UIDVALIDITY; beyond them it is
/// believed that names stand for what they stood for.
constexpr std::size_t kSamplesMax = 64;
/// What a copy is called while another still has its name, and a record while another has its
/// source's.
constexpr std::string_view kTemporary = "imapult-renaming-";

using Record = dedup::MailboxRecord;

/// A mailbox of an earlier pass and the one at the source that it may be now.
struct Renaming {
    Record* record;
    const Mailbox* now;  ///< null: its copy was only carried along with another, and goes back
    std::string to;      ///< at the destination
    bool by_id = false;  ///< MAILBOXID says so
    std::string was;     ///< the record's name at the source before
    std::string from;    ///< its copy's name before
};

enum class Verdict : std::uint8_t { same, other, unknown };

bool is_temporary(std::string_view name) {
    return name.find(kTemporary) != std::string_view::npos;
}

/// RENAME of INBOX moves messages, and INBOX stays.
bool may_be_renamed(const Mailbox& box) {
    return box.selectable && box.role != Role::inbox && box.space == Space::personal;
}

/// The listing alone says that the name does not stand for this mailbox any more.
bool is_displaced(Account& account, const Record& record) {
    if (account.source.has_lost(record.source_name)) return true;
    const Mailbox* box = account.source.find(record.source_name);
    return box != nullptr && may_be_renamed(*box) && box->uid_validity &&
           *box->uid_validity != record.source_uid_validity;
}

bool has_changed(const Record& record, const Mailbox& box) {
    return !record.complete || box.uid_next != record.source_uid_next ||
           box.messages != record.source_messages ||
           (record.source_highest_modseq > 0 && box.highest_modseq &&
            *box.highest_modseq != record.source_highest_modseq);
}

/// Mailboxes of one UIDVALIDITY, which some servers give to several: nothing else tells which one
/// bears a name.
struct Alike {
    std::vector<Record*> members;  ///< under their old names
    std::size_t names = 0;         ///< listed, and lost ones
    std::size_t stirred = 0;       ///< of these, changed, new or lost
    std::map<std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>, unsigned> checkpoints;

    [[nodiscard]] bool has_twin(const Record& record) const {
        const auto found = checkpoints.find(checkpoint(record));
        return found != checkpoints.end() && found->second > 1 && record.source_messages > 0;
    }
    static std::tuple<std::uint32_t, std::uint32_t, std::uint64_t> checkpoint(
        const Record& record) {
        return {record.source_uid_next, record.source_messages, record.source_highest_modseq};
    }
};

/// Of one mailbox: a server may answer the next STATUS before it says OK to this one.
class IdSink final : public session::Sink {
  public:
    explicit IdSink(std::string_view mailbox) : mailbox_(mailbox) {}
    bool on_untagged(const imap::Event& event) override {
        const auto* status = std::get_if<imap::StatusData>(&event);
        if (status == nullptr || !equal_ignoring_case(status->name, mailbox_)) return false;
        if (!status->mailbox_id.empty()) id = status->mailbox_id;
        return true;
    }
    std::string id;

  private:
    std::string_view mailbox_;
};

/// Which mailbox of the source each record stands for now.
class Search {
  public:
    Search(Account& account, Sessions& sessions, std::vector<Record>& records)
        : account_(account), sessions_(sessions), records_(records) {
        for (Record& record : records_) {
            if (record.archived) continue;
            owners_[record.source_name] = &record;
            if (is_displaced(account_, record)) displaced_.push_back(&record);
        }
        find_suspects();
    }

    [[nodiscard]] bool has_work() const { return !displaced_.empty() || !suspects_.empty(); }

    Task<Result<std::vector<Renaming>>> run(const Placement& placement) {
        auto examined = co_await examine_suspects();
        if (!examined) co_return std::unexpected(std::move(examined).error());
        std::vector<Renaming> proved;
        for (std::size_t done = 0; done < displaced_.size();) {
            auto pairs = co_await find_pairs(placement, done);
            if (!pairs) co_return std::unexpected(std::move(pairs).error());
            done = displaced_.size();
            auto sure = co_await prove(std::move(*pairs), proved);
            if (!sure) co_return std::unexpected(std::move(sure).error());
            // Who stood there, and nothing told whether it still does, stands elsewhere.
            for (const Renaming& renaming : proved) {
                Record* owner = owner_of(*renaming.now);
                if (owner != nullptr && !has_left(owner)) displaced_.push_back(owner);
            }
        }
        // One that could be two is none.
        std::vector<Renaming> found;
        for (const Renaming& renaming : proved) {
            const auto rivals = std::ranges::count_if(proved, [&](const Renaming& other) {
                return other.record == renaming.record || other.now == renaming.now;
            });
            if (rivals == 1) found.push_back(renaming);
        }
        co_return found;
    }

    /// Those whose name another mailbox has, as its id says.
    [[nodiscard]] const std::vector<Record*>& others_by_id() const { return others_by_id_; }

  private:
    [[nodiscard]] Record* owner_of(const Mailbox& box) const {
        const auto found = owners_.find(box.name);
        return found == owners_.end() ? nullptr : found->second;
    }
    [[nodiscard]] bool has_left(const Record* record) const {
        return std::ranges::find(displaced_, record) != displaced_.end();
    }

    /// Where several mailboxes have one UIDVALIDITY, those that may have taken each other's names:
    /// at least two show another state than before, or had the same.
    void find_suspects() {
        for (const Mailbox& box : account_.source.mailboxes) {
            if (!may_be_renamed(box) || !box.uid_validity) continue;
            Record* owner = owner_of(box);
            Alike& alike = alike_[*box.uid_validity];
            ++alike.names;
            if (owner == nullptr || has_left(owner)) {
                ++alike.stirred;
                continue;
            }
            alike.members.push_back(owner);
            if (has_changed(*owner, box)) ++alike.stirred;
            ++alike.checkpoints[Alike::checkpoint(*owner)];
        }
        for (const Record* record : displaced_) {
            const auto found = alike_.find(record->source_uid_validity);
            if (found == alike_.end()) continue;
            ++found->second.names;
            ++found->second.stirred;
            ++found->second.checkpoints[Alike::checkpoint(*record)];
        }
        for (const auto& [unused, alike] : alike_) {
            if (alike.names < 2) continue;
            for (Record* record : alike.members) {
                const Mailbox& box = *account_.source.find(record->source_name);
                if ((alike.stirred > 1 && has_changed(*record, box)) || alike.has_twin(*record))
                    suspects_.push_back(record);
            }
        }
    }

    Task<Result<void>> examine_suspects() {
        auto known = co_await ask_ids(suspects_);
        if (!known) co_return known;
        std::set<std::uint32_t> moving;
        for (std::size_t n = 0; n < suspects_.size(); ++n) {
            Record* record = suspects_[n];
            auto home = co_await is_at_home(*record);
            if (!home) co_return std::unexpected(std::move(home).error());
            if (*home == Verdict::unknown) unknown_.insert(record);
            if (*home != Verdict::other) continue;
            displaced_.push_back(record);
            // Then also the others, which have not changed.
            if (!moving.insert(record->source_uid_validity).second) continue;
            std::vector<Record*> rest;
            for (Record* member : alike_[record->source_uid_validity].members) {
                if (std::ranges::find(suspects_, member) == suspects_.end()) rest.push_back(member);
            }
            known = co_await ask_ids(rest);
            if (!known) co_return known;
            suspects_.insert(suspects_.end(), rest.begin(), rest.end());
        }
        co_return Result<void>{};
    }

    Task<Result<Verdict>> is_at_home(Record& record) {
        const Mailbox& box = *account_.source.find(record.source_name);
        const auto id = ids_.find(box.name);
        if (id != ids_.end() && !id->second.empty() && !record.source_mailbox_id.empty()) {
            if (id->second == record.source_mailbox_id) co_return Verdict::same;
            others_by_id_.push_back(&record);
            co_return Verdict::other;
        }
        if (box.uid_next.value_or(0) > 0 && *box.uid_next < record.source_uid_next)
            co_return Verdict::other;
        if (samples_left_ == 0) co_return Verdict::same;
        --samples_left_;
        co_return co_await compare(record, box);
    }

    /// Asks for the ids of the mailboxes that bear the records' names.
    Task<Result<void>> ask_ids(const std::vector<Record*>& records) {
        std::vector<const Mailbox*> boxes;
        for (const Record* record : records) {
            if (!record->source_mailbox_id.empty())
                boxes.push_back(account_.source.find(record->source_name));
        }
        co_return co_await ask_ids(std::move(boxes));
    }

    Task<Result<void>> ask_ids(std::vector<const Mailbox*> boxes) {
        Session& source = *sessions_.source;
        if (!source.capabilities().has("OBJECTID")) co_return Result<void>{};
        struct Asked {
            explicit Asked(const Mailbox& of) : box(&of), sink(of.name) {}
            const Mailbox* box;
            session::Ticket ticket;
            IdSink sink;
        };
        std::deque<Asked> all;
        for (const Mailbox* box : boxes) {
            if (ids_.contains(box->name)) continue;
            // Asked for alone: in company some servers answer with garbage (Cyrus 3.6).
            imap::StatusItems items;
            items.messages = items.uid_next = items.uid_validity = false;
            items.mailbox_id = true;
            auto status = imap::source::status(box->name, items, source.encoding());
            if (!status) continue;
            Asked& asked = all.emplace_back(*box);
            asked.ticket = source.start(std::move(*status), &asked.sink);
        }
        std::optional<Error> error;
        for (Asked& asked : all) {
            auto reply = co_await source.finish(asked.ticket);
            if (!reply) {
                if (!error) error = std::move(reply).error();
                continue;
            }
            if (auto later = put_off(*reply); later && !error) error = std::move(later);
            ids_[asked.box->name] = asked.sink.id;
        }
        if (error) co_return std::unexpected(std::move(*error));
        co_return Result<void>{};
    }

    /// Pairs of a record from `first` on that has left its name, and a mailbox that may be it.
    Task<Result<std::vector<Renaming>>> find_pairs(const Placement& placement, std::size_t first) {
        std::vector<Renaming> pairs;
        std::vector<const Mailbox*> asked;
        for (std::size_t n = first; n < displaced_.size(); ++n) {
            Record* record = displaced_[n];
            for (const Place& place : placement.places) {
                const Mailbox& box = account_.source.mailboxes[place.source];
                const Record* owner = owner_of(box);
                const bool free =
                    owner == nullptr ||
                    (owner != record && (has_left(owner) || unknown_.contains(owner)));
                const bool same_validity =
                    box.uid_validity && *box.uid_validity == record->source_uid_validity;
                const bool grown = box.uid_next.value_or(0) >= record->source_uid_next;
                if (!free || !may_be_renamed(box) || !same_validity || !grown) continue;
                pairs.push_back({record, &box, place.name, false, record->source_name,
                                 record->destination_name});
                if (!record->source_mailbox_id.empty()) asked.push_back(&box);
            }
        }
        auto known = co_await ask_ids(std::move(asked));
        if (!known) co_return std::unexpected(std::move(known).error());
        std::erase_if(pairs, [&](Renaming& pair) {
            const std::string& id = ids_[pair.now->name];
            const std::string& before = pair.record->source_mailbox_id;
            pair.by_id = !id.empty() && id == before;
            return !id.empty() && !before.empty() && !pair.by_id;
        });
        co_return pairs;
    }

    Task<Result<void>> prove(std::vector<Renaming> pairs, std::vector<Renaming>& proved) {
        for (Renaming& renaming : pairs) {
            const auto choices = std::ranges::count(pairs, renaming.record, &Renaming::record);
            if (!renaming.by_id) {
                if (choices > 1 && samples_left_ == 0) continue;
                if (choices > 1) --samples_left_;
                auto verdict = co_await compare(*renaming.record, *renaming.now);
                if (!verdict) co_return std::unexpected(std::move(verdict).error());
                if (*verdict != Verdict::same) continue;
            }
            proved.push_back(renaming);
        }
        co_return Result<void>{};
    }

    /// The messages that were copied stand there under their UIDs, with their sizes.
    Task<Result<Verdict>> compare(const dedup::MailboxRecord& record, const Mailbox& box) {
        if (record.complete && record.source_messages == 0) {
            const bool same = box.messages == 0U && box.uid_next == record.source_uid_next;
            co_return same ? Verdict::same : Verdict::unknown;
        }
        dedup::Ledger& ledger = account_.ledger;
        const dedup::MailboxId id = record.id;
        const std::size_t messages =
            record.complete ? record.source_messages : box.messages.value_or(0);
        const std::size_t step = messages / kSampledMax + 1;
        auto sample = co_await account_.read_ledger(
            [&ledger, id, step]() -> Result<std::map<std::uint32_t, std::uint64_t>> {
                std::map<std::uint32_t, std::uint64_t> sizes;
                std::size_t n = 0;
                auto visited = ledger.visit_messages(id, 1, UINT32_MAX, [&](const auto& message) {
                    if (!message.gone && message.size > 0 && n++ % step == 0)
                        sizes[message.source_uid] = message.size;
                    return sizes.size() < kSampledMax;
                });
                if (!visited) return std::unexpected(std::move(visited).error());
                // Of an interrupted first pass: what was to be sent.
                IMAPULT_TRY(const auto intents, ledger.intents(id));
                for (const dedup::Intent& intent : intents) {
                    for (const auto& item : intent.items) {
                        if (sizes.size() >= kSampledMax) return sizes;
                        if (item.size > 0) sizes[item.source_uid] = item.size;
                    }
                }
                return sizes;
            });
        if (!sample) co_return std::unexpected(std::move(sample).error());
        if (sample->empty()) co_return Verdict::unknown;
        Session& source = *sessions_.source;
        auto examine = imap::source::examine(box.name, {}, source.encoding());
        if (!examine) co_return Verdict::unknown;
        SelectSink selected;
        session::Ticket opened = source.start(std::move(*examine), &selected);
        FlagTable unused;
        MetaSink metas(1, UINT32_MAX, unused);
        imap::FetchItems items;
        items.size = true;
        std::vector<std::uint32_t> uids;
        for (const auto& [uid, size] : *sample) uids.push_back(uid);
        std::vector<session::Ticket> asked;
        for (const imap::UidSet& set : uid_sets(source, uids, 0)) {
            auto fetch = imap::source::uid_fetch(set, items, std::nullopt, source.encoding());
            if (fetch) asked.push_back(source.start(std::move(*fetch), &metas));
        }
        auto reply = co_await source.finish(opened);
        std::optional<Error> later;
        for (session::Ticket& ticket : asked) {
            auto listed = co_await source.finish(ticket);
            if (listed && !later) later = put_off(*listed);
        }
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (auto opening = put_off(*reply)) later = std::move(opening);
        if (!reply->ok() && !later) co_return Verdict::unknown;
        if (later) co_return std::unexpected(std::move(*later));
        std::size_t same = 0;
        for (const Meta& meta : metas.take()) {
            const auto known = sample->find(meta.uid);
            if (known == sample->end()) continue;
            if (known->second != meta.size) co_return Verdict::other;
            ++same;
        }
        // Some may have been deleted.
        co_return same > 0 && same * 2 >= sample->size() ? Verdict::same : Verdict::other;
    }

    [[nodiscard]] std::optional<Error> put_off(const session::Reply& reply) const {
        return session::put_off(reply, sessions_.source->connection().peer(),
                                "tell which mailbox this is");
    }

    Account& account_;
    Sessions& sessions_;
    std::vector<Record>& records_;
    std::map<std::string, Record*, std::less<>> owners_;  ///< by name at the source
    std::map<std::uint32_t, Alike> alike_;                ///< by UIDVALIDITY
    std::vector<Record*> displaced_, suspects_, others_by_id_;
    std::set<const Record*> unknown_;         ///< suspects of which nothing told anything
    std::map<std::string, std::string> ids_;  ///< MAILBOXID by name at the source
    std::size_t samples_left_ = kSamplesMax;
};

/// Gives the copies their new names, each once it is free. What is renamed is noted in the ledger
/// before the next is: of a pass that is killed at most one is not.
class Renames {
  public:
    Renames(Account& account, Sessions& sessions, std::vector<Record>& records)
        : account_(account), sessions_(sessions), records_(records) {}

    /// A copy that a killed pass has left under a temporary name without a note of it.
    void find_temporary() {
        for (const Mailbox& box : account_.destination.mailboxes) {
            if (!is_temporary(box.name) || is_claimed(box.name)) continue;
            std::vector<Record*> homeless;
            for (Record& record : records_) {
                if (record.destination_uid_validity == box.uid_validity && is_homeless(record))
                    homeless.push_back(&record);
            }
            std::erase_if(homeless, [&](const Record* child) {  // they went with their parent
                return std::ranges::any_of(records_, [&](const Record& parent) {
                    return is_homeless(parent) &&
                           is_below(child->destination_name, parent.destination_name);
                });
            });
            if (homeless.size() == 1) take_over(*homeless.front(), box.name);
        }
    }

    Task<Result<bool>> follow(std::vector<Renaming> found, const Placement& placement) {
        pending_ = std::move(found);
        add_homecomings(placement);
        if (pending_.empty()) co_return false;
        // Parents first: their children follow them.
        std::ranges::sort(pending_, [](const Renaming& a, const Renaming& b) {
            return a.now->path.size() != b.now->path.size()
                       ? a.now->path.size() < b.now->path.size()
                       : a.now->path < b.now->path;
        });
        find_noteless();
        if (account_.options.dry_run) {
            tell_only();
            co_return true;
        }
        while (!pending_.empty() || !returning_.empty()) {
            auto done = co_await step();
            if (!done) co_return std::unexpected(std::move(done).error());
        }
        if (any_) {
            auto listed =
                co_await list_mailboxes(*sessions_.destination, {}, account_.destination.asked);
            if (!listed) co_return std::unexpected(std::move(listed).error());
            account_.destination = std::move(*listed);
        }
        co_return any_;
    }

    /// What stands under its name is another mailbox, and it is nowhere else.
    Task<Result<void>> set_aside(const std::vector<Record*>& others) {
        for (Record* record : others) {
            const Mailbox* box = account_.source.find(record->source_name);
            if (record->archived || followed_.contains(record) || box == nullptr) continue;
            set_aside(*record);
        }
        co_return co_await note();
    }

  private:
    enum class State : std::uint8_t {
        follows,  ///< its parent, to its new name
        there,    ///< it has its name
        free,     ///< its name is
        waits,    ///< another has its name and will leave it, or it stands in its own way
        blocked,  ///< its messages are carried over instead
    };

    [[nodiscard]] Mailbox* there(std::string_view name) { return account_.destination.find(name); }
    [[nodiscard]] bool is_homeless(const Record& record) const {
        return !record.archived && account_.destination.find(record.destination_name) == nullptr;
    }
    [[nodiscard]] bool is_claimed(std::string_view name) const {
        return std::ranges::any_of(records_, [&](const Record& record) {
            return !record.archived && record.destination_name == name;
        });
    }
    [[nodiscard]] bool is_pending(const Record& record) const {
        return std::ranges::find(pending_, &record, &Renaming::record) != pending_.end();
    }
    [[nodiscard]] bool is_below(std::string_view name, std::string_view parent) const {
        const char separator = account_.destination.separator;
        return separator != 0 && name.size() > parent.size() && name.starts_with(parent) &&
               name[parent.size()] == separator;
    }

    /// Copies that stand under a temporary name although nobody else has theirs any more.
    void add_homecomings(const Placement& placement) {
        for (const Place& place : placement.places) {
            const Mailbox& box = account_.source.mailboxes[place.source];
            for (Record& record : records_) {
                if (record.archived || record.source_name != box.name ||
                    !is_temporary(record.destination_name) || is_pending(record) ||
                    is_displaced(account_, record))
                    continue;
                pending_.push_back({&record, &box, place.name, false, record.source_name,
                                    record.destination_name});
            }
        }
    }

    /// A pass that was killed between a RENAME and its own note of it.
    void find_noteless() {
        for (const Renaming& renaming : pending_) {
            const Mailbox* target = there(renaming.to);
            if (there(renaming.record->destination_name) == nullptr && target != nullptr &&
                target->uid_validity == renaming.record->destination_uid_validity &&
                !is_claimed(target->name))
                take_over(*renaming.record, target->name);
        }
    }

    /// The copy stands there, and with it those that were below it.
    void take_over(Record& record, const std::string& to) {
        const std::string from = std::exchange(record.destination_name, to);
        unnoted_.insert(&record);
        for (Record& child : records_) {
            if (child.archived || !is_below(child.destination_name, from) ||
                there(child.destination_name) != nullptr)
                continue;
            const std::string name = to + child.destination_name.substr(from.size());
            const Mailbox* box = there(name);
            if (box == nullptr || box->uid_validity != child.destination_uid_validity) continue;
            const std::string before = std::exchange(child.destination_name, name);
            unnoted_.insert(&child);
            if (!is_pending(child) && !is_temporary(name))
                returning_.push_back({&child, nullptr, before, false, {}, {}});
        }
    }

    [[nodiscard]] bool follows_another(const Renaming& renaming) const {
        const std::string& from = renaming.record->destination_name;
        return std::ranges::any_of(pending_, [&](const Renaming& parent) {
            const std::string& above = parent.record->destination_name;
            return parent.now != nullptr && is_below(from, above) &&
                   parent.to + from.substr(above.size()) == renaming.to;
        });
    }

    [[nodiscard]] State state_of(const Renaming& renaming) {
        const std::string& from = renaming.record->destination_name;
        if (follows_another(renaming)) return State::follows;
        if (from == renaming.to) return State::there;
        if (there(from) == nullptr || equal_ignoring_case(from, "INBOX")) return State::blocked;
        const Mailbox* target = there(renaming.to);
        if (target == nullptr) return is_below(renaming.to, from) ? State::waits : State::free;
        const bool will_leave = std::ranges::any_of(pending_, [&](const Renaming& other) {
            return other.record->destination_name == target->name;
        });
        return will_leave ? State::waits : State::blocked;
    }

    Task<Result<void>> step() {
        if (pending_.empty()) pending_ = std::exchange(returning_, {});
        for (const State state : {State::there, State::free, State::blocked, State::waits}) {
            const auto next = std::ranges::find_if(pending_, [&](const Renaming& renaming) {
                return state_of(renaming) == state &&
                       (state != State::waits || !is_temporary(renaming.record->destination_name));
            });
            if (next == pending_.end()) continue;
            const Renaming renaming = *next;
            if (state == State::free) co_return co_await rename(renaming, renaming.to);
            if (state == State::waits) {
                std::string aside = name_beside(renaming.record->destination_name);
                co_return co_await rename(renaming, std::move(aside));
            }
            pending_.erase(next);
            if (state == State::there) co_return co_await finish(renaming);
            co_return co_await fall_back(renaming);
        }
        const Renaming stuck = pending_.front();
        pending_.erase(pending_.begin());
        co_return co_await fall_back(stuck);
    }

    Task<Result<void>> rename(Renaming renaming, std::string to) {
        const std::string from = renaming.record->destination_name;
        auto reply = co_await rename_patiently(from, to);
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (reply->ok()) {
            moved(from, to);
            if (to != renaming.to) co_return co_await note();
        } else {
            account_.log(report::LogLevel::warning, "the destination did not rename " +
                                                        printable(from) + ": " +
                                                        printable(reply->text));
        }
        std::erase_if(pending_, [&](const Renaming& r) { return r.record == renaming.record; });
        if (reply->ok()) co_return co_await finish(std::move(renaming));
        co_return co_await fall_back(std::move(renaming));
    }

    /// What a RENAME has done at the destination: what stands below follows.
    void moved(const std::string& from, const std::string& to) {
        any_ = true;
        const auto follow = [&](std::string& name) {
            if (name != from && !is_below(name, from)) return false;
            name = to + name.substr(from.size());
            return true;
        };
        for (Mailbox& box : account_.destination.mailboxes) (void)follow(box.name);
        for (Record& record : records_) {
            const std::string before = record.destination_name;
            if (record.archived || !follow(record.destination_name)) continue;
            unnoted_.insert(&record);
            const bool returns =
                std::ranges::find(returning_, &record, &Renaming::record) != returning_.end();
            if (!is_pending(record) && !returns)
                returning_.push_back({&record, nullptr, before, false, {}, {}});
        }
    }

    Task<Result<void>> finish(Renaming renaming) {
        any_ = true;
        if (renaming.now != nullptr) {
            claim_name(renaming);
            ++account_.summary.mailboxes.renamed;
            tell(renaming, "renamed at the destination");
        }
        co_return co_await note();
    }

    /// The record has its name at the source. Another that had it is on its way, or stands for no
    /// mailbox any more.
    void claim_name(const Renaming& renaming) {
        for (Record& other : records_) {
            if (other.archived || &other == renaming.record ||
                other.source_name != renaming.now->name)
                continue;
            if (is_pending(other)) {
                other.source_name = unused_source_name();
                unnoted_.insert(&other);
            } else {
                set_aside(other);
            }
        }
        renaming.record->source_name = renaming.now->name;
        unnoted_.insert(renaming.record);
        followed_.insert(renaming.record);
    }

    /// Its messages are carried over instead.
    Task<Result<void>> fall_back(Renaming renaming) {
        Record& record = *renaming.record;
        if (renaming.now == nullptr) co_return co_await note();
        if (is_temporary(record.destination_name)) {
            auto back = co_await put_back(renaming);
            if (!back) co_return std::unexpected(std::move(back).error());
            if (!*back) {
                // It is whole, under a name that says so; the next pass tries again.
                claim_name(renaming);
                account_.notice(
                    printable(renaming.now->display()), report::NoticeKind::name_mapped,
                    "goes to \"" +
                        printable(account_.destination.display_of(record.destination_name)) +
                        "\": the destination did not rename it");
                co_return co_await note();
            }
        }
        const Mailbox* other = account_.source.find(renaming.was);
        if (other != nullptr && other->selectable) {
            account_.notice(printable(account_.source.display_of(renaming.was)),
                            report::NoticeKind::mailbox_gone,
                            "is \"" + printable(renaming.now->display()) +
                                "\" at the source now; the destination could not rename its copy, "
                                "whose messages were left where they are");
            // Where UIDVALIDITY does not tell, another's UIDs would be taken for its own.
            if (other->uid_validity == record.source_uid_validity ||
                record.source_name != renaming.was)
                set_aside(record);
        }
        co_return co_await note();
    }

    Task<Result<bool>> put_back(const Renaming& renaming) {
        const std::string from = renaming.record->destination_name;
        const std::string to = renaming.from;
        if (is_temporary(to) || there(to) != nullptr) co_return false;
        auto reply = co_await rename_patiently(from, to);
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (reply->ok()) moved(from, to);
        std::erase_if(returning_, [&](const Renaming& r) { return r.record == renaming.record; });
        co_return reply->ok();
    }

    /// Its rows are kept as evidence; another mailbox has its name.
    void set_aside(Record& record) {
        record.archived = true;
        unnoted_.insert(&record);
        account_.notice(printable(record.source_name), report::NoticeKind::uid_validity,
                        "another mailbox has this name at the source now; its messages are "
                        "recognised by their content");
    }

    Task<Result<void>> note() {
        if (account_.options.dry_run || unnoted_.empty()) co_return Result<void>{};
        dedup::Batch batch;
        for (const Record* record : std::exchange(unnoted_, {})) {
            batch.put_mailbox(*record);
            if (record->archived) account_.forget_refusals(record->id, batch);
        }
        batch.make_durable();
        account_.writer.commit(std::move(batch));
        co_return co_await account_.writer.drain();
    }

    /// A free name in the same place.
    [[nodiscard]] std::string name_beside(const std::string& name) {
        const char separator = account_.destination.separator;
        const auto cut = separator == 0 ? std::string::npos : name.rfind(separator);
        const std::string above = cut == std::string::npos ? "" : name.substr(0, cut + 1);
        for (unsigned n = 1;; ++n) {
            std::string free = above + std::string(kTemporary) + std::to_string(n);
            if (there(free) == nullptr && !is_claimed(free)) return free;
        }
    }

    [[nodiscard]] std::string unused_source_name() {
        for (unsigned n = 1;; ++n) {
            std::string free = std::string(kTemporary) + std::to_string(n);
            const bool used = std::ranges::any_of(
                records_, [&](const Record& record) { return record.source_name == free; });
            if (!used && account_.source.find(free) == nullptr) return free;
        }
    }

    /// Here, and not from the beginning: what was renamed before is known here only. That it is
    /// put off would be taken for a refusal, and its messages carried over: the last word only of a
    /// mailbox that is not to be had again and again.
    Task<Result<session::Reply>> rename_patiently(const std::string& from, const std::string& to) {
        return patiently(
            account_, Side::destination, 5,
            [this, &from, &to, put_offs = 0U]() mutable -> Task<Result<session::Reply>> {
                Session& session = *sessions_.destination;
                auto command = imap::destination::rename(from, to, session.encoding());
                if (!command) co_return std::unexpected(std::move(command).error());
                co_await account_.quiet(Side::destination);
                auto reply = co_await session.finish(session.start_change(std::move(*command)));
                if (!reply) co_return reply;
                auto later = session::put_off(*reply, session.connection().peer(),
                                              "rename " + printable(from));
                const bool waits =
                    later && (later->code == Code::throttled || ++put_offs < kPutOffsMax);
                if (waits) co_return std::unexpected(std::move(*later));
                co_return reply;
            },
            [this] { return sessions_.alive(); });
    }

    void tell_only() {
        std::erase_if(pending_,
                      [this](const Renaming& r) { return state_of(r) == State::blocked; });
        for (const Renaming& renaming : pending_)
            tell(renaming, "to be renamed at the destination");
        for (const Renaming& renaming : pending_) {
            for (Record& other : records_) {
                if (other.source_name == renaming.now->name && !is_pending(other))
                    other.archived = true;
            }
        }
        for (const Renaming& renaming : pending_) {
            renaming.record->source_name = renaming.now->name;
            followed_.insert(renaming.record);
            ++account_.summary.mailboxes.renamed;
        }
    }

    void tell(const Renaming& renaming, std::string_view what) {
        const std::string was = printable(account_.source.display_of(renaming.was));
        account_.notice(printable(renaming.now->display()), report::NoticeKind::mailbox_renamed,
                        "was \"" + was + "\" at the source; " + std::string(what));
    }

    Account& account_;
    Sessions& sessions_;
    std::vector<Record>& records_;
    std::vector<Renaming> pending_, returning_;  ///< returning_: when all others are done
    std::set<Record*> unnoted_;                  ///< changed, and not yet so in the ledger
    std::set<const Record*> followed_;
    bool any_ = false;
};

}  // namespace

bool is_renaming(std::string_view destination_name) {
    return is_temporary(destination_name);
}

Task<Result<bool>> follow_renames(Account& account, Sessions& sessions,
                                  std::vector<dedup::MailboxRecord>& records,
                                  const std::function<Placement()>& place) {
    Renames renames(account, sessions, records);
    renames.find_temporary();
    Search search(account, sessions, records);
    const bool returning = std::ranges::any_of(records, [](const Record& record) {
        return !record.archived && is_temporary(record.destination_name);
    });
    if (!search.has_work() && !returning) co_return false;
    const Placement placement = place();
    auto found = co_await search.run(placement);
    if (!found) co_return std::unexpected(std::move(found).error());
    auto any = co_await renames.follow(std::move(*found), placement);
    if (!any) co_return any;
    auto aside = co_await renames.set_aside(search.others_by_id());
    if (!aside) co_return std::unexpected(std::move(aside).error());
    co_return *any;
}

}  // namespace imapult::replica
