// The repair ladder on the wire: a message that was refused even alone is fetched whole, its octets
// are kept in a file, and it is sent again with one change after the other (repair.h). What stands
// in the ledger is the source's message, so that a rerun sends nothing again.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "engine/base/text.h"
#include "engine/replica/body_sink.h"
#include "engine/replica/lane.h"
#include "engine/replica/readback.h"
#include "engine/replica/reading.h"
#include "engine/replica/repair.h"
#include "engine/replica/verify.h"

namespace imapult::replica {
namespace {

constexpr std::size_t kFileNameOctetsMax = 200;
constexpr std::size_t kOriginalsMax = 1000;  ///< kept of an account

/// Only what no file system and no shell reads differently; the rest as in URLs, so that no two
/// names become one.
std::string file_name(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '@' ||
                           (c == '.' && !out.empty());
        if (plain) {
            out += c;
        } else {
            out += {'%', kDigits[octet >> 4], kDigits[octet & 15]};
        }
    }
    if (out.size() > kFileNameOctetsMax) {
        const std::string sum = std::to_string(std::hash<std::string_view>{}(text));
        out.resize(kFileNameOctetsMax - sum.size());
        out += sum;
    }
    return out;
}

/// Blocks. The path, or nothing if it could not be written.
std::string keep_original(const std::string& folder, const std::string& name,
                          std::string_view octets) {
    std::error_code failed;
    std::filesystem::create_directories(folder, failed);
    if (failed) return {};
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failed);
    std::string path = folder + "/" + name;
    const int file =
        open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return {};
    bool good = true;
    while (good && !octets.empty()) {
        const ssize_t written = write(file, octets.data(), octets.size());
        good = written > 0;
        if (good) octets.remove_prefix(static_cast<std::size_t>(written));
    }
    good = close(file) == 0 && good;
    return good ? path : std::string();
}

}  // namespace

/// The source has the mailbox open. What is repaired leaves Job::hopeless.
Task<void> Lane::repair(std::shared_ptr<Job> job) {
    if (!account_->options.repair && account_->options.refused_folder.empty()) co_return;
    // An account without room refuses everything, and nothing helps: that is for quarantine to say.
    const auto refused_one = std::ranges::find_if(
        job->hopeless, [](const auto& entry) { return entry.second.code == Code::refused; });
    if (refused_one != job->hopeless.end()) {
        const auto meta =
            std::lower_bound(job->todo.begin(), job->todo.end(), refused_one->first, ByUid{});
        const bool known = meta != job->todo.end() && meta->uid == refused_one->first;
        if (co_await destination_is_full(known ? meta->size : 0)) co_return;
    }
    std::vector<std::pair<std::uint32_t, Error>> left;
    for (auto& [uid, error] : std::exchange(job->hopeless, {})) {
        const bool refused = error.code == Code::refused || error.code == Code::bad_command;
        bool done = false;
        if (refused && !stopped()) done = co_await repair_one(job, uid, error);
        if (!done) left.emplace_back(uid, std::move(error));
    }
    job->hopeless.insert(job->hopeless.begin(), left.begin(), left.end());
}

Task<bool> Lane::repair_one(std::shared_ptr<Job> job, std::uint32_t uid, const Error& why) {
    ContentSink::Wishes wishes;
    wishes.keep_bytes_max = kRepairBytesMax;
    ContentSink sink(wishes);
    imap::FetchItems items;
    items.body = imap::FetchItems::Body::whole;
    while (true) {
        auto command = imap::source::uid_fetch(imap::UidSet(uid, uid), items, std::nullopt,
                                               source_->encoding());
        if (!command) co_return false;
        co_await account_->quiet(Side::source);
        auto reply = co_await source_->execute(std::move(*command), &sink);
        if (!reply) {
            fail(std::move(reply).error(), Side::source);
            co_return false;
        }
        auto later = session::put_off(*reply, source_->connection().peer(), "hand out a message");
        if (!later || !may_wait(*job, *later, waiting_for_source_)) break;
        co_await waiting_for_source_.wait(std::move(*later), Side::source);
    }
    const ContentSink::Entry* entry = sink.find(uid);
    if (entry == nullptr || !entry->kept) co_return false;
    const std::string& original = entry->body;
    const std::string kept_as = co_await keep(*job, uid, original);
    if (!account_->options.repair) co_return false;
    const bool binary = destination_->capabilities().has("BINARY");
    for (const std::uint8_t steps : repair_ladder(original, binary)) {
        auto there = co_await adopt_repaired(job, uid, repaired(original, steps));
        if (!there) {
            if (!error_) fail(std::move(there).error(), Side::destination);
            co_return false;
        }
        if (*there) {
            tell_repair(*job, uid, original, steps, why.text, kept_as);
            co_return true;
        }
        Repaired tried = co_await append_repaired(job, uid, original, steps);
        for (unsigned n = 0; tried == Repaired::put_off && n < kPutOffsMax && !stopped(); ++n)
            tried = co_await append_repaired(job, uid, original, steps);
        const bool taken = tried == Repaired::taken;
        if (taken) tell_repair(*job, uid, original, steps, why.text, kept_as);
        if (taken || stopped()) co_return taken;
    }
    co_return false;
}

