#pragma once
// Events as lines of text, so that tests can say what they expect and fuzz targets can compare what
// two ways of feeding the same bytes gave. Chunks of one body are joined: where a body is cut
// depends on the feeding, its octets do not.

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "imap/response.h"

namespace imapult::imap::testing {

/// Printable ASCII as it is; the rest, and the backslash, as \xNN.
inline std::string show(std::string_view bytes) {
    static constexpr std::string_view kHex = "0123456789abcdef";
    std::string out;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7F && c != '\\') {
            out.push_back(c);
        } else if (c == '\\') {
            out += "\\\\";
        } else {
            out += "\\x";
            out.push_back(kHex[byte >> 4]);
            out.push_back(kHex[byte & 15]);
        }
    }
    return out;
}

/// One event's line: its kind, then name=value pairs of what is there.
class EventLine {
  public:
    explicit EventLine(std::string_view kind) : text_(kind) {}

    EventLine& put(std::string_view name, std::string_view value) {
        if (value.data() == nullptr || value.empty()) return *this;
        return always(name, value);
    }
    EventLine& always(std::string_view name, std::string_view value) {
        text_ += ' ';
        text_ += name;
        text_ += "=<";
        text_ += show(value);
        text_ += '>';
        return *this;
    }
    EventLine& flag(std::string_view name, bool value) {
        if (value) text_ += " " + std::string(name);
        return *this;
    }
    template <class T>
    EventLine& number(std::string_view name, std::optional<T> value) {
        if (value) text_ += " " + std::string(name) + "=" + std::to_string(*value);
        return *this;
    }
    template <class T>
        requires std::is_integral_v<T>
    EventLine& number(std::string_view name, T value) {
        return number(name, std::optional<T>(value));
    }
    template <class T>
    EventLine& list(std::string_view name, const std::vector<T>& values) {
        text_ += " " + std::string(name) + "=(";
        bool first = true;
        for (const auto& value : values) {
            if (!first) text_ += ' ';
            first = false;
            if constexpr (std::is_integral_v<T>) {
                text_ += std::to_string(value);
            } else {
                text_ += show(value);
            }
        }
        text_ += ')';
        return *this;
    }
    [[nodiscard]] std::string text() const { return text_; }

  private:
    std::string text_;
};

inline std::string_view name_of(Condition condition) {
    constexpr std::string_view kNames[] = {"OK", "NO", "BAD", "PREAUTH", "BYE"};
    return kNames[static_cast<std::size_t>(condition)];
}

