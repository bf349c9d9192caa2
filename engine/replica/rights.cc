#include "engine/replica/rights.h"

#include <deque>
#include <map>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/replica/patience.h"
#include "engine/replica/rights_text.h"

namespace imapult::replica {
namespace {

using imap::destination::RightsMode;

Dialect dialect_of(const Listing& listing, const imap::CapabilitySet& can) {
    Dialect out;
    bool letters_told = false;
    for (const std::string& name : can.names())
        letters_told = letters_told || name.starts_with("RIGHTS=");
    if (listing.is_zimbra()) {
        out.letters = Dialect::Letters::zimbra;
    } else if (can.has("ACL2=UNION")) {
        out.letters = Dialect::Letters::courier;
    } else if (!letters_told) {
        out.letters = Dialect::Letters::rfc2086;
    }
    const auto name = listing.id.find("name");
    const std::string product = name == listing.id.end() ? "" : to_lower(name->second);
    if (product.find("dovecot") != std::string::npos) out.groups = Dialect::Groups::dollar;
    if (product.find("cyrus") != std::string::npos) out.groups = Dialect::Groups::colon;
    return out;
}

class Rights {
  public:
    Rights(Account& account, Sessions& sessions, std::vector<RightsTarget> targets, bool only_new)
        : account_(account),
          sessions_(sessions),
          targets_(std::move(targets)),
          only_new_(only_new) {}

    Task<Result<void>> run() {
        const imap::CapabilitySet& can = sessions_.destination->capabilities();
        writes_ = can.has("ACL") && account_.options.rights != report::RightsPolicy::list;
        dialect_ = dialect_of(account_.destination, can);
        auto bases = co_await read_bases();
        if (!bases) co_return bases;
        if (only_new_)
            std::erase_if(targets_, [&](const auto& t) { return bases_.contains(t.id); });
        constexpr std::size_t kTogether = 100;
        for (std::size_t i = 0; i < targets_.size() && !account_.stopping(); i += kTogether) {
            auto done = co_await batch(i, std::min(i + kTogether, targets_.size()));
            if (!done) co_return done;
        }
        co_return Result<void>{};
    }

  private:
    /// What one mailbox's entry asks of the destination.
    struct Change {
        std::size_t target = 0;
        AclChange change;
        std::string spoken;  ///< the identifier there
        std::string add, remove;
        session::Ticket added, taken;
    };

    Task<Result<void>> read_bases() {
        dedup::Ledger& ledger = account_.ledger;
        const dedup::AccountId id = account_.id;
        auto read = co_await account_.read_ledger([&ledger, id] { return ledger.rights(id); });
        if (!read) co_return std::unexpected(std::move(read).error());
        for (dedup::RightsRecord& record : *read) {
            bases_[record.mailbox] = acl_of_text(record.text);
            stored_[record.mailbox] = std::move(record.text);
        }
        co_return Result<void>{};
    }

    Task<Result<void>> batch(std::size_t first, std::size_t last) {
        Session& source = *sessions_.source;
        std::deque<AclSink> sinks;
        std::vector<session::Ticket> asked, between;
        for (std::size_t i = first; i < last; ++i) {
            auto get = imap::source::get_acl(targets_[i].source->name, source.encoding());
            AclSink& sink = sinks.emplace_back(targets_[i].source->name);
            asked.push_back(get ? source.start(std::move(*get), &sink) : nullptr);
            // Others' mailboxes refuse it: never many refusals in a row (Carbonio, Zimbra).
            if (targets_[i].source->space != Space::personal)
                between.push_back(source.start(imap::source::noop()));
        }
        std::vector<Change> changes;
        std::optional<Error> error;
        for (std::size_t i = first; i < last; ++i) {
            if (!asked[i - first]) continue;
            auto reply = co_await source.finish(asked[i - first]);
            if (!reply && !error) error = std::move(reply).error();
            if (reply && !error)
                error = throttled(*reply, source.connection().peer(), "tell its rights");
            // A NO: rights that this account may not see are not its to give.
            if (reply && reply->ok()) compare(i, sinks[i - first], changes);
        }
        for (session::Ticket& ticket : between) (void)co_await source.finish(ticket);
        if (error) co_return std::unexpected(std::move(*error));
        co_return co_await write(std::move(changes));
    }

