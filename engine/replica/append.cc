// Writing groups to the destination, and what its answers mean.

#include <algorithm>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/replica/body_sink.h"
#include "engine/replica/lane.h"

namespace imapult::replica {

namespace {
constexpr std::uint64_t kLiteralMinusBytesMax = 4096;  ///< RFC 7888 §5
constexpr unsigned kLiteralsRefusedMax = 2;            ///< then consent is asked for first
}  // namespace

bool Lane::non_synchronising(std::uint64_t bytes) const {
    // Each further BAD would cost a connection.
    if (literals_refused_ >= kLiteralsRefusedMax) return false;
    switch (destination_->capabilities().literal_mode()) {
        case imap::LiteralMode::plus:
            return true;
        case imap::LiteralMode::minus:
            return bytes <= kLiteralMinusBytesMax;
        case imap::LiteralMode::synchronising:
            break;
    }
    return false;
}

bool Lane::multiappend() const {
    return destination_->capabilities().has("MULTIAPPEND") &&
           destination_->capabilities().literal_mode() == imap::LiteralMode::plus;
}

std::size_t Lane::groups_in_flight_max() const {
    const std::uint64_t part = account_->pace(Side::destination).window_bytes() *
                               limits::kGroupsInFlightMax / limits::kFetchWindowBytes;
    return static_cast<std::size_t>(std::max<std::uint64_t>(part, 1));
}

// --- writing -----------------------------------------------------------------------------------

Task<void> Lane::appender() {
    while (true) {
        while (to_send_.empty() && !pump_done_ && !error_) {
            account_->set_waiting(report::Waiting::source);
            co_await wake_.wait();
        }
        if (error_ || to_send_.empty()) break;
        const std::shared_ptr<Group> group = to_send_.front();
        const auto durable = [&] {
            return std::all_of(group->items.begin(), group->items.end(),
                               [](const Group::Item& item) { return item.window->durable; });
        };
        while (!error_ && (!durable() || to_settle_.size() >= groups_in_flight_max())) {
            account_->set_waiting(durable() ? report::Waiting::destination : report::Waiting::us);
            co_await wake_.wait();
        }
        co_await account_->quiet(Side::destination);
        if (error_) break;
        to_send_.pop_front();
        to_settle_.push_back(group);
        auto sent = co_await send(group);
        if (!sent) {
            fail(std::move(sent).error(), Side::destination);
            break;
        }
        wake();
    }
    appender_done_ = true;
    wake();
}

Task<Result<void>> Lane::send(std::shared_ptr<Group> group) {
    if (group->streamed) co_return co_await send_stream(*group);
    for (Group::Command& command : group->commands) {
        if (command.literal != 0) {
            auto sent = co_await send_synchronised(*group, command);
            if (!sent) co_return sent;
            continue;
        }
        const std::span<char> bytes(group->buffer.data() + command.begin,
                                    command.end - command.begin);
        command.sent_at = account_->environment.scheduler.now();
        command.ticket =
            destination_->connection().start_prepared("APPEND", bytes, true, &command.written);
    }
    group->sent_at = account_->environment.scheduler.now();
    co_return Result<void>{};
}

/// One message whose literal waits for the server's consent: nothing of it can be read as a
/// command.
Task<Result<void>> Lane::send_synchronised(Group& group, Group::Command& command) {
    session::Connection& connection = destination_->connection();
    const std::string_view all(group.buffer);
    const std::size_t head = command.begin + session::kTagBytes;
    command.sent_at = account_->environment.scheduler.now();
    command.ticket = connection.start_pieces("APPEND", false);
    auto agreed = co_await connection.write_piece(command.ticket,
                                                  all.substr(head, command.literal - head), true);
    if (agreed) {
        agreed = co_await connection.write_piece(
            command.ticket, all.substr(command.literal, command.end - command.literal), false);
    } else if (agreed.error().code == Code::refused) {
        agreed = Result<void>{};  // the settler reads the tagged answer
    }
    connection.end_pieces();
    command.written = true;
    connection.progress().notify_all();  // the settler may have seen the answer before us
    co_return agreed;
}

/// One large message, chunk by chunk as the source sends it: nothing of it is kept.
Task<Result<void>> Lane::send_stream(Group& group) {
    session::Connection& connection = destination_->connection();
    auto sent = co_await send_stream_pieces(group, connection);
    connection.end_pieces();
    co_return sent;
}

Task<Result<void>> Lane::send_stream_pieces(Group& group, session::Connection& connection) {
    Group::Command& command = group.commands.front();
    command.sent_at = account_->environment.scheduler.now();
    command.ticket = connection.start_pieces("APPEND", command.literal == 0);
    auto agreed =
        co_await connection.write_piece(command.ticket, group.buffer, command.literal != 0);
    if (!agreed) {
        if (agreed.error().code != Code::refused) co_return agreed;
        group.stream_refused = true;
        group.chunk_ready = false;
        wake();
        co_return Result<void>{};
    }
    bool last = false;
    while (!last) {
        while (!group.chunk_ready && !error_) co_await wake_.wait();
        if (error_) co_return std::unexpected(*error_);
        last = group.chunk_last;
        auto written = co_await connection.write_piece(command.ticket, group.chunk, false);
        group.chunk_ready = false;
        wake();
        if (!written) co_return written;
    }
    co_return co_await connection.write_piece(command.ticket, "\r\n", false);
}

// --- settling ----------------------------------------------------------------------------------

Task<void> Lane::settler() {
    while (true) {
        while (to_settle_.empty() && !appender_done_) co_await wake_.wait();
        if (to_settle_.empty()) break;
        const std::shared_ptr<Group> group = to_settle_.front();
        co_await settle_group(*group);
        to_settle_.pop_front();
        --group->job->groups_open;
        wake();
    }
}

Task<void> Lane::settle_group(Group& group) {
    bool freed = false;
    for (Group::Command& command : group.commands) {
        while (!command.ticket && !error_) co_await wake_.wait();
        if (!command.ticket) continue;  // never sent
        auto reply = co_await destination_->finish(command.ticket);
        while (!command.written) co_await destination_->connection().progress().wait();
        while (reply && !reply->ok() && co_await send_again(group, command, *reply)) {
            reply = co_await destination_->finish(command.ticket);
            while (!command.written) co_await destination_->connection().progress().wait();
        }
        if (!freed && &command == &group.commands.back()) {
            // Written: the buffer's room belongs to the source again.
            freed = true;
            buffered_ -= group.credit;
            give_buffer(group.buffer);
            wake();
        }
        if (!reply) {
            Error error = std::move(reply).error();
            // A literal that waits for consent was talked about at least.
            const bool met = error.outcome == Outcome::unknown || command.literal != 0;
            if (met && may_be_to_blame(error, command.items)) {
                for (std::size_t i = 0; i < command.items; ++i) {
                    const bool told =
                        note_loss(*group.job, group.items[command.first_item + i].uid, error);
                    learnt_ = learnt_ || (command.items == 1 && told);
                }
            }
            fail(std::move(error), Side::destination);
            continue;
        }
        if (reply->ok()) {
            receipt(group, command, *reply);
        } else {
            refused(group, command, *reply);
        }
    }
    if (!freed) {
        buffered_ -= group.credit;
        give_buffer(group.buffer);
    }
}

/// The destination asks for patience and the session goes on: what stands in the buffer is sent
/// once more after the delay, so that the source is not asked twice.
Task<bool> Lane::send_again(Group& group, Group::Command& command, const session::Reply& reply) {
    Error why = session::refusal(reply, destination_->connection().peer(), "take the message");
    // "Unavailable" may be said for another server behind it, which has stored the message.
    if (why.code != Code::throttled) co_return false;
    if (!asks_for_patience(why) || waiting_for_destination_.exhausted()) co_return false;
    if (stopped() || !destination_->connection().alive()) co_return false;
    // What was sent before the last wait ended has been answered for it: a whole pipeline may be.
    if (command.sent_at >= waited_until_) {
        co_await waiting_for_destination_.wait(std::move(why), Side::destination);
        waited_until_ = account_->environment.scheduler.now();
    }
    // A literal that waits for consent is a conversation of the appender's: again from the source.
    if (group.streamed || command.literal != 0) co_return false;
    if (stopped() || !destination_->connection().alive()) co_return false;
    const std::span<char> bytes(group.buffer.data() + command.begin, command.end - command.begin);
    command.written = false;
    group.job->out_of_order = true;  // what was sent behind it may have landed before it
    command.sent_at = account_->environment.scheduler.now();
    command.ticket =
        destination_->connection().start_prepared("APPEND", bytes, true, &command.written);
    co_return true;
}

void Lane::give_back(Job& job, const std::shared_ptr<Window>& window, std::size_t messages) {
    IMAPULT_ASSERT(window->unsettled >= messages);
    IMAPULT_ASSERT(job.unsettled >= messages);
    window->unsettled -= messages;
    job.unsettled -= messages;
    if (messages == 0 || window->unsettled > 0) return;
    dedup::Batch batch;
    batch.erase_intent(job.record.id, window->intent);
    account_->writer.commit(std::move(batch));
}

/// The tagged OK: receipts, and the intent goes with its last message, in one atomic batch.
void Lane::receipt(Group& group, const Group::Command& command, const session::Reply& reply) {
    Job& job = *group.job;
    dedup::Batch batch;
    std::vector<std::uint32_t> uids;
    if (reply.code == imap::ResponseCode::append_uid && !reply.numbers.empty() &&
        reply.numbers[0] == job.destination_uid_validity) {
        auto parsed = imap::UidSet::parse_ordered(reply.uid_set, command.items);
        if (parsed && parsed->size() == command.items) uids = std::move(*parsed);
    }
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < command.items; ++i) {
        const Group::Item& item = group.items[command.first_item + i];
        const Meta& meta = job.todo[item.meta];
        dedup::MessageRecord record;
        record.source_uid = item.uid;
        record.state =
            group.repairs != 0 ? dedup::MessageState::repaired : dedup::MessageState::copied;
        record.destination_uid = uids.empty() ? 0 : uids[i];
        record.size = item.size;
        record.digest = item.digest;
        record.base = job.flags.at(meta.flags);
        record.object = meta.object;
        if (group.care == Care::bare && record.base.system != 0 && record.destination_uid != 0) {
            // What APPEND does not take, STORE may.
            job.flag_changes.push_back(
                {item.uid, record.destination_uid, {record.base.system, {}}, {}, record.base});
            record.base = {};
        }
        batch.put_message(job.record.id, record);
        if (uids.empty()) job.unknown_uids.push_back(item.uid);
        job.highest_destination_uid = std::max(job.highest_destination_uid, record.destination_uid);
        bytes += item.size;
        --job.unsettled;
        if (!account_->options.trust) note_appended(job, group, item, record.destination_uid);
        if (--item.window->unsettled == 0) batch.erase_intent(job.record.id, item.window->intent);
        if (auto known = account_->refusals.find({job.record.id, item.uid});
            known != account_->refusals.end()) {
            batch.erase_refusal(account_->id, job.record.id, item.uid);
            account_->refusals.erase(known);
        }
        if (group.new_kind) {
            const Flags sent = allowed(job.flags.at(meta.flags), job.allowed, nullptr);
            for (const std::string_view word : words_of(sent)) {
                if (word.front() != '\\' && group.care < Care::no_keywords)
                    account_->proved_keywords.emplace(word);
            }
        }
        if (group.care >= Care::no_keywords) {
            for (const std::string_view word : words_of(job.flags.at(meta.flags))) {
                const bool stored_later = group.care == Care::bare && record.destination_uid != 0;
                if (word.front() != '\\' || (group.care == Care::bare && !stored_later))
                    job.dropped_flags.emplace(word);
            }
        }
        job.losses.erase(item.uid);
        job.turned_down.erase(item.uid);
    }
    if (const Budget* budget = account_->options.budget) {
        batch.put_spent(account_->id, budget->spent(account_->index));
    }
    account_->writer.commit(std::move(batch));
    waiting_for_destination_.progress();
    if (group.sent_at.count() > 0)
        account_->pace(Side::destination)
            .answered(account_->environment.scheduler.now() - group.sent_at);
    job.copied += command.items;
    settled_ += command.items;
    account_->summary.bytes.copied += bytes;
    report::Progress progress;
    progress.copied = command.items;
    progress.bytes_copied = bytes;
    account_->observer.progress(account_->index, progress);
}

