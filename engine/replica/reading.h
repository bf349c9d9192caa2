#pragma once
// Reading many messages of the selected mailbox for comparison. Rising UIDs; UIDs that are not
// there are left out.

#include <functional>
#include <string_view>
#include <vector>

#include "engine/replica/context.h"
#include "engine/replica/sinks.h"
#include "engine/session/session.h"

namespace imapult::replica {

/// What is read of a header: all, with size and flags, or only what names the message.
enum class HeaderPart : std::uint8_t { whole, message_id_and_date };

/// Everything that can be had, into `sink`. What a refused command left out (`arrived` says no) is
/// asked for in halves, down to the messages that nobody can read.
Task<Result<void>> read_all(Session& session, const imap::FetchItems& items, session::Sink& sink,
                            std::vector<std::uint32_t> uids,
                            std::function<bool(std::uint32_t)> arrived);

/// What UID SEARCH finds: in one answer or in several, listed or as a set (RFC 9051 §7.3.4).
class UidsFound final : public session::Sink {
  public:
    bool on_untagged(const imap::Event& event) override;
    imap::UidSet take();

  private:
    std::vector<std::uint32_t> numbers_;
    std::vector<imap::UidSet::Range> ranges_;
};

/// Sorted by UID.
Task<Result<std::vector<HeaderSink::Entry>>> read_headers(Session& session,
                                                          std::vector<std::uint32_t> uids,
                                                          FlagTable& flags,
                                                          HeaderPart part = HeaderPart::whole);

/// Digests of whole messages, which are streamed and not kept.
Task<Result<std::vector<DigestSink::Entry>>> read_digests(Session& session,
                                                          std::vector<std::uint32_t> uids,
                                                          std::string_view secret);

/// What headers cannot tell apart (dedup::match_headers), by the contents: the messages of all
/// groups are read in one go from each side.
Task<Result<std::vector<dedup::Pair>>> pair_contents(Account& account, Session& source,
                                                     Session& destination,
                                                     const std::vector<dedup::Group>& undecided,
                                                     bool recovering);

}  // namespace imapult::replica
