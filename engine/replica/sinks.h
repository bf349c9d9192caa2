#pragma once
// What listens to the answers of EXAMINE, SELECT and UID FETCH.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dedup/identity.h"
#include "engine/replica/flags.h"
#include "engine/replica/job.h"
#include "engine/session/session.h"
#include "imap/uid_set.h"

namespace imapult::replica {

/// EXAMINE or SELECT.
class SelectSink final : public session::Sink {
  public:
    bool on_untagged(const imap::Event& event) override;
    std::uint32_t exists = 0;
    std::optional<std::uint32_t> uid_validity, uid_next;
    std::optional<std::uint64_t> highest_modseq;
    std::vector<std::string> flags;
    std::optional<std::vector<std::string>> permanent_flags;  ///< not told; or perhaps none
    std::string mailbox_id;  ///< OBJECTID (RFC 8474); empty: not told
};

/// Metadata of the messages in [first, last]: one Meta each, in the order they come.
class MetaSink final : public session::Sink {
  public:
    /// `labels`: of a Gmail mailbox; must outlive the sink.
    MetaSink(std::uint32_t first, std::uint32_t last, FlagTable& flags,
             const LabelView* labels = nullptr)
        : first_(first), last_(last), flags_(&flags), labels_(labels) {}
    bool on_untagged(const imap::Event& event) override;
    /// Sorted by UID, one entry a UID, those without FLAGS or date merged from their parts.
    std::vector<Meta> take();

  private:
    std::uint32_t first_, last_;
    FlagTable* flags_;
    const LabelView* labels_;
    std::vector<Meta> metas_;
    bool sorted_ = true;
};

/// Flags only.
class FlagSink final : public session::Sink {
  public:
    FlagSink(std::uint32_t first, std::uint32_t last, FlagTable& flags,
             const LabelView* labels = nullptr)
        : first_(first), last_(last), flags_(&flags), labels_(labels) {}
    bool on_untagged(const imap::Event& event) override;
    struct Entry {
        std::uint32_t uid, flags;
    };
    std::vector<Entry> take();

  private:
    std::uint32_t first_, last_;
    FlagTable* flags_;
    const LabelView* labels_;
    std::vector<Entry> entries_;
};

/// UID FETCH … (UID FLAGS RFC822.SIZE BODY.PEEK[HEADER]): who the messages are.
class HeaderSink final : public session::Sink {
  public:
    explicit HeaderSink(FlagTable& flags) : flags_(&flags) {}
    bool on_untagged(const imap::Event& event) override;
    bool on_body_begin(const imap::BodyBegin& begin) override;
    void on_body_chunk(const imap::BodyChunk& chunk) override;
    struct Entry {
        dedup::Candidate candidate;
        std::uint32_t flags = 0;
    };
    std::vector<Entry> entries;

  private:
    FlagTable* flags_;
    std::string header_;
};

/// UID FETCH … (UID BODY.PEEK[]): normalised (and raw) digests of whole messages.
class DigestSink final : public session::Sink {
  public:
    explicit DigestSink(std::string_view secret) : secret_(secret) {}
    bool on_untagged(const imap::Event& event) override;
    bool on_body_begin(const imap::BodyBegin& begin) override;
    void on_body_chunk(const imap::BodyChunk& chunk) override;
    struct Entry {
        std::uint32_t uid = 0;
        std::uint64_t size = 0;
        dedup::Sha256 normal{};
        dedup::Digest128 raw{};
        std::optional<std::int64_t> date{};  ///< INTERNALDATE
    };
    std::vector<Entry> entries;

  private:
    std::string_view secret_;
    std::optional<dedup::NormalDigest> normal_;
    std::optional<dedup::ContentDigest> raw_;
    std::uint64_t size_ = 0;
};

/// GETQUOTAROOT: the STORAGE resource.
class QuotaSink final : public session::Sink {
  public:
    bool on_untagged(const imap::Event& event) override;
    std::uint64_t used_bytes = 0, limit_bytes = 0;  ///< limit 0: none
};

/// One message's header, kept: for reports.
class HeaderTextSink final : public session::Sink {
  public:
    bool on_untagged(const imap::Event& event) override;
    bool on_body_begin(const imap::BodyBegin& begin) override;
    void on_body_chunk(const imap::BodyChunk& chunk) override;
    std::string header;
    bool seen = false;
};

/// UIDs cut into sets that fit one command line of this server.
std::vector<imap::UidSet> uid_sets(const session::Session& session,
                                   const std::vector<std::uint32_t>& uids, std::size_t uids_max);

}  // namespace imapult::replica
