// Session: the mailboxes of an account (NAMESPACE, LIST and its relatives, STATUS).

#include <algorithm>
#include <array>

#include "engine/base/text.h"
#include "tools/imapd/session.h"

namespace imapult::imapd {
namespace {

std::string separator_text(char separator) {
    if (separator == '\0') return "NIL";
    return separator == '\\' ? R"("\\")" : std::string("\"") + separator + '"';
}

/// What LIST was asked for (RFC 5258, RFC 5819, RFC 6154).
struct ListRequest {
    std::string reference;
    std::vector<std::string> patterns;
    bool only_subscribed = false;
    bool only_special = false;
    bool recursive_match = false;
    bool return_subscribed = false;
    bool return_children = false;
    bool return_special = false;
    bool extended = false;
    std::vector<std::string> status;
};

bool read_selection(Args& args, ListRequest& request) {
    if (args.peek() != '(') return true;
    const auto options = args.word_list();
    if (!options || !args.space()) return false;
    request.extended = true;
    for (const std::string& option : *options) {
        if (option == "SUBSCRIBED") {
            request.only_subscribed = request.return_subscribed = true;
        } else if (option == "SPECIAL-USE") {
            request.only_special = request.return_special = true;
        } else if (option == "RECURSIVEMATCH") {
            request.recursive_match = true;
        } else if (option != "REMOTE") {
            return false;
        }
    }
    return !request.recursive_match || request.only_subscribed;
}

bool read_patterns(Args& args, ListRequest& request) {
    if (!args.accept('(')) {
        auto pattern = args.pattern();
        if (!pattern) return false;
        request.patterns.push_back(std::move(*pattern));
        return true;
    }
    request.extended = true;
    while (!args.accept(')')) {
        auto pattern = args.pattern();
        if (!pattern) return false;
        request.patterns.push_back(std::move(*pattern));
        args.space();
    }
    return !request.patterns.empty();
}

bool read_return(Args& args, ListRequest& request) {
    if (!args.space()) return true;
    if (!args.accept_word("RETURN") || !args.space() || !args.accept('(')) return false;
    request.extended = true;
    while (!args.accept(')')) {
        if (args.accept_word("SUBSCRIBED")) {
            request.return_subscribed = true;
        } else if (args.accept_word("CHILDREN")) {
            request.return_children = true;
        } else if (args.accept_word("SPECIAL-USE")) {
            request.return_special = true;
        } else if (args.accept_word("STATUS")) {
            auto items = args.space() ? args.word_list() : std::nullopt;
            if (!items) return false;
            request.status = std::move(*items);
        } else {
            return false;
        }
        args.space();
    }
    return true;
}

std::optional<ListRequest> read_list(Args& args) {
    ListRequest request;
    if (!args.space() || !read_selection(args, request)) return std::nullopt;
    auto reference = args.pattern();
    if (!reference || !args.space() || !read_patterns(args, request)) return std::nullopt;
    request.reference = std::move(*reference);
    if (!read_return(args, request) || !args.at_end()) return std::nullopt;
    return request;
}

bool wanted(const ListRequest& request, const std::string& name, char separator) {
    return std::ranges::any_of(request.patterns, [&](const std::string& pattern) {
        const std::string full = request.reference + pattern;
        if (matches_pattern(full, name, separator)) return true;
        return detail::is_inbox(name) && matches_pattern(to_lower(full), to_lower(name), separator);
    });
}

/// In another namespace than the personal one, and not asked for by its prefix.
bool is_beyond(const ListRequest& request, const std::string& name, const Behaviour& b) {
    if (!b.lists_own_spaces_only) return false;
    for (const std::string& prefix : {b.other_users_prefix, b.shared_prefix}) {
        if (prefix.empty() || !name.starts_with(prefix)) continue;
        return std::ranges::none_of(request.patterns, [&](const std::string& pattern) {
            return (request.reference + pattern).starts_with(prefix);
        });
    }
    return false;
}

bool listed_among(const std::vector<std::string>& names, std::string_view name) {
    return std::ranges::any_of(
        names, [name](const std::string& n) { return equal_ignoring_case(n, name); });
}

std::string_view above(std::string_view name, char separator) {
    const std::size_t cut = separator == '\0' ? std::string_view::npos : name.rfind(separator);
    return cut == std::string_view::npos || cut == 0 ? std::string_view{} : name.substr(0, cut);
}

}  // namespace

Answer Session::cmd_namespace(Args&) {
    if (b_->namespace_drops_connection) {
        reset_connection();
        return std::nullopt;
    }
    const auto space = [this](const std::string& prefix) {
        if (prefix.empty()) return std::string("NIL");
        return "((" + as_string(prefix) + " " + separator_text(b_->separator) + "))";
    };
    untagged("NAMESPACE ((" + as_string(b_->prefix) + " " + separator_text(b_->separator) + ")) " +
             space(b_->other_users_prefix) + " " + space(b_->shared_prefix));
    return ok("Namespace completed.");
}

// --- LIST

std::string Session::wire_name(std::string_view name) const {
    if (b_->literal_list_names) {
        return "{" + std::to_string(name.size()) + "}\r\n" + std::string(name);
    }
    if (b_->raw_list_names &&
        std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20; })) {
        return std::string(name);
    }
    const bool plain = std::ranges::none_of(name, [](char c) {
        return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20 ||
               static_cast<unsigned char>(c) >= 0x7F;
    });
    return plain ? as_astring(name) : as_string(name);
}

