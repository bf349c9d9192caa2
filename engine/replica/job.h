#pragma once
// One mailbox to be brought in step, and the groups of messages it is cut into.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dedup/identity.h"
#include "dedup/ledger.h"
#include "engine/replica/context.h"
#include "engine/replica/flags.h"
#include "engine/replica/labels.h"
#include "engine/replica/names.h"
#include "imap/uid_set.h"

namespace imapult::replica {

/// A message as planning sees it: 32 octets.
struct Meta {
    std::uint32_t uid = 0;
    std::uint32_t flags = 0;  ///< index into Job::flags
    std::int64_t date = 0;    ///< INTERNALDATE, unix seconds
    std::uint32_t size = 0;   ///< RFC822.SIZE, capped; an estimate on some servers
    std::int16_t zone = 0;    ///< minutes east of UTC
    bool has_date = false;
    bool elsewhere = false;    ///< Gmail: another mailbox goes before this one (labels.h)
    std::uint64_t object = 0;  ///< of EMAILID or X-GM-MSGID (dedup::object_of); 0: not told
};
static_assert(sizeof(Meta) <= 32);

/// Messages asked for by one UID FETCH, and covered by one intent.
struct Window {
    std::uint64_t intent = 0;           ///< sequence in the ledger
    bool durable = false;               ///< the intent is: its messages may be sent
    std::vector<std::uint32_t> uids;    ///< rising
    std::vector<bool> arrived;          ///< beside uids: fetched
    std::size_t next = 0;               ///< first of uids that has not arrived
    unsigned tries = 0;                 ///< how often the source has put it off
    std::uint64_t answered_before = 0;  ///< windows answered when it was put off first
    std::size_t unsettled = 0;  ///< not yet receipted, refused or given back; 0 erases the intent
};

/// What became of trying to append a message.
enum class Care : std::uint8_t {
    none,         ///< in a group
    alone,        ///< on its own, literal only after the server agreed
    no_keywords,  ///< … without keywords
    bare,         ///< … without flags, date within what every server takes
};

/// For searching what is sorted by UID.
struct ByUid {
    bool operator()(const Meta& meta, std::uint32_t uid) const { return meta.uid < uid; }
    bool operator()(std::uint32_t uid, const Meta& meta) const { return uid < meta.uid; }
};

/// The flags of a message as the source has them now.
struct FlagsSeen {
    std::uint32_t uid, flags;  ///< flags: index into Job::flags
};

/// What has changed in a mailbox since its checkpoint (survey.cc).
struct Survey {
    bool done = false;
    std::vector<Meta> fresh;         ///< not settled by an earlier pass, in rising UID
    std::vector<FlagsSeen> changed;  ///< settled ones whose flags may have changed
    /// Copied by earlier passes, and found gone by this one.
    std::vector<dedup::MessageRecord> gone;
    /// The source's counts did not agree: nothing counts as gone, and the next pass looks again.
    bool unsure = false;
};

/// A message that is new in its mailbox at the source, and known from another one (moves.cc).
struct Move {
    Meta meta;
    std::shared_ptr<Leaver> leaver;
    bool stays = false;    ///< Gmail: where it was it is still, this is another label of it
    bool demotes = false;  ///< … of a better rank: where it was it is only represented from now on
};

/// A message that the destination said OK to, until it has been read back (readback.cc).
struct Appended {
    std::uint32_t source_uid = 0;
    std::uint32_t destination_uid = 0;  ///< 0: not told
    std::uint32_t size = 0;             ///< octets sent, capped
    std::uint32_t size_there = 0;
    std::uint32_t flags = 0;  ///< as sent: index into Job::sent_flags
    std::uint8_t odd = 0;     ///< what servers like to change in it (readback.h)
    bool told = false;        ///< its UID, by APPENDUID
    bool earlier = false;     ///< by an attempt that ended before it was read back
    std::uint32_t place = 0;  ///< if not told: among those beyond the old UIDNEXT (Job::placed)
    bool seen = false;        ///< the destination has it
};

/// A message that may have landed, from `floor` on, and is gone at the source.
struct Unheard {
    dedup::Intent::Item item;
    std::uint32_t floor = 0;
};

/// Puts those of `unlisted` that are not in `fresh` there without metadata, each asked for alone
/// (fetch.cc); `unlisted` keeps them.
void add_blind(std::vector<Meta>& fresh, std::vector<std::uint32_t>& unlisted, FlagTable& flags);

/// UIDs of a mailbox that a server may count or find without listing them; more are not believed.
inline constexpr std::uint64_t kUidsBelievedMax = 4'000'000;
/// Connections that may end while one message is in flight; then the message is given up.
inline constexpr unsigned kLossesMax = 5;
inline constexpr std::string_view kConnectionEnded =
    "the connection ended each time this message was sent";

/// A copy that was made or adopted before the source's mailbox was made anew. Flags: indices into
/// Job::flags.
struct Before {
    std::uint32_t destination_uid = 0;
    std::uint32_t base = 0;
    std::optional<std::uint32_t> storing;
    bool ours = false;  ///< dedup::is_ours
};

/// A message of the destination that the ledger does not know (repair_append.cc).
struct Stranger {
    dedup::Candidate candidate;
    std::uint32_t flags = 0;  ///< of Job::flags
};

struct Job {
    /// Of its messages, those that are at the destination whatever becomes of this pass.
    [[nodiscard]] std::uint64_t there_before() const {
        return record.complete ? std::min(record.source_messages, messages) : 0;
    }
    Place place;
    std::string display;      ///< the source's decoded name
    std::string source_name;  ///< wire
    dedup::MailboxRecord record;
    bool record_is_new = false;
    /// Before the source's mailbox was made anew: what we copied then is ours when it is found
    /// again, and its flags are compared with those that were carried over then.
    std::optional<dedup::MailboxId> predecessor;
    std::vector<Before> before;     ///< in rising destination UID
    std::uint64_t left_behind = 0;  ///< of these ours, copies of nothing that is there now
    // Gmail (labels.h).
    std::optional<LabelView> labels;
    std::vector<std::uint32_t> promote;   ///< source UIDs, represented by what is gone
    std::vector<std::uint32_t> promoted;  ///< rising; of these, those at home here now
    std::set<unsigned> homes;             ///< ranks of the mailboxes that go before this one
    std::vector<std::uint64_t> put_off;   ///< objects left to the last round
    std::uint64_t labelled = 0, represented = 0;

