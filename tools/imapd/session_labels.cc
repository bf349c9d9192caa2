// Session: X-GM-LABELS. A message (by its object) has a label for every mailbox that shows it.

#include <algorithm>

#include "tools/imapd/session.h"

namespace imapult::imapd {
namespace {

std::string label_of(const std::string& name, const detail::Mailbox& box) {
    if (detail::is_inbox(name)) return "\\Inbox";
    if (box.special_use == "\\Drafts") return "\\Draft";
    if (box.special_use == "\\Flagged") return "\\Starred";
    if (box.special_use == "\\All") return "";
    return box.special_use.empty() ? name : box.special_use;
}

}  // namespace

/// The store is locked, and is at this version.
void Session::learn_labels(std::uint64_t version) {
    const bool asked = std::ranges::any_of(fetch_items_, [](const FetchItem& item) {
        return item.kind == FetchItem::Kind::gm_labels;
    });
    if (!asked || (labels_version_ == version && labels_box_ == selected_.box)) return;
    labels_version_ = version;
    labels_box_ = selected_.box;
    labels_.clear();
    for (const auto& [name, box] : account_->mailboxes) {
        const std::string label = label_of(name, *box);
        if (label.empty() || box == selected_.box) continue;
        for (const Message& one : box->messages) labels_[one.object].push_back(label);
    }
}

/// Those of other mailboxes than the selected one.
std::vector<std::string> Session::gm_labels(const Message& message) const {
    std::vector<std::string> out = message.labels;
    if (const auto found = labels_.find(message.object); found != labels_.end())
        out.insert(out.end(), found->second.begin(), found->second.end());
    return out;
}

}  // namespace imapult::imapd
