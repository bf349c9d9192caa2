#include "provisioning/ldap.h"

#include <arpa/inet.h>
#include <ldap.h>
#include <ldap_schema.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "engine/base/text.h"
#include "provisioning/limits.h"
#include "provisioning/plan_writer.h"

namespace imapult::provisioning {

struct LdapSession::Handle {
    LDAP* ldap = nullptr;
    /// Entries of searches that have not ended, by message id.
    std::map<int, Entry> entries;
    Handle() = default;
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() {
        if (ldap) ldap_unbind_ext(ldap, nullptr, nullptr);
    }
};

namespace {

struct MessageFree {
    void operator()(LDAPMessage* message) const { ldap_msgfree(message); }
};
using Message = std::unique_ptr<LDAPMessage, MessageFree>;

struct MemFree {
    void operator()(char* text) const { ldap_memfree(text); }
};
using LdapText = std::unique_ptr<char, MemFree>;

std::string diagnostic(LDAP* ldap) {
    char* text = nullptr;
    ldap_get_option(ldap, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
    const LdapText owned(text);
    return text && *text ? ": " + printable(text) : std::string();
}

bool is_connection_error(int code) {
    return code == LDAP_SERVER_DOWN || code == LDAP_CONNECT_ERROR || code == LDAP_TIMEOUT ||
           code == LDAP_UNAVAILABLE;
}

std::unexpected<Error> ldap_error(LDAP* ldap, int code, std::string_view what) {
    auto text = std::string(what) + ": " + ldap_err2string(code) + diagnostic(ldap);
    if (code == LDAP_INVALID_CREDENTIALS || code == LDAP_INAPPROPRIATE_AUTH ||
        code == LDAP_STRONG_AUTH_REQUIRED || code == LDAP_CONFIDENTIALITY_REQUIRED) {
        return fail(Code::auth_refused, Scope::host, Retry::never, std::move(text));
    }
    if (code == LDAP_INSUFFICIENT_ACCESS) {
        return fail(Code::no_permission, Scope::host, Retry::never, std::move(text));
    }
    const auto kind = is_connection_error(code) ? Code::connection_lost : Code::refused;
    return fail(kind, Scope::host, Retry::later, std::move(text));
}

Result<> set_tls(LDAP* ldap, const LdapTarget& target) {
    const bool pinned = !target.fingerprint_sha256.empty();
    int require = target.insecure || pinned ? LDAP_OPT_X_TLS_NEVER : LDAP_OPT_X_TLS_DEMAND;
    int minimum = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2;
    int as_client = 0;
    ldap_set_option(ldap, LDAP_OPT_X_TLS_REQUIRE_CERT, &require);
    ldap_set_option(ldap, LDAP_OPT_X_TLS_PROTOCOL_MIN, &minimum);
    if (!target.ca_file.empty()) {
        if (::access(target.ca_file.c_str(), R_OK) != 0) {
            return invalid("cannot read the CA file " + printable(target.ca_file));
        }
        ldap_set_option(ldap, LDAP_OPT_X_TLS_CACERTFILE, target.ca_file.c_str());
    }
    if (ldap_set_option(ldap, LDAP_OPT_X_TLS_NEWCTX, &as_client) != LDAP_OPT_SUCCESS) {
        return fail(Code::tls_failed, Scope::host, Retry::never,
                    "TLS cannot be set up; is the CA file a PEM file of certificates?");
    }
    return {};
}

// libldap does not say what it disliked about a certificate.
std::string trust_hint(const LdapTarget& target) {
    if (target.insecure || !target.fingerprint_sha256.empty()) return {};
    return "; if its certificate is not from a public authority or names another host, give "
           "--destination-ca-file or --destination-tls-fingerprint";
}

std::string sha256_hex(std::string_view bytes) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    IMAPULT_ASSERT(EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr) ==
                   1);
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string out;
    for (unsigned i = 0; i < size; ++i) {
        out += kHex[digest[i] >> 4U];
        out += kHex[digest[i] & 15U];
    }
    return out;
}

Result<> check_fingerprint(LDAP* ldap, const LdapTarget& target) {
    if (target.fingerprint_sha256.empty()) return {};
    berval certificate{};
    if (ldap_get_option(ldap, LDAP_OPT_X_TLS_PEERCERT, &certificate) != LDAP_OPT_SUCCESS ||
        !certificate.bv_val) {
        return fail(Code::tls_failed, Scope::host, Retry::never,
                    "the server showed no certificate to compare with the fingerprint");
    }
    const auto hex = sha256_hex({certificate.bv_val, certificate.bv_len});
    ldap_memfree(certificate.bv_val);
    if (hex == target.fingerprint_sha256) return {};
    return fail(
        Code::tls_failed, Scope::host, Retry::never,
        "the server's certificate has the SHA-256 fingerprint " + hex + ", not the given one");
}

Entry entry_of(LDAP* ldap, LDAPMessage* message) {
    Entry entry;
    if (const LdapText dn{ldap_get_dn(ldap, message)}) entry.dn = dn.get();
    BerElement* cursor = nullptr;
    for (char* name = ldap_first_attribute(ldap, message, &cursor); name;
         name = ldap_next_attribute(ldap, message, cursor)) {
        const LdapText owned(name);
        berval** values = ldap_get_values_len(ldap, message, name);
        auto& attribute = entry.attributes.emplace_back();
        attribute.name = name;
        attribute.key = to_lower(name);
        for (int i = 0; values && values[i]; ++i) {
            attribute.values.emplace_back(values[i]->bv_val, values[i]->bv_len);
        }
        ldap_value_free_len(values);
    }
    if (cursor) ber_free(cursor, 0);
    return entry;
}

// LDAPMods that point into the strings of an entry or of modifications.
class Mods {
  public:
    void add(int op, const Attribute& attribute) {
        auto& mod = mods_.emplace_back(std::make_unique<LDAPMod>());
        auto& values = values_.emplace_back();
        auto& pointers = pointers_.emplace_back();
        values.reserve(attribute.values.size());
        for (const auto& value : attribute.values) {
            values.push_back({value.size(), const_cast<char*>(value.data())});
        }
        for (auto& value : values) pointers.push_back(&value);
        pointers.push_back(nullptr);
        mod->mod_op = op | LDAP_MOD_BVALUES;
        mod->mod_type = const_cast<char*>(attribute.name.c_str());
        mod->mod_bvalues = attribute.values.empty() ? nullptr : pointers.data();
    }
    LDAPMod** get() {
        for (auto& mod : mods_) list_.push_back(mod.get());
        list_.push_back(nullptr);
        return list_.data();
    }