    bool orphan = false;  ///< the mailbox is gone at the source; there is no place for it

    // The source as listed: what the checkpoint will say.
    std::uint32_t uid_validity = 0, uid_next = 0, messages = 0;
    std::uint64_t highest_modseq = 0;
    // The destination as listed (or as CREATE left it).
    std::uint32_t destination_uid_validity = 0, destination_uid_next = 1, destination_messages = 0;
    bool destination_told = true;  ///< these three are known
    bool copies_checked = false;   ///< those of earlier passes stand there (whose_copies.cc)

    FlagTable flags;
    Survey survey;  ///< of a mailbox with a checkpoint; stays for all attempts

    // This attempt's plan.
    std::vector<Meta> todo;  ///< to be copied, in rising UID
    AllowedFlags allowed;
    struct FlagChange {
        std::uint32_t source_uid, destination_uid;
        Flags add, remove, base;
    };
    std::vector<FlagChange> flag_changes;
    std::vector<Move> moves;        ///< of todo, in rising UID: carried over, not fetched
    std::size_t moves_carried = 0;  ///< of these, in their order
    std::vector<dedup::Intent> old_intents;
    std::vector<Unheard> unheard;              ///< of these: gone at the source
    std::vector<dedup::MessageRecord> strays;  ///< that did land (strays.cc)
    std::vector<std::uint32_t> missing;        ///< asked for and not sent by the source
    /// Put off by the source (throttling, a temporary NO): asked for again in smaller and smaller
    /// windows.
    struct Postponed {
        std::vector<std::uint32_t> uids;
        unsigned tries = 0;
        std::uint64_t answered_before = 0;  ///< Window::answered_before
    };
    std::deque<Postponed> postponed;
    std::vector<std::pair<std::uint32_t, Care>> again;  ///< refused in a group: to be tried alone
    std::vector<std::pair<std::uint32_t, Error>>
        hopeless;                                    ///< refused alone and bare: to be listed
    std::vector<std::uint32_t> unknown_uids;         ///< copied, destination UID not told
    std::optional<std::vector<Stranger>> strangers;  ///< once looked for
    std::set<std::uint32_t> repaired;  ///< of todo: found at the destination with a change of ours
    std::set<std::string> dropped_flags;
    std::size_t groups_open = 0;   ///< queued or unanswered
    std::size_t windows_open = 0;  ///< asked for, not answered
    bool all_asked = false;        ///< the last window was sent
    std::size_t unsettled = 0;     ///< asked for, and not yet receipted, refused or given back
    bool out_of_order = false;     ///< some were sent once more: not in the order of the receipts
    bool no_moves = false;         ///< the destination refused one: what is new is copied
    std::uint32_t highest_destination_uid = 0;

