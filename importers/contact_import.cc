// Contacts of one account: read, merge, compare with what is there, upload, read back (job.h).

#include <algorithm>
#include <chrono>
#include <thread>
#include <unordered_map>

#include "engine/base/text.h"
#include "importers/contact.h"
#include "importers/csv.h"
#include "importers/job.h"
#include "importers/limits.h"

namespace imapult::importers {
namespace {

const std::string kCsvQuery = "fmt=csv&csvfmt=csv&csvlocale=en";
const std::string kCardQuery = "fmt=vcf&charset=UTF-8";
constexpr unsigned kTriesAfterLoss = 6;

using Fields = std::map<std::string, std::string>;

/// A source contact on its way.
struct Item {
    Contact contact;
    std::size_t file = 0;
    std::string digest;
    Fields even;  ///< normalised
    bool in_ledger = false;
    bool there = false;  ///< found in the export
    bool sent = false;
    bool gone = false;  ///< refused
};

/// Words by which a contact can be looked up: addresses, names, numbers.
std::vector<std::string> keys_of(const Fields& fields) {
    std::vector<std::string> keys;
    const auto get = [&](const char* name) {
        const auto found = fields.find(name);
        return found == fields.end() ? std::string{} : found->second;
    };
    for (const char* name : {"email", "email2", "email3"}) {
        if (!get(name).empty()) keys.push_back("e" + get(name));
    }
    const std::string both = get("firstName") + "|" + get("lastName");
    if (both.size() > 1) keys.push_back("n" + to_lower(both));
    for (const char* name : {"fullName", "company", "nickname", "dlist", "mobilePhone", "homePhone",
                             "workPhone", "otherPhone", "notes"}) {
        if (!get(name).empty()) keys.push_back(std::string(name) + to_lower(get(name)));
    }
    if (keys.empty() && !fields.empty())
        keys.push_back(fields.begin()->first + fields.begin()->second);
    return keys;
}

/// The export of one folder, each row to be matched once.
class Shelf {
  public:
    void fill(const std::vector<Contact>& contacts) {
        rows_.clear();
        index_.clear();
        for (const Contact& contact : contacts) {
            Fields fields = normalised(contact.fields);
            fields.erase("fileAs");
            for (const std::string& key : keys_of(fields)) index_.emplace(key, rows_.size());
            rows_.push_back({std::move(fields), false});
        }
    }
    [[nodiscard]] std::size_t size() const { return rows_.size(); }

    /// Takes a row that is `item` (exactly, or with more on it); false if there is none.
    bool take(const Item& item, bool exact) {
        for (const std::string& key : keys_of(item.even)) {
            const auto [from, to] = index_.equal_range(key);
            for (auto it = from; it != to; ++it) {
                Row& row = rows_[it->second];
                if (row.taken || !fits(item, row.fields, exact)) continue;
                row.taken = true;
                return true;
            }
        }
        return false;
    }
    /// Whether a row that nobody took shares an address or the name: the contact, edited since.
    [[nodiscard]] bool resembles(const Item& item) const {
        for (const std::string& key : keys_of(item.even)) {
            const auto [from, to] = index_.equal_range(key);
            for (auto it = from; it != to; ++it) {
                if (!rows_[it->second].taken) return true;
            }
        }
        return false;
    }

  private:
    struct Row {
        Fields fields;
        bool taken = false;
    };

    static bool fits(const Item& item, const Fields& row, bool exact) {
        // What went as a vCard comes back in the server's own translation: names and addresses
        // count.
        const bool card = !item.contact.photo.empty();
        std::size_t compared = 0;
        for (const auto& [name, value] : item.even) {
            const bool main = name == "fullName" || name == "firstName" || name == "lastName" ||
                              name.starts_with("email");
            if (card && !main) continue;
            if (name == "fileAs") continue;
            ++compared;
            const auto found = row.find(name);
            if (found == row.end()) return false;
            if (found->second == value) continue;
            // Dates may come back quoted or without dashes.
            if (name != "birthday") return false;
            const auto digits = [](const std::string& text) {
                std::string out;
                for (const char c : text) {
                    if (c >= '0' && c <= '9') out += c;
                }
                return out;
            };
            if (digits(value) != digits(found->second)) return false;
        }
        if (card && compared == 0) return !exact;
        return !exact || card || row.size() == compared;
    }

    std::vector<Row> rows_;
    std::unordered_multimap<std::string, std::size_t> index_;
};

struct Book {
    std::string name;
    bool standard = true;
    bool ready = false;
    bool posted = false;
    std::vector<std::size_t> items;
};

class ContactJob {
  public:
    ContactJob(const Job& job, const AccountInput& input) : job_(job), input_(input) {
        report_.account = input.account;
        if (job.carbonio != nullptr) mailbox_.emplace(*job.carbonio, input.account, input.password);
    }

    AccountReport run();

  private:
    Result<> begin();
    void source(std::size_t index);
    void take(Contact contact, std::size_t file, Book& book, bool whole_file);
    void refuse(std::size_t file, std::size_t line, const std::string& who,
                const std::string& reason, const std::string& raw, bool keep);
    void refuse(Item& item, const std::string& reason, bool keep);
    void give_up(const Error& error);
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

