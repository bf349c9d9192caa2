#include "engine/replica/mailbox.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "imap/mailbox_name.h"

namespace imapult::replica {
namespace {

struct RoleName {
    std::string_view attribute;  ///< lower case
    Role role;
};
constexpr std::array kAttributes = {
    RoleName{"\\sent", Role::sent},
    RoleName{"\\drafts", Role::drafts},
    RoleName{"\\trash", Role::trash},
    RoleName{"\\junk", Role::junk},
    RoleName{"\\spam", Role::junk},
    RoleName{"\\archive", Role::archive},
    RoleName{"\\all", Role::all},
    RoleName{"\\allmail", Role::all},
    RoleName{"\\flagged", Role::flagged},
    RoleName{"\\starred", Role::flagged},
    RoleName{"\\important", Role::important},
};

/// What mail programs call these mailboxes; lower case, UTF-8.
constexpr std::array kNames = {
    RoleName{"sent", Role::sent},
    RoleName{"sent items", Role::sent},
    RoleName{"sent messages", Role::sent},
    RoleName{"sent-mail", Role::sent},
    RoleName{"sent mail", Role::sent},
    RoleName{"gesendet", Role::sent},
    RoleName{"gesendete objekte", Role::sent},
    RoleName{"gesendete elemente", Role::sent},
    RoleName{"envoyés", Role::sent},
    RoleName{"éléments envoyés", Role::sent},
    RoleName{"messages envoyés", Role::sent},
    RoleName{"enviados", Role::sent},
    RoleName{"elementos enviados", Role::sent},
    RoleName{"itens enviados", Role::sent},
    RoleName{"inviati", Role::sent},
    RoleName{"posta inviata", Role::sent},
    RoleName{"inviata", Role::sent},
    RoleName{"elementi inviati", Role::sent},
    RoleName{"verzonden", Role::sent},
    RoleName{"verzonden items", Role::sent},
    RoleName{"skickat", Role::sent},
    RoleName{"sendt", Role::sent},
    RoleName{"wysłane", Role::sent},
    RoleName{"отправленные", Role::sent},
    RoleName{"送信済み", Role::sent},
    RoleName{"已发送", Role::sent},
    RoleName{"drafts", Role::drafts},
    RoleName{"draft", Role::drafts},
    RoleName{"entwürfe", Role::drafts},
    RoleName{"brouillons", Role::drafts},
    RoleName{"borradores", Role::drafts},
    RoleName{"rascunhos", Role::drafts},
    RoleName{"bozze", Role::drafts},
    RoleName{"concepten", Role::drafts},
    RoleName{"utkast", Role::drafts},
    RoleName{"kladder", Role::drafts},
    RoleName{"szkice", Role::drafts},
    RoleName{"черновики", Role::drafts},
    RoleName{"下書き", Role::drafts},
    RoleName{"草稿", Role::drafts},
    RoleName{"trash", Role::trash},
    RoleName{"deleted items", Role::trash},
    RoleName{"deleted messages", Role::trash},
    RoleName{"bin", Role::trash},
    RoleName{"papierkorb", Role::trash},
    RoleName{"gelöschte objekte", Role::trash},
    RoleName{"gelöschte elemente", Role::trash},
    RoleName{"corbeille", Role::trash},
    RoleName{"éléments supprimés", Role::trash},
    RoleName{"papelera", Role::trash},
    RoleName{"elementos eliminados", Role::trash},
    RoleName{"lixeira", Role::trash},
    RoleName{"cestino", Role::trash},
    RoleName{"posta eliminata", Role::trash},
    RoleName{"prullenbak", Role::trash},
    RoleName{"papperskorgen", Role::trash},
    RoleName{"kosz", Role::trash},
    RoleName{"корзина", Role::trash},
    RoleName{"ゴミ箱", Role::trash},
    RoleName{"已删除", Role::trash},
    RoleName{"junk", Role::junk},
    RoleName{"spam", Role::junk},
    RoleName{"junk e-mail", Role::junk},
    RoleName{"junk email", Role::junk},
    RoleName{"bulk mail", Role::junk},
    RoleName{"junk-e-mail", Role::junk},
    RoleName{"spamverdacht", Role::junk},
    RoleName{"courrier indésirable", Role::junk},
    RoleName{"indésirables", Role::junk},
    RoleName{"pourriel", Role::junk},
    RoleName{"correo no deseado", Role::junk},
    RoleName{"lixo eletrônico", Role::junk},
    RoleName{"posta indesiderata", Role::junk},
    RoleName{"indesiderata", Role::junk},
    RoleName{"ongewenste e-mail", Role::junk},
    RoleName{"skräppost", Role::junk},
    RoleName{"спам", Role::junk},
    RoleName{"迷惑メール", Role::junk},
    RoleName{"垃圾邮件", Role::junk},
    RoleName{"archive", Role::archive},
    RoleName{"archives", Role::archive},
    RoleName{"archiv", Role::archive},
    RoleName{"archivio", Role::archive},
    RoleName{"archivo", Role::archive},
    RoleName{"archief", Role::archive},
};

/// Lower case for ASCII, Latin-1 supplement and basic Cyrillic, which is what the table holds.
std::string lower_name(std::string_view utf8) {
    std::string out;
    for (std::size_t i = 0; i < utf8.size(); ++i) {
        const auto c = static_cast<std::uint8_t>(utf8[i]);
        if (c >= 'A' && c <= 'Z') {
            out += static_cast<char>(c + 32);
        } else if (i + 1 < utf8.size() && c == 0xC3) {
            const auto d = static_cast<std::uint8_t>(utf8[++i]);
            out += static_cast<char>(c);
            out += static_cast<char>(d >= 0x80 && d <= 0x9E && d != 0x97 ? d + 0x20 : d);
        } else if (i + 1 < utf8.size() && c == 0xD0) {
            const auto d = static_cast<std::uint8_t>(utf8[++i]);
            if (d >= 0x90 && d <= 0x9F) {
                out += static_cast<char>(0xD0);
                out += static_cast<char>(d + 0x20);
            } else if (d >= 0xA0 && d <= 0xAF) {
                out += static_cast<char>(0xD1);
                out += static_cast<char>(d - 0x20);
            } else {
                out += static_cast<char>(c);
                out += static_cast<char>(d);
            }
        } else {
            out += static_cast<char>(c);
        }
    }
    return out;
}

bool is_inbox(std::string_view name) {
    return equal_ignoring_case(name, "INBOX");
}

/// Gathers the answers of the listing batch.
class ListSink final : public session::Sink {
  public:
    bool on_untagged(const imap::Event& event) override {
        if (const auto* entry = std::get_if<imap::ListEntry>(&event)) return on_list(*entry);
        if (const auto* status = std::get_if<imap::StatusData>(&event)) return on_status(*status);
        if (const auto* spaces = std::get_if<imap::Namespaces>(&event)) {
            namespaces = *spaces;
            return true;
        }
        if (const auto* fields = std::get_if<imap::Id>(&event)) {
            for (const auto& [key, value] : fields->fields)
                id[to_lower(key)] = printable(value, 200);
            return true;
        }
        if (const auto* quota = std::get_if<imap::Quota>(&event)) {
            for (const auto& resource : quota->resources) {
                if (equal_ignoring_case(resource.name, "STORAGE")) {
                    storage = Listing::StorageQuota{resource.usage * 1024, resource.limit * 1024};
                }
            }
            return true;
        }
        return std::holds_alternative<imap::QuotaRoot>(event);
    }

