// NOTIFY (RFC 5465) as far as a replicator wants it: SET and NONE for the personal mailboxes. Which
// events are named is not kept: all of them are told.

#include "tools/imapd/session.h"

namespace imapult::imapd {

Answer Session::cmd_notify(Args& args) {
    if (!args.space()) return bad("NOTIFY needs arguments");
    if (args.accept_word("NONE")) {
        notified_.reset();
        return args.at_end() ? ok("NOTIFY completed.") : bad("Invalid arguments to NOTIFY");
    }
    const bool set = args.accept_word("SET") && args.space() && args.accept('(');
    if (!set || !args.accept_word("personal") || !args.space()) {
        return bad("Invalid arguments to NOTIFY");
    }
    const auto events = args.word_list();
    if (!events || events->empty() || !args.accept(')') || !args.at_end()) {
        return bad("Invalid arguments to NOTIFY");
    }
    notified_.emplace();
    detail::Guard data(store_);
    for (const auto& [name, box] : account_->mailboxes) (*notified_)[name] = told_of(name, *box);
    return ok("NOTIFY completed.");
}

Session::Told Session::told_of(const std::string& name, const detail::Mailbox& box) const {
    return {box.uidvalidity, box.highest_modseq, account_->subscribed.contains(name)};
}

/// STATUS of mailboxes whose contents have changed, LIST of those that came, went or changed their
/// subscription; of the selected one its own responses tell.
void Session::tell_changes() {
    if (!notified_ || account_ == nullptr) return;
    detail::Guard data(store_);
    std::map<std::string, Told> now;
    for (const auto& [name, box] : account_->mailboxes) {
        const Told told = told_of(name, *box);
        now[name] = told;
        const auto before = notified_->find(name);
        const bool is_new = before == notified_->end();
        if (!is_new && before->second == told) continue;
        if (is_new || before->second.subscribed != told.subscribed) {
            write_list("LIST", name, told.subscribed ? "\\Subscribed" : "");
        }
        const bool changed = is_new || before->second.uidvalidity != told.uidvalidity ||
                             before->second.highest_modseq != told.highest_modseq;
        const bool selected = state_ == State::selected && selected_.box == box;
        if (!changed || selected || !box->selectable) continue;
        std::vector<std::string> items{"MESSAGES", "UIDNEXT", "UIDVALIDITY"};
        if (condstore_) items.emplace_back("HIGHESTMODSEQ");
        write_status(name, *box, items, false);
    }
    for (const auto& [name, told] : *notified_) {
        if (!now.contains(name)) write_list("LIST", name, "\\NonExistent");
    }
    notified_ = std::move(now);
}

}  // namespace imapult::imapd
