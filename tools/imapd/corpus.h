#pragma once
// Mail that looks like mail: a seeded generator of messages, odd ones in known proportions, and of
// whole organisations. The same seed gives the same octets on every machine; only addresses of RFC
// 2606 occur.

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/random.h"
#include "tools/imapd/store.h"

namespace imapult::imapd {

/// Sizes are log-normal; every oddity has its probability per message.
struct MessageShape {
    std::uint64_t median_bytes = 20 * 1024;
    std::uint64_t p99_bytes = 8 * 1024 * 1024;
    std::uint64_t bytes_max = 32 * 1024 * 1024;
    double raw_8bit_header = 0.05;
    double nul = 0.001;
    double bare_lf = 0.01;
    double no_final_crlf = 0.02;
    double duplicate_message_id = 0.005;
    double missing_message_id = 0.02;
    double headerless = 0.001;
    double empty_body = 0.01;
    double long_line = 0.01;   ///< one line of 2 to 200 kB
    double nested = 0.05;      ///< multiparts and message/rfc822 in each other
    double identical = 0.002;  ///< the same octets as an earlier one
    double mbox_from_line = 0.001;
    double old_date = 0.001;  ///< INTERNALDATE in 1970
    double keyword = 0.1;

    /// Nothing odd: for tests that are about something else.
    static MessageShape plain(std::uint64_t median_bytes);
};

class MessageGenerator {
  public:
    explicit MessageGenerator(std::uint64_t seed, MessageShape shape = {});
    NewMessage next();

  private:
    struct Recent {
        std::string message_id;
        Body body;
    };
    std::uint64_t size();
    std::string header(std::int64_t date);
    void add_content(std::string& out, std::uint64_t target);
    void add_text(std::string& out, std::size_t target);
    void add_base64(std::string& out, std::size_t target);
    void add_multipart(std::string& out, std::size_t target, unsigned depth);
    void spoil(std::string& out);
    FlagSet flags();

    Random random_;
    MessageShape shape_;
    double sigma_;
    std::uint64_t made_ = 0;
    std::string base64_block_;  ///< lines to copy from
    std::string text_block_;
    std::vector<Recent> recent_;
};

struct OrganisationShape {
    std::size_t accounts = 10;
    std::size_t mailboxes = 12;  ///< per account, the special ones among them
    std::size_t messages = 200;  ///< per account, spread unevenly
    bool non_ascii_names = true;
    bool deep_names = true;
    std::string domain = "example.com";
    std::string password = "password";
    MessageShape shape;
};

/// What `fill` has put into a store.
struct Organisation {
    std::vector<std::string> accounts;
    std::uint64_t messages = 0;
    std::uint64_t octets = 0;
};

/// Fills `store` with accounts user1@example.com, user2@…, in the store's own naming (prefix,
/// separator).
Organisation fill(Store& store, std::uint64_t seed, const OrganisationShape& shape = {});

/// Adds `count` messages to one mailbox, creating account and mailbox where they are missing.
/// Returns the octets added.
std::uint64_t fill_mailbox(Store& store, std::string_view account, std::string_view mailbox,
                           std::size_t count, MessageGenerator& generator);

}  // namespace imapult::imapd