struct EventText {
    std::string operator()(const NeedInput&) const { return "need-input"; }
    std::string operator()(const Continuation& e) const {
        return EventLine("continuation").put("text", e.text).text();
    }
    std::string operator()(const Status& e) const {
        EventLine line("status");
        line.put("tag", e.tag).flag(name_of(e.condition), true);
        if (e.code != ResponseCode::none) line.flag("[" + std::string(name_of(e.code)) + "]", true);
        if (e.code == ResponseCode::other) line.put("name", e.code_name);
        line.put("args", e.code_text);
        if (!e.numbers.empty()) line.list("numbers", e.numbers);
        line.put("source", e.uid_set_source).put("set", e.uid_set);
        if (!e.words.empty()) line.list("words", e.words);
        return line.put("text", e.text).text();
    }
    std::string operator()(const Capabilities& e) const {
        return EventLine("capabilities").list("words", e.words).text();
    }
    std::string operator()(const Enabled& e) const {
        return EventLine("enabled").list("words", e.words).text();
    }
    std::string operator()(const MailboxFlags& e) const {
        return EventLine("flags").list("flags", e.flags).text();
    }
    std::string operator()(const Exists& e) const {
        return EventLine("exists").number("n", e.count).text();
    }
    std::string operator()(const Recent& e) const {
        return EventLine("recent").number("n", e.count).text();
    }
    std::string operator()(const Expunge& e) const {
        return EventLine("expunge").number("n", e.sequence).text();
    }
    std::string operator()(const Vanished& e) const {
        EventLine line("vanished");
        return line.flag("earlier", e.earlier).flag("broken", !e.ok).put("set", e.uid_set).text();
    }
    std::string operator()(const ListEntry& e) const {
        constexpr std::string_view kKinds[] = {"list", "lsub", "xlist"};
        EventLine line(kKinds[static_cast<std::size_t>(e.kind)]);
        line.list("attributes", e.attributes);
        if (e.separator != 0) line.put("separator", std::string_view(&e.separator, 1));
        return line.always("name", e.name).put("old", e.old_name).text();
    }
    std::string operator()(const StatusData& e) const {
        EventLine line("status-data");
        line.always("name", e.name).number("messages", e.messages).number("uidnext", e.uid_next);
        line.number("uidvalidity", e.uid_validity).number("unseen", e.unseen);
        line.number("recent", e.recent).number("deleted", e.deleted);
        line.number("modseq", e.highest_modseq).number("size", e.size);
        return line.number("appendlimit", e.append_limit).put("id", e.mailbox_id).text();
    }
    std::string operator()(const SearchData& e) const {
        EventLine line(e.extended ? "esearch" : "search");
        line.put("tag", e.tag).flag("uid", e.uid);
        if (!e.extended) line.list("numbers", e.numbers);
        line.put("all", e.all).number("min", e.min).number("max", e.max);
        return line.number("count", e.count).number("modseq", e.modseq).text();
    }
    std::string operator()(const Fetch& e) const {
        EventLine line("fetch");
        if (e.sequence != 0) line.number("seq", e.sequence);
        line.number("uid", e.uid);
        if (e.flags) line.list("flags", *e.flags);
        line.number("date", e.internal_date);
        if (e.internal_date_zone != 0) line.number("zone", e.internal_date_zone);
        line.number("size", e.size).number("modseq", e.modseq);
        line.put("emailid", e.email_id).put("threadid", e.thread_id);
        line.number("gm-msgid", e.gm_message_id).number("gm-thrid", e.gm_thread_id);
        if (e.gm_labels) line.list("labels", *e.gm_labels);
        line.put("sha1", e.digest_sha1).flag("body-nil", e.body == Fetch::Body::nil);
        if (e.body == Fetch::Body::streamed) line.number("body", e.body_bytes);
        return line.text();
    }
    std::string operator()(const BodyBegin& e) const {
        EventLine line("body");
        if (e.sequence != 0) line.number("seq", e.sequence);
        line.number("uid", e.uid).put("section", e.section).number("origin", e.origin);
        return line.number("bytes", e.bytes).text();
    }
    std::string operator()(const BodyChunk& e) const { return show(e.bytes); }
    std::string operator()(const Id& e) const {
        EventLine line("id");
        for (const auto& [name, value] : e.fields) line.always(name, value);
        return line.text();
    }
    std::string operator()(const Namespaces& e) const {
        EventLine line("namespaces");
        const auto put = [&](std::string_view kind, const std::vector<Namespaces::Entry>& entries) {
            for (const auto& entry : entries) {
                line.always(kind, entry.prefix + " " + std::string(1, entry.separator));
            }
        };
        put("personal", e.personal);
        put("others", e.other_users);
        put("shared", e.shared);
        return line.text();
    }
    std::string operator()(const Quota& e) const {
        EventLine line("quota");
        line.always("root", e.root);
        for (const auto& resource : e.resources) {
            line.always(resource.name,
                        std::to_string(resource.usage) + "/" + std::to_string(resource.limit));
        }
        return line.text();
    }
    std::string operator()(const QuotaRoot& e) const {
        return EventLine("quotaroot").always("name", e.name).list("roots", e.roots).text();
    }
    std::string operator()(const Acl& e) const {
        EventLine line("acl");
        line.always("name", e.name);
        for (const auto& [who, rights] : e.rights) line.always(who, rights);
        return line.text();
    }
    std::string operator()(const MyRights& e) const {
        return EventLine("myrights").always("name", e.name).put("rights", e.rights).text();
    }
    std::string operator()(const Unknown& e) const {
        return EventLine("unknown").put("line", e.line).text();
    }
    std::string operator()(const Garbage& e) const {
        return EventLine("garbage").put("line", e.line).text();
    }
};

/// Collects the lines of a parser's events.
class EventLog {
  public:
    /// Feeds one piece and takes all events; false once the parser has failed.
    bool feed(ResponseParser& parser, std::string_view piece) {
        // A copy of exactly this size: an access beyond the piece, or to an earlier one, is seen
        // by AddressSanitizer.
        const std::vector<char> bytes(piece.begin(), piece.end());
        parser.feed({bytes.data(), bytes.size()});
        while (true) {
            const Result<Event> event = parser.next();
            if (!event) {
                close_body();
                const bool limit = event.error().code == Code::limit;
                lines.push_back((limit ? "limit: " : "error: ") + event.error().text);
                return false;
            }
            if (std::holds_alternative<NeedInput>(*event)) return true;
            take(*event);
        }
    }
    /// What a body that is not yet complete gave.
    void close_body() {
        if (body_open_) lines.push_back("octets " + std::exchange(body_, {}) + " …");
        body_open_ = false;
    }

    std::vector<std::string> lines;

  private:
    void take(const Event& event) {
        if (const auto* chunk = std::get_if<BodyChunk>(&event)) {
            body_ += show(chunk->bytes);
            body_open_ = !chunk->last;
            if (chunk->last) lines.push_back("octets " + std::exchange(body_, {}));
            return;
        }
        body_open_ = std::holds_alternative<BodyBegin>(event);
        lines.push_back(std::visit(EventText{}, event));
    }
    std::string body_;
    bool body_open_ = false;
};

}  // namespace imapult::imap::testing
