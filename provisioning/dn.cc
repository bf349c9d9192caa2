#include "provisioning/dn.h"

#include <ldap.h>

#include <algorithm>
#include <memory>

#include "engine/base/text.h"

namespace imapult::provisioning {
namespace {

struct DnFree {
    void operator()(LDAPRDN* dn) const { ldap_dnfree(dn); }
};
using OwnedDn = std::unique_ptr<LDAPRDN, DnFree>;

OwnedDn parse(std::string_view dn) {
    LDAPDN parsed = nullptr;
    berval bytes{dn.size(), const_cast<char*>(dn.data())};
    if (dn.contains('\0') || ldap_bv2dn(&bytes, &parsed, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS) {
        return {};
    }
    return OwnedDn(parsed);
}

std::string_view view(const berval& bytes) {
    return {bytes.bv_val, bytes.bv_len};
}

// Case folded (ASCII; enough for the names directories are built from) and blanks squeezed.
std::string fold_value(std::string_view value) {
    std::string out;
    bool blank = false;
    for (const char c : trim(value)) {
        if (c == ' ') {
            blank = true;
            continue;
        }
        if (blank) out.push_back(' ');
        blank = false;
        out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    }
    return out;
}

constexpr std::string_view kHex = "0123456789abcdef";

std::string escape_rdn_value(std::string_view value) {
    std::string out;
    for (std::size_t i = 0; i < value.size(); ++i) {
        const char c = value[i];
        const auto octet = static_cast<unsigned char>(c);
        const bool edge_blank = c == ' ' && (i == 0 || i + 1 == value.size());
        if (octet < 0x20 || octet == 0x7F) {
            out += '\\';
            out += kHex[octet >> 4U];
            out += kHex[octet & 15U];
            continue;
        }
        if (edge_blank || (i == 0 && c == '#') || std::string_view(",+\"\\<>;=").contains(c)) {
            out += '\\';
        }
        out += c;
    }
    return out;
}

// Most DNs need no parser: attribute letters, and values of plain printable ASCII without escapes.
std::optional<std::string> normal_plain(std::string_view dn) {
    std::string out;
    out.reserve(dn.size());
    bool in_value = false;
    bool at_start = true;
    for (const char raw : dn) {
        if (raw == '=') {
            if (in_value || at_start) return {};
            in_value = true;
            at_start = true;
            out.push_back('=');
            continue;
        }
        if (raw == ',') {
            if (!in_value || at_start || out.back() == ' ') return {};
            in_value = false;
            at_start = true;
            out.push_back(',');
            continue;
        }
        const bool letter = (raw >= 'a' && raw <= 'z') || (raw >= 'A' && raw <= 'Z');
        const bool other = (raw >= '0' && raw <= '9') || raw == '-' || raw == '.' || raw == '_' ||
                           raw == '@' || raw == ' ';
        if (raw == ' ' && (at_start || !in_value || out.back() == ' ')) return {};
        if (!letter && !other) return {};
        if (at_start && !in_value && !letter) return {};
        at_start = false;
        out.push_back(raw >= 'A' && raw <= 'Z' ? static_cast<char>(raw - 'A' + 'a') : raw);
    }
    if (!in_value || at_start || out.back() == ' ') return {};
    return out;
}

}  // namespace

std::optional<std::vector<Rdn>> parse_dn(std::string_view dn) {
    if (trim(dn).empty()) return std::vector<Rdn>{};
    const auto parsed = parse(dn);
    if (!parsed) return {};
    std::vector<Rdn> out;
    for (int i = 0; parsed.get()[i]; ++i) {
        auto& rdn = out.emplace_back();
        for (int k = 0; parsed.get()[i][k]; ++k) {
            const auto& ava = *parsed.get()[i][k];
            auto type = to_lower(view(ava.la_attr));
            std::string value(view(ava.la_value));
            if (k == 0) {
                rdn.type = std::move(type);
                rdn.value = std::move(value);
            } else {
                rdn.more.emplace_back(std::move(type), std::move(value));
            }
        }
    }
    return out;
}

std::optional<std::string> normal_dn(std::string_view dn) {
    if (auto plain = normal_plain(dn)) return plain;
    const auto parsed = parse_dn(dn);
    if (!parsed) return {};
    std::string out;
    for (const auto& rdn : *parsed) {
        std::vector<std::string> pairs;
        pairs.push_back(rdn.type + "=" + escape_rdn_value(fold_value(rdn.value)));
        for (const auto& [type, value] : rdn.more) {
            pairs.push_back(type + "=" + escape_rdn_value(fold_value(value)));
        }
        std::ranges::sort(pairs);
        if (!out.empty()) out += ',';
        for (std::size_t i = 0; i < pairs.size(); ++i) {
            if (i > 0) out += '+';
            out += pairs[i];
        }
    }
    return out;
}

std::string make_rdn(std::string_view type, std::string_view value) {
    return std::string(type) + "=" + escape_rdn_value(value);
}

std::string_view parent_of(std::string_view normal) {
    for (std::size_t i = 0; i < normal.size(); ++i) {
        if (normal[i] == '\\') {
            ++i;
        } else if (normal[i] == ',') {
            return normal.substr(i + 1);
        }
    }
    return {};
}

std::string domain_dn(std::string_view domain) {
    std::string out;
    while (!domain.empty()) {
        const auto dot = domain.find('.');
        if (!out.empty()) out += ',';
        out += make_rdn("dc", domain.substr(0, dot));
        if (dot == std::string_view::npos) break;
        domain.remove_prefix(dot + 1);
    }
    return out;
}

std::string domain_of(const std::vector<Rdn>& dn) {
    std::string out;
    for (const auto& rdn : dn) {
        if (rdn.type != "dc") {
            out.clear();
            continue;
        }
        if (!out.empty()) out += '.';
        out += to_lower(rdn.value);
    }
    return out;
}

std::string escape_filter(std::string_view value) {
    std::string out;
    for (const char c : value) {
        const auto octet = static_cast<unsigned char>(c);
        if (octet < 0x20 || octet >= 0x7F || std::string_view("\\*()").contains(c)) {
            out += '\\';
            out += kHex[octet >> 4U];
            out += kHex[octet & 15U];
        } else {
            out += c;
        }
    }
    return out;
}

}  // namespace imapult::provisioning