  private:
    std::vector<std::unique_ptr<LDAPMod>> mods_;
    std::vector<std::vector<berval>> values_;
    std::vector<std::vector<berval*>> pointers_;
    std::vector<LDAPMod*> list_;
};

}  // namespace

namespace {

bool is_loopback_host(std::string_view host) {
    if (host == "localhost" || host == "[::1]") return true;
    in_addr address{};
    const std::string text(host);
    return ::inet_pton(AF_INET, text.c_str(), &address) == 1 &&
           (ntohl(address.s_addr) >> 24U) == 127;
}

/// "localhost" means this machine (RFC 6761, section 6.3), also where no resolver knows it: libldap
/// tries one URL after the other. Behind TLS it stays a name, which the certificate must show.
std::string urls_of(const LdapTarget& target) {
    constexpr std::string_view kLocal = "ldap://localhost";
    if (target.starttls || !target.url.starts_with(kLocal)) return target.url;
    const std::string rest = target.url.substr(kLocal.size());
    if (!rest.empty() && !rest.starts_with(':')) return target.url;
    return target.url + " ldap://127.0.0.1" + rest;
}

}  // namespace

Result<LdapTarget> parse_ldap_url(std::string_view url, bool allow_cleartext) {
    LdapTarget target;
    const auto scheme_end = url.find("://");
    const auto scheme = to_lower(url.substr(0, scheme_end));
    if (scheme_end == std::string_view::npos ||
        (scheme != "ldap" && scheme != "ldaps" && scheme != "ldapi")) {
        return invalid("the directory is given as ldap://, ldaps:// or ldapi://");
    }
    auto rest = url.substr(scheme_end + 3);
    const auto query_at = rest.find('?');
    const auto query =
        query_at == std::string_view::npos ? std::string_view() : rest.substr(query_at + 1);
    rest = rest.substr(0, query_at);
    if (rest.contains('@')) {
        return invalid(
            "the directory's URL holds a user or password (it would show in the process list); "
            "use --bind-dn and --bind-password-file");
    }
    if (std::ranges::any_of(rest, [](char c) { return static_cast<unsigned char>(c) <= ' '; })) {
        return invalid("the directory's URL holds blanks or control characters");
    }
    while (rest.ends_with('/')) rest.remove_suffix(1);
    target.url = scheme + "://" + std::string(rest);
    if (!query.empty() && query != "tls=starttls" && query != "tls=off") {
        return invalid("the directory's URL may only carry ?tls=starttls or ?tls=off");
    }
    if (scheme != "ldap") return target;
    const auto host =
        rest.starts_with('[') ? rest.substr(0, rest.find(']') + 1) : rest.substr(0, rest.find(':'));
    const bool clear_allowed = is_loopback_host(host) || allow_cleartext;
    if (query == "tls=off" && !clear_allowed) {
        return invalid("clear text LDAP elsewhere than on loopback needs --allow-cleartext");
    }
    target.starttls = query == "tls=starttls" || (query.empty() && !clear_allowed);
    return target;
}

