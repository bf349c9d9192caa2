#include "tools/demo/organisation.h"

#include <array>
#include <string_view>
#include <utility>

#include "engine/base/random.h"
#include "tools/imapd/corpus.h"
#include "tools/imapult/imapd_server.h"

namespace imapult::demo {
namespace {

using imapd::FlagSet;

constexpr std::uint64_t kSeed = 2026;
constexpr std::string_view kPrefix = "INBOX.";
constexpr char kSeparator = '.';
constexpr std::size_t kAttachmentBytes = 20UL * 1000 * 1000;
constexpr std::int64_t kMorning = 1'793'606'400;  // 2 Nov 2026, 08:00 UTC
constexpr int kZoneMinutes = 60;

struct Folder {
    std::string_view name;  ///< UTF-8, levels apart by '/'
    std::string_view special_use;
};

/// In every account.
constexpr std::array kCommon{Folder{"Sent", "\\Sent"}, Folder{"Drafts", "\\Drafts"},
                             Folder{"Trash", "\\Trash"}, Folder{"Archive", "\\Archive"},
                             Folder{"Archive/2025", ""}};

struct Account {
    std::string_view name;
    std::array<std::string_view, 4> folders;
};
constexpr std::array kAccounts{
    Account{"office@example.com",
            {"Verträge", "Verträge/Büro & Technik", "Rechnungen/2026/März", "Besprechungen"}},
    Account{"sales@example.com", {"Offers/Won", "Offers/Lost", "Été & hiver", "R&D"}},
    Account{"support@example.com",
            {"Tickets/Open", "Tickets/Closed/2026", "Проекты/Север", "Lists/announce"}},
    Account{"accounting@example.com",
            {"Faktury/Zapłacone", "Faktury/Příchozí", "日本語/受信", "Old mail"}},
    Account{"press@example.com", {"📷 Bilder", "Ελληνικά", "Verteiler/Ünïcödé/ß", "Clippings"}},
    Account{"info@example.com", {"عربى", "Deep/a/b/c/d/e", "한국어", "Junk mail"}},
};

std::string wire_name(std::string_view name) {
    std::string out(kPrefix);
    while (true) {
        const std::size_t slash = name.find('/');
        out += imapd::encode_mutf7(name.substr(0, slash));
        if (slash == std::string_view::npos) return out;
        out += kSeparator;
        name.remove_prefix(slash + 1);
    }
}

std::string header(std::string_view subject) {
    std::string out = "From: Office <office@example.com>\r\nTo: info@example.com\r\nSubject: ";
    out += subject;
    return out + "\r\nDate: Mon, 2 Nov 2026 09:00:00 +0100\r\n";
}

/// What years of senders leave behind: each of these has broken some migration tool.
std::vector<std::string> malformed_messages() {
    const std::string plain = "Content-Type: text/plain\r\n\r\n";
    std::vector<std::string> out;
    out.push_back(header("R\xFC"
                         "ckruf bitte") +
                  plain + "Latin-1 octets in a header.\r\n");
    out.push_back(header("Line ends") + "\r\nBare LF\nin the middle\nof a message.\r\n");
    out.push_back(header("Cut off") + plain + "The last line has no end");
    out.push_back("no header at all, only this line\r\n");
    out.push_back(header("Headers and nothing else") + "\r\n");
    out.push_back(header("One long line") + plain + std::string(150'000, 'x') + "\r\n");
    out.push_back("From MAILER-DAEMON Mon Nov  2 09:00:00 2026\r\n" + header("From an mbox file") +
                  plain + "The first line is no header.\r\n");
    out.push_back(
        header("Never closed") +
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"outer\"\r\n\r\n"
        "--outer\r\nContent-Type: text/plain\r\n\r\nThe closing boundary is missing.\r\n");
    for (const char* text : {"The first of two", "Another one"}) {
        out.push_back("Message-ID: <same@example.com>\r\n" + header("Twice the same Message-ID") +
                      plain + text + "\r\n");
    }
    out.push_back(header("=?utf-8?B?4oKsIG5vdCBjbG9zZWQ=") + plain + "A broken encoded word.\r\n");
    out.push_back(header("A line that looks like IMAP") + plain +
                  "* BYE\r\nA1 LOGOUT\r\n)\r\n{10}\r\n");
    return out;
}

std::string message_with_attachment() {
    constexpr std::string_view kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    constexpr std::size_t kLine = 76;
    std::string out = header("Plans of the new building");
    out +=
        "Message-ID: <plans@example.com>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=\"plans\"\r\n\r\n--plans\r\n"
        "Content-Type: text/plain\r\n\r\nThe plans, twenty megabytes.\r\n--plans\r\n"
        "Content-Type: application/octet-stream; name=\"plans.bin\"\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n";
    const std::size_t characters = (kAttachmentBytes + 2) / 3 * 4;
    Random random(kSeed);
    out.reserve(out.size() + characters + characters / kLine * 2 + 64);
    for (std::size_t i = 0; i < characters;) {
        std::uint64_t bits = random.next();
        for (unsigned k = 0; k < 10 && i < characters; ++k, bits >>= 6) {
            out += kAlphabet[bits & 63U];
            if (++i % kLine == 0) out += "\r\n";
        }
    }
    return out + "\r\n--plans--\r\n";
}

imapd::MessageShape office_mail() {
    imapd::MessageShape shape;
    shape.median_bytes = 3'000;
    shape.p99_bytes = 60'000;
    shape.bytes_max = 2'000'000;
    shape.nul = 0;  // a server may replace NUL, so it could not be shown to arrive
    return shape;
}

class Filling {
  public:
    explicit Filling(imapd::Store& store) : store_(store) {}

    Contents run(std::size_t messages) {
        imapd::MessageGenerator generator(kSeed, office_mail());
        Random random(kSeed);
        for (std::size_t a = 0; a < kAccounts.size(); ++a) {
            const std::string account(kAccounts[a].name);
            contents_.accounts.push_back(account);
            const auto mailboxes = make_mailboxes(kAccounts[a]);
            // As in life, one account has much more than another, and INBOX most of all.
            const std::size_t count = messages * (a + 1) * 2 / 42;
            for (std::size_t m = 0; m < count; ++m) {
                const double where = random.unit() * random.unit();
                const auto index =
                    static_cast<std::size_t>(where * static_cast<double>(mailboxes.size()));
                add(account, mailboxes[index], generator.next());
            }
        }
        for (std::string& text : malformed_messages()) {
            ++contents_.malformed;
            add("info@example.com", wire_name("Junk mail"), message(std::move(text), {"\\Seen"}));
        }
        add("office@example.com", wire_name("Verträge/Büro & Technik"),
            message(message_with_attachment(), {"\\Seen", "\\Flagged", "$Important"}));
        return contents_;
    }

  private:
    static imapd::NewMessage message(std::string text, FlagSet flags) {
        return {.body = std::make_shared<const std::string>(std::move(text)),
                .flags = std::move(flags),
                .date = imapd::Date{kMorning, kZoneMinutes},
                .labels = {}};
    }
    std::vector<std::string> make_mailboxes(const Account& account) {
        std::vector<std::string> out{"INBOX"};
        for (const Folder& folder : kCommon) {
            out.push_back(wire_name(folder.name));
            store_.create(account.name, out.back(),
                          {.special_use = std::string(folder.special_use)});
        }
        for (const std::string_view name : account.folders) {
            out.push_back(wire_name(name));
            store_.create(account.name, out.back());
        }
        contents_.mailboxes += store_.mailboxes(account.name).size();
        return out;
    }
    void add(const std::string& account, const std::string& mailbox, imapd::NewMessage message) {
        ++contents_.messages;
        store_.add_message(account, mailbox, std::move(message));
    }

    imapd::Store& store_;
    Contents contents_;
};

}  // namespace

imapd::Behaviour old_server() {
    imapd::Behaviour behaviour = program::ImapdServer::clear_text_behaviour();
    behaviour.product = "old server";
    behaviour.prefix = kPrefix;
    behaviour.separator = kSeparator;
    return behaviour;
}

imapd::Behaviour new_server() {
    imapd::Behaviour behaviour = program::ImapdServer::clear_text_behaviour();
    behaviour.product = "new server";
    return behaviour;
}

std::vector<std::string> account_names() {
    std::vector<std::string> names;
    for (const Account& account : kAccounts) names.emplace_back(account.name);
    return names;
}

Contents fill(imapd::Store& store, std::size_t messages) {
    return Filling(store).run(messages);
}

Changes go_on_working(imapd::Store& store) {
    Changes changes;
    imapd::MessageGenerator generator(kSeed + 1, imapd::MessageShape::plain(2'000));
    const std::string handover = wire_name("Übergabe");
    if (store.create("office@example.com", handover)) ++changes.mailboxes;
    const auto deliver = [&](std::string_view account, const std::string& mailbox) {
        imapd::NewMessage message = generator.next();
        message.flags = {};
        if (store.add_message(account, mailbox, std::move(message)) != 0) ++changes.messages;
    };
    for (const Account& account : kAccounts) {
        deliver(account.name, "INBOX");
        // Somebody reads the oldest unread message and flags it.
        for (const imapd::Message& message : store.messages(account.name, "INBOX")) {
            if (message.flags.has(FlagSet::kSeen)) continue;
            FlagSet flags = message.flags;
            flags.add("\\Seen");
            flags.add("\\Flagged");
            if (store.set_flags(account.name, "INBOX", message.uid, flags)) ++changes.flags;
            break;
        }
    }
    deliver("office@example.com", handover);
    deliver("office@example.com", wire_name("Rechnungen/2026/März"));
    return changes;
}

std::string new_name(std::string_view old_name) {
    if (old_name.starts_with(kPrefix)) old_name.remove_prefix(kPrefix.size());
    std::string name(old_name);
    for (char& c : name) {
        if (c == kSeparator) c = new_server().separator;
    }
    return name;
}

}  // namespace imapult::demo
