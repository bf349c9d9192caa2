#include "tools/demo/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "engine/base/text.h"
#include "tools/demo/organisation.h"

namespace imapult::demo {
namespace {

class Comparing {
  public:
    Comparing(const imapd::Store& source, const imapd::Store& destination)
        : source_(source), destination_(destination) {}

    void account(const std::string& name) {
        AccountView view{.name = name};
        std::set<std::string> expected;
        for (const imapd::MailboxView& box : source_.mailboxes(name)) {
            if (!box.selectable) continue;
            const std::string there = new_name(box.name);
            expected.insert(there);
            mailbox(name, box.name, there);
        }
        for (const imapd::MailboxView& box : destination_.mailboxes(name)) {
            if (!box.selectable) continue;
            ++view.mailboxes;
            if (!expected.contains(box.name)) differ(name, box.name, "is not at the old server");
            for (const imapd::Message& message : destination_.messages(name, box.name)) {
                ++view.messages;
                view.octets += message.body->size();
            }
        }
        result_.accounts.push_back(std::move(view));
    }
    Comparison take() { return std::move(result_); }

  private:
    void mailbox(const std::string& account, const std::string& from, const std::string& to) {
        if (!destination_.mailbox(account, to)) return differ(account, to, "is missing");
        const auto sent = source_.messages(account, from);
        const auto arrived = destination_.messages(account, to);
        if (sent.size() != arrived.size()) {
            differ(account, to, fmt::format("{} messages, not {}", arrived.size(), sent.size()));
        }
        for (std::size_t i = 0; i < std::min(sent.size(), arrived.size()); ++i) {
            const bool same_octets = *sent[i].body == *arrived[i].body;
            const bool same_date = sent[i].date == arrived[i].date;
            const bool same_flags = sent[i].flags == arrived[i].flags;
            if (same_octets && same_date && same_flags) {
                ++result_.equal;
                continue;
            }
            differ(account, to,
                   fmt::format("UID {}: {}{}{}", sent[i].uid, same_octets ? "" : "other octets ",
                               same_date ? "" : "other date ", same_flags ? "" : "other flags"));
        }
    }
    void differ(std::string_view account, std::string_view mailbox, std::string_view what) {
        const auto name = imapd::decode_mutf7(mailbox);
        result_.differences.push_back(printable(
            fmt::format("{} {}: {}", account, name ? *name : std::string(mailbox), what)));
    }

    const imapd::Store& source_;
    const imapd::Store& destination_;
    Comparison result_;
};

}  // namespace

Comparison compare(const imapd::Store& source, const imapd::Store& destination,
                   const std::vector<std::string>& accounts) {
    Comparing comparing(source, destination);
    for (const std::string& account : accounts) comparing.account(account);
    return comparing.take();
}

}  // namespace imapult::demo