    std::map<std::string, Mailbox, std::less<>> boxes;  ///< by wire name
    std::optional<imap::Namespaces> namespaces;
    std::map<std::string, std::string> id;
    std::optional<Listing::StorageQuota> storage;
    bool too_many = false;

    static std::string key_of(std::string_view wire) {
        return is_inbox(wire) ? "INBOX" : std::string(wire);
    }

  private:
    bool on_list(const imap::ListEntry& entry) {
        if (entry.name.empty() || entry.name.size() > limits::kMailboxNameBytesMax) return true;
        if (boxes.size() >= limits::kMailboxesPerAccountMax) {
            too_many = true;
            return true;
        }
        if (entry.kind == imap::ListEntry::Kind::lsub) {
            subscribed_.push_back(key_of(entry.name));
            return true;
        }
        Mailbox& box = boxes[key_of(entry.name)];
        box.name = entry.name;
        box.separator = entry.separator;
        for (const std::string_view attribute : entry.attributes) {
            const std::string lower = to_lower(attribute);
            if (lower == "\\noselect" || lower == "\\nonexistent") box.selectable = false;
            if (lower == "\\subscribed") box.subscribed = true;
            for (const RoleName& known : kAttributes) {
                if (lower == known.attribute) box.role = known.role;
            }
            if (lower == "\\inbox" && entry.kind == imap::ListEntry::Kind::xlist)
                box.role = Role::inbox;
        }
        return true;
    }

