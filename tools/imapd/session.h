#pragma once
// The inside of a Connection: the command reader, the state RFC 3501 section 3 describes and one
// function for each command, spread over session_*.cc by subject.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/imapd/connection.h"
#include "tools/imapd/output.h"
#include "tools/imapd/store_data.h"
#include "tools/imapd/wire.h"

namespace imapult::imapd {

/// The tagged end of a command. `text` starts with the response code, if any.
struct Reply {
    enum class Kind : std::uint8_t { ok, no, bad } kind = Kind::ok;
    std::string text;
    bool close = false;  ///< the connection ends after it
};
inline Reply ok(std::string text) {
    return {Reply::Kind::ok, std::move(text)};
}
inline Reply no(std::string text) {
    return {Reply::Kind::no, std::move(text)};
}
inline Reply bad(std::string text) {
    return {Reply::Kind::bad, std::move(text)};
}
/// Nothing if the command goes on (a lazy FETCH, IDLE, SASL, …).
using Answer = std::optional<Reply>;

/// Parts of SELECT, STATUS and FETCH that are parsed once and used elsewhere.
struct FetchItem {
    enum class Kind : std::uint8_t {
        flags,
        uid,
        internal_date,
        size,
        modseq,
        email_id,
        thread_id,
        gm_msgid,
        gm_thrid,
        gm_labels,
        section
    } kind = Kind::uid;
    std::string label{};  ///< as given back: "BODY[HEADER.FIELDS (DATE)]<0>"
    enum class Part : std::uint8_t { all, header, text, fields, fields_not } part = Part::all;
    std::vector<std::string> fields{};  ///< lower case
    bool peek = true;
    std::optional<std::pair<std::uint64_t, std::uint64_t>> partial{};  ///< offset, length
};

class Session {
  public:
    Session(Store& store, Transport transport);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    void feed(std::string_view bytes);
    [[nodiscard]] bool wants_input() const;
    [[nodiscard]] bool has_output() const { return !out_.empty() || job_ != nullptr; }
    std::size_t read_output(std::string& out, std::size_t bytes_max);
    [[nodiscard]] bool wants_close() const { return closing_; }
    [[nodiscard]] bool wants_reset() const { return resetting_; }
    [[nodiscard]] Handover handover() const { return handover_; }
    std::string handover_done();
    void poll();
    [[nodiscard]] bool idling() const { return phase_ == Phase::idle; }

  private:
    enum class Phase : std::uint8_t { line, literal, sasl, idle };
    enum class State : std::uint8_t { not_authenticated, authenticated, selected };
    enum Needs : std::uint8_t { kAny, kNoUser, kUser, kMailbox };

    struct Selected {
        std::string name;
        std::shared_ptr<detail::Mailbox> box;
        bool read_only = true;
        std::vector<std::uint32_t> uids{};  ///< by sequence number, as the client knows them
        std::uint32_t uidnext_seen = 1;
        std::uint64_t flags_seen = 0;
        std::size_t expunged_seen = 0;
    };
    struct Literal {
        std::uint64_t left = 0;
        bool message = false;  ///< of APPEND: goes to append_.messages
        bool discard = false;
        bool binary = false;
    };
    struct PendingMessage {
        NewMessage parts;
        std::string body;
        std::uint64_t announced = 0;
        bool binary = false;
    };
    struct Append {
        bool active = false;
        std::string mailbox;
        std::size_t parsed = 0;  ///< how much of command_ has been looked at
        std::vector<PendingMessage> messages;
        std::optional<Reply> failure;
        std::string signature;  ///< mailbox, flags, dates, sizes: the repeat throttle's key
        std::uint64_t octets = 0;
    };
    using Handler = Answer (Session::*)(Args&);
    struct Command {
        Handler handler;
        Needs needs;
        const char* capability;  ///< null: always there
    };
    static const std::map<std::string_view, Command>& commands();

    // session.cc: reading commands and ending them
    void process();
    bool step();
    bool step_line();
    bool step_literal();
    void begin_literal(std::uint64_t size, bool waits, bool binary);
    void execute();
    Answer dispatch(std::string_view name, Args& args);
    Answer guard_command(const std::string& name);
    // session_throttle.cc
    Answer ask_patience();
    [[nodiscard]] bool is_impatient(const detail::Account& account) const;
    Answer throttle_command(const std::string& name);
    Answer throttle_login(const detail::Account& account);
    Answer spend(std::uint64_t bytes_out, std::uint64_t bytes_in);
    bool play_script(const std::string& name);
    void complete(const Reply& reply);
    void abandon_command();
    void close(std::string_view text);
    void reset_connection();
    void untagged(std::string_view text);
    void greet();
    [[nodiscard]] std::string capability_line() const;
    [[nodiscard]] bool offers(std::string_view name) const { return b_->offers(name); }
    [[nodiscard]] bool offers_now(std::string_view name) const;
    void overtake();
    [[nodiscard]] bool fetch_follows() const;

