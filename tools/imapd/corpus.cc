#include "tools/imapd/corpus.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace imapult::imapd {
namespace {

constexpr std::array<std::string_view, 24> kWords{
    "report", "meeting", "the",     "invoice", "schedule", "and",    "project", "review",
    "of",     "network", "archive", "monday",  "please",   "server", "with",    "budget",
    "draft",  "for",     "mailbox", "holiday", "question", "update", "we",      "attached"};
constexpr std::array<std::string_view, 6> kPeople{"alice", "bob", "carol", "dave", "erin", "frank"};
constexpr std::array<std::string_view, 4> kZones{"+0000", "+0100", "-0500", "+0530"};
constexpr std::array<int, 4> kZoneMinutes{0, 60, -300, 330};
constexpr std::size_t kRecentMax = 64;
constexpr std::size_t kLineBytes = 76;
constexpr std::size_t kBlockLines = 1024;
constexpr std::size_t kTextBlockBytes = 64 * 1024;
constexpr double kNormal99 = 2.3263;  // the 99th percentile of the standard normal distribution

template <class Array>
const auto& pick(Random& random, const Array& from) {
    return from[static_cast<std::size_t>(random.below(from.size()))];
}

/// Standard normal (Box and Muller).
double normal(Random& random) {
    const double u = 1.0 - random.unit();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * random.unit());
}

std::string date_header(std::int64_t seconds, std::size_t zone) {
    std::string text = format_date_time({seconds, kZoneMinutes[zone]});
    for (const std::size_t dash : {std::size_t{2}, std::size_t{6}}) text[dash] = ' ';
    return text.starts_with(' ') ? text.substr(1) : text;
}

}  // namespace

MessageShape MessageShape::plain(std::uint64_t median_bytes) {
    MessageShape s;
    s.median_bytes = median_bytes;
    s.p99_bytes = median_bytes * 4;
    s.raw_8bit_header = s.nul = s.bare_lf = s.no_final_crlf = s.duplicate_message_id = 0;
    s.missing_message_id = s.headerless = s.empty_body = s.long_line = s.nested = 0;
    s.identical = s.mbox_from_line = s.old_date = 0;
    return s;
}

MessageGenerator::MessageGenerator(std::uint64_t seed, MessageShape shape)
    : random_(seed), shape_(shape) {
    const auto ratio = static_cast<double>(std::max(shape.p99_bytes, shape.median_bytes)) /
                       static_cast<double>(std::max<std::uint64_t>(1, shape.median_bytes));
    sigma_ = std::log(ratio) / kNormal99;
    constexpr std::string_view kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (std::size_t i = 0; i < kBlockLines; ++i) {
        for (std::size_t j = 0; j < kLineBytes; ++j) base64_block_ += pick(random_, kAlphabet);
        base64_block_ += "\r\n";
    }
    std::size_t line = 0;
    while (text_block_.size() < kTextBlockBytes) {
        const std::string_view word = pick(random_, kWords);
        text_block_ += word;
        line += word.size() + 1;
        text_block_ += line > 66 ? "\r\n" : " ";
        if (line > 66) line = 0;
    }
    text_block_ += "\r\n";
}

std::uint64_t MessageGenerator::size() {
    const double factor = std::exp(sigma_ * normal(random_));
    const double wanted = static_cast<double>(shape_.median_bytes) * factor;
    const auto most = static_cast<double>(shape_.bytes_max);
    return static_cast<std::uint64_t>(std::clamp(wanted, 64.0, most));
}

NewMessage MessageGenerator::next() {
    ++made_;
    NewMessage out;
    // Between 2004 and 2025; zones as people have them.
    std::int64_t seconds = 1'072'915'200 + static_cast<std::int64_t>(random_.below(694'000'000));
    if (random_.chance(shape_.old_date)) seconds = 1000;
    const auto zone = static_cast<std::size_t>(random_.below(kZones.size()));
    out.date = Date{seconds, kZoneMinutes[zone]};
    out.flags = flags();
    if (!recent_.empty() && random_.chance(shape_.identical)) {
        out.body = pick(random_, recent_).body;
        return out;
    }
    const std::uint64_t target = size();
    std::string text;
    text.reserve(static_cast<std::size_t>(target + target / 16 + 2048));
    if (random_.chance(shape_.mbox_from_line)) {
        text += "From alice@example.com Mon Jan  1 00:00:00 2024\r\n";
    }
    const bool headerless = random_.chance(shape_.headerless);
    if (!headerless) text += header(seconds);
    if (headerless || !random_.chance(shape_.empty_body)) {
        add_content(text, target);
    } else {
        text += "\r\n";
    }
    spoil(text);
    out.body = std::make_shared<const std::string>(std::move(text));
    Recent recent{.message_id = "<" + std::to_string(made_) + ".seed@example.com>",
                  .body = out.body};
    // Large ones are not kept: memory of the generator stays small.
    if (out.body->size() < 256 * 1024) {
        if (recent_.size() < kRecentMax) {
            recent_.push_back(std::move(recent));
        } else {
            recent_[made_ % kRecentMax] = std::move(recent);
        }
    }
    return out;
}

