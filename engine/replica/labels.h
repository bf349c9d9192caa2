#pragma once
// Gmail's labels (X-GM-EXT-1): one message is shown in the mailbox of each of its labels, and in
// All Mail. Which of these mailboxes a message is copied from, and what becomes of the others.
//
// Every mailbox has a rank. A message is at home in the one of the best rank among those that show
// it; X-GM-LABELS, which names the others, says so in each of them alike. Its body is fetched at
// home. Elsewhere it is carried over from there inside the destination, or only noted down as
// represented: in All Mail always, with the policies `first` and `keywords` everywhere.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "dedup/ledger.h"
#include "engine/base/report.h"
#include "engine/replica/names.h"
#include "imap/response.h"

namespace imapult::replica {

class Labels {
  public:
    Labels(const Listing& source, const Placement& placement, report::LabelPolicy policy);

    struct Box {
        unsigned rank = 0;
        bool alone = false;       ///< Trash and Spam: labels of what is in them mean nothing
        bool represents = false;  ///< what is at home elsewhere is not carried here
    };
    [[nodiscard]] const Box& box(const std::string& wire_name) const;
    [[nodiscard]] report::LabelPolicy policy() const { return policy_; }
    /// The best rank among those of `labels`; nothing if none of them is a mailbox.
    [[nodiscard]] std::optional<unsigned> home(const std::vector<std::string_view>& labels) const;
    /// Whether another of the message's mailboxes goes before `here`.
    [[nodiscard]] bool is_elsewhere(const Box& here,
                                    const std::vector<std::string_view>& labels) const;
    /// A message may stand in several mailboxes of the destination.
    [[nodiscard]] bool carries() const { return policy_ == report::LabelPolicy::mailboxes; }
    /// There is All Mail, and it is not copied: what is archived is not seen by us.
    [[nodiscard]] bool is_archive_left_out() const { return is_archive_left_out_; }
    [[nodiscard]] bool as_keywords() const { return policy_ == report::LabelPolicy::keywords; }

  private:
    report::LabelPolicy policy_;
    bool is_archive_left_out_ = false;
    std::map<std::string, Box, std::less<>> boxes_;       ///< by wire name
    std::map<std::string, unsigned, std::less<>> ranks_;  ///< by label
};

/// What a sink needs to understand the labels of one mailbox's messages.
struct LabelView {
    const Labels* labels = nullptr;
    Labels::Box box;
    std::set<unsigned>* homes = nullptr;  ///< receives the ranks of better mailboxes
};

/// The flags of a message; with `view` of the policy `keywords` its labels among them, and then
/// nothing where the line does not name the labels.
std::optional<dedup::Flags> flags_of(const imap::Fetch& fetch, const LabelView* view);

/// "Work/2024" -> "Work_2024", "\\Important" -> "$Important"; empty for labels that are mailboxes
/// of Gmail's own.
std::string keyword_of_label(std::string_view label);

/// Mailboxes that are only views of others (Starred, Important; with `keywords` those of labels,
/// if All Mail is copied) get Mailbox::left_out. A sentence for the report; empty: no such ones.
std::string leave_out_views(Listing& source, const NameOptions& options,
                            report::LabelPolicy policy);

}  // namespace imapult::replica
