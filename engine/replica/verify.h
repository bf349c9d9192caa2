#pragma once
// What the parts of `verify` share: one mailbox on both sides, and how bodies are compared.
//
//   verify.cc          the account, mailbox by mailbox; counts, metadata, verdicts
//   verify_listing.cc  all messages of a mailbox
//   verify_repeats.cc  patience with servers, connections opened again
//   verify_match.cc    which message is whose copy
//   verify_contents.cc bodies, streamed from both sides in step
//   verify_kind.cc     what became of an altered one (verify_mime.cc: its MIME parts)
//   verify_against.cc  a destination against a proof made earlier

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dedup/proof.h"
#include "engine/base/random.h"
#include "engine/replica/account.h"
#include "engine/replica/job.h"
#include "engine/replica/labels.h"
#include "engine/replica/patience.h"
#include "engine/replica/sinks.h"

namespace imapult::replica {

using dedup::AccountProof;
using dedup::MailboxProof;
using dedup::ProvedMessage;
using dedup::Sha256;

inline constexpr std::size_t kDifferencesListedMax = 1000;  ///< per mailbox and kind

/// A source message and its copy.
struct Paired {
    std::uint32_t source_uid = 0;
    std::uint32_t destination_uid = 0;  ///< 0: it has none (for the source's root only)
    std::uint32_t base = UINT32_MAX;  ///< flags as last carried over; UINT32_MAX: not in the ledger
    std::uint64_t size = 0;           ///< octets as fetched at the source; 0: not known
    bool repaired = false;            ///< by us, after a refusal
};

/// One mailbox on both sides.
struct Comparison {
    const Mailbox* source = nullptr;
    const Mailbox* destination = nullptr;
    const dedup::MailboxRecord* record = nullptr;  ///< of the present incarnations, or none
    std::optional<LabelView> labels;               ///< Gmail
    FlagTable flags;
    std::vector<Meta> here, there;                    ///< rising UIDs
    std::uint64_t unseen_here = 0, unseen_there = 0;  ///< counted and not listed
    std::vector<Paired> pairs;                        ///< rising source UIDs
    report::VerifyCounts counts;
};

struct Listed {
    std::vector<Meta> metas;   ///< rising UIDs
    std::uint64_t unseen = 0;  ///< the server counts so many more, and does not list them
};
/// EXAMINE and the metadata of all messages.
Task<Result<Listed>> list_messages(Session& session, const Mailbox& box, FlagTable& flags,
                                   const LabelView* labels = nullptr);

/// Fills Comparison::pairs: from the ledger, then by what the messages are.
Task<Result<void>> pair_messages(Account& account, Sessions& sessions, Comparison& comparison);

/// What was found of one body that is not equal.
struct BodyVerdict {
    bool unread = false;  ///< one of the servers did not hand it out
    report::Alteration by = report::Alteration::other;
    std::string text;
};

/// Takes bodies as they stream by and keeps what was asked for.
class ContentSink final : public session::Sink {
  public:
    struct Wishes {
        std::string_view secret;  ///< for the digest of the octets; empty: none
        bool sha256 = false, sha1 = false, message_id = false;
        std::uint64_t keep_bytes_max = 0;  ///< keeps bodies up to this size
    };
    struct Entry {
        std::uint64_t size = 0;
        dedup::Digest128 raw{};
        Sha256 sha256{};
        std::string sha1;  ///< hex, lower case; computed here or told by the server
        std::string message_id, body;
        bool kept = false;
    };
    /// `account`: whose rate limit is kept to.
    explicit ContentSink(Wishes wishes, Account* account = nullptr)
        : wishes_(wishes), account_(account) {}
    /// One sink for all commands of a stream: Dovecot may send data of a FETCH before the OK of the
    /// one in front of it, so that what comes says by its UID only whose it is. As often released
    /// as expected: an entry stays until nobody waits for it.
    void expect(std::uint32_t uid) {
        only_expected_ = true;
        ++expected_[uid];
    }
    void release(std::uint32_t uid);
    bool on_untagged(const imap::Event& event) override;
    bool on_body_begin(const imap::BodyBegin& begin) override;
    void on_body_chunk(const imap::BodyChunk& chunk) override;
    bool blocked() override;
    Task<void> wait() override;
    void on_connection_lost() override;
    [[nodiscard]] const Entry* find(std::uint32_t uid) const;
    std::map<std::uint32_t, Entry> entries;

  private:
    struct Hashes;
    Wishes wishes_;
    Account* account_;
    Nanos not_before_{0};  ///< rate limit
    [[nodiscard]] bool is_wanted(std::uint32_t uid) const {
        return !only_expected_ || expected_.contains(uid);
    }
    std::map<std::uint32_t, std::uint32_t> expected_;  ///< how many wait for it
    bool only_expected_ = false;
    Entry entry_;
    std::shared_ptr<Hashes> hashes_;
};

/// Compares bodies of the mailbox that both sessions have open. Memory is bounded: bodies stream
/// through digests, and only altered ones are read again to name the kind.
class BodyComparison {
  public:
    BodyComparison(Account& account, Session& source, Session& destination, Comparison& comparison,
                   bool proof)
        : account_(&account),
          source_(&source),
          destination_(&destination),
          comparison_(&comparison),
          proof_(proof) {}

