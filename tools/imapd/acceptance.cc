#include "tools/imapd/acceptance.h"

#include <algorithm>

namespace imapult::imapd {
namespace {

Refusal refused(std::string text) {
    return {Refusal::Kind::no, std::move(text)};
}

std::optional<Refusal> accept_nul(const Behaviour& b, std::string& message, bool binary) {
    const std::size_t first = message.find('\0');
    if (first == std::string::npos || (binary && b.literal8_keeps_nul)) return std::nullopt;
    switch (b.on_nul) {
        case OnNul::keep:
            break;
        case OnNul::to_0x80:
            std::ranges::replace(message, '\0', '\x80');
            break;
        case OnNul::cut:
            message.resize(first);
            break;
        case OnNul::refuse_no:
            return refused("Message contains NUL characters");
        case OnNul::refuse_bad:
            return Refusal{Refusal::Kind::bad, "Invalid character in literal"};
    }
    return std::nullopt;
}

bool has_bare_lf(std::string_view message) {
    for (std::size_t at = 0; (at = message.find('\n', at)) != std::string_view::npos; ++at) {
        if (at == 0 || message[at - 1] != '\r') return true;
    }
    return false;
}

/// Lone CR first, since a dropped CR must not make a new bare LF.
void drop_lone_cr(const Behaviour& b, std::string& message) {
    std::string out;
    out.reserve(message.size());
    for (std::size_t i = 0; i < message.size(); ++i) {
        if (message[i] == '\r') {
            const char next = i + 1 < message.size() ? message[i + 1] : '\0';
            const bool before_crlf =
                next == '\r' && i + 2 < message.size() && message[i + 2] == '\n';
            if (before_crlf || (b.on_lone_cr == OnLoneCr::drop_all && next != '\n')) continue;
        }
        out += message[i];
    }
    message = std::move(out);
}

void to_crlf(std::string& message) {
    std::string out;
    out.reserve(message.size() + 64);
    for (std::size_t i = 0; i < message.size(); ++i) {
        if (message[i] == '\n' && (i == 0 || message[i - 1] != '\r')) out += '\r';
        out += message[i];
    }
    message = std::move(out);
}

std::size_t header_size(std::string_view message) {
    if (message.starts_with("\r\n") || message.starts_with('\n')) return 0;
    const std::size_t end = std::min(message.find("\r\n\r\n"), message.find("\n\n"));
    return end == std::string_view::npos ? message.size() : end;
}

bool has_8bit_header(std::string_view message) {
    const std::string_view header = message.substr(0, header_size(message));
    return std::any_of(header.begin(), header.end(),
                       [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

void munge_header(std::string& message) {
    const std::size_t end = header_size(message);
    for (std::size_t i = 0; i < end; ++i) {
        if (static_cast<unsigned char>(message[i]) >= 0x80) message[i] = 'X';
    }
}

/// True if the message begins with lines that are header fields.
bool has_header(std::string_view message) {
    std::string_view header = message.substr(0, header_size(message));
    if (header.empty()) return false;
    bool first = true;
    while (!header.empty()) {
        const std::size_t end = header.find('\n');
        const std::string_view line = header.substr(0, end);
        header.remove_prefix(end == std::string_view::npos ? header.size() : end + 1);
        const bool continues = line.starts_with(' ') || line.starts_with('\t');
        const std::size_t colon = line.find(':');
        const bool field = colon != std::string_view::npos && colon > 0 &&
                           line.substr(0, colon).find(' ') == std::string_view::npos;
        if (!field && (!continues || first)) return false;
        first = false;
    }
    return true;
}

std::size_t longest_line(std::string_view message) {
    std::size_t most = 0;
    while (!message.empty()) {
        const std::size_t end = std::min(message.find('\n'), message.size());
        most = std::max(most, end);
        message.remove_prefix(std::min(end + 1, message.size()));
    }
    return most;
}

std::optional<Refusal> accept_empty(const Behaviour& b) {
    switch (b.on_empty) {
        case OnEmpty::keep:
            return std::nullopt;
        case OnEmpty::refuse_no:
            return refused("Can't save a zero byte message.");
        case OnEmpty::refuse_bad:
            return Refusal{Refusal::Kind::bad, "Zero-length message"};
        case OnEmpty::close:
            return Refusal{Refusal::Kind::close, ""};
    }
    return std::nullopt;
}

}  // namespace

std::optional<Refusal> accept_message(const Behaviour& b, std::string& message, bool binary) {
    if (message.empty()) {
        if (auto refusal = accept_empty(b)) return refusal;
    }
    if (auto refusal = accept_nul(b, message, binary)) return refusal;
    if (b.on_lone_cr != OnLoneCr::keep && message.find('\r') != std::string::npos) {
        drop_lone_cr(b, message);
    }
    if (b.on_bare_lf != OnBareLf::keep && has_bare_lf(message)) {
        if (b.on_bare_lf == OnBareLf::refuse) return refused("Message contains bare newlines");
        to_crlf(message);
    }
    if (b.message_line_bytes_max != 0 && longest_line(message) > b.message_line_bytes_max) {
        return Refusal{Refusal::Kind::bad, "Command Argument Error. 12"};
    }
    if (b.refuses_headerless && !has_header(message)) {
        return refused("Message contains invalid header");
    }
    if (b.drops_from_line && message.starts_with("From ")) {
        const std::size_t end = message.find('\n');
        message.erase(0, end == std::string::npos ? message.size() : end + 1);
    }
    if (b.drops_body_without_header && message.starts_with("\r\n")) message.clear();
    if (b.refuses_8bit_headers && has_8bit_header(message)) {
        return refused("Message contains non-ASCII characters in headers");
    }
    if (b.munges_8bit_headers) munge_header(message);
    if (b.adds_final_crlf && !message.ends_with("\n")) message += "\r\n";
    if (b.refuses_without_final_crlf && !message.ends_with("\r\n")) {
        return Refusal{Refusal::Kind::bad,
                       "[CLIENTBUG] Additional arguments found after last expected argument"};
    }
    return std::nullopt;
}

std::optional<Refusal> accept_date(const Behaviour& b, Date& date, std::int64_t now) {
    const std::int64_t seconds = date.unix_seconds;
    if (b.future_dates_to_now && seconds > now) date = {now, 0};
    if (seconds >= b.date_min && seconds <= b.date_max) return std::nullopt;
    switch (b.on_date_out_of_range) {
        case OnDate::keep:
            break;
        case OnDate::to_now:
            date = {now, 0};
            break;
        case OnDate::refuse_no:
            return refused("Date out of range");
        case OnDate::refuse_bad:
            return Refusal{Refusal::Kind::bad, "Invalid date"};
    }
    return std::nullopt;
}

}  // namespace imapult::imapd