/// The destination has the mailbox open: digests of what the ledger does not know there and what
/// may be this message by its header.
Task<Result<std::vector<DigestSink::Entry>>> Lane::read_alike(Job& job,
                                                              const std::string& message) {
    if (!job.strangers) {
        auto found = co_await find_strangers(job);
        if (!found) co_return std::unexpected(std::move(found).error());
    }
    const dedup::HeaderIdentity header =
        dedup::identify_header(std::string_view(message).substr(0, message.find("\r\n\r\n") + 4));
    std::vector<std::uint32_t> alike;
    for (const Stranger& stranger : *job.strangers) {
        if (stranger.candidate.header.loose == header.loose)
            alike.push_back(stranger.candidate.uid);
    }
    if (alike.empty()) co_return std::vector<DigestSink::Entry>();
    co_return co_await read_digests(*destination_, alike, account_->ledger.digest_secret());
}

/// Only what stood there before this pass: what has come since is ours.
Task<Result<void>> Lane::find_strangers(Job& job) {
    job.strangers.emplace();
    auto settled = co_await account_->writer.drain();
    if (!settled) co_return settled;
    dedup::Ledger& ledger = account_->ledger;
    const dedup::MailboxId id = job.record.id;
    struct Known {
        std::set<std::uint32_t> uids;
        bool unplaced = false;
    };
    auto known = co_await account_->read_ledger([&ledger, id]() -> Result<Known> {
        Known out;
        auto visited = ledger.visit_messages(id, 1, UINT32_MAX, [&](const auto& message) {
            if (message.destination_uid != 0) {
                out.uids.insert(message.destination_uid);
            } else if (message.state != dedup::MessageState::represented) {
                out.unplaced = true;
            }
            return true;
        });
        if (!visited) return std::unexpected(std::move(visited).error());
        return out;
    });
    if (!known) co_return std::unexpected(std::move(known).error());
    if (known->unplaced) co_return Result<void>{};  // one of these may be another's copy
    FlagTable unused;
    FlagSink there(1, job.destination_uid_next > 1 ? job.destination_uid_next - 1 : 0, unused);
    if (job.destination_uid_next > 1) {
        imap::FetchItems items;
        items.flags = true;
        auto fetch = imap::source::uid_fetch(imap::UidSet(1, job.destination_uid_next - 1), items,
                                             std::nullopt, destination_->encoding());
        if (!fetch) co_return std::unexpected(std::move(fetch).error());
        auto reply = co_await destination_->execute(std::move(*fetch), &there);
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (!reply->ok()) {
            co_return std::unexpected(
                session::refusal(*reply, destination_->connection().peer(),
                                 "tell what " + printable(job.display) + " holds"));
        }
    }
    std::vector<std::uint32_t> strangers;
    for (const FlagSink::Entry& entry : there.take()) {
        if (!known->uids.contains(entry.uid)) strangers.push_back(entry.uid);
    }
    if (strangers.empty()) co_return Result<void>{};
    auto headers = co_await read_headers(*destination_, std::move(strangers), job.flags);
    if (!headers) co_return std::unexpected(std::move(headers).error());
    for (const auto& entry : *headers) job.strangers->push_back({entry.candidate, entry.flags});
    co_return Result<void>{};
}

