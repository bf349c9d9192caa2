// Session: who the client is (CAPABILITY, ID, STARTTLS, LOGIN, AUTHENTICATE, ENABLE, …).

#include <algorithm>
#include <map>
#include <mutex>

#include "engine/base/text.h"
#include "tools/imapd/digest.h"
#include "tools/imapd/session.h"

namespace imapult::imapd {
namespace {

/// What stands between `key` and the next comma (SCRAM) or \x01 (bearer mechanisms).
std::optional<std::string> attribute(std::string_view text, std::string_view key, char end) {
    std::size_t at = 0;
    while (at < text.size()) {
        std::size_t stop = text.find(end, at);
        if (stop == std::string_view::npos) stop = text.size();
        const std::string_view part = text.substr(at, stop - at);
        if (part.starts_with(key)) return std::string(part.substr(key.size()));
        at = stop + 1;
    }
    return std::nullopt;
}

Reply refused() {
    return no("[AUTHENTICATIONFAILED] Authentication failed.");
}

/// The account named by a GS2 header "n,a=user@example.com," (RFC 5801, section 4).
std::string gs2_user(std::string_view text) {
    return attribute(text, "a=", ',').value_or("");
}

constexpr int kScramIterations = 4096;
constexpr std::string_view kScramSalt = "imapult-imapd-salt";

/// Made once for each password, as servers keep it (RFC 5802, section 3: StoredKey).
std::string salted_password(const std::string& password) {
    static std::mutex mutex;
    static std::map<std::string, std::string> known;
    const std::lock_guard lock(mutex);
    const auto [at, fresh] = known.try_emplace(password);
    if (fresh) at->second = pbkdf2_sha256(password, kScramSalt, kScramIterations);
    return at->second;
}

}  // namespace

Answer Session::cmd_capability(Args&) {
    untagged(capability_line());
    return ok("Capability completed.");
}

Answer Session::cmd_noop(Args&) {
    return ok("NOOP completed.");
}

Answer Session::cmd_logout(Args&) {
    for (int i = b_->bye_repeated ? 100 : 1; i > 0; --i) untagged("BYE Logging out");
    return Reply{Reply::Kind::ok, "Logout completed.", true};
}

Answer Session::cmd_id(Args&) {
    if (b_->refuses_id) return no("Unrecognized command");
    if (!offers_now("ID")) return bad("Unknown command");
    std::string line = "ID (\"name\" " + as_string(b_->product);
    if (b_->id_names_user && !user_.empty()) line += " \"USER\" " + as_string(user_);
    untagged(line + ")");
    return ok("ID completed.");
}

Answer Session::cmd_enable(Args& args) {
    std::string done;
    while (args.space()) {
        const std::string word = to_lower(args.atom().value_or(""));
        if (word.empty()) return bad("ENABLE needs extension names");
        if (word == "condstore" && offers("CONDSTORE")) {
            condstore_ = true;
            done += " CONDSTORE";
        } else if (word == "qresync" && offers("QRESYNC")) {
            condstore_ = qresync_ = true;
            done += " QRESYNC";
        } else if (word == "uidonly" && offers("UIDONLY")) {
            uid_only_ = true;
            done += " UIDONLY";
        }
    }
    if (b_->enabled_line_empty) {
        untagged("ENABLED");
    } else if (!b_->enable_says_nothing) {
        untagged("ENABLED" + done);
    }
    return ok("Enabled.");
}

Answer Session::cmd_starttls(Args& args) {
    if (!args.at_end()) return bad("STARTTLS takes no arguments");
    handover_ = Handover::tls;
    return ok("Begin TLS negotiation now.");
}

Answer Session::cmd_compress(Args& args) {
    if (!args.space() || !args.accept_word("DEFLATE")) return bad("Unknown mechanism");
    handover_ = Handover::deflate;
    return ok("Begin compression.");
}

Answer Session::cmd_unauthenticate(Args&) {
    // RFC 8437, section 2: ENABLE and the selected mailbox end with the identity.
    leave_account();
    return ok("Unauthenticated.");
}

void Session::leave_account() {
    if (account_) {
        const detail::Guard data(store_);
        if (account_->connections > 0) --account_->connections;
    }
    account_ = nullptr;
    user_.clear();
    selected_ = {};
    notified_.reset();
    state_ = State::not_authenticated;
    condstore_ = qresync_ = uid_only_ = false;
}

// --- passwords

Answer Session::cmd_login(Args& args) {
    if (b_->login_disabled_without_tls && !transport_.encrypted) {
        return no("[PRIVACYREQUIRED] Plaintext authentication disallowed without TLS.");
    }
    std::optional<std::string> user;
    std::optional<std::string> password;
    if (args.space()) user = args.astring();
    if (user && args.space()) password = args.astring();
    if (!password || !args.at_end()) return bad("LOGIN needs a name and a password");
    return log_in("", *user, *password);
}

/// The password `user` has to prove knowledge of; nothing if there is no such user.
std::optional<std::string> Session::password_of(const std::string& user) {
    detail::Guard data(store_);
    if (const auto it = data->admins.find(user); it != data->admins.end()) return it->second;
    if (const auto account = data->account(user)) return account->password;
    return data->anybody;
}

Answer Session::log_in(std::string_view authzid, std::string_view user, std::string_view password) {
    std::string who(user);
    std::string target(authzid.empty() ? user : authzid);
    // Dovecot's other way to name a master user: account*master.
    const std::size_t star = who.find('*');
    if (authzid.empty() && star != std::string::npos) {
        target = who.substr(0, star);
        who = who.substr(star + 1);
    }
    const auto expected = password_of(who);
    if (!expected || *expected != password) return refused();
    {
        detail::Guard data(store_);
        const bool admin = data->admins.contains(who);
        if (target != who && !admin) {
            return no("[AUTHORIZATIONFAILED] Not allowed to act as this user.");
        }
        if (!data->account(target) && b_->authzid_falls_back_to_admin_domain && target != who) {
            const std::size_t at = who.find('@');
            if (at != std::string::npos) {
                target = target.substr(0, target.find('@')) + who.substr(at);
            }
        }
        if (!data->account(target)) {
            if (!data->anybody) return refused();
            data->open_account(target, *data->anybody, *b_);
        }
    }
    return logged_in(target);
}

Answer Session::logged_in(const std::string& name) {
    {
        detail::Guard data(store_);
        auto account = data->account(name);
        if (!account) return refused();
        if (b_->connections_max != 0 && account->connections >= b_->connections_max) {
            return no("[LIMIT] Maximum number of connections from user+IP exceeded.");
        }
        if (Answer patience = throttle_login(*account)) return patience;
        if (journal_ != nullptr) ++journal_->log_ins;
        ++account->connections;
        account_ = std::move(account);
    }
    user_ = name;
    state_ = State::authenticated;
    if (b_->drops_input_behind_login) {
        input_.clear();
        input_at_ = scanned_ = 0;
    }
    if (b_->literal_in_text) untagged("OK [ALERT] Your mailbox will be moved {17}");
    return ok((b_->capability_in_login ? "[" + capability_line() + "] " : "") + "Logged in.");
}

// --- SASL

Answer Session::cmd_authenticate(Args& args) {
    std::optional<std::string> mechanism;
    if (args.space()) mechanism = args.atom();
    if (!mechanism) return bad("AUTHENTICATE needs a mechanism");
    for (char& c : *mechanism) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    if (!b_->capabilities_before_auth.contains("AUTH=" + *mechanism)) {
        return no("[CANNOT] Unsupported authentication mechanism.");
    }
    if (b_->login_disabled_without_tls && !transport_.encrypted && *mechanism != "SCRAM-SHA-256") {
        return no("[PRIVACYREQUIRED] Plaintext authentication disallowed without TLS.");
    }
    mechanism_ = *mechanism;
    sasl_round_ = 0;
    sasl_user_.clear();
    scram_ = {};
    const bool server_first = mechanism_ == "CRAM-MD5";
    if (args.space() && !server_first) {
        // Accepted without SASL-IR, too: Courier takes it unadvertised.
        const auto initial = args.atom();
        const auto bytes = initial == "=" ? std::optional<std::string>("")
                           : initial      ? decode_base64(*initial)
                                          : std::nullopt;
        if (!bytes || !args.at_end()) return bad("Invalid initial response");
        return sasl_step(*bytes);
    }
    if (!args.at_end()) return bad("This mechanism has no initial response");
    if (server_first) return sasl_step("");
    phase_ = Phase::sasl;
    out_.text() += mechanism_ == "LOGIN" ? "+ VXNlcm5hbWU6\r\n" : "+ \r\n";
    return std::nullopt;
}

void Session::sasl_line(std::string_view line) {
    phase_ = Phase::line;
    Answer answer;
    if (line == "*") {
        answer = bad("Authentication cancelled");
    } else if (const auto bytes = decode_base64(line)) {
        answer = sasl_step(*bytes);
    } else {
        answer = bad("Invalid base64");
    }
    if (answer) complete(*answer);
}

/// One response of the client; nothing if a challenge has been sent and another one is due.
Answer Session::sasl_step(std::string_view response) {
    ++sasl_round_;
    Answer answer;
    if (mechanism_ == "PLAIN") {
        answer = sasl_plain(response);
    } else if (mechanism_ == "LOGIN") {
        answer = sasl_login(response);
    } else if (mechanism_ == "CRAM-MD5") {
        answer = sasl_cram(response);
    } else if (mechanism_ == "SCRAM-SHA-256") {
        answer = sasl_scram(response);
    } else {
        answer = sasl_bearer(response);
    }
    if (!answer) phase_ = Phase::sasl;
    return answer;
}

Answer Session::sasl_plain(std::string_view response) {
    const std::size_t first = response.find('\0');
    const std::size_t second =
        first == std::string_view::npos ? first : response.find('\0', first + 1);
    if (second == std::string_view::npos) return bad("Invalid PLAIN response");
    return log_in(response.substr(0, first), response.substr(first + 1, second - first - 1),
                  response.substr(second + 1));
}

Answer Session::sasl_login(std::string_view response) {
    if (sasl_round_ == 1) {
        sasl_user_ = response;
        out_.text() += "+ UGFzc3dvcmQ6\r\n";
        return std::nullopt;
    }
    return log_in("", sasl_user_, response);
}

/// XOAUTH2 and OAUTHBEARER (RFC 7628): a refusal is a challenge first, answered by the client with
/// anything, and then the NO.
Answer Session::sasl_bearer(std::string_view response) {
    if (sasl_round_ > 1) return refused();
    constexpr char kEnd = '\x01';
    const bool oauthbearer = mechanism_ == "OAUTHBEARER";
    const std::string user = oauthbearer ? gs2_user(response.substr(0, response.find(kEnd)))
                                         : attribute(response, "user=", kEnd).value_or("");
    const std::string token = attribute(response, "auth=Bearer ", kEnd).value_or("");
    bool right = false;
    {
        detail::Guard data(store_);
        const auto account = data->account(user);
        right = account && !account->token.empty() && account->token == token;
    }
    if (right) return logged_in(user);
    constexpr std::string_view kBearerError = R"({"status":"invalid_token"})";
    constexpr std::string_view kXoauthError =
        R"({"status":"400","schemes":"Bearer","scope":"https://mail.example.com/"})";
    out_.text() += "+ " + encode_base64(oauthbearer ? kBearerError : kXoauthError) + "\r\n";
    return std::nullopt;
}

/// RFC 2195.
Answer Session::sasl_cram(std::string_view response) {
    if (sasl_round_ == 1) {
        sasl_challenge_ = "<" + std::to_string(store_.unix_seconds()) + ".1@imap.example.com>";
        out_.text() += "+ " + encode_base64(sasl_challenge_) + "\r\n";
        return std::nullopt;
    }
    const std::size_t blank = response.rfind(' ');
    if (blank == std::string_view::npos) return bad("Invalid CRAM-MD5 response");
    const std::string user(response.substr(0, blank));
    const auto password = password_of(user);
    if (!password || hex(hmac_md5(*password, sasl_challenge_)) != response.substr(blank + 1)) {
        return refused();
    }
    return log_in("", user, *password);
}

/// RFC 5802 and 7677, without channel binding.
Answer Session::sasl_scram(std::string_view response) {
    if (sasl_round_ == 1) return scram_first(response);
    if (sasl_round_ == 2) return scram_final(response);
    const auto password = password_of(sasl_user_);
    return password ? log_in(gs2_user(scram_.gs2_header), sasl_user_, *password) : refused();
}

Answer Session::scram_first(std::string_view response) {
    // gs2-header = "n," [authzid] ","
    const std::size_t first = response.find(',');
    const std::size_t second =
        first == std::string_view::npos ? first : response.find(',', first + 1);
    if (second == std::string_view::npos || response.starts_with("p=")) {
        return bad("Invalid SCRAM message");
    }
    scram_.gs2_header = response.substr(0, second + 1);
    const std::string_view bare = response.substr(second + 1);
    const auto user = attribute(bare, "n=", ',');
    const auto nonce = attribute(bare, "r=", ',');
    if (!user || !nonce) return bad("Invalid SCRAM message");
    sasl_user_ = *user;
    scram_.nonce = *nonce + "srv" + std::to_string(store_.unix_seconds());
    const std::string answer = "r=" + scram_.nonce + ",s=" + encode_base64(kScramSalt) +
                               ",i=" + std::to_string(kScramIterations);
    scram_.messages = std::string(bare) + "," + answer;
    out_.text() += "+ " + encode_base64(answer) + "\r\n";
    return std::nullopt;
}

Answer Session::scram_final(std::string_view response) {
    const std::size_t proof_at = response.rfind(",p=");
    const auto password = password_of(sasl_user_);
    if (proof_at == std::string_view::npos || !password ||
        attribute(response, "r=", ',') != scram_.nonce ||
        attribute(response, "c=", ',') != encode_base64(scram_.gs2_header)) {
        return refused();
    }
    const std::string message = scram_.messages + "," + std::string(response.substr(0, proof_at));
    const std::string salted = salted_password(*password);
    const std::string client_key = hmac_sha256(salted, "Client Key");
    std::string proof = hmac_sha256(sha256(client_key), message);
    for (std::size_t i = 0; i < proof.size(); ++i) {
        proof[i] = static_cast<char>(proof[i] ^ client_key[i]);
    }
    if (encode_base64(proof) != response.substr(proof_at + 3)) return refused();
    const std::string signature = hmac_sha256(hmac_sha256(salted, "Server Key"), message);
    out_.text() += "+ " + encode_base64("v=" + encode_base64(signature)) + "\r\n";
    return std::nullopt;
}

}  // namespace imapult::imapd
