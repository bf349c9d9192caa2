// Contacts of one account: read, merge, compare with what is there, upload, read back (job.h).

#include <algorithm>
#include <chrono>
#include <thread>

#include "engine/base/text.h"
#include "importers/account_job.h"
#include "importers/contact.h"
#include "importers/contact_matching.h"
#include "importers/csv.h"
#include "importers/limits.h"

namespace imapult::importers {
namespace {

const std::string kCsvQuery = "fmt=csv&csvfmt=csv&csvlocale=en";
const std::string kCardQuery = "fmt=vcf&charset=UTF-8";
constexpr unsigned kTriesAfterLoss = 6;

struct Book {
    std::string name;
    bool standard = true;
    bool ready = false;
    bool posted = false;
    std::vector<std::size_t> items;
};

class ContactJob : AccountJob {
  public:
    ContactJob(const Job& job, const AccountInput& input) : AccountJob(job, input) {}

    AccountReport run();

  private:
    void source(std::size_t index);
    void take(Contact contact, std::size_t file, Book& book, bool whole_file);
    void refuse(std::size_t file, std::size_t line, const std::string& who,
                const std::string& reason, const std::string& raw, bool keep);
    void refuse(OutgoingContact& item, const std::string& reason, bool keep);
    Result<> prepare(Book& book);
    Result<std::vector<Contact>> download(const std::string& book);
    Result<> match(Book& book);
    Result<> count_room();
    Result<> send(Book& book);
    Result<> post(Book& book, std::vector<std::size_t> part, bool cards);
    Result<> try_post(Book& book, const std::vector<std::size_t>& part, bool cards);
    Result<> drop_arrived(Book& book, std::vector<std::size_t>& part);
    Result<> confirm(Book& book);
    void accepted(const std::vector<std::size_t>& part);
    void close_refused();

