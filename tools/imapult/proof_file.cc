#include "tools/imapult/proof_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "engine/base/text.h"
#include "tools/imapult/command_line.h"

namespace imapult::program {
namespace {

using Json = nlohmann::ordered_json;
using dedup::Sha256;

constexpr int kVersionOfProofs = 1;
constexpr std::string_view kAlgorithm = "sha256-merkle-rfc6962";
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// --- encodings ---------------------------------------------------------------------------------

std::string to_hex(const Sha256& hash) {
    std::string text;
    for (const std::uint8_t octet : hash) text += fmt::format("{:02x}", octet);
    return text;
}

std::optional<Sha256> from_hex(std::string_view text) {
    Sha256 hash{};
    if (text.size() != hash.size() * 2) return std::nullopt;
    for (std::size_t i = 0; i < hash.size(); ++i) {
        const char* begin = text.data() + i * 2;
        const auto [end, failed] = std::from_chars(begin, begin + 2, hash[i], 16);
        if (failed != std::errc{} || end != begin + 2) return std::nullopt;
    }
    return hash;
}

void append_base64(std::string& out, std::string_view octets) {
    unsigned bits = 0;
    int count = 0;
    for (const char c : octets) {
        bits = (bits << 8) | static_cast<unsigned char>(c);
        for (count += 8; count >= 6; count -= 6) out += kAlphabet[(bits >> (count - 6)) & 63];
    }
    if (count > 0) out += kAlphabet[(bits << (6 - count)) & 63];
}

std::optional<std::string> from_base64(std::string_view text) {
    std::string out;
    unsigned bits = 0;
    int count = 0;
    for (const char c : text) {
        const std::size_t value = kAlphabet.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        bits = (bits << 6) | static_cast<unsigned>(value);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        out += static_cast<char>((bits >> count) & 0xFF);
    }
    if (count >= 6 || (bits & ((1U << count) - 1)) != 0) return std::nullopt;
    return out;
}

Json text_json(const std::string& text) {
    if (is_utf8(text)) return text;
    std::string encoded;
    append_base64(encoded, text);
    return {{"base64", encoded}};
}

// --- writing -----------------------------------------------------------------------------------

void append_mailbox(std::string& out, const dedup::MailboxProof& box) {
    Json head = {{"mailbox", text_json(box.mailbox)}, {"destination", text_json(box.destination)},
                 {"uid_validity", box.uid_validity},  {"messages", box.messages.size()},
                 {"root", to_hex(box.root)},          {"source_messages", box.source_messages}};
    if (box.source_root) head["source_root"] = to_hex(*box.source_root);
    head["flags"] = Json::array();
    for (const std::string& set : box.flags) head["flags"].push_back(text_json(set));
    std::string text = head.dump();
    text.pop_back();
    out += "   " + text + ",\n    \"leaves\": [";
    const char* between = "\n";
    for (const dedup::ProvedMessage& message : box.messages) {
        out += between;
        between = ",\n";
        fmt::format_to(std::back_inserter(out), "     \"{} ", message.uid);
        if (message.date == dedup::kNoDate) {
            out += '-';
        } else {
            fmt::format_to(std::back_inserter(out), "{}", message.date);
        }
        fmt::format_to(std::back_inserter(out), " {} ", message.flags);
        append_base64(
            out, {reinterpret_cast<const char*>(message.content.data()), message.content.size()});
        out += '"';
    }
    out += "]}";
}

// --- reading -----------------------------------------------------------------------------------

/// What is wrong with the document; caught at its edge.
struct Damage {
    std::string what;
};

const Json& member(const Json& json, const char* name) {
    if (!json.is_object() || !json.contains(name))
        throw Damage{fmt::format("\"{}\" is missing", name)};
    return json.at(name);
}

std::string text_of(const Json& json) {
    if (json.is_string()) return json.get<std::string>();
    const Json& encoded = member(json, "base64");
    auto text =
        encoded.is_string() ? from_base64(encoded.get_ref<const std::string&>()) : std::nullopt;
    if (!text) throw Damage{"a text is neither a string nor base64"};
    return std::move(*text);
}

template <class Number>
Number number_of(const Json& json) {
    if (!json.is_number_unsigned() ||
        json.get<std::uint64_t>() > std::numeric_limits<Number>::max())
        throw Damage{"a number is not one, or too large"};
    return json.get<Number>();
}

Sha256 hash_of(const Json& json) {
    const auto hash =
        json.is_string() ? from_hex(json.get_ref<const std::string&>()) : std::nullopt;
    if (!hash) throw Damage{"a root is not 64 hexadecimal digits"};
    return *hash;
}

std::optional<Sha256> source_root_in(const Json& json) {
    if (!json.contains("source_root")) return std::nullopt;
    return hash_of(json.at("source_root"));
}

template <class Number>
Number leaf_number(std::string_view text) {
    Number number{};
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{} || end != text.data() + text.size() || text.empty())
        throw Damage{"a leaf is not of the form UID DATE FLAGS CONTENT"};
    return number;
}

dedup::ProvedMessage leaf_of(const Json& json, std::size_t flag_sets) {
    if (!json.is_string()) throw Damage{"a leaf is not a string"};
    std::string_view rest = json.get_ref<const std::string&>();
    std::array<std::string_view, 4> words;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::size_t end = i + 1 < words.size() ? rest.find(' ') : rest.size();
        if (end == std::string_view::npos)
            throw Damage{"a leaf is not of the form UID DATE FLAGS CONTENT"};
        words.at(i) = rest.substr(0, end);
        rest.remove_prefix(std::min(rest.size(), end + 1));
    }
    dedup::ProvedMessage message;
    message.uid = leaf_number<std::uint32_t>(words[0]);
    if (words[1] != "-") message.date = leaf_number<std::int64_t>(words[1]);
    message.flags = leaf_number<std::uint32_t>(words[2]);
    if (message.flags >= flag_sets) throw Damage{"a leaf names flags that are not listed"};
    const auto content = from_base64(words[3]);
    if (!content || content->size() != message.content.size())
        throw Damage{"a leaf's content hash is not 32 octets of base64url"};
    std::copy(content->begin(), content->end(), message.content.begin());
    return message;
}

