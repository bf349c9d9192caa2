// What people do at both ends between the passes, and sometimes during one.

#include <array>

#include "sim/simulation.h"

namespace imapult::sim {

namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, 5> kFlags{"\\Seen", "\\Flagged", "\\Answered", "\\Draft",
                                                 "$Forwarded"};

template <class T>
const T& pick(Random& random, const std::vector<T>& from) {
    return from[random.below(from.size())];
}

}  // namespace

void Simulation::remember_flags(std::size_t account, const imapd::Message& message) {
    truth_[account].dates_ever[content_of(*message.body)].insert(message.date.unix_seconds);
    auto& ever = truth_[account].flags_ever[content_of(*message.body)];
    for (const std::string_view flag : kFlags) {
        if (message.flags.has(flag)) ever.emplace(flag);
    }
    for (const std::string& keyword : message.flags.keywords()) ever.insert(keyword);
}

void Simulation::users_work(std::size_t account, std::size_t changes) {
    for (std::size_t n = 0; n < changes; ++n) {
        const double what = random_.unit();
        if (what < 0.85) {
            change_source(account, false);
        } else if (what < 0.97) {
            change_destination(account);
        } else {
            make_anew(account, random_.chance(0.5));
        }
    }
}

void Simulation::change_source(std::size_t account, bool meanwhile) {
    const std::string& name = accounts_[account];
    std::vector<imapd::MailboxView> boxes = source_.mailboxes(name);
    std::erase_if(boxes, [](const auto& box) { return !box.selectable; });
    if (boxes.empty()) return;
    const std::string box = pick(random_, boxes).name;
    const double what = random_.unit();
    if (what >= 0.95 && !meanwhile) {
        rename_or_remove(account, box);
        return;
    }
    if (what < 0.05) {
        const std::string fresh =
            scenario_.source.prefix + "New " + std::to_string(++new_mailboxes_);
        source_.create(name, fresh);
        source_.add_message(name, fresh, generator_.next());
        remember_flags(account, source_.messages(name, fresh).back());
    } else if (what < 0.5) {
        source_.add_message(name, box, generator_.next());
    }
    const auto messages = source_.messages(name, box);
    if (messages.empty()) return;
    if (what < 0.5) {
        remember_flags(account, messages.back());
    } else if (what < 0.76) {
        imapd::Message message = pick(random_, messages);
        const std::string_view flag = kFlags[random_.below(kFlags.size())];
        if (message.flags.has(flag)) {
            message.flags.remove(flag);
        } else {
            message.flags.add(flag);
        }
        source_.set_flags(name, box, message.uid, message.flags);
        remember_flags(account, message);
    } else {
        // Some neighbours leave together; more often to another mailbox than for good.
        const std::string& to = pick(random_, boxes).name;
        const bool moved = what < 0.88 && to != box;
        std::size_t at = random_.below(messages.size());
        for (std::size_t n = random_.between(1, 4); n > 0 && at < messages.size(); --n, ++at) {
            if (moved) {
                trouble_.moves = true;
                source_.add_message(name, to,
                                    imapd::NewMessage{.body = messages[at].body,
                                                      .flags = messages[at].flags,
                                                      .date = messages[at].date,
                                                      .labels = {}});
            }
            message_left(account, box, messages[at]);
            source_.expunge(name, box, messages[at].uid);
        }
    }
}

void Simulation::message_left(std::size_t account, const std::string& box,
                              const imapd::Message& message) {
    MailboxTruth& truth = truth_[account].mailboxes[inbox_folded(box)];
    const bool carried = truth.carried.erase(message.uid) > 0;
    ++(carried ? truth.kept : truth.maybe)[content_of(*message.body)];
}