std::string Session::attributes_of(const std::string& name, const detail::Mailbox* box,
                                   bool children, bool special) const {
    std::string out;
    const auto add = [&out](std::string_view attribute) {
        if (!out.empty()) out += ' ';
        out += attribute;
    };
    if (box == nullptr) {
        if (!b_->noselect_untold) add("\\NonExistent");
    } else if (!box->selectable && !b_->noselect_untold) {
        add("\\Noselect");
    }
    if (children && b_->separator != '\0') {
        const std::string below = name + b_->separator;
        const auto it = account_->mailboxes.upper_bound(below);
        const bool has = it != account_->mailboxes.end() && it->first.starts_with(below);
        add(has ? "\\HasChildren" : "\\HasNoChildren");
    }
    if (special && box != nullptr && !box->special_use.empty()) add(box->special_use);
    return out;
}

void Session::write_list(std::string_view verb, const std::string& name,
                         const std::string& attributes) {
    const bool nil = b_->inbox_separator_nil && detail::is_inbox(name);
    std::string& out = out_.text();
    out += "* ";
    out += verb;
    out += " (" + attributes + ") ";
    out += nil ? "NIL" : separator_text(b_->separator);
    out += ' ';
    out += wire_name(name);
    out += "\r\n";
}

Answer Session::cmd_list(Args& args) {
    auto request = read_list(args);
    if (!request) return bad("Invalid arguments to LIST");
    if (request->extended && b_->list_extended_refused) return bad("Unexpected input");
    if (request->extended && !offers("LIST-EXTENDED") && !offers("LIST-STATUS") &&
        !b_->list_extended_ignored) {
        return bad("LIST-EXTENDED is not known here");
    }
    if (!request->status.empty() && !offers("LIST-STATUS") && !b_->list_extended_ignored) {
        return bad("LIST-STATUS is not known here");
    }
    if (b_->list_extended_ignored) {
        request->only_subscribed = request->only_special = false;
        request->return_subscribed = request->return_special = false;
        request->status.clear();
    }
    if (request->patterns.size() == 1 && request->patterns[0].empty()) {
        // RFC 3501, section 6.3.8: only the separator is wanted.
        untagged("LIST (\\Noselect) " + separator_text(b_->separator) + " \"\"");
        return ok("List completed.");
    }
    const bool special = request->return_special || (!request->extended && offers("SPECIAL-USE"));
    const bool children = request->return_children || (!request->extended && offers("CHILDREN"));
    detail::Guard data(store_);
    const auto one = [&](const std::string& name, const detail::Mailbox* box) -> Answer {
        std::string attributes = attributes_of(name, box, children, special);
        const bool subscribed = account_->subscribed.contains(name);
        if (request->return_subscribed && subscribed) {
            attributes += attributes.empty() ? "\\Subscribed" : " \\Subscribed";
        }
        write_list("LIST", name, attributes);
        if (request->status.empty() || box == nullptr || !box->selectable || !may(*box, 'r'))
            return std::nullopt;
        return write_status(name, *box, request->status, true);
    };
    for (const auto& [name, box] : account_->mailboxes) {
        if (!wanted(*request, name, b_->separator) || listed_among(b_->hidden_names, name))
            continue;
        if (is_beyond(*request, name, *b_) || !may(*box, 'l')) continue;
        if (request->only_subscribed && !account_->subscribed.contains(name)) continue;
        if (request->only_special && box->special_use.empty()) continue;
        if (b_->list_return_of_inbox_empty && request->extended && detail::is_inbox(name)) continue;
        if (auto failure = one(name, box.get())) return failure;
    }
    if (request->only_subscribed) {
        for (const std::string& name : account_->subscribed) {
            const bool gone = !account_->mailboxes.contains(name);
            if (gone && wanted(*request, name, b_->separator)) one(name, nullptr);
        }
    }
    return ok("List completed.");
}