    // session.cc: the selected mailbox
    void notice(detail::Guard& data, bool expunges);
    void notice_expunged(bool expunges);
    void limit_messages(std::vector<std::uint32_t>& uids);
    void write_flags_line(const Message& message, std::size_t index, bool with_uid);
    [[nodiscard]] std::optional<std::size_t> index_of(std::uint32_t uid) const;
    /// The UIDs a sequence or UID set stands for, ascending.
    [[nodiscard]] std::optional<std::vector<std::uint32_t>> resolve(std::string_view set,
                                                                    bool uids) const;
    std::shared_ptr<detail::Mailbox> find(detail::Guard& data, std::string_view name,
                                          std::string* key = nullptr);

    // session_auth.cc
    Answer cmd_capability(Args&);
    Answer cmd_noop(Args&);
    Answer cmd_logout(Args&);
    Answer cmd_id(Args&);
    Answer cmd_enable(Args&);
    Answer cmd_starttls(Args&);
    Answer cmd_compress(Args&);
    Answer cmd_login(Args&);
    Answer cmd_authenticate(Args&);
    Answer cmd_unauthenticate(Args&);
    void sasl_line(std::string_view line);
    Answer sasl_step(std::string_view response);
    Answer sasl_plain(std::string_view response);
    Answer sasl_login(std::string_view response);
    Answer sasl_bearer(std::string_view response);
    Answer sasl_scram(std::string_view response);
    Answer scram_first(std::string_view response);
    Answer scram_final(std::string_view response);
    Answer sasl_cram(std::string_view response);
    Answer log_in(std::string_view authzid, std::string_view user, std::string_view password);
    Answer logged_in(const std::string& account);
    void leave_account();
    std::optional<std::string> password_of(const std::string& user);

    // session_list.cc
    Answer cmd_namespace(Args&);
    Answer cmd_list(Args&);
    Answer cmd_lsub(Args&);
    Answer cmd_xlist(Args&);
    Answer cmd_status(Args&);
    Answer cmd_create(Args&);
    Answer cmd_delete(Args&);
    Answer cmd_rename(Args&);
    Answer cmd_subscribe(Args&);
    Answer cmd_unsubscribe(Args&);
    Answer cmd_getquotaroot(Args&);
    Answer cmd_getquota(Args&);
    void learn_labels(std::uint64_t version);
    [[nodiscard]] std::vector<std::string> gm_labels(const Message& message) const;
    [[nodiscard]] std::string rights_on(const detail::Mailbox& box) const;
    [[nodiscard]] bool may(const detail::Mailbox& box, char right) const;
    Answer cmd_getacl(Args&);
    Answer cmd_myrights(Args&);
    Answer cmd_setacl(Args&);
    Answer cmd_deleteacl(Args&);
    Answer list_simple(Args& args, std::string_view verb);
    void write_list(std::string_view verb, const std::string& name, const std::string& attributes);
    [[nodiscard]] std::string wire_name(std::string_view name) const;
    std::string attributes_of(const std::string& name, const detail::Mailbox* box, bool children,
                              bool special) const;
    Answer write_status(const std::string& name, const detail::Mailbox& box,
                        const std::vector<std::string>& items, bool in_list);
    std::optional<Reply> check_name(std::string& name, detail::Guard& data);
    void write_quota();

    // session_select.cc
    Answer cmd_select(Args&);
    Answer cmd_examine(Args&);
    Answer cmd_close(Args&);
    Answer cmd_unselect(Args&);
    Answer cmd_expunge(Args&);
    Answer cmd_check(Args&);
    Answer cmd_idle(Args&);
    Answer select(Args& args, bool read_only);
    void write_selected(detail::Mailbox& box);
    void write_resync(std::uint64_t modseq, const std::optional<NumberSet>& known);
    void write_gone(std::uint64_t modseq, const std::optional<NumberSet>& known);
    void unselect();
    [[nodiscard]] std::string vanished_set(const NumberSet& set) const;
    Answer expunge(const std::optional<std::vector<std::uint32_t>>& only);