Result<LdapSession> LdapSession::connect(const LdapTarget& target) {
    auto handle = std::make_shared<Handle>();
    LDAP*& ldap = handle->ldap;
    if (ldap_initialize(&ldap, urls_of(target).c_str()) != LDAP_SUCCESS) {
        return invalid("the directory's URL is not one that libldap takes: " +
                       printable(target.url));
    }
    int version = LDAP_VERSION3;
    timeval connect_timeout{limits::kLdapConnectTimeout.count(), 0};
    ldap_set_option(ldap, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(ldap, LDAP_OPT_NETWORK_TIMEOUT, &connect_timeout);
    ldap_set_option(ldap, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    IMAPULT_CHECK(set_tls(ldap, target));
    const bool ldaps = target.url.starts_with("ldaps:");
    if (const int code = ldap_connect(ldap); code != LDAP_SUCCESS) {
        const auto why = diagnostic(ldap);
        const bool tls = ldaps && !why.empty();
        return fail(tls ? Code::tls_failed : Code::connect_failed, Scope::host, Retry::later,
                    "no connection to " + printable(target.url) + ": " + ldap_err2string(code) +
                        why + (tls ? trust_hint(target) : ""));
    }
    if (target.starttls) {
        const int code = ldap_start_tls_s(ldap, nullptr, nullptr);
        if (code != LDAP_SUCCESS) {
            return fail(Code::tls_failed, Scope::host, Retry::never,
                        "STARTTLS with " + printable(target.url) + " failed: " +
                            ldap_err2string(code) + diagnostic(ldap) + trust_hint(target));
        }
    }
    if (target.starttls || ldaps) IMAPULT_CHECK(check_fingerprint(ldap, target));
    std::string secret(target.password.reveal());
    berval credentials{secret.size(), secret.data()};
    // Over ldapi the server knows the process's user: SASL EXTERNAL (RFC 4422, appendix A).
    const bool external = target.bind_dn.empty() && target.url.starts_with("ldapi:");
    const int code =
        ldap_sasl_bind_s(ldap, target.bind_dn.c_str(), external ? "EXTERNAL" : LDAP_SASL_SIMPLE,
                         &credentials, nullptr, nullptr, nullptr);
    Secret::wipe(secret);
    if (code != LDAP_SUCCESS) {
        return ldap_error(ldap, code,
                          "the directory refused the bind as " + printable(target.bind_dn, 256));
    }
    return LdapSession(std::move(handle));
}

Result<int> LdapSession::send_add(const Entry& entry) {
    Mods mods;
    for (const auto& attribute : entry.attributes) mods.add(LDAP_MOD_ADD, attribute);
    int id = 0;
    const int code =
        ldap_add_ext(handle_->ldap, entry.dn.c_str(), mods.get(), nullptr, nullptr, &id);
    if (code != LDAP_SUCCESS) return ldap_error(handle_->ldap, code, "adding an entry");
    return id;
}

Result<int> LdapSession::send_modify(const std::string& dn,
                                     const std::vector<Modification>& changes) {
    Mods mods;
    for (const auto& change : changes) {
        const int op = change.op == Modification::Op::add      ? LDAP_MOD_ADD
                       : change.op == Modification::Op::remove ? LDAP_MOD_DELETE
                                                               : LDAP_MOD_REPLACE;
        mods.add(op, change.attribute);
    }
    int id = 0;
    const int code = ldap_modify_ext(handle_->ldap, dn.c_str(), mods.get(), nullptr, nullptr, &id);
    if (code != LDAP_SUCCESS) return ldap_error(handle_->ldap, code, "changing an entry");
    return id;
}

Result<int> LdapSession::send_read(const std::string& dn) {
    int id = 0;
    const int code = ldap_search_ext(handle_->ldap, dn.c_str(), LDAP_SCOPE_BASE, "(objectClass=*)",
                                     nullptr, 0, nullptr, nullptr, nullptr, 0, &id);
    if (code != LDAP_SUCCESS) return ldap_error(handle_->ldap, code, "reading an entry");
    return id;
}

Result<LdapReply> LdapSession::wait() {
    auto* ldap = handle_->ldap;
    for (;;) {
        timeval timeout{limits::kLdapStallTimeout.count(), 0};
        LDAPMessage* raw = nullptr;
        const int type = ldap_result(ldap, LDAP_RES_ANY, LDAP_MSG_ONE, &timeout, &raw);
        const Message message(raw);
        if (type == 0) {
            return fail(Code::timeout, Scope::host, Retry::later,
                        "the directory did not answer for two minutes");
        }
        if (type < 0) {
            int code = LDAP_SERVER_DOWN;
            ldap_get_option(ldap, LDAP_OPT_RESULT_CODE, &code);
            return ldap_error(ldap, code, "the connection to the directory was lost");
        }
        const int id = ldap_msgid(message.get());
        if (type == LDAP_RES_SEARCH_ENTRY) {
            handle_->entries.insert_or_assign(id, entry_of(ldap, message.get()));
            continue;
        }
        if (type == LDAP_RES_SEARCH_REFERENCE || type == LDAP_RES_INTERMEDIATE) continue;
        LdapReply reply;
        reply.message_id = id;
        char* text = nullptr;
        ldap_parse_result(ldap, message.get(), &reply.code, nullptr, &text, nullptr, nullptr, 0);
        const LdapText owned(text);
        if (text) reply.text = printable(text);
        if (const auto found = handle_->entries.find(id); found != handle_->entries.end()) {
            reply.entry = std::move(found->second);
            handle_->entries.erase(found);
        }
        return reply;
    }
}

Result<std::optional<Entry>> LdapSession::read(const std::string& dn) {
    IMAPULT_TRY(const int id, send_read(dn));
    IMAPULT_TRY(auto reply, wait());
    IMAPULT_ASSERT(reply.message_id == id);
    if (reply.code == LDAP_NO_SUCH_OBJECT) return std::nullopt;
    if (reply.code != LDAP_SUCCESS) {
        return ldap_error(handle_->ldap, reply.code, "reading " + printable(dn, 256));
    }
    return std::move(reply.entry);
}

Result<> LdapSession::search(const std::string& base, const std::string& filter,
                             const std::vector<std::string>& attributes,
                             const std::function<void(const Entry&)>& visit) {
    auto* ldap = handle_->ldap;
    std::vector<char*> names;
    for (const auto& name : attributes) names.push_back(const_cast<char*>(name.c_str()));
    names.push_back(nullptr);
    std::string cookie_bytes;
    for (;;) {
        berval cookie{cookie_bytes.size(), cookie_bytes.data()};
        LDAPControl* page = nullptr;
        ldap_create_page_control(ldap, limits::kLdapPageSize, &cookie, 0, &page);
        LDAPControl* controls[] = {page, nullptr};
        int id = 0;
        int code = ldap_search_ext(ldap, base.c_str(), LDAP_SCOPE_SUBTREE, filter.c_str(),
                                   attributes.empty() ? nullptr : names.data(), 0, controls,
                                   nullptr, nullptr, 0, &id);
        ldap_control_free(page);
        if (code != LDAP_SUCCESS) return ldap_error(ldap, code, "searching");
        cookie_bytes.clear();
        for (bool more = true; more;) {
            timeval timeout{limits::kLdapStallTimeout.count(), 0};
            LDAPMessage* raw = nullptr;
            const int type = ldap_result(ldap, id, LDAP_MSG_ONE, &timeout, &raw);
            const Message message(raw);
            if (type <= 0) return ldap_error(ldap, LDAP_SERVER_DOWN, "searching");
            if (type == LDAP_RES_SEARCH_ENTRY) {
                visit(entry_of(ldap, message.get()));
                continue;
            }
            if (type != LDAP_RES_SEARCH_RESULT) continue;
            more = false;
            LDAPControl** answers = nullptr;
            ldap_parse_result(ldap, message.get(), &code, nullptr, nullptr, nullptr, &answers, 0);
            if (auto* answer = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, answers, nullptr)) {
                ber_int_t total = 0;
                berval next{};
                if (ldap_parse_pageresponse_control(ldap, answer, &total, &next) == LDAP_SUCCESS) {
                    cookie_bytes.assign(next.bv_val, next.bv_len);
                    ber_memfree(next.bv_val);
                }
            }
            ldap_controls_free(answers);
            if (code == LDAP_NO_SUCH_OBJECT) return {};
            if (code != LDAP_SUCCESS) return ldap_error(ldap, code, "searching " + printable(base));
        }
        if (cookie_bytes.empty()) return {};
    }
}

Result<std::vector<std::string>> LdapSession::naming_contexts() {
    std::vector<std::string> contexts;
    int id = 0;
    char name[] = "namingContexts";
    char* names[] = {name, nullptr};
    const int code = ldap_search_ext(handle_->ldap, "", LDAP_SCOPE_BASE, "(objectClass=*)", names,
                                     0, nullptr, nullptr, nullptr, 0, &id);
    if (code != LDAP_SUCCESS) return ldap_error(handle_->ldap, code, "reading the root entry");
    IMAPULT_TRY(auto reply, wait());
    if (reply.entry) contexts = reply.entry->values("namingcontexts");
    if (contexts.empty()) contexts.emplace_back();
    return contexts;
}

Result<Schema> LdapSession::read_schema() {
    int id = 0;
    char attributes[] = "attributeTypes";
    char classes[] = "objectClasses";
    char* names[] = {attributes, classes, nullptr};
    const int code =
        ldap_search_ext(handle_->ldap, "cn=Subschema", LDAP_SCOPE_BASE, "(objectClass=*)", names, 0,
                        nullptr, nullptr, nullptr, 0, &id);
    if (code != LDAP_SUCCESS) return ldap_error(handle_->ldap, code, "reading the schema");
    IMAPULT_TRY(auto reply, wait());
    Schema schema;
    if (!reply.entry) return schema;
    int error = 0;
    const char* at = nullptr;
    for (const auto& value : reply.entry->values("attributetypes")) {
        auto* type = ldap_str2attributetype(value.c_str(), &error, &at, LDAP_SCHEMA_ALLOW_ALL);
        if (!type) continue;
        for (int i = 0; type->at_names && type->at_names[i]; ++i) {
            schema.attributes.insert(to_lower(type->at_names[i]));
        }
        ldap_attributetype_free(type);
    }
    for (const auto& value : reply.entry->values("objectclasses")) {
        auto* type = ldap_str2objectclass(value.c_str(), &error, &at, LDAP_SCHEMA_ALLOW_ALL);
        if (!type) continue;
        for (int i = 0; type->oc_names && type->oc_names[i]; ++i) {
            schema.classes.insert(to_lower(type->oc_names[i]));
        }
        ldap_objectclass_free(type);
    }
    return schema;
}

Result<Destination> destination_from(LdapSession& session, const std::string& path) {
    IMAPULT_TRY(auto contexts, session.naming_contexts());
    IMAPULT_TRY(auto spool, OutputFile::create(path));
    for (const auto& context : contexts) {
        auto done = session.search(context, "(objectClass=*)", {}, [&](const Entry& entry) {
            Entry copy = entry;
            copy.remove("userpassword");
            std::string text;
            append_ldif_entry(text, copy);
            spool.write(text);
        });
        if (!done) {
            ::unlink(path.c_str());
            return std::unexpected(std::move(done).error());
        }
    }
    IMAPULT_CHECK(spool.close());
    auto source = SourceSet::open({path}, CsvLayout::detect);
    ::unlink(path.c_str());  // the open descriptor is enough
    if (!source) return std::unexpected(std::move(source).error());
    Destination destination;
    IMAPULT_CHECK(destination.read(std::move(*source)));
    IMAPULT_TRY(destination.schema, session.read_schema());
    return destination;
}

}  // namespace imapult::provisioning
