#include "tools/imapd/search.h"

#include <algorithm>

#include "engine/base/limits.h"
#include "engine/base/text.h"

namespace imapult::imapd {
namespace {

using Test = std::function<bool(const Message&, std::uint32_t)>;

/// Reads keys one after the other; `nesting` bounds NOT, OR and parentheses.
class Parser {
  public:
    Parser(Args& args, const SearchContext& context, Search& out)
        : args_(args), context_(context), out_(out) {}

    /// Keys up to `end` (')' or the end of the arguments), all of which must hold.
    std::optional<Test> all_of(char end, std::size_t nesting) {
        std::vector<Test> tests;
        do {
            auto test = key(nesting);
            if (!test) return std::nullopt;
            tests.push_back(std::move(*test));
        } while (args_.space());
        if (end == ')' ? !args_.accept(')') : !args_.at_end()) return std::nullopt;
        if (tests.size() == 1) return std::move(tests[0]);
        return [tests](const Message& m, std::uint32_t n) {
            return std::ranges::all_of(tests, [&](const Test& t) { return t(m, n); });
        };
    }

  private:
    std::optional<Test> key(std::size_t nesting) {
        if (nesting > limits::kNestingMax) return std::nullopt;
        if (args_.accept('(')) return all_of(')', nesting + 1);
        const std::size_t start = args_.position();
        const std::string word = to_lower(args_.atom().value_or(""));
        if (word == "all") return [](const Message&, std::uint32_t) { return true; };
        if (word == "not") {
            auto test = args_.space() ? key(nesting + 1) : std::nullopt;
            if (!test) return std::nullopt;
            return [t = *test](const Message& m, std::uint32_t n) { return !t(m, n); };
        }
        if (word == "or") {
            auto left = args_.space() ? key(nesting + 1) : std::nullopt;
            auto right = left && args_.space() ? key(nesting + 1) : std::nullopt;
            if (!right) return std::nullopt;
            return [l = *left, r = *right](const Message& m, std::uint32_t n) {
                return l(m, n) || r(m, n);
            };
        }
        if (auto test = flag_key(word)) return test;
        if (auto test = number_key(word)) return test;
        if (auto test = text_key(word)) return test;
        args_.rewind(start);
        return set_key(args_.atom().value_or(""));
    }

    std::optional<Test> flag_key(const std::string& word) {
        constexpr std::string_view kFlags[] = {"answered", "deleted", "draft", "flagged", "seen"};
        const bool negated = word.starts_with("un");
        const std::string name = negated ? word.substr(2) : word;
        if (word == "new" || word == "recent") {
            return [](const Message&, std::uint32_t) { return false; };  // nothing is \Recent here
        }
        if (word == "old") return [](const Message&, std::uint32_t) { return true; };
        std::string flag;
        if (name == "keyword") {
            out_.has_keyword = true;
            flag = args_.space() ? args_.atom().value_or("") : "";
            if (flag.empty()) return std::nullopt;
        } else if (std::ranges::find(kFlags, name) != std::end(kFlags)) {
            flag = "\\" + name;
        } else {
            return std::nullopt;
        }
        return [flag, negated](const Message& m, std::uint32_t) {
            return m.flags.has(flag) != negated;
        };
    }

    std::optional<Test> number_key(const std::string& word) {
        constexpr std::string_view kWords[] = {"larger", "smaller", "modseq", "younger", "older"};
        if (std::ranges::find(kWords, word) == std::end(kWords) || !args_.space()) {
            return std::nullopt;
        }
        if (word == "modseq" && args_.peek() == '"') {
            // Entry name and type (RFC 7162, section 3.1.5): every flag counts here.
            if (!args_.astring() || !args_.space() || !args_.atom() || !args_.space()) {
                return std::nullopt;
            }
        }
        const auto value = args_.number();
        if (!value) return std::nullopt;
        const std::uint64_t limit = *value;
        const auto age = static_cast<std::int64_t>(std::min<std::uint64_t>(limit, INT32_MAX));
        const std::int64_t edge = context_.now - age;
        if (word == "larger") {
            return [limit](const Message& m, std::uint32_t) { return m.body->size() > limit; };
        }
        if (word == "smaller") {
            return [limit](const Message& m, std::uint32_t) { return m.body->size() < limit; };
        }
        if (word == "modseq") {
            out_.modseq = true;
            return [limit](const Message& m, std::uint32_t) { return m.modseq >= limit; };
        }
        const bool younger = word == "younger";
        return [edge, younger](const Message& m, std::uint32_t) {
            return (m.date.unix_seconds >= edge) == younger;
        };
    }