dedup::MailboxProof mailbox_of(const Json& json) {
    dedup::MailboxProof box;
    box.mailbox = text_of(member(json, "mailbox"));
    const std::string name = printable(box.mailbox);
    box.destination = text_of(member(json, "destination"));
    box.uid_validity = number_of<std::uint32_t>(member(json, "uid_validity"));
    box.source_messages = number_of<std::uint64_t>(member(json, "source_messages"));
    box.root = hash_of(member(json, "root"));
    box.source_root = source_root_in(json);
    for (const Json& set : member(json, "flags")) box.flags.push_back(text_of(set));
    const Json& leaves = member(json, "leaves");
    box.messages.reserve(leaves.size());
    for (const Json& leaf : leaves) box.messages.push_back(leaf_of(leaf, box.flags.size()));
    if (box.messages.size() != number_of<std::uint64_t>(member(json, "messages")))
        throw Damage{fmt::format("the mailbox {} has more or fewer leaves than it says", name)};
    if (dedup::root_of(box) != box.root)
        throw Damage{fmt::format("the leaves of the mailbox {} do not give its root", name)};
    return box;
}

std::shared_ptr<const dedup::AccountProof> account_of(const Json& json) {
    auto account = std::make_shared<dedup::AccountProof>();
    account->account = text_of(member(json, "account"));
    account->destination_user = text_of(member(json, "destination_user"));
    account->root = hash_of(member(json, "root"));
    account->source_root = source_root_in(json);
    for (const Json& box : member(json, "mailboxes")) account->mailboxes.push_back(mailbox_of(box));
    if (dedup::root_of(*account) != account->root) {
        throw Damage{fmt::format("the mailboxes of the account {} do not give its root",
                                 printable(account->account))};
    }
    return account;
}

}  // namespace

Proofs proofs_of(const campaign::Summary& summary) {
    Proofs proofs;
    for (const auto& account : summary.accounts) {
        if (account.proof) proofs.push_back(account.proof);
    }
    return proofs;
}

std::string proof_text(const Proofs& proofs, std::int64_t made) {
    std::string out = fmt::format(
        "{{\"imapult_proof\": {}, \"algorithm\": \"{}\", \"made\": \"{}\", \"imapult\": \"{}\",\n"
        " \"accounts\": [",
        kVersionOfProofs, kAlgorithm, utc_time(made), kVersion);
    const char* between = "\n";
    for (const auto& account : proofs) {
        out += between;
        between = ",\n";
        Json head = {{"account", text_json(account->account)},
                     {"destination_user", text_json(account->destination_user)},
                     {"root", to_hex(account->root)}};
        if (account->source_root) head["source_root"] = to_hex(*account->source_root);
        std::string text = head.dump();
        text.pop_back();
        out += "  " + text + ",\n  \"mailboxes\": [";
        const char* next = "\n";
        for (const dedup::MailboxProof& box : account->mailboxes) {
            out += next;
            next = ",\n";
            append_mailbox(out, box);
        }
        out += "]}";
    }
    return out + "]}\n";
}

Result<Proofs> parse_proof(std::string_view text) {
    const auto bad = [](const std::string& what) { return invalid(what); };
    try {
        const Json json = Json::parse(text);
        if (!json.is_object() || !json.contains("imapult_proof"))
            return bad("it is no proof made by imapult verify --proof");
        const Json& version = json.at("imapult_proof");
        if (version != kVersionOfProofs) {
            return bad(fmt::format("it is a proof of version {}; this imapult reads version {}",
                                   printable(version.dump(), 32), kVersionOfProofs));
        }
        if (member(json, "algorithm") != Json(std::string(kAlgorithm)))
            return bad(fmt::format("its algorithm is not {}", kAlgorithm));
        Proofs proofs;
        for (const Json& account : member(json, "accounts")) proofs.push_back(account_of(account));
        return proofs;
    } catch (const Damage& damage) {
        return bad("the proof is damaged: " + damage.what);
    } catch (const Json::exception&) {
        return bad("the proof is damaged: it is no well-formed JSON document");
    }
}

Result<Proofs> read_proof(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    if (file) text << file.rdbuf();
    if (!file) return invalid("it cannot be read");
    return parse_proof(text.view());
}

}  // namespace imapult::program