    std::vector<OutgoingContact> items_;
    std::vector<ContactFile> files_;    // headers only once read
    std::vector<std::string> refused_;  // per file: refused rows or cards
    std::map<std::string, Book> books_;
    std::map<std::string, std::size_t> by_digest_;  // book + digest
    std::map<std::string, std::string> by_email_;
    std::size_t there_ = 0;  // contacts in the mailbox before this run
    std::size_t room_ = 0;
    std::size_t refused_in_row_ = 0;
};

AccountReport ContactJob::run() {
    files_.resize(input_.files.size());
    refused_.resize(input_.files.size());
    if (const auto begun = open("contact"); !begun) give_up(begun.error());
    for (std::size_t i = 0; i < input_.files.size(); ++i) source(i);
    for (auto& [key, book] : books_) {
        if (report_.error) break;
        auto done = prepare(book);
        if (done && mailbox_) done = match(book);
        if (!done) give_up(done.error());
    }
    if (!report_.error) {
        if (const auto counted = count_room(); !counted) give_up(counted.error());
    }
    for (auto& [key, book] : books_) {
        if (report_.error) break;
        auto done = send(book);
        if (done && mailbox_) done = confirm(book);
        if (!done) give_up(done.error());
    }
    if (report_.error) {
        for (OutgoingContact& item : items_) {
            if (!item.sent && !item.there && !item.gone)
                refuse(item, "not sent: " + report_.error->text, false);
        }
    }
    sync_ledger();
    close_refused();
    return std::move(report_);
}

void ContactJob::refuse(std::size_t file, std::size_t line, const std::string& who,
                        const std::string& reason, const std::string& raw, bool keep) {
    report_.refuse({{}, input_.files[file].shown, line, who, reason});
    if (!keep) return;
    if (files_[file].raw_header.empty()) {
        std::string note = "X-IMAPULT-REFUSED:" + printable(input_.files[file].shown) + ":" +
                           std::to_string(line) + ": " + printable(reason, 400) + "\r\n";
        const auto end = raw.find('\n');
        refused_[file] += end == std::string::npos
                              ? "BEGIN:VCARD\r\n" + note + raw
                              : raw.substr(0, end + 1) + note + raw.substr(end + 1);
    } else {
        refused_[file] += raw + files_[file].separator + csv_quote(reason) + "\r\n";
    }
}

void ContactJob::refuse(OutgoingContact& item, const std::string& reason, bool keep) {
    item.gone = true;
    std::string raw = item.contact.raw;
    if (files_[item.file].raw_header.empty()) raw = "BEGIN:VCARD\r\n" + raw + "END:VCARD\r\n";
    refuse(item.file, item.contact.line, contact_name(item.contact), reason, raw, keep);
}

void ContactJob::close_refused() {
    for (std::size_t i = 0; i < files_.size(); ++i) {
        const SourceFile& from = input_.files[i];
        const bool csv = !files_[i].raw_header.empty();
        const char* ending = to_lower(from.path).ends_with(".vcf") ? ".vcf" : ".csv";
        RefusedFile file(job_.out + "/refused",
                         safe_file_name(input_.account) +
                             (from.folder.empty() ? "" : "." + safe_file_name(from.folder)) +
                             ending);
        file.add(refused_[i]);
        const std::string head =
            csv ? "\xEF\xBB\xBF" + files_[i].raw_header + files_[i].separator + "\"reason\"\r\n"
                : "";
        if (const auto closed = file.close(head, "", from.path); !closed) give_up(closed.error());
    }
}

void ContactJob::source(std::size_t index) {
    const SourceFile& from = input_.files[index];
    auto file = read_contact_file(from.path);
    if (!file) {
        ++report_.items.source;
        report_.refuse({{}, from.shown, 1, {}, file.error().text});
        return;
    }
    files_[index].raw_header = file->raw_header;
    files_[index].separator = file->separator;
    report_.note(
        {{}, from.shown, 1, {}, "read as " + file->dialect + ", charset " + file->charset});
    for (const std::string& what : file->repairs) report_.repair({{}, from.shown, 1, {}, what});
    for (const std::string& what : file->notes) report_.note({{}, from.shown, 1, {}, what});
    std::string name = "Contacts";
    if (!from.folder.empty()) name = folder_for(from, "contacts", from.folder);
    Book& book = books_[to_lower(name)];
    book.name = name;
    book.standard = to_lower(name) == "contacts";
    for (const ContactRefusal& r : file->refused) {
        ++report_.items.source;
        refuse(index, r.line, r.uid, r.reason, r.raw, true);
    }
    const bool whole_file = std::ranges::any_of(
        file->repairs, [](const std::string& r) { return r.contains("replaced"); });
    for (Contact& contact : file->contacts) take(std::move(contact), index, book, whole_file);
}

void ContactJob::take(Contact contact, std::size_t file, Book& book, bool whole_file) {
    ++report_.items.source;
    OutgoingContact item;
    item.digest = contact_digest(contact);
    item.file = file;
    item.contact = std::move(contact);
    if (whole_file && item.contact.repairs.empty())
        item.contact.repairs.emplace_back("bytes that are no characters were replaced");
    const std::string key = to_lower(book.name) + '\0' + item.digest;
    if (!by_digest_.emplace(key, items_.size()).second) {
        ++report_.items.merged;
        return;
    }
    item.even = normalised(item.contact.fields);
    std::size_t bytes = item.contact.photo.size() * 4 / 3;
    for (const auto& [name, value] : item.contact.fields) bytes += value.size() + 8;
    if (bytes > kContactPostBytesMax)
        return refuse(item, "the contact is too large for one upload", true);
    // Nobody's mailbox takes so many: they are not even kept in memory.
    if (items_.size() > job_.contacts_max * 2 + 1000)
        return refuse(item,
                      "over the server's limit of " + std::to_string(job_.contacts_max) +
                          " contacts in a mailbox",
                      true);
    const auto email = item.even.find("email");
    if (email != item.even.end()) {
        const auto [other, fresh] = by_email_.emplace(to_lower(book.name) + '\0' + email->second,
                                                      contact_name(item.contact));
        if (!fresh)
            report_.note({{},
                          input_.files[file].shown,
                          item.contact.line,
                          email->second,
                          "another contact (\"" + printable(other->second, 100) +
                              "\") has the same address and other details: both are kept"});
    }
    if (job_.ledger != nullptr)
        item.in_ledger =
            job_.ledger->contact(input_.account, key).value_or(std::nullopt).has_value();
    book.items.push_back(items_.size());
    items_.push_back(std::move(item));
}

Result<> ContactJob::prepare(Book& book) {
    if (book.ready) return {};
    book.ready = true;
    if (book.standard) return {};
    if (job_.script != nullptr) job_.script->create_folder(input_.account, book.name, "contact");
    if (!mailbox_) return {};
    IMAPULT_CHECK(mailbox_->create_folder(book.name, "contact", {}));
    return {};
}

Result<std::vector<Contact>> ContactJob::download(const std::string& book) {
    IMAPULT_TRY(std::string text, export_of(book, "csv"));
    if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
    std::vector<Contact> out;
    if (trim(std::string_view(text).substr(0, 1024)).empty()) return out;
    // Native names throughout, known to us or not.
    auto table = parse_csv(text);
    if (!table)
        return fail(
            Code::protocol, Scope::account, Retry::never,
            "the export of \"" + printable(book) + "\" cannot be read: " + table.error().text);
    for (const CsvRow& row : table->rows) {
        Contact contact;
        for (std::size_t i = 0; i < row.cells.size() && i < table->header.size(); ++i) {
            if (!row.cells[i].empty()) contact.fields[table->header[i]] = row.cells[i];
        }
        if (!contact.fields.empty()) out.push_back(std::move(contact));
    }
    return out;
}

Result<> ContactJob::match(Book& book) {
    IMAPULT_TRY(const std::vector<Contact> rows, download(book.name));
    ExportedContacts there(rows);
    there_ += there.size();
    std::vector<OutgoingContact*> open;
    for (const std::size_t i : book.items) open.push_back(&items_[i]);
    pair_up(there, open, [](OutgoingContact& item) { item.there = true; });
    for (const std::size_t i : book.items) {
        OutgoingContact& item = items_[i];
        // Sent before and not as it was: edited there if something like it is left, else gone.
        if (!item.there && item.in_ledger && there.resembles(item)) item.there = true;
        if (item.there) ++report_.items.already_there;
        if (item.there && !item.in_ledger) {
            IMAPULT_CHECK(job_.ledger->put_contact(
                input_.account, to_lower(book.name) + '\0' + item.digest, "there"));
        }
    }
    return {};
}

/// How many more the mailbox takes; other address books count, too.
Result<> ContactJob::count_room() {
    std::size_t waiting = 0;
    for (const OutgoingContact& item : items_) waiting += !item.there && !item.gone ? 1 : 0;
    std::size_t others = 0;
    if (mailbox_ && waiting > 0 && there_ + waiting > job_.contacts_max / 2) {
        if (!remote_folders_) {
            IMAPULT_TRY(remote_folders_, mailbox_->folders());
        }
        std::vector<RemoteFolder> shelves = {{"Emailed Contacts", "contact", std::nullopt}};
        if (remote_folders_) shelves = *remote_folders_;
        for (const RemoteFolder& folder : shelves) {
            if (folder.view != "contact" || books_.contains(to_lower(folder.name))) continue;
            if (folder.items) {
                others += *folder.items;
            } else if (const auto rows = download(folder.name)) {
                others += rows->size();
            }
        }
    }
    room_ = job_.contacts_max - std::min(job_.contacts_max, there_ + others);
    if (waiting <= room_) return {};
    std::size_t left = room_;
    for (OutgoingContact& item : items_) {
        if (item.there || item.gone) continue;
        if (left > 0) {
            --left;
            continue;
        }
        refuse(item,
               "over the server's limit of " + std::to_string(job_.contacts_max) +
                   " contacts in a mailbox",
               true);
    }
    return {};
}

Result<> ContactJob::send(Book& book) {
    for (const bool cards : {false, true}) {
        std::vector<std::size_t> part;
        std::size_t bytes = 0;
        for (const std::size_t i : book.items) {
            OutgoingContact& item = items_[i];
            if (item.there || item.gone || item.sent || item.contact.photo.empty() == cards)
                continue;
            std::size_t size = item.contact.photo.size() * 4 / 3 + 100;
            for (const auto& [name, value] : item.contact.fields) size += value.size() + 8;
            if (!part.empty() &&
                (bytes + size > kContactPostBytesAim || part.size() == kContactsPerPostMax)) {
                IMAPULT_CHECK(post(book, std::exchange(part, {}), cards));
                bytes = 0;
            }
            part.push_back(i);
            bytes += size;
        }
        if (!part.empty()) IMAPULT_CHECK(post(book, std::move(part), cards));
    }
    return {};
}

void ContactJob::accepted(const std::vector<std::size_t>& part) {
    if (part.empty()) return;
    any_accepted_ = true;
    refused_in_row_ = 0;
    for (const std::size_t i : part) {
        OutgoingContact& item = items_[i];
        item.sent = true;
        ++report_.items.sent;
        if (!item.contact.repairs.empty()) ++report_.items.repaired;
        for (const std::string& what : item.contact.repairs)
            report_.repair({{},
                            input_.files[item.file].shown,
                            item.contact.line,
                            contact_name(item.contact),
                            what});
    }
    if (job_.progress != nullptr) job_.progress->sent(part.size());
}

Result<> ContactJob::try_post(Book& book, const std::vector<std::size_t>& part, bool cards) {
    std::string body;
    std::vector<const Contact*> contacts;
    for (const std::size_t i : part) contacts.push_back(&items_[i].contact);
    if (cards) {
        for (const Contact* contact : contacts) body += write_vcard(*contact);
    } else {
        body = write_contacts_csv(contacts);
    }
    if (!mailbox_) {
        if (job_.script == nullptr) return {};
        return job_.script->post(input_.account, book.name, cards ? kCardQuery : kCsvQuery,
                                 cards ? ".vcf" : ".csv", body);
    }
    book.posted = true;
    Mailbox::Upload upload{book.name, cards ? kCardQuery : kCsvQuery,
                           cards ? "text/vcard; charset=utf-8" : "text/csv; charset=utf-8",
                           std::move(body), http::Resend::if_refused};
    return mailbox_->upload({std::move(upload)}).front();
}

/// Counts as sent what an upload of unknown or half success has left there.
Result<> ContactJob::drop_arrived(Book& book, std::vector<std::size_t>& part) {
    IMAPULT_TRY(const std::vector<Contact> rows, download(book.name));
    ExportedContacts there(rows);
    // Rows of contacts that were there before must not be taken for new ones.
    std::vector<OutgoingContact*> before;
    std::vector<OutgoingContact*> open;
    for (const std::size_t i : book.items) {
        if (items_[i].there || items_[i].sent) before.push_back(&items_[i]);
    }
    for (const std::size_t i : part) open.push_back(&items_[i]);
    std::set<const OutgoingContact*> arrived;
    pair_up(there, before, [](OutgoingContact&) {});
    pair_up(there, open, [&](OutgoingContact& item) { arrived.insert(&item); });
    std::vector<std::size_t> done;
    std::erase_if(part, [&](std::size_t i) {
        if (!arrived.contains(&items_[i])) return false;
        done.push_back(i);
        return true;
    });
    accepted(done);
    return {};
}

/// Nothing here is atomic and nothing is compared by the server: after every failure the folder is
/// read back before anything is sent again.
Result<> ContactJob::post(Book& book, std::vector<std::size_t> part, bool cards) {
    std::chrono::milliseconds pause{500};
    for (unsigned attempt = 1; !part.empty(); ++attempt) {
        if (job_.stopped()) return fail(Code::cancelled, Scope::account, Retry::now, "interrupted");
        const Result<> result = try_post(book, part, cards);
        if (result) {
            accepted(part);
            return {};
        }
        const Error& error = result.error();
        const bool lost = error.code == Code::connection_lost || error.code == Code::timeout ||
                          error.code == Code::unavailable;
        if (error.scope != Scope::message && !lost) return result;
        const std::size_t before = part.size();
        IMAPULT_CHECK(drop_arrived(book, part));
        if (lost) {
            if (attempt >= kTriesAfterLoss) return result;
            std::this_thread::sleep_for(pause);
            pause *= 2;
            continue;
        }
        if (part.size() < before) {
            attempt = 0;  // a prefix arrived: the next one is the offender, or the mailbox is full
            if (error.text.contains("TOO_MANY_CONTACTS")) {
                for (const std::size_t i : part) refuse(items_[i], error.text, true);
                return {};
            }
        }
        if (part.size() == 1) {
            refuse(items_[part[0]], error.text, true);
            if (++refused_in_row_ >= 25 && !any_accepted_)
                return fail(error.code, Scope::account, Retry::never, error.text);
            return {};
        }
        if (part.empty()) return {};
        const auto middle = static_cast<std::ptrdiff_t>(part.size() / 2);
        IMAPULT_CHECK(post(book, {part.begin(), part.begin() + middle}, cards));
        return post(book, {part.begin() + middle, part.end()}, cards);
    }
    return {};
}

Result<> ContactJob::confirm(Book& book) {
    if (!book.posted) return {};
    IMAPULT_TRY(const std::vector<Contact> rows, download(book.name));
    ExportedContacts there(rows);
    std::vector<OutgoingContact*> open;
    std::set<const OutgoingContact*> found;
    for (const std::size_t i : book.items) {
        if (items_[i].sent || items_[i].there) open.push_back(&items_[i]);
    }
    pair_up(there, open, [&](OutgoingContact& item) { found.insert(&item); });
    for (const std::size_t i : book.items) {
        OutgoingContact& item = items_[i];
        if (!item.sent) continue;
        if (!found.contains(&item)) {
            ++report_.items.missing;
            report_.missing.push_back({input_.account, input_.files[item.file].shown,
                                       item.contact.line, contact_name(item.contact),
                                       "sent, but not found in the read-back"});
            continue;
        }
        IMAPULT_CHECK(job_.ledger->put_contact(input_.account,
                                               to_lower(book.name) + '\0' + item.digest, "sent"));
    }
    return {};
}

}  // namespace

AccountReport import_contacts(const Job& job, const AccountInput& input) {
    return ContactJob(job, input).run();
}

}  // namespace imapult::importers
