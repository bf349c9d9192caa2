#include "engine/replica/renames.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/base/text.h"
#include "engine/replica/patience.h"
#include "engine/replica/sinks.h"

namespace imapult::replica {
namespace {

constexpr std::size_t kSampledMax = 20;

/// A mailbox of an earlier pass and the one at the source that it may be now.
struct Renaming {
    dedup::MailboxRecord* record;
    const Mailbox* now;
    const Place* place;
    bool by_id = false;  ///< MAILBOXID says so
};

class IdSink final : public session::Sink {
  public:
    bool on_untagged(const imap::Event& event) override {
        const auto* status = std::get_if<imap::StatusData>(&event);
        if (status == nullptr) return false;
        if (!status->mailbox_id.empty()) id = status->mailbox_id;
        return true;
    }
    std::string id;
};

class Renames {
  public:
    Renames(Account& account, Sessions& sessions, std::vector<dedup::MailboxRecord>& records)
        : account_(account), sessions_(sessions), records_(records) {}

    Task<Result<bool>> follow(const Placement& placement) {
        auto ids = co_await find(placement);
        if (!ids) co_return std::unexpected(std::move(ids).error());
        auto proved = co_await prove();
        if (!proved) co_return std::unexpected(std::move(proved).error());
        if (found_.empty()) co_return false;
        // Parents first: their children follow them.
        std::sort(found_.begin(), found_.end(), [](const Renaming& a, const Renaming& b) {
            return a.now->path.size() != b.now->path.size()
                       ? a.now->path.size() < b.now->path.size()
                       : a.now->path < b.now->path;
        });
        bool any = false;
        for (const Renaming& renaming : found_) {
            auto done = co_await rename(renaming);
            if (!done) co_return std::unexpected(std::move(done).error());
            any = any || *done;
        }
        if (any && !account_.options.dry_run) {
            auto listed =
                co_await list_mailboxes(*sessions_.destination, {}, account_.destination.asked);
            if (!listed) co_return std::unexpected(std::move(listed).error());
            account_.destination = std::move(*listed);
        }
        co_return any;
    }

  private:
    /// Pairs of a name that is gone and one that is new which may be the same mailbox.
    Task<Result<void>> find(const Placement& placement) {
        std::vector<dedup::MailboxRecord*> gone;
        bool ids = false;
        for (dedup::MailboxRecord& record : records_) {
            if (record.archived || !account_.source.has_lost(record.source_name)) continue;
            gone.push_back(&record);
            ids = ids || !record.source_mailbox_id.empty();
        }
        ids = ids && sessions_.source->capabilities().has("OBJECTID");
        for (const Place& place : placement.places) {
            if (gone.empty()) break;
            const Mailbox& box = account_.source.mailboxes[place.source];
            const bool known = std::any_of(
                records_.begin(), records_.end(), [&](const dedup::MailboxRecord& record) {
                    return !record.archived && record.source_name == box.name;
                });
            if (known || box.role == Role::inbox || box.space != Space::personal) continue;
            std::string id;
            if (ids) {
                // Asked for alone: in company some servers answer with garbage (Cyrus 3.6).
                imap::StatusItems items;
                items.messages = items.uid_next = items.uid_validity = false;
                items.mailbox_id = true;
                auto status = imap::source::status(box.name, items, sessions_.source->encoding());
                if (!status) continue;
                IdSink sink;
                auto reply = co_await sessions_.source->execute(std::move(*status), &sink);
                if (!reply) co_return std::unexpected(std::move(reply).error());
                if (auto later = put_off(*reply)) co_return std::unexpected(std::move(*later));
                id = sink.id;
            }
            for (dedup::MailboxRecord* record : gone) {
                const bool same_validity =
                    box.uid_validity && *box.uid_validity == record->source_uid_validity;
                const bool grown = box.uid_next.value_or(0) >= record->source_uid_next;
                const bool by_id = !id.empty() && id == record->source_mailbox_id;
                const bool other = !id.empty() && !record->source_mailbox_id.empty() && !by_id;
                if (same_validity && grown && !other)
                    found_.push_back({record, &box, &place, by_id});
            }
        }
        co_return Result<void>{};
    }

    Task<Result<void>> prove() {
        std::vector<Renaming> proved;
        for (const Renaming& renaming : found_) {
            if (!renaming.by_id) {
                auto same = co_await holds_the_same(renaming);
                if (!same) co_return std::unexpected(std::move(same).error());
                if (!*same) continue;
            }
            proved.push_back(renaming);
        }
        // One that could be two is none.
        found_.clear();
        for (const Renaming& renaming : proved) {
            const auto rivals =
                std::count_if(proved.begin(), proved.end(), [&](const Renaming& other) {
                    return other.record == renaming.record || other.now == renaming.now;
                });
            if (rivals == 1) found_.push_back(renaming);
        }
        co_return Result<void>{};
    }

