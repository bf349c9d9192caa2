// Bodies: asked for in windows by bytes, always two outstanding, so that the source never idles.

#include <algorithm>
#include <bit>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/replica/body_sink.h"
#include "engine/replica/lane.h"
#include "engine/replica/readback.h"

namespace imapult::replica {
namespace {

constexpr std::size_t kWindowMessagesMax = 2048;
constexpr std::size_t kHeadBytesGuess = 256;
constexpr unsigned kPutOffMax = 3;       ///< times one message may be put off when asked for alone
constexpr unsigned kPutOffAloneMax = 8;  ///< … when nothing else was asked for
constexpr std::size_t kSmallestBuffer = 256 * limits::kKiB;  ///< of a group

constexpr std::size_t kSinglesMax = 8;  ///< missing ones of a window that are asked for one by one

Error temporary(Code code) {
    return Error{code, Scope::message, Retry::later, Outcome::not_done, {}, "not handed out yet"};
}

imap::FetchItems body_items() {
    imap::FetchItems items;
    items.body = imap::FetchItems::Body::whole;
    return items;
}

}  // namespace

// --- the sink ----------------------------------------------------------------------------------

bool BodySink::find_meta(std::uint32_t uid) {
    const auto place = std::lower_bound(window_->uids.begin(), window_->uids.end(), uid);
    if (place == window_->uids.end() || *place != uid) return false;
    window_index_ = static_cast<std::size_t>(place - window_->uids.begin());
    const auto meta = std::lower_bound(job_->todo.begin(), job_->todo.end(), uid,
                                       [](const Meta& m, std::uint32_t u) { return m.uid < u; });
    IMAPULT_ASSERT(meta != job_->todo.end() && meta->uid == uid);
    meta_index_ = static_cast<std::size_t>(meta - job_->todo.begin());
    return true;
}

bool BodySink::on_body_begin(const imap::BodyBegin& begin) {
    if (!begin.section.empty()) return false;
    std::uint32_t uid = 0;
    if (begin.uid) {
        uid = *begin.uid;
        if (!find_meta(uid)) return false;
    } else {
        // The UID comes behind the body: servers answer in order, and end_message() checks it.
        while (window_->next < window_->uids.size() && window_->arrived[window_->next])
            ++window_->next;
        if (window_->next >= window_->uids.size()) return false;
        uid = window_->uids[window_->next];
        find_meta(uid);
    }
    uid_ = uid;
    bytes_ = begin.bytes;
    const bool alone = window_->uids.size() == 1;
    if (window_->arrived[window_index_] || lane_->stopped()) {
        mode_ = Mode::discard;
    } else if (begin.bytes <= limits::kStoreAndForwardBytesMax) {
        begin_in_group(begin.bytes);
    } else if (begin.uid || alone) {
        begin_stream(begin.bytes);
    } else {
        mode_ = Mode::discard;  // whose it is will be known too late: asked for again, alone
    }
    return true;
}

imap::AppendItem BodySink::append_item(std::uint64_t bytes) {
    const Meta& meta = job_->todo[meta_index_];
    flags_ = allowed(job_->flags.at(meta.flags), job_->allowed, &job_->dropped_flags);
    if (care_ >= Care::no_keywords) flags_.keywords.clear();
    if (care_ >= Care::bare) flags_.system = 0;
    words_ = words_of(flags_);
    imap::AppendItem item;
    item.flags = words_;
    item.bytes = bytes;
    is_new_kind_ = care_ != Care::none;
    if (meta.has_date) {
        std::int64_t date = meta.date;
        const bool plain = date >= kPlainDateFirst && date <= kPlainDateLast;
        if (!plain && care_ >= Care::bare) date = std::clamp(date, kPlainDateFirst, kPlainDateLast);
        if (!plain) is_new_kind_ = true;
        item.internal_date = imap::DateTime{date, meta.zone};
    }
    for (const std::string_view word : words_) {
        if (word.front() != '\\' && !lane_->account_->proved_keywords.contains(word))
            is_new_kind_ = true;
    }
    if (bytes == 0) is_new_kind_ = true;  // refused by most: it must not take its neighbours along
    return item;
}

/// Octets of a group that begins here, by the sizes the source told.
std::size_t BodySink::expected() const {
    const std::size_t end = std::min(job_->todo.size(), meta_index_ + limits::kGroupMessagesMax);
    std::uint64_t sum = 0;
    for (std::size_t i = meta_index_; i < end; ++i) {
        const std::uint32_t size = job_->todo[i].size;
        if (size > limits::kStoreAndForwardBytesMax) break;  // ends the group
        sum += size + kHeadBytesGuess;
    }
    return static_cast<std::size_t>(std::min<std::uint64_t>(sum, limits::kGroupBytesMax));
}

void BodySink::begin_in_group(std::uint64_t bytes) {
    const imap::AppendItem item = append_item(bytes);
    auto& group = lane_->open_group_;
    const bool synchronised = is_new_kind_ || !lane_->non_synchronising(bytes);
    const bool full =
        group &&
        (group->job != job_ || group->items.size() >= limits::kGroupMessagesMax ||
         group->buffer.size() + bytes + kHeadBytesGuess > limits::kGroupBytesMax || synchronised);
    if (full) lane_->close_group();
    if (!group) {
        group = std::make_shared<Group>();
        group->job = job_;
        group->care = care_;
        group->new_kind = is_new_kind_;
        group->buffer = lane_->take_buffer(synchronised ? bytes + kHeadBytesGuess : expected());
    }
    group_ = group;
    std::string& out = group->buffer;
    item_begin_ = out.size();
    const bool joins = lane_->multiappend() && !group->commands.empty() && !synchronised;
    if (!joins) {
        Group::Command command;
        command.begin = out.size();
        command.first_item = group->items.size();
        out.append(session::kTagBytes, ' ');
        group->commands.push_back(std::move(command));
    }
    auto name = imap::encode_mailbox(job_->place.name);
    Result<void> head = name ? (joins ? imap::append_next(out, item, true)
                                      : imap::append_first(out, *name, item, !synchronised))
                             : Result<void>(std::unexpected(name.error()));
    IMAPULT_ASSERT(head);  // names and flags were checked when the mailbox was planned
    if (synchronised) group->commands.back().literal = out.size();
    body_begin_ = out.size();
    mode_ = Mode::group;
}

void BodySink::begin_stream(std::uint64_t bytes) {
    lane_->close_group();
    group_ = std::make_shared<Group>();
    group_->job = job_;
    group_->care = care_;
    group_->streamed = true;
    group_->stream_bytes = bytes;
    const imap::AppendItem item = append_item(bytes);
    group_->new_kind = is_new_kind_;
    Group::Command command;
    const bool synchronised = is_new_kind_ || !lane_->non_synchronising(bytes);
    auto name = imap::encode_mailbox(job_->place.name);
    IMAPULT_ASSERT(name && imap::append_first(group_->buffer, *name, item, !synchronised));
    if (synchronised) command.literal = group_->buffer.size();
    command.items = 1;
    command.end = group_->buffer.size();
    command.written = true;  // the head is copied when it is sent; chunks are waited for one by one
    group_->commands.push_back(std::move(command));
    group_->digest =
        std::make_unique<dedup::ContentDigest>(lane_->account_->ledger.digest_secret());
    group_->items.push_back({uid_, static_cast<std::uint32_t>(meta_index_), bytes, {}, window_, 0});
    ++job_->groups_open;
    lane_->to_send_.push_back(group_);
    lane_->wake();
    mode_ = Mode::stream;
}

void BodySink::on_body_chunk(const imap::BodyChunk& chunk) {
    if (RateLimiter* rate = lane_->account_->options.rate) {
        not_before_ =
            rate->reserve(chunk.bytes.size(), lane_->account_->environment.scheduler.now());
    }
    switch (mode_) {
        case Mode::group:
            group_->buffer.append(chunk.bytes);
            break;
        case Mode::stream:
            group_->digest->update(chunk.bytes);
            if (chunk.bytes.find('\0') != std::string_view::npos)
                group_->items.front().odd |= kOddNul;
            if (group_->stream_refused) break;
            group_->chunk = chunk.bytes;
            group_->chunk_last = chunk.last;
            group_->chunk_ready = true;
            lane_->wake();
            break;
        case Mode::none:
        case Mode::discard:
            break;
    }
}

bool BodySink::blocked() {
    if (lane_->error_) return false;
    if (mode_ == Mode::stream && group_ && group_->chunk_ready && !group_->stream_refused)
        return true;
    if (not_before_ > lane_->account_->environment.scheduler.now()) return true;
    // A body is taken whole: the check stands between bodies.
    return mode_ == Mode::none && buffer_is_full();
}

bool BodySink::buffer_is_full() const {
    std::size_t most = lane_->account_->options.lane_buffered_bytes_max;
    if (most == 0) most = limits::kLaneBufferedBytesMax;
    return lane_->buffered_ > most;
}

Task<void> BodySink::wait() {
    co_await lane_->wake_.wait(
        not_before_ > lane_->account_->environment.scheduler.now() ? not_before_ : Nanos::max());
}

bool BodySink::on_untagged(const imap::Event& event) {
    const auto* fetch = std::get_if<imap::Fetch>(&event);
    if (fetch == nullptr) return false;
    if (fetch->body == imap::Fetch::Body::streamed && mode_ != Mode::none) {
        end_message(*fetch);
        return true;
    }
    // No body: unsolicited flags, or "I have nothing for this one" (asked for again, alone).
    return fetch->uid &&
           std::binary_search(window_->uids.begin(), window_->uids.end(), *fetch->uid);
}

/// The message that is coming in leaves its group again.
void BodySink::take_out(Group& group) {
    group.buffer.resize(item_begin_);
    if (!group.commands.empty() && group.commands.back().begin >= item_begin_) {
        group.commands.pop_back();
    }
    if (group.items.empty()) lane_->open_group_.reset();
}

/// What a server hands out in the place of a message: Exchange where it cannot convert one, mbox
/// drivers for what they note down themselves.
bool BodySink::is_stand_in(std::string_view body) const {
    constexpr std::size_t kStandInBytesMax = 4'096;
    if (body.size() > kStandInBytesMax) return false;
    const std::string_view header = body.substr(0, body.find("\r\n\r\n"));
    const auto name = lane_->account_->source.id.find("name");
    const bool exchange =
        name != lane_->account_->source.id.end() && to_lower(name->second).contains("exchange");
    internal_data_ = header.contains("FOLDER INTERNAL DATA") && header.contains("\nX-IMAP");
    return internal_data_ || (exchange && header.contains("Microsoft Exchange Server") &&
                              header.contains("Retrieval using the IMAP4 protocol failed"));
}

void BodySink::stand_in(Group& group) {
    take_out(group);
    window_->arrived[window_index_] = true;
    if (internal_data_) {
        dedup::MessageRecord record;
        record.source_uid = uid_;
        record.state = dedup::MessageState::represented;
        dedup::Batch batch;
        batch.put_message(job_->record.id, record);
        lane_->account_->writer.commit(std::move(batch));
        lane_->account_->notice(printable(job_->display), report::NoticeKind::other,
                                "one message is the server's own (FOLDER INTERNAL DATA) and was "
                                "left out");
    } else {
        job_->hopeless.emplace_back(
            uid_, Error{Code::unavailable,
                        Scope::message,
                        Retry::later,
                        Outcome::not_done,
                        {},
                        "the source hands out a text of its own instead of this message (it says "
                        "that the retrieval failed)"});
    }
    lane_->give_back(*job_, window_, 1);
}

void BodySink::end_message(const imap::Fetch& fetch) {
    const Mode mode = std::exchange(mode_, Mode::none);
    const std::shared_ptr<Group> group = std::exchange(group_, nullptr);
    const bool right = !fetch.uid || *fetch.uid == uid_;
    if (mode == Mode::group) {
        if (is_stand_in(std::string_view(group->buffer).substr(body_begin_))) {
            stand_in(*group);
            return;
        }
        if (!right) {
            // Another message than its place said: taken out again and asked for alone.
            take_out(*group);
            return;
        }
        Group::Command& command = group->commands.back();
        const std::string_view body = std::string_view(group->buffer).substr(body_begin_);
        group->items.push_back(
            {uid_, static_cast<std::uint32_t>(meta_index_), bytes_,
             dedup::ContentDigest::of(body, lane_->account_->ledger.digest_secret()), window_,
             oddities_of(body)});
        ++command.items;
        if (!lane_->multiappend() || command.literal != 0) {
            group->buffer += "\r\n";
            command.end = group->buffer.size();
        }
        window_->arrived[window_index_] = true;
        lane_->buffered_ += bytes_;
        group->credit += bytes_;
        // A full buffer is emptied by sending: with an open group it would stay full for ever.
        if (command.literal != 0 || group->items.size() >= limits::kGroupMessagesMax ||
            group->buffer.size() >= limits::kGroupBytesMax || buffer_is_full()) {
            lane_->close_group();
        }
        return;
    }
    if (mode == Mode::stream) {
        IMAPULT_ASSERT(right || fetch.uid);
        group->items.front().digest = group->digest->finish();
        window_->arrived[window_index_] = true;
    }
}

// --- the pump's side ----------------------------------------------------------------------------

std::string Lane::take_buffer(std::size_t bytes) {
    // Few sizes, so that what one group leaves fits another; the closest first.
    bytes = std::bit_ceil(std::max(bytes, kSmallestBuffer));
    auto best = spare_buffers_.end();
    for (auto at = spare_buffers_.begin(); at != spare_buffers_.end(); ++at) {
        const bool fits = at->capacity() >= bytes;
        if (fits && (best == spare_buffers_.end() || at->capacity() <= best->capacity())) best = at;
    }
    std::string buffer;
    if (best != spare_buffers_.end()) {
        buffer = std::move(*best);
        spare_buffers_.erase(best);
        spare_bytes_ -= buffer.capacity();
    } else {
        buffer.reserve(bytes);
    }
    return buffer;
}

void Lane::give_buffer(std::string& buffer) {
    std::string done = std::exchange(buffer, std::string());
    if (done.capacity() < kSmallestBuffer) return;
    done.clear();
    spare_bytes_ += done.capacity();
    spare_buffers_.push_back(std::move(done));
    while (spare_bytes_ > limits::kLaneBufferedBytesMax) {
        spare_bytes_ -= spare_buffers_.front().capacity();
        spare_buffers_.erase(spare_buffers_.begin());
    }
}

void Lane::close_group_of(const Job& job) {
    if (open_group_ && open_group_->job.get() == &job) close_group();
}

void Lane::close_group() {
    if (!open_group_) return;
    const std::shared_ptr<Group> group = std::exchange(open_group_, nullptr);
    if (group->items.empty()) return;
    if (group->commands.back().end == 0) {
        group->buffer += "\r\n";
        group->commands.back().end = group->buffer.size();
    }
    ++group->job->groups_open;
    to_send_.push_back(group);
    wake();
}

Task<void> Lane::ask_window(std::shared_ptr<Job> job, std::vector<std::uint32_t> uids, Care care,
                            unsigned tries, std::optional<std::uint64_t> answered_before) {
    auto window = std::make_shared<Window>();
    window->tries = tries;
    window->answered_before = answered_before.value_or(windows_answered_);
    window->uids = std::move(uids);
    window->arrived.assign(window->uids.size(), false);
    window->unsettled = window->uids.size();
    job->unsettled += window->unsettled;
    window->intent = account_->ledger.new_intent_sequence();
    dedup::Intent intent;
    intent.mailbox = job->record.id;
    intent.sequence = window->intent;
    intent.destination_uid_validity = job->destination_uid_validity;
    intent.floor = std::max(job->destination_uid_next, job->highest_destination_uid + 1);
    for (const std::uint32_t uid : window->uids) {
        dedup::Intent::Item& item = intent.items.emplace_back();
        item.source_uid = uid;
        const auto meta = std::lower_bound(job->todo.begin(), job->todo.end(), uid, ByUid{});
        if (meta == job->todo.end() || meta->uid != uid) continue;
        item.size = meta->size;
        item.flags = job->flags.at(meta->flags);
        if (meta->has_date) item.date = meta->date;
    }
    dedup::Batch batch;
    batch.put_intent(intent);
    account_->writer.commit(std::move(batch), [this, window](bool ok) {
        window->durable = ok;  // without its intent nothing of it is sent
        wake();
    });

    co_await window_slots_.take(1);
    co_await account_->quiet(Side::source);
    imap::UidSet set;
    for (const std::uint32_t uid : window->uids) set.add(uid);
    auto command = imap::source::uid_fetch(set, body_items(), std::nullopt, source_->encoding());
    if (!command || stopped()) {
        if (!command) fail(std::move(command).error(), Side::source);
        window_slots_.give(1);
        co_return;
    }
    ++job->windows_open;
    auto sink = std::make_shared<BodySink>(*this, job, window, care);
    session::Ticket ticket = source_->start(std::move(*command), sink.get());
    helpers_.spawn(watch_window(job, window, sink, ticket));
}

/// Waits for the end of a window's FETCH and notes what did not come.
Task<void> Lane::watch_window(std::shared_ptr<Job> job, std::shared_ptr<Window> window,
                              std::shared_ptr<session::Sink> sink, session::Ticket ticket) {
    const Nanos asked = account_->environment.scheduler.now();
    auto reply = co_await source_->finish(ticket);
    sink.reset();  // it listened until here
    --job->windows_open;
    bool put_off = false;
    if (!reply) {
        if (!error_ && reply.error().code == Code::connection_lost) note_cut(*job, *window);
        fail(std::move(reply).error(), Side::source);
    } else {
        if (!reply->ok()) {
            Error error =
                session::refusal(*reply, source_->connection().peer(), "hand out messages");
            account_->log(report::LogLevel::warning, error.text);
            if (asks_for_patience(error) && source_->connection().alive() &&
                !waiting_for_source_.exhausted()) {
                put_off = true;
                postpone(*job, *window, error);
                waiting_for_source_.put_off(error, Side::source);
            } else if (error.retry == Retry::later) {
                error.scope = Scope::connection;
                fail(std::move(error), Side::source);
            }
        } else {
            waiting_for_source_.progress();
            ++windows_answered_;
            account_->pace(Side::source).answered(account_->environment.scheduler.now() - asked);
            put_off = reply->code == imap::ResponseCode::message_limit;
            // Where not even one has come, less is asked for.
            const bool none = std::ranges::none_of(window->arrived, std::identity());
            if (put_off)
                postpone(*job, *window, temporary(none ? Code::unavailable : Code::throttled));
        }
        std::size_t absent = 0;
        const auto come = std::ranges::count(window->arrived, true);
        if (!put_off && !error_ &&
            window->arrived.size() - static_cast<std::size_t>(come) > kSinglesMax) {
            // Not one message that cannot be had, but a server that answers a part: halves.
            put_off = true;
            postpone(*job, *window, temporary(Code::unavailable));
        }
        for (std::size_t i = 0; i < window->uids.size(); ++i) {
            if (window->arrived[i]) continue;
            if (!put_off) job->missing.push_back(window->uids[i]);
            ++absent;
        }
        give_back(*job, window, absent);
        if (job->windows_open == 0 && job->all_asked) close_group_of(*job);
    }
    window_slots_.give(1);  // only now: the next one waits for what was asked for here
    wake();
}

/// The connection ended while this was being sent: a message where that happens twice goes alone.
void Lane::note_cut(Job& job, const Window& window) {
    const auto next = std::ranges::find(window.arrived, false);
    if (next == window.arrived.end()) return;
    const std::uint32_t uid = window.uids[static_cast<std::size_t>(next - window.arrived.begin())];
    const unsigned cuts = ++job.cuts[uid];
    if (cuts >= 2) job.losses[uid] = std::max(job.losses[uid], cuts);
}

/// What a window that the source refused for now still owes. Where one bad message may be the
/// reason (no word of throttling), halves of it are asked for, down to that message alone.
void Lane::postpone(Job& job, const Window& window, const Error& why) {
    Job::Postponed rest{{}, window.tries + 1, window.answered_before};
    for (std::size_t i = 0; i < window.uids.size(); ++i) {
        if (!window.arrived[i]) rest.uids.push_back(window.uids[i]);
    }
    if (rest.uids.empty()) return;
    if (rest.uids.size() < window.uids.size()) {
        rest.tries = 0;
        rest.answered_before = windows_answered_;
    }
    // A few times, and more where the server has answered nothing else meanwhile.
    const unsigned tries_max =
        windows_answered_ > window.answered_before ? kPutOffMax : kPutOffAloneMax;
    if (rest.uids.size() == 1 && rest.tries > tries_max && why.code != Code::throttled) {
        Error error = why;
        error.scope = Scope::message;
        job.hopeless.emplace_back(rest.uids.front(), std::move(error));
        return;
    }
    if (why.code == Code::throttled || rest.uids.size() == 1) {
        job.postponed.push_back(std::move(rest));
        return;
    }
    const auto middle = rest.uids.begin() + static_cast<std::ptrdiff_t>(rest.uids.size() / 2);
    job.postponed.push_back({{rest.uids.begin(), middle}, 0, windows_answered_});
    job.postponed.push_back({{middle, rest.uids.end()}, 0, windows_answered_});
}

Task<void> Lane::retry_postponed(std::shared_ptr<Job> job) {
    while (!job->postponed.empty() && !stopped()) {
        Job::Postponed next = std::move(job->postponed.front());
        job->postponed.pop_front();
        job->all_asked = true;
        co_await ask_window(job, std::move(next.uids), Care::none, next.tries,
                            next.answered_before);
        while (job->windows_open > 0 && !error_) co_await wake_.wait();
    }
    while ((job->windows_open > 0 || job->groups_open > 0) && !error_) co_await wake_.wait();
}

Task<void> Lane::fetch(std::shared_ptr<Job> job) {
    job->all_asked = false;
    const session::Pace& pace = account_->pace(Side::source);
    std::size_t i = 0, next_move = 0;
    const auto is_move = [&] {
        return next_move < job->moves.size() && i < job->todo.size() &&
               job->moves[next_move].meta.uid == job->todo[i].uid;
    };
    while (i < job->todo.size() && !stopped() && !job->cut_short) {
        for (; is_move(); ++i) ++next_move;
        if (job->moves_carried < next_move) {
            const std::uint32_t next = i < job->todo.size() ? job->todo[i].uid : UINT32_MAX;
            auto carried = co_await carry_before(job, next);
            if (!carried) co_return fail(std::move(carried).error(), Side::destination);
            continue;
        }
        std::vector<std::uint32_t> uids;
        std::uint64_t bytes = 0;
        const std::uint64_t bytes_max = pace.window_bytes();
        const std::size_t messages_max =
            std::min({kWindowMessagesMax, pace.window_messages(), source_->messages_per_command()});
        std::size_t text_bytes = 0;  // of the set, at worst
        while (i < job->todo.size() && uids.size() < messages_max) {
            if (is_move()) break;
            const Meta& meta = job->todo[i];
            const bool large = meta.size > limits::kStoreAndForwardBytesMax;
            if (!uids.empty() && (large || bytes + meta.size > bytes_max)) break;
            const bool run = !uids.empty() && uids.back() + 1 == meta.uid;
            text_bytes += run ? 0 : 22;
            if (text_bytes > source_->set_bytes_max()) break;
            Budget* budget = account_->options.budget;
            if (budget != nullptr && !budget->take(account_->index, meta.size)) {
                account_->over_budget = job->cut_short = true;
                break;
            }
            if (job->losses.contains(meta.uid)) {
                job->again.emplace_back(meta.uid, Care::alone);
                ++i;
                continue;
            }
            uids.push_back(meta.uid);
            bytes += meta.size;
            ++i;
            if (large) break;
        }
        if (uids.empty() && job->cut_short) break;
        if (uids.empty()) continue;
        if (i == job->todo.size() || job->cut_short) job->all_asked = true;
        co_await ask_window(job, std::move(uids), Care::none);
    }
    job->all_asked = true;
    if (job->windows_open == 0) close_group_of(*job);
}

/// Messages that did not come, or that were refused with others: one by one, and at the destination
/// with the literal only after its consent, then without keywords, then without any flag.
Task<void> Lane::retry(std::shared_ptr<Job> job) {
    SelectSink sink;
    auto examine = imap::source::examine(job->source_name, {}, source_->encoding());
    if (!examine) co_return fail(std::move(examine).error(), Side::source);
    co_await account_->quiet(Side::source);
    auto selected = co_await source_->execute(std::move(*examine), &sink);
    if (!selected) co_return fail(std::move(selected).error(), Side::source);
    if (!selected->ok()) {
        Error error = session::refusal(*selected, source_->connection().peer(),
                                       "open the mailbox " + printable(job->display));
        if (may_wait(*job, error, waiting_for_source_)) {
            co_await waiting_for_source_.wait(std::move(error), Side::source);
            co_return co_await retry(job);
        }
        error.scope = Scope::connection;  // everything is open still: from the beginning
        error.retry = Retry::later;
        co_return fail(std::move(error), Side::source);
    }
    if (sink.uid_validity && *sink.uid_validity != job->uid_validity) {
        co_return fail(
            Error{Code::connection_lost,
                  Scope::connection,
                  Retry::later,
                  Outcome::not_done,
                  {},
                  printable(job->display) +
                      ": the mailbox was replaced (UIDVALIDITY) while it was being read"},
            Side::source);
    }
    waiting_for_source_.progress();
    while (!stopped()) {
        co_await retry_postponed(job);
        for (const std::uint32_t uid : std::exchange(job->missing, {}))
            job->again.emplace_back(uid, Care::alone);
        if (stopped() || job->again.empty()) break;
        std::sort(job->again.begin(), job->again.end());
        const auto [uid, care] = job->again.front();
        job->again.erase(job->again.begin());
        co_await retry_one(job, uid, care);
        // At once: a server may end the connection for too many refusals.
        if (!stopped() && !job->hopeless.empty()) co_await repair(job);
        if (!stopped()) co_await quarantine(job);
    }
    if (!stopped() && !job->suspects.empty()) co_await examine_suspects(job);
    if (!stopped() && !job->hopeless.empty()) co_await repair(job);
    if (!stopped()) co_await quarantine(job);
}

Task<void> Lane::retry_one(std::shared_ptr<Job> job, std::uint32_t uid, Care care) {
    if (const auto lost = job->losses.find(uid);
        lost != job->losses.end() && lost->second >= kLossesMax) {
        job->hopeless.emplace_back(uid, Error{Code::connection_lost,
                                              Scope::message,
                                              Retry::never,
                                              Outcome::unknown,
                                              {},
                                              std::string(kConnectionEnded)});
        ++settled_;  // the others go on
        co_return;
    }
    std::vector<std::uint32_t> uids{uid};
    job->all_asked = true;
    co_await ask_window(job, std::move(uids), care);
    while ((job->windows_open > 0 || job->groups_open > 0) && !error_) co_await wake_.wait();
    if (error_ || job->missing.empty()) co_return;
    // Not even alone: gone meanwhile, or the source cannot hand it out.
    job->missing.clear();
    imap::FetchItems items;
    items.flags = true;
    FlagSink flags(uid, uid, job->flags);
    auto command =
        imap::source::uid_fetch(imap::UidSet(uid, uid), items, std::nullopt, source_->encoding());
    if (!command) co_return fail(std::move(command).error(), Side::source);
    auto reply = co_await source_->execute(std::move(*command), &flags);
    if (!reply) co_return fail(std::move(reply).error(), Side::source);
    if (!reply->ok()) {
        // Nobody knows whether it is still there.
        Error error = session::refusal(*reply, source_->connection().peer(), "hand out a message");
        if (!may_wait(*job, error, waiting_for_source_)) {
            error.scope = Scope::message;
            job->hopeless.emplace_back(uid, std::move(error));
            co_return;
        }
        co_await waiting_for_source_.wait(std::move(error), Side::source);
        job->again.emplace_back(uid, care);
        co_return;
    }
    const bool counted = std::ranges::binary_search(job->unlisted, uid);
    if (flags.take().empty() && !counted) {
        ++job->vanished;
        co_return;
    }
    job->hopeless.emplace_back(
        uid, Error{Code::unavailable,
                   Scope::message,
                   Retry::later,
                   Outcome::not_done,
                   {},
                   source_->connection().peer() + " lists this message but does not hand it out"});
}

/// Carbonio and Zimbra refuse without saying that the quota is the reason.
Task<bool> Lane::destination_is_full(std::uint64_t bytes) {
    if (!destination_->capabilities().has("QUOTA")) co_return false;
    QuotaSink sink;
    auto command = imap::source::get_quota_root("INBOX", destination_->encoding());
    if (!command) co_return false;
    auto reply = co_await destination_->execute(std::move(*command), &sink);
    co_return reply && reply->ok() && sink.limit_bytes > 0 &&
        sink.used_bytes + bytes > sink.limit_bytes;
}

/// Without what only the message's header tells.
dedup::Refusal Lane::refusal_of(const Job& job, std::uint32_t uid, const Error& error) const {
    dedup::Refusal refusal;
    refusal.mailbox = job.record.id;
    refusal.source_uid = uid;
    refusal.mailbox_name = printable(job.display);
    refusal.reason = error.text;
    refusal.first_seen = account_->environment.scheduler.clock().unix_seconds();
    const auto meta = std::lower_bound(job.todo.begin(), job.todo.end(), uid, ByUid{});
    if (meta != job.todo.end() && meta->uid == uid) {
        refusal.date = meta->date;
        refusal.size = meta->size;
    }
    return refusal;
}

/// Lists the messages that cannot go, with what a person needs to find them. The source has the
/// mailbox open.
Task<void> Lane::quarantine(std::shared_ptr<Job> job) {
    for (const auto& [uid, error] : std::exchange(job->hopeless, {})) {
        if (stopped()) co_return;
        dedup::Refusal refusal = refusal_of(*job, uid, error);
        if (error.code != Code::connection_lost && job->losses.contains(uid))
            refusal.reason += "; the connection ended with it";
        if (error.code == Code::refused && co_await destination_is_full(refusal.size)) {
            Error full = error;
            full.code = Code::over_quota;
            full.scope = Scope::account;
            full.text +=
                ": the account is over quota at the destination; give it more room and run again";
            account_->give_up(full, Side::destination);
            co_return;
        }
        imap::FetchItems items;
        items.body = imap::FetchItems::Body::header;
        HeaderTextSink sink;
        auto command = imap::source::uid_fetch(imap::UidSet(uid, uid), items, std::nullopt,
                                               source_->encoding());
        if (command) {
            auto reply = co_await source_->execute(std::move(*command), &sink);
            if (!reply) co_return fail(std::move(reply).error(), Side::source);
            const dedup::HeaderSummary summary = dedup::summarise_header(sink.header);
            refusal.message_id = summary.message_id;
            refusal.subject = summary.subject;
        }
        const auto key = std::pair(job->record.id, uid);
        if (const auto before = account_->refusals.find(key); before != account_->refusals.end()) {
            refusal.first_seen = before->second.first_seen;
            refusal.tries = before->second.tries + 1;
        }
        dedup::Batch batch;
        batch.put_refusal(account_->id, refusal);
        account_->writer.commit(std::move(batch));
        account_->refusals[key] = refusal;
        account_->tell_refusal(refusal);
        ++job->refused;
        job->refused_now.insert(uid);
        job->turned_down.erase(uid);
        ++settled_;
    }
}

}  // namespace imapult::replica
