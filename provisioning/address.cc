#include "provisioning/address.h"

#include <idn2.h>

#include <algorithm>

#include "engine/base/text.h"
#include "provisioning/limits.h"

namespace imapult::provisioning {
namespace {

// atext of RFC 5322, section 3.2.3, ASCII only.
bool is_atext(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-/=?^_`{|}~").contains(c);
}

bool is_host_name(std::string_view name) {
    if (name.empty() || name.size() > 253) return false;
    while (true) {
        const auto dot = name.find('.');
        const auto label = name.substr(0, dot);
        if (label.empty() || label.size() > 63) return false;
        if (label.front() == '-' || label.back() == '-') return false;
        if (!std::ranges::all_of(label, [](char c) {
                return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
            })) {
            return false;
        }
        if (dot == std::string_view::npos) return true;
        name.remove_prefix(dot + 1);
    }
}

}  // namespace

std::optional<std::string> normal_domain(std::string_view text) {
    text = trim(text);
    auto lower = to_lower(text);
    if (is_host_name(lower)) return lower;
    if (text.contains('\0') || !is_utf8(text) || text.size() > 1024) return {};
    char* ascii = nullptr;
    const std::string copy(text);
    if (idn2_to_ascii_8z(copy.c_str(), &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK) {
        return {};
    }
    auto result = to_lower(ascii);
    idn2_free(ascii);
    if (!is_host_name(result)) return {};
    return result;
}

std::optional<std::string> normal_address(std::string_view text) {
    text = trim(text);
    const auto at = text.rfind('@');
    if (at == std::string_view::npos || at == 0) return {};
    const auto local = text.substr(0, at);
    if (local.size() > limits::kLocalPartBytesMax || local.front() == '.' || local.back() == '.' ||
        local.contains("..")) {
        return {};
    }
    if (!std::ranges::all_of(local, [](char c) { return is_atext(c) || c == '.'; })) return {};
    auto domain = normal_domain(text.substr(at + 1));
    if (!domain) return {};
    auto result = to_lower(local) + "@" + *domain;
    if (result.size() > limits::kAddressBytesMax) return {};
    return result;
}

std::string_view local_part(std::string_view address) {
    return address.substr(0, address.find('@'));
}

std::string_view domain_part(std::string_view address) {
    const auto at = address.rfind('@');
    return at == std::string_view::npos ? std::string_view() : address.substr(at + 1);
}

}  // namespace imapult::provisioning
