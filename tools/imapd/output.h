#pragma once
// Bytes on their way to the client: small text is gathered, large bodies are only pointed at.

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>

#include "tools/imapd/store.h"

namespace imapult::imapd {

class Output {
  public:
    /// Text may be appended to the returned string until the next call of body() or take().
    std::string& text() {
        if (chunks_.empty() || chunks_.back().body) chunks_.emplace_back();
        return chunks_.back().text;
    }
    void body(const Body& body, std::size_t begin, std::size_t end) {
        const std::string_view part = std::string_view(*body).substr(begin, end - begin);
        if (part.size() <= kCopiedBytesMax) {
            text() += part;
        } else {
            chunks_.push_back({.text = {}, .body = body, .at = begin, .end = end});
        }
    }
    [[nodiscard]] bool empty() const {
        return chunks_.empty() || (chunks_.size() == 1 && chunks_.front().left() == 0);
    }
    [[nodiscard]] std::size_t size() const {
        std::size_t sum = 0;
        for (const Chunk& c : chunks_) sum += c.left();
        return sum;
    }
    std::size_t take(std::string& out, std::size_t bytes_max) {
        std::size_t taken = 0;
        while (taken < bytes_max && !chunks_.empty()) {
            Chunk& c = chunks_.front();
            const std::size_t n = std::min(bytes_max - taken, c.left());
            out.append(c.body ? *c.body : c.text, c.at, n);
            c.at += n;
            taken += n;
            if (c.left() == 0) chunks_.pop_front();
        }
        return taken;
    }
    void clear() { chunks_.clear(); }

  private:
    static constexpr std::size_t kCopiedBytesMax = 16 * 1024;
    struct Chunk {
        std::string text;
        Body body;
        std::size_t at = 0;
        std::size_t end = 0;
        [[nodiscard]] std::size_t left() const { return (body ? end : text.size()) - at; }
    };
    std::deque<Chunk> chunks_;
};

}  // namespace imapult::imapd
