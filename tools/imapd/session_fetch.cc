// Session: FETCH and UID FETCH. The answer is made while it is read, so that neither a large body
// nor a million messages stand in memory.

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "tools/imapd/session.h"

namespace imapult::imapd {
namespace {

using Kind = FetchItem::Kind;
using Part = FetchItem::Part;

constexpr std::size_t kFetchStepBytes = 64 * limits::kKiB;
constexpr std::size_t kFetchStepMessages = 256;

/// What Exchange says where it cannot turn an item into a message.
constexpr std::string_view kReplacement =
    "From: Microsoft Exchange Server 2016\r\nTo: user@example.com\r\n"
    "Subject: Retrieval using the IMAP4 protocol failed for the following message: 2\r\n\r\n"
    "The server couldn't retrieve the following message:\r\n\r\nSubject: \"two\"\r\n\r\n"
    "The message hasn't been deleted. You might be able to view it using either Outlook or "
    "Outlook Web App.\r\n";

/// Where the body begins: behind the first empty line; the end if there is none.
std::size_t header_end(std::string_view message) {
    if (message.starts_with("\r\n")) return 2;
    if (message.starts_with('\n')) return 1;
    for (std::size_t at = 0; (at = message.find('\n', at)) != std::string_view::npos;) {
        ++at;
        if (message.substr(at).starts_with("\r\n")) return at + 2;
        if (message.substr(at).starts_with('\n')) return at + 1;
    }
    return message.size();
}

/// The named header fields (or all others), each with its continuation lines, and an empty line.
std::string pick_fields(std::string_view header, const std::vector<std::string>& names,
                        bool others) {
    std::string out;
    bool taking = false;
    while (!header.empty()) {
        std::size_t end = header.find('\n');
        end = end == std::string_view::npos ? header.size() : end + 1;
        const std::string_view line = header.substr(0, end);
        header.remove_prefix(end);
        if (line == "\r\n" || line == "\n") break;
        if (!line.starts_with(' ') && !line.starts_with('\t')) {
            const std::string name = to_lower(trim(line.substr(0, line.find(':'))));
            taking = (std::ranges::find(names, name) != names.end()) != others;
        }
        if (taking) out += line;
    }
    return out + "\r\n";
}

/// "HEADER.FIELDS (DATE FROM)" between the brackets.
bool read_section(Args& args, FetchItem& item) {
    if (args.accept(']')) return true;
    const std::string_view rest = args.rest();
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return false;
    const std::string inside(rest.substr(0, close));
    item.label += inside;
    Args section(inside, {});
    const std::string word = to_lower(section.atom().value_or(""));
    if (word == "header") {
        item.part = Part::header;
    } else if (word == "text") {
        item.part = Part::text;
    } else if (word == "header.fields" || word == "header.fields.not") {
        item.part = word == "header.fields" ? Part::fields : Part::fields_not;
        if (!section.space() || !section.accept('(')) return false;
        while (!section.accept(')')) {
            auto field = section.astring();
            if (!field) return false;
            item.fields.push_back(to_lower(*field));
            section.space();
        }
    } else {
        return false;  // parts of a MIME tree: this server does not look into messages
    }
    args.rewind(args.position() + close + 1);
    return section.at_end();
}

bool read_partial(Args& args, FetchItem& item) {
    if (!args.accept('<')) return true;
    const auto offset = args.number();
    if (!offset || !args.accept('.')) return false;
    const auto length = args.number();
    if (!length || *length == 0 || !args.accept('>')) return false;
    item.partial = {*offset, *length};
    item.label += "<" + std::to_string(*offset) + ">";
    return true;
}

struct NamedItem {
    std::string_view name;
    Kind kind;
    const char* capability;
};
constexpr NamedItem kNamedItems[] = {
    {"FLAGS", Kind::flags, nullptr},
    {"UID", Kind::uid, nullptr},
    {"INTERNALDATE", Kind::internal_date, nullptr},
    {"RFC822.SIZE", Kind::size, nullptr},
    {"MODSEQ", Kind::modseq, "CONDSTORE"},
    {"EMAILID", Kind::email_id, "OBJECTID"},
    {"THREADID", Kind::thread_id, "OBJECTID"},
    {"X-GM-MSGID", Kind::gm_msgid, "X-GM-EXT-1"},
    {"X-GM-THRID", Kind::gm_thrid, "X-GM-EXT-1"},
    {"X-GM-LABELS", Kind::gm_labels, "X-GM-EXT-1"},
};
struct OldSection {
    std::string_view name;
    Part part;
    bool peek;
};
constexpr OldSection kOldSections[] = {{"RFC822", Part::all, false},
                                       {"RFC822.HEADER", Part::header, true},
                                       {"RFC822.TEXT", Part::text, false}};

bool read_item(Args& args, const Behaviour& b, FetchItem& item) {
    for (const std::string_view start : {"BODY.PEEK[", "BODY["}) {
        if (!equal_ignoring_case(args.rest().substr(0, start.size()), start)) continue;
        args.rewind(args.position() + start.size());
        item.kind = Kind::section;
        item.peek = start.size() > 5;
        item.label = "BODY[";
        if (!read_section(args, item)) return false;
        item.label += ']';
        return read_partial(args, item);
    }
    for (const NamedItem& named : kNamedItems) {
        if (!args.accept_word(named.name)) continue;
        item.kind = named.kind;
        return named.capability == nullptr || b.offers(named.capability);
    }
    for (const OldSection& old : kOldSections) {
        if (!args.accept_word(old.name)) continue;
        item.kind = Kind::section;
        item.part = old.part;
        item.peek = old.peek;
        item.label = old.name;
        return true;
    }
    return false;
}

bool read_items(Args& args, const Behaviour& b, std::vector<FetchItem>& items) {
    if (args.accept_word("FAST") || args.accept_word("ALL")) {
        // ALL has ENVELOPE, too, which this server does not make.
        for (const Kind k : {Kind::flags, Kind::internal_date, Kind::size}) {
            items.push_back({.kind = k});
        }
        return true;
    }
    if (!args.accept('(')) {
        items.emplace_back();
        return read_item(args, b, items.back());
    }
    do {
        items.emplace_back();
        if (!read_item(args, b, items.back())) return false;
    } while (args.space());
    return args.accept(')');
}

bool has(const std::vector<FetchItem>& items, Kind kind) {
    return std::ranges::any_of(items, [kind](const FetchItem& i) { return i.kind == kind; });
}

/// Puts the items in the order this server answers in.
void arrange(std::vector<FetchItem>& items, const Behaviour& b) {
    const auto rank = [&b](const FetchItem& item) {
        if (b.fetch_uid_last && item.kind == Kind::uid) return 2;
        return b.fetch_flags_first && item.kind == Kind::flags ? 0 : 1;
    };
    std::vector<FetchItem> sorted;
    for (int wanted = 0; wanted <= 2; ++wanted) {
        std::ranges::copy_if(items, std::back_inserter(sorted),
                             [&](const FetchItem& item) { return rank(item) == wanted; });
    }
    items = std::move(sorted);
}

}  // namespace

Answer Session::cmd_fetch(Args& args) {
    const auto set = args.space() ? args.atom() : std::nullopt;
    std::vector<FetchItem> items;
    if (!set || !args.space() || !read_items(args, *b_, items)) {
        return bad("Invalid arguments to FETCH");
    }
    std::uint64_t since = 0;
    bool vanished = false;
    if (args.space()) {
        if (!offers("CONDSTORE") || !args.accept('(')) return bad("Unknown FETCH modifier");
        while (!args.accept(')')) {
            if (args.accept_word("CHANGEDSINCE") && args.space()) {
                since = args.number().value_or(0);
                if (since == 0) return bad("Invalid CHANGEDSINCE");
            } else if (qresync_ && uid_ && args.accept_word("VANISHED")) {
                vanished = true;
            } else {
                return bad("Unknown FETCH modifier");
            }
            args.space();
        }
    }
    if (!args.at_end() || (vanished && since == 0)) return bad("Invalid arguments to FETCH");
    auto uids = resolve(*set, uid_);
    if (!uids) return bad("Invalid message set");
    if (uid_ && !has(items, Kind::uid)) items.insert(items.begin(), {.kind = Kind::uid});
    if (since != 0 || has(items, Kind::modseq)) condstore_ = true;
    if (since != 0) {
        if (!has(items, Kind::modseq)) items.push_back({.kind = Kind::modseq});
        detail::Guard data(store_);
        if (vanished) {
            const auto asked = NumberSet::parse(*set, UINT32_MAX);
            write_gone(since, asked);
        }
        if (!b_->changedsince_ignored) {
            std::erase_if(*uids, [this, since](std::uint32_t uid) {
                const Message* m = selected_.box->find(uid);
                return m == nullptr || m->modseq <= since;
            });
        }
    }
    limit_messages(*uids);
    if (has(items, Kind::section)) {
        const detail::Guard data(store_);
        if (Answer spent = spend(0, 0)) return spent;
    }
    arrange(items, *b_);
    fetch_items_ = std::move(items);
    return start_fetch(std::move(*uids));
}

Answer Session::start_fetch(std::vector<std::uint32_t> uids) {
    fetch_unavailable_ = false;
    fetch_uids_ = std::move(uids);
    fetch_at_ = 0;
    overtake();
    job_ = [this] { return fetch_some(); };
    return std::nullopt;
}

/// One piece of the answer; false when the command is through.
bool Session::fetch_some() {
    {
        detail::Guard data(store_);
        learn_labels(data->version);
        std::size_t done = 0;
        std::size_t index = 0;
        const bool bodies = has(fetch_items_, Kind::section);
        while (fetch_at_ < fetch_uids_.size() && done < kFetchStepMessages &&
               out_.size() < kFetchStepBytes) {
            const std::uint32_t uid = fetch_uids_[fetch_at_++];
            ++done;
            if (bodies && b_->fetch_unavailable.contains(uid)) {
                fetch_unavailable_ = true;
                fetch_at_ = fetch_uids_.size();
                break;
            }
            if (b_->fetch_missing.contains(uid)) continue;
            // Mostly the neighbour of the one before.
            if (index + 1 < selected_.uids.size() && selected_.uids[index + 1] == uid) {
                ++index;
            } else if (const auto found = index_of(uid)) {
                index = *found;
            } else {
                continue;
            }
            Message* message = selected_.box->find(uid);
            if (message != nullptr) fetch_one(*message, index);
            if (!late_ok_.empty()) out_.text() += std::exchange(late_ok_, {});
        }
        const bool seen_set = std::ranges::any_of(
            fetch_items_, [](const FetchItem& i) { return i.kind == Kind::section && !i.peek; });
        if (seen_set && !selected_.read_only) ++data->version;
    }
    if (fetch_at_ < fetch_uids_.size()) return true;
    fetch_uids_.clear();
    if (!fetch_unavailable_ && late_ok_.empty() && fetch_follows()) {
        late_ok_ = tag_ + " OK " + limit_code_ + "Fetch completed.\r\n";
        return false;
    }
    complete(fetch_unavailable_ ? no("[UNAVAILABLE] UID FETCH Server error")
                                : ok(limit_code_ + "Fetch completed."));
    return false;
}

void Session::fetch_one(Message& message, std::size_t index) {
    bool show_flags = false;
    for (const FetchItem& item : fetch_items_) {
        const bool reads = item.kind == Kind::section && !item.peek;
        if (!reads || selected_.read_only || message.flags.has(FlagSet::kSeen)) continue;
        message.flags.add("\\Seen");
        selected_.box->touch(message);
        show_flags = !has(fetch_items_, Kind::flags);
    }
    const auto open = [&] {
        std::string& out = out_.text();
        out += "* ";
        append_number(out, uid_only_ ? message.uid : index + 1);
        out += uid_only_ ? " UIDFETCH (" : " FETCH (";
    };
    open();
    bool first = true;
    for (const FetchItem& item : fetch_items_) {
        if (uid_only_ && item.kind == Kind::uid) continue;
        if (!first && b_->splits_fetch_lines) {
            out_.text() += ")\r\n";
            open();
            if (!uid_only_) {
                out_.text() += "UID ";
                append_number(out_.text(), message.uid);
                out_.text() += ' ';
            }
        } else if (!first) {
            out_.text() += ' ';
        }
        first = false;
        write_item(item, message);
    }
    if (show_flags) {
        out_.text() += " FLAGS (";
        message.flags.append_to(out_.text());
        out_.text() += ')';
    }
    out_.text() += ")\r\n";
    if (b_->unsolicited_fetch && !selected_.uids.empty()) {
        const std::size_t other = (index + 1) % selected_.uids.size();
        const Message* m = selected_.box->find(selected_.uids[other]);
        if (m != nullptr) write_flags_line(*m, other, false);
    }
}

void Session::write_item(const FetchItem& item, const Message& message) {
    std::string& out = out_.text();
    const auto number = [&out](std::string_view name, std::uint64_t value) {
        out += name;
        append_number(out, value);
    };
    switch (item.kind) {
        case Kind::flags:
            out += "FLAGS (";
            message.flags.append_to(out);
            out += ')';
            return;
        case Kind::uid:
            return number("UID ", message.uid);
        case Kind::internal_date: {
            Date date = message.date;
            if (b_->dates_in_utc) date.zone_minutes = 0;
            out += "INTERNALDATE \"";
            append_date_time(out, date);
            out += '"';
            return;
        }
        case Kind::size: {
            const std::uint64_t size = message.body->size();
            const std::uint64_t shown = b_->estimate_size ? b_->estimate_size(size) : size;
            if (!b_->sizes_in_exponents || shown < 1'000'000) return number("RFC822.SIZE ", shown);
            char text[32];
            std::snprintf(text, sizeof text, "%.4e", static_cast<double>(shown));
            out += "RFC822.SIZE ";
            out += text;
            return;
        }
        case Kind::modseq:
            if (b_->modseq_minus_one) {
                out += "MODSEQ (-1)";
                return;
            }
            number("MODSEQ (", message.modseq);
            out += ')';
            return;
        case Kind::email_id:
            number("EMAILID (M", message.object);
            out += ')';
            return;
        case Kind::thread_id:
            number("THREADID (T", message.object);
            out += ')';
            return;
        case Kind::gm_msgid:
            return number("X-GM-MSGID ", 1'500'000'000'000'000'000 + message.object);
        case Kind::gm_thrid:
            return number("X-GM-THRID ", 1'500'000'000'000'000'000 + message.object);
        case Kind::gm_labels: {
            out += "X-GM-LABELS (";
            for (const std::string& label : gm_labels(message)) {
                if (!out.ends_with('(')) out += ' ';
                out += as_string(label);
            }
            out += ')';
            return;
        }
        case Kind::section:
            return write_section(item, message);
    }
}

/// The store is locked.
void Session::note_body(std::uint32_t uid) {
    if (journal_ != nullptr) ++journal_->bodies[{user_ + "/" + selected_.name, uid}];
}

void Session::write_section(const FetchItem& item, const Message& message) {
    out_.text() += item.label;
    if (b_->fetch_without_body.contains(message.uid)) return;
    if (b_->rfc822_empty && item.label.starts_with("RFC822")) {
        out_.text() += " \"\"";
        return;
    }
    Body body = message.body;
    if (b_->fetch_replaced.contains(message.uid)) {
        body = std::make_shared<const std::string>(kReplacement);
    }
    std::size_t begin = 0;
    std::size_t end = body->size();
    if (item.part == Part::all && !item.partial) {
        const std::size_t shown = end;
        (void)spend(shown, 0);
        note_body(message.uid);
        // Domino's mistake: the last line end is behind the octets it announced.
        if (b_->short_literals && body->ends_with("\r\n")) {
            std::string& out = out_.text();
            out += " {";
            append_number(out, end - 2);
            out += "}\r\n";
            out_.body(body, begin, end);
            return;
        }
    }
    if (item.part != Part::all) {
        const std::size_t cut = header_end(*body);
        if (item.part == Part::text) begin = cut;
        if (item.part != Part::text) end = cut;
    }
    if (item.part == Part::fields || item.part == Part::fields_not) {
        body = std::make_shared<const std::string>(pick_fields(
            std::string_view(*body).substr(0, end), item.fields, item.part == Part::fields_not));
        begin = 0;
        end = body->size();
    }
    if (item.partial) {
        begin = static_cast<std::size_t>(std::min<std::uint64_t>(begin + item.partial->first, end));
        end = static_cast<std::size_t>(std::min<std::uint64_t>(begin + item.partial->second, end));
    }
    std::string& out = out_.text();
    out += " {";
    append_number(out, end - begin);
    out += "}\r\n";
    out_.body(body, begin, end);
}

}  // namespace imapult::imapd