/// What an earlier run has changed in just this way, and whose ledger is gone: it is there already.
Task<Result<bool>> Lane::adopt_repaired(std::shared_ptr<Job> job, std::uint32_t uid,
                                        const std::string& message) {
    if (job->record.complete) co_return false;
    auto examine = imap::source::examine(job->place.name, {}, destination_->encoding());
    if (!examine) co_return std::unexpected(std::move(examine).error());
    if (job->strangers && job->strangers->empty()) co_return false;
    co_await select_lock_.take(1);
    co_await account_->quiet(Side::destination);
    SelectSink selected;
    auto opened = co_await destination_->execute(std::move(*examine), &selected);
    Result<std::vector<DigestSink::Entry>> read;
    if (opened && opened->ok()) read = co_await read_alike(*job, message);
    if (destination_->capabilities().has("UNSELECT"))
        (void)co_await destination_->execute(imap::source::unselect());
    select_lock_.give(1);
    if (!opened) co_return std::unexpected(std::move(opened).error());
    if (!opened->ok()) {
        co_return std::unexpected(session::refusal(*opened, destination_->connection().peer(),
                                                   "open " + printable(job->display)));
    }
    if (!read) co_return std::unexpected(std::move(read).error());
    dedup::NormalDigest digest;
    digest.update(message);
    const dedup::Sha256 wanted = digest.finish();
    const auto same = std::ranges::find(*read, wanted, &DigestSink::Entry::normal);
    const auto meta = std::lower_bound(job->todo.begin(), job->todo.end(), uid, ByUid{});
    if (same == read->end() || meta == job->todo.end() || meta->uid != uid) co_return false;
    const auto stranger = std::ranges::find_if(
        *job->strangers, [&](const Stranger& s) { return s.candidate.uid == same->uid; });
    dedup::MessageRecord record;
    record.source_uid = uid;
    record.destination_uid = same->uid;
    record.state = dedup::MessageState::repaired;
    record.size = meta->size;
    record.object = meta->object;
    const Flags now = job->flags.at(meta->flags);
    const Flags add = minus(now, job->flags.at(stranger->flags));
    if (!is_empty(add)) job->flag_changes.push_back({uid, same->uid, add, {}, now});
    record.base = minus(now, add);
    dedup::Batch batch;
    batch.put_message(job->record.id, record);
    account_->writer.commit(std::move(batch));
    job->strangers->erase(stranger);
    job->highest_destination_uid = std::max(job->highest_destination_uid, same->uid);
    ++job->adopted;
    ++settled_;
    report::Progress progress;
    progress.adopted = 1;
    account_->observer.progress(account_->index, progress);
    co_return true;
}

/// Where the original octets were written to; empty if they were not.
Task<std::string> Lane::keep(const Job& job, std::uint32_t uid, const std::string& original) {
    if (account_->options.refused_folder.empty()) co_return std::string();
    if (account_->originals_kept == kOriginalsMax) {
        account_->notice("", report::NoticeKind::other,
                         "more than " + std::to_string(kOriginalsMax) +
                             " messages were refused; the originals of the others are not kept "
                             "(they are at the source)");
    }
    if (account_->originals_kept++ >= kOriginalsMax) co_return std::string();
    const std::string folder = account_->options.refused_folder + "/" +
                               file_name(account_->summary.account) + "/" + file_name(job.display);
    const std::string name = std::to_string(job.uid_validity) + "-" + std::to_string(uid) + ".eml";
    std::string path = co_await account_->read_ledger(
        [&folder, &name, &original] { return keep_original(folder, name, original); });
    if (path.empty()) {
        account_->log(report::LogLevel::warning, "the original of UID " + std::to_string(uid) +
                                                     " could not be kept in " + folder);
    }
    co_return path;
}

/// One try: alone, the literal only after the server's consent, with an intent of its own.
Task<Lane::Repaired> Lane::append_repaired(std::shared_ptr<Job> job, std::uint32_t uid,
                                           const std::string& original, std::uint8_t steps) {
    const auto meta = std::lower_bound(job->todo.begin(), job->todo.end(), uid,
                                       [](const Meta& m, std::uint32_t u) { return m.uid < u; });
    if (meta == job->todo.end() || meta->uid != uid) co_return Repaired::refused;
    auto window = std::make_shared<Window>();
    window->uids = {uid};
    window->arrived.assign(1, true);
    window->unsettled = 1;
    ++job->unsettled;
    window->intent = account_->ledger.new_intent_sequence();
    dedup::Intent intent;
    intent.mailbox = job->record.id;
    intent.sequence = window->intent;
    intent.destination_uid_validity = job->destination_uid_validity;
    intent.floor = std::max(job->destination_uid_next, job->highest_destination_uid + 1);
    intent.items.emplace_back().source_uid = uid;
    dedup::Batch batch;
    batch.put_intent(intent);
    account_->writer.commit(std::move(batch), [this, window](bool ok) {
        window->durable = ok;
        wake();
    });

    auto group = std::make_shared<Group>();
    group->job = job;
    group->care = Care::alone;
    group->new_kind = true;
    group->repairs = steps;
    const std::string message = repaired(original, steps);
    group->sent = message.size();
    const Flags flags = allowed(job->flags.at(meta->flags), job->allowed, nullptr);
    const std::vector<std::string_view> words = words_of(flags);
    imap::AppendItem item;
    item.flags = words;
    item.bytes = message.size();
    item.literal8 = (steps & kLiteral8) != 0;
    if (meta->has_date) {
        item.internal_date =
            imap::DateTime{std::clamp(meta->date, kPlainDateFirst, kPlainDateLast), meta->zone};
    }
    Group::Command append;
    append.items = 1;
    group->buffer.append(session::kTagBytes, ' ');
    auto name = imap::encode_mailbox(job->place.name);
    if (!name || !imap::append_first(group->buffer, *name, item, false)) {
        give_back(*job, window, 1);
        co_return Repaired::refused;
    }
    append.literal = group->buffer.size();
    group->buffer += message;
    group->buffer += "\r\n";
    append.end = group->buffer.size();
    group->commands.push_back(std::move(append));
    group->items.push_back(
        {uid, static_cast<std::uint32_t>(meta - job->todo.begin()), original.size(),
         dedup::ContentDigest::of(original, account_->ledger.digest_secret()), window, 0});
    ++job->groups_open;
    to_send_.push_back(group);
    wake();
    while (job->groups_open > 0 && !error_) co_await wake_.wait();
    if (!error_ && group->put_off) co_return Repaired::put_off;  // the wait is over: send_again()
    co_return !error_ && !group->turned_down ? Repaired::taken : Repaired::refused;
}