    // For the books, over all attempts of this run.
    std::uint64_t copied = 0, adopted = 0, refused = 0, vanished = 0, flags_updated = 0;
    std::uint64_t moved = 0;
    std::uint64_t kept_by_limit = 0;  ///< gone at the source, not deleted because of --delete-limit
    std::uint64_t exists = 0;         ///< at the source when it was examined
    FlagTable sent_flags;
    std::vector<Appended> appended;  ///< not read back yet
    std::size_t placed = 0;          ///< messages beyond the old UIDNEXT when UIDs were not told
    std::uint64_t flags_lost = 0;    ///< messages without flags they were sent with
    std::set<std::string> lost_words;
    std::vector<Appended> suspects;  ///< to be compared with their originals
    std::map<std::uint32_t, unsigned>
        losses;                              ///< UID: connections that ended while it was in flight
    std::set<std::uint32_t> carried_away;    ///< copied for --delete-to, not yet removed
    std::set<std::uint32_t> turned_down;     ///< refused by this connection, not settled yet
    std::map<std::uint32_t, unsigned> cuts;  ///< … of those, while the source was sending it
    std::vector<std::uint32_t> unlisted;     ///< known by SEARCH only
    std::uint64_t unseen = 0;                ///< counted by EXISTS, and nowhere to be found
    bool capped = false;                     ///< the server hides the older ones
    unsigned openings_lost = 0;              ///< connections that ended while it was being opened
    unsigned put_offs = 0;                   ///< times it alone was not to be had for now
    std::set<std::uint32_t> refused_now;     ///< in this run: not tried again by its next attempt
    bool started = false;
    bool told_gone = false, told_limit = false, told_spared = false;
    bool cut_short = false;  ///< by the day's budget: the rest is for another day
    bool finished = false;
    bool failed = false;  ///< given up, with a reason in the report
};

/// Messages that go to the destination together.
struct Group {
    struct Item {
        std::uint32_t uid = 0;
        std::uint32_t meta = 0;  ///< index into Job::todo
        std::uint64_t size = 0;
        dedup::Digest128 digest{};
        std::shared_ptr<Window> window;
        std::uint8_t odd = 0;  ///< readback.h
    };
    /// A command inside `buffer`: [begin, end) with `items` messages.
    struct Command {
        std::size_t begin = 0, end = 0;
        std::size_t first_item = 0, items = 0;
        std::size_t literal = 0;  ///< synchronising: the literal's octets start here; else 0
        session::Ticket ticket;
        Nanos sent_at{0};
        bool written = false;
    };
    std::shared_ptr<Job> job;
    std::string buffer;
    std::vector<Item> items;
    std::vector<Command> commands;
    std::size_t credit = 0;  ///< octets counted against the lane's buffer
    Nanos sent_at{0};        ///< 0: not yet, or piece by piece
    Care care = Care::none;
    std::uint8_t repairs = 0;  ///< what was changed in its one message (repair.h)
    std::uint64_t sent = 0;    ///< with repairs: octets of the literal
    bool turned_down = false;  ///< with repairs: refused once more
    bool put_off = false;      ///< with repairs: asked to come again later
    bool new_kind = false;     ///< an argument the server has not proved to understand

    // Cut-through of one large message.
    bool streamed = false;
    std::uint64_t stream_bytes = 0;
    std::string_view chunk;  ///< waits to be written
    bool chunk_ready = false, chunk_last = false;
    bool stream_refused = false;  ///< the destination takes no more of it: the rest is dropped
    std::unique_ptr<dedup::ContentDigest> digest;
};

}  // namespace imapult::replica
