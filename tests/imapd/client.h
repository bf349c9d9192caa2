#pragma once
// A hand-driven client: writes lines, reads what the server says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/imapd/connection.h"

namespace imapult::imapd {

inline constexpr std::string_view kUser = "user@example.com";
inline constexpr std::string_view kPassword = "correct horse";

class Client {
  public:
    explicit Client(Store& store,
                    Transport transport = {.can_start_tls = true, .can_deflate = true})
        : connection_(store, transport), greeting_(connection_.take_output()) {}

    /// Sends octets as they are and returns everything the server has to say.
    std::string raw(std::string_view bytes) {
        connection_.feed(bytes);
        return connection_.take_output();
    }
    /// One line of a command without its end.
    std::string operator()(std::string_view line) { return raw(std::string(line) + "\r\n"); }
    std::string login() {
        return (*this)("L LOGIN " + std::string(kUser) + " \"" + std::string(kPassword) + "\"");
    }
    Connection& connection() { return connection_; }
    [[nodiscard]] const std::string& greeting() const { return greeting_; }

  private:
    Connection connection_;
    std::string greeting_;
};

/// A store with one account, as `behaviour` has it.
class ImapdTest : public ::testing::Test {
  protected:
    /// A new store of this kind with the test account.
    Store& serve(Behaviour behaviour = standard()) {
        stores_.push_back(std::make_unique<Store>(std::move(behaviour), &clock_));
        store().add_account(kUser, kPassword);
        return store();
    }
    Store& store() { return *stores_.back(); }
    /// A client that has logged in.
    Client client() {
        Client c(store());
        EXPECT_THAT(c.login(), ::testing::HasSubstr("L OK"));
        return c;
    }
    void deliver(std::string_view mailbox, std::string_view body, FlagSet flags = {}) {
        ASSERT_NE(0U, store().add_message(kUser, mailbox, body, std::move(flags),
                                          Date{1'700'000'000, 60}));
    }

    ManualClock clock_{1'750'000'000};
    std::vector<std::unique_ptr<Store>> stores_;  ///< earlier ones serve their clients on
};

inline constexpr std::string_view kMail = "Subject: one\r\nFrom: a@example.com\r\n\r\nText\r\n";

}  // namespace imapult::imapd
