// Session: STORE, SEARCH, COPY and MOVE.

#include <algorithm>

#include "engine/base/text.h"
#include "tools/imapd/search.h"
#include "tools/imapd/session.h"

namespace imapult::imapd {
namespace {

/// `(UNCHANGEDSINCE 7) +FLAGS.SILENT (\Seen)`
struct StoreRequest {
    std::optional<std::uint64_t> unchanged_since;
    char mode = '=';
    bool silent = false;
    std::vector<std::string> flags;
};

bool read_store(Args& args, StoreRequest& out) {
    if (args.accept('(')) {
        if (!args.accept_word("UNCHANGEDSINCE") || !args.space()) return false;
        out.unchanged_since = args.number();
        if (!out.unchanged_since || !args.accept(')') || !args.space()) return false;
    }
    if (args.accept('+')) {
        out.mode = '+';
    } else if (args.accept('-')) {
        out.mode = '-';
    }
    out.silent = args.accept_word("FLAGS.SILENT");
    if ((!out.silent && !args.accept_word("FLAGS")) || !args.space()) return false;
    const bool list = args.accept('(');
    while (!args.at_end() && args.peek() != ')') {
        auto flag = args.atom();
        if (!flag) return false;
        out.flags.push_back(std::move(*flag));
        args.space();
    }
    return (!list || args.accept(')')) && args.at_end();
}

}  // namespace

Answer Session::cmd_store(Args& args) {
    const auto set = args.space() ? args.atom() : std::nullopt;
    StoreRequest request;
    if (!set || !args.space() || !read_store(args, request)) {
        return bad("Invalid arguments to STORE");
    }
    if (request.unchanged_since && !offers("CONDSTORE")) return bad("CONDSTORE is not known here");
    const auto uids = resolve(*set, uid_);
    if (!uids) return bad("Invalid message set");
    if (selected_.read_only) return no("[READ-ONLY] Mailbox is read-only");
    if (request.unchanged_since) condstore_ = true;
    detail::Guard data(store_);
    detail::Mailbox& box = *selected_.box;
    FlagSet wanted;
    if (auto refusal = take_flags(request.flags, &box, wanted)) return refusal;
    // What others changed is told first, so that what is told below is only ours.
    notice(data, uid_);
    NumberSet modified;
    const std::vector<std::string> named = [&wanted] {
        std::vector<std::string> out = wanted.keywords();
        for (const char* name : {"\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"}) {
            if (wanted.has(name)) out.emplace_back(name);
        }
        return out;
    }();
    for (const std::uint32_t uid : *uids) {
        Message* message = box.find(uid);
        const auto index = index_of(uid);
        if (message == nullptr || !index) continue;
        if (request.unchanged_since && message->modseq > *request.unchanged_since) {
            modified.add(uid_ ? uid : static_cast<std::uint32_t>(*index + 1));
            continue;
        }
        FlagSet next = request.mode == '=' ? wanted : message->flags;
        for (const std::string& name : named) {
            if (request.mode == '+') next.add(name);
            if (request.mode == '-') next.remove(name);
        }
        if (next != message->flags) {
            message->flags = std::move(next);
            box.touch(*message);
            ++data->version;
        }
        if (!request.silent || b_->fetch_even_if_silent || condstore_) {
            write_flags_line(*message, *index, uid_ || qresync_);
        }
    }
    selected_.flags_seen = box.highest_modseq;
    if (modified.empty()) return ok("Store completed.");
    return ok("[MODIFIED " + modified.text() + "] Conditional store failed for some.");
}

// --- SEARCH

Answer Session::cmd_search(Args& args) {
    std::optional<std::vector<std::string>> options;
    if (!args.space()) return bad("Invalid arguments to SEARCH");
    if (args.accept_word("RETURN")) {
        if (!offers("ESEARCH")) return bad("RETURN is not known here");
        options = args.space() ? args.word_list() : std::nullopt;
        if (!options || !args.space()) return bad("Invalid arguments to SEARCH");
        constexpr std::string_view kKnown[] = {"ALL", "MIN", "MAX", "COUNT", "SAVE"};
        for (const std::string& option : *options) {
            if (std::ranges::find(kKnown, option) == std::end(kKnown)) {
                return bad("Unknown SEARCH result option");
            }
        }
        if (options->empty()) options->push_back("ALL");
    }
    if (args.accept_word("CHARSET")) {
        const auto name = args.space() ? args.astring() : std::nullopt;
        if (!name || !args.space()) return bad("Invalid arguments to SEARCH");
        if (!equal_ignoring_case(*name, "UTF-8") && !equal_ignoring_case(*name, "US-ASCII")) {
            return no("[BADCHARSET (US-ASCII UTF-8)] Unknown charset");
        }
    }
    const auto& all = selected_.uids;
    const SearchContext context{.messages = static_cast<std::uint32_t>(all.size()),
                                .last_uid = all.empty() ? 0 : all.back(),
                                .now = store_.unix_seconds(),
                                .saved = saved_search_};
    const auto search = parse_search(args, context);
    if (!search) return bad("Invalid search key");
    if (search->has_keyword && b_->search_keyword_refused) {
        return bad("Command Argument Error. 11");
    }
    std::vector<std::uint32_t> found;
    std::vector<std::uint32_t> found_uids;
    std::uint64_t modseq = 0;
    {
        const detail::Guard data(store_);
        const bool numbers = !uid_ || (b_->search_all_bogus && search->everything);
        std::uint32_t number = 0;
        for (const std::uint32_t uid : all) {
            ++number;
            const Message* m = selected_.box->find(uid);
            if (m == nullptr || !search->matches(*m, number)) continue;
            found.push_back(numbers ? number : uid);
            found_uids.push_back(uid);
            modseq = std::max(modseq, m->modseq);
        }
    }
    if (search->modseq) condstore_ = true;
    if (options && std::ranges::find(*options, "SAVE") != options->end()) {
        saved_search_ = std::move(found_uids);
    }
    return write_search(options, found, search->modseq ? modseq : 0);
}

Answer Session::write_search(const std::optional<std::vector<std::string>>& options,
                             const std::vector<std::uint32_t>& found, std::uint64_t modseq) {
    const std::string highest = std::to_string(modseq);
    std::string line;
    if (options) {
        const auto asked = [&options](std::string_view name) {
            return std::ranges::find(*options, name) != options->end();
        };
        line = "ESEARCH (TAG " + as_string(tag_) + ")" + (uid_ ? " UID" : "");
        if (!found.empty()) {
            if (asked("MIN")) line += " MIN " + std::to_string(found.front());
            if (asked("MAX")) line += " MAX " + std::to_string(found.back());
            if (asked("ALL")) line += " ALL " + uid_list(found);
        }
        if (asked("COUNT")) line += " COUNT " + std::to_string(found.size());
        if (modseq != 0) line += " MODSEQ " + highest;
        if (options->size() == 1 && asked("SAVE")) return ok("Search completed.");
    } else {
        line = "SEARCH";
        for (const std::uint32_t n : found) {
            line += ' ';
            append_number(line, n);
        }
        if (modseq != 0) line += " (MODSEQ " + highest + ")";
        if (b_->trailing_space_in_search) line += ' ';
    }
    untagged(line);
    return ok("Search completed.");
}

// --- COPY and MOVE

Answer Session::cmd_copy(Args& args) {
    return copy_or_move(args, false);
}
Answer Session::cmd_move(Args& args) {
    return copy_or_move(args, true);
}

Answer Session::copy_or_move(Args& args, bool move) {
    const auto set = args.space() ? args.atom() : std::nullopt;
    const auto name = set && args.space() ? args.astring() : std::nullopt;
    if (!name || !args.at_end()) return bad("Invalid arguments to COPY");
    auto uids = resolve(*set, uid_);
    if (!uids) return bad("Invalid message set");
    if (move && selected_.read_only) return no("[READ-ONLY] Mailbox is read-only");
    detail::Guard data(store_);
    const auto target = find(data, *name);
    if (!target || !target->selectable) return no("[TRYCREATE] Mailbox doesn't exist");
    std::vector<Message> copies;  // apart, for the target may be the mailbox itself
    for (const std::uint32_t uid : *uids) {
        if (const Message* m = selected_.box->find(uid)) copies.push_back(*m);
    }
    std::uint64_t octets = 0;
    for (const Message& m : copies) octets += m.body->size();
    if (!move && account_->quota != 0 && account_->used() + octets > account_->quota) {
        return no(std::string(b_->over_quota_has_code ? "[OVERQUOTA] " : "") + "Quota exceeded");
    }
    std::vector<std::uint32_t> from;
    std::vector<std::uint32_t> to;
    for (const Message& m : copies) {
        from.push_back(m.uid);
        to.push_back(data->copy(*target, m, *b_));
    }
    const std::string validity = std::to_string(target->uidvalidity);
    const std::string code = b_->copyuid_empty ? "[COPYUID " + validity + "  ]"
                                               : "[COPYUID " + validity + " " + uid_list(from) +
                                                     " " + uid_list(to) + "]";
    const bool tell = offers("UIDPLUS") && !from.empty();
    if (!move) {
        if (tell && b_->copyuid_untagged) {
            untagged(code);
            return ok("Copy completed.");
        }
        return ok((tell ? code + " " : "") + "Copy completed.");
    }
    // RFC 6851, section 4.3: the code comes in an untagged OK in front of the expunges.
    if (tell) untagged(b_->copyuid_untagged ? code : "OK " + code + " Moved UIDs.");
    selected_.box->expunge_if(
        [&from](const Message& m) { return std::ranges::binary_search(from, m.uid); });
    return ok("Move completed.");
}

}  // namespace imapult::imapd
