// Session: SELECT and EXAMINE with CONDSTORE and QRESYNC (RFC 7162), and what ends a selection.

#include <algorithm>

#include "engine/base/text.h"
#include "tools/imapd/session.h"

namespace imapult::imapd {
namespace {

/// The parameters behind the mailbox's name.
struct SelectParameters {
    bool condstore = false;
    bool qresync = false;
    std::uint64_t uidvalidity = 0;
    std::uint64_t modseq = 0;
    std::optional<NumberSet> known;
};

bool read_qresync(Args& args, SelectParameters& out) {
    if (!args.space() || !args.accept('(')) return false;
    const auto uidvalidity = args.number();
    const auto modseq = uidvalidity && args.space() ? args.number() : std::nullopt;
    if (!modseq) return false;
    out.qresync = true;
    out.uidvalidity = *uidvalidity;
    out.modseq = *modseq;
    if (args.space() && args.peek() != '(') {
        out.known = NumberSet::parse(args.atom().value_or(""), UINT32_MAX);
        if (!out.known) return false;
        args.space();
    }
    // Known sequence numbers and their UIDs are only a hint to the server (section 3.2.5.2).
    if (args.accept('(')) {
        args.atom();
        if (!args.space() || !args.atom() || !args.accept(')')) return false;
    }
    return args.accept(')');
}

bool read_parameters(Args& args, SelectParameters& out) {
    if (!args.space()) return true;
    if (!args.accept('(')) return false;
    while (!args.accept(')')) {
        if (args.accept_word("CONDSTORE")) {
            out.condstore = true;
        } else if (!args.accept_word("QRESYNC") || !read_qresync(args, out)) {
            return false;
        }
        args.space();
    }
    return true;
}

}  // namespace

Answer Session::cmd_select(Args& args) {
    return select(args, false);
}
Answer Session::cmd_examine(Args& args) {
    return select(args, true);
}

Answer Session::select(Args& args, bool read_only) {
    std::optional<std::string> name;
    if (args.space()) name = args.astring();
    SelectParameters parameters;
    if (!name || !read_parameters(args, parameters) || !args.at_end()) {
        return bad("Invalid arguments to SELECT");
    }
    if (b_->trailing_blank_drops_select && name->ends_with(' ')) {
        reset_connection();
        return std::nullopt;
    }
    if (b_->locked_mailboxes.contains(*name)) {
        close("Mailbox is locked for maintenance");
        return std::nullopt;
    }
    if (parameters.condstore && !offers("CONDSTORE")) return bad("CONDSTORE is not known here");
    if (parameters.qresync && !qresync_) return bad("QRESYNC is not enabled");
    detail::Guard data(store_);
    if (state_ == State::selected) {
        if (qresync_) untagged("OK [CLOSED] Previous mailbox closed.");
        unselect();
    }
    std::string key;
    const auto box = find(data, *name, &key);
    const bool hidden = std::ranges::find(b_->hidden_names, key) != b_->hidden_names.end();
    if (!box || !box->selectable || hidden)
        return no(b_->noselect_untold ? "Mailbox doesn't exist"
                                      : "[NONEXISTENT] Mailbox doesn't exist");
    if (!may(*box, 'r')) return no("[NOPERM] Permission denied");
    if (parameters.condstore) condstore_ = true;
    if (b_->uidvalidity_changes_on_select) box->uidvalidity = data->next_uidvalidity++;
    selected_ = {.name = key, .box = box, .read_only = read_only};
    state_ = State::selected;
    write_selected(*box);
    if (parameters.qresync && parameters.uidvalidity == box->uidvalidity) {
        write_resync(parameters.modseq, parameters.known);
    }
    return ok(read_only ? "[READ-ONLY] Examine completed." : "[READ-WRITE] Select completed.");
}

void Session::write_selected(detail::Mailbox& box) {
    Selected& s = selected_;
    const std::size_t cap = uid_only_ ? 0 : b_->visible_messages_max;
    const std::size_t skip = cap != 0 && box.messages.size() > cap ? box.messages.size() - cap : 0;
    s.uids.reserve(box.messages.size() - skip);
    std::optional<std::size_t> unseen;
    for (std::size_t i = skip; i < box.messages.size(); ++i) {
        if (!unseen && !box.messages[i].flags.has(FlagSet::kSeen)) unseen = i - skip + 1;
        s.uids.push_back(box.messages[i].uid);
    }
    s.uidnext_seen = box.uidnext;
    s.flags_seen = box.highest_modseq;
    s.expunged_seen = box.expunged.size();

    std::string flags = R"(\Answered \Flagged \Deleted \Seen \Draft)";
    for (const std::string& k : box.keywords) flags += ' ' + k;
    for (const std::string& k : b_->keywords_allowed) {
        if (std::ranges::find(box.keywords, k) == box.keywords.end()) flags += ' ' + k;
    }
    untagged("FLAGS (" + flags + ")");
    const std::string permanent = s.read_only ? "" : flags + (b_->keywords_creatable ? " \\*" : "");
    untagged("OK [PERMANENTFLAGS (" + permanent + ")] Flags permitted.");
    untagged(std::to_string(s.uids.size()) + " EXISTS");
    untagged("0 RECENT");
    if (unseen) untagged("OK [UNSEEN " + std::to_string(*unseen) + "] First unseen.");
    untagged("OK [UIDVALIDITY " + std::to_string(box.uidvalidity) + "] UIDs valid");
    untagged("OK [UIDNEXT " + std::to_string(b_->uidnext_zero ? 0 : box.uidnext) +
             "] Predicted next UID");
    if (offers("CONDSTORE")) {
        untagged("OK [HIGHESTMODSEQ " + std::to_string(box.highest_modseq) + "] Highest");
    }
    if (offers("OBJECTID")) untagged("OK [MAILBOXID (" + box.id + ")] Mailbox id");
}

std::string Session::vanished_set(const NumberSet& set) const {
    // iCloud's way to write it, which no parser takes for a set.
    return b_->vanished_malformed ? set.text() + ",:" : set.text();
}

/// What was expunged since `modseq`.
void Session::write_gone(std::uint64_t modseq, const std::optional<NumberSet>& known) {
    std::vector<std::uint32_t> uids;
    for (const detail::Expunged& e : selected_.box->expunged) {
        if (e.modseq > modseq && (!known || known->contains(e.uid))) uids.push_back(e.uid);
    }
    std::ranges::sort(uids);
    NumberSet gone;
    for (const std::uint32_t uid : uids) gone.add(uid);
    if (!gone.empty()) untagged("VANISHED (EARLIER) " + vanished_set(gone));
}

/// What happened since `modseq` (RFC 7162, section 3.2.5).
void Session::write_resync(std::uint64_t modseq, const std::optional<NumberSet>& known) {
    write_gone(modseq, known);
    for (const Message& m : selected_.box->messages) {
        if (m.modseq <= modseq || (known && !known->contains(m.uid))) continue;
        if (const auto index = index_of(m.uid)) write_flags_line(m, *index, true);
    }
}

void Session::unselect() {
    selected_ = {};
    saved_search_.clear();
    state_ = State::authenticated;
}

Answer Session::cmd_check(Args&) {
    return ok("Check completed.");
}

Answer Session::cmd_unselect(Args&) {
    unselect();
    return ok("Unselect completed.");
}

Answer Session::cmd_close(Args&) {
    if (!selected_.read_only) {
        detail::Guard data(store_);
        const auto gone = selected_.box->expunge_if(
            [](const Message& m) { return m.flags.has(FlagSet::kDeleted); });
        if (!gone.empty()) ++data->version;
    }
    unselect();
    return ok("Close completed.");
}

Answer Session::cmd_expunge(Args& args) {
    if (!uid_) return args.at_end() ? expunge(std::nullopt) : bad("EXPUNGE takes no arguments");
    if (!offers("UIDPLUS")) return bad("Unknown command");
    const auto set = args.space() ? args.atom() : std::nullopt;
    auto uids = set ? resolve(*set, true) : std::nullopt;
    if (!uids || !args.at_end()) return bad("Invalid arguments to UID EXPUNGE");
    return expunge(uids);
}

Answer Session::expunge(const std::optional<std::vector<std::uint32_t>>& only) {
    if (selected_.read_only) return no("[READ-ONLY] Mailbox is read-only");
    detail::Guard data(store_);
    const auto gone = selected_.box->expunge_if([&only](const Message& m) {
        return m.flags.has(FlagSet::kDeleted) &&
               (!only || std::ranges::binary_search(*only, m.uid));
    });
    if (!gone.empty()) ++data->version;
    const bool modseq = condstore_ && !gone.empty();
    return ok(
        (modseq ? "[HIGHESTMODSEQ " + std::to_string(selected_.box->highest_modseq) + "] " : "") +
        "Expunge completed.");
}

Answer Session::cmd_idle(Args& args) {
    if (!args.at_end()) return bad("IDLE takes no arguments");
    out_.text() += "+ idling\r\n";
    phase_ = Phase::idle;
    poll();
    return std::nullopt;
}

}  // namespace imapult::imapd
