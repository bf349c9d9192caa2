// Session: how a provider asks for patience (Throttle, DailyLimit), and who does not listen.

#include "tools/imapd/session.h"

namespace imapult::imapd {
namespace {

constexpr std::int64_t kDaySeconds = 86'400;
/// What comes so soon behind the reply that asks for patience was under way already.
constexpr std::chrono::milliseconds kUnderWay{300};

bool is_counted(std::string_view name) {
    return name != "LOGIN" && name != "AUTHENTICATE" && name != "LOGOUT" && name != "CAPABILITY" &&
           name != "STARTTLS";
}

}  // namespace

/// The reply that asks for patience; the caller gives it or, for BYE, it has been said.
Answer Session::ask_patience() {
    const Throttle& t = b_->throttle;
    {
        const detail::Guard data(store_);
        if (journal_ != nullptr) ++journal_->throttled;
        if (account_) {
            account_->throttled_at = store_.monotonic();
            account_->patience_until = account_->throttled_at + std::chrono::seconds(t.seconds);
        }
    }
    switch (t.as) {
        case Throttle::As::bad:
            return Reply{Reply::Kind::bad, t.text, t.closes};
        case Throttle::As::no:
            return Reply{Reply::Kind::no, t.text, t.closes};
        case Throttle::As::ok:
            ok_text_ = t.text;
            return std::nullopt;
        case Throttle::As::bye:
            close(t.text);
            return std::nullopt;
    }
    return std::nullopt;
}

bool Session::is_impatient(const detail::Account& account) const {
    const Nanos now = store_.monotonic();
    return b_->throttle.seconds > 0 && now < account.patience_until &&
           now > account.throttled_at + kUnderWay;
}

Answer Session::throttle_command(const std::string& name) {
    const Throttle& t = b_->throttle;
    if (t.per_connection != 0 && commands_seen_ > t.per_connection) {
        return Reply{Reply::Kind::bad, t.text, true};
    }
    if (!account_ || !is_counted(name)) return std::nullopt;
    bool drop = false;
    bool ask = false;
    {
        const detail::Guard data(store_);
        const std::uint64_t count = ++account_->commands;
        drop = t.drop_every != 0 && count % t.drop_every == 0;
        ask = t.every != 0 && count % t.every == 0;
        if (is_impatient(*account_)) {
            if (journal_ != nullptr) ++journal_->impatient;
            ask = true;
        }
    }
    if (drop) {
        {
            const detail::Guard data(store_);
            if (journal_ != nullptr) ++journal_->dropped;
        }
        reset_connection();
        return std::nullopt;
    }
    return ask ? ask_patience() : std::nullopt;
}

/// At log-in: those who have not waited are sent away again.
Answer Session::throttle_login(const detail::Account& account) {
    const Throttle& t = b_->throttle;
    if (!is_impatient(account)) return std::nullopt;
    if (journal_ != nullptr) ++journal_->impatient;
    if (!t.at_login) return std::nullopt;
    return Reply{Reply::Kind::no, t.text, true};
}

/// Counts octets of bodies of today; a reply if the day's are used up.
Answer Session::spend(std::uint64_t bytes_out, std::uint64_t bytes_in) {
    const DailyLimit& limit = b_->daily;
    if (limit.bytes_out == 0 && limit.bytes_in == 0) return std::nullopt;
    const std::int64_t today = store_.unix_seconds() / kDaySeconds;
    if (account_->day != today) {
        account_->day = today;
        account_->bytes_out = account_->bytes_in = 0;
    }
    const bool out = limit.bytes_out != 0 && account_->bytes_out >= limit.bytes_out;
    const bool in = limit.bytes_in != 0 && account_->bytes_in >= limit.bytes_in;
    account_->bytes_out += bytes_out;
    account_->bytes_in += bytes_in;
    if (!out && !in) return std::nullopt;
    return Reply{Reply::Kind::no, limit.text, true};
}

}  // namespace imapult::imapd
