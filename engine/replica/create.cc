#include "engine/replica/create.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/base/text.h"
#include "engine/replica/patience.h"

namespace imapult::replica {
namespace {

/// CREATE (and SUBSCRIBE) for all that is missing and a new listing, in one write. Subscribing, or
/// NOOP, after each CREATE: Carbonio and Zimbra cut a connection with more than 25 CREATEs in a
/// row.
Task<Result<std::vector<session::Reply>>> create_batch(Account& account, Session& session,
                                                       std::vector<Place*> places) {
    std::vector<session::Ticket> creates;
    std::vector<session::Ticket> others;
    const bool can_use = session.capabilities().has("CREATE-SPECIAL-USE");
    for (Place* place : places) {
        auto create =
            imap::destination::create(place->name, can_use ? place->use : "", session.encoding());
        if (!create) co_return std::unexpected(std::move(create).error());
        creates.push_back(session.start_change(std::move(*create)));
        auto subscribe = imap::destination::subscribe(place->name, session.encoding());
        if (account.options.subscriptions && account.source.mailboxes[place->source].subscribed &&
            subscribe) {
            others.push_back(session.start_change(std::move(*subscribe)));
        } else {
            others.push_back(session.start(imap::source::noop()));
        }
    }
    auto listing = co_await list_mailboxes(session, {}, account.destination.asked);
    std::vector<session::Reply> replies;
    std::optional<Error> error;
    for (session::Ticket& ticket : creates) {
        auto reply = co_await session.finish(ticket);
        if (!reply) {
            if (!error) error = std::move(reply).error();
            continue;
        }
        replies.push_back(std::move(*reply));
    }
    for (session::Ticket& ticket : others) (void)co_await session.finish(ticket);
    if (error) co_return std::unexpected(std::move(*error));
    if (!listing) co_return std::unexpected(std::move(listing).error());
    account.destination = std::move(*listing);
    co_return replies;
}

/// A component without anything that some server is known to refuse.
std::string strictest(std::string_view component, char separator) {
    std::string out;
    for (const char c : holdable(component, separator, true)) {
        const bool refused_somewhere = c == '.' || c == ';';
        if (c == ' ' && out.ends_with(' ')) continue;
        out += refused_somewhere ? '_' : c;
    }
    return out;
}

/// A place's name made safe for a strict server, after a refusal.
void make_strict(Place& place, const Listing& destination, const std::vector<Place>& all) {
    const std::vector<std::string> before = place.path;
    for (std::string& part : place.path) part = strictest(part, destination.separator);
    if (place.path == before) {
        // Nothing in it can be the reason: it stands below INBOX, or the name is reserved.
        if (place.path.size() > 1 && place.path.front() == "INBOX") {
            place.path[1] = "INBOX_" + place.path[1];
            place.path.erase(place.path.begin());
        } else {
            place.path.back() += "_mail";
        }
    }
    const std::string base = place.path.back();
    place.name = wire_name(place, destination);
    const auto taken = [&] {
        return std::any_of(all.begin(), all.end(), [&](const Place& other) {
            return &other != &place && other.name == place.name;
        });
    };
    for (unsigned n = 2; taken(); ++n) {
        place.path.back() = base + " (" + std::to_string(n) + ")";
        place.name = wire_name(place, destination);
    }
    place.mapped_because = "the destination refused the name";
}

/// Read back by LIST: the server may have made another name of it.
bool read_back(Account& account, const std::vector<Place>& all, Place& place) {
    Listing& listing = account.destination;
    if (const Mailbox* exact = listing.find(place.name); exact != nullptr && exact->selectable) {
        place.exists = true;
        return true;
    }
    const std::string wanted = to_lower(place.name);
    for (const Mailbox& box : listing.mailboxes) {
        const std::string name = to_lower(box.name);
        const bool alike = name == wanted || name == trim(wanted) || box.path == place.path;
        const bool used = std::ranges::any_of(
            all, [&](const Place& other) { return &other != &place && other.name == box.name; });
        if (alike && box.selectable && !used) {
            place.name = box.name;
            place.exists = true;
            place.mapped_because = "the destination made this name of it";
            return true;
        }
    }
    return false;
}

/// Without NAMESPACE (RFC 2342) no server says that all its mailboxes lie below INBOX; a refused
/// CREATE where nothing stands elsewhere suggests it.
bool may_lie_below_inbox(const Listing& at) {
    return !at.namespaces_told && at.separator != 0 &&
           std::all_of(at.mailboxes.begin(), at.mailboxes.end(),
                       [](const Mailbox& box) { return box.path.front() == "INBOX"; });
}

/// After an error at the destination: waits, and makes the connection anew if it has ended.
Task<Result<void>> once_more(Account& account, std::unique_ptr<Session>& session,
                             Patience& patience, Error error) {
    while (true) {
        const bool lost = session == nullptr || !session->connection().alive();
        const bool temporary = error.retry != Retry::never && (lost || asks_for_patience(error));
        if (!temporary || patience.exhausted(error) || account.stopping())
            co_return std::unexpected(std::move(error));
        co_await patience.wait(error, Side::destination);
        if (!lost) co_return Result<void>{};
        if (session != nullptr) {
            co_await session->close(false);
            account.count_wire(*session);
            session.reset();
        }
        auto opened = co_await Session::open(account.environment, account.destination_endpoint,
                                             Side::destination);
        if (opened) {
            session = std::move(*opened);
            co_return Result<void>{};
        }
        error = std::move(opened).error();
    }
}

/// After a lost answer: what stands there now. Those that are there are taken out of `missing`.
Task<Result<void>> look_again(Account& account, std::unique_ptr<Session>& session,
                              Patience& patience, const std::vector<Place>& all,
                              std::vector<Place*>& missing) {
    while (true) {
        auto listed = co_await list_mailboxes(*session, {}, account.destination.asked);
        if (!listed) {
            auto again = co_await once_more(account, session, patience, std::move(listed).error());
            if (!again) co_return again;
            continue;
        }
        account.destination = std::move(*listed);
        const auto made =
            std::erase_if(missing, [&](Place* place) { return read_back(account, all, *place); });
        account.summary.mailboxes.created += made;
        if (made > 0) patience.progress();
        co_return Result<void>{};
    }
}

}  // namespace

Task<Result<void>> create_missing(Account& account, std::unique_ptr<Session>& session,
                                  std::vector<Place>& all) {
    std::vector<Place*> missing;
    for (Place& place : all) {
        if (!place.exists) missing.push_back(&place);
    }
    enum class Names : std::uint8_t { as_planned, once_more, below_inbox, strict };
    Names names = Names::as_planned;
    bool is_below_inbox = false;
    std::map<const Place*, std::string> why;  // the last refusal of each
    Patience patience(account, 2);
    unsigned fruitless = 0;
    while (!missing.empty()) {
        auto replies = co_await create_batch(account, *session, missing);
        if (!replies) {
            auto again = co_await once_more(account, session, patience, std::move(replies).error());
            if (again) again = co_await look_again(account, session, patience, all, missing);
            if (!again) co_return again;
            continue;
        }
        std::vector<Place*> refused, put_off;
        std::optional<Error> wait;
        for (std::size_t i = 0; i < missing.size() && i < replies->size(); ++i) {
            Place* place = missing[i];
            if (read_back(account, all, *place)) {
                patience.progress();
                fruitless = 0;
                ++account.summary.mailboxes.created;
                is_below_inbox = is_below_inbox || names == Names::below_inbox;
                continue;
            }
            const session::Reply& reply = (*replies)[i];
            Error error = session::refusal(reply, account.destination_endpoint.url(),
                                           "create the mailbox " + printable(place->name));
            // A limit of the number of mailboxes does not pass by waiting.
            const bool passes = error.retry_after.count() > 0 || fruitless < kPutOffsMax;
            if (asks_for_patience(error) && passes && !patience.exhausted()) {
                put_off.push_back(place);
                wait = std::move(error);
                continue;
            }
            if ((error.retry == Retry::later && passes) || error.code == Code::over_quota) {
                error.scope = Scope::account;
                co_return std::unexpected(std::move(error));
            }
            account.log(report::LogLevel::info, error.text);
            why[place] = std::move(error.text);
            refused.push_back(place);
        }
        if (wait) {
            // Those that were put off are asked for again before any name is changed.
            ++fruitless;
            co_await patience.wait(std::move(*wait), Side::destination);
            if (account.stopping()) co_return Result<void>{};
            missing = std::move(refused);
            missing.insert(missing.end(), put_off.begin(), put_off.end());
            continue;
        }
        missing = std::move(refused);
        // The name need not be the reason: a passing trouble must not change it for good.
        if (names == Names::as_planned) {
            names = Names::once_more;
            continue;
        }
        Listing naming = account.destination;
        const bool may_be_below =
            names == Names::once_more && may_lie_below_inbox(account.destination);
        if (may_be_below || is_below_inbox) naming.prefix = std::string("INBOX") + naming.separator;
        if (may_be_below) {
            names = Names::below_inbox;
            for (Place* place : missing) place->name = wire_name(*place, naming);
        } else if (names != Names::strict) {
            names = Names::strict;
            for (Place* place : missing) make_strict(*place, naming, all);
        } else {
            break;
        }
    }
    // What could not be created is listed as a whole.
    for (Place* place : missing) {
        const Mailbox& box = account.source.mailboxes[place->source];
        report::Refusal refusal;
        refusal.account = account.summary.account;
        refusal.mailbox = printable(box.display());
        refusal.reason = why[place];
        refusal.count = box.messages.value_or(0);
        account.observer.message_refused(account.index, refusal);
        account.summary.refusals.push_back(std::move(refusal));
        ++account.summary.mailboxes.failed;
        account.summary.messages.source += box.messages.value_or(0);
        account.summary.messages.refused += box.messages.value_or(0);
        place->name.clear();
    }
    co_return Result<void>{};
}

Task<void> subscribe_existing(Account& account, Session& session,
                              const std::vector<Place>& places) {
    if (!account.options.subscriptions) co_return;
    std::vector<session::Ticket> tickets;
    for (const Place& place : places) {
        if (place.name.empty() || !account.source.mailboxes[place.source].subscribed) continue;
        const Mailbox* there = account.destination.find(place.name);
        if (there == nullptr || there->subscribed) continue;
        auto subscribe = imap::destination::subscribe(place.name, session.encoding());
        if (subscribe) tickets.push_back(session.start_change(std::move(*subscribe)));
    }
    for (session::Ticket& ticket : tickets) (void)co_await session.finish(ticket);
}

}  // namespace imapult::replica
