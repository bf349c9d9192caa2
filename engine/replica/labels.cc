#include "engine/replica/labels.h"

#include <algorithm>
#include <climits>

#include "engine/base/text.h"
#include "engine/replica/flags.h"
#include "imap/command.h"
#include "imap/mailbox_name.h"

namespace imapult::replica {
namespace {

using report::LabelPolicy;

/// The word that X-GM-LABELS has for a mailbox of Gmail's own.
std::string_view system_label(const Mailbox& box) {
    switch (box.role) {
        case Role::inbox:
            return "\\Inbox";
        case Role::sent:
            return "\\Sent";
        case Role::drafts:
            return "\\Draft";
        default:
            return "";
    }
}

/// Better ones are smaller; the mailboxes of one kind keep their order.
unsigned kind_of(const Mailbox& box, LabelPolicy policy) {
    if (box.role == Role::all) return 9;
    const bool own_label = box.role == Role::none || box.role == Role::archive;
    switch (policy) {
        case LabelPolicy::mailboxes:
            return 1;
        case LabelPolicy::first:
            return own_label ? 1 : box.role == Role::inbox ? 3 : 2;
        case LabelPolicy::keywords:
            return own_label ? 3 : box.role == Role::inbox ? 1 : 2;
    }
    return 9;
}

bool is_user_label(const Mailbox& box) {
    return box.space == Space::personal && (box.role == Role::none || box.role == Role::archive);
}

}  // namespace

Labels::Labels(const Listing& source, const Placement& placement, LabelPolicy policy)
    : policy_(policy) {
    is_archive_left_out_ = std::ranges::any_of(source.mailboxes, [&](const Mailbox& box) {
        const bool placed = std::ranges::any_of(placement.places, [&](const Place& place) {
            return &source.mailboxes[place.source] == &box && !place.name.empty();
        });
        return box.role == Role::all && box.space == Space::personal && !placed;
    });
    for (const Place& place : placement.places) {
        const Mailbox& box = source.mailboxes[place.source];
        if (box.space != Space::personal || place.name.empty()) continue;
        Box is;
        is.rank = kind_of(box, policy) << 20 | static_cast<unsigned>(place.source & 0xFFFFF);
        is.alone = box.role == Role::trash || box.role == Role::junk;
        is.represents = !is.alone && (box.role == Role::all || policy != LabelPolicy::mailboxes);
        boxes_[box.name] = is;
        if (is.alone || box.role == Role::all) continue;
        const std::string_view system = system_label(box);
        ranks_[system.empty() ? box.name : std::string(system)] = is.rank;
    }
}

const Labels::Box& Labels::box(const std::string& wire_name) const {
    static const Box kNone{.rank = 0, .alone = true, .represents = false};
    const auto found = boxes_.find(wire_name);
    return found == boxes_.end() ? kNone : found->second;
}

std::optional<unsigned> Labels::home(const std::vector<std::string_view>& labels) const {
    std::optional<unsigned> best;
    for (const std::string_view label : labels) {
        const auto rank = ranks_.find(label);
        if (rank != ranks_.end()) best = std::min(best.value_or(UINT_MAX), rank->second);
    }
    return best;
}

bool Labels::is_elsewhere(const Box& here, const std::vector<std::string_view>& labels) const {
    if (here.alone) return false;
    return home(labels).value_or(UINT_MAX) < here.rank;
}

std::optional<dedup::Flags> flags_of(const imap::Fetch& fetch, const LabelView* view) {
    if (!fetch.flags) return std::nullopt;
    if (view == nullptr || !view->labels->as_keywords()) return parse_flags(*fetch.flags);
    if (!fetch.gm_labels) return std::nullopt;
    std::vector<std::string> keywords;
    for (const std::string_view label : *fetch.gm_labels) {
        std::string word = keyword_of_label(label);
        if (!word.empty()) keywords.push_back(std::move(word));
    }
    std::vector<std::string_view> words = *fetch.flags;
    words.insert(words.end(), keywords.begin(), keywords.end());
    return parse_flags(words);
}

std::string keyword_of_label(std::string_view label) {
    if (equal_ignoring_case(label, "\\Important")) return "$Important";
    if (label.empty() || label.starts_with('\\')) return "";
    std::string out;
    for (const char c : imap::decode_mailbox_name(label).utf8) {
        const auto byte = static_cast<std::uint8_t>(c);
        if ((byte & 0xC0) == 0x80) continue;  // a character becomes one _
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
        out += plain ? c : '_';
    }
    return out.substr(0, 50);
}

std::string leave_out_views(Listing& source, const NameOptions& options, LabelPolicy policy) {
    if (!source.gmail) return "";
    const bool has_all = std::ranges::any_of(source.mailboxes, [&](const Mailbox& box) {
        return box.role == Role::all && box.selectable && is_selected(box.display(), options);
    });
    const bool hidden = std::ranges::none_of(
        source.mailboxes, [](const Mailbox& box) { return box.role == Role::all; });
    std::size_t views = 0, labels = 0;
    for (Mailbox& box : source.mailboxes) {
        if (!box.selectable || !box.left_out.empty() || box.space != Space::personal) continue;
        if (box.role == Role::flagged || box.role == Role::important) {
            box.left_out = "Gmail shows there what stands in other mailboxes";
            ++views;
        } else if (policy == LabelPolicy::keywords && has_all && is_user_label(box)) {
            box.left_out = "its label becomes a keyword";
            ++labels;
        }
    }
    std::string out = "Gmail: every message is fetched once; ";
    switch (policy) {
        case LabelPolicy::mailboxes:
            out += "each label is a mailbox, All Mail gets what has no label";
            break;
        case LabelPolicy::first:
            out +=
                "each message goes to one mailbox: its first label's, else Sent or Drafts, else "
                "INBOX, else All Mail";
            break;
        case LabelPolicy::keywords:
            out += has_all ? std::to_string(labels) + " labels become keywords"
                           : "All Mail is not copied, so that labels become mailboxes, too";
            break;
    }
    if (hidden)
        out +=
            "; All Mail is hidden from IMAP: what is archived is not copied, and cannot be told "
            "from what is deleted";
    if (views > 0) out += "; Starred and Important are no mailboxes of their own";
    return out;
}

}  // namespace imapult::replica