    const Job& job_;
    const AccountInput& input_;
    AccountReport report_;
    std::optional<Mailbox> mailbox_;
    std::optional<std::vector<RemoteFolder>> remote_folders_;
    std::optional<FolderNames> names_;
    std::vector<Item> items_;
    std::vector<ContactFile> files_;    // headers only once read
    std::vector<std::string> refused_;  // per file: refused rows or cards
    std::map<std::string, Book> books_;
    std::map<std::string, std::size_t> by_digest_;  // book + digest
    std::map<std::string, std::string> by_email_;
    std::size_t there_ = 0;  // contacts in the mailbox before this run
    std::size_t room_ = 0;
    std::size_t refused_in_row_ = 0;
    bool any_accepted_ = false;
};

AccountReport ContactJob::run() {
    files_.resize(input_.files.size());
    refused_.resize(input_.files.size());
    if (const auto begun = begin(); !begun) give_up(begun.error());
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
        for (Item& item : items_) {
            if (!item.sent && !item.there && !item.gone)
                refuse(item, "not sent: " + report_.error->text, false);
        }
    }
    if (job_.ledger != nullptr) {
        if (const auto synced = job_.ledger->sync(); !synced) give_up(synced.error());
    }
    close_refused();
    return std::move(report_);
}

void ContactJob::give_up(const Error& error) {
    if (report_.error) return;
    report_.error = for_account(error);
    const bool nobody = error.code == Code::connect_failed || error.code == Code::resolve_failed ||
                        error.code == Code::tls_failed;
    if (nobody && job_.unreachable != nullptr) job_.unreachable->store(true);
}

Result<> ContactJob::begin() {
    names_.emplace("contact", std::nullopt);
    if (!mailbox_) return {};
    if (job_.unreachable->load())
        return fail(Code::connect_failed, Scope::account, Retry::later,
                    "the destination cannot be reached");
    IMAPULT_CHECK(mailbox_->open());
    const bool named =
        std::ranges::any_of(input_.files, [](const SourceFile& f) { return !f.folder.empty(); });
    if (named) {
        IMAPULT_TRY(remote_folders_, mailbox_->folders());
        names_.emplace("contact", remote_folders_);
    }
    return {};
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

void ContactJob::refuse(Item& item, const std::string& reason, bool keep) {
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
    if (!from.folder.empty()) {
        std::optional<std::string> last;
        if (job_.ledger != nullptr)
            last = job_.ledger->folder(input_.account, "contacts:" + from.folder)
                       .value_or(std::nullopt);
        name = names_->choose(from.folder, last);
        if (job_.ledger != nullptr && !report_.error) {
            if (const auto put =
                    job_.ledger->put_folder(input_.account, "contacts:" + from.folder, name);
                !put)
                give_up(put.error());
        }
    }
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
    Item item;
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
    IMAPULT_TRY(const ScratchFile scratch, ScratchFile::create(job_.scratch));
    auto got = mailbox_->download(book, "csv", scratch.fd());
    if (!got && got.error().code == Code::not_found &&
        job_.carbonio->home_path() == "/service/home" && !any_accepted_) {
        job_.carbonio->use_short_home_path();
        const auto second = mailbox_->download(book, "csv", scratch.fd());
        if (second) {
            got = {};
        } else {
            job_.carbonio->use_long_home_path();
        }
    }
    if (!got) return std::unexpected(got.error());
    IMAPULT_TRY(std::string text, scratch.read());
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

/// Pairs what is there with what is to come: equal rows first, then rows that have more on them.
void pair_up(Shelf& shelf, std::vector<Item*> open, const auto& found) {
    std::ranges::sort(open,
                      [](const Item* a, const Item* b) { return a->even.size() > b->even.size(); });
    for (const bool exact : {true, false}) {
        for (Item*& item : open) {
            if (item == nullptr || !shelf.take(*item, exact)) continue;
            found(*item);
            item = nullptr;
        }
    }
}

Result<> ContactJob::match(Book& book) {
    IMAPULT_TRY(const std::vector<Contact> rows, download(book.name));
    Shelf shelf;
    shelf.fill(rows);
    there_ += shelf.size();
    std::vector<Item*> open;
    for (const std::size_t i : book.items) open.push_back(&items_[i]);
    pair_up(shelf, open, [](Item& item) { item.there = true; });
    for (const std::size_t i : book.items) {
        Item& item = items_[i];
        // Sent before and not as it was: edited there if something like it is left, else gone.
        if (!item.there && item.in_ledger && shelf.resembles(item)) item.there = true;
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
    for (const Item& item : items_) waiting += !item.there && !item.gone ? 1 : 0;
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
    for (Item& item : items_) {
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
            Item& item = items_[i];
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
        Item& item = items_[i];
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
    Shelf shelf;
    shelf.fill(rows);
    // Rows of contacts that were there before must not be taken for new ones.
    std::vector<Item*> before;
    std::vector<Item*> open;
    for (const std::size_t i : book.items) {
        if (items_[i].there || items_[i].sent) before.push_back(&items_[i]);
    }
    for (const std::size_t i : part) open.push_back(&items_[i]);
    std::set<const Item*> arrived;
    pair_up(shelf, before, [](Item&) {});
    pair_up(shelf, open, [&](Item& item) { arrived.insert(&item); });
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
    Shelf shelf;
    shelf.fill(rows);
    std::vector<Item*> open;
    std::set<const Item*> found;
    for (const std::size_t i : book.items) {
        if (items_[i].sent || items_[i].there) open.push_back(&items_[i]);
    }
    pair_up(shelf, open, [&](Item& item) { found.insert(&item); });
    for (const std::size_t i : book.items) {
        Item& item = items_[i];
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
