#include <array>
#include <string>

#include "dedup/header_lines.h"
#include "dedup/identity.h"
#include "dedup/sha256.h"
#include "engine/base/text.h"

namespace imapult::dedup {
namespace {

/// The fields of the loose identity, in the order they are digested.
constexpr std::array<std::string_view, 8> kLooseFields = {
    "message-id", "date", "from", "to", "cc", "subject", "in-reply-to", "references"};
constexpr std::size_t kMessageId = 0;
constexpr std::size_t kDate = 1;

std::size_t loose_field(std::string_view name) {
    for (std::size_t i = 0; i < kLooseFields.size(); ++i) {
        if (equal_ignoring_case(name, kLooseFields[i])) return i;
    }
    return kLooseFields.size();
}

/// Appends a value's part with runs of blanks as one, without those at the ends, and every 8-bit
/// octet as X: Cyrus writes it so.
void append_loose(std::string& out, std::string_view text) {
    bool blank = out.empty();
    for (const char c : text) {
        if (c == ' ' || c == '\t') {
            if (!blank) out.push_back(' ');
            blank = true;
            continue;
        }
        blank = false;
        out.push_back((static_cast<std::uint8_t>(c) & 0x80) != 0 ? 'X' : c);
    }
}

/// Collects the values of the loose fields, repeated ones in their order.
class LooseValues {
  public:
    void line(const HeaderLine& line) {
        if (line.continuation) {
            if (open_ < values_.size()) append(line.text);
            return;
        }
        close();
        const std::string_view name = field_name(line.text);
        open_ = name.empty() ? values_.size() : loose_field(name);
        if (open_ < values_.size()) append(line.text.substr(line.text.find(':') + 1));
    }

    void close() {
        if (open_ < values_.size()) {
            while (current_.ends_with(' ')) current_.pop_back();
            // Lengths in front, so that no value can imitate two.
            values_[open_] += std::to_string(current_.size()) + ':' + current_;
            filled_[open_] = filled_[open_] || !current_.empty();
        }
        current_.clear();
        open_ = values_.size();
    }

    [[nodiscard]] bool has(std::size_t field) const { return filled_.at(field); }

    [[nodiscard]] Sha256 digest() const {
        Sha256Stream hash;
        for (const std::string& value : values_) {
            hash.update(std::to_string(value.size()) + ';');
            hash.update(value);
        }
        return hash.finish();
    }

  private:
    void append(std::string_view text) {
        if (!current_.empty() && !current_.ends_with(' ')) current_.push_back(' ');
        std::string part;
        append_loose(part, text);
        current_ += part;
    }

    std::array<std::string, kLooseFields.size()> values_;
    std::array<bool, kLooseFields.size()> filled_{};
    std::string current_;
    std::size_t open_ = kLooseFields.size();
};

}  // namespace

HeaderIdentity identify_header(std::string_view header) {
    HeaderIdentity identity;
    Sha256Stream strict;
    LooseValues loose;
    each_header_line(header, [&](const HeaderLine& line) {
        if (line.from_tool) {
            identity.added_bytes += line.bytes;
            return;
        }
        if (!line.continuation && equal_ignoring_case(field_name(line.text), "received")) {
            identity.traced = true;
        }
        strict.update(line.text);
        strict.update("\n");
        loose.line(line);
    });
    loose.close();
    identity.strict = strict.finish();
    identity.loose = loose.digest();
    identity.strong = loose.has(kMessageId) && loose.has(kDate);
    return identity;
}

std::uint64_t object_of(std::string_view id) {
    Sha256Stream hash;
    hash.update(id);
    const Sha256 digest = hash.finish();
    std::uint64_t object = 0;
    for (std::size_t i = 0; i < sizeof object; ++i) object = object << 8 | digest[i];
    return object != 0 ? object : 1;
}

}  // namespace imapult::dedup