    [[nodiscard]] bool is_owner(const RightsTarget& target, const Grantee& who) const {
        if (who.kind == Grantee::Kind::server) return true;
        if (who.kind != Grantee::Kind::user || who.negative) return false;
        if (equal_ignoring_case(who.name, account_.source_endpoint.admin)) return true;
        if (target.source->space == Space::other)
            return equal_ignoring_case(who.name, target.source->path[target.source->root]);
        return target.source->space == Space::personal && account_.translation().is_self(who.name);
    }

    void compare(std::size_t index, const AclSink& told, std::vector<Change>& changes) {
        const RightsTarget& target = targets_[index];
        Acl now;
        for (const auto& [identifier, letters] : told.entries) {
            const std::string rights = plain_rights(letters);
            if (!rights.empty() && !is_owner(target, parse_identifier(identifier)))
                now[identifier] = rights;
        }
        Acl& base = bases_[target.id];
        for (AclChange& change : replica::changes(base, now)) {
            const Grantee who = translated(change.identifier);
            const auto spoken = write_identifier(who, change.identifier, dialect_);
            const std::string before = write_rights(change.before, dialect_.letters);
            const std::string after = write_rights(change.now, dialect_.letters);
            Change one{index,
                       change,
                       spoken.value_or(""),
                       minus_rights(after, before),
                       minus_rights(before, after),
                       {},
                       {}};
            if (!writes_) {
                list(one, account_.options.rights == report::RightsPolicy::list
                              ? "rights are only listed (--acl list)"
                              : "the destination has no rights on mailboxes (ACL)");
            } else if (!spoken || (after.empty() && !change.now.empty())) {
                list(one, "the destination cannot express it");
            } else if (one.add.empty() && one.remove.empty()) {
                note(one);  // the difference is one the destination does not know
            } else {
                changes.push_back(std::move(one));
            }
        }
        keep_base(target.id);
    }

    /// The grantee as the destination knows them.
    [[nodiscard]] Grantee translated(const std::string& identifier) const {
        Grantee who = parse_identifier(identifier);
        if (who.kind == Grantee::Kind::user) who.name = account_.translation().of(who.name);
        return who;
    }

    Task<Result<void>> write(std::vector<Change> changes) {
        if (account_.options.dry_run) {
            for (const Change& change : changes) count(change);
            co_return Result<void>{};
        }
        Session& session = *sessions_.destination;
        std::vector<session::Ticket> between;
        for (Change& change : changes) {
            change.added = start(change, RightsMode::add, change.add);
            change.taken = start(change, RightsMode::remove, change.remove);
            between.push_back(session.start(imap::source::noop()));  // no row of refusals
        }
        std::optional<Error> error, later;
        for (Change& change : changes) {
            std::string refused;
            bool put_off = false;
            for (const session::Ticket& ticket : {change.added, change.taken}) {
                if (!ticket) continue;
                auto reply = co_await session.finish(ticket);
                if (!reply && !error) error = std::move(reply).error();
                if (!reply || reply->ok()) continue;
                Error why =
                    session::refusal(*reply, session.connection().peer(), "take these rights");
                if (why.code == Code::throttled) {
                    put_off = true;
                    later = std::move(why);
                } else if (refused.empty()) {
                    refused = std::move(why.text);
                }
            }
            const bool sent =
                (change.add.empty() || change.added) && (change.remove.empty() || change.taken);
            if (error || put_off) continue;
            if (!sent) refused = "the name cannot be said to the destination";
            if (refused.empty()) {
                note(change);
                count(change);
            } else {
                list(change, refused);
            }
            keep_base(targets_[change.target].id);
        }
        for (session::Ticket& ticket : between) (void)co_await session.finish(ticket);
        store();
        if (!error) error = std::move(later);
        if (error) co_return std::unexpected(std::move(*error));
        co_return Result<void>{};
    }

    session::Ticket start(const Change& change, RightsMode mode, const std::string& letters) {
        if (letters.empty()) return nullptr;
        Session& session = *sessions_.destination;
        auto command = imap::destination::set_acl(targets_[change.target].place.name, change.spoken,
                                                  mode, letters, session.encoding());
        return command ? session.start_change(std::move(*command)) : nullptr;
    }