std::string MessageGenerator::header(std::int64_t date) {
    const std::string_view from = pick(random_, kPeople);
    const std::string_view to = pick(random_, kPeople);
    std::string out;
    const std::uint64_t hops = random_.below(4);
    for (std::uint64_t i = 0; i < hops; ++i) {
        out += "Received: from relay" + std::to_string(i) + ".example.net (192.0.2." +
               std::to_string(random_.below(255)) + ")\r\n\tby mx.example.com with ESMTPS id " +
               std::to_string(random_.next()) + ";\r\n\t" + date_header(date, 0) + "\r\n";
    }
    out += "Date: " + date_header(date, static_cast<std::size_t>(random_.below(4))) + "\r\n";
    out += "From: " + std::string(from) + " <" + std::string(from) + "@example.com>\r\n";
    out += "To: " + std::string(to) + "@example.org\r\n";
    out += "Subject: ";
    if (random_.chance(shape_.raw_8bit_header))
        out +=
            "Gr\xFC\xDF"
            "e \xE4us ";  // raw Latin-1
    if (random_.chance(0.1)) out += "=?UTF-8?Q?f=C3=BCr?= ";
    for (int i = 0; i < 4; ++i) out += std::string(pick(random_, kWords)) + ' ';
    out += std::to_string(made_) + "\r\n";
    if (!random_.chance(shape_.missing_message_id)) {
        const bool again = !recent_.empty() && random_.chance(shape_.duplicate_message_id);
        out += "Message-ID: ";
        out += again ? pick(random_, recent_).message_id
                     : "<" + std::to_string(made_) + ".seed@example.com>";
        out += "\r\n";
    }
    return out + "MIME-Version: 1.0\r\n";
}

/// Whole lines from a random place, and the rest of the last one cut off.
void MessageGenerator::add_text(std::string& out, std::size_t target) {
    while (target > 0) {
        const std::size_t from = text_block_.find('\n', random_.below(text_block_.size() / 2)) + 1;
        const std::size_t n = std::min(target, text_block_.size() - from);
        out.append(text_block_, from, n);
        target -= n;
    }
    if (out.ends_with('\r')) out.pop_back();
    if (!out.ends_with("\r\n")) out += "\r\n";
}

void MessageGenerator::add_base64(std::string& out, std::size_t target) {
    std::size_t left = target / (kLineBytes + 2) + 1;
    while (left > 0) {
        const auto first = static_cast<std::size_t>(random_.below(kBlockLines));
        const std::size_t lines = std::min(left, kBlockLines - first);
        out.append(base64_block_, first * (kLineBytes + 2), lines * (kLineBytes + 2));
        left -= lines;
    }
}

void MessageGenerator::add_multipart(std::string& out, std::size_t target, unsigned depth) {
    const std::string boundary = "=_" + std::to_string(random_.next());
    out += "Content-Type: multipart/mixed; boundary=\"" + boundary + "\"\r\n\r\n";
    out += "--" + boundary + "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";
    const std::size_t text = std::min<std::size_t>(target / 4, 4000);
    add_text(out, text);
    out += "--" + boundary + "\r\n";
    const std::size_t rest = target - text;
    if (depth > 0 && random_.chance(0.5)) {
        out += "Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n";
        add_multipart(out, rest / 2, depth - 1);
    } else if (depth > 0) {
        add_multipart(out, rest / 2, depth - 1);
    } else {
        out +=
            "Content-Type: application/octet-stream; name=\"report.bin\"\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n";
        add_base64(out, rest);
    }
    out += "--" + boundary + "--\r\n";
}

void MessageGenerator::add_content(std::string& out, std::uint64_t target) {
    const auto left = static_cast<std::size_t>(target > out.size() ? target - out.size() : 16);
    if (random_.chance(shape_.nested)) {
        return add_multipart(out, left, 1 + static_cast<unsigned>(random_.below(4)));
    }
    if (left > 16 * 1024) return add_multipart(out, left, 0);
    const bool has_header = !out.empty();
    if (has_header) out += "Content-Type: text/plain; charset=utf-8\r\n\r\n";
    add_text(out, left);
    if (random_.chance(0.2))
        out +=
            "Gr\xC3\xBC\xC3\x9F"
            "e\r\n";
}

/// The oddities that stand in the octets themselves.
void MessageGenerator::spoil(std::string& out) {
    if (random_.chance(shape_.long_line)) {
        const auto bytes = static_cast<std::size_t>(random_.between(2'000, 200'000));
        out.append(bytes, 'x').append("\r\n");
    }
    if (random_.chance(shape_.nul) && out.size() > 2) out[out.size() / 2] = '\0';
    if (random_.chance(shape_.bare_lf)) {
        const std::size_t at = out.rfind("\r\n", out.size() / 2 + out.size() / 4);
        if (at != std::string::npos) out.erase(at, 1);
    }
    if (random_.chance(shape_.no_final_crlf) && out.ends_with("\r\n")) out.resize(out.size() - 2);
}

