// What must hold after a pass, seen from both servers and from the ledger.

#include <algorithm>
#include <sstream>

#include "engine/replica/job.h"
#include "sim/simulation.h"

namespace imapult::sim {

namespace {

std::set<std::string> words(const imapd::FlagSet& flags) {
    std::istringstream in(flags.text());
    std::set<std::string> out;
    for (std::string word; in >> word;) out.insert(word);
    return out;
}

std::string joined(const std::set<std::string>& all) {
    std::string out = "(";
    for (const std::string& word : all) out += (out.size() > 1 ? " " : "") + word;
    return out + ")";
}

std::string title(const imapd::Message& message) {
    const std::string& body = *message.body;
    const std::size_t at = body.find("Message-ID:");
    return "UID " + std::to_string(message.uid) + " of " + std::to_string(body.size()) + " octets" +
           (at == std::string::npos ? "" : ", " + body.substr(at, body.find('\r', at) - at));
}

using Groups = std::map<Content, std::vector<const imapd::Message*>>;

Groups by_content(const std::vector<imapd::Message>& messages) {
    Groups out;
    for (const auto& message : messages) out[content_of(*message.body)].push_back(&message);
    return out;
}

std::multiset<std::int64_t> dates(const std::vector<const imapd::Message*>& messages) {
    std::multiset<std::int64_t> out;
    for (const auto* message : messages) out.insert(message->date.unix_seconds);
    return out;
}

}  // namespace

void Simulation::check_books(const std::string& when, const PassPlan& plan,
                             const report::AccountSummary& summary) {
    const report::MessageCounts& m = summary.messages;
    const std::string who = when + ", " + summary.account;
    if (!m.balanced()) {
        problem(who, "the books do not balance: source " + std::to_string(m.source) +
                         ", already there " + std::to_string(m.already_there) + ", copied " +
                         std::to_string(m.copied) + ", adopted " + std::to_string(m.adopted) +
                         ", refused " + std::to_string(m.refused));
    }
    std::uint64_t listed = 0;
    for (const auto& refusal : summary.refusals) {
        listed += refusal.count;
        if (refusal.reason.empty()) problem(who, "a refusal without a reason");
        // A mailbox is put aside, like an account, where every connection ends.
        // A message in flight whenever one ended is put aside, too, until a pass is calm.
        const bool put_aside = trouble_.connections &&
                               (refusal.uid == 0 || (!plan.undisturbed() &&
                                                     refusal.reason == replica::kConnectionEnded));
        if (!scenario_.refusing && !put_aside) {
            problem(who, "refused although the server takes everything: " + refusal.mailbox + " " +
                             std::to_string(refusal.uid) + ": " + refusal.reason);
        }
    }
    using enum report::RunResult;
    const bool finished = summary.result == complete || summary.result == partial;
    if (finished && listed != m.refused) {
        problem(who, std::to_string(m.refused) + " messages refused, " + std::to_string(listed) +
                         " explained");
    }
}

void Simulation::check_equal(const std::string& when, std::size_t account,
                             const report::AccountSummary& summary) {
    const auto ledger = open_ledger();
    if (!ledger) return;
    const std::string who = when + ", " + accounts_[account];
    const auto rows = ledger->accounts();
    const auto row = rows ? std::find_if(rows->begin(), rows->end(),
                                         [&](const auto& r) { return r.source == summary.source; })
                          : decltype(rows->begin()){};
    if (!rows || row == rows->end()) return problem(who, "the ledger does not know the account");
    const auto records = ledger->mailboxes(row->id);
    const auto refusals = ledger->refusals(row->id);
    if (!records || !refusals) return problem(who, "the ledger cannot be read");

    std::map<dedup::MailboxId, std::set<std::uint32_t>> refused;
    for (const auto& refusal : *refusals) refused[refusal.mailbox].insert(refusal.source_uid);
    std::map<std::string, const dedup::MailboxRecord*> by_source;
    std::set<std::string> destinations;
    for (const auto& record : *records) {
        const auto intents = ledger->intents(record.id);
        if (!intents || (!record.archived && !intents->empty())) {
            problem(who, record.source_name + ": intents are left in the ledger");
        }
        if (record.archived) continue;
        if (!by_source.emplace(record.source_name, &record).second) {
            problem(who, record.source_name + ": stands twice in the ledger");
        }
        if (!destinations.insert(record.destination_name).second) {
            problem(who, record.destination_name + ": two mailboxes were copied into it");
        }
    }
    check_marks(who, account);
    std::uint64_t total = 0;
    for (const auto& box : source_.mailboxes(accounts_[account])) {
        if (!box.selectable) continue;
        total += box.messages;
        const auto place = by_source.find(box.name);
        if (place == by_source.end()) {
            problem(who, box.name + ": the ledger does not know it");
            continue;
        }
        check_mailbox(who, account, *place->second, refused[place->second->id]);
    }
    if (summary.messages.source != total) {
        problem(who, "the report counts " + std::to_string(summary.messages.source) +
                         " messages at the source, there are " + std::to_string(total));
    }
}

void Simulation::check_mailbox(const std::string& when, std::size_t account,
                               const dedup::MailboxRecord& record,
                               const std::set<std::uint32_t>& refused) {
    const std::string where = when + ", " + record.source_name;
    auto there = source_.messages(accounts_[account], record.source_name);
    const auto here = destination_.messages(accounts_[account], record.destination_name);
    std::erase_if(there, [&](const auto& message) { return refused.contains(message.uid); });
    AccountTruth& truth = truth_[account];
    MailboxTruth& box = truth.mailboxes[inbox_folded(record.source_name)];

    // What is gone at the source: kept, or with --delete mirror deleted unless somebody changed it.
    Counts must = scenario_.mirror ? Counts{} : box.kept;
    Counts may = box.maybe;
    const bool exact = !trouble_.connections && !trouble_.memory_lost && !trouble_.adoption;
    const bool deleted = exact && !scenario_.fuse && scenario_.destination.offers("UIDPLUS");
    for (const auto& [content, count] : box.kept) {
        if (scenario_.mirror)
            may[content] += deleted ? std::min(count, truth.marked[content]) : count;
    }
    for (const auto& message : there) ++must[content_of(*message.body)];
    const auto view = destination_.mailbox(accounts_[account], record.destination_name);
    if (!view) return problem(where, "there is no such mailbox at the destination");
    for (const auto& [content, count] : truth.own[view->uidvalidity]) must[content] += count;
    Counts found;
    std::map<Content, const imapd::Message*> sample;
    for (const auto& message : there) sample[content_of(*message.body)] = &message;
    for (const auto& message : here) {
        ++found[content_of(*message.body)];
        sample[content_of(*message.body)] = &message;
    }
    for (const auto& [content, count] : must) {
        const std::size_t is = found[content];
        const std::string what = sample.contains(content)
                                     ? title(*sample[content])
                                     : std::string("a message that is gone at the source");
        if (is < count) {
            problem(where, "lost: " + what + ": " + std::to_string(is) + " of " +
                               std::to_string(count) + " at the destination");
        }
    }
    for (const auto& [content, count] : found) {
        const std::size_t most = must[content] + may[content];
        if (count > most) {
            problem(where, (must[content] == 0 ? "not of the source: " : "doubled: ") +
                               title(*sample[content]) + ": " + std::to_string(count) +
                               " at the destination, at most " + std::to_string(most) +
                               " should be");
        }
    }
    check_details(where, account, there, here);
    box.carried.clear();
    for (const auto& message : there) box.carried.insert(message.uid);
}

/// What the destination's users marked stays, wherever it is carried; a copy of it is marked, too.
void Simulation::check_marks(const std::string& when, std::size_t account) {
    Counts marked;
    for (const auto& box : destination_.mailboxes(accounts_[account])) {
        for (const auto& message : destination_.messages(accounts_[account], box.name)) {
            if (message.flags.has(kOwnKeyword)) ++marked[content_of(*message.body)];
        }
    }
    const Counts& before = truth_[account].marked;
    const bool some_lost = std::any_of(before.begin(), before.end(), [&](const auto& entry) {
        return marked[entry.first] < entry.second;
    });
    const bool more = std::any_of(marked.begin(), marked.end(), [&](const auto& entry) {
        const auto known = before.find(entry.first);
        return entry.second > (known == before.end() ? 0 : known->second);
    });
    if (some_lost || (more && !trouble_.moves))
        problem(when, "what the destination's users marked is not as they left it");
}

/// Dates, flags and order, as exactly as the seed's history allows.
void Simulation::check_details(const std::string& when, std::size_t account,
                               const std::vector<imapd::Message>& source,
                               const std::vector<imapd::Message>& destination) {
    if (scenario_.refusing) return;  // a refused message is tried again with less and less
    const bool exact = !trouble_.connections && !trouble_.memory_lost && !trouble_.adoption;
    const bool uids_told = scenario_.destination.offers("UIDPLUS");
    Groups here = by_content(destination);
    for (const auto& [content, from] : by_content(source)) {
        const auto& to = here[content];
        if (from.size() != to.size()) continue;  // some were deleted at the source
        // Where somebody's memory was lost, a copy may have been taken for that of an equal message
        // that is gone: then it has that one's date.
        const auto& ever_dated = truth_[account].dates_ever[content];
        const bool known_dates = std::ranges::all_of(to, [&](const auto* message) {
            return ever_dated.contains(message->date.unix_seconds);
        });
        const bool dates_fit =
            dates(from) == dates(to) || (trouble_.memory_lost && !exact && known_dates);
        if ((exact || from.size() == 1) && !dates_fit) {
            problem(when, "another INTERNALDATE: " + title(*from.front()));
        }
        if (from.size() != 1) continue;
        const auto want = words(from.front()->flags);
        auto is = words(to.front()->flags);
        is.erase(std::string(kOwnKeyword));
        const auto& ever = truth_[account].flags_ever[content];
        const bool lacks = !std::includes(is.begin(), is.end(), want.begin(), want.end());
        const bool strange = !std::includes(ever.begin(), ever.end(), is.begin(), is.end());
        if ((uids_told && (lacks || (exact && is != want))) || strange) {
            problem(when, "other flags: " + title(*from.front()) + ": " + joined(want) +
                              " at the source, " + joined(is) + " at the destination");
        }
    }
    if (!exact) return;
    auto next = destination.begin();
    for (const auto& message : source) {
        const Content content = content_of(*message.body);
        next = std::find_if(next, destination.end(),
                            [&](const auto& other) { return content_of(*other.body) == content; });
        if (next == destination.end()) {
            return problem(when, "out of order from " + title(message) + " on");
        }
        ++next;
    }
}

std::string Simulation::picture(const imapd::Store& store) const {
    std::ostringstream out;
    for (const std::string& account : accounts_) {
        for (const auto& box : store.mailboxes(account)) {
            out << account << ' ' << box.name << ' ' << box.uidvalidity << ' ' << box.uidnext << ' '
                << box.subscribed << '\n';
            for (const auto& message : store.messages(account, box.name)) {
                out << message.uid << ' ' << message.flags.text() << ' '
                    << content_of(*message.body) << '\n';
            }
        }
    }
    return out.str();
}

void Simulation::check_untouched(const std::string& when, const Summaries& summaries,
                                 const std::string& before) {
    for (const auto& summary : summaries) {
        const auto& m = summary.messages;
        if (m.copied + m.adopted + m.flags_updated + m.moved + m.deleted > 0) {
            problem(when, summary.account + ": nothing had changed, but " +
                              std::to_string(m.copied) + " messages were copied, " +
                              std::to_string(m.adopted) + " adopted and flags of " +
                              std::to_string(m.flags_updated) + " changed");
        }
    }
    if (picture(destination_) != before) problem(when, "the destination was changed");
}

}  // namespace imapult::sim
