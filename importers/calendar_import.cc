// Calendars of one account: read, mend, compare with what is there, upload, read back (job.h).

#include <malloc.h>

#include <algorithm>
#include <future>
#include <unordered_map>
#include <unordered_set>

#include "engine/base/text.h"
#include "importers/account_job.h"
#include "importers/calendar_file.h"
#include "importers/calendar_item.h"
#include "importers/content_line.h"
#include "importers/limits.h"

namespace imapult::importers {
namespace {

const std::string kQuery = "fmt=ics&preserveAlarms=1";
constexpr std::string_view kHead =
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//imapult//importers//EN\r\nMETHOD:PUBLISH\r\n";
constexpr std::string_view kTail = "END:VCALENDAR\r\n";
/// So many single items refused in a row, none accepted: it is not the items.
constexpr std::size_t kRefusedInRowMax = 25;

/// What is known of an item after its text is gone.
struct Expected {
    std::string uid;
    std::string digest;
    ItemCore core;
    std::size_t line = 0;
    std::size_t file = 0;
    bool sent = false;
    bool known = false;  ///< the ledger has it as it is
};

/// An item on its way, and where it came from.
struct Pending {
    CleanItem item;
    const RawItem* raw = nullptr;
};

struct RemoteItem {
    std::string core;
    std::uint32_t sequence = 0;
    std::uint32_t pieces = 0;
    std::string folder;
};

/// One upload's worth of whole items.
class Chunk {
  public:
    bool fits(const CleanItem& item) const {
        std::size_t more = item.body.size();
        for (const auto& [name, text] : item.zones)
            more += zones_.contains(name) ? 0 : text->size();
        return items_.empty() || bytes_ + more <= kCalendarPostBytesAim;
    }
    void add(Pending pending) {
        bytes_ += pending.item.body.size();
        for (const auto& [name, text] : pending.item.zones) {
            if (zones_.insert(name).second) bytes_ += text->size();
        }
        items_.push_back(std::move(pending));
    }
    [[nodiscard]] bool empty() const { return items_.empty(); }
    [[nodiscard]] std::vector<Pending>& items() { return items_; }

  private:
    std::vector<Pending> items_;
    std::set<std::string> zones_;
    std::size_t bytes_ = kHead.size() + kTail.size();
};

std::string body_of(const std::vector<Pending>& items) {
    std::set<std::string_view> zones;
    std::string body(kHead);
    for (const Pending& p : items) {
        for (const auto& [name, text] : p.item.zones) {
            if (zones.insert(name).second) body += *text;
        }
    }
    for (const Pending& p : items) body += p.item.body;
    body += kTail;
    return body;
}

struct Folder {
    std::string name;
    std::string view;
    std::string colour;
    bool standard = false;
    bool ready = false;
    bool posted = false;
    Chunk chunk;
    std::vector<Chunk> full;
};

/// Uploads on their way while the next items are read.
struct InFlight {
    Folder* target = nullptr;
    std::vector<Chunk> chunks;
    std::future<std::vector<Result<>>> results;
};

class CalendarJob : AccountJob {
  public:
    CalendarJob(const Job& job, const AccountInput& input) : AccountJob(job, input) {}

    AccountReport run();

  private:
    Result<> begin();
    void source(std::size_t index);
    void item(const CalendarFile& file, const RawItem& raw, Folder& calendar);
    void refuse(const CalendarFile& file, const RawItem& raw, std::size_t line,
                const std::string& uid, const std::string& reason, bool keep);
    Folder& folder(const std::string& name, const std::string& view, const std::string& colour,
                   bool standard);
    Result<> prepare(Folder& folder);
    Result<> read_back(const std::string& folder);
    void flush(const CalendarFile& file, Folder& folder, bool all);
    void post(const CalendarFile& file, Folder& folder, std::vector<Chunk> chunks);
    void settle(const CalendarFile& file);
    void judge(const CalendarFile& file, Folder& folder, std::vector<Pending> items,
               Result<> result);
    void accepted(const CalendarFile& file, std::vector<Pending>& items);
    Result<> confirm();
    [[nodiscard]] bool at_destination(const CleanItem& item, const std::string& folder,
                                      const std::optional<Ledger::CalendarEntry>& known) const;
    [[nodiscard]] std::string uid_for(const CleanItem& item, const std::string& folder,
                                      const std::optional<Ledger::CalendarEntry>& known) const;

