#include "imap/capability.h"

#include "engine/base/limits.h"
#include "engine/base/text.h"

namespace imapult::imap {
namespace {

std::string to_upper(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - ('a' - 'A'));
    }
    return out;
}

}  // namespace

void CapabilitySet::assign(std::span<const std::string_view> words) {
    names_.clear();
    for (std::size_t i = 0; i < words.size() && names_.size() < limits::kCapabilitiesMax; ++i) {
        std::string name = to_upper(words[i]);
        const bool split = i + 1 < words.size() && (words[i + 1] == "+" || words[i + 1] == "-");
        if (name == "LITERAL" && split) name += words[++i];
        if (!name.empty()) names_.insert(std::move(name));
    }
}

bool CapabilitySet::has(std::string_view name) const {
    return names_.contains(to_upper(name));
}

void CapabilitySet::remove(std::string_view name) {
    names_.erase(to_upper(name));
}

LiteralMode CapabilitySet::literal_mode() const {
    if (has("LITERAL+")) return LiteralMode::plus;
    // IMAP4rev2 includes LITERAL- (RFC 9051, appendix E), but only once it is enabled where both
    // revisions are offered.
    if (has("LITERAL-") || (has("IMAP4rev2") && !has("IMAP4rev1"))) return LiteralMode::minus;
    return LiteralMode::synchronising;
}

std::optional<std::uint64_t> CapabilitySet::append_limit() const {
    constexpr std::string_view kPrefix = "APPENDLIMIT=";
    const auto found = names_.lower_bound(std::string(kPrefix));
    if (found == names_.end() || !found->starts_with(kPrefix)) return std::nullopt;
    return parse_number(std::string_view(*found).substr(kPrefix.size()));
}

bool CapabilitySet::has_auth(std::string_view mechanism) const {
    return has("AUTH=" + std::string(mechanism));
}

}  // namespace imapult::imap