    /// The messages that were copied stand there under their UIDs, with their sizes.
    Task<Result<bool>> holds_the_same(const Renaming& renaming) {
        const dedup::MailboxRecord& record = *renaming.record;
        if (record.complete && record.source_messages == 0) {
            co_return renaming.now->messages == 0U &&
                renaming.now->uid_next == record.source_uid_next;
        }
        dedup::Ledger& ledger = account_.ledger;
        const dedup::MailboxId id = record.id;
        const std::size_t messages =
            record.complete ? record.source_messages : renaming.now->messages.value_or(0);
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
        if (sample->empty()) co_return false;
        Session& source = *sessions_.source;
        auto examine = imap::source::examine(renaming.now->name, {}, source.encoding());
        if (!examine) co_return false;
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
        if (!reply->ok() && !later) co_return false;
        if (later) co_return std::unexpected(std::move(*later));
        std::size_t same = 0;
        for (const Meta& meta : metas.take()) {
            const auto known = sample->find(meta.uid);
            if (known == sample->end()) continue;
            if (known->second != meta.size) co_return false;
            ++same;
        }
        co_return same > 0 && same * 2 >= sample->size();  // some may have been deleted
    }

    [[nodiscard]] std::optional<Error> put_off(const session::Reply& reply) const {
        return session::put_off(reply, sessions_.source->connection().peer(),
                                "tell which mailbox this is");
    }

    /// Where the copy is now, after its parents were renamed.
    [[nodiscard]] std::string present_name(const std::string& name) const {
        std::string out = name;
        for (const auto& [from, to] : moved_) {
            if (out.starts_with(from)) out = to + out.substr(from.size());
        }
        return out;
    }

    /// Here, and not from the beginning: what was renamed before is known here only. That it is
    /// put off is never its last word, which would be taken for a refusal, and the mailbox copied
    /// once more.
    Task<Result<session::Reply>> rename_patiently(const std::string& from, const std::string& to) {
        return patiently(
            account_, Side::destination, 5,
            [this, &from, &to]() -> Task<Result<session::Reply>> {
                Session& session = *sessions_.destination;
                auto command = imap::destination::rename(from, to, session.encoding());
                if (!command) co_return std::unexpected(std::move(command).error());
                co_await account_.quiet(Side::destination);
                auto reply = co_await session.finish(session.start_change(std::move(*command)));
                if (!reply) co_return reply;
                auto later = session::put_off(*reply, session.connection().peer(),
                                              "rename " + printable(from));
                if (later) co_return std::unexpected(std::move(*later));
                co_return reply;
            },
            [this] { return sessions_.alive(); });
    }

    Task<Result<bool>> rename(const Renaming& renaming) {
        dedup::MailboxRecord& record = *renaming.record;
        const std::string from = present_name(record.destination_name);
        const std::string& to = renaming.place->name;
        const Mailbox* before = account_.destination.find(record.destination_name);
        const Mailbox* target = account_.destination.find(to);
        const bool renamed_with_parent = from == to;
        // A pass that was killed between the RENAME and its own note of it.
        const bool renamed_before = before == nullptr && target != nullptr &&
                                    target->uid_validity == record.destination_uid_validity;
        if (!renamed_with_parent && !renamed_before &&
            (before == nullptr || target != nullptr ||
             equal_ignoring_case(record.destination_name, "INBOX"))) {
            co_return false;  // its messages are carried over instead
        }
        const std::string words = "was \"" +
                                  printable(account_.source.display_of(record.source_name)) +
                                  "\" at the source";
        if (account_.options.dry_run) {
            record.source_name = renaming.now->name;
            ++account_.summary.mailboxes.renamed;
            tell(renaming, words + "; to be renamed at the destination");
            co_return true;
        }
        if (!renamed_with_parent && !renamed_before) {
            auto reply = co_await rename_patiently(from, to);
            if (!reply) co_return std::unexpected(std::move(reply).error());
            if (!reply->ok()) {
                account_.log(report::LogLevel::warning, "the destination did not rename " +
                                                            printable(from) + ": " +
                                                            printable(reply->text));
                co_return false;
            }
            if (account_.destination.separator != 0) {
                moved_.emplace_back(from + account_.destination.separator,
                                    to + account_.destination.separator);
            }
        }
        record.source_name = renaming.now->name;
        record.destination_name = to;
        dedup::Batch batch;
        batch.put_mailbox(record);
        batch.make_durable();
        account_.writer.commit(std::move(batch));
        ++account_.summary.mailboxes.renamed;
        tell(renaming, words + "; renamed at the destination");
        co_return true;
    }

    void tell(const Renaming& renaming, std::string text) {
        account_.notice(printable(renaming.now->display()), report::NoticeKind::mailbox_renamed,
                        std::move(text));
    }

    Account& account_;
    Sessions& sessions_;
    std::vector<dedup::MailboxRecord>& records_;
    std::vector<Renaming> found_;
    std::vector<std::pair<std::string, std::string>> moved_;  ///< heads of names at the destination
};

}  // namespace

Task<Result<bool>> follow_renames(Account& account, Sessions& sessions,
                                  std::vector<dedup::MailboxRecord>& records,
                                  const std::function<Placement()>& place) {
    const bool gone =
        std::any_of(records.begin(), records.end(), [&](const dedup::MailboxRecord& record) {
            return !record.archived && account.source.has_lost(record.source_name);
        });
    if (!gone) co_return false;
    const Placement placement = place();
    Renames renames(account, sessions, records);
    co_return co_await renames.follow(placement);
}

}  // namespace imapult::replica
