#include "tools/imapd/session.h"

#include <algorithm>
#include <array>

#include "engine/base/limits.h"
#include "engine/base/text.h"

namespace imapult::imapd {
namespace {

constexpr std::size_t kOutputHighWater = 256 * limits::kKiB;
constexpr std::size_t kInputHighWater = 1 * limits::kMiB;
constexpr std::size_t kInputCompactBytes = 64 * limits::kKiB;
constexpr std::uint64_t kLiteralMinusMax = 4096;  // RFC 7888, section 5
constexpr std::size_t kMessageReserveMax = 8 * limits::kMiB;

struct LiteralHeader {
    std::uint64_t size = 0;
    bool waits = true;
    bool binary = false;
    std::size_t length = 0;  ///< of the header text itself
};

/// "{12}", "{12+}" or "~{12}" at the end of a line.
std::optional<LiteralHeader> literal_at_end(std::string_view line) {
    if (!line.ends_with('}')) return std::nullopt;
    const std::size_t open = line.rfind('{');
    if (open == std::string_view::npos) return std::nullopt;
    LiteralHeader out;
    std::string_view inside = line.substr(open + 1, line.size() - open - 2);
    if (inside.ends_with('+')) {
        out.waits = false;
        inside.remove_suffix(1);
    }
    const auto size = parse_number(inside);
    if (!size) return std::nullopt;
    out.size = *size;
    out.binary = open > 0 && line[open - 1] == '~';
    out.length = line.size() - open + (out.binary ? 1 : 0);
    return out;
}

std::string upper(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return out;
}

/// Commands that do not interrupt a row of equal ones (Zimbra's "throttle-aware" commands).
bool is_throttle_aware(std::string_view name) {
    constexpr std::array<std::string_view, 13> kNames{
        "APPEND", "COPY", "CREATE", "EXAMINE", "FETCH", "LIST", "LSUB",
        "SEARCH", "SORT", "SELECT", "STORE",   "XLIST", "UID"};
    return std::ranges::find(kNames, name.substr(0, name.find(' '))) != kNames.end();
}

}  // namespace

Session::Session(Store& store, Transport transport)
    : store_(store), b_(store.behaviour()), transport_(transport), script_seen_(b_->script.size()) {
    {
        detail::Guard data(store_);
        journal_ = data.journal();
        if (journal_ != nullptr) ++journal_->connections;
    }
    greet();
}

Session::~Session() {
    leave_account();
}

void Session::greet() {
    if (b_->preauth_greeting) {
        detail::Guard data(store_);
        if (!data->accounts.empty()) {
            account_ = data->accounts.begin()->second;
            ++account_->connections;
            user_ = account_->name;
            state_ = State::authenticated;
        }
    }
    std::string line = state_ == State::authenticated ? "PREAUTH " : "OK ";
    if (b_->capability_in_greeting) line += "[" + capability_line() + "] ";
    untagged(line + b_->product + " ready.");
}

std::string Session::capability_line() const {
    const bool before = state_ == State::not_authenticated;
    std::string out = "CAPABILITY IMAP4rev1";
    for (const std::string& name : before ? b_->capabilities_before_auth : b_->capabilities) {
        if (name == "IMAP4rev1" || !offers_now(name)) continue;
        if (name == "LITERAL+" && b_->literal_plus_spaced) {
            out += " LITERAL +";
            continue;
        }
        out += ' ' + name;
    }
    if (before && b_->login_disabled_without_tls && !transport_.encrypted) out += " LOGINDISABLED";
    return out;
}

/// True if the extension is in what CAPABILITY says at this moment.
bool Session::offers_now(std::string_view name) const {
    if (name == "STARTTLS" && (transport_.encrypted || !transport_.can_start_tls)) return false;
    if (name == "COMPRESS=DEFLATE" && !transport_.can_deflate) return false;
    const bool before = state_ == State::not_authenticated;
    return (before ? b_->capabilities_before_auth : b_->capabilities).contains(std::string(name));
}

// --- input

void Session::feed(std::string_view bytes) {
    if (closing_ || deaf_) return;
    // The common large case: octets of a message go straight to their place.
    const bool free = job_ == nullptr && handover_ == Handover::none;
    if (free && phase_ == Phase::literal && input_at_ == input_.size() && literal_.left > 0) {
        const auto n =
            static_cast<std::size_t>(std::min<std::uint64_t>(literal_.left, bytes.size()));
        if (!literal_.discard) {
            (literal_.message ? append_.messages.back().body : literals_.back())
                .append(bytes.substr(0, n));
        }
        literal_.left -= n;
        bytes.remove_prefix(n);
    }
    if (input_at_ >= kInputCompactBytes && input_at_ * 2 >= input_.size()) {
        input_.erase(0, input_at_);
        scanned_ -= std::min(scanned_, input_at_);
        input_at_ = 0;
    }
    input_ += bytes;
    process();
}

bool Session::wants_input() const {
    return !closing_ && input_.size() - input_at_ < kInputHighWater;
}

void Session::process() {
    while (!closing_ && !deaf_ && job_ == nullptr && handover_ == Handover::none &&
           out_.size() < kOutputHighWater && step()) {
    }
    if (closing_ || deaf_) {
        input_.clear();
        input_at_ = scanned_ = 0;
    }
}

bool Session::step() {
    return phase_ == Phase::literal ? step_literal() : step_line();
}

bool Session::step_literal() {
    const auto n =
        static_cast<std::size_t>(std::min<std::uint64_t>(literal_.left, input_.size() - input_at_));
    if (!literal_.discard && n > 0) {
        (literal_.message ? append_.messages.back().body : literals_.back())
            .append(input_, input_at_, n);
    }
    literal_.left -= n;
    input_at_ += n;
    scanned_ = input_at_;
    if (literal_.left > 0) return false;
    phase_ = Phase::line;
    return true;
}

bool Session::step_line() {
    scanned_ = std::max(scanned_, input_at_);
    const std::size_t end = input_.find('\n', scanned_);
    const std::size_t length = (end == std::string::npos ? input_.size() : end) - input_at_;
    if (command_.size() + length > b_->line_bytes_max) {
        if (b_->on_long_line == OnLongLine::reset) {
            reset_connection();
        } else {
            close("Too long command line");
        }
        return false;
    }
    if (end == std::string::npos) {
        scanned_ = input_.size();
        return false;
    }
    std::string_view line = std::string_view(input_).substr(input_at_, length);
    input_at_ = scanned_ = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (phase_ == Phase::sasl) {
        sasl_line(line);
        return true;
    }
    if (phase_ == Phase::idle) {
        phase_ = Phase::line;
        complete(equal_ignoring_case(line, "DONE") ? ok("IDLE completed.") : bad("Expected DONE"));
        return true;
    }
    if (const auto header = literal_at_end(line)) {
        command_ += line.substr(0, line.size() - header->length);
        begin_literal(header->size, header->waits, header->binary);
        return true;
    }
    command_ += line;
    execute();
    return true;
}

void Session::begin_literal(std::uint64_t size, bool waits, bool binary) {
    b_ = store_.behaviour();
    Args head(command_, {});
    tag_ = head.atom().value_or("*");
    const bool spaced = head.space();
    const bool is_append = spaced && head.accept_word("APPEND") && head.space();
    // `APPEND {5}` gives the mailbox's name as a literal; every later one is a message.
    const bool is_message = is_append && !head.at_end();
    const bool plus = offers("LITERAL+") || (offers("LITERAL-") && size <= kLiteralMinusMax);
    if (!waits && !plus) {
        // Not understood: what follows is read as commands, as it is on such servers.
        complete(offers("LITERAL-") ? Reply{Reply::Kind::bad, "Literal too long", true}
                                    : no("Invalid literal"));
        return abandon_command();
    }
    literal_ = {.left = size, .message = is_message, .binary = binary};
    if (is_message) {
        append_header(size, binary);
        const std::optional<Reply>& failure = append_.failure;
        const bool obeys_body =
            failure && failure->kind == Reply::Kind::bad && b_->body_as_commands_after_bad;
        if (failure && (waits || obeys_body)) {
            name_ = "APPEND";
            if (const Answer answer = append_refuse()) complete(*answer);
            return abandon_command();
        }
        literal_.discard = failure.has_value();
    } else if (size > limits::kSmallLiteralBytesMax) {
        complete({Reply::Kind::bad, "Literal too long", true});
        return abandon_command();
    } else {
        literals_.emplace_back();
    }
    command_ += Args::kLiteralMark;
    append_.parsed = is_message ? command_.size() : append_.parsed;
    if (is_message && !literal_.discard) {
        append_.messages.back().body.reserve(
            static_cast<std::size_t>(std::min<std::uint64_t>(size, kMessageReserveMax)));
    }
    if (waits) out_.text() += "+ OK\r\n";
    phase_ = Phase::literal;
}

void Session::abandon_command() {
    command_.clear();
    literals_.clear();
    append_ = {};
}

// --- running commands

void Session::execute() {
    b_ = store_.behaviour();
    script_seen_.resize(b_->script.size());
    const std::string command = std::move(command_);
    const std::vector<std::string> literals = std::move(literals_);
    command_.clear();
    literals_.clear();
    if (command.empty()) return;
    Args args(command, literals);
    auto tag = args.atom();
    uid_ = false;
    if (!tag || *tag == "+" || *tag == "*" || !args.space()) {
        tag_ = "*";
        append_ = {};
        return complete(bad("Missing tag or command"));
    }
    tag_ = std::move(*tag);
    std::string name = upper(args.atom().value_or(""));
    if (name == "UID" && args.space()) {
        uid_ = true;
        name = upper(args.atom().value_or(""));
    }
    name_ = (uid_ ? "UID " : "") + name;
    Answer answer = guard_command(name_);
    if (!answer && !closing_ && !deaf_ && !play_script(name_)) answer = dispatch(name, args);
    append_ = {};
    if (answer) complete(*answer);
}

/// The limits a server sets on how it is talked to.
Answer Session::guard_command(const std::string& name) {
    ++commands_seen_;
    if (journal_ != nullptr) {
        const detail::Guard data(store_);
        ++journal_->commands[name];
    }
    if (const Answer answer = throttle_command(name)) return answer;
    if (closing_ || deaf_) return std::nullopt;
    if (!is_throttle_aware(name)) {
        creates_in_a_row_ = appends_in_a_row_ = 0;
        last_append_.clear();
    }
    if (b_->repeated_creates_max != 0 && name == "CREATE" &&
        ++creates_in_a_row_ > b_->repeated_creates_max) {
        close("too many repeated CREATE requests");
    }
    if (b_->not_connected_after_login && state_ != State::not_authenticated && name != "LOGOUT") {
        return bad("User is authenticated but not connected.");
    }
    return std::nullopt;
}

bool Session::play_script(const std::string& name) {
    if (script_seen_.size() < b_->script.size()) script_seen_.resize(b_->script.size());
    for (std::size_t i = 0; i < b_->script.size(); ++i) {
        const ScriptedReply& s = b_->script[i];
        if (!name.starts_with(s.command)) continue;
        const unsigned seen = ++script_seen_[i];
        if (seen != s.nth && !(s.every && seen > s.nth)) continue;
        std::string reply = s.reply;
        for (std::size_t at = 0; (at = reply.find("%t", at)) != std::string::npos;) {
            reply.replace(at, 2, tag_);
            at += tag_.size();
        }
        out_.text() += std::exchange(late_ok_, {}) + reply;
        if (s.close) closing_ = true;
        if (s.instead || s.close) return true;
    }
    return false;
}

Answer Session::dispatch(std::string_view name, Args& args) {
    const auto it = commands().find(name);
    constexpr std::array<std::string_view, 6> kWithUid{"FETCH", "STORE", "SEARCH",
                                                       "COPY",  "MOVE",  "EXPUNGE"};
    const bool may_have_uid = std::ranges::find(kWithUid, name) != kWithUid.end();
    if (it == commands().end() || (uid_ && !may_have_uid)) return bad("Unknown command");
    const Command& c = it->second;
    if (c.capability != nullptr && !offers_now(c.capability)) return bad("Unknown command");
    if (c.needs == kNoUser && state_ != State::not_authenticated) {
        return bad("Already authenticated");
    }
    if (c.needs >= kUser && state_ == State::not_authenticated) return bad("Please login first");
    if (c.needs == kMailbox && state_ != State::selected) return bad("No mailbox selected");
    if (uid_only_ && c.needs == kMailbox && may_have_uid && !uid_ && name != "EXPUNGE") {
        return bad("[UIDREQUIRED] Sequence numbers are off");
    }
    return (this->*c.handler)(args);
}

void Session::complete(const Reply& reply) {
    out_.text() += std::exchange(late_ok_, {});
    if (state_ == State::selected) {
        // RFC 3501, section 7.4.1: no EXPUNGE while sequence numbers are in use.
        const bool by_number = name_ == "FETCH" || name_ == "STORE" || name_ == "SEARCH";
        detail::Guard data(store_);
        notice(data, !by_number);
    }
    constexpr std::array<std::string_view, 3> kWords{" OK ", " NO ", " BAD "};
    std::string& out = out_.text();
    out += tag_;
    out += kWords[static_cast<std::size_t>(reply.kind)];
    const bool other = reply.kind == Reply::Kind::ok && !ok_text_.empty();
    out += other ? std::exchange(ok_text_, {}) : reply.text;
    out += "\r\n";
    if (reply.kind == Reply::Kind::ok) {
        errors_in_a_row_ = 0;
    } else {
        ++errors_in_a_row_;
        if (reply.kind == Reply::Kind::bad) ++bad_seen_;
    }
    if (reply.close) closing_ = true;
    const bool too_bad = b_->bad_commands_max != 0 && bad_seen_ >= b_->bad_commands_max;
    const bool too_many =
        b_->errors_in_a_row_max != 0 && errors_in_a_row_ >= b_->errors_in_a_row_max;
    if (!closing_ && (too_bad || too_many)) close("Too many errors");
    if (!closing_) tell_changes();
}

void Session::close(std::string_view text) {
    for (int i = b_->bye_repeated ? 100 : 1; i > 0; --i) untagged("BYE " + std::string(text));
    (b_->stays_after_bye ? deaf_ : closing_) = true;
}

void Session::reset_connection() {
    out_.clear();
    closing_ = resetting_ = true;
}

void Session::untagged(std::string_view text) {
    std::string& out = out_.text();
    if (b_->leading_nuls) out.append(2, '\0');
    out += "* ";
    out += text;
    out += "\r\n";
}

// --- output

std::size_t Session::read_output(std::string& out, std::size_t bytes_max) {
    std::size_t taken = 0;
    while (taken < bytes_max) {
        taken += out_.take(out, bytes_max - taken);
        if (taken >= bytes_max) break;
        if (job_ != nullptr) {
            if (!job_()) job_ = nullptr;
            continue;
        }
        if (input_at_ < input_.size()) process();
        if (out_.empty() && job_ == nullptr) break;
    }
    // Commands that waited for room: has_output() must tell of their answers.
    if (out_.empty() && job_ == nullptr && input_at_ < input_.size()) process();
    return taken;
}

/// Dovecot answers a STATUS that is already there before the FETCH in front of it.
void Session::overtake() {
    if (!b_->status_overtakes_fetch) return;
    const std::size_t end = input_.find("\r\n", input_at_);
    if (end == std::string::npos) return;
    const std::string line = input_.substr(input_at_, end - input_at_);
    const std::size_t blank = line.find(' ');
    if (blank == std::string::npos || line.ends_with('}') ||
        !equal_ignoring_case(std::string_view(line).substr(blank + 1, 7), "STATUS ")) {
        return;
    }
    input_at_ = scanned_ = end + 2;
    const std::string fetch_tag = std::exchange(tag_, line.substr(0, blank));
    const std::string fetch_name = std::exchange(name_, "STATUS");
    Args args(std::string_view(line).substr(blank + 7), {});
    if (const Answer answer = cmd_status(args)) complete(*answer);
    tag_ = fetch_tag;
    name_ = fetch_name;
}

/// Dovecot may give data of a UID FETCH that is already there before the OK of the one in front of
/// it.
bool Session::fetch_follows() const {
    const std::size_t end = input_.find("\r\n", input_at_);
    const std::size_t blank = input_.find(' ', input_at_);
    constexpr std::string_view kFetch = "UID FETCH ";
    return b_->fetch_overtakes_ok && end != std::string::npos && blank < end &&
           equal_ignoring_case(std::string_view(input_).substr(blank + 1, kFetch.size()), kFetch);
}

std::string Session::handover_done() {
    const Handover was = std::exchange(handover_, Handover::none);
    std::string early = input_.substr(input_at_);
    input_.clear();
    input_at_ = scanned_ = 0;
    if (was != Handover::tls) return early;
    transport_.encrypted = true;
    return {};
}

// --- the selected mailbox

std::shared_ptr<detail::Mailbox> Session::find(detail::Guard& data, std::string_view name,
                                               std::string* key) {
    return data->mailbox(*account_, name, *b_, key);
}

std::optional<std::size_t> Session::index_of(std::uint32_t uid) const {
    const auto it = std::ranges::lower_bound(selected_.uids, uid);
    if (it == selected_.uids.end() || *it != uid) return std::nullopt;
    return static_cast<std::size_t>(it - selected_.uids.begin());
}

std::optional<std::vector<std::uint32_t>> Session::resolve(std::string_view set, bool uids) const {
    const auto& all = selected_.uids;
    if (set == "$" && offers("SEARCHRES")) return saved_search_;
    const auto star =
        uids ? (all.empty() ? 1U : all.back()) : static_cast<std::uint32_t>(all.size());
    const auto numbers = NumberSet::parse(set, star == 0 ? 1 : star);
    if (!numbers) return std::nullopt;
    std::vector<std::uint32_t> out;
    for (const auto& r : numbers->ranges()) {
        if (uids) {
            const auto first = std::ranges::lower_bound(all, r.low);
            const auto last = std::ranges::upper_bound(all, r.high);
            out.insert(out.end(), first, last);
        } else {
            // A number beyond the mailbox is a client's mistake (RFC 3501, section 9, seq-number).
            if (r.high > all.size()) return std::nullopt;
            out.insert(out.end(), all.begin() + (r.low - 1), all.begin() + r.high);
        }
    }
    return out;
}

/// MESSAGELIMIT (RFC 9738): only the highest UIDs are looked at, and the code says how far it came.
void Session::limit_messages(std::vector<std::uint32_t>& uids) {
    limit_code_.clear();
    const std::size_t most = b_->command_messages_max;
    if (most == 0 || uids.size() <= most) return;
    uids.erase(uids.begin(), uids.end() - static_cast<std::ptrdiff_t>(most));
    if (b_->metadata_silently_capped) return;
    limit_code_ =
        "[MESSAGELIMIT " + std::to_string(most) + " " + std::to_string(uids.front()) + "] ";
}

void Session::write_flags_line(const Message& message, std::size_t index, bool with_uid) {
    std::string& out = out_.text();
    out += "* ";
    append_number(out, uid_only_ ? message.uid : index + 1);
    out += uid_only_ ? " UIDFETCH (" : " FETCH (";
    if (with_uid && !uid_only_) {
        out += "UID ";
        append_number(out, message.uid);
        out += ' ';
    }
    out += "FLAGS (";
    message.flags.append_to(out);
    out += ')';
    if (condstore_) {
        out += " MODSEQ (";
        append_number(out, message.modseq);
        out += ')';
    }
    out += ")\r\n";
}

/// Tells the client what changed since it was last told.
void Session::notice(detail::Guard&, bool expunges) {
    Selected& s = selected_;
    notice_expunged(expunges);
    if (s.box->flags_modseq > s.flags_seen) {
        std::size_t index = 0;
        for (const Message& m : s.box->messages) {
            while (index < s.uids.size() && s.uids[index] < m.uid) ++index;
            if (index == s.uids.size()) break;
            if (s.uids[index] == m.uid && m.modseq > s.flags_seen) {
                write_flags_line(m, index, uid_ || qresync_);
            }
        }
    }
    s.flags_seen = s.box->highest_modseq;
    if (s.box->uidnext == s.uidnext_seen) return;
    const auto first = std::ranges::lower_bound(s.box->messages, s.uidnext_seen, {}, &Message::uid);
    for (auto it = first; it != s.box->messages.end(); ++it) s.uids.push_back(it->uid);
    s.uidnext_seen = s.box->uidnext;
    if (first == s.box->messages.end()) return;
    untagged(std::to_string(s.uids.size()) + " EXISTS");
    untagged("0 RECENT");
}

void Session::notice_expunged(bool expunges) {
    Selected& s = selected_;
    if (!expunges || s.box->expunged.size() == s.expunged_seen) return;
    std::vector<std::uint32_t> gone;
    for (; s.expunged_seen < s.box->expunged.size(); ++s.expunged_seen) {
        const std::uint32_t uid = s.box->expunged[s.expunged_seen].uid;
        if (index_of(uid)) gone.push_back(uid);
    }
    std::ranges::sort(gone);
    if (gone.empty()) return;
    if (qresync_ || uid_only_) {
        NumberSet set;
        for (const std::uint32_t uid : gone) set.add(uid);
        untagged("VANISHED " + vanished_set(set));
    } else {
        std::size_t removed = 0;
        for (const std::uint32_t uid : gone) {
            untagged(std::to_string(*index_of(uid) + 1 - removed) + " EXPUNGE");
            ++removed;
        }
    }
    std::erase_if(s.uids, [&gone](std::uint32_t u) { return std::ranges::binary_search(gone, u); });
}

void Session::poll() {
    if (phase_ == Phase::idle && state_ == State::selected) {
        detail::Guard data(store_);
        notice(data, true);
    }
    // Between two commands; what happens during one is told behind its end.
    const bool between = phase_ == Phase::line && command_.empty() && job_ == nullptr;
    if (between || phase_ == Phase::idle) tell_changes();
}

}  // namespace imapult::imapd
