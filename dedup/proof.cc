#include "dedup/proof.h"

#include <algorithm>
#include <array>
#include <utility>

#include "dedup/sha256.h"
#include "engine/base/text.h"

namespace imapult::dedup {
namespace {

constexpr char kMessageLeaf = 0x00;
constexpr char kNode = 0x01;
constexpr char kMailboxLeaf = 0x02;
constexpr char kContent = 0x04;
constexpr std::size_t kIdLineBytesMax = 16 * 1024;      ///< a longer line is no Message-ID
constexpr std::size_t kIdHeaderBytesMax = 1024 * 1024;  ///< behind it none is looked for

std::string_view view(const Sha256& hash) {
    return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

/// Parts of one hash input.
class Input {
  public:
    explicit Input(char domain) { hash_.update({&domain, 1}); }
    Input& hash(const Sha256& value) {
        hash_.update(view(value));
        return *this;
    }
    template <class Unsigned>
    Input& number(Unsigned value) {
        std::array<char, sizeof value> bytes{};
        for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<char>(value >> (8 * (bytes.size() - 1 - i)));
        hash_.update({bytes.data(), bytes.size()});
        return *this;
    }
    Input& text(std::string_view value) {
        number(static_cast<std::uint32_t>(value.size()));
        hash_.update(value);
        return *this;
    }
    Sha256 done() { return hash_.finish(); }

  private:
    Sha256Stream hash_;
};

/// RFC 6962 §2.1, over [first, last) of sorted leaves.
Sha256 root_of_range(const std::vector<Sha256>& leaves, std::size_t first, std::size_t last) {
    const std::size_t count = last - first;
    if (count == 1) return leaves[first];
    std::size_t half = 1;
    while (half * 2 < count) half *= 2;
    return Input(kNode)
        .hash(root_of_range(leaves, first, first + half))
        .hash(root_of_range(leaves, first + half, last))
        .done();
}

}  // namespace

Sha256 content_hash(std::string_view message_id, const Sha256& message) {
    return Input(kContent).text(message_id).hash(message).done();
}

Sha256 message_leaf(const Sha256& content, std::int64_t date, std::string_view flags) {
    return Input(kMessageLeaf)
        .hash(content)
        .number(static_cast<std::uint64_t>(date))
        .text(flags)
        .done();
}

Sha256 mailbox_leaf(std::string_view name, std::uint64_t messages, const Sha256& root) {
    return Input(kMailboxLeaf).text(name).number(messages).hash(root).done();
}

Sha256 merkle_root(std::vector<Sha256> leaves) {
    if (leaves.empty()) return Sha256Stream().finish();
    std::sort(leaves.begin(), leaves.end());
    return root_of_range(leaves, 0, leaves.size());
}

Sha256 root_of(const MailboxProof& mailbox) {
    std::vector<Sha256> leaves;
    leaves.reserve(mailbox.messages.size());
    for (const ProvedMessage& message : mailbox.messages) {
        leaves.push_back(message_leaf(message.content, message.date, mailbox.flags[message.flags]));
    }
    return merkle_root(std::move(leaves));
}

Sha256 root_of(const AccountProof& account) {
    std::vector<Sha256> leaves;
    for (const MailboxProof& box : account.mailboxes)
        leaves.push_back(mailbox_leaf(box.mailbox, box.messages.size(), box.root));
    return merkle_root(std::move(leaves));
}

std::optional<Sha256> source_root_of(const AccountProof& account) {
    std::vector<Sha256> leaves;
    for (const MailboxProof& box : account.mailboxes) {
        if (!box.source_root) return std::nullopt;
        leaves.push_back(mailbox_leaf(box.mailbox, box.source_messages, *box.source_root));
    }
    return merkle_root(std::move(leaves));
}

std::string proof_flags(const std::vector<std::string_view>& words) {
    std::vector<std::string> sorted;
    for (const std::string_view word : words) {
        std::string lower = to_lower(word);
        if (lower != "\\recent") sorted.push_back(std::move(lower));
    }
    std::sort(sorted.begin(), sorted.end());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    std::string text;
    for (const std::string& word : sorted) {
        if (!text.empty()) text += ' ';
        text += word;
    }
    return text;
}

// --- Message-ID --------------------------------------------------------------------------------

void MessageIdFinder::update(std::string_view bytes) {
    while (!done_ && !bytes.empty()) {
        const std::size_t end = std::min(bytes.find('\n'), bytes.size());
        const std::size_t room = kIdLineBytesMax - std::min(kIdLineBytesMax, line_.size());
        line_ += bytes.substr(0, std::min(end, room));
        seen_ += end;
        const bool whole = end < bytes.size();
        bytes.remove_prefix(whole ? end + 1 : end);
        if (whole) line_is_over();
        if (seen_ > kIdHeaderBytesMax) done_ = true;
    }
}

void MessageIdFinder::line_is_over() {
    if (line_.ends_with('\r')) line_.pop_back();
    const bool folded = line_.starts_with(' ') || line_.starts_with('\t');
    if (found_ && folded) {
        value_ += line_;
    } else if (found_ || line_.empty()) {
        done_ = true;
    } else {
        const std::size_t colon = line_.find(':');
        const auto name = trim(std::string_view(line_).substr(0, colon));
        if (!folded && colon != std::string::npos && equal_ignoring_case(name, "Message-ID")) {
            found_ = true;
            value_ = line_.substr(colon + 1);
        }
    }
    line_.clear();
}

std::string MessageIdFinder::finish() {
    if (!done_ && !line_.empty()) line_is_over();
    return std::string(trim(value_));
}

}  // namespace imapult::dedup