/// A repaired message whose answer was lost has another header than its original, perhaps: what of
/// the intended is still missing is looked for in each form that it may have been given. `left`:
/// messages of the destination that nothing was paired with.
Task<Result<void>> Lane::match_repaired(Job& job, const std::vector<HeaderSink::Entry>& left,
                                        std::vector<dedup::Pair>& pairs) {
    std::set<std::uint32_t> alone;  // as repaired messages are sent
    std::uint32_t floor = UINT32_MAX;
    for (const dedup::Intent& intent : job.old_intents) {
        if (intent.items.size() != 1) continue;
        const std::uint32_t uid = intent.items.front().source_uid;
        if (!std::binary_search(job.todo.begin(), job.todo.end(), uid, ByUid{})) continue;
        alone.insert(uid);
        floor = std::min(floor, intent.floor);
    }
    for (const dedup::Pair& pair : pairs) alone.erase(pair.source_uid);
    std::vector<std::uint32_t> theirs;
    for (const auto& entry : left) {
        if (entry.candidate.uid >= floor) theirs.push_back(entry.candidate.uid);
    }
    if (alone.empty() || theirs.empty()) co_return Result<void>{};
    const std::string_view secret = account_->ledger.digest_secret();
    auto there = co_await read_digests(*destination_, theirs, secret);
    if (!there) co_return std::unexpected(std::move(there).error());
    std::multimap<dedup::Sha256, std::uint32_t> found;
    for (const auto& entry : *there) found.emplace(entry.normal, entry.uid);
    ContentSink::Wishes wishes;
    wishes.keep_bytes_max = kRepairBytesMax;
    imap::FetchItems items;
    items.body = imap::FetchItems::Body::whole;
    for (const std::uint32_t uid : alone) {
        if (found.empty()) break;
        // Half an answer would let a landed copy be forgotten, and sent again.
        if (stopped()) {
            co_return ::imapult::fail(Code::cancelled, Scope::account, Retry::later, "interrupted");
        }
        ContentSink sink(wishes);
        auto command = imap::source::uid_fetch(imap::UidSet(uid, uid), items, std::nullopt,
                                               source_->encoding());
        if (!command) co_return std::unexpected(std::move(command).error());
        auto reply = co_await source_->execute(std::move(*command), &sink);
        if (!reply) co_return std::unexpected(std::move(reply).error());
        if (auto later = throttled(*reply, source_->connection().peer(), "hand out a message"))
            co_return std::unexpected(std::move(*later));
        const ContentSink::Entry* entry = sink.find(uid);
        if (entry == nullptr || !entry->kept) continue;
        for (const std::uint8_t steps : repair_ladder(entry->body, false)) {
            dedup::NormalDigest digest;
            digest.update(repaired(entry->body, steps));
            const auto place = found.find(digest.finish());
            if (place == found.end()) continue;
            pairs.push_back({uid, place->second});
            job.repaired.insert(uid);
            found.erase(place);
            if (account_->options.dry_run) break;
            const std::string kept_as = co_await keep(job, uid, entry->body);
            tell_repair(job, uid, entry->body, steps,
                        "refused by an earlier attempt, which was interrupted", kept_as);
            break;
        }
    }
    co_return Result<void>{};
}

void Lane::tell_repair(const Job& job, std::uint32_t uid, const std::string& original,
                       std::uint8_t steps, const std::string& reason, const std::string& kept_as) {
    const dedup::HeaderSummary header =
        dedup::summarise_header(std::string_view(original).substr(0, original.find("\r\n\r\n")));
    report::Repair told;
    told.account = account_->summary.account;
    told.mailbox = printable(job.display);
    told.uid = uid;
    told.message_id = header.message_id;
    told.subject = header.subject;
    told.applied = words_of_repairs(steps);
    told.reason = reason;
    told.kept_as = kept_as;
    account_->notice(
        told.mailbox, report::NoticeKind::message_repaired,
        "UID " + std::to_string(uid) + " was taken only after a change: " + told.applied);
    account_->summary.repairs.push_back(std::move(told));
}

}  // namespace imapult::replica
