#include "engine/replica/flags.h"

#include <algorithm>
#include <array>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "imap/command.h"

namespace imapult::replica {
namespace {

struct SystemName {
    std::string_view word;
    std::uint8_t bit;
};
constexpr std::array kSystem = {
    SystemName{"\\Seen", dedup::kSeen},       SystemName{"\\Answered", dedup::kAnswered},
    SystemName{"\\Flagged", dedup::kFlagged}, SystemName{"\\Deleted", dedup::kDeleted},
    SystemName{"\\Draft", dedup::kDraft},
};

std::vector<std::string_view> split_words(std::string_view text) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
        const auto cut = text.find(' ');
        words.push_back(text.substr(0, cut));
        if (cut == std::string_view::npos) break;
        text.remove_prefix(cut + 1);
    }
    return words;
}

std::string join(std::vector<std::string_view>& words) {
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    std::string out;
    for (const std::string_view word : words) {
        if (!out.empty()) out += ' ';
        out += word;
    }
    return out;
}

}  // namespace

Flags parse_flags(const std::vector<std::string_view>& words) {
    Flags flags;
    std::vector<std::string_view> keywords;
    for (const std::string_view word : words) {
        if (word.empty() || word.find(' ') != std::string_view::npos) continue;
        if (word.front() != '\\') {
            keywords.push_back(word);
            continue;
        }
        for (const SystemName& known : kSystem) {
            if (equal_ignoring_case(word, known.word)) flags.system |= known.bit;
        }
    }
    if (!keywords.empty()) flags.keywords = join(keywords);
    return flags;
}

std::vector<std::string_view> words_of(const Flags& flags) {
    std::vector<std::string_view> words;
    for (const SystemName& known : kSystem) {
        if ((flags.system & known.bit) != 0) words.push_back(known.word);
    }
    for (const std::string_view word : split_words(flags.keywords)) words.push_back(word);
    return words;
}

Flags minus(const Flags& a, const Flags& b) {
    Flags out;
    out.system = static_cast<std::uint8_t>(a.system & ~b.system);
    const auto others = split_words(b.keywords);
    std::vector<std::string_view> rest;
    for (const std::string_view word : split_words(a.keywords)) {
        const bool there = std::any_of(others.begin(), others.end(), [&](std::string_view other) {
            return equal_ignoring_case(word, other);
        });
        if (!there) rest.push_back(word);
    }
    out.keywords = join(rest);
    return out;
}

Flags plus(const Flags& a, const Flags& b) {
    std::vector<std::string_view> words = words_of(a);
    const Flags more = minus(b, a);
    for (const std::string_view word : words_of(more)) words.push_back(word);
    return parse_flags(words);
}

FlagsDue flags_due(const dedup::MessageRecord& record, const Flags& now) {
    FlagsDue due{minus(now, record.base), minus(record.base, now)};
    if (record.storing) {
        due.add = plus(due.add, minus(now, *record.storing));
        due.remove = plus(due.remove, minus(*record.storing, now));
    }
    return due;
}

AllowedFlags AllowedFlags::from(const std::optional<std::vector<std::string>>& permanent_flags) {
    AllowedFlags out;
    if (!permanent_flags) return out;
    out.any_keyword = false;
    out.system = 0;
    for (const std::string& word : *permanent_flags) {
        if (word == "\\*") out.any_keyword = true;
        for (const SystemName& known : kSystem) {
            if (equal_ignoring_case(word, known.word)) out.system |= known.bit;
        }
        if (!word.empty() && word.front() != '\\') out.keywords.insert(to_lower(word));
    }
    return out;
}

Flags allowed(const Flags& flags, const AllowedFlags& by, std::set<std::string>* dropped) {
    Flags out;
    out.system = flags.system & by.system;
    if (dropped != nullptr && out.system != flags.system) {
        const Flags lost{static_cast<std::uint8_t>(flags.system & ~by.system), {}};
        for (const std::string_view word : words_of(lost)) dropped->emplace(word);
    }
    if (flags.keywords.empty()) return out;
    std::vector<std::string_view> kept;
    for (const std::string_view word : split_words(flags.keywords)) {
        const bool fits = word.size() <= limits::kFlagBytesMax && imap::is_valid_flag(word) &&
                          (by.any_keyword || by.keywords.contains(to_lower(word)));
        if (fits) {
            kept.push_back(word);
        } else if (dropped != nullptr && dropped->size() < limits::kFlagsPerMessageMax) {
            dropped->emplace(word);
        }
    }
    out.keywords = join(kept);
    return out;
}

std::uint32_t FlagTable::intern(const Flags& flags) {
    const auto [place, fresh] = index_.try_emplace(flags, static_cast<std::uint32_t>(sets_.size()));
    if (fresh) sets_.push_back(flags);
    return place->second;
}

}  // namespace imapult::replica