    bool on_status(const imap::StatusData& status) {
        // STATUS may come before its LIST entry; the wire form may differ in the case of INBOX
        // only.
        auto found = boxes.find(key_of(status.name));
        if (found == boxes.end()) {
            if (early_.size() < limits::kMailboxesPerAccountMax) {
                Mailbox& box = early_[key_of(status.name)];
                fill(box, status);
            }
            return true;
        }
        fill(found->second, status);
        return true;
    }
    void fill(Mailbox& box, const imap::StatusData& status) {
        if (status.messages) box.messages = status.messages;
        if (status.uid_next) box.uid_next = status.uid_next;
        if (status.uid_validity) box.uid_validity = status.uid_validity;
        if (status.highest_modseq) box.highest_modseq = status.highest_modseq;
        if (status.size) box.size = status.size;
    }

  public:
    /// Puts what came out of order where it belongs.
    void join() {
        for (const std::string& name : subscribed_) {
            if (auto found = boxes.find(name); found != boxes.end())
                found->second.subscribed = true;
        }
        for (auto& [name, early] : early_) {
            auto found = boxes.find(name);
            if (found == boxes.end() || found->second.messages) continue;
            found->second.messages = early.messages;
            found->second.uid_next = early.uid_next;
            found->second.uid_validity = early.uid_validity;
            found->second.highest_modseq = early.highest_modseq;
            found->second.size = early.size;
        }
        early_.clear();
    }

