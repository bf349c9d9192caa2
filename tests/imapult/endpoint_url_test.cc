#include "tools/imapult/endpoint_url.h"

#include <gtest/gtest.h>

namespace imapult::program {
namespace {

struct Good {
    const char* url;
    const char* user;
    const char* host;
    std::uint16_t port;
    TlsMode tls;
};

TEST(EndpointUrl, ReadsEveryForm) {
    const Good table[] = {
        {"imaps://alice%40example.com@mail.example.com", "alice@example.com", "mail.example.com",
         993, TlsMode::implicit},
        {"imap://alice@mail.example.com:1143", "alice", "mail.example.com", 1143,
         TlsMode::starttls},
        {"imap://mail.example.com", "", "mail.example.com", 143, TlsMode::starttls},
        {"imap://alice@127.0.0.1:10143?tls=off", "alice", "127.0.0.1", 10143, TlsMode::off},
        {"imap://mail.example.com/?tls=implicit", "", "mail.example.com", 993, TlsMode::implicit},
        {"imap://[::1]:10143?tls=starttls", "", "::1", 10143, TlsMode::starttls},
        {"imaps://[2001:db8::1]", "", "2001:db8::1", 993, TlsMode::implicit},
        {"IMAPS://MAIL.Example.COM/", "", "mail.example.com", 993, TlsMode::implicit},
        {"imaps://alice@example.com@mail.example.com", "alice@example.com", "mail.example.com", 993,
         TlsMode::implicit},
        {"imaps://a%3Ab%25@mail.example.com", "a:b%", "mail.example.com", 993, TlsMode::implicit},
        {"imaps://J%C3%B6rg@mail.example.com:65535", "J\xC3\xB6rg", "mail.example.com", 65535,
         TlsMode::implicit},
    };
    for (const Good& row : table) {
        const auto got = parse_endpoint_url(row.url);
        ASSERT_TRUE(got.has_value()) << row.url << ": " << got.error().text;
        EXPECT_EQ(got->user, row.user) << row.url;
        EXPECT_EQ(got->host, row.host) << row.url;
        EXPECT_EQ(got->port, row.port) << row.url;
        EXPECT_EQ(got->tls, row.tls) << row.url;
    }
}

TEST(EndpointUrl, RefusesWhatIsWrongAndRepeatsNothingOfIt) {
    const char* const table[] = {
        "",
        "mail.example.com",
        "http://hunter2",
        "imaps://",
        "imaps://@mail.example.com",
        "imaps://alice:hunter2@mail.example.com",
        "imaps://alice:hunter2/x@mail.example.com",
        "imaps://alice:hunt?er2@mail.example.com",
        "imaps://alice:hunter2@",
        "imaps://alice:p@hunter2@mail.example.com",
        "imaps://mail.example.com:hunter2",
        "imaps://mail.example.com:0",
        "imaps://mail.example.com:65536",
        "imaps://mail.example.com:",
        "imaps://mail.example.com/hunter2",
        "imaps://mail.example.com?hunter2",
        "imaps://mail.example.com?tls=off",
        "imaps://mail.example.com?tls=starttls",
        "imap://mail.example.com?tls=hunter2",
        "imaps://2001:db8::1",
        "imaps://[2001:db8::1",
        "imaps://[hunter2]",
        "imaps://[::1]x",
        "imaps://hunter2 x",
        "imaps://-hunter2",
        "imaps://a%4@mail.example.com",
        "imaps://a%zz@mail.example.com",
        "imaps://a%00b@mail.example.com",
        "imaps://a%0D%0Ab@mail.example.com",
        "imaps://a%FF@mail.example.com",
        "imaps://a;AUTH=hunter2@mail.example.com",
        "imaps://m\xC3\xA4il.example.com",
    };
    for (const char* url : table) {
        const auto got = parse_endpoint_url(url);
        ASSERT_FALSE(got.has_value()) << url;
        EXPECT_EQ(got.error().code, Code::invalid_input) << url;
        EXPECT_EQ(got.error().text.find("hunt"), std::string::npos) << got.error().text;
        EXPECT_FALSE(got.error().text.empty());
    }
}

TEST(EndpointUrl, SaysWhyAPasswordIsRefused) {
    const auto got = parse_endpoint_url("imaps://alice:hunter2@mail.example.com");
    ASSERT_FALSE(got.has_value());
    EXPECT_NE(got.error().text.find("process list"), std::string::npos);
    EXPECT_NE(got.error().text.find("--source-password-file"), std::string::npos);
}

TEST(EndpointUrl, KnowsLoopback) {
    for (const char* host :
         {"127.0.0.1", "127.8.9.1", "::1", "localhost", "LOCALHOST", "a.localhost"}) {
        EXPECT_TRUE(is_loopback_host(host)) << host;
    }
    for (const char* host :
         {"128.0.0.1", "0.0.0.0", "::", "mail.example.com", "127.0.0.1.example.com",
          "localhost.example.com", "10.0.0.1", "::ffff:10.0.0.1"}) {
        EXPECT_FALSE(is_loopback_host(host)) << host;
    }
}

}  // namespace
}  // namespace imapult::program