Answer Session::cmd_lsub(Args& args) {
    auto request = read_list(args);
    if (!request || request->extended) return bad("Invalid arguments to LSUB");
    detail::Guard data(store_);
    std::set<std::string> parents;
    for (const std::string& name : account_->subscribed) {
        if (wanted(*request, name, b_->separator)) {
            const auto box = data->mailbox(*account_, name, *b_);
            write_list("LSUB", name, box && box->selectable ? "" : "\\Noselect");
            continue;
        }
        // RFC 3501, section 6.3.9: "%" shows what lies above a deeper subscription.
        for (auto up = above(name, b_->separator); !up.empty(); up = above(up, b_->separator)) {
            const std::string text(up);
            if (!account_->subscribed.contains(text) && wanted(*request, text, b_->separator)) {
                parents.insert(text);
            }
        }
    }
    for (const std::string& name : parents) write_list("LSUB", name, "\\Noselect");
    return ok("Lsub completed.");
}

Answer Session::cmd_xlist(Args& args) {
    auto request = read_list(args);
    if (!request || request->extended) return bad("Invalid arguments to XLIST");
    detail::Guard data(store_);
    for (const auto& [name, box] : account_->mailboxes) {
        if (!wanted(*request, name, b_->separator) || listed_among(b_->hidden_names, name))
            continue;
        std::string attributes = attributes_of(name, box.get(), true, false);
        // XLIST is older than SPECIAL-USE and has two names of its own.
        std::string special = box->special_use;
        if (special == "\\Junk") special = "\\Spam";
        if (special == "\\All") special = "\\AllMail";
        if (detail::is_inbox(name)) special = "\\Inbox";
        if (!special.empty()) attributes += " " + special;
        write_list("XLIST", name, attributes);
    }
    return ok("Xlist completed.");
}

// --- STATUS

Answer Session::cmd_status(Args& args) {
    std::optional<std::string> name;
    std::optional<std::vector<std::string>> items;
    if (args.space()) name = args.astring();
    if (name && args.space()) items = args.word_list();
    if (!items || items->empty() || !args.at_end()) return bad("Invalid arguments to STATUS");
    detail::Guard data(store_);
    std::string key;
    const auto box = find(data, *name, &key);
    if (!box || !box->selectable)
        return no(b_->noselect_untold ? "Mailbox doesn't exist"
                                      : "[NONEXISTENT] Mailbox doesn't exist");
    if (!may(*box, 'r')) return no("[NOPERM] Permission denied");
    if (auto failure = write_status(key, *box, *items, false)) return failure;
    return ok("Status completed.");
}

/// Writes the line; a reply only if an item is refused.
Answer Session::write_status(const std::string& name, const detail::Mailbox& box,
                             const std::vector<std::string>& items, bool in_list) {
    std::string line = "STATUS " + wire_name(name) + " (";
    bool first = true;
    const auto add = [&](const std::string& item, const std::string& value) {
        if (!first) line += ' ';
        first = false;
        line += item + ' ' + value;
    };
    const auto number = [&](const std::string& item, std::uint64_t value) {
        const bool counts = item == "MESSAGES" || item == "UNSEEN";
        if (b_->negative_counts && counts) return add(item, "-" + std::to_string(value + 1));
        add(item, std::to_string(value));
    };
    for (const std::string& item : items) {
        if (item == "MESSAGES") {
            const std::size_t cap = uid_only_ ? 0 : b_->visible_messages_max;
            number(item, cap != 0 ? std::min(cap, box.messages.size()) : box.messages.size());
        } else if (item == "RECENT") {
            number(item, 0);
        } else if (item == "UIDNEXT") {
            number(item, b_->uidnext_zero ? 0 : box.uidnext);
        } else if (item == "UIDVALIDITY") {
            number(item, box.uidvalidity);
        } else if (item == "UNSEEN") {
            number(item, static_cast<std::uint64_t>(std::ranges::count_if(
                             box.messages,
                             [](const Message& m) { return !m.flags.has(FlagSet::kSeen); })));
        } else if (item == "HIGHESTMODSEQ" && offers("CONDSTORE")) {
            number(item, box.highest_modseq);
        } else if (item == "SIZE" && offers("STATUS=SIZE")) {
            number(item, box.octets);
        } else if (item == "MAILBOXID" && offers("OBJECTID")) {
            const bool garbage = b_->mailbox_id_garbage && (in_list || items.size() > 1);
            add(item, garbage ? "(\x01\xC3\x28\x7F)" : "(" + box.id + ")");
        } else if (b_->on_unknown_status_item == OnUnknownStatusItem::refuse_bad) {
            return bad("Unknown STATUS item");
        }
    }
    untagged(line + ")");
    return std::nullopt;
}

}  // namespace imapult::imapd
