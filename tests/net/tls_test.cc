#include "engine/net/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <optional>
#include <string>

#include "engine/base/text.h"
#include "engine/net/ring_connector.h"
#include "net/certificates.h"
#include "net/loopback.h"
#include "net/ring_fixture.h"

namespace imapult::test {
namespace {

using namespace std::chrono_literals;
using net::TlsOptions;
using ::testing::AllOf;
using ::testing::HasSubstr;

class Tls : public RingTest {
  protected:
    static void SetUpTestSuite() { folder_ = new CertificateFolder; }
    static void TearDownTestSuite() {
        delete folder_;
        folder_ = nullptr;
    }
    static CertificateFolder& folder() { return *folder_; }

    std::shared_ptr<net::TlsServerContext> server(const CertificateFiles& files) {
        auto context = net::TlsServerContext::create(files.certificate, files.key);
        EXPECT_TRUE(context) << context.error().text;
        return context ? *context : nullptr;
    }
    TlsOptions options(const std::string& host) {
        TlsOptions result;
        result.host_name = host;
        result.ca_file = folder().ca_file();
        return result;
    }

    std::shared_ptr<net::TlsClientContext> client_ = std::make_shared<net::TlsClientContext>();

  private:
    static inline CertificateFolder* folder_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Modes, Tls, ::testing::ValuesIn(kModes), mode_name);

Task<void> accept_tls(Ring& ring, std::shared_ptr<net::TlsServerContext> context, StreamPtr inner,
                      StreamPtr& into, std::optional<Error>& error) {
    auto accepted = co_await net::tls_accept(ring, std::move(context), std::move(inner));
    if (accepted) {
        into = std::move(*accepted);
    } else {
        error = std::move(accepted).error();
    }
}

struct Handshake {
    Ends ends;
    std::optional<Error> client_error;
    std::optional<Error> server_error;
};

Task<Handshake> shake(Ring& ring, runtime::BlockingPool& pool,
                      std::shared_ptr<net::TlsServerContext> server,
                      std::shared_ptr<net::TlsClientContext> client, TlsOptions options) {
    Ends plain = co_await connect_ends(ring, pool);
    Handshake result;
    TaskScope scope(ring);
    scope.spawn(accept_tls(ring, std::move(server), std::move(plain.server), result.ends.server,
                           result.server_error));
    auto connected = co_await net::tls_connect(ring, std::move(client), std::move(plain.client),
                                               std::move(options));
    if (connected) {
        result.ends.client = std::move(*connected);
    } else {
        result.client_error = std::move(connected).error();
    }
    co_await scope.join();
    co_return result;
}

Task<void> transfer(Ring& ring, runtime::BlockingPool& pool,
                    std::shared_ptr<net::TlsServerContext> server,
                    std::shared_ptr<net::TlsClientContext> client, TlsOptions options,
                    std::string sent, std::size_t piece, Drained& drained) {
    Handshake hands = co_await shake(ring, pool, server, client, options);
    EXPECT_FALSE(hands.client_error) << hands.client_error->text;
    if (hands.client_error) co_return;
    EXPECT_TRUE(hands.ends.client->is_secure());
    EXPECT_TRUE(hands.ends.client->is_loopback());
    const std::size_t size = sent.size();
    TaskScope scope(ring);
    scope.spawn(write_and_close(*hands.ends.client, std::move(sent), piece));
    scope.spawn(drain_into(*hands.ends.server, drained));
    co_await scope.join();
    EXPECT_GT(hands.ends.server->wire_bytes_in(), size) << "these are not the wire's octets";
    co_await hands.ends.server->close();
}

TEST_P(Tls, EveryByteArrivesInOrder) {
    const auto files = folder().issue({.name = "DNS:imap.example.com"});
    const std::string sent = noise(3'000'001, 1);
    Drained drained;
    run(transfer(*ring_, pool(), server(files), client_, options("imap.example.com"), sent, 700'000,
                 drained));
    ASSERT_TRUE(drained.end) << drained.end.error().text;
    EXPECT_TRUE(drained.bytes == sent);
}

TEST_P(Tls, SmallWritesArriveToo) {
    const auto files = folder().issue({.name = "DNS:imap.example.com"});
    const std::string sent = noise(1'000, 2);
    Drained drained;
    run(transfer(*ring_, pool(), server(files), client_, options("imap.example.com"), sent, 7,
                 drained));
    EXPECT_TRUE(drained.bytes == sent);
}

Task<void> both_ways(Ring& ring, runtime::BlockingPool& pool,
                     std::shared_ptr<net::TlsServerContext> server,
                     std::shared_ptr<net::TlsClientContext> client, TlsOptions options) {
    Handshake hands = co_await shake(ring, pool, server, client, options);
    const std::string up = noise(2'000'000, 3);
    const std::string down = noise(2'500'000, 4);
    Drained at_server;
    Drained at_client;
    TaskScope scope(ring);
    auto& [to_server, to_client] = hands.ends;
    scope.spawn(drain_into(*to_client, at_server));
    scope.spawn(drain_into(*to_server, at_client));
    auto up_done = co_await to_server->write(up);
    EXPECT_TRUE(up_done);
    auto down_done = co_await to_client->write(down);
    EXPECT_TRUE(down_done);
    const Nanos deadline = ring.now() + 20s;
    while ((at_server.bytes.size() < up.size() || to_server->wire_bytes_in() < down.size()) &&
           ring.now() < deadline) {
        co_await runtime::sleep_for(ring, 1ms);
        if (to_server->wire_bytes_in() > down.size()) break;
    }
    co_await runtime::sleep_for(ring, 20ms);
    to_server->abort();
    to_client->abort();
    co_await scope.join();
    EXPECT_TRUE(at_server.bytes == up);
    EXPECT_TRUE(at_client.bytes == down);
}

TEST_P(Tls, BothDirectionsAtOnceAndAbortWhileReading) {
    const auto files = folder().issue({.name = "DNS:imap.example.com"});
    run(both_ways(*ring_, pool(), server(files), client_, options("imap.example.com")));
}

// ---- Certificates --------------------------------------------------------------------------

Task<void> expect_refused(Ring& ring, runtime::BlockingPool& pool,
                          std::shared_ptr<net::TlsServerContext> server,
                          std::shared_ptr<net::TlsClientContext> client, TlsOptions options,
                          std::string& sentence) {
    Handshake hands = co_await shake(ring, pool, server, client, options);
    EXPECT_TRUE(hands.client_error);
    if (!hands.client_error) co_return;
    EXPECT_EQ(hands.client_error->code, Code::tls_failed);
    EXPECT_EQ(hands.client_error->scope, Scope::host);
    EXPECT_EQ(hands.client_error->retry, Retry::never);
    sentence = hands.client_error->text;
}

Task<void> expect_accepted(Ring& ring, runtime::BlockingPool& pool,
                           std::shared_ptr<net::TlsServerContext> server,
                           std::shared_ptr<net::TlsClientContext> client, TlsOptions options,
                           net::TlsInfo& info) {
    Handshake hands = co_await shake(ring, pool, server, client, options);
    EXPECT_FALSE(hands.client_error) << hands.client_error->text;
    if (hands.client_error) co_return;
    info = *net::tls_info(*hands.ends.client);
    // A round trip, so that the tickets behind the server's handshake are read.
    auto written = co_await hands.ends.server->write("hello");
    EXPECT_TRUE(written);
    auto got = co_await hands.ends.client->read();
    EXPECT_TRUE(got && *got == "hello");
    co_await hands.ends.client->close();
    co_await hands.ends.server->close();
}

TEST_P(Tls, AnExpiredCertificateIsNamed) {
    const auto files = folder().issue(
        {.name = "DNS:imap.example.com", .valid_from_seconds = -7200, .valid_for_seconds = 3600});
    std::string sentence;
    run(expect_refused(*ring_, pool(), server(files), client_, options("imap.example.com"),
                       sentence));
    EXPECT_THAT(sentence, AllOf(HasSubstr("expired"), HasSubstr("imap.example.com"),
                                HasSubstr(files.fingerprint)));
}

TEST_P(Tls, AWrongHostNameIsNamedWithTheRightOnes) {
    const auto files = folder().issue({.name = "DNS:mail.example.com,DNS:*.example.net"});
    std::string sentence;
    run(expect_refused(*ring_, pool(), server(files), client_, options("imap.example.com"),
                       sentence));
    EXPECT_THAT(sentence, AllOf(HasSubstr("another name"), HasSubstr("mail.example.com"),
                                HasSubstr("*.example.net"), HasSubstr(files.fingerprint)));
}

TEST_P(Tls, AnUnknownCaIsNamedWithTheCure) {
    const auto files = folder().issue({.name = "DNS:imap.example.com"});
    TlsOptions tls = options("imap.example.com");
    tls.ca_file.clear();
    std::string sentence;
    run(expect_refused(*ring_, pool(), server(files), client_, tls, sentence));
    EXPECT_THAT(sentence, AllOf(HasSubstr("ca-file"), HasSubstr("tls-fingerprint"),
                                HasSubstr(files.fingerprint)));
}

TEST_P(Tls, ASelfSignedCertificateIsNamedWithTheCure) {
    const auto files = folder().issue({.name = "DNS:imap.example.com", .self_signed = true});
    std::string sentence;
    run(expect_refused(*ring_, pool(), server(files), client_, options("imap.example.com"),
                       sentence));
    EXPECT_THAT(sentence, AllOf(HasSubstr("self-signed"), HasSubstr("ca-file"),
                                HasSubstr("tls-fingerprint"), HasSubstr(files.fingerprint)));
}

TEST_P(Tls, APinnedCertificateIsTrustedWhateverItSays) {
    const auto files = folder().issue({.name = "DNS:other.example.com",
                                       .valid_from_seconds = -7200,
                                       .valid_for_seconds = 3600,
                                       .self_signed = true});
    TlsOptions tls;
    tls.host_name = "imap.example.com";
    tls.fingerprint_sha256 = to_lower(files.fingerprint);
    net::TlsInfo info;
    run(expect_accepted(*ring_, pool(), server(files), client_, tls, info));
    EXPECT_EQ(info.fingerprint_sha256, files.fingerprint);
}

TEST_P(Tls, AnyOtherCertificateThanThePinnedOneIsRefusedEvenIfValid) {
    const auto files = folder().issue({.name = "DNS:imap.example.com"});
    TlsOptions tls = options("imap.example.com");
    tls.fingerprint_sha256 = std::string(64, 'a');
    std::string sentence;
    run(expect_refused(*ring_, pool(), server(files), client_, tls, sentence));
    EXPECT_THAT(sentence, AllOf(HasSubstr("pinned"), HasSubstr(files.fingerprint)));
}

TEST_P(Tls, AnAddressIsVerifiedAsAnAddress) {
    const auto right = folder().issue({.name = "IP:127.0.0.1"});
    const auto wrong = folder().issue({.name = "DNS:127.0.0.1"});
    net::TlsInfo info;
    run(expect_accepted(*ring_, pool(), server(right), client_, options("127.0.0.1"), info));
    std::string sentence;
    run(expect_refused(*ring_, pool(), server(wrong), client_, options("127.0.0.2"), sentence));
    EXPECT_THAT(sentence, HasSubstr("another name"));
}

TEST_P(Tls, InsecureAcceptsAnythingButOnlyWhenAskedTo) {
    const auto files = folder().issue({.name = "DNS:other.example.com", .self_signed = true});
    TlsOptions tls;
    tls.host_name = "imap.example.com";
    tls.insecure = true;
    net::TlsInfo info;
    run(expect_accepted(*ring_, pool(), server(files), client_, tls, info));
    // What was resumable insecurely must not slip through the verification afterwards.
    tls.insecure = false;
    std::string sentence;
    run(expect_refused(*ring_, pool(), server(files), client_, tls, sentence));
}

TEST_P(Tls, SessionsAreResumedForTheSameHostOnly) {
    const auto files = folder().issue({.name = "DNS:imap.example.com,DNS:mail.example.com"});
    const auto context = server(files);
    net::TlsInfo first;
    net::TlsInfo second;
    net::TlsInfo other;
    run(expect_accepted(*ring_, pool(), context, client_, options("imap.example.com"), first));
    run(expect_accepted(*ring_, pool(), context, client_, options("imap.example.com"), second));
    run(expect_accepted(*ring_, pool(), context, client_, options("mail.example.com"), other));
    EXPECT_FALSE(first.resumed);
    EXPECT_TRUE(second.resumed);
    EXPECT_FALSE(other.resumed);
    EXPECT_EQ(first.version, "TLSv1.3");
}

TEST_P(Tls, FilesThatCannotBeUsedAreNamed) {
    const auto files = folder().issue({.name = "DNS:imap.example.com"});
    TlsOptions tls = options("imap.example.com");
    tls.ca_file = folder().path("missing.pem");
    Handshake hands;
    auto story = [](Ring& ring, runtime::BlockingPool& pool,
                    std::shared_ptr<net::TlsServerContext> server,
                    std::shared_ptr<net::TlsClientContext> client, TlsOptions options,
                    Handshake& into) -> Task<void> {
        into = co_await shake(ring, pool, server, client, options);
    };
    run(story(*ring_, pool(), server(files), client_, tls, hands));
    ASSERT_TRUE(hands.client_error);
    EXPECT_EQ(hands.client_error->code, Code::invalid_input);
    EXPECT_THAT(hands.client_error->text, HasSubstr("missing.pem"));
    auto bad_key = net::TlsServerContext::create(files.certificate, folder().ca_file());
    EXPECT_FALSE(bad_key);
}

// ---- Servers that do not play along --------------------------------------------------------

Task<void> greet_in_clear(net::Stream& stream) {
    auto written = co_await stream.write("* OK \x1b[31mimap.example.com ready\r\n");
    EXPECT_TRUE(written);
    static_cast<void>(co_await drain(stream));
}

Task<void> clear_text_server(Ring& ring, runtime::BlockingPool& pool,
                             std::shared_ptr<net::TlsClientContext> client, std::string& sentence) {
    Ends plain = co_await connect_ends(ring, pool);
    TaskScope scope(ring);
    scope.spawn(greet_in_clear(*plain.server));
    TlsOptions tls;
    tls.host_name = "imap.example.com";
    auto result = co_await net::tls_connect(ring, client, std::move(plain.client), tls);
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::tls_failed);
    sentence = result.error().text;
    co_await scope.join();
}

TEST_P(Tls, APlainTextServerOnTheTlsPortIsNamed) {
    std::string sentence;
    run(clear_text_server(*ring_, pool(), client_, sentence));
    EXPECT_THAT(sentence, AllOf(HasSubstr("does not speak TLS on this port"), HasSubstr("* OK")));
    EXPECT_EQ(sentence.find('\x1b'), std::string::npos) << "a raw control character";
}

Task<void> hang_up(net::Stream& stream) {
    static_cast<void>(co_await stream.read());
    co_await stream.close();
}

Task<void> server_hangs_up(Ring& ring, runtime::BlockingPool& pool,
                           std::shared_ptr<net::TlsClientContext> client) {
    Ends plain = co_await connect_ends(ring, pool);
    TaskScope scope(ring);
    scope.spawn(hang_up(*plain.server));
    TlsOptions tls;
    tls.host_name = "imap.example.com";
    auto result = co_await net::tls_connect(ring, client, std::move(plain.client), tls);
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::tls_failed);
    EXPECT_THAT(result.error().text, HasSubstr("closed the connection during the TLS handshake"));
    co_await scope.join();
}

TEST_P(Tls, AServerThatHangsUpDuringTheHandshake) {
    run(server_hangs_up(*ring_, pool(), client_));
}

Task<void> client_gone(Ring& ring, runtime::BlockingPool& pool,
                       std::shared_ptr<net::TlsServerContext> context) {
    Ends plain = co_await connect_ends(ring, pool);
    StreamPtr server;
    std::optional<Error> error;
    TaskScope scope(ring);
    scope.spawn(accept_tls(ring, context, std::move(plain.server), server, error));
    auto written = co_await plain.client->write("a001 LOGIN x y\r\n");
    EXPECT_TRUE(written);
    co_await plain.client->close();
    co_await scope.join();
    EXPECT_EQ(error.value().code, Code::tls_failed);
}

TEST_P(Tls, AClientThatDoesNotSpeakTlsFailsAtTheServer) {
    const auto files = folder().issue({.name = "DNS:imap.example.com"});
    run(client_gone(*ring_, pool(), server(files)));
}

}  // namespace
}  // namespace imapult::test