FlagSet MessageGenerator::flags() {
    FlagSet out;
    if (random_.chance(0.8)) out.add("\\Seen");
    if (random_.chance(0.15)) out.add("\\Answered");
    if (random_.chance(0.05)) out.add("\\Flagged");
    if (random_.chance(0.01)) out.add("\\Draft");
    constexpr std::array<std::string_view, 5> kKeywords{"$Forwarded", "$label1", "NonJunk",
                                                        "project-x", "$MDNSent"};
    if (random_.chance(shape_.keyword)) out.add(pick(random_, kKeywords));
    return out;
}

// --- organisations

namespace {

struct Named {
    std::string_view name;  ///< UTF-8, levels apart by '/'
    std::string_view special_use;
};
constexpr std::array kSpecial{Named{"Sent", "\\Sent"}, Named{"Drafts", "\\Drafts"},
                              Named{"Trash", "\\Trash"}, Named{"Junk", "\\Junk"},
                              Named{"Archive", "\\Archive"}};
constexpr std::array<std::string_view, 8> kPlain{"Projects", "Projects/2023",  "Projects/2024",
                                                 "Lists",    "Lists/announce", "Travel",
                                                 "R&D",      "Old mail"};
constexpr std::array<std::string_view, 6> kForeign{"Entwürfe",         "Проекты",     "日本語/受信",
                                                   "Ünïcödé/Ordner ß", "Été & hiver", "📁 Emoji"};

/// The wire name of a UTF-8 name in this server's way.
std::string wire_name(const Behaviour& b, std::string_view name) {
    std::string out = b.prefix;
    while (true) {
        const std::size_t slash = name.find('/');
        out += encode_mutf7(name.substr(0, slash));
        if (slash == std::string_view::npos) return out;
        out += b.separator == '\0' ? '_' : b.separator;
        name.remove_prefix(slash + 1);
    }
}

std::vector<std::string> make_mailboxes(Store& store, const std::string& account, Random& random,
                                        const OrganisationShape& shape) {
    const auto b = store.behaviour();
    std::vector<std::string> out{b->inbox_name};
    const auto add = [&](std::string_view name, std::string_view special) {
        if (out.size() >= shape.mailboxes) return;
        const std::string wire = wire_name(*b, name);
        const bool subscribed = random.chance(0.9);
        store.create(account, wire,
                     {.special_use = std::string(special), .subscribed = subscribed});
        out.push_back(wire);
    };
    for (const Named& n : kSpecial) add(n.name, n.special_use);
    for (const std::string_view n : kPlain) add(n, "");
    if (shape.non_ascii_names) {
        for (const std::string_view n : kForeign) add(n, "");
    }
    std::string deep = "Deep";
    for (std::size_t i = 1; out.size() < shape.mailboxes; ++i) {
        if (shape.deep_names && i % 8 != 0) {
            deep += "/level " + std::to_string(i % 8);
        } else {
            deep = "Folder " + std::to_string(i);
        }
        add(deep, "");
    }
    return out;
}

}  // namespace

Organisation fill(Store& store, std::uint64_t seed, const OrganisationShape& shape) {
    Random random(seed);
    MessageGenerator generator(random.next(), shape.shape);
    Organisation out;
    for (std::size_t i = 1; i <= shape.accounts; ++i) {
        const std::string account = "user" + std::to_string(i) + "@" + shape.domain;
        store.add_account(account, shape.password);
        out.accounts.push_back(account);
        const auto mailboxes = make_mailboxes(store, account, random, shape);
        for (std::size_t m = 0; m < shape.messages; ++m) {
            // The square favours the first ones, INBOX above all, as in life.
            const double where = random.unit() * random.unit();
            const auto index =
                static_cast<std::size_t>(where * static_cast<double>(mailboxes.size()));
            NewMessage message = generator.next();
            out.octets += message.body->size();
            ++out.messages;
            store.add_message(account, mailboxes[index], std::move(message));
        }
    }
    return out;
}

std::uint64_t fill_mailbox(Store& store, std::string_view account, std::string_view mailbox,
                           std::size_t count, MessageGenerator& generator) {
    if (!store.mailbox(account, store.behaviour()->inbox_name)) {
        store.add_account(account, OrganisationShape{}.password);
    }
    store.create(account, mailbox);
    std::uint64_t octets = 0;
    for (std::size_t i = 0; i < count; ++i) {
        NewMessage message = generator.next();
        octets += message.body->size();
        store.add_message(account, mailbox, std::move(message));
    }
    return octets;
}

}  // namespace imapult::imapd