    /// SINCE, BEFORE and ON by INTERNALDATE, in the zone it was given in; the SENT keys likewise,
    /// as Zimbra and Carbonio do.
    std::optional<Test> date_key(std::string_view word) {
        if (word.starts_with("sent")) word.remove_prefix(4);
        if (word != "since" && word != "before" && word != "on") return std::nullopt;
        const auto text = args_.space() ? args_.astring() : std::nullopt;
        const auto day = text ? parse_day(*text) : std::nullopt;
        if (!day) return std::nullopt;
        const int order = word == "before" ? -1 : word == "on" ? 0 : 1;
        return [d = *day, order](const Message& m, std::uint32_t) {
            const std::int64_t local = m.date.unix_seconds + m.date.zone_minutes * 60;
            const std::int64_t have = local >= 0 ? local / 86'400 : (local - 86'399) / 86'400;
            return order < 0 ? have < d : order == 0 ? have == d : have >= d;
        };
    }

    std::optional<Test> text_key(const std::string& word) {
        if (auto test = date_key(word)) return test;
        std::string field;
        if (word == "header") {
            field = args_.space() ? to_lower(args_.astring().value_or("")) : "";
            if (field.empty()) return std::nullopt;
        } else if (word == "from" || word == "to" || word == "cc" || word == "bcc" ||
                   word == "subject") {
            field = word;
        } else if (word != "text" && word != "body") {
            return std::nullopt;
        }
        auto value = args_.space() ? args_.astring() : std::nullopt;
        if (!value) return std::nullopt;
        return [field, want = to_lower(*value), whole = word == "text"](const Message& m,
                                                                        std::uint32_t) {
            const std::string_view all = *m.body;
            const std::size_t empty_line = all.find("\r\n\r\n");
            if (field.empty()) {
                const std::size_t from =
                    whole || empty_line == std::string_view::npos ? 0 : empty_line;
                return to_lower(all.substr(from)).find(want) != std::string::npos;
            }
            return header_has(all.substr(0, empty_line), field, want);
        };
    }

    static bool header_has(std::string_view header, const std::string& field,
                           const std::string& want) {
        std::string value;
        bool in = false;
        while (!header.empty()) {
            const std::size_t end = header.find('\n');
            const std::string_view line = header.substr(0, end);
            header.remove_prefix(end == std::string_view::npos ? header.size() : end + 1);
            const bool continues = line.starts_with(' ') || line.starts_with('\t');
            if (!continues) {
                if (in && value.find(want) != std::string::npos) return true;
                const std::size_t colon = line.find(':');
                in = colon != std::string_view::npos &&
                     equal_ignoring_case(trim(line.substr(0, colon)), field);
                value = in ? to_lower(trim(line.substr(colon + 1))) : "";
            } else if (in) {
                value += ' ' + to_lower(trim(line));
            }
        }
        return in && value.find(want) != std::string::npos;
    }

    std::optional<Test> set_key(const std::string& word) {
        const bool by_uid = equal_ignoring_case(word, "UID");
        const std::string text = by_uid ? (args_.space() ? args_.atom().value_or("") : "") : word;
        if (text == "$") {
            return [saved = context_.saved](const Message& m, std::uint32_t) {
                return std::ranges::binary_search(saved, m.uid);
            };
        }
        const std::uint32_t star = std::max(1U, by_uid ? context_.last_uid : context_.messages);
        const auto set = NumberSet::parse(text, star);
        if (!set) return std::nullopt;
        return [s = *set, by_uid](const Message& m, std::uint32_t n) {
            return s.contains(by_uid ? m.uid : n);
        };
    }

    Args& args_;
    const SearchContext& context_;
    Search& out_;
};

}  // namespace

std::optional<Search> parse_search(Args& args, const SearchContext& context) {
    Search out;
    out.everything = equal_ignoring_case(args.rest(), "ALL");
    auto test = Parser(args, context, out).all_of('\n', 0);
    if (!test) return std::nullopt;
    out.matches = std::move(*test);
    return out;
}

}  // namespace imapult::imapd
