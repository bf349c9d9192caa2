// Logging in, by every mechanism, and what the transport has to do meanwhile.

#include "imapd/client.h"
#include "tools/imapd/digest.h"

namespace imapult::imapd {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::string_literals;

class Auth : public ImapdTest {};

std::string plain(std::string_view authzid, std::string_view user, std::string_view password) {
    return encode_base64(std::string(authzid) + '\0' + std::string(user) + '\0' +
                         std::string(password));
}

TEST_F(Auth, PlainWithAndWithoutInitialResponse) {
    serve();
    Client a(store());
    EXPECT_THAT(a("1 AUTHENTICATE PLAIN " + plain("", kUser, kPassword)), StartsWith("1 OK"));
    Client b(store());
    EXPECT_EQ(b("1 AUTHENTICATE PLAIN"), "+ \r\n");
    EXPECT_THAT(b(plain("", kUser, "wrong")), StartsWith("1 NO [AUTHENTICATIONFAILED]"));
    EXPECT_EQ(b("2 AUTHENTICATE PLAIN"), "+ \r\n");
    EXPECT_THAT(b("*"), StartsWith("2 BAD"));
    EXPECT_THAT(b("3 AUTHENTICATE PLAIN !!"), StartsWith("3 BAD"));
}

TEST_F(Auth, OnlyAnAdminMayActAsSomebodyElse) {
    serve();
    store().add_admin("admin@example.com", "adminpass");
    store().add_account("other@example.com", "otherpass");
    deliver("INBOX", kMail);
    Client a(store());
    EXPECT_THAT(a("1 AUTHENTICATE PLAIN " + plain(kUser, "other@example.com", "otherpass")),
                StartsWith("1 NO [AUTHORIZATIONFAILED]"));
    EXPECT_THAT(a("2 AUTHENTICATE PLAIN " + plain(kUser, "admin@example.com", "adminpass")),
                StartsWith("2 OK"));
    EXPECT_THAT(a("3 STATUS INBOX (MESSAGES)"), HasSubstr("MESSAGES 1"));
    Client b(store());
    EXPECT_THAT(b("1 LOGIN \"user@example.com*admin@example.com\" adminpass"), StartsWith("1 OK"));
    Client c(store());
    EXPECT_THAT(
        c("1 AUTHENTICATE PLAIN " + plain("nobody@example.com", "admin@example.com", "adminpass")),
        StartsWith("1 NO"));
}

TEST_F(Auth, CarbonioFallsBackToTheAdminsDomain) {
    serve(carbonio());
    store().add_admin("admin@example.net", "adminpass");
    store().add_account("bob@example.net", "x");
    Client c(store());
    EXPECT_THAT(
        c("1 AUTHENTICATE PLAIN " + plain("bob@example.com", "admin@example.net", "adminpass")),
        StartsWith("1 OK"));
    EXPECT_THAT(c("2 ID NIL"), HasSubstr("\"USER\" \"bob@example.net\""));
}

TEST_F(Auth, BearerTokensFailInTwoSteps) {
    serve();
    store().set_token(kUser, "token");
    const std::string right = "user="s + std::string(kUser) + "\1auth=Bearer token\1\1";
    const std::string wrong = "user="s + std::string(kUser) + "\1auth=Bearer old\1\1";
    Client c(store());
    EXPECT_THAT(c("1 AUTHENTICATE XOAUTH2 " + encode_base64(wrong)), StartsWith("+ eyJ"));
    EXPECT_THAT(c(""), StartsWith("1 NO"));
    EXPECT_THAT(c("2 AUTHENTICATE OAUTHBEARER " +
                  encode_base64("n,a=user@example.com,\1auth=Bearer old\1\1")),
                StartsWith("+ eyJ"));
    EXPECT_THAT(c("AQ=="), StartsWith("2 NO"));
    EXPECT_THAT(c("3 AUTHENTICATE XOAUTH2 " + encode_base64(right)), StartsWith("3 OK"));
    Client d(store());
    EXPECT_THAT(d("1 AUTHENTICATE OAUTHBEARER " +
                  encode_base64("n,a=user@example.com,\1auth=Bearer token\1\1")),
                StartsWith("1 OK"));
}

/// RFC 7677, section 3, with the digests of this server.
TEST_F(Auth, DigestsAgreeWithThePublishedExamples) {
    EXPECT_EQ(hex(sha256("abc")),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hex(md5("message digest")), "f96b697d7cb7938d525a2f31aaf161d0");
    EXPECT_EQ(hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    EXPECT_EQ(hex(hmac_md5("Jefe", "what do ya want for nothing?")),
              "750c783e6ab0b503eaa86e310a5db738");
    const std::string message =
        "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,"
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const std::string salted =
        pbkdf2_sha256("pencil", *decode_base64("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096);
    EXPECT_EQ(encode_base64(hmac_sha256(hmac_sha256(salted, "Server Key"), message)),
              "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

/// The client's side of one SCRAM exchange; returns the server's last line.
std::string scram(Client& c, const std::string& user, const std::string& password) {
    const std::string bare = "n=" + user + ",r=abc";
    const std::string first = c("1 AUTHENTICATE SCRAM-SHA-256 " + encode_base64("n,," + bare));
    if (!first.starts_with("+ ")) return first;
    const std::string server = *decode_base64(std::string_view(first).substr(2, first.size() - 4));
    const std::string nonce = server.substr(2, server.find(",s=") - 2);
    const std::size_t salt_at = server.find(",s=") + 3;
    const std::string salt = *decode_base64(server.substr(salt_at, server.find(",i=") - salt_at));
    const std::string salted =
        pbkdf2_sha256(password, salt, std::stoi(server.substr(server.find(",i=") + 3)));
    const std::string message = bare + "," + server + ",c=biws,r=" + nonce;
    const std::string key = hmac_sha256(salted, "Client Key");
    std::string proof = hmac_sha256(sha256(key), message);
    for (std::size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(proof[i] ^ key[i]);
    const std::string last = c(encode_base64("c=biws,r=" + nonce + ",p=" + encode_base64(proof)));
    if (!last.starts_with("+ ")) return last;
    const std::string signature = hmac_sha256(hmac_sha256(salted, "Server Key"), message);
    EXPECT_EQ(last, "+ " + encode_base64("v=" + encode_base64(signature)) + "\r\n");
    return c("");
}

TEST_F(Auth, ScramSha256) {
    serve();
    Client a(store());
    EXPECT_THAT(scram(a, std::string(kUser), std::string(kPassword)), StartsWith("1 OK"));
    Client b(store());
    EXPECT_THAT(scram(b, std::string(kUser), "wrong"), StartsWith("1 NO"));
    Client c(store());
    EXPECT_THAT(scram(c, "nobody@example.com", "x"), StartsWith("1 NO"));
}

TEST_F(Auth, CramMd5) {
    serve();
    Client c(store());
    const std::string line = c("1 AUTHENTICATE CRAM-MD5");
    ASSERT_THAT(line, StartsWith("+ "));
    const std::string challenge = *decode_base64(std::string_view(line).substr(2, line.size() - 4));
    EXPECT_THAT(c(encode_base64(std::string(kUser) + " " +
                                hex(hmac_md5(std::string(kPassword), challenge)))),
                StartsWith("1 OK"));
}

TEST_F(Auth, StartTlsForgetsWhatCameTooEarly) {
    serve();
    Client c(store());
    EXPECT_THAT(c.raw("1 STARTTLS\r\n2 LOGIN user@example.com x\r\n"), StartsWith("1 OK"));
    EXPECT_EQ(c.connection().handover(), Handover::tls);
    EXPECT_EQ(c.connection().handover_done(), "");
    EXPECT_EQ(c.connection().take_output(), "");
    EXPECT_THAT(c("3 CAPABILITY"), Not(HasSubstr("STARTTLS")));
    EXPECT_THAT(c("4 STARTTLS"), StartsWith("4 BAD"));
}

TEST_F(Auth, WhatTheTransportCannotDoIsNotOffered) {
    serve();
    Client c(store(), {});
    EXPECT_THAT(c.greeting(), Not(HasSubstr("STARTTLS")));
    EXPECT_THAT(c("1 STARTTLS"), StartsWith("1 BAD"));
    EXPECT_THAT(c.login(), Not(HasSubstr("COMPRESS")));
    EXPECT_THAT(c("2 COMPRESS DEFLATE"), StartsWith("2 BAD"));
}

TEST_F(Auth, CompressHandsOverAndGivesEarlyInputBack) {
    serve();
    Client c = client();
    EXPECT_THAT(c.raw("1 COMPRESS DEFLATE\r\nxyz"), StartsWith("1 OK"));
    EXPECT_EQ(c.connection().handover(), Handover::deflate);
    EXPECT_EQ(c.connection().handover_done(), "xyz");
    EXPECT_THAT(c("2 NOOP"), StartsWith("2 OK"));
}

TEST_F(Auth, UnauthenticateEndsSelectionAndEnable) {
    serve();
    store().add_account("other@example.com", "pw");
    Client c = client();
    c("1 ENABLE QRESYNC");
    c("2 SELECT INBOX");
    EXPECT_THAT(c("3 UNAUTHENTICATE"), StartsWith("3 OK"));
    EXPECT_THAT(c("4 SELECT INBOX"), StartsWith("4 BAD"));
    EXPECT_THAT(c("5 LOGIN other@example.com pw"), StartsWith("5 OK"));
    EXPECT_THAT(c("6 EXAMINE INBOX (QRESYNC (1 1))"), StartsWith("6 BAD"));
}

TEST_F(Auth, ConnectionsPerAccountAreLimited) {
    Behaviour b = standard();
    b.connections_max = 1;
    serve(b);
    {
        Client first = client();
        Client second(store());
        EXPECT_THAT(second.login(), StartsWith("L NO [LIMIT]"));
    }
    Client third = client();
}

}  // namespace
}  // namespace imapult::imapd