    std::map<std::string, Folder> folders_;
    std::unordered_map<std::string, RemoteItem> remote_;
    std::set<std::string> read_;
    std::unordered_map<std::string, std::string> used_;  // UID → folder, in this run
    std::vector<Expected> expected_;
    std::unordered_map<std::string, std::size_t> expected_index_;
    std::optional<RefusedFile> refused_;
    std::optional<InFlight> in_flight_;
    std::size_t file_index_ = 0;
    std::size_t refused_in_row_ = 0;
};

AccountReport CalendarJob::run() {
    if (const auto begun = begin(); !begun) give_up(begun.error());
    for (std::size_t i = 0; i < input_.files.size(); ++i) source(i);
    if (!report_.error && mailbox_) {
        if (const auto confirmed = confirm(); !confirmed) give_up(confirmed.error());
    }
    sync_ledger();
    return std::move(report_);
}

Result<> CalendarJob::begin() {
    IMAPULT_CHECK(open("appointment"));
    if (!mailbox_) return {};
    IMAPULT_CHECK(read_back("Calendar"));
    for (const RemoteFolder& remote : remote_folders_.value_or(std::vector<RemoteFolder>{})) {
        if (remote.view == "appointment" && remote.items.value_or(1) > 0)
            IMAPULT_CHECK(read_back(remote.name));
    }
    return {};
}

Result<> CalendarJob::read_back(const std::string& name) {
    if (!read_.insert(to_lower(name)).second) return {};
    IMAPULT_TRY(std::string text, export_of(name, "ics"));
    if (trim(std::string_view(text).substr(0, 1024)).empty()) return {};
    auto file = read_calendar_text(std::move(text));
    if (!file)
        return fail(
            Code::protocol, Scope::account, Retry::never,
            "the export of \"" + printable(name) + "\" cannot be read: " + file.error().text);
    for (RawItem& raw : file->items) {
        if (raw.uid.empty()) continue;
        const ItemCore core = core_of(*file, raw);
        remote_[unescape_text(raw.uid)] = {core.digest, core.sequence, core.pieces, to_lower(name)};
    }
    *file = CalendarFile{};
    ::malloc_trim(0);
    return {};
}

Folder& CalendarJob::folder(const std::string& name, const std::string& view,
                            const std::string& colour, bool standard) {
    auto [found, fresh] = folders_.try_emplace(to_lower(name));
    if (fresh) {
        found->second.name = name;
        found->second.view = view;
        found->second.colour = colour;
        found->second.standard = standard;
    }
    return found->second;
}

/// The folder is there and read back; in script mode its command is written.
Result<> CalendarJob::prepare(Folder& folder) {
    if (folder.ready) return {};
    folder.ready = true;
    if (job_.script != nullptr && !folder.standard)
        job_.script->create_folder(input_.account, folder.name, folder.view);
    if (!mailbox_) return {};
    if (!folder.standard) {
        // Created before anything is sent: an unknown path would import into its parent silently.
        IMAPULT_TRY(const bool created,
                    mailbox_->create_folder(folder.name, folder.view, folder.colour));
        if (created) read_.insert(to_lower(folder.name));
    }
    return read_back(folder.name);
}

void CalendarJob::source(std::size_t index) {
    const SourceFile& from = input_.files[index];
    file_index_ = index;
    auto file = read_calendar_file(from.path);
    if (!file) {
        ++report_.items.source;
        report_.refuse({{}, from.shown, 1, {}, file.error().text});
        return;
    }
    file->path = from.path;
    for (const std::string& what : file->repairs) report_.repair({{}, from.shown, 1, {}, what});
    refused_.emplace(job_.out + "/refused",
                     safe_file_name(input_.account) +
                         (from.folder.empty() ? "" : "." + safe_file_name(from.folder)) + ".ics");
    std::string name = "Calendar";
    if (!from.folder.empty()) {
        const bool own = from.folder_is_fixed || clean_folder_name(file->name).empty();
        name = folder_for(from, "calendar", own ? from.folder : file->name);
    } else {
        names_->take(name);
    }
    Folder& calendar = folder(name, "appointment", file->colour, to_lower(name) == "calendar");
    if (!report_.error) {
        // An empty calendar of the user's own is still a calendar.
        if (const auto ready = prepare(calendar); !ready) give_up(ready.error());
    }
    for (const RawItem& raw : file->items) {
        if (job_.stopped() && !report_.error)
            give_up(Error{
                Code::cancelled, Scope::account, Retry::now, Outcome::not_done, {}, "interrupted"});
        item(*file, raw, calendar);
    }
    for (auto& [key, one] : folders_) flush(*file, one, true);
    settle(*file);
    const auto closed =
        refused_->close("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//imapult//refused//EN\r\n",
                        "END:VCALENDAR\r\n", from.path);
    if (!closed) give_up(closed.error());
    *file = CalendarFile{};
    ::malloc_trim(0);
}

void CalendarJob::refuse(const CalendarFile& file, const RawItem& raw, std::size_t line,
                         const std::string& uid, const std::string& reason, bool keep) {
    report_.refuse({{}, input_.files[file_index_].shown, line, uid, reason});
    if (keep) refused_->add(refused_text(file, raw, reason, line));
}

/// Whether the destination has the item as it is.
bool CalendarJob::at_destination(const CleanItem& item, const std::string& folder_name,
                                 const std::optional<Ledger::CalendarEntry>& known) const {
    const auto there = remote_.find(item.uid);
    if (there == remote_.end()) return false;
    const RemoteItem& remote = there->second;
    if (known && known->digest == item.digest) return true;  // wherever the user has moved it
    // An older version would be ignored by the server.
    if (remote.sequence > item.core.sequence) return true;
    return remote.core == item.core.digest && (remote.folder == to_lower(folder_name) || !known);
}

/// UIDs are unique in a mailbox and a second upload moves the item: what another calendar has
/// already gets a UID of its own.
std::string CalendarJob::uid_for(const CleanItem& item, const std::string& folder_name,
                                 const std::optional<Ledger::CalendarEntry>& known) const {
    const std::string key = to_lower(folder_name);
    const auto used = used_.find(item.uid);
    if (used != used_.end()) return used->second == key ? item.uid : derived_uid(item.uid, key);
    const auto there = remote_.find(item.uid);
    if (there == remote_.end() || there->second.folder == key) return item.uid;
    if (known && to_lower(known->folder) == key) return item.uid;  // ours, moved by the user
    if (!known && there->second.core == item.core.digest) return item.uid;
    return derived_uid(item.uid, key);
}

void CalendarJob::item(const CalendarFile& file, const RawItem& raw, Folder& calendar) {
    ++report_.items.source;
    auto clean = clean_item(file, raw);
    if (!clean) return refuse(file, raw, clean.error().line, raw.uid, clean.error().reason, true);
    Folder& target = clean->kind == ItemKind::todo ? folder("Tasks", "task", {}, true) : calendar;
    if (report_.error)
        return refuse(file, raw, clean->line, clean->uid, "not sent: " + report_.error->text,
                      false);
    if (!target.ready) settle(file);
    if (const auto ready = prepare(target); !ready) {
        give_up(ready.error());
        return refuse(file, raw, clean->line, clean->uid, "not sent: " + report_.error->text,
                      false);
    }
    std::optional<Ledger::CalendarEntry> known;
    const auto look_up = [&] {
        if (job_.ledger != nullptr)
            known = job_.ledger->calendar(input_.account, clean->uid).value_or(std::nullopt);
    };
    look_up();
    const std::string uid = uid_for(*clean, target.name, known);
    if (uid != clean->uid) {
        const std::string old = clean->uid;
        clean = clean_item(file, raw, uid);
        if (!clean)
            return refuse(file, raw, clean.error().line, raw.uid, clean.error().reason, true);
        clean->repairs.push_back("line " + std::to_string(clean->line) +
                                 ": another calendar has the UID " + printable(old, 100) +
                                 ", too; a new one was derived");
        look_up();
    }
    const auto twice = expected_index_.find(clean->uid);
    if (twice != expected_index_.end()) {
        if (expected_[twice->second].digest == clean->digest) {
            ++report_.items.merged;
            return;
        }
        return refuse(file, raw, clean->line, clean->uid,
                      "another item with this UID and another content was taken already", true);
    }
    used_[clean->uid] = to_lower(target.name);
    if (raw.uid != clean->uid && !raw.uid.empty())
        used_.try_emplace(unescape_text(raw.uid), to_lower(target.name));
    expected_index_[clean->uid] = expected_.size();
    expected_.push_back({clean->uid, clean->digest, clean->core, clean->line, file_index_, false,
                         known && known->digest == clean->digest});
    if (at_destination(*clean, target.name, known)) {
        ++report_.items.already_there;
        return;
    }
    if (!target.chunk.fits(*clean)) {
        target.full.push_back(std::exchange(target.chunk, Chunk{}));
        flush(file, target, false);
    }
    target.chunk.add({std::move(*clean), &raw});
}

void CalendarJob::flush(const CalendarFile& file, Folder& target, bool all) {
    if (all && !target.chunk.empty()) target.full.push_back(std::exchange(target.chunk, Chunk{}));
    if (target.full.empty() || (!all && target.full.size() < job_.connections)) return;
    post(file, target, std::exchange(target.full, {}));
}

void CalendarJob::accepted(const CalendarFile& file, std::vector<Pending>& items) {
    any_accepted_ = true;
    refused_in_row_ = 0;
    for (const Pending& p : items) {
        ++report_.items.sent;
        expected_[expected_index_.at(p.item.uid)].sent = true;
        if (!p.item.repairs.empty() || !file.repairs.empty()) ++report_.items.repaired;
        for (const std::string& what : p.item.repairs)
            report_.repair({{}, input_.files[file_index_].shown, p.item.line, p.item.uid, what});
    }
    if (job_.progress != nullptr) job_.progress->sent(items.size());
}

void CalendarJob::post(const CalendarFile& file, Folder& target, std::vector<Chunk> chunks) {
    settle(file);
    if (report_.error) {
        for (Chunk& chunk : chunks)
            judge(file, target, std::move(chunk.items()), std::unexpected(*report_.error));
        return;
    }
    target.posted = true;
    if (!mailbox_) {
        for (Chunk& chunk : chunks) {
            if (job_.script != nullptr) {
                if (const auto written = job_.script->post(input_.account, target.name, kQuery,
                                                           ".ics", body_of(chunk.items()));
                    !written)
                    give_up(written.error());
            }
            accepted(file, chunk.items());
        }
        return;
    }
    std::vector<Mailbox::Upload> uploads;
    for (Chunk& chunk : chunks)
        uploads.push_back({target.name, kQuery, "text/calendar; charset=utf-8",
                           body_of(chunk.items()), http::Resend::if_lost});
    in_flight_.emplace(&target, std::move(chunks));
    in_flight_->results = std::async(std::launch::async, [this, uploads = std::move(uploads)] {
        return mailbox_->upload(uploads);
    });
}

/// Waits for what is on its way; until then nothing else may use the mailbox.
void CalendarJob::settle(const CalendarFile& file) {
    if (!in_flight_) return;
    InFlight done = std::move(*in_flight_);
    in_flight_.reset();
    const auto results = done.results.get();
    for (std::size_t i = 0; i < done.chunks.size(); ++i)
        judge(file, *done.target, std::move(done.chunks[i].items()), results[i]);
}

void CalendarJob::judge(const CalendarFile& file, Folder& target, std::vector<Pending> items,
                        Result<> result) {
    if (result) return accepted(file, items);
    const bool content = result.error().scope == Scope::message;
    if (!content) give_up(result.error());
    if (report_.error || items.size() == 1) {
        for (const Pending& p : items) {
            const std::string reason =
                report_.error ? "not sent: " + report_.error->text : result.error().text;
            refuse(file, *p.raw, p.item.line, p.item.uid, reason, !report_.error);
            expected_index_.erase(p.item.uid);
        }
        if (!report_.error && ++refused_in_row_ >= kRefusedInRowMax && !any_accepted_)
            give_up(result.error());
        return;
    }
    // Below 128 KiB the server takes all or nothing: halves, until the offender stands alone.
    const auto middle = static_cast<std::ptrdiff_t>(items.size() / 2);
    std::vector<Pending> second(std::make_move_iterator(items.begin() + middle),
                                std::make_move_iterator(items.end()));
    items.resize(static_cast<std::size_t>(middle));
    for (std::vector<Pending>* half : {&items, &second}) {
        if (report_.error) {
            judge(file, target, std::move(*half), std::unexpected(*report_.error));
            continue;
        }
        const auto again = mailbox_->upload({{target.name, kQuery, "text/calendar; charset=utf-8",
                                              body_of(*half), http::Resend::if_lost}});
        judge(file, target, std::move(*half), again.front());
    }
}

/// Reads back what was written to and writes the ledger for what is found.
Result<> CalendarJob::confirm() {
    for (const auto& [key, target] : folders_) {
        if (!target.posted) continue;
        std::erase_if(remote_, [&](const auto& entry) { return entry.second.folder == key; });
        read_.erase(key);
        IMAPULT_CHECK(read_back(target.name));
    }
    for (const Expected& e : expected_) {
        if (!expected_index_.contains(e.uid)) continue;
        const auto there = remote_.find(e.uid);
        const bool incomplete =
            e.sent && there != remote_.end() && there->second.pieces < e.core.pieces;
        if (there == remote_.end() || incomplete) {
            ++report_.items.missing;
            Notice notice{input_.account, input_.files[e.file].shown, e.line, e.uid,
                          incomplete
                              ? "not all of its changed occurrences were found in the read-back"
                              : "sent, but not found in the read-back"};
            if (report_.missing.size() < kRefusalsShownMax)
                report_.missing.push_back(std::move(notice));
            continue;
        }
        if (e.sent && there->second.core != e.core.digest)
            report_.note({{},
                          input_.files[e.file].shown,
                          e.line,
                          e.uid,
                          "it arrived, but its times, recurrence or texts are not those that were "
                          "sent"});
        if (e.known && !e.sent) continue;
        IMAPULT_CHECK(job_.ledger->put_calendar(input_.account, e.uid,
                                                {e.core.sequence, e.digest, there->second.folder}));
    }
    return {};
}

}  // namespace

AccountReport import_calendars(const Job& job, const AccountInput& input) {
    return CalendarJob(job, input).run();
}

}  // namespace imapult::importers