/// A mailbox gets another name, its children with it; or it goes with all that is in it.
void Simulation::rename_or_remove(std::size_t account, const std::string& box) {
    const std::string& name = accounts_[account];
    if (equal_ignoring_case(box, "INBOX")) return;
    const std::string below = box + scenario_.source.separator;
    const auto boxes = source_.mailboxes(name);
    const bool has_children = scenario_.source.separator != 0 &&
                              std::any_of(boxes.begin(), boxes.end(),
                                          [&](const auto& b) { return b.name.starts_with(below); });
    trouble_.moves = true;
    auto& truth = truth_[account].mailboxes;
    if (random_.chance(0.25) && !has_children) {
        for (const auto& message : source_.messages(name, box)) message_left(account, box, message);
        source_.remove(name, box);
        return;
    }
    const std::string to = scenario_.source.prefix + "Renamed " + std::to_string(++new_mailboxes_);
    if (!source_.rename(name, box, to)) return;
    std::map<std::string, MailboxTruth> renamed;
    std::erase_if(truth, [&](auto& entry) {
        const bool follows = has_children && entry.first.starts_with(below);
        if (entry.first != box && !follows) return false;
        renamed[to + entry.first.substr(box.size())] = std::move(entry.second);
        return true;
    });
    for (auto& [unused, mailbox] : renamed) {
        // Where the servers tell too little to recognise it, it is a new mailbox.
        mailbox.carried.clear();
        for (const auto& [content, count] : std::exchange(mailbox.kept, {}))
            mailbox.maybe[content] += count;
    }
    truth.merge(renamed);
    if (random_.chance(0.4)) use_name_again(account, box, to);
}

/// Another mailbox gets the name that a renamed one had.
void Simulation::use_name_again(std::size_t account, const std::string& box,
                                const std::string& renamed) {
    const std::string& name = accounts_[account];
    if (!source_.create(name, box)) return;
    source_.add_message(name, box, generator_.next());
    remember_flags(account, source_.messages(name, box).back());
    // Where the destination cannot rename, what was copied before stays beside it.
    MailboxTruth& truth = truth_[account].mailboxes[inbox_folded(box)];
    truth.maybe = truth_[account].mailboxes[inbox_folded(renamed)].maybe;
    for (const auto& message : source_.messages(name, renamed))
        ++truth.maybe[content_of(*message.body)];
}

/// Users of the destination get mail of their own and mark messages.
void Simulation::change_destination(std::size_t account) {
    const std::string& name = accounts_[account];
    AccountTruth& truth = truth_[account];
    const auto boxes = destination_.mailboxes(name);
    if (boxes.empty()) return;
    const imapd::MailboxView view = pick(random_, boxes);
    const std::string& box = view.name;
    if (random_.chance(0.5)) {
        const std::string number = std::to_string(++own_messages_);
        const std::string body = "From: somebody@example.com\r\nMessage-ID: <own-" + number +
                                 "@example.com>\r\nSubject: Own " + number + "\r\n\r\nHere.\r\n";
        destination_.add_message(name, box, body);
        ++truth.own[view.uidvalidity][content_of(body)];
        return;
    }
    const auto messages = destination_.messages(name, box);
    if (messages.empty()) return;
    imapd::Message message = pick(random_, messages);
    if (message.flags.has(kOwnKeyword)) return;
    message.flags.add(kOwnKeyword);
    destination_.set_flags(name, box, message.uid, message.flags);
    ++truth.marked[content_of(*message.body)];
}

/// A mailbox with a new UIDVALIDITY: its messages are recognised by content, so that what was
/// deleted at the source may stand for an equal new one.
void Simulation::make_anew(std::size_t account, bool at_source) {
    imapd::Store& store = at_source ? source_ : destination_;
    const auto boxes = store.mailboxes(accounts_[account]);
    if (boxes.empty()) return;
    const imapd::MailboxView before = pick(random_, boxes);
    store.reset_uidvalidity(accounts_[account], before.name);
    if (const auto after = store.mailbox(accounts_[account], before.name); after && !at_source) {
        auto& own = truth_[account].own;
        own[after->uidvalidity] = std::exchange(own[before.uidvalidity], {});
    }
    trouble_.memory_lost = true;
    for (auto& [name, box] : truth_[account].mailboxes) {
        box.carried.clear();
        for (const auto& [content, count] : std::exchange(box.kept, {}))
            box.maybe[content] += count;
    }
}

Task<void> Simulation::users_meanwhile(runtime::Event& finished, const bool& done) {
    for (int n = 0; n < 10 && !done; ++n) {
        const Nanos until = scheduler_.now() +
                            Nanos(static_cast<std::int64_t>(
                                random_.below(static_cast<std::uint64_t>(Nanos(500ms).count()))));
        if (co_await finished.wait(until)) continue;
        change_source(random_.below(accounts_.size()), true);
    }
}

}  // namespace imapult::sim
