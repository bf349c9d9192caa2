// Session: APPEND, one message or many (RFC 3502), by any kind of literal.
//
// The arguments in front of each literal are judged when the literal is announced, so that a
// synchronising one is refused before its octets are sent. Nothing is stored before the last
// message is complete; then all of them are, or none.

#include <algorithm>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "tools/imapd/acceptance.h"
#include "tools/imapd/session.h"

namespace imapult::imapd {
namespace {

Reply reply_of(const Refusal& refusal) {
    switch (refusal.kind) {
        case Refusal::Kind::no:
            return no(refusal.text);
        case Refusal::Kind::bad:
            return bad(refusal.text);
        case Refusal::Kind::close:
            break;
    }
    return {Reply::Kind::no, refusal.text, true};
}

/// "(\Seen $Forwarded)" as it stands; nothing if it is not a list of flags.
std::optional<std::vector<std::string>> read_flags(Args& args) {
    std::vector<std::string> out;
    if (!args.accept('(')) return std::nullopt;
    while (!args.accept(')')) {
        auto flag = args.atom();
        if (!flag || flag->find_first_of("%*") != std::string::npos) return std::nullopt;
        out.push_back(std::move(*flag));
        args.space();
    }
    return out;
}

}  // namespace

/// What this server makes of a client's flags.
std::optional<Reply> Session::take_flags(const std::vector<std::string>& names,
                                         detail::Mailbox* box, FlagSet& flags) const {
    for (const std::string& name : names) {
        if (FlagSet::system_bit(name) != 0) {
            flags.add(name);
            continue;
        }
        if (name.starts_with('\\')) {
            if (b_->on_unknown_system_flag == OnUnknownFlag::ignore) continue;
            const std::string text = "Invalid system flag " + printable(name);
            return b_->on_unknown_system_flag == OnUnknownFlag::refuse_bad ? bad(text) : no(text);
        }
        if (b_->keywords_session_only.contains(name)) continue;
        if (name.find_first_of(b_->keyword_forbidden) != std::string::npos) {
            return no("Invalid character in keyword");
        }
        if (name.size() > b_->keyword_bytes_max) return no("Keyword is too long");
        if (std::ranges::any_of(name, [](char c) { return static_cast<signed char>(c) < 0; })) {
            return bad("8-bit data in atom");
        }
        const bool allowed = b_->keywords_creatable || b_->keywords_allowed.contains(name);
        if (!allowed && b_->refuses_other_keywords) return no("Keyword is not permitted");
        if (!allowed) continue;
        if (b_->keywords_max != 0 && box != nullptr) {
            const bool known = std::ranges::any_of(
                box->keywords, [&name](const auto& k) { return equal_ignoring_case(k, name); });
            if (!known && box->keywords.size() >= b_->keywords_max) {
                return no("[LIMIT] Too many user flags in mailbox");
            }
        }
        flags.add(name);
    }
    return std::nullopt;
}

/// A literal of a message has been announced.
void Session::append_header(std::uint64_t size, bool binary) {
    append_.active = true;
    if (append_.failure) return;
    append_.failure = append_arguments(size, binary);
}

std::optional<Reply> Session::append_arguments(std::uint64_t size, bool binary) {
    if (state_ == State::not_authenticated) return bad("Please login first");
    if (binary && !offers("BINARY")) return bad("literal8 is not known here");
    PendingMessage message;
    message.announced = size;
    message.binary = binary;
    Args args(command_, literals_);
    if (append_.messages.empty()) {
        args.atom();
        args.space();
        args.accept_word("APPEND");
        args.space();
        const auto name = args.astring();
        if (!name) return bad("Invalid mailbox name");
        append_.mailbox = *name;
        append_.signature = *name;
    } else {
        if (!offers("MULTIAPPEND")) return bad("Too many arguments to APPEND");
        args.rewind(append_.parsed);
    }
    if (!args.space()) return bad("Invalid arguments to APPEND");
    const std::size_t start = args.position();
    std::optional<std::vector<std::string>> flags;
    if (args.peek() == '(') {
        flags = read_flags(args);
        if (!flags || !args.space()) return bad("Invalid flag list");
    }
    const std::size_t date_at = args.position();
    if (args.peek() == '"') {
        const auto text = args.astring();
        if (!text || !args.space()) return bad("Invalid arguments to APPEND");
        message.parts.date = parse_date_time(*text);
        if (!message.parts.date && b_->on_invalid_date == OnDate::refuse_bad) {
            return bad("Invalid INTERNALDATE");
        }
        if (!message.parts.date && b_->on_invalid_date == OnDate::refuse_no) {
            return no("Invalid INTERNALDATE");
        }
    }
    if (!args.at_end()) return bad("Invalid arguments to APPEND");
    append_.signature += '|';
    append_.signature.append(command_, start, date_at - start);
    append_.signature.append(command_, date_at).append(std::to_string(size));

    detail::Guard data(store_);
    const auto box = find(data, append_.mailbox);
    const bool hidden = std::ranges::any_of(b_->hidden_names, [this](const std::string& n) {
        return equal_ignoring_case(n, append_.mailbox);
    });
    if (!box || !box->selectable || hidden) return no("[TRYCREATE] Mailbox doesn't exist");
    if (!may(*box, 'i')) return no("[NOPERM] Permission denied");
    if (flags) {
        for (const std::string& flag : *flags) {
            if (b_->system_flags_refused.contains(flag))
                return no("Flag " + flag + " not permitted");
        }
        if (auto refusal = take_flags(*flags, box.get(), message.parts.flags)) return refusal;
    }
    append_.octets += size;
    const bool too_big = b_->max_message_bytes != 0 && size > b_->max_message_bytes;
    if (too_big || size > limits::kLiteralBytesMax) {
        return no(std::string(b_->too_big_has_code ? "[TOOBIG] " : "") +
                  "maximum message size exceeded");
    }
    if (account_->quota != 0 && account_->used() + append_.octets > account_->quota) {
        return no(std::string(b_->over_quota_has_code ? "[OVERQUOTA] " : "") +
                  "Quota exceeded (mailbox for user is full)");
    }
    append_.messages.push_back(std::move(message));
    return std::nullopt;
}

/// Zimbra and Carbonio tell nothing but that it failed (a missing mailbox excepted).
Reply Session::append_refused(Reply reply) const {
    const bool says_why = reply.kind != Reply::Kind::no || reply.text.starts_with("[TRYCREATE]");
    if (b_->append_failure_bare && !says_why) reply.text = "APPEND failed";
    return reply;
}

/// Ends a refused APPEND.
Answer Session::append_refuse() {
    const bool full = append_.failure->text.find("Quota") != std::string::npos;
    if (!full || !b_->server_unavailable_line) return append_refused(*append_.failure);
    out_.text() += "Server Unavailable. 15\r\n";
    closing_ = true;
    return std::nullopt;
}

Answer Session::cmd_append(Args& args) {
    if (!append_.active) return bad("Invalid arguments to APPEND");
    if (append_.failure) return append_refuse();
    const bool ends_with_literal = args.position() + args.rest().size() == append_.parsed;
    if (!ends_with_literal) return bad("Invalid arguments to APPEND");
    if (b_->repeated_appends_max != 0) {
        appends_in_a_row_ = append_.signature == last_append_ ? appends_in_a_row_ + 1 : 1;
        last_append_ = append_.signature;
        if (appends_in_a_row_ > b_->repeated_appends_max) {
            close("too many repeated APPEND requests");
            return std::nullopt;
        }
    }
    return append_finish();
}

/// Judges the octets; changes them the way this server does.
std::optional<Reply> Session::append_check(const detail::Mailbox& box) {
    if (b_->keywords_max != 0) {
        std::set<std::string> all;
        for (const std::string& word : box.keywords) all.insert(to_lower(word));
        for (const PendingMessage& message : append_.messages) {
            for (const std::string& word : message.parts.flags.keywords())
                all.insert(to_lower(word));
        }
        if (all.size() > std::max<std::size_t>(b_->keywords_max, box.keywords.size()))
            return no("[LIMIT] Too many user flags in mailbox");
    }
    for (PendingMessage& message : append_.messages) {
        if (const auto refusal = accept_message(*b_, message.body, message.binary)) {
            return reply_of(*refusal);
        }
        if (message.parts.date) {
            const auto refusal = accept_date(*b_, *message.parts.date, store_.unix_seconds());
            if (refusal) return reply_of(*refusal);
        }
        if (b_->drops_flags_and_dates) {
            message.parts.flags = {};
            message.parts.date.reset();
        }
        if (b_->identical_messages_max != 0) {
            const auto there = std::ranges::count_if(
                box.messages, [&](const Message& m) { return *m.body == message.body; });
            const auto before = std::count_if(
                append_.messages.data(), &message,
                [&](const PendingMessage& other) { return other.body == message.body; });
            if (static_cast<std::uint64_t>(there + before) >= b_->identical_messages_max) {
                return no("Too many identical emails");
            }
        }
    }
    return std::nullopt;
}

/// Gmail finds an equal message in Trash and brings that one back: its date, if there was one.
std::optional<Date> Session::take_from_trash(const std::string& body) {
    for (const auto& [name, box] : account_->mailboxes) {
        if (box->special_use != "\\Trash") continue;
        std::optional<Date> date;
        box->expunge_if([&](const Message& m) {
            if (date || *m.body != body) return false;
            date = m.date;
            return true;
        });
        return date;
    }
    return std::nullopt;
}

Answer Session::append_finish() {
    detail::Guard data(store_);
    const auto box = find(data, append_.mailbox);
    if (!box) return no("[TRYCREATE] Mailbox doesn't exist");
    if (Answer spent = spend(0, append_.octets)) return spent;
    if (auto refusal = append_check(*box)) return append_refused(*refusal);
    std::vector<std::uint32_t> uids;
    for (PendingMessage& message : append_.messages) {
        if (b_->merges_identical) {
            const auto old = std::ranges::find_if(
                box->messages, [&](const Message& m) { return *m.body == message.body; });
            if (old != box->messages.end()) {
                uids.push_back(old->uid);
                continue;
            }
        }
        if (b_->revives_from_trash) {
            if (const auto date = take_from_trash(message.body)) message.parts.date = date;
        }
        message.parts.body = std::make_shared<const std::string>(std::move(message.body));
        uids.push_back(data->add(*box, std::move(message.parts), store_.unix_seconds(), *b_));
    }
    if (++account_->appends == b_->append_unanswered) {
        if (!b_->append_unanswered_as.empty()) return no(b_->append_unanswered_as);
        reset_connection();
        return std::nullopt;
    }
    if (!offers("UIDPLUS")) return ok("Append completed.");
    return ok("[APPENDUID " + std::to_string(box->uidvalidity) + " " + uid_list(uids) +
              "] Append completed.");
}

}  // namespace imapult::imapd