    // session_notify.cc
    struct Told {
        std::uint32_t uidvalidity = 0;
        std::uint64_t highest_modseq = 0;
        bool subscribed = false;
        bool operator==(const Told&) const = default;
    };
    Answer cmd_notify(Args&);
    [[nodiscard]] Told told_of(const std::string& name, const detail::Mailbox& box) const;
    void tell_changes();

    // session_fetch.cc
    Answer cmd_fetch(Args&);
    bool fetch_some();
    void note_body(std::uint32_t uid);
    void fetch_one(Message& message, std::size_t index);
    void write_item(const FetchItem& item, const Message& message);
    void write_section(const FetchItem& item, const Message& message);
    Answer start_fetch(std::vector<std::uint32_t> uids);

    // session_store.cc
    Answer cmd_store(Args&);
    Answer cmd_search(Args&);
    Answer cmd_copy(Args&);
    Answer cmd_move(Args&);
    Answer copy_or_move(Args& args, bool move);
    Answer write_search(const std::optional<std::vector<std::string>>& options,
                        const std::vector<std::uint32_t>& found, std::uint64_t modseq);

    // session_append.cc
    Answer cmd_append(Args&);
    void append_header(std::uint64_t size, bool binary);
    std::optional<Reply> append_arguments(std::uint64_t size, bool binary);
    Answer append_finish();
    std::optional<Reply> append_check(const detail::Mailbox& box);
    [[nodiscard]] Reply append_refused(Reply reply) const;
    std::optional<Date> take_from_trash(const std::string& body);
    Answer append_refuse();
    std::optional<Reply> take_flags(const std::vector<std::string>& names, detail::Mailbox* box,
                                    FlagSet& flags) const;

    Store& store_;
    Journal* journal_ = nullptr;  ///< null where nobody counts; used under the store's lock
    std::shared_ptr<const Behaviour> b_;
    Transport transport_;
    Output out_;
    std::string late_ok_;        ///< of a FETCH, given behind the first data of the next one
    std::function<bool()> job_;  ///< makes more output; false when it is through

    std::string input_;
    std::size_t input_at_ = 0;  ///< what is before it has been used
    std::size_t scanned_ = 0;   ///< no line end before it
    Phase phase_ = Phase::line;
    State state_ = State::not_authenticated;
    Handover handover_ = Handover::none;
    bool closing_ = false;
    bool resetting_ = false;
    bool deaf_ = false;    ///< said BYE and stays
    std::string ok_text_;  ///< instead of the next OK's

    // the command being read or run
    std::string command_;
    std::vector<std::string> literals_;
    Literal literal_;
    std::string tag_;
    std::string name_;
    bool uid_ = false;
    Append append_;

    // the account
    std::shared_ptr<detail::Account> account_;
    std::string user_;
    Selected selected_;
    bool condstore_ = false;
    bool qresync_ = false;
    bool uid_only_ = false;
    std::vector<std::uint32_t> saved_search_;
    /// With NOTIFY on: what the client has been told of each mailbox.
    std::optional<std::map<std::string, Told>> notified_;

    // X-GM-LABELS by object, of the selected mailbox, as of this version of the store
    std::uint64_t labels_version_ = UINT64_MAX;
    std::shared_ptr<detail::Mailbox> labels_box_;
    std::map<std::uint64_t, std::vector<std::string>> labels_;

    // SASL under way
    std::string mechanism_;
    unsigned sasl_round_ = 0;
    std::string sasl_user_;
    std::string sasl_challenge_;  ///< CRAM-MD5
    struct Scram {
        std::string gs2_header;
        std::string nonce;
        std::string messages;  ///< client-first-bare "," server-first
    } scram_;

    // FETCH under way
    std::vector<FetchItem> fetch_items_;
    std::vector<std::uint32_t> fetch_uids_;
    std::size_t fetch_at_ = 0;
    bool fetch_unavailable_ = false;
    std::string limit_code_;  ///< MESSAGELIMIT of the command under way

    // counted for the behaviour's limits
    unsigned commands_seen_ = 0;
    unsigned bad_seen_ = 0;
    unsigned errors_in_a_row_ = 0;
    unsigned creates_in_a_row_ = 0;
    unsigned appends_in_a_row_ = 0;
    std::string last_append_;
    std::vector<unsigned> script_seen_;
};

}  // namespace imapult::imapd
