#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "importers/http/client.h"
#include "importers/scripted_server.h"

namespace imapult::http {
namespace {

using importers_test::ScriptedServer;
using testing::HasSubstr;
using testing::SizeIs;

const std::string kOk =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\nConnection: close\r\n\r\nhi";
const std::string kBusy = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const std::string kCut = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi";

std::unique_ptr<Client> quick_client(std::size_t connections = 4) {
    Options options;
    options.connections = connections;
    options.backoff_first = std::chrono::milliseconds{1};
    options.tries = 4;
    return std::move(*Client::create(options));
}

Request post(const std::string& url, Resend resend) {
    Request request;
    request.method = "POST";
    request.url = url;
    request.body = "payload";
    request.resend = resend;
    return request;
}

TEST(HttpClient, SendsBodyCredentialsAndReadsHeaders) {
    ScriptedServer server({kOk});
    Request request = post(server.url() + "/x?y=1", Resend::never);
    request.user = "alice@example.com";
    request.password = Secret("wonder");
    request.cookie_name = "ZM_AUTH_TOKEN";
    request.cookie_value = Secret("t0ken");
    const auto response = quick_client()->run(request);
    ASSERT_TRUE(response) << response.error().text;
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, "hi");
    EXPECT_EQ(response->header("x-a"), "b");
    const std::string seen = server.requests().at(0);
    EXPECT_THAT(seen, HasSubstr("POST /x?y=1 HTTP/1.1\r\n"));
    EXPECT_THAT(seen, HasSubstr("Content-Length: 7\r\n"));
    EXPECT_THAT(seen, HasSubstr("Cookie: ZM_AUTH_TOKEN=t0ken\r\n"));
    EXPECT_THAT(seen, HasSubstr("Authorization: Basic YWxpY2VAZXhhbXBsZS5jb206d29uZGVy\r\n"));
    EXPECT_THAT(seen, testing::EndsWith("payload"));
}

TEST(HttpClient, TriesAgainAfter503) {
    ScriptedServer server({kBusy, kBusy, kOk});
    const auto response = quick_client()->run(post(server.url(), Resend::if_refused));
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->tries, 3U);
}

TEST(HttpClient, A503ThatStaysIsHandedBack) {
    ScriptedServer server({kBusy, kBusy, kBusy, kBusy, kOk});
    const auto response = quick_client()->run(post(server.url(), Resend::if_refused));
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 503);
}

TEST(HttpClient, DoesNotRepeatAnUnsafeRequestThatWasCutOff) {
    ScriptedServer server({kCut, kOk});
    const auto response = quick_client()->run(post(server.url(), Resend::if_refused));
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, Code::connection_lost);
    EXPECT_EQ(response.error().outcome, Outcome::unknown);
    EXPECT_THAT(server.requests(), SizeIs(1));
}

TEST(HttpClient, RepeatsAnIdempotentRequestThatWasCutOff) {
    ScriptedServer server({kCut, "", kOk});
    const auto response = quick_client()->run(post(server.url(), Resend::if_lost));
    ASSERT_TRUE(response) << response.error().text;
    EXPECT_EQ(response->body, "hi");
    EXPECT_THAT(server.requests(), SizeIs(3));
}

TEST(HttpClient, DoesNotRepeatOtherFailures) {
    ScriptedServer server(
        {"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", kOk});
    const auto response = quick_client()->run(post(server.url(), Resend::if_lost));
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 500);
    EXPECT_THAT(server.requests(), SizeIs(1));
}

TEST(HttpClient, EndsAReplyThatIsTooLong) {
    ScriptedServer server(
        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + std::string(5000, 'x')});
    Request request;
    request.url = server.url();
    request.reply_bytes_max = 1000;
    const auto response = quick_client()->run(request);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, Code::limit);
}

TEST(HttpClient, SaysThatNobodyListens) {
    std::string url;
    {
        url = ScriptedServer({}).url();
    }
    const auto response = quick_client()->run(post(url, Resend::never));
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, Code::connect_failed);
    EXPECT_EQ(response.error().outcome, Outcome::not_done);
}

TEST(HttpClient, RunsManyAtOnceInOrder) {
    ScriptedServer server(std::vector<std::string>(20, kOk));
    std::vector<Request> requests(20);
    for (Request& request : requests) request.url = server.url();
    const auto client = quick_client(8);
    const auto results = client->run_all(std::move(requests));
    ASSERT_THAT(results, SizeIs(20));
    for (const auto& result : results) EXPECT_TRUE(result);
}

TEST(HttpClient, CancelEndsWhatIsOnItsWay) {
    ScriptedServer server(std::vector<std::string>(50, kBusy));
    Options options;
    options.tries = 50;
    options.backoff_first = std::chrono::milliseconds{20'000};
    const auto client = std::move(*Client::create(options));
    std::thread later([&] {
        while (server.requests().empty()) std::this_thread::yield();
        client->cancel();
    });
    const auto response = client->run(post(server.url(), Resend::if_refused));
    later.join();
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, Code::cancelled);
}

TEST(HttpClient, RefusesHeaderInjection) {
    Request request;
    request.url = "http://127.0.0.1:1/";
    request.headers.push_back({"X-A", "b\r\nX-Evil: 1"});
    const auto response = quick_client()->run(request);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, Code::invalid_input);
}

TEST(HttpUrl, RefusesWhatWouldLeakOrMislead) {
    EXPECT_EQ(parse_endpoint("https://Mail.example.com:8443/", false)->base,
              "https://mail.example.com:8443");
    EXPECT_EQ(parse_endpoint("http://127.0.0.1:80", false)->port, 80);
    EXPECT_EQ(parse_endpoint("https://[::1]:7071", false)->base, "https://[::1]:7071");
    const auto secret = parse_endpoint("https://a:hunter2@mail.example.com", false);
    ASSERT_FALSE(secret);
    EXPECT_THAT(secret.error().text, testing::Not(HasSubstr("hunter2")));
    for (const char* bad :
         {"ftp://x", "https://", "https://a/b", "https://a?b", "https://a:0", "https://a:99999",
          "https://a b", "http://mail.example.com", "https://a\r\nb"}) {
        EXPECT_FALSE(parse_endpoint(bad, false)) << bad;
    }
    EXPECT_TRUE(parse_endpoint("http://mail.example.com", true));
    EXPECT_EQ(percent_encode("a b/ü~"), "a%20b%2F%C3%BC~");
    EXPECT_TRUE(parse_fingerprint(std::string(64, 'A')));
    EXPECT_FALSE(parse_fingerprint("12:34"));
}

}  // namespace
}  // namespace imapult::http