  private:
    std::vector<std::string> subscribed_;
    std::map<std::string, Mailbox, std::less<>> early_;
};

imap::StatusItems status_items(const imap::CapabilitySet& capabilities) {
    imap::StatusItems items;
    items.highest_modseq = capabilities.has("CONDSTORE") || capabilities.has("QRESYNC");
    items.size = capabilities.has("STATUS=SIZE");
    return items;
}

/// Decoded path of a wire name without the namespace's prefix.
std::vector<std::string> path_of(std::string_view wire, char separator, std::string_view prefix) {
    if (is_inbox(wire)) return {"INBOX"};
    if (!prefix.empty() && wire.size() > prefix.size() &&
        equal_ignoring_case(wire.substr(0, prefix.size()), prefix)) {
        wire.remove_prefix(prefix.size());
    }
    std::vector<std::string> path;
    while (true) {
        const auto cut = separator == 0 ? std::string_view::npos : wire.find(separator);
        const std::string_view part = wire.substr(0, cut);
        if (!part.empty()) path.push_back(imap::decode_mailbox_name(part).utf8);
        if (cut == std::string_view::npos) break;
        wire.remove_prefix(cut + 1);
    }
    if (path.empty()) path.emplace_back("INBOX");
    if (is_inbox(path.front())) path.front() = "INBOX";
    return path;
}

Result<void> require_ok(const Result<session::Reply>& reply, Session& session,
                        std::string_view what) {
    if (!reply) return std::unexpected(reply.error());
    if (!reply->ok()) {
        Error error = session::refusal(*reply, session.connection().peer(), what);
        error.scope = Scope::account;
        return std::unexpected(std::move(error));
    }
    return {};
}

/// Adds the namespaces' facts, decodes the names, guesses roles.
Listing finish_listing(ListSink& sink, SpaceSet spaces) {
    Listing listing;
    sink.join();
    listing.id = std::move(sink.id);
    listing.quota = sink.storage;
    listing.asked = spaces;
    bool told = false;
    if (sink.namespaces) listing.spaces = SpaceMap(*sink.namespaces);
    if (const Namespace* own = listing.spaces.first(Space::personal)) {
        listing.prefix = own->prefix;
        listing.separator = own->separator;
        listing.namespaces_told = told = true;
    }
    bool role_told = false;
    for (auto& [key, box] : sink.boxes) {
        if (!told && box.separator != 0) {
            listing.separator = box.separator;
            told = true;
        }
        const bool special = box.role != Role::none && box.role != Role::inbox;
        if (special && listing.spaces.foreign(box.name) == nullptr) role_told = true;
    }
    for (auto& [key, box] : sink.boxes) {
        const Namespace* foreign = listing.spaces.foreign(box.name);
        if (!spaces.has(foreign == nullptr ? Space::personal : foreign->space)) continue;
        if (foreign != nullptr) {
            ForeignPath place = foreign_path(box.name, *foreign);
            if (place.path.size() == place.root) continue;
            box.path = std::move(place.path);
            box.root = place.root;
            box.space = foreign->space;
            box.role = Role::none;
            listing.mailboxes.push_back(std::move(box));
            continue;
        }
        const char separator = box.separator != 0   ? box.separator
                               : is_inbox(box.name) ? listing.separator
                                                    : '\0';
        box.path = path_of(box.name, separator, listing.prefix);
        if (is_inbox(box.name)) box.role = Role::inbox;
        if (box.role == Role::none && !role_told && box.path.size() == 1) {
            box.role = role_by_name(box.path.front());
            box.role_by_name = box.role != Role::none;
        }
        listing.mailboxes.push_back(std::move(box));
    }
    std::sort(listing.mailboxes.begin(), listing.mailboxes.end(),
              [](const Mailbox& a, const Mailbox& b) { return a.path < b.path; });
    return listing;
}

/// LIST "" "*" need not show what lies outside the personal namespace (RFC 2342 §4).
Task<Result<void>> list_beyond(Session& session, ListSink& sink,
                               const imap::source::ListOptions& options, SpaceSet spaces) {
    std::vector<session::Ticket> tickets;
    const SpaceMap map(*sink.namespaces);
    for (const Namespace& space : map.all()) {
        if (space.space == Space::personal || !spaces.has(space.space) || space.prefix.empty())
            continue;
        auto list = imap::source::list_pattern(space.prefix + "*", options, session.encoding());
        if (list) tickets.push_back(session.start(std::move(*list), &sink));
    }
    std::optional<Error> error;
    for (session::Ticket& ticket : tickets) {
        auto reply = co_await session.finish(ticket);
        if (!reply && !error) error = std::move(reply).error();
        if (!reply || error) continue;
        auto later =
            session::put_off(*reply, session.connection().peer(), "tell which mailboxes there are");
        if (!later || later->code != Code::throttled) continue;
        later->scope = Scope::account;
        error = std::move(later);
    }
    if (error) co_return std::unexpected(std::move(*error));
    co_return Result<void>{};
}

/// A refusal of STATUS that says: there is no such mailbox. Without a code (Dovecot) its words must
/// say so, for what is only broken is no less there.
bool says_unknown(const session::Reply& reply) {
    if (reply.condition != imap::Condition::no || session::put_off(reply, {}, {})) return false;
    if (reply.code != imap::ResponseCode::none)
        return reply.code == imap::ResponseCode::nonexistent ||
               reply.code == imap::ResponseCode::try_create;
    const std::string text = to_lower(reply.text);
    return std::ranges::any_of(std::array{"exist", "no such", "not found", "unknown mailbox"},
                               [&text](std::string_view words) { return text.contains(words); });
}

/// STATUS of each, in one write: the answers beside the keys of those that can be asked for.
using Answers = std::vector<std::pair<std::string, Result<session::Reply>>>;
Task<Answers> ask_status(Session& session, ListSink& sink, imap::StatusItems items,
                         std::vector<std::string> keys) {
    std::vector<std::pair<std::string, session::Ticket>> asked;
    for (std::string& key : keys) {
        auto status = imap::source::status(sink.boxes.at(key).name, items, session.encoding());
        if (status) asked.emplace_back(std::move(key), session.start(std::move(*status), &sink));
    }
    Answers answers;
    for (auto& [key, ticket] : asked) {
        auto reply = co_await session.finish(ticket);
        answers.emplace_back(std::move(key), std::move(reply));
    }
    co_return answers;
}

}  // namespace

std::string_view use_attribute(Role role) {
    switch (role) {
        case Role::sent:
            return "\\Sent";
        case Role::drafts:
            return "\\Drafts";
        case Role::trash:
            return "\\Trash";
        case Role::junk:
            return "\\Junk";
        case Role::archive:
            return "\\Archive";
        case Role::none:
        case Role::inbox:
        case Role::all:
        case Role::flagged:
        case Role::important:
            break;
    }
    return "";
}

Role role_by_name(std::string_view decoded_name) {
    const std::string lower = lower_name(decoded_name);
    for (const RoleName& known : kNames) {
        if (lower == known.attribute) return known.role;
    }
    return Role::none;
}

std::string Mailbox::display() const {
    std::string out;
    for (const std::string& part : path) {
        if (!out.empty()) out += '/';
        out += part;
    }
    return out;
}

bool Listing::is_zimbra() const {
    const auto name = id.find("name");
    return name != id.end() && (to_lower(name->second).find("zimbra") != std::string::npos ||
                                to_lower(name->second).find("carbonio") != std::string::npos);
}

std::string Listing::display_of(std::string_view wire_name) const {
    Mailbox box;
    box.path = path_of(wire_name, separator, prefix);
    return box.display();
}

Mailbox* Listing::find(std::string_view wire_name) {
    for (Mailbox& box : mailboxes) {
        if (box.name == wire_name || (is_inbox(box.name) && is_inbox(wire_name))) return &box;
    }
    return nullptr;
}

Task<Result<Listing>> list_mailboxes(Session& session, std::vector<std::string> known,
                                     SpaceSet spaces, bool careful) {
    const imap::CapabilitySet& can = session.capabilities();
    const bool list_status = can.has("LIST-STATUS");
    const bool extended = list_status || can.has("LIST-EXTENDED");
    const imap::StatusItems items = status_items(can);
    ListSink sink;

    // Everything in one write.
    std::vector<session::Ticket> optional,
        telling;  // NO is fine to both; "later" to the first only
    if (can.has("ID") && !careful) {
        const std::vector<std::pair<std::string, std::string>> fields = {{"name", "imapult"},
                                                                         {"version", "0.1.0"}};
        optional.push_back(session.start(imap::source::id(fields), &sink));
    }
    if (can.has("NAMESPACE") && !careful)
        telling.push_back(session.start(imap::source::namespaces(), &sink));
    imap::source::ListOptions options;
    options.extended = extended;
    options.subscribed = extended;
    options.special_use = extended && can.has("SPECIAL-USE");
    if (list_status) options.status = items;
    session::Ticket list = session.start(imap::source::list(options), &sink);
    std::vector<session::Ticket> statuses;
    if (!extended) {
        telling.push_back(session.start(imap::source::lsub(), &sink));
        if (can.has("XLIST")) optional.push_back(session.start(imap::source::xlist(), &sink));
    }
    if (can.has("QUOTA")) {
        auto quota = imap::source::get_quota_root("INBOX", session.encoding());
        if (quota) optional.push_back(session.start(std::move(*quota), &sink));
    }
    if (!list_status) {
        for (const std::string& name : known) {
            auto status = imap::source::status(name, items, session.encoding());
            if (!status) continue;
            statuses.push_back(session.start(std::move(*status), &sink));
        }
    }
    std::optional<Error> later;  // what a server will only tell later is not an answer
    const auto note = [&](const Result<session::Reply>& reply) {
        if (!reply || later) return;
        auto throttled =
            session::put_off(*reply, session.connection().peer(), "tell which mailboxes there are");
        if (throttled && throttled->code == Code::throttled) later = std::move(throttled);
    };
    auto listed = co_await session.finish(list);
    for (session::Ticket& ticket : optional) (void)co_await session.finish(ticket);
    for (session::Ticket& ticket : telling) {
        auto told = co_await session.finish(ticket);
        note(told);
    }
    for (session::Ticket& ticket : statuses) (void)co_await session.finish(ticket);
    if (listed && listed->condition == imap::Condition::bad && extended) {
        // Offered and not understood (Proton Mail Bridge, hMailServer): the plain commands.
        session::Ticket plain = session.start(imap::source::list({}), &sink);
        session::Ticket subscribed = session.start(imap::source::lsub(), &sink);
        listed = co_await session.finish(plain);
        (void)co_await session.finish(subscribed);
        options = {};
    }
    auto fine = require_ok(listed, session, "list the mailboxes");
    if (!fine) co_return std::unexpected(std::move(fine).error());

    if (spaces.beyond_personal() && sink.namespaces) {
        auto more = co_await list_beyond(session, sink, options, spaces);
        if (!more) co_return std::unexpected(std::move(more).error());
    }

    // Some servers leave INBOX out of an extended LIST.
    const bool inbox_is_a_guess = !sink.boxes.contains("INBOX");
    if (inbox_is_a_guess) {
        Mailbox inbox;
        inbox.name = "INBOX";
        sink.boxes.emplace("INBOX", std::move(inbox));
    }
    sink.join();
    // A second round trip only for mailboxes without STATUS.
    const SpaceMap map = sink.namespaces ? SpaceMap(*sink.namespaces) : SpaceMap();
    std::vector<std::string> missing;
    for (const auto& [key, box] : sink.boxes) {
        if (box.selectable && !box.messages && spaces.has(map.space_of(box.name)))
            missing.push_back(key);
    }
    std::optional<Error> lost;
    // Dovecot goes on listing a deleted mailbox that has children, like any other: what is unknown
    // to the source is asked for twice before that is believed. INBOX is always there.
    for (int round = 0; round < 2 && !missing.empty(); ++round) {
        const Answers answers =
            co_await ask_status(session, sink, items, std::exchange(missing, {}));
        for (const auto& [key, reply] : answers) {
            note(reply);
            if (!reply && !lost) lost = reply.error();
            if (!reply || reply->ok()) continue;
            if (key == "INBOX") {
                const bool passes = session::put_off(*reply, {}, {}).has_value();
                if (inbox_is_a_guess && !passes) sink.boxes.erase(key);
            } else if (session.side() == Side::source && says_unknown(*reply) &&
                       map.space_of(key) == Space::personal) {
                missing.push_back(key);
            }
        }
    }
    for (const std::string& key : missing) {
        Mailbox& box = sink.boxes.at(key);
        box.selectable = false;
        box.left_out = "the server lists it, and says that there is no such mailbox";
    }
    if (lost) co_return std::unexpected(std::move(*lost));
    if (later) {
        later->scope = Scope::account;
        co_return std::unexpected(std::move(*later));
    }
    if (sink.too_many) {
        co_return fail(Code::limit, Scope::account, Retry::never,
                       session.connection().peer() + ": more than " +
                           std::to_string(limits::kMailboxesPerAccountMax) +
                           " mailboxes in one account");
    }
    if (const auto& failure = session.connection().failure()) co_return std::unexpected(*failure);
    Listing listing = finish_listing(sink, spaces);
    listing.gmail = can.has("X-GM-EXT-1");
    listing.spaces_unknown = careful && can.has("NAMESPACE");
    co_return listing;
}

}  // namespace imapult::replica
