// The batch grammar of `carbonio prov` (ProvUtil): one command a line, words split on blanks,
// quotes and backslashes.

#include "provisioning/batch.h"

#include "provisioning/calls.h"

namespace imapult::provisioning {
namespace {

bool is_plain_word(std::string_view value) {
    if (value.empty()) return false;
    for (const char c : value) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || std::string_view("@._-+/:").contains(c);
        if (!plain) return false;
    }
    return value.front() != '-' && value.front() != '+';
}

void append_attributes(std::string& line, const Call& call) {
    for (const auto& [name, value] : call.attributes) {
        line += ' ';
        line += batch_word(name);
        line += ' ';
        line += batch_word(value);
    }
}

std::string command(std::string_view verb, std::initializer_list<std::string_view> words) {
    std::string line(verb);
    for (const auto word : words) {
        line += ' ';
        line += batch_word(word);
    }
    return line;
}

// Signatures take the name as an argument of its own, the content as attributes.
std::string grant_line(const Call& call) {
    if (call.grantee_type == "all" || call.grantee_type == "pub") {
        return command("grr", {call.target_type, call.target, call.grantee_type, call.text});
    }
    return command("grr", {call.target_type, call.target, call.grantee_type, call.name, call.text});
}

std::string with_attributes(std::string line, const Call& call) {
    append_attributes(line, call);
    return line;
}

}  // namespace

std::string batch_word(std::string_view value) {
    if (is_plain_word(value)) return std::string(value);
    std::string out = "\"";
    for (const char c : value) {
        switch (c) {
            case '\\':
            case '"':
                out += '\\';
                out += c;
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
            default:
                out += c;
        }
    }
    out += '"';
    return out;
}

std::string batch_line(const Call& call) {
    switch (call.verb) {
        case Verb::create_cos:
            return with_attributes(command("cc", {call.target}), call);
        case Verb::create_domain:
            return with_attributes(command("cd", {call.target}), call);
        case Verb::create_alias_domain:
            return with_attributes(command("cad", {call.target, call.name}), call);
        case Verb::create_account:
            return with_attributes(command("ca", {call.target, ""}), call);
        case Verb::create_resource:
            return with_attributes(command("ccr", {call.target, ""}), call);
        case Verb::set_cos:
            return command("sac", {call.target, call.name});
        case Verb::add_alias:
            return command("aaa", {call.target, call.name});
        case Verb::add_list_alias:
            return command("adla", {call.target, call.name});
        case Verb::create_signature:
            return with_attributes(command("csig", {call.target, call.name}), call);
        case Verb::create_identity:
            return with_attributes(command("cid", {call.target, call.name}), call);
        case Verb::create_data_source:
            return with_attributes(command("cds", {call.target, call.text, call.name}), call);
        case Verb::create_list:
            return with_attributes(command("cdl", {call.target}), call);
        case Verb::create_group:
            return with_attributes(command("cddl", {call.target}), call);
        case Verb::add_members: {
            auto line = command("adlm", {call.target});
            for (const auto& member : call.members) {
                line += ' ';
                line += batch_word(member);
            }
            return line;
        }
        case Verb::grant_right:
            return grant_line(call);
        case Verb::set_default_cos:
        case Verb::default_signature:
            break;
    }
    return {};
}

}  // namespace imapult::provisioning