    /// `chosen`: indices into Comparison::pairs, rising. What a server does not hand out is asked
    /// for once more, each message alone. An error may be that a server asks for patience.
    Task<Result<void>> run(std::vector<std::size_t> chosen);

    bool tells_progress = true;
    bool waits = true;  ///< as long as a server asks for; else that is the error
    std::map<std::uint32_t, BodyVerdict> verdicts;  ///< by source UID, of those not equal
    MailboxProof proof;                             ///< its messages, if wished for
    std::vector<Sha256> source_leaves;
    bool source_read = true;  ///< the source handed out all that was to be proved

  private:
    struct Chunk;
    struct Plan {
        std::size_t messages_max;
        std::uint64_t bytes_max;
        bool by_digest = false;  ///< DIGEST.SHA1 where a server offers it
        bool keep = false;
        bool alone = false;       ///< each message once more, in a command of its own
        unsigned tries_left = 0;  ///< … and again, where the server says that it cannot just now
    };
    Task<Result<void>> read(std::vector<std::size_t> chosen, Plan plan);
    struct Sides;  ///< what streams in from both
    Task<Result<void>> stream(const std::vector<std::size_t>& chosen, Plan plan);
    [[nodiscard]] ContentSink::Wishes wishes(const Plan& plan) const;
    std::unique_ptr<Chunk> next_chunk(const std::vector<std::size_t>& chosen, std::size_t& next,
                                      const Plan& plan);
    Result<void> ask(Chunk& chunk, Sides& sides, const Plan& plan);
    Task<Result<void>> finish(Chunk& chunk);
    void note_refusal(Chunk& chunk, const session::Reply& reply, Session& session);
    void judge(const Chunk& chunk, const Sides& sides, const Plan& plan);
    static std::uint8_t repair_between(const Paired& pair, std::string_view here,
                                       std::string_view there);
    void judge_kept(const Paired& pair, const ContentSink::Entry* here,
                    const ContentSink::Entry* there);
    void prove(const Paired& pair, const ContentSink::Entry* here, const ContentSink::Entry* there);

    Account* account_;
    Session* source_;
    Session* destination_;
    Comparison* comparison_;
    bool proof_;
    std::vector<std::size_t> altered_, undigested_;
    std::vector<std::size_t> unread_;  ///< not handed out, to be asked for once more
    struct Asked {
        Error why;
        Side side;
    };
    std::optional<Asked> later_;                          ///< nothing more is to be asked for now
    std::optional<Asked> unavailable_;                    ///< one message is not to be had now
    std::map<std::uint32_t, std::uint32_t> proof_flags_;  ///< FlagTable's index -> proof's
};

/// Decides, after an error, whether a mailbox is compared once more: waits where a server asks for
/// it, and opens connections again that were lost.
class Repeats {
  public:
    Repeats(Account& account, Sessions& sessions)
        : account_(&account), sessions_(&sessions), patience_(account, 6) {}

    /// One has been compared.
    void progress();
    /// True: once more. Else `why` is the last word; of Scope::mailbox where the others can be
    /// compared still. `side`: who was asked.
    Task<bool> again(Error& why, Side side);

  private:
    Task<bool> reopen();
    Task<bool> reopen(Side side);
    Account* account_;
    Sessions* sessions_;
    Patience patience_;
    unsigned put_offs_ = 0, losses_ = 0;  ///< over the present mailbox
};

/// A destination against what it was proved to hold.
Task<void> verify_against(Account& account, Sessions& sessions, const AccountProof& proof);

const Meta* find_meta(const std::vector<Meta>& metas, std::uint32_t uid);

/// Books one mailbox's verdict and its differences, with a bound on how many are listed.
class Verdicts {
  public:
    Verdicts(Account& account, std::string mailbox, report::VerifyCounts& counts)
        : account_(&account), mailbox_(std::move(mailbox)), counts_(&counts) {}
    /// `messages`: how many it stands for.
    void tell(report::Difference::Kind kind, std::uint32_t source_uid,
              std::uint32_t destination_uid, std::string text, std::uint64_t messages = 1,
              std::optional<report::Alteration> by = std::nullopt);
    /// Source UIDs of what was listed, for their Message-IDs.
    [[nodiscard]] const std::vector<std::uint32_t>& listed() const { return listed_; }
    void name(std::uint32_t source_uid, const std::string& message_id);
    /// Adds the mailbox to the account's summary.
    void close();

  private:
    Account* account_;
    std::string mailbox_;
    report::VerifyCounts* counts_;
    std::array<std::uint64_t, 4> told_{};
    std::vector<std::uint32_t> listed_;
    std::size_t first_ = SIZE_MAX;
};

}  // namespace imapult::replica
