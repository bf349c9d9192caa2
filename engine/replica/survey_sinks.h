#pragma once
// What listens while a mailbox is surveyed.

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "engine/replica/sinks.h"
#include "engine/session/connection.h"

namespace imapult::replica {

/// Everything that is said of one mailbox while it is looked at, but the answers of SEARCH: one
/// sink, so that nothing of it can be taken for another mailbox's.
class SurveySink final : public session::Sink {
  public:
    SurveySink(std::uint32_t base, std::uint32_t last, FlagTable& table,
               const std::vector<std::uint32_t>& again, const LabelView* labels)
        : fresh(base, last, table, labels),
          older(1, base > 1 ? base - 1 : 0, table, labels),
          named(1, UINT32_MAX, table, labels),
          base_(base),
          again_(&again) {}

    bool on_untagged(const imap::Event& event) override {
        if (const auto* fetch = std::get_if<imap::Fetch>(&event)) {
            if (!fetch->uid) return true;
            if (*fetch->uid >= base_) {
                fresh.on_untagged(event);
                return true;
            }
            older.on_untagged(event);
            if (std::binary_search(again_->begin(), again_->end(), *fetch->uid))
                named.on_untagged(event);
            return true;
        }
        if (const auto* gone = std::get_if<imap::Vanished>(&event)) {
            if (gone->earlier) note_vanished(*gone);
            return true;
        }
        if (const auto* count = std::get_if<imap::Exists>(&event)) {
            // Later ones are of messages that came meanwhile: for the next pass.
            if (!opened || !opened->done) exists = count->count;
            return true;
        }
        if (const auto* words = std::get_if<imap::MailboxFlags>(&event)) {
            keywords.clear();
            for (const std::string_view word : words->flags) {
                if (!word.empty() && word.front() != '\\') keywords.emplace(word);
            }
            return true;
        }
        if (std::holds_alternative<imap::Recent>(event) ||
            std::holds_alternative<imap::Expunge>(event)) {
            return true;
        }
        if (const auto* status = std::get_if<imap::Status>(&event)) return on_status(*status);
        return false;
    }

    session::Ticket opened;  ///< EXAMINE
    std::uint64_t exists = 0;
    std::optional<std::uint32_t> uid_validity;
    std::string mailbox_id;
    std::set<std::string, std::less<>> keywords;
    imap::UidSet vanished;
    bool vanished_broken = false;
    MetaSink fresh;
    FlagSink older;
    MetaSink named;  ///< of the UIDs given

  private:
    void note_vanished(const imap::Vanished& gone) {
        auto set = gone.ok ? imap::UidSet::parse(gone.uid_set)
                           : Result<imap::UidSet>(invalid("VANISHED without UIDs"));
        if (!set) {
            vanished_broken = true;
            return;
        }
        for (const auto& range : set->ranges()) vanished.add(range.first, range.last);
    }
    bool on_status(const imap::Status& status) {
        switch (status.code) {
            case imap::ResponseCode::uid_validity:
                if (!status.numbers.empty())
                    uid_validity = static_cast<std::uint32_t>(status.numbers[0]);
                return true;
            case imap::ResponseCode::mailbox_id:
                if (!status.words.empty()) mailbox_id = status.words.front();
                return true;
            case imap::ResponseCode::uid_next:
            case imap::ResponseCode::highest_modseq:
            case imap::ResponseCode::no_modseq:
            case imap::ResponseCode::permanent_flags:
            case imap::ResponseCode::unseen:
            case imap::ResponseCode::closed:
                return true;
            default:
                return false;
        }
    }

    std::uint32_t base_;
    const std::vector<std::uint32_t>* again_;
};

/// One UID SEARCH. Servers with ESEARCH name the command, the others answer in order.
class SearchSink final : public session::Sink {
  public:
    explicit SearchSink(SurveySink& others) : others_(&others) {}
    bool on_untagged(const imap::Event& event) override {
        const auto* found = std::get_if<imap::SearchData>(&event);
        if (found == nullptr) return others_->on_untagged(event);
        if (ticket && !found->tag.empty() && found->tag != ticket->tag) return false;
        for (const std::uint32_t uid : found->numbers) {
            if (uid != 0) uids.add(uid);
        }
        if (!found->all.empty()) {
            if (const auto set = imap::UidSet::parse(found->all)) {
                for (const auto& range : set->ranges()) uids.add(range.first, range.last);
            }
        }
        return true;
    }
    std::string key;
    session::Ticket ticket;
    imap::UidSet uids;

  private:
    SurveySink* others_;
};

}  // namespace imapult::replica
