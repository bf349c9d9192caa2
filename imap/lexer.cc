#include "imap/lexer.h"

#include "engine/base/limits.h"

namespace imapult::imap {

std::optional<LiteralMark> literal_mark(std::string_view line) {
    if (line.empty() || line.back() != '}') return std::nullopt;
    std::size_t i = line.size() - 1;
    if (i > 0 && line[i - 1] == '+') --i;
    const std::size_t digits_end = i;
    while (i > 0 && line[i - 1] >= '0' && line[i - 1] <= '9') --i;
    if (i == digits_end || i == 0 || line[i - 1] != '{') return std::nullopt;
    const Digits digits = leading_digits(line.substr(i, digits_end - i));
    --i;
    if (i > 0 && line[i - 1] == '~') --i;
    return LiteralMark{i, digits.value.value_or(UINT64_MAX)};
}

std::string_view Cursor::word() {
    const std::size_t begin = position_;
    while (position_ < text_.size()) {
        const char c = text_[position_];
        if (c == ' ' || c == '(' || c == ')') break;
        ++position_;
    }
    return text_.substr(begin, position_ - begin);
}

std::string_view Cursor::until_space() {
    const std::size_t end = text_.find(' ', position_);
    const std::string_view found = text_.substr(position_, end - position_);
    position_ += found.size();
    return found;
}

std::optional<std::string_view> Cursor::quoted() {
    if (!next_is('"')) return std::nullopt;
    bool escaped = false;
    for (std::size_t i = position_ + 1; i < text_.size(); ++i) {
        const char c = text_[i];
        if (c == '\\' && i + 1 < text_.size()) {
            escaped = true;
            ++i;
            continue;
        }
        if (c != '"') continue;
        const std::string_view raw = text_.substr(position_ + 1, i - position_ - 1);
        position_ = i + 1;
        if (!escaped) return raw;
        std::string plain;
        plain.reserve(raw.size());
        for (std::size_t k = 0; k < raw.size(); ++k) {
            // Servers that forget to double their backslashes mean the backslash itself.
            const bool escape =
                raw[k] == '\\' && k + 1 < raw.size() && (raw[k + 1] == '"' || raw[k + 1] == '\\');
            if (escape) ++k;
            plain.push_back(raw[k]);
        }
        return context_->keep(std::move(plain));
    }
    return std::nullopt;
}

std::optional<std::string_view> Cursor::literal() {
    std::size_t i = position_;
    if (i < text_.size() && text_[i] == '~') ++i;
    if (i >= text_.size() || text_[i] != '{') return std::nullopt;
    ++i;
    const Digits digits = leading_digits(text_.substr(i));
    i += digits.length;
    const auto eat_at = [&](char c) {
        if (i >= text_.size() || text_[i] != c) return false;
        ++i;
        return true;
    };
    if (!digits.value) return std::nullopt;
    eat_at('+');
    if (!eat_at('}')) return std::nullopt;
    eat_at('\r');
    if (!eat_at('\n') || text_.size() - i < *digits.value) return std::nullopt;
    const auto bytes = static_cast<std::size_t>(*digits.value);
    position_ = i + bytes;
    return text_.substr(i, bytes);
}

std::optional<Cursor::Text> Cursor::string() {
    if (next_is('"')) {
        const auto view = quoted();
        if (!view) return std::nullopt;
        return Text{*view};
    }
    if (at_literal()) {
        if (const auto view = literal()) return Text{*view};
    }
    const std::string_view atom = word();
    if (atom.empty()) return std::nullopt;
    return Text{atom, equal_ignoring_case(atom, "NIL")};
}

bool Cursor::skip_value() {
    std::size_t depth = 0;
    do {
        skip_spaces();
        if (at_end()) return false;
        if (eat('(')) {
            if (++depth > limits::kNestingMax) {
                context_->pass_limit("parentheses nested too deep");
                return false;
            }
        } else if (depth > 0 && eat(')')) {
            --depth;
        } else if (next_is('"')) {
            // The unescaped copy that quoted() may make is not needed here.
            const std::size_t kept = context_->scratch.size();
            if (!quoted()) return false;
            if (context_->scratch.size() > kept) context_->scratch.pop_back();
        } else if (at_literal() && literal()) {
        } else if (word().empty()) {
            return false;
        }
    } while (depth > 0);
    return true;
}

}  // namespace imapult::imap