/// NO or BAD: what is wrong with the account or the server ends the attempt; what is wrong with a
/// message is found by trying each of the group alone, with less and less.
void Lane::refused(Group& group, const Group::Command& command, const session::Reply& reply) {
    Job& job = *group.job;
    Error error = session::refusal(reply, destination_->connection().peer(), "take the message");
    // Servers that count refusals (Zimbra: five in a row) start again after any other command.
    if (error.retry != Retry::later && destination_->connection().alive())
        (void)destination_->start(imap::source::noop());
    if (error.code == Code::over_quota) {
        account_->give_up(error, Side::destination);
        fail(std::move(error), Side::destination);
        return;
    }
    const bool goes_on = error.code == Code::throttled && asks_for_patience(error) &&
                         destination_->connection().alive() &&
                         !waiting_for_destination_.exhausted();
    if (error.retry == Retry::later && !goes_on) {
        // The intent stays: the next attempt looks whether it has landed.
        if (may_be_to_blame(error, command.items)) {
            for (std::size_t i = 0; i < command.items; ++i)
                job.turned_down.insert(group.items[command.first_item + i].uid);
        }
        error.scope = Scope::connection;
        fail(std::move(error), Side::destination);
        return;
    }
    if (group.repairs != 0) {
        give_back(job, group.items.front().window, 1);
        (goes_on ? group.put_off : group.turned_down) = true;
        return;
    }
    for (std::size_t i = 0; i < command.items; ++i) {
        const Group::Item& item = group.items[command.first_item + i];
        give_back(job, item.window, 1);
        if (reply.condition == imap::Condition::bad && command.literal == 0) {
            // The connection is closed (protocol rule 4); next time alone.
            if (++job.losses[item.uid] == 1) learnt_ = true;
            continue;
        }
        if (goes_on) {  // the wait is over: send_again()
            job.turned_down.erase(item.uid);
            job.again.emplace_back(item.uid, std::max(group.care, Care::alone));
            continue;
        }
        job.turned_down.insert(item.uid);
        const Meta& meta = job.todo[item.meta];
        const Flags& flags = job.flags.at(meta.flags);
        const bool plain =
            flags.system == 0 && meta.date >= kPlainDateFirst && meta.date <= kPlainDateLast;
        // One NO may be an accident: without neighbours it goes once more, too.
        const Care tried = group.care;
        std::optional<Care> next;
        if (tried == Care::none && !(command.items == 1 && error.code == Code::too_big)) {
            next = Care::alone;
        } else if (error.code != Code::too_big) {
            if (tried == Care::alone && !flags.keywords.empty()) {
                next = Care::no_keywords;
            } else if (tried != Care::bare && !plain) {
                next = Care::bare;
            }
        }
        if (next) {
            job.again.emplace_back(item.uid, *next);
        } else {
            job.hopeless.emplace_back(item.uid, error);
        }
    }
    if (reply.condition == imap::Condition::bad && command.literal == 0) {
        // Nothing else may be in flight to tell of the end: the next attempt tries them alone.
        error.scope = Scope::connection;
        error.retry = Retry::now;
        ++literals_refused_;
        fail(std::move(error), Side::destination);
    }
}

}  // namespace imapult::replica