    void count(const Change& change) {
        if (!change.add.empty()) ++account_.summary.rights.given;
        if (!change.remove.empty()) ++account_.summary.rights.taken;
    }

    /// Carried over: the next pass starts from it.
    void note(const Change& change) {
        Acl& base = bases_[targets_[change.target].id];
        if (change.change.now.empty()) {
            base.erase(change.change.identifier);
        } else {
            base[change.change.identifier] = change.change.now;
        }
    }

    /// Looked at once, so that a follower need not do so again.
    void keep_base(dedup::MailboxId id) {
        if (account_.options.dry_run || account_.options.rights == report::RightsPolicy::list)
            return;
        std::string text = to_text(bases_[id]);
        if (text.size() > limits::kLedgerTextBytesMax) return;  // said again by the next pass
        const auto [place, fresh] = stored_.try_emplace(id, text);
        if (!fresh && place->second == text) return;
        batch_.put_rights(account_.id, {id, text});
        place->second = std::move(text);
    }
    void store() {
        if (!batch_.empty()) account_.writer.commit(std::exchange(batch_, {}));
    }

    void list(const Change& change, std::string reason) {
        const RightsTarget& target = targets_[change.target];
        report::UnsetRight out;
        out.account = account_.summary.account;
        out.mailbox = printable(target.source->display());
        out.identifier = printable(change.change.identifier);
        out.rights = change.change.now;
        out.reason = std::move(reason);
        std::string owner = account_.destination_endpoint.user;
        std::vector<std::string> path = target.place.path;
        if (target.place.within && target.source->space == Space::other && path.size() > 1) {
            owner = path.front();
            path.erase(path.begin());
        } else if (target.place.within) {
            path.clear();  // nobody's own
        }
        CarbonioLines lines = carbonio_lines(owner, path, translated(change.change.identifier),
                                             carbonio_perms(change.change.now));
        if (change.change.now.empty())
            lines.grant =
                carbonio_lines(owner, path, translated(change.change.identifier), "none").grant;
        out.grant_line = std::move(lines.grant);
        out.mount_line = std::move(lines.mount);
        account_.summary.unset_rights.push_back(std::move(out));
    }

    Account& account_;
    Sessions& sessions_;
    std::vector<RightsTarget> targets_;
    bool only_new_;
    bool writes_ = false;
    Dialect dialect_;
    std::map<dedup::MailboxId, Acl> bases_;
    std::map<dedup::MailboxId, std::string> stored_;  ///< as in the ledger, or in batch_
    dedup::Batch batch_;
};

}  // namespace

bool AclSink::on_untagged(const imap::Event& event) {
    const auto* acl = std::get_if<imap::Acl>(&event);
    if (acl == nullptr || !equal_ignoring_case(acl->name, mailbox_)) return false;
    for (const auto& [who, rights] : acl->rights) entries.emplace_back(who, rights);
    return true;
}

Task<bool> carry_rights(Account& account, Sessions& sessions, std::vector<RightsTarget> targets,
                        bool quiet) {
    const report::RightsPolicy policy = account.options.rights;
    // A follower looks again only at what is new.
    const bool only_new =
        account.behind_since || (quiet && policy == report::RightsPolicy::automatic);
    if (policy == report::RightsPolicy::none || targets.empty() ||
        (account.behind_since && policy == report::RightsPolicy::list) ||
        !sessions.source->capabilities().has("ACL")) {
        co_return true;
    }
    Rights rights(account, sessions, std::move(targets), only_new);
    auto done = co_await rights.run();
    if (const std::size_t unset = account.summary.unset_rights.size(); unset > 0) {
        account.notice("", report::NoticeKind::rights,
                       std::to_string(unset) +
                           (unset == 1 ? " right on a mailbox was" : " rights on mailboxes were") +
                           " not written at the destination: the report lists them, with the lines "
                           "that give them in carbonio prov");
    }
    if (done) co_return true;
    account.notice(
        "", report::NoticeKind::rights,
        "rights on mailboxes were not carried over; the next pass does it: " + done.error().text);
    co_return false;
}

}  // namespace imapult::replica
