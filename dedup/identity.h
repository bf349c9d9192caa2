#pragma once
// Who a message is, by its own bytes: for adopting what another tool copied and for finding out
// what landed before a crash. Where a UID pair is known, none of this is asked.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dedup/ledger.h"

namespace imapult::dedup {

using Sha256 = std::array<std::uint8_t, 32>;

/// Streaming digest of the octets of a message as fetched: XXH3-128 with the ledger's secret
/// (XXH3_128bits_reset_withSecret). About 10 GB/s: computed for every message in the stream.
class ContentDigest {
  public:
    explicit ContentDigest(std::string_view secret);
    ~ContentDigest();
    ContentDigest(ContentDigest&&) noexcept;
    ContentDigest& operator=(ContentDigest&&) noexcept;
    void reset();
    void update(std::string_view bytes);
    [[nodiscard]] Digest128 finish() const;
    /// One shot, the same value.
    static Digest128 of(std::string_view bytes, std::string_view secret);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Streaming SHA-256 of a message with what servers change on the way evened out: a line ends with
/// LF and a CR says nothing (servers add, drop and double it), NUL equals 0x80, line ends at the
/// end are dropped, an 8-bit octet in a header field equals X (Cyrus), header lines that copying
/// tools add (X-TUID of mbsync, X-OfflineIMAP, …) are left out. Equal digests may be skipped as
/// copies. The value does not depend on how the message is cut into update()s.
class NormalDigest {
  public:
    NormalDigest();
    ~NormalDigest();
    NormalDigest(NormalDigest&&) noexcept;
    NormalDigest& operator=(NormalDigest&&) noexcept;
    void update(std::string_view bytes);
    /// Of header and body together. Once.
    Sha256 finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// What the ledger keeps of an id that the source gives a message and leaves it when it is moved
/// (EMAILID, X-GM-MSGID): eight octets of its SHA-256; never 0.
std::uint64_t object_of(std::string_view id);

/// Identity by header alone, from the octets of BODY[HEADER].
struct HeaderIdentity {
    Sha256 strict{};  ///< all header lines but those that copying tools add; line ends and NUL
                      ///< evened out
    Sha256
        loose{};  ///< Message-ID, Date, From, To, Cc, Subject, In-Reply-To, References; unfolded,
                  ///< blanks run together, 8-bit octets wild (servers replace them by X)
    bool strong = false;  ///< has a Message-ID and a Date: two different messages rarely share it
    bool traced = false;  ///< has a Received line: the strict identity holds what the servers on
                          ///< the way wrote, which the sender of an imitation cannot foresee
    std::uint32_t added_bytes =
        0;  ///< octets of the left-out lines, to be taken off the message's size
};
HeaderIdentity identify_header(std::string_view header);

/// For reports: RFC 2047 decoded by mimetic, printable, cut to a length that fits a line.
struct HeaderSummary {
    std::string message_id, subject, from, date;
};
HeaderSummary summarise_header(std::string_view header);

/// A message as matching sees it.
struct Candidate {
    std::uint32_t uid = 0;
    std::uint64_t size = 0;  ///< RFC822.SIZE
    HeaderIdentity header;
};

/// Finds which source messages are at the destination already, as multisets: k equal messages here
/// and j there make min(k, j) pairs.
///   Pass 1 (`match_headers`): pairs that header and size prove, and groups that only the content
///   can tell apart (several equal headers, no Message-ID or Date, no Received line, sizes that
///   differ, only the loose identity equal). Pass 2 (`match_contents`): the digests of those
///   groups' members decide.
/// Pairs are made in rising UID order on both sides.
struct Pair {
    std::uint32_t source_uid, destination_uid;
    bool operator==(const Pair&) const = default;
};
struct Group {
    std::vector<std::uint32_t> source_uids, destination_uids;
    bool loose =
        false;  ///< only the loose identity is equal: a server may have altered the message
    bool strong = false;  ///< the members have a Message-ID and a Date
};
struct HeaderMatch {
    std::vector<Pair> pairs;
    std::vector<Group> undecided;
    std::vector<std::uint32_t> unmatched_source;  ///< certainly not there
};
/// What pass 1 takes as proof.
enum class Proof : std::uint8_t {
    header_and_size,  ///< a whole traced header that one message a side has, and its size
    content,          ///< nothing: every candidate goes to pass 2
};
HeaderMatch match_headers(const std::vector<Candidate>& source,
                          const std::vector<Candidate>& destination,
                          Proof proof = Proof::header_and_size);

struct ContentCandidate {
    std::uint32_t uid;
    Sha256 digest;                       ///< NormalDigest
    std::optional<std::int64_t> date{};  ///< INTERNALDATE; decides between equal ones
};
/// `recovering`: the destination's messages can only be our own (above an intent's floor): where
/// the digests differ but the strong loose identity is equal, the server altered the message on its
/// way, and it counts as found.
std::vector<Pair> match_contents(const Group& group, const std::vector<ContentCandidate>& source,
                                 const std::vector<ContentCandidate>& destination, bool recovering);

}  // namespace imapult::dedup
