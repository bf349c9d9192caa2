#include "engine/replica/context.h"

namespace imapult::replica {

void LedgerWriter::commit(dedup::Batch batch, std::function<void(bool)> done) {
    ++open_;
    ledger_->commit(std::move(batch), [this, done = std::move(done)](Result<void> result) {
        // On the committer's thread: only the hand-over happens here.
        scheduler_->post_remote([this, done, result = std::move(result)] {
            --open_;
            if (!result && !failure_) {
                failure_ = result.error();
                if (on_failure_) on_failure_(*failure_);
            }
            if (done) done(result.has_value());
            changed_.notify_all();
        });
    });
}

Task<Result<void>> LedgerWriter::drain() {
    while (open_ > 0) co_await changed_.wait();
    if (failure_) co_return std::unexpected(*failure_);
    co_return Result<void>{};
}

void Account::count_wire(Session& session) {
    const bool is_source = session.side() == Side::source;
    const session::Connection& connection = session.connection();
    report::ByteCounts& bytes = summary.bytes;
    (is_source ? bytes.source_in : bytes.destination_in) += connection.wire_bytes_in();
    (is_source ? bytes.source_out : bytes.destination_out) += connection.wire_bytes_out();
    report::RoundTrips& trips = summary.round_trips;
    (is_source ? trips.source : trips.destination) += connection.round_trips();
}

void Account::tell_refusal(const dedup::Refusal& refusal) {
    report::Refusal told;
    told.account = summary.account;
    told.mailbox = refusal.mailbox_name;
    told.uid = refusal.source_uid;
    told.message_id = refusal.message_id;
    told.subject = refusal.subject;
    told.date = refusal.date;
    told.size = refusal.size;
    told.reason = refusal.reason;
    observer.message_refused(index, told);
    summary.refusals.push_back(std::move(told));
}

void Account::forget_refusals(dedup::MailboxId mailbox, dedup::Batch& batch) {
    auto at = refusals.lower_bound({mailbox, 0});
    while (at != refusals.end() && at->first.first == mailbox) {
        batch.erase_refusal(id, mailbox, at->first.second);
        at = refusals.erase(at);
    }
}

}  // namespace imapult::replica
